//! `epm-lab sylink`, run as a user runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::{json, needs, output, run, said, well};

const EXPORTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/sylink/exported.xml");
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/sylink/hand-edited.xml");

fn sylink(arguments: &[&str]) -> Output {
    run(&[&["sylink"], arguments].concat())
}

#[test]
fn a_file_is_shown_without_its_secret_and_checked() {
    let text = std::fs::read_to_string(FILE).unwrap();
    let (_, rest) = text.split_once("Kcs=").unwrap();
    let secret = &rest[1..33];
    for arguments in [&["show", FILE][..], &["show", FILE, "--json"], &["check", FILE]] {
        let output = sylink(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output).1);
        assert!(!said(&output).1.to_uppercase().contains(&secret.to_uppercase()), "{}", said(&output).1);
    }
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.xml");
    std::fs::write(&broken, text.replacen("CommConf>", "CommCnf>", 1)).unwrap();
    let output = sylink(&["check", broken.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).1.contains("broken.xml: line "), "{}", said(&output).1);
}

#[test]
fn an_edit_changes_what_was_asked_and_nothing_else_and_a_diff_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new.xml");
    let out = out.to_str().unwrap();
    let output = sylink(&["edit", FILE, "--group", "My Company\\Elsewhere", "--out", out]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output).1);
    let diff = sylink(&["diff", FILE, out]);
    assert_eq!(diff.status.code(), Some(1), "{}", said(&diff).1);
    assert_eq!(said(&diff).1.lines().count(), 1, "{}", said(&diff).1);
    assert!(said(&diff).1.starts_with("preferred group: was "), "{}", said(&diff).1);
    let (before, after) = (std::fs::read_to_string(FILE).unwrap(), std::fs::read_to_string(out).unwrap());
    let changed = before.lines().zip(after.lines()).filter(|(one, other)| one != other).count();
    assert_eq!((before.lines().count(), changed), (after.lines().count(), 1));
    assert_eq!(sylink(&["diff", FILE, FILE]).status.code(), Some(0));
    assert_eq!(sylink(&["edit", FILE, "--out", out]).status.code(), Some(2), "it is there already");
}

#[test]
fn the_secret_is_shown_to_who_asks_for_it_and_to_nobody_else() {
    let output = sylink(&["show", FILE, "--show-secret"]);
    let text = std::fs::read_to_string(FILE).unwrap();
    let secret = &text.split_once("Kcs=").unwrap().1[1..33];
    assert!(said(&output).1.contains(secret), "{}", said(&output).1);
    assert_eq!(json(&sylink(&["show", FILE, "--show-secret", "--json"]))["kcs"], secret);
}

/// A copy of the exported sample, edited.
fn edited(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, PathBuf) {
    let out = folder.join(format!("{}.xml", std::fs::read_dir(folder).unwrap().count()));
    let edit = ["edit", EXPORTED, "--out", out.to_str().unwrap()];
    let (code, said) = sylink_output(&[&edit[..], arguments].concat());
    (code, said, out)
}

#[test]
fn servers_certificates_secret_and_domain_are_edited_and_each_is_a_difference() {
    let folder = tempfile::tempdir().unwrap();
    let made = tempfile::tempdir().unwrap();
    let path = |name: &str| made.path().join(name).to_str().unwrap().to_owned();
    let issue = ["cert", "issue", "--name", "new", "--out", &path("new.crt"), "--key-out", &path("new.key")];
    well(&run(&issue));
    std::fs::write(path("kcs.txt"), format!("{}\n", "A1".repeat(16))).unwrap();
    let certificate = format!("sepm-9={}", path("new.crt"));
    for (arguments, words) in [
        (
            &[
                "--server",
                "1=https://10.0.0.5:443",
                "--server",
                "1=http://10.0.0.5:8014",
                "--server",
                "3=http://10.0.0.6:80",
            ][..],
            &[
                "servers by priority: was ",
                "; is 1: https://10.0.0.5:443 (HTTP 8014) (by its name); 2: http://10.0.0.6:80",
            ][..],
        ),
        (&["--secure", "off"], &["verifies signatures: was yes; is no"]),
        (&["--verify-ca", "on"], &["servers by priority: was ", "198.51.100.7:8114 (by its name)"]),
        (&["--heartbeat", "77"], &["PullHeartbeatSeconds: was ", "PushHeartbeatSeconds: was "]),
        (
            &["--domain", "00000000000000000000000000000001"],
            &["domain: was ", "is 00000000000000000000000000000001"],
        ),
        (&["--kcs-file", &path("kcs.txt")], &["shared secret, hash: was "]),
        (&["--certificate", &certificate], &["certificates: was ", "(new, "]),
    ] {
        let (code, told, out) = edited(folder.path(), arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {told}");
        let (code, diff) = sylink_output(&["diff", EXPORTED, out.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{arguments:?}: {diff}");
        assert!(words.iter().all(|word| diff.contains(word)), "{arguments:?}: {diff}");
        assert!(!diff.contains("A1A1A1"), "{diff}");
    }
    for (arguments, words) in [
        (&["--server", "0=http://10.0.0.5:80"][..], "priority"),
        (&["--server", "10.0.0.5"], "expected http://HOST:PORT"),
        (&["--domain", "12"], "expected 32 hexadecimal digits"),
        (&["--kcs-file", &path("new.key")], "expected 32 hexadecimal digits"),
        (&["--certificate", "x=/nowhere.crt"], "cannot read /nowhere.crt"),
        (&["--without-certificate", "nobody"], "there is no certificate \"nobody\""),
        (&["--group", "\u{1}"], "the edited file would be invalid"),
    ] {
        let (code, told, out) = edited(folder.path(), arguments);
        assert!(code == Some(2) && told.contains(words), "{arguments:?}: {told}");
        assert!(!out.exists());
    }
}

#[test]
fn a_difference_of_what_is_not_understood_is_named_by_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(EXPORTED).unwrap();
    let other = folder.path().join("other.xml");
    let changed = text.replacen("<RegisterClient", "<Weather Rain=\"1\"/><RegisterClient", 1);
    std::fs::write(&other, changed).unwrap();
    let (code, diff) = sylink_output(&["diff", EXPORTED, other.to_str().unwrap()]);
    assert_eq!((code, diff.as_str()), (Some(1), "/ServerSettings/CommConf/Weather@Rain: was absent; is 1\n"));
}

#[needs(python3)]
#[test]
fn a_file_in_utf16_is_shown_and_edited_in_utf16() {
    let folder = tempfile::tempdir().unwrap();
    let (wide, out) = (folder.path().join("wide.xml"), folder.path().join("out.xml"));
    let script = "import sys; t=open(sys.argv[1],encoding='utf-8').read(); \
                  open(sys.argv[2],'w',encoding='utf-16',newline='').write(t)";
    well(&output(Command::new("python3").args(["-c", script, EXPORTED, wide.to_str().unwrap()])));
    let (code, shown) = sylink_output(&["show", wide.to_str().unwrap()]);
    assert!(code == Some(0) && shown.contains("UTF-16"), "{shown}");
    let edit =
        ["edit", wide.to_str().unwrap(), "--mode", "push", "--list", "Büro", "--out", out.to_str().unwrap()];
    assert_eq!(sylink_output(&edit).0, Some(0));
    let script = "import sys; b=open(sys.argv[1],'rb').read(); assert b[:2]==b'\\xff\\xfe'; \
                  assert 'Name=\"Büro\"' in b.decode('utf-16')";
    well(&output(Command::new("python3").args(["-c", script, out.to_str().unwrap()])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn against_a_manager_all_values_that_are_wrong_are_named_in_the_documented_order() {
    use epm_protocol::site::DEFAULT_GROUP;
    use epm_protocol::sylink::{ClientServer, CommunicationMode, Sylink};
    let site = epm_server::MockSite::start().await.unwrap();
    let url = site.addresses()[0].https.clone();
    let good = site.export_sylink(DEFAULT_GROUP, None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.xml");
    let ask = |change: &dyn Fn(&mut Sylink)| {
        let mut sylink = good.clone();
        change(&mut sylink);
        std::fs::write(&file, sylink.to_xml()).unwrap();
        let (code, text) = sylink_output(&["check", file.to_str().unwrap(), "--against", &url]);
        let wrong = text.lines().filter_map(|line| line.strip_prefix("Wrong: "));
        let wrong: Vec<String> = wrong.map(|line| line.split(" (").next().unwrap().to_owned()).collect();
        (code, wrong, text)
    };
    let conf = |sylink: &mut Sylink, change: &dyn Fn(&mut epm_protocol::sylink::CommConf)| {
        let mut conf = sylink.conf();
        change(&mut conf);
        sylink.adopt(&conf);
    };
    let (code, _, text) = ask(&|_| ());
    assert_eq!(code, Some(0), "{text}");
    let (code, wrong, text) = ask(&|sylink| conf(sylink, &|conf| conf.settings.kcs_hex = "0".repeat(32)));
    assert_eq!((code, wrong.join(";").as_str()), (Some(1), "the shared secret"), "{text}");
    assert!(text.contains("Not checked until that is corrected: the domain"), "{text}");
    let (_, wrong, text) = ask(&|sylink| sylink.set_domain_id("A".repeat(32).parse().unwrap()));
    assert_eq!(wrong, ["the domain"], "{text}");
    let (_, wrong, text) = ask(&|sylink| conf(sylink, &|conf| conf.certificates.clear()));
    assert_eq!(wrong, ["the certificates"], "{text}");
    let (_, wrong, text) = ask(&|sylink| sylink.set_preferred_group("My Company\\Nowhere"));
    assert_eq!(wrong, ["the preferred group"], "{text}");
    let other = ClientServer {
        address: "192.0.2.1".to_owned(),
        http_port: Some(8014),
        https_port: None,
        verify_ca: false,
        verify_signatures: true,
    };
    // Several at once, and all of them named, behind certificates that no server of the list has.
    let (code, wrong, text) = ask(&|sylink| {
        sylink.set_preferred_group("My Company\\Nowhere");
        conf(sylink, &|conf| {
            let mode = &mut conf.settings.mode;
            *mode = if *mode == CommunicationMode::Push {
                CommunicationMode::Pull
            } else {
                CommunicationMode::Push
            };
            conf.list.name = "Of another site".to_owned();
            conf.list.priorities = vec![vec![other.clone()]];
            conf.certificates.clear();
        });
    });
    assert_eq!(code, Some(1));
    let order = [
        "the mode",
        "the server list",
        "the preferred group",
        "the server's address or port",
        "the certificates",
    ];
    assert_eq!(wrong, order, "{text}");
    // What can be told of a secret and of certificates, where both are wrong.
    let (_, wrong, text) = ask(&|sylink| {
        conf(sylink, &|conf| {
            conf.settings.kcs_hex = "0".repeat(32);
            conf.certificates.clear();
        });
    });
    assert_eq!(wrong, ["the shared secret", "the certificates"], "{text}");
    // A manager that fails is told apart from a file that is wrong, and both may be so.
    let busy = serde_json::json!({ "name": "busy", "what": { "kind": "status", "code": 503 }, "where": { "route": "index" } });
    let busy = site.faults().add(serde_json::from_value(busy).unwrap()).unwrap();
    let (_, wrong, text) = ask(&|_| ());
    assert!(
        wrong.is_empty() && text.contains("The file is not at fault: the manager does not serve: "),
        "{text}"
    );
    let (_, wrong, text) = ask(&|sylink| conf(sylink, &|conf| conf.certificates.clear()));
    assert_eq!(wrong, ["the certificates"], "{text}");
    assert!(text.contains("\nWhatever the file says, the manager does not serve: "), "{text}");
    drop(busy);
    // No server listens there: the address is wrong, and nothing more can be told.
    let text = good.to_xml();
    std::fs::write(&file, &text).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, text) =
        sylink_output(&["check", file.to_str().unwrap(), "--against", &format!("https://{free}")]);
    assert!(code == Some(1) && text.contains("Wrong: the server's address or port"), "{text}");
}

fn sylink_output(arguments: &[&str]) -> (Option<i32>, String) {
    said(&sylink(arguments))
}
