//! Names under which a lab saves states of itself: baselines and snapshots.

/// Maximum number of characters of a name.
pub(crate) const LONGEST_NAME: usize = 128;

/// Why a name is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid name of a {kind}: expected 1 to {LONGEST_NAME} characters without control characters, found {found}; choose another name"
)]
pub struct InvalidName {
    /// What the name is for: a baseline or a snapshot.
    kind: &'static str,
    /// What is wrong with the name.
    found: String,
}

/// Checks the name of something that is to be saved; `kind` says what it is.
///
/// # Errors
///
/// When the name is blank or too long, or has a control character.
pub(super) fn check_name(kind: &'static str, name: &str) -> Result<(), InvalidName> {
    let characters = name.chars().count();
    let found = if name.trim().is_empty() {
        "a blank one".to_owned()
    } else if characters > LONGEST_NAME {
        format!("{characters} characters")
    } else if let Some(one) = name.chars().find(|one| one.is_control()) {
        format!("the control character {one:?}")
    } else {
        return Ok(());
    };
    Err(InvalidName { kind, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_at_most_128_characters_and_no_control_character() {
        let check = |name: &str| check_name("snapshot", name).map_err(|error| error.to_string());
        assert_eq!(check(&"é".repeat(LONGEST_NAME)), Ok(()));
        for (name, found) in [
            ("x".repeat(LONGEST_NAME + 1), "found 129 characters"),
            (" ".to_owned(), "found a blank one"),
            ("a\nb".to_owned(), r"found the control character '\n'"),
        ] {
            let error = check(&name).unwrap_err();
            assert!(error.starts_with("invalid name of a snapshot") && error.contains(found), "{error}");
        }
    }
}
