//! Domains, the version, the manager itself, and the store of settings that clients do not see.

pub(super) mod domains;
pub(super) mod server_info;
pub(super) mod store;
pub(super) mod version;
