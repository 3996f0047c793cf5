//! The verdict of the faults on an occasion.

use std::sync::Arc;
use std::time::Duration;

use super::draw;
use super::kind::FaultKind;
use super::rule::{Direction, FaultRule};

/// The verdict of the faults on a connection or an exchange.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Verdict {
    /// No fault hits: continue as usual.
    #[default]
    Pass,
    /// A fault hits: carry it out.
    Hit(Hit),
}

/// A fault that hits an occasion.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The rule of the fault.
    pub rule: Arc<FaultRule>,
    /// The number drawn for this occasion; it decides whatever the fault leaves to chance.
    pub drawn: u64,
    /// The time since the fault began.
    pub age: Duration,
}

impl Verdict {
    /// Whether no fault hits.
    pub const fn is_pass(&self) -> bool {
        matches!(self, Self::Pass)
    }

    /// The fault, if one hits.
    pub const fn hit(&self) -> Option<&Hit> {
        match self {
            Self::Pass => None,
            Self::Hit(hit) => Some(hit),
        }
    }

    /// The kind of the fault that hits, if one does.
    pub fn what(&self) -> Option<&FaultKind> {
        self.hit().map(|hit| &hit.rule.what)
    }
}

impl Hit {
    /// The kind of the fault.
    pub fn what(&self) -> &FaultKind {
        &self.rule.what
    }

    /// The direction that the rule names; to the client if it names none.
    pub fn direction(&self) -> Direction {
        self.rule.place.direction.unwrap_or(Direction::ToClient)
    }

    /// The delay of the bytes on this occasion; none unless the fault is latency.
    pub fn latency(&self) -> Option<Duration> {
        match self.what() {
            FaultKind::Latency { delay } => Some(delay.delay(draw::detail(self.drawn))),
            _ => None,
        }
    }

    /// Random bytes, the same for the same occasion.
    pub fn noise(&self, length: usize) -> Vec<u8> {
        let mut state = draw::detail(self.drawn);
        let words = std::iter::repeat_with(|| super::distribution::mixed(&mut state).to_le_bytes());
        words.flatten().take(length).collect()
    }
}
