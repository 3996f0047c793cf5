//! What a client remembers of TLS between two connections: the configuration that belongs to its beliefs, and tickets.
//!
//! Tickets are valid only with the beliefs under which they were obtained: other pins, no tickets. rustls ensures it,
//! since a ticket belongs to a verifier, and each belief has a verifier of its own.

use std::sync::Arc;

use epm_protocol::time::Clock;
use parking_lot::Mutex;
use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, NamedGroup, version};

use super::clock::LabClock;
use super::tls::{ClockTime, key_log, provider};
use super::verifier::PinVerifier;
use crate::agent::{Exchange, TlsCheck, TlsVersions};

/// The number of servers whose TLS sessions an agent remembers for resumption.
const SESSIONS: usize = 4;
/// The number of beliefs of a fleet whose configurations are kept; with more, all are made anew.
const MOST_BELIEFS: usize = 64;

/// The TLS configuration for the beliefs of a client.
#[derive(Clone, Debug)]
pub(super) struct TlsMemory {
    check: TlsCheck,
    versions: TlsVersions,
    pub(super) verifier: Arc<PinVerifier>,
    pub(super) config: Arc<ClientConfig>,
}

impl TlsMemory {
    /// Makes a configuration that remembers tickets of its own.
    pub(super) fn new(exchange: &Exchange, clock: &Arc<LabClock>) -> Self {
        let clock: Arc<dyn Clock> = clock.clone();
        let provider = provider();
        let versions: &[_] = match exchange.tls {
            TlsVersions::Only12 => &[&version::TLS12],
            TlsVersions::From12To13 => &[&version::TLS13, &version::TLS12],
        };
        let verifier =
            Arc::new(PinVerifier::new(exchange.check.clone(), Arc::clone(&clock), Arc::clone(&provider)));
        let builder = ClientConfig::builder_with_details(provider, Arc::new(ClockTime(clock)));
        let mut config = builder
            .with_protocol_versions(versions)
            .expect("the provider has suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_no_client_auth();
        config.key_log = key_log();
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Self { check: exchange.check.clone(), versions: exchange.tls, verifier, config: Arc::new(config) }
    }

    /// Whether this is the configuration for the beliefs of an exchange.
    pub(super) fn fits(&self, exchange: &Exchange) -> bool {
        self.versions == exchange.tls && self.check == exchange.check
    }

    /// The same configuration with the tickets of one client.
    fn with_tickets(&self, tickets: Arc<TicketSlot>) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::store(tickets);
        Self { config: Arc::new(config), ..self.clone() }
    }
}

/// The TLS configurations of a fleet: one for all clients with the same beliefs.
#[derive(Debug, Default)]
pub(super) struct SharedTls {
    known: Mutex<Vec<TlsMemory>>,
    /// The names of the servers of which clients have tickets.
    servers: Mutex<Vec<ServerName<'static>>>,
    /// The group of the key exchange that a manager chose last; one hint for all clients.
    hint: Arc<Mutex<Option<NamedGroup>>>,
}

impl SharedTls {
    /// The slot of a client with this ticket.
    pub(super) fn slot(&self, ticket: Option<Ticket>) -> TicketSlot {
        let named = ticket.and_then(|Ticket { server, session }| {
            let name = self.servers.lock().get(server as usize).cloned()?;
            Some((name, session))
        });
        TicketSlot { ticket: Mutex::new(named), hint: Arc::clone(&self.hint) }
    }

    /// Takes the ticket out of a client's slot.
    pub(super) fn take(&self, slot: &TicketSlot) -> Option<Ticket> {
        let (name, session) = slot.ticket.lock().take()?;
        let mut servers = self.servers.lock();
        let place = servers.iter().position(|known| *known == name).unwrap_or_else(|| {
            servers.push(name);
            servers.len() - 1
        });
        Some(Ticket { server: u32::try_from(place).ok()?, session })
    }

    /// The configuration for the beliefs of an exchange, with the tickets of one client.
    pub(super) fn memory_for(
        &self,
        exchange: &Exchange,
        clock: &Arc<LabClock>,
        tickets: &Arc<TicketSlot>,
    ) -> TlsMemory {
        let mut known = self.known.lock();
        let found = known.iter().position(|memory| memory.fits(exchange));
        let place = found.unwrap_or_else(|| {
            if known.len() >= MOST_BELIEFS {
                known.clear();
            }
            known.push(TlsMemory::new(exchange, clock));
            known.len() - 1
        });
        known[place].with_tickets(Arc::clone(tickets))
    }
}

/// A ticket with which a client may resume its session with a server. As small as rustls lets it be: a fleet has one
/// for each client.
#[derive(Debug)]
pub(super) struct Ticket {
    /// The server's place among the names in [`SharedTls`].
    server: u32,
    session: TlsSession,
}

#[derive(Debug)]
enum TlsSession {
    /// A session of TLS 1.2.
    Tls12(Box<Tls12ClientSessionValue>),
    /// A ticket of TLS 1.3, which is used once.
    Tls13(Tls13ClientSessionValue),
}

/// The ticket of one client while it is in a heartbeat: that of the server that it met last.
#[derive(Debug)]
pub(super) struct TicketSlot {
    ticket: Mutex<Option<(ServerName<'static>, TlsSession)>>,
    hint: Arc<Mutex<Option<NamedGroup>>>,
}

impl TicketSlot {
    fn set(&self, server: ServerName<'static>, session: TlsSession) {
        *self.ticket.lock() = Some((server, session));
    }
}

impl ClientSessionStore for TicketSlot {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        *self.hint.lock() = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        *self.hint.lock()
    }

    fn set_tls12_session(&self, server: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.set(server, TlsSession::Tls12(Box::new(value)));
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        match &*self.ticket.lock() {
            Some((of, TlsSession::Tls12(value))) if of == server => Some((**value).clone()),
            _ => None,
        }
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        let mut ticket = self.ticket.lock();
        if matches!(&*ticket, Some((of, TlsSession::Tls12(_))) if of == server) {
            *ticket = None;
        }
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.set(server, TlsSession::Tls13(value));
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut ticket = self.ticket.lock();
        match ticket.take() {
            Some((of, TlsSession::Tls13(value))) if of == *server => Some(value),
            other => {
                *ticket = other;
                None
            }
        }
    }
}
