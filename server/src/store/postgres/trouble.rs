//! Why the database cannot be used.

use std::time::Duration;

use super::place::{NO_POSTGRESQL_HINT, Place, why};
use crate::store::StoreError;

/// The longest wait for an answer of the database.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

/// The longest wait for a connection: less than that for an answer, of which it is a part.
pub(super) const CONNECTING: Duration = Duration::from_secs(4);

/// Why something does not work, without saying where.
pub(super) enum Trouble {
    Database(tokio_postgres::Error),
    /// What is wrong, in words.
    Other(String),
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl Trouble {
    pub(super) fn slow() -> Self {
        Self::Other(format!("no answer in {} s", LIMIT.as_secs()))
    }

    /// No answer to an attempt to connect.
    pub(super) fn silent() -> Self {
        Self::Other(format!("no answer in {} s; {NO_POSTGRESQL_HINT}", CONNECTING.as_secs()))
    }

    pub(super) fn ended() -> Self {
        Self::Other("the connection has ended".to_owned())
    }

    /// Something in the database is not what this program has written.
    pub(super) fn damaged(mut why: String) -> Self {
        why.insert_str(0, "the database is damaged: ");
        Self::Other(why)
    }

    /// The error at this database.
    pub(super) fn at(&self, place: &Place) -> StoreError {
        StoreError::Database { place: place.to_string(), why: self.reason() }
    }

    /// What went wrong, without the place.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Database(error) => why(error),
            Self::Other(text) => text.clone(),
        }
    }
}
