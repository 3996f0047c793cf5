//! The fleet in the lab's process: its clients, their state, and actions on them.

use std::collections::{BTreeMap, HashSet};

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::Json;
use axum::extract::State;
use epm_client_agent::agent::{AgentView, Health, LastServer};
use epm_client_agent::scenario::PartPlan;
use epm_client_agent::wire::ByState;
use epm_protocol::plural::counted;
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::version::ClientVersion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control_api::client_query::ClientQuery;
use crate::control_api::extract::{Answer, LabState, Routes, doc};
use crate::control_api::extract::{JsonBody, Path, Query};
use crate::control_api::words::in_words;
use crate::lab::{ClientOperation, ClientView, Lab, Trace};
use crate::schema::BridgedSchema;

/// Maximum number of clients per page.
const PAGE: usize = 1000;

#[derive(Debug, Deserialize, JsonSchema)]
struct Client {
    /// Computer name of the client.
    client: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct PartName {
    /// Name of the part; its clients are named PART-1, PART-2 and so on.
    part: String,
}

/// Size and properties of a part of the fleet.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PartSetting {
    /// Number of clients; with POST, the number of clients to add.
    count: u32,
    /// Full path of the clients' group; when absent, that of the part, or of a new part the default group.
    group: Option<String>,
    /// Location of the clients; when absent, that of the part, or of a new part the group's default location.
    location: Option<String>,
    /// Version of the clients; when absent, that of the part, or of a new part 14.3.
    #[schemars(with = "Option<String>")]
    version: Option<ClientVersion>,
    /// Whether to respond at once instead of after every client has been served.
    #[serde(default)]
    at_once: bool,
}

/// A page of clients.
#[derive(Debug, Serialize, JsonSchema)]
struct Clients {
    /// Number of matching clients.
    total: usize,
    /// Number of skipped clients.
    offset: usize,
    /// Clients of this page.
    clients: Vec<ClientView>,
}

/// A client of the fleet with all its state.
#[derive(Debug, Serialize, JsonSchema)]
struct WholeClient {
    /// Computer name of the client.
    client: String,
    /// Part of the fleet that the client belongs to.
    part: String,
    /// Whether the client's machine is on.
    on: bool,
    /// Whether the client is frozen.
    frozen: bool,
    /// State of the client's connection, as a text for people.
    status_detail: String,
    /// State of the client: what it holds, and how its heartbeats go.
    #[schemars(with = "BridgedSchema<AgentView>")]
    view: AgentView,
    /// Server that the client uses until it fails.
    #[schemars(with = "Option<BridgedSchema<LastServer>>")]
    last_server: Option<LastServer>,
    /// Checksum of each package that the client has.
    packages: BTreeMap<String, String>,
    /// Lab time of the client's next action; absent while one is under way, and for a client that is off or runs elsewhere.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    next_heartbeat: Option<Timestamp>,
    /// Source that reports the client, which runs outside of the lab's process; absent for a client of the lab.
    #[serde(skip_serializing_if = "Option::is_none")]
    reported_by: Option<String>,
    /// Recorded history of the client; absent before its first heartbeat.
    history: Option<Trace>,
}

/// A part of the fleet.
#[derive(Debug, Serialize, JsonSchema)]
struct PartNow {
    /// Name of the part.
    part: String,
    /// Number of clients in the part.
    count: usize,
    /// Computer names of the clients.
    clients: Vec<String>,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route("/v1/clients", get_with(list, doc("clients", "List the clients of this lab")))
        .api_route(
            "/v1/clients/{client}",
            get_with(show, doc("client", "Show a client: its state and its history")),
        )
        .api_route(
            "/v1/clients/{client}/operations",
            post_with(
                act,
                doc(
                    "operateClient",
                    "Perform an action on a client, such as poke, freeze, offline, import, move or reimage",
                ),
            ),
        )
        .api_route(
            "/v1/fleet/{part}",
            put_with(set_part, doc("setPart", "Add a part to the fleet, or resize it")).post_with(
                add_clients,
                doc("addClients", "Add clients to a part of the fleet, or a part with them"),
            ),
        )
}

async fn list(State(lab): LabState, Query(page): Query<ClientQuery>) -> Json<Clients> {
    let request = format!("/v1/clients from {}", page.offset);
    lab.site.pauses().read(&request, lab.clock().now());
    let in_force: Vec<_> = lab.certificates().into_values().collect();
    let limit = page.limit.unwrap_or(100).min(PAGE);
    let of_reason: Option<HashSet<String>> = match page.reason {
        Some(number) => Some(lab.verdict().await.clients_of(number).map(str::to_owned).collect()),
        None => None,
    };
    let (mut total, mut clients, mut states) = (0, Vec::new(), ByState::default());
    lab.look_at_everyone(|seen| {
        if of_reason.as_ref().is_some_and(|names| !names.contains(seen.name)) {
            return;
        }
        let is_state = *states.of(&seen.glance.common, |view| page.fits_state(view, &in_force));
        if is_state && page.fits(&seen) {
            if total >= page.offset && clients.len() < limit {
                clients.push(ClientView::of(&seen));
            }
            total += 1;
        }
    })
    .await;
    Json(Clients { total, offset: page.offset, clients })
}

async fn show(State(lab): LabState, Path(Client { client }): Path<Client>) -> Answer<WholeClient> {
    effective(&lab, client).await
}

async fn effective(lab: &Lab, client: String) -> Answer<WholeClient> {
    let member = match lab.member(&client).await {
        Ok(member) => member,
        Err(error) => {
            let reported = lab.reported(&client).await.ok_or(error)?;
            return Ok(Json(WholeClient::reported(lab, reported)));
        }
    };
    let agent = member.handle.agent();
    let view = agent.view();
    let status_detail = status_detail(&view);
    let state = &agent.cache().state;
    let last_server = state.last_server.as_ref().map(|last| in_lab(last, &view.health, lab));
    Ok(Json(WholeClient {
        part: member.part.clone(),
        on: !agent.is_stopped(),
        frozen: member.handle.is_frozen(),
        status_detail,
        view,
        last_server,
        packages: state.packages.clone(),
        next_heartbeat: Some(member.handle.next_wake()).filter(|wake| *wake != Timestamp::NEVER),
        reported_by: None,
        history: lab.trace(&client),
        client,
    }))
}

impl WholeClient {
    /// A client that runs elsewhere, as far as its process reports it.
    fn reported(lab: &Lab, one: ClientView) -> Self {
        let ClientView { client, part, on, frozen, reported_by, view, .. } = one;
        Self {
            part,
            on,
            frozen,
            status_detail: status_detail(&view),
            view,
            last_server: None,
            packages: BTreeMap::new(),
            next_heartbeat: None,
            reported_by,
            history: lab.trace(&client),
            client,
        }
    }
}

/// The server that last served a client, since when it has in this lab. A client whose machine was on before the lab has an
/// earlier beginning for the day after which it asks its list again.
fn in_lab(last: &LastServer, health: &Health, lab: &Lab) -> LastServer {
    let mut last = last.known_of(health);
    // A client that has been out of touch since before the lab began was not served in it.
    let began = lab.began().filter(|began| health.since().is_some_and(|lost| *began <= lost));
    if let Some(began) = began.filter(|_| !health.is_connected()) {
        last.since = last.since.max(began);
    }
    last
}

/// How a client is, for people.
fn status_detail(view: &AgentView) -> String {
    match view.health.orphaned() {
        Some((since, because)) => format!("orphaned since {since}: {because}"),
        None if view.health.is_connected() => "served".to_owned(),
        None => "not served".to_owned(),
    }
}

async fn act(
    State(lab): LabState,
    Path(Client { client }): Path<Client>,
    JsonBody(action): JsonBody<ClientOperation>,
) -> Answer<WholeClient> {
    lab.do_to(&client, &action).await?;
    let mut told = serde_json::to_value(&action).unwrap_or_default();
    if let Some(file) = told.get_mut("sylink") {
        // It has the shared secret.
        *file = format!("{} bytes", file.as_str().map_or(0, str::len)).into();
    }
    lab.site.journal().operator_action(format!("client {client:?}: {}", in_words(&told)));
    effective(&lab, client).await
}

async fn set_part(
    State(lab): LabState,
    Path(PartName { part }): Path<PartName>,
    JsonBody(setting): JsonBody<PartSetting>,
) -> Answer<PartNow> {
    change_part(&lab, part, setting, |_, count| count).await
}

async fn add_clients(
    State(lab): LabState,
    Path(PartName { part }): Path<PartName>,
    JsonBody(setting): JsonBody<PartSetting>,
) -> Answer<PartNow> {
    change_part(&lab, part, setting, u32::saturating_add).await
}

/// Gives a part the number of clients that `count` makes of its own and of the setting's.
async fn change_part(
    lab: &Lab,
    part: String,
    setting: PartSetting,
    count: impl FnOnce(u32, u32) -> u32,
) -> Answer<PartNow> {
    let at_once = setting.at_once;
    lab.change_part(&part, |known| {
        let new = || PartPlan::new(&part, 0, ClientVersion::new(14, 3));
        let mut plan = known.cloned().unwrap_or_else(new);
        plan.count = count(plan.count, setting.count);
        plan.group = setting.group.unwrap_or(plan.group);
        plan.location = setting.location.or(plan.location);
        plan.version = setting.version.unwrap_or(plan.version);
        plan
    })
    .await?;
    if !at_once {
        lab.wait_for_part(&part).await?;
    }
    let names = lab.names().await.into_iter();
    let clients: Vec<String> = names.filter(|(of, _)| *of == part).map(|(_, name)| name).collect();
    let now = counted(clients.len(), "client");
    lab.site.journal().operator_action(format!("part {part:?} of the fleet: {now}"));
    Ok(Json(PartNow { part, count: clients.len(), clients }))
}
