//! Suggests the nearest known name for an unknown one.

use crate::excerpt::quoted;

/// The longest name that is compared.
const LONGEST: usize = 256;
/// The largest number of names that are compared.
const MOST: usize = 1000;

/// Returns the name in `known` that was most likely meant by `found`; none if no name is near. A path is also near to its last name.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The cost of a distance is the product of both lengths, and names of very different lengths are never near.
    let is_last =
        |name: &str| name.rsplit_once('\\').is_some_and(|(_, last)| last.eq_ignore_ascii_case(found));
    let is_comparable = |name: &&str| {
        name.len() <= LONGEST && (is_last(name) || found.len().abs_diff(name.len()) <= 2.max(name.len() / 3))
    };
    if found.len() > LONGEST {
        return None;
    }
    known
        .into_iter()
        .filter(is_comparable)
        .take(MOST)
        .map(|name| match is_last(name) {
            true => (0, name),
            false => (strsim::damerau_levenshtein(&found.to_lowercase(), &name.to_lowercase()), name),
        })
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Returns `; did you mean "x"?`, or nothing.
pub fn hint<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(found, known).map(|name| format!("; did you mean {}?", quoted(name))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_of_long_names_takes_no_time() {
        let long = "x".repeat(100_000);
        assert_eq!(nearest(&long, ["x"]), None);
        assert_eq!(
            nearest("wiat", std::iter::repeat_n(long.as_str(), 100_000).chain(["wait"])),
            Some("wait")
        );
        assert_eq!(nearest("wiat", std::iter::repeat_n("zebra", MOST).chain(["wait"])), None);
    }

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_another_word_is_not() {
        assert_eq!(nearest("heartbaet", ["wait", "heartbeat"]), Some("heartbeat"));
        assert_eq!(nearest("zebra", ["wait", "heartbeat"]), None);
        assert_eq!(hint("Wiat", ["wait"]), "; did you mean \"wait\"?");
        let groups = ["My Company", "My Company\\Servers"];
        assert_eq!(hint("servers", groups), "; did you mean \"My Company\\Servers\"?");
    }
}
