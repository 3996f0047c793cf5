//! A client under faults, in virtual time: what the rules say to each of its connections and exchanges, and what comes
//! of it where no byte is sent.
//!
//! Who is hit depends on who it is and on how many times it has come. So while a fault can touch a client, every one of
//! its breaths is played, and nothing is remembered of them; what a verdict comes to is in `epm_protocol::fault`.

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

/// Where the clients of a rehearsal come from.
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Who a client is to the faults, and how many times it has come.
#[derive(Clone, Debug)]
pub(super) struct FaultedClient {
    pub(super) name: String,
    /// The hardware id that it was installed with.
    pub(super) machine: HardwareKey,
    /// Whether what others do may change something for it.
    pub(super) interacts: bool,
    /// How many requests of others are held, as far as clients meet.
    pub(super) held_by_others: u64,
    agent: AgentId,
    version: ClientVersion,
    /// Since when is counted.
    since: Option<Timestamp>,
    connections: BTreeMap<usize, u64>,
    exchanges: BTreeMap<(usize, Route), u64>,
}

/// The connection of a session, and what the faults have said to it.
#[derive(Debug)]
pub(super) struct OpenConnection {
    server: Server,
    verdict: Verdict,
}

/// An exchange that comes to nothing.
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
        }
    }

    /// The hardware id of its own.
    pub(super) fn own_machine(&self, run_seed: u64) -> HardwareKey {
        crate::scenario::hardware_key(run_seed, &self.name)
    }

    /// Whether any fault can touch it now, as the site knows it.
    fn can_be_touched(&self, world: &World, record: Option<&RegisteredClient>, now: Timestamp) -> bool {
        !world.faults.is_empty() && world.faults.can_touch(&self.party(world, record), now)
    }

    /// Whether any fault can touch it in a breath that begins now: a client who is registered in it, or anew, may land in
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

    /// Begins to count anew where there was no fault in between.
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
        // A port that is closed to everybody counts nobody.
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

    /// What the faults say to the connection; what they have said, if it is open.
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
        let facts = ConnectionFacts { party: faulted.party(self, record), manager, protocol, ordinal };
        let verdict = self.faults.judge_connection(&facts, now);
        *open = Some(OpenConnection { server: exchange.server.clone(), verdict: verdict.clone() });
        verdict
    }

    /// What the faults say to an exchange whose request has come, and is understood.
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
        self.faults.judge_exchange(&ExchangeFacts { party, manager, protocol, route, ordinal, held }, now)
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
                // What goes wrong after the handshake is seen by those whom it satisfies.
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
            // Where the fault needs something that there is not, the answer stays as it is.
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

    /// What the fault of the connection makes of it before anything is asked; the certificates, if others are shown.
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
                let spare = KeyPool::public();
                let mint_input = MintInput { good: &publication.identity, previous, spare: &spare, now };
                // What cannot be minted is not shown.
                Ok(mint(hit.what(), &mint_input).ok())
            }
            _ => Ok(None),
        }
    }

    /// The handshake, with what a fault shows in the place of the good certificate.
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
