//! Whether the tool waited between two steps, or was only slow: told from the pauses between its changes.
//!
//! While the clock is held after a change, no lab time passes, so a step that is shorter than the hold leaves no heartbeat. A
//! pause in which time passed by itself is a wait if the lab was told to let heartbeats pass, if the tool asked for the state of
//! clients again and again, or if the pause was long enough that no step takes as long. Otherwise it is unknown what it was.

use std::collections::BTreeSet;
use std::time::Duration;

use epm_client_agent::scenario::Span;

use super::Judgement;
use super::finding::{Findings, RotationCode as Code};
use crate::runtime::pauses::Pause;

/// A pause that lasts this many times as long as a step is a wait, since on a busy machine a step takes twice as long as on an
/// idle one. A step takes no longer than the hold, or as long as the pauses where nothing needs a heartbeat.
const CLEAR: u32 = 2;
/// A pause of this many holds is a wait, whatever the others are.
const CLEAR_ALONE: u32 = 4;
/// Without a hold, a pause of this length is a wait: a step that makes a key or starts a virtual machine takes seconds.
const CLEAR_WITHOUT_HOLD: Duration = Duration::from_secs(10);
/// Number of pauses in the note.
const NOTED: usize = 3;

impl Judgement<'_> {
    /// Judges the pauses between steps that need a heartbeat in between. Heartbeats themselves are judged elsewhere: here only
    /// whether they prove anything.
    pub(super) fn judge_waits(&self, findings: &mut Findings) {
        let Some(changes) = self.changes.as_ref().filter(|_| self.has_history) else { return };
        let on = self.clients.iter().filter(|one| one.is_on);
        let pairs: BTreeSet<(u64, u64)> = on
            .flat_map(|client| self.dangerous(client, changes))
            .map(|(from, to)| (from.number, to.number))
            .collect();
        // The first one lies before the tool's first step.
        let since = self.site_pauses.after(self.baseline.changes).unwrap_or_default();
        let since = since.get(1..).unwrap_or_default();
        let step = longest_step(since, disjoint(&pairs));
        let mut reasons = BTreeSet::new();
        for (from, to) in &pairs {
            let Some(after) = self.site_pauses.after(*from) else {
                reasons.insert(format!("the pauses before change {to} are no longer known"));
                continue;
            };
            // The pauses between the two steps, with the one that the second step ends.
            let end = after.iter().position(|one| one.changes >= *to).map_or(after.len(), |at| at + 1);
            if let Some(pause) = doubtful(&after[..end], step) {
                reasons.insert(reason(pause, step));
            }
        }
        reasons.into_iter().for_each(|reason| findings.unknown(Code::NotWaited, reason));
        note_longest(since, findings);
    }
}

/// Notes the longest pauses in which heartbeats happened by themselves.
fn note_longest(since: &[Pause], findings: &mut Findings) {
    let mut longest: Vec<&Pause> = since.iter().filter(|one| one.let_heartbeats_pass()).collect();
    longest.sort_by_key(|one| std::cmp::Reverse(one.lasted));
    let shown: Vec<String> = longest.iter().take(NOTED).map(|one| shown(one)).collect();
    if !shown.is_empty() {
        findings.notes.push(format!("longest pauses between changes: {}", shown.join(", ")));
    }
}

/// How long a step of the tool takes, from the pauses that cannot all be waits: the tool needs `waits` of them, and one at its
/// end; as many again are allowed where nothing needs one. Zero if there are no more.
fn longest_step(since: &[Pause], waits: usize) -> Duration {
    let long = since.iter().filter(|one| one.let_heartbeats_pass() && !is_told(one));
    let mut long: Vec<Duration> = long.map(|one| one.lasted).collect();
    long.sort_unstable_by(|one, other| other.cmp(one));
    long.get(2 * waits + 1).copied().unwrap_or_default()
}

/// The longest of these pauses, if heartbeats happened in them by themselves and none of them is surely a wait.
fn doubtful(pauses: &[Pause], step: Duration) -> Option<&Pause> {
    let is_clear = |one: &Pause| {
        let clear = if one.hold.is_zero() {
            CLEAR_WITHOUT_HOLD
        } else {
            (CLEAR * one.hold.max(step)).min(CLEAR_ALONE * one.hold)
        };
        is_told(one) || one.lasted >= clear
    };
    let longest = pauses.iter().filter(|one| one.let_heartbeats_pass()).max_by_key(|one| one.lasted)?;
    (!pauses.iter().any(is_clear)).then_some(longest)
}

/// Whether it is known from elsewhere that the tool waited in this pause.
const fn is_told(pause: &Pause) -> bool {
    pause.was_asked || pause.was_polled
}

fn reason(pause: &Pause, step: Duration) -> String {
    let shown = shown(pause);
    if pause.heartbeats.is_none() {
        return format!(
            "a pause of {shown} between two steps: the tool may have waited, or be as slow as that; a tool that asks for the state \
             of the clients until they know a certificate, or waits ten seconds, is known to wait"
        );
    }
    if pause.hold.is_zero() {
        return format!(
            "a pause of {shown} between two steps: the tool may have waited, or be as slow as that; start the lab with \
             `--hold 1s`, so that a slow tool leaves no heartbeat"
        );
    }
    let hold = Span(pause.hold);
    if step > pause.hold {
        return format!(
            "a pause of {shown} between two steps, and others as long where nothing needs a heartbeat: the tool may have \
             waited, or be as slow as that; choose a hold above {hold} that is longer than its longest step"
        );
    }
    format!(
        "a pause of {shown} between two steps is near the hold of {hold}: the tool may have waited, or be as slow as that; \
         choose a hold that is longer than its longest step, and at most half as long as its waits"
    )
}

fn shown(pause: &Pause) -> String {
    // Whole tenths are enough to compare with the hold.
    let lasted =
        Duration::from_millis(u64::try_from(pause.lasted.as_millis()).unwrap_or(u64::MAX) / 100 * 100);
    let lasted = Span(lasted);
    pause.heartbeats.map_or_else(|| lasted.to_string(), |number| format!("{lasted} ({number} heartbeats)"))
}

/// The number of pairs of steps that lie one after the other: the number of waits that they need.
fn disjoint(pairs: &BTreeSet<(u64, u64)>) -> usize {
    let mut by_end: Vec<_> = pairs.iter().collect();
    by_end.sort_by_key(|(_, to)| *to);
    let (mut count, mut last) = (0, 0);
    for (from, to) in by_end {
        if *from >= last {
            count += 1;
            last = *to;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use epm_protocol::time::Timestamp;

    use super::*;

    fn pause(lasted_ms: u64, hold_ms: u64) -> Pause {
        let (lasted, hold) = (Duration::from_millis(lasted_ms), Duration::from_millis(hold_ms));
        Pause {
            changes: 1,
            from: Timestamp::EPOCH,
            to: Timestamp::EPOCH,
            lasted,
            ran: lasted.saturating_sub(hold),
            hold,
            heartbeats: Some(1),
            was_asked: false,
            was_polled: false,
        }
    }

    #[test]
    fn a_pause_is_doubtful_while_it_could_be_a_slow_step() {
        let is_doubtful = |pauses: &[Pause]| doubtful(pauses, Duration::ZERO).is_some();
        // In a pause within the hold, no time passes: there is nothing to be doubted.
        assert!(!is_doubtful(&[pause(500, 1000), pause(999, 1000)]));
        assert!(is_doubtful(&[pause(500, 1000), pause(1200, 1000)]));
        assert!(is_doubtful(&[pause(1999, 1000)]) && !is_doubtful(&[pause(2000, 1000)]));
        assert!(!is_doubtful(&[pause(1200, 1000), pause(3000, 1000), pause(1100, 1000)]));
        // Without a hold, time passes in every pause.
        assert!(!is_doubtful(&[Pause { heartbeats: Some(0), ..pause(500, 0) }]));
        assert!(is_doubtful(&[pause(500, 0)]) && is_doubtful(&[pause(3000, 0)]));
        assert!(!is_doubtful(&[pause(10_000, 0)]));
        for told in
            [Pause { was_asked: true, ..pause(500, 0) }, Pause { was_polled: true, ..pause(1300, 1000) }]
        {
            assert!(!is_doubtful(&[told]));
        }
    }

    #[test]
    fn a_tool_that_pauses_everywhere_has_to_pause_longer_where_it_waits() {
        let slow: Vec<Pause> = [2500; 9].map(|lasted| pause(lasted, 1000)).to_vec();
        let step = longest_step(&slow, 2);
        assert!(step == slow[0].lasted && doubtful(&slow, step).is_some(), "all are alike");
        let busy: Vec<Pause> =
            [1100, 1200, 3200, 3100, 1400, 1300, 1100].map(|lasted| pause(lasted, 1000)).to_vec();
        assert!(doubtful(&busy, longest_step(&busy, 2)).is_none(), "the waits stand out");
        let few: Vec<Pause> = [3000; 3].map(|lasted| pause(lasted, 1000)).to_vec();
        assert_eq!(longest_step(&few, 2), Duration::ZERO, "two waits, and one at the end");
        assert!(doubtful(&[pause(4000, 1000)], Duration::from_secs(4)).is_none());
    }

    #[test]
    fn overlapping_pairs_of_steps_need_one_wait() {
        let pairs = |all: &[(u64, u64)]| disjoint(&all.iter().copied().collect());
        assert_eq!(pairs(&[(1, 4), (2, 4), (3, 4), (4, 5), (4, 6), (4, 7)]), 2);
        assert_eq!((pairs(&[]), pairs(&[(1, 2), (2, 3), (3, 4)])), (0, 3));
    }
}
