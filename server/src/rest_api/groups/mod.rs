//! Groups, locations, policies, settings and fingerprint lists.

pub(super) mod exceptions;
pub(super) mod external_communication;
pub(super) mod fingerprints;
pub(super) mod group;
pub(super) mod host_groups;
pub(super) mod locations;
pub(super) mod policies;
mod policy_names;
mod room;
pub(super) mod settings;
mod shape;
