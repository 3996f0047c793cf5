//! The administrators of a site and their passwords.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use epm_protocol::id::Guid;
use parking_lot::RwLock;
use schemars::JsonSchema;
use serde::Serialize;

/// User name of the administrator that every site starts with.
pub(crate) const DEFAULT_USER: &str = "admin";
/// Default password of that administrator; accepted on loopback only.
pub(crate) const DEFAULT_PASSWORD: &str = "epm-lab";

/// A password that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(String);

/// An administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Administrator {
    /// Identifier of the administrator.
    pub(crate) id: Guid,
    /// User name for logging in.
    pub(crate) login_name: String,
    /// Display name.
    pub(crate) full_name: String,
    /// E-mail address.
    pub(crate) email: String,
    /// Role of the administrator.
    pub(crate) role: Role,
    /// Password for logging in.
    pub(crate) password: Password,
    /// 0 for a password, 1 for RSA SecurID, 2 for a directory. The lab checks the password in each case, in place of the
    /// other servers.
    pub(crate) authentication_method: i32,
}

/// Role of an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Role {
    /// 8 for a system administrator, 4 for a domain administrator, 2 for a limited one.
    pub(crate) bit_mask: u32,
    /// Name of the role.
    pub(crate) title: &'static str,
}

/// All administrators of a site.
#[derive(Debug)]
pub(crate) struct Administrators(RwLock<Vec<Arc<Administrator>>>);

impl Role {
    /// The role of an administrator of this type, as the vendor's description of the API names the types: 1 system, 2
    /// domain, 3 limited.
    pub(crate) fn of_type(admin_type: i32) -> Option<Self> {
        let (bit_mask, title) = match admin_type {
            1 => (8, "sysadmin"),
            2 => (4, "domainadmin"),
            3 => (2, "limitedadmin"),
            _ => return None,
        };
        Some(Self { bit_mask, title })
    }

    /// Type of an administrator with this role.
    pub(crate) fn admin_type(self) -> i32 {
        match self.bit_mask {
            8 => 1,
            4 => 2,
            _ => 3,
        }
    }
}

impl Password {
    /// Stores a password.
    pub(crate) fn new(password: &str) -> Self {
        Self(password.to_owned())
    }

    /// The password as text.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Whether this is the password. Takes the same time for each wrong one of a length.
    pub(crate) fn is(&self, given: &str) -> bool {
        // Of equal length, so that neither the time nor its end depends on the password.
        let [own, given] = [&self.0, given].map(|text| digest(&SHA256, text.as_bytes()));
        verify_slices_are_equal(own.as_ref(), given.as_ref()).is_ok()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Administrator {
    /// The system administrator that a site starts with.
    pub(crate) fn first(login_name: &str, password: &str) -> Self {
        Self {
            id: Guid::derive(0, "administrator", login_name, Ipv4Addr::LOCALHOST),
            login_name: login_name.to_owned(),
            full_name: "Administrator".to_owned(),
            email: String::new(),
            role: Role { bit_mask: 8, title: "sysadmin" },
            password: Password::new(password),
            authentication_method: 0,
        }
    }
}

impl Administrators {
    /// A site with this administrator only.
    pub(crate) fn new(first: Administrator) -> Self {
        Self(RwLock::new(vec![Arc::new(first)]))
    }

    /// All administrators.
    pub(crate) fn all(&self) -> Vec<Arc<Administrator>> {
        self.0.read().clone()
    }

    /// Changes the administrators.
    pub(crate) fn change<R>(&self, with: impl FnOnce(&mut Vec<Arc<Administrator>>) -> R) -> R {
        with(&mut self.0.write())
    }

    /// The administrator with this user name.
    pub(crate) fn named(&self, user: &str) -> Option<Arc<Administrator>> {
        self.0.read().iter().find(|one| one.login_name == user).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        let password = Password::new("a+b %&x");
        assert!(password.is("a+b %&x") && !password.is("") && !password.is("a%2Bb%20%25%26x"));
        assert!(!format!("{:?}", Administrator::first("admin", "secret")).contains("secret"));
    }
}
