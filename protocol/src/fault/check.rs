//! Finds rules that contradict themselves or can never hit.

use super::kind::FaultKind;
use super::layer::Layer;
use super::rule::{Direction, FaultRule, Listener, Route, When, Whom};
use crate::name::{InvalidName, check_name};

/// The reason why a fault is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The name of the fault is blank or too long, or has a control character.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A value of the rule is out of range.
    #[error("fault {fault:?}: {what} is {found}; expected {expected}")]
    Range {
        /// The name of the fault.
        fault: String,
        /// The parameter that is out of range.
        what: &'static str,
        /// The value that was found.
        found: String,
        /// The range of allowed values.
        expected: &'static str,
    },
    /// Two parts of it exclude each other.
    #[error("fault {fault:?}: {what} {because}")]
    Contradiction {
        /// The name of the fault.
        fault: String,
        /// The part of the rule that is impossible.
        what: String,
        /// The reason why it is impossible.
        because: &'static str,
    },
}

impl FaultRule {
    /// Checks that every value is in range and no two parts exclude each other.
    ///
    /// # Errors
    /// The first part of the rule that is out of range or impossible.
    pub fn check(&self) -> Result<(), RuleError> {
        check_name("a fault", &self.name)?;
        self.ranges()?;
        self.contradictions()
    }

    fn ranges(&self) -> Result<(), RuleError> {
        let refuse = |what, found: String, expected| {
            Err(RuleError::Range { fault: self.name.clone(), what, found, expected })
        };
        if !(0.0..=1.0).contains(&self.probability) {
            return refuse("the probability", self.probability.to_string(), "a number from 0 to 1");
        }
        if let Some(percent) = self.whom.percent.filter(|percent| !(0.0..=100.0).contains(percent)) {
            return refuse("the percentage", percent.to_string(), "a number from 0 to 100");
        }
        let When { first, every, time_to_live_seconds, .. } = self.when;
        for (what, count) in
            [("first", first), ("every", every), ("time_to_live_seconds", time_to_live_seconds)]
        {
            if count == Some(0) {
                return refuse(what, "0".to_owned(), "at least 1");
            }
        }
        match self.what.out_of_range() {
            Some((what, found, expected)) => refuse(what, found, expected),
            None => Ok(()),
        }
    }

    fn contradictions(&self) -> Result<(), RuleError> {
        let refuse =
            |what: String, because| Err(RuleError::Contradiction { fault: self.name.clone(), what, because });
        let kind = &self.what;
        let layer = kind.layer();
        let is_of_tls = match kind {
            FaultKind::TlsOnPlain => false,
            _ => matches!(layer, Layer::Tls | Layer::Certificate),
        };
        if self.place.listener == Listener::Rest {
            let Whom { agent, group, version, percent, source: _ } = &self.whom;
            if !matches!(layer, Layer::Listener | Layer::Tcp | Layer::Http) {
                return refuse(
                    format!("{kind} on the listener of the REST API"),
                    "cannot be: only faults of the layers listener, TCP and HTTP apply there",
                );
            }
            if self.place.route.is_some() {
                return refuse(
                    "a route on the listener of the REST API".to_owned(),
                    "cannot be: routes are requests of clients",
                );
            }
            if agent.is_some() || group.is_some() || version.is_some() || percent.is_some() {
                return refuse(
                    "a client on the listener of the REST API".to_owned(),
                    "cannot be: its callers are no clients; `source` names the address of a caller",
                );
            }
        }
        if is_of_tls && self.place.listener == Listener::Http {
            return refuse(format!("{kind} on an HTTP listener"), "cannot be: HTTP has no TLS handshake");
        }
        if *kind == FaultKind::TlsOnPlain && self.place.listener == Listener::Https {
            return refuse(
                format!("{kind} on an HTTPS listener"),
                "cannot be: that listener speaks TLS already",
            );
        }
        if let Some(route) = self.place.route {
            let because = match layer {
                Layer::Listener | Layer::Tls | Layer::Certificate => {
                    "cannot be: the route is not known when the connection is opened"
                }
                _ if *kind == FaultKind::SerialGoesBack => match route {
                    Route::Index | Route::Policy | Route::List => "",
                    Route::Package => "cannot be: a package has no serial",
                    _ => "cannot be: no published document is requested on that route",
                },
                Layer::Artifact if !route.is_download() => {
                    "cannot be: no signed document is downloaded on that route"
                }
                Layer::List if route != Route::List => {
                    "cannot be: the list is requested on the route list only"
                }
                _ if matches!(kind, FaultKind::PushLimit { .. }) && route != Route::Hold => {
                    "cannot be: the limit counts held requests only"
                }
                _ => "",
            };
            if !because.is_empty() {
                return refuse(format!("{kind} on the route {route}"), because);
            }
        }
        if self.place.direction.is_some() && layer != Layer::Tcp {
            return refuse(
                format!("{kind} in one direction"),
                "cannot be: only faults of the connection's bytes have a direction",
            );
        }
        if self.place.direction.is_some_and(|one| one.means(Direction::ToManager))
            && self.place.route.is_some()
        {
            return refuse(
                format!("{kind} of the bytes to the manager on a route"),
                "cannot be: the route is known once the request has come, so that only the answer can be changed",
            );
        }
        if let (Some(from), Some(until)) = (self.when.from, self.when.until)
            && until <= from
        {
            return refuse(format!("the end at {until}"), "cannot be: it is not after the beginning");
        }
        if let Some(range) = self.whom.version
            && let (Some(from), Some(until)) = (range.from, range.until)
            && until <= from
        {
            return refuse(format!("versions until {until}"), "cannot be: that is not after `from`");
        }
        Ok(())
    }
}
