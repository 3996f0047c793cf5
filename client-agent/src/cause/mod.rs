//! Finds out why clients are orphaned or out of touch: from the layer of trust that failed, the step that is the cause, and
//! what the site did in it.
//!
//! | file | what |
//! |---|---|
//! | `change` | the settings that trust depends on, and their changes |
//! | `history` | the changes of a site, step by step |
//! | `rules` | the rules that tell a cause |
//! | `sentence` | a cause in one sentence |
//! | `number` | the number of a cause in the failure catalogue, what looks alike, and the remedy |
//!
//! The drivers record the history; the verdict carries the result, see [`Reason`].

mod change;
mod history;
mod number;
mod rules;
mod sentence;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use change::{Change, Facts, GroupState, ListState, ManagerCertificates, RotationSettings};
pub use history::SiteHistory;
pub use number::{failure_of, reproduced};
pub use rules::{Found, Loss};

use crate::agent::{Trouble, TrustLayer};
use crate::scenario::{CauseCode, OrphanedClient, Reason, Verdict};
use number::{Number, number_of};
use sentence::{About, sentence};

/// Number of clients that a reason names.
const EXAMPLES: usize = 20;

impl SiteHistory {
    /// The cause of a loss of trust in one sentence.
    pub fn sentence(&self, loss: Loss<'_>, found: Found) -> String {
        let places = self.group_of(loss.part, loss.held);
        let places = places.map(|group| (group, loss.held.location.as_deref()));
        sentence(self, found, &About { places: places.into_iter().collect(), because: loss.because })
    }
}

/// Clients with the same reason.
struct Group<'a> {
    about: About<'a>,
    clients: Vec<usize>,
}

/// Adds to a verdict the reasons why clients are orphaned or out of touch, most clients first, and to each orphaned client the
/// number of its reason and of its failure.
pub fn explain(verdict: &mut Verdict, history: &SiteHistory) {
    let mut groups: BTreeMap<(Found, TrustLayer, String), Group<'_>> = BTreeMap::new();
    for (place, one) in verdict.orphaned.iter().enumerate() {
        let OrphanedClient { part, since, because, held, .. } = one;
        let found = history.cause(Loss { part, since: *since, because, held });
        // What no rule explains is alike only if the same failed.
        let what = if found.change.is_none() { sentence::short(&one.why) } else { String::new() };
        let group = groups.entry((found, one.layer, what)).or_insert_with(|| Group {
            about: About { places: BTreeSet::new(), because },
            clients: Vec::new(),
        });
        group.clients.push(place);
        let of = history.group_of(part, held);
        group.about.places.extend(of.map(|group| (group, held.location.as_deref())));
    }
    let mut found: Vec<(Reason, Vec<usize>)> = groups
        .into_iter()
        .map(|((cause, layer, _), group)| {
            let step = cause.change.and_then(|index| history.changes[index].0);
            let names = group.clients.iter().map(|place| verdict.orphaned[*place].client.clone());
            let mut reason = reason(
                cause.code,
                sentence(history, cause, &group.about),
                number_of(cause.code, Some(layer), &group.about.because.to_string(), history.is_complete),
                names,
            );
            (reason.layer, reason.layer_title, reason.step) =
                (Some(layer), Some(layer.title().to_owned()), step);
            let since: BTreeSet<usize> =
                group.clients.iter().filter_map(|place| verdict.orphaned[*place].step).collect();
            reason.since_steps = since.into_iter().collect();
            reason.observed = Some(sentence::short(&group.about.because.to_string()));
            let title = |number| verdict.steps.iter().find(|one| one.number == number);
            reason.step_title = step.and_then(title).map(|one| one.title.clone());
            (reason, group.clients)
        })
        .collect();
    found.extend(verdict.troubles.iter().map(|(trouble, clients)| {
        let text = format!("these clients are out of touch for a reason other than trust: {trouble}");
        let text = format!("{}.", text.replacen('t', "T", 1));
        let is_off = *trouble == Trouble::Disabled.to_string();
        let code = if is_off { CauseCode::CommunicationOff } else { CauseCode::OutOfTouch };
        let number = number_of(code, None, trouble, history.is_complete);
        (reason(code, text, number, clients.iter().cloned()), Vec::new())
    }));
    found.sort_by(|(one, _), (other, _)| {
        let rank = |one: &Reason| (std::cmp::Reverse(one.clients), one.step, one.layer);
        rank(one).cmp(&rank(other))
    });
    for (number, (mut reason, clients)) in (1..).zip(found) {
        reason.number = number;
        for place in clients {
            verdict.orphaned[place].reason = Some(number);
            verdict.orphaned[place].failure.clone_from(&reason.failure);
        }
        verdict.reasons.push(reason);
    }
}

fn reason(
    code: CauseCode,
    sentence: String,
    number: Number,
    clients: impl ExactSizeIterator<Item = String>,
) -> Reason {
    Reason {
        number: 0,
        code,
        sentence,
        observed: None,
        layer: None,
        layer_title: None,
        step: None,
        step_title: None,
        since_steps: Vec::new(),
        failure: number.failure,
        failure_title: number.title,
        alike: number.alike,
        remedy: number.remedy,
        clients: clients.len(),
        examples: clients.take(EXAMPLES).collect(),
    }
}
