//! The faults that are set, with their hits, and a form for each kind, which says what a fault would hit before it is set.

use maud::{Markup, html};
use serde_json::Value;

use super::action::{Action, Field, FieldKind};
use super::asked::{Answers, HITS, Query};
use super::json::Fields;
use super::words::{grouped, instant, moment, segment};

pub(super) fn view(answers: &Answers, query: &Query) -> Markup {
    let (faults, kinds, hits) = (answers.of("faults"), answers.of("kinds"), answers.of("hits"));
    let kind = kinds.as_array().into_iter().flatten().find(|one| one.text("name") == query.get("kind"));
    html! {
        h1 { "Faults" }
        div #faults data-live="" { (table(faults, hits)) }
        (removal(faults))
        section aria-labelledby="set-title" {
            h2 #set-title { "Set a fault" }
            form method="get" action="/faults" {
                div.fields {
                    label { span { "Kind" }
                        select name="kind" data-submit="" {
                            option value="" { "choose one" }
                            @for one in kinds.as_array().into_iter().flatten() {
                                option value=(one.text("name")) selected[one.text("name") == query.get("kind")] { (one.text("layer")) ": " (one.text("name")) ", " (one.text("about")) }
                            }
                        }
                    }
                    button { "Choose" }
                }
            }
            @if let Some(kind) = kind { (form(kind, answers)) }
        }
    }
}

fn table(faults: &Value, hits: &Value) -> Markup {
    let all = faults.as_array().map_or(&[][..], Vec::as_slice);
    let hits = hits.list("entries");
    html! {
        @if all.is_empty() { p role="status" { "No fault is set." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Faults that are set" {
                table {
                    thead { tr { th scope="col" { "Fault" } th scope="col" { "What" } th scope="col" { "Whom, where, when" } th scope="col" { "Set" } th scope="col" { "Ends" } th.count scope="col" { "Hits" } th scope="col" { "Last hit" } } }
                    tbody {
                        @for one in all {
                            @let rule = &one["fault"];
                            @let name = rule.text("name");
                            @let own = hits.iter().filter(|hit| hit.text("fault") == name && hit.text("at") >= one.text("set_at"));
                            @let last = own.clone().next_back();
                            tr id={ "fault-" (segment(name)) } {
                                th scope="row" { (name) }
                                td.long { (what(&rule["what"])) }
                                td.long { (conditions(rule)) @for idle in one.list("without_effect") { div { strong.unwell { "no effect at " (idle.text("manager")) ": it lacks " (idle.text("lacks")) } } } }
                                td { (moment(one.text("set_at"))) }
                                td { (moment(one.text("ends_at"))) }
                                td.count { a href={ "/timeline?kind=fault-applied" } { (grouped(own.count() as u64)) } }
                                td { @if let Some(hit) = last { a href={ "/timeline/" (hit.number("number")) } { (instant(hit.text("at"))) } } }
                            }
                        }
                    }
                }
            }
            @if hits.len() == HITS { p.note { "Hits are counted among the latest " (grouped(HITS as u64)) " of all faults." } }
        }
    }
}

/// A kind with its parameters.
fn what(kind: &Value) -> Markup {
    let parameters = kind.as_object().into_iter().flatten().filter(|(name, _)| *name != "kind");
    html! {
        (kind["kind"].as_str().or_else(|| kind.as_str()).unwrap_or_default())
        @for (name, value) in parameters { ", " (name.replace('_', " ")) " " (value.as_str().map_or_else(|| value.to_string(), str::to_owned)) }
    }
}

/// The conditions of a rule, as JSON without what is empty.
fn conditions(rule: &Value) -> Markup {
    let mut all = Vec::new();
    for part in ["whom", "where", "when"] {
        for (name, value) in
            rule.entries(part).filter(|(name, value)| !(*name == "listener" && *value == "both"))
        {
            all.push(format!(
                "{} {}",
                name.replace('_', " "),
                value.as_str().map_or_else(|| value.to_string(), str::to_owned)
            ));
        }
    }
    if let Some(probability) = rule["probability"].as_f64().filter(|one| *one < 1.0) {
        all.push(format!("probability {probability}"));
    }
    html! { @if all.is_empty() { "everything" } @else { (all.join(", ")) } }
}

fn removal(faults: &Value) -> Markup {
    let names = faults.as_array().into_iter().flatten().map(|one| one["fault"].text("name"));
    let one = Action {
        label: "Remove it",
        method: "DELETE",
        path: "/v1/faults/{fault}",
        command: "fault remove {fault}".into(),
        fields: vec![Field::one_of("{fault}", "Fault", names)],
        ..Action::default()
    };
    let all = Action {
        label: "Remove all faults",
        method: "DELETE",
        path: "/v1/faults",
        command: "fault clear".into(),
        ..Action::default()
    };
    html! { details.actions { summary { "Remove faults" } (one.view()) (all.view()) } }
}

fn form(kind: &Value, answers: &Answers) -> Markup {
    let name = kind.text("name");
    let names = |of: &str, key: &str| -> Vec<(String, String)> {
        let all = match answers.of(of) {
            Value::Array(all) => all.as_slice(),
            other => other.list(of),
        };
        let every = all.iter().map(|one| (one.text(key).to_owned(), one.text(key).to_owned()));
        std::iter::once((String::new(), "all".to_owned())).chain(every).collect()
    };
    let managers = answers.of("site").list("managers").iter().map(|one| one.text("name"));
    let managers = std::iter::once((String::new(), "all".to_owned()))
        .chain(managers.map(|one| (one.to_owned(), one.to_owned())));
    let words = |all: &[&str]| {
        all.iter()
            .map(|one| ((*one).to_owned(), if one.is_empty() { "all".to_owned() } else { (*one).to_owned() }))
            .collect()
    };
    let mut fields = vec![Field::new("{fault}", "Name", FieldKind::Needed).value(name)];
    let mut command = format!("fault add {{fault}} {name}");
    for parameter in kind.list("parameters") {
        let parameter_name = parameter.text("name");
        let hint = format!("{}; {} if empty", parameter.text("about"), parameter.text("default"));
        fields.push(
            Field::new(&format!("what.{parameter_name}"), &parameter_name.replace('_', " "), FieldKind::Json)
                .hint(&hint),
        );
        command.push_str(&format!(" [--set {parameter_name}={{what.{parameter_name}}}]"));
    }
    fields.extend([
        Field::new("whom.agent", "Client", FieldKind::Text).hint("a name; * at its end for any rest"),
        Field::new("whom.group", "Group", FieldKind::Choice(names("groups", "group"))),
        Field::new("whom.percent", "Percent of the clients", FieldKind::Number),
        Field::new("where.manager", "Manager", FieldKind::Choice(managers.collect())),
        Field::new("where.listener", "Port", FieldKind::Choice(words(&["", "http", "https", "rest"]))),
        Field::new(
            "where.route",
            "Request",
            FieldKind::Choice(words(&[
                "", "hello", "register", "index", "policy", "list", "package", "upload", "hold",
            ])),
        ),
        Field::new("when.after", "Skip the first", FieldKind::Number),
        Field::new("when.every", "Every Nth", FieldKind::Number),
        Field::new("when.first", "Only the first", FieldKind::Number),
        Field::new("when.time_to_live_seconds", "For seconds", FieldKind::Number).hint("3600 if empty"),
        Field::new("probability", "Probability", FieldKind::Number).hint("0 to 1; always if empty"),
    ]);
    command.push_str(
        " [--agent {whom.agent}] [--group {whom.group}] [--percent {whom.percent}] [--manager {where.manager}] [--listener {where.listener}] [--route {where.route}] [--after {when.after}] [--every {when.every}] [--first {when.first}] [--for {when.time_to_live_seconds}] [--probability {probability}]",
    );
    let action = Action {
        label: "Set it",
        preview: "What would this hit?",
        method: "PUT",
        path: "/v1/faults/{fault}",
        body: serde_json::json!({ "what": { "kind": name } }).to_string().into(),
        command: command.into(),
        fields,
        ..Action::default()
    };
    html! {
        h3 { (name) ", layer " (kind.text("layer")) }
        p { (kind.text("about")) "." }
        (action.view())
    }
}
