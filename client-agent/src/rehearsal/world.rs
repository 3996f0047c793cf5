//! What clients meet between two changes of the site: its managers, and what each answers from.

use std::collections::BTreeSet;
use std::sync::Arc;

use epm_protocol::heartbeat::http::{self, RequestError};
use epm_protocol::heartbeat::{AgentRequest, ExchangeFailure, ManagerResponse, Stage};
use epm_protocol::policy::Protocol;
use epm_protocol::site::{Answer, Client, Manager, Publication, Site, Visit};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Fingerprint, Pins, judge};

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
        Self::of(site, self.number + 1, Arc::clone(&self.old), self.new.clone(), self.turns.clone())
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
    pub(super) fn carry(&self, exchange: &Exchange, seat: &mut Option<Client>, now: Timestamp) -> Carried {
        let server = &exchange.server;
        let Some(place) = self.manager_at(exchange) else {
            let address = format!("{}:{}", server.address, server.port);
            return Carried::Ended(Err(ExchangeFailure::ConnectionRefused { address }));
        };
        let (manager, publication) = &self.managers[place];
        if let Err(failure) = handshake(exchange, manager, publication, now) {
            return Carried::Ended(Err(failure));
        }
        let asked = http::encode(&exchange.request, &exchange.kcs);
        let query = asked.target.split_once('?').map_or("", |(_, query)| query);
        let asked = match http::decode(query, &asked.body.unwrap_or_default(), &publication.kcs) {
            Ok(asked) => asked,
            Err(error) => return Carried::Ended(Ok(refusal(&error))),
        };
        let (answer, visit) = publication.answer(&asked, seat.as_ref().filter(|_| is_from_a_client(&asked)));
        if let Visit::Registering(registration) = visit {
            *seat = Some(self.site.admit(&registration, seat.as_ref()));
        }
        match answer {
            Answer::Now(response) => Carried::Ended(Ok(response)),
            Answer::WhenChanged => Carried::Held,
        }
    }
}

fn certificates(site: &Site) -> impl Iterator<Item = (Fingerprint, epm_protocol::trust::Validity)> {
    site.managers().flat_map(|manager| [&manager.console, &manager.client]).map(|identity| {
        let certificate = identity.certificate();
        (certificate.fingerprint(), certificate.validity())
    })
}

/// Both ends speak the same, and the client believes what it is shown.
fn handshake(
    exchange: &Exchange,
    manager: &Manager,
    publication: &Publication,
    now: Timestamp,
) -> Result<(), ExchangeFailure> {
    let server = &exchange.server;
    let speaks = |port: Option<u16>| port == Some(server.port);
    match server.protocol {
        Protocol::Http if speaks(manager.ports.http) => Ok(()),
        Protocol::Http => {
            let detail = "the port speaks TLS".to_owned();
            Err(ExchangeFailure::ConnectionLost { stage: Stage::Answer, detail })
        }
        Protocol::Https if !speaks(manager.ports.https) => {
            Err(ExchangeFailure::TlsFailed { detail: "the port does not speak TLS".to_owned() })
        }
        Protocol::Https => match &exchange.check {
            TlsCheck::Nothing => Ok(()),
            TlsCheck::Against(beliefs) => {
                judge(publication.identity.certificate(), beliefs, &server.address, now)
                    .map(drop)
                    .map_err(|rejection| ExchangeFailure::TlsRejected { rejection })
            }
        },
    }
}

fn refusal(error: &RequestError) -> ManagerResponse {
    ManagerResponse::text(400, &format!("{error}\n"))
}

fn is_from_a_client(asked: &AgentRequest) -> bool {
    !matches!(asked, AgentRequest::Hello | AgentRequest::Register(_))
}
