//! The wizard of a manager by hand: keystores and encrypted keys, refusals and their words, and assumptions.

use super::*;
use crate::trust::{
    CertificateRequest, KeyPool, Password, Refusal, Salts, ServerIdentity, StoreForm, StoreOptions, Validity,
    issue,
};

const STORE: &str = "the-store-1";
const KEY: &str = "the-key-22";

fn identity() -> ServerIdentity {
    let key = KeyPool::of_site(5).get(0);
    let request = CertificateRequest {
        common_name: "A".into(),
        names: vec!["a.example".into()],
        validity: Validity { not_before: START, not_after: Timestamp::from_seconds(2_000_000_000) },
        serial: 7,
    };
    let certificate = issue(&key, &request).unwrap();
    ServerIdentity::new(key, certificate).unwrap()
}

fn held(name: &str, content: Vec<u8>) -> Material {
    Material { file: name.into(), content: content.into() }
}

fn jks(store: &str, key: &str) -> Vec<u8> {
    let (password, own) = (Password::new(store), Password::new(key));
    let options = StoreOptions {
        form: StoreForm::Jks,
        alias: "tomcat",
        password: &password,
        key_password: Some(&own),
        created: START,
    };
    identity().to_keystore(&options, &mut Salts::from_seed([3; 32])).unwrap()
}

fn update(certificate: NewCertificate) -> Command {
    Command::UpdateCertificate { manager: "A".into(), certificate, stores: Stores::Both }
}

fn keystore(file: Vec<u8>, alias: Option<&str>, store: &str, key: Option<&str>) -> Command {
    update(NewCertificate::Keystore {
        file: held("keystore.jks", file),
        store_type: None,
        alias: alias.map(str::to_owned),
        password: Some(held("p.txt", format!("{store}\n").into_bytes())),
        key_password: key.map(|key| held("k.txt", format!("{key}\r\n").into_bytes())),
    })
}

fn refused(site: &mut Site, command: &Command) -> (Refusal, String) {
    let before = everything(site);
    let error = site.apply(command, LATER).unwrap_err();
    assert_eq!(everything(site), before, "a refusal changes nothing");
    let shown = format!("{error} {error:?} {command:?}");
    assert!(!shown.contains(STORE) && !shown.contains(KEY), "{shown}");
    match error {
        CommandError::Keystore(error) => (error.refusal(), error.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_keystore_becomes_the_certificate_of_both_stores() {
    let mut site = furnished();
    let effects = site.apply(&keystore(jks(STORE, KEY), Some("Tomcat"), STORE, Some(KEY)), LATER).unwrap();
    let fingerprint = identity().certificate().fingerprint();
    assert!(effects.contains(&Effect::CertificateServed { manager: "A".into(), fingerprint }));
    let manager = site.managers().find(|one| one.name == "A").unwrap();
    assert_eq!((&manager.console, &manager.client), (&identity(), &identity()));
}

#[test]
fn what_is_wrong_with_a_keystore_is_said_in_the_products_words_and_changes_nothing() {
    let mut site = furnished();
    let whole = jks(STORE, KEY);
    let cut = whole[..whole.len() - 9].to_vec();
    let mut changed = whole.clone();
    changed[300] ^= 1;
    for (command, words) in [
        (keystore(whole.clone(), None, "no", Some(KEY)), "the password is wrong"),
        (keystore(whole.clone(), None, STORE, None), "cannot be decrypted with this password"),
        (keystore(whole.clone(), Some("tomcta"), STORE, Some(KEY)), "did you mean \"tomcat\"?"),
        (keystore(cut, None, STORE, Some(KEY)), "ends within a certificate"),
        (keystore(changed, None, STORE, Some(KEY)), "or the file was changed"),
        (keystore(whole[..200].to_vec(), None, STORE, Some(KEY)), "ends within a key"),
        (keystore(b"hello".to_vec(), None, STORE, None), "found text of another kind"),
        (
            keystore(identity().certificate().to_pem().into(), None, STORE, None),
            "found a certificate; give it as",
        ),
        (keystore(Vec::new(), None, STORE, None), "is empty"),
        (keystore(vec![0; 50 * 1024 * 1024], None, STORE, None), "52428800 bytes"),
    ] {
        let (refusal, said) = refused(&mut site, &command);
        assert_eq!(refusal, Refusal::KeystoreFile, "{said}");
        assert!(said.contains(words), "{words}: {said}");
    }
    let mut typed = keystore(whole, None, STORE, Some(KEY));
    if let Command::UpdateCertificate { certificate: NewCertificate::Keystore { store_type, .. }, .. } =
        &mut typed
    {
        *store_type = Some(crate::trust::StoreType::Pkcs12);
    }
    assert!(refused(&mut site, &typed).1.contains("expected a keystore of the type PKCS#12, found JKS"));
}

#[test]
fn a_closed_key_is_taken_with_its_password_and_refused_as_a_key_file_without() {
    let mut site = furnished();
    let mut salts = Salts::from_seed([4; 32]);
    let closed = identity().key_pem(Some(&Password::new(KEY)), &mut salts).unwrap();
    let import = |password: Option<&str>| {
        update(NewCertificate::Import {
            certificate: held("server.crt", identity().certificates_pem().into_bytes()),
            key: held("server.key", closed.as_bytes().to_vec()),
            key_password: password.map(|one| held("k.txt", one.into())),
        })
    };
    for (password, words) in [(None, "the key is encrypted"), (Some("no"), "cannot be decrypted")] {
        let (refusal, said) = refused(&mut site, &import(password));
        assert_eq!(refusal, Refusal::PrivateKeyFile);
        assert!(said.contains(words), "{said}");
    }
    let (refusal, said) = refused(
        &mut site,
        &update(NewCertificate::Import {
            certificate: held("server.crt", identity().certificates_pem().into_bytes()),
            key: held("server.key", closed.as_bytes().to_vec()),
            key_password: Some(held("k.txt", vec![0xFF])),
        }),
    );
    assert!(refusal == Refusal::PrivateKeyFile && said.contains("k.txt"), "{said}");
    site.apply(&import(Some(KEY)), LATER).unwrap();
}

#[test]
fn what_is_assumed_of_the_wizard_is_obeyed() {
    let with = |change: fn(&mut Assumptions)| {
        let mut site = furnished();
        let mut assumptions = (**site.assumptions()).clone();
        change(&mut assumptions);
        site.assumptions = assumptions.into();
        site
    };
    let command = keystore(jks(STORE, STORE), None, STORE, None);
    let (refusal, said) = refused(&mut with(|it| it.wizard_shortest_key_bits = 3072), &command);
    assert!(refusal == Refusal::Certificate && said.contains("at least 3072 bits, found 2048"), "{said}");

    let mut site = with(|it| it.console_longest_key_bits = 1024);
    site.apply(&command, LATER).unwrap();
    let trouble = site.managers().next().unwrap().console_trouble(site.assumptions()).unwrap();
    assert_eq!((trouble.bits, trouble.longest), (2048, 1024));
    let site = furnished();
    assert_eq!(site.managers().next().unwrap().console_trouble(site.assumptions()), None);
}

#[test]
fn a_scenario_names_a_keystore_and_the_files_of_its_passwords() {
    let text = r#"{"update-certificate": {"manager": "A", "certificate": {"keystore":
        {"file": "a.jks", "store_type": "pkcs12", "alias": "x", "password": "p.txt", "key_password": "k.txt"}}}}"#;
    let mut command: Command = serde_json::from_str(text).unwrap();
    let files: Vec<_> = command.materials_mut().into_iter().map(|one| one.file.clone()).collect();
    assert_eq!(files, ["a.jks", "p.txt", "k.txt"]);
    let bare = r#"{"update-certificate": {"manager": "A", "certificate": {"keystore": {"file": "a.jks"}}}}"#;
    assert_eq!(serde_json::from_str::<Command>(bare).unwrap().materials_mut().len(), 1);
}
