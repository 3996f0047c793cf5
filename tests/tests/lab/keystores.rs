//! Keystores and foreign tools: keytool and openssl read what the lab writes, and the lab reads what they write.

use std::process::{Command as Process, Output};

use epm_fixtures::{needs, output, python_packages};
use epm_protocol::site::{Command, Material, NewCertificate, Stores};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{
    CertificateRequest, KeyPool, KeyStore, KeystoreError, Password, Refusal, Salts, ServerIdentity,
    StoreForm, StoreOptions, StoreType, Validity, WizardRules, issue_by_authority, read_identity,
    read_identity_with, read_private_key_with,
};
use epm_tests::{MANAGER, START, TestSite, identity_of};
use tempfile::TempDir;

const STORE: &str = "store-pass-1";
const KEY: &str = "key-pass-22";

fn identity() -> ServerIdentity {
    identity_of(2, Validity { not_before: START, not_after: Timestamp::from_seconds(2_000_000_000) })
}

fn stored(form: StoreForm, key_password: Option<&str>) -> Vec<u8> {
    let (password, own) = (Password::new(STORE), key_password.map(Password::new));
    let options = StoreOptions {
        form,
        alias: "tomcat",
        password: &password,
        key_password: own.as_ref(),
        created: START,
    };
    identity().to_keystore(&options, &mut Salts::from_seed([7; 32])).unwrap()
}

fn open(bytes: &[u8], alias: Option<&str>, store: &str, key: &str) -> Result<ServerIdentity, KeystoreError> {
    KeyStore::read(bytes, "a.store", None, &Password::new(store))?.identity(
        alias,
        &Password::new(key),
        &WizardRules::default(),
    )
}

fn run(folder: &TempDir, tool: &str, arguments: &[&str]) -> Output {
    let out = output(Process::new(tool).args(arguments).current_dir(folder.path()));
    assert!(out.status.success(), "{tool} {arguments:?}\n{}{}", text(&out.stdout), text(&out.stderr));
    out
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read(folder: &TempDir, file: &str) -> Vec<u8> {
    std::fs::read(folder.path().join(file)).unwrap()
}

fn write(folder: &TempDir, file: &str, bytes: &[u8]) {
    std::fs::write(folder.path().join(file), bytes).unwrap();
}

/// A folder with a JKS written by the lab.
fn with_jks() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "ours.jks", &stored(StoreForm::Jks, None));
    folder
}

#[needs(keytool)]
#[test]
fn keytool_reads_what_we_write() {
    let folder = tempfile::tempdir().unwrap();
    let sha256 = identity().certificate().fingerprint().to_string();
    for form in [StoreForm::Jks, StoreForm::Pkcs12, StoreForm::Pkcs12Old] {
        write(&folder, "ours", &stored(form, None));
        let list = run(&folder, "keytool", &["-list", "-v", "-keystore", "ours", "-storepass", STORE]);
        let list = text(&list.stdout);
        assert!(list.contains(&sha256) && list.contains("PrivateKeyEntry"), "{form}: {list}");
        assert!(list.contains("Alias name: tomcat"), "{form}: {list}");
        // Only with the decrypted key can a request be made.
        run(&folder, "keytool", &["-certreq", "-alias", "tomcat", "-keystore", "ours", "-storepass", STORE]);
    }
    write(&folder, "ours", &stored(StoreForm::Jks, Some(KEY)));
    let request = ["-certreq", "-alias", "tomcat", "-keystore", "ours", "-storepass", STORE, "-keypass", KEY];
    run(&folder, "keytool", &request);
}

#[needs(keytool)]
#[test]
fn we_read_every_type_and_every_algorithm_of_the_installed_jdk() {
    let folder = with_jks();
    let import = |file: &str, kind: &str, settings: &[String]| {
        let mut arguments: Vec<&str> = settings.iter().map(String::as_str).collect();
        arguments.extend(["-importkeystore", "-srckeystore", "ours.jks", "-srcstorepass", STORE]);
        arguments.extend([
            "-destkeystore",
            file,
            "-deststoretype",
            kind,
            "-deststorepass",
            STORE,
            "-noprompt",
        ]);
        run(&folder, "keytool", &arguments);
        read(&folder, file)
    };
    let expected = identity();
    for (kind, found) in [("JKS", StoreType::Jks), ("JCEKS", StoreType::Jceks), ("PKCS12", StoreType::Pkcs12)]
    {
        let bytes = import(kind, kind, &[]);
        assert_eq!(StoreType::of(&bytes), Some(found));
        assert_eq!(open(&bytes, None, STORE, STORE).unwrap(), expected, "{kind}");
    }
    let mut ways = Vec::new();
    for cipher in ["DESede", "RC2_40", "RC2_128", "RC4_40", "RC4_128"] {
        ways.push((format!("PBEWithSHA1And{cipher}"), "HmacPBESHA1".to_owned()));
    }
    for (hash, mac) in [("1", "1"), ("224", "224"), ("256", "384"), ("384", "512"), ("512", "512/256")] {
        let aes = if hash == "224" { 128 } else { 256 };
        ways.push((format!("PBEWithHmacSHA{hash}AndAES_{aes}"), format!("HmacPBESHA{mac}")));
    }
    ways.push(("PBEWithHmacSHA256AndAES_128".to_owned(), "HmacPBESHA512/224".to_owned()));
    std::thread::scope(|scope| {
        for half in ways.chunks(ways.len().div_ceil(2)) {
            let (import, expected) = (&import, &expected);
            scope.spawn(move || {
                for (cipher, mac) in half {
                    let set = |name: &str, value: &str| format!("-J-Dkeystore.pkcs12.{name}={value}");
                    let settings = [
                        set("keyProtectionAlgorithm", cipher),
                        set("certProtectionAlgorithm", cipher),
                        set("macAlgorithm", mac),
                    ];
                    let bytes = import(&format!("{cipher}.p12"), "PKCS12", &settings);
                    assert_eq!(&open(&bytes, None, STORE, STORE).unwrap(), expected, "{cipher}, {mac}");
                    let wrong = open(&bytes, None, "wrong", "wrong").unwrap_err();
                    assert_eq!(wrong.refusal(), Refusal::KeystoreFile);
                    assert!(wrong.to_string().contains("password is wrong"), "{wrong}");
                }
            });
        }
    });
}

#[needs(keytool)]
#[test]
fn keys_with_passwords_of_their_own_and_several_entries_are_told_apart() {
    let folder = with_jks();
    for (alias, file) in [("One", "two"), ("TWO", "two")] {
        let arguments = [
            "-importkeystore",
            "-srckeystore",
            "ours.jks",
            "-srcstorepass",
            STORE,
            "-srcalias",
            "tomcat",
            "-destkeystore",
            file,
            "-deststoretype",
            "JCEKS",
            "-deststorepass",
            STORE,
            "-destalias",
            alias,
            "-destkeypass",
            KEY,
            "-noprompt",
        ];
        run(&folder, "keytool", &arguments);
    }
    let two = read(&folder, "two");
    assert_eq!(open(&two, Some("one"), STORE, KEY).unwrap(), identity());
    let said = |result: Result<ServerIdentity, KeystoreError>| {
        let error = result.unwrap_err();
        assert_eq!(error.refusal(), Refusal::KeystoreFile);
        let text = format!("{error} {error:?}");
        assert!(!text.contains(KEY) && !text.contains(STORE), "{text}");
        error.to_string()
    };
    assert!(said(open(&two, None, STORE, KEY)).contains("several keys"));
    let of_another_java = WizardRules { jceks: false, ..WizardRules::default() };
    let store = KeyStore::read(&two, "two", None, &Password::new(STORE)).unwrap();
    let refused = store.identity(Some("one"), &Password::new(KEY), &of_another_java);
    assert!(said(refused).contains("read only by the Java that wrote it"));
    assert!(said(open(&two, Some("one"), STORE, STORE)).contains("cannot be decrypted"));
    let near = said(open(&two, Some("tvo"), STORE, KEY));
    assert!(near.contains("no entry \"tvo\""), "{near}");

    run(
        &folder,
        "keytool",
        &["-exportcert", "-keystore", "ours.jks", "-storepass", STORE, "-alias", "tomcat", "-file", "c.crt"],
    );
    for kind in ["JKS", "PKCS12"] {
        let arguments = ["-importcert", "-noprompt", "-file", "c.crt", "-alias", "other", "-keystore", kind];
        run(&folder, "keytool", &[&arguments[..], &["-storetype", kind, "-storepass", STORE]].concat());
        let only = read(&folder, kind);
        assert!(said(open(&only, Some("other"), STORE, STORE)).contains("without a private key"), "{kind}");
        assert!(said(open(&only, None, STORE, STORE)).contains("no entry with a private key"), "{kind}");
    }
}

#[needs(openssl)]
#[test]
fn openssl_and_we_read_each_other_old_and_new() {
    let folder = tempfile::tempdir().unwrap();
    let identity = identity();
    let pass = format!("pass:{STORE}");
    for (form, legacy) in [(StoreForm::Pkcs12, None), (StoreForm::Pkcs12Old, Some("-legacy"))] {
        write(&folder, "ours.p12", &stored(form, None));
        let mut arguments = vec!["pkcs12", "-in", "ours.p12", "-passin", &pass, "-nodes", "-out", "ours.pem"];
        arguments.extend(legacy);
        run(&folder, "openssl", &arguments);
        let pem = read(&folder, "ours.pem");
        assert_eq!(read_identity(&pem, "ours.pem", &pem, "ours.pem").unwrap(), identity, "{form}");
    }
    let ways: [&[&str]; 6] = [
        &[],
        &["-legacy"],
        &["-legacy", "-keypbe", "PBE-SHA1-2DES", "-certpbe", "PBE-SHA1-RC2-128"],
        &["-keypbe", "AES-128-CBC", "-certpbe", "AES-192-CBC", "-macalg", "sha512"],
        &["-nomac"],
        &["-keypbe", "NONE", "-certpbe", "NONE"],
    ];
    for flags in ways {
        let fixed =
            ["pkcs12", "-export", "-in", "ours.pem", "-name", "mine", "-passout", &pass, "-out", "their.p12"];
        run(&folder, "openssl", &[&fixed[..], flags].concat());
        let bytes = read(&folder, "their.p12");
        assert_eq!(open(&bytes, Some("mine"), STORE, STORE).unwrap(), identity, "{flags:?}");
        let wrong = open(&bytes, None, "wrong", "wrong").unwrap_err();
        assert_eq!(wrong.refusal(), Refusal::KeystoreFile, "{flags:?}: {wrong}");
    }
}

#[needs(openssl)]
#[test]
fn keys_under_a_password_are_read_in_every_way_that_openssl_writes_and_written_so_that_it_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let identity = identity();
    let mut salts = Salts::from_seed([9; 32]);
    write(&folder, "plain.key", identity.key_pem(None, &mut salts).unwrap().as_bytes());
    let pass = format!("pass:{KEY}");
    let ways: [&[&str]; 9] = [
        &["pkcs8", "-topk8", "-in", "plain.key"],
        &["pkcs8", "-topk8", "-in", "plain.key", "-v2", "des3"],
        &["pkcs8", "-topk8", "-in", "plain.key", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"],
        &["pkcs8", "-topk8", "-in", "plain.key", "-scrypt"],
        &["pkcs8", "-topk8", "-in", "plain.key", "-v1", "PBE-SHA1-3DES"],
        &[
            "pkcs8",
            "-topk8",
            "-in",
            "plain.key",
            "-v1",
            "PBE-MD5-DES",
            "-provider",
            "legacy",
            "-provider",
            "default",
        ],
        &["rsa", "-traditional", "-in", "plain.key", "-aes256"],
        &["rsa", "-traditional", "-in", "plain.key", "-des3"],
        &["pkcs8", "-topk8", "-in", "plain.key", "-outform", "DER"],
    ];
    let (right, wrong) = (Password::new(KEY), Password::new("wrong"));
    for way in ways {
        run(&folder, "openssl", &[way, &["-passout", &pass, "-out", "their.key"]].concat());
        let bytes = read(&folder, "their.key");
        assert_eq!(&read_private_key_with(&bytes, "k", Some(&right)).unwrap(), identity.key(), "{way:?}");
        for password in [None, Some(&wrong)] {
            let error = read_private_key_with(&bytes, "k", password).unwrap_err();
            assert_eq!(error.refusal(), Refusal::PrivateKeyFile, "{way:?}: {error}");
            assert!(!format!("{error} {error:?}").contains(KEY));
        }
    }
    write(&folder, "ours.key", identity.key_pem(Some(&right), &mut salts).unwrap().as_bytes());
    run(&folder, "openssl", &["pkey", "-in", "ours.key", "-passin", &pass, "-check", "-noout"]);
    write(&folder, "pkcs1.key", identity.key_pkcs1_pem().unwrap().as_bytes());
    run(&folder, "openssl", &["rsa", "-in", "pkcs1.key", "-check", "-noout"]);
    let crt = identity.certificates_pem();
    let ours = read(&folder, "ours.key");
    let rules = WizardRules::default();
    let again = read_identity_with(crt.as_bytes(), "c", &ours, "k", Some(&right), &rules).unwrap();
    assert_eq!(again, identity);
}

#[needs(openssl)]
#[test]
fn what_no_manager_takes_is_refused_in_the_words_of_the_product() {
    let folder = tempfile::tempdir().unwrap();
    let pass = format!("pass:{STORE}");
    let ways: [&[&str]; 2] = [
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss"],
    ];
    for way in ways {
        let fixed = ["req", "-x509", "-nodes", "-subj", "/CN=x", "-keyout", "x.key", "-out", "x.crt"];
        run(&folder, "openssl", &[&fixed[..], way].concat());
        run(
            &folder,
            "openssl",
            &["pkcs12", "-export", "-in", "x.crt", "-inkey", "x.key", "-passout", &pass, "-out", "x.p12"],
        );
        let refused = open(&read(&folder, "x.p12"), None, STORE, STORE).unwrap_err();
        assert_eq!(refused.refusal(), Refusal::Certificate, "{refused}");
        let (crt, key) = (read(&folder, "x.crt"), read(&folder, "x.key"));
        let refused = read_identity(&crt, "x.crt", &key, "x.key").unwrap_err();
        assert_eq!(refused.refusal(), Refusal::Certificate, "{refused}");
    }
}

#[needs(openssl)]
#[test]
fn sha1_is_taken_or_not_as_assumed_and_a_short_key_never() {
    let folder = tempfile::tempdir().unwrap();
    let make = |flags: &[&str]| {
        let fixed = ["req", "-x509", "-nodes", "-subj", "/CN=x", "-keyout", "x.key", "-out", "x.crt"];
        run(&folder, "openssl", &[&fixed[..], flags].concat());
        (read(&folder, "x.crt"), read(&folder, "x.key"))
    };
    let (crt, key) = make(&["-newkey", "rsa:2048", "-sha1"]);
    read_identity(&crt, "x.crt", &key, "x.key").unwrap();
    let strict = WizardRules { sha1: false, ..WizardRules::default() };
    let refused = read_identity_with(&crt, "x.crt", &key, "x.key", None, &strict).unwrap_err();
    assert_eq!(refused.refusal(), Refusal::Certificate);
    assert!(refused.to_string().contains("sha1WithRSAEncryption"), "{refused}");
    let (crt, key) = make(&["-newkey", "rsa:1024"]);
    for shortest_key_bits in [2048, 512] {
        let rules = WizardRules { shortest_key_bits, ..WizardRules::default() };
        let refused = read_identity_with(&crt, "x.crt", &key, "x.key", None, &rules).unwrap_err();
        assert!(refused.to_string().contains("1024"), "{refused}");
    }
}

#[test]
fn cut_changed_and_huge_files_are_refused_in_time_and_never_panic() {
    let huge = vec![0xFE; 50 * 1024 * 1024];
    let error = KeyStore::read(&huge, "big.jks", None, &Password::new("")).unwrap_err();
    assert!(matches!(error, KeystoreError::TooLarge { .. }), "{error}");
    assert_eq!(error.refusal(), Refusal::KeystoreFile);
    for form in [StoreForm::Jks, StoreForm::Pkcs12Old] {
        let whole = stored(form, None);
        assert_eq!(open(&whole, None, STORE, STORE).unwrap(), identity());
        for end in 0..whole.len() {
            let refused = open(&whole[..end], None, STORE, STORE).unwrap_err();
            assert_eq!(refused.refusal(), Refusal::KeystoreFile, "{form}, {end} bytes: {refused}");
        }
        for place in (0..whole.len()).step_by(7) {
            let mut changed = whole.clone();
            changed[place] ^= 1 << (place % 8);
            // A bit without meaning, such as a flag of the encoding, may be read as before; never as another key.
            if let Ok(read) = open(&changed, None, STORE, STORE) {
                assert_eq!(read.key(), identity().key(), "{form}, byte {place}");
            }
        }
    }
}

/// A client that trusts only the authority's certificate needs the intermediate ones, so a manager sends them.
#[needs(openssl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_manager_shows_the_chain_that_came_with_its_keystore() {
    let lab = TestSite::start().await;
    let (pool, own) = (KeyPool::public(), identity());
    let request = CertificateRequest {
        common_name: "127.0.0.1".to_owned(),
        names: vec!["127.0.0.1".to_owned()],
        validity: own.certificate().validity(),
        serial: 5,
    };
    let [leaf, root] = issue_by_authority(pool.get(2), &request, pool.get(3), "TestSite CA").unwrap();
    let chained =
        ServerIdentity::new(pool.get(2).clone(), leaf.clone()).unwrap().with_chain(vec![root.clone()]);
    let password = Password::new(STORE);
    let (form, alias) = (StoreForm::Pkcs12, "a");
    let options = StoreOptions { form, alias, password: &password, key_password: None, created: START };
    let store = chained.to_keystore(&options, &mut Salts::from_seed([5; 32])).unwrap();
    let file = |name: &str, content: Vec<u8>| Material { file: name.to_owned(), content: content.into() };
    let certificate = NewCertificate::Keystore {
        file: file("a.p12", store),
        store_type: Some(StoreType::Pkcs12),
        alias: None,
        password: Some(file("p.txt", STORE.into())),
        key_password: None,
    };
    lab.apply(&Command::UpdateCertificate { manager: MANAGER.to_owned(), certificate, stores: Stores::Both });
    assert_eq!(lab.identity(), chained);
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "ca.crt", root.to_pem().as_bytes());
    let place = lab.socket().to_string();
    let arguments =
        ["s_client", "-connect", &place, "-showcerts", "-CAfile", "ca.crt", "-attime", "1767700000"];
    let shown = output(Process::new("openssl").args(arguments).current_dir(folder.path()));
    let shown = text(&shown.stdout);
    assert!(shown.contains(leaf.to_pem().trim()) && shown.contains(root.to_pem().trim()), "{shown}");
    assert!(shown.contains("Verify return code: 0 (ok)"), "{shown}");
}

#[test]
fn every_form_is_read_again_and_only_with_its_password() {
    for form in StoreForm::ALL {
        let bytes = stored(form, None);
        assert_eq!(open(&bytes, Some("TOMCAT"), STORE, STORE).unwrap(), identity(), "{form}");
        let wrong = open(&bytes, None, KEY, KEY).unwrap_err();
        assert!(
            wrong.to_string().starts_with("Invalid keystore file: a.store: the password is wrong"),
            "{wrong}"
        );
        let store = KeyStore::read(&bytes, "a.store", None, &Password::new(STORE)).unwrap();
        let shown = format!("{store:?} {:?} {:?}", store.entries(), identity());
        assert!(!shown.contains(STORE), "{shown}");
    }
}

/// Python's cryptography has an OpenSSL of its own, newer than the machine's: it verifies PBMAC1, too.
#[needs(python_packages)]
#[test]
fn python_reads_what_we_write_and_we_read_what_it_writes() {
    let python = python_packages().join("python3");
    let python = python.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for form in [StoreForm::Pkcs12, StoreForm::Pkcs12Pbmac1, StoreForm::Pkcs12Old] {
        write(&folder, "ours.p12", &stored(form, None));
        let script = "import sys\n\
            from cryptography.hazmat.primitives.serialization import pkcs12 as p, BestAvailableEncryption as E\n\
            k, c, more = p.load_key_and_certificates(open('ours.p12', 'rb').read(), sys.argv[1].encode())\n\
            open('their.p12', 'wb').write(p.serialize_key_and_certificates(b'py', k, c, more, E(b'py-pass')))\n";
        run(&folder, python, &["-c", script, STORE]);
        let theirs = open(&read(&folder, "their.p12"), Some("py"), "py-pass", "py-pass").unwrap();
        assert_eq!(theirs, identity(), "{form}");
    }
}
