//! Which clients would be orphaned if the certificate of a manager were replaced now.

use epm_client_agent::agent::Distrust;
use epm_client_agent::cause::short;
use epm_protocol::plural::either;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::asked::{Answers, Query};
use super::json::Fields;
use super::words::{client, counted, segment};

/// Number of clients that are named.
const NAMED: usize = 200;

/// What a client would find, in words.
fn because(found: &Value) -> String {
    Distrust::deserialize(found).map_or_else(|_| found.to_string(), |found| short(&found.to_string()))
}

pub(super) fn view(answers: &Answers, query: &Query) -> Markup {
    match query.get("manager") {
        "" => choice(answers.of("site")),
        manager => predicted(answers, manager),
    }
}

/// The managers to choose from.
fn choice(site: &Value) -> Markup {
    html! {
        h1 { "If a certificate were replaced now" }
        p { "Whose? Choose a manager; nothing is changed:" }
        ul {
            @for name in site.list("managers").iter().map(|one| one.text("name")) {
                li { a href={ "/ahead?manager=" (segment(name)) } { (name) } }
            }
        }
    }
}

fn predicted(answers: &Answers, manager: &str) -> Markup {
    let ahead = answers.of("ahead");
    let number = ahead.number("would_be_orphaned");
    let already = answers.of("summary")["verdict"]["counts"].number("orphaned");
    let elsewhere = ahead.number("not_predicted");
    let predicted = ahead.number("predicted");
    let class = match (number, already + elsewhere) {
        (1.., _) => "lost",
        _ if predicted == 0 => "partial",
        (0, 1..) => "partial",
        (0, 0) => "well",
    };
    html! {
        h1 { "If the certificate of " (manager) " were replaced now" }
        div class={ "verdict " (class) } {
            p {
                strong.badge { (counted(number, if already > 0 { "more client" } else { "client" })) } " would be orphaned at their next heartbeats."
                @if already > 0 { " " (either(already, "is", "are")) " orphaned already." }
                @if predicted == 0 { " The lab has no client of its own to try it on." }
                @if elsewhere > 0 { " Nothing was predicted for " (counted(elsewhere, "client")) " elsewhere." }
            }
        }
        p.note { "Tried on copies of the site and its clients: nothing was changed, and faults were left out." }
        @if number > 0 {
            table {
                thead { tr { th scope="col" { "Client" } th scope="col" { "Layer" } th scope="col" { "What it would find" } } }
                tbody {
                    @for one in ahead.list("clients").iter().take(NAMED) {
                        tr { th scope="row" { (client(one.text("client"))) } td { (one.text("layer_title")) } td.long { (because(&one["because"])) } }
                    }
                }
            }
            @if number > NAMED as u64 { p.note { (counted(number - NAMED as u64, "more client")) "." } }
        }
        p { a href="/" { "To the verdict" } }
    }
}
