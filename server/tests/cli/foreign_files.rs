//! Files of any kind at every door that takes a certificate or a keystore: `cert show`, `check` and `convert`, `cert
//! import`, and `up`. Each reads the same, and refuses in the same words.

use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{RunningLab, json, needs, output, program, said, well};

const PASSWORD: &str = "storepw1";

fn run(folder: &TempDir, tool: &str, arguments: &[&str]) -> String {
    let command = &mut Command::new(tool);
    well(&output(command.args(arguments).current_dir(folder.path()).env("LC_ALL", "C.UTF-8")))
}

fn cert(folder: &TempDir, arguments: &[&str]) -> Output {
    output(program().arg("cert").args(arguments).current_dir(folder.path()))
}

fn import(lab: &RunningLab, folder: &TempDir, name: &str, files: &[&str]) -> Output {
    let fixed = ["cert", "import", "--json", "--name", name];
    output(lab.program().args(fixed).args(files).current_dir(folder.path()))
}

fn write(folder: &TempDir, file: &str, content: impl AsRef<[u8]>) {
    std::fs::write(folder.path().join(file), content).unwrap();
}

fn read(folder: &TempDir, file: &str) -> Vec<u8> {
    std::fs::read(folder.path().join(file)).unwrap()
}

/// A folder with a certificate, its key, a PKCS#12 keystore of both, and the password in files with and without marks
/// of Windows.
fn made() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "p.txt", format!("\u{FEFF}{PASSWORD}\r\n"));
    let utf16 =
        format!("\u{FEFF}{PASSWORD}\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    write(&folder, "p16.txt", utf16);
    let issue = ["issue", "--name", "sepm.example", "--out", "x.crt", "--key-out", "x.key"];
    well(&cert(&folder, &issue));
    for (to, out, key) in [("pkcs12", "x.p12", None), ("der", "x.der", Some("x.key.der"))] {
        let convert = ["convert", "x.crt", "--key", "x.key", "--to", to, "--out", out];
        let rest = key.map_or(["--out-password-file", "p.txt"], |key| ["--key-out", key]);
        well(&cert(&folder, &[&convert[..], &rest].concat()));
    }
    folder
}

fn sha256(folder: &TempDir, arguments: &[&str]) -> String {
    let shown = json(&cert(folder, &[&["show", "--json"], arguments].concat()));
    shown["certificates"][0]["sha256"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn an_import_takes_what_up_takes_and_names_the_file_that_it_refuses() {
    let folder = made();
    let lab = RunningLab::up(&["--agents", "0", "--no-rest"]);
    let own = sha256(&folder, &["x.crt"]);
    let of = |shown: &Value| shown["stores"]["client"]["fingerprint"].as_str().unwrap().to_owned();
    for (name, files) in [
        ("der", &["--certificate", "x.der", "--key", "x.key.der"][..]),
        ("mixed", &["--certificate", "x.crt", "--key", "x.key.der"]),
        ("p12", &["--keystore", "x.p12", "--password-file", "p.txt"]),
        ("utf16", &["--keystore", "x.p12", "--password-file", "p16.txt", "--store-type", "pkcs12"]),
    ] {
        assert_eq!(of(&json(&import(&lab, &folder, name, files))), own, "{name}");
    }
    // The same files again, wherever they are, are the same request.
    std::fs::copy(folder.path().join("x.der"), folder.path().join("y.der")).unwrap();
    well(&import(&lab, &folder, "der", &["--certificate", "y.der", "--key", "x.key.der"]));
    let other = import(&lab, &folder, "der", &["--certificate", "x.crt", "--key", "x.key"]);
    assert_eq!(other.status.code(), Some(2), "{:?}", said(&other));
    write(&folder, "huge", vec![b'A'; 1024 * 1024 + 1]);
    let huge = said(&import(&lab, &folder, "huge", &["--certificate", "huge", "--key", "x.key"]));
    assert_eq!(huge.0, Some(2));
    assert!(huge.1.contains("huge has 1048577 bytes, expected at most 1048576"), "{}", huge.1);
}

#[test]
fn every_door_says_what_a_file_is_that_it_refuses() {
    let folder = made();
    let lab = RunningLab::up(&["--agents", "0", "--no-rest"]);
    let pem = String::from_utf8(read(&folder, "x.crt")).unwrap();
    let base64 = data_encoding::BASE64.encode(&read(&folder, "x.p12"));
    write(
        &folder,
        "utf16.crt",
        format!("\u{FEFF}{pem}").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
    );
    write(&folder, "base64.crt", &base64);
    write(&folder, "p7b.crt", pem.replace("CERTIFICATE", "PKCS7"));
    write(&folder, "key.crt", read(&folder, "x.key.der"));
    write(&folder, "page.crt", "<!DOCTYPE html><html></html>");
    write(&folder, "cut.crt", &read(&folder, "x.der")[..200]);
    write(&folder, "empty.crt", "");
    for (file, words) in [
        ("utf16.crt", "found UTF-16 text (a certificate); save it as UTF-8"),
        ("base64.crt", "found base64 without BEGIN and END lines, of a PKCS#12 keystore"),
        ("p7b.crt", "found a PKCS#7 file (p7b)"),
        ("key.crt", "found a private key; give the certificate for that key"),
        ("x.p12", "found a PKCS#12 keystore; give it as a keystore"),
        ("page.crt", "found a web page (HTML)"),
        ("cut.crt", "found 200 bytes of a file that begins as one of"),
        ("empty.crt", "empty.crt is empty"),
    ] {
        let files = ["--certificate", file, "--key", "x.key"];
        let up = output(program().args(["up", "--http-port", "0"]).args(files).current_dir(folder.path()));
        let mut doors = vec![("up", up), ("import", import(&lab, &folder, file, &files))];
        if file != "x.p12" {
            doors.push(("show", cert(&folder, &["show", file, "--key", "x.key"])));
            doors.push(("check", cert(&folder, &["check", file, "--key", "x.key"])));
        }
        for (door, out) in doors {
            let (code, said) = said(&out);
            assert_eq!(code, Some(2), "{door}, {file}: {said}");
            let sentence = "Invalid certificate type, or invalid certificate signature algorithm: ";
            assert!(said.contains(&format!("{sentence}{file}")) && said.contains(words), "{door}: {said}");
        }
    }
}

/// The usual order of commands with keytool leaves the root and the intermediate before the key.
#[needs(keytool, openssl)]
#[test]
fn all_who_read_a_store_speak_of_the_entry_with_the_key() {
    let folder = made();
    let authority = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "900", "-subj", "/CN=Lab CA"];
    run(&folder, "openssl", &[&authority[..], &["-keyout", "ca.key", "-out", "ca.crt"]].concat());
    let keytool = |arguments: &[&str]| {
        let store = ["-keystore", "s.jks", "-storetype", "JKS", "-storepass", PASSWORD];
        run(&folder, "keytool", &[arguments, &store].concat())
    };
    let pair = |alias, name| {
        keytool(&["-genkeypair", "-keyalg", "RSA", "-dname", name, "-alias", alias, "-keypass", PASSWORD])
    };
    keytool(&["-importcert", "-noprompt", "-alias", "aaa", "-file", "ca.crt"]);
    keytool(&["-importcert", "-noprompt", "-alias", "root", "-file", "x.crt"]);
    pair("tomcat", "CN=sepm");
    keytool(&["-certreq", "-alias", "tomcat", "-file", "s.csr"]);
    let sign =
        ["x509", "-req", "-in", "s.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", "0x7F00AB"];
    write(&folder, "v3", "basicConstraints = CA:FALSE\n");
    run(&folder, "openssl", &[&sign[..], &["-days", "800", "-extfile", "v3", "-out", "s.crt"]].concat());
    keytool(&["-importcert", "-noprompt", "-alias", "tomcat", "-file", "s.crt"]);

    let of_openssl =
        run(&folder, "openssl", &["x509", "-in", "s.crt", "-noout", "-fingerprint", "-sha256", "-serial"]);
    let password = ["--password-file", "p.txt"];
    let shown = well(&cert(&folder, &[&["show", "s.jks"], &password[..]].concat()));
    for part in [
        "Certificate of \"tomcat\":",
        "serial       7F00AB\n",
        "issuer       CN=Lab CA\n",
        "Key:      matches",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let own = sha256(&folder, &[&["s.jks"], &password[..]].concat());
    assert!(of_openssl.contains(&format!("={own}\nserial=7F00AB")), "{of_openssl}{own}");
    let checked = json(&cert(&folder, &[&["check", "s.jks", "--json"], &password[..]].concat()));
    assert_eq!(
        (checked["certificates"][0]["sha256"].as_str(), checked["alias"].as_str()),
        (Some(own.as_str()), Some("tomcat"))
    );
    let to = ["convert", "s.jks", "--to", "pem", "--out", "o.crt", "--key-out", "o.key"];
    well(&cert(&folder, &[&to[..], &password].concat()));
    assert_eq!(sha256(&folder, &["o.crt"]), own);
    let lab = RunningLab::up(&["--agents", "0", "--no-rest"]);
    let live = json(&import(&lab, &folder, "a", &[&["--keystore", "s.jks"], &password[..]].concat()));
    assert_eq!(live["stores"]["client"]["fingerprint"], own);

    // With a second key, all ask for an alias, and say which there are.
    pair("Ümlaut", "CN=other");
    let ask = "name one of them with `--alias`";
    let up = ["up", "--http-port", "0", "--keystore", "s.jks"];
    let up = output(program().args(up).args(password).current_dir(folder.path()));
    let convert = ["convert", "s.jks", "--to", "der", "--out", "d", "--key-out", "e"];
    let check = cert(&folder, &[&["check", "s.jks"], &password[..]].concat());
    assert_eq!(check.status.code(), Some(1));
    for out in [
        up,
        check,
        cert(&folder, &[&["show", "s.jks"], &password[..]].concat()),
        cert(&folder, &[&convert[..], &password].concat()),
        import(&lab, &folder, "b", &[&["--keystore", "s.jks"], &password[..]].concat()),
    ] {
        let said = said(&out).1;
        assert!(said.contains(ask) && said.contains("\"tomcat\"") && said.contains("\"ümlaut\""), "{said}");
    }
    let other = [&["s.jks", "--alias", "ÜMLAUT"], &password[..]].concat();
    let live =
        import(&lab, &folder, "c", &[&["--keystore", "s.jks", "--alias", "üMLAUT"], &password[..]].concat());
    assert_eq!(
        json(&live)["stores"]["client"]["fingerprint"].as_str(),
        Some(sha256(&folder, &other).as_str())
    );
}

#[needs(openssl)]
#[test]
fn a_key_is_said_to_fit_whatever_the_wizard_thinks_of_the_signature() {
    let folder = made();
    for (way, assumption) in [
        (&["-sigopt", "rsa_padding_mode:pss"][..], "wizard_takes_pss"),
        (&["-md5"], "wizard_takes_md5"),
        (&["-sha512-256"], "wizard_takes_sha512_256"),
        (&["-sha3-256"], "wizard_takes_sha3"),
    ] {
        let fixed = ["req", "-x509", "-key", "x.key", "-subj", "/CN=x", "-out", "odd.crt"];
        run(&folder, "openssl", &[&fixed[..], way].concat());
        let shown = well(&cert(&folder, &["show", "odd.crt", "--key", "x.key"]));
        assert!(shown.contains("Key:      matches\n"), "{shown}");
        assert!(
            shown.contains("Wizard:   Invalid certificate type") && shown.contains(assumption),
            "{shown}"
        );
        let alone = well(&cert(&folder, &["show", "odd.crt"]));
        assert!(alone.contains("Key:      not given\nWizard:   Invalid certificate type"), "{alone}");
        let listed = well(&output(program().arg("assumptions")));
        assert!(listed.contains(assumption), "{listed}");
    }
    let ec =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x"];
    run(&folder, "openssl", &[&ec[..], &["-keyout", "ec.key", "-out", "ec.crt"]].concat());
    for (key, words) in [("ec.key", "matches"), ("x.key", "does not match")] {
        let shown = well(&cert(&folder, &["show", "ec.crt", "--key", key]));
        assert!(shown.contains(&format!("Key:      {words}\n")), "{shown}");
    }
}
