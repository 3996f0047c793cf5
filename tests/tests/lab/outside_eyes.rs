//! Foreign tools: curl, openssl and keytool, which share no code with the lab.

use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output};

use bytes::Bytes;
use epm_fixtures::{needs, output_of};
use epm_protocol::id::{Guid, HardwareKey};
use epm_protocol::site::{Command, Material, NewCertificate, Stores, TOP_GROUP};
use epm_server::MockSite;
use epm_tests::{MANAGER, TestSite};

const SECARS: &str = "/secars/secars.dll";

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn curl_says_hello_over_http_and_over_https_on_the_same_port() {
    let lab = TestSite::start().await;
    let place = &lab.site().addresses()[0];
    let by_http = curl(&[&place.hello]);
    assert_eq!((by_http.status, by_http.text().as_str()), (200, "OK"));
    assert!(by_http.header("x-epm-lab").is_some_and(|value| value.contains("mock")), "it says what it is");
    let by_https = curl(&["--insecure", &format!("{}{SECARS}?hello,secars", place.https)]);
    assert_eq!((by_https.status, by_https.text().as_str()), (200, "OK"));
    let records = lab.site().journal().records();
    assert_eq!(
        records.iter().map(|one| (one.action, one.tls)).collect::<Vec<_>>(),
        [("hello", false), ("hello", true)]
    );
}

#[needs(curl, openssl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn curl_verifies_the_manager_against_the_pem_file_of_its_certificate_and_no_other() {
    let lab = TestSite::start().await;
    let folder = tempfile::tempdir().unwrap();
    let hello = format!("{}{SECARS}?hello,secars", lab.site().addresses()[0].https);
    let mine = write(&folder, "sepm.pem", lab.identity().certificate().to_pem().as_bytes());
    for version in ["--tlsv1.3", "--tls-max=1.2"] {
        let version: Vec<&str> = version.split('=').collect();
        let flags: Vec<&str> =
            version.into_iter().chain(["--cacert", mine.to_str().unwrap(), &hello]).collect();
        assert_eq!(curl(&flags).status, 200, "{flags:?}");
    }
    lab.update(Stores::Both);
    let refused = Process::new("curl").args(["-sS", "--cacert", mine.to_str().unwrap(), &hello]).output();
    assert_eq!(refused.unwrap().status.code(), Some(60), "curl does not trust the other certificate");
    let new = write(&folder, "new.pem", lab.identity().certificate().to_pem().as_bytes());
    assert_eq!(curl(&["--cacert", new.to_str().unwrap(), &hello]).status, 200);
}

#[needs(openssl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn openssl_sees_the_certificate_in_force_before_and_after_the_update() {
    let lab = TestSite::start().await;
    let before = lab.certificate().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        assert_eq!(fingerprint_shown(&lab, version), before);
    }
    lab.update(Stores::Both);
    let after = lab.certificate().to_string();
    assert_ne!(before, after);
    for version in ["-tls1_2", "-tls1_3"] {
        assert_eq!(fingerprint_shown(&lab, version), after);
    }
}

#[needs(openssl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn openssl_resumes_a_session_but_not_beyond_an_update_of_the_certificate() {
    let lab = TestSite::start().await;
    let folder = tempfile::tempdir().unwrap();
    let ticket = folder.path().join("ticket.pem");
    let ticket = ticket.to_str().unwrap();
    let shake = |flags: &[&str]| {
        let place = lab.socket().to_string();
        let out = s_client(&place, &[&["-tls1_2"], flags].concat());
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    assert!(shake(&["-sess_out", ticket]).contains("New, TLSv1.2"));
    assert!(shake(&["-sess_in", ticket]).contains("Reused, TLSv1.2"));
    lab.update(Stores::Both);
    assert!(shake(&["-sess_in", ticket]).contains("New, TLSv1.2"), "the ticket is worth nothing now");
}

/// A whole client of curl and openssl: it registers, and downloads index, policy, list and package.
#[needs(curl, openssl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn curl_and_openssl_alone_play_a_whole_client_and_verify_all_that_is_signed() {
    let lab = TestSite::start().await;
    let package: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let file = Material { file: "client.pkg".into(), content: Bytes::from(package.clone()) };
    lab.apply(&Command::AddPackage { package: "Client 14 & more".into(), file });
    lab.apply(&Command::AssignPackage { package: "Client 14 & more".into(), group: TOP_GROUP.into() });

    for round in ["before the update", "after the update"] {
        let client = Foreign::new(&lab);
        let domain = lab.site().look(epm_protocol::site::Site::domain);
        let hardware = HardwareKey(Guid::from_bytes([0xAB; 16]));
        let registered = client.get(&format!(
            "action=register&domain={domain}&hardware={hardware}&computer=by+hand&version=14.3.8289"
        ));
        assert_eq!(registered.status, 200, "{round}: {registered:?}");
        let agent = between(&registered.text(), "AgentId=\"", "\"");
        let known = lab.site().client_status(agent.parse().unwrap()).expect("the site knows it now");
        assert_eq!(known.client.computer_name, "by hand");

        let index = client.get(&format!("action=index&agent={agent}"));
        assert_eq!(index.status, 200, "{index:?}");
        let index = index.text();
        let policy = client.get(&format!("action=policy&agent={agent}"));
        let list = client.get(&format!("action=list&agent={agent}"));
        let sent = client.get(&format!("action=package&agent={agent}&name=Client+14+%26+more"));
        assert!(index.contains(&sha256(&policy.body).to_uppercase()[..32]), "{index}");
        assert!(index.contains(&sha256(&list.body)), "{index}");
        assert!(index.contains(&sha256(&sent.body)), "{index}");
        assert_eq!(sent.body, package);
        let serial = between(&index, "SerialNumber=\"", "\"");
        assert!(policy.text().contains(&format!("SerialNumber=\"{serial}\"")), "{}", policy.text());

        let folder = tempfile::tempdir().unwrap();
        let listed = public_key_of_the_listed_certificate(&folder, &list.text());
        for (what, answer) in [("policy", &policy), ("list", &list), ("package", &sent)] {
            assert!(verifies(&folder, &listed, answer, &answer.body), "{round}: {what}");
            for place in [0, answer.body.len() / 2, answer.body.len() - 1] {
                let mut changed = answer.body.clone();
                changed[place] ^= 1;
                assert!(!verifies(&folder, &listed, answer, &changed), "{round}: {what}, byte {place}");
            }
        }

        let form = serial.replace('/', "%2F").replace(':', "%3A").replace(' ', "+");
        let again = client.get(&format!("action=index&agent={agent}&serial={form}"));
        assert_eq!((again.status, again.body.len()), (304, 0), "it has the newest");
        lab.update(Stores::Both);
    }
}

#[needs(curl, openssl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn curl_uploads_its_state_and_the_site_knows_it() {
    let lab = TestSite::start().await;
    let agent = lab.register("by hand");
    let certificate = lab.certificate();
    let state = format!(
        r#"{{"serial":null,"certificates":["{certificate}"],"secure_communications":true,"location":null}}"#
    );
    let client = Foreign::new(&lab);
    let url = client.url(&format!("action=upload&agent={agent}&sha256={}", sha256(state.as_bytes())));
    assert_eq!(curl(&["--data-binary", &state, &url]).status, 200);
    let told = lab.site().client_status(agent).unwrap().state.expect("it told how it is");
    assert_eq!((told.certificates, told.secure_communications), (vec![certificate], true));
    // The seal covers the body as well.
    assert_eq!(curl(&["--data-binary", &state.replace("true", "false"), &url]).status, 400);
}

#[needs(curl, openssl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wrong_secret_gets_400_and_the_two_lines_of_the_servers_log() {
    let lab = TestSite::start().await;
    let agent = lab.register("by hand");
    let right = Foreign::new(&lab);
    assert_eq!(right.get(&format!("action=policy&agent={agent}")).status, 200);
    assert_eq!(lab.site().journal().server_log(), [""; 0]);
    let wrong = Foreign { secret: "00112233445566778899AABBCCDDEEFF".into(), ..right };
    let refused = wrong.get(&format!("action=policy&agent={agent}"));
    assert_eq!(refused.status, 400);
    assert!(!refused.text().contains("<Profile"), "{refused:?}");
    assert_eq!(lab.site().journal().server_log(), ["4 Bad format.", "<127.0.0.1>--FAILED"]);
    // Nor is a request without a seal, or with a malformed one.
    for query in ["action=policy", "h=abc", ""] {
        assert_eq!(curl(&[&format!("{}{SECARS}?{query}", wrong.base)]).status, 400, "{query:?}");
    }
    assert_eq!(lab.site().journal().server_log().len(), 8);
}

#[needs(keytool, openssl)]
#[tokio::test]
async fn openssl_and_keytool_read_what_is_issued() {
    let lab = TestSite::start().await;
    let certificate =
        NewCertificate::Generate { common_name: Some("sepm.example".into()), valid_days: Some(365) };
    lab.apply(&Command::UpdateCertificate { manager: MANAGER.into(), certificate, stores: Stores::Both });
    let folder = tempfile::tempdir().unwrap();
    let pem = write(&folder, "sepm.pem", lab.identity().certificate().to_pem().as_bytes());
    let pem = pem.to_str().unwrap();
    let text =
        stdout(&run("openssl", &["x509", "-in", pem, "-noout", "-text", "-fingerprint", "-sha256"], b""));
    let text = text.replace("CN = ", "CN="); // as openssl before 3.2 writes it
    for expected in [
        "Subject: CN=sepm.example",
        "Issuer: CN=sepm.example",
        "Not Before: Jan  5 08:00:00 2026 GMT",
        "Not After : Jan  5 08:00:00 2027 GMT",
        "Public-Key: (2048 bit)",
        "sha256WithRSAEncryption",
        "IP Address:127.0.0.1",
        "TLS Web Server Authentication",
        &lab.certificate().to_string(),
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
    let verified = run("openssl", &["verify", "-CAfile", pem, "-attime", "1767700000", pem], b"");
    assert!(verified.status.success(), "{verified:?}");

    let printed = stdout(&run("keytool", &["-J-Duser.language=en", "-printcert", "-file", pem], b""));
    for expected in ["Owner: CN=sepm.example", "2048-bit RSA key", &lab.certificate().to_string()] {
        assert!(printed.contains(expected), "{expected:?} is not in\n{printed}");
    }
}

#[needs(curl, openssl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_certificate_that_openssl_has_made_is_served_and_signs() {
    let lab = TestSite::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (key, certificate) = (folder.path().join("own.key"), folder.path().join("own.crt"));
    let made = run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=own.example",
            "-days",
            "30",
            "-keyout",
            key.to_str().unwrap(),
            "-out",
            certificate.to_str().unwrap(),
        ],
        b"",
    );
    assert!(made.status.success(), "{made:?}");
    let material = |path: &Path| Material {
        file: path.display().to_string(),
        content: std::fs::read(path).expect("openssl has written it").into(),
    };
    lab.apply(&Command::UpdateCertificate {
        manager: MANAGER.into(),
        certificate: NewCertificate::Import {
            certificate: material(&certificate),
            key: material(&key),
            key_password: None,
        },
        stores: Stores::Both,
    });
    let shown =
        run("openssl", &["x509", "-noout", "-fingerprint", "-sha256"], &material(&certificate).content);
    assert_eq!(stdout(&shown).trim().rsplit('=').next(), Some(lab.certificate().to_string().as_str()));
    assert_eq!(fingerprint_shown(&lab, "-tls1_3"), lab.certificate().to_string());
    let agent = lab.register("by hand");
    let client = Foreign::new(&lab);
    let list = client.get(&format!("action=list&agent={agent}"));
    let listed = public_key_of_the_listed_certificate(&folder, &list.text());
    assert!(verifies(&folder, &listed, &list, &list.body));
}

// ----------------------------------------------------------------------------------------------- a foreign client

/// A client of curl, which seals its requests with openssl.
struct Foreign {
    base: String,
    secret: String,
}

impl Foreign {
    fn new(lab: &TestSite) -> Self {
        let site: &MockSite = lab.site();
        Self { base: site.addresses()[0].http.clone(), secret: site.kcs().to_string() }
    }

    /// Builds a URL as the documentation of the envelope describes it.
    fn url(&self, fields: &str) -> String {
        let rest = format!("l={}&{fields}", fields.len());
        let key = format!("hexkey:{}", self.secret);
        let made =
            run("openssl", &["dgst", "-sha256", "-mac", "HMAC", "-macopt", &key, "-r"], rest.as_bytes());
        let tag = stdout(&made).split_whitespace().next().unwrap_or_default().to_owned();
        format!("{}{SECARS}?h={tag}&{rest}", self.base)
    }

    fn get(&self, fields: &str) -> Answer {
        curl(&[&self.url(fields)])
    }
}

/// The answer to curl.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<String> {
        let lines = self.headers.lines().filter_map(|line| line.split_once(':'));
        lines
            .into_iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
    }
}

fn curl(flags: &[&str]) -> Answer {
    let folder = tempfile::tempdir().expect("a folder for curl");
    let headers = folder.path().join("headers");
    let fixed = ["-sS", "--globoff", "--max-time", "30", "-D", headers.to_str().expect("a plain path")];
    let out = run("curl", &[&fixed, flags].concat(), b"");
    assert!(out.status.success(), "curl {flags:?}: {out:?}");
    let headers = std::fs::read_to_string(headers).expect("curl has written the headers");
    let status = headers.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Answer { status, headers, body: out.stdout }
}

fn s_client(place: &str, flags: &[&str]) -> Output {
    // A request, so that the manager ends the connection after the tickets have come.
    let request = b"GET /secars/secars.dll?hello,secars HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    run("openssl", &[&["s_client", "-connect", place, "-ign_eof"], flags].concat(), request)
}

/// The SHA-256 fingerprint of the certificate that the manager shows to openssl.
fn fingerprint_shown(lab: &TestSite, version: &str) -> String {
    let shown = s_client(&lab.socket().to_string(), &[version]);
    let read = run("openssl", &["x509", "-noout", "-fingerprint", "-sha256"], &shown.stdout);
    stdout(&read).trim().rsplit('=').next().unwrap_or_default().to_owned()
}

/// The file with the public key of the first certificate of this list, as openssl reads it.
fn public_key_of_the_listed_certificate(folder: &tempfile::TempDir, list: &str) -> PathBuf {
    let certificates = between(list, "<ServerCertList>", "</ServerCertList>");
    let base64 = between(&certificates, ">", "</Certificate>");
    let base64 = base64.rsplit('>').next().unwrap_or_default();
    let der = run("openssl", &["base64", "-d", "-A"], base64.as_bytes()).stdout;
    let key = run("openssl", &["x509", "-inform", "der", "-noout", "-pubkey"], &der);
    write(folder, "listed.pub", &key.stdout)
}

/// The output of openssl for a signature.
fn verifies(folder: &tempfile::TempDir, key: &Path, answer: &Answer, body: &[u8]) -> bool {
    let header = answer.header("x-epm-signature").expect("it is signed");
    let signature = run("openssl", &["base64", "-d", "-A"], header.as_bytes()).stdout;
    let signature = write(folder, "signature", &signature);
    let [key, signature] = [key, &signature].map(|path| path.to_str().expect("a plain path"));
    let out = run("openssl", &["dgst", "-sha256", "-verify", key, "-signature", signature], body);
    let verdict = stdout(&out);
    assert!(verdict.contains("Verified OK") || verdict.contains("Verification failure"), "{out:?}");
    out.status.success()
}

fn sha256(bytes: &[u8]) -> String {
    let made = run("openssl", &["dgst", "-sha256", "-r"], bytes);
    stdout(&made).split_whitespace().next().unwrap_or_default().to_owned()
}

fn run(tool: &str, arguments: &[&str], input: &[u8]) -> Output {
    output_of(Process::new(tool).args(arguments), input)
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn write(folder: &tempfile::TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("the folder can be written");
    path
}

fn between(text: &str, start: &str, end: &str) -> String {
    let after = text.split_once(start).map(|(_, after)| after).unwrap_or_default();
    let found = after.split_once(end).map(|(found, _)| found).unwrap_or_default();
    assert!(!found.is_empty(), "there is nothing between {start:?} and {end:?} in {text}");
    found.to_owned()
}
