//! Computers: listed, moved and deleted.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::{delete, get, post};
use axum::extract::State;
use epm_protocol::glob;
use epm_protocol::id::{AgentId, GroupId, HardwareKey};
use epm_protocol::site::{Command, CommandError, RegisteredClient};
use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rest_api::auth::identity::is_default_domain;
use crate::rest_api::clients::computer::{self, Computer};
use crate::rest_api::groups::group::find;
use crate::rest_api::http::{
    ApiError, GroupPath, Id, IdPath, Json, JsonBody, NoContent, Order, Page, Paging, Path, Query, Several,
    Slice, Sort,
};
use crate::rest_api::state::RestApi;
use crate::runtime::clients::ClientStatus;

/// Default page size.
const PAGE: u32 = 20;

/// Filter for computers.
#[derive(Debug, Deserialize, JsonSchema)]
struct ComputerFilter {
    /// Computer name; `*` matches anything.
    #[serde(rename = "computerName")]
    computer_name: Option<String>,
    /// `uniqueId` of the client.
    computer_id: Option<Id>,
    hardware_key: Option<Id>,
    /// MAC address; `*` matches anything.
    mac: Option<String>,
    /// Name or identifier of the domain.
    domain: Option<String>,
    /// Operating systems, by the product's abbreviations.
    #[serde(default)]
    os: Vec<OperatingSystem>,
    /// Only computers in contact since this time, in milliseconds since 1970.
    #[serde(rename = "lastUpdate")]
    last_update: Option<i64>,
    sort: Option<SortBy>,
    order: Option<Order>,
}

/// Sort key of computers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum SortBy {
    #[default]
    ComputerName,
    ComputerId,
    ComputerDomainName,
    DomainId,
}

/// The product's abbreviations. All clients of the lab have the same operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[expect(clippy::upper_case_acronyms, reason = "the names of the product")]
enum OperatingSystem {
    CentOs,
    Debian,
    Fedora,
    MacOSX,
    Oracle,
    OSX,
    RedHat,
    SUSE,
    Ubuntu,
    Win10,
    Win11,
    Win2K,
    Win7,
    Win8,
    Win81,
    WinEmb7,
    WinEmb8,
    WinEmb81,
    WinFundamental,
    WinNT,
    Win2K3,
    Win2K8,
    Win2K8R2,
    Win2K12,
    Win2K12R2,
    Win2K16,
    Win2K19,
    Win2K22,
    WinVista,
    WinXP,
    WinXPEmb,
    WinXPProf64,
}

/// A computer, and its new group.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MoveItem {
    group: GroupRef,
    hardware_key: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct GroupRef {
    id: String,
}

/// Result for one of several items.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct BulkResponse {
    /// Status as a string.
    response_code: String,
    response_message: String,
}

/// A computer to delete.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Machine {
    hardware_key: Id,
}

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    ApiRouter::new()
        .api_route("/sepm/api/v1/computers", get(computers).patch(move_all))
        .api_route("/sepm/api/v1/computers/delete", post(delete_all))
        .api_route("/sepm/api/v1/computers/{id}", delete(delete_one))
        .api_route("/sepm/api/v1/groups/{groupId}/computers", get(of_group))
}

async fn computers(
    State(api): State<Arc<RestApi>>,
    Query(paging): Query<Paging>,
    Query(filter): Query<ComputerFilter>,
) -> Result<Json<Page<Computer>>, ApiError> {
    let slice = paging.slice(PAGE, &api.assumed())?;
    let index = api.index();
    let sorted = if filter.sort == Some(SortBy::ComputerId) { &index.by_id } else { &index.by_name };
    Ok(Json(api.page(sorted, &filter, slice)))
}

async fn of_group(
    State(api): State<Arc<RestApi>>,
    Path(GroupPath { group_id }): Path<GroupPath>,
    Query(paging): Query<Paging>,
    Query(filter): Query<ComputerFilter>,
) -> Result<Json<Page<Computer>>, ApiError> {
    let slice = paging.slice(PAGE, &api.assumed())?;
    find(&api.site.read(), group_id)?;
    let index = api.index();
    let mut sorted = index.of_group(GroupId(group_id.0)).to_vec();
    if filter.sort == Some(SortBy::ComputerId) {
        sorted.sort_unstable();
    }
    Ok(Json(api.page(&sorted, &filter, slice)))
}

/// Moves computers one by one: one that cannot be moved does not stop the others.
async fn move_all(
    State(api): State<Arc<RestApi>>,
    JsonBody(items): JsonBody<Vec<MoveItem>>,
) -> Several<BulkResponse> {
    let status = api.assumed().rest_move_status;
    let moved = items.iter().map(|item| match api.move_one(item) {
        Ok(()) => BulkResponse { response_code: "200".to_owned(), response_message: "OK".to_owned() },
        Err(refusal) => BulkResponse {
            response_code: refusal.status().as_u16().to_string(),
            response_message: refusal.to_string(),
        },
    });
    Several { status, items: moved.collect() }
}

/// Deletes computers. An unknown computer is no error.
async fn delete_all(
    State(api): State<Arc<RestApi>>,
    JsonBody(machines): JsonBody<Vec<Machine>>,
) -> Result<NoContent, ApiError> {
    let index = api.index();
    for machine in machines {
        if let Some(agent) = index.on(HardwareKey(machine.hardware_key.0)) {
            api.forget(agent)?;
        }
    }
    Ok(NoContent)
}

async fn delete_one(
    State(api): State<Arc<RestApi>>,
    Path(IdPath { id }): Path<IdPath>,
) -> Result<NoContent, ApiError> {
    api.forget(AgentId(id.0)).map(|()| NoContent)
}

/// Determines which clients are online at a given time.
pub(crate) struct Presence {
    now: Timestamp,
    /// Time without contact after which a client of the group is offline.
    limits: HashMap<GroupId, Duration>,
}

impl Presence {
    /// Presence at the current lab time.
    pub(crate) fn now(api: &RestApi) -> Self {
        let site = api.site.read();
        let missed = site.assumptions().offline_after_heartbeats;
        let limits = site.groups().iter().filter_map(|(path, group)| {
            let beat = site.groups().effective(path).ok()?.communication.heartbeat_seconds;
            Some((group.id, Duration::from_secs(u64::from(beat) * u64::from(missed))))
        });
        Self { now: api.now(), limits: limits.collect() }
    }

    /// Whether a client is online.
    pub(crate) fn is_online(&self, client_status: &ClientStatus) -> bool {
        let limit = self.limits.get(&client_status.client.group);
        limit.is_some_and(|limit| self.now.since(client_status.last_seen) <= *limit)
    }
}

impl RestApi {
    fn page(&self, sorted: &[AgentId], filter: &ComputerFilter, slice: Slice) -> Page<Computer> {
        let order = filter.order.unwrap_or_default();
        let property = serde_json::to_value(filter.sort.unwrap_or_default());
        let property = property.ok().and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default();
        let sort = Sort::by(&property, order);
        let directed = |at: usize| match order {
            Order::Asc => sorted.get(at),
            Order::Desc => sorted.len().checked_sub(at + 1).and_then(|at| sorted.get(at)),
        };
        if filter.is_empty() {
            let meant = (slice.start()..sorted.len()).take(slice.size()).filter_map(directed);
            return slice.page(self.rows(&meant.copied().collect::<Vec<_>>()), sorted.len(), sort);
        }
        if !is_default_domain(self, filter.domain.as_deref())
            || !(filter.is_for_one() || filter.os.is_empty() || filter.os.contains(&OperatingSystem::Win10))
        {
            return slice.page(Vec::new(), 0, sort);
        }
        let all = (0..sorted.len()).filter_map(directed).copied();
        let found: Vec<AgentId> = {
            let site = self.site.read();
            all.filter(|agent| {
                site.client(*agent).is_some_and(|client| filter.takes(client, || self.clients.status(*agent)))
            })
            .collect()
        };
        let meant: Vec<AgentId> = found.iter().skip(slice.start()).take(slice.size()).copied().collect();
        slice.page(self.rows(&meant), found.len(), sort)
    }

    fn rows(&self, agents: &[AgentId]) -> Vec<Computer> {
        let presence = Presence::now(self);
        let domain = self.domain_summary();
        let surroundings = computer::Surroundings::of(&self.site.read(), &domain);
        let client_statuses = agents.iter().filter_map(|agent| self.clients.status(*agent));
        client_statuses
            .map(|client_status| surroundings.computer(&client_status, presence.is_online(&client_status)))
            .collect()
    }

    fn move_one(&self, item: &MoveItem) -> Result<(), ApiError> {
        let invalid = |_| ApiError::Invalid("The group id or the hardware key is invalid.".to_owned());
        let group = GroupId::from_str(&item.group.id).map_err(invalid)?;
        let machine = HardwareKey::from_str(&item.hardware_key).map_err(invalid)?;
        let agent = self.index().on(machine).ok_or_else(|| ApiError::gone("computers", machine))?;
        self.site.decide(|site| {
            let (path, _) = find(site, Id(group.0))?;
            Ok((vec![Command::MoveClient { client: agent.into(), group: path.to_owned() }], ()))
        })
    }

    fn forget(&self, agent: AgentId) -> Result<(), ApiError> {
        match self.site.apply(&Command::RemoveClient { agent }) {
            Ok(_) | Err(CommandError::Unknown { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl ComputerFilter {
    /// Whether the filter selects a single computer.
    fn is_for_one(&self) -> bool {
        self.computer_id.is_some() || self.hardware_key.is_some()
    }

    /// Whether the filter matches everything.
    fn is_empty(&self) -> bool {
        self.computer_name.is_none()
            && self.computer_id.is_none()
            && self.hardware_key.is_none()
            && self.mac.is_none()
            && self.domain.is_none()
            && self.os.is_empty()
            && self.last_update.is_none()
    }

    fn takes(&self, client: &RegisteredClient, client_status: impl FnOnce() -> Option<ClientStatus>) -> bool {
        let like =
            |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|it| glob::is_match(it, text));
        // A filter for one computer ignores all others [S of the REST notes].
        if let Some(id) = self.computer_id {
            return id.0 == client.agent.0;
        }
        if let Some(key) = self.hardware_key {
            return key.0 == client.hardware_key.0;
        }
        like(&self.computer_name, &client.computer_name)
            && (self.mac.is_none() || like(&self.mac, &computer::mac_address(client.hardware_key)))
            && self.last_update.is_none_or(|since| {
                client_status()
                    .is_some_and(|client_status| client_status.last_seen >= Timestamp::from_millis(since))
            })
    }
}
