//! The rules that tell the cause of a loss of trust: from the layer that failed, what the client held, and what the site did.
//!
//! No rule knows a scenario, and none asks for an outcome: each compares the policy that the client had adopted with the changes
//! of its site.

use std::collections::BTreeSet;

use epm_protocol::assumption::{Module142, Store};
use epm_protocol::policy::{PolicySerial, Protocol};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Fingerprint, Rejection, SignatureError};
use epm_protocol::version::ClientVersion;

use super::change::{Change, GroupState, ListState, ManagerCertificates, RotationSettings};
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
            Distrust::SharedSecret { .. } => self.of_secret(loss).unwrap_or_else(|| {
                let has_fitted = loss.held.served_with_file;
                Found::without_change(if has_fitted { Code::SecretOfManager } else { Code::SecretOfClient })
            }),
            Distrust::Tls { rejection } => self.of_certificate(loss, rejection),
            Distrust::Signature { error, .. } => match error {
                SignatureError::Missing => Found::without_change(Code::Unknown),
                SignatureError::NotByAPinnedCertificate { expected, .. } => self.of_signature(loss, expected),
                SignatureError::NoPins => self.of_signature(loss, &[]),
            },
        }
    }

    /// The change that replaced the shared secret, unless the client has had the new one.
    fn of_secret(&self, loss: Loss<'_>) -> Option<Found> {
        let index = self.back_from(loss.since).find(|index| replaces_secret(self.change(*index)))?;
        (!self.has_followed(loss, index)).then(|| self.reinstalled(index))
    }

    /// Whether the client has adopted a policy from this change or after it.
    fn has_followed(&self, loss: Loss<'_>, index: usize) -> bool {
        let group = self.group_of(loss.part, loss.held);
        group.is_some_and(|group| has(self.change(index), group, loss.held.serial))
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
            Rejection::NotPinned { found, .. } if self.is_presented(found, loss.since) => {
                match self.brought(found, loss.since) {
                    Some(index) => self.of_update(loss, index),
                    None => Found::without_change(Code::OldFile),
                }
            }
            Rejection::NotPinned { found, .. } => Found::without_change(if self.has_had(found) {
                Code::Unknown
            } else {
                Code::ForeignCertificate
            }),
            Rejection::Expired { found, .. } => by(Code::CertificateExpired, found),
            Rejection::NotYetValid { found, .. } => by(Code::CertificateNotYetValid, found),
            Rejection::WrongName { .. } => Found::without_change(Code::CertificateForAnotherName),
            Rejection::Malformed { .. } | Rejection::NotPossessed { .. } => {
                Found::without_change(Code::Unknown)
            }
        }
    }

    fn of_signature(&self, loss: Loss<'_>, known: &[Fingerprint]) -> Found {
        if self.knows_all_signers(loss, known) {
            return Found::without_change(Code::Unknown);
        }
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

    /// Whether a client that knows these certificates knows what each manager of its list signs with when trust is lost: then no update
    /// is why it refuses a signature.
    fn knows_all_signers(&self, loss: Loss<'_>, known: &[Fingerprint]) -> bool {
        let signer = |one: &ManagerCertificates| match self.assumptions.signing_store {
            Store::Console => one.console,
            Store::Client => one.client,
        };
        let list = self.group_of(loss.part, loss.held).and_then(|group| self.list_held(group, loss.held));
        let is_listed = |name: &str| list.is_none_or(|list| list.managers().contains(name));
        let managers = &self.settings_at(loss.since).managers;
        let mut signers =
            managers.iter().filter(|(name, _)| is_listed(name)).map(|(_, one)| signer(one)).peekable();
        signers.peek().is_some() && signers.all(|one| known.contains(&one))
    }

    /// The list that a client has received for its group and location; none where that is not known.
    pub(super) fn list_held(&self, group: &str, held: &Held) -> Option<&ListState> {
        let last = (0..self.changes.len()).rev().find(|index| has(self.change(*index), group, held.complete));
        let settings = last.map_or(&self.start, |index| &self.change(index).after);
        settings.groups.get(group).map(|state| state.list_at(held.location.as_deref()))
    }

    /// Whether a manager presents this certificate to clients at that moment.
    fn is_presented(&self, certificate: &Fingerprint, at: Timestamp) -> bool {
        let presents =
            |settings: &RotationSettings| settings.managers.values().any(|one| one.client == *certificate);
        // A client may have met its manager at the moment of a change, and before it.
        let is_of_moment = |(_, change): &(_, Change)| change.at == at && presents(&change.before);
        presents(self.settings_at(at)) || self.changes.iter().any(is_of_moment)
    }

    /// Whether a manager of the site has had this certificate in one of its stores.
    fn has_had(&self, certificate: &Fingerprint) -> bool {
        let after = self.changes.iter().map(|(_, change)| &change.after);
        let mut managers = std::iter::once(&self.start).chain(after).flat_map(|one| one.managers.values());
        managers.any(|one| [one.console, one.client].contains(certificate))
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
            let has_followed = self.has_followed(loss, index);
            return if has_followed { Found::by(Code::OldFile, index) } else { self.reinstalled(index) };
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
        let managers = list.managers();
        if state.secure_communications {
            let switched_off = |(path, before): (&String, &GroupState)| {
                before.secure_communications
                    && update.before.groups.get(path).is_some_and(|now| !now.secure_communications)
            };
            let updated = update.updated();
            let is_of_all = managers.len() < 2 || managers.iter().all(|name| updated.contains(name));
            if is_of_all && self.start.groups.iter().any(switched_off) {
                let earlier = (0..index).rev().find(|one| switches_off(self.change(*one)));
                return Found { earlier, ..Found::by(Code::GroupForgotten, index) };
            }
            return self.of_several(loss, &managers, index);
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
        let is_prepared = earlier.is_some_and(|one| self.has_followed(loss, one));
        if is_prepared && self.learns_one(loss.held.version) {
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
        let settings = self.settings_at(loss.since);
        let in_force = managers.iter().filter_map(|name| settings.managers.get(*name));
        in_force.into_iter().any(|one| expected.contains(&one.client))
    }

    /// Whether clients of this version learn only the certificate of the manager that they talk to.
    pub(super) fn learns_one(&self, version: ClientVersion) -> bool {
        let assumed = &self.assumptions;
        assumed.module_14_2 == Module142::LearnsOnlyTheSendingManager
            && version.is_between(assumed.module_14_2_from, assumed.module_14_2_until)
    }

    fn is_stopped_at(&self, index: usize, managers: &BTreeSet<&str>) -> bool {
        self.change(index).facts.not_replicating.iter().any(|name| managers.contains(name.as_str()))
    }

    /// The cause where everything was prepared: the wait before the update, or the one after it, was too short for the client.
    fn of_waits(&self, held: &Held, group: &str, since: Timestamp, index: usize) -> Found {
        let location = held.location.as_deref();
        let concerns = |one: &usize| self.change(*one).concerns(group, location);
        let has = |one: usize| has(self.change(one), group, held.serial);
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

/// Whether a policy with this serial is of its group from this change or after it.
pub(super) fn has(change: &Change, group: &str, serial: Option<PolicySerial>) -> bool {
    let published = change.facts.published.get(group);
    published.is_some_and(|published| serial.is_some_and(|serial| serial.changed() >= *published))
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
