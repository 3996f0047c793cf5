//! Names that a lab is given for things of its own: parts of the fleet, faults, baselines, snapshots, expectations and
//! updates of certificates.

/// The largest number of characters of a name.
pub const LONGEST_NAME: usize = 128;

/// The reason why a name is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid name of {kind}: expected 1 to {LONGEST_NAME} characters without control characters, found {found}; choose another name"
)]
pub struct InvalidName {
    /// The kind of thing that the name is for, such as a snapshot.
    kind: &'static str,
    /// The problem with the name.
    found: String,
}

/// Checks a name; `kind` says what it is for, with its article.
///
/// # Errors
/// If the name is blank or too long, or has a control character.
pub fn check_name(kind: &'static str, name: &str) -> Result<(), InvalidName> {
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
        let check = |name: &str| check_name("a snapshot", name).map_err(|error| error.to_string());
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
