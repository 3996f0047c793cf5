//! What the REST API says of the installation: servers, database, replication, licenses, definitions, events. There is
//! little of it in a lab, and nothing of a certificate, as in life.

use std::collections::BTreeMap;
use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::{get, post};
use axum::extract::State;
use epm_protocol::id::Guid;
use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rest_api::http::{ApiError, Blank, Id, Json, Paging, Path, Query};
use crate::rest_api::state::RestApi;

/// A manager, of which the product says no more.
#[derive(Debug, Serialize, JsonSchema)]
struct Server {
    /// Which.
    id: String,
    /// Whether it takes groups from a directory.
    directory_server_integration: DirectoryServerIntegration,
}

/// Whether a manager takes groups from a directory.
#[derive(Debug, Serialize, JsonSchema)]
struct DirectoryServerIntegration {
    /// It does not.
    enable: bool,
}

/// The database.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SepmDatabase {
    /// Its name.
    name: String,
    /// What it is for.
    description: &'static str,
    /// Where it is.
    address: String,
    /// The instance.
    instance_name: String,
    /// The port.
    port: u16,
    /// The make.
    r#type: String,
    /// Its version.
    version: String,
    /// Whether it came with the manager.
    installed_by_sepm: bool,
    /// The database of the instance.
    database: String,
    /// Who logs in.
    db_user: String,
    /// With what; never shown.
    db_passwords: Option<Vec<String>>,
    /// The certificate that it is believed by.
    #[serde(rename = "dbTLSRootCertificate")]
    db_tls_root_certificate: Option<String>,
}

/// How replication stands.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ReplicationStatuses {
    /// Of each site: an array, whatever the vendor's description says [R].
    replication_status: Vec<ReplicationStatus>,
}

/// How the replication of a site stands.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ReplicationStatus {
    /// Its name.
    site_name: String,
    /// Where it is.
    site_location: &'static str,
    /// Which.
    id: String,
    /// Its partners.
    replication_partner_status_list: Vec<ReplicationPartner>,
}

/// How the replication with a partner stands.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ReplicationPartner {
    /// Which.
    id: String,
    /// Its name.
    name: String,
    /// Where it is.
    location: &'static str,
    /// When it was tried last, in milliseconds; in a lab every change reaches a partner at once.
    last_run_time: i64,
    /// When it came to its end last.
    last_successful_run_time: i64,
    /// When it comes next.
    next_run_time: i64,
    /// `SUCCEEDED`: whose replication is broken is no partner.
    #[serde(rename = "status_code")]
    status_code: &'static str,
}

/// With whom to replicate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Partner {
    /// The site.
    partner_site_name: String,
}

/// Whether a replication was begun.
#[derive(Debug, Serialize, JsonSchema)]
struct ReplicationBegun {
    /// 0 if so.
    code: i32,
}

/// A license.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct License {
    /// Which.
    serial_number: String,
    /// 2 for a trial.
    license_type: i32,
    /// For how many clients.
    seats: i32,
    /// From when, in milliseconds.
    start_date: i64,
    /// Until when.
    expire_date: i64,
    /// Until when it is warned of.
    end_date: i64,
    /// Others that belong to it.
    associated_licenses: Option<String>,
    /// For what.
    product_name: &'static str,
    /// Its files.
    key_names: Vec<String>,
}

/// All licenses in one.
#[derive(Debug, Serialize, JsonSchema)]
struct LicenseSummary {
    /// Whether it is over.
    ended: bool,
    /// `PAID`, `TRIAL`, `UPGRADE` or `UNKNOWN`.
    license_type: &'static str,
    /// How many were ordered.
    ordered_quantity: i32,
    /// Which.
    serial_number: String,
    /// Until when, in milliseconds.
    service_end_date: i64,
    /// The same.
    service_expiration_date: i64,
    /// How many are in force.
    unexpired_seats: i32,
}

/// A group update provider.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct GroupUpdateProvider {
    /// The computer.
    computer_name: String,
    /// Its version.
    agent_version: String,
    /// Its address.
    ip_address: String,
    /// Where it listens.
    port: String,
}

/// The newest definitions.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct LatestRevision {
    /// Of what.
    content_name: &'static str,
    /// What the vendor has.
    published_by_symantec: String,
    /// What the manager has.
    #[serde(rename = "publishedBySEPM")]
    published_by_sepm: String,
}

/// How many clients have which definitions.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ClientDefStatuses {
    /// For each.
    client_def_status_list: Vec<ClientDefStatus>,
    /// When this was so, in milliseconds.
    last_updated: i64,
}

/// How many clients have these definitions.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ClientDefStatus {
    /// The definitions: `2023-09-04 rev. 002`.
    version: String,
    /// How many.
    clients_count: i64,
}

/// Threats.
#[derive(Debug, Serialize, JsonSchema)]
struct Threats {
    /// How many.
    #[serde(rename = "Stats")]
    stats: ThreatStats,
}

/// How many clients are infected.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ThreatStats {
    /// When this was so, in milliseconds.
    last_updated: i64,
    /// How many.
    infected_clients: i64,
}

/// Events that somebody should see.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CriticalEvents {
    /// When this was so, in milliseconds.
    last_updated: i64,
    /// How many nobody has acknowledged.
    total_unacknowledged_messages: usize,
    /// They.
    critical_events_info_list: Vec<CriticalEvent>,
}

/// An event that somebody should see.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CriticalEvent {
    /// Which.
    event_id: String,
    /// When: `2024-06-26 14:02:38.0`.
    event_date_time: String,
    /// About what.
    subject: String,
    /// In words.
    message: String,
    /// 1 once it is acknowledged.
    acknowledged: i32,
}

/// Which events are asked for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
struct EventsAsked {
    /// Those too that somebody has acknowledged.
    include_acknowledged: Option<bool>,
}

/// An event in the path.
#[derive(Debug, Deserialize, JsonSchema)]
struct EventPath {
    /// The event.
    #[serde(rename = "eventID")]
    event: Id,
}

const DAY_MS: i64 = 86_400_000;

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    let at = |path| format!("/sepm/api/v1/{path}");
    ApiRouter::new()
        .api_route(&at("admin/servers"), get(servers))
        .api_route(&at("admin/database"), get(database))
        .api_route(&at("replication/is_replicated"), get(is_replicated))
        .api_route(&at("replication/status"), get(replication))
        .api_route(&at("replication/replicatenow"), post(replicate))
        .api_route(&at("licenses"), get(licenses))
        .api_route(&at("licenses/summary"), get(license))
        .api_route(&at("gup/status"), get(group_update_providers))
        .api_route(&at("content/avdef/latest"), get(latest))
        .api_route(&at("stats/client/content"), get(client_content))
        .api_route(&at("stats/threat"), get(threats))
        .api_route(&at("events/critical"), get(critical))
        .api_route(&at("events/acknowledge/{eventID}"), post(acknowledge))
}

async fn servers(State(api): State<Arc<RestApi>>) -> Json<Vec<Server>> {
    let site = api.site.read();
    let server = |id: String| Server {
        id,
        directory_server_integration: DirectoryServerIntegration { enable: false },
    };
    Json(site.managers().map(|one| server(one.id.to_string())).collect())
}

async fn database(State(api): State<Arc<RestApi>>) -> Json<SepmDatabase> {
    let address = api.site.read().managers().next().map(|one| one.ports.address.clone());
    let assumed = api.assumed();
    Json(SepmDatabase {
        name: assumed.rest_database_instance.clone(),
        description: "",
        address: address.unwrap_or_default(),
        instance_name: assumed.rest_database_instance.clone(),
        port: assumed.rest_database_port,
        r#type: assumed.rest_database_type.clone(),
        version: assumed.rest_database_version.clone(),
        installed_by_sepm: true,
        database: assumed.rest_database_name.clone(),
        db_user: assumed.rest_database_user.clone(),
        db_passwords: None,
        db_tls_root_certificate: None,
    })
}

async fn is_replicated(State(api): State<Arc<RestApi>>) -> Json<bool> {
    let site = api.site.read();
    Json(site.partners(&api.manager.name).next().is_some())
}

async fn replication(State(api): State<Arc<RestApi>>) -> Json<ReplicationStatuses> {
    let (site, now) = (api.site.read(), api.now().as_millis());
    // In the lab it is managers that replicate.
    let partners = site.partners(&api.manager.name).map(|one| ReplicationPartner {
        id: one.id.to_string(),
        name: one.name.clone(),
        location: "N/A",
        last_run_time: now,
        last_successful_run_time: now,
        next_run_time: now,
        status_code: "SUCCEEDED",
    });
    Json(ReplicationStatuses {
        replication_status: vec![ReplicationStatus {
            site_name: site.name().to_owned(),
            site_location: "N/A",
            id: site.id().to_string(),
            replication_partner_status_list: partners.collect(),
        }],
    })
}

/// Every change has reached the partners already; whoever is apart, or is none, is no partner.
async fn replicate(
    State(api): State<Arc<RestApi>>,
    Query(Partner { partner_site_name }): Query<Partner>,
) -> Result<Json<ReplicationBegun>, ApiError> {
    let site = api.site.read();
    if site.partners(&api.manager.name).any(|one| one.name == partner_site_name) {
        return Ok(Json(ReplicationBegun { code: 0 }));
    }
    let shown: String = partner_site_name.chars().take(80).collect();
    Err(ApiError::Invalid(format!("The site {shown:?} is no replication partner of this one.")))
}

async fn licenses(State(api): State<Arc<RestApi>>) -> Json<Vec<License>> {
    let (start_date, expire_date) = api.trial();
    let assumed = api.assumed();
    Json(vec![License {
        serial_number: assumed.rest_license_serial.clone(),
        license_type: assumed.rest_license_type,
        seats: assumed.rest_license_seats,
        start_date,
        expire_date,
        end_date: expire_date,
        associated_licenses: None,
        product_name: "Symantec Endpoint Protection",
        key_names: Vec::new(),
    }])
}

async fn license(State(api): State<Arc<RestApi>>) -> Json<LicenseSummary> {
    let (_, until) = api.trial();
    let assumed = api.assumed();
    Json(LicenseSummary {
        ended: false,
        license_type: "TRIAL",
        ordered_quantity: assumed.rest_license_seats,
        serial_number: assumed.rest_license_serial.clone(),
        service_end_date: until,
        service_expiration_date: until,
        unexpired_seats: assumed.rest_license_seats,
    })
}

async fn group_update_providers() -> Json<Vec<GroupUpdateProvider>> {
    Json(Vec::new())
}

async fn latest(State(api): State<Arc<RestApi>>) -> Json<LatestRevision> {
    let newest = api.now().civil().strftime("%-m/%-d/%Y rev. 2").to_string();
    Json(LatestRevision {
        content_name: "AV_DEFS",
        published_by_symantec: newest.clone(),
        published_by_sepm: newest,
    })
}

async fn client_content(State(api): State<Arc<RestApi>>) -> Json<ClientDefStatuses> {
    let (agents, installed) = {
        let site = api.site.read();
        let agents: Vec<_> = site.clients().map(|client| client.agent).collect();
        (agents, site.assumptions().installed_definitions.clone())
    };
    let mut counts = BTreeMap::<Option<String>, i64>::new();
    for agent in agents {
        let fetched = api
            .clients
            .status(agent)
            .and_then(|client_status| client_status.state)
            .and_then(|state| state.content);
        *counts.entry(fetched.map(definitions_of)).or_default() += 1;
    }
    let status = |(version, clients_count): (Option<String>, i64)| ClientDefStatus {
        version: version.unwrap_or_else(|| installed.clone()),
        clients_count,
    };
    Json(ClientDefStatuses {
        client_def_status_list: counts.into_iter().map(status).collect(),
        last_updated: api.now().as_millis(),
    })
}

async fn threats(State(api): State<Arc<RestApi>>) -> Json<Threats> {
    let last_updated = api.now().as_millis();
    Json(Threats { stats: ThreatStats { last_updated, infected_clients: 0 } })
}

async fn critical(
    State(api): State<Arc<RestApi>>,
    Query(asked): Query<EventsAsked>,
    Query(paging): Query<Paging>,
) -> Result<Json<CriticalEvents>, ApiError> {
    let assumed = api.assumed();
    let slice = paging.slice(assumed.rest_usual_page, &assumed)?;
    let (id, at, message) = api.event();
    let acknowledged = api.database.store.kept().acknowledged.contains(&id);
    let event = CriticalEvent {
        event_id: id.to_string(),
        event_date_time: at.civil().strftime("%Y-%m-%d %H:%M:%S.0").to_string(),
        subject: api.assumed().rest_event_subject.clone(),
        message,
        acknowledged: i32::from(acknowledged),
    };
    let shows = !acknowledged || asked.include_acknowledged == Some(true);
    let events = if shows { vec![event] } else { Vec::new() };
    Ok(Json(CriticalEvents {
        last_updated: api.now().as_millis(),
        total_unacknowledged_messages: usize::from(!acknowledged),
        critical_events_info_list: slice.of(events, None).content,
    }))
}

async fn acknowledge(
    State(api): State<Arc<RestApi>>,
    Path(EventPath { event }): Path<EventPath>,
) -> Result<Blank, ApiError> {
    if api.event().0 != event.0 {
        return Err(ApiError::NoEvent(event.to_string()));
    }
    api.database.store.kept().acknowledged.insert(event.0);
    Ok(Blank)
}

impl RestApi {
    /// From when until when the trial is: from when its first api was opened.
    fn trial(&self) -> (i64, i64) {
        let from = self.database.store.founded().as_millis();
        let days = i64::from(self.assumed().rest_trial_days);
        (from, from.saturating_add(days * DAY_MS))
    }

    /// The only event that a lab has: it runs on a trial license.
    fn event(&self) -> (Guid, Timestamp, String) {
        let (from, until) = self.trial();
        let address = std::net::Ipv4Addr::LOCALHOST;
        let id = Guid::derive(0, "event", &self.site.read().id().to_string(), address);
        let until = Timestamp::from_millis(until).civil().date();
        let serial = self.assumed().rest_license_serial.clone();
        let message = format!("The trial license {serial} of this mock expires on {until}.");
        (id, Timestamp::from_millis(from), message)
    }
}

/// The definitions of the day: `2023-09-04 rev. 002`.
fn definitions_of(day: Timestamp) -> String {
    day.civil().strftime("%Y-%m-%d rev. 002").to_string()
}
