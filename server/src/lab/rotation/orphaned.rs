//! Point 4: which clients were orphaned since the baseline, and by which mistake.

use std::sync::Arc;

use epm_client_agent::cause::{Loss, SiteHistory, failure_of};
use epm_client_agent::scenario::CauseCode;

use super::Judgement;
use super::finding::{Findings, RotationCode as Code};
use crate::lab::Lab;
use crate::lab::baseline::BaselineClient;
use crate::lab::history::{Orphaning, TOO_MANY};

impl Lab {
    pub(super) fn judge_orphaned(&self, judged: &Judgement<'_>, findings: &mut Findings) {
        let left_behind = |name: &str| judged.rotation.left_behind.contains(name);
        let departed = self.history.departed();
        let history = judged.history();
        // Every client that was ever there since the baseline, whether its machine is on, and whether the baseline has it.
        // One that left the fleet stays a client of its own where another of its name has come.
        let (mut is_watched, here) = (false, judged.names());
        let gone = departed.iter().map(|(name, trace)| (name.as_str(), Some(("", trace, trace.counts.0))));
        let present = judged.clients.iter();
        let present =
            present.map(|one| (one.name.as_str(), Some((one.part.as_str(), &one.trace, one.counts.0))));
        let baseline = judged.baseline.clients.keys().map(|name| (name.as_str(), None));
        let absent = baseline
            .filter(|(name, _)| !here.contains(name) && departed.iter().all(|(gone, _)| gone != name));
        let mut traces: Vec<_> = gone.chain(present).chain(absent).collect();
        traces.sort_by_key(|(name, _)| *name);
        for (name, trace) in traces.into_iter().filter(|(name, _)| !left_behind(name)) {
            let before = judged.baseline.clients.get(name);
            is_watched |= before.is_some_and(|one| one.on && one.served);
            if before.is_some() && !here.contains(name) {
                findings.unknown(Code::OrphanedOtherwise, format!("{name}: it left the fleet"));
            }
            let Some((part, trace, count)) = trace else { continue };
            if before.is_some() && !part.is_empty() && self.history.has_left_since(name, judged.baseline.at) {
                let why = format!("{name}: it left the fleet, and another client has its name");
                findings.unknown(Code::OrphanedOtherwise, why);
            }
            let known = before.map_or(0, |one| one.counts.0);
            if known == TOO_MANY {
                let why = format!("{name}: it was orphaned so often that it does not count it any more");
                findings.unknown(Code::OrphanedOtherwise, why);
            } else if count < known || trace.is_anew_since(judged.baseline.at) {
                let why =
                    format!("{name}: it was installed anew, so what happened to it before is not known");
                findings.unknown(Code::OrphanedOtherwise, why);
            }
            if count <= known {
                continue;
            }
            // The history of a client that runs elsewhere has what its reports to this process have shown.
            let seen =
                trace.orphaned.back().filter(|one| one.until.is_none_or(|until| until >= judged.baseline.at));
            let Some(orphaning) = seen else {
                // What a client went through that left before the baseline is known to be earlier.
                if part.is_empty() && !self.history.has_left_since(name, judged.baseline.at) {
                    continue;
                }
                let why = format!(
                    "{name}: it was orphaned since the baseline, as it tells, and is not now: when and why was not seen"
                );
                findings.against(Code::OrphanedOtherwise, why);
                continue;
            };
            let Orphaning { since, because, held, .. } = orphaning;
            let part = before.map_or(part, |one| one.part.as_str());
            let loss = Loss { part, since: *since, because, held };
            let found = history.cause(loss);
            let code = mistake(found.code);
            let cause = history.sentence(loss, found);
            let failure = failure_of(found.code, Some(orphaning.layer));
            findings.against_failure(code, failure, described(name, before, orphaning, &cause));
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
    /// What happened to the site since the baseline.
    fn history(&self) -> SiteHistory {
        let assumptions = Arc::clone(self.site.assumptions());
        let Some(changes) = &self.changes else { return SiteHistory::incomplete(assumptions) };
        let mut history = SiteHistory::new(Arc::new(self.baseline.settings.clone()), assumptions);
        changes.iter().for_each(|change| history.push(None, change.clone()));
        history
    }
}

/// The finding that a client fails which was orphaned for this cause.
const fn mistake(cause: CauseCode) -> Code {
    match cause {
        CauseCode::GroupForgotten => Code::GroupForgotten,
        CauseCode::LocationForgotten => Code::LocationForgotten,
        CauseCode::ListOverHttps => Code::ListOverHttps,
        CauseCode::SwitchLeftOn => Code::SwitchLeftOn,
        CauseCode::NotWaited | CauseCode::SwitchedOnTooEarly => Code::NotWaited,
        CauseCode::ManagerTooEarly | CauseCode::ReplicationBroken => Code::ManagerTooEarly,
        CauseCode::VersionLearnsOne => Code::VersionLearnsOne,
        _ => Code::OrphanedOtherwise,
    }
}

fn described(name: &str, client: Option<&BaselineClient>, orphaning: &Orphaning, cause: &str) -> String {
    let Orphaning { since, until, because, held, .. } = orphaning;
    let (group, location) = match client {
        Some(client) => (&client.group, &client.location),
        None => (&held.group, &held.location),
    };
    let group = group.as_deref().unwrap_or("no group");
    let location = location.as_ref().map(|name| format!(", location {name}")).unwrap_or_default();
    let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
    format!("{name} in {group}{location} since {since}{until}: {because}. {cause}")
}
