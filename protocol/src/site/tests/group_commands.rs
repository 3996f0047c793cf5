//! Groups, locations and clients are renamed, described and removed.

use super::*;

fn rename(group: &str, name: &str) -> Command {
    Command::RenameGroup { group: group.into(), name: name.into() }
}

fn ids(site: &Site) -> Vec<GroupId> {
    site.groups().iter().map(|(_, group)| group.id).collect()
}

#[test]
fn a_renamed_group_takes_its_children_along_and_all_of_them_are_published_anew() {
    let mut site = furnished();
    let (id, before) = (site.groups().find(BELOW).unwrap().id, site.groups().find(BELOW).unwrap().changed);
    let effects = site.apply(&rename(INHERITING, "Laptops"), LATER).unwrap();
    let below = site.groups().find(r"My Company\Laptops\Loans").unwrap();
    assert_eq!(below.id, id);
    assert!(below.changed > before);
    assert!(
        matches!(&effects[..], [Effect::Published { groups }] if groups.len() == 2 && groups.contains(&id))
    );
    assert!(site.groups().find(INHERITING).is_err() && site.groups().find(BELOW).is_err());
    // The old name is free for another group.
    site.apply(&add_group(INHERITING, true), LATER).unwrap();
    let mut all = ids(&site);
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn a_group_with_a_longer_name_is_not_taken_for_a_child() {
    let mut site = furnished();
    site.apply(&add_group(r"My Company\Desktops 2", true), START).unwrap();
    site.apply(&rename(INHERITING, "Laptops"), LATER).unwrap();
    assert!(site.groups().find(r"My Company\Desktops 2").is_ok());
}

#[test]
fn what_cannot_be_renamed_or_removed_says_so_and_stays() {
    let site = furnished();
    let fixed = |group: &str| CommandError::Fixed { kind: "group", name: group.into() };
    let remove = |group: &str| Command::RemoveGroup { group: group.into() };
    let cases = [
        (rename(TOP_GROUP, "Ours"), fixed(TOP_GROUP)),
        (rename(DEFAULT_GROUP, "Ours"), fixed(DEFAULT_GROUP)),
        (rename(OWN, "Desktops"), CommandError::NameTaken { kind: "group", name: INHERITING.into() }),
        (remove(TOP_GROUP), fixed(TOP_GROUP)),
        (remove(DEFAULT_GROUP), fixed(DEFAULT_GROUP)),
        (remove(INHERITING), CommandError::NotEmpty { group: INHERITING.into(), holds: "groups" }),
    ];
    for (command, error) in cases {
        let mut after = site.clone();
        assert_eq!(after.apply(&command, LATER), Err(error), "{command:?}");
        assert!(after.publishes_as(&site));
    }
    let mut after = site;
    assert!(after.apply(&rename(OWN, r"a\b"), LATER).is_err());
    assert!(after.apply(&rename(OWN, ""), LATER).is_err());
    assert!(after.apply(&rename(OWN, &"x".repeat(5000)), LATER).is_err());
    let agent = after.clients().next().unwrap().agent;
    after.apply(&Command::MoveClient { client: agent.into(), group: BELOW.into() }, LATER).unwrap();
    let error = after.apply(&remove(BELOW), LATER).unwrap_err();
    assert_eq!(error, CommandError::NotEmpty { group: BELOW.into(), holds: "clients" });
}

#[test]
fn a_group_that_is_founded_again_is_another_one() {
    let mut site = furnished();
    let first = site.groups().find(BELOW).unwrap().id;
    site.apply(&Command::RemoveGroup { group: BELOW.into() }, LATER).unwrap();
    site.apply(&add_group(BELOW, true), LATER).unwrap();
    assert_ne!(site.groups().find(BELOW).unwrap().id, first);
}

#[test]
fn a_description_is_kept_and_concerns_no_client() {
    let mut site = furnished();
    let describe = |text: &str| Command::DescribeGroup { group: OWN.into(), description: Some(text.into()) };
    assert_eq!(site.apply(&describe("of the halls"), LATER), Ok(vec![]));
    assert_eq!(site.groups().find(OWN).unwrap().description.as_deref(), Some("of the halls"));
    assert!(site.apply(&describe(&"x".repeat(1025)), LATER).is_err());
}

#[test]
fn a_renamed_location_keeps_its_settings_and_frees_its_name() {
    let mut site = furnished();
    let rename = |from: &str, to: &str| Command::RenameLocation {
        group: OWN.into(),
        location: from.into(),
        name: to.into(),
    };
    let before = site.groups().find(OWN).unwrap().own.locations["Office"].clone();
    site.apply(&rename("Office", "Hall"), LATER).unwrap();
    assert_eq!(site.groups().find(OWN).unwrap().own.locations["Hall"], before);
    site.apply(&Command::AddLocation { group: OWN.into(), location: "Office".into() }, LATER).unwrap();
    assert_ne!(site.groups().find(OWN).unwrap().own.locations["Office"].id, before.id);
    assert!(matches!(site.apply(&rename("Office", "Hall"), LATER), Err(CommandError::NameTaken { .. })));
    assert!(matches!(site.apply(&rename("Default", "Home"), LATER), Err(CommandError::Fixed { .. })));
}

#[test]
fn a_removed_client_is_unknown_until_it_registers_again() {
    let mut site = furnished();
    let agent = site.clients().next().unwrap().agent;
    let remove = Command::RemoveClient { agent };
    assert_eq!(site.apply(&remove, LATER), Ok(vec![Effect::ClientRemoved { agent }]));
    assert!(site.client(agent).is_none());
    assert!(matches!(site.apply(&remove, LATER), Err(CommandError::Unknown { kind: "client", .. })));
    site.apply(&Command::Register(registration(1, None)), LATER).unwrap();
    assert!(site.client(agent).is_some());
}

#[test]
fn a_client_is_moved_by_its_name_or_its_identifier_and_by_a_name_that_several_have_not_at_all() {
    let mut site = furnished();
    let (agent, name) = site.clients().next().map(|one| (one.agent, one.computer_name.clone())).unwrap();
    let moved = |key: &str| -> Command {
        let text = format!(r#"{{ "move-client": {{ "client": "{key}", "group": {OWN:?} }} }}"#);
        serde_json::from_str(&text).unwrap()
    };
    for key in [name.to_uppercase(), agent.to_string()] {
        let mut site = site.clone();
        site.apply(&moved(&key), LATER).unwrap();
        assert_eq!(site.client(agent).unwrap().group, site.groups().find(OWN).unwrap().id, "{key}");
    }
    // A recorded command keeps its meaning.
    let recorded = format!(r#"{{ "move-client": {{ "agent": "{agent}", "group": {OWN:?} }} }}"#);
    assert_eq!(serde_json::from_str::<Command>(&recorded).unwrap(), moved(&agent.to_string()));
    let error = site.apply(&moved(&format!("{name}x")), LATER).unwrap_err().to_string();
    assert!(error.contains("there is no registered client"), "{error}");
    let twin = Registration { computer_name: name.clone(), ..registration(9, None) };
    site.apply(&Command::Register(twin), LATER).unwrap();
    let error = site.apply(&moved(&name), LATER).unwrap_err().to_string();
    assert!(error.contains("several"), "{error}");
}
