//! The fleet in the lab's process: who is there, what each holds, and what is done to it.

use std::collections::BTreeMap;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::Json;
use axum::extract::State;
use epm_client_agent::agent::{AgentView, Health, LastServer};
use epm_client_agent::scenario::PartPlan;
use epm_protocol::site::DEFAULT_GROUP;
use epm_protocol::time::Timestamp;
use epm_protocol::version::ClientVersion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control_api::extract::{Answer, LabState, Routes, doc};
use crate::control_api::extract::{JsonBody, Path, Query};
use crate::lab::{ClientOperation, ClientView, Lab, Trace};
use crate::schema::BridgedSchema;

/// The most clients of one page.
const PAGE: usize = 1000;

#[derive(Debug, Deserialize, JsonSchema)]
struct Client {
    /// Its computer's name.
    client: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct PartName {
    /// Its name: its clients are called by it, with a number.
    part: String,
}

/// How large a part of the fleet is to be, and of what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PartSetting {
    /// How many clients.
    count: u32,
    /// Their group; the default group when absent.
    group: Option<String>,
    /// Their location; the group's default one when absent.
    location: Option<String>,
    /// Their version; 14.3 when absent.
    #[schemars(with = "Option<String>")]
    version: Option<ClientVersion>,
    /// Whether to answer at once, and not when all have been served.
    #[serde(default)]
    at_once: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct ClientQuery {
    /// Only clients of this part.
    part: Option<String>,
    /// Only clients in this state.
    state: Option<ClientState>,
    /// How many to pass over.
    #[serde(default)]
    offset: usize,
    /// How many to show, at most 1000.
    limit: Option<usize>,
}

/// How a client stands with its managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum ClientState {
    New,
    Connected,
    Disconnected,
    Orphaned,
}

impl ClientState {
    const fn of(health: &Health) -> Self {
        match health {
            Health::New => Self::New,
            Health::Connected { .. } => Self::Connected,
            Health::Disconnected { .. } => Self::Disconnected,
            Health::Orphaned { .. } => Self::Orphaned,
        }
    }
}

/// Clients, a page of them.
#[derive(Debug, Serialize, JsonSchema)]
struct Clients {
    /// How many fit in all.
    total: usize,
    /// How many were passed over.
    offset: usize,
    /// The page.
    clients: Vec<ClientView>,
}

/// All that is known of one client.
#[derive(Debug, Serialize, JsonSchema)]
struct WholeClient {
    /// Its computer's name.
    client: String,
    /// The part of the fleet that it belongs to.
    part: String,
    /// Whether its machine is on.
    on: bool,
    /// Whether it is kept from waking.
    frozen: bool,
    /// Whether a manager serves the client, and if not, why, in one sentence.
    status_detail: String,
    /// What it looks like.
    #[schemars(with = "BridgedSchema<AgentView>")]
    view: AgentView,
    /// The server that it stays with.
    #[schemars(with = "Option<BridgedSchema<LastServer>>")]
    last_server: Option<LastServer>,
    /// The packages that it has, each with its checksum.
    packages: BTreeMap<String, String>,
    /// When it wakes next.
    #[schemars(with = "String")]
    next_heartbeat: Timestamp,
    /// What was seen of it; none if nothing was.
    history: Option<Trace>,
}

/// A part of the fleet.
#[derive(Debug, Serialize, JsonSchema)]
struct PartNow {
    /// Its name.
    part: String,
    /// How many clients it has.
    count: usize,
    /// Their names.
    clients: Vec<String>,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route("/v1/clients", get_with(list, doc("clients", "The clients of this lab")))
        .api_route(
            "/v1/clients/{client}",
            get_with(show, doc("client", "One client: what it holds, and what became of it")),
        )
        .api_route(
            "/v1/clients/{client}/operations",
            post_with(
                act,
                doc("operateClient", "Poke, freeze, take offline, bring home, move or re-image a client"),
            ),
        )
        .api_route(
            "/v1/fleet/{part}",
            put_with(set_part, doc("setPart", "Make a part of the fleet as large as this")),
        )
}

async fn list(State(lab): LabState, Query(page): Query<ClientQuery>) -> Json<Clients> {
    let mut clients = lab.views().await;
    clients.retain(|one| {
        page.part.as_ref().is_none_or(|wanted| *wanted == one.part)
            && page.state.is_none_or(|wanted| wanted == ClientState::of(&one.view.health))
    });
    let total = clients.len();
    let limit = page.limit.unwrap_or(100).min(PAGE);
    let clients = clients.into_iter().skip(page.offset).take(limit).collect();
    Json(Clients { total, offset: page.offset, clients })
}

async fn show(State(lab): LabState, Path(Client { client }): Path<Client>) -> Answer<WholeClient> {
    effective(&lab, client).await
}

async fn effective(lab: &Lab, client: String) -> Answer<WholeClient> {
    let member = lab.member(&client).await?;
    let agent = member.handle.agent();
    let view = agent.view();
    let status_detail = match view.health.orphaned() {
        Some((since, because)) => format!("orphaned since {since}: {because}"),
        None if view.health.is_connected() => "served".to_owned(),
        None => "not served".to_owned(),
    };
    let state = &agent.cache().state;
    Ok(Json(WholeClient {
        part: member.part.clone(),
        on: !agent.is_stopped(),
        frozen: member.handle.is_frozen(),
        status_detail,
        view,
        last_server: state.last_server.clone(),
        packages: state.packages.clone(),
        next_heartbeat: member.handle.next_wake(),
        history: lab.trace(&client),
        client,
    }))
}

async fn act(
    State(lab): LabState,
    Path(Client { client }): Path<Client>,
    JsonBody(action): JsonBody<ClientOperation>,
) -> Answer<WholeClient> {
    lab.do_to(&client, &action).await?;
    lab.site.journal().operator_action(format!("client {client:?}: {action:?}"));
    effective(&lab, client).await
}

async fn set_part(
    State(lab): LabState,
    Path(PartName { part }): Path<PartName>,
    JsonBody(setting): JsonBody<PartSetting>,
) -> Answer<PartNow> {
    let mut plan = PartPlan::new(&part, setting.count, setting.version.unwrap_or(ClientVersion::new(14, 3)));
    plan.group = setting.group.unwrap_or_else(|| DEFAULT_GROUP.to_owned());
    plan.location = setting.location;
    lab.set_part(plan).await?;
    if !setting.at_once {
        lab.wait_for_part(&part).await?;
    }
    lab.site.journal().operator_action(format!("part {part:?} of the fleet: {} clients", setting.count));
    let names = lab.names().await.into_iter();
    let clients: Vec<String> = names.filter(|(of, _)| *of == part).map(|(_, name)| name).collect();
    Ok(Json(PartNow { part, count: clients.len(), clients }))
}
