//! `epm-lab sylink package` and `deploy`: the communications file that brings clients back.

use std::path::PathBuf;

use clap::Args;
use epm_client_agent::wire::IN_PACKAGE;
use epm_protocol::plural::{counted, either};
use epm_protocol::site::DEFAULT_GROUP;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::io::{Failure, say, say_json};
use crate::cli::lab::{Where, segment};
use crate::cli::out::{OutFile, OutFolder};
use crate::control_api::extract::{Xml, Zip};

/// Group and location that the communications file is for.
#[derive(Debug, Args)]
struct For {
    /// Full path of the group
    #[arg(long, default_value = DEFAULT_GROUP, value_name = "PATH")]
    group: String,
    /// Location; defaults to the group's own settings
    #[arg(long, value_name = "NAME")]
    location: Option<String>,
}

/// Makes a communication update package.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  epm-lab sylink package --group 'My Company\\Default Group' -o package.zip\n\n`epm-agent import` imports it."
)]
pub(crate) struct Package {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    whom: For,
    /// Output: a ZIP archive if the name ends in .zip, otherwise a folder for sylink.xml
    #[arg(long, short, value_name = "DIR|FILE.zip")]
    out: PathBuf,
    /// Overwrite an existing file, and write into a folder with other files
    #[arg(long)]
    force: bool,
}

/// Imports a communication update package into clients.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  epm-lab sylink deploy --group 'My Company\\Default Group' desk-1 desk-2")]
pub(crate) struct Deploy {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    whom: For,
    /// Clients to deploy to; default to all clients with a policy of the group
    client: Vec<String>,
}

/// A communication update package.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Packed {
    /// Name of the archive, or of the communications file.
    file: String,
    /// Full path of the group that it is for.
    group: String,
    /// Location that it is for; null for the group's own settings.
    location: Option<String>,
}

impl Package {
    pub(super) async fn go(self) -> Result<(), Failure> {
        let is_archive = self.out.extension().is_some_and(|end| end.eq_ignore_ascii_case("zip"));
        let what = if is_archive { "package" } else { "sylink" };
        let mut path = format!("/v1/groups/{}/{what}", segment(&self.whom.group));
        if let Some(location) = &self.whom.location {
            path.push_str(&format!("?location={}", segment(location)));
        }
        let file = if is_archive {
            let out = OutFile::secret(&self.out, self.force)?;
            out.write(&self.at.control()?.file::<Zip>(&path).await?)?;
            self.out
        } else {
            let folder = OutFolder::new(&self.out, self.force)?;
            let bytes = self.at.control()?.file::<Xml>(&path).await?;
            folder.fill_secretly(&[(IN_PACKAGE, &bytes)])?;
            self.out.join(IN_PACKAGE)
        };
        let For { group, location } = self.whom;
        if self.at.json {
            return say_json(&Packed { file: file.display().to_string(), group, location });
        }
        say(&format!("{}: for {group}; import it with `epm-agent import`\n", file.display()));
        Ok(())
    }
}

impl Deploy {
    pub(super) async fn go(self) -> Result<(), Failure> {
        let clients = if self.client.is_empty() { Value::Null } else { json!(self.client) };
        let body = json!({ "location": self.whom.location, "clients": clients });
        let path = format!("/v1/groups/{}/package", segment(&self.whom.group));
        let found = self.at.control()?.post(&path, &body).await?;
        if self.at.json {
            say(&format!("{found}\n"));
            return Ok(());
        }
        let names = |which: &str| -> Vec<&str> {
            found[which].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let (delivered, off) = (names("delivered"), names("off"));
        say(&format!("{} imported the file for {}.\n", counted(delivered.len(), "client"), self.whom.group));
        if !off.is_empty() {
            let are = either(off.len(), "is switched off and was", "are switched off and were");
            say(&format!("{are} not reached: {}\n", off.join(", ")));
        }
        Ok(())
    }
}
