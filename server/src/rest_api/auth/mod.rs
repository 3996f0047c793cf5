//! Login, tokens and administrators.

pub(super) mod admin_store;
pub(super) mod admin_users;
pub(super) mod identity;
pub(super) mod tokens;
mod url_decoder;
