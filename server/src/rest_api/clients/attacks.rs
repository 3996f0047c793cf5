//! `stats`: infections, malware, risks and resolved attacks over time, and sources of content. Emulated clients meet no
//! malware, so every count of it is 0.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rest_api::http::{ApiError, Json, Path};
use crate::rest_api::state::RestApi;

/// Maximum number of points of a report; of a longer period the last ones are shown.
const MOST_POINTS: i64 = 1_000;
/// Kinds of protection that the report of risks names. Their names are not recorded [A].
const PROTECTIONS: [&str; 5] =
    ["Antivirus", "SONAR", "Download Protection", "Intrusion Prevention", "Memory Exploit Mitigation"];
const HOUR_MS: i64 = 3_600_000;

/// Path parameters of a report.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ReportPath {
    /// Period of a point: `Hour`, `Day`, `Week` or `Month`.
    report_type: String,
    /// Start of the report, in milliseconds since 1970.
    start_time: i64,
    /// End of the report, in milliseconds since 1970.
    end_time: i64,
}

/// Path parameters of a report without points.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PeriodPath {
    /// Start of the report, in milliseconds since 1970.
    start_time: i64,
    /// End of the report, in milliseconds since 1970.
    end_time: i64,
}

/// Number of clients at a time.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ClientsAt {
    /// Start of the period, in milliseconds since 1970.
    epoch_time: i64,
    /// Number of clients.
    clients_count: i32,
}

/// Infected clients over time.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Infections {
    /// Number of infected clients per period.
    infected_client_stats: Vec<ClientsAt>,
    /// Time of the statistics, in milliseconds since 1970.
    last_updated: i64,
}

/// Clients with malware events over time.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Malware {
    /// Number of clients per period.
    malware_client_stats: Vec<ClientsAt>,
    /// Time of the statistics, in milliseconds since 1970.
    last_updated: i64,
}

/// Number of resolved attacks at a time.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ResolvedAt {
    /// Start of the period, in milliseconds since 1970.
    epoch_time: i64,
    /// Number of attacks.
    auto_resolved_attacks_count: i32,
}

/// Attacks that were resolved automatically.
#[derive(Debug, Serialize, JsonSchema)]
struct ResolvedAttacks {
    /// Number of attacks per period, under the name in the vendor's description.
    #[serde(rename = "getautoResolvedAttacks")]
    described: Vec<ResolvedAt>,
    /// The same again, under the name that a public client reads.
    #[serde(rename = "autoResolvedAttacks")]
    read: Vec<ResolvedAt>,
    /// Time of the statistics, in milliseconds since 1970.
    #[serde(rename = "lastUpdated")]
    last_updated: i64,
}

/// Risks by kind of protection.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Risks {
    /// Counts per kind of protection.
    risk_distribution_stats: Vec<Risk>,
}

/// Risks that one kind of protection has found.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Risk {
    /// Kind of protection.
    protection_name: &'static str,
    /// Number of clients on which it is enabled.
    protection_enabled_client_count: usize,
    /// Number of risks.
    risk_count: i32,
}

/// Sources of content.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ContentSources {
    /// Number of clients per source.
    download_sources: Vec<ContentSource>,
    /// Time of the statistics, in milliseconds since 1970.
    last_updated: i64,
}

/// A source of content.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ContentSource {
    /// Key of the source.
    source_key: &'static str,
    /// Name of the source.
    source_name: &'static str,
    /// Number of clients that have content from it.
    client_count: usize,
}

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    let at = |path| format!("/sepm/api/v1/stats/{path}");
    ApiRouter::new()
        .api_route(&at("autoresolved/{reportType}/{startTime}/to/{endTime}"), get(resolved))
        .api_route(&at("client/infection/{reportType}/{startTime}/to/{endTime}"), get(infections))
        .api_route(&at("client/malware/{reportType}/{startTime}/to/{endTime}"), get(malware))
        .api_route(&at("client/risk/{startTime}/to/{endTime}"), get(risks))
        .api_route(&at("client/content/sources"), get(sources))
}

async fn resolved(
    State(api): State<Arc<RestApi>>,
    Path(report): Path<ReportPath>,
) -> Result<Json<ResolvedAttacks>, ApiError> {
    let at = |epoch_time| ResolvedAt { epoch_time, auto_resolved_attacks_count: 0 };
    let described: Vec<ResolvedAt> = report.points()?.map(at).collect();
    Ok(Json(ResolvedAttacks { read: described.clone(), described, last_updated: api.now().as_millis() }))
}

async fn infections(
    State(api): State<Arc<RestApi>>,
    Path(report): Path<ReportPath>,
) -> Result<Json<Infections>, ApiError> {
    let infected_client_stats = report.points()?.map(no_clients).collect();
    Ok(Json(Infections { infected_client_stats, last_updated: api.now().as_millis() }))
}

async fn malware(
    State(api): State<Arc<RestApi>>,
    Path(report): Path<ReportPath>,
) -> Result<Json<Malware>, ApiError> {
    let malware_client_stats = report.points()?.map(no_clients).collect();
    Ok(Json(Malware { malware_client_stats, last_updated: api.now().as_millis() }))
}

async fn risks(
    State(api): State<Arc<RestApi>>,
    Path(PeriodPath { start_time, end_time }): Path<PeriodPath>,
) -> Result<Json<Risks>, ApiError> {
    is_forward(start_time, end_time)?;
    let clients = api.count_clients();
    let risk =
        |protection_name| Risk { protection_name, protection_enabled_client_count: clients, risk_count: 0 };
    Ok(Json(Risks { risk_distribution_stats: PROTECTIONS.map(risk).into() }))
}

/// Every client has its content from its manager.
async fn sources(State(api): State<Arc<RestApi>>) -> Json<ContentSources> {
    let source = ContentSource {
        source_key: "SEPM",
        source_name: "Symantec Endpoint Protection Manager",
        client_count: api.count_clients(),
    };
    Json(ContentSources { download_sources: vec![source], last_updated: api.now().as_millis() })
}

const fn no_clients(epoch_time: i64) -> ClientsAt {
    ClientsAt { epoch_time, clients_count: 0 }
}

fn is_forward(start: i64, end: i64) -> Result<(), ApiError> {
    if start <= end {
        Ok(())
    } else {
        Err(ApiError::Invalid("The end time is before the start time.".to_owned()))
    }
}

impl ReportPath {
    /// Starts of the periods of the report, the last ones if there are too many.
    fn points(&self) -> Result<impl Iterator<Item = i64> + use<>, ApiError> {
        let step = match self.report_type.to_ascii_lowercase().as_str() {
            "hour" => HOUR_MS,
            "day" => 24 * HOUR_MS,
            "week" => 7 * 24 * HOUR_MS,
            "month" => 30 * 24 * HOUR_MS,
            _ => {
                let words = "The report type is invalid. Expected one of Hour, Day, Week, Month.";
                return Err(ApiError::Invalid(words.to_owned()));
            }
        };
        is_forward(self.start_time, self.end_time)?;
        let start = self.start_time;
        let last = self.end_time.saturating_sub(start) / step;
        let first = (last - MOST_POINTS + 1).max(0);
        Ok((first..=last).map(move |number| start.saturating_add(number.saturating_mul(step))))
    }
}

impl RestApi {
    fn count_clients(&self) -> usize {
        let mut clients = 0;
        self.clients.each(|_| clients += 1);
        clients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(kind: &str, start_time: i64, end_time: i64) -> Option<Vec<i64>> {
        let report = ReportPath { report_type: kind.to_owned(), start_time, end_time };
        report.points().ok().map(Iterator::collect)
    }

    #[test]
    fn a_report_has_a_point_per_period_and_not_too_many() {
        assert_eq!(points("Hour", 0, 2 * HOUR_MS).unwrap(), [0, HOUR_MS, 2 * HOUR_MS]);
        assert_eq!(points("day", 5, 6).unwrap(), [5]);
        for (start, end) in [(0, i64::MAX), (i64::MIN, i64::MAX), (i64::MIN, 0)] {
            assert!(points("Hour", start, end).unwrap().len() <= 1_000);
        }
        assert!(points("Year", 0, 1).is_none() && points("Day", 2, 1).is_none());
    }
}
