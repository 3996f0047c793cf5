//! The actions of a step in words, one line each, for reports.

use std::fmt;

use epm_protocol::plural::counted;
use epm_protocol::policy::{ManagementServer, Protocol, ServerPriority};
use epm_protocol::site::{Command, NewCertificate, Stores};
use serde::Serialize;

use super::communications_file::SylinkSource;
use super::plan::{FleetAction, StepPlan, Wait};

impl StepPlan {
    /// The actions of the step in words, one per line, in the order in which they take effect.
    pub fn actions(&self) -> Vec<String> {
        let fleet = self.fleet.iter().map(|action| fleet_action_in_words(action.get_ref()));
        let healed = self.heal.iter().map(|name| format!("Remove the fault {:?}", name.get_ref()));
        let faults = self.faults.iter().map(|name| format!("Set the fault {:?}", name.get_ref()));
        let operator = self.operator.iter().map(|one| command_in_words(one.get_ref()));
        let wait = self.wait.iter().map(Wait::to_string);
        fleet.chain(healed).chain(faults).chain(operator).chain(wait).collect()
    }
}

/// The wait in words.
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heartbeats = counted(self.heartbeats, "heartbeat");
        match (self.heartbeats, self.time) {
            (0, None) => f.write_str("No wait"),
            (0, Some(time)) => write!(f, "Wait for {time}"),
            (_, None) => write!(f, "Wait for {heartbeats} of every client"),
            (_, Some(time)) => write!(f, "Wait for {heartbeats} of every client, and for {time}"),
        }
    }
}

/// An operator's command in words.
pub fn command_in_words(command: &Command) -> String {
    match command {
        Command::AddGroup { group, inherits } => {
            let alone = if *inherits { "" } else { ", which inherits nothing" };
            format!("Add the group {group}{alone}")
        }
        Command::SetInheritance { group, inherits: true } => format!("Let {group} inherit from its parent"),
        Command::SetInheritance { group, inherits: false } => {
            format!("Stop {group} inheriting from its parent")
        }
        Command::RenameGroup { group, name } => format!("Rename the group {group} to {name}"),
        Command::DescribeGroup { group, .. } => format!("Describe the group {group}"),
        Command::RemoveGroup { group } => format!("Remove the group {group}"),
        Command::AddLocation { group, location } => format!("Add the location {location} to {group}"),
        Command::RenameLocation { group, location, name } => {
            format!("Rename the location {location} of {group} to {name}")
        }
        Command::SetCommunication { group, location, change } => {
            format!("Set the communication of {}: {}", place(group, location.as_deref()), settings(change))
        }
        Command::UseGroupCommunication { group, location } => {
            format!("Let the location {location} use the communication settings of {group}")
        }
        Command::SetSecureCommunications { group, on } => {
            format!("Switch secure communications {} for {group}", if *on { "on" } else { "off" })
        }
        Command::CopyList { from, to } => format!("Copy the list {from:?} as {to:?}"),
        Command::EditList { list, protocol, verify_ca, priorities } => {
            let over = protocol
                .map(|one| format!("clients use {}", if one == Protocol::Http { "HTTP" } else { "HTTPS" }));
            let names =
                verify_ca.map(|on| format!("clients {} names", if on { "check" } else { "do not check" }));
            let servers = priorities.as_ref().map(|blocks| {
                let names =
                    |block: &ServerPriority| block.0.iter().map(server).collect::<Vec<_>>().join(" and ");
                format!("servers {}", blocks.iter().map(names).collect::<Vec<_>>().join(", then "))
            });
            let changes: Vec<String> = [over, names, servers].into_iter().flatten().collect();
            format!("Edit the list {list:?}: {}", changes.join("; "))
        }
        Command::RemoveList { list } => format!("Remove the list {list:?}"),
        Command::AssignList { list, group, location } => {
            format!("Assign the list {list:?} to {}", place(group, location.as_deref()))
        }
        Command::SetPolicy { group, policy, content } => {
            format!("Set the policy {policy:?} of {group}: {content}")
        }
        Command::AddPackage { package, .. } => format!("Add the client package {package:?}"),
        Command::AssignPackage { package, group } => format!("Assign the package {package:?} to {group}"),
        Command::UpdateCertificate { manager, certificate, stores } => {
            let from = match certificate {
                NewCertificate::Generate { .. } => "with a new self-signed one".to_owned(),
                NewCertificate::Import { certificate, .. } => format!("with {}", certificate.file),
                NewCertificate::Keystore { file, .. } => format!("from the keystore {}", file.file),
            };
            let only = match stores {
                Stores::Both => "",
                Stores::Console => ", in the console's store only",
                Stores::Client => ", in the store of the clients' port only",
            };
            format!("Update the server certificate of {manager} {from}{only}")
        }
        Command::BreakReplication { manager } => format!("Stop the replication of {manager}"),
        Command::RestoreReplication { manager } => format!("Restore the replication of {manager}"),
        Command::BackUp { recovery } | Command::KeepRecovery { recovery, .. } => {
            format!("Make the recovery file {recovery:?}")
        }
        Command::BackUpAnotherSite { recovery } => {
            format!("Obtain the recovery file {recovery:?} of another site")
        }
        Command::Reinstall { keystore, secret, domain, database } => {
            let from = |what: &str, file: &Option<String>| match file {
                Some(file) => format!("{what} from {file:?}"),
                None => format!("new {what}"),
            };
            let parts = [from("certificates", keystore), from("secret", secret), from("domain", domain)];
            let database = if *database { "with the database" } else { "without the database" };
            format!("Reinstall all managers: {}, {database}", parts.join(", "))
        }
        Command::TakeOver { manager, .. } => format!("Serve the certificate in the files of {manager}"),
        Command::MoveClient { client, group } => format!("Move the client {client} to {group}"),
        Command::RemoveClient { .. } => "Remove a client".to_owned(),
        Command::Register(_) => "Register a client".to_owned(),
        Command::NoteConflict { .. } => "Note a client whose record belongs to another machine".to_owned(),
    }
}

/// A server of a list, with what it has of its own.
fn server(server: &ManagementServer) -> String {
    let ManagementServer { manager, address, http_port, https_port } = server;
    let address = address.as_ref().map(|address| format!(" at {address}"));
    let port = |protocol: &str, port: &Option<u16>| port.map(|port| format!(", {protocol} port {port}"));
    let own = [address, port("HTTP", http_port), port("HTTPS", https_port)];
    own.into_iter().flatten().fold(manager.clone(), |text, one| text + &one)
}

/// A change of the fleet in words.
pub fn fleet_action_in_words(action: &FleetAction) -> String {
    match action {
        FleetAction::SwitchOff(part) => format!("Switch off the machines of {part}"),
        FleetAction::SwitchOn(part) => format!("Switch on the machines of {part}"),
        FleetAction::Move { part, location } => format!(
            "Move the machines of {part} to {}",
            location
                .as_ref()
                .map_or_else(|| "the default location".to_owned(), |to| format!("the location {to}"))
        ),
        FleetAction::ImportSylink { part, from } => {
            format!("Import {} on the machines of {part}", file(from))
        }
        FleetAction::Identify { part, image_of: Some(image) } => {
            format!("Deploy the machines of {part} from an image of {image}")
        }
        FleetAction::Identify { part, image_of: None } => {
            format!("Give each machine of {part} its own hardware id")
        }
        FleetAction::UpdatePackage { part, .. } => {
            format!("Apply the communication update package to the machines of {part}")
        }
    }
}

fn file(from: &SylinkSource) -> String {
    let edited = if from.edited.is_some() { ", edited by hand" } else { "" };
    match &from.group {
        Some(group) => format!("a communications file newly exported for {group}{edited}"),
        None => format!("the communications file of the installation{edited}"),
    }
}

fn place(group: &str, location: Option<&str>) -> String {
    location.map_or_else(|| group.to_owned(), |location| format!("the location {location} of {group}"))
}

/// The settings that are changed, by their names.
fn settings(change: &impl Serialize) -> String {
    let value = serde_json::to_value(change).unwrap_or_default();
    let all = value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let shown = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    all.map(|(name, value)| format!("{} {}", name.replace('_', " "), shown(value)))
        .collect::<Vec<_>>()
        .join(", ")
}
