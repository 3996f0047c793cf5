//! A client under faults, in virtual time: the verdicts on each of its connections and exchanges, and their effects
//! where no byte is sent.
//!
//! Whether a fault hits depends on the client's identity and on how many times it has connected. So while a fault can
//! hit a client, each of its activations is played in full, and no result is memoised. The effect of a verdict is
//! decided in `epm_protocol::fault` and `epm_protocol::manager::faulted`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use epm_protocol::fault::mint::{MintInput, PresentedIdentity, mint};
use epm_protocol::fault::{
    ConnectionFacts, ExchangeFacts, FaultSet, Party, Route, Verdict, VirtualEffect, VirtualExchange,
};
use epm_protocol::heartbeat::{ExchangeFailure, Stage};
use epm_protocol::id::{AgentId, HardwareKey};
use epm_protocol::manager::faulted::{Intercepted, alter, intercept};
use epm_protocol::site::{RegisteredClient, agent_id};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::KeyPool;
use epm_protocol::version::ClientVersion;

use super::stimulus::ClientIdentity;
use super::world::{Carried, ShownCertificate, World};
use crate::agent::{Exchange, Server};

/// The source address of every client of a rehearsal.
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The identity by which faults recognise a client, and how many times it has connected.
#[derive(Clone, Debug)]
pub(super) struct FaultedClient {
    pub(super) name: String,
    /// The hardware id with which the client was installed.
    pub(super) machine: HardwareKey,
    /// Whether other clients can change what happens to this one.
    pub(super) interacts: bool,
    /// The number of held requests of other interacting clients.
    pub(super) held_by_others: u64,
    agent: AgentId,
    version: ClientVersion,
    /// The time since when connections and exchanges are counted.
    since: Option<Timestamp>,
    connections: BTreeMap<usize, u64>,
    exchanges: BTreeMap<(usize, Route), u64>,
    /// The connection of the request that a manager holds, and the number of that request.
    kept: Option<(u64, OpenConnection)>,
}

/// The open connection of a session, and the faults' verdict on it.
#[derive(Clone, Debug)]
pub(super) struct OpenConnection {
    server: Server,
    verdict: Verdict,
}

/// The reason why an exchange fails, if it does.
type Failed = Result<(), ExchangeFailure>;

impl FaultedClient {
    pub(super) fn new(identity: ClientIdentity, version: ClientVersion) -> Self {
        let ClientIdentity { name, machine, interacts } = identity;
        Self {
            name,
            machine,
            interacts,
            held_by_others: 0,
            agent: agent_id(machine),
            version,
            since: None,
            connections: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            kept: None,
        }
    }

    /// Keeps the connection of a request that is held from now on, until it is answered. Without one, no fault hit it.
    pub(super) fn keep(&mut self, held: &Exchange, open: Option<OpenConnection>) {
        let is_known = self.kept.as_ref().is_some_and(|(request, _)| *request == held.id);
        if !is_known {
            self.kept = open.map(|open| (held.id, open));
        }
    }

    /// The connection of a held request: it was judged when it was opened, and no fault hit it that was set later.
    pub(super) fn connection_of(&mut self, held: &Exchange) -> OpenConnection {
        let kept = self.kept.take().filter(|(request, _)| *request == held.id);
        let unhit = || OpenConnection { server: held.server.clone(), verdict: Verdict::Pass };
        kept.map_or_else(unhit, |(_, open)| open)
    }

    /// The hardware id of the client's own machine, whatever image it was installed from.
    pub(super) fn own_machine(&self, run_seed: u64) -> HardwareKey {
        crate::scenario::hardware_key(run_seed, &self.name)
    }

    /// Whether any fault can hit the client now, given its registration.
    fn can_be_touched(&self, world: &World, record: Option<&RegisteredClient>, now: Timestamp) -> bool {
        !world.faults.is_empty() && world.faults.can_touch(&self.party(world, record), now)
    }

    /// Whether any fault can hit the client in an activation that begins now: a client that registers in it may land in
    /// any group.
    pub(super) fn may_be_touched(
        &self,
        world: &World,
        record: Option<&RegisteredClient>,
        now: Timestamp,
    ) -> bool {
        if world.faults.is_empty() {
            return false;
        }
        let party = self.party(world, record);
        let mut groups = world.site.groups().iter().map(|(path, _)| path);
        world.faults.can_touch(&party, now)
            || (record.is_none()
                && groups.any(|path| world.faults.can_touch(&Party { group: Some(path), ..party }, now)))
    }

    fn party<'a>(&'a self, world: &'a World, record: Option<&RegisteredClient>) -> Party<'a> {
        Party {
            agent: Some(self.agent),
            computer: Some(&self.name),
            group: record.and_then(|record| world.path_of(record.group)),
            version: Some(self.version),
            source: SOURCE,
        }
    }

    /// Resets the counts if there was no fault in between.
    fn count_since(&mut self, faults: &FaultSet) {
        if self.since != faults.counting_since() {
            self.since = faults.counting_since();
            self.connections.clear();
            self.exchanges.clear();
        }
    }
}

impl World {
    /// Carries an exchange to its manager and back, as [`World::carry`] does, under the faults that are set. `open` is
    /// the connection of the session.
    pub(super) fn carry_faulted(
        &self,
        exchange: &Exchange,
        record: &mut Option<RegisteredClient>,
        now: Timestamp,
        faulted: &mut FaultedClient,
        open: &mut Option<OpenConnection>,
    ) -> Carried {
        let Some(place) = self.manager_at(exchange) else { return self.carry(exchange, record, now) };
        if !faulted.can_be_touched(self, record.as_ref(), now) {
            return self.carry(exchange, record, now);
        }
        // A closed port counts no connections.
        if self.is_closed(exchange, place, now) {
            let address = format!("{}:{}", exchange.server.address, exchange.server.port);
            return Carried::Ended(Err(ExchangeFailure::ConnectionRefused { address }));
        }
        faulted.count_since(&self.faults);
        let connection = self.judge_connection(exchange, place, record.as_ref(), now, faulted, open);
        let carried = self.carry_under(&connection, exchange, place, record, now, faulted);
        if matches!(carried, Carried::Ended(Err(_))) {
            *open = None;
        }
        carried
    }

    /// The faults' verdict on the connection; the previous verdict if the connection is open.
    fn judge_connection(
        &self,
        exchange: &Exchange,
        place: usize,
        record: Option<&RegisteredClient>,
        now: Timestamp,
        faulted: &mut FaultedClient,
        open: &mut Option<OpenConnection>,
    ) -> Verdict {
        if let Some(open) = open.as_ref().filter(|open| open.server == exchange.server) {
            return open.verdict.clone();
        }
        let count = faulted.connections.entry(place).or_default();
        *count += 1;
        let ordinal = *count;
        let (manager, protocol) = (self.manager_name(place), exchange.server.protocol);
        let (party, past) = (faulted.party(self, record), self.past(place));
        let facts = ConnectionFacts { party, manager, protocol, ordinal, past };
        let verdict = self.faults.judge_connection(&facts, now);
        *open = Some(OpenConnection { server: exchange.server.clone(), verdict: verdict.clone() });
        verdict
    }

    /// The faults' verdict on an exchange whose request has been decoded.
    fn judge_exchange(
        &self,
        exchange: &Exchange,
        place: usize,
        record: Option<&RegisteredClient>,
        now: Timestamp,
        faulted: &mut FaultedClient,
    ) -> Verdict {
        if self.decode(exchange, place).is_err() {
            return Verdict::Pass;
        }
        let route = Route::of(&exchange.request);
        let count = faulted.exchanges.entry((place, route)).or_default();
        *count += 1;
        let ordinal = *count;
        let (manager, protocol) = (self.manager_name(place), exchange.server.protocol);
        let (party, held) = (faulted.party(self, record), faulted.held_by_others);
        let past = self.past(place);
        let facts = ExchangeFacts { party, manager, protocol, route, ordinal, held, past };
        self.faults.judge_exchange(&facts, now)
    }

    fn carry_under(
        &self,
        connection: &Verdict,
        exchange: &Exchange,
        place: usize,
        record: &mut Option<RegisteredClient>,
        now: Timestamp,
        faulted: &mut FaultedClient,
    ) -> Carried {
        let address = format!("{}:{}", exchange.server.address, exchange.server.port);
        let limit = exchange.deadline.since(now);
        let meeting = |body_bytes| VirtualExchange {
            address: &address,
            protocol: exchange.server.protocol,
            limit,
            body_bytes,
        };
        let shown = match self.reach(connection, exchange, place, now, &meeting(None)) {
            Ok(shown) => shown,
            Err(failure) => {
                use ExchangeFailure::{ConnectionLost, TimedOut};
                // A client that rejects the certificate never sees what goes wrong after the handshake.
                let after = matches!(
                    failure,
                    TimedOut { stage: Stage::Answer, .. } | ConnectionLost { stage: Stage::Answer, .. }
                );
                let shaken = if after { self.handshake(exchange, place, None, now) } else { Ok(()) };
                return Carried::Ended(Err(shaken.err().unwrap_or(failure)));
            }
        };
        if let Err(failure) = self.handshake(exchange, place, shown.as_ref(), now) {
            return Carried::Ended(Err(failure));
        }
        let asked = self.judge_exchange(exchange, place, record.as_ref(), now, faulted);
        match asked.hit().and_then(|hit| intercept(hit, &exchange.request, &meeting(None))) {
            None => {}
            Some(Intercepted::Answered(tampered)) => return Carried::Ended(Ok(tampered.response)),
            Some(Intercepted::Lost(failure)) => return Carried::Ended(Err(failure)),
        }
        let before = record.clone();
        let mut response = match self.ask(exchange, place, record, now) {
            Carried::Ended(Ok(response)) => response,
            other => return other,
        };
        if let Some(hit) = asked.hit() {
            let (publication, previous) = (self.publication(place), self.previous(place));
            let asked = &exchange.request;
            let altered = alter(hit, asked, response.clone(), before.as_ref(), publication, previous, now);
            // If something that the fault needs is missing, the answer stays as it is.
            response = altered.map_or(response, |tampered| tampered.response);
        }
        for verdict in [connection, &asked] {
            match verdict.in_virtual_time(&meeting(Some(response.body.len()))) {
                Some(VirtualEffect::Fails(failure)) => return Carried::Ended(Err(failure)),
                Some(VirtualEffect::Cut { bytes }) => {
                    response.body.truncate(response.body.len().saturating_sub(bytes));
                }
                _ => {}
            }
        }
        Carried::Ended(Ok(response))
    }

    /// Applies the connection's fault before the request is sent. Returns the certificates that are shown, if others
    /// are.
    fn reach(
        &self,
        verdict: &Verdict,
        exchange: &Exchange,
        place: usize,
        now: Timestamp,
        meeting: &VirtualExchange<'_>,
    ) -> Result<Option<PresentedIdentity>, ExchangeFailure> {
        let Some(hit) = verdict.hit() else { return Ok(None) };
        if !self.speaks(exchange, place) {
            return Ok(None);
        }
        match verdict.in_virtual_time(meeting) {
            Some(VirtualEffect::Fails(failure)) => Err(failure),
            Some(VirtualEffect::Shows) => {
                let publication = self.publication(place);
                let previous = self.previous(place).map(|previous| &previous.identity);
                let spare = KeyPool::of_faults(self.faults.seed());
                let mint_input =
                    MintInput { good: &publication.identity, previous, authorities: &[], spare, now };
                // If the certificate cannot be minted, the good one is shown.
                Ok(mint(hit.what(), &mint_input).ok())
            }
            _ => Ok(None),
        }
    }

    /// Makes the handshake, with the certificate that a fault shows instead of the good one.
    fn handshake(
        &self,
        exchange: &Exchange,
        place: usize,
        shown: Option<&PresentedIdentity>,
        now: Timestamp,
    ) -> Failed {
        let seen = shown.and_then(|shown| {
            Some(ShownCertificate {
                certificate: shown.chain.first()?.clone(),
                is_possessed: shown.is_possessed(),
            })
        });
        self.connect(exchange, place, seen.as_ref(), now)
    }
}
