//! The database of a site: where it is, and its password.

use std::path::PathBuf;

use clap::Args;

/// The database of a site.
#[derive(Debug, Args)]
pub(super) struct Database {
    /// PostgreSQL database of the site, as postgres://USER@HOST:PORT/DATABASE, without a password. On another machine: with
    /// `?sslrootcert=FILE` the database needs a certificate of that authority; `?sslmode=require` encrypts and trusts any
    /// server; `?sslmode=disable` does not encrypt
    #[arg(long, env = "EPM_LAB_SITE", value_name = "URL")]
    site: String,
    /// File with the password of the database; otherwise PGPASSWORD, or the file of passwords that PGPASSFILE names
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[cfg(feature = "postgres")]
mod open {
    use std::ffi::OsString;
    use std::path::Path;

    use crate::StoreError;
    use crate::cli::io::{Failure, read_password, read_text};
    use crate::cli::site::database::Database;
    use crate::cli::up_files::check_permissions;
    use crate::store::postgres::{Passwords, PgStore, Place};

    impl Database {
        /// The database; nothing is connected yet.
        pub(crate) fn open(&self) -> Result<PgStore, Failure> {
            let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
            let text = |name: &str, value: OsString| {
                value.into_string().map_err(|_| Failure::BadInput(format!("{name}: expected text in UTF-8")))
            };
            let own = match (&self.password_file, variable("PGPASSWORD")) {
                (Some(file), _) => {
                    check_permissions(file, "password")?;
                    Some(read_password(file)?)
                }
                (None, Some(password)) => Some(text("PGPASSWORD", password)?),
                (None, None) => None,
            };
            let file = match variable("PGPASSFILE").filter(|_| own.is_none()) {
                Some(file) => {
                    let file = std::path::PathBuf::from(file);
                    check_permissions(&file, "passwords")?;
                    let text = read_text(&file)?;
                    Some((file, text))
                }
                None => None,
            };
            let read = |file: &Path| {
                std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
            };
            let place = Place::read(&self.site, &Passwords { own, file: file.map(|(_, text)| text) }, read);
            let place = place.map_err(|why| Failure::BadInput(format!("`--site`: {why}")))?;
            PgStore::new(place).map_err(|error| failed(&error))
        }
    }

    /// A failure of the database; one without a site of this program is the wrong one, and so invalid input.
    pub(crate) fn failed(error: &StoreError) -> Failure {
        match error {
            StoreError::NotFounded { .. } | StoreError::OtherVersion { .. } => {
                Failure::BadInput(error.to_string())
            }
            _ => Failure::Failed(error.to_string()),
        }
    }
}

#[cfg(feature = "postgres")]
pub(super) use open::failed;

/// What a program says that was built without PostgreSQL.
#[cfg(not(feature = "postgres"))]
pub(super) const MISSING: &str = "this epm-lab was built without PostgreSQL: take it from the packages or the image, or build it with \
     `cargo build --package epm-server --features postgres`";
