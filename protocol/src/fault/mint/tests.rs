//! Each certificate is compared with the good one, field by field, by another parser than the one that made it.

use std::collections::{BTreeMap, BTreeSet};

use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::*;
use crate::trust::{
    Beliefs, CertificateRequest, NameRule, Rejection, Validity, issue, judge, read_certificates,
    read_private_key,
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// The fields of a certificate without the signature, which follows from the rest.
fn fields(certificate: &ServerCertificate) -> BTreeMap<String, Vec<u8>> {
    let (rest, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
    assert!(rest.is_empty());
    let signed = &parsed.tbs_certificate;
    let validity = &signed.validity;
    let mut fields = BTreeMap::from([
        ("version".to_owned(), vec![u8::try_from(signed.version.0).unwrap()]),
        ("serial".to_owned(), signed.raw_serial().to_vec()),
        ("algorithm".to_owned(), signed.signature.algorithm.as_bytes().to_vec()),
        ("issuer".to_owned(), signed.issuer.as_raw().to_vec()),
        ("validity".to_owned(), format!("{} {}", validity.not_before, validity.not_after).into_bytes()),
        ("subject".to_owned(), signed.subject.as_raw().to_vec()),
        ("public key".to_owned(), signed.subject_pki.raw.to_vec()),
    ]);
    for extension in signed.extensions() {
        let name = format!("extension {}", extension.oid.to_id_string());
        fields.insert(name, [&[u8::from(extension.critical)], extension.value].concat());
    }
    fields
}

/// The fields that differ, the serial number aside: it is another if anything is.
fn differences(one: &ServerCertificate, other: &ServerCertificate) -> BTreeSet<String> {
    let (one, other) = (fields(one), fields(other));
    let names = one.keys().chain(other.keys());
    let mut found: BTreeSet<String> =
        names.filter(|name| one.get(*name) != other.get(*name)).cloned().collect();
    assert_eq!(found.remove("serial"), !found.is_empty());
    found
}

fn identity(number: usize, first: Timestamp, last: Timestamp) -> ServerIdentity {
    let key = KeyPool::of_site(1).get(number);
    let request = CertificateRequest {
        common_name: "manager".to_owned(),
        names: vec!["127.0.0.1".to_owned(), "manager.example".to_owned()],
        validity: Validity { not_before: first, not_after: last },
        serial: KeyPool::of_site(1).serial(number),
    };
    let certificate = issue(&key, &request).unwrap();
    ServerIdentity::new(key, certificate).unwrap()
}

struct Bench {
    good: ServerIdentity,
    previous: ServerIdentity,
    authorities: Vec<SigningKey>,
}

impl Bench {
    fn new() -> Self {
        let (first, last) = (NOW - YEAR, NOW + YEAR);
        let (good, previous) = (identity(0, first, last), identity(1, first, last));
        Self { good, previous, authorities: Vec::new() }
    }

    /// A manager whose certificate is from an intermediate authority, whose key is at hand.
    fn with_a_chain() -> Self {
        let own = Self::new();
        let made = complete_chain(&MintInput { spare: KeyPool::of_site(7), ..own.mint_input() }).unwrap();
        let [leaf, between, _] = <[ServerCertificate; 3]>::try_from(made.chain).unwrap();
        let good = ServerIdentity::new(made.key, leaf).unwrap().with_chain(vec![between]);
        let authorities = vec![KeyPool::of_site(7).get(0), KeyPool::of_site(7).get(1)];
        Self { good, authorities, ..own }
    }

    fn mint_input(&self) -> MintInput<'_> {
        MintInput {
            good: &self.good,
            previous: Some(&self.previous),
            authorities: &self.authorities,
            spare: KeyPool::of_faults(1),
            now: NOW,
        }
    }

    fn mint(&self, name: &str) -> PresentedIdentity {
        mint(&FaultKind::named(name).unwrap(), &self.mint_input()).unwrap()
    }
}

fn is_signed_by(certificate: &ServerCertificate, key: &SigningKey) -> bool {
    let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
    key.sign(parsed.tbs_certificate.as_ref()).as_bytes() == &*parsed.signature_value.data
}

#[test]
fn each_fault_differs_from_the_good_certificate_in_exactly_one_property() {
    let bench = Bench::new();
    for (name, property) in [
        ("expired", Some("validity")),
        ("not-yet-valid", Some("validity")),
        ("wrong-host", Some("extension 2.5.29.17")),
        ("other-self-signed", Some("public key")),
        ("weak-key", Some("public key")),
        ("unknown-ca", Some("issuer")),
        ("wrong-key", None),
    ] {
        let shown = bench.mint(name);
        let found = differences(&shown.chain[0], bench.good.certificate());
        assert_eq!(found, property.map(str::to_owned).into_iter().collect(), "{name}");
        let is_long = name == "unknown-ca";
        assert_eq!(shown.chain.len(), if is_long { 2 } else { 1 }, "{name}");
    }
}

#[test]
fn with_a_chain_each_fault_differs_in_one_property_too_and_sends_the_issuers() {
    let bench = Bench::with_a_chain();
    let issuers = bench.good.chain();
    for (name, property) in [
        ("expired", Some("validity")),
        ("not-yet-valid", Some("validity")),
        ("wrong-host", Some("extension 2.5.29.17")),
        ("other-self-signed", Some("public key")),
        ("weak-key", Some("public key")),
        ("wrong-key", None),
    ] {
        let shown = bench.mint(name);
        let found = differences(&shown.chain[0], bench.good.certificate());
        assert_eq!(found, property.map(str::to_owned).into_iter().collect(), "{name}");
        assert_eq!(&shown.chain[1..], issuers, "{name}");

        assert!(is_signed_by(&shown.chain[0], &bench.authorities[1]), "{name}");
        let is_of_other_key = matches!(name, "other-self-signed" | "wrong-key");
        assert_eq!(shown.key != *bench.good.key(), is_of_other_key, "{name}");
    }
    let whole = [bench.good.certificate().clone(), issuers[0].clone()];
    assert_eq!(bench.mint("incomplete-chain").chain, whole[..1]);
    assert_eq!(bench.mint("reversed-chain").chain, [whole[1].clone(), whole[0].clone()]);
    // Without the authority's key the rest is the same.
    let unknown = Bench { authorities: vec![bench.authorities[0].clone()], ..bench };
    let shown = unknown.mint("expired");
    assert_eq!(shown.chain[1..], *unknown.good.chain());
    assert!(is_signed_by(&shown.chain[0], unknown.good.key()));
    // The previous certificate comes with its own issuers.
    let Bench { good, previous, authorities } = unknown;
    let bench = Bench { good: previous, previous: good, authorities };
    for name in ["old-restored", "half-updated"] {
        assert_eq!(bench.mint(name).chain, whole, "{name}");
    }
}

#[test]
fn the_property_is_wrong_in_the_way_that_the_name_says() {
    let bench = Bench::new();
    let first = |name: &str| bench.mint(name).chain[0].clone();
    assert!(first("expired").validity().is_over(NOW));
    assert_eq!(first("expired").validity().not_before, NOW - YEAR);
    assert!(first("not-yet-valid").validity().is_before(NOW));
    assert_eq!(first("not-yet-valid").validity().not_after, NOW + YEAR);
    assert_eq!(first("wrong-host").names(), [ELSEWHERE]);
    assert_eq!(first("weak-key").key_algorithm().to_string(), "RSA with 1024 bits");
    assert!(first("other-self-signed").is_self_signed());
    assert!(!first("unknown-ca").is_self_signed());
}

#[test]
fn a_client_that_pins_what_it_is_shown_finds_just_that_property() {
    let bench = Bench::new();
    let judged = |name: &str| {
        let shown = bench.mint(name).chain[0].clone();
        let pins = [shown.clone()].into_iter().collect();
        let beliefs = Beliefs { pins, names: NameRule::Checked, ..Beliefs::default() };
        judge(&shown, &beliefs, "127.0.0.1", NOW).map(drop)
    };
    assert!(matches!(judged("expired"), Err(Rejection::Expired { .. })));
    assert!(matches!(judged("not-yet-valid"), Err(Rejection::NotYetValid { .. })));
    assert!(matches!(judged("wrong-host"), Err(Rejection::WrongName { .. })));
    assert_eq!(judged("other-self-signed"), Ok(()));
    assert_eq!(judged("unknown-ca"), Ok(()));
}

#[test]
fn every_signature_holds_where_there_is_a_key_for_it() {
    let bench = Bench::new();
    for name in ["expired", "not-yet-valid", "wrong-host", "other-self-signed"] {
        let PresentedIdentity { chain, key } = bench.mint(name);
        assert!(is_signed_by(&chain[0], &key), "{name}");
        assert_eq!(chain[0].public_key_der(), key.public_key_der(), "{name}");
    }
    let spare = |n| bench.mint_input().spare.get(n);
    let PresentedIdentity { chain, key } = bench.mint("unknown-ca");
    assert!(chain.iter().all(|one| is_signed_by(one, &spare(0))));
    assert_eq!(&key, bench.good.key());
    let PresentedIdentity { chain, .. } = complete_chain(&bench.mint_input()).unwrap();
    assert!(is_signed_by(&chain[0], &spare(1)) && is_signed_by(&chain[1], &spare(0)));
    assert!(is_signed_by(&chain[2], &spare(0)));
    assert_ne!(bench.mint("wrong-key").key.public_key_der(), bench.good.certificate().public_key_der());
}

#[test]
fn faults_of_chains_are_the_complete_chain_with_one_left_out_or_turned_around() {
    let bench = Bench::new();
    let complete = complete_chain(&bench.mint_input()).unwrap().chain;
    let issuer = BTreeSet::from(["issuer".to_owned()]);
    assert_eq!(differences(&complete[0], bench.good.certificate()), issuer);
    let [leaf, _, root] = &complete[..] else { panic!("three certificates") };
    assert_eq!(bench.mint("incomplete-chain").chain, [leaf.clone(), root.clone()]);
    let turned: Vec<_> = complete.iter().rev().cloned().collect();
    assert_eq!(bench.mint("reversed-chain").chain, turned);
}

#[test]
fn no_two_certificates_of_one_issuer_have_one_serial_number() {
    // Of two labs with one certificate: it was brought, and the keys of their faults are different.
    let bench = Bench::new();
    let mut known: BTreeMap<(Vec<u8>, Vec<u8>), ServerCertificate> = BTreeMap::new();
    let mut shown = vec![bench.good.certificate().clone(), bench.previous.certificate().clone()];
    for spare in [KeyPool::of_faults(1), KeyPool::of_faults(2)] {
        let mint_input = MintInput { spare, ..bench.mint_input() };
        let minted = FaultKind::kinds()
            .iter()
            .filter_map(|info| mint(&FaultKind::named(info.name).ok()?, &mint_input).ok());
        shown.extend(minted.flat_map(|one| one.chain));
    }
    for certificate in shown {
        let fields = fields(&certificate);
        let serial = fields["serial"].clone();
        assert!(serial.len() <= 8 && serial[0] < 0x80, "{serial:?}");
        let known = known.entry((fields["issuer"].clone(), serial)).or_insert_with(|| certificate.clone());
        assert_eq!(*known, certificate, "another certificate of the same issuer and number");
    }
    assert!(known.len() > 15, "{}", known.len());
}

#[test]
fn the_certificate_of_before_is_shown_as_it_was() {
    let bench = Bench::new();
    for name in ["old-restored", "half-updated"] {
        let PresentedIdentity { chain, key } = bench.mint(name);
        assert_eq!((&chain[..], &key), (&[bench.previous.certificate().clone()][..], bench.previous.key()));
        for previous in [None, Some(&bench.good)] {
            let mint_input = MintInput { previous, ..bench.mint_input() };
            let error = mint(&FaultKind::named(name).unwrap(), &mint_input).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the fault {name} needs a previous certificate, which is missing")
            );
        }
    }
}

#[test]
fn a_certificate_of_today_can_have_expired_and_one_that_ends_today_can_be_for_tomorrow() {
    let minute = Duration::from_secs(60);
    let good = identity(0, NOW - minute, NOW + minute);
    let bench = Bench { good, ..Bench::new() };
    for name in ["expired", "not-yet-valid"] {
        let made = bench.mint(name).chain[0].clone();
        let Validity { not_before, not_after } = made.validity();
        assert!(not_before < not_after && !made.validity().covers(NOW), "{name}");
        assert_eq!(differences(&made, bench.good.certificate()), BTreeSet::from(["validity".to_owned()]));
    }
}

#[test]
fn a_certificate_of_a_foreign_tool_keeps_all_its_other_bytes() {
    let bytes = include_bytes!("../../trust/samples/openssl.crt");
    let good = read_certificates(bytes, "openssl.crt").unwrap().remove(0);
    let key = include_bytes!("../../trust/samples/key-1.pem");
    let good = ServerIdentity::new(read_private_key(key, "key-1.pem").unwrap(), good).unwrap();
    let bench = Bench { good, ..Bench::new() };
    // The good one was signed with SHA-512, unlike the minted one.
    for (name, property) in [("expired", "validity"), ("wrong-host", "extension 2.5.29.17")] {
        let found = differences(&bench.mint(name).chain[0], bench.good.certificate());
        assert_eq!(found, BTreeSet::from([property.to_owned(), "algorithm".to_owned()]), "{name}");
    }
}

#[test]
fn what_is_minted_is_the_same_for_a_day_and_only_faults_of_certificates_are_minted() {
    let bench = Bench::new();
    let later = MintInput { now: NOW + Duration::from_secs(3600), ..bench.mint_input() };
    for info in FaultKind::kinds() {
        let kind = FaultKind::named(info.name).unwrap();
        let made = mint(&kind, &bench.mint_input());
        let of_certificates = info.layer == super::super::Layer::Certificate || info.name == "wrong-key";
        assert_eq!(made.is_ok(), of_certificates, "{}", info.name);
        assert_eq!(made, mint(&kind, &later), "{}", info.name);
    }
}
