//! Finds out why clients are not well: from the layer of trust that failed or what they lack, the step that is the cause, and what
//! the site did in it.
//!
//! | file | what |
//! |---|---|
//! | `change` | the settings that trust depends on, and their changes |
//! | `history` | the changes of a site, step by step |
//! | `rules` | the rules that tell the cause of a loss of trust |
//! | `laggard` | the same for clients that are served, or should be, and not well |
//! | `trouble` | the same for clients that are out of touch for a reason other than trust |
//! | `notes` | the rules for what is to be noted of clients that are served and trust their manager |
//! | `sentence` | a cause in one sentence |
//! | `number` | the number of a cause in the failure catalogue, what looks alike, and the remedy |
//!
//! The drivers record the history; the verdict carries the result, see [`Reason`].

mod change;
mod history;
mod laggard;
#[cfg(test)]
mod note_tests;
mod notes;
mod number;
#[cfg(test)]
mod rule_tests;
mod rules;
mod sentence;
#[cfg(test)]
mod tests;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};

pub use change::{Change, Facts, GroupState, ListState, ManagerCertificates, RotationSettings};
pub use history::SiteHistory;
pub use notes::{NoteTaker, NotedClient, StateFacts};
pub use number::{failure_of, reproduced};
pub use rules::{Found, Loss};
pub use sentence::short;
pub use trouble::port_without_answer;

use crate::agent::TrustLayer;
use crate::scenario::{CauseCode, ClientFinding, OrphanedClient, Reason, Returning, Troubled, Verdict};
use laggard::{Lack, remedy};
use number::{Number, failure_named, number_of};
use sentence::{About, sentence};
use trouble::Cause;

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

/// Adds to a verdict the assumptions that it rests on, the reasons why clients are not well, and to each client the number of its
/// reason. Nothing is added to a verdict afterwards.
pub fn explain(verdict: &mut Verdict, history: &SiteHistory) {
    verdict.conclude();
    verdict.assumed = history.assumptions.differing();
    let mut found = of_orphaned(verdict, history);
    found.extend(of_troubles(verdict, history));
    found.extend(of_laggards(verdict, history));
    found.extend(of_returning(verdict, history));
    found.sort_by(|(one, _), (other, _)| {
        let rank = |one: &Reason| {
            let is_later = one.finding > ClientFinding::OutOfTouch;
            // A client that is orphaned and out of touch has its loss of trust first.
            (is_later, std::cmp::Reverse(one.clients), one.finding, one.step, one.layer)
        };
        rank(one).cmp(&rank(other))
    });
    for (number, (mut reason, clients)) in (1..).zip(found) {
        reason.number = number;
        match clients {
            Clients::Orphaned(places) => {
                for place in places {
                    verdict.orphaned[place].reason = Some(number);
                    verdict.orphaned[place].failure.clone_from(&reason.failure);
                }
            }
            Clients::Others(names) => {
                let names = names.into_iter().map(|name| ((reason.finding, name), number));
                verdict.numbers.extend(names);
            }
        }
        verdict.reasons.push(reason);
    }
    for one in &mut verdict.orphaned {
        let findings = [ClientFinding::OutOfTouch, ClientFinding::Silent];
        let numbers = findings.map(|finding| verdict.numbers.get(&(finding, one.client.clone())).copied());
        one.also = numbers.into_iter().flatten().collect();
    }
}

/// The clients of a reason.
enum Clients {
    /// The places of orphaned clients in the verdict.
    Orphaned(Vec<usize>),
    /// The names of other clients.
    Others(Vec<String>),
}

fn of_orphaned(verdict: &Verdict, history: &SiteHistory) -> Vec<(Reason, Clients)> {
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
    groups
        .into_iter()
        .map(|((cause, layer, _), group)| {
            let step = cause.change.and_then(|index| history.changes[index].0);
            let names = group.clients.iter().map(|place| verdict.orphaned[*place].client.clone());
            let mut reason = reason(
                (ClientFinding::Orphaned, cause.code),
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
            reason.step_title = title_of(verdict, step);
            (reason, Clients::Orphaned(group.clients))
        })
        .collect()
}

fn of_troubles(verdict: &Verdict, history: &SiteHistory) -> Vec<(Reason, Clients)> {
    let mut groups: BTreeMap<Cause, Vec<&Troubled>> = BTreeMap::new();
    for one in &verdict.troubled {
        groups.entry(history.of_trouble(one, verdict)).or_default().push(one);
    }
    let mut failures: Vec<(Cause, Number, Vec<&Troubled>)> = Vec::new();
    for (cause, clients) in groups {
        let observed = clients.first().map(|one| one.trouble.to_string()).unwrap_or_default();
        let number = number_of(cause.code, None, &cause.evidence(&observed), history.is_complete);
        let is_same = |known: &Number| number.failure.is_some() && number.failure == known.failure;
        let mut alike = failures.iter_mut().filter(|(_, known, _)| is_same(known));
        match alike.find_map(|(known, alike, all)| known.take_in(&cause).then_some((alike, all))) {
            Some((known, all)) => {
                known.add_alike(number.alike);
                all.extend(clients);
            }
            None => failures.push((cause, number, clients)),
        }
    }
    let of = |(cause, number, clients): (Cause, Number, Vec<&Troubled>)| {
        let names: Vec<String> = clients.iter().map(|one| one.client.clone()).collect();
        let sentence = history.sentence_of_trouble(&cause);
        let mut reason =
            reason((ClientFinding::OutOfTouch, cause.code), sentence, number, names.iter().cloned());
        reason.step = cause.change.and_then(|index| history.changes[index].0);
        reason.step_title = title_of(verdict, reason.step);
        (reason, Clients::Others(names))
    };
    failures.into_iter().map(of).collect()
}

/// The causes for which clients that are off would be orphaned on their return.
fn of_returning(verdict: &Verdict, history: &SiteHistory) -> Vec<(Reason, Clients)> {
    let mut groups: BTreeMap<(Found, TrustLayer), (About<'_>, Vec<String>)> = BTreeMap::new();
    for Returning { client, part, held, because } in &verdict.returning {
        let found = history.cause(Loss { part, since: verdict.now, because, held });
        let about = || About { places: BTreeSet::new(), because };
        let group = groups.entry((found, because.layer())).or_insert_with(|| (about(), Vec::new()));
        let place = history.group_of(part, held);
        group.0.places.extend(place.map(|group| (group, held.location.as_deref())));
        group.1.push(client.clone());
    }
    let of = |((cause, layer), (about, names)): ((Found, TrustLayer), (About<'_>, Vec<String>))| {
        let finding = (ClientFinding::OrphanedOnReturn, cause.code);
        let observed = about.because.to_string();
        let number = number_of(cause.code, Some(layer), &observed, history.is_complete);
        let mut reason = reason(finding, sentence(history, cause, &about), number, names.iter().cloned());
        (reason.layer, reason.layer_title) = (Some(layer), Some(layer.title().to_owned()));
        reason.observed = Some(sentence::short(&observed));
        reason.step = cause.change.and_then(|index| history.changes[index].0);
        reason.step_title = title_of(verdict, reason.step);
        (reason, Clients::Others(names))
    };
    groups.into_iter().map(of).collect()
}

/// The title of a step.
fn title_of(verdict: &Verdict, step: Option<usize>) -> Option<String> {
    let number = step?;
    verdict.steps.iter().find(|one| one.number == number).map(|one| one.title.clone())
}

/// Clients with the same reason that are not orphaned.
#[derive(Default)]
struct Laggards<'a> {
    /// Full paths of their groups.
    places: BTreeSet<&'a str>,
    names: Vec<String>,
}

fn of_laggards(verdict: &Verdict, history: &SiteHistory) -> Vec<(Reason, Clients)> {
    let mut groups: BTreeMap<(ClientFinding, Lack), Laggards<'_>> = BTreeMap::new();
    for one in &verdict.laggards {
        let alike = groups.entry((one.finding, history.lack(one))).or_default();
        alike.places.extend(history.group_of(&one.part, &one.held));
        alike.names.push(one.client.clone());
    }
    let of = |((finding, lack), Laggards { places, names })| {
        let sentence = history.sentence_of(lack, finding, &places);
        let example = names.first().map(String::as_str).unwrap_or_default();
        let number =
            failure_named((lack.code, lack.foretold), || remedy(lack.code, finding, places.len(), example));
        let mut reason = reason((finding, lack.code), sentence, number, names.iter().cloned());
        reason.step = lack.change.and_then(|index| history.changes[index].0);
        reason.step_title = title_of(verdict, reason.step);
        (reason, Clients::Others(names))
    };
    groups.into_iter().map(of).collect()
}

fn reason(
    (finding, code): (ClientFinding, CauseCode),
    sentence: String,
    number: Number,
    clients: impl ExactSizeIterator<Item = String>,
) -> Reason {
    Reason {
        number: 0,
        finding,
        code,
        sentence,
        observed: None,
        layer: None,
        layer_title: None,
        step: None,
        step_title: None,
        since_steps: Vec::new(),
        faults: Vec::new(),
        failure: number.failure,
        failure_title: number.title,
        alike: number.alike,
        remedy: number.remedy,
        clients: clients.len(),
        examples: clients.take(EXAMPLES).collect(),
    }
}
