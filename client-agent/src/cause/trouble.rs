//! Why clients are out of touch for a reason other than trust: the rules, and the sentence.
//!
//! Clients with one reason are one, also where the words of the operating system differ, or the milliseconds.

use std::collections::BTreeSet;

use epm_protocol::heartbeat::{ExchangeFailure, NO_TLS};
use epm_protocol::policy::{ManagementServer, Protocol};

use super::change::ListState;
use super::history::SiteHistory;
use super::sentence::{label, some, whole};
use crate::agent::Trouble;
use crate::scenario::{CauseCode as Code, Troubled, Verdict};

/// The cause for a client: what clients with the same cause have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cause {
    pub(super) code: Code,
    /// The index of the change that is the cause.
    pub(super) change: Option<usize>,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// Communication is off in a group, if it is known which.
    Off(Option<String>),
    /// The web server of this manager is down, for this reason.
    Down(String, Option<String>),
    /// What answers does not speak TLS.
    NoTls,
    /// The HTTPS port of a manager is closed, which serves other clients at its HTTP port.
    HttpsRefused { https: u16, http: u16 },
    /// A list names a port at which its manager does not listen.
    Port { list: String, manager: String, port: u16, listens: Vec<u16> },
    /// The manager that answered last is not trusted.
    Untrusted(String),
    /// What failed, without what differs from client to client: each form in which it was seen.
    Other(BTreeSet<String>),
}

impl Cause {
    /// Takes in another cause if both are cases of one failure of the catalogue: what clients observe of it differs with the list
    /// and the request. Whether it did.
    pub(super) fn take_in(&mut self, other: &Self) -> bool {
        let is_same = (self.code, self.change) == (other.code, other.change);
        match (&mut self.what, &other.what) {
            (What::Other(own), What::Other(others)) if is_same => {
                own.extend(others.iter().cloned());
                true
            }
            _ => false,
        }
    }

    /// What tells the failure, beside the code: why a service is down, or what a client observed.
    pub(super) fn evidence(&self, observed: &str) -> String {
        match &self.what {
            What::Down(_, error) => error.clone().unwrap_or_default(),
            _ => observed.to_owned(),
        }
    }
}

impl SiteHistory {
    /// The cause for a client.
    pub(super) fn of_trouble(&self, client: &Troubled, verdict: &Verdict) -> Cause {
        let Troubled { part, held, trouble, .. } = client;
        let group = self.group_of(part, held);
        if *trouble == Trouble::Disabled {
            let switched_off = |group| self.switched_off(group, held.location.as_deref(), |one| one.connect);
            let change = group.filter(|_| self.is_complete).and_then(switched_off);
            return Cause { code: Code::CommunicationOff, change, what: What::Off(group.map(str::to_owned)) };
        }
        if let Trouble::Untrusted { distrust } = trouble {
            let what = What::Untrusted(super::sentence::short(&distrust.to_string()));
            return Cause { code: Code::NotServedByOthers, change: None, what };
        }
        let list = group.and_then(|group| self.last().groups.get(group));
        let list = list.map(|state| state.list_at(held.location.as_deref()));
        let port = port_without_answer(trouble);
        let not_served = list.zip(port).and_then(|(list, port)| self.of_port(list, port, verdict));
        let found = not_served.or_else(|| of_managers(list?, port, verdict));
        let found = found.or_else(|| of_https_port(trouble, verdict));
        found.unwrap_or_else(|| {
            let has_no_tls = matches!(trouble, Trouble::Exchange { failure: ExchangeFailure::TlsFailed { detail } } if detail == NO_TLS);
            let (code, what) = match has_no_tls {
                true => (Code::PortWithoutTls, What::NoTls),
                false => (Code::OutOfTouch, What::Other([alike(trouble)].into())),
            };
            Cause { code, change: None, what }
        })
    }

    /// The cause where nothing answered at a port of this list at which its manager does not listen.
    fn of_port(&self, list: &ListState, port: u16, verdict: &Verdict) -> Option<Cause> {
        let servers: Vec<&ManagementServer> = list.priorities.iter().flat_map(|block| &block.0).collect();
        let listens = |manager: &str| verdict.ports.get(manager).cloned().unwrap_or_default();
        let named = |one: &&&ManagementServer| {
            own_port(list, one) == Some(port) && !listens(&one.manager).contains(&port)
        };
        let server = servers.iter().find(named)?;
        let manager = server.manager.clone();
        let names = |state: &ListState| {
            let mut servers = state.priorities.iter().flat_map(|block| &block.0);
            state.name == list.name && servers.any(|one| own_port(state, one) == Some(port))
        };
        let has =
            |settings: &super::RotationSettings| settings.groups.values().any(|group| names(&group.list));
        let change = (0..self.changes.len()).rev().find(|index| {
            let change = self.change(*index);
            !has(&change.before) && has(&change.after)
        });
        let listens = listens(&manager);
        Some(Cause {
            code: Code::PortNotServed,
            change: change.filter(|_| self.is_complete),
            what: What::Port { list: list.name.clone(), manager, port, listens },
        })
    }

    /// The cause in one sentence.
    pub(super) fn sentence_of_trouble(&self, cause: &Cause) -> String {
        let when = |index: usize| label(self, index);
        whole(&match (&cause.what, cause.change) {
            (What::Off(Some(group)), Some(index)) => format!(
                "{} switched communication off in {group}, so these clients do not connect to their manager",
                when(index)
            ),
            (What::Off(_), _) => {
                "communication is switched off by the settings of these clients, so they do not connect to their manager".to_owned()
            }
            (What::Down(manager, error), _) => format!(
                "the web server of {manager} (semwebsrv) did not start, so nothing listens on its clients' port{}",
                error.as_ref().map(|why| format!(" ({why})")).unwrap_or_default()
            ),
            (What::NoTls, _) => "what answers these clients at the manager's HTTPS port does not speak TLS: another program holds the \
                                 port, or it is a port without TLS"
                .to_owned(),
            (What::HttpsRefused { https, http }, _) => format!(
                "nothing answers these clients at the manager's HTTPS port {https}, and other clients are served at its HTTP port {http}: \
                 another program holds the port, or a firewall blocks it"
            ),
            (What::Port { list, manager, port, listens }, change) => format!(
                "{} the port {port} for {manager}, which listens on {}: nothing answers these clients there",
                change.map_or_else(|| format!("the list {list:?} has"), |index| format!("{} gave the list {list:?}", when(index))),
                some(listens.iter().map(u16::to_string))
            ),
            (What::Untrusted(distrust), _) => format!(
                "these clients do not trust the manager that answered last ({distrust}), and no other manager of their list has served them since"
            ),
            (What::Other(seen), _) => format!(
                "these clients are out of touch for a reason other than trust: {}",
                seen.iter().map(String::as_str).collect::<Vec<_>>().join("; or: ")
            ),
        })
    }
}

/// The cause where the web server of a manager in the list is down: the manager at whose port nothing answered. Whatever failed
/// otherwise, such as with another program at its port, it is the cause if those of all managers are down.
fn of_managers(list: &ListState, port: Option<u16>, verdict: &Verdict) -> Option<Cause> {
    let mut servers = list.priorities.iter().flat_map(|block| &block.0);
    let is_down = |server: &&ManagementServer| {
        let down = verdict.services_down.as_ref().and_then(|down| down.get(&server.manager));
        down.is_some_and(|services| services.iter().any(|one| one == "semwebsrv"))
    };
    let listens = |server: &&ManagementServer| {
        let ports = verdict.ports.get(&server.manager);
        ports.is_some_and(|ports| port.is_some_and(|port| ports.contains(&port)))
    };
    let down = servers.clone().find(|one| is_down(one) && listens(one));
    let down = down.or_else(|| servers.clone().next().filter(|_| servers.all(|one| is_down(&one))))?;
    let error = verdict.web_server_errors.get(&down.manager).cloned();
    Some(Cause { code: Code::ManagerDown, change: None, what: What::Down(down.manager.clone(), error) })
}

/// The cause where nothing answered at a port of a manager that serves other clients over HTTP at its other port.
fn of_https_port(trouble: &Trouble, verdict: &Verdict) -> Option<Cause> {
    let (address, https) = place_without_answer(trouble)?;
    let own = verdict.ports.values().filter(|ports| ports.contains(&https));
    let others: Vec<u16> = own.flatten().copied().filter(|port| *port != https).collect();
    let mut served = verdict.parts.iter().flat_map(|part| &part.served_over_http);
    let (_, http) = served.find(|(at, port)| at == address && others.contains(port))?;
    let what = What::HttpsRefused { https, http: *http };
    Some(Cause { code: Code::HttpsPortRefused, change: None, what })
}

/// The port that a list has for a server in the place of the manager's own.
const fn own_port(list: &ListState, server: &ManagementServer) -> Option<u16> {
    match list.protocol {
        Protocol::Http => server.http_port,
        Protocol::Https => server.https_port,
    }
}

/// The port at which nothing took the connection, if that is the trouble.
pub fn port_without_answer(trouble: &Trouble) -> Option<u16> {
    place_without_answer(trouble).map(|(_, port)| port)
}

/// The address and port at which nothing took the connection.
fn place_without_answer(trouble: &Trouble) -> Option<(&str, u16)> {
    let Trouble::Exchange { failure } = trouble else { return None };
    match failure {
        ExchangeFailure::ConnectionRefused { address } | ExchangeFailure::Unreachable { address, .. } => {
            let (address, port) = address.rsplit_once(':')?;
            Some((address, port.parse().ok()?))
        }
        _ => None,
    }
}

/// What failed, in words that are the same for clients with the same reason.
fn alike(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Exchange { failure: ExchangeFailure::TimedOut { stage, after_ms } } => {
            ExchangeFailure::TimedOut { stage: *stage, after_ms: (after_ms + 500) / 1000 * 1000 }.to_string()
        }
        Trouble::Exchange { failure: ExchangeFailure::ConnectionLost { stage, .. } } => {
            format!("the connection was lost {stage}")
        }
        other => other.to_string(),
    }
}
