//! The rules that tell the cause of a loss of trust: from the layer that failed, what the client held, and what the site did.
//!
//! No rule knows a scenario, and none asks for an outcome: each compares the policy that the client had adopted with the changes
//! of its site.

use std::collections::BTreeSet;

use epm_protocol::policy::Protocol;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Fingerprint, Rejection, SignatureError};

use super::change::{Change, GroupState, RotationSettings};
use super::history::SiteHistory;
use crate::agent::Distrust;
use crate::scenario::{CauseCode as Code, Held};

/// A loss of trust: what failed, and what the client held.
#[derive(Clone, Copy, Debug)]
pub struct Loss<'a> {
    /// Part of the fleet that the client belongs to.
    pub part: &'a str,
    /// Lab time since which the client is orphaned.
    pub since: Timestamp,
    /// The layer that failed, with what was expected and found.
    pub because: &'a Distrust,
    /// What the client held.
    pub held: &'a Held,
}

/// The cause of a loss of trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The code of the cause.
    pub code: Code,
    /// The index of the change that is the cause.
    pub(super) change: Option<usize>,
    /// The index of an earlier change that belongs to it: the preparation, or the update before.
    pub(super) earlier: Option<usize>,
}

impl Found {
    const fn by(code: Code, change: usize) -> Self {
        Self { code, change: Some(change), earlier: None }
    }

    const fn without_change(code: Code) -> Self {
        Self { code, change: None, earlier: None }
    }
}

impl SiteHistory {
    /// The cause of this loss of trust.
    pub fn cause(&self, loss: Loss<'_>) -> Found {
        if !self.is_complete {
            return Found::without_change(Code::Unknown);
        }
        match loss.because {
            Distrust::SharedSecret { .. } => self.of_secret(loss.since).unwrap_or_else(|| {
                let has_fitted = loss.held.served_with_file;
                Found::without_change(if has_fitted { Code::SecretOfManager } else { Code::SecretOfClient })
            }),
            Distrust::Tls { rejection } => self.of_certificate(loss, rejection),
            Distrust::Signature { error, .. } => match error {
                SignatureError::Missing => Found::without_change(Code::Unknown),
                SignatureError::NotByAPinnedCertificate { .. } | SignatureError::NoPins => {
                    self.of_signature(loss)
                }
            },
        }
    }

    /// The change that replaced the shared secret.
    fn of_secret(&self, since: Timestamp) -> Option<Found> {
        let index = self.back_from(since).find(|index| replaces_secret(self.change(*index)))?;
        Some(self.reinstalled(index))
    }

    fn reinstalled(&self, index: usize) -> Found {
        let is_of_a_file = self.change(index).facts.recovery.is_some();
        Found::by(if is_of_a_file { Code::SecretOfAnotherSite } else { Code::Reinstalled }, index)
    }

    fn of_certificate(&self, loss: Loss<'_>, rejection: &Rejection) -> Found {
        let by = |code, certificate: &Fingerprint| Found {
            change: self.brought(certificate, loss.since),
            ..Found::without_change(code)
        };
        match rejection {
            Rejection::NotPinned { expected, found, .. }
                if let Some(began) = self.half_updated(expected, found, loss.since) =>
            {
                Found::by(Code::StoresDiffer, began)
            }
            Rejection::NotPinned { found, .. } => match self.brought(found, loss.since) {
                Some(index) => self.of_update(loss, index),
                None if self.start.managers.values().any(|one| one.client == *found) => {
                    Found::without_change(Code::OldFile)
                }
                None => Found::without_change(Code::ForeignCertificate),
            },
            Rejection::Expired { found, .. } => by(Code::CertificateExpired, found),
            Rejection::NotYetValid { found, .. } => by(Code::CertificateNotYetValid, found),
            Rejection::WrongName { .. } => Found::without_change(Code::CertificateForAnotherName),
            Rejection::Malformed { .. } | Rejection::NotPossessed { .. } => {
                Found::without_change(Code::Unknown)
            }
        }
    }

    fn of_signature(&self, loss: Loss<'_>) -> Found {
        // A manager signs with the certificate of its console's store.
        let differ =
            |settings: &RotationSettings| settings.managers.values().any(|one| one.console != one.client);
        let mut back = self.back_from(loss.since);
        if back.next().is_some_and(|last| differ(&self.change(last).after)) {
            let began = self.back_from(loss.since).find(|index| !differ(&self.change(*index).before));
            return Found { change: began, ..Found::without_change(Code::StoresDiffer) };
        }
        match self.back_from(loss.since).find(|index| !self.change(*index).updated().is_empty()) {
            Some(index) => self.of_update(loss, index),
            None => Found::without_change(Code::Unknown),
        }
    }

    /// The change that updated the console's store of a manager alone, where this manager's port still presents `found` and the client
    /// knows what the manager signs with, and writes into lists and communications files.
    fn half_updated(&self, known: &[Fingerprint], found: &Fingerprint, until: Timestamp) -> Option<usize> {
        let mut back = self.back_from(until);
        let last = back.next()?;
        let is_half = |manager: &&String| {
            let now = self.change(last).after.managers.get(*manager);
            now.is_some_and(|one| {
                one.client == *found && one.console != *found && known.contains(&one.console)
            })
        };
        let manager = self.change(last).after.managers.keys().find(is_half)?;
        let of =
            |settings: &RotationSettings| settings.managers.get(manager).map(|one| (one.console, one.client));
        let began = std::iter::once(last).chain(back).find(|index| {
            let [before, after] =
                [&self.change(*index).before, &self.change(*index).after].map(|one| of(one));
            before.map(|(console, _)| console) != after.map(|(console, _)| console)
        })?;
        let port = |settings: &RotationSettings| of(settings).map(|(_, client)| client);
        (port(&self.change(began).before) == port(&self.change(began).after)).then_some(began)
    }

    /// The last change until then that brought a certificate into force.
    fn brought(&self, certificate: &Fingerprint, until: Timestamp) -> Option<usize> {
        self.back_from(until).find(|index| {
            let change = self.change(*index);
            change.updated().iter().any(|manager| change.after.managers[*manager].client == *certificate)
        })
    }

    /// The cause where a change gave managers certificates that the client does not know.
    pub(super) fn of_update(&self, loss: Loss<'_>, index: usize) -> Found {
        let Loss { part, since, held, .. } = loss;
        let update = self.change(index);
        if replaces_secret(update) {
            return self.reinstalled(index);
        }
        let is_old = |manager: &&str| {
            let is = update.after.managers.get(*manager);
            is.is_some_and(|one| self.was_in_force_before(manager, &one.client, index))
        };
        if update.updated().iter().any(is_old) {
            return Found::by(Code::CertificateRestored, index);
        }
        let has_lost_its_state = held.serial.is_none() && self.may_have_lost_its_state(part);
        if has_lost_its_state || held.given_older_file {
            return Found::by(Code::OldFile, index);
        }
        let location = held.location.as_deref();
        let Some(group) = self.group_of(part, held) else { return Found::without_change(Code::Unknown) };
        let Some(state) = update.before.groups.get(group) else {
            return Found::without_change(Code::Unknown);
        };
        let list = state.list_at(location);
        if state.secure_communications {
            let switched_off = |(path, before): (&String, &GroupState)| {
                before.secure_communications
                    && update.before.groups.get(path).is_some_and(|now| !now.secure_communications)
            };
            if self.start.groups.iter().any(switched_off) {
                let earlier = (0..index).rev().find(|one| switches_off(self.change(*one)));
                return Found { earlier, ..Found::by(Code::GroupForgotten, index) };
            }
            return self.of_several(loss, &list.managers(), index);
        }
        if list.protocol == Protocol::Https {
            let is_of_location = location.is_some() && state.list.protocol == Protocol::Http;
            let code = if is_of_location { Code::LocationForgotten } else { Code::ListOverHttps };
            return Found::by(code, index);
        }
        self.of_waits(held, group, since, index)
    }

    /// The cause where the client authenticated its managers all the time, and could only learn from one of the other.
    fn of_several(&self, loss: Loss<'_>, managers: &BTreeSet<&str>, index: usize) -> Found {
        if managers.len() < 2 {
            return Found::by(Code::SwitchLeftOn, index);
        }
        if self.trusts_one_in_force(loss, managers) {
            return Found::by(Code::ReachedAnotherManager, index);
        }
        let changes_of = |one: &usize| -> BTreeSet<&str> {
            self.change(*one).updated().into_iter().filter(|name| managers.contains(name)).collect()
        };
        let index = self.back_from(loss.since).find(|one| !changes_of(one).is_empty()).unwrap_or(index);
        let of_last = changes_of(&index);
        let earlier = (0..index).rev().find(|one| changes_of(one).iter().any(|name| !of_last.contains(name)));
        let assumed = &self.assumptions;
        if loss.held.version.is_between(assumed.module_14_2_from, assumed.module_14_2_until) {
            return Found { earlier, ..Found::by(Code::VersionLearnsOne, index) };
        }
        let before = index.checked_sub(1).map(|one| &self.change(one).facts.not_replicating);
        let stopped = before.is_some_and(|names| names.iter().any(|name| managers.contains(name.as_str())));
        match earlier {
            Some(_) if stopped || self.is_stopped_at(index, managers) => {
                Found { earlier, ..Found::by(Code::ReplicationBroken, index) }
            }
            Some(_) => Found { earlier, ..Found::by(Code::ManagerTooEarly, index) },
            None if of_last.len() > 1 => Found::by(Code::ManagerTooEarly, index),
            None => Found::without_change(Code::Unknown),
        }
    }

    /// Whether the client trusts what one of these managers presented when trust was lost: then another manager answered in its place.
    fn trusts_one_in_force(&self, loss: Loss<'_>, managers: &BTreeSet<&str>) -> bool {
        let Distrust::Tls { rejection: Rejection::NotPinned { expected, .. } } = loss.because else {
            return false;
        };
        let last = self.back_from(loss.since).next();
        let settings = last.map_or(&self.start, |index| &self.change(index).after);
        let in_force = managers.iter().filter_map(|name| settings.managers.get(*name));
        in_force.into_iter().any(|one| expected.contains(&one.client))
    }

    fn is_stopped_at(&self, index: usize, managers: &BTreeSet<&str>) -> bool {
        self.change(index).facts.not_replicating.iter().any(|name| managers.contains(name.as_str()))
    }

    /// The cause where everything was prepared: the wait before the update, or the one after it, was too short for the client.
    fn of_waits(&self, held: &Held, group: &str, since: Timestamp, index: usize) -> Found {
        let location = held.location.as_deref();
        let concerns = |one: &usize| self.change(*one).concerns(group, location);
        let adopted = held.serial.map(epm_protocol::policy::PolicySerial::changed);
        let has = |one: usize| {
            let published = self.change(one).facts.published.get(group).copied();
            published.is_some_and(|moment| adopted.is_some_and(|adopted| adopted >= moment))
        };
        // Without downloads a client has its heartbeats, and receives nothing.
        let downloads = |settings: &RotationSettings| {
            settings.groups.get(group).is_none_or(|one| one.communication_at(location).download_profile)
        };
        if !downloads(&self.change(index).before) {
            let earlier =
                self.switched_off(group, location, |one| one.download_profile).filter(|one| *one < index);
            return Found { earlier, ..Found::by(Code::DownloadsOff, index) };
        }
        let before = (0..index).rev().find(concerns).filter(|one| !has(*one));
        if let Some(earlier) = before {
            return Found { earlier: Some(earlier), ..Found::by(Code::NotWaited, index) };
        }
        let after = (index + 1..self.changes.len()).find(concerns);
        match after.filter(|one| has(*one) && self.change(*one).at <= since) {
            Some(after) => Found { earlier: Some(index), ..Found::by(Code::SwitchedOnTooEarly, after) },
            None => Found::without_change(Code::Unknown),
        }
    }
}

fn replaces_secret(change: &Change) -> bool {
    change.before.secret != change.after.secret
}

/// Whether a change switches secure communications off in some group.
pub(super) fn switches_off(change: &Change) -> bool {
    switched(change, false).next().is_some()
}

/// The groups in which a change switches secure communications on or off.
pub(super) fn switched(change: &Change, on: bool) -> impl Iterator<Item = &str> {
    change.after.groups.iter().filter_map(move |(path, after)| {
        let before = change.before.groups.get(path)?;
        (before.secure_communications != on && after.secure_communications == on).then_some(path.as_str())
    })
}
