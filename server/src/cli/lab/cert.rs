//! `epm-lab cert live`, `history`, `renew`, `import`: server certificates in a running lab.

use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use clap::{Args, Subcommand};
use epm_protocol::trust::keystore::MAX_BYTES;
use epm_protocol::trust::{FilePosition, FileRole, KeystoreError, StoreType};
use serde_json::{Value, json};

use super::answer::{Where, rows, table, words};
use super::control_client::segment;
use crate::cli::io::{Ending, Failure, read, read_password};
use crate::cli::print::short;

/// Stores that an update can be for.
pub(super) const STORES: [&str; 3] = ["both", "console", "client"];

/// Commands on the certificates of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum LiveCert {
    /// Show the certificates that the managers of a running lab present, per store
    #[command(after_help = "Example:\n  epm-lab cert live sepm-1")]
    Live {
        /// Show this manager only
        manager: Option<String>,
        #[command(flatten)]
        at: Where,
    },
    /// List the named certificate updates of a manager in a running lab
    #[command(after_help = "Example:\n  epm-lab cert history sepm-1")]
    History(One),
    /// Update a manager in a running lab with a new self-signed certificate
    #[command(after_help = "Example:\n  epm-lab cert renew sepm-2 --name january")]
    Renew {
        #[command(flatten)]
        update: Update,
        /// Common name; defaults to the manager's address
        #[arg(long, value_name = "NAME")]
        common_name: Option<String>,
        /// Validity in days
        #[arg(long, value_name = "DAYS")]
        valid_days: Option<u32>,
    },
    /// Update a manager in a running lab with a given certificate
    #[command(
        after_help = "Examples:\n  epm-lab cert import --name january --certificate server.crt --key server.key\n  epm-lab cert import --name january --keystore server.p12 --password-file password.txt"
    )]
    Import {
        #[command(flatten)]
        update: Update,
        /// Certificate (PEM or DER)
        #[arg(long, value_name = "FILE", requires = "key", required_unless_present = "keystore")]
        certificate: Option<PathBuf>,
        /// Private key of the certificate (PEM or DER)
        #[arg(long, value_name = "FILE", requires = "certificate")]
        key: Option<PathBuf>,
        /// Keystore with certificate and key: JKS, JCEKS or PKCS#12
        #[arg(long, value_name = "FILE", conflicts_with_all = ["certificate", "key"])]
        keystore: Option<PathBuf>,
        /// Type of the keystore: jks, jceks or pkcs12; detected by default
        #[arg(long, requires = "keystore", value_name = "TYPE")]
        store_type: Option<StoreType>,
        /// File with the password of the keystore
        #[arg(long, value_name = "FILE", requires = "keystore")]
        password_file: Option<PathBuf>,
        /// Alias in the keystore; needed if it has several keys
        #[arg(long, value_name = "ALIAS", requires = "keystore")]
        alias: Option<String>,
        /// File with the password of the key, if it is encrypted; defaults to the password of the keystore
        #[arg(long, value_name = "FILE")]
        key_password_file: Option<PathBuf>,
    },
}

/// A manager of a running lab.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Name of the manager
    #[arg(default_value = "sepm-1")]
    manager: String,
    #[command(flatten)]
    at: Where,
}

/// A named update of a manager's certificate.
#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    one: One,
    /// Name of this update; the same update again changes nothing, another one under this name is refused
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Stores to update
    #[arg(long, default_value = "both", value_name = "STORES", value_parser = STORES)]
    stores: String,
}

impl LiveCert {
    pub(crate) async fn go(self) -> Result<Ending, Failure> {
        match self {
            Self::Live { manager: Some(manager), at } => at.show(&certificates(&at, &manager).await?, shown),
            Self::Live { manager: None, at } => {
                let mut all = Vec::new();
                for manager in rows(&at.control()?.get("/v1/site").await?, "/managers") {
                    all.push(certificates(&at, &words(manager, "/name")).await?);
                }
                at.show(&Value::Array(all), |all| rows(all, "").map(shown).collect())
            }
            Self::History(One { manager, at }) => {
                at.show(&certificates(&at, &manager).await?["history"], history)
            }
            Self::Renew { update, common_name, valid_days } => {
                update.give(json!({ "common_name": common_name, "valid_days": valid_days })).await
            }
            Self::Import {
                update,
                certificate,
                key,
                keystore,
                store_type,
                password_file,
                alias,
                key_password_file,
            } => {
                let secret = |file: Option<PathBuf>| file.as_deref().map(read_password).transpose();
                let certificate = json!({
                    "certificate": file(certificate, FileRole::Certificate)?,
                    "key": file(key, FileRole::PrivateKey)?,
                    "keystore": file(keystore, FileRole::Keystore)?,
                    "store_type": store_type,
                    "password": secret(password_file)?,
                    "alias": alias,
                    "key_password": secret(key_password_file)?,
                });
                update.give(certificate).await
            }
        }
    }
}

/// A file with its name, for the control API. One that is too large is refused here, as the manager would.
pub(super) fn file(file: Option<PathBuf>, role: FileRole) -> Result<Option<Value>, Failure> {
    let Some(file) = file else { return Ok(None) };
    let content = read(&file)?;
    let name = file.display().to_string();
    if content.len() > MAX_BYTES {
        let at = FilePosition { file: name, line: None };
        let refusal = KeystoreError::TooLarge { role, at, expected: MAX_BYTES, found: content.len() };
        return Err(Failure::BadInput(refusal.to_string()));
    }
    Ok(Some(json!({ "file": name, "content": BASE64_STANDARD.encode(content) })))
}

/// Fetches a manager's certificates and their history.
pub(super) async fn certificates(at: &Where, manager: &str) -> Result<Value, Failure> {
    at.control()?.get(&format!("/v1/managers/{}/certificate", segment(manager))).await
}

/// Sends a certificate update under its name.
pub(super) async fn update(at: &Where, manager: &str, name: &str, body: &Value) -> Result<Value, Failure> {
    let path = format!("/v1/managers/{}/certificate/{}", segment(manager), segment(name));
    at.control()?.put(&path, body).await
}

impl Update {
    async fn give(self, mut body: Value) -> Result<Ending, Failure> {
        let One { manager, at } = self.one;
        body["stores"] = Value::String(self.stores);
        at.show(&update(&at, &manager, &self.name, &body).await?, shown)
    }
}

/// Prints a manager's certificates per store, and their history.
pub(super) fn shown(found: &Value) -> String {
    let mut text = format!("{}\n", words(found, "/manager"));
    let down: Vec<&str> = rows(found, "/stopped").filter_map(Value::as_str).collect();
    if !down.is_empty() {
        for service in down {
            let why = words(found, &format!("/service_errors/{service}"));
            text.push_str(&format!("STOPPED: {service}: {why}\n"));
        }
    }
    let trouble = words(found, "/console_trouble");
    if !trouble.is_empty() {
        text.push_str(&format!("WARNING: {trouble}\n"));
    }
    let at = |store: &str, name: &str| words(found, &format!("/stores/{store}/{name}"));
    let mut stores: Vec<(&str, &str)> = vec![("client", "clients' port"), ("console", "console")];
    if at("client", "fingerprint") == at("console", "fingerprint") {
        stores = vec![("client", "both stores")];
    }
    for (store, name) in stores {
        text.push_str(&format!(
            "  {name:14} {}\n  {:14} from {} until {}\n",
            at(store, "fingerprint"),
            "",
            at(store, "not_before"),
            at(store, "not_after")
        ));
    }
    if rows(found, "/history").next().is_some() {
        text.push_str(&history(&found["history"]));
    }
    text
}

/// Prints the named updates.
fn history(updates: &Value) -> String {
    let line = |one: &Value| {
        let mut line: Vec<String> =
            ["at", "update", "stores"].iter().map(|name| words(one, &format!("/{name}"))).collect();
        line.push(short(&words(one, "/fingerprint")));
        line
    };
    table(&["at", "update", "stores", "certificate"], rows(updates, "").map(line))
}
