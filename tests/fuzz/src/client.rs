//! What a client reads: its cache, an update package; and what its users read with its tools: scenarios and logs.

use std::fs;
use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};

use epm_client_agent::agent::{Agent, AgentProfile, AgentState, Cache, Input, Output};
use epm_client_agent::catalogue::{Log, diagnose};
use epm_client_agent::scenario::Scenario;
use epm_client_agent::wire::read_package;
use epm_protocol::assumption::Assumptions;
use epm_protocol::heartbeat::{ExchangeFailure, Stage};
use epm_protocol::id::{Guid, HardwareKey};
use epm_protocol::sylink::Sylink;
use epm_protocol::time::Timestamp;
use epm_protocol::version::ClientVersion;

use crate::is_short;

/// The time of each input to a client.
const NOW: Timestamp = Timestamp::from_seconds(1_767_600_000);

/// A communication update package: an archive with a communications file.
pub(crate) fn package(input: &[u8]) {
    static PATH: LazyLock<std::path::PathBuf> =
        LazyLock::new(|| std::env::temp_dir().join(format!("epm-fuzz-{}.zip", std::process::id())));
    fs::write(&*PATH, input).expect("the folder for temporary files can be written to");
    let read = read_package(&PATH);
    fs::remove_file(&*PATH).expect("the file was written");
    if let Some(file) = crate::read(read) {
        assert_eq!(Sylink::parse_bytes(&file.to_bytes()).as_ref(), Ok(&file));
    }
}

/// A scenario: read, and checked against a site.
pub(crate) fn scenario(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Scenario::parse(text, "a.toml") {
        Ok(scenario) => {
            if let Err(error) = scenario.check("a.toml", text) {
                assert!(error.line <= text.lines().count() + 1, "{error}");
                is_short(&error);
            }
        }
        Err(error) => {
            assert!(error.line <= text.lines().count() + 1, "{error}");
            is_short(&error);
        }
    }
}

/// The log of a client, or of another program.
pub(crate) fn log(input: &[u8]) {
    let Some(log) = crate::read(Log::read(input, None)) else { return };
    assert!(log.lines.len() <= input.len() && log.lines.iter().all(|line| line.number > 0));
}

/// A log and its diagnosis, which takes much longer than the parser.
pub(crate) fn diagnosis(input: &[u8]) {
    let Ok(log) = Log::read(input, None) else { return };
    let diagnosis = diagnose(&log);
    assert_eq!(diagnosis.lines, log.lines.len());
    assert!(diagnosis.unknown_lines.len() + diagnosis.known_lines.len() <= 2 * log.lines.len());
    assert!(diagnosis.candidates.iter().all(|one| one.fit.is_finite()));
}

/// The state in a client's cache: the client starts with it and has heartbeats that fail.
pub(crate) fn state(input: &[u8]) {
    static SYLINK: LazyLock<Arc<Sylink>> = LazyLock::new(|| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/sylink/exported.xml");
        Arc::new(Sylink::parse_bytes(&fs::read(file).expect("the fixture is there")).expect("it is valid"))
    });
    let Ok(state) = serde_json::from_slice::<AgentState>(input) else { return };
    let written = serde_json::to_vec(&state).expect("a state can be written");
    assert_eq!(serde_json::from_slice::<AgentState>(&written).expect("what was written is read"), state);
    let key = Guid::derive(0, "hardware", "desk-1", Ipv4Addr::LOCALHOST);
    let profile = AgentProfile {
        hardware_key: HardwareKey(key),
        computer_name: "desk-1".to_owned(),
        version: ClientVersion::new(14, 3),
        seed: 7,
        use_last_server: true,
    };
    let cache = Cache { sylink: Arc::clone(&SYLINK), state };
    let mut agent = Agent::new(profile, cache, Arc::new(Assumptions::default()));
    let mut outputs = agent.handle(Input::Start { booted: NOW }, NOW);
    for _ in 0..2 {
        outputs.extend(agent.handle(Input::Wake, NOW));
        let exchange = outputs.drain(..).rev().find_map(|output| match output {
            Output::Send(exchange) => Some(exchange.id),
            _ => None,
        });
        let Some(exchange) = exchange else { break };
        outputs = agent.handle(Input::Answered { exchange, outcome: Err(failed()) }, NOW);
    }
    let _ = agent.view();
}

fn failed() -> ExchangeFailure {
    ExchangeFailure::TimedOut { stage: Stage::Connect, after_ms: 30_000 }
}
