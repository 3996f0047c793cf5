//! Identifies the client behind a connection, as far as the site knows, and applies the faults to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use epm_protocol::fault::{ConnectionFacts, ExchangeFacts, Hit, Moment, Party, Past, Route, Verdict};
use epm_protocol::heartbeat::AgentRequest;
use epm_protocol::id::AgentId;
use epm_protocol::policy::Protocol;
use epm_protocol::site::agent_id;
use epm_protocol::version::ClientVersion;

use crate::runtime::context::ManagerContext;
use crate::runtime::faults::counts::Key;
use crate::runtime::journal::FaultApplied;

/// A connection to be judged.
#[derive(Clone, Copy)]
pub(crate) struct FaultQuery<'a> {
    pub(crate) peer: SocketAddr,
    pub(crate) protocol: Protocol,
    pub(crate) manager: &'a ManagerContext,
}

/// What is known of a client.
#[derive(Debug, Default)]
struct Known {
    agent: Option<AgentId>,
    computer: Option<String>,
    group: Option<String>,
    version: Option<ClientVersion>,
    /// Address that faults see, if it differs from the connection's.
    source: Option<IpAddr>,
}

impl FaultQuery<'_> {
    /// The fault that hits this connection, if any; recorded in the journal.
    pub(crate) fn judge_connection(self) -> Option<Hit> {
        let Self { peer, protocol, manager } = self;
        let faults = &manager.faults;
        let (set, now) = (faults.set(), manager.now());
        let known = self.expected().unwrap_or_else(|| self.known(self.neighbour()));
        let party = known.party(peer);
        if !set.can_touch(&party, now) {
            return None;
        }
        let ordinal = faults.with_counter(|counts| {
            counts.connection(known.key(peer), manager.runtime.number, set.counting_since())
        });
        let past = manager.runtime.past();
        let facts = ConnectionFacts { party, manager: &manager.runtime.name, protocol, ordinal, past };
        let verdict = set.judge_connection(&facts, now);
        let replaced = ConnectionFacts { past: Past::REPLACED, ..facts };
        self.note_spared(&set.judge_connection(&replaced, now), past, Moment::Connection);
        self.noted(verdict, &known, None, ordinal)
    }

    /// The fault that hits this exchange, if any; recorded in the journal.
    pub(crate) fn judge_exchange(self, asked: &AgentRequest) -> Option<Hit> {
        let Self { peer, protocol, manager } = self;
        let faults = &manager.faults;
        let (set, now) = (faults.set(), manager.now());
        let known = self.expected().unwrap_or_else(|| self.asking(asked));
        let party = known.party(peer);
        if !set.can_touch(&party, now) {
            return None;
        }
        let route = Route::of(asked);
        let ordinal = faults.with_counter(|counts| {
            counts.exchange(known.key(peer), manager.runtime.number, route, set.counting_since())
        });
        let held = u64::try_from(manager.clients.held.of_others(asked.agent())).unwrap_or(u64::MAX);
        let past = manager.runtime.past();
        let name = &manager.runtime.name;
        let facts = ExchangeFacts { party, manager: name, protocol, route, ordinal, held, past };
        let verdict = set.judge_exchange(&facts, now);
        let replaced = ExchangeFacts { past: Past::REPLACED, ..facts };
        self.note_spared(&set.judge_exchange(&replaced, now), past, Moment::Exchange);
        self.noted(verdict, &known, Some(route), ordinal)
    }

    /// Notes a fault that would hit if something had been replaced before.
    fn note_spared(self, verdict: &Verdict, past: Past, moment: Moment) {
        let Some(what) = verdict.what() else { return };
        if let Some(needed) = what.lacks(past, moment) {
            let why = format!("the fault {} needs {needed}, which is missing", what.name());
            self.manager.journal.fault_skipped(self.peer, why);
        }
    }

    fn noted(self, verdict: Verdict, known: &Known, route: Option<Route>, ordinal: u64) -> Option<Hit> {
        let hit = if let Verdict::Hit(hit) = verdict { Some(hit) } else { None };
        let rule = hit.as_ref().map(|hit| &hit.rule);
        self.manager.faults.with_counter(|counts| counts.hit(known.key(self.peer), rule));
        let hit = hit?;
        let moment = if route.is_some() { Moment::Exchange } else { Moment::Connection };
        self.manager.journal.fault_applied(FaultApplied {
            at: self.manager.now(),
            manager: self.manager.runtime.number,
            peer: self.peer,
            moment,
            route,
            agent: known.agent,
            ordinal,
            rule: hit.rule.clone(),
        });
        Some(hit)
    }

    /// The client expected from this address: everything but its group, which the site knows.
    fn expected(self) -> Option<Known> {
        let client = self.manager.faults.expected(self.peer.ip())?;
        let group = self.known(Some(client.agent)).group;
        Some(Known {
            agent: Some(client.agent),
            computer: Some(client.computer),
            group,
            version: Some(client.version),
            source: Some(Ipv4Addr::LOCALHOST.into()),
        })
    }

    fn neighbour(self) -> Option<AgentId> {
        self.manager.faults.with_counter(|counts| counts.only_one_at(self.peer.ip()))
    }

    /// The client that sent this request.
    fn asking(self, asked: &AgentRequest) -> Known {
        let agent = match asked {
            AgentRequest::Hello => return self.known(self.neighbour()),
            AgentRequest::Register(registration) => agent_id(registration.hardware_key),
            AgentRequest::Index { agent, .. }
            | AgentRequest::Fetch { agent, .. }
            | AgentRequest::Upload { agent, .. }
            | AgentRequest::Hold { agent, .. } => *agent,
            AgentRequest::Probe(probe) => agent_id(probe.registration.hardware_key),
        };
        self.manager.faults.with_counter(|counts| counts.saw(self.peer.ip(), agent));
        let known = self.known(Some(agent));
        match asked {
            AgentRequest::Register(registration) => Known {
                computer: Some(registration.computer_name.clone()),
                version: Some(registration.version),
                ..known
            },
            AgentRequest::Probe(probe) if known.computer.is_none() => Known {
                group: probe.registration.preferred_group.clone(),
                computer: Some(probe.registration.computer_name.clone()),
                version: Some(probe.registration.version),
                ..known
            },
            _ => known,
        }
    }

    fn known(self, agent: Option<AgentId>) -> Known {
        let client_status = agent.and_then(|agent| self.manager.clients.status(agent));
        let Some(client) = client_status.map(|client_status| client_status.client) else {
            return Known { agent, ..Known::default() };
        };
        let site = self.manager.site.read();
        let group = site.groups().iter().find(|(_, one)| one.id == client.group);
        Known {
            agent,
            group: group.map(|(path, _)| path.to_owned()),
            computer: Some(client.computer_name),
            version: Some(client.version),
            source: None,
        }
    }
}

/// A connection to the REST API, or a call of it, to be judged.
#[derive(Clone, Copy)]
pub(crate) struct RestQuery<'a> {
    pub(crate) peer: SocketAddr,
    pub(crate) manager: &'a ManagerContext,
}

impl RestQuery<'_> {
    /// The fault that hits, if any; recorded in the journal.
    pub(crate) fn judge(self, moment: Moment) -> Option<Hit> {
        let Self { peer, manager } = self;
        let (faults, source) = (&manager.faults, peer.ip());
        let (set, now) = (faults.set(), manager.now());
        if !set.can_touch_caller(source, now) {
            return None;
        }
        let ordinal = faults
            .with_counter(|counts| counts.rest(source, manager.runtime.number, moment, set.counting_since()));
        let Verdict::Hit(hit) = set.judge_rest(moment, source, &manager.runtime.name, ordinal, now) else {
            return None;
        };
        manager.journal.fault_applied(FaultApplied {
            at: now,
            manager: manager.runtime.number,
            peer,
            moment,
            route: None,
            agent: None,
            ordinal,
            rule: hit.rule.clone(),
        });
        Some(hit)
    }
}

impl Known {
    fn party(&self, peer: SocketAddr) -> Party<'_> {
        Party {
            agent: self.agent,
            computer: self.computer.as_deref(),
            group: self.group.as_deref(),
            version: self.version,
            source: self.source.unwrap_or_else(|| peer.ip()),
        }
    }

    fn key(&self, peer: SocketAddr) -> Key {
        // An expected client has its own address, but may share its hardware ID.
        let agent = self.agent.filter(|_| self.source.is_none());
        agent.map_or(Key::Source(peer.ip()), Key::Agent)
    }
}
