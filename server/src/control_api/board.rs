//! The summary of a lab for all of its pages: one task looks at the fleet, and every page is told of what it found.
//!
//! The task spends a small share of a processor's time: the larger the fleet, the less often it looks. A lab in which nothing
//! happens is looked at only while a page is open, since a client falls silent, a process ends or a file is replaced without a trace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use epm_client_agent::scenario::{Standing, Verdict};
use epm_client_agent::wire::{ByState, Stopwatch, wait};
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::Fingerprint;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::lab::{Lab, Seen};

/// Shortest time between two messages to a page.
const SHORTEST: Duration = Duration::from_millis(400);
/// Shortest time between two looks at a lab in which nothing happens, with a page open.
const QUIET: Duration = Duration::from_secs(1);
/// Share of the time that is spent with a page open, and without one: one part of so many.
const SHARES: (u32, u32) = (30, 200);
/// Number of samples that are kept; then every second one is left out.
const SAMPLES: usize = 160;
/// Number of different sets of certificates that have a band of their own.
const BANDS: usize = 5;
/// Number of sets of certificates that are numbered.
const NUMBERED: usize = 1000;
/// Number of clients that are named of each list of the verdict.
const NAMED: usize = 20;

/// The latest summary, and the samples since the lab was started.
pub(super) struct Board {
    lab: Arc<Lab>,
    latest: Mutex<Latest>,
    /// Held while the fleet is looked at.
    looking: tokio::sync::Mutex<()>,
    /// What pages are told: the version of the summary and the figures of its head.
    told: watch::Sender<Arc<str>>,
}

#[derive(Default)]
struct Latest {
    /// State of the lab that the summary is of.
    mark: Option<Mark>,
    version: u64,
    verdict: Arc<Verdict>,
    /// The verdict as JSON, with its lists cut.
    shown: Value,
    samples: Samples,
}

/// Values that differ if anything has happened that leaves a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    journal: u64,
    changes: u64,
    speed: u32,
    /// Lab time, if the clock is stopped.
    stopped_at: Option<Timestamp>,
    reports: (i64, usize),
}

/// Counts of clients over time.
#[derive(Debug, Default)]
struct Samples {
    all: Vec<Sample>,
    /// Lab time that has to pass before the next sample is kept.
    apart: Duration,
    /// Sets of certificates in the order in which clients first held them. The place of each is its number for as long as the lab runs.
    numbered: Vec<Vec<Fingerprint>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Sample {
    at: Timestamp,
    /// Clients by how they are, in the order of [`STANDINGS`]. A silent client that is not well otherwise counts as what it is otherwise.
    standing: [u64; STANDINGS.len()],
    /// Clients by the certificates that they hold.
    held: BTreeMap<Vec<Fingerprint>, u64>,
}

/// Names of the bands: how clients are.
const STANDINGS: [&str; 7] = ["well", "behind", "orphaned", "out of touch", "not secure", "silent", "off"];

impl Board {
    pub(super) fn new(lab: Arc<Lab>) -> Arc<Self> {
        Arc::new(Self {
            lab,
            latest: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
            told: watch::Sender::new("{\"version\":0}".into()),
        })
    }

    /// Looks at the fleet whenever something has happened, and while a page is open, until it is stopped.
    pub(super) async fn watch(self: Arc<Self>, stopping: CancellationToken) {
        // A look takes longer while the machine is busy with something else: the shortest of the last ones counts.
        let (mut last, mut costs) = (Stopwatch::start(), [Duration::ZERO; 4]);
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = wait(SHORTEST) => {}
            }
            let (mark, is_open) = (self.mark(), self.told.receiver_count() > 0);
            let has_changed = self.latest.lock().mark != Some(mark);
            if !has_changed && !is_open {
                continue;
            }
            let share = if is_open { SHARES.0 } else { SHARES.1 };
            let shortest = if has_changed { Duration::ZERO } else { QUIET };
            if last.elapsed() < shortest.max(costs.iter().min().copied().unwrap_or_default() * share) {
                continue;
            }
            last = Stopwatch::start();
            self.look().await;
            costs.rotate_left(1);
            costs[3] = last.elapsed();
        }
    }

    /// A listener, who is told of each new summary.
    pub(super) fn listen(&self) -> watch::Receiver<Arc<str>> {
        self.told.subscribe()
    }

    /// Names of the managers.
    pub(super) fn managers(&self) -> Vec<String> {
        self.lab.site.look(|site| site.managers().map(|one| one.name.clone()).collect())
    }

    /// The summary as JSON; of a moment ago is good enough with `is_live`.
    pub(super) async fn summary(&self, is_live: bool) -> Value {
        if !is_live || self.latest.lock().mark.is_none() {
            self.look().await;
        }
        let clock = self.lab.clock();
        let now = clock.now();
        let latest = self.latest.lock();
        json!({
            "site": self.lab.site.look(|site| site.name().to_owned()),
            "clock": { "now": now, "now_ms": now.as_millis(), "speed": clock.speed(), "held_ms": u64::try_from(clock.held_for().as_millis()).unwrap_or(u64::MAX) },
            "version": latest.version,
            "verdict": latest.shown,
            "samples": latest.samples.shown(),
            "takes_capture": self.lab.site.capture().is_some(),
        })
    }

    /// Why the latest summary finds a client not well: its reasons, and since when it is orphaned; and what is to be noted of it.
    pub(super) async fn why(&self, client: &str) -> Value {
        let verdict = Arc::clone(&self.latest.lock().verdict);
        let orphaned = verdict.orphaned.iter().find(|one| one.client == client);
        let findings = verdict.unwell().map(|(finding, _)| finding);
        let others = findings.into_iter().filter_map(|finding| verdict.reason_for(finding, client));
        let reasons: Vec<_> =
            orphaned.and_then(|one| verdict.reason_of(one)).into_iter().chain(others).collect();
        let notes = self.lab.notes_of(client, &verdict).await;
        json!({ "orphaned": orphaned, "reasons": reasons, "notes": notes })
    }

    fn mark(&self) -> Mark {
        let (site, clock) = (&self.lab.site, self.lab.clock());
        let speed = clock.speed();
        Mark {
            journal: site.journal().next_number(),
            changes: site.changes().count(),
            speed,
            stopped_at: (speed == 0).then(|| clock.now()),
            reports: self.lab.reports_mark(),
        }
    }

    /// Makes a new summary. Pages are told of it if something has happened since the last one, or the verdict is another.
    async fn look(&self) {
        let _looking = self.looking.lock().await;
        let mark = self.mark();
        let mut states = ByState::<[u64; 2]>::default();
        let counted = |seen: &Seen<'_>| {
            let [all, silent] = states.of(&seen.glance.common, |_| [0, 0]);
            *all += 1;
            *silent += u64::from(seen.glance.is_silent);
        };
        let mut verdict = self.lab.verdict_seeing(counted).await;
        let sample = Sample::of(&verdict, &states);
        let shown = cut(&mut verdict);
        let mut latest = self.latest.lock();
        latest.samples.add(sample);
        latest.shown = shown;
        // The ages of reports differ at each look; that one has come, or its source has fallen silent, is in the mark.
        let before = Arc::make_mut(&mut latest.verdict);
        before.now = verdict.now;
        before.sources.clone_from(&verdict.sources);
        if *before == verdict && latest.mark == Some(mark) {
            return;
        }
        latest.mark = Some(mark);
        latest.version += 1;
        latest.verdict = Arc::new(verdict);
        let told = json!({ "version": latest.version, "now": latest.verdict.now, "well": latest.verdict.well, "counts": latest.shown["counts"] });
        drop(latest);
        self.told.send_replace(told.to_string().into());
    }
}

impl Sample {
    /// A sample of the clients of a verdict; `states` has the number of clients in each state, and of silent ones among them.
    fn of(verdict: &Verdict, states: &ByState<[u64; 2]>) -> Self {
        let in_force = verdict.in_force();
        let mut silent = 0;
        let mut held = BTreeMap::new();
        for (view, [all, quiet]) in states.iter() {
            let mut certificates = view.certificates.clone();
            certificates.sort_unstable();
            *held.entry(certificates).or_default() += all;
            silent += if Standing::of(view, &in_force) == Standing::Well { *quiet } else { 0 };
        }
        let lists = [&verdict.behind, &verdict.out_of_touch, &verdict.not_secure, &verdict.away];
        let [behind, out_of_touch, not_secure, off] = lists.map(|list| list.len() as u64);
        let orphaned = verdict.orphaned.len() as u64;
        let unwell = behind + orphaned + out_of_touch + not_secure + silent + off;
        let well = (verdict.clients as u64).saturating_sub(unwell);
        Self {
            at: verdict.now,
            standing: [well, behind, orphaned, out_of_touch, not_secure, silent, off],
            held,
        }
    }
}

impl Samples {
    /// Adds a sample, and leaves out every second one when there are too many. Samples that are later than this one are of a time
    /// that the lab has gone back from.
    fn add(&mut self, sample: Sample) {
        for set in sample.held.keys() {
            if self.numbered.len() < NUMBERED && !self.numbered.contains(set) {
                self.numbered.push(set.clone());
            }
        }
        self.all.retain(|one| one.at <= sample.at);
        // The last sample is that of now, until the next is far enough from the one before it.
        if let [.., before, last] = &self.all[..]
            && last.at.since(before.at) < self.apart
        {
            self.all.pop();
        }
        if self.all.last().is_some_and(|last| last.at == sample.at) {
            self.all.pop();
        }
        self.all.push(sample);
        if self.all.len() > SAMPLES {
            let mut index = 0;
            self.all.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            let lasted = self.all.last().zip(self.all.first()).map(|(last, first)| last.at.since(first.at));
            self.apart = lasted.unwrap_or_default() / (SAMPLES as u32 / 2);
        }
    }

    /// The samples as rows: `at`, and the bands `standing` and `held`.
    fn shown(&self) -> Value {
        let held = |set: &Vec<Fingerprint>, sample: &Sample| sample.held.get(set).copied().unwrap_or(0);
        let most = |set| self.all.iter().map(|sample| held(set, sample)).max().unwrap_or(0);
        let mut sets: Vec<_> =
            self.numbered.iter().enumerate().map(|(number, set)| (most(set), number, set)).collect();
        sets.retain(|(most, ..)| *most > 0);
        sets.sort_by_key(|(most, number, _)| (std::cmp::Reverse(*most), *number));
        sets.truncate(BANDS);
        sets.sort_by_key(|(_, number, _)| *number);
        let band = |name: &str, of: &dyn Fn(&Sample) -> u64| json!({ "name": name, "clients": self.all.iter().map(of).collect::<Vec<u64>>() });
        let bands = sets.iter().map(|(_, number, set)| {
            let mut band = band(&named(set), &|sample| held(set, sample));
            band["number"] = json!(number);
            band
        });
        let mut held: Vec<Value> = bands.collect();
        let others = |sample: &Sample| {
            let known = |set: &Vec<Fingerprint>| sets.iter().any(|(.., one)| *one == set);
            sample.held.iter().filter(|(set, _)| !known(set)).map(|(_, clients)| clients).sum()
        };
        if self.all.iter().any(|sample| others(sample) > 0) {
            held.push(band("other certificates", &others));
        }
        let names = STANDINGS.iter().enumerate();
        let standing: Vec<Value> =
            names.map(|(index, name)| band(name, &|sample| sample.standing[index])).collect();
        let at = self.all.iter().map(|one| json!({ "at": one.at, "ms": one.at.as_millis() }));
        json!({ "at": at.collect::<Vec<_>>(), "held": held, "standing": standing })
    }
}

/// The short fingerprints of a set.
fn named(set: &[Fingerprint]) -> String {
    if set.is_empty() {
        return "none".to_owned();
    }
    let short =
        |one: &Fingerprint| one.to_string().chars().filter(|digit| *digit != ':').take(8).collect::<String>();
    set.iter().map(short).collect::<Vec<_>>().join(" and ")
}

/// A verdict as JSON, whose lists of clients are cut, with the number of clients of each in `counts`.
fn cut(verdict: &mut Verdict) -> Value {
    let counts = json!({
        "orphaned": verdict.orphaned.len(),
        "out_of_touch": verdict.out_of_touch.len(),
        "not_secure": verdict.not_secure.len(),
        "behind": verdict.behind.len(),
        "silent": verdict.silent.len(),
        "away": verdict.away.len(),
        "orphaned_on_return": verdict.orphaned_on_return.len(),
        "brought_back": verdict.brought_back.len(),
        "unknown": verdict.unknown.len(),
        "reported_twice": verdict.reported_twice.len(),
    });
    let orphaned = rest(&mut verdict.orphaned);
    let ever = [verdict.ever_orphaned.take(), verdict.ever_unsigned.take()];
    let others = lists(verdict).map(rest);
    let mut shown = serde_json::to_value(&*verdict).unwrap_or_default();
    shown["counts"] = counts;
    // Whole again.
    verdict.orphaned.extend(orphaned);
    [verdict.ever_orphaned, verdict.ever_unsigned] = ever;
    lists(verdict).into_iter().zip(others).for_each(|(list, rest)| list.extend(rest));
    shown
}

/// The lists of names in a verdict that are cut.
fn lists(verdict: &mut Verdict) -> [&mut Vec<String>; 9] {
    [
        &mut verdict.out_of_touch,
        &mut verdict.not_secure,
        &mut verdict.behind,
        &mut verdict.silent,
        &mut verdict.away,
        &mut verdict.orphaned_on_return,
        &mut verdict.brought_back,
        &mut verdict.unknown,
        &mut verdict.reported_twice,
    ]
}

/// Takes what a cut list does not have.
fn rest<T>(list: &mut Vec<T>) -> Vec<T> {
    list.split_off(list.len().min(NAMED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seconds: i64, well: u64) -> Sample {
        Sample {
            at: Timestamp::from_seconds(seconds),
            standing: [well, 0, 0, 0, 0, 0, 0],
            held: BTreeMap::from([(Vec::new(), well)]),
        }
    }

    #[test]
    fn samples_are_bounded_and_keep_the_first_the_last_and_their_order() {
        let mut samples = Samples::default();
        for second in 0..10_000 {
            samples.add(sample(second, 1));
            assert!(samples.all.len() <= SAMPLES + 1, "{second}");
        }
        let at: Vec<Timestamp> = samples.all.iter().map(|one| one.at).collect();
        assert!(at.is_sorted() && at.len() > SAMPLES / 4, "{}", at.len());
        assert_eq!((at[0], at[at.len() - 1]), (Timestamp::from_seconds(0), Timestamp::from_seconds(9_999)));
    }

    #[test]
    fn a_lab_that_goes_back_in_time_forgets_what_has_not_happened() {
        let mut samples = Samples::default();
        [1, 2, 3, 2].into_iter().for_each(|second| samples.add(sample(second, u64::from(second == 2))));
        let shown = samples.shown();
        assert_eq!(shown["at"].as_array().map(Vec::len), Some(2));
        assert_eq!(shown["held"], json!([{ "name": "none", "clients": [0, 1], "number": 0 }]));
    }

    #[test]
    fn a_set_of_certificates_keeps_its_number_while_others_come_and_go() {
        let mut samples = Samples::default();
        let mut numbers = Vec::new();
        // The lab goes back to its start after the third sample.
        for (second, held) in [(1, [9, 1]), (2, [9, 5]), (3, [5, 7]), (1, [5, 5]), (2, [7, 1])] {
            let of = |digit: &u8| vec![format!("0{digit}"); 32].join(":").parse::<Fingerprint>().unwrap();
            let held = held.iter().map(|digit| (vec![of(digit)], 1)).collect();
            samples.add(Sample { held, ..sample(second, 0) });
            let shown = samples.shown();
            let number = |band: &Value| format!("{}: {}", band["name"].as_str().unwrap(), band["number"]);
            numbers.push(shown["held"].as_array().unwrap().iter().map(number).collect::<Vec<_>>().join(", "));
        }
        let [one, five, seven, nine] = ["01010101: 0", "05050505: 2", "07070707: 3", "09090909: 1"];
        assert_eq!(numbers[0], [one, nine].join(", "));
        assert_eq!(numbers[2], [one, nine, five, seven].join(", "));
        assert_eq!(numbers[3..], [five.to_owned(), [one, five, seven].join(", ")]);
    }

    #[test]
    fn a_cut_verdict_counts_what_it_leaves_out_and_the_verdict_stays_whole() {
        let names: Vec<String> = (0..50).map(|number| format!("desk-{number}")).collect();
        let mut verdict = Verdict { behind: names.clone(), ever_orphaned: Some(names), ..Verdict::default() };
        let whole = verdict.clone();
        let shown = cut(&mut verdict);
        assert_eq!(shown["behind"].as_array().map(Vec::len), Some(NAMED));
        assert_eq!((&shown["counts"]["behind"], &shown["counts"]["orphaned"]), (&json!(50), &json!(0)));
        assert_eq!(shown["ever_orphaned"], Value::Null);
        assert_eq!(verdict, whole);
    }
}
