//! The world: the managers between two changes of the site, and what each of them answers from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use epm_protocol::fault::{FaultSet, Past};
use epm_protocol::heartbeat::{AgentRequest, ExchangeFailure, ManagerResponse, Registration, Stage, http};
use epm_protocol::id::{AgentId, GroupId};
use epm_protocol::manager::previous::Previous;
use epm_protocol::manager::{ClientTable, Registrar, answer, follow, refusal};
use epm_protocol::policy::Protocol;
use epm_protocol::site::{Answer, Manager, Publication, RegisteredClient, Site, Visit};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Fingerprint, Pins, ServerCertificate, judge};

use super::stimulus::EventKind;
use crate::agent::{Exchange, TlsCheck};

/// The state that does not change for clients between two changes of the site.
#[derive(Debug)]
pub(super) struct World {
    /// The number of worlds before this one.
    pub(super) number: u32,
    pub(super) site: Site,
    /// Whether it began with the present step: then clients notice the change, once.
    pub(super) is_new: bool,
    managers: Vec<(Manager, Arc<Publication>)>,
    /// The state of each manager before its last change.
    previous: BTreeMap<String, Previous>,
    /// The faults that are set.
    pub(super) faults: FaultSet,
    /// Whether faults may ever be set: then every client needs its own identity.
    pub(super) may_have_faults: bool,
    /// The managers that ended their open connections when this world began.
    pub(super) restarted: BTreeSet<String>,
    /// Whether the site forgot its clients when this world began.
    pub(super) forgot_clients: bool,
    /// The clients that the operator moved when this world began, by part and number: the index of the new group in
    /// `moved_to`.
    pub(super) moved: BTreeMap<(u32, u32), u32>,
    /// The groups that clients were moved to when this world began.
    pub(super) moved_to: Vec<GroupId>,
    /// The certificates that were in force when the rehearsal began.
    pub(super) old: Arc<BTreeSet<Fingerprint>>,
    /// The certificates of managers since then.
    pub(super) new: BTreeSet<Fingerprint>,
    /// The times at which certificates become valid or expire, in order.
    turns: Vec<Timestamp>,
}

/// A certificate that is shown instead of the good one.
#[derive(Debug)]
pub(super) struct ShownCertificate {
    pub(super) certificate: ServerCertificate,
    /// Whether the manager has its key.
    pub(super) is_possessed: bool,
}

/// The result of carrying a request.
#[derive(Debug)]
pub(super) enum Carried {
    /// An answer, or the reason why there is none.
    Ended(Result<ManagerResponse, ExchangeFailure>),
    /// The manager holds the request.
    Held,
}

impl World {
    /// The first world of a rehearsal.
    pub(super) fn first(site: Site) -> Self {
        let old = certificates(&site).map(|(fingerprint, _)| fingerprint).collect();
        Self::of(site, 0, Arc::new(old), BTreeSet::new(), Vec::new())
    }

    /// The world after a change of the site.
    pub(super) fn next(&self, site: Site) -> Self {
        let next =
            Self::of(site, self.number + 1, Arc::clone(&self.old), self.new.clone(), self.turns.clone());
        let mut previous = self.previous.clone();
        for (manager, after) in &next.managers {
            let before = self.managers.iter().find(|(one, _)| one.name == manager.name);
            let Some((_, before)) = before else { continue };
            if let Some(one) = Previous::after(before, after, previous.get(&manager.name)) {
                previous.insert(manager.name.clone(), one);
            }
        }
        Self { previous, may_have_faults: self.may_have_faults, ..next }
    }

    fn of(
        site: Site,
        number: u32,
        old: Arc<BTreeSet<Fingerprint>>,
        mut new: BTreeSet<Fingerprint>,
        mut turns: Vec<Timestamp>,
    ) -> Self {
        for (fingerprint, validity) in certificates(&site) {
            if !old.contains(&fingerprint) {
                new.insert(fingerprint);
            }
            // Dates of certificates are whole seconds, and the last one is valid to its end.
            let after = validity.not_after.as_seconds().saturating_add(1);
            turns.extend([validity.not_before.as_seconds(), after].map(Timestamp::from_seconds));
        }
        turns.sort_unstable();
        turns.dedup();
        let managers = site
            .managers()
            .filter_map(|manager| Some((manager.clone(), Arc::clone(site.publication(&manager.name)?))))
            .collect();
        Self {
            number,
            site,
            managers,
            is_new: true,
            previous: BTreeMap::new(),
            faults: FaultSet::default(),
            may_have_faults: false,
            restarted: BTreeSet::new(),
            forgot_clients: false,
            moved: BTreeMap::new(),
            moved_to: Vec::new(),
            old,
            new,
            turns,
        }
    }

    /// The event of this world's beginning for the client with this number in this part.
    pub(super) fn change_for(&self, part: u32, number: u32) -> EventKind {
        match self.moved.get(&(part, number)) {
            _ if self.forgot_clients => EventKind::Forgotten,
            Some(group) => EventKind::Placed(*group),
            None => EventKind::Changed,
        }
    }

    /// Puts a registered client into the group with this index in `moved_to`.
    pub(super) fn place(&self, record: Option<&mut RegisteredClient>, group: u32) {
        let group = usize::try_from(group).ok().and_then(|place| self.moved_to.get(place));
        if let (Some(record), Some(group)) = (record, group) {
            record.group = *group;
        }
    }

    /// The number of validities of certificates that have begun or ended by now. Until it changes, time changes no
    /// judgement.
    pub(super) fn epoch(&self, now: Timestamp) -> usize {
        self.turns.partition_point(|turn| *turn <= now)
    }

    /// The time at which the next validity begins or ends.
    pub(super) fn next_turn(&self, now: Timestamp) -> Timestamp {
        self.turns.get(self.epoch(now)).copied().unwrap_or(Timestamp::NEVER)
    }

    /// The names of the managers, in order.
    pub(super) fn manager_names(&self) -> impl Iterator<Item = &str> {
        self.managers.iter().map(|(manager, _)| manager.name.as_str())
    }

    /// The name of the manager with this index.
    pub(super) fn manager_name(&self, place: usize) -> &str {
        &self.managers[place].0.name
    }

    /// The publication of the manager with this index.
    pub(super) fn publication(&self, place: usize) -> &Publication {
        &self.managers[place].1
    }

    /// The state of the manager with this index before its last change.
    pub(super) fn previous(&self, place: usize) -> Option<&Previous> {
        self.previous.get(&self.managers[place].0.name)
    }

    /// What faults can use of the state of the manager with this index before its last change.
    pub(super) fn past(&self, place: usize) -> Past {
        Previous::past(self.previous(place), self.publication(place))
    }

    /// The path of a group.
    pub(super) fn path_of(&self, group: GroupId) -> Option<&str> {
        self.site.groups().iter().find(|(_, one)| one.id == group).map(|(path, _)| path)
    }

    /// The index of the manager that listens at the exchange's address.
    pub(super) fn manager_at(&self, exchange: &Exchange) -> Option<usize> {
        let server = &exchange.server;
        self.managers.iter().position(|(manager, _)| {
            let ports = &manager.ports;
            ports.address == server.address
                && [ports.http, ports.https].into_iter().any(|port| port == Some(server.port))
        })
    }

    /// Whether the manager at the other end ended its connections when this world began.
    pub(super) fn has_ended(&self, exchange: &Exchange) -> bool {
        let manager = self.manager_at(exchange).map(|place| &self.managers[place].0);
        manager.is_none_or(|manager| self.restarted.contains(&manager.name))
    }

    /// Whether a client with these pins trusts a manager: by the certificate that it shows, or by the one that it signs
    /// with.
    pub(super) fn is_known_by(&self, pins: &Pins) -> bool {
        self.managers.iter().any(|(_, publication)| {
            [&publication.identity, &publication.signer]
                .into_iter()
                .any(|identity| pins.contains(&identity.certificate().fingerprint()))
        })
    }

    /// Carries an exchange to its manager and back, at once. `record` is the client's registration.
    pub(super) fn carry(
        &self,
        exchange: &Exchange,
        record: &mut Option<RegisteredClient>,
        now: Timestamp,
    ) -> Carried {
        let server = &exchange.server;
        let Some(place) = self.manager_at(exchange) else {
            let address = format!("{}:{}", server.address, server.port);
            return Carried::Ended(Err(ExchangeFailure::ConnectionRefused { address }));
        };
        match self.connect(exchange, place, None, now) {
            Ok(()) => self.ask(exchange, place, record, now),
            Err(failure) => Carried::Ended(Err(failure)),
        }
    }

    /// Whether the exchange's port speaks the client's protocol.
    pub(super) fn speaks(&self, exchange: &Exchange, place: usize) -> bool {
        let server = &exchange.server;
        self.managers[place].0.ports.port(server.protocol) == Some(server.port)
    }

    /// Connects: both ends must speak the same protocol, and the client must trust the certificate that it is shown;
    /// `seen` is that certificate, if it is not the good one.
    pub(super) fn connect(
        &self,
        exchange: &Exchange,
        place: usize,
        seen: Option<&ShownCertificate>,
        now: Timestamp,
    ) -> Result<(), ExchangeFailure> {
        let server = &exchange.server;
        if !self.speaks(exchange, place) {
            return Err(match server.protocol {
                Protocol::Http => {
                    let detail = "the port speaks TLS".to_owned();
                    ExchangeFailure::ConnectionLost { stage: Stage::Answer, detail }
                }
                Protocol::Https => {
                    ExchangeFailure::TlsFailed { detail: "the port does not speak TLS".to_owned() }
                }
            });
        }
        if server.protocol == Protocol::Http {
            return Ok(());
        }
        if let TlsCheck::Against(beliefs) = &exchange.check {
            let good = self.managers[place].1.identity.certificate();
            let certificate = seen.map_or(good, |seen| &seen.certificate);
            judge(certificate, beliefs, &server.address, now)
                .map_err(|rejection| ExchangeFailure::TlsRejected { rejection })?;
        }
        match seen {
            Some(ShownCertificate { is_possessed: false, .. }) => {
                let detail = "invalid peer certificate: BadSignature".to_owned();
                Err(ExchangeFailure::TlsFailed { detail })
            }
            _ => Ok(()),
        }
    }

    /// Whether a fault has closed the exchange's port.
    pub(super) fn is_closed(&self, exchange: &Exchange, place: usize, now: Timestamp) -> bool {
        let manager = &self.managers[place].0;
        let port = Some(exchange.server.port);
        let spoken: Vec<Protocol> = [Protocol::Http, Protocol::Https]
            .into_iter()
            .filter(|protocol| manager.ports.port(*protocol) == port)
            .collect();
        self.faults.closed(&manager.name, &spoken, now).is_some()
    }

    /// Decodes a request as the manager does, or returns its refusal.
    pub(super) fn decode(&self, exchange: &Exchange, place: usize) -> Result<AgentRequest, ManagerResponse> {
        let asked = http::encode(&exchange.request, &exchange.kcs);
        let query = asked.target.split_once('?').map_or("", |(_, query)| query);
        http::decode(query, &asked.body.unwrap_or_default(), &self.publication(place).kcs)
            .map_err(|error| refusal(&error))
    }

    /// Asks the manager over an open connection.
    pub(super) fn ask(
        &self,
        exchange: &Exchange,
        place: usize,
        record: &mut Option<RegisteredClient>,
        now: Timestamp,
    ) -> Carried {
        let answered = self.decode(exchange, place).map(|request| {
            let mut client = OneClient { site: &self.site, record, now };
            let publication = self.publication(place);
            let (answer, visit) = answer(publication, &request, &client);
            follow(publication, answer, &visit, &mut client)
        });
        match answered {
            Ok(Answer::Now(response)) | Err(response) => Carried::Ended(Ok(response)),
            Ok(Answer::WhenChanged) => Carried::Held,
        }
    }
}

/// The client that asks, as the site knows it.
struct OneClient<'a> {
    site: &'a Site,
    record: &'a mut Option<RegisteredClient>,
    now: Timestamp,
}

impl ClientTable for OneClient<'_> {
    fn visit(
        &self,
        _: AgentId,
        answer: impl FnOnce(Option<&RegisteredClient>) -> (Answer, Visit),
    ) -> (Answer, Visit) {
        answer(self.record.as_ref())
    }
}

impl Registrar for OneClient<'_> {
    fn admitted(&self, registration: &Registration) -> RegisteredClient {
        self.site.admit(registration, self.record.as_ref())
    }

    fn register(&mut self, registration: &Registration) -> Option<RegisteredClient> {
        *self.record = Some(self.site.admit(registration, self.record.as_ref()));
        self.record.clone()
    }

    fn note_conflict(&mut self, _: AgentId) {
        if let Some(client) = self.record {
            client.note_conflict(self.site.assumptions().identity_conflicts, self.now);
        }
    }
}

fn certificates(site: &Site) -> impl Iterator<Item = (Fingerprint, epm_protocol::trust::Validity)> {
    site.managers().flat_map(|manager| [&manager.console, &manager.client]).map(|identity| {
        let certificate = identity.certificate();
        (certificate.fingerprint(), certificate.validity())
    })
}
