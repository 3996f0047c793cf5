//! The rules for the notes of a verdict: what is to be known of clients that are served and trust their manager.
//!
//! As for a cause, no rule knows a scenario: each compares what a client holds with what its site has now. Clients in equal states
//! share what follows from the state; only what is noted then costs anything for each client.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use epm_protocol::fault::{InstalledFault, Listener};
use epm_protocol::id::{AgentId, GroupId};
use epm_protocol::policy::{ManagementServer, ManagementServerList, PolicySerial, Protocol};
use epm_protocol::site::{DEFAULT_GROUP, Groups, ManagerPorts, Publication, RegisteredClient, Site};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;

use super::number::{Number, of_failure};
use super::sentence::{some, whole};
use crate::agent::{AgentView, Contact, Server};
use crate::scenario::{Note, NoteCode as Code, Verdict};

/// Number of clients that a note names.
const NAMED: usize = 20;

/// Collects the notes of a verdict, client by client.
#[derive(Debug)]
pub struct NoteTaker {
    now: Timestamp,
    groups: Groups,
    lists: Vec<ManagementServerList>,
    managers: Vec<KnownManager>,
    found: BTreeMap<Code, Found>,
    /// Records that have changed hands, with the clients that have each of them.
    shared: BTreeMap<AgentId, Shared>,
    /// Clients whose group is not known yet, each with the name of the group that it should be in.
    unplaced: Vec<(AgentId, String, Fact)>,
}

/// What the rules need to know of a manager.
#[derive(Debug)]
struct KnownManager {
    name: String,
    ports: ManagerPorts,
    certificate: Fingerprint,
    publication: Option<Arc<Publication>>,
    /// Whether a fault, a service that is down or a process that has ended may keep it from serving clients.
    is_hindered: bool,
}

/// Clients of one note.
#[derive(Debug, Default)]
struct Found {
    clients: usize,
    examples: Vec<String>,
    what: BTreeSet<Arc<str>>,
    instead: BTreeSet<Arc<str>>,
}

/// A record that has changed hands.
#[derive(Debug)]
struct Shared {
    holder: String,
    clients: Vec<String>,
}

/// A fact about all clients in one state, if their contact does not say otherwise.
#[derive(Clone, Debug)]
struct Fact {
    code: Code,
    /// What the clients have: a group, or a manager.
    what: Arc<str>,
    /// What they should have instead; empty where that is the same.
    instead: Arc<str>,
    /// The moment since which a heartbeat would have changed it.
    since: Timestamp,
}

/// What follows from the state of clients, for all of them.
#[derive(Clone, Debug, Default)]
pub struct StateFacts(Vec<Fact>);

/// What the rules need to know of a client beside its state.
#[derive(Clone, Copy, Debug)]
pub struct NotedClient {
    /// The identifier that the manager assigned to the client, if it is known.
    pub agent: Option<AgentId>,
    /// The client's last heartbeat, and how long it stays with its server; none if that is not known.
    pub contact: Option<Contact>,
    /// The group in which the client is registered, if it is known already; otherwise the site is asked at the end.
    pub group: Option<GroupId>,
}

impl StateFacts {
    /// Whether nothing follows from the state.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl NoteTaker {
    /// Knows the site as it is now, the faults in force, and what the verdict says of the managers.
    pub fn new(site: &Site, faults: &[InstalledFault], verdict: &Verdict) -> Self {
        let now = verdict.now;
        let is_hindered = |name: &str| {
            let is_down = verdict.services_down.iter().flatten().any(|(one, _)| one == name)
                || verdict.processes_down.iter().flatten().any(|one| one == name)
                || verdict.web_server_errors.contains_key(name);
            let is_meant = |fault: &InstalledFault| {
                let place = &fault.rule.place;
                place.listener != Listener::Rest && place.manager.as_deref().is_none_or(|one| one == name)
            };
            is_down || faults.iter().any(|fault| fault.is_alive(now) && is_meant(fault))
        };
        let manager = |one: &epm_protocol::site::Manager| KnownManager {
            name: one.name.clone(),
            ports: one.ports.clone(),
            certificate: one.client.certificate().fingerprint(),
            publication: site.publication(&one.name).cloned(),
            is_hindered: is_hindered(&one.name),
        };
        let mut taker = Self {
            now,
            groups: site.groups().clone(),
            lists: site.lists().cloned().collect(),
            managers: site.managers().map(manager).collect(),
            found: BTreeMap::new(),
            shared: BTreeMap::new(),
            unplaced: Vec::new(),
        };
        taker.know_records(site.clients());
        taker
    }

    /// Knows these records of clients too.
    pub fn know_records<'a>(&mut self, records: impl Iterator<Item = &'a RegisteredClient>) {
        let changed_hands = records.filter(|one| one.turn > 0);
        let shared = |one: &RegisteredClient| {
            (one.agent, Shared { holder: one.computer_name.clone(), clients: Vec::new() })
        };
        self.shared.extend(changed_hands.map(shared));
    }

    /// Whether the client with this identifier has a record that has changed hands.
    pub fn is_shared(&self, agent: Option<AgentId>) -> bool {
        !self.shared.is_empty() && agent.is_some_and(|agent| self.shared.contains_key(&agent))
    }

    /// What follows from the state of clients, for all of them.
    pub fn of_state(&self, view: &AgentView) -> StateFacts {
        if !view.health.is_connected() {
            return StateFacts::default();
        }
        let facts = [self.policy(view), self.server(view), self.preferred_group(view)];
        StateFacts(facts.into_iter().flatten().collect())
    }

    /// Takes note of a client in a state with these facts.
    pub fn see(&mut self, name: &str, facts: &StateFacts, client: NotedClient) {
        if let Some(shared) = client.agent.and_then(|agent| self.shared.get_mut(&agent)) {
            shared.clients.push(name.to_owned());
        }
        for fact in &facts.0 {
            let contact = client.contact;
            let holds = match fact.code {
                Code::DownloadsOff => contact.is_none_or(|one| one.had_heartbeat_since(fact.since)),
                // Two heartbeats, since a command takes time until it is published.
                Code::OldPolicy => {
                    contact.is_some_and(|one| one.had_heartbeat_since(fact.since + one.interval))
                }
                Code::LowerPriority => contact.is_some_and(|one| {
                    one.had_heartbeat_since(fact.since)
                        && one.stays_until.is_some_and(|until| self.now < until)
                }),
                Code::NotInPreferredGroup => match (client.group, client.agent) {
                    (Some(group), _) => self.is_at(group, &fact.what),
                    (None, Some(agent)) => {
                        self.unplaced.push((agent, name.to_owned(), fact.clone()));
                        false
                    }
                    (None, None) => true,
                },
                Code::PreferredGroupMissing | Code::SharedRecord => true,
            };
            if holds {
                self.add(name, fact);
            }
        }
    }

    /// The notes, in the order of their codes. The site has the records of clients whose group was not given.
    pub fn finish(mut self, site: &Site) -> Vec<Note> {
        for (agent, name, fact) in std::mem::take(&mut self.unplaced) {
            if site.client(agent).is_none_or(|record| self.is_at(record.group, &fact.what)) {
                self.add(&name, &fact);
            }
        }
        for Shared { holder, clients } in std::mem::take(&mut self.shared).into_values() {
            // A record that one machine has kept since then is its own.
            if clients.iter().any(|one| *one != holder) {
                let fact = Fact {
                    code: Code::SharedRecord,
                    what: holder.into(),
                    instead: "".into(),
                    since: self.now,
                };
                clients.iter().for_each(|name| self.add(name, &fact));
            }
        }
        self.found.into_iter().map(|(code, found)| found.note(code)).collect()
    }

    fn add(&mut self, name: &str, fact: &Fact) {
        let Fact { code, what, instead, .. } = fact;
        let found = self.found.entry(*code).or_default();
        found.clients += 1;
        if found.examples.len() < NAMED {
            found.examples.push(name.to_owned());
        }
        if !found.what.contains(what) {
            found.what.insert(Arc::clone(what));
        }
        if !found.instead.contains(instead) {
            found.instead.insert(Arc::clone(instead));
        }
    }

    /// The policy is older than the one that the manager has for the client's group.
    fn policy(&self, view: &AgentView) -> Option<Fact> {
        let (path, newest) = self.newest(view)?;
        let code = if view.downloads_off { Code::DownloadsOff } else { Code::OldPolicy };
        let since = newest.changed();
        (view.serial?.changed() < since).then(|| Fact { code, what: path.into(), instead: "".into(), since })
    }

    /// The server has a lower priority in the client's list than one that serves clients, and that the client trusts.
    fn server(&self, view: &AgentView) -> Option<Fact> {
        let server = view.server.as_ref().filter(|_| view.served_with_file)?;
        let (_, newest) = self.newest(view)?;
        // Otherwise the list may be older than that of the site.
        view.complete.filter(|complete| complete.changed() >= newest.changed())?;
        let list = self.lists.iter().find(|one| one.name == view.list)?;
        let blocks = || list.priorities.iter().map(|block| block.0.as_slice());
        let is_here =
            |one: &ManagementServer| self.place(one, list.protocol).is_some_and(|(_, at)| at == *server);
        let place = blocks().position(|block| block.iter().any(is_here))?;
        let here = blocks().nth(place)?.iter().find(|one| is_here(one))?;
        let is_better = |one: &&ManagementServer| {
            let known = self.place(one, list.protocol);
            known.is_some_and(|(manager, at)| {
                let is_open = [manager.ports.http, manager.ports.https].contains(&Some(at.port));
                let needs_trust = view.secure_communications || list.protocol == Protocol::Https;
                let is_trusted = !needs_trust || view.certificates.contains(&manager.certificate);
                is_open && is_trusted && !manager.is_hindered
            })
        };
        let better = blocks().take(place).flatten().find(is_better)?;
        Some(Fact {
            code: Code::LowerPriority,
            what: here.manager.as_str().into(),
            instead: better.manager.as_str().into(),
            since: newest.changed(),
        })
    }

    /// The communications file prefers another group, and the client is not there.
    fn preferred_group(&self, view: &AgentView) -> Option<Fact> {
        let (preferred, group) = (view.preferred_group.as_deref()?, view.group.as_deref()?);
        let code = match self.groups.get(preferred) {
            None => Code::PreferredGroupMissing,
            // The console may move a client from its preferred group to any other; to the default one also the manager puts it.
            Some(_) if preferred != group && group == DEFAULT_GROUP => Code::NotInPreferredGroup,
            Some(_) => return None,
        };
        Some(Fact { code, what: group.into(), instead: preferred.into(), since: self.now })
    }

    /// The path of the group of the client's policy, and the serial of the policy that the client's manager has for it.
    fn newest<'a>(&self, view: &'a AgentView) -> Option<(&'a str, PolicySerial)> {
        let path = view.group.as_deref()?;
        let group = self.groups.get(path)?.id;
        let is_here = |one: &&KnownManager| view.server.as_ref().is_some_and(|server| one.is_at(server));
        let manager = self.managers.iter().find(is_here).or_else(|| self.managers.first())?;
        Some((path, manager.publication.as_ref()?.group(group)?.serial))
    }

    /// The manager of a server in a list of this protocol, and the address at which clients look for it.
    fn place(&self, one: &ManagementServer, protocol: Protocol) -> Option<(&KnownManager, Place)> {
        let manager = self.managers.iter().find(|manager| manager.name == one.manager)?;
        let ports = &manager.ports;
        let port = match protocol {
            Protocol::Http => one.http_port.or(ports.http)?,
            Protocol::Https => one.https_port.or(ports.https)?,
        };
        let address = one.address.as_deref().unwrap_or(&ports.address).to_owned();
        Some((manager, Place { address, port }))
    }

    fn is_at(&self, group: GroupId, path: &str) -> bool {
        self.groups.get(path).is_some_and(|one| one.id == group)
    }
}

/// The address of a server of a list.
struct Place {
    address: String,
    port: u16,
}

impl PartialEq<Server> for Place {
    fn eq(&self, server: &Server) -> bool {
        self.address == server.address && self.port == server.port
    }
}

impl KnownManager {
    fn is_at(&self, server: &Server) -> bool {
        let ports = [self.ports.http, self.ports.https];
        self.ports.address == server.address && ports.contains(&Some(server.port))
    }
}

impl Contact {
    /// Whether the last heartbeat in which a manager served the client began after this moment.
    fn had_heartbeat_since(&self, moment: Timestamp) -> bool {
        self.heartbeat.is_some_and(|at| at > moment)
    }
}

impl Found {
    fn note(self, code: Code) -> Note {
        let names = |all: &BTreeSet<Arc<str>>| some(all.iter().map(|one| one.to_string()));
        let (what, instead) = (names(&self.what), names(&self.instead));
        let has = if self.what.len() == 1 { "has" } else { "have" };
        let sentence = match code {
            Code::DownloadsOff => format!(
                "by their settings these clients download neither policies nor lists: they hold an older policy than {what} \
                 {has} now, and will learn no new certificate"
            ),
            Code::OldPolicy => format!(
                "these clients hold an older policy than {what} {has} now, although a manager has served them since the change"
            ),
            Code::SharedRecord if self.what.len() == 1 => format!(
                "these clients have a hardware id that another machine has too, so they take turns as one record of the site, \
                 which is in the name of {what} now"
            ),
            Code::SharedRecord => format!(
                "these clients have hardware ids that other machines have too, so they take turns as {} records of the site, \
                 which are in the names of {what} now",
                self.what.len()
            ),
            Code::LowerPriority => format!(
                "these clients stay with {what}, although {instead} has a higher priority in their list and serves clients: a \
                 client consults its list again after 24 hours of contact with one manager"
            ),
            Code::PreferredGroupMissing => format!(
                "the communications file of these clients prefers the group {instead}, which the site does not have, so that a \
                 client that registers gets into {DEFAULT_GROUP}; they are in {what}"
            ),
            Code::NotInPreferredGroup => format!(
                "these clients are registered in {what}, although their communications file prefers {instead}: a client that is \
                 registered stays in its group"
            ),
        };
        let failure = match code {
            Code::DownloadsOff => Some("F37"),
            Code::SharedRecord => Some("F25"),
            Code::LowerPriority => Some("F26"),
            Code::PreferredGroupMissing | Code::NotInPreferredGroup => Some("F35"),
            Code::OldPolicy => None,
        };
        let look =
            || "Look into the log of one of these clients for what becomes of its downloads.".to_owned();
        let Number { failure, title, remedy, .. } = of_failure(failure, look);
        Note {
            code,
            sentence: whole(&sentence),
            failure,
            failure_title: title,
            remedy,
            clients: self.clients,
            examples: self.examples,
        }
    }
}
