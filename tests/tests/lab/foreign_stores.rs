//! What foreign programs put into keystores beside a key with its certificate: aliases in any script, secret keys, and
//! no password at all. The tools that wrote them, and read them again, are the judges.

use std::process::Command as Process;

use epm_fixtures::{needs, output};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{
    KeyStore, Password, Salts, ServerIdentity, StoreForm, StoreOptions, Validity, WizardRules, read_identity,
    read_identity_with,
};
use epm_tests::{START, identity_of};
use tempfile::TempDir;

const STORE: &str = "store-pass-1";
/// As an operator types it, and as Java writes it.
const ALIAS: &str = "ÄÖÜ-Schlüssel-😀";
const LOWER: &str = "äöü-schlüssel-😀";

fn run(folder: &TempDir, tool: &str, arguments: &[&str]) -> String {
    let out = output(Process::new(tool).args(arguments).current_dir(folder.path()).env("LC_ALL", "C.UTF-8"));
    let said = String::from_utf8_lossy(&[&out.stdout[..], &out.stderr].concat()).into_owned();
    assert!(out.status.success(), "{tool} {arguments:?}\n{said}");
    said
}

fn keytool(folder: &TempDir, file: &str, kind: &str, arguments: &[&str]) -> String {
    let store = ["-keystore", file, "-storetype", kind, "-storepass", STORE];
    run(folder, "keytool", &[arguments, &store].concat())
}

fn pair(folder: &TempDir, file: &str, kind: &str, alias: &str) {
    let fixed = ["-genkeypair", "-keyalg", "RSA", "-dname", "CN=sepm", "-keypass", STORE, "-alias", alias];
    keytool(folder, file, kind, &fixed);
}

fn opened(folder: &TempDir, file: &str, password: &str) -> KeyStore {
    let bytes = std::fs::read(folder.path().join(file)).unwrap();
    KeyStore::read(&bytes, file, None, &Password::new(password)).unwrap()
}

fn identity(store: &KeyStore, alias: Option<&str>) -> ServerIdentity {
    store.identity(alias, &Password::new(STORE), &WizardRules::default()).unwrap()
}

#[needs(keytool)]
#[test]
fn an_alias_in_any_script_is_read_as_java_reads_it_and_written_so_that_java_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["JKS", "JCEKS", "PKCS12"] {
        pair(&folder, kind, kind, ALIAS);
        let store = opened(&folder, kind, STORE);
        assert_eq!(store.entries()[0].alias, LOWER, "{kind}");
        let found = identity(&store, Some(ALIAS));
        assert_eq!(found, identity(&store, Some(LOWER)), "{kind}");
        assert!(store.has(ALIAS) && !store.has("äöü"), "{kind}");
    }
    for (form, kind) in [(StoreForm::Jks, "JKS"), (StoreForm::Pkcs12, "PKCS12")] {
        let validity = Validity { not_before: START, not_after: Timestamp::from_seconds(2_000_000_000) };
        let password = Password::new(STORE);
        let options =
            StoreOptions { form, alias: ALIAS, password: &password, key_password: None, created: START };
        let bytes = identity_of(2, validity).to_keystore(&options, &mut Salts::from_seed([7; 32])).unwrap();
        std::fs::write(folder.path().join("ours"), bytes).unwrap();
        // A request needs the key of this alias.
        keytool(&folder, "ours", kind, &["-certreq", "-alias", LOWER]);
        assert!(keytool(&folder, "ours", kind, &["-list"]).contains(&format!("{LOWER}, ")), "{kind}");
    }
}

#[needs(keytool)]
#[test]
fn the_pair_beside_secret_keys_and_certificates_is_the_one_that_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["JCEKS", "PKCS12"] {
        let secret = |alias, of| {
            let fixed = ["-genseckey", "-keyalg", of, "-keysize", if of == "AES" { "256" } else { "168" }];
            keytool(&folder, kind, kind, &[&fixed[..], &["-alias", alias, "-keypass", STORE]].concat());
        };
        secret("aaa", "AES");
        pair(&folder, kind, kind, "pair");
        secret("zzz", "DESede");
        keytool(&folder, kind, kind, &["-exportcert", "-alias", "pair", "-file", "pair.crt"]);
        keytool(&folder, kind, kind, &["-importcert", "-noprompt", "-alias", "000", "-file", "pair.crt"]);
        let store = opened(&folder, kind, STORE);
        let mut entries: Vec<(String, String)> =
            store.entries().into_iter().map(|entry| (entry.alias, entry.what)).collect();
        entries.sort();
        let expected = [
            ("000", "a certificate"),
            ("aaa", "a secret key"),
            ("pair", "a private key and its certificates"),
            ("zzz", "a secret key"),
        ];
        assert_eq!(entries, expected.map(|(alias, what)| (alias.to_owned(), what.to_owned())), "{kind}");
        let contents = store.contents(None, &Password::new(STORE)).unwrap();
        assert_eq!((contents.alias.as_str(), contents.key_fits), ("pair", Some(true)), "{kind}");
        let der = std::fs::read(folder.path().join("pair.crt")).unwrap();
        assert_eq!(identity(&store, None).certificate().der(), der, "{kind}");
        let refused = store.identity(Some("AAA"), &Password::new(STORE), &WizardRules::default());
        assert!(refused.unwrap_err().to_string().ends_with("\"aaa\" is a secret key, without a private key"));
    }
}

#[needs(certtool, openssl)]
#[test]
fn no_password_is_an_empty_one_however_keys_are_derived_from_it() {
    let folder = tempfile::tempdir().unwrap();
    run(
        &folder,
        "openssl",
        &["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", "k", "-out", "c"],
    );
    let read = |file: &str| std::fs::read(folder.path().join(file)).unwrap();
    let expected = read_identity(&read("c"), "c", &read("k"), "k").unwrap();
    let (empty, rules) = (Password::new(""), WizardRules::default());
    for none in ["--null-password", "--empty-password"] {
        for cipher in ["aes-256", "3des-pkcs12", "arcfour", "rc2-40"] {
            let fixed = ["--load-privkey", "k", "--outder", "--pkcs-cipher", cipher, none];
            let store = ["--to-p12", "--load-certificate", "c", "--p12-name", "gnu", "--outfile", "p12"];
            run(&folder, "certtool", &[&fixed[..], &store].concat());
            let found = opened(&folder, "p12", "").identity(None, &empty, &rules).unwrap();
            assert_eq!(found, expected, "{none}, {cipher}");
            let wrong = KeyStore::read(&read("p12"), "p12", None, &Password::new("x")).unwrap_err();
            assert!(wrong.to_string().contains("password is wrong"), "{none}, {cipher}: {wrong}");

            run(&folder, "certtool", &[&fixed[..], &["--to-p8", "--outfile", "p8"]].concat());
            let found = read_identity_with(&read("c"), "c", &read("p8"), "p8", Some(&empty), &rules);
            assert_eq!(found.unwrap(), expected, "{none}, {cipher}");
        }
    }
}
