//! What evidence has of a rotation: its judgement, and the certificates from before it that clients still hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use epm_client_agent::cause::RotationSettings;
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::Fingerprint;
use serde::{Deserialize, Serialize};

use crate::lab::{Baseline, Expectation, Finding, Lab, Rotation, lock};

/// Number of clients that are named of each certificate.
const NAMED: usize = 20;

/// A judgement of a rotation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RotationJudgement {
    /// Lab time of the judgement.
    pub(crate) at: Timestamp,
    /// Whether the judgement was asked for; otherwise it was made for the evidence, with the defaults of `epm-lab check --since`.
    pub(crate) asked: bool,
    /// Name of the baseline that the lab was compared with.
    pub(crate) since: String,
    /// The result with its findings.
    pub(crate) finding: Finding,
}

/// A certificate that is no longer in force, or never was, and that clients hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct OldCertificate {
    /// SHA-256 of the certificate.
    pub(crate) fingerprint: Fingerprint,
    /// Managers that had it; none if the lab does not know whose it was.
    pub(crate) managers: BTreeSet<String>,
    /// Number of clients that hold it.
    pub(crate) clients: usize,
    /// Number of these clients that hold no certificate in force.
    pub(crate) without_new: usize,
    /// Some of these clients, those without a certificate in force first.
    pub(crate) examples: Vec<String>,
}

impl Lab {
    /// Keeps the judgement of a rotation that was asked for, if one of these findings is one.
    pub(super) fn remember_rotation(&self, findings: &[Finding]) {
        let mut rotations = findings.iter().filter_map(|one| match &one.expectation {
            Expectation::Rotation(rotation) => Some((one, rotation)),
            _ => None,
        });
        if let Some((finding, rotation)) = rotations.next_back() {
            let (at, since) = (self.clock().now(), rotation.since.clone());
            *lock(&self.judged) =
                Some(RotationJudgement { at, asked: true, since, finding: finding.clone() });
        }
    }

    /// The last judgement of a rotation that was asked for; one made now if there is none and a certificate differs from that of a
    /// baseline, the latest such. None of a lab whose certificates were not rotated.
    pub(crate) async fn rotation_judgement(&self) -> Option<RotationJudgement> {
        if let Some(judged) = lock(&self.judged).clone() {
            return Some(judged);
        }
        let now = self.site.look(|site| RotationSettings::of(site).managers);
        let since = {
            let baselines = lock(&self.baselines);
            let differs = |one: &&Baseline| one.settings.managers != now;
            let latest = baselines.values().filter(differs).max_by_key(|one| (one.at, one.journal));
            latest.map(|one| one.name.clone())?
        };
        let rotation = Rotation { since: since.clone(), ..Rotation::default() };
        let finding = self.judge_now(vec![Expectation::Rotation(rotation)]).await.pop()?;
        Some(RotationJudgement { at: self.clock().now(), asked: false, since, finding })
    }

    /// Certificates that are not in force and that clients hold, the one with the most clients first.
    pub(crate) async fn old_certificates(&self) -> Vec<OldCertificate> {
        let in_force: BTreeSet<Fingerprint> = self.certificates().into_values().collect();
        let mut found: BTreeMap<Fingerprint, (usize, Vec<String>, Vec<String>)> = BTreeMap::new();
        self.look_at_everyone(|seen| {
            let held = &seen.glance.common.certificates;
            let has_new = held.iter().any(|one| in_force.contains(one));
            for old in held.iter().filter(|one| !in_force.contains(one)) {
                let (clients, without, with) = found.entry(*old).or_default();
                *clients += 1;
                if has_new { with } else { without }.push(seen.name.to_owned());
            }
        })
        .await;
        let owners = self.owners();
        let old = found.into_iter().map(|(fingerprint, (clients, without, with))| OldCertificate {
            fingerprint,
            managers: owners.get(&fingerprint).cloned().unwrap_or_default(),
            clients,
            without_new: without.len(),
            examples: without.into_iter().chain(with).take(NAMED).collect(),
        });
        let mut old: Vec<OldCertificate> = old.collect();
        old.sort_by_key(|one| std::cmp::Reverse(one.clients));
        old
    }

    /// The managers that had each certificate, as far as the changes of the site are known.
    fn owners(&self) -> BTreeMap<Fingerprint, BTreeSet<String>> {
        let changes = self.site.changes();
        let mut owners: BTreeMap<Fingerprint, BTreeSet<String>> = BTreeMap::new();
        let mut add = |settings: &RotationSettings| {
            for (manager, one) in &settings.managers {
                for certificate in [one.client, one.console] {
                    owners.entry(certificate).or_default().insert(manager.clone());
                }
            }
        };
        add(&changes.start());
        for change in changes.kept_after(0) {
            add(&Arc::clone(&change.before));
            add(&Arc::clone(&change.after));
        }
        owners
    }
}
