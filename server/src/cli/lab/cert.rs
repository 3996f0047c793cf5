//! `epm-lab cert live`, `history`, `renew`, `import`: the server certificates of a running lab's managers.

use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::answer::{Where, rows, words};
use super::control_client::segment;
use super::manager::{history, shown};
use crate::cli::ending::{Ending, Failure};
use crate::cli::io::{read, read_password, read_text};

/// What is done with the certificates of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum LiveCert {
    /// Of a running lab: what each manager shows, per store
    Live {
        /// This manager alone
        manager: Option<String>,
        #[command(flatten)]
        at: Where,
    },
    /// Of a running lab: the updates of a manager that were given a name
    History(One),
    /// In a running lab: let a manager make a new certificate for itself
    Renew {
        #[command(flatten)]
        update: Update,
        /// Its common name; the manager's address when absent
        #[arg(long, value_name = "NAME")]
        common_name: Option<String>,
        /// For how many days it is valid
        #[arg(long, value_name = "DAYS")]
        valid_days: Option<u32>,
    },
    /// In a running lab: give a manager this certificate
    Import {
        #[command(flatten)]
        update: Update,
        /// The certificate, in PEM
        #[arg(long, value_name = "FILE", requires = "key", required_unless_present = "keystore")]
        certificate: Option<PathBuf>,
        /// Its private key, in PEM
        #[arg(long, value_name = "FILE", requires = "certificate")]
        key: Option<PathBuf>,
        /// A keystore instead: JKS, JCEKS or PKCS#12
        #[arg(long, value_name = "FILE", conflicts_with_all = ["certificate", "key"])]
        keystore: Option<PathBuf>,
        /// The file with the password of the keystore
        #[arg(long, value_name = "FILE", requires = "keystore")]
        password_file: Option<PathBuf>,
        /// Under which alias the keystore has it; the only key that there is when absent
        #[arg(long, value_name = "ALIAS", requires = "keystore")]
        alias: Option<String>,
        /// The file with the password of the key, if it is encrypted; in a keystore that of the store when absent
        #[arg(long, value_name = "FILE")]
        key_password_file: Option<PathBuf>,
    },
}

/// A manager of a running lab.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The manager
    #[arg(default_value = "sepm-1")]
    manager: String,
    #[command(flatten)]
    at: Where,
}

/// An update of its certificate.
#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    one: One,
    /// A name for this update: the same name again changes nothing
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Which stores get it: both, console or client
    #[arg(long, default_value = "both", value_name = "STORES")]
    stores: String,
}

impl LiveCert {
    pub(crate) async fn go(self) -> Result<Ending, Failure> {
        match self {
            Self::Live { manager: Some(manager), at } => {
                let one = One { manager, at };
                one.at.show(&one.found().await?, shown)
            }
            Self::Live { manager: None, at } => {
                let mut all = Vec::new();
                for manager in rows(&at.control()?.get("/v1/site").await?, "/managers") {
                    let one = One { manager: words(manager, "/name"), at: at.clone() };
                    all.push(one.found().await?);
                }
                at.show(&Value::Array(all), |all| rows(all, "").map(shown).collect())
            }
            Self::History(one) => one.at.show(&one.found().await?["history"], history),
            Self::Renew { update, common_name, valid_days } => {
                update.give(json!({ "common-name": common_name, "valid-days": valid_days })).await
            }
            Self::Import { update, certificate, key, keystore, password_file, alias, key_password_file } => {
                let text = |file: Option<PathBuf>| file.as_deref().map(read_text).transpose();
                let secret = |file: Option<PathBuf>| file.as_deref().map(read_password).transpose();
                let keystore = keystore.as_deref().map(read).transpose()?;
                let certificate = json!({
                    "certificate": text(certificate)?,
                    "key": text(key)?,
                    "keystore": keystore.map(|content| BASE64_STANDARD.encode(content)),
                    "password": secret(password_file)?,
                    "alias": alias,
                    "key-password": secret(key_password_file)?,
                });
                update.give(certificate).await
            }
        }
    }
}

impl One {
    fn path(&self) -> String {
        format!("/v1/managers/{}/certificate", segment(&self.manager))
    }

    async fn found(&self) -> Result<Value, Failure> {
        self.at.control()?.get(&self.path()).await
    }
}

impl Update {
    async fn give(self, mut body: Value) -> Result<Ending, Failure> {
        body["stores"] = Value::String(self.stores);
        let path = format!("{}/{}", self.one.path(), segment(&self.name));
        let found = self.one.at.control()?.put(&path, &body).await?;
        self.one.at.show(&found, shown)
    }
}
