//! One entry of the journal: request and answer with their headers, TLS, and the faults that hit it.

use maud::{Markup, html};
use serde_json::Value;

use super::asked::Answers;
use super::json::Fields;
use super::timeline::{rows, words};
use super::words::instant;

pub(super) fn view(answers: &Answers, number: u64) -> Markup {
    let around = answers.of("around").list("entries");
    let Some(one) = around.iter().find(|one| one.number("number") == number) else {
        return html! {
            h1 { "Row " (number) }
            p { "There is no such row, or the journal has dropped it." }
            p { a href="/timeline" { "To the timeline" } }
        };
    };
    let is_same = |other: &&Value| {
        other["peer"] == one["peer"] && !one["peer"].is_null() && other.number("number") != number
    };
    let related: Vec<&Value> = around.iter().filter(is_same).collect();
    let is_of_fault = |row: &Value| row.text("kind").starts_with("fault-");
    let is_fault = is_of_fault(one);
    // Of a fault's own row, the exchange that it hit is what is asked for.
    let (faults, others): (Vec<&Value>, Vec<&Value>) =
        related.into_iter().partition(|other| !is_fault && is_of_fault(other));
    let (faults, others): (Vec<Value>, Vec<Value>) =
        (faults.into_iter().cloned().collect(), others.into_iter().cloned().collect());
    let exchange = answers.of("har")["log"].list("entries").first();
    html! {
        h1 { "Row " (number) ": " (one.text("kind").replace('-', " ")) }
        p.sentence { (words(one)) }
        dl.facts {
            div { dt { "Lab time" } dd { (instant(one.text("at"))) } }
            @for (name, title) in [("manager", "Manager"), ("peer", "Peer"), ("agent", "Identifier of the client"), ("route", "Route"), ("moment", "What was hit"), ("user", "User")] {
                @if let Some(text) = one[name].as_str() { div { dt { (title) } dd { (text) } } }
            }
            @if let Some(tls) = one["tls"].as_bool() { div { dt { "Transport" } dd { @if tls { "TLS" } @else { "plain HTTP" } } } }
            @if let Some(lasted) = one["duration_ms"].as_f64() { div { dt { "Took" } dd { (lasted) " ms" } } }
        }
        @if is_fault {
            p { a href="/faults" { "Faults that are set now" } }
        } @else {
            section aria-labelledby="faults-title" {
                h2 #faults-title { "Faults that hit it" }
                @if faults.is_empty() {
                    @if one.flag("faulted") { p { "A fault did, and the journal no longer has its row." } } @else { p { "None." } }
                } @else { (rows(&faults)) p { a href="/faults" { "Faults that are set now" } } }
            }
        }
        @if let Some(exchange) = exchange {
            (message("Request", &format!("{} {}", exchange["request"].text("method"), exchange["request"].text("url")), &exchange["request"], &exchange["request"]["postData"]))
            (message("Answer", &format!("{} {}", exchange["response"].number("status"), exchange["response"].text("statusText")), &exchange["response"], &exchange["response"]["content"]))
            @if !exchange["response"].text("comment").is_empty() { p.note { (exchange["response"].text("comment")) } }
        }
        @if !others.is_empty() {
            section aria-labelledby="same-title" {
                h2 #same-title { "On the same connection" }
                (rows(&others))
            }
        }
        p { a href={ "/timeline?until=" (number + 50) } { "Around it in the timeline" } }
    }
}

fn message(title: &str, line: &str, of: &Value, body: &Value) -> Markup {
    let text = body.text("text");
    let is_encoded = body.text("encoding") == "base64" || body.text("comment").starts_with("base64");
    html! {
        section aria-label=(title) {
            h2 { (title) }
            p.long { code { (line) } }
            table.headers {
                caption { "Headers" }
                tbody { @for header in of.list("headers") { tr { th scope="row" { (header.text("name")) } td.long { (header.text("value")) } } } }
            }
            @if !text.is_empty() {
                p.note { "Body" @if is_encoded { ", in base64" } @if !body.text("comment").is_empty() { ", " (body.text("comment")) } }
                pre.body tabindex="0" { (text) }
            } @else { p.note { "No body." } }
        }
    }
}
