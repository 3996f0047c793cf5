//! Points 5 to 8: what each client holds, those that are off, and the heartbeats between two steps.

use std::collections::BTreeSet;

use epm_client_agent::agent::Agent;
use epm_client_agent::rehearsal::would_be_orphaned;
use epm_client_agent::scenario::Span;
use epm_protocol::plural::counted;
use epm_protocol::policy::PolicySerial;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;

use super::finding::{Findings, RotationCode as Code};
use super::{JudgedClient, Judgement};
use crate::lab::history::TOO_MANY;
use epm_client_agent::cause::Change;

impl Judgement<'_> {
    pub(super) fn judge_clients(&self, findings: &mut Findings) {
        for client in &self.clients {
            self.judge_group(client, findings);
        }
        for client in self.clients.iter().filter(|one| one.is_on) {
            self.judge_policy(client, findings);
            self.judge_certificates_held(client, findings);
        }
        self.judge_elsewhere(findings);
        self.judge_absent(findings);
        self.judge_insecure(findings);
        self.judge_heartbeats(findings);
    }

    /// Whether a client, on or off, is still in the group that it was in.
    fn judge_group(&self, client: &JudgedClient, findings: &mut Findings) {
        let JudgedClient { name, group, .. } = client;
        let was_in = self.baseline.clients.get(name).and_then(|before| before.group.as_ref());
        if let Some((before, now)) = was_in.zip(group.as_ref()).filter(|(before, now)| before != now) {
            findings.against(Code::PolicyCurrent, format!("{name}: it is in {now}, expected {before}"));
        }
    }

    fn judge_policy(&self, client: &JudgedClient, findings: &mut Findings) {
        let JudgedClient { name, view, group, .. } = client;
        if client.is_silent {
            findings.against(Code::ClientsServed, format!("{name}: it had no heartbeat for three intervals"));
        } else if !view.health.is_connected() {
            findings.against(Code::ClientsServed, format!("{name}: it is not served"));
        }
        let Some(path) = group else {
            findings.against(Code::PolicyCurrent, format!("{name}: it is not registered"));
            return;
        };
        let Some(of) = self.site.groups().get(path) else { return };
        let published = PolicySerial::new(of.id, of.changed);
        if view.complete != Some(published) {
            let why = match view.serial {
                Some(held) if held == published => {
                    format!(
                        "{name}: it holds {held} of {path}, and not all that belongs to it, such as the list"
                    )
                }
                held => {
                    let held = held.map_or_else(|| "none".to_owned(), |one| one.to_string());
                    format!("{name}: it holds {held}, {path} publishes {published}")
                }
            };
            findings.against(Code::PolicyCurrent, why);
        }
        let before = self.baseline.settings.groups.get(path).or_else(|| self.settings.groups.get(path));
        let is_secure = before.is_some_and(|group| group.secure_communications);
        if view.secure_communications != is_secure {
            let state = |on| if on { "on" } else { "off" };
            let (found, expected) = (state(view.secure_communications), state(is_secure));
            findings.against(
                Code::ClientSwitch,
                format!("{name}: secure communications are {found}, expected {expected} as in {path}"),
            );
        }
        let in_force: Vec<Fingerprint> = self.settings.managers.values().map(|one| one.client).collect();
        // A policy that was adopted while the switch was off was not verified. The same bytes can be verified now if the
        // client holds the certificate of a manager that publishes them.
        let vouches = |one: &Fingerprint| in_force.contains(one);
        let is_vouched =
            view.policy_vouched_by.map_or_else(|| view.certificates.iter().any(vouches), |one| vouches(&one));
        if is_secure && !is_vouched {
            let by = view.policy_vouched_by.map_or_else(
                || "it holds no certificate in force that vouches for its policy".to_owned(),
                |one| format!("its policy is vouched for by {one}, which no manager presents"),
            );
            findings.against(Code::PolicyVouched, format!("{name}: {by}"));
        }
    }

    fn judge_certificates_held(&self, client: &JudgedClient, findings: &mut Findings) {
        let JudgedClient { name, view, .. } = client;
        let Some(list) = self.site.lists().find(|list| list.name == view.list) else {
            findings.against(Code::CertificatesHeld, format!("{name}: its list {:?} is gone", view.list));
            return;
        };
        let managers: BTreeSet<&str> =
            list.priorities.iter().flat_map(|block| &block.0).map(|server| server.manager.as_str()).collect();
        for manager in managers {
            let Some(stores) = self.settings.managers.get(manager) else { continue };
            if !view.certificates.contains(&stores.client) {
                let why = format!("{name}: it lacks the certificate of {manager}, {}", stores.client);
                findings.against(Code::CertificatesHeld, why);
            }
        }
    }

    /// Clients that run outside of the lab's process, and that no process reports, are known only by what they tell their manager. One
    /// that is unknown now can have the name of one that is known: of two machines with one name the other was looked at.
    fn judge_elsewhere(&self, findings: &mut Findings) {
        let here = self.names();
        let registered = self.site.clients().map(|one| one.computer_name.as_str());
        let unwatched = registered.chain(self.baseline.unknown.iter().map(String::as_str));
        let unwatched = unwatched.filter(|name| !here.contains(name));
        let all: BTreeSet<&str> = unwatched.chain(self.unknown.iter().map(String::as_str)).collect();
        for name in all.into_iter().filter(|name| !self.rotation.left_behind.contains(*name)) {
            let why = match (here.contains(name), self.baseline.clients.contains_key(name)) {
                (true, _) => {
                    format!("{name}: another client has its name, and no process reports what that one holds")
                }
                (false, true) => format!("{name}: it is no longer a client of this lab's process"),
                (false, false) => {
                    format!("{name}: it is no client of this lab's process, and was not watched")
                }
            };
            findings.unknown(Code::ClientsServed, why);
        }
    }

    fn judge_absent(&self, findings: &mut Findings) {
        let off: Vec<_> = self.clients.iter().filter(|one| !one.is_on).collect();
        if !off.is_empty() {
            findings.notes.push(format!("clients that are off: {}", off.len()));
        }
        let with_record = |agent: Agent| {
            let record = agent.cache().state.agent.and_then(|id| self.site.client(id)).cloned();
            (agent, record)
        };
        for one in &off {
            let before = self.baseline.clients.get(&one.name).map_or(0, |before| before.counts.0);
            // One that was orphaned since the baseline is judged by its cause.
            if let Some((_, because)) = one.view.health.orphaned().filter(|_| one.counts.0 <= before) {
                findings
                    .against(Code::AbsentReturn, format!("{}: it is orphaned already: {because}", one.name));
            }
        }
        for one in off.iter().filter(|one| one.is_elsewhere) {
            let why =
                format!("{}: it runs elsewhere and is off, so that its return cannot be tried", one.name);
            findings.unknown(Code::AbsentReturn, why);
        }
        let copies = off.into_iter().filter_map(|one| one.copy.as_ref());
        let off: Vec<_> = copies.map(|copy| with_record(copy.agent())).collect();
        for one in would_be_orphaned(off, self.site, self.now) {
            findings.against(Code::AbsentReturn, format!("{}: {}", one.client, one.because));
        }
    }

    /// How long each group was without authentication, which is reported, and fails only if it is asked for.
    fn judge_insecure(&self, findings: &mut Findings) {
        let Some(changes) = &self.changes else {
            findings.unknown(Code::NeverInsecure, "changes since the baseline were dropped".to_owned());
            return;
        };
        for (path, before) in &self.baseline.settings.groups {
            if before.inherits || !before.secure_communications {
                continue;
            }
            for (from, to) in self.times_off(path, changes) {
                let until = to.map_or_else(|| "now".to_owned(), |to| to.to_string());
                let lasted = Span(to.unwrap_or(self.now).since(from));
                let period = format!("{path}: from {from} to {until} ({lasted})");
                findings.against(Code::NeverInsecure, period.clone());
                findings.notes.push(format!("without authentication: {period}"));
            }
        }
        for client in &self.clients {
            let before = self.baseline.clients.get(&client.name).map_or(0, |one| one.counts.1);
            if before == TOO_MANY {
                let why = "it adopted so many policies without a verified signature that it does not count them any more";
                findings.unknown(Code::NeverInsecure, format!("{}: {why}", client.name));
            } else if client.counts.1 > before {
                let why = format!("{}: it adopted a policy without a verified signature", client.name);
                findings.against(Code::NeverInsecure, why);
            } else if client.counts.1 < before || client.trace.is_anew_since(self.baseline.at) {
                let why = "it was installed anew, so what it adopted before is not known";
                findings.unknown(Code::NeverInsecure, format!("{}: {why}", client.name));
            }
        }
        if !self.has_history {
            let why = "the history of clients does not reach back to the baseline";
            findings.unknown(Code::NeverInsecure, why.to_owned());
        }
    }

    /// Periods in which the switch of a group was off.
    fn times_off(&self, path: &str, changes: &[Change]) -> Vec<(Timestamp, Option<Timestamp>)> {
        let (mut periods, mut since) = (Vec::new(), None);
        for change in changes {
            let is_on = change.after.groups.get(path).is_some_and(|group| group.secure_communications);
            match (since, is_on) {
                (None, false) => since = Some(change.at),
                (Some(from), true) => {
                    periods.push((from, Some(change.at)));
                    since = None;
                }
                _ => {}
            }
        }
        periods.extend(since.map(|from| (from, None)));
        periods
    }

    /// The least number of heartbeats that a client had between two steps that need one.
    fn judge_heartbeats(&self, findings: &mut Findings) {
        let code = Code::HeartbeatsBetweenSteps;
        let Some(changes) = self.changes.as_ref().filter(|_| self.has_history) else {
            findings.unknown(code, "changes since the baseline were dropped".to_owned());
            return;
        };
        let wanted = self.rotation.least_heartbeats.unwrap_or(0);
        let mut least: Option<(u64, String)> = None;
        let mut unknown = BTreeSet::new();
        for client in &self.clients {
            let was_on = self.baseline.clients.get(&client.name).is_some_and(|before| before.on);
            if !was_on && !client.is_on {
                continue;
            }
            if client.is_elsewhere {
                let why = "it runs elsewhere, and its heartbeats between two reports cannot be told apart";
                findings.unknown(code, format!("{}: {why}", client.name));
                continue;
            }
            let mut fewest: Option<(u64, String)> = None;
            for (from, to) in self.dangerous(client, changes) {
                let name = format!("{} in part {}", client.name, client.part);
                let gap = format!("{name}, between {} and {}", from.at, to.at);
                match client.trace.served_between(from.number, to.number) {
                    None => {
                        unknown.insert(client.name.as_str());
                        findings.unknown(code, format!("{gap}: not known"));
                    }
                    // Whether it was on then was not seen.
                    Some(0) if !was_on => {
                        unknown.insert(client.name.as_str());
                        findings.unknown(code, format!("{gap}: none, and it was not on at the baseline"));
                    }
                    Some(served) if fewest.as_ref().is_none_or(|(few, _)| served < *few) => {
                        fewest = Some((served, gap));
                    }
                    Some(_) => {}
                }
            }
            let Some((served, gap)) = fewest else { continue };
            if served < wanted {
                findings.against(code, format!("{gap}: {served}, expected {wanted}"));
            }
            if least.as_ref().is_none_or(|(few, _)| served < *few) {
                least = Some((served, gap));
            }
        }
        if let Some((served, gap)) = least {
            let but = match unknown.len() {
                0 => String::new(),
                clients => format!("; of {} it is not known", counted(clients, "client")),
            };
            findings.notes.push(format!("least heartbeats between two steps: {served} ({gap}){but}"));
        }
    }

    /// Pairs of consecutive changes that need a heartbeat of this client in between: its switch or list, and a
    /// certificate; or two certificates while its switch is on.
    pub(super) fn dangerous<'c>(
        &self,
        client: &JudgedClient,
        changes: &'c [Change],
    ) -> Vec<(&'c Change, &'c Change)> {
        let before = self.baseline.clients.get(&client.name);
        let (group, location) = match before {
            Some(before) => (before.group.as_ref(), before.location.as_deref()),
            None => (client.group.as_ref(), client.view.location.as_deref()),
        };
        let Some(group) = group.or(client.group.as_ref()) else { return Vec::new() };
        let is_secure = |change: &Change| {
            change.before.groups.get(group).is_some_and(|group| group.secure_communications)
        };
        let relevant: Vec<(&Change, bool, bool)> = changes
            .iter()
            .map(|one| (one, !one.updated().is_empty(), one.concerns(group, location)))
            .filter(|(_, is_update, is_setting)| *is_update || *is_setting)
            .collect();
        let pairs = relevant.windows(2).filter_map(|pair| {
            let [(from, was_update, _), (to, is_update, _)] = pair else { return None };
            let is_dangerous = match (*was_update, *is_update) {
                (true, true) => is_secure(to),
                (true, false) | (false, true) => true,
                (false, false) => false,
            };
            is_dangerous.then_some((*from, *to))
        });
        pairs.collect()
    }
}
