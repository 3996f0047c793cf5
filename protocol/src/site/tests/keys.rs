//! Keys and serial numbers of a site: none comes a second time, and all follow from the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::*;

/// Public keys and serial numbers of certificates.
#[derive(Debug, Default)]
struct Seen {
    keys: BTreeSet<Vec<u8>>,
    serials: BTreeSet<Vec<u8>>,
    certificates: usize,
}

impl Seen {
    fn note(&mut self, certificate: &ServerCertificate) {
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        self.keys.insert(certificate.public_key_der().to_vec());
        self.serials.insert(parsed.tbs_certificate.raw_serial().to_vec());
        self.certificates += 1;
    }

    fn note_all(&mut self, site: &Site) {
        site.managers().for_each(|manager| self.note(manager.client.certificate()));
    }

    #[track_caller]
    fn are_different(&self) {
        let all = self.certificates;
        assert_eq!((self.keys.len(), self.serials.len()), (all, all));
    }
}

fn site_of(seed: u64) -> Site {
    let managers = [("A", "10.0.0.1"), ("B", "10.0.0.2"), ("C", "10.0.0.3")];
    Site::found(Founding { seed, ..founding(&managers) }, START).unwrap()
}

fn update(site: &mut Site, manager: &str, seen: &mut Seen) {
    site.apply(&generate(manager, Stores::Both), LATER).unwrap();
    seen.note(site.publication(manager).unwrap().identity.certificate());
}

#[test]
fn no_update_and_no_new_installation_brings_a_key_or_a_serial_number_back() {
    let (mut site, mut seen) = (site_of(7), Seen::default());
    seen.note_all(&site);
    for _ in 0..5 {
        for manager in ["A", "B", "C"] {
            update(&mut site, manager, &mut seen);
        }
        let anew = Command::Reinstall { keystore: None, secret: None, domain: None, database: true };
        site.apply(&anew, LATER).unwrap();
        seen.note_all(&site);
    }
    seen.are_different();
}

#[test]
fn a_site_that_is_put_back_draws_what_neither_state_has_drawn() {
    let (mut site, mut seen) = (site_of(7), Seen::default());
    let anew = || Command::Reinstall { keystore: None, secret: None, domain: None, database: true };
    let earlier = site.clone();
    update(&mut site, "A", &mut seen);
    site.apply(&anew(), LATER).unwrap();
    seen.note_all(&site);
    let (secret, domain) = (site.kcs().clone(), site.domain());
    let mut back = earlier;
    back.draw_after(&site);
    update(&mut back, "A", &mut seen);
    back.apply(&anew(), LATER).unwrap();
    seen.note_all(&back);
    seen.are_different();
    assert_ne!((back.kcs(), back.domain()), (&secret, domain));
}

#[test]
fn a_site_that_goes_on_from_the_files_of_an_earlier_run_does_not_draw_what_that_run_drew() {
    let (mut seen, anew) = (Seen::default(), || Command::Reinstall {
        keystore: None,
        secret: None,
        domain: None,
        database: true,
    });
    let mut secrets = Vec::new();
    let mut found = None;
    for _ in 0..3 {
        let mut run = site_of(7);
        if let Some(certificate) = found {
            run.draw_on_from(certificate);
        }
        update(&mut run, "A", &mut seen);
        run.apply(&anew(), LATER).unwrap();
        seen.note_all(&run);
        assert!(!secrets.contains(run.kcs()), "a secret has come again");
        secrets.push(run.kcs().clone());
        found = Some(run.publication("A").unwrap().identity.certificate().fingerprint());
    }
    seen.are_different();
}

#[test]
fn two_sites_of_different_seeds_share_nothing_and_two_of_one_seed_are_alike() {
    let mut seen = Seen::default();
    for seed in 1..=20 {
        seen.note_all(&site_of(seed));
    }
    seen.are_different();
    let drawn = |site: &Site| {
        let certificates: Vec<_> = site.managers().map(|one| one.client.certificate().clone()).collect();
        (certificates, site.kcs().clone(), site.domain(), site.id())
    };
    assert_eq!(drawn(&site_of(7)), drawn(&site_of(7)));
    let (one, other) = (drawn(&site_of(7)), drawn(&site_of(8)));
    assert!(one.1 != other.1 && one.2 != other.2 && one.3 != other.3);
}

#[test]
fn a_manager_whose_clock_is_wrong_makes_certificates_by_that_clock() {
    let mut site = site_of(1);
    let begins = |site: &Site, manager: &str| {
        site.publication(manager).unwrap().identity.certificate().validity().not_before
    };
    let week = Duration::from_secs(7 * 86_400);
    site.set_clocks([("A".to_owned(), 604_800_000), ("B".to_owned(), -604_800_000)].into());
    for manager in ["A", "B", "C"] {
        site.apply(&generate(manager, Stores::Both), LATER).unwrap();
    }
    let later = Timestamp::from_seconds(LATER.as_seconds());
    assert_eq!(["A", "B", "C"].map(|one| begins(&site, one)), [later + week, later - week, later]);
    // A reinstallation makes certificates too.
    let again = Command::Reinstall { keystore: None, secret: None, domain: None, database: true };
    site.apply(&again, LATER).unwrap();
    assert_eq!(["A", "B", "C"].map(|one| begins(&site, one)), [later + week, later - week, later]);
    site.set_clocks(BTreeMap::new());
    site.apply(&generate("A", Stores::Both), LATER).unwrap();
    assert_eq!(begins(&site, "A"), later);
}
