//! Several commands at once: published once, or not at all.

use super::*;

fn generation(site: &Site) -> u64 {
    let manager = site.managers().next().unwrap().name.clone();
    site.publication(&manager).unwrap().generation
}

#[test]
fn commands_that_are_given_together_are_published_once_and_come_to_the_same() {
    let commands = [
        add_group(r"My Company\A", false),
        Command::SetSecureCommunications { group: r"My Company\A".into(), on: false },
        add_group(r"My Company\A\B", true),
        Command::RenameGroup { group: r"My Company\A".into(), name: "C".into() },
    ];
    let mut together = furnished();
    let mut apart = together.clone();
    let before = generation(&together);
    let effects = together.apply_all(&commands, LATER).unwrap();
    assert_eq!(generation(&together), before + 1);
    assert_eq!(effects.iter().filter(|one| matches!(one, Effect::Published { .. })).count(), 1);
    for command in &commands {
        apart.apply(command, LATER).unwrap();
    }
    assert_eq!(generation(&apart), before + 4);
    let set = |site: &Site| -> Vec<_> {
        site.groups()
            .iter()
            .map(|(path, one)| (path.to_owned(), one.id, one.inherits, one.own.clone()))
            .collect()
    };
    assert_eq!(set(&together), set(&apart));
    let changed = together.groups().find(r"My Company\C\B").unwrap().changed;
    assert_eq!(changed, LATER, "one change, one moment");
}

#[test]
fn if_one_of_several_commands_is_refused_nothing_has_changed() {
    let mut site = furnished();
    let before = site.clone();
    let commands = [add_group(r"My Company\A", true), add_group(r"Nowhere\B", true)];
    site.apply_all(&commands, LATER).unwrap_err();
    assert!(site.publishes_as(&before));
    assert_eq!(generation(&site), generation(&before));
    assert!(site.groups().find(r"My Company\A").is_err());
}
