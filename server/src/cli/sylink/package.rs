//! `epm-lab sylink package` and `deploy`: the communications file that brings clients back.

use std::path::PathBuf;

use clap::Args;
use epm_client_agent::wire::IN_PACKAGE;
use epm_protocol::site::DEFAULT_GROUP;
use serde_json::{Value, json};

use crate::cli::io::{Failure, say, write_new};
use crate::cli::lab::{Where, segment};

/// For whom the file is.
#[derive(Debug, Args)]
struct For {
    /// The group's full path
    #[arg(long, default_value = DEFAULT_GROUP, value_name = "PATH")]
    group: String,
    /// The location; the group's own settings when absent
    #[arg(long, value_name = "NAME")]
    location: Option<String>,
}

/// Makes a communication update package.
#[derive(Debug, Args)]
pub(crate) struct Package {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    whom: For,
    /// Where it goes: an archive, if the name ends in .zip, or else a folder, with a sylink.xml in it
    #[arg(long, short, value_name = "DIR|FILE.zip")]
    out: PathBuf,
}

/// Brings one to clients.
#[derive(Debug, Args)]
pub(crate) struct Deploy {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    whom: For,
    /// The clients; all whose policy is of the group when none is named
    client: Vec<String>,
}

impl Package {
    pub(super) async fn go(self) -> Result<(), Failure> {
        let is_archive = self.out.extension().is_some_and(|end| end.eq_ignore_ascii_case("zip"));
        let what = if is_archive { "package" } else { "sylink" };
        let mut path = format!("/v1/groups/{}/{what}", segment(&self.whom.group));
        if let Some(location) = &self.whom.location {
            path.push_str(&format!("?location={}", segment(location)));
        }
        let bytes = self.at.control()?.bytes(&path).await?;
        let file = if is_archive {
            self.out
        } else {
            std::fs::create_dir_all(&self.out).map_err(|error| {
                Failure::BadInput(format!("cannot create the folder {}: {error}", self.out.display()))
            })?;
            self.out.join(IN_PACKAGE)
        };
        write_new(&file, &bytes)?;
        say(&format!(
            "{}: for {}; a client takes it with epm-agent import\n",
            file.display(),
            self.whom.group
        ));
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
        say(&format!("{} clients have imported the file for {}.\n", delivered.len(), self.whom.group));
        if !off.is_empty() {
            say(&format!("{} are off and were not reached: {}\n", off.len(), off.join(", ")));
        }
        Ok(())
    }
}
