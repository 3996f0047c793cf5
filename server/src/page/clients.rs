//! The clients as a grid with a filter on every column. The server filters and cuts: the document has one page of rows.

use maud::{Markup, html};
use serde_json::Value;

use super::asked::{Answers, CLIENT_FILTERS, CLIENTS, Query};
use super::home::FINDINGS;
use super::json::Fields;
use super::words::{client, counted, fingerprint, grouped, moment, short};

pub(super) fn view(answers: &Answers, query: &Query) -> Markup {
    let clients = answers.of("clients");
    let parts: Vec<&str> =
        answers.of("summary")["verdict"].list("parts").iter().map(|one| one.text("part")).collect();
    html! {
        h1 { "Clients" }
        form #filters method="get" action="/clients" {
            div.fields {
                (choice(query, "standing", "Verdict", &FINDINGS.map(|(_, words, filter)| (filter, words)), &[("well", "well")]))
                (choice(query, "state", "Contact", &[("connected", "connected"), ("disconnected", "disconnected"), ("orphaned", "orphaned"), ("new", "new")], &[]))
                (choice(query, "machine", "Machine", &[("on", "on"), ("off", "off"), ("frozen", "frozen")], &[]))
                (choice(query, "part", "Part", &parts.iter().map(|one| (*one, *one)).collect::<Vec<_>>(), &[]))
                (text(query, "name", "Name", "contains"))
                (text(query, "certificate", "Certificate", "begins with"))
                (text(query, "group", "Group", "contains"))
                (text(query, "location", "Location", "contains"))
                (text(query, "list", "List", "contains"))
                (text(query, "server", "Server", "contains"))
                (text(query, "version", "Version", "begins with"))
                (text(query, "serial", "Policy", "contains"))
                (text(query, "unserved", "Unserved heartbeats", "at least"))
                @if !query.get("reason").is_empty() { (text(query, "reason", "Cause", "number")) }
                button { "Filter" }
                a href="/clients" { "All clients" }
            }
        }
        div #grid data-live="" {
            p role="status" { (pages(clients, query)) }
            div.scroll tabindex="0" role="region" aria-label="Clients" { (table(clients.list("clients"))) }
        }
    }
}

fn choice(query: &Query, name: &str, title: &str, first: &[(&str, &str)], then: &[(&str, &str)]) -> Markup {
    html! {
        label { span { (title) }
            select name=(name) data-submit="" {
                option value="" { "any" }
                @for (value, words) in then.iter().chain(first) { option value=(value) selected[query.get(name) == *value] { (words) } }
            }
        }
    }
}

fn text(query: &Query, name: &str, title: &str, how: &str) -> Markup {
    html! { label { span { (title) } input name=(name) value=(query.get(name)) placeholder=(how) size="12" autocomplete="off"; } }
}

/// How many clients match, and links to the pages around this one.
fn pages(clients: &Value, query: &Query) -> Markup {
    let (total, offset) = (clients.number("total"), clients.number("offset"));
    let shown = clients.list("clients").len() as u64;
    let link = |offset: u64| {
        format!(
            "/clients?{}",
            query.with("offset", &offset.to_string()).written(&[&CLIENT_FILTERS[..], &["offset"]].concat())
        )
    };
    html! {
        strong { (counted(total, "client")) }
        @if shown > 0 && shown < total { ", " (grouped(offset + 1)) " to " (grouped(offset + shown)) }
        @if offset > 0 { ", " a rel="prev" href=(link(offset.saturating_sub(CLIENTS))) { "previous" } }
        @if offset + shown < total { ", " a rel="next" href=(link(offset + CLIENTS)) { "next" } }
        @if total > CLIENTS { ", " a href=(link((total - 1) / CLIENTS * CLIENTS)) { "last" } }
    }
}

fn table(clients: &[Value]) -> Markup {
    html! {
        table.grid {
            thead { tr {
                @for title in ["Name", "Part", "State", "Machine", "Certificates", "Group", "Location", "List", "Tries first", "Version", "Policy", "Heartbeats served"] { th scope="col" { (title) } }
            } }
            tbody {
                @for one in clients {
                    @let view = &one["view"];
                    tr {
                        th scope="row" { (client(one.text("client"))) }
                        td { (one.text("part")) }
                        td { (state(view)) }
                        td { (machine(one)) }
                        td { @for held in view.texts("certificates") { a href={ "/clients?certificate=" (short(held)) } { (fingerprint(held)) } " " } }
                        td.list { (view.text("group")) }
                        td { (view["location"].as_str().unwrap_or("default")) }
                        td.list { (view.text("list")) @if !view.flag("secure_communications") { " " strong.unwell { "not secure" } } }
                        td { (server(&view["server"])) }
                        td { (view.text("version")) }
                        td { (view.text("serial")) }
                        td.count { (grouped(view.number("heartbeats_served"))) " of " (grouped(view.number("heartbeats"))) }
                    }
                }
            }
        }
    }
}

/// The state of a client's contact, with its reason.
pub(super) fn state(view: &Value) -> Markup {
    let health = &view["health"];
    let class = match health.text("state") {
        "orphaned" => "lost",
        "disconnected" => "unwell",
        _ => "",
    };
    html! {
        @if class.is_empty() { (health.text("state")) } @else { strong class=(class) { (health.text("state")) } }
        @if !health["since"].is_null() { small { " since " (moment(health.text("since"))) } }
        @if view.flag("brought_back") { " brought back" }
    }
}

pub(super) fn machine(one: &Value) -> &'static str {
    match (one.flag("frozen"), one.flag("on"), one.flag("silent")) {
        (true, ..) => "frozen",
        (_, false, _) => "off",
        (_, _, true) => "on, silent",
        _ => "on",
    }
}

/// A server as protocol, address and port.
pub(super) fn server(one: &Value) -> String {
    match one["port"].as_u64() {
        Some(port) => format!("{}://{}:{port}", one.text("protocol"), one.text("address")),
        None => String::new(),
    }
}
