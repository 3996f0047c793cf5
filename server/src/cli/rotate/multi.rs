//! Rotation of managers between which clients can fail over, one after the other.

use std::collections::BTreeSet;

use epm_protocol::plural::{counted, either};
use epm_protocol::version::ClientVersion;
use serde_json::Value;

use super::rotation::{Halt, Obstacle, Rotation, text};
use super::single::update_of;
use super::state::PRECONDITIONS;
use crate::cli::io::Failure;

/// The client versions that learn only the certificate of the manager that they talk to: the first, and the first after
/// them.
type LeftOut = (ClientVersion, ClientVersion);

/// What helps clients that cannot follow this procedure.
const HELP: &str = "use `epm-lab rotate single`; `--force` continues regardless";

impl Rotation {
    /// Steps 11 to 14 of the documented procedure.
    pub(super) async fn multi(&mut self) -> Result<(), Halt> {
        if self.is_due(PRECONDITIONS) {
            let own = vec![self.with_one_manager().await?, self.left_out().await?];
            let managers = self.managers().await?;
            let first: Vec<_> =
                managers.iter().map(|one| (format!("update {one}"), vec![update_of(one)])).collect();
            self.preconditions(own, &first).await?;
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
    async fn with_one_manager(&mut self) -> Result<Obstacle, Failure> {
        let lists = self.control.get("/v1/lists").await?;
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
        let found: Vec<_> = found.map(|one| (one.name, format!("its list is {:?}", one.list))).collect();
        let why = format!("{} no manager to fail over to", either(found.len(), "client has", "clients have"));
        Ok(Obstacle::of_clients(why, found, HELP))
    }

    /// Clients of a version that cannot follow this procedure.
    async fn left_out(&mut self) -> Result<Obstacle, Failure> {
        let left_out = left_out(&self.control.get("/v1/assumptions").await?)?;
        let found = self.clients().await?.into_iter().filter(|one| is_left_out(&one.version, left_out));
        let found: Vec<_> = found.map(|one| (one.name, format!("version {:?}", one.version))).collect();
        let why = format!("{} of version 14.2 cannot follow this procedure", counted(found.len(), "client"));
        Ok(Obstacle::of_clients(why, found, HELP))
    }
}

/// Returns the client versions that cannot follow this procedure, from the assumptions of the lab.
fn left_out(assumed: &Value) -> Result<LeftOut, Failure> {
    let version = |name: &str| {
        let mut all = assumed.as_array().into_iter().flatten();
        let found = all.find(|one| one["name"] == name).and_then(|one| one["value"].as_str()?.parse().ok());
        found.ok_or_else(|| Failure::Failed(format!("the lab names no version for the assumption {name}")))
    };
    Ok((version("module_14_2_from")?, version("module_14_2_until")?))
}

/// Whether a client of this version cannot follow this procedure. Unreadable versions cannot.
fn is_left_out(version: &str, (first, end): LeftOut) -> bool {
    version.parse::<ClientVersion>().map_or(true, |version| version.is_between(first, end))
}

#[cfg(test)]
mod tests {
    use epm_protocol::assumption::Assumptions;

    use super::*;

    #[test]
    fn the_versions_that_are_left_out_are_those_that_the_lab_assumes() {
        let (first, end) = (ClientVersion::new(14, 2), ClientVersion::build(14, 2, 5000));
        let assumed = Assumptions { module_14_2_until: end, ..Assumptions::default() }.list();
        let assumed = serde_json::to_value(assumed).unwrap();
        assert!(matches!(left_out(&assumed), Ok(found) if found == (first, end)));
        assert!(left_out(&serde_json::json!([])).is_err());
    }

    #[test]
    fn all_of_14_2_is_left_out_and_what_cannot_be_read_as_well() {
        let left_out = (ClientVersion::new(14, 2), ClientVersion::new(14, 3));
        for version in ["14.2", "14.2.0.0000", "14.2.5587.2100", "", "fourteen"] {
            assert!(is_left_out(version, left_out), "{version}");
        }
        for version in ["14.0.3752.1000", "14.20.1.1", "14.3", "14.3.8289.5000", "12.1.671.4971", "15.2.1.1"]
        {
            assert!(!is_left_out(version, left_out), "{version}");
        }
    }
}
