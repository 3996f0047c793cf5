//! What would stop a rotation half-way, looked for before it changes anything.

use std::collections::BTreeSet;

use epm_protocol::plural::{counted, either};
use epm_protocol::site::Command;
use serde_json::Value;

use super::fleet::{BEATS_AWAY, Seen};
use super::rotation::{Halt, Obstacle, Rotation, certificate_of, text};
use super::state::PRECONDITIONS;
use crate::cli::io::Failure;

impl Rotation {
    /// Refuses to begin while something would stop the rotation half-way: `own` are the obstacles of its procedure, and
    /// `first` the first changes that it would make, each tried alone.
    pub(super) async fn preconditions(
        &mut self,
        own: Vec<Obstacle>,
        first: &[(String, Vec<Command>)],
    ) -> Result<(), Halt> {
        if !self.is_careless() {
            let mut obstacles = own;
            obstacles.extend(self.of_managers().await?);
            obstacles.extend(self.of_clients().await?);
            let mut elsewhere = 0;
            for (step, commands) in first {
                let (would, not_predicted) = self.would_be_orphaned(commands).await?;
                elsewhere = not_predicted.max(elsewhere);
                let why = format!("{step} would orphan {}", counted(would.len(), "client"));
                obstacles.push(Obstacle::of_clients(why, would, "`--force` continues regardless"));
            }
            self.tell_not_predicted(elsewhere);
            // Each client is named once, with the first reason.
            let mut named = BTreeSet::new();
            for obstacle in &mut obstacles {
                obstacle.clients.retain(|(client, _)| named.insert(client.clone()));
            }
            obstacles.retain(|one| !one.is_of_clients || !one.clients.is_empty());
            self.refuse(obstacles)?;
        }
        self.did(PRECONDITIONS)?;
        Ok(())
    }

    /// Services that are down.
    pub(super) async fn services_down(&self) -> Result<Vec<Obstacle>, Failure> {
        let mut found = Vec::new();
        for name in self.managers().await? {
            let stopped = self.control.get(&certificate_of(&name)).await?;
            for service in stopped["stopped"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                found.push(Obstacle::of_site(
                    format!("the service {service} of {name} is down"),
                    "mend its files, and restart it with `epm-lab manager restart`",
                ));
            }
        }
        Ok(found)
    }

    /// Services that are down, and managers that changes do not reach.
    async fn of_managers(&self) -> Result<Vec<Obstacle>, Failure> {
        let mut found = self.services_down().await?;
        let verdict = self.control.get("/v1/verdict").await?;
        for name in verdict["processes_down"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            found.push(Obstacle::of_site(
                format!("the process of {name} does not run"),
                "start it with `epm-lab site manager`; `--force` continues regardless",
            ));
        }
        if let Some(why) = verdict["database_error"].as_str() {
            found.push(Obstacle::of_site(
                format!("the database that the managers share cannot be used ({why})"),
                "mend it first; `--force` continues regardless",
            ));
        }
        for manager in self.control.get("/v1/site").await?["managers"].as_array().into_iter().flatten() {
            let name = text(&manager["name"]);
            if manager["broken_since"].is_string() {
                found.push(Obstacle::of_site(
                    format!("the replication of {name} is broken"),
                    "restore it with `epm-lab manager replication`; `--force` continues regardless",
                ));
            }
        }
        Ok(found)
    }

    /// Clients that the rotation would wait for in vain.
    async fn of_clients(&mut self) -> Result<Vec<Obstacle>, Failure> {
        let verdict = self.control.get("/v1/verdict").await?;
        let orphaned = verdict["orphaned"].as_array().into_iter().flatten();
        let orphaned: Vec<_> = orphaned.map(|one| (text(&one["client"]), text(&one["why"]))).collect();
        let mut found = vec![Obstacle::of_clients(
            format!("{} orphaned", either(orphaned.len(), "client is", "clients are")),
            orphaned,
            "`--force` continues regardless",
        )];
        let unknown = verdict["unknown"].as_array().into_iter().flatten();
        let is_named = |name: &str| self.options.leave_behind.iter().any(|one| *one == name || one == "all");
        let (left, unknown): (Vec<String>, Vec<String>) = unknown.map(text).partition(|name| is_named(name));
        self.state.left.extend(left);
        let unknown: Vec<_> =
            unknown.into_iter().map(|name| (name, "no process reports what it holds".to_owned())).collect();
        if !unknown.is_empty() && !self.is_forced() {
            // Nothing can be waited for.
            let why = format!("{} unknown", either(unknown.len(), "client is", "clients are"));
            found.push(Obstacle::of_clients(
                why,
                unknown,
                "start their processes with `--report`, remove them from the site, or continue without them \
                 (`--leave-behind NAMES`); `--force` continues regardless",
            ));
            return Ok(found);
        }
        let mut clients = self.clients().await?;
        if self.options.max_wait.is_none() {
            let seen = self.seen_now_and_then(&clients).await?;
            clients.retain(|one| one.is_on || !seen.contains(&one.name));
        }
        let (away, mut silent): (Vec<&Seen>, Vec<&Seen>) =
            clients.iter().filter(|one| !one.is_on || one.is_frozen).partition(|one| !one.is_on);
        let elsewhere: Vec<&Seen> = clients.iter().filter(|one| one.is_on && one.is_elsewhere).collect();
        let seen_again = if elsewhere.is_empty() { BTreeSet::new() } else { self.seen_again().await? };
        silent.extend(elsewhere.into_iter().filter(|one| !seen_again.contains(&one.name)));
        let out_of_touch: BTreeSet<String> = self.out_of_touch().await?;
        silent.extend(clients.iter().filter(|one| one.is_on && out_of_touch.contains(&one.name)));
        let is_named =
            |one: &&&Seen| self.options.leave_behind.iter().any(|name| *name == one.name || name == "all");
        // Clients that are on are not waited for either, if the lab cannot tell how they are.
        let given_up: Vec<String> = silent
            .iter()
            .filter(|one| one.is_elsewhere)
            .filter(is_named)
            .map(|one| one.name.clone())
            .collect();
        self.state.left.extend(given_up);
        if self.options.max_wait.is_none() {
            let missing = |clients: Vec<&Seen>, why: &str| {
                let missing = clients.into_iter().filter(|one| !self.is_left(one));
                missing.map(|one| (one.name.clone(), why.to_owned())).collect::<Vec<_>>()
            };
            let away = missing(away, "it is away");
            found.push(Obstacle::of_clients(
                format!("{} away", either(away.len(), "client is", "clients are")),
                away,
                "`--leave-behind NAMES` continues without them, `--max-wait TIME` waits for them that long",
            ));
            let silent = missing(silent, "it is on, but makes no heartbeats");
            found.push(Obstacle::of_clients(
                format!("{} cannot be judged", counted(silent.len(), "client")),
                silent,
                "`--max-wait TIME` waits for them that long, `--leave-behind NAMES` continues without those that run \
                 outside the lab's process",
            ));
        }
        Ok(found)
    }

    /// Clients that are away, and make a heartbeat while the others make some: they are on now and then.
    async fn seen_now_and_then(&mut self, clients: &[Seen]) -> Result<BTreeSet<String>, Failure> {
        let away: BTreeSet<&str> =
            clients.iter().filter(|one| !one.is_on).map(|one| one.name.as_str()).collect();
        let mut seen = BTreeSet::new();
        let waits = clients.iter().any(|one| one.is_on && !one.is_elsewhere && !one.is_frozen);
        let began = self.now().await?;
        for _ in 0..if waits { BEATS_AWAY } else { 0 } {
            if seen.len() == away.len() {
                break;
            }
            self.pass(1).await?;
            let again = self.clients().await?.into_iter().filter(|one| one.last_seen > began);
            seen.extend(again.map(|one| one.name).filter(|name| away.contains(name.as_str())));
        }
        Ok(seen)
    }

    /// Clients that make a heartbeat while the lab's own clients make some. Without clients of its own the lab has
    /// nothing to wait for: then those that the manager shows as online.
    async fn seen_again(&mut self) -> Result<BTreeSet<String>, Failure> {
        let began = self.now().await?;
        self.pass(self.options.heartbeats).await?;
        let now = self.now().await?;
        let clients = self.clients().await?.into_iter();
        let seen = clients.filter(|one| if now > began { one.last_seen > began } else { one.is_on });
        Ok(seen.map(|one| one.name).collect())
    }

    /// Clients of the lab that are on and not served. New ones get a heartbeat to arrive.
    async fn out_of_touch(&self) -> Result<BTreeSet<String>, Failure> {
        let names = |verdict: &Value| -> BTreeSet<String> {
            let names = verdict["out_of_touch"].as_array().into_iter().flatten();
            names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
        };
        if names(&self.control.get("/v1/verdict").await?).is_empty() {
            return Ok(BTreeSet::new());
        }
        self.pass(1).await?;
        Ok(names(&self.control.get("/v1/verdict").await?))
    }
}
