//! The pauses between the changes of a site: how long each lasted in real time, how long the clock ran in it, and how many
//! heartbeats there were.
//!
//! A tool that is slow leaves its clients heartbeats as one that waits does. Whether it has waited is judged from its pauses.
//! Bounded: the latest are kept, and the longest. They can outlive the process; the time for which none ran does not count, since
//! nothing was watched in it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use epm_client_agent::wire::ClockReading;
use epm_protocol::time::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Number of pauses that are kept.
pub(crate) const MOST: usize = 1000;
/// Number of the longest pauses that are kept.
const LONGEST: usize = 5;
/// Number of different requests that are remembered in a pause.
const READS: usize = 1000;
/// Number of equal requests in a pause that make it a poll.
const POLLS: u64 = 3;

/// A pause between two consecutive changes of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Number of changes of certificates, lists and switches until the end of the pause.
    pub changes: u64,
    /// Lab time of the change before the pause.
    pub from: Timestamp,
    /// Lab time of the change after the pause.
    pub to: Timestamp,
    /// Length of the pause in real time.
    pub lasted: Duration,
    /// Real time in the pause for which the clock has run by itself.
    pub ran: Duration,
    /// The clock's hold at the end of the pause; zero without one.
    pub hold: Duration,
    /// Number of heartbeats that the managers answered; none if it is not known, as on a site of several processes.
    pub heartbeats: Option<u64>,
    /// Whether the lab was told to let heartbeats or time pass.
    pub was_asked: bool,
    /// Whether the state of clients was asked for again and again, while time passed.
    pub was_polled: bool,
}

impl Pause {
    /// Whether heartbeats happened in the pause because the clock ran by itself, or may have.
    pub fn let_heartbeats_pass(&self) -> bool {
        !self.ran.is_zero() && self.heartbeats != Some(0)
    }
}

/// The pauses between the changes of a site, oldest first.
#[derive(Debug)]
pub struct Pauses {
    hasher: RandomState,
    kept: Mutex<Kept>,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    /// The pause that has not ended; none if its beginning is not known.
    open: Option<Open>,
    /// Requests for the state of clients since the last change: how often, and the lab time of the first.
    reads: HashMap<u64, (u64, Timestamp)>,
    /// Number of pauses so far.
    count: u64,
    pauses: VecDeque<Pause>,
    longest: Vec<Pause>,
    /// Number of changes of an earlier run, whose pauses are not known.
    unknown_until: Option<u64>,
    /// Number of the last pause that the store has; none if it is not known which ones it has.
    written: Option<u64>,
    /// Whether other processes are told.
    tells: bool,
    /// Numbers of pauses in which the tool waited, as this process knows and the others do not.
    untold: BTreeSet<u64>,
    /// Numbers of pauses in which the tool waited, as other processes know.
    heard: BTreeSet<u64>,
}

/// The pause that has not ended, in this process.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// The clock, and the number of heartbeats, from which on this process counts.
    clock: ClockReading,
    heartbeats: Option<u64>,
    /// The pause until then.
    until: OpenPause,
}

/// A pause that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenPause {
    /// Lab time of the change before the pause.
    from: Timestamp,
    /// Real time that has passed in it so far.
    lasted: Duration,
    /// Real time in it for which the clock has run by itself.
    ran: Duration,
    /// Number of heartbeats that the managers have answered in it; none if it is not known.
    heartbeats: Option<u64>,
    was_asked: bool,
    was_polled: bool,
}

/// What outlives a process, beside the pauses themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PausesState {
    /// Number of pauses so far.
    pub(crate) count: u64,
    open: Option<OpenPause>,
    longest: Vec<Pause>,
    unknown_until: Option<u64>,
}

/// What has to be kept for a later run.
#[derive(Debug)]
pub(crate) struct PausesToKeep {
    /// Whether the pauses are all that there are, and not only those that the store does not have.
    pub(crate) is_whole: bool,
    /// Number of the last pause that has ended before this was asked for.
    pub(crate) ended: u64,
    /// Pauses by their numbers.
    pub(crate) new: Vec<(u64, Pause)>,
    pub(crate) state: PausesState,
}

impl Open {
    /// A pause that begins now.
    fn new(clock: ClockReading, heartbeats: Option<u64>) -> Self {
        let until = OpenPause {
            from: clock.now,
            lasted: Duration::ZERO,
            ran: Duration::ZERO,
            heartbeats: heartbeats.map(|_| 0),
            was_asked: false,
            was_polled: false,
        };
        Self { clock, heartbeats, until }
    }

    /// The pause until now.
    fn until(&self, clock: ClockReading, heartbeats: Option<u64>) -> OpenPause {
        let since = heartbeats.zip(self.heartbeats).map(|(now, then)| now.saturating_sub(then));
        OpenPause {
            lasted: self.until.lasted + clock.real.saturating_sub(self.clock.real),
            ran: self.until.ran + clock.ran.saturating_sub(self.clock.ran),
            heartbeats: self.until.heartbeats.zip(since).map(|(before, since)| before + since),
            ..self.until
        }
    }
}

impl Pauses {
    /// No pauses yet; the first one begins now.
    pub(crate) fn new(clock: ClockReading) -> Self {
        let kept = Kept { open: Some(Open::new(clock, Some(0))), ..Kept::default() };
        Self { hasher: RandomState::new(), kept: Mutex::new(kept) }
    }

    /// Records that the site has changed. `changes` is the number of changes of certificates, lists and switches so far,
    /// `heartbeats` that of heartbeats, if it is known.
    pub(crate) fn site_changed(&self, clock: ClockReading, changes: u64, heartbeats: Option<u64>) {
        self.kept.lock().end(clock, changes, heartbeats);
    }

    /// Continues after an earlier run with so many changes: the pauses until now are not known.
    pub(crate) fn go_on_from(&self, changes: u64) {
        *self.kept.lock() = Kept { unknown_until: Some(changes), ..Kept::default() };
    }

    /// Continues with the pauses of an earlier run, oldest first. The one that had not ended goes on from now.
    pub(crate) fn go_on_with(
        &self,
        state: PausesState,
        pauses: impl IntoIterator<Item = Pause>,
        clock: ClockReading,
        heartbeats: Option<u64>,
    ) {
        let PausesState { count, open, longest, unknown_until } = state;
        let open = open.map(|until| Open { clock, heartbeats, until });
        let (reads, pauses, written) = (HashMap::new(), pauses.into_iter().collect(), Some(count));
        *self.kept.lock() =
            Kept { open, reads, count, pauses, longest, unknown_until, written, ..Kept::default() };
    }

    /// Continues with the pauses that the log of a site of several processes tells. These number them alike, and tell each other in
    /// which the tool waited.
    pub(crate) fn go_on_from_log(&self, log: &Self, clock: ClockReading) {
        let mut kept = log.kept.lock().clone();
        kept.open = kept.open.map(|open| Open { clock, heartbeats: None, ..open });
        kept.tells = true;
        *self.kept.lock() = kept;
    }

    /// The pauses in which the tool waited, as this process knows since this was asked last and the others do not.
    pub(crate) fn take_untold(&self) -> BTreeSet<u64> {
        std::mem::take(&mut self.kept.lock().untold)
    }

    /// Notes that the other processes were not told of these pauses.
    pub(crate) fn still_untold(&self, mut numbers: BTreeSet<u64>) {
        self.kept.lock().untold.append(&mut numbers);
    }

    /// Notes that the tool waited in a pause, as another process knows.
    pub(crate) fn hear(&self, number: u64) {
        let heard = &mut self.kept.lock().heard;
        heard.insert(number);
        if heard.len() > MOST {
            heard.pop_first();
        }
    }

    /// What has to be kept for a later run: of now, or of a site that changes now for the `changes`th time.
    pub(crate) fn to_keep(
        &self,
        clock: ClockReading,
        heartbeats: Option<u64>,
        changes: Option<u64>,
    ) -> PausesToKeep {
        let mut kept = self.kept.lock().clone();
        let ended = kept.count;
        if let Some(changes) = changes {
            kept.end(clock, changes, heartbeats);
        }
        let first = kept.count - kept.pauses.len() as u64 + 1;
        let is_new = |number: &u64| kept.written.is_none_or(|written| *number > written);
        let new = (first..).zip(kept.pauses.iter().copied()).filter(|(number, _)| is_new(number)).collect();
        let open = kept.open.as_ref().map(|open| open.until(clock, heartbeats));
        let Kept { count, longest, unknown_until, written, .. } = kept;
        let state = PausesState { count, open, longest, unknown_until };
        PausesToKeep { is_whole: written.is_none(), ended, new, state }
    }

    /// Whether it is known which pauses the store has.
    pub(crate) fn are_kept(&self) -> bool {
        self.kept.lock().written.is_some()
    }

    /// Notes that the store has the pauses up to this number, or that it is not known which ones it has.
    pub(crate) fn written(&self, until: Option<u64>) {
        self.kept.lock().written = until;
    }

    /// Records that the lab was told to let heartbeats or time pass.
    pub(crate) fn asked(&self) {
        let mut kept = self.kept.lock();
        if let Some(open) = &mut kept.open {
            open.until.was_asked = true;
            kept.tell();
        }
    }

    /// Records a request for the state of clients.
    pub(crate) fn read(&self, request: &str, now: Timestamp) {
        let request = self.hasher.hash_one(request);
        let mut kept = self.kept.lock();
        if kept.reads.len() == READS && !kept.reads.contains_key(&request) {
            return;
        }
        let (times, first) = kept.reads.entry(request).or_insert((0, now));
        *times += 1;
        let is_poll = *times >= POLLS && now > *first;
        if let Some(open) = kept.open.as_mut().filter(|_| is_poll) {
            open.until.was_polled = true;
            kept.tell();
        }
    }

    /// The longest pauses, the longest first.
    pub fn longest(&self) -> Vec<Pause> {
        self.kept.lock().longest.clone()
    }

    /// Pauses after the change of certificates, lists and switches with this number, oldest first; none if some of them were
    /// dropped.
    pub fn after(&self, change: u64) -> Option<Vec<Pause>> {
        let kept = self.kept.lock();
        // The first one found ends with that change.
        let first = kept.pauses.partition_point(|one| one.changes < change);
        let is_known = kept.unknown_until.is_none_or(|until| change >= until);
        // That of the first change after a restart is not among them.
        let ends_with_it = usize::from(kept.unknown_until != Some(change));
        let is_whole = is_known && (first > 0 || kept.pauses.len() < MOST);
        let number = |place: usize| kept.count + 1 + place as u64 - kept.pauses.len() as u64;
        let heard = |(place, one): (usize, &Pause)| Pause {
            was_polled: one.was_polled || kept.heard.contains(&number(place)),
            ..*one
        };
        is_whole.then(|| kept.pauses.iter().enumerate().skip(first + ends_with_it).map(heard).collect())
    }
}

impl Kept {
    /// Tells the other processes that the tool waits in the pause that has not ended.
    fn tell(&mut self) {
        if self.tells && !self.heard.contains(&(self.count + 1)) {
            self.untold.insert(self.count + 1);
        }
    }

    /// Ends the pause, and begins the next one.
    fn end(&mut self, clock: ClockReading, changes: u64, heartbeats: Option<u64>) {
        if let Some(open) = self.open.replace(Open::new(clock, heartbeats)) {
            let OpenPause { from, lasted, ran, heartbeats, was_asked, was_polled } =
                open.until(clock, heartbeats);
            let pause = Pause {
                changes,
                from,
                to: clock.now,
                lasted,
                ran,
                hold: clock.hold,
                heartbeats,
                was_asked,
                was_polled,
            };
            if self.pauses.len() == MOST {
                self.pauses.pop_front();
            }
            self.count += 1;
            self.pauses.push_back(pause);
            let at = self.longest.partition_point(|one| one.lasted >= pause.lasted);
            self.longest.insert(at, pause);
            self.longest.truncate(LONGEST);
        } else {
            // The pause until this change began in an earlier run.
            self.unknown_until = Some(changes);
        }
        self.reads.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A clock that has run since its start.
    fn at(real: Duration) -> ClockReading {
        ClockReading { now: Timestamp::EPOCH + real, real, ran: real, hold: SECOND }
    }

    #[test]
    fn the_pauses_after_a_change_are_those_that_follow_it() {
        let pauses = Pauses::new(at(Duration::ZERO));
        for (second, changes) in [(1, 1), (2, 1), (5, 2), (6, 2), (7, 3)] {
            pauses.site_changed(at(second * SECOND), changes, Some(second.into()));
        }
        let lasted = |change: u64| -> Vec<u64> {
            pauses.after(change).unwrap().iter().map(|one| one.lasted.as_secs()).collect()
        };
        assert_eq!((lasted(1), lasted(2), lasted(3)), (vec![1, 3, 1, 1], vec![1, 1], vec![]));
        let longest = pauses.longest();
        assert_eq!((longest.len(), longest[0].lasted, longest[0].heartbeats), (5, 3 * SECOND, Some(3)));
        for change in 4..2000 {
            pauses.site_changed(at(SECOND * 10), change, Some(0));
        }
        assert_eq!((pauses.after(3), pauses.after(1998).map(|left| left.len())), (None, Some(1)));
        assert_eq!(pauses.longest().len(), LONGEST);
    }

    #[test]
    fn pauses_until_a_restart_are_unknown() {
        let pauses = Pauses::new(at(Duration::ZERO));
        pauses.go_on_from(3);
        for (second, changes) in [(1, 4), (2, 5)] {
            pauses.site_changed(at(second * SECOND), changes, Some(0));
        }
        assert_eq!([2, 3].map(|change| pauses.after(change)), [None, None]);
        assert_eq!([4, 5].map(|change| pauses.after(change).map(|left| left.len())), [Some(1), Some(0)]);
    }

    #[test]
    fn pauses_go_on_in_a_later_run_without_the_time_between() {
        let pauses = Pauses::new(at(Duration::ZERO));
        for (second, changes) in [(1, 1), (3, 2)] {
            pauses.site_changed(at(second * SECOND), changes, Some(second.into()));
        }
        pauses.asked();
        let PausesToKeep { is_whole, state, new: kept, .. } = pauses.to_keep(at(4 * SECOND), Some(5), None);
        assert_eq!(
            (is_whole, kept.iter().map(|(number, _)| *number).collect::<Vec<_>>()),
            (true, vec![1, 2])
        );
        pauses.written(Some(1));
        assert_eq!(pauses.to_keep(at(4 * SECOND), Some(5), None).new, kept[1..]);
        // The clock of a process begins at zero.
        let later = Pauses::new(at(Duration::ZERO));
        let state: PausesState = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        later.go_on_with(state, kept.into_iter().map(|(_, pause)| pause), at(SECOND), Some(1));
        later.site_changed(at(3 * SECOND), 3, Some(4));
        let after = later.after(1).unwrap();
        let shown: Vec<_> =
            after.iter().map(|one| (one.lasted, one.ran, one.heartbeats, one.was_asked)).collect();
        assert_eq!(
            shown,
            [(2 * SECOND, 2 * SECOND, Some(2), false), (3 * SECOND, 3 * SECOND, Some(5), true)]
        );
        assert_eq!((after[1].from, after[1].to), (at(3 * SECOND).now, at(3 * SECOND).now));
        assert_eq!(later.longest()[0].lasted, 3 * SECOND);
        assert_eq!(
            later.to_keep(at(9 * SECOND), Some(4), None).new.last().map(|(number, _)| *number),
            Some(3)
        );
    }

    #[test]
    fn what_is_kept_with_a_change_is_what_it_leaves() {
        let pauses = Pauses::new(at(Duration::ZERO));
        pauses.site_changed(at(SECOND), 1, Some(1));
        pauses.asked();
        let kept = pauses.to_keep(at(3 * SECOND), Some(4), Some(2));
        assert_eq!((kept.ended, kept.new.len()), (1, 2));
        assert_eq!(pauses.to_keep(at(3 * SECOND), Some(4), None).new.len(), 1, "the change may fail");
        pauses.site_changed(at(3 * SECOND), 2, Some(4));
        let after = pauses.to_keep(at(3 * SECOND), Some(4), None);
        assert_eq!((kept.state, kept.new), (after.state, after.new));
    }

    #[test]
    fn processes_that_follow_one_log_tell_each_other_in_which_pauses_the_tool_waited() {
        let log = Pauses::new(at(Duration::ZERO));
        log.site_changed(at(SECOND), 1, None);
        let [one, other] = [1, 5].map(|second| {
            let process = Pauses::new(at(Duration::ZERO));
            process.go_on_from_log(&log, at(second * SECOND));
            process
        });
        let end =
            |process: &Pauses, second: u32, changes| process.site_changed(at(second * SECOND), changes, None);
        (0..4).for_each(|second| one.read("/v1/clients", at(second * SECOND).now));
        end(&one, 6, 2);
        end(&other, 10, 2);
        one.asked();
        assert_eq!((one.take_untold(), other.take_untold()), (BTreeSet::from([2, 3]), BTreeSet::new()));
        one.still_untold(BTreeSet::from([3]));
        assert_eq!(one.take_untold(), BTreeSet::from([3]));
        end(&other, 11, 3);
        other.hear(2);
        let after = other.after(1).unwrap();
        let waited: Vec<bool> = after.iter().map(|pause| pause.was_polled).collect();
        assert_eq!(waited, [true, false]);
        assert!(after[1].let_heartbeats_pass(), "no process counts the heartbeats of all: {after:?}");
        other.hear(4);
        other.asked();
        assert!(other.take_untold().is_empty(), "known to the others");
    }

    #[test]
    fn a_poll_is_the_same_request_three_times_while_time_passes() {
        let pauses = Pauses::new(at(Duration::ZERO));
        let is_poll = |requests: &[(&str, u32)]| {
            for (request, second) in requests {
                pauses.read(request, Timestamp::EPOCH + *second * SECOND);
            }
            pauses.site_changed(at(SECOND), 0, Some(0));
            pauses.longest().iter().any(|one| one.was_polled)
        };
        assert!(!is_poll(&[("/a", 1), ("/a", 1), ("/a", 1)]), "no time has passed");
        assert!(!is_poll(&[("/a", 1), ("/b", 1), ("/a", 2), ("/b", 2)]), "before and after");
        assert!(!is_poll(&[("/a", 3)]), "of another pause");
        assert!(is_poll(&[("/a", 1), ("/a", 1), ("/a", 2)]));
    }
}
