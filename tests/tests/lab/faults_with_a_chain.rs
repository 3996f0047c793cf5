//! Certificate faults of a manager whose certificate is from an authority: openssl, curl, Python and Java, which trust the
//! root alone, find the one property wrong that the fault names.

use std::fs;
use std::process::Command as Process;

use epm_fixtures::{needs, output, root};
use epm_protocol::fault::{FaultKind, FaultRule};
use epm_protocol::site::{Command, Material, NewCertificate, Stores};
use epm_protocol::trust::read_private_key;
use epm_server::MockSite;
use epm_tests::MANAGER;
use tempfile::TempDir;

/// Makes a root, an intermediate authority, and two certificates of the manager from it.
const MAKE: &str = r#"
set -e
root() { openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days 3650 -keyout root.key -out root.crt -subj '/CN=Root' \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign; }
by() { # name, issuer, extensions
  openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1"
  printf '%s\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n' "$3" > "$1.ext"
  openssl x509 -req -sha256 -days 3650 -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -extfile "$1.ext" -out "$1.crt"
}
root
by between root 'basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign'
for leaf in before manager; do
  by $leaf between 'subjectAltName=IP:127.0.0.1
extendedKeyUsage=serverAuth'
  cat $leaf.crt between.crt > $leaf.chain
done
"#;
const PYTHON: &str = r#"
import socket, ssl, sys
root, port, *sources = sys.argv[1:]
for source in sources:
    context = ssl.create_default_context(cafile=root)
    try:
        with socket.create_connection(("127.0.0.1", int(port)), 30, (source, 0)) as plain:
            with context.wrap_socket(plain, server_hostname="127.0.0.1"):
                print(source, "well")
    except Exception as error:
        print(source, repr(error))
"#;

/// A fault, and what each judge finds: the numbers of openssl's errors, words of curl, of Python and of Java.
const FAULTS: [(&str, &str, &str, &str, &str); 13] = [
    ("", "", "", "well", "well"),
    ("expired", "10", "certificate has expired", "certificate has expired", "CertificateExpiredException"),
    (
        "not-yet-valid",
        "9",
        "certificate is not yet valid",
        "certificate is not yet valid",
        "CertificateNotYetValidException",
    ),
    (
        "wrong-host",
        "64",
        "no alternative certificate subject name",
        "IP address mismatch",
        "No subject alternative names",
    ),
    ("other-self-signed", "", "", "well", "well"),
    ("weak-key", "66", "EE certificate key too weak", "EE certificate key too weak", "well"),
    (
        "unknown-ca",
        "19",
        "self-signed certificate in certificate chain",
        "self-signed certificate",
        "unable to find valid",
    ),
    // openssl reports the missing issuer twice.
    (
        "incomplete-chain",
        "20 21",
        "unable to get local issuer",
        "unable to get local issuer",
        "unable to find valid",
    ),
    // Each judges the intermediate as if it were the manager's, for which it is neither meant nor named.
    (
        "reversed-chain",
        "26 64",
        "unsuitable certificate purpose",
        "unsuitable certificate purpose",
        "KeyUsage does not allow digital signatures",
    ),
    // The certificate is as it should be.
    ("wrong-key", "", "rsa routines", "bad signature", "Invalid CertificateVerify signature"),
    ("old-restored", "", "", "well", "well"),
    ("half-updated", "", "", "well", "well"),
    ("clock-skew", "", "", "well", "well"),
];

fn run(program: &str, arguments: &[&str]) -> String {
    let out = output(Process::new(program).args(arguments));
    String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()
}

fn of<'a>(said: &'a str, source: &str) -> &'a str {
    let line = said.lines().find_map(|line| line.strip_prefix(source)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("nothing of {source} in {said}"))
}

#[needs(curl, java, openssl, python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_chain_each_foreign_client_finds_the_one_property_wrong_that_the_fault_names() {
    let folder = TempDir::new().unwrap();
    let made = output(Process::new("sh").args(["-c", MAKE]).current_dir(folder.path()));
    assert!(made.status.success(), "{made:?}");
    let inside = folder.path().to_owned();
    let path = move |name: &str| inside.join(name).to_str().unwrap().to_owned();
    let site = MockSite::start().await.unwrap(); // by the machine's clock, which the judges use
    let material =
        |name: &str| Material { file: name.to_owned(), content: fs::read(path(name)).unwrap().into() };
    for leaf in ["before", "manager"] {
        let (certificate, key) = (material(&format!("{leaf}.chain")), material(&format!("{leaf}.key")));
        let certificate = NewCertificate::Import { certificate, key, key_password: None };
        let manager = MANAGER.to_owned();
        site.apply(&Command::UpdateCertificate { manager, certificate, stores: Stores::Both }).unwrap();
    }
    let key = read_private_key(&fs::read(path("between.key")).unwrap(), "between.key").unwrap();
    site.faults().sign_with(&key);
    let mut sources = Vec::new();
    for (number, (fault, ..)) in FAULTS.iter().enumerate() {
        let source = format!("127.0.1.{}", number + 1);
        if !fault.is_empty() {
            let mut rule = FaultRule::new(fault, FaultKind::named(fault).unwrap());
            rule.whom.source = Some(source.parse().unwrap());
            site.faults().add(rule).unwrap().keep();
        }
        sources.push(source);
    }
    let port = site.addresses()[0].https.rsplit(':').next().unwrap().to_owned();
    let judge = move || {
        let (root_crt, port) = (path("root.crt"), port.as_str());
        let all: Vec<&str> = sources.iter().map(String::as_str).collect();
        let python = run("python3", &[&["-c", PYTHON, &root_crt, port], &all[..]].concat());
        let program = root().join("tests/tests/lab/java/JudgedByJava.java");
        let java = run("java", &[&[program.to_str().unwrap(), &root_crt, port], &all[..]].concat());
        let mut differ = Vec::new();
        for ((fault, numbers, curl_words, python_words, java_words), source) in FAULTS.iter().zip(&all) {
            let connect = format!("127.0.0.1:{port}");
            let bind = format!("{source}:0");
            let said = run(
                "sh",
                &[
                    "-c",
                    "exec openssl s_client -connect \"$1\" -bind \"$2\" -CAfile \"$3\" -verify_ip 127.0.0.1 </dev/null 2>&1",
                    "sh",
                    &connect,
                    &bind,
                    &root_crt,
                ],
            );
            let mut found: Vec<&str> = said
                .lines()
                .filter_map(|line| line.strip_prefix("verify error:num=")?.split(':').next())
                .collect();
            found.dedup();
            let found = found.join(" ");
            let url = format!("https://127.0.0.1:{port}/secars/secars.dll?hello,secars");
            let curl = run("curl", &["-sS", "--interface", source, "--cacert", &root_crt, &url]);
            let is_so = found == *numbers
                && (curl_words.is_empty() && curl == "OK"
                    || !curl_words.is_empty() && curl.contains(curl_words))
                && of(&python, source).contains(python_words)
                && of(&java, source).contains(java_words);
            if !is_so {
                differ.push(format!(
                    "{fault}: {found} | {curl} | {} | {}",
                    of(&python, source),
                    of(&java, source)
                ));
            }
        }
        assert!(differ.is_empty(), "{}", differ.join("\n"));
    };
    tokio::task::spawn_blocking(judge).await.unwrap();
    site.stop().await;
}
