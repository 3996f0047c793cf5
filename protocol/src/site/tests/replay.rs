//! A site that is made again from its recorded changes.

use super::*;

/// A change as a log keeps it: commands with the deviations of the clocks, or something else that changes a site.
enum Change {
    Commands(Vec<Command>),
    Clocks(&'static str, i64),
    Assume(fn(&mut Assumptions)),
    DrawOn,
}

/// A history in which every kind of change occurs.
fn history() -> Vec<Change> {
    let one = |command| Change::Commands(vec![command]);
    let name = str::to_owned;
    let reinstall = |from: Option<&str>, database| {
        let from = from.map(str::to_owned);
        Command::Reinstall { keystore: from.clone(), secret: from.clone(), domain: from, database }
    };
    let change = CommunicationChange { heartbeat_seconds: Some(60), ..CommunicationChange::default() };
    let mut all: Vec<Change> = furniture().into_iter().map(one).collect();
    all.extend([
        one(Command::MoveClient { client: "PC".into(), group: OWN.into() }),
        one(generate("A", Stores::Both)),
        Change::Clocks("B", -86_400_000),
        one(generate("B", Stores::Client)),
        Change::Clocks("B", 0),
        one(Command::SetCommunication { group: TOP_GROUP.into(), location: None, change }),
        Change::Commands(vec![secure(OWN, false), edit_servers(at("A")), policy(OWN, "one")]),
        one(Command::AssignPackage { package: "SEP".into(), group: OWN.into() }),
        one(Command::BackUp { recovery: name("before") }),
        one(Command::BackUpAnotherSite { recovery: name("another") }),
        one(Command::BreakReplication { manager: name("B") }),
        one(generate("B", Stores::Both)),
        one(generate("A", Stores::Both)),
        one(secure(OWN, true)),
        one(Command::RestoreReplication { manager: name("B") }),
        Change::DrawOn,
        one(generate("A", Stores::Console)),
        Change::Assume(|assumed| assumed.certificate_validity_days = 30),
        one(Command::RenameGroup { group: INHERITING.into(), name: name("Laptops") }),
        one(Command::RemoveGroup { group: r"My Company\Laptops\Loans".into() }),
        one(add_group(r"My Company\Laptops\Loans", true)),
        one(reinstall(None, true)),
        one(reinstall(Some("before"), false)),
        one(Command::Register(registration(2, Some(OWN)))),
        one(Command::BreakReplication { manager: name("A") }),
        one(policy(OWN, "two")),
        one(generate("A", Stores::Both)),
    ]);
    all
}

/// The site that lived through the history, and the one that is made again from it, at each point of it.
fn twice(look: impl Fn(usize, &Site, Replay)) {
    let mut site = bare();
    let mut replay = Replay::begin(founding(&[("A", "10.0.0.1"), ("B", "10.0.0.2")]), START).unwrap();
    let mut now = START;
    for (number, change) in history().into_iter().enumerate() {
        now = now + Duration::from_millis(700);
        match change {
            Change::Commands(commands) => {
                site.apply_all(&commands, now).unwrap();
                replay.repeat(&commands, site.clocks(), now).unwrap();
            }
            // Recorded with the next commands.
            Change::Clocks(manager, by) => {
                let wrong = (by != 0).then(|| (manager.to_owned(), by));
                site.set_clocks(wrong.into_iter().collect());
                continue;
            }
            Change::Assume(with) => {
                let mut assumed = Assumptions::clone(site.assumptions());
                with(&mut assumed);
                site.assume(Arc::new(assumed.clone()));
                replay.assume(Arc::new(assumed));
            }
            Change::DrawOn => {
                let found = site.managers().next().unwrap().console.certificate().fingerprint();
                site.draw_on_from(found);
                replay.draw_on_from(found);
            }
        }
        look(number, &site, replay.clone());
    }
}

#[test]
fn a_site_that_is_replayed_answers_as_the_one_that_lived_at_every_point_of_its_history() {
    twice(|number, site, replay| {
        let again = replay.finish(site.clients().cloned());
        // A group that was removed stays in the publications of the one that lived, and no client can be in it.
        let groups = |site: &Site, manager: &str| -> BTreeMap<GroupId, PolicySerial> {
            let here: BTreeSet<GroupId> = site.groups().iter().map(|(_, group)| group.id).collect();
            let publication = site.publication(manager).unwrap();
            publication
                .groups()
                .filter(|(id, _)| here.contains(id))
                .map(|(id, one)| (id, one.serial))
                .collect()
        };
        for manager in ["A", "B"] {
            assert_eq!(groups(&again, manager), groups(site, manager), "serials of {manager} after {number}");
            for (path, _) in site
                .groups()
                .iter()
                .filter(|(_, group)| site.publication(manager).unwrap().group(group.id).is_some())
            {
                for artifact in [Artifact::Policy, Artifact::List] {
                    let answers = [site, &again].map(|one| get(one, manager, path, artifact.clone()));
                    assert_eq!(answers[0], answers[1], "{artifact:?} of {path} at {manager} after {number}");
                }
            }
        }
        assert_eq!((again.kcs(), again.domain()), (site.kcs(), site.domain()));
        assert_eq!(again.clients().collect::<Vec<_>>(), site.clients().collect::<Vec<_>>());
    });
}

#[test]
fn a_site_that_is_replayed_goes_on_as_the_one_that_lived() {
    twice(|number, site, replay| {
        let now = LATER + Duration::from_secs(3600);
        let again = || replay.clone().finish(site.clients().cloned());
        for next in [
            generate("B", Stores::Both),
            secure(TOP_GROUP, false),
            add_group(r"My Company\New", true),
            Command::RestoreReplication { manager: "A".into() },
            Command::Reinstall { keystore: None, secret: None, domain: None, database: true },
        ] {
            let [mut one, mut other] = [site.clone(), again()];
            one.apply(&next, now).unwrap();
            other.apply(&next, now).unwrap();
            let groups = |site: &Site| {
                let group = |(path, group): (&str, &Group)| (path.to_owned(), group.id, group.changed);
                site.groups().iter().map(group).collect::<Vec<_>>()
            };
            assert_eq!(groups(&one), groups(&other), "{next:?} after {number}");
            let shown = |site: &Site| site.managers().map(|one| one.client.clone()).collect::<Vec<_>>();
            assert_eq!(shown(&one), shown(&other), "{next:?} after {number}");
            assert_eq!(one.kcs(), other.kcs(), "{next:?} after {number}");
        }
    });
}

#[test]
fn a_site_that_was_put_back_in_its_history_repeats_no_key_after_a_replay() {
    let begin = || Replay::begin(founding(&[("A", "10.0.0.1"), ("B", "10.0.0.2")]), START).unwrap();
    let update = [generate("A", Stores::Both)];
    let mut site = bare();
    let earlier = site.clone();
    site.apply(&update[0], LATER).unwrap();
    let mut back = earlier;
    back.draw_after(&site);
    back.apply(&update[0], LATER).unwrap();

    let (mut replay, kept) = (begin(), begin());
    replay.repeat(&update, &BTreeMap::new(), LATER).unwrap();
    let drawn = replay.drawn();
    replay.restore(kept, None, drawn);
    replay.repeat(&update, &BTreeMap::new(), LATER).unwrap();
    assert!(replay.finish([]).publishes_as(&back));
    assert!(!begin().finish([]).publishes_as(&back));
}
