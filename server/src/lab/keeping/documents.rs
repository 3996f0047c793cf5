//! The documents in which a store keeps a lab, beside the log of its site and the registered clients.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use epm_client_agent::agent::{Agent, AgentState, Cache, KeptAgent};
use epm_client_agent::cause::{Change, Facts, RotationSettings};
use epm_client_agent::scenario::presence::{MostlyOff, Presence};
use epm_client_agent::scenario::{PartPlan, Span};
use epm_protocol::assumption::Assumptions;
use epm_protocol::fault::FaultRule;
use epm_protocol::heartbeat::http::sha256_hex;
use epm_protocol::sylink::Sylink;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Kcs;
use epm_protocol::version::ClientVersion;
use serde::{Deserialize, Serialize};

use crate::lab::history::Left;
use crate::runtime::clients::ClientStatus;
use crate::runtime::kept_pauses::KeptPauses;

/// Facts about the lab as a whole.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptLab {
    pub(super) clock: KeptClock,
    /// Number of the journal's next entry, and of its entries by kind.
    pub(super) journal: u64,
    pub(super) journal_counts: [u64; 6],
    /// Number of changes of certificates, lists and switches, and the settings before the first one.
    pub(super) changes: u64,
    pub(super) settings_at_start: KeptSettings,
    /// Generation of the history of the clients.
    pub(super) history: u64,
    pub(super) assumptions_at_start: Assumptions,
    pub(super) assumptions_after_reset: Assumptions,
    /// Whether the lab was stopped, and nothing has happened since this was written.
    pub(super) is_stopped: bool,
    /// Clients that were removed from the fleet, and when.
    #[serde(default)]
    pub(super) dismissed: HashMap<String, Timestamp>,
    /// When clients left the fleet, or were no longer reported.
    #[serde(default)]
    pub(super) left: Left,
    /// The pauses between changes, without those that have ended, as earlier versions wrote them.
    #[serde(default, skip_serializing)]
    pub(super) pauses: Option<KeptPauses>,
    /// Number of source addresses that clients have had.
    #[serde(default)]
    pub(super) sources: u32,
    /// Why not all that was done is known, if it is not.
    #[serde(default = "not_recorded")]
    pub(super) recording_gap: Option<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "the default of a field")]
fn not_recorded() -> Option<String> {
    Some("the lab was begun with an earlier version of epm-lab, which did not keep what was done".to_owned())
}

/// Settings that a rotation changes, with the shared secret, which their JSON for users does not have.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptSettings {
    settings: RotationSettings,
    secret: Option<Kcs>,
}

/// A change of settings that matter to a rotation.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptChange {
    pub(super) number: u64,
    at: Timestamp,
    before: KeptSettings,
    after: KeptSettings,
    facts: Facts,
}

/// The clock of the lab.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct KeptClock {
    /// Lab time when this was written.
    lab: Timestamp,
    /// Time of the machine when this was written.
    machine: Timestamp,
    speed: u32,
    hold_ms: u64,
}

/// An active fault.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptFault {
    pub(super) rule: FaultRule,
    pub(super) since: Timestamp,
}

/// A part of the fleet.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptPart {
    name: String,
    count: u32,
    group: String,
    location: Option<String>,
    version: ClientVersion,
    hardware_id: Option<String>,
    use_last_server: bool,
    /// Milliseconds for which a machine is on in each period, and those of the period, if it is mostly off.
    mostly_off: Option<(u64, u64)>,
    /// Since when its presence switches its machines.
    pub(super) presence_since: Option<Timestamp>,
}

/// A client of the fleet, without its cache.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptClient {
    /// Place of the client among the others.
    pub(super) place: u64,
    pub(super) part: String,
    pub(super) is_frozen: bool,
    /// Source address of the client, if it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<Ipv4Addr>,
    pub(super) agent: KeptAgent,
}

/// The cache of a client. Texts that many clients share are named by their SHA-256.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptCache {
    sylink: String,
    list: Option<String>,
    state: AgentState,
}

/// A snapshot, without its site, which follows from the log.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptSnapshot {
    pub(super) at: Timestamp,
    pub(super) client_statuses: Vec<ClientStatus>,
    pub(super) faults: Vec<FaultRule>,
    pub(super) agents: Vec<(KeptClient, KeptCache)>,
    pub(super) parts: Vec<KeptPart>,
    pub(super) texts: BTreeMap<String, String>,
}

impl KeptSettings {
    pub(super) fn of(settings: &RotationSettings) -> Self {
        Self { settings: settings.clone(), secret: settings.secret.clone() }
    }

    pub(super) fn settings(self) -> Arc<RotationSettings> {
        Arc::new(RotationSettings { secret: self.secret, ..self.settings })
    }
}

impl KeptChange {
    pub(super) fn of(change: &Change) -> Self {
        Self {
            number: change.number,
            at: change.at,
            before: KeptSettings::of(&change.before),
            after: KeptSettings::of(&change.after),
            facts: (*change.facts).clone(),
        }
    }

    pub(super) fn change(self) -> Change {
        Change {
            number: self.number,
            at: self.at,
            before: self.before.settings(),
            after: self.after.settings(),
            facts: Arc::new(self.facts),
        }
    }
}

impl KeptClock {
    /// A clock that shows `lab` while the machine's clock shows `machine`.
    pub(super) const fn new(lab: Timestamp, machine: Timestamp, speed: u32, hold_ms: u64) -> Self {
        Self { lab, machine, speed, hold_ms }
    }

    /// The lab time at which the clock goes on when the machine's shows `machine`. A clock at real speed has gone on meanwhile;
    /// any other one goes on from where it stopped.
    pub(crate) fn now(&self, machine: Timestamp) -> Timestamp {
        if self.speed == 1 { self.lab + machine.since(self.machine) } else { self.lab }
    }

    /// When this was written, by the clock of the machine.
    pub(crate) const fn written(&self) -> Timestamp {
        self.machine
    }

    /// The speed of the clock.
    pub(crate) const fn speed(&self) -> u32 {
        self.speed
    }

    /// The hold of the clock; zero without one.
    pub(crate) const fn hold(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.hold_ms)
    }
}

impl KeptPart {
    pub(super) fn of(plan: &PartPlan, presence_since: Option<Timestamp>) -> Self {
        let millis = |span: Span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX);
        let mostly_off = match plan.presence {
            Presence::MostlyOff(MostlyOff { on, every }) => Some((millis(on), millis(every))),
            _ => None,
        };
        Self {
            name: plan.name.clone(),
            count: plan.count,
            group: plan.group.clone(),
            location: plan.location.clone(),
            version: plan.version,
            hardware_id: plan.hardware_id.clone(),
            use_last_server: plan.use_last_server,
            mostly_off,
            presence_since,
        }
    }

    pub(super) fn plan(&self) -> PartPlan {
        let span = |millis| Span(std::time::Duration::from_millis(millis));
        let presence = match self.mostly_off {
            Some((on, every)) => Presence::MostlyOff(MostlyOff { on: span(on), every: span(every) }),
            None => Presence::Always,
        };
        PartPlan {
            group: self.group.clone(),
            location: self.location.clone(),
            hardware_id: self.hardware_id.clone(),
            use_last_server: self.use_last_server,
            presence,
            ..PartPlan::new(&self.name, self.count, self.version)
        }
    }
}

impl KeptCache {
    /// A cache, and the texts that it names.
    pub(super) fn of(cache: &Cache) -> (Self, Vec<(String, String)>) {
        let mut state = cache.state.clone();
        let list = state.list.take();
        let sylink = String::from_utf8_lossy(&cache.sylink.to_bytes()).into_owned();
        let texts: Vec<(String, String)> = std::iter::once(sylink)
            .chain(list.as_deref().map(str::to_owned))
            .map(|text| (sha256_hex(text.as_bytes()), text))
            .collect();
        let list = list.and(texts.get(1)).map(|(name, _)| name.clone());
        let kept = Self { sylink: texts[0].0.clone(), list, state };
        (kept, texts)
    }

    /// Names of the texts.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.sylink).chain(&self.list)
    }

    /// The cache, with its texts; an error says what is wrong.
    pub(super) fn cache(self, text: &impl Fn(&str) -> Option<Arc<str>>) -> Result<Cache, String> {
        let find = |name: &str| text(name).ok_or_else(|| format!("the text {name} is missing"));
        let sylink = find(&self.sylink)?;
        let sylink = Sylink::parse_bytes(sylink.as_bytes()).map_err(|error| error.to_string())?;
        let list = self.list.as_deref().map(find).transpose()?;
        Ok(Cache { sylink: Arc::new(sylink), state: AgentState { list, ..self.state } })
    }
}

impl KeptSnapshot {
    /// The agents, each with its part and whether it is frozen.
    pub(super) fn agents(
        agents: Vec<(KeptClient, KeptCache)>,
        texts: &BTreeMap<String, String>,
        assumptions: &Arc<Assumptions>,
        at: Timestamp,
    ) -> Result<Vec<(String, Agent, bool)>, String> {
        let text = |name: &str| texts.get(name).map(|text| Arc::from(text.as_str()));
        let agent = |(client, cache): (KeptClient, KeptCache)| {
            let agent = client.agent.agent(cache.cache(&text)?, Arc::clone(assumptions), at, at);
            Ok((client.part, agent, client.is_frozen))
        };
        agents.into_iter().map(agent).collect()
    }
}
