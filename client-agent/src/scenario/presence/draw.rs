//! The only randomness of presence: a keyed hash, so that any question can be asked at any time and has one answer.
//!
//! Knows nothing of time. The table of the parent module lists what is drawn.

use siphasher::sip::SipHasher24;

/// The subject of a draw. Two streams of one machine are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stream(u64);

/// The time at which the machine is installed.
pub(super) const ARRIVES: Stream = Stream::named(*b"arrives ");
/// Whether the machine leaves, and when.
pub(super) const LEAVES: Stream = Stream::named(*b"leaves  ");
/// Whether the machine is re-imaged, and when.
pub(super) const REIMAGED: Stream = Stream::named(*b"reimaged");
/// The holiday of the machine; the question is the year of the run.
pub(super) const HOLIDAY: Stream = Stream::named(*b"holiday ");
/// The hours of the machine; the question is the day.
pub(super) const HOURS: Stream = Stream::named(*b"hours   ");
/// Whether a laptop is opened, and where; the question is the day.
pub(super) const OPENED: Stream = Stream::named(*b"opened  ");
/// The boot of a machine that is always on.
pub(super) const BOOT: Stream = Stream::named(*b"boot    ");
/// The phase of a mostly-off machine.
pub(super) const PHASE: Stream = Stream::named(*b"phase   ");

impl Stream {
    /// A name in letters is a larger number than any moment, so it differs from every stream of a client's heartbeats.
    const fn named(name: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(name))
    }
}

/// The SipHash-2-4 of a question, keyed with the machine's seed and the stream: a fraction of 2^64 that choices use
/// up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64, stream: Stream, question: u64) -> Self {
        Self(SipHasher24::new_with_keys(seed, stream.0).hash(&question.to_le_bytes()))
    }

    /// A uniform choice from 0 up to `count`, exclusive; the rest of the fraction serves the next choice.
    ///
    /// All choices from one draw together should have far fewer than 2^64 outcomes.
    pub(super) fn below(&mut self, count: u64) -> u64 {
        let product = u128::from(self.0) * u128::from(count);
        self.0 = product as u64; // the low half, on purpose
        (product >> 64) as u64
    }

    /// A uniform choice from 0 to `most`, for times.
    pub(super) fn up_to(&mut self, most: i64) -> i64 {
        self.below(most.unsigned_abs().saturating_add(1)).cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_choices_from_one_draw_are_uniform_and_do_not_depend_on_each_other() {
        let mut seen = [[0_u32; 4]; 8];
        for seed in 0..64_000 {
            let mut draw = Draw::new(seed, HOURS, 3);
            let first = draw.below(8) as usize;
            seen[first][draw.below(4) as usize] += 1;
        }
        assert!(seen.iter().flatten().all(|count| (1800..2200).contains(count)), "{seen:?}");
    }

    #[test]
    fn the_answer_to_a_question_stays_what_it_is_for_ever() {
        let numbers = [ARRIVES, HOLIDAY].map(|stream| Draw::new(7, stream, 1).below(1_000_000));
        assert_eq!(numbers, [343_087, 805_898]);
    }
}
