//! Whatever inputs a client gets in whatever phase: it continues, and its cache suffices to continue from.

use epm_protocol::heartbeat::{SignatureHeader, Stage};
use epm_protocol::site::DEFAULT_GROUP;
use epm_protocol::trust::{KeyPool, Rejection};
use proptest::prelude::*;

use super::super::*;
use super::bench::{ALL, BEAT, Bench, START, read};

const V14: &str = "14.3.8289.5000";

/// An input of a client, and its time.
#[derive(Clone, Debug)]
enum Told {
    Start,
    Stop,
    Wake,
    UpdateNow,
    MoveTo(Option<String>),
    Import(usize),
    /// The answer to the last exchange (or to one that never was), from the site or made up.
    Answer {
        to_the_last: bool,
        with: Made,
    },
    /// Time passes, or the clock is set back.
    Clock(i64),
    Operator(u8),
}

#[derive(Clone, Debug)]
enum Made {
    Honest,
    Status(u16, &'static [u8]),
    Signed(&'static [u8]),
    Failure(u8),
}

fn made() -> impl Strategy<Value = Made> {
    let bodies = prop_oneof![
        Just(&b""[..]),
        Just(&b"\xFF\xFE"[..]),
        Just(&b"<Index Manager='A'/>"[..]),
        Just(&b"<Index Manager='A'><Profile Checksum='' SerialNumber='0000-01/01/2026 00:00:00 000'/><ServerList Checksum=''/><Package Name='' Checksum='x'/></Index>"[..]),
        Just(&b"<Registration AgentId='00'/>"[..]),
        Just(&b"<Registration AgentId='0123456789ABCDEF0123456789ABCDEF'/>"[..]),
        Just(&b"<Profile Group='' SerialNumber='FFFF-12/31/9999 23:59:59 999'><SecuritySettings SecureCommunications='0'/></Profile>"[..]),
    ];
    let statuses = prop_oneof![
        Just(200),
        Just(304),
        Just(400),
        Just(401),
        Just(404),
        Just(468),
        Just(503),
        any::<u16>()
    ];
    prop_oneof![
        8 => Just(Made::Honest),
        2 => (statuses, bodies.clone()).prop_map(|(status, body)| Made::Status(status, body)),
        1 => bodies.prop_map(Made::Signed),
        2 => any::<u8>().prop_map(Made::Failure),
    ]
}

fn told() -> impl Strategy<Value = Told> {
    let places = prop_oneof![Just(None), Just(Some("Default".to_owned())), Just(Some("Nowhere".to_owned()))];
    prop_oneof![
        2 => Just(Told::Start),
        1 => Just(Told::Stop),
        5 => Just(Told::Wake),
        1 => Just(Told::UpdateNow),
        1 => places.prop_map(Told::MoveTo),
        1 => (0_usize..4).prop_map(Told::Import),
        24 => (prop::bool::weighted(0.95), made())
            .prop_map(|(to_the_last, with)| Told::Answer { to_the_last, with }),
        3 => prop_oneof![0_i64..600_000, -1_000_000_000_000_i64..1_000_000_000_000].prop_map(Told::Clock),
        1 => any::<u8>().prop_map(Told::Operator),
    ]
}

fn failure(which: u8) -> ExchangeFailure {
    let text = || "x".to_owned();
    match which % 9 {
        0 => ExchangeFailure::NameNotResolved { host: text() },
        1 => ExchangeFailure::ConnectionRefused { address: text() },
        2 => ExchangeFailure::Unreachable { address: text(), detail: text() },
        3 => ExchangeFailure::TimedOut { stage: Stage::Connect, after_ms: 0 },
        4 => ExchangeFailure::ConnectionLost { stage: Stage::Handshake, detail: text() },
        5 => ExchangeFailure::TlsRejected { rejection: Rejection::Malformed { detail: text() } },
        6 => ExchangeFailure::TlsFailed { detail: text() },
        7 => ExchangeFailure::NotHttp { detail: text() },
        _ => ExchangeFailure::TooLarge { limit: 1 },
    }
}

/// Files to import: the site's, one with another secret, one with another domain, and one for push mode.
fn files(bench: &Bench) -> Vec<Arc<Sylink>> {
    let own = bench.site.export_sylink(DEFAULT_GROUP, None).unwrap().to_xml();
    let other = |from: &str, to: &str| Arc::new(Sylink::parse(&own.replace(from, to)).unwrap());
    let ones = "11111111111111111111111111111111";
    vec![
        other("", ""),
        other(&bench.site.kcs().to_string(), ones),
        other(&bench.site.domain().to_string(), ones),
        other("\"PULL\"", "\"PUSH\""),
    ]
}

fn operate(bench: &mut Bench, which: u8) {
    let now = bench.now;
    let commands = [
        epm_protocol::site::Command::SetSecureCommunications {
            group: ALL[0].into(),
            on: which.is_multiple_of(2),
        },
        epm_protocol::site::Command::SetPolicy {
            group: ALL[0].into(),
            policy: "p".into(),
            content: which.to_string(),
        },
    ];
    bench.site.apply(&commands[usize::from(which / 2) % 2], now).unwrap();
}

/// Gives all these inputs to the first client of the bench, and checks it after each.
fn tell_all(bench: &mut Bench, all: Vec<Told>) {
    let files = files(bench);
    for one in all {
        let last = bench.slots[0].sent.last().cloned();
        let input = match one {
            Told::Start => Input::Start { booted: bench.now },
            Told::Stop => Input::Stop,
            Told::Wake => Input::Wake,
            Told::UpdateNow => Input::UpdateNow,
            Told::MoveTo(location) => Input::MoveTo(location),
            Told::Import(n) => Input::Import(Arc::clone(&files[n])),
            Told::Clock(by) => {
                bench.now = Timestamp::from_millis(bench.now.as_millis() + by);
                continue;
            }
            Told::Operator(which) => {
                operate(bench, which);
                continue;
            }
            Told::Answer { to_the_last, with } => {
                let Some(exchange) = last else { continue };
                let outcome = match with {
                    Made::Honest => match bench.carry(&exchange) {
                        Some(outcome) => outcome,
                        None => continue,
                    },
                    Made::Status(status, body) => {
                        Ok(ManagerResponse { status, ..ManagerResponse::xml(Bytes::from_static(body)) })
                    }
                    Made::Signed(body) => Ok(ManagerResponse {
                        signature: Some(SignatureHeader::new(&KeyPool::of_site(1).get(0).sign(body))),
                        ..ManagerResponse::xml(Bytes::from_static(body))
                    }),
                    Made::Failure(which) => Err(failure(which)),
                };
                Input::Answered { exchange: if to_the_last { exchange.id } else { u64::MAX }, outcome }
            }
        };
        let now = bench.now;
        let outputs = bench.slots[0].agent.handle(input, now);
        let sends = outputs.iter().filter(|output| matches!(output, Output::Send(_))).count();
        assert!(sends <= 1, "one wish at a time");
        let beating = !bench.slots[0].agent.is_resting();
        for output in outputs {
            if !matches!(output, Output::Odd(_)) {
                bench.slots[0].obey(output);
            }
        }
        assert!(!beating || !bench.slots[0].sent.is_empty());
        bench.slots[0].check();
    }
}

fn bench_with_a_client() -> Bench {
    let mut bench = Bench::two();
    bench.client(V14);
    bench
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn told_odd_inputs_in_every_phase_a_client_never_panics_and_is_served_again_in_the_end(
        all in proptest::collection::vec(told(), 0..60),
    ) {
        let mut bench = bench_with_a_client();
        tell_all(&mut bench, all);
        // Whatever was done to it: with a file of its site, and at a time at which certificates are valid, all is well.
        bench.now = START + BEAT;
        let sylink = bench.site.export_sylink(DEFAULT_GROUP, None).unwrap();
        let n = bench.client_with(sylink, V14, |_| ());
        prop_assert!(bench.is_connected(n));
        let fresh = bench.site.export_sylink(DEFAULT_GROUP, None).unwrap();
        bench.slots[0].agent.handle(Input::Stop, bench.now).into_iter().for_each(|output| {
            if !matches!(output, Output::Odd(_)) {
                bench.slots[0].obey(output);
            }
        });
        bench.restart(0);
        bench.tell(0, Input::Import(Arc::new(fresh)));
        bench.wait(Duration::ZERO);
        prop_assert!(bench.is_connected(0), "{:?}", bench.view(0));
    }
}

/// A site in the middle of the procedure: much is new for the client.
fn with_much_to_learn() -> Bench {
    let mut bench = Bench::one();
    bench.steps_1_to_5(&ALL);
    bench.client(V14);
    bench.switch(false, &ALL);
    bench.beats(1);
    bench.update("A");
    let file = epm_protocol::site::Material { file: "setup.exe".into(), content: "MZ".into() };
    let package = || "SEP".to_owned();
    bench.apply(&epm_protocol::site::Command::AddPackage { package: package(), file });
    let group = ALL[0].to_owned();
    bench.apply(&epm_protocol::site::Command::AssignPackage { package: package(), group });
    bench
}

/// Plays a heartbeat until `power` outputs have been carried out; returns whether there were that many.
fn heartbeat_with_power_for(bench: &mut Bench, power: usize) -> bool {
    let mut left = power;
    let mut input = Some(Input::Wake);
    while let Some(told) = input.take() {
        for output in bench.slots[0].agent.handle(told, bench.now) {
            if left == 0 {
                return true;
            }
            left -= 1;
            if let Some(exchange) = bench.slots[0].obey(output) {
                let outcome = bench.carry(&exchange).unwrap();
                input = Some(Input::Answered { exchange: exchange.id, outcome });
            }
        }
    }
    false
}

#[test]
fn a_crash_between_any_two_outputs_restarts_from_what_was_kept_and_ends_in_the_same_state() {
    let mut whole = with_much_to_learn();
    assert!(!heartbeat_with_power_for(&mut whole, 1000));
    let goal = whole.view(0);
    assert!(whole.is_connected(0) && whole.believes(0, "A"));

    let mut crashes = 0;
    for power in 0.. {
        let mut bench = with_much_to_learn();
        if !heartbeat_with_power_for(&mut bench, power) {
            break;
        }
        crashes += 1;
        let state = read(&bench.slots[0].kept).state;
        assert!(state.complete.is_none() || state.complete == state.serial);
        bench.restart(0);
        bench.wait(Duration::ZERO);
        let view = bench.view(0);
        assert_eq!(
            (view.complete, view.certificates, view.health.is_connected(), view.list),
            (goal.complete, goal.certificates.clone(), true, goal.list.clone()),
            "crash after {power} outputs"
        );
        assert_eq!(bench.slots[0].agent.cache().state.packages.len(), 1);
        assert!(!bench.slots[0].agent.cache().state.report_due);
    }
    assert!(crashes >= 12, "{crashes}");
}

#[test]
fn an_answer_that_comes_too_late_is_odd_and_changes_nothing() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    let before = bench.slots[pc].agent.cache().clone();
    let outcome = Ok(ManagerResponse::empty(200));
    let outputs = bench.slots[pc].agent.handle(Input::Answered { exchange: 1, outcome }, bench.now);
    assert!(matches!(outputs[..], [Output::Odd(_)]), "{outputs:?}");
    assert_eq!(bench.slots[pc].agent.cache(), &before);
}

#[test]
fn a_heartbeat_gives_up_the_servers_that_are_left_when_its_session_is_over() {
    let mut bench = Bench::two();
    let pc = bench.client(V14);
    bench.update("A");
    bench.update("B");
    bench.wait(Duration::from_secs(1));
    bench.slots[pc].agent.handle(Input::UpdateNow, bench.now);
    let id = bench.slots[pc].agent.exchanges;
    let outcome = Err(super::bench::timeout());
    let late = bench.now + SESSION_LIMIT;
    let outputs = bench.slots[pc].agent.handle(Input::Answered { exchange: id, outcome }, late);
    assert!(!outputs.iter().any(|output| matches!(output, Output::Send(_))), "{outputs:?}");
    assert!(bench.slots[pc].agent.is_resting());
    assert!(matches!(bench.view(pc).health, Health::Disconnected { .. }));
}

#[test]
fn at_the_end_of_time_a_client_rests() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    for now in [Timestamp::NEVER, Timestamp::from_millis(i64::MIN), Timestamp::EPOCH] {
        bench.slots[pc].agent.handle(Input::Wake, now);
        bench.slots[pc].agent.handle(Input::Stop, now);
        bench.slots[pc].agent.handle(Input::Start { booted: now }, now);
    }
}

#[test]
fn who_is_registered_anew_in_the_middle_begins_anew_with_the_index() {
    let mut bench = with_much_to_learn();
    let now = bench.now;
    let mut input = Input::Wake;
    let mut asked = Vec::new();
    // The policy is refused with 401, and the index after the registration says that nothing is new.
    loop {
        let outputs = bench.slots[0].agent.handle(input, now);
        let Some(exchange) = outputs.into_iter().filter_map(|one| bench.slots[0].obey(one)).last() else {
            break;
        };
        let outcome = match &exchange.request {
            AgentRequest::Fetch { .. } => Ok(ManagerResponse::empty(401)),
            AgentRequest::Index { .. } if asked.len() > 2 => Ok(ManagerResponse::empty(304)),
            _ => bench.carry(&exchange).unwrap(),
        };
        asked.push(exchange.request);
        input = Input::Answered { exchange: exchange.id, outcome };
    }
    let fetched = asked.iter().filter(|one| matches!(one, AgentRequest::Fetch { .. })).count();
    assert_eq!(fetched, 1, "{asked:?}");
}
