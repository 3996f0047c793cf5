//! Disaster recovery by hand: what comes from which recovery file, what is new, and each refusal.

use super::*;

const OURS: &str = "before the flood";
const THEIRS: &str = "of the neighbours";

/// A furnished site with two recovery files, its own and that of another site.
fn insured() -> Site {
    let mut site = furnished();
    site.apply(&Command::BackUp { recovery: OURS.into() }, START).unwrap();
    site.apply(&Command::BackUpAnotherSite { recovery: THEIRS.into() }, START).unwrap();
    site
}

fn reinstall(keystore: Option<&str>, secret: Option<&str>, domain: Option<&str>, database: bool) -> Command {
    let [keystore, secret, domain] = [keystore, secret, domain].map(|name| name.map(str::to_owned));
    Command::Reinstall { keystore, secret, domain, database }
}

/// Everything by which clients judge a site: the certificates of its managers, its secret, and its domain.
fn trusted(site: &Site) -> (Vec<ServerCertificate>, String, DomainId) {
    let certificates = site.managers().map(|one| one.client.certificate().clone()).collect();
    (certificates, site.kcs().to_string(), site.domain())
}

fn served(effects: &[Effect]) -> Vec<&str> {
    let served = effects.iter().filter_map(|one| match one {
        Effect::CertificateServed { manager, .. } => Some(manager.as_str()),
        _ => None,
    });
    served.collect()
}

#[test]
fn with_the_right_recovery_file_all_is_as_it_was_but_for_the_serials() {
    let mut site = insured();
    let before = (trusted(&site), serials(&site), site.clients.clone());
    let effects = site.apply(&reinstall(Some(OURS), Some(OURS), Some(OURS), true), LATER).unwrap();
    let groups = site.groups().iter().map(|(_, group)| group.id).collect();
    assert_eq!(effects, [Effect::Published { groups }, Effect::ServicesRestarted]);
    assert_eq!((trusted(&site), site.clients.clone()), (before.0, before.2));
    assert!(serials(&site).iter().all(|(path, serial)| *serial > before.1[path]));
}

#[test]
fn what_comes_from_no_recovery_file_is_new_each_time() {
    let mut site = insured();
    let mut seen = vec![trusted(&site)];
    for _ in 0..3 {
        let effects = site.apply(&reinstall(None, None, None, true), LATER).unwrap();
        assert_eq!(served(&effects), ["A", "B"]);
        let now = trusted(&site);
        for before in &seen {
            assert!(now.0.iter().all(|certificate| !before.0.contains(certificate)));
            assert!(now.1 != before.1 && now.2 != before.2);
        }
        seen.push(now);
    }
    let site = site.clone();
    let (mut once, mut again) = (site.clone(), site);
    for site in [&mut once, &mut again] {
        site.apply(&reinstall(None, None, None, false), LATER).unwrap();
    }
    assert_eq!(everything(&once), everything(&again), "it is derived, not drawn");
}

#[test]
fn each_of_the_three_comes_from_the_recovery_file_that_is_named_for_it() {
    let insured = insured();
    let ours = trusted(&insured);
    let theirs = {
        let mut site = insured.clone();
        site.apply(&reinstall(Some(THEIRS), Some(THEIRS), Some(THEIRS), true), LATER).unwrap();
        trusted(&site)
    };
    assert!(ours.0.iter().all(|one| !theirs.0.contains(one)) && ours.1 != theirs.1 && ours.2 != theirs.2);
    for (from, expected) in [(OURS, &ours), (THEIRS, &theirs)] {
        let restored = |keystore, secret, domain| {
            let mut site = insured.clone();
            let effects = site.apply(&reinstall(keystore, secret, domain, true), LATER).unwrap();
            assert_eq!(effects.last(), Some(&Effect::ServicesRestarted));
            trusted(&site)
        };
        let keystore = restored(Some(from), None, None);
        assert!(keystore.0 == expected.0 && keystore.1 != expected.1 && keystore.2 != expected.2);
        let secret = restored(None, Some(from), None);
        assert!(secret.0 != expected.0 && secret.1 == expected.1 && secret.2 != expected.2);
        let domain = restored(None, None, Some(from));
        assert!(domain.0 != expected.0 && domain.1 != expected.1 && domain.2 == expected.2);
    }
}

#[test]
fn a_recovery_file_of_another_site_follows_from_the_seed_and_its_name() {
    let theirs = |name: &str| {
        let mut site = furnished();
        site.apply(&Command::BackUpAnotherSite { recovery: name.into() }, START).unwrap();
        site.apply(&reinstall(None, Some(name), Some(name), true), LATER).unwrap();
        (site.kcs().to_string(), site.domain())
    };
    assert_eq!(theirs(THEIRS), theirs(THEIRS));
    assert_ne!(theirs(THEIRS), theirs("of others"));
}

#[test]
fn both_stores_come_back_as_they_were_kept_not_as_they_are() {
    let mut site = furnished();
    site.apply(&generate("A", Stores::Client), START).unwrap();
    let kept = site.managers["A"].clone();
    site.apply(&Command::BackUp { recovery: OURS.into() }, START).unwrap();
    site.apply(&generate("A", Stores::Both), LATER).unwrap();
    let effects = site.apply(&reinstall(Some(OURS), Some(OURS), Some(OURS), true), LATER).unwrap();
    assert_eq!(served(&effects), ["A"], "the certificate of B has not changed");
    let restored = &site.managers["A"];
    assert_eq!((&restored.console, &restored.client), (&kept.console, &kept.client));
    assert_ne!(restored.console, restored.client);
    assert!(signed_by(&get(&site, "A", OWN, Artifact::Policy), kept.console.certificate()));
}

#[test]
fn all_that_is_published_carries_the_new_certificates_the_secret_and_the_domain() {
    let mut site = insured();
    let effects = site.apply(&reinstall(None, None, None, true), LATER).unwrap();
    assert!(
        matches!(&effects[0], Effect::Published { groups } if groups.len() == site.groups().iter().count())
    );
    for manager in site.managers() {
        let publication = site.publication(&manager.name).unwrap();
        assert_eq!(publication.identity, manager.client);
        assert_eq!(
            (publication.kcs.to_string(), publication.domain),
            (site.kcs().to_string(), site.domain())
        );
        for artifact in [Artifact::Policy, Artifact::List, Artifact::Package("SEP".into())] {
            let response = get(&site, &manager.name, BELOW, artifact);
            assert!(signed_by(&response, manager.client.certificate()));
        }
    }
    let list = published_list(&site, OWN);
    assert_eq!((list.domain_id, &list.group.settings.kcs_hex), (site.domain(), &site.kcs().to_string()));
    assert_eq!(list.group.certificates[0].der, site.managers["A"].client.certificate().der());
}

#[test]
fn without_the_database_no_client_is_registered_and_every_client_registers_anew() {
    let mut site = insured();
    site.apply(&Command::MoveClient { client: client(1).into(), group: OWN.into() }, START).unwrap();
    let (groups, lists) = (site.groups.clone(), site.lists.clone());
    let effects = site.apply(&reinstall(Some(OURS), Some(OURS), Some(OURS), false), LATER).unwrap();
    assert_eq!(effects[1..], [Effect::ClientsForgotten, Effect::ServicesRestarted]);
    assert_eq!(site.clients().count(), 0);
    let paths =
        |groups: &Groups| groups.iter().map(|(path, one)| (path.to_owned(), one.own.clone())).collect();
    let (before, after): (Vec<_>, Vec<_>) = (paths(&groups), paths(&site.groups));
    assert_eq!((before, lists), (after, site.lists.clone()), "groups and lists are set up again by hand");

    let ask = |request: &AgentRequest| match site.publication("A").unwrap().answer(request, None).0 {
        Answer::Now(response) => response.status,
        Answer::WhenChanged => panic!("held"),
    };
    assert_eq!(ask(&AgentRequest::Index { agent: client(1), serial: None, turn: 0 }), 401, "it is unknown");
    assert_eq!(ask(&AgentRequest::Register(registration(1, None))), 200, "and can register");
    site.apply(&Command::Register(registration(1, None)), LATER).unwrap();
    assert_eq!(site.client(client(1)).unwrap().group, site.groups.find(DEFAULT_GROUP).unwrap().id);
}

#[test]
fn in_a_new_domain_a_client_of_the_old_one_cannot_register() {
    let mut site = insured();
    site.apply(&reinstall(Some(OURS), Some(OURS), None, false), LATER).unwrap();
    let request = AgentRequest::Register(registration(1, None));
    let (answer, visit) = site.publication("A").unwrap().answer(&request, None);
    assert!(matches!(answer, Answer::Now(response) if response.status == 401));
    assert_eq!(visit, Visit::Anonymous);
}

#[test]
fn every_refusal_of_a_recovery_names_its_reason_and_changes_nothing() {
    let back_up = |recovery: &str| Command::BackUp { recovery: recovery.into() };
    let another = |recovery: &str| Command::BackUpAnotherSite { recovery: recovery.into() };
    let slip = "before the blood";
    let hint = "there is no recovery file \"before the blood\"; did you mean \"before the flood\"?";
    let refused = [
        (back_up(OURS), "a recovery file \"before the flood\" exists already"),
        (another(OURS), "exists already"),
        (back_up(""), "recovery is"),
        (another("a\u{1}b"), "without control characters"),
        (reinstall(Some(slip), None, None, true), hint),
        (reinstall(None, Some(slip), None, false), hint),
        (reinstall(None, None, Some(slip), false), hint),
        (reinstall(Some(OURS), Some("x"), Some(OURS), false), "there is no recovery file \"x\""),
    ];
    let mut site = insured();
    let before = everything(&site);
    for (command, reason) in refused {
        let error = site.apply(&command, LATER).expect_err(&format!("{command:?}"));
        assert!(error.to_string().contains(reason), "{command:?}: {error}");
        assert_eq!(everything(&site), before, "{command:?}");
    }
    // If no certificate can be made, no key is used up.
    let never = Timestamp::NEVER;
    for command in [another("late"), reinstall(None, Some(OURS), None, false)] {
        assert!(matches!(site.apply(&command, never), Err(CommandError::Issue(_))), "{command:?}");
        assert_eq!(everything(&site), before, "{command:?}");
    }
}

#[test]
fn no_secret_shows_in_the_debug_text_of_a_recovery() {
    let site = insured();
    assert!(!format!("{:?}", site.recoveries).contains(&site.kcs.to_string()));
}

#[test]
fn the_commands_of_a_recovery_are_read_in_the_words_of_a_scenario() {
    let read = |text: &str| serde_json::from_str::<Command>(text);
    let ours = r#"{"back-up": {"recovery": "before the flood"}}"#;
    assert_eq!(read(ours).unwrap(), Command::BackUp { recovery: OURS.into() });
    let theirs = r#"{"back-up-another-site": {"recovery": "of the neighbours"}}"#;
    assert_eq!(read(theirs).unwrap(), Command::BackUpAnotherSite { recovery: THEIRS.into() });
    assert_eq!(read(r#"{"reinstall": {}}"#).unwrap(), reinstall(None, None, None, true));
    let without = r#"{"reinstall": {"keystore": "before the flood", "database": false}}"#;
    assert_eq!(read(without).unwrap(), reinstall(Some(OURS), None, None, false));
    assert!(read(r#"{"reinstall": {"key-store": "x"}}"#).is_err());
}
