//! Verdicts of faults: each condition by hand, then properties that hold for any.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::id::{AgentId, Guid};
use crate::policy::Protocol;
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const PARTY: Party<'_> = Party {
    agent: None,
    computer: Some("LAPTOP-07"),
    group: Some(r"My Company\Desktops"),
    version: None,
    source: IpAddr::V4(Ipv4Addr::LOCALHOST),
};

fn rule(mut value: Value) -> FaultRule {
    value.as_object_mut().unwrap().entry("name").or_insert(json!("one"));
    serde_json::from_value(value).unwrap()
}

fn set(rules: &[Value]) -> FaultSet {
    let mut set = FaultSet::new(7);
    for (number, value) in rules.iter().enumerate() {
        let mut rule = rule(value.clone());
        if value.get("name").is_none() {
            rule.name = format!("fault {number}");
        }
        set.add(rule, NOW).unwrap();
    }
    set
}

fn asking(route: Route) -> ExchangeFacts<'static> {
    ExchangeFacts {
        party: PARTY,
        manager: "A",
        protocol: Protocol::Https,
        route,
        ordinal: 1,
        held: 0,
        past: Past::REPLACED,
    }
}

fn coming() -> ConnectionFacts<'static> {
    ConnectionFacts {
        party: PARTY,
        manager: "A",
        protocol: Protocol::Https,
        ordinal: 1,
        past: Past::REPLACED,
    }
}

fn agent(number: u16) -> AgentId {
    AgentId(Guid::derive(0, "agent", &number.to_string(), Ipv4Addr::LOCALHOST))
}

/// An occasion on which a fault of this kind can act.
fn strikes(set: &FaultSet, kind: &FaultKind, ordinal: u64, number: u16) -> bool {
    let party = Party { agent: Some(agent(number)), ..PARTY };
    let moment = FaultRule::new("x", kind.clone()).moment();
    let verdict = match (moment, kind) {
        (Moment::Connection, _) => {
            let protocol = if *kind == FaultKind::TlsOnPlain { Protocol::Http } else { Protocol::Https };
            set.judge_connection(&ConnectionFacts { party, protocol, ordinal, ..coming() }, NOW)
        }
        (Moment::Exchange, kind) => {
            let route = if matches!(kind, FaultKind::PushLimit { .. }) { Route::Hold } else { Route::List };
            set.judge_exchange(&ExchangeFacts { party, ordinal, ..asking(route) }, NOW)
        }
    };
    !verdict.is_pass()
}

#[test]
fn a_fault_of_probability_0_never_hits_and_one_of_1_always_does_whatever_its_kind() {
    for info in FaultKind::kinds() {
        for (probability, hits) in [(0.0, 0), (1.0, 200)] {
            let set = set(&[json!({"what": info.name, "probability": probability})]);
            let kind = FaultKind::named(info.name).unwrap();
            let count = (1..=200).filter(|n| strikes(&set, &kind, *n, u16::try_from(*n).unwrap())).count();
            assert_eq!(count, hits, "{} with probability {probability}", info.name);
        }
    }
}

#[test]
fn a_fault_in_between_hits_about_as_often_as_it_says() {
    let set = set(&[json!({"what": "status", "probability": 0.3})]);
    let kind = FaultKind::named("status").unwrap();
    let count = (1..=4000).filter(|n| strikes(&set, &kind, *n, 1)).count();
    assert!((1100..1300).contains(&count), "{count}");
}

#[test]
fn what_decides_is_pinned() {
    let set = set(&[json!({"what": "status", "probability": 0.5, "name": "pinned"})]);
    let kind = FaultKind::named("status").unwrap();
    let hit = |n: &u64| strikes(&set, &kind, *n, 1);
    let decided: String = (1..=32).map(|n| if hit(&n) { '#' } else { '.' }).collect();
    assert_eq!(decided, ".#.##..#...#..#.#..#.....##..#.#");
}

#[test]
fn a_fault_selects_clients_by_name_group_version_and_address() {
    let version = Some("14.2.1031".parse().unwrap());
    let party = Party { agent: Some(agent(3)), version, ..PARTY };
    let id = agent(3).to_string();
    for (whom, meant) in [
        (json!({"agent": "laptop-07"}), true),
        (json!({"agent": "laptop-*"}), true),
        (json!({"agent": id}), true),
        (json!({"agent": "laptop-0"}), false),
        (json!({"agent": "desk*"}), false),
        (json!({"group": r"My Company\Desktops"}), true),
        (json!({"group": "My Company"}), true),
        (json!({"group": r"My Company\Desk"}), false),
        (json!({"version": {"from": "14.2", "until": "14.3"}}), true),
        (json!({"version": {"from": "14.3"}}), false),
        (json!({"version": {"until": "14.2.1031"}}), false),
        (json!({"source": "127.0.0.1"}), true),
        (json!({"source": "127.0.0.2"}), false),
        (json!({"group": "My Company", "source": "127.0.0.2"}), false),
    ] {
        let set = set(&[json!({"what": "empty", "whom": whom})]);
        let verdict = set.judge_exchange(&ExchangeFacts { party, ..asking(Route::Index) }, NOW);
        assert_eq!(!verdict.is_pass(), meant, "{whom}");
        assert_eq!(set.can_touch(&party, NOW), meant, "{whom}");
        let stranger = Party::stranger(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
        assert!(!set.can_touch(&stranger, NOW), "{whom}");
    }
}

#[test]
fn a_percentage_of_the_fleet_is_always_the_same_clients() {
    let set = set(&[json!({"what": "empty", "whom": {"percent": 20}})]);
    let kind = FaultKind::Empty;
    let hit = |ordinal| (0..1000).filter(|n| strikes(&set, &kind, ordinal, *n)).collect::<Vec<_>>();
    assert_eq!(hit(1), hit(2));
    assert!((170..230).contains(&hit(1).len()), "{}", hit(1).len());
    let all = self::set(&[json!({"what": "empty", "whom": {"percent": 100}})]);
    assert!((0..1000).all(|n| strikes(&all, &kind, 1, n)));
    let none = self::set(&[json!({"what": "empty", "whom": {"percent": 0}})]);
    assert!((0..1000).all(|n| !strikes(&none, &kind, 1, n)));
}

#[test]
fn a_fault_is_limited_to_a_manager_a_listener_and_a_route() {
    for (place, hits) in [
        (json!({"manager": "A"}), true),
        (json!({"manager": "B"}), false),
        (json!({"listener": "https"}), true),
        (json!({"listener": "http"}), false),
        (json!({"route": "index"}), true),
        (json!({"route": "policy"}), false),
    ] {
        let set = set(&[json!({"what": "empty", "where": place})]);
        assert_eq!(!set.judge_exchange(&asking(Route::Index), NOW).is_pass(), hits, "{place}");
    }
    let expired = set(&[json!({"what": "expired"})]);
    assert!(!expired.judge_connection(&coming(), NOW).is_pass());
    let plain = ConnectionFacts { protocol: Protocol::Http, ..coming() };
    assert!(expired.judge_connection(&plain, NOW).is_pass(), "there is no certificate on HTTP");
    let unsigned = set(&[json!({"what": "bad-signature"})]);
    assert!(unsigned.judge_exchange(&asking(Route::Index), NOW).is_pass(), "an index has no signature");
}

#[test]
fn latency_without_a_route_is_asked_when_a_connection_comes_and_with_one_when_it_is_asked_for() {
    let of_connection = set(&[json!({"what": "latency"})]);
    assert!(!of_connection.judge_connection(&coming(), NOW).is_pass());
    assert!(of_connection.judge_exchange(&asking(Route::Policy), NOW).is_pass());
    let of_route = set(&[json!({"what": "latency", "where": {"route": "policy"}})]);
    assert!(of_route.judge_connection(&coming(), NOW).is_pass());
    assert!(!of_route.judge_exchange(&asking(Route::Policy), NOW).is_pass());
}

#[test]
fn a_restored_certificate_shows_in_the_handshake_and_in_the_signatures() {
    let set = set(&[json!({"what": "old-restored"})]);
    assert!(!set.judge_connection(&coming(), NOW).is_pass());
    let hits = |route| !set.judge_exchange(&asking(route), NOW).is_pass();
    assert_eq!([Route::Policy, Route::List, Route::Index].map(hits), [true, true, false]);
    let half = self::set(&[json!({"what": "half-updated"})]);
    assert!(half.judge_exchange(&asking(Route::Policy), NOW).is_pass());
}

#[test]
fn counts_pick_out_single_exchanges() {
    for (when, hits) in [
        (json!({}), vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (json!({"after": 7}), vec![8, 9, 10]),
        (json!({"first": 2}), vec![1, 2]),
        (json!({"every": 3}), vec![3, 6, 9]),
        (json!({"after": 1, "every": 4}), vec![5, 9]),
        (json!({"after": 2, "every": 2, "first": 3}), vec![4, 6, 8]),
    ] {
        let set = set(&[json!({"what": "empty", "when": when})]);
        let all = set.explain(&asking(Route::Index), 10, NOW);
        let hit = all.iter().filter(|one| !one.verdict.is_pass()).map(|one| one.ordinal);
        assert_eq!(hit.collect::<Vec<_>>(), hits, "{when}");
    }
}

#[test]
fn a_fault_begins_and_ends_when_it_says() {
    let at = |seconds| NOW + Duration::from_secs(seconds);
    let set = set(&[json!({
        "what": "empty",
        "when": {"from": at(10).to_string(), "until": at(20).to_string(), "time_to_live_seconds": 15},
    })]);
    let hits = |moment| !set.judge_exchange(&asking(Route::Index), moment).is_pass();
    assert_eq!([9, 10, 14, 15, 19].map(|seconds| hits(at(seconds))), [false, true, true, false, false]);
    assert_eq!(set.next_turn(NOW), at(10));
    assert_eq!(set.next_turn(at(10)), at(15));
    assert_eq!(set.next_turn(at(15)), Timestamp::NEVER);
    let mut swept = set.clone();
    assert!(swept.sweep(at(14)).is_empty());
    assert_eq!(swept.sweep(at(15)).len(), 1);
    assert!(swept.is_empty());
}

#[test]
fn a_fault_made_by_hand_expires_after_an_hour_unless_its_rule_says_otherwise() {
    let made = |when: Value| rule(json!({"what": "empty", "when": when})).with_default_lifetime();
    assert_eq!(made(json!({})).when.time_to_live_seconds, Some(3600));
    assert_eq!(made(json!({"time_to_live_seconds": 5})).when.time_to_live_seconds, Some(5));
    assert_eq!(made(json!({"until": "2030-01-01T00:00:00Z"})).when.time_to_live_seconds, None);
}

#[test]
fn a_slow_start_is_over_when_the_manager_is_ready() {
    let set = set(&[json!({"what": {"kind": "slow-start", "ready_after_ms": 5000}})]);
    let later = |ms| NOW + Duration::from_millis(ms);
    assert!(!set.judge_exchange(&asking(Route::Index), later(4999)).is_pass());
    assert!(set.judge_exchange(&asking(Route::Index), later(5000)).is_pass());
    assert_eq!(set.next_turn(NOW), later(5000));
}

#[test]
fn a_push_limit_counts_the_requests_that_are_held() {
    let set = set(&[json!({"what": {"kind": "push-limit", "held": 3}})]);
    let hits = |route, held| !set.judge_exchange(&ExchangeFacts { held, ..asking(route) }, NOW).is_pass();
    assert!(hits(Route::Hold, 3) && !hits(Route::Hold, 2) && !hits(Route::Index, 9));
}

#[test]
fn the_first_fault_that_does_not_let_it_pass_decides() {
    let mut set = set(&[
        json!({"name": "never", "what": "garbage", "probability": 0}),
        json!({"name": "other", "what": "empty", "where": {"manager": "B"}}),
        json!({"name": "this", "what": "status"}),
        json!({"name": "last", "what": "redirect"}),
    ]);
    let who = |set: &FaultSet| {
        set.judge_exchange(&asking(Route::Index), NOW).hit().map(|hit| hit.rule.name.clone())
    };
    assert_eq!(who(&set).as_deref(), Some("this"));
    assert_eq!(
        set.remove("thsi").unwrap_err().to_string(),
        "there is no fault \"thsi\"; did you mean \"this\"?"
    );
    set.remove("this").unwrap();
    assert_eq!(who(&set).as_deref(), Some("last"));
    assert_eq!(set.clear().len(), 3);
    assert_eq!(who(&set), None);
}

#[test]
fn a_fault_of_the_same_name_takes_the_place_of_the_one_before() {
    let mut set = set(&[json!({"name": "a", "what": "empty"}), json!({"name": "b", "what": "garbage"})]);
    let later = NOW + Duration::from_secs(1);
    set.add(rule(json!({"name": "a", "what": "status"})), later).unwrap();
    let all: Vec<_> = set.list().iter().map(|one| (one.rule.what.name(), one.since)).collect();
    assert_eq!(all, [("status", later), ("garbage", NOW)]);
}

#[test]
fn counting_begins_anew_when_there_was_no_fault() {
    let at = |seconds| NOW + Duration::from_secs(seconds);
    let mut set = FaultSet::new(1);
    assert_eq!(set.counting_since(), None);
    set.add(rule(json!({"name": "a", "what": "empty"})), at(1)).unwrap();
    set.add(rule(json!({"name": "b", "what": "empty"})), at(2)).unwrap();
    assert_eq!(set.counting_since(), Some(at(1)));
    set.remove("a").unwrap();
    assert_eq!(set.counting_since(), Some(at(1)));
    set.remove("b").unwrap();
    assert_eq!(set.counting_since(), None);
    set.add(rule(json!({"name": "c", "what": "empty"})), at(3)).unwrap();
    assert_eq!(set.counting_since(), Some(at(3)));
}

#[test]
fn certificate_faults_for_different_clients_stand_beside_each_other_on_one_port() {
    let set = set(&[
        json!({"what": "expired", "whom": {"source": "127.0.0.2"}}),
        json!({"what": "wrong-host", "whom": {"source": "127.0.0.3"}}),
    ]);
    let shown = |last| {
        let party = Party::stranger(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)));
        let verdict = set.judge_connection(&ConnectionFacts { party, ..coming() }, NOW);
        verdict.what().map(FaultKind::name)
    };
    assert_eq!([1, 2, 3].map(shown), [None, Some("expired"), Some("wrong-host")]);
}

#[test]
fn a_port_is_closed_only_when_every_connection_there_is_refused() {
    let both = [Protocol::Http, Protocol::Https];
    let closed = |rules: &[Value], speaks: &[Protocol]| set(rules).closed("A", speaks, NOW).is_some();
    assert!(closed(&[json!({"what": "refuse"})], &both));
    assert!(closed(&[json!({"what": "refuse", "where": {"listener": "http"}})], &both[..1]));
    assert!(!closed(&[json!({"what": "refuse", "where": {"listener": "http"}})], &both));
    assert!(!closed(&[json!({"what": "refuse", "where": {"manager": "B"}})], &both));
    assert!(!closed(&[json!({"what": "refuse", "probability": 0.9})], &both));
    assert!(!closed(&[json!({"what": "refuse", "whom": {"source": "127.0.0.1"}})], &both));
    assert!(!closed(&[json!({"what": "refuse", "when": {"first": 3}})], &both));
    assert!(!closed(&[json!({"what": "latency"}), json!({"what": "refuse"})], &both));
    assert!(closed(&[json!({"what": "status"}), json!({"what": "refuse"})], &both));
}

#[test]
fn rules_that_make_no_sense_are_refused_with_the_reason_and_change_nothing() {
    for (value, because) in [
        (json!({"what": "expired", "where": {"listener": "http"}}), "HTTP has no TLS"),
        (json!({"what": "alert", "where": {"listener": "http"}}), "HTTP has no TLS"),
        (json!({"what": "tls-on-plain", "where": {"listener": "https"}}), "speaks TLS already"),
        (json!({"what": "refuse", "where": {"route": "index"}}), "not known when the connection is opened"),
        (json!({"what": "latency", "where": {"route": "upload", "direction": "both"}}), "only the answer"),
        (json!({"what": "bad-signature", "where": {"route": "index"}}), "no signed document"),
        (json!({"what": "http-only", "where": {"route": "policy"}}), "on the route list"),
        (json!({"what": "serial-goes-back", "where": {"route": "package"}}), "has no serial"),
        (json!({"what": "serial-goes-back", "where": {"route": "hello"}}), "no published document"),
        (json!({"what": "push-limit", "where": {"route": "index"}}), "held requests only"),
        (json!({"what": "status", "where": {"direction": "to-client"}}), "have a direction"),
        (json!({"what": "empty", "probability": 1.5}), "probability is 1.5; expected a number from 0 to 1"),
        (json!({"what": "empty", "whom": {"percent": -1}}), "percentage is -1"),
        (json!({"what": "empty", "when": {"every": 0}}), "every is 0"),
        (
            json!({"what": "empty", "when": {"time_to_live_seconds": 0}}),
            "time_to_live_seconds is 0; expected at least 1",
        ),
        (json!({"what": {"kind": "status", "code": 99}}), "status is 99"),
        (json!({"what": {"kind": "bandwidth", "bytes_per_second": 0}}), "blackhole lets nothing through"),
        (json!({"what": {"kind": "truncated", "percent": 100}}), "0 to 99"),
        (
            json!({"what": "empty", "when": {"from": "2030-01-01T00:00:00Z", "until": "2029-01-01T00:00:00Z"}}),
            "is not after the beginning",
        ),
        (
            json!({"what": "empty", "whom": {"version": {"from": "14.3", "until": "14.2"}}}),
            "is not after `from`",
        ),
        (json!({"what": "empty", "name": " "}), "invalid name of a fault"),
    ] {
        let mut set = FaultSet::new(1);
        let error = set.add(rule(value.clone()), NOW).unwrap_err().to_string();
        assert!(error.contains(because), "{value}: {error}");
        assert!(set.is_empty());
    }
}

#[test]
fn a_rule_is_written_and_read_the_same_and_what_it_does_not_say_is_any() {
    let full = json!({
        "name": "x",
        "what": {"kind": "latency", "delay": {"distribution": "pareto", "least_ms": 5, "alpha": 2.5, "most_ms": 90}},
        "whom": {"agent": "PC-1", "group": "G", "version": {"from": "14.2.0.0000"}, "percent": 5.0, "source": "::1"},
        "where": {"manager": "A", "listener": "https", "route": "policy", "direction": "to-client"},
        "when": {"from": "2030-01-01T00:00:00.000Z", "after": 1, "first": 2, "every": 3, "time_to_live_seconds": 9},
        "probability": 0.5,
    });
    assert_eq!(serde_json::to_value(rule(full.clone())).unwrap(), full);
    let least = rule(json!({"name": "x", "what": "reset_peer"}));
    assert_eq!(least, FaultRule::new("x", FaultKind::Reset { after_bytes: 0, after_ms: 0 }));
    let place = rule(json!({"what": "latency", "place": {"direction": "downstream"}})).place;
    assert_eq!(place.direction, Some(Direction::ToClient));
}

fn any_rule() -> impl Strategy<Value = FaultRule> {
    let kinds = FaultKind::kinds().iter().map(|info| FaultKind::named(info.name).unwrap());
    let counts = (0..4_u64, 1..4_u64, 1..9_u64);
    let options = proptest::array::uniform4(any::<bool>());
    (prop::sample::select(kinds.collect::<Vec<_>>()), counts, options, 0.0..=1.0, 0.0..=100.0).prop_map(
        |(what, (after, every, first), [a, b, c, d], probability, percent)| {
            let mut rule = FaultRule::new("", what);
            rule.when.after = a.then_some(after);
            rule.when.every = b.then_some(every);
            rule.when.first = c.then_some(first);
            rule.whom.percent = d.then_some(percent);
            rule.probability = probability;
            rule
        },
    )
}

fn any_set() -> impl Strategy<Value = FaultSet> {
    (any::<u64>(), prop::collection::vec(any_rule(), 0..6)).prop_map(|(seed, rules)| {
        let mut set = FaultSet::new(seed);
        for (number, rule) in rules.into_iter().enumerate() {
            set.add(FaultRule { name: format!("fault {number}"), ..rule }, NOW).unwrap();
        }
        set
    })
}

fn any_route() -> impl Strategy<Value = Route> {
    prop::sample::select(Route::ALL.to_vec())
}

proptest! {
    #[test]
    fn what_is_explained_is_what_is_judged(set in any_set(), route in any_route(), number: u16, first in 1..1000_u64) {
        let party = Party { agent: Some(agent(number)), ..PARTY };
        let next = ExchangeFacts { party, ordinal: first, ..asking(route) };
        for Prediction { ordinal, verdict } in set.explain(&next, 20, NOW) {
            prop_assert_eq!(verdict, set.judge_exchange(&ExchangeFacts { ordinal, ..next }, NOW));
        }
    }

    #[test]
    fn the_order_in_which_clients_come_changes_nothing(set in any_set(), route in any_route(), order in Just((0..64_u64).collect::<Vec<_>>()).prop_shuffle()) {
        let judged = |n: u64| {
            let party = Party { agent: Some(agent(u16::try_from(n % 8).unwrap())), ..PARTY };
            set.judge_exchange(&ExchangeFacts { party, ordinal: n / 8 + 1, ..asking(route) }, NOW)
        };
        let in_order: Vec<_> = (0..64).map(judged).collect();
        for n in order {
            prop_assert_eq!(&judged(n), &in_order[usize::try_from(n).unwrap()]);
        }
    }

    #[test]
    fn a_client_that_is_hit_can_be_touched(set in any_set(), route in any_route(), number: u16, ordinal in 1..20_u64) {
        let party = Party { agent: Some(agent(number)), ..PARTY };
        let exchange = set.judge_exchange(&ExchangeFacts { party, ordinal, ..asking(route) }, NOW);
        let connection = set.judge_connection(&ConnectionFacts { party, ordinal, ..coming() }, NOW);
        if !exchange.is_pass() || !connection.is_pass() {
            prop_assert!(set.can_touch(&party, NOW));
        }
    }

    #[test]
    fn nothing_changes_between_two_turns(set in any_set(), number: u16, ordinal in 1..20_u64, part in 0.0..1.0) {
        let party = Party { agent: Some(agent(number)), ..PARTY };
        let facts = ExchangeFacts { party, ordinal, ..asking(Route::Policy) };
        let what = |moment| set.judge_exchange(&facts, moment).what().cloned();
        let turn = set.next_turn(NOW).min(NOW + Duration::from_secs(1000));
        let between = NOW + turn.since(NOW).mul_f64(part);
        if between < turn {
            prop_assert_eq!(what(NOW), what(between));
        }
    }
}

#[test]
fn a_fault_that_shows_what_was_before_hits_nothing_and_covers_no_other_until_something_was_replaced() {
    let named = |name: &str, what: &str| FaultRule::new(name, FaultKind::named(what).unwrap());
    let all = [
        ("old-restored", "a previous certificate"),
        ("half-updated", "a previous certificate"),
        ("retired-key-signature", "a previous certificate"),
        ("stale-signature", "an earlier publication"),
        ("serial-goes-back", "an earlier publication"),
    ];
    for (kind, needed) in all {
        let mut set = FaultSet::new(1);
        set.add(named("first", kind), NOW).unwrap();
        let verdicts = |set: &FaultSet, past| {
            let connection = set.judge_connection(&ConnectionFacts { past, ..coming() }, NOW);
            let exchange = set.judge_exchange(&ExchangeFacts { past, ..asking(Route::Policy) }, NOW);
            [connection, exchange]
        };
        assert!(verdicts(&set, Past::default()).iter().all(Verdict::is_pass), "{kind}");
        assert!(!verdicts(&set, Past::REPLACED).iter().all(Verdict::is_pass), "{kind}");
        let idle = |past| set.without_effect("A", past, NOW).map(|(_, lacks)| lacks).collect::<Vec<_>>();
        assert_eq!(idle(Past::default()), [needed], "{kind}");
        assert!(idle(Past::REPLACED).is_empty(), "{kind}");
        set.add(named("second", "bad-signature"), NOW).unwrap();
        let [_, exchange] = verdicts(&set, Past::default());
        assert_eq!(exchange.hit().map(|hit| hit.rule.name.as_str()), Some("second"), "{kind}");
    }
}

#[test]
fn a_clock_is_wrong_for_a_manager_only_if_the_fault_is_for_all_that_it_does() {
    let skew = |more: Value| {
        let mut rule = json!({"name": "clock", "what": {"kind": "clock-skew", "by_ms": 1000}});
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut set = FaultSet::new(1);
        set.add(serde_json::from_value(rule).unwrap(), NOW).unwrap();
        let found = set.clock_deviations(["A", "B"].into_iter(), NOW);
        found.into_iter().map(|(name, by)| format!("{name} {by}")).collect::<Vec<_>>()
    };
    assert_eq!(skew(json!({})), ["A 1000", "B 1000"]);
    assert_eq!(skew(json!({"where": {"manager": "B"}})), ["B 1000"]);
    for narrower in [
        json!({"where": {"route": "policy"}}),
        json!({"whom": {"percent": 50}}),
        json!({"when": {"every": 2}}),
        json!({"probability": 0.5}),
    ] {
        assert!(skew(narrower).is_empty());
    }
}
