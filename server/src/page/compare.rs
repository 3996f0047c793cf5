//! Two runs compared: files that the reader chooses, or one of them with this lab.

use std::time::Duration;

use epm_client_agent::report::prose;
use epm_client_agent::scenario::Span;
use epm_protocol::plural::either;
use maud::{Markup, html};
use serde_json::Value;

use super::asked::{Answers, Query};
use super::json::Fields;
use super::words::{client, counted, failure, grouped, moment};
use crate::comparison::NOTE;

/// Most bytes of the files that are compared.
pub(crate) const LARGEST_COMPARED: usize = 64 << 20;
/// Number of clients that are named.
const NAMED: usize = 24;

pub(super) fn view(answers: &Answers, query: &Query) -> Markup {
    let compared = answers.of("comparison");
    let has_lab = query.get("second").is_empty();
    html! {
        h1 { "Two runs compared" }
        p {
            "What differs between an earlier run, such as the last green one, and this lab as it is now, or another run: clients, causes, what was done, and assumptions. "
            "A file is evidence, or what " code { "rehearse" } ", " code { "run" } " and " code { "check" } " print with " code { "--json" } ". The lab reads it, and keeps nothing of it."
        }
        form.compare data-largest=(LARGEST_COMPARED) {
            div.fields {
                (file("first", "Earlier run", "such as the last green one", true))
                (file("second", "Other run", "this lab as it is now, if it is empty", false))
                // Without the script a form would only load the page anew.
                button disabled { "Compare" }
            }
            details.command {
                summary { "As a command" }
                pre { code { } }
            }
            output role="status" {}
        }
        div #comparison { @if compared.is_object() { (result(compared, has_lab)) } }
        p { a href="/" { "To the verdict" } }
    }
}

fn file(name: &str, title: &str, hint: &str, is_needed: bool) -> Markup {
    html! {
        label {
            span { (title) }
            input type="file" name=(name) accept=".zip,.json,application/zip,application/json" required[is_needed];
            small { (hint) }
        }
    }
}

/// What differs; `has_lab` says that the second run is this lab.
fn result(compared: &Value, has_lab: bool) -> Markup {
    let (first, second) = (&compared["first"], &compared["second"]);
    html! {
        (banner(compared))
        div.scroll tabindex="0" role="region" aria-label="The two runs" {
            table {
                caption { "The two runs" }
                thead { tr { th scope="col" { "Run" } th scope="col" { "Of" } th scope="col" { "Lab time" } th.count scope="col" { "Clients" } th.count scope="col" { "Orphaned" } th scope="col" { "Verdict" } } }
                tbody {
                    @for side in [first, second] {
                        tr {
                            th.long scope="row" { (side.text("file")) }
                            td.long { (side.text("title")) }
                            td { @if let Some(at) = side["at"].as_str() { (moment(at)) } }
                            td.count { (grouped(side.number("clients"))) }
                            td.count { (grouped(side.number("orphaned"))) }
                            td { (verdict(side)) }
                        }
                    }
                }
            }
        }
        (clients(compared, has_lab))
        (differences(compared, ["parts", "part"], "Clients in each part of the fleet", "Part"))
        (causes(compared))
        (done(compared))
        (differences(compared, ["assumptions", "name"], "Assumptions with different values", "Assumption"))
        @for missing in compared.texts("not_compared") { p.note { (missing) } }
    }
}

fn banner(compared: &Value) -> Markup {
    let (first, second) = (&compared["first"], &compared["second"]);
    let differ = compared.list("clients").len() as u64;
    let unjudged = [first, second].into_iter().find(|side| side["well"].is_null());
    let (class, badge, words) = match unjudged {
        _ if compared.flag("same") => ("well", "Alike", "the clients end alike.".to_owned()),
        Some(side) if differ == 0 => (
            "partial",
            "No verdict",
            format!("of {} no client was judged, or some are not known.", side.text("file")),
        ),
        _ if differ == 0 && !compared.list("parts").is_empty() => {
            ("unwell", "Not alike", "the runs do not have the same clients.".to_owned())
        }
        _ if differ == 0 => ("unwell", "Not alike", "the clients end alike, and the runs do not.".to_owned()),
        _ => {
            ("unwell", "Not alike", format!("{} not end alike.", either(differ, "client does", "clients do")))
        }
    };
    html! { div class={ "verdict " (class) } { p { strong.badge { (badge) } span.words { ": " (words) } } } }
}

fn verdict(side: &Value) -> Markup {
    html! {
        @match side["well"].as_bool() {
            Some(true) => "well",
            Some(false) => strong.unwell { "not well" },
            None => "none",
        }
    }
}

/// Clients that do not end alike, a row for those that differ in the same way.
fn clients(compared: &Value, has_lab: bool) -> Markup {
    let all = compared.list("clients");
    let of = |one: &Value, name: &str| one.text(name).replace('_', " ");
    let is_alike = |a: &Value, b: &Value| (&a["first"], &a["second"]) == (&b["first"], &b["second"]);
    html! {
        @if !all.is_empty() {
            section aria-labelledby="clients-title" {
                h2 #clients-title { "Clients that do not end alike" }
                div.scroll tabindex="0" role="region" aria-label="How these clients end" {
                    table {
                        thead { tr { th.count scope="col" { "Clients" } (files(compared)) th scope="col" { "Names" } } }
                        tbody {
                            @for alike in all.chunk_by(is_alike) {
                                tr {
                                    td.count { (grouped(alike.len() as u64)) }
                                    td { (of(&alike[0], "first")) } td { (of(&alike[0], "second")) }
                                    td.long {
                                        @for (index, one) in alike.iter().take(NAMED).enumerate() {
                                            @if index > 0 { ", " }
                                            @if has_lab { (client(one.text("client"))) } @else { (one.text("client")) }
                                        }
                                        @if alike.len() > NAMED { " and " (grouped((alike.len() - NAMED) as u64)) " more" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The files as headings of two columns.
fn files(compared: &Value) -> Markup {
    html! { @for name in ["first", "second"] { th scope="col" { (compared[name].text("file")) } } }
}

/// Causes that only one of the runs has.
fn causes(compared: &Value) -> Markup {
    html! {
        @for (name, of) in [("first", "causes_of_first"), ("second", "causes_of_second")] {
            @let causes = compared.list(of);
            @if !causes.is_empty() {
                section aria-labelledby={ (of) "-title" } {
                    h2 id={ (of) "-title" } { "Causes only in " (compared[name].text("file")) }
                    ol.reasons {
                        @for one in causes {
                            li {
                                p.place { @if one["finding"] == NOTE { "Noted of " } strong { (counted(one.number("clients"), "client")) } @if let Some(layer) = one["layer"].as_str() { ", layer " (layer) } @if let Some(number) = one["failure"].as_str() { " " (failure(number)) } }
                                p.cause { (prose(one.text("sentence"))) }
                                @if !one.list("steps").is_empty() {
                                    ul.alike { @for step in one.list("steps") { li { "Step " (step.number("number")) ": " (step.text("title")) } } }
                                }
                                @if let Some(remedy) = one["remedy"].as_str() { p.remedy { strong { "To do: " } (prose(remedy)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What was done in both runs, with the lab time until the next step.
fn done(compared: &Value) -> Markup {
    let steps = compared.list("steps");
    let shown = |step: &Value, name: &str| {
        step[name].as_u64().map_or_else(|| "-".to_owned(), |one| Span(Duration::from_millis(one)).to_string())
    };
    html! {
        @if !steps.is_empty() {
            section aria-labelledby="done-title" {
                h2 #done-title { "What was done, with the lab time until the next step" }
                div.scroll tabindex="0" role="region" aria-label="What was done" {
                    table {
                        thead { tr { th scope="col" { "What was done" } (files(compared)) } }
                        tbody {
                            @for step in steps {
                                @let is_in_both = step["first_ms"].is_u64() && step["second_ms"].is_u64();
                                tr class=[(!is_in_both).then_some("act")] {
                                    th.long scope="row" { (step.text("title")) }
                                    @for name in ["first_ms", "second_ms"] { td { (shown(step, name)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What both runs have with different values: the list of this key, whose entries have a name of that key.
fn differences(compared: &Value, [list, name]: [&str; 2], title: &str, heading: &str) -> Markup {
    let all = compared.list(list);
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        value => value.as_u64().map_or_else(|| "-".to_owned(), grouped),
    };
    html! {
        @if !all.is_empty() {
            section aria-labelledby={ (list) "-title" } {
                h2 id={ (list) "-title" } { (title) }
                div.scroll tabindex="0" role="region" aria-label=(title) {
                    table {
                        thead { tr { th scope="col" { (heading) } (files(compared)) } }
                        tbody { @for one in all { tr { th.long scope="row" { (one.text(name)) } @for run in ["first", "second"] { td.long { (shown(&one[run])) } } } } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What the view says, without its tags.
    fn shown(comparison: Value, query: &str) -> String {
        view(&Answers(vec![("comparison", comparison)]), &Query::of(query)).into_string()
    }

    fn side(file: &str, well: Option<bool>) -> Value {
        json!({ "file": file, "title": "<My Site>", "clients": 2, "orphaned": 0, "well": well })
    }

    #[test]
    fn clients_are_links_only_where_the_second_run_is_this_lab() {
        let comparison = json!({
            "same": false, "first": side("<green>.zip", Some(true)), "second": side("this lab", Some(false)),
            "clients": [{ "client": "desk-1", "first": "well", "second": "out_of_touch" }],
            "causes_of_first": [], "causes_of_second": [],
            "not_compared": ["What was done: not compared, since <green>.zip does not have it."],
        });
        let of_lab = shown(comparison.clone(), "first=green.zip");
        assert!(of_lab.contains(r#"<a href="/clients/desk-1">desk-1</a>"#), "{of_lab}");
        assert!(
            of_lab.contains("1 client does not end alike.") && of_lab.contains("out of touch"),
            "{of_lab}"
        );
        assert!(
            of_lab.contains("since &lt;green&gt;.zip does not") && !of_lab.contains("<green>"),
            "{of_lab}"
        );
        let of_files = shown(comparison, "first=green.zip&second=red.zip");
        assert!(of_files.contains("desk-1") && !of_files.contains("/clients/desk-1"), "{of_files}");
    }

    #[test]
    fn no_run_without_a_verdict_is_said_to_be_alike() {
        let comparison = |same: bool, well: Option<bool>| json!({ "same": same, "first": side("a", Some(true)), "second": side("b", well), "clients": [] });
        assert!(shown(comparison(true, Some(true)), "").contains("the clients end alike."));
        let unjudged = shown(comparison(false, None), "");
        assert!(
            unjudged.contains("of b no client was judged") && !unjudged.contains("end alike"),
            "{unjudged}"
        );
        assert!(shown(comparison(false, Some(false)), "").contains("the runs do not"));
    }
}
