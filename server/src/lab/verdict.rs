//! What each client holds, which clients are orphaned since when and why, and which would be after given commands.

use std::collections::BTreeMap;
use std::sync::Arc;

use epm_client_agent::agent::Agent;
use epm_client_agent::cause::{SiteHistory, explain};
use epm_client_agent::rehearsal::{WouldBeOrphaned, would_be_orphaned};
use epm_client_agent::scenario::{Standing, Verdict, holdings};
use epm_protocol::site::{Command, CommandError};
use epm_protocol::time::Clock;

use crate::Service;
use crate::lab::reports::Everyone;
use crate::lab::{ClientView, Lab, lock};

/// Names of services or files, by manager.
pub(super) type NamesByManager = BTreeMap<String, Vec<String>>;

impl Lab {
    /// The verdict on every client.
    pub async fn verdict(&self) -> Verdict {
        let Everyone { clients, sources, unknown, reported_twice } = self.everyone().await;
        let mut verdict = Verdict::new(self.clock().now(), self.seed, self.certificates());
        self.observe(&mut verdict).await;
        let in_force = verdict.in_force();
        let mut parts: Vec<&str> = Vec::new();
        let (mut ever_orphaned, mut ever_unsigned) = (Vec::new(), Vec::new());
        for ClientView { client, part, on, view, silent, reported_by, .. } in &clients {
            if !parts.contains(&part.as_str()) {
                parts.push(part);
            }
            verdict.add(part, view, Standing::of(view, &in_force), *on);
            if *silent && reported_by.is_some() {
                verdict.add_silent(part, view, false);
            }
            let ever =
                self.history.ask(client, |trace| (!trace.orphaned.is_empty(), !trace.unsigned.is_empty()));
            let (was_orphaned, was_unsigned) = ever.unwrap_or_default();
            ever_orphaned.extend(was_orphaned.then(|| client.clone()));
            ever_unsigned.extend(was_unsigned.then(|| client.clone()));
        }
        for (name, trace) in self.history.departed() {
            if !trace.orphaned.is_empty() && !ever_orphaned.contains(&name) {
                ever_orphaned.push(name.clone());
            }
            if !trace.unsigned.is_empty() && !ever_unsigned.contains(&name) {
                ever_unsigned.push(name);
            }
        }
        let (registered, console_troubles) =
            self.site.look(|site| (site.clients().count(), site.console_troubles()));
        let here = clients.iter().filter(|one| one.view.serial.is_some()).count();
        let mut verdict = Verdict {
            clients: clients.len(),
            sources,
            unknown,
            reported_twice,
            console_troubles,
            elsewhere: Some(registered.saturating_sub(here)),
            parts: holdings(parts, clients.iter().map(|one| (one.part.as_str(), one.view.clone()))),
            ever_orphaned: Some(ever_orphaned),
            ever_unsigned: Some(ever_unsigned),
            journal_forgotten: Some(self.site.journal().forgotten()),
            repeat: self.repeat(),
            ..verdict
        };
        explain(&mut verdict, &self.site_history());
        verdict
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
    pub fn repeated_by(&self, command: String) {
        *lock(&self.repeat) = Some(command);
    }

    /// Adds what is no matter of a client's view: silent clients, services that are down, and files that wait unread.
    pub(super) async fn observe(&self, verdict: &mut Verdict) {
        for member in self.fleet.read().await.members() {
            let agent = member.handle.agent();
            if agent.is_silent(verdict.now) {
                verdict.add_silent(&member.part, &agent.view(), member.handle.is_frozen());
            }
        }
        if let Some((down, unread)) = self.manager_troubles() {
            verdict.observe_managers(down, unread);
        }
    }

    /// Services that are down, and files that wait unread, by manager; none if no manager has an installation folder.
    pub(super) fn manager_troubles(&self) -> Option<(NamesByManager, NamesByManager)> {
        let names: Vec<String> = self.site.look(|site| site.managers().map(|one| one.name.clone()).collect());
        if !names.iter().any(|name| self.site.is_installed(name)) {
            return None;
        }
        let by_manager = |of: &dyn Fn(&str) -> Vec<String>| {
            let all = names.iter().map(|name| (name.clone(), of(name)));
            all.filter(|(_, found)| !found.is_empty()).collect()
        };
        let down = |name: &str| -> Vec<String> {
            self.site.stopped_services(name).iter().map(Service::to_string).collect()
        };
        let unread = |name: &str| -> Vec<String> { self.site.unread_files(name) };
        Some((by_manager(&down), by_manager(&unread)))
    }

    /// Clients that would be orphaned if these commands were applied now and each client then had its next
    /// heartbeats. Works on copies of the site and the clients; changes nothing.
    ///
    /// # Errors
    ///
    /// When the site would refuse one of the commands.
    pub async fn if_now(&self, commands: &[Command]) -> Result<Vec<WouldBeOrphaned>, CommandError> {
        let now = self.clock().now();
        let mut next = self.site.look(Clone::clone);
        next.apply_all(commands, now)?;
        let known = |(_, agent, _): (String, Agent, bool)| {
            let client = agent.cache().state.agent.and_then(|id| next.client(id)).cloned();
            (agent, client)
        };
        let clients: Vec<_> = self.agents().await.into_iter().map(known).collect();
        Ok(tokio::task::block_in_place(|| would_be_orphaned(clients, &next, now)))
    }
}
