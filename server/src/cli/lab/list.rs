//! `epm-lab list`: the management server lists of a running lab.

use clap::Subcommand;
use serde_json::{Value, json};

use super::answer::{Act, Where, known, rows, table, words};
use super::control_client::segment;
use crate::cli::io::{Ending, Failure};

/// Commands on the management server lists of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum ListVerb {
    /// List the lists and their assignments
    #[command(after_help = "Example:\n  epm-lab list list")]
    List,
    /// Show a list
    #[command(after_help = "Example:\n  epm-lab list show rotation")]
    Show {
        /// Name of the list
        list: String,
    },
    /// Copy a list
    #[command(
        after_help = "Example:\n  epm-lab list copy 'Default Management Server List for My Site' rotation"
    )]
    Copy {
        /// List to copy
        from: String,
        /// Name of the copy
        to: String,
    },
    /// Change a list; settings that are not given stay as they are
    #[command(
        after_help = "Example:\n  epm-lab list edit rotation --protocol http --priority sepm-1 --priority sepm-2"
    )]
    Edit {
        /// Name of the list
        list: String,
        /// Protocol that clients use
        #[arg(long, value_name = "PROTOCOL", value_parser = ["http", "https"])]
        protocol: Option<String>,
        /// Whether clients also check the server's name against its certificate
        #[arg(long, value_name = "BOOL")]
        verify_ca: Option<bool>,
        /// Managers of one priority, separated by commas; repeat for each further priority
        #[arg(long = "priority", value_name = "MANAGER,..")]
        priorities: Vec<String>,
    },
    /// Assign a list to a group or to one of its locations
    #[command(after_help = "Example:\n  epm-lab list assign rotation 'My Company'")]
    Assign {
        /// Name of the list
        list: String,
        /// Full path of the group
        group: String,
        /// Location in the group
        #[arg(long, value_name = "NAME")]
        location: Option<String>,
    },
    /// Remove a list without assignments
    #[command(after_help = "Example:\n  epm-lab list remove rotation")]
    Remove {
        /// Name of the list
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
                known(&control.get("/v1/lists").await?, "management server list", &list)?;
                return at.show(&control.delete(&path(&list)).await?, |all| listed(all.as_array()));
            }
            Self::Show { list } => {
                known(&control.get("/v1/lists").await?, "management server list", &list)?;
                control.get(&path(&list)).await?
            }
            Self::Copy { from, to } => control.put(&path(&to), &json!({ "copy_of": from })).await?,
            Self::Edit { list, protocol, verify_ca, priorities } => {
                // An unknown list is an error here, not created.
                known(&control.get("/v1/lists").await?, "management server list", &list)?;
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
                location => format!("{} in location {location}", words(user, "/group")),
            })
            .collect();
        vec![words(one, "/name"), words(one, "/protocol"), servers.join("\n"), users.join("\n")]
    });
    table(&["list", "protocol", "servers by priority", "used by"], lines)
}
