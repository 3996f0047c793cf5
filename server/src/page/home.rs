//! The first view: the verdict with its reasons and what to do, the fleet, and the site.

use std::time::Duration;

use epm_client_agent::report::{note_told, reason_told};
use epm_protocol::plural::either;
use epm_protocol::time::Timestamp;
use maud::{Markup, html};
use serde_json::Value;

use super::asked::Answers;
use super::frame::Place;
use super::json::Fields;
use super::words::{client, counted, failure, fingerprint, grouped, in_words, segment};
use super::{area, site};

/// What is wrong with clients: name in the verdict, words, the filter that shows these clients, and the class of its area.
pub(super) const FINDINGS: [(&str, &str, &str); 6] = [
    ("orphaned", "orphaned", "orphaned"),
    ("out_of_touch", "out of touch", "out-of-touch"),
    ("not_secure", "not secure", "not-secure"),
    ("behind", "behind", "behind"),
    ("silent", "silent", "silent"),
    ("away", "off, with changes still to receive", "away"),
];

pub(super) fn view(answers: &Answers, place: &Place) -> Markup {
    let summary = answers.of("summary");
    let verdict = &summary["verdict"];
    html! {
        div #verdict data-live="" role="status" { (banner(verdict)) }
        div #why data-live="" { (reasons(verdict)) (notes(verdict)) }
        section aria-labelledby="fleet-title" {
            h2 #fleet-title { "The fleet" }
            div #fleet data-live="" { (fleet(summary)) }
        }
        (site::view(answers))
        (hand_on(summary["takes_capture"] == true, place))
    }
}

/// Downloads of evidence and of the latest traffic.
fn hand_on(takes_capture: bool, place: &Place) -> Markup {
    html! {
        section aria-labelledby="hand-on-title" {
            h2 #hand-on-title { "Hand it on" }
            @if !place.controls {
                p.note {
                    "Evidence and traffic have private keys and session secrets in them: they need a token of the scope " code { "control" }
                    ", and this session may read only."
                }
            } @else {
                p {
                    a href="/v1/evidence?capture=false" download="evidence.zip" { "Download evidence" }
                    ": one file with the verdict and its reasons, journal, logs, certificates, a page that opens without the lab, and the lab itself where "
                    "it has a data folder, with the private keys that it has made."
                }
                @if takes_capture {
                    p {
                        a href="/v1/capture?minutes=5" download="capture.pcapng" { "Download the traffic of the last five minutes" }
                        " for Wireshark, with the session secrets that decrypt it, and with that what tools have sent, passwords too."
                    }
                } @else {
                    p.note { "A lab that was started with " code { "--pcap FILE" } " has its traffic here as well, for Wireshark." }
                }
                div.command { pre { code { "epm-lab evidence evidence.zip --lab " (place.origin) } } }
            }
            p {
                a href="/scenario" { "What was done, as a scenario" }
                ": to play it again, or to rehearse it with a larger fleet."
            }
            p {
                a href="/compare" { "Compare with an earlier run" }
                ", such as the last green one: clients, causes, what was done, and assumptions."
            }
        }
    }
}

/// The verdict in a sentence.
fn banner(verdict: &Value) -> Markup {
    let counts = &verdict["counts"];
    let clients = verdict.number("clients");
    let wrong: Vec<String> = FINDINGS
        .iter()
        .filter(|(name, ..)| *name != "away" && counts.number(name) > 0)
        .map(|(name, words, _)| format!("{} {words}", grouped(counts.number(name))))
        .collect();
    let ended: Vec<&str> = verdict.list("processes_down").iter().filter_map(Value::as_str).collect();
    let down = verdict.entries("services_down").map(|(manager, all)| format!("{manager}: {}", names(all)));
    let unread = verdict.entries("files_unread").map(|(manager, all)| format!("{manager}: {}", names(all)));
    let (down, unread): (Vec<String>, Vec<String>) = (down.collect(), unread.collect());
    let well = match verdict.list("notes").len() {
        0 => "All is well".to_owned(),
        notes => format!("All is well, with {}", counted(notes as u64, "note")),
    };
    let (class, badge, words) = match verdict["well"].as_bool() {
        Some(true) => ("well", well.as_str(), "every client that is on is served, authenticates its manager and holds the certificates in force.".to_owned()),
        None => ("partial", "No verdict", format!("{}.", verdict.text("no_verdict"))),
        Some(false) if wrong.is_empty() => ("unwell", "Not well", "every client is, but not every manager.".to_owned()),
        Some(false) => {
            let class = if counts.number("orphaned") > 0 { "lost" } else { "unwell" };
            (class, if class == "lost" { "Orphaned clients" } else { "Not well" }, format!("of {}, {}.", counted(clients, "client"), wrong.join(", ")))
        }
    };
    html! {
        div class={ "verdict " (class) } {
            h1 { strong.badge { (badge) } span.words { ": " (words) } }
            @if !ended.is_empty() { p { "Managers whose process does not run: " (ended.join(", ")) "." } }
            @if verdict["well"] == false && verdict["database_error"].is_string() {
                p { "The database that the managers share cannot be used: " (verdict.text("database_error")) }
            }
            @if !down.is_empty() { p { "Services that are down: " (down.join("; ")) "." } }
            @if !unread.is_empty() { p { "Replaced files that no service has read: " (unread.join("; ")) "." } }
            @for (manager, trouble) in verdict.entries("console_troubles") {
                p { "The console of " (manager) ": " (trouble.as_str().unwrap_or_default()) }
            }
        }
        @if !verdict.list("assumed").is_empty() {
            p.note { "Assumed, other than by default: " (names(&verdict["assumed"])) "." }
        }
        @if verdict["well"].is_boolean() && counts.number("unknown") > 0 {
            p.note { (either(counts.number("unknown"), "more client is", "more clients are")) " unknown: no process reports what they hold." }
        }
        @for source in verdict.list("sources") {
            p.note {
                (source.text("source")) " reports " (counted(source.number("clients"), "client"))
                @if source["silent"] == true { ", and has been silent since " }
                @else if source["ended"] == true { ", and ended at " }
                @else { ", heard at " }
                (source.text("heard")) "."
            }
        }
        @if counts.number("reported_twice") > 0 {
            p.note { (either(counts.number("reported_twice"), "client is", "clients are")) " reported by several processes; the latest report counts." }
        }
        @if verdict.number("elsewhere") > 0 && counts.number("unknown") == 0 {
            p.note { (counted(verdict.number("elsewhere"), "registered client")) " run outside of the lab's process, and are not judged." }
        }
        @if verdict.number("journal_forgotten") > 0 {
            p.note { "The journal has dropped " (counted(verdict.number("journal_forgotten"), "older record")) ". The verdict does not need them; the timeline begins later." }
        }
    }
}

fn names(list: &Value) -> String {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

/// Why clients are not well, and what to do.
fn reasons(verdict: &Value) -> Markup {
    let all = verdict.list("reasons");
    html! {
        @if !all.is_empty() {
            section aria-labelledby="why-title" {
                h2 #why-title { "Why, and what to do" }
                ol.reasons { @for one in all { (reason(one)) } }
            }
        }
    }
}

/// What is to be noted of clients, whether or not all is well, with links to the clients and the failure.
fn notes(verdict: &Value) -> Markup {
    let all = verdict.list("notes");
    html! {
        @if !all.is_empty() {
            section aria-labelledby="notes-title" {
                h2 #notes-title { "Notes" }
                ol.reasons { @for one in all { (note(one)) } }
            }
        }
    }
}

pub(super) fn note(one: &Value) -> Markup {
    let more = one.number("clients").saturating_sub(one.list("examples").len() as u64);
    html! {
        li id={ "note-" (one.text("code")) } {
            p.place {
                strong { (counted(one.number("clients"), "client")) }
                @if let Some(number) = one["failure"].as_str() { " " (failure(number)) }
            }
            (in_words(one, note_told))
            p.note {
                "Clients: "
                @for (index, name) in one.texts("examples").enumerate() { @if index > 0 { ", " } (client(name)) }
                @if more > 0 { " and " (grouped(more)) " more" }
                "."
            }
        }
    }
}

/// A reason, with links to its clients, its failure and the moment of its cause.
pub(super) fn reason(one: &Value) -> Markup {
    let finding = one.text("finding");
    let more = one.number("clients").saturating_sub(one.list("examples").len() as u64);
    html! {
        li id={ "reason-" (one.number("number")) } {
            p.place {
                strong { (counted(one.number("clients"), "client")) " " (finding.replace('-', " ")) }
                @if !one.text("layer_title").is_empty() { ", layer " (one.text("layer_title")) }
                @if let Some(number) = one["failure"].as_str() { " " (failure(number)) }
            }
            (in_words(one, |one| reason_told(one, failure)))
            p.note {
                "Clients: "
                @for (index, name) in one.texts("examples").enumerate() { @if index > 0 { ", " } (client(name)) }
                @if more > 0 { " and " (grouped(more)) " more" }
                "; " a href={ "/clients?reason=" (one.number("number")) } { "all of them" }
                @if !one.list("faults").is_empty() { "; " a href="/faults" { "faults that are set" } }
                @if let Some(at) = moment_in(one.text("sentence")) {
                    "; " a href={ "/timeline?show=acts&from=" (segment(&earlier(at))) } { "who did what about " (at) " and later" }
                }
            }
        }
    }
}

/// Some seconds before a lab time: what belongs together is not done in one moment.
fn earlier(at: &str) -> String {
    at.parse::<Timestamp>().map_or_else(|_| at.to_owned(), |at| (at - Duration::from_secs(5)).to_string())
}

/// The lab time of the first change of the site that a sentence names. Its other times may be dates of a certificate.
fn moment_in(sentence: &str) -> Option<&str> {
    let (_, after) = sentence.split_once("he change at ")?;
    let end = after.find('Z')? + 1;
    after.get(..end).filter(|text| text.parse::<Timestamp>().is_ok())
}

/// The fleet as numbers, over time, and by part.
fn fleet(summary: &Value) -> Markup {
    let verdict = &summary["verdict"];
    let samples = &summary["samples"];
    let in_force: Vec<(&String, &str)> =
        verdict.entries("certificates").filter_map(|(manager, one)| Some((manager, one.as_str()?))).collect();
    html! {
        dl.facts {
            div { dt { "Clients" } dd { a href="/clients" { (grouped(verdict.number("clients"))) } } }
            @for (name, words, filter) in FINDINGS {
                div { dt { (words) } dd { a href={ "/clients?standing=" (filter) } { (grouped(verdict["counts"].number(name))) } } }
            }
            div { dt { "brought back" } dd { (grouped(verdict["counts"].number("brought_back"))) } }
        }
        div.charts {
            (area::stacked("held", "Certificates that clients hold", &samples["at"], &samples["held"], &[]))
            (area::stacked("state", "How clients are", &samples["at"], &samples["standing"], &["is-well", "is-behind", "is-orphaned", "is-out-of-touch", "is-not-secure", "is-silent", "is-away"]))
        }
        div.scroll tabindex="0" role="region" aria-label="Parts of the fleet" {
            table {
                thead { tr {
                    th scope="col" { "Part" } th.count scope="col" { "Clients" } th.count scope="col" { "Served" }
                    th.count scope="col" { "Orphaned" } th.count scope="col" { "Secure" } th.count scope="col" { "HTTPS" }
                    @for (manager, one) in &in_force { th.count scope="col" { "Hold " (fingerprint(one)) small { (manager) } } }
                    th scope="col" { "Lists" }
                } }
                tbody {
                    @for part in verdict.list("parts") {
                        tr {
                            th scope="row" { a href={ "/clients?part=" (segment(part.text("part"))) } { (part.text("part")) } }
                            @for name in ["clients", "connected", "orphaned", "secure", "https"] { td.count { (grouped(part.number(name))) } }
                            @for (_, one) in &in_force { td.count { (grouped(part["certificates"].number(one))) } }
                            td.list { @for (list, clients) in part.entries("lists") { div { (list) ": " (clients) } } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_that_is_well_says_in_its_headline_that_it_has_notes() {
        let mut verdict = serde_json::json!({ "well": true, "clients": 30, "counts": {} });
        assert!(banner(&verdict).into_string().contains("All is well<"));
        assert!(!banner(&verdict).into_string().contains("Assumed"));
        verdict["assumed"] = serde_json::json!(["load_balance = in-order"]);
        assert!(
            banner(&verdict)
                .into_string()
                .contains("Assumed, other than by default: load_balance = in-order.")
        );
        assert_eq!(notes(&verdict).into_string(), "");
        verdict["notes"] = serde_json::json!([{
            "code": "downloads-off", "sentence": "They hold <an> older policy.", "failure": "F37", "failure_title": "No downloads",
            "remedy": "Switch it on.", "clients": 30, "examples": ["desk-1", "desk-2"],
        }]);
        assert!(banner(&verdict).into_string().contains("All is well, with 1 note<"));
        let page = notes(&verdict).into_string();
        for expected in [
            "30 clients",
            "/failures/F37",
            "They hold &lt;an&gt; older policy.",
            "Switch it on.",
            "/clients/desk-2",
            " and 28 more",
        ] {
            assert!(page.contains(expected), "{expected}: {page}");
        }
    }

    #[test]
    fn the_moment_of_a_cause_is_found_in_its_sentence() {
        let sentence = "The change at 2026-01-05T08:00:00.000Z gave sepm-1 a new certificate (C2F150E9).";
        assert_eq!(moment_in(sentence), Some("2026-01-05T08:00:00.000Z"));
        for no_change in [
            "No change is known, 2026 clients are Zen.",
            "The certificate is not valid before 2026-01-12T08:00:00.000Z.",
        ] {
            assert_eq!(moment_in(no_change), None);
        }
    }
}
