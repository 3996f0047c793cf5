//! `epm-lab snapshot`: snapshots of a running lab.

use clap::Subcommand;
use serde_json::{Value, json};

use super::answer::{Act, Where, known, table, words};
use super::control_client::segment;
use crate::cli::io::{Ending, Failure};

/// Commands on the snapshots of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotVerb {
    /// List the snapshots
    #[command(after_help = "Example:\n  epm-lab snapshot list")]
    List,
    /// Take a snapshot of the lab
    #[command(after_help = "Example:\n  epm-lab snapshot take before-update")]
    Take {
        /// Name of the snapshot; an existing name is an error
        name: String,
    },
    /// Return the lab to a snapshot
    #[command(after_help = "Example:\n  epm-lab snapshot restore before-update")]
    Restore {
        /// Name of the snapshot
        name: String,
    },
    /// Remove a snapshot
    #[command(after_help = "Example:\n  epm-lab snapshot remove before-update")]
    Remove {
        /// Name of the snapshot
        name: String,
    },
    /// Return the lab to its state right after its start
    #[command(after_help = "Example:\n  epm-lab snapshot reset")]
    Reset,
}

impl Act for SnapshotVerb {
    async fn act(self, at: &Where) -> Result<Ending, Failure> {
        let control = at.control()?;
        let path = |name: &str| format!("/v1/snapshots/{}", segment(name));
        let restored =
            |found: &Value| format!("Restored the lab's state of {:?}.\n", words(found, "/restored"));
        match self {
            Self::List => at.show(&control.get("/v1/snapshots").await?, |all| listed(all.as_array())),
            Self::Remove { name } => {
                known(&control.get("/v1/snapshots").await?, "snapshot", &name)?;
                at.show(&control.delete(&path(&name)).await?, |all| listed(all.as_array()))
            }
            Self::Take { name } => {
                let found = control.put(&path(&name), &json!({})).await?;
                at.show(&found, |one| listed(Some(&vec![one.clone()])))
            }
            Self::Restore { name } => {
                known(&control.get("/v1/snapshots").await?, "snapshot", &name)?;
                at.show(&control.post(&format!("{}/restore", path(&name)), &json!({})).await?, restored)
            }
            Self::Reset => at.show(&control.post("/v1/reset", &json!({})).await?, restored),
        }
    }
}

fn listed(all: Option<&Vec<Value>>) -> String {
    let lines = all
        .into_iter()
        .flatten()
        .map(|one| vec![words(one, "/name"), words(one, "/at"), words(one, "/clients")]);
    table(&["snapshot", "lab time", "clients"], lines)
}
