//! What clients meet between two changes of the site: its managers, and what each answers from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use epm_protocol::fault::FaultSet;
use epm_protocol::heartbeat::{AgentRequest, ExchangeFailure, ManagerResponse, Registration, Stage, http};
use epm_protocol::id::{AgentId, GroupId};
use epm_protocol::manager::previous::Previous;
use epm_protocol::manager::{ClientTable, Registrar, answer, follow, refusal};
use epm_protocol::policy::Protocol;
use epm_protocol::site::{Answer, Manager, Publication, RegisteredClient, Site, Visit};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Fingerprint, Pins, ServerCertificate, judge};

use crate::agent::{Exchange, TlsCheck};

/// What clients meet from one change of the site to the next.
#[derive(Debug)]
pub(super) struct World {
    /// How many there were before it.
    pub(super) number: u32,
    pub(super) site: Site,
    /// Whether it has begun with the step under way: then clients feel the change, once.
    pub(super) is_new: bool,
    managers: Vec<(Manager, Arc<Publication>)>,
    /// What each manager was before its last change.
    previous: BTreeMap<String, Previous>,
    /// The faults that are set.
    pub(super) faults: FaultSet,
    /// Whether faults may ever be set: then everybody is told apart.
    pub(super) may_have_faults: bool,
    /// Which managers ended their open connections when this world began.
    pub(super) restarted: BTreeSet<String>,
    /// Whether the site knew no client any more when this world began.
    pub(super) forgot_clients: bool,
    /// The certificates that were in force when the rehearsal began.
    pub(super) old: Arc<BTreeSet<Fingerprint>>,
    /// Those that any manager has had since.
    pub(super) new: BTreeSet<Fingerprint>,
    /// When a certificate begins or ceases to be valid, in order.
    turns: Vec<Timestamp>,
}

/// A certificate that is shown in the place of the good one.
#[derive(Debug)]
pub(super) struct ShownCertificate {
    pub(super) certificate: ServerCertificate,
    /// Whether the manager has the key to it.
    pub(super) is_possessed: bool,
}

/// What comes of a request.
#[derive(Debug)]
pub(super) enum Carried {
    /// An answer, or none.
    Ended(Result<ManagerResponse, ExchangeFailure>),
    /// The manager holds the request.
    Held,
}

impl World {
    /// What a site shows its first clients.
    pub(super) fn first(site: Site) -> Self {
        let old = certificates(&site).map(|(fingerprint, _)| fingerprint).collect();
        Self::of(site, 0, Arc::new(old), BTreeSet::new(), Vec::new())
    }

    /// What it shows after a change.
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
            old,
            new,
            turns,
        }
    }

    /// How many validities have begun or ended by now: until that changes, time decides nothing about certificates.
    pub(super) fn epoch(&self, now: Timestamp) -> usize {
        self.turns.partition_point(|turn| *turn <= now)
    }

    /// When the next validity begins or ends.
    pub(super) fn next_turn(&self, now: Timestamp) -> Timestamp {
        self.turns.get(self.epoch(now)).copied().unwrap_or(Timestamp::NEVER)
    }

    /// The names of the managers, in order.
    pub(super) fn manager_names(&self) -> impl Iterator<Item = &str> {
        self.managers.iter().map(|(manager, _)| manager.name.as_str())
    }

    /// The name of the manager at this place.
    pub(super) fn manager_name(&self, place: usize) -> &str {
        &self.managers[place].0.name
    }

    /// What the manager at this place answers from.
    pub(super) fn publication(&self, place: usize) -> &Publication {
        &self.managers[place].1
    }

    /// What it was before its last change.
    pub(super) fn previous(&self, place: usize) -> Option<&Previous> {
        self.previous.get(&self.managers[place].0.name)
    }

    /// The path of a group.
    pub(super) fn path_of(&self, group: GroupId) -> Option<&str> {
        self.site.groups().iter().find(|(_, one)| one.id == group).map(|(path, _)| path)
    }

    /// The place among the managers of the one that is found at the exchange's server.
    pub(super) fn manager_at(&self, exchange: &Exchange) -> Option<usize> {
        let server = &exchange.server;
        self.managers.iter().position(|(manager, _)| {
            let ports = &manager.ports;
            ports.address == server.address
                && [ports.http, ports.https].into_iter().any(|port| port == Some(server.port))
        })
    }

    /// Whether the manager at the other end has ended its connections.
    pub(super) fn has_ended(&self, exchange: &Exchange) -> bool {
        let manager = self.manager_at(exchange).map(|place| &self.managers[place].0);
        manager.is_none_or(|manager| self.restarted.contains(&manager.name))
    }

    /// Whether a client with these certificates knows a manager: by what it shows, or by what it signs with.
    pub(super) fn is_known_by(&self, pins: &Pins) -> bool {
        self.managers.iter().any(|(_, publication)| {
            [&publication.identity, &publication.signer]
                .into_iter()
                .any(|identity| pins.contains(&identity.certificate().fingerprint()))
        })
    }

    /// Carries an exchange to its manager and back, at once. `seat` is how the site knows the client.
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

    /// Whether the exchange's port speaks what the client speaks.
    pub(super) fn speaks(&self, exchange: &Exchange, place: usize) -> bool {
        let server = &exchange.server;
        self.managers[place].0.ports.port(server.protocol) == Some(server.port)
    }

    /// Both ends speak the same, and the client believes what it is shown; `seen` is that, if it is not the good
    /// certificate.
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

    /// Whether a fault has closed the exchange's port to everybody.
    pub(super) fn is_closed(&self, exchange: &Exchange, place: usize, now: Timestamp) -> bool {
        let manager = &self.managers[place].0;
        let port = Some(exchange.server.port);
        let spoken: Vec<Protocol> = [Protocol::Http, Protocol::Https]
            .into_iter()
            .filter(|protocol| manager.ports.port(*protocol) == port)
            .collect();
        self.faults.closed(&manager.name, &spoken, now).is_some()
    }

    /// Reads a request as the manager does; the refusal, if the manager does not understand it.
    pub(super) fn decode(&self, exchange: &Exchange, place: usize) -> Result<AgentRequest, ManagerResponse> {
        let asked = http::encode(&exchange.request, &exchange.kcs);
        let query = asked.target.split_once('?').map_or("", |(_, query)| query);
        http::decode(query, &asked.body.unwrap_or_default(), &self.publication(place).kcs)
            .map_err(|error| refusal(&error))
    }

    /// Asks the manager, on a connection that stands.
    pub(super) fn ask(
        &self,
        exchange: &Exchange,
        place: usize,
        record: &mut Option<RegisteredClient>,
        now: Timestamp,
    ) -> Carried {
        let answered = self.decode(exchange, place).map(|request| {
            let mut client = OneClient { site: &self.site, record, now };
            let (answer, visit) = answer(self.publication(place), &request, &client);
            follow(answer, &visit, &mut client)
        });
        match answered {
            Ok(Answer::Now(response)) | Err(response) => Carried::Ended(Ok(response)),
            Ok(Answer::WhenChanged) => Carried::Held,
        }
    }
}

/// The one client that asks, as the site knows it.
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
