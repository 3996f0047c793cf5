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
use super::tls::{ClockTime, provider};
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
    /// The group of the key exchange that a manager chose last; one hint for all clients.
    hint: Arc<Mutex<Option<NamedGroup>>>,
}

impl SharedTls {
    /// The slot of a client with this ticket.
    pub(super) fn slot(&self, ticket: Option<Ticket>) -> TicketSlot {
        TicketSlot { ticket: Mutex::new(ticket), hint: Arc::clone(&self.hint) }
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

/// A ticket of a server with which a client may resume its session.
#[derive(Debug)]
pub(super) enum Ticket {
    /// A session of TLS 1.2.
    Tls12(ServerName<'static>, Tls12ClientSessionValue),
    /// A ticket of TLS 1.3, which is used once.
    Tls13(ServerName<'static>, Tls13ClientSessionValue),
}

/// The ticket of one client while it is in a heartbeat: that of the server that it met last.
#[derive(Debug)]
pub(super) struct TicketSlot {
    ticket: Mutex<Option<Ticket>>,
    hint: Arc<Mutex<Option<NamedGroup>>>,
}

impl TicketSlot {
    /// Takes the ticket out.
    pub(super) fn take(&self) -> Option<Ticket> {
        self.ticket.lock().take()
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
        *self.ticket.lock() = Some(Ticket::Tls12(server, value));
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        match &*self.ticket.lock() {
            Some(Ticket::Tls12(of, value)) if of == server => Some(value.clone()),
            _ => None,
        }
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        let mut ticket = self.ticket.lock();
        if matches!(&*ticket, Some(Ticket::Tls12(of, _)) if of == server) {
            *ticket = None;
        }
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, value: Tls13ClientSessionValue) {
        *self.ticket.lock() = Some(Ticket::Tls13(server, value));
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut ticket = self.ticket.lock();
        match ticket.take() {
            Some(Ticket::Tls13(of, value)) if of == *server => Some(value),
            other => {
                *ticket = other;
                None
            }
        }
    }
}
