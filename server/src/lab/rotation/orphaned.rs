//! Point 4: which clients were orphaned since the baseline, and by which mistake.

use std::collections::{BTreeMap, BTreeSet};

use epm_client_agent::agent::{Distrust, TrustLayer};
use epm_protocol::policy::Protocol;
use epm_protocol::trust::Rejection;
use epm_protocol::version::ClientVersion;

use super::Judgement;
use super::finding::{Findings, RotationCode as Code};
use crate::lab::Lab;
use crate::lab::baseline::BaselineClient;
use crate::lab::history::{Orphaning, Trace};
use crate::runtime::changes::{Change, GroupState, ListState, ManagerCertificates};

impl Lab {
    pub(super) fn judge_orphaned(&self, judged: &Judgement<'_>, findings: &mut Findings) {
        let left_behind = |name: &str| judged.rotation.left_behind.contains(name);
        let watched = judged.baseline.clients.iter();
        let watched = watched.filter(|(name, one)| one.on && one.served && !left_behind(name));
        let departed = self.history.departed();
        let mut is_watched = false;
        for (name, before) in watched {
            is_watched = true;
            let here = judged.clients.iter().find(|one| one.name == *name);
            let gone = departed.iter().find(|(client, _)| client == name);
            let Some(trace) = here.map(|one| &one.trace).or(gone.map(|(_, trace)| trace)) else {
                findings.unknown(Code::OrphanedOtherwise, format!("{name}: it left the fleet"));
                continue;
            };
            if here.is_none() {
                findings.unknown(Code::OrphanedOtherwise, format!("{name}: it left the fleet"));
            }
            if trace.counts.0 <= before.counts.0 {
                continue;
            }
            let Some(orphaning) = trace.orphaned.back() else { continue };
            let (code, cause) = judged.cause(before, trace, here.map(|one| one.view.version), orphaning);
            findings.against(code, described(name, before, orphaning, &cause));
        }
        if !judged.has_history {
            let why = "the history of clients does not reach back to the baseline: a snapshot was restored";
            findings.unknown(Code::OrphanedOtherwise, why.to_owned());
        } else if !is_watched {
            let why = "no client was on and served at the baseline";
            findings.unknown(Code::OrphanedOtherwise, why.to_owned());
        }
    }
}

impl Judgement<'_> {
    /// The mistake that orphaned a client, and its words for people.
    fn cause(
        &self,
        client: &BaselineClient,
        trace: &Trace,
        version: Option<ClientVersion>,
        orphaning: &Orphaning,
    ) -> (Code, String) {
        let otherwise = || (Code::OrphanedOtherwise, String::new());
        if orphaning.layer == TrustLayer::SharedSecret || is_of_the_certificate_itself(&orphaning.because) {
            return otherwise();
        }
        let (Some(changes), Some(group)) = (&self.changes, &client.group) else { return otherwise() };
        let location = client.location.as_deref();
        let until = |one: &&Change| one.at <= orphaning.since;
        let updates: Vec<&Change> =
            changes.iter().filter(until).filter(|one| !updated(one).is_empty()).collect();
        let Some(last) = updates.last() else { return otherwise() };
        let Some(state) = last.before.groups.get(group) else { return otherwise() };
        let list = state.list_at(location);
        let is_off = |path: &String| {
            let of = |groups: &BTreeMap<String, GroupState>| {
                groups.get(path).is_some_and(|group| group.secure_communications)
            };
            of(&self.baseline.settings.groups) && !of(&last.before.groups)
        };
        if state.secure_communications && self.baseline.settings.groups.keys().any(is_off) {
            return (Code::GroupForgotten, "other groups were switched off, its group was not".to_owned());
        }
        if !state.secure_communications {
            if list.protocol == Protocol::Https {
                let name = &list.name;
                return if location.is_some() && state.list.protocol == Protocol::Http {
                    let cause = format!("the list of its location, {name:?}, was still over HTTPS");
                    (Code::LocationForgotten, cause)
                } else {
                    (Code::ListOverHttps, format!("its list {name:?} was still over HTTPS"))
                };
            }
            return if self.lacked_a_heartbeat(client, trace, changes, last, orphaning) {
                (Code::NotWaited, "it had no heartbeat between two steps".to_owned())
            } else {
                otherwise()
            };
        }
        let managers = managers_of(list);
        let changed: BTreeSet<&str> = updates.iter().flat_map(|one| updated(one)).collect();
        let assumed = self.site.assumptions();
        let is_of_14_2 =
            version.is_some_and(|one| one.is_between(assumed.module_14_2_from, assumed.module_14_2_until));
        if managers.len() < 2 {
            (Code::SwitchLeftOn, "its list has one manager, and its group was never switched off".to_owned())
        } else if is_of_14_2 {
            (Code::VersionLearnsOne, "version 14.2 learns one certificate at a time".to_owned())
        } else if changed.len() > 1 {
            let changed: Vec<&str> = changed.into_iter().collect();
            (Code::ManagerTooEarly, format!("{} had changed", changed.join(" and ")))
        } else {
            otherwise()
        }
    }

    /// Whether a client had no served heartbeat before the last update since its settings changed, or after it before
    /// they changed again.
    fn lacked_a_heartbeat(
        &self,
        client: &BaselineClient,
        trace: &Trace,
        changes: &[Change],
        update: &Change,
        orphaning: &Orphaning,
    ) -> bool {
        let is_of_client = |one: &&Change| self.concerns(client, one);
        let before = changes.iter().rfind(|one| one.number < update.number && is_of_client(one));
        let after = changes
            .iter()
            .find(|one| one.number > update.number && one.at <= orphaning.since && is_of_client(one));
        let is_none = |from: u64, to: u64| trace.served_between(from, to).is_none_or(|served| served == 0);
        before.is_some_and(|one| is_none(one.number, update.number))
            || after.is_some_and(|one| is_none(update.number, one.number))
    }

    /// Whether a change concerns the switch or the list of this client.
    pub(super) fn concerns(&self, client: &BaselineClient, change: &Change) -> bool {
        let Some(group) = &client.group else { return false };
        let of = |groups: &BTreeMap<String, GroupState>| {
            let state = groups.get(group)?;
            Some((state.secure_communications, state.list_at(client.location.as_deref()).clone()))
        };
        of(&change.before.groups) != of(&change.after.groups)
    }
}

/// Managers whose clients' port got another certificate by this change.
pub(super) fn updated(change: &Change) -> Vec<&str> {
    let after = change.after.managers.iter();
    let is_new = |(name, now): &(&String, &ManagerCertificates)| {
        change.before.managers.get(*name).is_some_and(|before| before.client != now.client)
    };
    after.filter(is_new).map(|(name, _)| name.as_str()).collect()
}

/// Names of the managers in a list.
pub(super) fn managers_of(list: &ListState) -> BTreeSet<&str> {
    list.priorities.iter().flat_map(|block| &block.0).map(|server| server.manager.as_str()).collect()
}

/// Whether the certificate itself is the reason, whatever the client knows: its dates or names.
fn is_of_the_certificate_itself(because: &Distrust) -> bool {
    let Distrust::Tls { rejection } = because else { return false };
    matches!(
        rejection,
        Rejection::Expired { .. } | Rejection::NotYetValid { .. } | Rejection::WrongName { .. }
    )
}

fn described(name: &str, client: &BaselineClient, orphaning: &Orphaning, cause: &str) -> String {
    let group = client.group.as_deref().unwrap_or("no group");
    let location = client.location.as_ref().map(|name| format!(", location {name}")).unwrap_or_default();
    let until = orphaning.until.map(|until| format!(" until {until}")).unwrap_or_default();
    let cause = if cause.is_empty() { String::new() } else { format!("; {cause}") };
    format!("{name} in {group}{location} since {}{until}: {}{cause}", orphaning.since, orphaning.because)
}
