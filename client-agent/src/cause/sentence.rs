//! A cause as one sentence: which step did what, and what the clients lacked.

use std::collections::BTreeSet;
use std::time::Duration;

use epm_protocol::policy::Protocol;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Fingerprint, Rejection, SignatureError};

use super::change::Change;
use super::history::SiteHistory;
use super::rules::{Found, switched};
use crate::agent::Distrust;
use crate::scenario::{CauseCode as Code, Span};

/// Number of names in a sentence.
const NAMED: usize = 3;

/// What a sentence is about, besides the cause.
#[derive(Clone, Debug)]
pub(super) struct About<'a> {
    /// Groups of the clients, each with its location if there is one.
    pub(super) places: BTreeSet<(&'a str, Option<&'a str>)>,
    /// What one of the clients expected and found.
    pub(super) because: &'a Distrust,
}

/// The sentence for a cause.
pub(super) fn sentence(history: &SiteHistory, found: Found, about: &About<'_>) -> String {
    let text = match (found.change, found.earlier) {
        (Some(change), Some(earlier)) => of_two(history, found.code, change, earlier, about),
        (Some(change), None) => of_one(history, found.code, change, about),
        (None, _) => of_none(found.code, about),
    };
    whole(&text)
}

/// A sentence with its first letter in upper case and a full stop.
pub(super) fn whole(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn of_two(history: &SiteHistory, code: Code, change: usize, earlier: usize, about: &About<'_>) -> String {
    let gave = gave(history, change);
    let (last, first) = (history.change(change), history.change(earlier));
    let (name, before) = (label(history, change), label(history, earlier));
    let gap = gap(first.at, last.at);
    match code {
        Code::SwitchedOnTooEarly => format!(
            "{name} {} {gap} {before} had given {}; no manager served these clients a heartbeat in between, so they began to \
             authenticate their manager before they knew its certificate, and know only {}",
            did(last, about),
            certificates(first),
            known(about)
        ),
        Code::NotWaited => format!(
            "{gave} {gap} {before} {}; no manager served these clients a heartbeat in between, so they met the new certificate \
             with the settings from before {before}, and know only {}",
            had_done(first, about),
            known(about)
        ),
        Code::DownloadsOff => format!(
            "{gave} after {before} had switched the download of policies and lists off in {}, so that these clients received \
             nothing that prepares for it, and know only {}",
            groups(about),
            known(about)
        ),
        Code::GroupForgotten => format!(
            "{gave} while secure communications were still on in {}: {before} switched them off in {}, and left {} out",
            groups(about),
            some(switched(first, false).map(str::to_owned)),
            if about.places.iter().all(|(group, _)| *group == first_group(about)) {
                "this group"
            } else {
                "these groups"
            }
        ),
        Code::VersionLearnsOne => format!(
            "{gave} {gap} {before} had given {}; clients of this version learn only the certificate of the manager that \
             they talk to, so they know only {}",
            certificates(first),
            known(about)
        ),
        Code::ReplicationBroken => format!(
            "{gave} after {before} had given {}, while the managers did not replicate: no manager that these clients \
             trusted could tell them the new certificates",
            certificates(first)
        ),
        _ => format!(
            "{gave} {gap} {before} had given {}; these clients had no heartbeat in between in which they could learn the \
             first, so no manager is left that they trust",
            certificates(first)
        ),
    }
}

fn of_one(history: &SiteHistory, code: Code, change: usize, about: &About<'_>) -> String {
    let gave = gave(history, change);
    let (name, what) = (label(history, change), history.change(change));
    match code {
        Code::LocationForgotten => format!(
            "{gave} while the list of their location ({}) was still over HTTPS, although that of the group was over HTTP",
            places(about)
        ),
        Code::ListOverHttps => format!(
            "{gave} while the list of {} was still over HTTPS: secure communications were off, but over HTTPS the \
             certificate is checked all the same",
            groups(about)
        ),
        Code::SwitchLeftOn => format!(
            "{gave} while secure communications were on in {}, whose list has no other manager: these clients know only {}",
            groups(about),
            known(about)
        ),
        Code::GroupForgotten => format!(
            "{gave} while secure communications were still on in {}, although they were off in other groups",
            groups(about)
        ),
        Code::DownloadsOff => format!(
            "{gave} while clients of {} did not download policies and lists from their manager, so that these clients \
             received nothing that prepares for it, and know only {}",
            groups(about),
            known(about)
        ),
        Code::ReachedAnotherManager => format!(
            "{gave}; these clients trust another manager of their list ({}), but at each of its addresses one answered that \
             they do not trust: something between them, such as a load balancer, chooses the manager",
            known(about)
        ),
        Code::ManagerTooEarly => {
            format!("{gave} at once, so that no manager was left that these clients trust")
        }
        Code::SecretOfAnotherSite => format!(
            "{name} replaced the shared secret of the site by that of the recovery file {:?}{}",
            what.facts.recovery.as_deref().unwrap_or_default(),
            if what.updated().is_empty() {
                ", which is not the one that these clients have".to_owned()
            } else {
                format!(", and gave {}: these clients have neither", certificates(what))
            }
        ),
        Code::Reinstalled if what.updated().is_empty() => format!(
            "{name} replaced the shared secret of the site by a new one, as a manager makes that is installed without a \
             recovery file"
        ),
        Code::Reinstalled => format!(
            "{name} replaced the shared secret of the site and gave {}, as managers do that are installed without a \
             recovery file: these clients have neither",
            certificates(what)
        ),
        Code::CertificateNotYetValid if begins(about).is_some_and(|begins| begins > what.at) => format!(
            "{}, which {name} brought into force before that moment: it was made by a clock that was ahead, and these clients refuse \
             it until then",
            of_validity(about)
        ),
        Code::CertificateNotYetValid => format!(
            "{}, and {name} brought it into force after that moment: the clocks of these clients are behind",
            of_validity(about)
        ),
        Code::CertificateExpired => {
            format!("{}; {name} brought that certificate into force", of_validity(about))
        }
        Code::CertificateRestored => format!(
            "{name} put back {}, which had been in force before: these clients had followed to {}",
            put_back(what),
            known(about)
        ),
        Code::StoresDiffer if matches!(about.because, Distrust::Tls { .. }) => format!(
            "{name} left different certificates in the two stores of {}: its port presents one, and its lists and communications files \
             have the other, which is all that these clients know",
            some(differing(what))
        ),
        Code::StoresDiffer => format!(
            "{name} left different certificates in the two stores of {}: it signs with one, and its clients know the other",
            some(differing(what))
        ),
        Code::OldFile => format!(
            "these clients have a communications file from before {gave}: they know only {}",
            known(about)
        ),
        _ => of_none(code, about),
    }
}

fn of_none(code: Code, about: &About<'_>) -> String {
    match code {
        Code::SecretOfClient => {
            "the shared secret of these clients is not that of the site: their communications file is of another \
                                 site or time, or was edited"
                .to_owned()
        }
        Code::SecretOfManager => "the manager refuses the shared secret of these clients, which it had accepted, and no change of the \
                                  site replaced it: this manager has another secret than the site"
            .to_owned(),
        Code::CertificateNotYetValid => format!("{}: a clock was wrong", of_validity(about)),
        Code::CertificateExpired => of_validity(about),
        Code::ForeignCertificate => format!(
            "these clients were shown a certificate that no manager of the site ever had{}: something between them and the \
             manager answers in its place",
            shown(about).map(|one| format!(" ({})", one.short())).unwrap_or_default()
        ),
        Code::OldFile => format!(
            "the manager has had its certificate since the beginning, and these clients know only {}: their communications \
             file is of another time or site",
            known(about)
        ),
        _ => format!("the cause is not known; what failed: {}", short(&about.because.to_string())),
    }
}

/// When a certificate begins to be valid that is not valid yet.
const fn begins(about: &About<'_>) -> Option<Timestamp> {
    match about.because {
        Distrust::Tls { rejection: Rejection::NotYetValid { not_before, .. } } => Some(*not_before),
        _ => None,
    }
}

fn of_validity(about: &About<'_>) -> String {
    let Distrust::Tls { rejection } = about.because else { return String::new() };
    match rejection {
        Rejection::Expired { not_after, found } => {
            format!("the certificate {} expired at {not_after}", found.short())
        }
        Rejection::NotYetValid { not_before, found } => {
            format!("the certificate {} is not valid before {not_before}", found.short())
        }
        other => short(&other.to_string()),
    }
}

/// `the certificate AABBCCDD of sepm-1`.
fn put_back(change: &Change) -> String {
    let of = |name: &str| {
        let now = change.after.managers.get(name)?;
        Some(format!("the certificate {} of {name}", now.client.short()))
    };
    some(change.updated().into_iter().filter_map(of))
}

/// `step 2`, or the moment of the change where there are no steps.
pub(super) fn label(history: &SiteHistory, index: usize) -> String {
    match &history.changes[index] {
        (Some(step), _) => format!("step {step}"),
        (None, change) => format!("the change at {}", change.at),
    }
}

/// `step 2 gave sepm-1 a new certificate (AABBCCDD)`.
pub(super) fn gave(history: &SiteHistory, index: usize) -> String {
    format!("{} gave {}", label(history, index), certificates(history.change(index)))
}

/// `sepm-1 a new certificate (AABBCCDD)`.
pub(super) fn certificates(change: &Change) -> String {
    let updated = change.updated();
    let short = |name: &&str| change.after.managers.get(*name).map(|one| one.client.short());
    let marks: Vec<String> = updated.iter().filter_map(short).collect();
    let what = if updated.len() == 1 { "a new certificate" } else { "new certificates" };
    let names = some(updated.into_iter().map(str::to_owned));
    format!("{names} {what} ({})", some(marks))
}

/// How long after an earlier step a later one followed.
fn gap(earlier: Timestamp, later: Timestamp) -> String {
    let gap = later.since(earlier);
    let whole = Duration::from_secs(gap.as_secs());
    let gap = Span(if whole.is_zero() { gap } else { whole });
    if gap.0.is_zero() { "without a wait after".to_owned() } else { format!("{gap} after") }
}

/// What a step did to the groups of these clients: `switched secure communications off`.
fn did(change: &Change, about: &About<'_>) -> String {
    let mut done = BTreeSet::new();
    for (group, location) in &about.places {
        let of = |settings: &super::change::RotationSettings| settings.groups.get(*group).cloned();
        let (Some(before), Some(after)) = (of(&change.before), of(&change.after)) else { continue };
        match (before.secure_communications, after.secure_communications) {
            (true, false) => drop(done.insert("switched secure communications off".to_owned())),
            (false, true) => drop(done.insert("switched secure communications on".to_owned())),
            _ => {}
        }
        let list = after.list_at(*location);
        if before.list_at(*location) != list {
            let over = if list.protocol == Protocol::Http { "HTTP" } else { "HTTPS" };
            done.insert(format!("assigned the list {:?} over {over}", list.name));
        }
    }
    let done: Vec<String> = done.into_iter().rev().collect();
    if done.is_empty() { "changed settings".to_owned() } else { done.join(" and ") }
}

fn had_done(change: &Change, about: &About<'_>) -> String {
    format!("had {}", did(change, about))
}

/// The certificates that the clients know.
fn known(about: &About<'_>) -> String {
    let expected: &[Fingerprint] = match about.because {
        Distrust::Tls { rejection: Rejection::NotPinned { expected, .. } }
        | Distrust::Signature { error: SignatureError::NotByAPinnedCertificate { expected, .. }, .. } => {
            expected
        }
        _ => &[],
    };
    if expected.is_empty() {
        "no certificate".to_owned()
    } else {
        some(expected.iter().map(Fingerprint::short))
    }
}

fn shown(about: &About<'_>) -> Option<Fingerprint> {
    match about.because {
        Distrust::Tls { rejection: Rejection::NotPinned { found, .. } } => Some(*found),
        _ => None,
    }
}

fn groups(about: &About<'_>) -> String {
    let groups: BTreeSet<&str> = about.places.iter().map(|(group, _)| *group).collect();
    some(groups.into_iter().map(str::to_owned))
}

fn first_group<'a>(about: &About<'a>) -> &'a str {
    about.places.first().map_or("", |(group, _)| *group)
}

fn places(about: &About<'_>) -> String {
    some(about.places.iter().map(|(group, location)| {
        location.map_or_else(|| (*group).to_owned(), |location| format!("{location} of {group}"))
    }))
}

fn differing(change: &Change) -> Vec<String> {
    let managers = change.after.managers.iter();
    managers.filter(|(_, one)| one.console != one.client).map(|(name, _)| name.clone()).collect()
}

/// The first names, and the number of the others: `a, b and 2 more`.
pub(super) fn some(names: impl IntoIterator<Item = String>) -> String {
    let names: Vec<String> = names.into_iter().collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [all @ .., last] if names.len() <= NAMED => format!("{} and {last}", all.join(", ")),
        _ => format!("{} and {} more", names[..NAMED].join(", "), names.len() - NAMED),
    }
}

/// A text with the first four bytes of each fingerprint.
pub fn short(text: &str) -> String {
    let shorten = |word: &str| {
        let bare = word.trim_end_matches([',', ';', '.']);
        let is = bare.len() == 95 && bare.bytes().all(|one| one.is_ascii_hexdigit() || one == b':');
        if is { format!("{}{}", bare[..11].replace(':', ""), &word[bare.len()..]) } else { word.to_owned() }
    };
    text.split(' ').map(shorten).collect::<Vec<_>>().join(" ")
}
