//! The failure catalogue: what each failure is and how to tell it, its steps to take in this lab, and its repair.

use epm_client_agent::scenario::{command_in_words, fleet_action_in_words};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::action::{Action, Field};
use super::asked::Answers;
use super::json::Fields;
use super::words::{counted, failure, in_words};

pub(super) fn list(answers: &Answers) -> Markup {
    html! {
        h1 { "Known failures" }
        table {
            thead { tr { th scope="col" { "No." } th scope="col" { "Failure" } } }
            tbody { @for one in answers.of("failures").as_array().into_iter().flatten() { tr { th scope="row" { (failure(one.text("id"))) } td { (one.text("title")) } } } }
        }
    }
}

pub(super) fn view(answers: &Answers) -> Markup {
    let one = answers.of("failure");
    let play = &one["play"];
    let groups: Vec<&str> =
        answers.of("groups").as_array().into_iter().flatten().map(|group| group.text("group")).collect();
    html! {
        h1 { (one.text("id")) ": " (one.text("title")) }
        dl.failure-facts {
            @for (name, title) in [("cause", "Cause"), ("symptom", "Symptom"), ("ends", "How it ends"), ("repair", "Repair"), ("how", "How the lab reproduces it"), ("cannot", "Why the lab cannot reproduce it")] {
                @if let Some(text) = one[name].as_str() { dt { (title) } dd { (text) } }
            }
            dt { "Layer" } dd { (one.text("layer")) ", mark " (one.text("mark")) }
            @if !one.list("log").is_empty() {
                dt { "In the client's log" }
                dd { @for line in one.list("log") { div { code { (line.text("file")) " " (line.text("event")) " " (line.text("text")) } ", mark " (line.text("mark")) } } }
            }
            @if !one.list("unlike").is_empty() { dt { "What looks alike" } dd { @for other in one.list("unlike") { div { (failure(other.text("id"))) ": " (other.text("by")) } } } }
            @for (version, what) in one.entries("versions") { dt { "Version " (version) } dd { (what.as_str().unwrap_or_default()) } }
        }
        @if play.is_object() {
            section aria-labelledby="here-title" {
                h2 #here-title { "Bring it about here" }
                p.note { "The steps of the catalogue, for a lab with the managers " (managers(play)) " as it is at its start. What they do to clients is said in words." }
                (beginning(play))
                @for step in play.list("failure") { (show(step, play)) }
                h2 { "Repair it" }
                p { (one.text("repair")) }
                @for step in play.list("repair") { (show(step, play)) }
                (file_action(&groups).view())
            }
        }
        @if one["cannot"].is_null() {
            h2 { "In a lab of its own" }
            pre { code { "epm-lab failure reproduce " (one.text("id")) } }
        }
    }
}

fn managers(play: &Value) -> String {
    play["site"].list("managers").iter().map(|one| one.text("name")).collect::<Vec<_>>().join(", ")
}

/// What the steps need: commands to the site, and clients.
fn beginning(play: &Value) -> Markup {
    let setup = &play["site"]["setup"];
    let parts = play.list("fleet");
    let clients = |part: &Value| {
        let wanted =
            ["count", "group", "location", "version"].map(|name| (name.to_owned(), part[name].clone()));
        let body: serde_json::Map<_, _> = wanted.into_iter().filter(|(_, value)| !value.is_null()).collect();
        let option = |name: &str, key: &str| match part[key].as_str() {
            Some(value) => format!(" {name} '{value}'"),
            None => String::new(),
        };
        Action {
            label: "Add these clients",
            method: "POST",
            path: "/v1/fleet/{part}",
            body: Value::Object(body).to_string().into(),
            command: format!(
                "client add {{part}} {}{}{}{}",
                part.number("count"),
                option("--group", "group"),
                option("--location", "location"),
                option("--client-version", "version")
            )
            .into(),
            fields: vec![Field::fixed("{part}", part.text("name"))],
            ..Action::default()
        }
    };
    html! {
        article.stage {
            h3 { "What they begin with" }
            @if setup.as_array().is_some_and(|all| !all.is_empty()) {
                ul { @for one in play["site"].list("setup") { li { (in_words(one, command_in_words)) } } }
                (Action { label: "Give these commands", method: "POST", path: "/v1/commands", body: setup.to_string().into(), ..Action::default() }.view())
            }
            @for part in parts {
                p {
                    (counted(part.number("count"), "client")) " of version " (part.text("version"))
                    @if let Some(group) = part["group"].as_str() { " in " (group) }
                    @if let Some(location) = part["location"].as_str() { ", location " (location) }
                    ": " (part.text("name"))
                }
                (clients(part).view())
            }
        }
    }
}

/// A step: its commands, its faults and its wait as actions, and what it does to clients in words.
fn show(step: &Value, play: &Value) -> Markup {
    let operator = &step["operator"];
    let rule = |name: &str| play.list("fault").iter().find(|one| one.text("name") == name);
    html! {
        article.stage {
            h3 { (step.text("title")) }
            ul {
                @for one in operator.as_array().into_iter().flatten() { li { (in_words(one, command_in_words)) } }
                @for one in step.list("fleet") { li { "To clients: " (in_words(one, fleet_action_in_words)) } }
            }
            @if operator.is_array() { (Action { label: "Give these commands", method: "POST", path: "/v1/commands", body: operator.to_string().into(), ..Action::default() }.view()) }
            @for name in step.texts("faults") { @if let Some(rule) = rule(name) { (fault_action(name, rule).view()) } }
            @for name in step.texts("heal") {
                (Action { label: "Remove the fault", method: "DELETE", path: "/v1/faults/{fault}", command: "fault remove {fault}".into(), fields: vec![Field::fixed("{fault}", name)], ..Action::default() }.view())
            }
            @if let Some(heartbeats) = step["wait"]["heartbeats"].as_u64() {
                (Action { label: "Wait for its heartbeats", method: "POST", path: "/v1/clock/heartbeats", body: json!({ "heartbeats": heartbeats }).to_string().into(), command: format!("clock heartbeats {heartbeats}").into(), ..Action::default() }.view())
            }
        }
    }
}

fn fault_action(name: &str, rule: &Value) -> Action {
    Action {
        label: "Set the fault",
        method: "PUT",
        path: "/v1/faults/{fault}",
        body: rule.to_string().into(),
        fields: vec![Field::fixed("{fault}", name)],
        ..Action::default()
    }
}

fn file_action(groups: &[&str]) -> Action {
    Action {
        label: "Give the clients of a group a communications file",
        about: "Each imports what the console exports for its group now. That brings orphaned clients back where the manager presents the certificate in this file: not while its two stores differ, and not while a fault answers in its place.",
        method: "POST",
        path: "/v1/groups/{group}/package",
        body: "{}".into(),
        fields: vec![Field::one_of("{group}", "Group", groups.iter().copied())],
        ..Action::default()
    }
}
