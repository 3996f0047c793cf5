//! Room for exceptions policies and host groups.

use serde::Serialize;

use crate::rest_api::http::ApiError;
use crate::rest_api::system::store::{MOST_BYTES, Stored};

/// Refuses an object that does not fit beside the others.
pub(super) fn check(kept: &Stored, more: &impl Serialize) -> Result<(), ApiError> {
    if kept.has_room_for(more) {
        return Ok(());
    }
    Err(ApiError::Invalid(format!(
        "The exceptions policies and host groups would have more than {MOST_BYTES} bytes in total."
    )))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use epm_protocol::id::Guid;
    use epm_protocol::time::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::rest_api::system::store::HostGroup;

    #[test]
    fn objects_are_refused_that_do_not_fit_beside_the_others() {
        let group = |bytes: usize| HostGroup {
            name: "hosts".to_owned(),
            hosts: vec![json!({ "name": "x".repeat(bytes) }).as_object().unwrap().clone()],
            modified: Timestamp::EPOCH,
        };
        let half = MOST_BYTES / 2;
        let mut kept = Stored::default();
        check(&kept, &group(half)).unwrap();
        kept.host_groups.insert(Guid::from_bytes([1; 16]), group(half));
        check(&kept, &group(half / 2)).unwrap();
        assert!(check(&kept, &group(half)).is_err());
    }
}
