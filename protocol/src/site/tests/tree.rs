//! Inheritance in the tree of groups, compared with asking each group one by one.

use super::*;

/// A tree with names that sort between a group and its children.
fn tree() -> Site {
    let mut site = bare();
    for (path, inherits) in [
        (r"My Company\A", false),
        (r"My Company\A B", true),
        (r"My Company\A\C", true),
        (r"My Company\A\C\D", false),
        (r"My Company\A\C\D\E", true),
        (r"My Company\A!", true),
    ] {
        site.apply(&add_group(path, inherits), START).unwrap();
    }
    site
}

#[test]
fn the_governed_are_those_whose_owner_it_is() {
    let site = tree();
    let groups = site.groups();
    for (path, owner) in groups.owners() {
        assert_eq!(groups.owner(path).unwrap(), owner);
    }
    for (path, _) in groups.iter() {
        let one_by_one: BTreeSet<&str> =
            groups.iter().map(|(one, _)| one).filter(|one| groups.owner(one).unwrap() == path).collect();
        assert_eq!(groups.governed_by(path).collect::<BTreeSet<_>>(), one_by_one, "{path}");
    }
}

#[test]
fn a_chain_of_groups_and_a_wide_tree_are_published_as_one_group_is() {
    let mut site = bare();
    let mut path = TOP_GROUP.to_owned();
    let mut commands = Vec::new();
    while path.len() < 4090 {
        path.push_str(r"\x");
        commands.push(add_group(&path, true));
    }
    let chain = commands.len();
    commands.extend((0..3000).map(|number| add_group(&format!(r"My Company\wide {number}"), true)));
    site.apply_all(&commands, START).unwrap();
    let effects = site.apply(&secure(TOP_GROUP, false), LATER).unwrap();
    // The top group and the default group exist as well.
    assert!(matches!(&effects[..], [Effect::Published { groups }] if groups.len() == chain + 3002));
    assert!(!published_policy(&site, &path).secure_communications);
    let deeper = add_group(&format!(r"{path}\{}", "y".repeat(100)), true);
    let refused = site.apply(&deeper, LATER).unwrap_err().to_string();
    assert!(refused.contains("a path of at most 4096 bytes"), "{refused}");
}
