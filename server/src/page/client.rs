//! One client: its cache, what it thinks of each manager, its exchanges, and why it is not well.

use epm_client_agent::report::prose;
use maud::{Markup, html};
use serde_json::Value;

use super::action::{Action, Field, FieldKind};
use super::asked::Answers;
use super::clients::{machine, server, state};
use super::home::{note, reason};
use super::json::Fields;
use super::timeline::rows;
use super::words::{counted, failure, fingerprint, grouped, instant, moment, segment, shortened};

/// Most lines of a log that are shown.
const SHOWN: usize = 40;

pub(super) fn view(answers: &Answers, name: &str) -> Markup {
    let (one, site) = (answers.of("client"), answers.of("site"));
    let why = answers.of("why");
    html! {
        h1 { "Client " (name) }
        div #state data-live="" role="status" { (standing(one, why)) }
        div #why data-live="" {
            @if !why.list("reasons").is_empty() {
                section aria-labelledby="why-title" {
                    h2 #why-title { "Why, and what to do" }
                    ol.reasons { @for one in why.list("reasons") { (reason(one)) } }
                }
            }
            @if !why.list("notes").is_empty() {
                section aria-labelledby="notes-title" {
                    h2 #notes-title { "Notes" }
                    ol.reasons { @for one in why.list("notes") { (note(one)) } }
                }
            }
        }
        section aria-labelledby="managers-title" {
            h2 #managers-title { "What it thinks of each manager" }
            div #managers data-live="" { (managers(one, site)) }
        }
        section aria-labelledby="cache-title" {
            h2 #cache-title { "What it holds" }
            div #cache data-live="" { (cache(one)) }
        }
        section aria-labelledby="actions-title" {
            h2 #actions-title { "Act on it" }
            (actions(name, one["view"].text("group"), answers.of("groups")))
        }
        section aria-labelledby="log-title" {
            h2 #log-title { "Its log" }
            div #log data-live="" { (log(answers.of("log"), one["reported_by"].as_str())) }
        }
        section aria-labelledby="exchanges-title" {
            h2 #exchanges-title { "Its latest exchanges" }
            div #exchanges data-live="" {
                p { a href={ "/timeline?client=" (segment(name)) } { "All of them" } ", from the journal of the managers." }
                (rows(answers.of("journal").list("entries")))
            }
        }
    }
}

fn standing(one: &Value, why: &Value) -> Markup {
    let view = &one["view"];
    let orphaned = &why["orphaned"];
    let class = match view["health"].text("state") {
        "orphaned" => "lost",
        "connected" if why.list("reasons").is_empty() => "well",
        "new" => "partial",
        _ => "unwell",
    };
    html! {
        div class={ "verdict " (class) } {
            p {
                strong.badge { (state(view)) }
                ", machine " (machine(one)) ", part " (one.text("part")) ", version " (view.text("version"))
                @if let Some(number) = orphaned["failure"].as_str() { ", " (failure(number)) }
            }
            @if !orphaned.is_null() { p { "Layer " (orphaned.text("layer_title")) ": " (prose(&shortened(orphaned.text("why")))) "." } }
        }
    }
}

/// What the client holds of each manager: whether it would know the certificate that the manager shows now.
fn managers(one: &Value, site: &Value) -> Markup {
    let view = &one["view"];
    let last = &one["last_server"]["server"];
    html! {
        div.scroll tabindex="0" role="region" aria-label="Managers" {
            table {
                thead { tr { th scope="col" { "Manager" } th scope="col" { "Shows" } th scope="col" { "The client" } th scope="col" { "Used last" } } }
                tbody {
                    @for manager in site.list("managers") {
                        @let shown = manager.text("fingerprint");
                        @let is_held = view.texts("certificates").any(|one| one == shown);
                        @let ports = [manager["http_port"].as_u64(), manager["https_port"].as_u64()];
                        tr {
                            th scope="row" { (manager.text("name")) }
                            td { (fingerprint(shown)) }
                            td {
                                @if is_held { "holds this certificate" } @else { strong.lost { "does not hold this certificate" } }
                                @if !view.flag("secure_communications") { ", and authenticates no manager: secure communications are off" }
                            }
                            td { @if last.text("address") == manager.text("address") && ports.contains(&last["port"].as_u64()) { (server(last)) ", since " (moment(one["last_server"].text("since"))) } @else { "no" } }
                        }
                    }
                }
            }
        }
    }
}

fn cache(one: &Value) -> Markup {
    let (view, history) = (&one["view"], &one["history"]);
    html! {
        dl.facts {
            div { dt { "Group" } dd { (view.text("group")) } }
            div { dt { "Location" } dd { (view["location"].as_str().unwrap_or("default")) } }
            div { dt { "List" } dd { (view.text("list")) } }
            div { dt { "Secure communications" } dd { @if view.flag("secure_communications") { "on" } @else { "off" } } }
            div { dt { "Policy" } dd { (view["serial"].as_str().unwrap_or("none")) } }
            div { dt { "Signed by" } dd { @match view["policy_vouched_by"].as_str() { Some(by) => (fingerprint(by)), None => "no verified signature" } } }
            div { dt { "Heartbeats served" } dd { (grouped(view.number("heartbeats_served"))) " of " (grouped(view.number("heartbeats"))) } }
            @match one["reported_by"].as_str() {
                Some(source) => div { dt { "Reported by" } dd { (source) } },
                None => div { dt { "Next heartbeat" } dd { @match one["next_heartbeat"].as_str() { Some(at) => (moment(at)), None if !one.flag("on") => "none: the client is off", None if one.flag("frozen") => "none: the client is frozen", None => "under way" } } },
            }
        }
        table {
            caption { "Certificates that it trusts" }
            thead { tr { th scope="col" { "SHA-256 fingerprint" } th scope="col" { "Held since" } } }
            tbody {
                @for held in view.texts("certificates") {
                    @let since = history.list("certificates").iter().find(|pair| pair[0] == held).and_then(|pair| pair[1].as_u64());
                    tr { td.long { code { (held) } } td { @if let Some(number) = since { "heartbeat " (number) } } }
                }
            }
        }
        @if !history.list("orphaned").is_empty() {
            table {
                caption { "Periods in which it was orphaned" }
                thead { tr { th scope="col" { "Since" } th scope="col" { "Until" } th scope="col" { "Layer" } } }
                tbody {
                    @for period in history.list("orphaned") {
                        tr {
                            td { a href={ "/timeline?show=acts&from=" (segment(period.text("since"))) } { (moment(period.text("since"))) } }
                            td { @match period["until"].as_str() { Some(until) => (moment(until)), None => "now" } }
                            td { (period.text("layer_title")) }
                        }
                    }
                }
            }
        }
        @if !history.list("unsigned").is_empty() {
            p { (counted(history.list("unsigned").len() as u64, "time")) " it adopted a policy without a verified signature, last "
                (moment(history.list("unsigned").last().map_or("", |one| one.text("at")))) "." }
        }
    }
}

/// The lines of a client's log, the latest first; lines that repeat are one.
fn log(log: &Value, reported_by: Option<&str>) -> Markup {
    let mut lines: Vec<(&Value, &Value, u64)> = Vec::new();
    for line in log.list("lines").iter().rev() {
        let is_same = |known: &&mut (&Value, &Value, u64)| {
            known.0["event"] == line["event"] && known.0["text"] == line["text"]
        };
        match lines.iter_mut().find(is_same) {
            Some((_, first, times)) => (*first, *times) = (line, *times + 1),
            None => lines.push((line, line, 1)),
        }
    }
    html! {
        @if let Some(source) = reported_by { p { "It runs elsewhere (" (source) "), and has its log there." } }
        @else if lines.is_empty() { p { "No line is kept." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Log" {
                table {
                    thead { tr { th scope="col" { "Lab time" } th scope="col" { "Event" } th scope="col" { "Text" } } }
                    tbody {
                        @for (last, first, times) in lines.iter().take(SHOWN) {
                            tr {
                                td.when {
                                    (instant(last.text("at")))
                                    @if *times > 1 { br; small { (grouped(*times)) " times since " (instant(first.text("at"))) } }
                                }
                                td { code { (last.text("event")) } }
                                td.long { (last.text("text")) }
                            }
                        }
                    }
                }
            }
        }
        @if log.number("dropped") > 0 { p.note { (counted(log.number("dropped"), "older line")) " of all clients were dropped." } }
    }
}

fn actions(name: &str, group: &str, groups: &Value) -> Markup {
    let client = || Field::fixed("{client}", name);
    let simple = ["poke", "freeze", "thaw", "offline", "online", "reimage", "import"];
    let simple = Action {
        label: "Do it",
        method: "POST",
        path: "/v1/clients/{client}/operations",
        body: "{}".into(),
        command: "client {do} {client}".into(),
        fields: vec![
            client(),
            Field::one_of("do", "Action", simple).hint("import: the file that the console exports for its group now, which can bring back an orphaned client"),
        ],
        ..Action::default()
    };
    let groups =
        groups.as_array().into_iter().flatten().map(|one| one.text("group")).filter(|one| *one != group);
    let moved = Action {
        label: "Move it",
        body: r#"{"do":"move"}"#.into(),
        command: "client move {client} {group}".into(),
        fields: vec![client(), Field::one_of("group", "To the group", groups)],
        ..simple
    };
    let located = Action {
        label: "Put it into the location",
        body: r#"{"do":"location"}"#.into(),
        command: "client location {client} [{location}]".into(),
        fields: vec![
            client(),
            Field::new("location", "Location", FieldKind::Text).hint("the default location if empty"),
        ],
        ..simple
    };
    html! { div.actions { @for one in [simple, moved, located] { (one.view()) } } }
}
