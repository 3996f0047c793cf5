//! The fleet in the lab's process: who is there, what each holds, and what is done to it.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::extract::State;
use epm_client_agent::scenario::PartPlan;
use epm_protocol::site::DEFAULT_GROUP;
use epm_protocol::version::ClientVersion;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ask::{Asked, Body, Named};
use super::problem::Problem;
use super::{Answer, Routes, Seen, answer};
use crate::lab::{Deed, Lab};

/// The most clients of one page.
const PAGE: usize = 1000;

#[derive(Debug, Deserialize, JsonSchema)]
struct Client {
    /// Its computer's name.
    client: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Part {
    /// Its name: its clients are called by it, with a number.
    part: String,
}

/// How large a part of the fleet is to be, and of what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
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
struct Page {
    /// Only clients of this part.
    part: Option<String>,
    /// Only clients in this state: new, connected, disconnected, orphaned.
    state: Option<String>,
    /// How many to pass over.
    #[serde(default)]
    offset: usize,
    /// How many to show, at most 1000.
    limit: Option<usize>,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route("/v1/clients", get_with(list, |op| op.id("clients").summary("The clients of this lab")))
        .api_route(
            "/v1/clients/{client}",
            get_with(show, |op| op.id("client").summary("One client: what it holds, and what became of it")),
        )
        .api_route(
            "/v1/clients/{client}/deeds",
            post_with(deed, |op| {
                op.id("doToClient")
                    .summary("Poke, freeze, take offline, bring home, move or re-image a client")
            }),
        )
        .api_route(
            "/v1/fleet/{part}",
            put_with(set_part, |op| op.id("setPart").summary("Make a part of the fleet as large as this")),
        )
}

async fn list(State(lab): Seen, Asked(page): Asked<Page>) -> Answer {
    let views = lab.views().await;
    let mut rows = Vec::new();
    for (part, view, is_on) in views {
        if page.part.as_ref().is_some_and(|wanted| *wanted != part) {
            continue;
        }
        let view = value(&view)?;
        if page.state.is_some() && view["health"]["state"].as_str() != page.state.as_deref() {
            continue;
        }
        rows.push(json!({ "client": view["computer-name"], "part": part, "on": is_on, "view": view }));
    }
    let total = rows.len();
    let limit = page.limit.unwrap_or(100).min(PAGE);
    let rows: Vec<Value> = rows.into_iter().skip(page.offset).take(limit).collect();
    answer(&json!({ "total": total, "offset": page.offset, "clients": rows }))
}

fn value(what: &impl serde::Serialize) -> Result<Value, Problem> {
    answer(what).map(|json| json.0)
}

async fn show(State(lab): Seen, Named(Client { client }): Named<Client>) -> Answer {
    effective(&lab, &client).await
}

async fn effective(lab: &Lab, client: &str) -> Answer {
    let member = lab.member(client).await?;
    let agent = member.handle.agent();
    let view = agent.view();
    let health = match view.health.orphaned() {
        Some((since, because)) => format!("orphaned since {since}: {because}"),
        None if view.health.is_connected() => "served".to_owned(),
        None => "not served".to_owned(),
    };
    answer(&json!({
        "client": client,
        "part": member.part,
        "on": !agent.is_stopped(),
        "frozen": member.handle.is_frozen(),
        "thinks": health,
        "view": view,
        "last-server": agent.cache().state.last_server,
        "packages": agent.cache().state.packages,
        "next-heartbeat": member.handle.next_wake().to_string(),
        "history": lab.trace(client),
    }))
}

async fn deed(State(lab): Seen, Named(Client { client }): Named<Client>, Body(deed): Body<Deed>) -> Answer {
    lab.do_to(&client, &deed).await?;
    lab.site.journal().did(format!("client {client:?}: {deed:?}"));
    effective(&lab, &client).await
}

async fn set_part(
    State(lab): Seen,
    Named(Part { part }): Named<Part>,
    Body(setting): Body<PartSetting>,
) -> Answer {
    let mut plan = PartPlan::new(&part, setting.count, setting.version.unwrap_or(ClientVersion::new(14, 3)));
    plan.group = setting.group.unwrap_or_else(|| DEFAULT_GROUP.to_owned());
    plan.location = setting.location;
    lab.set_part(plan).await?;
    if !setting.at_once {
        lab.wait_for_part(&part).await?;
    }
    lab.site.journal().did(format!("part {part:?} of the fleet: {} clients", setting.count));
    let names = lab.names().await;
    let clients: Vec<&String> = names.iter().filter(|(of, _)| *of == part).map(|(_, name)| name).collect();
    answer(&json!({ "part": part, "count": clients.len(), "clients": clients }))
}
