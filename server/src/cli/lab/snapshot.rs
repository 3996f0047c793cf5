//! `epm-lab snapshot`: a running lab as it was.

use clap::Subcommand;
use serde_json::{Value, json};

use super::answer::{Act, Where, table, words};
use super::control_client::segment;
use crate::cli::io::{Ending, Failure};

/// What is done with snapshots of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotVerb {
    /// List them
    List,
    /// Keep the lab as it is
    Take {
        /// A name that is free
        name: String,
    },
    /// Let the lab become what it was
    Restore {
        /// The snapshot
        name: String,
    },
    /// Forget one
    Remove {
        /// The snapshot
        name: String,
    },
    /// Let the lab become what it was when it had started
    Reset,
}

impl Act for SnapshotVerb {
    async fn act(self, at: &Where) -> Result<Ending, Failure> {
        let control = at.control()?;
        let path = |name: &str| format!("/v1/snapshots/{}", segment(name));
        let restored =
            |found: &Value| format!("The lab is what it was at {:?}.\n", words(found, "/restored"));
        match self {
            Self::List => at.show(&control.get("/v1/snapshots").await?, |all| listed(all.as_array())),
            Self::Remove { name } => {
                at.show(&control.delete(&path(&name)).await?, |all| listed(all.as_array()))
            }
            Self::Take { name } => {
                let found = control.put(&path(&name), &json!({})).await?;
                at.show(&found, |one| listed(Some(&vec![one.clone()])))
            }
            Self::Restore { name } => {
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
    table(&["snapshot", "the lab's time", "clients"], lines)
}
