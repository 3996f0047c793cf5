//! The files of administrators: keystores, certificates and keys.

use epm_protocol::time::Timestamp;
use epm_protocol::trust::{
    KeyStore, Password, Salts, ServerCertificate, ServerIdentity, StoreForm, StoreOptions, WizardRules,
    is_key_encrypted, key_fits, read_certificates, read_identity_with, read_private_key_with,
};
use sha1::{Digest as _, Sha1};

use crate::is_short;

/// The password of all keystores and keys.
const PASSWORD: &str = "changeit";

/// A JKS or JCEKS. The checksum at its end is made right, since no input has a valid one by chance.
pub(crate) fn jks(input: &[u8]) {
    store(input);
    let Some((body, _)) = input.split_last_chunk::<20>() else { return };
    let password: Vec<u8> = PASSWORD.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let check =
        Sha1::new().chain_update(password).chain_update("Mighty Aphrodite").chain_update(body).finalize();
    store(&[body, &check[..]].concat());
}

/// A PKCS#12.
pub(crate) fn pkcs12(input: &[u8]) {
    store(input);
}

fn store(input: &[u8]) {
    let password = Password::new(PASSWORD);
    let store = match KeyStore::read(input, "a.store", None, &password) {
        Ok(store) => store,
        Err(error) => return is_short(&error),
    };
    for entry in store.entries() {
        assert!(store.has(&entry.alias));
        if let Err(error) = store.contents(Some(&entry.alias), &password) {
            is_short(&error);
        }
    }
    match store.identity(None, &password, &WizardRules::ALL) {
        Ok(identity) => is_written_and_read(&identity),
        Err(error) => is_short(&error),
    }
}

/// A file with certificates, keys, or both, in PEM or DER.
pub(crate) fn separate(input: &[u8]) {
    let password = Password::new(PASSWORD);
    let _ = Password::from_file(input);
    let _ = is_key_encrypted(input, "a.key");
    let certificates = read_certificates(input, "a.crt");
    if let Err(error) = &certificates {
        is_short(error);
    }
    let key = read_private_key_with(input, "a.key", Some(&password));
    if let Err(error) = &key {
        is_short(error);
    }
    if let (Ok(certificates), Ok(_)) = (&certificates, &key) {
        let _ = key_fits(&certificates[0], input, "a.key", Some(&password));
        let both =
            read_identity_with(input, "a.crt", input, "a.key", Some(&password), &WizardRules::default());
        if let Ok(identity) = both {
            is_written_and_read(&identity);
        }
    }
    for certificate in certificates.iter().flatten() {
        let again =
            read_certificates(certificate.to_pem().as_bytes(), "a.crt").expect("what was written is read");
        assert_eq!(again, std::slice::from_ref(certificate));
    }
}

/// A certificate or a key in DER.
pub(crate) fn der(input: &[u8]) {
    if let Ok(certificate) = ServerCertificate::from_der(input) {
        assert_eq!(certificate.der(), input);
        let _ = (certificate.serial(), certificate.names().len(), certificate.key_algorithm().to_string());
        let _ = certificate.validity().covers(Timestamp::from_seconds(1_767_600_000));
        assert_eq!(ServerCertificate::from_der(certificate.der()).as_ref(), Ok(&certificate));
    }
    separate(input);
}

fn is_written_and_read(identity: &ServerIdentity) {
    let password = Password::new(PASSWORD);
    let mut salts = Salts::from_seed([7; 32]);
    let options = StoreOptions {
        form: StoreForm::Jks,
        alias: "tomcat",
        password: &password,
        key_password: None,
        created: Timestamp::from_seconds(0),
    };
    let written = identity.to_keystore(&options, &mut salts).expect("it can be written");
    let store = KeyStore::read(&written, "a.store", None, &password).expect("what was written is read");
    let again = store.identity(None, &password, &WizardRules::ALL).expect("what was written is read");
    assert_eq!(&again, identity);
}
