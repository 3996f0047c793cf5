//! The number of a cause in the failure catalogue, what looks alike, and the remedy.
//!
//! Where a rule tells the cause, its code and the layer give the number. Otherwise the clue in what failed is compared with the
//! signatures of the catalogue, as `failure diagnose` does with a log.

use crate::agent::TrustLayer;
use crate::catalogue::{Area, Candidate, Difference, Entry, Log, diagnose, find};
use crate::scenario::{Alike, CauseCode as Code, ClientFinding, Reason};

/// A candidate is as good as the best if its fit is at least this share of it.
const AS_GOOD: f64 = 0.9;
/// Number of look-alikes that are named.
const MOST: usize = 4;

/// What the catalogue says of a cause.
pub(super) struct Number {
    pub(super) failure: Option<String>,
    pub(super) title: Option<String>,
    pub(super) alike: Vec<Alike>,
    pub(super) remedy: String,
}

/// The number of the failure that a cause is a case of, if the code and the layer tell it.
pub const fn failure_of(code: Code, layer: Option<TrustLayer>) -> Option<&'static str> {
    Some(match (code, layer) {
        (Code::SwitchLeftOn, Some(TrustLayer::Signature)) => "F02",
        (Code::SwitchLeftOn, _) => "F01",
        (Code::NotWaited, _) => "F03",
        (Code::GroupForgotten, _) => "F04",
        (Code::LocationForgotten, _) => "F05",
        (Code::ListOverHttps, _) => "F06",
        (Code::VersionLearnsOne, _) => "F07",
        (Code::ManagerTooEarly, _) => "F08",
        (Code::CertificateExpired, _) => "F09",
        (Code::StoresDiffer, _) => "F10",
        (Code::SecretOfAnotherSite, _) => "F15",
        (Code::Reinstalled, _) => "F16",
        (Code::SecretOfClient, _) => "F18",
        (Code::PortWithoutTls | Code::HttpsPortRefused, _) => "F29",
        (Code::SecretOfManager, _) => "F34",
        (Code::ManagerDown, _) => "F19",
        (Code::ForeignCertificate, _) => "F24",
        (Code::PortNotServed, _) => "F27",
        (Code::CommunicationOff, _) => "F36",
        (Code::DownloadsOff, _) => "F37",
        (Code::CertificateNotYetValid, _) => "F38",
        (Code::OldFile, _) => "F43",
        (Code::CertificateRestored, _) => "F44",
        (Code::SwitchedOnTooEarly, _) => "F45",
        (
            Code::ReplicationBroken
            | Code::ReachedAnotherManager
            | Code::NotServedByOthers
            | Code::SecureCommunicationsOff
            | Code::NotReceived
            | Code::AnswerAwaited
            | Code::Suspended
            | Code::CertificateForAnotherName
            | Code::OutOfTouch
            | Code::Reproduced
            | Code::Unknown,
            _,
        ) => return None,
    })
}

/// The number of a cause; `what` is what failed, in the words of the client's log. Without changes missing, `is_complete`, the
/// rules have excluded what they would have named.
pub(super) fn number_of(code: Code, layer: Option<TrustLayer>, what: &str, is_complete: bool) -> Number {
    // Why a service is down is told by its log.
    if let (Code::ManagerDown, Some(number)) = (code, diagnosed(layer, what, is_complete)) {
        return number;
    }
    if let Some(entry) = failure_of(code, layer).and_then(|id| find(id).ok()) {
        return Number { alike: indistinct(code, entry), ..Number::of(entry) };
    }
    let nothing =
        |remedy: &str| Number { failure: None, title: None, alike: Vec::new(), remedy: remedy.to_owned() };
    match code {
        Code::ReplicationBroken => nothing(
            "Give the clients a new communications file; next time restore replication before the next manager is updated.",
        ),
        Code::ReachedAnotherManager => nothing(
            "Rotate with secure communications off (`epm-lab rotate single`), or give each manager an address of its own in the list.",
        ),
        Code::NotServedByOthers => nothing(
            "Look whether each other manager of the list answers: from one that these clients trust they learn the certificate of this one.",
        ),
        Code::CertificateForAnotherName => {
            nothing("Update the certificate with one that has the name of each server in the list.")
        }
        _ => diagnosed(layer, what, is_complete)
            .unwrap_or_else(|| nothing("Not known: look into the log of one of the clients.")),
    }
}

/// The failure that a code names, with the layer or whatever it is, or the remedy where it names none.
pub(super) fn failure_named(
    (code, layer): (Code, Option<TrustLayer>),
    remedy: impl FnOnce() -> String,
) -> Number {
    of_failure(failure_of(code, layer), remedy)
}

/// The failure of this number, or the remedy where there is none.
pub(super) fn of_failure(id: Option<&str>, remedy: impl FnOnce() -> String) -> Number {
    match id.and_then(|id| find(id).ok()) {
        Some(entry) => Number::of(entry),
        None => Number { failure: None, title: None, alike: Vec::new(), remedy: remedy() },
    }
}

impl Number {
    /// Adds failures that look alike, each once.
    pub(super) fn add_alike(&mut self, alike: Vec<Alike>) {
        for other in alike {
            if !self.alike.iter().any(|known| known.failure == other.failure) {
                self.alike.push(other);
            }
        }
    }

    fn of(entry: &Entry) -> Self {
        Self {
            failure: Some(entry.id.clone()),
            title: Some(entry.title.clone()),
            alike: Vec::new(),
            remedy: entry.repair.clone(),
        }
    }
}

/// Failures of the catalogue that the site's changes do not tell apart from this one: a secret also arrives by replication, and an
/// upgrade also moves a port away from its list.
fn indistinct(code: Code, entry: &Entry) -> Vec<Alike> {
    let other = match code {
        Code::SecretOfAnotherSite => "F34",
        Code::PortNotServed => "F28",
        _ => return Vec::new(),
    };
    entry
        .unlike
        .iter()
        .filter(|one| one.id == other)
        .map(|one| Alike { failure: one.id.clone(), by: one.by.clone() })
        .collect()
}

/// The failures that fit what a client's log says.
fn diagnosed(layer: Option<TrustLayer>, what: &str, is_complete: bool) -> Option<Number> {
    let mut candidates = diagnose(&Log::line(what).ok()?).candidates;
    candidates.retain(|one| layer.is_none_or(|layer| one.entry.layer == Area::of(layer)));
    candidates.retain(|one| layer.is_none() || !is_complete || !is_told_by_a_rule(&one.id));
    let best = candidates.first()?.fit;
    let good: Vec<&Candidate> =
        candidates.iter().filter(|one| one.fit >= AS_GOOD * best).take(MOST).collect();
    if let [only] = good.as_slice() {
        let unlike = only.entry.unlike.iter();
        let alike = unlike.filter(|other| candidates.iter().any(|one| one.id == other.id));
        let alike = alike.map(|one| Alike { failure: one.id.clone(), by: one.by.clone() }).collect();
        return Some(Number { alike, ..Number::of(only.entry) });
    }
    let by = |one: &Candidate| {
        let of = |by: &Difference| good.iter().any(|other| other.id == by.from);
        let said = one.differences.iter().filter(|by| of(by)).map(|by| by.by.clone()).collect::<Vec<_>>();
        if said.is_empty() { one.entry.symptom.clone() } else { said.join("; ") }
    };
    let alike = good.iter().map(|one| Alike { failure: one.id.clone(), by: by(one) });
    Some(Number {
        failure: None,
        title: None,
        alike: alike.collect(),
        remedy: "Find out which of these it is; `epm-lab failure show` has the repair of each.".to_owned(),
    })
}

/// Whether a rule names this failure where it is the cause.
fn is_told_by_a_rule(id: &str) -> bool {
    let layers = [TrustLayer::Tls, TrustLayer::Signature, TrustLayer::SharedSecret];
    Code::ALL.iter().any(|code| layers.iter().any(|layer| failure_of(*code, Some(*layer)) == Some(id)))
}

/// The reason of a failure that was reproduced on purpose, for these clients.
pub fn reproduced(entry: &Entry, layer: Option<TrustLayer>, clients: &[String]) -> Reason {
    Reason {
        number: 1,
        finding: ClientFinding::Orphaned,
        code: Code::Reproduced,
        sentence: entry.cause.clone(),
        observed: None,
        layer,
        layer_title: layer.map(|one| one.title().to_owned()),
        step: None,
        step_title: None,
        since_steps: Vec::new(),
        faults: Vec::new(),
        failure: Some(entry.id.clone()),
        failure_title: Some(entry.title.clone()),
        alike: entry.unlike.iter().map(|one| Alike { failure: one.id.clone(), by: one.by.clone() }).collect(),
        remedy: entry.repair.clone(),
        clients: clients.len(),
        examples: clients.to_vec(),
    }
}
