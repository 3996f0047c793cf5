//! `epm-lab manager`: the server certificates of a running lab's managers, the restart of their services, and replication.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::answer::{Act, Where, rows, words};
use super::cert;
use super::control_client::segment;
use crate::cli::io::{Ending, Failure, read_text};

/// What is done to the managers of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum ManagerVerb {
    /// Show the certificates of one, per store, and their history
    Certificate {
        /// The manager
        #[arg(default_value = "sepm-1")]
        manager: String,
    },
    /// Update the server certificate of one: it makes a new one, or takes this one
    Update {
        /// The manager
        #[arg(default_value = "sepm-1")]
        manager: String,
        /// A name for this update: the same name again changes nothing
        #[arg(long, default_value = "update-1", value_name = "NAME")]
        name: String,
        /// The certificate, in PEM
        #[arg(long, requires = "key", value_name = "FILE")]
        certificate: Option<PathBuf>,
        /// Its private key, in PEM, not encrypted
        #[arg(long, requires = "certificate", value_name = "FILE")]
        key: Option<PathBuf>,
        /// The common name of a new one
        #[arg(long, value_name = "NAME")]
        common_name: Option<String>,
        /// For how many days a new one is valid
        #[arg(long, value_name = "DAYS")]
        valid_days: Option<u32>,
        /// Which stores get it: both, console or client
        #[arg(long, default_value = "both", value_name = "STORES")]
        stores: String,
    },
    /// Show whether one replicates with the others, break its replication, or restore it
    Replication {
        /// The manager
        #[arg(default_value = "sepm-1")]
        manager: String,
        /// Break it: what is done from now on is done at the others, the manager's own certificate aside
        #[arg(long = "break", conflicts_with = "restore")]
        breaks: bool,
        /// Restore it
        #[arg(long)]
        restore: bool,
    },
    /// Restart the services of one
    Restart {
        /// The manager
        #[arg(default_value = "sepm-1")]
        manager: String,
        /// One of them alone: semsrv, the console and the REST API, or semwebsrv, the clients' port
        #[arg(long, value_name = "SERVICE")]
        service: Option<String>,
    },
}

/// What is done to one service of a running lab's manager.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceVerb {
    /// Restart it: it reads its files again
    Restart {
        /// semsrv, the console and the REST API, or semwebsrv, the clients' port
        service: String,
        /// The manager
        #[arg(long, default_value = "sepm-1", value_name = "NAME")]
        manager: String,
    },
}

impl Act for ServiceVerb {
    async fn act(self, at: &Where) -> Result<Ending, Failure> {
        let Self::Restart { service, manager } = self;
        ManagerVerb::Restart { manager, service: Some(service) }.act(at).await
    }
}

impl Act for ManagerVerb {
    async fn act(self, at: &Where) -> Result<Ending, Failure> {
        let control = at.control()?;
        let path = |manager: &str| format!("/v1/managers/{}", segment(manager));
        let found = match self {
            Self::Certificate { manager } => cert::certificates(at, &manager).await?,
            Self::Restart { manager, service } => {
                control.post(&format!("{}/restart", path(&manager)), &json!({ "service": service })).await?
            }
            Self::Replication { manager, breaks, restore } => {
                let path = format!("{}/replication", path(&manager));
                let found = if breaks || restore {
                    control.put(&path, &json!({ "replicates": restore })).await?
                } else {
                    control.get(&path).await?
                };
                return at.show(&found, replicating);
            }
            Self::Update { manager, name, certificate, key, common_name, valid_days, stores } => {
                let body = json!({
                    "certificate": certificate.as_deref().map(read_text).transpose()?,
                    "key": key.as_deref().map(read_text).transpose()?,
                    "common_name": common_name,
                    "valid_days": valid_days,
                    "stores": stores,
                });
                cert::update(at, &manager, &name, &body).await?
            }
        };
        at.show(&found, cert::shown)?;
        Ok(if rows(&found, "/stopped").next().is_some() { Ending::NotWell } else { Ending::Well })
    }
}

fn replicating(found: &Value) -> String {
    let partners: Vec<String> =
        rows(found, "/partners").filter_map(Value::as_str).map(str::to_owned).collect();
    let manager = words(found, "/manager");
    match (words(found, "/broken_since"), partners.join(", ")) {
        (since, _) if !since.is_empty() => {
            format!("{manager} goes on with what it knew at {since}: its replication is broken\n")
        }
        (_, partners) if partners.is_empty() => format!("{manager} replicates with nobody\n"),
        (_, partners) => format!("{manager} replicates with {partners}\n"),
    }
}
