//! Groups, locations, policies, settings and fingerprint lists.

pub(super) mod external_communication;
pub(super) mod fingerprints;
pub(super) mod group;
pub(super) mod locations;
pub(super) mod policies;
pub(super) mod settings;
