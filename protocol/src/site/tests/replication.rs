//! Replication stopped and restored: what each manager publishes meanwhile, and after.

use super::*;

fn broken(manager: &str) -> Command {
    Command::BreakReplication { manager: manager.into() }
}

fn restored(manager: &str) -> Command {
    Command::RestoreReplication { manager: manager.into() }
}

/// The serial of a group's policy that a manager publishes, and the policy.
fn shown_by(site: &Site, manager: &str, group: &str) -> (PolicySerial, PolicyDocument) {
    let id = site.groups().find(group).unwrap().id;
    let serial = site.publication(manager).unwrap().group(id).unwrap().serial;
    (serial, PolicyDocument::parse(&get(site, manager, group, Artifact::Policy).body).unwrap())
}

/// The certificates in a manager's list for the top group.
fn published_by(site: &Site, manager: &str) -> BTreeMap<String, Bytes> {
    let body = get(site, manager, TOP_GROUP, Artifact::List).body;
    let list = PublishedList::parse(std::str::from_utf8(&body).unwrap()).unwrap();
    list.group.certificates.into_iter().map(|one| (one.name, one.der)).collect()
}

fn shown(site: &Site, manager: &str) -> ServerCertificate {
    site.managers().find(|one| one.name == manager).unwrap().client.certificate().clone()
}

#[test]
fn a_policy_reaches_the_manager_apart_when_replication_is_restored() {
    let mut site = furnished();
    let before = shown_by(&site, "B", OWN);
    assert!(site.apply(&broken("B"), START).unwrap().is_empty());
    site.apply(&secure(OWN, false), LATER).unwrap();
    site.apply(&edit_servers(at("A")), LATER).unwrap();
    assert!(!shown_by(&site, "A", OWN).1.secure_communications);
    assert_eq!(shown_by(&site, "B", OWN), before);

    let effects = site.apply(&restored("B"), LATER).unwrap();
    assert!(
        matches!(&effects[..], [Effect::Published { groups }] if groups.len() == site.groups().iter().count())
    );
    let [a, b] = ["A", "B"].map(|manager| shown_by(&site, manager, OWN));
    assert_eq!(a, b);
    assert!(b.0 > before.0);
}

#[test]
fn a_certificate_of_the_manager_apart_is_published_by_itself_alone() {
    let mut site = furnished();
    let old = ["A", "B"].map(|manager| shown(&site, manager));
    site.apply(&broken("B"), START).unwrap();
    let effects = site.apply(&generate("B", Stores::Both), LATER).unwrap();
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Published { .. })));
    let new = shown(&site, "B");
    assert_ne!(new, old[1]);
    assert_eq!(site.publication("B").unwrap().identity.certificate(), &new);
    assert_eq!(published_by(&site, "B")["B"], new.der());
    assert_eq!(published_by(&site, "A")["B"], old[1].der(), "A has not heard of it");
    assert!(signed_by(&get(&site, "B", OWN, Artifact::Policy), &new));
    assert!(shown_by(&site, "B", OWN).0 > shown_by(&site, "A", OWN).0);

    // B does not learn of changes of A either, whatever else is published.
    site.apply(&generate("A", Stores::Both), LATER).unwrap();
    site.apply(&generate("B", Stores::Both), LATER).unwrap();
    assert_eq!(published_by(&site, "B")["A"], old[0].der());
    let apart = shown_by(&site, "B", OWN).0;
    site.apply(&restored("B"), LATER).unwrap();
    let all: BTreeMap<String, Bytes> = ["A", "B"]
        .map(|manager| (manager.to_owned(), Bytes::copy_from_slice(shown(&site, manager).der())))
        .into();
    assert_eq!(["A", "B"].map(|manager| published_by(&site, manager)), [all.clone(), all]);
    assert!(shown_by(&site, "A", OWN).0 > apart, "newer than all that B had published by itself");
}

#[test]
fn partners_are_the_managers_that_replicate_and_repeating_a_command_changes_nothing() {
    let mut site = bare();
    let names = |site: &Site, of| site.partners(of).map(|one| one.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&site, "A"), ["B"]);
    let before = everything(&site);
    site.apply(&restored("A"), LATER).unwrap();
    site.apply(&broken("B"), START).unwrap();
    site.apply(&broken("B"), LATER).unwrap();
    assert_eq!(everything(&site), before);
    assert_eq!(site.replication_stopped_since("B"), Some(START));
    assert!(names(&site, "A").is_empty() && names(&site, "B").is_empty());
    assert!(matches!(site.apply(&broken("C"), LATER), Err(CommandError::Unknown { kind: "manager", .. })));
    let mut alone = Site::found(founding(&[("A", "10.0.0.1")]), START).unwrap();
    assert!(matches!(alone.apply(&broken("A"), LATER), Err(CommandError::Invalid { .. })));
}

#[test]
fn managers_that_are_installed_anew_replicate() {
    let mut site = bare();
    site.apply(&Command::BackUp { recovery: "kept".into() }, START).unwrap();
    site.apply(&broken("B"), START).unwrap();
    site.apply(&secure(TOP_GROUP, false), START).unwrap();
    let keystore = Some("kept".to_owned());
    let again = Command::Reinstall { keystore, secret: None, domain: None, database: true };
    site.apply(&again, LATER).unwrap();
    assert_eq!(site.replication_stopped_since("B"), None);
    assert!(!shown_by(&site, "B", TOP_GROUP).1.secure_communications);
}
