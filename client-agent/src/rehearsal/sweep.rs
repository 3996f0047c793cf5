//! A sweep: rehearses the same plan with many waits to find how many clients each orphans, and the shortest that
//! orphans none.

use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::sweep_outcome::{Sweep, SweepPoint};
use super::{Outcome, Progress, RehearsalError, RehearsalOptions, rehearse};
use crate::scenario::{Scenario, Span, Wait};

/// The waits to rehearse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// The number of the step whose wait differs, from 1; if none, that of every step but the last.
    pub step: Option<usize>,
    /// The shortest wait.
    pub from: Span,
    /// The longest wait.
    pub to: Span,
}

/// The error for a text that does not describe waits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid waits {found:?}: {why}")]
pub struct WaitsError {
    /// The text that was read.
    pub found: String,
    /// What is wrong with the text, and what was expected.
    pub why: String,
}

/// The reason why a sweep could not continue.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A rehearsal could not continue.
    #[error(transparent)]
    Rehearsal(#[from] RehearsalError),
    /// No wait can be judged.
    #[error("no client has been installed by the end of the plan, so that no wait can be judged")]
    NoClient,
    /// There is no such step, or it has no wait.
    #[error(
        "there is no step {step} whose wait could differ; the scenario has {}",
        epm_protocol::plural::counted(steps, "step")
    )]
    NoSuchStep {
        /// The number of the step.
        step: usize,
        /// The number of steps in the scenario.
        steps: usize,
    },
}

/// What a text that describes waits looks like.
const FORM: &str = "expected \"wait=1h..90d\", or \"2=1h..90d\" for the wait of step 2 only";
const HOUR: u64 = 3600;
const DAY: Duration = Duration::from_secs(24 * HOUR);
/// The number of times that the interval between the last wait with orphaned clients and the first without is halved.
const HALVINGS: usize = 6;

impl FromStr for Waits {
    type Err = WaitsError;

    fn from_str(text: &str) -> Result<Self, WaitsError> {
        let error = |why: String| WaitsError { found: text.to_owned(), why };
        let form = || error(FORM.to_owned());
        let (which, range) = text.split_once('=').ok_or_else(form)?;
        let (from, to) = range.split_once("..").ok_or_else(form)?;
        let step = match which.trim() {
            "wait" => None,
            number => Some(number.parse().ok().filter(|step| *step > 0).ok_or_else(form)?),
        };
        let span = |text: &str| text.parse::<Span>().map_err(|wrong| error(wrong.to_string()));
        let (from, to) = (span(from)?, span(to)?);
        if from.0.is_zero() {
            return Err(error("the shortest wait is 0s; expected a longer one, such as 1h".to_owned()));
        }
        if from > to {
            return Err(error(format!("{from} is longer than {to}; expected the shorter wait first")));
        }
        Ok(Self { step, from, to })
    }
}

impl Waits {
    /// Returns `count` waits in a geometric series, in whole minutes or hours.
    fn points(&self, count: usize) -> Vec<Span> {
        let (from, to) = (self.from.0.as_secs_f64(), self.to.0.as_secs_f64());
        let steps = count.saturating_sub(1).max(1);
        let mut points: Vec<Span> =
            (0..=steps).map(|step| rounded(from * (to / from).powf(step as f64 / steps as f64))).collect();
        (points[0], points[steps]) = (self.from, self.to);
        points.sort_unstable();
        points.dedup();
        points
    }

    fn applied_to(&self, scenario: &Scenario, wait: Duration, seed: u64) -> Scenario {
        let mut scenario = Scenario { seed, ..scenario.clone() };
        let last = scenario.step.len();
        for (number, step) in (1..).zip(&mut scenario.step) {
            if self.step.map_or(number < last, |meant| meant == number) {
                let limit = step.wait.map_or(Span(DAY), |wait| wait.limit);
                step.wait = Some(Wait { heartbeats: 0, time: Some(Span(wait)), limit });
            }
        }
        scenario
    }
}

impl Waits {
    /// Checks that the scenario has the step whose wait differs.
    ///
    /// # Errors
    ///
    /// When there is no such step.
    pub fn check(&self, scenario: &Scenario) -> Result<(), SweepError> {
        let steps = scenario.step.len();
        if steps < 2 || self.step.is_some_and(|step| step > steps) {
            return Err(SweepError::NoSuchStep { step: self.step.unwrap_or(1), steps });
        }
        Ok(())
    }
}

/// Rehearses a plan with at least `count` waits, with each of the seeds. The outcomes are sorted by their waits.
///
/// # Errors
///
/// When there is no such step, or a rehearsal cannot continue.
pub fn sweep(
    scenario: &Scenario,
    waits: &Waits,
    count: usize,
    seeds: &[u64],
    options: &RehearsalOptions,
    progress: &Progress,
) -> Result<Sweep, SweepError> {
    waits.check(scenario)?;
    let mut sweep = Sweep {
        scenario: scenario.title.clone(),
        step: match waits.step.and_then(|step| scenario.step.get(step - 1)) {
            Some(step) => step.title.clone(),
            None => "every step but the last".to_owned(),
        },
        clients: scenario.fleet.iter().map(|part| part.get_ref().count as usize).sum(),
        seeds: seeds.to_vec(),
        points: Vec::new(),
        run: None,
    };
    let lost = |wait: Duration, seeds: &[u64]| -> Result<(Vec<usize>, Vec<usize>), SweepError> {
        let lost = seeds.iter().map(|seed| {
            let plan = waits.applied_to(scenario, wait, *seed);
            let Outcome { verdict, is_partial, .. } = rehearse(&plan, options, progress, |_| ())?.outcome;
            if verdict.clients == 0 && !is_partial {
                return Err(SweepError::NoClient);
            }
            Ok((verdict.orphaned.len(), verdict.orphaned_on_return.len()))
        });
        lost.collect()
    };
    let try_out = |wait: Span, sweep: &mut Sweep| -> Result<(), SweepError> {
        let ((orphaned, on_return), (a_day_more, _)) = (lost(wait.0, seeds)?, lost(wait.0 + DAY, seeds)?);
        let point = SweepPoint { wait, orphaned, on_return, a_day_more };
        if !progress.stop.load(Ordering::Relaxed) {
            sweep.points.push(point);
        }
        Ok(())
    };
    for wait in waits.points(count) {
        try_out(wait, &mut sweep)?;
    }
    for _ in 0..HALVINGS {
        let Some(enough) = sweep.shortest_without_orphans() else { break };
        let shorter = sweep.points.iter().map(|point| point.wait).filter(|wait| *wait < enough).max();
        let Some(shorter) = shorter else { break };
        let between = rounded(f64::midpoint(shorter.0.as_secs_f64(), enough.0.as_secs_f64()));
        if between <= shorter || between >= enough || progress.stop.load(Ordering::Relaxed) {
            break;
        }
        try_out(between, &mut sweep)?;
    }
    sweep.points.sort_by_key(|point| point.wait);
    Ok(sweep)
}

/// Rounds to whole hours from six hours on, to whole minutes below.
fn rounded(seconds: f64) -> Span {
    let unit = if seconds >= 6.0 * HOUR as f64 { HOUR } else { 60 };
    let units = (seconds / unit as f64).round().max(1.0);
    Span(Duration::from_secs(units as u64 * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_and_refused() {
        let waits: Waits = "wait=1h..90d".parse().unwrap();
        assert_eq!(
            (waits.step, waits.from.to_string(), waits.to.to_string()),
            (None, "1h".into(), "90d".into())
        );
        assert_eq!("2=1h..2h".parse::<Waits>().unwrap().step, Some(2));
        for text in ["", "wait", "wait=1h", "0=1h..2h", "x=1h..2h"] {
            assert_eq!(text.parse::<Waits>().unwrap_err().why, FORM, "{text}");
        }
        for (text, why) in [
            ("wait=2h..1h", "2h is longer than 1h; expected the shorter wait first"),
            ("wait=0s..1h", "the shortest wait is 0s; expected a longer one"),
            ("wait=1..2", "invalid duration \"1\": expected one like \"90d\""),
        ] {
            let error = text.parse::<Waits>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid waits {text:?}: {why}")), "{error}");
        }
    }

    #[test]
    fn waits_lie_between_the_ends_and_grow() {
        let waits: Waits = "wait=1h..90d".parse().unwrap();
        let points = waits.points(12);
        assert_eq!((points[0], points[points.len() - 1], points.len()), (waits.from, waits.to, 12));
        assert!(points.is_sorted());
    }

    /// Two clients are switched on again after a day; longer waits orphan neither.
    const AWAY: &str = r#"
title = "t"
site = { managers = [{ name = "a" }] }
[[fleet]]
name = "here"
count = 3
version = "14.3"
[[fleet]]
name = "away"
count = 2
version = "14.3"
presence = { mostly-off = { on = "1h", every = "2d" } }
[[step]]
title = "http, and off"
operator = [
  { copy-list = { from = "Default Management Server List for My Site", to = "HTTP" } },
  { edit-list = { list = "HTTP", protocol = "http" } },
  { assign-list = { list = "HTTP", group = 'My Company' } },
  { set-secure-communications = { group = 'My Company', on = false } },
]
[[step]]
title = "update"
operator = [{ update-certificate = { manager = "a", certificate = { generate = {} } } }]
wait = { time = "5d" }
"#;

    #[test]
    fn the_shortest_wait_that_loses_nobody_is_found_between_those_that_were_asked_for() {
        let scenario = Scenario::parse(AWAY, "x.toml").unwrap();
        let waits = "wait=1h..10d".parse().unwrap();
        let options = RehearsalOptions::default();
        let sweep = sweep(&scenario, &waits, 5, &[1, 2, 3], &options, &Progress::default()).unwrap();
        assert!(sweep.points.is_sorted_by_key(|point| point.wait), "{:?}", sweep.points);
        assert!(sweep.points.len() > 5, "it looked between them");
        assert!(sweep.points[0].orphaned.iter().any(|lost| *lost > 0), "{:?}", sweep.points[0]);
        let enough = sweep.shortest_without_orphans().unwrap();
        assert!(enough.0 > Duration::from_secs(HOUR) && enough.0 <= 2 * DAY, "{enough}");
        assert_eq!(sweep.points.last().unwrap().a_day_more, [0, 0, 0]);
        let error = super::sweep(
            &scenario,
            &Waits { step: Some(7), ..waits },
            5,
            &[1],
            &options,
            &Progress::default(),
        );
        assert!(error.unwrap_err().to_string().contains("no step 7"));
    }
}
