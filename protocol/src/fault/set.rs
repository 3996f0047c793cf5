//! The faults that are set, and their verdicts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::check::RuleError;
use super::draw;
use super::facts::{ConnectionFacts, ExchangeFacts, Party, Past};
use super::kind::FaultKind;
use super::layer::Layer;
use super::rule::{FaultRule, Listener, Moment, Place, Route, When, Whom};
use super::verdict::{Hit, Verdict};
use crate::glob;
use crate::policy::Protocol;
use crate::suggest::hint;
use crate::time::Timestamp;

/// The faults of a lab, in the order in which they are judged.
///
/// A driver that serves many threads keeps it behind an `ArcSwap` and replaces it whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultSet {
    seed: u64,
    faults: Vec<InstalledFault>,
    /// The time since when there has been at least one fault.
    since: Option<Timestamp>,
}

/// A fault that is set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InstalledFault {
    /// The rule of the fault.
    pub rule: Arc<FaultRule>,
    /// The time at which the fault was added.
    pub since: Timestamp,
}

/// The predicted verdict on a future occasion.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The ordinal of the occasion.
    pub ordinal: u64,
    /// The verdict if the faults stay as they are.
    pub verdict: Verdict,
}

/// The reason why a fault was not added or removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// The rule is out of range or contradicts itself.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// There is no fault of that name.
    #[error("there is no fault {found:?}{hint}")]
    Unknown {
        /// The name that was not found.
        found: String,
        /// The nearest known name, in words.
        hint: String,
    },
}

/// The facts that connections and exchanges have in common.
struct Occasion<'a> {
    moment: Moment,
    party: &'a Party<'a>,
    manager: &'a str,
    port: PortKind,
    route: Option<Route>,
    ordinal: u64,
    held: u64,
    past: Past,
}

/// The kind of port at which something happens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PortKind {
    /// A port for clients, with the protocol of the connection.
    Clients(Protocol),
    /// The port of the REST API.
    Rest,
}

impl FaultSet {
    /// Makes an empty set. All random decisions derive from the seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed, faults: Vec::new(), since: None }
    }

    /// The seed of all random decisions.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Adds a fault after the others. A fault of the same name is replaced in place, and its lifetime starts anew.
    ///
    /// # Errors
    /// If the rule is invalid; then nothing has changed.
    pub fn add(&mut self, rule: FaultRule, now: Timestamp) -> Result<InstalledFault, FaultError> {
        rule.check()?;
        let installed = InstalledFault { rule: Arc::new(rule), since: now };
        match self.faults.iter_mut().find(|one| one.rule.name == installed.rule.name) {
            Some(same) => *same = installed.clone(),
            None => self.faults.push(installed.clone()),
        }
        self.since.get_or_insert(now);
        Ok(installed)
    }

    /// Removes a fault.
    ///
    /// # Errors
    /// If there is no fault of that name.
    pub fn remove(&mut self, name: &str) -> Result<InstalledFault, FaultError> {
        match self.faults.iter().position(|one| one.rule.name == name) {
            Some(place) => {
                let removed = self.faults.remove(place);
                self.forget_if_empty();
                Ok(removed)
            }
            None => {
                let known = self.faults.iter().map(|one| one.rule.name.as_str());
                Err(FaultError::Unknown { found: name.to_owned(), hint: hint(name, known) })
            }
        }
    }

    /// Removes all faults and returns them.
    pub fn clear(&mut self) -> Vec<InstalledFault> {
        self.since = None;
        std::mem::take(&mut self.faults)
    }

    /// Removes the faults that have ended and returns them.
    pub fn sweep(&mut self, now: Timestamp) -> Vec<InstalledFault> {
        let swept = self.faults.extract_if(.., |one| one.ends() <= now).collect();
        self.forget_if_empty();
        swept
    }

    /// The faults in the order in which they are judged.
    pub fn list(&self) -> &[InstalledFault] {
        &self.faults
    }

    /// Whether no fault is set: then verdicts and counts are not needed.
    pub const fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// The time since which occasions are counted: since there has been at least one fault. None while there is none.
    pub const fn counting_since(&self) -> Option<Timestamp> {
        self.since
    }

    /// Judges a connection: the first connection fault that hits decides.
    pub fn judge_connection(&self, facts: &ConnectionFacts<'_>, now: Timestamp) -> Verdict {
        if self.faults.is_empty() {
            return Verdict::Pass;
        }
        let ConnectionFacts { party, manager, protocol, ordinal, past } = facts;
        let (moment, port, ordinal, past) =
            (Moment::Connection, PortKind::Clients(*protocol), *ordinal, *past);
        self.judge(&Occasion { moment, party, manager, port, route: None, ordinal, held: 0, past }, now)
    }

    /// Judges an exchange: the first exchange fault that hits decides.
    pub fn judge_exchange(&self, facts: &ExchangeFacts<'_>, now: Timestamp) -> Verdict {
        if self.faults.is_empty() {
            return Verdict::Pass;
        }
        let ExchangeFacts { party, manager, protocol, route, ordinal, held, past } = facts;
        self.judge(
            &Occasion {
                moment: Moment::Exchange,
                party,
                manager,
                port: PortKind::Clients(*protocol),
                route: Some(*route),
                ordinal: *ordinal,
                held: *held,
                past: *past,
            },
            now,
        )
    }

    /// Judges a connection to the REST API, or a call of it: the first fault that hits decides. Connections and calls
    /// of each source address at a manager are counted from 1.
    pub fn judge_rest(
        &self,
        moment: Moment,
        source: IpAddr,
        manager: &str,
        ordinal: u64,
        now: Timestamp,
    ) -> Verdict {
        if self.faults.is_empty() {
            return Verdict::Pass;
        }
        let (party, port) = (&Party::stranger(source), PortKind::Rest);
        // No fault that needs an earlier state acts here.
        let past = Past::default();
        self.judge(&Occasion { moment, party, manager, port, route: None, ordinal, held: 0, past }, now)
    }

    /// Predicts the verdicts on `how_many` connections to the REST API from this address, or calls of it, beginning with the
    /// ordinal `next`, if no fault changes until then.
    pub fn explain_rest(
        &self,
        moment: Moment,
        source: IpAddr,
        manager: &str,
        next: u64,
        how_many: u64,
        now: Timestamp,
    ) -> Vec<Prediction> {
        let verdict = |ordinal| self.judge_rest(moment, source, manager, ordinal, now);
        foretold(from(next, how_many), verdict)
    }

    /// Predicts the verdicts on `how_many` exchanges, beginning with this one, if no fault changes until then.
    pub fn explain(&self, next: &ExchangeFacts<'_>, how_many: u64, now: Timestamp) -> Vec<Prediction> {
        let verdict = |ordinal| self.judge_exchange(&ExchangeFacts { ordinal, ..*next }, now);
        foretold(from(next.ordinal, how_many), verdict)
    }

    /// Returns the fault that refuses every connection at a port, if any: then the port itself is closed, as a client
    /// would find it in life. The first fault there decides, so an earlier one that picks out some clients keeps the
    /// port open.
    pub fn closed(&self, manager: &str, speaks: &[Protocol], now: Timestamp) -> Option<&InstalledFault> {
        let mut here = self.faults.iter().filter(|one| {
            one.is_alive(now)
                && one.rule.moment() == Moment::Connection
                && one.rule.place.manager.as_deref().is_none_or(|name| name == manager)
        });
        let first = here.find(|one| speaks.iter().any(|spoken| one.rule.place.listener.speaks(*spoken)))?;
        let everything = speaks.iter().all(|spoken| first.rule.place.listener.speaks(*spoken));
        (everything && first.rule.what == FaultKind::Refuse && first.rule.is_for_all()).then_some(first)
    }

    /// Returns the fault that refuses every connection to the REST API of a manager, if any; as [`FaultSet::closed`].
    pub fn rest_closed(&self, manager: &str, now: Timestamp) -> Option<&InstalledFault> {
        let first = self.faults.iter().find(|one| {
            one.is_alive(now)
                && one.rule.place.listener == Listener::Rest
                && one.rule.moment() == Moment::Connection
                && one.rule.place.manager.as_deref().is_none_or(|name| name == manager)
        })?;
        (first.rule.what == FaultKind::Refuse && first.rule.is_for_all()).then_some(first)
    }

    /// The faults in force at this manager that have no effect there yet, and what each lacks.
    pub fn without_effect(
        &self,
        manager: &str,
        past: Past,
        now: Timestamp,
    ) -> impl Iterator<Item = (&InstalledFault, &'static str)> {
        let here = move |one: &&InstalledFault| {
            one.is_alive(now) && one.rule.place.manager.as_deref().is_none_or(|name| name == manager)
        };
        self.faults.iter().filter(here).filter_map(move |one| {
            let moments = [Moment::Connection, Moment::Exchange];
            let mut asked = moments.into_iter().filter(|moment| one.rule.is_asked_at(*moment)).peekable();
            asked.peek()?;
            let lacking: Option<Vec<_>> = asked.map(|moment| one.rule.what.lacks(past, moment)).collect();
            Some((one, *lacking?.first()?))
        })
    }

    /// The deviation of the clocks of these managers in milliseconds, where faults make them wrong.
    pub fn clock_deviations<'a>(
        &self,
        managers: impl Iterator<Item = &'a str>,
        now: Timestamp,
    ) -> BTreeMap<String, i64> {
        let deviation = |manager: &str| {
            self.faults.iter().find_map(|one| match one.rule.what {
                FaultKind::ClockSkew { by_ms }
                    if one.is_alive(now)
                        && one.rule.is_for_all()
                        && one.rule.place.route.is_none()
                        && one.rule.place.manager.as_deref().is_none_or(|name| name == manager) =>
                {
                    Some(by_ms)
                }
                _ => None,
            })
        };
        managers.filter_map(|manager| Some((manager.to_owned(), deviation(manager)?))).collect()
    }

    /// The next moment after `now` at which a fault begins or ends; [`Timestamp::NEVER`] if none will.
    pub fn next_turn(&self, now: Timestamp) -> Timestamp {
        let turns = self.faults.iter().flat_map(|one| [one.begins(), one.ends(), one.changes()]);
        turns.filter(|turn| *turn > now).min().unwrap_or(Timestamp::NEVER)
    }

    /// Whether any fault could hit this client now, at any place and occasion; while none can, no verdict is needed.
    pub fn can_touch(&self, party: &Party<'_>, now: Timestamp) -> bool {
        self.could_hit(party, now, |listener| listener != Listener::Rest)
    }

    /// Whether any fault could hit a caller of the REST API at this address now; while none can, no verdict is needed.
    pub fn can_touch_caller(&self, source: IpAddr, now: Timestamp) -> bool {
        self.could_hit(&Party::stranger(source), now, |listener| listener == Listener::Rest)
    }

    fn could_hit(&self, party: &Party<'_>, now: Timestamp, at: impl Fn(Listener) -> bool) -> bool {
        self.faults.iter().any(|one| {
            one.is_alive(now)
                && at(one.rule.place.listener)
                && one.rule.probability > 0.0
                && self.is_meant(&one.rule, party)
        })
    }

    fn forget_if_empty(&mut self) {
        if self.faults.is_empty() {
            self.since = None;
        }
    }

    fn judge(&self, occasion: &Occasion<'_>, now: Timestamp) -> Verdict {
        let moment = occasion.moment;
        let hit = self.faults.iter().find_map(|one| {
            let rule = &one.rule;
            let fits = one.is_alive(now)
                && rule.is_asked_at(moment)
                && is_there(&rule.place, &rule.what, occasion)
                && rule.what.lacks(occasion.past, moment).is_none()
                && is_its_turn(&rule.when, occasion.ordinal)
                && self.is_meant(rule, occasion.party)
                && is_due(&rule.what, now.since(one.begins()), occasion);
            if !fits {
                return None;
            }
            let Occasion { party, ordinal, .. } = *occasion;
            let drawn = draw::occasion(self.seed, &rule.name, party, occasion.label(), ordinal);
            draw::happens(drawn, rule.probability).then(|| Hit {
                rule: Arc::clone(rule),
                drawn,
                age: now.since(one.begins()),
            })
        });
        hit.map_or(Verdict::Pass, Verdict::Hit)
    }

    fn is_meant(&self, rule: &FaultRule, party: &Party<'_>) -> bool {
        let Whom { agent, group, version, percent, source } = &rule.whom;
        agent.as_ref().is_none_or(|wanted| is_called(wanted, party))
            && group.as_ref().is_none_or(|wanted| party.group.is_some_and(|path| is_below(path, wanted)))
            && version.is_none_or(|range| party.version.is_some_and(|version| range.contains(version)))
            && source.is_none_or(|wanted| wanted == party.source)
            && percent.is_none_or(|share| draw::fleet_share(self.seed, &rule.name, party) * 100.0 < share)
    }
}

impl InstalledFault {
    /// The moment at which the fault begins.
    pub fn begins(&self) -> Timestamp {
        self.rule.when.from.map_or(self.since, |from| from.max(self.since))
    }

    /// The moment at which the fault ends; [`Timestamp::NEVER`] if the rule names none.
    pub fn ends(&self) -> Timestamp {
        let when = &self.rule.when;
        let lived = when.time_to_live_seconds.map(|seconds| self.since + Duration::from_secs(seconds));
        lived.into_iter().chain(when.until).min().unwrap_or(Timestamp::NEVER)
    }

    /// Whether the fault is in force.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        self.begins() <= now && now < self.ends()
    }

    /// The moment at which the fault changes its effect while it lasts; its beginning if it never does.
    fn changes(&self) -> Timestamp {
        match self.rule.what {
            FaultKind::SlowStart { ready_after_ms } => self.begins() + Duration::from_millis(ready_after_ms),
            _ => self.begins(),
        }
    }
}

impl Occasion<'_> {
    /// The name of the series that the ordinal counts.
    fn label(&self) -> &'static str {
        match (self.port, self.route) {
            (PortKind::Clients(_), None) => "connection",
            (PortKind::Clients(_), Some(route)) => route.name(),
            (PortKind::Rest, _) if self.moment == Moment::Connection => "rest connection",
            (PortKind::Rest, _) => "rest call",
        }
    }
}

fn is_there(place: &Place, what: &FaultKind, occasion: &Occasion<'_>) -> bool {
    let is_here = match occasion.port {
        PortKind::Clients(protocol) => {
            place.listener.speaks(protocol) && acts_on(what, protocol, occasion.route)
        }
        PortKind::Rest => place.listener == Listener::Rest,
    };
    is_here
        && place.manager.as_deref().is_none_or(|name| name == occasion.manager)
        && place.route.is_none_or(|route| occasion.route == Some(route))
}

/// Whether a fault of this kind has any effect here: `expired` has none over HTTP.
fn acts_on(what: &FaultKind, protocol: Protocol, route: Option<Route>) -> bool {
    match (what.layer(), route) {
        (Layer::Certificate, Some(route)) => route.is_download() && protocol == Protocol::Https,
        (Layer::Tls | Layer::Certificate, None) => {
            (*what == FaultKind::TlsOnPlain) != (protocol == Protocol::Https)
        }
        (Layer::Artifact, Some(route)) if *what == FaultKind::SerialGoesBack => {
            matches!(route, Route::Index | Route::Policy | Route::List)
        }
        (Layer::Artifact, Some(route)) => route.is_download(),
        (Layer::List, Some(route)) => route == Route::List,
        (Layer::Site, Some(route)) => match what {
            FaultKind::PushLimit { .. } => route == Route::Hold,
            FaultKind::DatabaseDown | FaultKind::KcsChanged => route != Route::Hello,
            _ => true,
        },
        _ => true,
    }
}

fn is_its_turn(when: &When, ordinal: u64) -> bool {
    let Some(counted) = ordinal.checked_sub(when.after.unwrap_or(0)).filter(|counted| *counted > 0) else {
        return when.after.is_none() && when.first.is_none() && when.every.is_none();
    };
    let every = when.every.unwrap_or(1).max(1);
    counted.is_multiple_of(every) && when.first.is_none_or(|first| counted / every <= first)
}

impl FaultKind {
    /// What a fault of this kind needs and the manager does not have, because nothing was replaced yet: then the fault has
    /// no effect.
    pub fn lacks(&self, past: Past, moment: Moment) -> Option<&'static str> {
        let (is_there, needed) = match (self, moment) {
            (Self::OldRestored | Self::HalfUpdated, Moment::Connection) => {
                (past.certificate, "a previous certificate")
            }
            (Self::OldRestored | Self::RetiredKeySignature, Moment::Exchange) => {
                (past.signer, "a previous certificate")
            }
            (Self::StaleSignature | Self::SerialGoesBack, Moment::Exchange) => {
                (past.publication, "an earlier publication")
            }
            _ => return None,
        };
        (!is_there).then_some(needed)
    }
}

/// Whether the condition of the kind is met: enough held requests, or a manager that is still starting.
fn is_due(what: &FaultKind, age: Duration, occasion: &Occasion<'_>) -> bool {
    match what {
        FaultKind::PushLimit { held, .. } => occasion.held >= *held,
        FaultKind::SlowStart { ready_after_ms } => age < Duration::from_millis(*ready_after_ms),
        _ => true,
    }
}

fn is_called(wanted: &str, party: &Party<'_>) -> bool {
    let fits = |name: &str| glob::is_match(wanted, name);
    party.computer.is_some_and(fits) || party.agent.is_some_and(|agent| fits(&agent.to_string()))
}

fn is_below(path: &str, wanted: &str) -> bool {
    path.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'))
}

fn from(first: u64, how_many: u64) -> Range<u64> {
    first..first.saturating_add(how_many)
}

fn foretold(ordinals: Range<u64>, verdict: impl Fn(u64) -> Verdict) -> Vec<Prediction> {
    ordinals.map(|ordinal| Prediction { ordinal, verdict: verdict(ordinal) }).collect()
}
