//! `epm-lab manager`: certificates, services and replication of the managers of a running lab.

use std::path::PathBuf;

use clap::Subcommand;
use epm_protocol::trust::FileRole;
use serde_json::{Value, json};

use super::answer::{Act, Where, rows, words};
use super::cert;
use super::control_client::segment;
use crate::cli::io::{Ending, Failure, notice};

/// Services of a manager.
const SERVICES: [&str; 2] = ["semsrv", "semwebsrv"];

/// Commands on the managers of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum ManagerVerb {
    /// Show a manager's certificates per store, and their history
    #[command(after_help = "Example:\n  epm-lab manager certificate sepm-1")]
    Certificate {
        /// Name of the manager
        #[arg(default_value = "sepm-1")]
        manager: String,
    },
    /// Update a manager's server certificate with a new self-signed one, or with a given one
    #[command(after_help = "Example:\n  epm-lab manager update sepm-1 --name january --valid-days 365")]
    Update {
        /// Name of the manager
        #[arg(default_value = "sepm-1")]
        manager: String,
        /// Name of this update; the same update again changes nothing, another one under this name is refused
        #[arg(long, default_value = "update-1", value_name = "NAME")]
        name: String,
        /// Certificate (PEM or DER); defaults to a new self-signed one
        #[arg(long, requires = "key", value_name = "FILE")]
        certificate: Option<PathBuf>,
        /// Private key of the certificate (PEM or DER, not encrypted; `epm-lab cert import` takes an encrypted one)
        #[arg(long, requires = "certificate", value_name = "FILE")]
        key: Option<PathBuf>,
        /// Common name of a new certificate; defaults to the manager's address
        #[arg(long, value_name = "NAME")]
        common_name: Option<String>,
        /// Validity of a new certificate in days
        #[arg(long, value_name = "DAYS")]
        valid_days: Option<u32>,
        /// Stores to update
        #[arg(long, default_value = "both", value_name = "STORES", value_parser = cert::STORES)]
        stores: String,
    },
    /// Show, break or restore a manager's replication with the other managers
    #[command(
        after_help = "Examples:\n  epm-lab manager replication sepm-2 --break\n  epm-lab manager replication sepm-2 --restore"
    )]
    Replication {
        /// Name of the manager
        #[arg(default_value = "sepm-1")]
        manager: String,
        /// Stop replicating. Later changes reach only the other managers; certificate updates of this manager stay
        /// local
        #[arg(long = "break", conflicts_with = "restore")]
        breaks: bool,
        /// Resume replicating
        #[arg(long)]
        restore: bool,
    },
    /// Restart the services of a manager
    #[command(after_help = "Example:\n  epm-lab manager restart sepm-1 --service semwebsrv")]
    Restart {
        /// Name of the manager
        #[arg(default_value = "sepm-1")]
        manager: String,
        /// Restart this service only: semsrv (console and REST API) or semwebsrv (clients' port)
        #[arg(long, value_name = "SERVICE", value_parser = SERVICES)]
        service: Option<String>,
    },
}

/// Commands on a service of a manager in a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceVerb {
    /// Restart a service, so that it reads its files again
    #[command(after_help = "Example:\n  epm-lab service restart semwebsrv --manager sepm-1")]
    Restart {
        /// Service: semsrv (console and REST API) or semwebsrv (clients' port)
        #[arg(value_parser = SERVICES)]
        service: String,
        /// Name of the manager
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
                    "certificate": cert::file(certificate, FileRole::Certificate)?,
                    "key": cert::file(key, FileRole::PrivateKey)?,
                    "common_name": common_name,
                    "valid_days": valid_days,
                    "stores": stores,
                });
                let path = format!("/v1/managers/{}/certificate", segment(&manager));
                let before = at.control()?.get(&path).await?;
                let found = cert::update(at, &manager, &name, &body).await?;
                if before["stores"] == found["stores"] {
                    notice(&format!(
                        "nothing was changed: {manager} had this certificate already, by the update {name:?} or another one; a further \
                         update needs another `--name`\n"
                    ));
                }
                found
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
            format!("{manager} has not replicated since {since}: its replication is broken\n")
        }
        (_, partners) if partners.is_empty() => format!("{manager} has no replication partner\n"),
        (_, partners) => format!("{manager} replicates with {partners}\n"),
    }
}
