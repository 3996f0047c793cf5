//! Random plans: any commands in any order, any waits, any fleet, most assumptions.
//!
//! A plan is generated as the document of a scenario file, so that a failing one can be kept as a scenario.

use epm_protocol::site::{Command, Site};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Map, Value, json};

use crate::scenario::Scenario;

/// A scenario, and the document that it was read from.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) text: String,
    pub(super) scenario: Scenario,
}

/// A failing run prints the scenario as a file, with its seed.
impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\n{}", self.text)
    }
}

const OWN: &str = "My Company\\Own";
const GROUPS: [&str; 5] =
    ["My Company", "My Company\\Default Group", "My Company\\Heir", OWN, "My Company\\Own\\Heir"];
const LISTS: [&str; 4] = ["Default Management Server List for S", "plain", "one", "two"];
const MANAGERS: [&str; 3] = ["a", "b", "c"];
/// The locations that the setup adds, one of them with settings of its own.
const LOCATIONS: [&str; 2] = ["Home", "Branch"];
const HEARTBEATS: [u32; 6] = [900, 3600, 5400, 7200, 14_400, 20_011];

/// Generates any plan, without the commands that its site refuses.
pub(super) fn plan() -> impl Strategy<Value = Plan> {
    let fleet = (1..=5_usize).prop_flat_map(|parts| (0..parts).map(part).collect::<Vec<_>>());
    let steps = prop::collection::vec(step(), 1..6);
    (1..=3_usize, any::<u32>(), assumptions(), prop::collection::vec(command(), 0..3), fleet, steps, start())
        .prop_map(|(managers, seed, assumptions, setup, fleet, steps, start)| {
            let document = json!({
                "title": "A drawn plan",
                "seed": seed,
                "clock": { "start": start },
                "assumptions": assumptions,
                "site": {
                    "name": "S",
                    "managers": MANAGERS[..managers].iter().map(|name| json!({ "name": name })).collect::<Value>(),
                    "setup": foundations().into_iter().chain(setup).collect::<Value>(),
                },
                "fleet": fleet,
                "step": steps,
            });
            accepted(document)
        })
}

/// What every plan starts with: groups that inherit and that do not, locations, a list that speaks HTTP.
fn foundations() -> Vec<Value> {
    vec![
        json!({ "set-communication": { "group": GROUPS[0], "change": { "heartbeat_seconds": 7200 } } }),
        json!({ "add-group": { "group": GROUPS[2] } }),
        json!({ "add-group": { "group": OWN, "inherits": false } }),
        json!({ "add-group": { "group": GROUPS[4] } }),
        json!({ "add-location": { "group": OWN, "location": LOCATIONS[0] } }),
        json!({ "add-location": { "group": OWN, "location": LOCATIONS[1] } }),
        json!({ "copy-list": { "from": LISTS[0], "to": LISTS[1] } }),
        json!({ "edit-list": { "list": LISTS[1], "protocol": "http" } }),
        json!({ "set-communication": { "group": OWN, "location": LOCATIONS[0],
            "change": { "mode": "push", "heartbeat_seconds": 14_400 } } }),
    ]
}

/// Removes the commands that the site refuses from a document.
fn accepted(mut document: Value) -> Plan {
    let read = |document: &Value| {
        let text = toml::to_string(document).unwrap();
        let scenario = Scenario::parse(&text, "drawn.toml").unwrap_or_else(|error| panic!("{error}\n{text}"));
        Plan { text, scenario }
    };
    let Plan { scenario, .. } = read(&document);
    let start = scenario.rehearsal_start();
    let mut site = Site::found(scenario.founding(scenario.supposed_places()), start).unwrap();
    let mut left = foundations().len();
    let mut take = |commands: &mut Value| {
        commands.as_array_mut().unwrap().retain(|command| {
            let is_founded = left == 0;
            left = left.saturating_sub(1);
            let command: Command = serde_json::from_value(command.clone()).unwrap();
            let mut tried = site.clone();
            let is_taken = tried.apply(&command, start).is_ok()
                && (!is_founded
                    || scenario.fleet.iter().all(|part| can_be_installed(&tried, part.get_ref())));
            if is_taken {
                site = tried;
            }
            is_taken
        });
    };
    take(&mut document["site"]["setup"]);
    for step in document["step"].as_array_mut().unwrap() {
        take(&mut step["operator"]);
    }
    let plan = read(&document);
    plan.scenario.check("drawn.toml", &plan.text).unwrap_or_else(|error| panic!("{error}\n{}", plan.text));
    plan
}

fn can_be_installed(site: &Site, part: &crate::scenario::PartPlan) -> bool {
    [part.location.as_deref(), part.presence.away_location()]
        .iter()
        .all(|location| site.export_sylink(&part.group, *location).is_ok())
}

fn start() -> impl Strategy<Value = &'static str> {
    // An odd millisecond, a whole hour in winter, a Friday before the clocks change, and the evening before a holiday.
    select(vec![
        "2026-01-05T08:13:17.345Z",
        "2026-01-05T08:00:00Z",
        "2026-03-27T15:59:59.999Z",
        "2026-12-23T18:30:00Z",
    ])
}

fn assumptions() -> impl Strategy<Value = Value> {
    (
        (
            select(vec!["drawn", "in-order"]),
            select(vec!["all", "one"]),
            select(vec!["learns-only-the-sending-manager", "stops-at-an-untrusted-server", "as-others"]),
            select(vec!["policy-then-list", "list-then-policy"]),
            0..=20_u8,
        ),
        (
            select(vec!["checked", "checked", "ignored"]),
            select(vec![3_u32, 9, 3650, 3650]),
            any::<bool>(),
            any::<bool>(),
            select(vec!["console", "client"]),
        ),
        (prop::bool::weighted(0.8), select(vec!["ignored", "ignored", "checked"]), any::<bool>()),
    )
        .prop_map(|(one, two, three)| {
            json!({
                "load_balance": one.0,
                "servers_per_beat": one.1,
                "module_14_2": one.2,
                "adoption_order": one.3,
                "heartbeat_jitter_percent": one.4,
                "certificate_dates": two.0,
                "certificate_validity_days": two.1,
                "switch_off_still_checks_tls": two.2,
                "update_ends_connections": two.3,
                "signing_store": two.4,
                "secure_communications_by_default": three.0,
                "certificate_names": three.1,
                "new_interval_keeps_phase": three.2,
            })
        })
}

fn part(number: usize) -> BoxedStrategy<Value> {
    let homes: Vec<(&str, Option<&str>)> = GROUPS
        .into_iter()
        .map(|group| (group, None))
        .chain(LOCATIONS.map(|location| (OWN, Some(location))))
        .chain([(GROUPS[4], Some(LOCATIONS[0]))])
        .collect();
    let versions = vec!["12.1.7004", "14.0.1904", "14.2.5323", "14.3.8289", "14.3.8289"];
    let events = (rarely(between(20)), rarely(fate()), rarely(fate()));
    (1..=3_u32, select(homes), select(versions), any::<bool>(), presence(), events)
        .prop_map(move |(count, (group, location), version, stays, (presence, more), events)| {
            let mut part = Map::new();
            part.extend(more);
            for (key, value) in [
                ("name", json!(format!("p{number}"))),
                ("count", json!(count)),
                // Only this group has the locations of travelling laptops.
                ("group", json!(if presence["laptop"].is_object() { OWN } else { group })),
                ("version", json!(version)),
                ("use_last_server", json!(stays)),
            ] {
                part.insert(key.to_owned(), value);
            }
            let location = location.filter(|_| !presence["laptop"].is_object());
            let (arrives, leaves, reimaged) = &events;
            let optional = [
                ("location", location.map(|name| json!(name))),
                ("arrives", arrives.as_ref().map(|between| json!({ "between": between }))),
                ("leaves", leaves.clone()),
                ("reimaged", reimaged.clone()),
            ];
            part.insert("presence".to_owned(), presence);
            part.extend(optional.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
            Value::Object(part)
        })
        .boxed()
}

/// A presence, and the other keys that the part then needs.
fn presence() -> impl Strategy<Value = (Value, Map<String, Value>)> {
    let zones = || select(vec!["Europe/Berlin", "America/New_York", "Asia/Kolkata"]);
    let hours = || (zones(), select(vec!["mon-fri", "mon-sun", "tue,thu"]), select(vec!["0s", "10m", "45m"]));
    let days_off = || (rarely(1..=10_u32), any::<bool>());
    let off = |(holidays, closed): (Option<u32>, bool)| {
        let mut keys = Map::new();
        if let Some(most) = holidays {
            keys.insert("holidays".to_owned(), json!({ "share": 80, "days": [1, most] }));
        }
        if closed {
            keys.insert("closed".to_owned(), json!(["2026-01-06", "2026-03-30", "2026-12-25"]));
        }
        keys
    };
    prop_oneof![
        3 => Just((json!("always"), Map::new())),
        2 => (hours(), days_off()).prop_map(move |((zone, days, spread), free)| {
            let office = json!({ "zone": zone, "from": "08:00", "to": "17:00", "days": days, "spread": spread });
            (json!({ "office": office }), off(free))
        }),
        2 => (hours(), days_off(), 20..=100_u32).prop_map(move |((zone, days, spread), free, share)| {
            let laptop = json!({
                "zone": zone, "from": "09:30", "to": "18:30", "days": days, "spread": spread,
                "day_share": share, "away_share": 50, "away_location": LOCATIONS[0],
            });
            (json!({ "laptop": laptop }), off(free))
        }),
        1 => select(vec![("6h", "3d"), ("1d", "9d")]).prop_map(|(on, every)| {
            (json!({ "mostly-off": { "on": on, "every": every } }), Map::new())
        }),
    ]
}

fn fate() -> impl Strategy<Value = Value> {
    (30..=100_u32, between(15)).prop_map(|(share, between)| json!({ "share": share, "between": between }))
}

/// A range of days, as in a scenario.
fn between(most: u32) -> impl Strategy<Value = [String; 2]> {
    (0..most, 0..most)
        .prop_map(|(one, other)| [one.min(other), one.max(other)].map(|days| format!("{days}d")))
}

fn rarely<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.25, value)
}

fn step() -> impl Strategy<Value = Value> {
    let fleet = prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::vec(action(), 1..4),
    ];
    let operator = prop_oneof![1 => Just(Vec::new()), 5 => prop::collection::vec(command(), 1..6)];
    (fleet, operator, wait()).prop_map(|(fleet, operator, wait)| {
        let mut step = json!({ "title": "step", "fleet": fleet, "operator": operator });
        if !wait.is_null() {
            step["wait"] = wait;
        }
        step
    })
}

fn action() -> impl Strategy<Value = Value> {
    // Only the first part always exists.
    prop_oneof![
        Just(json!({ "switch-off": "p0" })),
        Just(json!({ "switch-on": "p0" })),
        Just(json!({ "switch-off": "p0-1" })),
        Just(json!({ "switch-on": "p0-1" })),
        Just(json!({ "move": { "part": "p0" } })),
        select(LOCATIONS.to_vec()).prop_map(|to| json!({ "move": { "part": "p0", "location": to } })),
        file().prop_map(|from| json!({ "import-sylink": { "part": "p0", "from": from } })),
    ]
}

/// A communications file: a new export, or that of the installation; some are edited.
fn file() -> impl Strategy<Value = Value> {
    let group = prop::option::weighted(0.8, select(GROUPS.to_vec()));
    let edits = vec![
        json!({ "kcs": "00112233445566778899AABBCCDDEEFF" }),
        json!({ "domain": "00112233445566778899AABBCCDDEEFF" }),
        json!({ "preferred_group": GROUPS[2] }),
        json!({ "list": "by hand" }),
    ];
    (group, rarely(select(edits))).prop_map(|(group, edited)| {
        let parts = [("group", group.map(|group| json!(group))), ("edited", edited)];
        parts
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect::<Map<_, _>>()
            .into()
    })
}

/// A wait, or none.
fn wait() -> impl Strategy<Value = Value> {
    let time = select(vec!["20m", "20m", "5h", "1d", "3d", "3d", "7d"]);
    prop_oneof![
        Just(Value::Null),
        (1..=4_u32).prop_map(|heartbeats| json!({ "heartbeats": heartbeats, "limit": "40d" })),
        time.prop_map(|time| json!({ "time": time })),
        (1..=4_u32).prop_map(|heartbeats| json!({ "heartbeats": heartbeats, "time": "2d", "limit": "40d" })),
    ]
}

/// The place of a command: a group, and in one of them a location.
fn place() -> impl Strategy<Value = Map<String, Value>> {
    let places: Vec<(&str, Option<&str>)> = [GROUPS[0], OWN, OWN, GROUPS[2]]
        .into_iter()
        .map(|group| (group, None))
        .chain(LOCATIONS.map(|location| (OWN, Some(location))))
        .collect();
    select(places).prop_map(|(group, location)| {
        let mut place = Map::from_iter([("group".to_owned(), json!(group))]);
        place.extend(location.map(|name| ("location".to_owned(), json!(name))));
        place
    })
}

fn with(mut place: Map<String, Value>, key: &str, value: Value) -> Value {
    place.insert(key.to_owned(), value);
    Value::Object(place)
}

fn command() -> impl Strategy<Value = Value> {
    prop_oneof![2 => settings(), 3 => lists(), 3 => certificates()]
}

fn settings() -> BoxedStrategy<Value> {
    let group = || select(GROUPS.to_vec());
    prop_oneof![
        3 => (select(vec![GROUPS[0], OWN, OWN]), any::<bool>())
            .prop_map(|(group, on)| json!({ "set-secure-communications": { "group": group, "on": on } })),
        1 => (group(), any::<bool>())
            .prop_map(|(group, inherits)| json!({ "set-inheritance": { "group": group, "inherits": inherits } })),
        1 => group().prop_map(|group| json!({ "add-location": { "group": group, "location": "New" } })),
        1 => (place(), select(vec!["push", "pull"]), select(HEARTBEATS.to_vec()))
            .prop_map(|(place, mode, seconds)| {
                let change = json!({ "mode": mode, "heartbeat_seconds": seconds });
                json!({ "set-communication": with(place, "change", change) })
            }),
        1 => (place(), select(vec!["connect", "download_profile"]), prop::bool::weighted(0.7))
            .prop_map(|(place, key, on)| json!({ "set-communication": with(place, "change", json!({ key: on })) })),
        1 => select(LOCATIONS.to_vec())
            .prop_map(|name| json!({ "use-group-communication": { "group": OWN, "location": name } })),
        1 => (group(), 0..3_u8).prop_map(|(group, content)| {
            json!({ "set-policy": { "group": group, "policy": "Firewall", "content": content.to_string() } })
        }),
        1 => Just(json!({ "add-package": { "package": "P", "file": "package" } })),
        1 => group().prop_map(|group| json!({ "assign-package": { "package": "P", "group": group } })),
    ]
    .boxed()
}

fn lists() -> BoxedStrategy<Value> {
    let list = || select(LISTS.to_vec());
    let servers = subsequence(MANAGERS.to_vec(), 1..=3).prop_shuffle();
    prop_oneof![
        1 => (list(), list()).prop_map(|(from, to)| json!({ "copy-list": { "from": from, "to": to } })),
        1 => (list(), select(vec!["http", "https"]), any::<bool>()).prop_map(|(list, protocol, verify)| {
            json!({ "edit-list": { "list": list, "protocol": protocol, "verify_ca": verify } })
        }),
        1 => (list(), servers, any::<Index>()).prop_map(|(list, servers, cut)| {
            let (first, last) = servers.split_at(cut.index(servers.len()) + 1);
            let block = |names: &[&str]| names.iter().map(|name| json!({ "manager": name })).collect::<Value>();
            let blocks: Vec<Value> =
                [first, last].iter().filter(|names| !names.is_empty()).map(|names| block(names)).collect();
            json!({ "edit-list": { "list": list, "priorities": blocks } })
        }),
        3 => (place(), list()).prop_map(|(place, list)| json!({ "assign-list": with(place, "list", json!(list)) })),
        1 => list().prop_map(|list| json!({ "remove-list": { "list": list } })),
    ]
    .boxed()
}

fn certificates() -> BoxedStrategy<Value> {
    let recovery = || select(vec!["r", "other"]);
    let source = || prop::option::weighted(0.7, select(vec!["r", "r", "other"]));
    prop_oneof![
        4 => (select(MANAGERS.to_vec()), select(vec!["both", "both", "console", "client"]), rarely(1..6_u32))
            .prop_map(|(manager, stores, days)| {
                let mut generate = Map::new();
                generate.extend(days.map(|days| ("valid_days".to_owned(), json!(days))));
                json!({ "update-certificate": {
                    "manager": manager, "stores": stores, "certificate": { "generate": generate },
                } })
            }),
        2 => Just(json!({ "back-up": { "recovery": "r" } })),
        1 => recovery().prop_map(|name| json!({ "back-up-another-site": { "recovery": name } })),
        2 => (source(), source(), source(), any::<bool>()).prop_map(|(keystore, secret, domain, database)| {
            let sources = [("keystore", keystore), ("secret", secret), ("domain", domain)];
            let mut parts = Map::from_iter([("database".to_owned(), json!(database))]);
            parts.extend(sources.into_iter().filter_map(|(key, name)| Some((key.to_owned(), json!(name?)))));
            json!({ "reinstall": parts })
        }),
    ]
    .boxed()
}
