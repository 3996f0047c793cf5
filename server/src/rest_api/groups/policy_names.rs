//! Names of policies and of their parts.

use crate::rest_api::http::ApiError;

/// Checks the name of a policy or of a part of one, as the vendor's description restricts it.
///
/// # Errors
///
/// When the name is empty, too long, or has a character that is not allowed.
pub(super) fn check(name: &str) -> Result<(), ApiError> {
    let is_bad = |c: char| "/\\*?<>|:\"".contains(c);
    if !(1..=255).contains(&name.chars().count()) || name.contains(is_bad) {
        let words = "The field name must have 1 to 255 characters, and none of / \\ * ? < > | : and the quotation mark.";
        return Err(ApiError::Invalid(words.to_owned()));
    }
    Ok(())
}
