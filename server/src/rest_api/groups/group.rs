//! Groups: listed, created, changed and removed.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get;
use axum::extract::State;
use epm_protocol::id::GroupId;
use epm_protocol::policy::PolicySerial;
use epm_protocol::site::{Command, DEFAULT_LOCATION, Group, Site};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rest_api::auth::identity::is_default_domain;
use crate::rest_api::clients::client_index::Index;
use crate::rest_api::http::{
    ApiError, Created, GroupPath, Id, Json, JsonBody, NoContent, Order, Page, Paging, Path, Query, Sort,
};
use crate::rest_api::state::RestApi;
use crate::rest_api::system::domains::DomainSummary;

/// Default page size.
const PAGE: u32 = 25;
/// Maximum depth of nested groups, which bounds the size of a tree.
const MAX_DEPTH: usize = 64;

/// A group.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GroupView {
    id: Id,
    name: String,
    description: Option<String>,
    full_path_name: String,
    number_of_physical_computers: usize,
    number_of_registered_users: usize,
    created_by: String,
    /// Creation time, in milliseconds since 1970.
    created: i64,
    /// Time of the last change, in milliseconds since 1970.
    last_modified: i64,
    /// Serial number of the policy; clients report it once they hold the policy.
    policy_serial_number: String,
    /// Time in the serial number, in milliseconds since 1970.
    policy_date: i64,
    custom_ips_number: &'static str,
    default_location_id: Option<String>,
    external_reference_id: Option<String>,
    domain: DomainSummary,
    policy_inheritance_enabled: bool,
    child_groups: Option<Vec<Self>>,
}

/// Filter for groups.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct GroupFilter {
    /// Name or identifier of the domain.
    domain: Option<String>,
    /// `tree` nests groups in their parents.
    mode: Option<String>,
    /// Only the group with this full path.
    full_path_name: Option<String>,
    /// Sort key: `NAME`, or the path; the default is an assumption.
    sort: Option<String>,
    order: Option<Order>,
}

/// A group to create.
#[derive(Debug, Deserialize, JsonSchema)]
struct NewGroup {
    /// Name of the group, without the path.
    #[schemars(length(min = 1, max = 256))]
    name: String,
    #[schemars(length(max = 1024))]
    description: Option<String>,
    /// Whether the group inherits everything from its parent; true when absent.
    inherits: Option<bool>,
}

/// Changes of a group; absent or null fields stay as they are.
#[derive(Debug, Deserialize, JsonSchema)]
struct GroupPayload {
    /// Name of the group, without the path.
    #[schemars(length(min = 1, max = 256))]
    name: Option<String>,
    #[schemars(length(max = 1024))]
    description: Option<String>,
    /// Whether the group inherits everything from its parent.
    inherits: Option<bool>,
}

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    ApiRouter::new()
        .api_route("/sepm/api/v1/groups", get(groups))
        .api_route("/sepm/api/v1/groups/{groupId}", get(group).post(found).patch(change).delete(remove))
}

async fn groups(
    State(api): State<Arc<RestApi>>,
    Query(paging): Query<Paging>,
    Query(filter): Query<GroupFilter>,
) -> Result<Json<Page<GroupView>>, ApiError> {
    let slice = paging.slice(PAGE, &api.assumed())?;
    let order = filter.order.unwrap_or_default();
    let asked = filter.sort.as_deref().map(str::to_ascii_uppercase).filter(|asked| !asked.is_empty());
    let by_path = asked.as_deref().is_some_and(|asked| asked != "NAME");
    let by_name = !by_path && (asked.is_some() || !api.assumed().rest_groups_in_order_of_paths);
    // A recorded page says NAME when no order was requested [R].
    let sort = Sort::by(if by_path { "FULL_PATH_NAME" } else { "NAME" }, order);
    if !is_default_domain(&api, filter.domain.as_deref()) {
        return Ok(Json(slice.of(Vec::new(), sort)));
    }
    let mut views = api.all_groups();
    let wanted = filter.full_path_name.as_deref();
    if filter.mode.is_some_and(|mode| mode.eq_ignore_ascii_case("tree")) {
        let top = wanted
            .map_or_else(|| views.first().map(|view| view.full_path_name.clone()), |it| Some(it.to_owned()));
        let top = top.unwrap_or_default();
        // The control API can create deeper groups than a tree may have.
        if views.iter().any(|view| view.full_path_name.matches('\\').count() >= MAX_DEPTH) {
            let words = format!(
                "Groups are nested deeper than {MAX_DEPTH} levels; request a list instead of a tree."
            );
            return Err(ApiError::Invalid(words));
        }
        views = tree(views, &top);
    } else if let Some(path) = wanted {
        views.retain(|view| view.full_path_name == path);
    }
    if by_name {
        views.sort_by(|one, two| one.name.cmp(&two.name));
    }
    if order == Order::Desc {
        views.reverse();
    }
    Ok(Json(slice.of(views, sort)))
}

async fn group(
    State(api): State<Arc<RestApi>>,
    Path(GroupPath { group_id }): Path<GroupPath>,
) -> Result<Json<GroupView>, ApiError> {
    api.group_view(group_id).map(Json)
}

/// Creates a group below the one in the path.
async fn found(
    State(api): State<Arc<RestApi>>,
    Path(GroupPath { group_id }): Path<GroupPath>,
    JsonBody(payload): JsonBody<NewGroup>,
) -> Result<Created<GroupView>, ApiError> {
    let NewGroup { name, description, inherits } = payload;
    check_name(&name)?;
    let path = api.site.decide(|site| {
        let (above, _) = find(site, group_id)?;
        if above.split('\\').count() >= MAX_DEPTH {
            return Err(ApiError::Invalid(format!("Groups can be nested at most {MAX_DEPTH} levels deep.")));
        }
        let path = format!("{above}\\{name}");
        if site.groups().get(&path).is_some() {
            let status = site.assumptions().rest_group_name_taken_status;
            return Err(ApiError::assumed(status, format!("A group {path} already exists.")));
        }
        let mut commands =
            vec![Command::AddGroup { group: path.clone(), inherits: inherits.unwrap_or(true) }];
        if description.is_some() {
            commands.push(Command::DescribeGroup { group: path.clone(), description });
        }
        Ok((commands, path))
    })?;
    let id = api.site.read().groups().find(&path).map(|group| Id(group.id.0));
    api.group_view(id?).map(Created)
}

async fn change(
    State(api): State<Arc<RestApi>>,
    Path(GroupPath { group_id }): Path<GroupPath>,
    JsonBody(payload): JsonBody<GroupPayload>,
) -> Result<Json<GroupView>, ApiError> {
    let GroupPayload { name, description, inherits } = payload;
    name.as_deref().map_or(Ok(()), check_name)?;
    api.site.decide(|site| {
        let (path, group) = find(site, group_id)?;
        let mut commands = Vec::new();
        if let Some(inherits) = inherits.filter(|inherits| *inherits != group.inherits) {
            commands.push(Command::SetInheritance { group: path.to_owned(), inherits });
        }
        if description.is_some() && description != group.description {
            commands.push(Command::DescribeGroup { group: path.to_owned(), description });
        }
        if let Some(name) = name.filter(|name| name != last(path)) {
            let above = path.rsplit_once('\\').map(|(above, _)| format!("{above}\\{name}"));
            if above.is_some_and(|path| site.groups().get(&path).is_some()) {
                let status = site.assumptions().rest_group_name_taken_status;
                return Err(ApiError::assumed(status, format!("A group {name} already exists.")));
            }
            commands.push(Command::RenameGroup { group: path.to_owned(), name });
        }
        Ok::<_, ApiError>((commands, ()))
    })?;
    api.group_view(group_id).map(Json)
}

async fn remove(
    State(api): State<Arc<RestApi>>,
    Path(GroupPath { group_id }): Path<GroupPath>,
) -> Result<NoContent, ApiError> {
    let removed = api.site.decide(|site| {
        let (path, _) = find(site, group_id)?;
        Ok::<_, ApiError>((vec![Command::RemoveGroup { group: path.to_owned() }], ()))
    });
    let status = api.assumed().rest_group_in_use_status;
    removed.map(|()| NoContent).map_err(|refusal| match refusal {
        in_use @ ApiError::Invalid(_) => in_use.with(status),
        other => other,
    })
}

/// The group with this identifier, and its path.
pub(crate) fn find(site: &Site, id: Id) -> Result<(&str, &Group), ApiError> {
    let found = site.groups().iter().find(|(_, group)| group.id.0 == id.0);
    found.ok_or_else(|| ApiError::gone("groups", id))
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if name.trim().is_empty() || name.contains('\\') || name.chars().count() > 256 {
        let words = "The name of a group must have 1 to 256 characters and no backslash.";
        return Err(ApiError::Invalid(words.to_owned()));
    }
    Ok(())
}

fn last(path: &str) -> &str {
    path.rsplit('\\').next().unwrap_or(path)
}

/// Nests groups in their parents, and returns the group at `top`.
fn tree(views: Vec<GroupView>, top: &str) -> Vec<GroupView> {
    let is_below =
        |path: &str| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'));
    let depth = |path: &str| path.matches('\\').count();
    let mut open: Vec<GroupView> = Vec::new();
    let mut done = Vec::new();
    // Parents come before their children, and all descendants before the next sibling.
    let mut views: Vec<_> = views.into_iter().filter(|view| is_below(&view.full_path_name)).collect();
    views.sort_by(|one, two| one.full_path_name.split('\\').cmp(two.full_path_name.split('\\')));
    let close = |open: &mut Vec<GroupView>, done: &mut Vec<GroupView>| {
        let Some(closed) = open.pop() else { return };
        match open.last_mut() {
            Some(above) => above.child_groups.get_or_insert_default().push(closed),
            None => done.push(closed),
        }
    };
    for view in views {
        while open.last().is_some_and(|one| depth(&one.full_path_name) >= depth(&view.full_path_name)) {
            close(&mut open, &mut done);
        }
        open.push(view);
    }
    while !open.is_empty() {
        close(&mut open, &mut done);
    }
    done
}

impl RestApi {
    /// The sorted clients. Must not be called while the site is locked.
    pub(crate) fn index(&self) -> Arc<Index> {
        let version = self.clients.version();
        let site = self.site.read();
        self.database.client_index.index(version, || site.clients())
    }

    fn all_groups(&self) -> Vec<GroupView> {
        let (index, domain, created_by) = self.surroundings();
        let site = self.site.read();
        site.groups()
            .iter()
            .map(|(path, group)| view(&site, path, group, &index, &domain, &created_by))
            .collect()
    }

    fn group_view(&self, id: Id) -> Result<GroupView, ApiError> {
        let (index, domain, created_by) = self.surroundings();
        let site = self.site.read();
        let (path, group) = find(&site, id)?;
        Ok(view(&site, path, group, &index, &domain, &created_by))
    }

    fn surroundings(&self) -> (Arc<Index>, DomainSummary, String) {
        let first = self.database.administrators.all().first().map(|one| one.id.to_string());
        (self.index(), self.domain_summary(), first.unwrap_or_default())
    }
}

fn view(
    site: &Site,
    path: &str,
    group: &Group,
    index: &Index,
    domain: &DomainSummary,
    created_by: &str,
) -> GroupView {
    let computers = index.of_group(GroupId(group.id.0)).len();
    let locations = site.groups().effective(path).ok().map(|own| &own.locations);
    let default = locations.and_then(|all| all.get(DEFAULT_LOCATION)).map(|one| one.id.to_string());
    GroupView {
        id: Id(group.id.0),
        name: last(path).to_owned(),
        description: group.description.clone(),
        full_path_name: path.to_owned(),
        number_of_physical_computers: computers,
        number_of_registered_users: computers,
        created_by: created_by.to_owned(),
        created: group.created.as_millis(),
        last_modified: group.changed.as_millis(),
        policy_serial_number: PolicySerial::new(group.id, group.changed).to_string(),
        policy_date: group.changed.as_millis(),
        custom_ips_number: "",
        default_location_id: default,
        external_reference_id: None,
        domain: domain.clone(),
        policy_inheritance_enabled: group.inherits,
        child_groups: None,
    }
}
