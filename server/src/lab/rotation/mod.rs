//! Judges a rotation: compares the lab with a baseline, point by point.
//!
//! | file | points |
//! |---|---|
//! | `finding` | codes and sentences of the findings |
//! | `managers` | 1 to 3: certificates, services and files, and the settings that have to be restored |
//! | `orphaned` | 4: which clients were orphaned since the baseline, and by which mistake |
//! | `clients` | 5 to 8: what each client holds, those that are off, and heartbeats between two steps |
//! | `waits` | 4: whether the tool waited between two steps, or was only slow |
//!
//! A finding passes only if everything that it is about was looked at; otherwise it is unknown.

mod clients;
mod finding;
mod managers;
mod orphaned;
mod waits;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use epm_client_agent::agent::AgentView;
use epm_client_agent::wire::AgentCopy;
use epm_protocol::assumption::Assumptions;
use epm_protocol::id::{AgentId, GroupId};
use epm_protocol::site::Site;
use epm_protocol::time::{Clock, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lab::baseline::{Baseline, BaselineError, START_BASELINE};
use crate::lab::history::{Trace, counts_of};
use crate::lab::reports::Heard;
use crate::lab::{Lab, Seen, lock};
use crate::mock_site::Presented;
use crate::runtime::pauses::Pauses;
use crate::store::Kind;
use epm_client_agent::cause::{Change, RotationSettings};
use finding::Findings;
pub use finding::{RotationCode, RotationFinding};

/// Maximum number of names in an error.
const NAMED: usize = 20;

/// Expectation that the server certificates were rotated since a baseline, without harm to any client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Name of the baseline that the lab is compared with; defaults to `start`.
    #[serde(default = "start")]
    pub since: String,
    /// Names of the managers whose certificate should be new; all when absent. The others must keep theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotates: Option<BTreeSet<String>>,
    /// Computer names of the clients that were left behind on purpose; they are not judged.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_behind: BTreeSet<String>,
    /// Whether secure communications must not have been off at any time, as with several managers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub never_insecure: bool,
    /// Number of heartbeats that each client must have had between two steps; reported only when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_heartbeats: Option<u64>,
}

/// The judgement of a rotation.
pub(super) struct JudgedRotation {
    /// Number of clients that were judged.
    pub(super) clients: usize,
    pub(super) findings: Vec<RotationFinding>,
    /// Facts that are reported and fail nothing.
    pub(super) notes: Vec<String>,
}

/// A client that is judged.
struct JudgedClient {
    name: String,
    part: String,
    /// Whether another process runs and reports the client.
    is_elsewhere: bool,
    /// A copy of the client, if it is off and in the lab's process.
    copy: Option<AgentCopy>,
    /// What all clients in its state look like: name, counts and dates are not its own.
    view: Arc<AgentView>,
    is_on: bool,
    is_silent: bool,
    trace: Trace,
    /// Numbers of orphanings and of unsigned policies so far.
    counts: (u64, u64),
    /// Full path of the group that the site has the client in.
    group: Option<String>,
}

/// What a rotation is judged by.
struct Judgement<'a> {
    rotation: &'a Rotation,
    baseline: &'a Baseline,
    site: &'a Site,
    now: Timestamp,
    settings: RotationSettings,
    /// Changes of the site since the baseline; none if some of them were dropped.
    changes: Option<Vec<Change>>,
    /// Assumptions that the lab was started with.
    assumed: Arc<Assumptions>,
    /// All changes of the site that are known.
    earlier: Vec<Change>,
    /// Pauses between the changes of the site.
    site_pauses: &'a Pauses,
    /// Certificates that the ports present; none while faults could answer for them.
    presented: Option<Vec<Presented>>,
    /// Clients that were not left behind.
    clients: Vec<JudgedClient>,
    /// Clients whose state is not known.
    unknown: Vec<String>,
    /// Whether the history of clients reaches back to the baseline.
    has_history: bool,
}

impl Lab {
    /// Checks that the names in an expectation about a rotation are known.
    pub(super) fn check_rotation(&self, rotation: &Rotation) -> Result<(), BaselineError> {
        let baseline = self.baseline(&rotation.since)?;
        let unknown = |kind, name: &str, known: Vec<String>| BaselineError::NotInIt {
            baseline: baseline.name.clone(),
            kind,
            name: name.to_owned(),
            known,
        };
        if rotation.rotates.as_ref().is_some_and(BTreeSet::is_empty) {
            return Err(BaselineError::NothingRotates);
        }
        let managers = &baseline.settings.managers;
        let mut rotates = rotation.rotates.iter().flatten();
        if let Some(name) = rotates.find(|name| !managers.contains_key(*name)) {
            return Err(unknown("manager", name, managers.keys().cloned().collect()));
        }
        let registered: BTreeSet<String> =
            self.site.look(|site| site.clients().map(|one| one.computer_name.clone()).collect());
        let is_known = |name: &String| baseline.clients.contains_key(name) || registered.contains(name);
        if let Some(name) = rotation.left_behind.iter().find(|name| !is_known(name)) {
            return Err(unknown("client", name, baseline.clients.keys().take(NAMED).cloned().collect()));
        }
        Ok(())
    }

    /// Judges a rotation; none if its baseline was removed.
    pub(super) async fn judge_rotation(&self, rotation: &Rotation) -> Option<JudgedRotation> {
        let baseline = lock(&self.baselines).get(&rotation.since).cloned()?;
        let has_faults = !self.site.faults().list().is_empty();
        let presented = if has_faults { None } else { Some(self.site.presented().await) };
        self.end_due_heartbeats().await;
        // Read together: clients are judged at the time at which they were looked at.
        let now = self.clock().now();
        let mut clients: Vec<(Option<AgentId>, JudgedClient)> = Vec::new();
        let Heard { unknown, not_read, .. } = self
            .look_at_everyone(|seen| {
                if !rotation.left_behind.contains(seen.name) {
                    clients.push((seen.glance.agent, self.judged_client(&seen)));
                }
            })
            .await;
        let (site, settings, changes) = self.site.look(|site| {
            (site.clone(), RotationSettings::of(site), self.site.changes().after(baseline.changes))
        });
        let paths = group_paths(&site);
        let clients = clients.into_iter().map(|(agent, client)| {
            let group = agent.and_then(|agent| paths.get(&site.client(agent)?.group).cloned());
            JudgedClient { group, ..client }
        });
        let judgement = Judgement {
            rotation,
            baseline: &baseline,
            site: &site,
            now,
            settings,
            changes,
            assumed: Arc::clone(&lock(&self.assumed).start),
            earlier: self.site.changes().kept_after(0),
            site_pauses: self.site.pauses(),
            presented,
            clients: clients.collect(),
            unknown,
            has_history: baseline.generation == self.history.generation.load(Ordering::SeqCst),
        };
        let mut findings = Findings::of(codes(rotation));
        if let Some(why) = not_read {
            findings.unknown(RotationCode::OrphanedOtherwise, format!("reports cannot be read: {why}"));
        }
        for why in self.damaged_documents(Some(Kind::Pause)) {
            findings.unknown(RotationCode::NotWaited, format!("pauses cannot be read: {why}"));
        }
        self.judge_managers(&judgement, &mut findings);
        if let Some(own) = self.site.own_manager() {
            let note = format!(
                "only the ports of {own} were dialled: the other managers are processes of their own"
            );
            findings.notes.push(note);
        }
        self.judge_orphaned(&judgement, &mut findings);
        tokio::task::block_in_place(|| judgement.judge_clients(&mut findings));
        judgement.judge_waits(&mut findings);
        let (findings, notes) = findings.into_parts();
        Some(JudgedRotation { clients: judgement.clients.len(), findings, notes })
    }

    /// What is judged of a client, without its group.
    fn judged_client(&self, seen: &Seen<'_>) -> JudgedClient {
        let Seen { name, part, glance, reported_by, member } = *seen;
        let trace = self.history.of(name).unwrap_or_default();
        let counts = match reported_by {
            Some(_) => counts_of(glance.common.harm, Some(&trace)),
            None => trace.counts,
        };
        JudgedClient {
            name: name.to_owned(),
            part: part.to_owned(),
            is_elsewhere: reported_by.is_some(),
            copy: member.filter(|_| !glance.is_on).map(|member| member.handle.copy()),
            view: Arc::clone(&glance.common),
            is_on: glance.is_on,
            is_silent: glance.is_silent,
            trace,
            counts,
            group: None,
        }
    }

    /// Takes the baseline of the lab's start again, after the start was restored.
    pub(super) async fn take_start_baseline(&self) {
        lock(&self.baselines).remove(START_BASELINE);
        let _ = self.save_baseline(START_BASELINE).await;
    }
}

impl Judgement<'_> {
    /// Names of the clients that are judged.
    fn names(&self) -> BTreeSet<&str> {
        self.clients.iter().map(|one| one.name.as_str()).collect()
    }

    /// Whether this manager should have a new certificate.
    fn rotates(&self, manager: &str) -> bool {
        self.rotation.rotates.as_ref().is_none_or(|names| names.contains(manager))
    }
}

/// The findings that this expectation asks for.
fn codes(rotation: &Rotation) -> impl Iterator<Item = RotationCode> {
    let (never_insecure, least) = (rotation.never_insecure, rotation.least_heartbeats.is_some());
    RotationCode::ALL.iter().copied().filter(move |code| match code {
        RotationCode::NeverInsecure => never_insecure,
        RotationCode::HeartbeatsBetweenSteps => least,
        _ => true,
    })
}

fn group_paths(site: &Site) -> BTreeMap<GroupId, String> {
    site.groups().iter().map(|(path, group)| (group.id, path.to_owned())).collect()
}

fn start() -> String {
    START_BASELINE.to_owned()
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            since: start(),
            rotates: None,
            left_behind: BTreeSet::new(),
            never_insecure: false,
            least_heartbeats: None,
        }
    }
}
