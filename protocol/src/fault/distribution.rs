//! Lengths of delays, as named distributions.
//!
//! A value is made from one number that was drawn for the occasion, so the same occasion always has the same delay.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The length of a delay, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "distribution",
    rename_all = "kebab-case",
    deny_unknown_fields,
    expecting = "a delay such as { distribution = \"constant\", ms = 1000 }"
)]
pub enum Distribution {
    /// Always the same delay.
    Constant {
        /// The delay in milliseconds.
        ms: u64,
    },
    /// Any delay between the two, both included, with equal probability.
    Uniform {
        /// The shortest delay in milliseconds.
        from_ms: u64,
        /// The longest delay in milliseconds.
        to_ms: u64,
    },
    /// A delay around a mean: the sum of twelve uniform draws, never more than six deviations away from it.
    Normal {
        /// The mean in milliseconds.
        mean_ms: u64,
        /// The standard deviation in milliseconds.
        deviation_ms: u64,
    },
    /// Mostly a little more than the shortest, sometimes much longer.
    Pareto {
        /// The shortest delay in milliseconds.
        least_ms: u64,
        /// The tail index: the larger it is, the rarer long delays are; 1.5 gives many, 3 few.
        alpha: f64,
        /// The longest delay in milliseconds.
        most_ms: u64,
    },
    /// Half of the delays below the median, with a long tail above.
    Lognormal {
        /// The median in milliseconds.
        median_ms: u64,
        /// The standard deviation of the logarithm; 0.1 is narrow, 1 is wide.
        sigma: f64,
        /// The longest delay in milliseconds.
        most_ms: u64,
    },
}

impl Distribution {
    /// The delay for a drawn number.
    pub fn delay(&self, drawn: u64) -> Duration {
        Duration::from_millis(match *self {
            Self::Constant { ms } => ms,
            Self::Uniform { from_ms, to_ms } => {
                let span = to_ms.saturating_sub(from_ms);
                let within = (u128::from(drawn) * (u128::from(span) + 1)) >> 64;
                from_ms + u64::try_from(within).unwrap_or(span)
            }
            Self::Normal { mean_ms, deviation_ms } => {
                rounded(mean_ms as f64 + deviation_ms as f64 * standard_normal(drawn))
            }
            Self::Pareto { least_ms, alpha, most_ms } => {
                let tail = (1.0 - unit(drawn)).powf(-1.0 / alpha.max(0.01));
                rounded(least_ms as f64 * tail).min(most_ms)
            }
            Self::Lognormal { median_ms, sigma, most_ms } => {
                rounded(median_ms as f64 * (sigma * standard_normal(drawn)).exp()).min(most_ms)
            }
        })
    }
}

impl Default for Distribution {
    fn default() -> Self {
        Self::Constant { ms: 1000 }
    }
}

/// Maps a drawn number to the half-open interval from 0 to 1.
pub(super) fn unit(drawn: u64) -> f64 {
    const BITS: u32 = 53;
    (drawn >> (64 - BITS)) as f64 / (1_u64 << BITS) as f64
}

/// The sum of twelve uniform draws less six: mean 0, deviation 1. Only additions, so the same on every machine.
fn standard_normal(drawn: u64) -> f64 {
    let mut state = drawn;
    (0..12).map(|_| unit(mixed(&mut state))).sum::<f64>() - 6.0
}

/// Returns the next number of a SplitMix64 sequence.
pub(super) fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn rounded(ms: f64) -> u64 {
    // A cast from a float stops at the ends of the integer.
    ms.round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(distribution: &Distribution) -> Vec<u64> {
        let mut state = 7;
        let draws = (0..4000).map(|_| distribution.delay(mixed(&mut state)).as_millis() as u64);
        let mut all: Vec<u64> = draws.collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn each_distribution_is_what_its_name_says() {
        assert!(sample(&Distribution::Constant { ms: 5 }).iter().all(|ms| *ms == 5));

        let uniform = sample(&Distribution::Uniform { from_ms: 100, to_ms: 103 });
        assert_eq!((uniform[0], uniform[3999]), (100, 103));
        for value in 100..=103 {
            let count = uniform.iter().filter(|ms| **ms == value).count();
            assert!((900..1100).contains(&count), "{value}: {count}");
        }

        let normal = sample(&Distribution::Normal { mean_ms: 1000, deviation_ms: 100 });
        let mean = normal.iter().sum::<u64>() / 4000;
        assert!((990..1010).contains(&mean), "{mean}");
        let within = normal.iter().filter(|ms| (900..=1100).contains(*ms)).count();
        assert!((2600..2860).contains(&within), "two thirds within one deviation: {within}");

        let pareto = sample(&Distribution::Pareto { least_ms: 100, alpha: 1.5, most_ms: 10_000 });
        assert!(pareto[0] >= 100 && pareto[3999] <= 10_000);
        assert!((150..170).contains(&pareto[2000]), "the median is 100 * 2^(1/1.5): {}", pareto[2000]);

        let lognormal = sample(&Distribution::Lognormal { median_ms: 200, sigma: 0.5, most_ms: 5000 });
        assert!((190..210).contains(&lognormal[2000]), "{}", lognormal[2000]);
    }

    #[test]
    fn nothing_overflows_at_the_ends() {
        let (least, most) = (0, u64::MAX);
        for drawn in [0, 1, u64::MAX / 2, u64::MAX] {
            for distribution in [
                Distribution::Uniform { from_ms: least, to_ms: most },
                Distribution::Uniform { from_ms: 9, to_ms: 3 },
                Distribution::Normal { mean_ms: 0, deviation_ms: most },
                Distribution::Pareto { least_ms: most, alpha: 0.0, most_ms: most },
                Distribution::Lognormal { median_ms: most, sigma: 1e9, most_ms: 7 },
            ] {
                let _ = distribution.delay(drawn);
            }
        }
    }
}
