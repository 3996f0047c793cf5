//! The clock, the snapshots, and what has changed since one.

use maud::{Markup, html};
use serde_json::Value;

use super::action::{Action, Field, FieldKind};
use super::asked::{Answers, Query};
use super::json::Fields;
use super::words::{client, counted, grouped, instant, moment, segment};

pub(super) fn clock(answers: &Answers) -> Markup {
    let clock = answers.of("clock");
    let set = |label, about, field: Field, command: &'static str| Action {
        label,
        about,
        method: "PUT",
        path: "/v1/clock",
        body: "{}".into(),
        command: command.into(),
        fields: vec![field],
        ..Action::default()
    };
    let actions = [
        Action {
            label: "Stop the clock",
            method: "PUT",
            path: "/v1/clock",
            body: r#"{"speed":0}"#.into(),
            command: "clock freeze".into(),
            ..Action::default()
        },
        set(
            "Run",
            "",
            Field::new("speed", "Times as fast as real time", FieldKind::Number).value("1"),
            "clock run {speed}",
        ),
        Action {
            label: "Advance",
            about: "Lets time pass, with every heartbeat that falls due on the way. Ends when all clients are idle again.",
            method: "POST",
            path: "/v1/clock/advance",
            body: "{}".into(),
            command: "clock advance {by}".into(),
            fields: vec![
                Field::new("by", "By", FieldKind::Needed).value("10m").hint("such as 90m, 24h or 30d"),
            ],
            ..Action::default()
        },
        Action {
            label: "Wait for heartbeats",
            about: "Waits until every client that is on has ended so many more heartbeats.",
            method: "POST",
            path: "/v1/clock/heartbeats",
            body: "{}".into(),
            command: "clock heartbeats {heartbeats}".into(),
            fields: vec![Field::new("heartbeats", "Heartbeats", FieldKind::Number).value("1")],
            ..Action::default()
        },
        set(
            "Set the time",
            "Everything that became due happens at once, not in order.",
            Field::new("now", "Lab time", FieldKind::Needed).value(clock.text("now")),
            "clock set {now}",
        ),
        set(
            "Hold",
            "Real time for which the clock stands after each change of the site; 0s ends that.",
            Field::new("hold", "Hold", FieldKind::Needed).value("1s"),
            "clock hold {hold}",
        ),
    ];
    let pauses = clock.list("longest_pauses");
    html! {
        h1 { "Clock" }
        div #clock-now data-live="" {
            dl.facts {
                div { dt { "Lab time" } dd { (instant(clock.text("now"))) } }
                div { dt { "Speed" } dd { @if clock.number("speed") == 0 { "stopped" } @else { (clock.number("speed")) " times real time" } } }
                div { dt { "Hold" } dd { (clock["hold"].as_str().unwrap_or("none")) @if clock.number("held_ms") > 0 { ", for " (clock.number("held_ms")) " ms yet" } } }
            }
        }
        div.actions { @for one in &actions { (one.view()) } }
        section aria-labelledby="pauses-title" {
            h2 #pauses-title { "The longest pauses between two changes of the site" }
            div #pauses data-live="" {
                @if pauses.is_empty() { p { "None." } } @else { div.scroll tabindex="0" role="region" aria-label="Pauses" {
                    table {
                        thead { tr { th scope="col" { "From" } th scope="col" { "To" } th.count scope="col" { "Real time" } th.count scope="col" { "Heartbeats" } } }
                        tbody { @for one in pauses { tr { td { (instant(one.text("from"))) } td { (instant(one.text("to"))) } td.count { (grouped(one.number("lasted_ms"))) " ms" } td.count { @if one["heartbeats"].is_null() { "not known" } @else { (grouped(one.number("heartbeats"))) } } } } }
                    }
                } }
            }
        }
    }
}

pub(super) fn snapshots(answers: &Answers, query: &Query) -> Markup {
    let all = answers.of("snapshots").as_array().map_or(&[][..], Vec::as_slice);
    let names: Vec<&str> = all.iter().map(|one| one.text("name")).collect();
    // That of the lab's start stays.
    let removable: Vec<&str> = names.iter().copied().filter(|name| *name != "start").collect();
    let of_one = |label, about, method, path, command: &'static str, names: &[&str]| Action {
        label,
        about,
        method,
        path,
        command: command.into(),
        fields: vec![Field::one_of("{snapshot}", "Snapshot", names.iter().copied())],
        ..Action::default()
    };
    let take = Action {
        label: "Take a snapshot",
        about: "Keeps site, registered clients, faults, emulated clients and lab time.",
        method: "PUT",
        path: "/v1/snapshots/{snapshot}",
        command: "snapshot take {snapshot}".into(),
        fields: vec![Field::new("{snapshot}", "Name", FieldKind::Needed)],
        ..Action::default()
    };
    let back = of_one(
        "Go back to it",
        "Everything since then is undone, lab time too if the clock stands.",
        "POST",
        "/v1/snapshots/{snapshot}/restore",
        "snapshot restore {snapshot}",
        &names,
    );
    let remove = of_one(
        "Remove it",
        "",
        "DELETE",
        "/v1/snapshots/{snapshot}",
        "snapshot remove {snapshot}",
        &removable,
    );
    let reset = Action {
        label: "Go back to the start",
        method: "POST",
        path: "/v1/reset",
        command: "snapshot reset".into(),
        ..Action::default()
    };
    html! {
        h1 { "Snapshots" }
        div #snapshots data-live="" {
            table {
                thead { tr { th scope="col" { "Snapshot" } th scope="col" { "Lab time" } th.count scope="col" { "Clients" } th scope="col" { "Compare" } } }
                tbody {
                    @for one in all {
                        tr {
                            th scope="row" { (one.text("name")) }
                            td { (moment(one.text("at"))) }
                            td.count { (grouped(one.number("clients"))) }
                            td { a href={ "/snapshots?since=" (segment(one.text("name"))) } { "What has changed since " (one.text("name")) } }
                        }
                    }
                }
            }
        }
        @if !query.get("since").is_empty() { div #changes data-live="" { (changes(answers.of("changes"))) } }
        div.actions { @for one in [take, back, remove, reset] { (one.view()) } }
    }
}

fn changes(changes: &Value) -> Markup {
    let (site, clients) = (changes.list("site"), changes.number("clients"));
    html! {
        section aria-labelledby="changes-title" {
            h2 #changes-title { "Since the snapshot " (changes.text("snapshot")) }
            p { a href={ "/timeline?show=acts&from=" (segment(changes.text("at"))) } { "Who did what since " (moment(changes.text("at"))) } }
            @if site.is_empty() { p { "The site is the same." } } @else {
                div.scroll tabindex="0" role="region" aria-label="Changes of the site" {
                    table {
                        caption { "The site" }
                        thead { tr { th scope="col" { "What" } th scope="col" { "Then" } th scope="col" { "Now" } } }
                        tbody { @for one in site { tr { th.long scope="row" { (one.text("field")) } td.long { (value(&one["before"])) } td.long { (value(&one["now"])) } } } }
                    }
                }
            }
            @if clients == 0 { p { "Every client is the same." } } @else {
                div.scroll tabindex="0" role="region" aria-label="Changes of clients" {
                    table {
                        caption { (counted(clients, "client")) " changed" }
                        thead { tr { th scope="col" { "Client" } th scope="col" { "Then" } th scope="col" { "Now" } } }
                        tbody { @for one in changes.list("examples") { tr { th scope="row" { (client(one.text("client"))) } td.long { (value(&one["before"])) } td.long { (value(&one["now"])) } } } }
                    }
                }
                @if clients > changes.list("examples").len() as u64 { p.note { "The first " (changes.list("examples").len()) " are named." } }
            }
        }
    }
}

fn value(of: &Value) -> String {
    match of {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
