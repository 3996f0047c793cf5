//! The log of a client: its latest lines, as the client writes them.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State;
use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control_api::extract::{Answer, LabState, Path, Query, Routes, doc};

/// Maximum number of lines per response.
const MOST: usize = 1000;

#[derive(Debug, Deserialize, JsonSchema)]
struct Client {
    /// Computer name of the client.
    client: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct LogQuery {
    /// Number of lines to return, the latest ones; 100 when absent, at most 1000.
    limit: Option<usize>,
}

/// Lines of a client's log.
#[derive(Debug, Serialize, JsonSchema)]
struct ClientLog {
    /// Computer name of the client.
    client: String,
    /// The latest lines, oldest first.
    lines: Vec<ClientLogLine>,
    /// Number of lines of all clients that were dropped: some of them may have been of this client.
    dropped: u64,
}

/// A line of a client's log.
#[derive(Debug, Serialize, JsonSchema)]
struct ClientLogLine {
    /// Lab time of the event.
    #[schemars(with = "String")]
    at: Timestamp,
    /// Number of the event, in eight hexadecimal digits.
    event: String,
    /// Text of the line: that of the product's client, then what was expected and what was found.
    text: String,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new().api_route(
        "/v1/clients/{client}/log",
        get_with(log, doc("clientLog", "Show the latest lines of a client's log, as the client writes them")),
    )
}

async fn log(
    State(lab): LabState,
    Path(Client { client }): Path<Client>,
    Query(query): Query<LogQuery>,
) -> Answer<ClientLog> {
    // One that runs elsewhere has its log there.
    if let Err(error) = lab.member(&client).await {
        lab.reported(&client).await.ok_or(error)?;
    }
    let (lines, dropped) = lab.client_log(&client, query.limit.unwrap_or(100).min(MOST));
    let line = |line: epm_client_agent::agent::LogLine| ClientLogLine {
        at: line.at,
        event: format!("{:08X}", line.event.id()),
        text: line.text,
    };
    Ok(Json(ClientLog { client, lines: lines.into_iter().map(line).collect(), dropped }))
}
