//! What each client holds, which clients are orphaned since when and why, and which would be after given commands.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use epm_client_agent::agent::Agent;
use epm_client_agent::cause::{SiteHistory, StateFacts, explain, port_without_answer};
use epm_client_agent::rehearsal::{WouldBeOrphaned, would_be_orphaned};
use epm_client_agent::scenario::{ClientFinding, PartHolding, Reason, Standing, Troubled, Verdict};
use epm_client_agent::wire::{ByState, Glance, Member};
use epm_protocol::site::{Command, CommandError, Site};
use epm_protocol::time::Clock;
use epm_protocol::trust::Fingerprint;

use crate::Service;
use crate::lab::notes::noted;
use crate::lab::reports::Heard;
use crate::lab::{Lab, Seen, lock};
use crate::runtime::faults::Key;

impl Lab {
    /// The verdict on every client.
    pub async fn verdict(&self) -> Verdict {
        self.verdict_seeing(|_| ()).await
    }

    /// The verdict on every client; calls `also` with each of them.
    pub(crate) async fn verdict_seeing(&self, mut also: impl FnMut(&Seen<'_>)) -> Verdict {
        let mut verdict = Verdict::new(self.clock().now(), self.seed, self.certificates());
        self.observe_managers(&mut verdict);
        let in_force = verdict.in_force();
        let mut parts: Vec<PartHolding> = Vec::new();
        // How clients in each state stand, how many there are in each part, and what is to be noted of them.
        let mut states = ByState::<(Standing, Vec<usize>, StateFacts)>::default();
        let mut taker = self.note_taker(&verdict);
        // A client elsewhere that is off cannot be tried. It believes its managers on its return if it knows what they present, what
        // they sign with, and their secret.
        let consoles =
            |site: &Site| site.managers().map(|one| one.console.certificate().fingerprint()).collect();
        let signers: Vec<Fingerprint> = self.site.look(consoles);
        let replaced = self.site.changes().secret_replaced();
        let knows_all = |glance: &Glance| {
            signers.iter().all(|one| glance.common.certificates.contains(one))
                && replaced.is_none_or(|at| glance.since > at)
        };
        let marked = self.history.marked();
        let (mut ever_orphaned, mut ever_unsigned) = (Vec::new(), Vec::new());
        let (mut clients, mut off, mut untried) = (0, Vec::new(), Vec::new());
        let see = |seen: Seen<'_>| {
            also(&seen);
            let Seen { name, part, glance, member, .. } = seen;
            let place = parts.iter().position(|one| one.part == *part).unwrap_or_else(|| {
                parts.push(PartHolding::of(part));
                parts.len() - 1
            });
            let (standing, counts, facts) = states
                .of(&glance.common, |view| (Standing::of(view, &in_force), Vec::new(), taker.of_state(view)));
            taker.see(name, facts, noted(glance));
            counts.resize(counts.len().max(place + 1), 0);
            counts[place] += 1;
            clients += 1;
            if *standing != Standing::Well || glance.common.brought_back {
                verdict.add(part, &glance.view(name), *standing, glance.is_on);
            }
            if !glance.is_on && *standing != Standing::Orphaned {
                match member {
                    Some(member) => off.push((member.clone(), glance.clone())),
                    None if *standing == Standing::Well && knows_all(glance) => {}
                    None => untried.push(name.to_owned()),
                }
            }
            if glance.is_silent {
                verdict.add_silent(part, &glance.view(name), glance.pause());
            }
            let ever = if marked.is_empty() { None } else { marked.get(name) };
            let ever = ever.copied().unwrap_or_default();
            // Also if it happened since the others were asked for.
            let was_orphaned = ever.orphaned || *standing == Standing::Orphaned;
            ever_orphaned.extend(was_orphaned.then(|| name.to_owned()));
            ever_unsigned.extend(ever.unsigned.then(|| name.to_owned()));
        };
        let Heard { sources, unknown, elsewhere, reported_twice, not_read } =
            self.look_at_everyone(see).await;
        self.try_returns(&mut verdict, &off);
        for (view, (_, counts, _)) in states.iter() {
            let counts = parts.iter_mut().zip(counts).filter(|(_, count)| **count > 0);
            counts.for_each(|(part, count)| part.add(view, *count));
        }
        for (name, trace) in self.history.departed() {
            if trace.ever().orphaned && !ever_orphaned.contains(&name) {
                ever_orphaned.push(name.clone());
            }
            if trace.ever().unsigned && !ever_unsigned.contains(&name) {
                ever_unsigned.push(name);
            }
        }
        let (console_troubles, ports, notes) =
            self.site.look(|site| (site.console_troubles(), site.clients_ports(), taker.finish(site)));
        let mut verdict = Verdict {
            clients,
            sources,
            unknown,
            untried,
            reported_twice,
            database_error: verdict.database_error.take().or(not_read),
            console_troubles,
            ports,
            elsewhere: Some(elsewhere),
            notes,
            parts,
            ever_orphaned: Some(ever_orphaned),
            ever_unsigned: Some(ever_unsigned),
            journal_forgotten: Some(self.site.journal().forgotten()),
            repeat: self.repeat(),
            ..verdict
        };
        explain(&mut verdict, &self.site_history());
        self.name_faults(&mut verdict);
        verdict
    }

    /// Says which faults of the lab hit the last contact of the clients of each reason.
    fn name_faults(&self, verdict: &mut Verdict) {
        let faults = self.site.faults();
        if verdict.reasons.is_empty() || faults.list().is_empty() {
            return;
        }
        let mut hit: HashMap<String, BTreeSet<String>> = HashMap::new();
        for (key, fault) in faults.last_hits() {
            let client = match key {
                Key::Source(address) => faults.client_at(address),
                Key::Agent(agent) => self.site.look(|site| Some(site.client(agent)?.computer_name.clone())),
            };
            if let Some(client) = client {
                hit.entry(client).or_default().insert(fault);
            }
        }
        // Where a port is closed, nothing else could hit the client since.
        let ports = faults.closed_by();
        let closed =
            |one: &Troubled| Some((one.client.clone(), ports.get(&port_without_answer(&one.trouble)?)?));
        let closed: HashMap<String, &String> = verdict.troubled.iter().filter_map(closed).collect();
        let of = |reason: &Reason| -> Vec<String> {
            let mut names = BTreeSet::new();
            for client in verdict.clients_of(reason.number) {
                match closed.get(client).filter(|_| reason.finding == ClientFinding::OutOfTouch) {
                    Some(fault) => names.extend([(*fault).clone()]),
                    None => names.extend(hit.get(client).into_iter().flatten().cloned()),
                }
            }
            names.into_iter().collect()
        };
        let named: Vec<Vec<String>> = verdict.reasons.iter().map(of).collect();
        verdict.reasons.iter_mut().zip(named).for_each(|(reason, faults)| reason.hit_by(faults));
    }

    /// Adds those of these clients, which are off, that would be orphaned if they were switched on now. Of clients in one state, and
    /// registered in one group, one is tried.
    pub(super) fn try_returns(&self, verdict: &mut Verdict, off: &[(Member, Glance)]) {
        if off.is_empty() {
            return;
        }
        let site = self.site.look(Clone::clone);
        let key = |glance: &Glance| {
            let record = glance.agent.and_then(|id| site.client(id));
            (Arc::as_ptr(&glance.common), record.map(|record| record.group))
        };
        let mut tried = HashMap::new();
        for (member, glance) in off {
            let because = tried.entry(key(glance)).or_insert_with(|| {
                let record = glance.agent.and_then(|id| site.client(id)).cloned();
                let lost = would_be_orphaned([(member.handle.copy().agent(), record)], &site, verdict.now);
                lost.into_iter().next().map(|one| one.because)
            });
            if let Some(because) = because {
                verdict.add_orphaned_on_return(&member.part, &glance.view(&member.name), because.clone());
            }
        }
    }

    /// What happened to the site since the lab was started or restored.
    fn site_history(&self) -> SiteHistory {
        let assumptions = self.site.look(|site| Arc::clone(site.assumptions()));
        let changes = self.site.changes();
        let Some(known) = changes.after(0) else { return SiteHistory::incomplete(assumptions) };
        let mut history = SiteHistory::new(changes.start(), assumptions);
        known.into_iter().for_each(|change| history.push(None, change));
        history
    }

    /// The command that starts the same lab again, if it is known.
    pub fn repeat(&self) -> Option<String> {
        lock(&self.repeat).clone()
    }

    /// Sets the command that starts the same lab again, for the verdict.
    pub fn repeated_by(&self, command: Option<String>) {
        *lock(&self.repeat) = command;
    }

    /// Adds what is no matter of a client's view: silent clients, services that are down, and files that wait unread.
    pub(super) async fn observe(&self, verdict: &mut Verdict) {
        let fleet = self.fleet.read().await;
        for Member { name, part, handle } in fleet.members() {
            let glance = handle.glance(verdict.now);
            if glance.is_silent {
                verdict.add_silent(part, &glance.view(name), glance.pause());
            }
        }
        drop(fleet);
        self.observe_managers(verdict);
    }

    /// Adds which processes and services of managers do not run, and which of their files wait unread.
    pub(super) fn observe_managers(&self, verdict: &mut Verdict) {
        let names: Vec<String> = self.site.look(|site| site.managers().map(|one| one.name.clone()).collect());
        match self.site.shared_log().map(|log| log.running()) {
            Some(Ok(running)) => {
                verdict.database_error = self.site.shared_trouble();
                let ended = names.iter().filter(|name| !running.contains(name));
                verdict.processes_down = Some(ended.cloned().collect());
            }
            Some(Err(error)) => verdict.database_error = Some(error.to_string()),
            None => {}
        }
        let web_server = |errors: BTreeMap<Service, String>| {
            errors.into_iter().find(|(one, _)| *one == Service::Semwebsrv)
        };
        let errors = self.site.service_errors().into_iter();
        verdict.web_server_errors =
            errors.filter_map(|(manager, errors)| Some((manager, web_server(errors)?.1))).collect();
        if names.iter().any(|name| self.site.is_installed(name)) {
            let by_manager = |of: &dyn Fn(&str) -> Vec<String>| {
                let all = names.iter().map(|name| (name.clone(), of(name)));
                all.filter(|(_, found)| !found.is_empty()).collect()
            };
            let down = |name: &str| self.site.stopped_services(name).iter().map(Service::to_string).collect();
            verdict.observe_managers(by_manager(&down), by_manager(&|name| self.site.unread_files(name)));
        }
    }

    /// Clients that would be orphaned if these commands were applied now and each client then had its next
    /// heartbeats. Works on copies of the site and the clients; changes nothing.
    ///
    /// # Errors
    ///
    /// When the site would refuse one of the commands.
    pub async fn if_now(&self, commands: &[Command]) -> Result<Vec<WouldBeOrphaned>, CommandError> {
        let now = self.clock().now();
        let (next, _) = self.site.look(|site| site.applied(commands, now))?;
        let known = |(_, agent, _): (String, Agent, bool)| {
            let client = agent.cache().state.agent.and_then(|id| next.client(id)).cloned();
            (agent, client)
        };
        let clients: Vec<_> = self.agents().await.into_iter().map(known).collect();
        Ok(tokio::task::block_in_place(|| would_be_orphaned(clients, &next, now)))
    }
}
