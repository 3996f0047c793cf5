//! Points 1 to 3: certificates, services and files of the managers, and the settings that have to be restored.

use std::collections::{BTreeMap, BTreeSet};

use epm_protocol::fault::Layer;
use epm_protocol::policy::{CommunicationSettings, Protocol};
use epm_protocol::site::Manager;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Beliefs, DateRule, Fingerprint, NameRule, ServerCertificate, judge};

use super::finding::{Findings, RotationCode as Code};
use super::{JudgedClient, Judgement};
use crate::Service;
use crate::lab::Lab;
use crate::mock_site::Presented;
use epm_client_agent::cause::{Change, GroupState, ListState, failure_of};
use epm_client_agent::scenario::{CauseCode, Verdict};

impl Lab {
    pub(super) fn judge_managers(&self, judged: &Judgement<'_>, findings: &mut Findings) {
        judged.judge_certificates(findings);
        judged.judge_ports(findings);
        judged.judge_validity(findings);
        judged.judge_settings(findings);
        for (manager, trouble) in judged.site.console_troubles() {
            findings.against_failure(Code::ConsoleConnects, Some("F14"), format!("{manager}: {trouble}"));
        }
        for fault in self.site.faults().list() {
            if fault.rule.what.layer() == Layer::Certificate {
                let name = &fault.rule.name;
                findings.unknown(Code::CertificateNew, format!("the fault {name:?} replaces certificates"));
            }
        }
        let mut seen = Verdict::default();
        self.observe_managers(&mut seen);
        for manager in seen.processes_down.iter().flatten() {
            findings.against(Code::ServicesUp, format!("{manager}: the process does not run"));
        }
        if let Some(why) = seen.database_error {
            let why = format!("the database that the managers share cannot be used: {why}");
            findings.unknown(Code::ServicesUp, why);
        }
        for (code, all) in [(Code::ServicesUp, seen.services_down), (Code::FilesRead, seen.files_unread)] {
            for (manager, names) in all.into_iter().flatten() {
                names.iter().for_each(|name| findings.against(code, format!("{manager}: {name}")));
            }
        }
    }
}

impl Judgement<'_> {
    fn judge_certificates(&self, findings: &mut Findings) {
        let before = &self.baseline.settings.managers;
        let old: BTreeSet<Fingerprint> =
            before.values().flat_map(|stores| [stores.client, stores.console]).collect();
        for (manager, now) in &self.settings.managers {
            if !self.rotates(manager) {
                if before.get(manager).is_some_and(|stores| stores != now) {
                    let shown = format!(
                        "{manager}: it should have kept its certificates, and presents {}",
                        now.client
                    );
                    findings.against(Code::OthersUnchanged, shown);
                }
                continue;
            }
            if old.contains(&now.client) {
                findings
                    .against(Code::CertificateNew, format!("{manager}: it still presents {}", now.client));
            } else if self.had_before(manager, now.client) {
                let why = format!("{manager}: it presents {}, which it had before the baseline", now.client);
                findings.against(Code::CertificateNew, why);
            }
            if now.client != now.console {
                findings.against_failure(
                    Code::StoresEqual,
                    failure_of(CauseCode::StoresDiffer, None),
                    format!(
                        "{manager}: the clients' port presents {}, the console {}",
                        now.client, now.console
                    ),
                );
            }
        }
        for manager in before.keys().filter(|name| !self.settings.managers.contains_key(*name)) {
            findings.against(Code::CertificateNew, format!("{manager}: it is no longer in the site"));
        }
    }

    /// Whether a manager had a certificate before the baseline.
    fn had_before(&self, manager: &str, certificate: Fingerprint) -> bool {
        let earlier = self.earlier.iter().filter(|one| one.number <= self.baseline.changes);
        let had =
            |one: &Change| one.before.managers.get(manager).is_some_and(|one| one.client == certificate);
        earlier.into_iter().any(had)
    }

    /// Whether the ports present what is in the stores.
    fn judge_ports(&self, findings: &mut Findings) {
        let Some(presented) = &self.presented else {
            let note =
                "the ports were not dialled, since faults are set: the certificates are those in the stores";
            findings.notes.push(note.to_owned());
            return;
        };
        for Presented { manager, service, certificate } in presented {
            let Some(stores) = self.settings.managers.get(manager) else { continue };
            let (port, stored) = match service {
                Service::Semsrv => ("REST API's port", stores.console),
                Service::Semwebsrv => ("clients' port", stores.client),
            };
            match certificate {
                Ok(found) if *found == stored => {}
                Ok(found) => findings.against(
                    Code::CertificateNew,
                    format!("{manager}: the {port} presents {found}, its store holds {stored}"),
                ),
                Err(why) => findings
                    .unknown(Code::CertificateNew, format!("{manager}: no handshake with the {port}: {why}")),
            }
        }
    }

    fn judge_validity(&self, findings: &mut Findings) {
        for manager in self.site.managers() {
            for (store, identity) in [("clients' port", &manager.client), ("console", &manager.console)] {
                let certificate = identity.certificate();
                let validity = certificate.validity();
                let why = if validity.is_before(self.now) {
                    format!("is not valid before {}", validity.not_before)
                } else if validity.is_over(self.now) {
                    format!("expired at {}", validity.not_after)
                } else {
                    continue;
                };
                findings.against(
                    Code::CertificateValid,
                    format!("{}: the certificate of the {store} {why}", manager.name),
                );
            }
            for (list, called) in self.verified_names(manager) {
                if !is_named(manager.client.certificate(), &called, self.now) {
                    findings.against(
                        Code::CertificateNamesServer,
                        format!("{}: the list {list:?} calls it {called:?}", manager.name),
                    );
                }
            }
        }
    }

    /// Names by which the lists in use that verify names call this manager, each with the list.
    fn verified_names(&self, manager: &Manager) -> BTreeSet<(String, String)> {
        let of_group = |group: &GroupState| {
            let own = group.locations.values().flatten().cloned();
            own.chain([group.list.clone()]).collect::<Vec<ListState>>()
        };
        // A list counts whether it is in use now or was at the baseline: it is the one that is restored.
        let groups = self.settings.groups.values().chain(self.baseline.settings.groups.values());
        let lists = groups.flat_map(of_group);
        let verifying = lists.filter(|list| list.verify_ca && list.protocol == Protocol::Https);
        let mut names = BTreeSet::new();
        for list in verifying {
            for server in list.priorities.iter().flat_map(|block| &block.0) {
                if server.manager == manager.name {
                    let called = server.address.clone().unwrap_or_else(|| manager.ports.address.clone());
                    names.insert((list.name.clone(), called));
                }
            }
        }
        names
    }

    fn judge_settings(&self, findings: &mut Findings) {
        for (path, before) in &self.baseline.settings.groups {
            let Some(now) = self.settings.groups.get(path) else {
                findings.against(Code::InheritanceRestored, format!("{path}: the group is gone"));
                continue;
            };
            if before.inherits != now.inherits {
                let how = if now.inherits { "it inherits now" } else { "it no longer inherits" };
                findings.against(Code::InheritanceRestored, format!("{path}: {how}"));
                continue;
            }
            if before.inherits {
                continue; // judged at the group whose settings apply
            }
            for (place, before, now) in communications(path, before, now) {
                findings.against(Code::CommunicationRestored, format!("{place}: {}", changed(before, now)));
            }
            if before.secure_communications != now.secure_communications {
                let state = if now.secure_communications { "on" } else { "off" };
                let since = self.switched_at(path).unwrap_or_default();
                findings.against(
                    Code::SwitchRestored,
                    format!("{path}: secure communications are {state}{since}"),
                );
            }
            if let Some(why) = difference(&before.list, &now.list) {
                findings.against(Code::ListRestored, format!("{path}: {why}"));
            }
            for (location, own) in &before.locations {
                let place = format!("{path}, location {location}");
                match (own, now.locations.get(location)) {
                    (_, None) => {
                        findings.against(Code::InheritanceRestored, format!("{place}: the location is gone"));
                    }
                    (Some(before), Some(Some(now))) => {
                        if let Some(why) = difference(before, now) {
                            findings.against(Code::ListRestored, format!("{place}: {why}"));
                        }
                    }
                    (None, Some(None)) => {}
                    (Some(_), Some(None)) => {
                        let why = "it has lost its own settings";
                        findings.against(Code::InheritanceRestored, format!("{place}: {why}"));
                    }
                    // Settings of its own that say the same as the group's change nothing for a client; the vendor's
                    // API cannot write a location otherwise.
                    (None, Some(Some(own))) => {
                        if let Some(why) = difference(&before.list, own) {
                            findings.against(Code::ListRestored, format!("{place}: {why}"));
                        }
                    }
                }
            }
        }
        self.judge_new_places(findings);
        self.note_what_was_changed_before(findings);
        for manager in self.site.managers() {
            if let Some(since) = self.site.replication_stopped_since(&manager.name)
                && since >= self.baseline.at
            {
                let why = format!("{}: it has not replicated since {since}", manager.name);
                findings.against(Code::ReplicationRestored, why);
            }
        }
        let copies: Vec<&str> =
            self.settings.lists.difference(&self.baseline.settings.lists).map(String::as_str).collect();
        if !copies.is_empty() {
            findings.notes.push(format!("lists that are left over: {}", copies.join(", ")));
        }
        for list in self.baseline.settings.lists.difference(&self.settings.lists) {
            findings.against(Code::ListRestored, format!("the list {list:?} is gone"));
        }
    }

    /// Assumptions that were changed while the lab ran, and groups that were less safe already before the rotation.
    fn note_what_was_changed_before(&self, findings: &mut Findings) {
        let (started, now) = (self.assumed.list(), self.site.assumptions().list());
        let other = started.iter().zip(&now).filter(|(started, now)| started.value != now.value);
        let other: Vec<String> = other.map(|(_, now)| format!("{} = {}", now.name, now.value)).collect();
        if !other.is_empty() {
            findings.notes.push(format!("assumptions other than at the lab's start: {}", other.join(", ")));
        }
        let earlier = || self.earlier.iter().filter(|one| one.number <= self.baseline.changes);
        for (path, now) in &self.baseline.settings.groups {
            let is_secure =
                |one: &Change| one.before.groups.get(path).is_some_and(|one| one.secure_communications);
            if earlier().any(is_secure) && !now.secure_communications && !now.inherits {
                let note =
                    format!("{path}: secure communications were on before, and off already at the baseline");
                findings.notes.push(note);
            }
        }
    }

    /// Groups and locations that are new: a client that is in one must not be less safe than it was.
    fn judge_new_places(&self, findings: &mut Findings) {
        let before = &self.baseline.settings.groups;
        let unsafe_how = |is_secure: bool, list: &ListState| match (is_secure, list.protocol) {
            (false, _) => Some("secure communications are off"),
            (true, Protocol::Http) => Some("its list speaks HTTP"),
            (true, Protocol::Https) => None,
        };
        let judged = |client: &JudgedClient, path: &str| client.group.as_deref() == Some(path);
        for (path, now) in &self.settings.groups {
            let mut clients = self.clients.iter().filter(|one| judged(one, path));
            let Some(known) = before.get(path) else {
                if let Some(how) = unsafe_how(now.secure_communications, &now.list) {
                    match clients.next() {
                        Some(client) => {
                            let why =
                                format!("{path}: the group is new, {how}, and {} is in it", client.name);
                            findings.against(Code::SwitchRestored, why);
                        }
                        None => findings
                            .notes
                            .push(format!("{path}: the group is new, {how}, and no client is in it")),
                    }
                }
                continue;
            };
            let is_new = |location: &&String| !known.locations.contains_key(*location);
            for (location, own) in now.locations.iter().filter(|(location, _)| is_new(location)) {
                let Some(how) = own.as_ref().and_then(|list| unsafe_how(now.secure_communications, list))
                else {
                    continue;
                };
                match clients.clone().find(|one| one.view.location.as_ref() == Some(location)) {
                    Some(client) => findings.against(
                        Code::ListRestored,
                        format!(
                            "{path}, location {location}: it is new, {how}, and {} is in it",
                            client.name
                        ),
                    ),
                    None => findings.notes.push(format!(
                        "{path}, location {location}: it is new, {how}, and no client is in it"
                    )),
                }
            }
        }
    }

    /// When the switch of this group last changed, as ` since TIME`.
    fn switched_at(&self, path: &str) -> Option<String> {
        let switch =
            |groups: &BTreeMap<String, GroupState>| groups.get(path).map(|group| group.secure_communications);
        let mut changes = self.changes.iter().flatten().rev();
        let change = changes.find(|one| switch(&one.before.groups) != switch(&one.after.groups))?;
        Some(format!(" since {}", change.at))
    }
}

/// The communication settings of a group and its locations that differ from what they were.
fn communications<'a>(
    path: &str,
    before: &'a GroupState,
    now: &'a GroupState,
) -> Vec<(String, &'a CommunicationSettings, &'a CommunicationSettings)> {
    let of_group = (path.to_owned(), &before.communication, &now.communication);
    let locations = before.locations.keys().filter(|location| now.locations.contains_key(*location));
    let of_locations = locations.map(|location| {
        let at = |state: &'a GroupState| state.communication_at(Some(location));
        (format!("{path}, location {location}"), at(before), at(now))
    });
    let differ: Vec<_> =
        std::iter::once(of_group).chain(of_locations).filter(|(_, before, now)| before != now).collect();
    // A location without settings of its own follows its group.
    match differ.split_first() {
        Some((first, others)) if first.0 == path => {
            let alike = |one: &&(String, &CommunicationSettings, &CommunicationSettings)| {
                one.1 != first.1 || one.2 != first.2
            };
            std::iter::once(first).chain(others.iter().filter(alike)).cloned().collect()
        }
        _ => differ,
    }
}

/// What is different in communication settings.
fn changed(before: &CommunicationSettings, now: &CommunicationSettings) -> String {
    let names = [
        ("whether clients connect", before.connect != now.connect),
        ("whether clients download policies and lists", before.download_profile != now.download_profile),
        ("push or pull mode", before.mode != now.mode),
        ("the heartbeat interval", before.heartbeat_seconds != now.heartbeat_seconds),
        (
            "the randomization of downloads",
            (before.randomization_enabled, before.randomization_range)
                != (now.randomization_enabled, now.randomization_range),
        ),
    ];
    let names: Vec<&str> = names.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
    format!("other than before: {}", names.join(", "))
}

/// How a list differs from what it was, if it does.
fn difference(before: &ListState, now: &ListState) -> Option<String> {
    if before.name != now.name {
        return Some(format!("its list is {:?}, expected {:?}", now.name, before.name));
    }
    let what = if before.protocol != now.protocol {
        "speaks another protocol than before"
    } else if before.verify_ca != now.verify_ca {
        "verifies names otherwise than before"
    } else if before.priorities != now.priorities {
        "has other servers than before"
    } else {
        return None;
    };
    Some(format!("its list {:?} {what}", now.name))
}

/// Whether a client that verifies names accepts this certificate for a server of this name.
fn is_named(certificate: &ServerCertificate, called: &str, now: Timestamp) -> bool {
    let beliefs = Beliefs {
        pins: [certificate.clone()].into_iter().collect(),
        dates: DateRule::Ignored,
        names: NameRule::Checked,
    };
    judge(certificate, &beliefs, called, now).is_ok()
}
