//! The wizard, by hand.

use proptest::prelude::*;

use std::fmt;

use super::super::certificate::{Fingerprint, KeyAlgorithm};
use super::super::pem;
use super::super::samples::{self, certificate};
use super::super::signature::{KeyError, SigningKey};
use super::*;

fn file(name: &str) -> FilePosition {
    FilePosition { file: name.to_owned(), line: None }
}

fn at(line: usize) -> FilePosition {
    FilePosition { file: "server.key".to_owned(), line: Some(line) }
}

fn key(bytes: &[u8]) -> Result<SigningKey, KeystoreError> {
    read_private_key(bytes, "server.key")
}

fn der(text: &[u8]) -> Vec<u8> {
    pem::read(text).unwrap()[0].contents.clone()
}

/// Checks that the text and [`KeystoreError::refusal`] agree.
fn refusal<T: fmt::Debug>(result: Result<T, KeystoreError>) -> KeystoreError {
    let error = result.unwrap_err();
    let sentence = format!("{}: ", error.refusal());
    assert!(error.to_string().starts_with(&sentence), "{error}");
    error
}

#[test]
fn key_and_certificate_are_taken_as_pem_and_as_der() {
    let expected = samples::key(0);
    for text in [samples::KEY_0, samples::KEY_0_AS_PKCS1] {
        assert_eq!(key(text).unwrap(), expected);
        assert_eq!(key(&der(text)).unwrap(), expected);
    }
    let made = certificate(0);
    for bytes in [made.to_pem().as_bytes(), made.der()] {
        let identity = read_identity(bytes, "server.crt", samples::KEY_0, "server.key").unwrap();
        assert_eq!((identity.key(), identity.certificate()), (&expected, &made));
    }
}

#[test]
fn one_file_may_hold_key_certificate_and_chain() {
    let (own, other) = (certificate(0), certificate(1));
    let pem = String::from_utf8(samples::KEY_0.to_vec()).unwrap() + &own.to_pem() + &other.to_pem();
    let identity = read_identity(pem.as_bytes(), "all.pem", pem.as_bytes(), "all.pem").unwrap();
    assert_eq!(identity.certificate(), &own);
    assert_eq!(read_certificates(pem.as_bytes(), "all.pem").unwrap(), [own, other]);
}

#[test]
fn a_key_for_another_certificate_is_refused_with_both_public_keys() {
    let public = |n| Box::new(Fingerprint::of(samples::key(n).public_key_der()));
    let made = certificate(0).to_pem();
    let error = refusal(read_identity(made.as_bytes(), "server.crt", samples::KEY_1, "server.key"));
    assert_eq!(
        error,
        KeystoreError::Mismatch {
            at: file("server.key"),
            certificate: "server.crt".to_owned(),
            expected: public(0),
            found: public(1),
        }
    );
    assert_eq!(error.refusal(), Refusal::PrivateKeyFile);
    assert!(
        refusal(ServerIdentity::new(samples::key(1), certificate(0)))
            .to_string()
            .contains(&public(0).to_string())
    );
}

#[test]
fn keys_that_are_not_for_managers_are_refused_with_the_reason() {
    let refused = |text: &[u8]| match refusal(key(text)) {
        KeystoreError::Key { reason, at } => (reason, at.line),
        other => panic!("{other:?}"),
    };
    let not_rsa = |found| (KeyError::NotRsa { found }, Some(2));
    assert_eq!(refused(samples::EC_SEC1), not_rsa(KeyAlgorithm::Ec));
    assert_eq!(refused(samples::ED25519), not_rsa(KeyAlgorithm::Ed25519));
    assert_eq!(refused(samples::DSA_PKCS8), not_rsa(KeyAlgorithm::Dsa));
    assert_eq!(refused(samples::DSA_BARE), not_rsa(KeyAlgorithm::Dsa));
    assert_eq!(refused(samples::ENCRYPTED_PKCS8), (KeyError::Encrypted, Some(2)));
    assert_eq!(refused(samples::ENCRYPTED_LEGACY), (KeyError::Encrypted, Some(2)));
    assert_eq!(refused(&der(samples::ENCRYPTED_PKCS8)), (KeyError::Encrypted, None));
    for text in [b"not a key", certificate(0).der()] {
        assert!(matches!(refusal(key(text)), KeystoreError::Unexpected { .. }));
    }
    let (reason, _) = refused(samples::RSA_1024);
    assert_eq!(reason.to_string(), "expected an RSA key of 2048 to 8192 bits, found 1024");
}

#[test]
fn several_keys_are_named_by_their_lines() {
    let two = [samples::KEY_0, samples::ED25519].concat();
    let second = samples::KEY_0.iter().filter(|byte| **byte == b'\n').count() + 2;
    assert_eq!(
        refusal(key(&two)),
        KeystoreError::SeveralKeys { at: file("server.key"), lines: vec![2, second] }
    );
}

#[test]
fn broken_pem_is_named_by_its_line() {
    let role = FileRole::PrivateKey;
    let label = "PRIVATE KEY".to_owned();
    let cut = &samples::KEY_0[..samples::KEY_0.len() - 40];
    let error = refusal(key(cut));
    assert_eq!(error, KeystoreError::Truncated { role, at: at(2), label: label.clone() });
    assert_eq!(
        error.to_string(),
        "Invalid private key file: server.key, line 2: \
         BEGIN PRIVATE KEY without its END: the file was cut off"
    );
    assert_eq!(
        refusal(key(b"AAAA\n-----END PRIVATE KEY-----\n")),
        KeystoreError::StrayEnd { role, at: at(2), label }
    );
    let garbled = refusal(key(b"-----BEGIN PRIVATE KEY-----\n?\n-----END PRIVATE KEY-----\n"));
    assert!(matches!(garbled, KeystoreError::NotBase64 { .. }), "{garbled}");
}

#[test]
fn empty_and_huge_files_are_refused_in_the_words_of_their_role() {
    let crt = |bytes: &[u8]| refusal(read_certificates(bytes, "server.crt"));
    assert_eq!(crt(b" \n"), KeystoreError::Empty { role: FileRole::Certificate, at: file("server.crt") });
    assert_eq!(crt(b"").refusal(), Refusal::Certificate);
    assert_eq!(refusal(key(b"")).refusal(), Refusal::PrivateKeyFile);
    let huge = vec![b'0'; MAX_BYTES + 1];
    assert!(matches!(refusal(key(&huge)), KeystoreError::TooLarge { found, .. } if found == huge.len()));
}

#[test]
fn a_file_of_other_things_says_what_they_are() {
    assert_eq!(
        refusal(read_certificates(samples::KEY_0, "server.crt")),
        KeystoreError::Unexpected {
            role: FileRole::Certificate,
            at: file("server.crt"),
            found: FileKind::PrivateKey,
        }
    );
    let no_key = refusal(key(certificate(0).to_pem().as_bytes()));
    assert_eq!(no_key.refusal(), Refusal::PrivateKeyFile);
    assert_eq!(
        no_key.to_string(),
        "Invalid private key file: server.key: expected a private key (PEM or DER), found a certificate; give the file \
         with the private key of that certificate"
    );
}

/// What is said of a file in each role.
fn kind(bytes: &[u8]) -> FileKind {
    let found = FileKind::of(bytes);
    let password = Password::new("p");
    let as_store = KeyStore::read(bytes, "file", None, &password).map(drop);
    let as_key = read_private_key(bytes, "file").map(drop);
    let as_certificate = read_certificates(bytes, "file").map(drop);
    for refused in [as_store, as_key, as_certificate].into_iter().filter_map(Result::err) {
        let text = refused.to_string();
        assert!(text.contains("file") && !text.contains("Tag(") && !text.contains("Parsing"), "{text}");
    }
    found
}

#[test]
fn a_file_is_told_by_its_content_in_every_encoding() {
    let pem = certificate(0).to_pem();
    let der_of = |bytes: &[u8]| data_encoding::BASE64.encode(bytes).into_bytes();
    let utf16 = |order: fn(u16) -> [u8; 2], mark: &str| -> Vec<u8> {
        format!("{mark}{pem}").encode_utf16().flat_map(order).collect()
    };
    let in_utf16 = FileKind::Utf16(Box::new(FileKind::Certificate));
    for (bytes, expected) in [
        (utf16(u16::to_le_bytes, "\u{FEFF}"), in_utf16.clone()),
        (utf16(u16::to_be_bytes, "\u{FEFF}"), in_utf16.clone()),
        (utf16(u16::to_le_bytes, ""), in_utf16),
        (der_of(&store(StoreForm::Pkcs12)), FileKind::Base64(Box::new(FileKind::Store(StoreType::Pkcs12)))),
        (der_of(certificate(0).der()), FileKind::Base64(Box::new(FileKind::Certificate))),
        (pem.replace("-----", "----").into_bytes(), FileKind::AlmostPem),
        (pem.replace('\n', "").into_bytes(), FileKind::AlmostPem),
        (pem.replace("CERTIFICATE", "PKCS7").into_bytes(), FileKind::Pkcs7),
        (der(samples::KEY_0), FileKind::PrivateKey),
        (der(samples::ENCRYPTED_PKCS8), FileKind::EncryptedKey),
        (certificate(0).public_key_der().to_vec(), FileKind::PublicKey),
        (samples::key(0).rsa_public_key_der().to_vec(), FileKind::PublicKey),
        (store(StoreForm::Jks), FileKind::Store(StoreType::Jks)),
        (
            certificate(0).der()[..300].to_vec(),
            FileKind::CutOff { expected: certificate(0).der().len(), found: 300 },
        ),
        (b"<html><body>404</body></html>".to_vec(), FileKind::Html),
        (b"PK\x03\x04".to_vec(), FileKind::Zip),
        (b"openssh-key-v1\0".to_vec(), FileKind::OpensshKey),
        (b"\xEF\xBB\xBF \r\n".to_vec(), FileKind::Empty),
        (b"hello".to_vec(), FileKind::Text),
        (vec![0x9C; 40], FileKind::Unknown),
    ] {
        assert_eq!(kind(&bytes), expected);
    }
}

#[test]
fn der_may_have_a_line_end_or_another_certificate_behind_it_and_a_mac_its_own_line_ends() {
    let (own, other) = (certificate(0), certificate(1));
    let read = |bytes: &[u8]| read_certificates(bytes, "server.crt").unwrap();
    assert_eq!(read(&[own.der(), b"\r\n"].concat()), std::slice::from_ref(&own));
    assert_eq!(read(&[own.der(), other.der()].concat()), [own.clone(), other]);
    assert_eq!(read(own.to_pem().replace('\n', "\r").as_bytes()), [own]);
    assert_eq!(key(&[&der(samples::KEY_0)[..], b"\n"].concat()).unwrap(), samples::key(0));
}

#[test]
fn a_digit_that_is_not_base64_is_named_with_its_line() {
    let pem = certificate(0).to_pem().replacen("MII", "M\u{2013}I", 1);
    let error = refusal(read_certificates(pem.as_bytes(), "server.crt"));
    assert!(error.to_string().contains("server.crt, line 2: the CERTIFICATE block is not base64"), "{error}");
    assert!(error.to_string().ends_with("it has the character '\u{2013}'"), "{error}");
}

#[test]
fn a_key_fits_whatever_the_wizard_thinks_of_its_certificate() {
    let fits = |certificate: &[u8], key: &[u8]| {
        let certificate = read_certificates(certificate, "server.crt").unwrap().remove(0);
        key_fits(&certificate, key, "server.key", None).unwrap()
    };
    let own = certificate(0).to_pem();
    assert_eq!(fits(own.as_bytes(), samples::KEY_0), Some(true));
    assert_eq!(fits(own.as_bytes(), samples::KEY_0_AS_PKCS1), Some(true));
    assert_eq!(fits(own.as_bytes(), samples::KEY_1), Some(false));
    assert_eq!(fits(own.as_bytes(), samples::RSA_1024), Some(false));
    for ec in [samples::EC_PKCS8, samples::EC_SEC1, samples::ED25519] {
        assert_eq!(fits(own.as_bytes(), ec), Some(false));
    }
    // The three are of one key by openssl, or of two.
    assert_eq!(fits(samples::EC, samples::EC_PKCS8), fits(samples::EC, samples::EC_SEC1));
}

#[test]
fn what_the_wizard_refuses_by_assumption_it_takes_by_the_opposite_one() {
    let read = |rules: &WizardRules| {
        read_identity_with(samples::PSS, "server.crt", samples::KEY_0, "server.key", None, rules).map(drop)
    };
    let refused = refusal(read(&WizardRules::default()));
    assert!(
        matches!(refused, KeystoreError::AssumedSignature { assumption: "wizard_takes_pss", .. }),
        "{refused}"
    );
    read(&WizardRules { pss: true, ..WizardRules::default() }).unwrap();
}

#[test]
fn certificates_that_are_not_of_rsa_throughout_are_refused() {
    let refused = |text| refusal(read_identity(text, "server.crt", samples::KEY_0, "server.key"));
    assert_eq!(
        refused(samples::EC),
        KeystoreError::CertificateKey { at: file("server.crt"), found: KeyAlgorithm::Ec }
    );
    let (at, found) = (file("server.crt"), "rsassaPss".to_owned());
    let by_assumption = KeystoreError::AssumedSignature { at, found, assumption: "wizard_takes_pss" };
    let (at, found) = (file("server.crt"), "ecdsa-with-SHA256".to_owned());
    for (text, expected) in [
        (samples::PSS, by_assumption),
        (samples::RSA_BY_EC, KeystoreError::CertificateSignature { at, found }),
    ] {
        let error = refused(text);
        assert_eq!(error, expected);
        assert_eq!(
            error.refusal().to_string(),
            "Invalid certificate type, or invalid certificate signature algorithm"
        );
    }
}

proptest! {
    #[test]
    fn no_damage_to_a_file_makes_the_reader_panic(at in 0_usize..1900, byte: u8, cut in 0_usize..2000) {
        for sample in [samples::KEY_0, samples::EC, samples::BY_OPENSSL, &der(samples::KEY_0)] {
            let mut bytes = sample.to_vec();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(cut);
            let _ = read_private_key(&bytes, "a");
            let _ = read_certificates(&bytes, "a");
        }
    }
}

fn store(form: StoreForm) -> Vec<u8> {
    let password = Password::new("p");
    let options = StoreOptions {
        form,
        alias: "a",
        password: &password,
        key_password: None,
        created: samples::moment("2026-01-01T00:00:00Z"),
    };
    let identity = ServerIdentity::new(samples::key(0), certificate(0)).unwrap();
    identity.to_keystore(&options, &mut Salts::from_seed([1; 32])).unwrap()
}

fn open(bytes: &[u8]) -> Result<ServerIdentity, KeystoreError> {
    let password = Password::new("p");
    KeyStore::read(bytes, "a", None, &password)?.identity(None, &password, &WizardRules::default())
}

#[test]
fn two_entries_of_one_alias_are_refused() {
    // A JKS is written with one entry; a second copy of it is appended.
    let whole = store(StoreForm::Jks);
    let entry = &whole[12..whole.len() - 20];
    let mut twice = [&whole[..8], &[0, 0, 0, 2], entry, entry].concat();
    let check = jks::check_sum(&Password::new("p"), &twice);
    twice.extend(check);
    let error = refusal(open(&twice));
    assert!(error.to_string().contains("two entries have the alias \"a\""), "{error}");
}

#[test]
fn a_key_and_a_certificate_that_do_not_fit_make_no_keystore() {
    let whole = store(StoreForm::Jks);
    let (own, other) = (certificate(0), certificate(1));
    let at = whole.windows(own.der().len()).position(|part| part == own.der()).unwrap();
    let length = u32::try_from(other.der().len()).unwrap().to_be_bytes();
    let mut swapped = [&whole[..at - 4], &length, other.der()].concat();
    let check = jks::check_sum(&Password::new("p"), &swapped);
    swapped.extend(check);
    let error = refusal(open(&swapped));
    assert_eq!(error.refusal(), Refusal::KeystoreFile);
    assert!(
        matches!(error, KeystoreError::Store { reason, .. } if matches!(*reason, StoreError::Mismatch { .. }))
    );
}

#[test]
fn a_file_does_not_decide_how_long_its_reader_works() {
    let mut rounds = rounds::Rounds::of_a_file();
    for too_many in [0, rounds::MOST + 1, u64::MAX] {
        assert_eq!(
            rounds.spend(too_many),
            Err(StoreError::Rounds { expected: rounds::MOST, found: too_many })
        );
    }
    for _ in 0..4 {
        rounds.spend(rounds::MOST).unwrap();
    }
    assert_eq!(rounds.spend(1), Err(StoreError::RoundsInAll { expected: rounds::MOST_IN_ALL }));

    // The rounds of the seal, at the end of the file, raised from 10,000 (two bytes) to 2^31 - 1.
    let whole = store(StoreForm::Pkcs12);
    assert_eq!(whole[whole.len() - 4..], [2, 2, 0x27, 0x10]);
    let mut pfx = whole[..whole.len() - 4].to_vec();
    pfx.extend([2, 4, 0x7F, 0xFF, 0xFF, 0xFF]);
    // Every length around it grows by two.
    let outer = u16::from_be_bytes([pfx[2], pfx[3]]) + 2;
    pfx[2..4].copy_from_slice(&outer.to_be_bytes());
    let mac = pfx.len() - 6 - 22 - 51 - 2;
    assert_eq!(pfx[mac], 0x30, "the seal");
    pfx[mac + 1] += 2;
    let error = refusal(open(&pfx));
    assert!(error.to_string().contains("found 2147483647"), "{error}");
}

#[test]
fn an_error_repeats_only_the_beginning_of_what_a_file_says_at_length() {
    // One certificate under the alias `a`, of a kind with 60,000 characters.
    let mut store = vec![0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, b'a'];
    store.extend([0; 8]);
    store.extend(60_000_u16.to_be_bytes());
    store.extend([b'x'; 60_000]);
    store.extend([0; 20]);
    let pem = format!("-----BEGIN {}-----\n", "x".repeat(60_000));
    let errors = [refusal(open(&store)), refusal(key(pem.as_bytes()))];
    for error in errors.map(|error| error.to_string()) {
        assert!(error.len() < 300 && error.contains("xxx..."), "{} bytes: {error:.300}", error.len());
    }
}

proptest! {
    #[test]
    fn nothing_makes_the_reader_of_keystores_panic(
        magic in prop_oneof![
            Just(vec![0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2]),
            Just(vec![0xCE, 0xCE, 0xCE, 0xCE, 0, 0, 0, 2, 0, 0, 0, 1]),
            Just(vec![0x30, 0x80, 2, 1, 3, 0x30, 0x80]),
            Just(vec![0x30, 0x81, 0xC8, 2, 1, 3, 0x30]),
        ],
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        prop_assert!(open(&[magic, body].concat()).is_err());
    }

    #[test]
    fn no_two_changes_to_a_store_make_the_reader_panic_or_give_another_key(
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
    ) {
        let mut bytes = store(StoreForm::Pkcs12Old);
        for (place, byte) in places {
            *place.get_mut(&mut bytes) = byte;
        }
        if let Ok(read) = open(&bytes) {
            prop_assert_eq!(read.key(), &samples::key(0));
        }
    }
}
