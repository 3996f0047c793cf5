//! Management server lists, groups, locations, policies, packages: what the console shows and edits.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use epm_protocol::policy::{CommunicationChange, ManagementServerList, Protocol, ServerPriority};
use epm_protocol::site::{Command, Group, GroupSettings, Material, Site};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ask::{Asked, Body, Named};
use super::problem::Problem;
use super::{Answer, Routes, Seen, answer};
use crate::foreign::Described;
use crate::lab::Lab;

/// No more commands are taken at once: each group that one concerns is signed anew.
const MOST_COMMANDS: usize = 1000;
/// A package is no larger than this.
const LARGEST_PACKAGE: usize = 64 * 1024 * 1024;

#[derive(Debug, Deserialize, JsonSchema)]
struct List {
    /// Its name.
    list: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct GroupName {
    /// Its full path, as `My Company\Desktops`, percent-encoded.
    group: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct LocationName {
    /// The group's full path.
    group: String,
    /// The location's name.
    location: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct PolicyName {
    /// The group's full path.
    group: String,
    /// The policy's name.
    policy: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct PackageName {
    /// The package's name.
    package: String,
}

/// What is done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Commands(#[schemars(with = "Described<Vec<Command>>")] Vec<Command>);

/// How a list is to be; what is absent stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ListSetting {
    /// The list that it is a copy of, if there is none of its name yet.
    copy_of: Option<String>,
    /// What its clients speak.
    #[schemars(with = "Described<Option<Protocol>>")]
    protocol: Option<Protocol>,
    /// Whether clients hold a server's certificate against its name as well.
    verify_ca: Option<bool>,
    /// Its servers, a block for each priority.
    #[schemars(with = "Described<Option<Vec<ServerPriority>>>")]
    priorities: Option<Vec<ServerPriority>>,
}

/// Who is to use a list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Assignment {
    /// The group's full path.
    group: String,
    /// The location; the group when absent.
    location: Option<String>,
}

/// How a group is to be; what is absent stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct GroupSetting {
    /// Whether it takes everything from its parent.
    inherits: Option<bool>,
    /// The name of its management server list.
    list: Option<String>,
    /// Whether its clients authenticate their manager.
    secure_communications: Option<bool>,
    /// How its clients keep in touch.
    #[schemars(with = "Described<Option<CommunicationChange>>")]
    communication: Option<CommunicationChange>,
}

/// How a location is to be; what is absent stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct LocationSetting {
    /// Its own list.
    list: Option<String>,
    /// Its own communication settings.
    #[schemars(with = "Described<Option<CommunicationChange>>")]
    communication: Option<CommunicationChange>,
    /// True to take the group's settings and list instead of its own.
    use_group_communication: Option<bool>,
}

/// The content of a policy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PolicySetting {
    /// Its text.
    content: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct OfLocation {
    /// The location; the group's own settings when absent.
    location: Option<String>,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route("/v1/site", get_with(site, |op| op.id("site").summary("The site and its managers")))
        .api_route(
            "/v1/assumptions",
            get_with(assumptions, |op| {
                op.id("assumptions").summary("What the lab assumes where nobody documents the product")
            }),
        )
        .api_route(
            "/v1/commands",
            post_with(commands, |op| {
                op.id("giveCommands")
                    .summary("Give the site commands, as in a scenario's setup: all of them, or none")
            }),
        )
        .api_route("/v1/lists", get_with(lists, |op| op.id("lists").summary("The management server lists")))
        .api_route(
            "/v1/lists/{list}",
            get_with(list, |op| op.id("list").summary("One list, and who uses it"))
                .put_with(set_list, |op| op.id("setList").summary("Copy and edit a list"))
                .delete_with(remove_list, |op| op.id("removeList").summary("Remove a list that nobody uses")),
        )
        .api_route(
            "/v1/lists/{list}/assignments",
            put_with(assign, |op| op.id("assignList").summary("Assign a list to a group or location")),
        )
        .api_route("/v1/groups", get_with(groups, |op| op.id("groups").summary("The groups")))
        .api_route(
            "/v1/groups/{group}",
            get_with(group, |op| op.id("group").summary("One group with its locations"))
                .put_with(set_group, |op| op.id("setGroup").summary("Add or change a group")),
        )
        .api_route(
            "/v1/groups/{group}/sylink",
            get_with(sylink, |op| {
                op.id("sylink").summary("The communications file that the console exports")
            }),
        )
        .api_route(
            "/v1/groups/{group}/locations/{location}",
            put_with(set_location, |op| op.id("setLocation").summary("Add or change a location")),
        )
        .api_route(
            "/v1/groups/{group}/policies/{policy}",
            put_with(set_policy, |op| op.id("setPolicy").summary("Add or change a policy")),
        )
        .api_route(
            "/v1/packages/{package}",
            put_with(set_package, |op| op.id("setPackage").summary("Add or replace a client package"))
                .layer(DefaultBodyLimit::max(LARGEST_PACKAGE)),
        )
        .api_route(
            "/v1/packages/{package}/assignments",
            put_with(assign_package, |op| op.id("assignPackage").summary("Give a package to a group")),
        )
}

async fn site(State(lab): Seen) -> Answer {
    let addresses = lab.site.addresses();
    let found = lab.site.look(|site| {
        let managers = site.managers().map(|one| {
            json!({
                "name": one.name,
                "address": one.ports.address,
                "http-port": one.ports.http,
                "https-port": one.ports.https,
                "fingerprint": one.client.certificate().fingerprint(),
            })
        });
        json!({
            "name": site.name(),
            "id": site.id().to_string(),
            "domain": site.domain().to_string(),
            "default-list": site.default_list(),
            "managers": managers.collect::<Vec<_>>(),
            "doors": addresses,
            "clients": site.clients().count(),
        })
    });
    answer(&found)
}

async fn assumptions(State(lab): Seen) -> Answer {
    answer(&lab.site.look(|site| site.assumptions().list()))
}

async fn commands(State(lab): Seen, Body(Commands(mut commands)): Body<Commands>) -> Answer {
    if let Some(file) = commands.iter_mut().flat_map(Command::materials_mut).next() {
        let file = &file.file;
        return Err(Problem::invalid(format!(
            "{file:?} is a file, which this door does not read: use its own path"
        )));
    }
    if commands.len() > MOST_COMMANDS {
        return Err(Problem::invalid(format!(
            "at most {MOST_COMMANDS} commands at once, and these are {}",
            commands.len()
        )));
    }
    let effects = tokio::task::block_in_place(|| lab.site.apply_all(&commands))?;
    lab.site.journal().did(format!("{} commands", commands.len()));
    answer(&json!({ "commands": commands.len(), "effects": effects.len() }))
}

async fn lists(State(lab): Seen) -> Answer {
    answer(&lab.site.look(|site| site.lists().map(|list| shown(site, list)).collect::<Vec<_>>()))
}

async fn list(State(lab): Seen, Named(List { list }): Named<List>) -> Answer {
    show_list(&lab, &list)
}

fn show_list(lab: &Lab, name: &str) -> Answer {
    let found = lab.site.look(|site| site.lists().find(|one| one.name == name).map(|one| shown(site, one)));
    let found =
        found.ok_or_else(|| Problem::unknown(format!("there is no management server list {name:?}")))?;
    answer(&found)
}

/// A list as the console shows it, with who uses it.
fn shown(site: &Site, list: &ManagementServerList) -> Value {
    let mut users = Vec::new();
    for (path, group) in site.groups().iter().filter(|(_, group)| !group.inherits) {
        if group.own.list == list.name {
            users.push(json!({ "group": path }));
        }
        for (name, location) in &group.own.locations {
            if location.own.as_ref().is_some_and(|own| own.list == list.name) {
                users.push(json!({ "group": path, "location": name }));
            }
        }
    }
    json!({
        "name": list.name,
        "protocol": list.protocol,
        "verify-ca": list.verify_ca,
        "priorities": list.priorities,
        "used-by": users,
        "default": list.name == site.default_list(),
    })
}

async fn set_list(
    State(lab): Seen,
    Named(List { list }): Named<List>,
    Body(setting): Body<ListSetting>,
) -> Answer {
    let ListSetting { copy_of, protocol, verify_ca, priorities } = setting;
    let before = lab.site.look(|site| site.lists().find(|one| one.name == list).cloned());
    let mut commands = Vec::new();
    if before.is_none() {
        let from = copy_of.unwrap_or_else(|| lab.site.look(Site::default_list));
        commands.push(Command::CopyList { from, to: list.clone() });
    }
    let changes = |one: &ManagementServerList| {
        protocol.is_some_and(|protocol| protocol != one.protocol)
            || verify_ca.is_some_and(|verify| verify != one.verify_ca)
            || priorities.as_ref().is_some_and(|priorities| *priorities != one.priorities)
    };
    let is_edited = protocol.is_some() || verify_ca.is_some() || priorities.is_some();
    if before.as_ref().map_or(is_edited, changes) {
        commands.push(Command::EditList { list: list.clone(), protocol, verify_ca, priorities });
    }
    give(&lab, &commands, || format!("list {list:?} set"))?;
    show_list(&lab, &list)
}

async fn remove_list(State(lab): Seen, Named(List { list }): Named<List>) -> Answer {
    if lab.site.look(|site| site.lists().any(|one| one.name == list)) {
        give(&lab, &[Command::RemoveList { list: list.clone() }], || format!("list {list:?} removed"))?;
    }
    lists(State(lab)).await
}

async fn assign(
    State(lab): Seen,
    Named(List { list }): Named<List>,
    Body(Assignment { group, location }): Body<Assignment>,
) -> Answer {
    let uses = lab.site.look(|site| {
        let own = site.groups().find(&group).ok().filter(|one| !one.inherits).map(|one| &one.own)?;
        match &location {
            None => Some(own.list == list),
            Some(name) => Some(own.locations.get(name)?.own.as_ref()?.list == list),
        }
    });
    if uses != Some(true) {
        let command = Command::AssignList { list: list.clone(), group: group.clone(), location };
        give(&lab, &[command], || format!("list {list:?} assigned to {group:?}"))?;
    }
    show_list(&lab, &list)
}

async fn groups(State(lab): Seen) -> Answer {
    let all = lab.site.look(|site| {
        let each = site.groups().iter().map(|(path, group)| shown_group(site, path, group));
        each.collect::<Vec<_>>()
    });
    answer(&all)
}

async fn group(State(lab): Seen, Named(GroupName { group }): Named<GroupName>) -> Answer {
    show_group(&lab, &group)
}

fn show_group(lab: &Lab, path: &str) -> Answer {
    let found = lab.site.look(|site| site.groups().find(path).map(|group| shown_group(site, path, group)))?;
    answer(&found)
}

fn shown_group(site: &Site, path: &str, group: &Group) -> Value {
    let owner = site.groups().owner(path).unwrap_or(path).to_owned();
    let own = site.groups().effective(path).unwrap_or(&group.own);
    let GroupSettings { communication, list, secure_communications, policies, packages, locations } = own;
    let locations = locations.iter().map(|(name, location)| {
        json!({
            "name": name,
            "id": location.id.to_string(),
            "list": location.own.as_ref().map(|own| &own.list),
            "communication": location.own.as_ref().map(|own| &own.communication),
        })
    });
    json!({
        "group": path,
        "id": group.id.to_string(),
        "inherits": group.inherits,
        "settings-of": owner,
        "serial": epm_protocol::policy::PolicySerial::new(group.id, group.changed),
        "list": list,
        "secure-communications": secure_communications,
        "communication": communication,
        "policies": policies.keys().collect::<Vec<_>>(),
        "packages": packages,
        "locations": locations.collect::<Vec<_>>(),
    })
}

async fn set_group(
    State(lab): Seen,
    Named(GroupName { group }): Named<GroupName>,
    Body(setting): Body<GroupSetting>,
) -> Answer {
    let before = lab.site.look(|site| {
        let found = site.groups().find(&group).ok()?;
        Some((found.inherits, site.groups().effective(&group).ok()?.clone()))
    });
    let mut commands = Vec::new();
    match (&before, setting.inherits) {
        (None, inherits) => {
            commands.push(Command::AddGroup { group: group.clone(), inherits: inherits.unwrap_or(true) });
        }
        (Some((inherits, _)), Some(wanted)) if *inherits != wanted => {
            commands.push(Command::SetInheritance { group: group.clone(), inherits: wanted });
        }
        _ => {}
    }
    let own = before.as_ref().map(|(_, own)| own);
    if let Some(list) = setting.list.filter(|list| own.is_none_or(|own| own.list != *list)) {
        commands.push(Command::AssignList { list, group: group.clone(), location: None });
    }
    let switch = setting.secure_communications;
    if let Some(on) = switch.filter(|on| own.is_none_or(|own| own.secure_communications != *on)) {
        commands.push(Command::SetSecureCommunications { group: group.clone(), on });
    }
    let change = setting.communication;
    if let Some(change) = change
        .filter(|change| own.is_none_or(|own| change.applied_to(&own.communication) != own.communication))
    {
        commands.push(Command::SetCommunication { group: group.clone(), location: None, change });
    }
    give(&lab, &commands, || format!("group {group:?} set"))?;
    show_group(&lab, &group)
}

async fn set_location(
    State(lab): Seen,
    Named(LocationName { group, location }): Named<LocationName>,
    Body(setting): Body<LocationSetting>,
) -> Answer {
    let before = lab
        .site
        .look(|site| site.groups().find(&group).map(|one| one.own.locations.get(&location).cloned()))?;
    let mut commands = Vec::new();
    if before.is_none() {
        commands.push(Command::AddLocation { group: group.clone(), location: location.clone() });
    }
    let own = before.and_then(|known| known.own);
    if setting.use_group_communication == Some(true) {
        if setting.list.is_some() || setting.communication.is_some() {
            return Err(Problem::invalid(
                "use-group-communication gives up the location's own list and settings: name either it or them",
            ));
        }
        if own.is_some() {
            commands
                .push(Command::UseGroupCommunication { group: group.clone(), location: location.clone() });
        }
    }
    if let Some(list) = setting.list.filter(|list| own.as_ref().is_none_or(|own| own.list != *list)) {
        commands.push(Command::AssignList { list, group: group.clone(), location: Some(location.clone()) });
    }
    let changes = |change: &CommunicationChange| {
        own.as_ref().is_none_or(|own| change.applied_to(&own.communication) != own.communication)
    };
    if let Some(change) = setting.communication.filter(changes) {
        commands.push(Command::SetCommunication {
            group: group.clone(),
            location: Some(location.clone()),
            change,
        });
    }
    give(&lab, &commands, || format!("location {location:?} of {group:?} set"))?;
    show_group(&lab, &group)
}

async fn set_policy(
    State(lab): Seen,
    Named(PolicyName { group, policy }): Named<PolicyName>,
    Body(PolicySetting { content }): Body<PolicySetting>,
) -> Answer {
    let is_so = lab.site.look(|site| {
        let own = site.groups().find(&group).ok().filter(|one| !one.inherits).map(|one| &one.own);
        own.is_some_and(|own| own.policies.get(&policy) == Some(&content))
    });
    if !is_so {
        let command = Command::SetPolicy { group: group.clone(), policy: policy.clone(), content };
        give(&lab, &[command], || format!("policy {policy:?} of {group:?} set"))?;
    }
    show_group(&lab, &group)
}

async fn set_package(
    State(lab): Seen,
    Named(PackageName { package }): Named<PackageName>,
    content: Bytes,
) -> Answer {
    let size = content.len();
    let file = Material { file: package.clone(), content };
    give(&lab, &[Command::AddPackage { package: package.clone(), file }], || {
        format!("package {package:?} set")
    })?;
    answer(&json!({ "package": package, "bytes": size }))
}

async fn assign_package(
    State(lab): Seen,
    Named(PackageName { package }): Named<PackageName>,
    Body(GroupName { group }): Body<GroupName>,
) -> Answer {
    let has = lab.site.look(|site| {
        let found = site.groups().find(&group).ok().filter(|one| !one.inherits);
        found.is_some_and(|one| one.own.packages.contains(&package))
    });
    if !has {
        let command = Command::AssignPackage { package: package.clone(), group: group.clone() };
        give(&lab, &[command], || format!("package {package:?} given to {group:?}"))?;
    }
    show_group(&lab, &group)
}

async fn sylink(
    State(lab): Seen,
    Named(GroupName { group }): Named<GroupName>,
    Asked(OfLocation { location }): Asked<OfLocation>,
) -> Result<Response, Problem> {
    let sylink = lab.site.export_sylink(&group, location.as_deref())?;
    Ok(([(header::CONTENT_TYPE, "application/xml")], sylink.to_xml()).into_response())
}

/// Gives the site commands, if there are any; all of them, or none.
fn give(lab: &Lab, commands: &[Command], what: impl FnOnce() -> String) -> Result<(), Problem> {
    if commands.is_empty() {
        return Ok(());
    }
    tokio::task::block_in_place(|| lab.site.apply_all(commands))?;
    lab.site.journal().did(what());
    Ok(())
}
