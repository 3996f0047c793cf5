//! Information on the installation: servers, database, replication, licenses, definitions, events. A lab has little
//! of it, and as in the product nothing about certificates.

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

/// A manager, as far as the product describes it.
#[derive(Debug, Serialize, JsonSchema)]
struct Server {
    /// Identifier of the manager.
    id: String,
    /// Synchronisation with a directory server.
    directory_server_integration: DirectoryServerIntegration,
}

/// Synchronisation of a manager with a directory server.
#[derive(Debug, Serialize, JsonSchema)]
struct DirectoryServerIntegration {
    /// Whether it is enabled; always false.
    enable: bool,
}

/// The database.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SepmDatabase {
    /// Name of the database.
    name: String,
    /// Description of the database.
    description: &'static str,
    /// Address of the database server.
    address: String,
    /// Name of the instance.
    instance_name: String,
    /// Port of the database server.
    port: u16,
    /// Type of the database.
    r#type: String,
    /// Version of the database.
    version: String,
    /// Whether the manager's installation included the database.
    installed_by_sepm: bool,
    /// Database of the instance.
    database: String,
    /// User of the database.
    db_user: String,
    /// Passwords of the database; never returned.
    db_passwords: Option<Vec<String>>,
    /// Root certificate for connections to the database.
    #[serde(rename = "dbTLSRootCertificate")]
    db_tls_root_certificate: Option<String>,
}

/// Replication status of all sites.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ReplicationStatuses {
    /// Status of each site: an array, unlike in the vendor's description [R].
    replication_status: Vec<ReplicationStatus>,
}

/// Replication status of a site.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ReplicationStatus {
    /// Name of the site.
    site_name: String,
    /// Place of the site.
    site_location: &'static str,
    /// Identifier of the site.
    id: String,
    /// Replication partners of the site.
    replication_partner_status_list: Vec<ReplicationPartner>,
}

/// Replication status of a partner.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ReplicationPartner {
    /// Identifier of the partner.
    id: String,
    /// Name of the partner.
    name: String,
    /// Place of the partner.
    location: &'static str,
    /// Time of the last attempt, in milliseconds since 1970; in a lab every change is replicated at once.
    last_run_time: i64,
    /// Time of the last success, in milliseconds since 1970.
    last_successful_run_time: i64,
    /// Time of the next attempt, in milliseconds since 1970.
    next_run_time: i64,
    /// Always `SUCCEEDED`: a manager with broken replication is not listed as a partner.
    #[serde(rename = "status_code")]
    status_code: &'static str,
}

/// The site to replicate with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Partner {
    /// Name of the partner site.
    partner_site_name: String,
}

/// Result of a replication request.
#[derive(Debug, Serialize, JsonSchema)]
struct ReplicationBegun {
    /// 0 if replication was started.
    code: i32,
}

/// A license.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct License {
    /// Serial number of the license.
    serial_number: String,
    /// Type of the license; 2 for a trial.
    license_type: i32,
    /// Number of clients covered.
    seats: i32,
    /// Start of the license, in milliseconds since 1970.
    start_date: i64,
    /// Expiry of the license, in milliseconds since 1970.
    expire_date: i64,
    /// End of the warning period, in milliseconds since 1970.
    end_date: i64,
    /// Associated licenses.
    associated_licenses: Option<String>,
    /// Name of the product.
    product_name: &'static str,
    /// Names of the license files.
    key_names: Vec<String>,
}

/// Summary of all licenses.
#[derive(Debug, Serialize, JsonSchema)]
struct LicenseSummary {
    /// Whether the license has ended.
    ended: bool,
    /// `PAID`, `TRIAL`, `UPGRADE` or `UNKNOWN`.
    license_type: &'static str,
    /// Number of seats ordered.
    ordered_quantity: i32,
    /// Serial number of the license.
    serial_number: String,
    /// End of the service, in milliseconds since 1970.
    service_end_date: i64,
    /// The value of `service_end_date` again.
    service_expiration_date: i64,
    /// Number of seats that have not expired.
    unexpired_seats: i32,
}

/// A group update provider.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct GroupUpdateProvider {
    /// Name of the computer.
    computer_name: String,
    /// Version of the client.
    agent_version: String,
    /// IP address of the computer.
    ip_address: String,
    /// Port of the provider.
    port: String,
}

/// Latest definitions.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct LatestRevision {
    /// Name of the content.
    content_name: &'static str,
    /// Latest revision from the vendor.
    published_by_symantec: String,
    /// Latest revision on the manager.
    #[serde(rename = "publishedBySEPM")]
    published_by_sepm: String,
}

/// Numbers of clients by definitions.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ClientDefStatuses {
    /// Number of clients per version of the definitions; null if there are none, unless assumed otherwise.
    client_def_status_list: Option<Vec<ClientDefStatus>>,
    /// Time of the statistics, in milliseconds since 1970.
    last_updated: i64,
}

/// Number of clients with a version of the definitions.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ClientDefStatus {
    /// Version of the definitions, such as `2023-09-04 rev. 002`.
    version: String,
    /// Number of clients.
    clients_count: i64,
}

/// Threat statistics.
#[derive(Debug, Serialize, JsonSchema)]
struct Threats {
    /// Statistics.
    #[serde(rename = "Stats")]
    stats: ThreatStats,
}

/// Number of infected clients.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ThreatStats {
    /// Time of the statistics, in milliseconds since 1970.
    last_updated: i64,
    /// Number of infected clients.
    infected_clients: i64,
}

/// Critical events.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CriticalEvents {
    /// Time of the list, in milliseconds since 1970.
    last_updated: i64,
    /// Number of events that are not acknowledged.
    total_unacknowledged_messages: usize,
    /// Events.
    critical_events_info_list: Vec<CriticalEvent>,
}

/// A critical event.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CriticalEvent {
    /// Identifier of the event.
    event_id: String,
    /// Time of the event, such as `2024-06-26 14:02:38.0`.
    event_date_time: String,
    /// Subject of the event.
    subject: String,
    /// Text of the event.
    message: String,
    /// 1 once the event is acknowledged, otherwise 0.
    acknowledged: i32,
}

/// Filter for events.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
struct EventsAsked {
    /// Whether to include acknowledged events.
    include_acknowledged: Option<bool>,
}

/// Path parameter for an event.
#[derive(Debug, Deserialize, JsonSchema)]
struct EventPath {
    /// Identifier of the event.
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
    // In the lab, managers replicate instead of sites.
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

/// Every change has reached the partners already. A manager with broken replication, or an unknown one, is no
/// partner.
async fn replicate(
    State(api): State<Arc<RestApi>>,
    Query(Partner { partner_site_name }): Query<Partner>,
) -> Result<Json<ReplicationBegun>, ApiError> {
    let site = api.site.read();
    if site.partners(&api.manager.name).any(|one| one.name == partner_site_name) {
        return Ok(Json(ReplicationBegun { code: 0 }));
    }
    let shown: String = partner_site_name.chars().take(80).collect();
    Err(ApiError::Invalid(format!("The site {shown} is not a replication partner of this site.")))
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
        client_def_status_list: api.listed(counts.into_iter().map(status).collect()),
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
    /// Start and end of the trial; it starts with the first REST API of the site.
    fn trial(&self) -> (i64, i64) {
        let from = self.database.store.founded().as_millis();
        let days = i64::from(self.assumed().rest_trial_days);
        (from, from.saturating_add(days * DAY_MS))
    }

    /// The only event of a lab: it runs on a trial license.
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

/// Definitions of the day, such as `2023-09-04 rev. 002`.
fn definitions_of(day: Timestamp) -> String {
    day.civil().strftime("%Y-%m-%d rev. 002").to_string()
}
