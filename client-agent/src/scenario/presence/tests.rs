//! Windows by hand, errors with their positions, and windows that are the same from any moment.

use std::collections::BTreeSet;
use std::time::Duration;

use epm_protocol::time::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::scenario::{PartPlan, Scenario, schema};

/// A Monday.
const START: &str = "2026-01-05T00:00:00Z";
const OFFICE: &str =
    r#"presence = { office = { zone = "Europe/Berlin", from = "08:00", to = "17:00", spread = "0s" } }"#;
const LAPTOP: &str = concat!(
    r#"presence = { laptop = { zone = "America/New_York", from = "08:30", to = "18:00", days = "mon-sat", "#,
    r#"spread = "45m", day_share = 70, away_share = 40, away_location = "Home" } }"#
);
const DRAWER: &str = r#"presence = { mostly-off = { on = "1d", every = "30d" } }"#;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn days(number: u64) -> Duration {
    Duration::from_secs(number * 86_400)
}

fn part(keys: &str) -> PartPlan {
    toml::from_str(&format!("name = \"p\"\ncount = 1\nversion = \"14.3.8289\"\n{}", keys)).unwrap()
}

fn calendar(keys: &str, length: u64) -> Calendar {
    Calendar::new(&part(keys), at(START), at(START) + days(length)).unwrap()
}

fn refusal(keys: &str) -> String {
    Calendar::new(&part(keys), at(START), at(START) + days(90)).unwrap_err().to_string()
}

fn windows(calendar: &Calendar, seed: u64) -> Vec<Window> {
    let next = |before: &Window| calendar.window(seed, before.off);
    std::iter::successors(calendar.window(seed, Timestamp::EPOCH), next).collect()
}

fn hours(window: &Window) -> [String; 2] {
    [window.on, window.off].map(|moment| moment.to_string()[..16].to_owned())
}

#[test]
fn a_machine_that_is_always_on_has_one_window_without_an_end() {
    let calendar = calendar("", 90);
    let booted = booted_before(1, at(START));
    let always = Window { on: at(START), booted, off: Timestamp::NEVER, place: Place::Usual };
    assert_eq!(windows(&calendar, 1), [always]);
    assert_eq!(calendar.window(1, Timestamp::NEVER), None);
}

#[test]
fn office_hours_are_what_the_clocks_of_berlin_show_before_and_after_they_are_changed() {
    let calendar = calendar(OFFICE, 365);
    let after = |moment| hours(&calendar.window(1, at(moment)).unwrap());
    // Friday in winter, Monday in summer; clocks went forward on 29 March, and go back on 25 October.
    assert_eq!(after("2026-03-27T00:00:00Z"), ["2026-03-27T07:00", "2026-03-27T16:00"]);
    assert_eq!(after("2026-03-27T16:00:00Z"), ["2026-03-30T06:00", "2026-03-30T15:00"]);
    assert_eq!(after("2026-10-23T00:00:00Z"), ["2026-10-23T06:00", "2026-10-23T15:00"]);
    assert_eq!(after("2026-10-23T15:00:00Z"), ["2026-10-26T07:00", "2026-10-26T16:00"]);
}

#[test]
fn a_day_on_which_new_york_changes_its_clocks_is_an_hour_shorter_or_longer() {
    let calendar = calendar(
        r#"presence = { office = { zone = "America/New_York", from = "01:30", to = "05:00", days = "sun", spread = "0s" } }"#,
        365,
    );
    let after = |moment| hours(&calendar.window(1, at(moment)).unwrap());
    assert_eq!(after("2026-03-02T00:00:00Z"), ["2026-03-08T06:30", "2026-03-08T09:00"]);
    assert_eq!(after("2026-03-09T00:00:00Z"), ["2026-03-15T05:30", "2026-03-15T09:00"]);
    // 01:30 comes twice on 1 November: the first counts.
    assert_eq!(after("2026-10-26T00:00:00Z"), ["2026-11-01T05:30", "2026-11-01T10:00"]);
}

#[test]
fn hours_that_clocks_skip_are_as_much_later_and_a_day_without_any_is_left_out() {
    let of = |from: &str, to: &str| {
        let words = format!(r#"from = "{from}", to = "{to}", days = "sun", spread = "0s""#);
        let keys = format!(r#"presence = {{ office = {{ zone = "Europe/Berlin", {words} }} }}"#);
        hours(&calendar(&keys, 365).window(1, at("2026-03-28T00:00:00Z")).unwrap())
    };
    assert_eq!(of("02:30", "04:00"), ["2026-03-29T01:30", "2026-03-29T02:00"]);
    assert_eq!(of("02:30", "03:00"), ["2026-04-05T00:30", "2026-04-05T01:00"]);
}

#[test]
fn nobody_comes_at_the_weekend_or_on_closed_days() {
    let calendar = calendar(&format!("{OFFICE}\nclosed = [\"2026-01-07\", \"2026-01-10\"]"), 10);
    let dates: Vec<String> =
        windows(&calendar, 1).iter().map(|one| one.on.to_string()[8..10].into()).collect();
    assert_eq!(dates, ["05", "06", "08", "09", "12", "13", "14"]);
}

#[test]
fn each_machine_comes_and_goes_at_its_own_time_each_day_within_the_spread() {
    let spread = OFFICE.replace("0s", "45m");
    let (exact, drawn) = (calendar(OFFICE, 90), calendar(&spread, 90));
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let pairs = windows(&exact, seed).into_iter().zip(windows(&drawn, seed));
        for (exact, drawn) in pairs {
            for (exact, drawn) in [(exact.on, drawn.on), (exact.off, drawn.off)] {
                let moved = drawn.as_millis() - exact.as_millis();
                assert!(moved.abs() <= 45 * 60_000, "{exact} {drawn}");
                seen.insert(moved / 60_000);
            }
        }
    }
    assert!(seen.len() > 88, "nearly every minute from -45 to 45 is drawn: {}", seen.len());
}

#[test]
fn machines_come_and_go_within_half_an_hour_of_their_hours_unless_told_otherwise() {
    let hours = |from: &str, to: &str, spread: &str| {
        let keys = format!(r#"zone = "Europe/Berlin", from = "{from}", to = "{to}"{spread}"#);
        let day_share = [("office", ""), ("laptop", ", day_share = 100")];
        day_share
            .map(|(pattern, more)| calendar(&format!("presence = {{ {pattern} = {{ {keys}{more} }} }}"), 10))
    };
    let widest = |calendars: [Calendar; 2], open: &str| {
        calendars.map(|calendar| {
            let late = |seed| {
                let on = calendar.window(seed, at("2026-01-06T00:00:00Z")).unwrap().on.as_millis();
                (on - at(open).as_millis()).abs() / 60_000
            };
            (0..200).map(late).max().unwrap()
        })
    };
    assert_eq!(widest(hours("08:00", "17:00", ""), "2026-01-06T07:00:00Z"), [29, 29]);
    assert_eq!(widest(hours("08:00", "08:40", ""), "2026-01-06T07:00:00Z"), [9, 9]);
    assert_eq!(widest(hours("08:00", "17:00", ", spread = \"0s\""), "2026-01-06T07:00:00Z"), [0, 0]);
}

#[test]
fn machines_that_are_on_at_the_start_were_booted_before_it_each_at_its_own_moment() {
    let start = at("2026-01-05T10:00:00Z");
    let booted = |keys: &str| -> Vec<u64> {
        let calendar = Calendar::new(&part(keys), start, start + days(90)).unwrap();
        let on = (0..3000).filter_map(|seed| calendar.window(seed, start)).filter(|one| one.on == start);
        on.map(|one| start.since(one.booted).as_secs() / 3600).collect()
    };
    let always = booted("");
    assert!(always.len() == 3000 && always.iter().all(|hours| *hours < 720), "{:?}", always.iter().max());
    for hour in 0..24 {
        let here = always.iter().filter(|hours| *hours % 24 == hour).count();
        assert!((85..170).contains(&here), "{here} of 3000 were booted in hour {hour} of a day");
    }
    let office = booted(&OFFICE.replace("0s", "2h"));
    assert!(office.len() == 3000 && (1..5).all(|hour| office.contains(&hour)), "{office:?}");
    let mostly_off = booted(DRAWER);
    assert!(
        (60..140).contains(&mostly_off.len()) && mostly_off.iter().any(|hours| *hours > 20),
        "{mostly_off:?}"
    );
    let arrived = booted("arrives = { between = [\"0s\", \"0s\"] }");
    assert!(arrived.len() == 3000 && arrived.iter().all(|hours| *hours == 0), "they are installed now");
}

#[test]
fn a_laptop_is_opened_on_its_share_of_the_days_and_is_away_on_a_share_of_those() {
    let calendar = calendar(LAPTOP, 364);
    let all: Vec<Window> = (0..200).flat_map(|seed| windows(&calendar, seed)).collect();
    let opened = all.len() as f64 / f64::from(200 * 6 * 52);
    let away = all.iter().filter(|one| one.place == Place::Away).count() as f64 / all.len() as f64;
    assert!((0.69..0.71).contains(&opened) && (0.39..0.41).contains(&away), "{opened} {away}");
    assert_eq!(calendar.away_location(), Some("Home"));
}

#[test]
fn a_machine_in_a_drawer_is_out_for_a_day_in_thirty_at_its_own_time() {
    let calendar = calendar(DRAWER, 300);
    let mut phases = BTreeSet::new();
    for seed in 0..300 {
        let windows = windows(&calendar, seed);
        for pair in windows.windows(2).skip(1) {
            assert_eq!(pair[1].on.since(pair[0].on), days(30));
            assert_eq!(pair[0].off.since(pair[0].on), days(1));
        }
        phases.insert(windows[1].on.since(at(START)).as_secs() / 86_400 % 30);
    }
    assert_eq!(phases.len(), 30, "each of the thirty days has a machine that is on");
}

#[test]
fn holidays_are_taken_by_their_share_of_the_machines_once_a_year_and_last_as_long_as_they_say() {
    let every_day = OFFICE.replace("} }", r#", days = "mon-sun" } }"#);
    let calendar = calendar(&format!("{every_day}\nholidays = {{ share = 30, days = [7, 28] }}"), 730);
    let (mut taken, mut lengths) = (0, Vec::new());
    for seed in 0..2000 {
        // Two adjacent holidays look like one.
        for pair in windows(&calendar, seed).windows(2) {
            let gap = (pair[1].on.since(pair[0].on).as_secs() + 43_200) / 86_400 - 1;
            if gap > 0 {
                taken += 1;
                lengths.push(gap);
            }
        }
    }
    let share = f64::from(taken) / 4000.0;
    assert!((0.28..0.32).contains(&share), "{share}");
    let mean = lengths.iter().sum::<u64>() as f64 / lengths.len() as f64;
    assert!((17.0..18.0).contains(&mean), "{mean}");
    assert!(lengths.iter().filter(|one| **one < 7).count() == 0, "none is shorter than 7 days");
}

#[test]
fn a_holiday_of_the_year_before_the_run_may_reach_into_it() {
    let calendar = calendar(&format!("{OFFICE}\nholidays = {{ share = 100, days = [365, 365] }}"), 365);
    let away_at_first = (0..500).filter(|seed| {
        calendar.window(*seed, at(START)).is_none_or(|one| one.on > at("2026-01-08T00:00:00Z"))
    });
    assert!(away_at_first.count() > 490);
}

#[test]
fn a_machine_is_online_only_between_its_arrival_and_its_leaving() {
    let keys = r#"
        arrives = { between = ["10d", "40d"] }
        leaves = { share = 100, between = ["20d", "60d"] }"#;
    let (always, office) = (calendar(keys, 90), calendar(&format!("{OFFICE}\n{keys}"), 90));
    let mut never = 0;
    for seed in 0..500 {
        let Some(life) = always.window(seed, Timestamp::EPOCH) else {
            never += 1;
            assert_eq!(office.window(seed, Timestamp::EPOCH), None);
            continue;
        };
        assert!((10..=40).contains(&(life.on.since(at(START)).as_secs() / 86_400)));
        assert!((20..=60).contains(&(life.off.since(at(START)).as_secs() / 86_400)));
        assert!(windows(&office, seed).iter().all(|one| life.on <= one.on && one.off <= life.off));
    }
    assert!((60..120).contains(&never), "a sixth would leave before it arrives: {never}");
}

#[test]
fn a_share_of_the_machines_is_reimaged_and_only_while_they_are_there() {
    let some = calendar(r#"reimaged = { share = 10, between = ["40d", "60d"] }"#, 90);
    let moments: Vec<Timestamp> = (0..2000).filter_map(|seed| some.reimaged(seed)).collect();
    assert!((160..240).contains(&moments.len()), "{}", moments.len());
    assert!(moments.iter().all(|one| (days(40)..=days(60)).contains(&one.since(at(START)))));

    let gone = calendar(
        "reimaged = { share = 100, between = [\"40d\", \"60d\"] }\nleaves = { share = 100, between = [\"9d\", \"9d\"] }",
        90,
    );
    assert_eq!((0..100).find_map(|seed| gone.reimaged(seed)), None);
}

#[test]
fn the_windows_of_a_machine_depend_on_its_seed_and_not_on_when_the_run_begins_or_ends() {
    let keys = OFFICE.replace("0s", "45m");
    let (short, long) = (calendar(&keys, 30), calendar(&keys, 3650));
    let later = Calendar::new(&part(&keys), at(START) + days(7), at(START) + days(30)).unwrap();
    assert_eq!(windows(&short, 5), windows(&long, 5)[..windows(&short, 5).len()]);
    assert_eq!(windows(&later, 5), windows(&short, 5)[5..]);
    assert_ne!(windows(&short, 5), windows(&short, 6));
}

#[test]
fn what_does_not_fit_together_is_named_with_what_was_expected() {
    let office = |more: &str| OFFICE.replace(r#", spread = "0s""#, more);
    let laptop = |more: &str| office(more).replace("office", "laptop");
    for (keys, expected) in [
        (office("").replace("17:00", "08:00"), "from 08:00 to 08:00: expected `from` before `to`"),
        (
            office(r#", spread = "4h30m""#),
            "the spread 4h30m is too large for hours from 08:00 to 17:00; expected less than 4h30m",
        ),
        (laptop(", day_share = 0"), "the day_share is 0"),
        (laptop(", day_share = 9, away_share = 1"), "needs an away_location"),
        (
            laptop(r#", day_share = 9, away_location = "Home""#),
            "the away_location \"Home\" needs an away_share",
        ),
        (DRAWER.replace("30d", "0s"), "`every` is 0s"),
        (DRAWER.replace("1d", "0s"), "`on` is 0s"),
        (DRAWER.replace("1d", "5w"), "`on` is 35d and `every` is 30d: expected a shorter `on`"),
        (
            "closed = [\"2026-01-05\"]".into(),
            "`closed` is only for machines with working days: expected the presence office or laptop, found always",
        ),
        (
            format!("{DRAWER}\nholidays = {{ share = 1, days = [1, 2] }}"),
            "`holidays` is only for machines with working days",
        ),
    ] {
        let found = refusal(&keys);
        assert!(found.contains(expected), "{keys}: {found}");
    }
    let backwards = Calendar::new(&part(""), at(START), at(START) - days(1)).unwrap_err().to_string();
    assert!(backwards.contains("expected at most 3660 days"), "{backwards}");
}

/// A scenario with a group that has the location Home, and one part, whose keys begin on line 13.
fn scenario(keys: &str) -> String {
    format!(
        r#"title = "t"
[site]
managers = [{{ name = "m" }}]
setup = [
  {{ add-group = {{ group = 'My Company\L', inherits = false }} }},
  {{ add-location = {{ group = 'My Company\L', location = "Home" }} }},
]
[[fleet]]
name = "p"
count = 1
group = 'My Company\L'
version = "14.3.8289"
{keys}
"#
    )
}

fn refused(keys: &str) -> (usize, String) {
    let text = scenario(keys);
    let error = Scenario::parse(&text, "x.toml").and_then(|read| read.check("x.toml", &text)).unwrap_err();
    (error.line, error.problem)
}

#[test]
fn a_scenario_with_every_kind_of_presence_is_read_and_checked() {
    let more = r#"
holidays = { share = 30, days = [7, 28] }
closed = ["2026-12-24", "2026-12-25"]
arrives = { between = ["10d", "40d"] }
leaves = { share = 2, between = ["20d", "60d"] }
reimaged = { share = 0.5, between = ["40d", "60d"] }"#;
    for keys in ["presence = \"always\"", DRAWER, &format!("{OFFICE}{more}"), &format!("{LAPTOP}{more}")] {
        let text = scenario(keys);
        Scenario::parse(&text, "x.toml").unwrap().check("x.toml", &text).unwrap();
    }
}

#[test]
fn a_refused_word_is_named_with_its_line_and_the_nearest_that_is_right() {
    for (keys, expected) in [
        (OFFICE.replace("Berlin", "Berlim"), "did you mean \"Europe/Berlin\"?"),
        (OFFICE.replace("zone", "zoen"), "did you mean \"zone\"?"),
        (OFFICE.replace("office", "offcie"), "did you mean \"office\"?"),
        (OFFICE.replace("08:00", "8 am"), "invalid time of day \"8 am\""),
        (LAPTOP.replace("mon-sat", "mon-sta"), "did you mean \"sat\"?"),
        (LAPTOP.replace("70", "101"), "invalid share 101: expected per cent, from 0 to 100"),
        ("arrives = { between = [\"2d\", \"1d\"] }".into(), "reversed range from 2d to 1d"),
        ("leaves = { share = -1, between = [\"1d\", \"2d\"] }".into(), "invalid share -1"),
        ("closed = [\"24.12.2026\"]".into(), "invalid date \"24.12.2026\""),
        (
            "holidays = { share = 1, days = [0, 2] }".into(),
            "invalid holiday of 0 days: expected 1 to 365 days",
        ),
        ("holiday = { share = 1, days = [1, 2] }".into(), "did you mean \"holidays\"?"),
    ] {
        let (line, problem) = refused(&keys);
        assert!(line == 13 && problem.contains(expected), "{keys}: {line}: {problem}");
    }
}

#[test]
fn a_presence_that_does_not_fit_together_is_refused_with_the_line_of_its_part() {
    let (line, problem) = refused(&DRAWER.replace("1d", "5w"));
    assert!(
        line == 8 && problem.starts_with("the presence of the part \"p\": `on` is 35d"),
        "{line}: {problem}"
    );
    let (line, problem) = refused(&LAPTOP.replace("\"Home\"", "\"Hoem\""));
    assert!(line == 8 && problem.contains("\"Hoem\"") && problem.contains("\"Home\""), "{line}: {problem}");
}

#[test]
fn the_schema_shows_presence_and_its_words() {
    let schema = schema();
    let part = &schema["$defs"]["PartPlan"]["properties"];
    for key in ["presence", "closed", "holidays", "arrives", "leaves", "reimaged"] {
        assert!(part.get(key).is_some(), "{key}");
    }
    for (word, kind) in [
        ("Zone", "string"),
        ("TimeOfDay", "string"),
        ("Weekdays", "string"),
        ("Day", "string"),
        ("Share", "number"),
        ("Between", "array"),
        ("HolidayDays", "array"),
    ] {
        assert_eq!(schema["$defs"][word]["type"], kind, "{word}");
    }
}

fn any_presence() -> impl Strategy<Value = String> {
    let zone = prop::sample::select(vec![
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kolkata",
        "Antarctica/Troll",
        "UTC",
    ]);
    let hours = (zone, 0..23_u32, 0..60_u32, 0..100_u32).prop_map(|(zone, from, minute, spread)| {
        let (from, to) = (from * 60 + minute, (from * 60 + minute + 1440) / 2 + 1);
        let limit = (to.min(1439) - from).min(1440 + from - to.min(1439)) * 30; // in seconds
        let spread = (limit.saturating_sub(1) * spread / 100).to_string();
        let time = |minutes: u32| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        (zone, time(from), time(to.min(1439)), spread)
    });
    let office = (hours, prop::sample::select(vec!["mon-fri", "mon-sun", "sat,wed", "sun"]), 0..3_u32, 1..365_u32)
        .prop_map(|((zone, from, to, spread), days, kind, holiday)| {
            let more = ["", "", ", day_share = 50, away_share = 50, away_location = \"Home\""][kind as usize];
            let pattern = ["office", "office", "laptop"][kind as usize];
            format!(
                "presence = {{ {pattern} = {{ zone = \"{zone}\", from = \"{from}\", to = \"{to}\", days = \"{days}\", spread = \"{spread}s\"{more} }} }}\n\
                 holidays = {{ share = 60, days = [1, {holiday}] }}\nclosed = [\"2026-03-29\", \"2026-01-05\"]"
            )
        });
    let drawer = (1..5000_u32, 1..5000_u32).prop_map(|(on, off)| {
        format!("presence = {{ mostly-off = {{ on = \"{on}m\", every = \"{}m\" }} }}", on + off)
    });
    prop_oneof![4 => office, 1 => drawer, 1 => Just(String::new())]
}

proptest! {
    #[test]
    fn windows_are_disjoint_and_in_order_and_the_same_from_any_moment(
        presence in any_presence(),
        comes in prop::bool::ANY,
        seed in any::<u64>(),
        moments in prop::collection::vec(0..400 * 86_400_000_i64, 20),
    ) {
        let fate = "arrives = { between = [\"10d\", \"40d\"] }\nleaves = { share = 50, between = [\"20d\", \"300d\"] }";
        let calendar = calendar(&format!("{presence}\n{}", if comes { fate } else { "" }), 366);
        let all = windows(&calendar, seed);
        for one in &all {
            prop_assert!(one.on < one.off && at(START) <= one.on && one.on < at(START) + days(366), "{one:?}");
        }
        for pair in all.windows(2) {
            prop_assert!(pair[0].off < pair[1].on, "{pair:?}");
        }
        let edges = all.iter().flat_map(|one| [one.on.as_millis(), one.off.as_millis()]);
        let edges = edges.flat_map(|edge| [edge.saturating_sub(1), edge, edge.saturating_add(1)]);
        for moment in moments.iter().map(|after| at(START).as_millis() + after).chain(edges) {
            let after = Timestamp::from_millis(moment);
            let expected = all.iter().find(|one| one.off > after).copied();
            prop_assert_eq!(calendar.window(seed, after), expected, "{}", after);
        }
    }
}
