//! Settings, locations, push mode and registration.

use epm_protocol::heartbeat::OperationalState;
use epm_protocol::heartbeat::http::sha256_hex;
use epm_protocol::policy::{CommunicationChange, Protocol};
use epm_protocol::site::{Command, DEFAULT_GROUP, Material};

use super::super::*;
use super::bench::{ALL, BEAT, Bench, DAY, HTTP_LIST, assign};

const V14: &str = "14.3.8289.5000";

fn set(bench: &mut Bench, change: CommunicationChange) {
    bench.apply(&Command::SetCommunication { group: ALL[0].into(), location: None, change });
}

fn connect(on: bool) -> CommunicationChange {
    CommunicationChange { connect: Some(on), ..CommunicationChange::default() }
}

fn download(on: bool) -> CommunicationChange {
    CommunicationChange { download_profile: Some(on), ..CommunicationChange::default() }
}

fn push() -> CommunicationChange {
    CommunicationChange { mode: Some(CommunicationMode::Push), ..CommunicationChange::default() }
}

fn policy(bench: &mut Bench, content: &str) {
    let (policy, content) = ("Firewall".to_owned(), content.to_owned());
    bench.apply(&Command::SetPolicy { group: ALL[0].into(), policy, content });
}

/// A client in push mode, at rest, with its held request.
fn pushed() -> (Bench, usize) {
    let mut bench = Bench::one();
    set(&mut bench, push());
    let pc = bench.client(V14);
    bench.beats(1);
    assert!(bench.slots[pc].held.is_some());
    (bench, pc)
}

#[test]
fn f36_with_communication_disabled_a_client_keeps_away_until_it_is_told_otherwise_out_of_band() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    set(&mut bench, connect(false));
    bench.beats(1);
    let sent = bench.slots[pc].sent.len();
    set(&mut bench, connect(true));
    bench.wait(DAY);
    assert_eq!(bench.slots[pc].sent.len(), sent);
    let health = bench.view(pc).health;
    assert!(matches!(health, Health::Disconnected { because: Trouble::Disabled, .. }), "{health:?}");
    let fresh = bench.site.export_sylink(DEFAULT_GROUP, None).unwrap();
    bench.tell(pc, Input::Import(Arc::new(fresh)));
    bench.wait(Duration::ZERO);
    assert!(bench.is_connected(pc));
}

#[test]
fn f36_a_client_in_push_mode_gives_up_its_held_request_when_communication_is_disabled() {
    let (mut bench, pc) = pushed();
    set(&mut bench, connect(false));
    bench.beats(1);
    assert!(bench.slots[pc].held.is_none());
    assert!(!bench.is_connected(pc));
}

#[test]
fn f37_with_the_download_of_policies_off_the_client_says_newest_and_its_serial_is_stale() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    set(&mut bench, download(false));
    bench.beats(2);
    let serial = bench.view(pc).serial;
    assert_eq!(serial, Some(bench.serial_in_force(pc)));
    policy(&mut bench, "new");
    let (log, believed) = (bench.slots[pc].log.len(), bench.view(pc).certificates);
    bench.update("A");
    bench.restore("A", &Bench::one().identity("A"));
    bench.beats(3);
    assert!(bench.is_connected(pc));
    assert_eq!((bench.view(pc).serial, bench.view(pc).certificates), (serial, believed));
    assert_eq!(bench.view(pc).complete, serial, "what it holds, it still holds");
    assert_ne!(serial, Some(bench.serial_in_force(pc)));
    let after = &bench.slots[pc].log[log..];
    assert!(after.iter().all(|line| line.event == Event::HaveLatestPolicy), "{after:#?}");
}

#[test]
fn f37_in_push_mode_a_client_with_the_download_off_does_not_ask_over_and_over() {
    let (mut bench, pc) = pushed();
    set(&mut bench, download(false));
    bench.beats(2);
    policy(&mut bench, "new");
    let sent = bench.slots[pc].sent.len();
    bench.beats(3);
    assert!(bench.slots[pc].sent.len() < sent + 20, "{}", bench.slots[pc].sent.len() - sent);
    assert!(bench.is_connected(pc));
}

#[test]
fn f39_a_communications_file_edited_by_hand_is_overwritten_at_the_next_contact() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    let edit = |bench: &mut Bench| {
        bench.stop(pc);
        let edited =
            bench.slots[pc].kept.0.replace("PullHeartbeatSeconds=\"300\"", "PullHeartbeatSeconds=\"7\"");
        assert_ne!(edited, bench.slots[pc].kept.0);
        bench.slots[pc].kept.0 = edited;
        bench.restart(pc);
    };
    let honest = bench.slots[pc].kept.0.clone();
    edit(&mut bench);
    bench.down.insert("A");
    bench.wait(Duration::ZERO);
    assert_eq!(bench.slots[pc].agent.trust_state.settings().pull_heartbeat_seconds, 7, "until then it holds");
    bench.down.clear();
    bench.wait(Duration::from_secs(10));
    assert_eq!(bench.slots[pc].agent.trust_state.settings().pull_heartbeat_seconds, 300);
    assert_eq!(bench.slots[pc].kept.0, honest);

    let requests = bench.slots[pc].sent.len();
    bench.restart(pc);
    bench.wait(Duration::ZERO);
    assert_eq!(bench.slots[pc].sent.len(), requests + 1, "an untouched file is not fetched again");
}

#[test]
fn in_push_mode_a_change_reaches_the_client_at_once() {
    let (mut bench, pc) = pushed();
    let now = bench.now;
    policy(&mut bench, "new");
    assert_eq!(bench.view(pc).complete, Some(bench.serial_in_force(pc)));
    assert_eq!(bench.now, now);
    assert!(bench.slots[pc].held.is_some(), "and it holds a request again");
    let moved = r"My Company\Other";
    bench.apply(&Command::AddGroup { group: moved.into(), inherits: false });
    let agent = bench.slots[pc].agent.cache().state.agent.unwrap();
    bench.apply(&Command::MoveClient { client: agent.into(), group: moved.into() });
    assert_eq!(bench.view(pc).group.as_deref(), Some(moved));
    assert!(bench.slots[pc].has_logged(Event::ClientMoved, moved));
}

#[test]
fn in_push_mode_a_certificate_is_learnt_at_once_where_the_switch_is_off() {
    let (mut bench, pc) = pushed();
    bench.steps_1_to_5(&ALL);
    bench.switch(false, &ALL);
    bench.update("A");
    assert!(bench.is_connected(pc) && bench.believes(pc, "A"));
}

#[test]
fn in_push_mode_a_held_request_that_is_lost_brings_an_early_heartbeat() {
    let (mut bench, pc) = pushed();
    let exchange = bench.slots[pc].held.take().unwrap();
    let failure = super::bench::timeout();
    bench.tell(pc, Input::Answered { exchange: exchange.id, outcome: Err(failure) });
    assert!(bench.slots[pc].agent.next_wake() <= bench.now + Duration::from_secs(60));
    bench.wait(Duration::from_secs(60));
    assert!(bench.is_connected(pc) && bench.slots[pc].held.is_some());
}

#[test]
fn in_push_mode_regular_heartbeats_go_on_beside_the_held_request() {
    let (mut bench, pc) = pushed();
    let before = bench.view(pc).heartbeats;
    bench.wait(Duration::from_secs(3000));
    assert!(bench.view(pc).heartbeats >= before + 9);
}

#[test]
fn a_location_with_settings_of_its_own_changes_list_and_mode_in_one_step() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    let (group, location) = (ALL[0].to_owned(), "Office".to_owned());
    bench.apply(&Command::AddLocation { group: group.clone(), location: location.clone() });
    let from = bench.site.default_list();
    bench.apply(&Command::CopyList { from, to: HTTP_LIST.into() });
    bench.apply(&super::bench::speak(HTTP_LIST, Protocol::Http));
    bench.apply(&assign(HTTP_LIST, &group, Some("Office")));
    bench.apply(&Command::SetCommunication { group, location: Some(location), change: push() });
    bench.beats(1);
    assert_eq!(bench.view(pc).server.unwrap().protocol, Protocol::Https);
    bench.tell(pc, Input::MoveTo(Some("Office".into())));
    bench.wait(Duration::ZERO);
    assert_eq!(bench.view(pc).server.unwrap().protocol, Protocol::Http);
    assert!(bench.slots[pc].held.is_some());
    bench.tell(pc, Input::MoveTo(None));
    bench.wait(Duration::ZERO);
    assert_eq!(bench.view(pc).server.unwrap().protocol, Protocol::Https);
    assert!(bench.slots[pc].held.is_none() && bench.is_connected(pc));
}

#[test]
fn a_new_interval_holds_from_the_heartbeat_that_brings_it() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    let change = CommunicationChange { heartbeat_seconds: Some(3600), ..CommunicationChange::default() };
    set(&mut bench, change);
    bench.beats(2);
    let before = bench.view(pc).heartbeats;
    bench.wait(Duration::from_secs(36_000));
    assert!((9..=11).contains(&(bench.view(pc).heartbeats - before)));
}

#[test]
fn after_a_change_the_next_heartbeat_comes_within_a_minute_and_then_as_usual() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    bench.beats(2);
    policy(&mut bench, "new");
    while bench.view(pc).complete != Some(bench.serial_in_force(pc)) {
        bench.wait(Duration::from_secs(1));
    }
    assert!(bench.slots[pc].agent.next_wake() <= bench.now + Duration::from_secs(60));
    bench.wait(Duration::from_secs(61));
    assert!(bench.slots[pc].agent.next_wake() > bench.now + Duration::from_secs(60));
}

#[test]
fn f35_registration_with_an_unknown_preferred_group_lands_in_the_default_group() {
    let mut bench = Bench::one();
    let mut sylink = bench.site.export_sylink(DEFAULT_GROUP, None).unwrap();
    sylink.set_preferred_group(r"My Company\Nowhere");
    let pc = bench.client_with(sylink, V14, |_| ());
    assert_eq!(bench.view(pc).group.as_deref(), Some(DEFAULT_GROUP));
}

#[test]
fn f17_registration_with_an_unknown_domain_is_refused() {
    let mut bench = Bench::one();
    let text = bench.site.export_sylink(DEFAULT_GROUP, None).unwrap().to_xml();
    let other = text.replace(&bench.site.domain().to_string(), "0123456789ABCDEF0123456789ABCDEF");
    let pc = bench.client_with(Sylink::parse(&other).unwrap(), V14, |_| ());
    bench.beats(2);
    assert_eq!(bench.site.clients().count(), 0);
    let Health::Disconnected { because: Trouble::Status { status, request }, .. } = bench.view(pc).health
    else {
        panic!("{:?}", bench.view(pc).health)
    };
    assert_eq!((status, request.as_str()), (401, "the registration"));
}

#[test]
fn a_client_that_the_manager_does_not_know_registers_anew_once_in_a_heartbeat() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    bench.beats(1);
    // The same site, founded again: it knows no client, but its certificate is the same.
    bench.site = Bench::one().site;
    let sent = bench.slots[pc].sent.len();
    bench.wait(BEAT);
    let kinds: Vec<_> = bench.slots[pc].sent[sent..].iter().map(|one| kind(&one.request)).collect();
    assert_eq!(&kinds[..3], ["index", "register", "index"], "{kinds:?}");
    assert!(bench.is_connected(pc));
    assert_eq!(bench.site.clients().count(), 1);

    bench.tamper = Some(|request, response| {
        if matches!(request, AgentRequest::Index { .. }) {
            *response = ManagerResponse::empty(401);
        }
    });
    bench.beats(1);
    let sent = bench.slots[pc].sent.len();
    bench.wait(BEAT);
    let kinds: Vec<_> = bench.slots[pc].sent[sent..].iter().map(|one| kind(&one.request)).collect();
    assert_eq!(&kinds[..3], ["index", "register", "index"], "{kinds:?}");
    assert!(kinds.len() <= 6 && !bench.is_connected(pc), "once, and not again and again: {kinds:?}");
}

#[test]
fn a_registered_client_reports_what_it_holds_and_then_only_after_a_change() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    let reports = |bench: &Bench| -> Vec<OperationalState> {
        let sent = bench.slots[pc].sent.iter();
        sent.filter_map(|one| match &one.request {
            AgentRequest::Upload { state, .. } => Some(serde_json::from_slice(state).unwrap()),
            _ => None,
        })
        .collect()
    };
    bench.beats(5);
    let first = reports(&bench);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].serial, bench.view(pc).serial);
    assert_eq!(first[0].certificates, bench.view(pc).certificates);
    bench.switch(false, &ALL);
    bench.beats(5);
    assert_eq!(reports(&bench).len(), 2);
    assert!(!reports(&bench)[1].secure_communications);
}

#[test]
fn a_package_is_fetched_once_and_again_when_its_content_changes() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    let add = |bench: &mut Bench, content: &'static str| {
        let file = Material { file: "setup.exe".into(), content: content.into() };
        bench.apply(&Command::AddPackage { package: "SEP".into(), file });
    };
    let fetched = |bench: &Bench| {
        let wanted = Artifact::Package("SEP".into());
        let is_fetch = |one: &&Exchange| matches!(&one.request, AgentRequest::Fetch { artifact, .. } if *artifact == wanted);
        bench.slots[pc].sent.iter().filter(is_fetch).count()
    };
    add(&mut bench, "one");
    bench.apply(&Command::AssignPackage { package: "SEP".into(), group: ALL[0].into() });
    bench.beats(3);
    assert_eq!(fetched(&bench), 1);
    policy(&mut bench, "other");
    bench.beats(3);
    assert_eq!(fetched(&bench), 1);
    add(&mut bench, "two");
    bench.beats(3);
    assert_eq!(fetched(&bench), 2);
    assert_eq!(bench.slots[pc].agent.cache().state.packages["SEP"], sha256_hex(b"two"));
}

fn kind(request: &AgentRequest) -> &'static str {
    match request {
        AgentRequest::Hello => "hello",
        AgentRequest::Register(_) => "register",
        AgentRequest::Index { .. } => "index",
        AgentRequest::Fetch { .. } => "fetch",
        AgentRequest::Upload { .. } => "upload",
        AgentRequest::Hold { .. } => "hold",
        AgentRequest::Probe(_) => "probe",
    }
}

#[test]
fn a_client_that_is_restored_continues_its_heartbeats_and_repeats_what_was_interrupted() {
    let (bench, pc) = pushed();
    let (agent, then) = (bench.slots[pc].agent.clone(), bench.now);
    let later = then + 3 * DAY;
    let held = agent.resumed(then, later);
    assert!(agent.held().is_some() && held.held().is_none(), "its connection has ended");
    assert!(held.next_wake() <= later + Duration::from_secs(60), "so it connects again soon");

    let mut resting = agent.clone();
    resting.handle(
        Input::Answered { exchange: agent.held().unwrap(), outcome: Err(super::bench::timeout()) },
        then,
    );
    let mut cut_short = resting.clone();
    cut_short.handle(Input::Wake, then);
    assert_eq!(cut_short.next_wake(), Timestamp::NEVER, "a heartbeat is under way");
    assert_eq!(cut_short.resumed(then, later).next_wake(), later, "the heartbeat begins again");

    assert_eq!(resting.resumed(then, then).next_wake(), resting.next_wake());
    let moved = resting.resumed(then, later).next_wake();
    assert_eq!(moved.since(later), resting.next_wake().since(then), "the early heartbeat is as far ahead");

    let mut off = agent;
    off.handle(Input::Stop, then);
    assert!(off.resumed(then, later).is_stopped());
}
