//! `epm-lab list`: the management server lists of a running lab, and who uses them.

use clap::Subcommand;
use serde_json::{Value, json};

use super::answer::{Act, Where, rows, table, words};
use super::control_client::segment;
use crate::cli::io::{Ending, Failure};

/// What is done to the management server lists of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum ListVerb {
    /// List them, with who uses each
    List,
    /// Show one
    Show {
        /// Its name
        list: String,
    },
    /// Copy one under another name
    Copy {
        /// The list to copy
        from: String,
        /// The name of the copy
        to: String,
    },
    /// Edit one; what is not named stays
    Edit {
        /// Its name
        list: String,
        /// What its clients speak: http or https
        #[arg(long, value_name = "PROTOCOL")]
        protocol: Option<String>,
        /// Whether clients hold a server's certificate against its name as well
        #[arg(long, value_name = "BOOL")]
        verify_ca: Option<bool>,
        /// The managers of one priority, with commas between; again for the next priority
        #[arg(long = "priority", value_name = "MANAGER,..")]
        priorities: Vec<String>,
    },
    /// Assign one to a group, or to one of its locations
    Assign {
        /// Its name
        list: String,
        /// The group's full path
        group: String,
        /// The location
        #[arg(long, value_name = "NAME")]
        location: Option<String>,
    },
    /// Remove one that nobody uses
    Remove {
        /// Its name
        list: String,
    },
}

impl Act for ListVerb {
    async fn act(self, at: &Where) -> Result<Ending, Failure> {
        let control = at.control()?;
        let path = |list: &str| format!("/v1/lists/{}", segment(list));
        let found = match self {
            Self::List => return at.show(&control.get("/v1/lists").await?, |all| listed(all.as_array())),
            Self::Remove { list } => {
                return at.show(&control.delete(&path(&list)).await?, |all| listed(all.as_array()));
            }
            Self::Show { list } => control.get(&path(&list)).await?,
            Self::Copy { from, to } => control.put(&path(&to), &json!({ "copy_of": from })).await?,
            Self::Edit { list, protocol, verify_ca, priorities } => {
                let _ = control.get(&path(&list)).await?; // an edit makes no list
                let blocks: Vec<Value> = priorities
                    .iter()
                    .map(|block| block.split(',').map(|name| json!({ "manager": name.trim() })).collect())
                    .collect();
                let priorities = if blocks.is_empty() { Value::Null } else { Value::Array(blocks) };
                let body = json!({ "protocol": protocol, "verify_ca": verify_ca, "priorities": priorities });
                control.put(&path(&list), &body).await?
            }
            Self::Assign { list, group, location } => {
                let body = json!({ "group": group, "location": location });
                control.put(&format!("{}/assignments", path(&list)), &body).await?
            }
        };
        at.show(&found, |one| listed(Some(&vec![one.clone()])))
    }
}

fn listed(all: Option<&Vec<Value>>) -> String {
    let lines = all.into_iter().flatten().map(|one| {
        let servers: Vec<String> = rows(one, "/priorities")
            .enumerate()
            .map(|(number, block)| {
                let names: Vec<String> = rows(block, "").map(|server| words(server, "/manager")).collect();
                format!("{}: {}", number + 1, names.join(", "))
            })
            .collect();
        let users: Vec<String> = rows(one, "/used_by")
            .map(|user| match words(user, "/location") {
                location if location.is_empty() => words(user, "/group"),
                location => format!("{} at {location}", words(user, "/group")),
            })
            .collect();
        vec![words(one, "/name"), words(one, "/protocol"), servers.join("\n"), users.join("\n")]
    });
    table(&["list", "protocol", "servers by priority", "used by"], lines)
}
