//! Files that the lab writes in the product's format, compared with `fixtures/golden`, whose `README.md` lists
//! the source and the certainty of each.
//!
//! With `EPM_TESTS_WRITE_GOLDEN=1` the files are written instead.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::sync::Arc;

use epm_client_agent::agent::{Event, LogLine};
use epm_client_agent::wire::LogFile;
use epm_fixtures::{needs, output};
use epm_protocol::assumption::Assumptions;
use epm_protocol::installation::{conf_properties, server_xml};
use epm_protocol::policy::PolicySerial;
use epm_protocol::site::{Command, DEFAULT_GROUP, Founding, ManagerPorts, Site};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Password;
use epm_server::MockSite;
use epm_tests::{MANAGER, START, TestSite};

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden").join(name)
}

/// Compares a file with the golden file of that name.
#[track_caller]
fn golden(name: &str, found: &[u8]) {
    if std::env::var_os("EPM_TESTS_WRITE_GOLDEN").is_some() {
        fs::write(place(name), found).unwrap();
    }
    let kept = fs::read(place(name)).unwrap_or_default();
    assert!(kept == found, "{name} is not what it was; it is now:\n{}", String::from_utf8_lossy(found));
    let readme = fs::read_to_string(place("README.md")).unwrap();
    let told = readme.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
    let mark = |line: &str| ["[C ", "[I]", "[R]", "[A]", "[U]"].iter().any(|mark| line.contains(mark));
    assert!(told.is_some_and(mark), "README.md does not say where {name} comes from, and how sure it is");
}

fn site() -> Site {
    let ports = |address: &str| ManagerPorts { address: address.into(), http: Some(8014), https: Some(443) };
    let managers =
        vec![("SEPM-1".to_owned(), ports("192.0.2.10")), ("SEPM-2".to_owned(), ports("192.0.2.11"))];
    let founding = Founding {
        name: "My Site".to_owned(),
        seed: 1,
        managers,
        assumptions: Arc::new(Assumptions::default()),
    };
    let mut site = Site::found(founding, START).unwrap();
    for command in [
        Command::AddGroup { group: r"My Company\Desktops".to_owned(), inherits: false },
        Command::AddLocation { group: r"My Company\Desktops".to_owned(), location: "Office".to_owned() },
    ] {
        site.apply(&command, START).unwrap();
    }
    site
}

#[test]
fn a_communications_file_is_what_it_was() {
    golden("sylink.xml", site().export_sylink(DEFAULT_GROUP, None).unwrap().to_xml().as_bytes());
}

#[test]
fn index_and_profile_of_a_group_are_what_they_were() {
    let site = site();
    let publication = site.publication("SEPM-1").unwrap();
    let id = site.groups().find(DEFAULT_GROUP).unwrap().id;
    let (_, group) = publication.groups().find(|(one, _)| *one == id).unwrap();
    for (name, content) in group.outbox() {
        golden(name, &content);
    }
}

#[test]
fn identifiers_and_serials_are_what_they_were() {
    let site = site();
    let mut text = String::new();
    let _ = writeln!(text, "site {}\ndomain {}", site.id(), site.domain());
    for (path, group) in site.groups().iter() {
        let _ = writeln!(text, "group {} {path}", group.id);
        let _ = writeln!(text, "serial {} {path}", PolicySerial::new(group.id, group.changed));
        for (name, location) in &group.own.locations {
            let _ = writeln!(text, "location {} {path}, {name}", location.id);
        }
    }
    golden("identifiers.txt", text.as_bytes());
}

#[test]
fn the_texts_of_an_installation_are_what_they_were() {
    golden("server.xml", server_xml(&Password::new("the-password-of-the-keystore"), 8446).as_bytes());
    golden("conf.properties", conf_properties().as_bytes());
}

#[test]
fn the_clients_system_log_is_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = LogFile::open(folder.path()).unwrap();
    let serial = "4B78-10/17/2018 14:39:16 311";
    for (seconds, event, text) in [
        (0, Event::ServiceStarted, "Symantec Management Client has been started.".to_owned()),
        (
            4,
            Event::ServerConnected,
            "Connected to Symantec Endpoint Protection Manager (192.0.2.10)".to_owned(),
        ),
        (
            140,
            Event::NewPolicyReceived,
            format!(
                "Received a new policy with serial number {serial} from Symantec Endpoint Protection Manager."
            ),
        ),
        (
            141,
            Event::NewPolicyApplied,
            format!("Applied new policy with serial number {serial} successfully."),
        ),
        (300, Event::HaveLatestPolicy, "The client already has the newest policy.".to_owned()),
        (
            600,
            Event::ServerDisconnected,
            "Disconnected from Symantec Endpoint Protection Manager.".to_owned(),
        ),
        (601, Event::ImportedSylink, "Imported sylink.".to_owned()),
        (700, Event::ServiceStopped, "Symantec Management Client has been stopped.".to_owned()),
    ] {
        let at = Timestamp::from_seconds(1_539_787_156 + seconds);
        log.write(&LogLine { at, event, text }).unwrap();
    }
    golden("syslog.log", &fs::read(folder.path().join("syslog.log")).unwrap());
}

#[needs(curl, python3)]
#[tokio::test]
async fn the_recovery_zip_and_the_registration_log_are_what_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let lab = TestSite::of(MockSite::builder()).await;
    lab.site().install(MANAGER, folder.path(), true).unwrap();
    let url = format!(
        "{}/secars/secars.dll?h={}&l=12&action=index",
        lab.site().addresses()[0].http,
        "0".repeat(64)
    );
    let curl = tokio::process::Command::new("curl").args(["-s", &url]).stdout(Stdio::null()).status().await;
    assert!(curl.unwrap().success());
    let log = fs::read(folder.path().join("data/inbox/log/ersecreg.log")).unwrap();
    golden("ersecreg.log", &log);
    let zips = fs::read_dir(folder.path().join("Server Private Key Backup")).unwrap();
    let zip = zips.map(|one| one.unwrap().path()).next().unwrap();
    // The listing of another tool, not what the lab believes that it wrote.
    let script = "import sys,zipfile; print('\\n'.join(zipfile.ZipFile(sys.argv[1]).namelist()))";
    let listed = output(Process::new("python3").args(["-c", script]).arg(&zip));
    let name = zip.file_name().unwrap().to_str().unwrap();
    let listing = format!("{name}\n{}", String::from_utf8_lossy(&listed.stdout));
    golden("recovery.txt", listing.as_bytes());
}

#[test]
fn every_golden_file_is_held() {
    let source =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/golden.rs")).unwrap();
    for entry in fs::read_dir(place("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_held = source.contains(&format!("\"{name}\""));
        let of_outbox = ["index2.xml", "LSProfile.xml", "LSProfile.xml.sig"].contains(&name.as_str());
        assert!(is_held || of_outbox || name == "README.md", "{name} is held by no test");
    }
}
