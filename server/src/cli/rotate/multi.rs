//! The procedure for managers that stand in for each other: one after the other gets its new certificate.

use std::collections::BTreeSet;

use serde_json::Value;

use super::single::update_of;
use super::{Halt, Rotation, text};
use crate::cli::Failure;

/// Clients of this version learn no certificate but that of the manager that they talk to.
const LEFT_OUT: &str = "14.2.";

impl Rotation {
    /// Steps 11 to 14 of the documented procedure.
    pub(super) async fn multi(&mut self) -> Result<(), Halt> {
        if self.is_due("check-lists") {
            let alone = self.with_one_manager().await?;
            self.refuse(
                format!("{} clients have nobody to fail over to: use the single way", alone.len()),
                alone,
            )?;
            self.did("check-lists")?;
        }
        if self.is_due("check-versions") {
            let found = self.clients().await?.into_iter().filter(|one| one.version.starts_with(LEFT_OUT));
            let found: Vec<_> = found.map(|one| (one.name, format!("version {}", one.version))).collect();
            let why =
                format!("{} clients of version 14.2 cannot go this way: use the single way", found.len());
            self.refuse(why, found)?;
            self.did("check-versions")?;
        }
        for manager in self.managers().await? {
            let step = format!("update {manager}");
            if self.is_due(&step) {
                if !self.state.updated.contains_key(&manager) {
                    self.nobody_would_be_lost(&step, &[update_of(&manager)]).await?;
                }
                self.update(&manager).await?;
                self.did(&step)?;
            }
            let step = format!("wait after {manager}");
            if self.is_due(&step) {
                self.wait(&step).await?;
                self.leave_behind().await?;
                self.did(&step)?;
            }
        }
        Ok(())
    }

    /// Clients whose list names one manager only.
    async fn with_one_manager(&mut self) -> Result<Vec<(String, String)>, Failure> {
        let lists = self.door.get("/v1/lists").await?;
        let alone = lists.as_array().into_iter().flatten().filter(|list| {
            let managers: BTreeSet<&str> = list["priorities"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_array)
                .flatten()
                .filter_map(|server| server["manager"].as_str())
                .collect();
            managers.len() < 2
        });
        let alone: BTreeSet<String> = alone.map(|list| text(&list["name"])).collect();
        let found = self.clients().await?.into_iter().filter(|one| alone.contains(&one.list));
        Ok(found.map(|one| (one.name, format!("its list is {:?}", one.list))).collect())
    }
}
