//! The steps of two runs beside each other.

use schemars::JsonSchema;
use serde::Serialize;

/// Largest number of steps that are lined up with each other.
const MOST_STEPS: usize = 1000;

/// A step of one run, beside the same one of the other.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StepPair {
    /// What was done.
    pub(crate) title: String,
    /// Lab time until the next step in the first run, in milliseconds; absent if the first run does not have the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_ms: Option<u64>,
    /// The same of the second run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) second_ms: Option<u64>,
}

/// Lines up the steps of two runs by their titles: the longest common sequence, others where they belong.
pub(super) fn lined_up(first: &[(String, u64)], second: &[(String, u64)]) -> Vec<StepPair> {
    let (rest, other_rest) = (&first[first.len().min(MOST_STEPS)..], &second[second.len().min(MOST_STEPS)..]);
    let (first, second) = (&first[..first.len() - rest.len()], &second[..second.len() - other_rest.len()]);
    // The length of the longest common sequence of what follows.
    let mut longest = vec![vec![0_u16; second.len() + 1]; first.len() + 1];
    for at in (0..first.len()).rev() {
        for other in (0..second.len()).rev() {
            longest[at][other] = if first[at].0 == second[other].0 {
                longest[at + 1][other + 1] + 1
            } else {
                longest[at + 1][other].max(longest[at][other + 1])
            };
        }
    }
    let (mut at, mut other, mut pairs) = (0, 0, Vec::new());
    let pair = |title: &String, first_ms, second_ms| StepPair { title: title.clone(), first_ms, second_ms };
    while at < first.len() || other < second.len() {
        let (here, there) = (first.get(at), second.get(other));
        match (here, there) {
            (Some((title, one)), Some((same, two))) if title == same => {
                pairs.push(pair(title, Some(*one), Some(*two)));
                (at, other) = (at + 1, other + 1);
            }
            (Some((title, one)), _)
                if there.is_none() || longest[at + 1][other] >= longest[at][other + 1] =>
            {
                pairs.push(pair(title, Some(*one), None));
                at += 1;
            }
            (_, Some((title, two))) => {
                pairs.push(pair(title, None, Some(*two)));
                other += 1;
            }
            _ => break,
        }
    }
    pairs.extend(rest.iter().map(|(title, one)| pair(title, Some(*one), None)));
    pairs.extend(other_rest.iter().map(|(title, two)| pair(title, None, Some(*two))));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_lined_up_by_what_is_common_to_both() {
        let run = |titles: &str| -> Vec<(String, u64)> {
            titles.chars().zip(1..).map(|(title, number)| (title.to_string(), number)).collect()
        };
        for (first, second, expected) in [
            ("abcd", "abcd", "a11 b22 c33 d44"),
            ("abcd", "acd", "a11 b2- c32 d43"),
            ("acd", "abcd", "a11 b-2 c23 d34"),
            ("ab", "", "a1- b2-"),
            ("", "ab", "a-1 b-2"),
            ("ab", "ba", "a1- b21 a-2"),
            ("aa", "a", "a11 a2-"),
        ] {
            let shown = |one: Option<u64>| one.map_or_else(|| "-".to_owned(), |one| one.to_string());
            let pairs = lined_up(&run(first), &run(second));
            let pairs = pairs
                .iter()
                .map(|one| format!("{}{}{}", one.title, shown(one.first_ms), shown(one.second_ms)));
            assert_eq!(pairs.collect::<Vec<_>>().join(" "), expected, "{first} {second}");
        }
        let long = run(&"a".repeat(MOST_STEPS + 2));
        assert_eq!(
            lined_up(&long, &long).len(),
            MOST_STEPS + 4,
            "what is not lined up is shown all the same"
        );
    }
}
