//! `epm-lab baseline`: states of a running lab that a rotation is judged against.

use clap::Subcommand;
use epm_protocol::plural::counted;
use serde_json::{Value, json};

use super::answer::{Act, Where, known, rows, table, words};
use super::control_client::segment;
use crate::cli::io::{Ending, Failure};
use crate::cli::print::short;
use crate::lab::START_BASELINE;

/// Commands on the baselines of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum BaselineVerb {
    /// List the baselines
    #[command(after_help = "Example:\n  epm-lab baseline list")]
    List,
    /// Take a baseline of the lab, replacing another one of that name
    #[command(after_help = "Example:\n  epm-lab baseline take before-rotation")]
    Take {
        /// Name of the baseline, of at most 128 characters; `start` is that of the lab's start and is refused
        name: String,
    },
    /// Show a baseline: certificates, and settings of groups
    #[command(after_help = "Example:\n  epm-lab baseline show before-rotation")]
    Show {
        /// Name of the baseline
        #[arg(default_value = START_BASELINE)]
        name: String,
    },
    /// Remove a baseline
    #[command(after_help = "Example:\n  epm-lab baseline remove before-rotation")]
    Remove {
        /// Name of the baseline
        name: String,
    },
}

impl Act for BaselineVerb {
    async fn act(self, at: &Where) -> Result<Ending, Failure> {
        let control = at.control()?;
        let path = |name: &str| format!("/v1/baselines/{}", segment(name));
        match self {
            Self::List => at.show(&control.get("/v1/baselines").await?, listed),
            Self::Remove { name } => {
                known(&control.get("/v1/baselines").await?, "baseline", &name)?;
                at.show(&control.delete(&path(&name)).await?, listed)
            }
            Self::Take { name } => at.show(&control.put(&path(&name), &json!({})).await?, shown),
            Self::Show { name } => at.show(&control.get(&path(&name)).await?, shown),
        }
    }
}

fn listed(all: &Value) -> String {
    let lines = rows(all, "")
        .map(|one| ["name", "at", "clients"].iter().map(|name| words(one, &format!("/{name}"))).collect());
    table(&["baseline", "lab time", "clients"], lines)
}

fn shown(one: &Value) -> String {
    let clients = one["clients"].as_object().map_or(0, serde_json::Map::len);
    let clients = counted(clients, "client");
    let mut text = format!("Baseline {} of {}: {clients}\n", words(one, "/name"), words(one, "/at"));
    for (manager, stores) in one["settings"]["managers"].as_object().into_iter().flatten() {
        let [client, console] = ["/client", "/console"].map(|store| short(&words(stores, store)));
        text.push_str(&format!("  {manager} presents {client} to clients, {console} in the console\n"));
    }
    let groups = one["settings"]["groups"].as_object().into_iter().flatten();
    let lines = groups.map(|(path, group)| {
        let is_on = if group["secure_communications"] == true { "on" } else { "off" };
        vec![path.clone(), words(group, "/list/name"), words(group, "/list/protocol"), is_on.to_owned()]
    });
    text.push_str(&table(&["group", "list", "protocol", "secure communications"], lines));
    text
}
