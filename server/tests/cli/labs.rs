//! `epm-lab lab`: labs in data folders are listed, removed, handed on as a file, and go on from it.

use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use epm_protocol::heartbeat::http::sha256_hex;
use serde_json::{Value, json};
use zip::ZipArchive;

use crate::harness::{RunningLab, json as json_of, needs, output, program, refused, said, well};

fn lab(folder: &Path, arguments: &[&str]) -> std::process::Output {
    output(program().current_dir(folder).args(["lab"]).args(arguments))
}

fn up(folder: &Path, data: &str, more: &[&str]) -> RunningLab {
    let mut up = program();
    up.current_dir(folder).args(["up", "--http-port", "0", "--heartbeat", "1", "--data", data]).args(more);
    RunningLab::as_it_is(&mut up)
}

/// Which clients are orphaned, since when and by which layer; the values that were expected and found are left out.
fn orphaned(lab: &RunningLab) -> Vec<Value> {
    let verdict = lab.json(&["check"], 3);
    let one = |one: &Value| json!([one["client"], one["since"], one["layer"]]);
    verdict["orphaned"].as_array().unwrap().iter().map(one).collect()
}

/// Everything in an archive, one after the other.
fn unpacked(file: &Path) -> Vec<(String, Vec<u8>)> {
    let mut zip = ZipArchive::new(std::fs::File::open(file).unwrap()).unwrap();
    let names: Vec<String> =
        (0..zip.len()).map(|n| zip.by_index(n).unwrap().name().unwrap().into_owned()).collect();
    let content = |name: &String| {
        let mut bytes = Vec::new();
        zip.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        let (top, name) = name.split_once('/').unwrap();
        assert!(top.starts_with("lab-My_Site-20"), "{top}");
        (name.to_owned(), bytes)
    };
    names.iter().map(content).collect()
}

fn has(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[needs(openssl)]
#[test]
fn a_lab_that_is_handed_on_shows_the_same_failure_elsewhere_without_the_foreign_key() {
    let here = tempfile::tempdir().unwrap();
    let (folder, elsewhere) = (here.path(), tempfile::tempdir().unwrap());
    let openssl = |arguments: &[&str]| output(Command::new("openssl").current_dir(folder).args(arguments));
    // The foreign certificate is signed by an authority of its own.
    let authority = [
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
        "-subj",
        "/CN=Foreign CA",
    ];
    well(&openssl(&[&["req"][..], &authority].concat()));
    let request = [
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "own.key",
        "-out",
        "own.csr",
        "-subj",
        "/CN=sepm.foreign/O=Elsewhere",
    ];
    well(&openssl(&[&["req"][..], &request].concat()));
    let sign = [
        "x509",
        "-req",
        "-in",
        "own.csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "3650",
        "-sha384",
        "-extfile",
        "own.ext",
    ];
    std::fs::write(folder.join("own.ext"), "subjectAltName = IP:127.0.0.1").unwrap();
    let certificate = well(&openssl(&sign));
    std::fs::write(
        folder.join("own.crt"),
        certificate + &std::fs::read_to_string(folder.join("ca.crt")).unwrap(),
    )
    .unwrap();
    well(&openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", "own.key", "-outform", "DER", "-out", "own.der"]));

    let running = up(folder, "data", &["--agents", "4", "--certificate", "own.crt", "--key", "own.der"]);
    running.run(&["snapshot", "take", "before"]);
    // All that are on are orphaned by the second certificate, which the lab makes.
    well(&running.run(&["manager", "update", "sepm-1"]));
    well(&running.run(&["clock", "advance", "3s"]));
    let before = orphaned(&running);
    assert!(!before.is_empty());
    let listed = json_of(&lab(folder, &["ls", "--json"]));
    assert_eq!(
        (&listed[0]["running"], &listed[0]["managers"]),
        (&json!(true), &json!(["sepm-1"])),
        "{listed}"
    );
    refused(&lab(folder, &["rm", "data"]), &["is in use by another lab, process"]);
    // What the clients were sent has the foreign certificate, and the journal has what they were sent.
    let pem = std::fs::read_to_string(folder.join("own.crt")).unwrap();
    let line = pem.lines().nth(8).unwrap().to_owned();
    let journal = |lab: &RunningLab| well(&lab.run(&["journal", "export", "--har", "--partial"]));
    assert!(journal(&running).contains(&line));
    assert_eq!(running.interrupt(), Some(0));

    let facts = json_of(&lab(folder, &["export", "data", "lab.zip", "--json"]));
    let replaced = facts["replaced"].as_array().unwrap();
    let names: Vec<&str> = replaced.iter().map(|one| one["certificate"].as_str().unwrap()).collect();
    assert_eq!(names, ["sepm.foreign", "Foreign CA"], "{facts}");
    assert!(replaced.iter().all(|one| one["is_signed"] == true), "{facts}");
    // Neither the key, nor one of its primes, nor the certificate is anywhere in the file.
    let key = std::fs::read(folder.join("own.der")).unwrap();
    let text = well(&openssl(&["rsa", "-in", "own.key", "-noout", "-text"]));
    let prime: String = text
        .split("prime1:")
        .nth(1)
        .unwrap()
        .split("prime2")
        .next()
        .unwrap()
        .split([':', ' ', '\n'])
        .collect();
    let prime = data_encoding::HEXLOWER.decode(prime.trim_start_matches("00").as_bytes()).unwrap();
    let files = unpacked(&folder.join("lab.zip"));
    for (name, bytes) in &files {
        assert!(!has(bytes, &key) && !has(bytes, &prime), "{name} has the foreign key");
        for one in replaced {
            let original = one["original"].as_str().unwrap();
            let is_told = ["lab.json", "README.txt"].contains(&name.as_str());
            assert!(is_told || !has(bytes, original.as_bytes()), "{name} names {original}");
        }
    }
    assert!(std::fs::read(folder.join("data/lab.db")).map(|bytes| has(&bytes, &prime)).unwrap());
    let chain = ["sepm-1-client.pem", "README.txt", "commands.csv", "clients.csv", "lab.db"];
    assert!(chain.iter().all(|end| files.iter().any(|(name, _)| name.ends_with(end))), "{files:?}");

    std::fs::rename(folder.join("lab.zip"), elsewhere.path().join("lab.zip")).unwrap();
    well(&lab(elsewhere.path(), &["import", "lab.zip", "copy"]));
    let running = up(elsewhere.path(), "copy", &[]);
    assert_eq!(orphaned(&running), before);
    assert!(!journal(&running).contains(&line));
    well(&running.run(&["clock", "advance", "3s"]));
    assert_eq!(orphaned(&running), before);
    // The clients of the snapshot hold the certificate that stands in for the foreign one, and are served.
    well(&running.run(&["snapshot", "restore", "before"]));
    well(&running.run(&["clock", "advance", "3s"]));
    let verdict = running.json(&["check"], 0);
    assert_eq!(verdict["orphaned"], json!([]), "{verdict}");
    let served = running.json(&["manager", "certificate", "sepm-1"], 0).to_string();
    assert!(served.contains(replaced[0]["stand_in"].as_str().unwrap()), "{served}");
    assert_eq!(running.interrupt(), Some(0));

    let listed = well(&lab(elsewhere.path(), &["ls"]));
    assert!(listed.contains("copy") && listed.contains("stopped") && listed.contains(" kB"), "{listed}");
    well(&lab(elsewhere.path(), &["rm", "copy"]));
    assert!(!elsewhere.path().join("copy").exists());
}

#[needs(curl)]
#[test]
fn the_secret_of_another_site_does_not_travel_and_the_clients_have_the_one_in_its_place() {
    let here = tempfile::tempdir().unwrap();
    let folder = here.path();
    let other = up(folder, "other", &["--agents", "0"]);
    let (secret, recovery) = (other.secret(), folder.join("recovery.zip"));
    well(&other.run(&["recovery", "save", "--out", recovery.to_str().unwrap()]));
    assert_eq!(other.interrupt(), Some(0));
    let running = up(folder, "data", &["--agents", "2", "--recovery", recovery.to_str().unwrap()]);
    assert_eq!(running.secret(), secret);
    assert_eq!(running.interrupt(), Some(0));
    let database = std::fs::read(folder.join("data/lab.db")).unwrap();
    assert!(has(&database, secret.as_bytes()));
    let facts = json_of(&lab(folder, &["export", "data", "lab.zip", "--json"]));
    assert_eq!(facts["replaced_secrets"], 1, "{facts}");
    for (name, bytes) in unpacked(&folder.join("lab.zip")) {
        let low = secret.to_lowercase();
        assert!(!has(&bytes, secret.as_bytes()) && !has(&bytes, low.as_bytes()), "{name} has the secret");
    }
    well(&lab(folder, &["import", "lab.zip", "copy"]));
    let running = up(folder, "copy", &[]);
    assert_ne!(running.secret(), secret);
    well(&running.run(&["clock", "heartbeats", "2"]));
    assert_eq!(running.json(&["check"], 0)["orphaned"], json!([]));
    assert_eq!(running.interrupt(), Some(0));
}

#[needs(python3)]
#[test]
fn what_is_no_exported_lab_is_refused_and_nothing_is_left() {
    let here = tempfile::tempdir().unwrap();
    let folder = here.path();
    let running = up(folder, "data", &["--agents", "0"]);
    assert_eq!(running.interrupt(), Some(0));
    well(&lab(folder, &["export", "data", "lab.zip"]));
    refused(
        &lab(folder, &["export", "data", "lab.zip"]),
        &["lab.zip already exists; `--force` overwrites it"],
    );
    refused(&lab(folder, &["export", "nowhere", "x.zip"]), &["nowhere is no data folder of a lab"]);
    refused(&lab(folder, &["import", "lab.zip", "data"]), &["data is there and not empty"]);
    let foreign = folder.join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("lab.db"), "of another program").unwrap();
    refused(&lab(folder, &["rm", "foreign"]), &["lab.db", "is damaged"]);
    well(&lab(folder, &["ls", "foreign"]));
    let names: Vec<_> =
        std::fs::read_dir(&foreign).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["lab.db"], "neither removed, nor more than it was");
    std::fs::remove_dir_all(&foreign).unwrap();
    refused(&lab(folder, &["import", "none.zip", "copy"]), &["none.zip: No such file"]);
    let whole = std::fs::read(folder.join("lab.zip")).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0x5A);
    for (name, bytes, why) in [
        ("half.zip", &whole[..whole.len() / 2], "not an archive of a lab"),
        ("text.zip", b"not at all", "not an archive of a lab"),
        ("damaged.zip", &damaged, "cannot be unpacked"),
    ] {
        std::fs::write(folder.join(name), bytes).unwrap();
        refused(&lab(folder, &["import", name, "copy"]), &[name, why]);
    }
    // A whole archive of a lab whose database is cut off, or has a byte that is no text: nothing is said of where it was unpacked.
    let again = "import sys, zipfile as z; of = z.ZipFile('lab.zip'); db = of.read(next(n for n in of.namelist() if n.endswith('/lab.db')))\n\
for name, new in [('cut.zip', db[:len(db) // 2]), ('flipped.zip', db.replace(b'sepm-1', b'sepm\\xff1')), ('foreign.zip', b'none')]:\n\
\x20 with z.ZipFile(name, 'w') as to: [to.writestr(n, new if n.endswith('/lab.db') else of.read(n)) for n in of.namelist()]";
    well(&output(Command::new("python3").args(["-c", again]).current_dir(folder)));
    for name in ["cut.zip", "flipped.zip", "foreign.zip"] {
        let (code, words) = said(&lab(folder, &["import", name, "copy"]));
        assert_eq!(code, Some(2), "{name}: {words}");
        assert!(words.contains(&format!("{name}: its lab.db is damaged")), "{words}");
        assert!(words.contains("get the file again, or export the lab anew"), "{words}");
        assert!(!words.contains(".new") && !words.contains("--data"), "{words}");
    }
    let inflate = "import zipfile as z; of, to = z.ZipFile('lab.zip'), z.ZipFile('large.zip', 'w', z.ZIP_DEFLATED); \
        [to.writestr(n, bytes(80 << 20) if n.endswith('/lab.db') else of.read(n)) for n in of.namelist()]; to.close()";
    well(&output(Command::new("python3").args(["-c", inflate]).current_dir(folder)));
    refused(
        &lab(folder, &["import", "large.zip", "copy"]),
        &["large.zip", "its database has 83886080 bytes"],
    );
    let left: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.ends_with(".zip"))
        .collect();
    assert_eq!(left, ["data"], "the digest of lab.zip is {}", sha256_hex(&whole));
}
