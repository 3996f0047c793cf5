//! Why clients that are not orphaned are not well: the rules, the sentence and the remedy for clients that do not authenticate their
//! manager, lack a certificate in force, or are silent.
//!
//! As for a loss of trust, no rule knows a scenario: each compares what the client holds with the changes of its site.

use std::collections::BTreeSet;

use epm_protocol::plural::either;
use epm_protocol::policy::Protocol;
use epm_protocol::trust::Rejection;

use super::history::SiteHistory;
use super::rules::{Loss, has};
use super::sentence::{gave, label, some, whole};
use crate::agent::{Distrust, TrustLayer};
use crate::scenario::{CauseCode as Code, ClientFinding, Laggard, Pause};

/// The cause for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lack {
    pub(super) code: Code,
    /// The index of the change that the client has not followed.
    pub(super) change: Option<usize>,
    /// The layer at which the client will be orphaned at its next heartbeat, if it will.
    pub(super) foretold: Option<TrustLayer>,
}

impl Lack {
    const fn by(code: Code, change: usize) -> Self {
        Self { code, change: Some(change), foretold: None }
    }

    const fn without_change(code: Code) -> Self {
        Self { code, change: None, foretold: None }
    }
}

impl SiteHistory {
    /// The cause for a client.
    pub(super) fn lack(&self, client: &Laggard) -> Lack {
        match client.finding {
            ClientFinding::Silent => Lack::without_change(match client.pause {
                Some(Pause::Suspended) => Code::Suspended,
                Some(Pause::Disabled) => Code::CommunicationOff,
                Some(Pause::InHeartbeat) => Code::AnswerAwaited,
                None => Code::Unknown,
            }),
            ClientFinding::NotSecure if self.is_complete => self.of_switch(client),
            ClientFinding::Behind if self.is_complete => self.of_certificates(client),
            _ => Lack::without_change(Code::Unknown),
        }
    }

    /// The cause for a client that does not authenticate its manager.
    fn of_switch(&self, client: &Laggard) -> Lack {
        let Some(group) = self.group_of(&client.part, &client.held) else {
            return Lack::without_change(Code::Unknown);
        };
        let Some(now) = self.last().groups.get(group) else { return Lack::without_change(Code::Unknown) };
        let switches = |index: &usize| {
            let change = self.change(*index);
            let of = |settings: &super::RotationSettings| {
                settings.groups.get(group).map(|state| state.secure_communications)
            };
            of(&change.before) != of(&change.after)
        };
        let last = (0..self.changes.len()).rev().find(switches);
        match (now.secure_communications, last) {
            (false, change) => Lack { change, ..Lack::without_change(Code::SecureCommunicationsOff) },
            (true, Some(index)) if !has(self.change(index), group, client.held.complete) => {
                Lack::by(Code::NotReceived, index)
            }
            (true, _) => Lack::without_change(Code::Unknown),
        }
    }

    /// The cause for a client that lacks a certificate in force.
    fn of_certificates(&self, client: &Laggard) -> Lack {
        let Laggard { part, held, lacks, .. } = client;
        let brought = |index: &usize| {
            let change = self.change(*index);
            change.updated().iter().any(|manager| lacks.contains(&change.after.managers[*manager].client))
        };
        let Some(index) = (0..self.changes.len()).rev().find(brought) else {
            return Lack::without_change(Code::OldFile);
        };
        let Some(group) = self.group_of(part, held) else { return Lack::without_change(Code::Unknown) };
        let state = self.last().groups.get(group);
        let managers =
            state.map(|state| state.list_at(held.location.as_deref()).managers()).unwrap_or_default();
        let stopped = self.not_replicating();
        let updated = self.change(index).updated();
        let is_apart = |name: &&str| managers.contains(*name) || updated.contains(name);
        if stopped.iter().any(|name| is_apart(&name.as_str())) {
            return Lack::by(Code::ReplicationBroken, index);
        }
        if managers.len() > 1 && self.learns_one(held.version) {
            return Lack::by(Code::VersionLearnsOne, index);
        }
        if has(self.change(index), group, held.complete) {
            return Lack::without_change(Code::Unknown);
        }
        self.foretold(client, &managers, index).unwrap_or_else(|| Lack::by(Code::NotReceived, index))
    }

    /// The cause for a client that will be orphaned at its next heartbeat: it authenticates its managers, and knows none of the
    /// certificates that they present now, neither those of its group's list nor those of the list that it has. The cause is that
    /// which it will then have.
    fn foretold(&self, client: &Laggard, managers: &BTreeSet<&str>, index: usize) -> Option<Lack> {
        let Laggard { part, held, lacks, .. } = client;
        let path = self.group_of(part, held)?;
        let all = managers.union(&self.list_held(path, held)?.managers()).copied().collect::<BTreeSet<_>>();
        let presented: Vec<_> = all.into_iter().filter_map(|name| self.last().managers.get(name)).collect();
        if presented.is_empty() || presented.iter().any(|one| !lacks.contains(&one.client)) {
            return None;
        }
        let group = self.change(index).before.groups.get(path)?;
        let layer = match group.list_at(held.location.as_deref()).protocol {
            Protocol::Https => TrustLayer::Tls,
            Protocol::Http => TrustLayer::Signature,
        };
        let rejection = Rejection::NotPinned { expected: Vec::new(), found: presented[0].client };
        let because = Distrust::Tls { rejection };
        let loss = Loss { part, since: self.change(index).at, because: &because, held };
        let code = self.of_update(loss, index).code;
        Some(Lack { foretold: Some(layer), ..Lack::by(code, index) })
    }

    /// Managers that do not replicate after the last change.
    fn not_replicating(&self) -> BTreeSet<String> {
        let last = self.changes.last().map(|(_, change)| &change.facts.not_replicating);
        last.into_iter().flatten().cloned().collect()
    }

    /// The cause in one sentence, for clients of these groups.
    pub(super) fn sentence_of(&self, lack: Lack, finding: ClientFinding, groups: &BTreeSet<&str>) -> String {
        let names = some(groups.iter().map(|one| (*one).to_owned()));
        let text = match (lack.code, lack.change) {
            (_, Some(index)) if lack.foretold.is_some() => format!(
                "{}, and these clients know none of the certificates that the managers of their list present now: they will be \
                 orphaned at their next heartbeat",
                gave(self, index)
            ),
            (Code::SecureCommunicationsOff, Some(index)) => format!(
                "{} switched secure communications off in {names}, and nothing has switched them on again, so these clients do \
                 not authenticate their manager",
                label(self, index)
            ),
            (Code::SecureCommunicationsOff, None) => format!(
                "secure communications have been off in {names} since the beginning, so these clients do not authenticate \
                 their manager"
            ),
            (Code::NotReceived, Some(index)) if finding == ClientFinding::NotSecure => format!(
                "{} switched secure communications on in {names}, and these clients have not received that yet: they hold no \
                 policy from after it",
                label(self, index)
            ),
            (Code::NotReceived, Some(index)) => format!(
                "{}, and these clients have not received it yet: they hold no policy from after it",
                gave(self, index)
            ),
            (Code::ReplicationBroken, Some(index)) => format!(
                "{}, and {} not replicate: a manager that does not know the new certificate cannot tell it to these clients",
                gave(self, index),
                some(self.not_replicating()) + if self.not_replicating().len() == 1 { " does" } else { " do" }
            ),
            (Code::VersionLearnsOne, Some(index)) => format!(
                "{}; clients of this version learn only the certificate of the manager that they talk to",
                gave(self, index)
            ),
            (Code::OldFile, _) => "the managers have had their certificates since the beginning, and the communications file \
                                   of these clients lacks one of them"
                .to_owned(),
            (Code::Suspended, _) => {
                "these clients were suspended (`epm-lab client freeze`), and send nothing until they are resumed".to_owned()
            }
            (Code::AnswerAwaited, _) => "these clients have waited for an answer since they began their last heartbeat, for three \
                                         intervals or longer"
                .to_owned(),
            (Code::CommunicationOff, _) => {
                "communication is switched off for these clients, so they begin no heartbeat".to_owned()
            }
            _ if !self.is_complete && finding != ClientFinding::Silent => {
                "the cause is not known: not every change of the site was recorded".to_owned()
            }
            _ => match finding {
                ClientFinding::Silent => "the cause is not known: these clients are on and not suspended, and have begun no \
                                          heartbeat for three intervals"
                    .to_owned(),
                ClientFinding::NotSecure => format!(
                    "the cause is not known: secure communications are on in {names}, and these clients do not authenticate \
                     their manager"
                ),
                _ => "the cause is not known: these clients hold a policy from after the last update, and lack a certificate \
                      in force"
                    .to_owned(),
            },
        };
        whole(&text)
    }
}

/// What to do about a cause that is no failure of the catalogue.
pub(super) fn remedy(code: Code, finding: ClientFinding, groups: usize, example: &str) -> String {
    match code {
        Code::SecureCommunicationsOff => format!(
            "Switch secure communications on for {}, once each client holds every certificate in force.",
            either(groups, "group", "groups")
        ),
        Code::NotReceived => {
            "Wait until each of these clients has had a heartbeat, and update no certificate before."
                .to_owned()
        }
        Code::ReplicationBroken => {
            "Restore replication, and update no other manager before these clients hold the certificate."
                .to_owned()
        }
        Code::OldFile => "Give the clients a communications file that the console exports now.".to_owned(),
        Code::AnswerAwaited => "Wait until the heartbeat ends: the clients are out of touch then, and what failed is known; the faults \
                                of the lab and the manager's load tell why it takes long."
            .to_owned(),
        Code::Suspended => format!("Resume each of them: epm-lab client thaw {example}"),
        _ if finding == ClientFinding::Silent => format!(
            "Look into the log of one of them; epm-lab client poke {example} makes it begin a heartbeat, and epm-lab clock show \
             tells whether the lab keeps up with its clock."
        ),
        _ => "Look into the log of one of these clients.".to_owned(),
    }
}
