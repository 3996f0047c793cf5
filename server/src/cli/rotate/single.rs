//! Rotation with secure communications switched off while the certificate changes.

use std::collections::BTreeMap;

use epm_protocol::policy::Protocol;
use epm_protocol::site::{Command, NewCertificate, Stores};
use serde_json::{Value, json};

use super::rotation::{Halt, Rotation, text};
use super::state::{PRECONDITIONS, Place};
use crate::cli::io::Failure;
use crate::cli::lab::segment;

impl Rotation {
    /// Steps 1 to 10 of the documented procedure.
    pub(super) async fn single(&mut self) -> Result<(), Halt> {
        if self.is_due("inventory") {
            self.state.places = self.places().await?;
            self.did("inventory")?;
        }
        if self.is_due(PRECONDITIONS) {
            self.state.copies = self.copies().await?;
            let mut commands = Vec::new();
            for (from, to) in &self.state.copies {
                let (from, to, http) = (from.clone(), to.clone(), Some(Protocol::Http));
                commands.push(Command::CopyList { from, to: to.clone() });
                commands.push(Command::EditList {
                    list: to,
                    protocol: http,
                    verify_ca: None,
                    priorities: None,
                });
            }
            commands.extend(self.commands(false).await?);
            self.preconditions(Vec::new(), &[("switch-off".to_owned(), commands)]).await?;
        }
        if self.is_due("copy-lists") {
            self.copy_lists().await?;
            self.did("copy-lists")?;
        }
        if self.is_due("switch-off") {
            let commands = self.commands(false).await?;
            self.nobody_would_be_lost("switch-off", &commands).await?;
            self.switch(false).await?;
            self.did("switch-off")?;
        }
        if self.is_due("wait-for-policy") {
            self.wait("wait-for-policy").await?;
            self.leave_behind().await?;
            self.did("wait-for-policy")?;
        }
        if self.is_due("update-certificate") {
            let managers = self.managers().await?;
            let missing = managers.iter().filter(|one| !self.state.updated.contains_key(*one));
            let commands: Vec<Command> = missing.map(|one| update_of(one)).collect();
            self.nobody_would_be_lost("update-certificate", &commands).await?;
            for manager in &managers {
                self.update(manager).await?;
            }
            self.did("update-certificate")?;
        }
        if self.is_due("wait-for-certificate") {
            self.wait("wait-for-certificate").await?;
            self.leave_behind().await?;
            self.did("wait-for-certificate")?;
        }
        if self.is_due("switch-on") {
            let commands = self.commands(true).await?;
            self.nobody_would_be_lost("switch-on", &commands).await?;
            self.switch(true).await?;
            self.did("switch-on")?;
        }
        if self.is_due("wait-for-end") {
            self.wait("wait-for-end").await?;
            self.leave_behind().await?;
            self.did("wait-for-end")?;
        }
        if self.is_due("remove-copies") {
            self.remove_copies().await?;
            self.did("remove-copies")?;
        }
        Ok(())
    }

    /// Every location of every group with its own settings.
    async fn places(&mut self) -> Result<Vec<Place>, Failure> {
        let mut places = Vec::new();
        for group in self.rest.all("/groups").await? {
            let (path, id) = (text(&group["fullPathName"]), text(&group["id"]));
            let is_forgotten = self.options.skip_inheritance && path.contains('\\');
            if group["policyInheritanceEnabled"] == true || is_forgotten {
                continue;
            }
            let found = self.rest.get(&format!("/groups/{id}/locations?hasName=true")).await?;
            for named in found.as_array().into_iter().flatten().filter_map(Value::as_str) {
                // The format is NAME:URL, and the URL ends with the identifier.
                let location_id = named.rsplit('/').next().unwrap_or_default().to_owned();
                let location = named.split_once(":https:").map_or(named, |(name, _)| name).to_owned();
                let is_default = group["defaultLocationId"].as_str() == Some(&location_id);
                if self.options.skip_inheritance && !is_default {
                    continue;
                }
                let settings = self.rest.get(&settings_of(&id, &location_id)).await?;
                places.push(Place {
                    group: path.clone(),
                    group_id: id.clone(),
                    location,
                    location_id,
                    list: text(&settings["configuration"]["communication_settings"]["sem_server"]["name"]),
                    secure: settings["configuration"]["general_settings"]["security_settings"]
                        ["secure_communications"]
                        == true,
                });
            }
        }
        Ok(places)
    }

    /// Name of the copy for each assigned list that does not use HTTP.
    async fn copies(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut copies = BTreeMap::new();
        let lists = self.control.get("/v1/lists").await?;
        for list in lists.as_array().into_iter().flatten().filter(|list| list["protocol"] != "http") {
            let name = text(&list["name"]);
            if self.state.places.iter().any(|place| place.list == name) {
                let copy = format!("{name}, over HTTP for {}", self.state.name);
                copies.insert(name, copy);
            }
        }
        Ok(copies)
    }

    /// Copies each assigned list that does not use HTTP to one that does.
    async fn copy_lists(&self) -> Result<(), Failure> {
        for (name, copy) in &self.state.copies {
            let body = json!({ "copy_of": name, "protocol": "http" });
            self.control.put(&format!("/v1/lists/{}", segment(copy)), &body).await?;
        }
        Ok(())
    }

    /// The list for this place.
    fn list_of(&self, place: &Place, on: bool) -> String {
        let copy = self.state.copies.get(&place.list).filter(|_| !on);
        copy.unwrap_or(&place.list).clone()
    }

    /// Assigns the copies and switches secure communications off everywhere, or restores what was before.
    async fn switch(&mut self, on: bool) -> Result<(), Failure> {
        for place in self.state.places.clone() {
            let (list, secure) = (self.list_of(&place, on), on && place.secure);
            let change = json!({ "configuration": {
                "communication_settings": { "sem_server": { "name": list } },
                "general_settings": { "security_settings": { "secure_communications": secure } },
            }});
            self.rest.patch(&settings_of(&place.group_id, &place.location_id), &change).await?;
            self.tell(&format!("  {}, {}: {list:?}, secure {secure}\n", place.group, place.location));
        }
        Ok(())
    }

    /// The same change as commands of the site, to predict which clients would be orphaned.
    async fn commands(&mut self, on: bool) -> Result<Vec<Command>, Failure> {
        let mut commands = Vec::new();
        for group in self.control.get("/v1/groups").await?.as_array().into_iter().flatten() {
            let path = text(&group["group"]);
            let own: Vec<&str> = group["locations"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|one| one["list"].is_string())
                .filter_map(|one| one["name"].as_str())
                .collect();
            let mut seen_group = false;
            for place in self.state.places.iter().filter(|place| place.group == path) {
                let location = own.contains(&place.location.as_str()).then(|| place.location.clone());
                if location.is_some() || !seen_group {
                    seen_group |= location.is_none();
                    let list = self.list_of(place, on);
                    commands.push(Command::AssignList { list, group: path.clone(), location });
                }
                let switch = Command::SetSecureCommunications { group: path.clone(), on: on && place.secure };
                if !commands.contains(&switch) {
                    commands.push(switch);
                }
            }
        }
        Ok(commands)
    }

    /// Removes the copies that are no longer needed: all of them, unless clients were left behind.
    async fn remove_copies(&mut self) -> Result<(), Failure> {
        if self.state.left.is_empty() {
            for copy in self.state.copies.values() {
                self.control.delete(&format!("/v1/lists/{}", segment(copy))).await?;
            }
        }
        Ok(())
    }
}

/// The update of a manager's certificate, as a command of the site.
pub(super) fn update_of(manager: &str) -> Command {
    Command::UpdateCertificate {
        manager: manager.to_owned(),
        certificate: NewCertificate::Generate { common_name: None, valid_days: None },
        stores: Stores::Both,
    }
}

fn settings_of(group: &str, location: &str) -> String {
    format!("/groups/{group}/locations/{location}/settings")
}
