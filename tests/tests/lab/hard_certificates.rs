//! Certificates that TLS libraries refuse to read: a manager serves them, and a client that has them pinned believes
//! them.

use std::process::Command as Process;
use std::sync::Arc;

use bytes::Bytes;
use epm_client_agent::wire::Fleet;
use epm_fixtures::{needs, output};
use epm_protocol::assumption::Assumptions;
use epm_protocol::site::{Command, CommandError, Material, NewCertificate, Stores};
use epm_protocol::trust::{DateRule, ServerCertificate, read_certificates};
use epm_tests::{MANAGER, TestSite, has_ended};
use tempfile::TempDir;

/// A client that speaks TLS 1.2 alone, and one that speaks 1.3 as well.
const VERSIONS: [&str; 2] = ["14.2.5323", "14.3.8289"];
/// The largest certificate for a key of 2048 bits that fits into a handshake message with what surrounds it.
const LARGEST: usize = 65_112;

/// A folder with a private key.
fn with_key() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    openssl(&folder, &["genrsa", "-out", "x.key", "2048"]);
    folder
}

fn openssl(folder: &TempDir, arguments: &[&str]) -> String {
    let out = output(Process::new("openssl").args(arguments).current_dir(folder.path()));
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    said
}

/// A self-signed certificate with these lines among its extensions, in `x.crt`.
fn made(folder: &TempDir, extensions: &str) -> ServerCertificate {
    let settings = format!(
        "[req]\nprompt = no\ndistinguished_name = dn\nx509_extensions = own\n[dn]\nCN = sepm.example\n[own]\n{extensions}\n"
    );
    std::fs::write(folder.path().join("x.conf"), settings).unwrap();
    let fixed =
        ["req", "-x509", "-new", "-config", "x.conf", "-key", "x.key", "-days", "3000", "-out", "x.crt"];
    openssl(folder, &[&fixed[..], &["-set_serial", "1"]].concat());
    let pem = std::fs::read(folder.path().join("x.crt")).unwrap();
    read_certificates(&pem, "x.crt").unwrap().remove(0)
}

/// A certificate of exactly this size in DER.
fn of_size(folder: &TempDir, size: usize) -> ServerCertificate {
    let with = |filling: usize| made(folder, &format!("1.2.3.4.5 = DER:{}", "41".repeat(filling)));
    let first = size - 1000;
    let found = with(first).der().len();
    let made = with(first + size - found);
    assert_eq!(made.der().len(), size);
    made
}

fn import(folder: &TempDir, lab: &TestSite) -> Result<(), CommandError> {
    let file = |name: &str| Material {
        file: name.to_owned(),
        content: Bytes::from(std::fs::read(folder.path().join(name)).unwrap()),
    };
    let certificate =
        NewCertificate::Import { certificate: file("x.crt"), key: file("x.key"), key_password: None };
    let command =
        Command::UpdateCertificate { manager: MANAGER.to_owned(), certificate, stores: Stores::Both };
    lab.site().apply(&command).map(drop)
}

/// Clients ignore the dates of certificates: openssl dates them by the machine's clock.
fn without_dates() -> Arc<Assumptions> {
    Arc::new(Assumptions { certificate_dates: DateRule::Ignored, ..Assumptions::default() })
}

#[needs(openssl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_tls_libraries_refuse_is_served_and_believed_where_it_is_pinned() {
    let folder = with_key();
    let lab = TestSite::start().await;
    let many: Vec<String> = (0..10_000).map(|number| format!("8203{}", hex(number))).collect();
    let many = format!("2.5.29.17 = DER:3082C350{}", many.concat());
    let mut served = Vec::new();
    for (what, extensions) in [
        ("a critical extension that no library knows", "1.2.3.4.5 = critical, DER:0500"),
        ("alternative names that end within one", "2.5.29.17 = DER:300582106162"),
        ("alternative names that are none, critical", "2.5.29.17 = critical, DER:FFFF"),
        ("10,000 alternative names", &many),
        ("basic constraints that are none, critical", "2.5.29.19 = critical, DER:010203"),
    ] {
        let expected = made(&folder, extensions);
        import(&folder, &lab).unwrap_or_else(|error| panic!("{what}: {error}"));
        is_served_and_believed(&lab, &folder, &expected, what).await;
        served.push(expected.fingerprint());
    }
    let largest = of_size(&folder, LARGEST);
    import(&folder, &lab).unwrap();
    is_served_and_believed(&lab, &folder, &largest, "the largest that fits").await;

    // One byte more, and the wizard refuses it; the one before stays.
    of_size(&folder, LARGEST + 1);
    let refused = import(&folder, &lab).unwrap_err().to_string();
    let words =
        "Invalid certificate type, or invalid certificate signature algorithm: x.crt: expected a certificate";
    assert!(refused.starts_with(words) && refused.ends_with("65112 bytes, found 65113"), "{refused}");
    assert_eq!(lab.certificate(), largest.fingerprint());
    served.dedup();
    assert_eq!(served.len(), 5, "each was another one");
}

/// Three bytes in hexadecimal digits: the digits of a number.
fn hex(number: u32) -> String {
    let digits = format!("{:03}", number % 1000);
    digits.bytes().map(|digit| format!("{digit:02X}")).collect()
}

/// Checks by openssl that the announced certificate is presented, and that clients with its pin are served.
async fn is_served_and_believed(lab: &TestSite, folder: &TempDir, expected: &ServerCertificate, what: &str) {
    assert_eq!(lab.certificate(), expected.fingerprint(), "{what} is announced");
    assert_eq!(lab.site().console_certificate(MANAGER).as_ref(), Some(expected), "{what}");
    let place = lab.socket().to_string();
    let shown = openssl(folder, &["s_client", "-connect", &place, "-showcerts"]);
    assert!(shown.contains(expected.to_pem().trim()), "openssl is shown {what}: {shown}");
    let clients = VERSIONS.map(|version| lab.client(&format!("client-{version}"), version));
    let mut fleet = Fleet::start(Arc::clone(lab.clock()), &without_dates(), &lab.log(), clients.into()).await;
    lab.until(&fleet, what, |members| members.iter().all(|one| has_ended(one, 1))).await;
    for member in fleet.members() {
        let view = member.handle.view();
        assert!(view.health.is_connected(), "{}, {what}: {:?}", member.name, view.health);
        assert_eq!(view.certificates, [expected.fingerprint()], "{}, {what}", member.name);
    }
    fleet.stop_all().await.unwrap();
}
