//! Tests of the state of a site.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use epm_protocol::site::{NewCertificate, Stores};

use super::*;
use crate::store::test_site;

#[test]
fn a_tls_configuration_is_never_seen_with_the_publication_of_another_certificate() {
    const MANAGERS: usize = 8;
    let (site, now) = test_site(MANAGERS);
    let clock = Arc::new(LabClock::starting_at(now, 0));
    let state = SiteState::new(site, clock, 1, Keeper::new(None, 0)).unwrap();
    let renewals: Vec<Command> = (1..=MANAGERS)
        .map(|number| Command::UpdateCertificate {
            manager: format!("sepm-{number}"),
            certificate: NewCertificate::Generate { common_name: None, valid_days: None },
            stores: Stores::Both,
        })
        .collect();
    let renewed = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..4 {
                state.apply_all(&renewals, GivenBy::Up).unwrap();
            }
            renewed.store(true, Ordering::SeqCst);
        });
        // Every configuration is kept, so that no later one has its address.
        let mut met = HashMap::new();
        while !renewed.load(Ordering::SeqCst) {
            let generation = state.managers[0].generation();
            let found = generation.published().publication.identity.certificate().fingerprint();
            let config = &generation.tls.config;
            let (_, first) = met.entry(Arc::as_ptr(config)).or_insert_with(|| (Arc::clone(config), found));
            assert_eq!(*first, found, "one configuration, and publications of two certificates");
            assert_eq!(generation.tls.certificate.fingerprint(), found, "another one is announced");
        }
        assert!(met.len() > 1, "a renewal was seen");
    });
}
