//! The timeline: what operators and tools did beside what managers and clients did, each row with a link to its details.

use std::collections::BTreeSet;

use maud::{Markup, html};
use serde_json::Value;

use super::asked::{Answers, Query, ROWS, TIMELINE_FILTERS};
use super::json::Fields;
use super::words::{client, counted, grouped, instant};

/// Number of characters of a body that a row shows.
const SHOWN: usize = 160;

pub(super) fn view(answers: &Answers, query: &Query) -> Markup {
    let entries = entries(answers);
    let journals = ["journal", "calls"].map(|name| answers.of(name));
    let forgotten = journals[0].number("forgotten");
    let total: u64 = journals.iter().map(|one| one.number("total")).sum();
    let has_older = (entries.len() as u64) < total;
    html! {
        h1 { "Timeline" }
        form #filters method="get" action="/timeline" {
            div.fields {
                label { span { "Show" }
                    select name="show" data-submit="" {
                        @for (value, words) in [("", "everything"), ("acts", "what operators and tools did")] {
                            option value=(value) selected[query.get("show") == value] { (words) }
                        }
                    }
                }
                label { span { "Kind" }
                    select name="kind" data-submit="" {
                        option value="" { "any" }
                        @for kind in ["exchange", "connection-closed", "fault-applied", "fault-skipped", "call", "operator-action"] {
                            option value=(kind) selected[query.get("kind") == kind] { (kind.replace('-', " ")) }
                        }
                    }
                }
                @for (name, title, like) in [("client", "Client", ""), ("manager", "Manager", ""), ("action", "Request", ""), ("status", "Status", ""), ("from", "From lab time", "2026-01-05 08:00:00")] {
                    label { span { (title) } input name=(name) value=(query.get(name)) placeholder=(like) size=(like.len().max(query.get(name).len().min(24)).max(12)) autocomplete="off"; }
                }
                button { "Filter" }
                a href="/timeline" { "Everything" }
            }
        }
        div #rows data-live="" {
            p role="status" {
                "The latest " (counted(entries.len() as u64, "row")) " of " (grouped(total)) " that match"
                @if let Some(first) = entries.first().map(|one| one.number("number")).filter(|_| has_older) {
                    ", " a rel="prev" href={ "/timeline?" (query.with("until", &(first - 1).to_string()).written(&[&TIMELINE_FILTERS[..], &["show", "until"]].concat())) } { "older" }
                }
                @if !query.get("until").is_empty() { ", " a href={ "/timeline?" (query.written(&[&TIMELINE_FILTERS[..], &["show"]].concat())) } { "newest" } }
                @if forgotten > 0 { ". The journal has dropped " (counted(forgotten, "older row")) }
                "."
            }
            (rows(&entries))
        }
    }
}

/// The entries of all answers, in order.
fn entries(answers: &Answers) -> Vec<Value> {
    let mut all: Vec<Value> =
        ["journal", "calls"].iter().flat_map(|name| answers.of(name).list("entries")).cloned().collect();
    all.sort_by_key(|one| one.number("number"));
    all.split_off(all.len().saturating_sub(ROWS))
}

/// Entries of the journal as a table, the latest first.
pub(super) fn rows(entries: &[Value]) -> Markup {
    html! {
        @if entries.is_empty() { p { "Nothing." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Rows" {
                table.timeline {
                    thead { tr { th scope="col" { "No." } th scope="col" { "Lab time" } th scope="col" { "Operators and tools" } th scope="col" { "Managers and clients" } } }
                    tbody { @for one in entries.iter().rev() { (row(one)) } }
                }
            }
        }
    }
}

fn row(one: &Value) -> Markup {
    let is_act = matches!(one.text("kind"), "operator-action" | "call");
    let class = match one.text("kind") {
        "fault-applied" | "fault-skipped" => "hit",
        "connection-closed" => "closed",
        _ if is_act => "act",
        _ => "",
    };
    html! {
        tr class=(class) {
            th scope="row" { a href={ "/timeline/" (one.number("number")) } { (one.number("number")) } }
            td.when { (instant(one.text("at"))) }
            @if is_act { td.long { (words(one)) } td {} } @else { td {} td.long { (words(one)) } }
        }
    }
}

/// What an entry says, in a sentence.
pub(super) fn words(one: &Value) -> Markup {
    let manager = one.text("manager");
    let who = html! {
        @match one["client"].as_str() { Some(name) => (client(name)), None => (one.text("peer")) }
    };
    let status = one.number("status");
    html! {
        @match one.text("kind") {
            "operator-action" => strong { (one.text("text")) },
            "call" => {
                strong { (one.text("method")) " " (one.text("path")) @if !one.text("query").is_empty() { "?" (one.text("query")) } }
                (named(one))
                ": " (result(status)) ", " (manager) @if !one.text("user").is_empty() { ", by " (one.text("user")) }
                @if let Some(body) = one["body"].as_str() { br; code { (cut(body)) } }
            }
            "exchange" if one.text("action") == "refused" => {
                (who) " sent " (manager) " what it " strong { "cannot decode" } ": another shared secret, or no request of a client: " (result(status))
                @if one.flag("faulted") { ", " strong.unwell { "hit by a fault" } }
            }
            "exchange" => {
                (who) " asked " (manager) " for " strong { (one.text("action")) } @if !one.flag("tls") { " over plain HTTP" } ": " (result(status))
                @if one.flag("faulted") { ", " strong.unwell { "hit by a fault" } }
            }
            "connection-closed" => {
                (who) ": connection ended, " strong { (one.text("reason")) } @if !one.text("text").is_empty() { ": " (one.text("text")) }
                @if one.flag("faulted") { ", " strong.unwell { "hit by a fault" } }
            }
            "fault-applied" => {
                strong.unwell { "fault " (one.text("fault")) } ": " (one.text("what")) ", hit " (who) " at " (manager)
                ", " (one.text("moment")) " " (one.number("ordinal")) @if !one.text("route").is_empty() { " of " (one.text("route")) }
            }
            _ => { (one.text("kind").replace('-', " ")) " " (who) " " (one.text("text")) }
        }
    }
}

/// What the identifiers in a call stand for, each name once.
fn named(one: &Value) -> Markup {
    let names: BTreeSet<&str> = one.entries("names").filter_map(|(_, name)| name.as_str()).collect();
    html! {
        @if !names.is_empty() {
            " ("
            @for (index, name) in names.into_iter().enumerate() {
                @if index > 0 { ", " }
                @match name.strip_prefix("client ") { Some(name) => { "client " (client(name)) }, None => (name) }
            }
            ")"
        }
    }
}

/// A status with what it means.
fn result(status: u64) -> Markup {
    html! {
        @match status {
            304 => "304, nothing new",
            0 => "no answer",
            400.. => strong.lost { (status) },
            _ => (status),
        }
    }
}

fn cut(body: &str) -> String {
    if body.chars().count() <= SHOWN {
        body.to_owned()
    } else {
        format!("{} ...", body.chars().take(SHOWN).collect::<String>())
    }
}
