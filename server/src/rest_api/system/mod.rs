pub(super) mod domains;
pub(super) mod server_info;
pub(super) mod store;
pub(super) mod version;
