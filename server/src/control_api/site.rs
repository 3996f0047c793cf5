//! The site's objects, as in the console: management server lists, groups, locations, policies and packages.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use epm_protocol::assumption::Assumption;
use epm_protocol::excerpt::quoted;
use epm_protocol::policy::{CommunicationChange, ManagementServerList, Protocol, ServerPriority};
use epm_protocol::site::{Command, CommandError, Material, Site};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::control_api::extract::{Answer, LabState, Problem, Routes, doc};
use crate::control_api::extract::{Download, File, JsonBody, Path, Query, Xml};
use crate::control_api::view::{GroupView, ListView, SiteView};
use crate::control_api::words::in_words;
use crate::lab::Lab;
use crate::schema::BridgedSchema;

/// Maximum number of commands per request: each affected group is signed anew.
const MOST_COMMANDS: usize = 1000;
/// Maximum size of a package in bytes.
const LARGEST_PACKAGE: usize = 64 * 1024 * 1024;

#[derive(Debug, Deserialize, JsonSchema)]
struct List {
    /// Name of the list.
    list: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct GroupName {
    /// Full path of the group, such as `My Company\Desktops`, percent-encoded.
    pub(super) group: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct LocationName {
    /// Full path of the group.
    group: String,
    /// Name of the location.
    location: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct PolicyName {
    /// Full path of the group.
    group: String,
    /// Name of the policy.
    policy: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct PackageName {
    /// Name of the package.
    package: String,
}

/// Commands to apply.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Commands(#[schemars(with = "BridgedSchema<Vec<Command>>")] Vec<Command>);

/// Changes of a list; absent fields stay as they are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListSetting {
    /// List to copy: what the other fields leave out is as in that list, also if there is a list of this name already.
    /// When absent, a new list is a copy of the default list.
    copy_of: Option<String>,
    /// Protocol that clients use.
    #[schemars(with = "Option<BridgedSchema<Protocol>>")]
    protocol: Option<Protocol>,
    /// Whether clients also check the server's name against its certificate.
    verify_ca: Option<bool>,
    /// Servers of the list, one block per priority.
    #[schemars(with = "Option<BridgedSchema<Vec<ServerPriority>>>")]
    priorities: Option<Vec<ServerPriority>>,
}

/// Group or location that gets a list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Assignment {
    /// Full path of the group.
    group: String,
    /// Location; the group itself when absent.
    location: Option<String>,
}

/// Changes of a group; absent fields stay as they are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GroupSetting {
    /// Whether the group inherits everything from its parent.
    inherits: Option<bool>,
    /// Name of the management server list.
    list: Option<String>,
    /// Whether clients authenticate their manager.
    secure_communications: Option<bool>,
    /// Communication settings of the clients.
    #[schemars(with = "Option<BridgedSchema<CommunicationChange>>")]
    communication: Option<CommunicationChange>,
}

/// Changes of a location; absent fields stay as they are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LocationSetting {
    /// Name of the location's own list.
    list: Option<String>,
    /// Communication settings of the location itself.
    #[schemars(with = "Option<BridgedSchema<CommunicationChange>>")]
    communication: Option<CommunicationChange>,
    /// True to use the group's list and settings instead of the location's own.
    use_group_communication: Option<bool>,
}

/// Content of a policy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PolicySetting {
    /// Text of the policy.
    content: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct OfLocation {
    /// Location; the group's own settings when absent.
    pub(super) location: Option<String>,
}

/// Assumptions in effect.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
struct Assumed(#[schemars(with = "BridgedSchema<Vec<Assumption>>")] Vec<Assumption>);

/// Values of assumptions by name; null for the value that the lab was started with. Absent ones stay as they are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct NewAssumptions(Map<String, Value>);

/// Result of commands.
#[derive(Debug, Serialize, JsonSchema)]
struct AppliedCommands {
    /// Number of commands.
    commands: usize,
    /// Number of changes that the commands caused.
    effects: usize,
}

/// A client package.
#[derive(Debug, Serialize, JsonSchema)]
struct PackageView {
    /// Name of the package.
    package: String,
    /// Size of the package in bytes.
    bytes: usize,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route("/v1/site", get_with(site, doc("site", "Show the site and its managers")))
        .api_route(
            "/v1/assumptions",
            get_with(assumptions, |operation| {
                doc("assumptions", "List the assumptions about undocumented behaviour of the product")(
                    operation,
                )
                .response_with::<200, Json<Assumed>, _>(|response| {
                    response.description("The assumptions, each with its value, default, mark and reason.")
                })
            })
            .put_with(
                assume,
                doc(
                    "assume",
                    "Set assumptions by name: those of the REST API take effect at once, all others at the next reset",
                ),
            ),
        )
        .api_route(
            "/v1/commands",
            post_with(
                commands,
                doc(
                    "giveCommands",
                    "Apply commands to the site, as in a scenario's setup: all of them or none",
                ),
            ),
        )
        .api_route("/v1/lists", get_with(lists, doc("lists", "List the management server lists")))
        .api_route(
            "/v1/lists/{list}",
            get_with(list, doc("list", "Show a list and its assignments"))
                .put_with(set_list, doc("setList", "Copy or change a list"))
                .delete_with(remove_list, doc("removeList", "Remove a list without assignments")),
        )
        .api_route(
            "/v1/lists/{list}/assignments",
            put_with(assign, doc("assignList", "Assign a list to a group or a location")),
        )
        .api_route("/v1/groups", get_with(groups, doc("groups", "List the groups")))
        .api_route(
            "/v1/groups/{group}",
            get_with(group, doc("group", "Show a group with its locations"))
                .put_with(set_group, doc("setGroup", "Add or change a group")),
        )
        .api_route(
            "/v1/groups/{group}/sylink",
            get_with(sylink, doc("sylink", "Download the communications file that the console exports")),
        )
        .api_route(
            "/v1/groups/{group}/locations/{location}",
            put_with(set_location, doc("setLocation", "Add or change a location")),
        )
        .api_route(
            "/v1/groups/{group}/policies/{policy}",
            put_with(set_policy, doc("setPolicy", "Add or change a policy")),
        )
        .api_route(
            "/v1/packages/{package}",
            put_with(set_package, doc("setPackage", "Add or replace a client package"))
                .layer(DefaultBodyLimit::max(LARGEST_PACKAGE)),
        )
        .api_route(
            "/v1/packages/{package}/assignments",
            put_with(assign_package, doc("assignPackage", "Assign a package to a group")),
        )
}

async fn site(State(lab): LabState) -> Json<SiteView> {
    let served = lab.certificates();
    Json(lab.site.look(|site| SiteView::of(site, &lab.site.addresses_now(), &served)))
}

async fn assumptions(State(lab): LabState) -> Json<Assumed> {
    Json(Assumed(lab.assumptions()))
}

async fn assume(
    State(lab): LabState,
    JsonBody(NewAssumptions(changes)): JsonBody<NewAssumptions>,
) -> Answer<Assumed> {
    tokio::task::block_in_place(|| lab.assume(&changes))?;
    let changed: Vec<String> = changes.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    lab.site.journal().operator_action(format!("assumptions set: {}", changed.join(", ")));
    Ok(Json(Assumed(lab.assumptions())))
}

async fn commands(
    State(lab): LabState,
    JsonBody(Commands(mut commands)): JsonBody<Commands>,
) -> Answer<AppliedCommands> {
    if let Some(file) = commands.iter_mut().flat_map(Command::materials_mut).next() {
        let file = &file.file;
        return Err(Problem::invalid(format!(
            "{file:?} is a file, which this operation does not read: use the operation for certificates or packages"
        )));
    }
    if commands.len() > MOST_COMMANDS {
        return Err(Problem::invalid(format!(
            "expected at most {MOST_COMMANDS} commands, found {}",
            commands.len()
        )));
    }
    let effects = tokio::task::block_in_place(|| lab.site.apply_all(&commands))?;
    let told: Vec<String> = commands.iter().map(told).collect();
    lab.site.journal().operator_action(format!("commands applied: {}", told.join("; ")));
    Ok(Json(AppliedCommands { commands: commands.len(), effects: effects.len() }))
}

/// A command with its values, other than contents of files.
fn told(command: &Command) -> String {
    let mut command = serde_json::to_value(command).unwrap_or_default();
    let Some((name, fields)) = command.as_object_mut().and_then(|one| one.iter_mut().next()) else {
        return command.as_str().unwrap_or_default().to_owned();
    };
    if let Some(fields) = fields.as_object_mut() {
        ["certificate", "content", "file"].iter().for_each(|one| drop(fields.remove(*one)));
    }
    format!("{name} {}", in_words(fields))
}

async fn lists(State(lab): LabState) -> Json<Vec<ListView>> {
    Json(lab.site.look(|site| ListView::all(site, site.lists())))
}

async fn list(State(lab): LabState, Path(List { list }): Path<List>) -> Answer<ListView> {
    show_list(&lab, &list)
}

fn show_list(lab: &Lab, name: &str) -> Answer<ListView> {
    let found =
        lab.site.look(|site| site.lists().find(|one| one.name == name).map(|one| ListView::of(site, one)));
    found.map(Json).ok_or_else(|| Problem::unknown(format!("there is no management server list {name:?}")))
}

async fn set_list(
    State(lab): LabState,
    Path(List { list }): Path<List>,
    JsonBody(setting): JsonBody<ListSetting>,
) -> Answer<ListView> {
    let ListSetting { copy_of, protocol, verify_ca, priorities } = setting;
    decide(&lab, &format!("list {list:?} changed"), |site| {
        let before = site.lists().find(|one| one.name == list);
        let mut commands = Vec::new();
        let (mut protocol, mut verify_ca, mut priorities) = (protocol, verify_ca, priorities);
        match (before, copy_of) {
            (None, from) => {
                let from = from.unwrap_or_else(|| site.default_list());
                commands.push(Command::CopyList { from, to: list.clone() });
            }
            (Some(_), Some(from)) => {
                let known = site.lists().map(|one| one.name.as_str());
                let source = site.lists().find(|one| one.name == from);
                let source =
                    source.ok_or_else(|| CommandError::unknown("management server list", &from, known))?;
                protocol = protocol.or(Some(source.protocol));
                verify_ca = verify_ca.or(Some(source.verify_ca));
                priorities = priorities.or_else(|| Some(source.priorities.clone()));
            }
            (Some(_), None) => {}
        }
        let changes = |one: &ManagementServerList| {
            protocol.is_some_and(|protocol| protocol != one.protocol)
                || verify_ca.is_some_and(|verify| verify != one.verify_ca)
                || priorities.as_ref().is_some_and(|priorities| *priorities != one.priorities)
        };
        let is_edited = protocol.is_some() || verify_ca.is_some() || priorities.is_some();
        if before.map_or(is_edited, changes) {
            commands.push(Command::EditList { list: list.clone(), protocol, verify_ca, priorities });
        }
        Ok(commands)
    })?;
    show_list(&lab, &list)
}

async fn remove_list(State(lab): LabState, Path(List { list }): Path<List>) -> Answer<Vec<ListView>> {
    decide(&lab, &format!("list {list:?} removed"), |site| {
        let is_there = site.lists().any(|one| one.name == list);
        Ok(is_there.then(|| Command::RemoveList { list: list.clone() }).into_iter().collect())
    })?;
    Ok(lists(State(lab)).await)
}

async fn assign(
    State(lab): LabState,
    Path(List { list }): Path<List>,
    JsonBody(Assignment { group, location }): JsonBody<Assignment>,
) -> Answer<ListView> {
    decide(&lab, &format!("list {list:?} assigned to {}", quoted(&group)), |site| {
        let own = site.groups().get(&group).filter(|one| !one.inherits).map(|one| &one.own);
        let used = match &location {
            None => own.map(|own| &own.list),
            Some(name) => own.and_then(|own| Some(&own.locations.get(name)?.own.as_ref()?.list)),
        };
        let command = || Command::AssignList { list: list.clone(), group: group.clone(), location };
        Ok(if used == Some(&list) { Vec::new() } else { vec![command()] })
    })?;
    show_list(&lab, &list)
}

async fn groups(State(lab): LabState) -> Json<Vec<GroupView>> {
    Json(lab.site.look(GroupView::all))
}

async fn group(State(lab): LabState, Path(GroupName { group }): Path<GroupName>) -> Answer<GroupView> {
    show_group(&lab, &group)
}

fn show_group(lab: &Lab, path: &str) -> Answer<GroupView> {
    let found = lab.site.look(|site| site.groups().find(path).map(|group| GroupView::of(site, path, group)));
    Ok(Json(found?))
}

async fn set_group(
    State(lab): LabState,
    Path(GroupName { group }): Path<GroupName>,
    JsonBody(setting): JsonBody<GroupSetting>,
) -> Answer<GroupView> {
    let GroupSetting { inherits, list, secure_communications, communication } = setting;
    decide(&lab, &format!("group {} changed", quoted(&group)), |site| {
        let before = site.groups().get(&group);
        let own = if before.is_some() { site.groups().effective(&group).ok() } else { None };
        let mut commands = Vec::new();
        match (before, inherits) {
            (None, inherits) => {
                let inherits = inherits.unwrap_or(true);
                commands.push(Command::AddGroup { group: group.clone(), inherits });
            }
            (Some(before), Some(inherits)) if before.inherits != inherits => {
                commands.push(Command::SetInheritance { group: group.clone(), inherits });
            }
            _ => {}
        }
        if let Some(list) = list.filter(|list| own.is_none_or(|own| own.list != *list)) {
            commands.push(Command::AssignList { list, group: group.clone(), location: None });
        }
        if let Some(on) =
            secure_communications.filter(|on| own.is_none_or(|own| own.secure_communications != *on))
        {
            commands.push(Command::SetSecureCommunications { group: group.clone(), on });
        }
        let changes = |change: &CommunicationChange| {
            own.is_none_or(|own| change.applied_to(&own.communication) != own.communication)
        };
        if let Some(change) = communication.filter(changes) {
            commands.push(Command::SetCommunication { group: group.clone(), location: None, change });
        }
        Ok(commands)
    })?;
    show_group(&lab, &group)
}

async fn set_location(
    State(lab): LabState,
    Path(LocationName { group, location }): Path<LocationName>,
    JsonBody(setting): JsonBody<LocationSetting>,
) -> Answer<GroupView> {
    let LocationSetting { list, communication, use_group_communication } = setting;
    let gives_up = use_group_communication == Some(true);
    if gives_up && (list.is_some() || communication.is_some()) {
        return Err(Problem::invalid(
            "use_group_communication discards the location's own list and settings: set either it or them",
        ));
    }
    decide(&lab, &format!("location {location:?} of {} changed", quoted(&group)), |site| {
        let before = site.groups().find(&group)?.own.locations.get(&location);
        let own = before.and_then(|known| known.own.as_ref());
        let at = || (group.clone(), location.clone());
        if use_group_communication == Some(false)
            && own.is_none()
            && list.is_none()
            && communication.is_none()
        {
            return Err(CommandError::Invalid {
                field: "use_group_communication",
                found: "false".to_owned(),
                expected: "true, or a list or communication of the location itself".to_owned(),
            });
        }
        let mut commands = Vec::new();
        if before.is_none() {
            let (group, location) = at();
            commands.push(Command::AddLocation { group, location });
        }
        if gives_up && own.is_some() {
            let (group, location) = at();
            commands.push(Command::UseGroupCommunication { group, location });
        }
        if let Some(list) = list.filter(|list| own.is_none_or(|own| own.list != *list)) {
            let (group, location) = at();
            commands.push(Command::AssignList { list, group, location: Some(location) });
        }
        let changes = |change: &CommunicationChange| {
            own.is_none_or(|own| change.applied_to(&own.communication) != own.communication)
        };
        if let Some(change) = communication.filter(changes) {
            let (group, location) = at();
            commands.push(Command::SetCommunication { group, location: Some(location), change });
        }
        Ok(commands)
    })?;
    show_group(&lab, &group)
}

async fn set_policy(
    State(lab): LabState,
    Path(PolicyName { group, policy }): Path<PolicyName>,
    JsonBody(PolicySetting { content }): JsonBody<PolicySetting>,
) -> Answer<GroupView> {
    decide(&lab, &format!("policy {policy:?} of {} changed", quoted(&group)), |site| {
        let own = site.groups().get(&group).filter(|one| !one.inherits).map(|one| &one.own);
        let is_so = own.is_some_and(|own| own.policies.get(&policy) == Some(&content));
        let command = || Command::SetPolicy { group: group.clone(), policy: policy.clone(), content };
        Ok(if is_so { Vec::new() } else { vec![command()] })
    })?;
    show_group(&lab, &group)
}

async fn set_package(
    State(lab): LabState,
    Path(PackageName { package }): Path<PackageName>,
    File(content): File,
) -> Answer<PackageView> {
    let bytes = content.len();
    decide(&lab, &format!("package {package:?} changed"), |site| {
        if site.package(&package).is_some_and(|known| *known == content) {
            return Ok(Vec::new());
        }
        let file = Material { file: package.clone(), content };
        Ok(vec![Command::AddPackage { package: package.clone(), file }])
    })?;
    Ok(Json(PackageView { package, bytes }))
}

async fn assign_package(
    State(lab): LabState,
    Path(PackageName { package }): Path<PackageName>,
    JsonBody(GroupName { group }): JsonBody<GroupName>,
) -> Answer<GroupView> {
    decide(&lab, &format!("package {package:?} assigned to {}", quoted(&group)), |site| {
        let own = site.groups().get(&group).filter(|one| !one.inherits).map(|one| &one.own);
        let has = own.is_some_and(|own| own.packages.contains(&package));
        let command = || Command::AssignPackage { package: package.clone(), group: group.clone() };
        Ok(if has { Vec::new() } else { vec![command()] })
    })?;
    show_group(&lab, &group)
}

async fn sylink(
    State(lab): LabState,
    Path(GroupName { group }): Path<GroupName>,
    Query(OfLocation { location }): Query<OfLocation>,
) -> Result<Download<Xml>, Problem> {
    let sylink = lab.site.export_sylink(&group, location.as_deref())?;
    Ok(Download(sylink.to_xml().into_bytes(), Xml))
}

/// Reads the site and applies the commands decided on, all or none, under one lock. Without commands, nothing
/// changes.
fn decide(
    lab: &Lab,
    what: &str,
    decide: impl FnOnce(&Site) -> Result<Vec<Command>, CommandError>,
) -> Result<(), Problem> {
    let deciding = |site: &Site| {
        let commands = decide(site)?;
        let told = commands.iter().map(told).collect::<Vec<_>>().join("; ");
        Ok::<_, CommandError>((commands, told))
    };
    let told = tokio::task::block_in_place(|| lab.site.decide(deciding))?;
    if !told.is_empty() {
        lab.site.journal().operator_action(format!("{what}: {told}"));
    }
    Ok(())
}
