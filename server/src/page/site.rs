//! The site: managers with both certificates, what is served, services, replication; groups and locations.

use maud::{Markup, html};
use serde_json::Value;

use super::action::{Action, Field, FieldKind};
use super::asked::Answers;
use super::json::Fields;
use super::words::{fingerprint, moment, segment};

pub(super) fn view(answers: &Answers) -> Markup {
    let (site, lists, groups) = (answers.of("site"), answers.of("lists"), answers.of("groups"));
    html! {
        section aria-labelledby="site-title" {
            h2 #site-title { "The site" }
            div #managers.cards data-live="" {
                @for manager in site.list("managers") { (card(manager, answers)) }
            }
            (manager_actions(site))
        }
        section aria-labelledby="groups-title" {
            h2 #groups-title { "Groups and lists" }
            div #groups data-live="" { (table_of_groups(groups, lists)) (table_of_lists(lists)) }
            (group_actions(groups, lists))
        }
    }
}

fn card(manager: &Value, answers: &Answers) -> Markup {
    let name = manager.text("name");
    let place = answers.of("site").list("addresses").iter().find(|one| one.text("manager") == name);
    let certificates = &answers.of("certificates")[name];
    let stores = &certificates["stores"];
    let (console, clients) = (stores["console"].text("fingerprint"), stores["client"].text("fingerprint"));
    let assumptions = answers.of("assumptions").as_array().into_iter().flatten();
    let signs_as_shown =
        assumptions.into_iter().any(|one| one.text("name") == "signing_store" && one["value"] == "client");
    let errors = &answers.of("health")["service_errors"][name];
    let ports = [("HTTP", "http_port"), ("HTTPS", "https_port")].into_iter();
    let ports = ports.filter_map(|(name, field)| Some((name, manager[field].as_u64()?)));
    html! {
        article.card {
            h3 { (name) }
            dl {
                dt { "Address" } dd {
                    (manager.text("address"))
                    @if let Some(place) = place {
                        ", " a href=(place.text("hello")) { "browser test" }
                        @if !place.text("rest").is_empty() { ", REST API at " code { (place.text("rest")) } }
                    }
                }
                dt { "Clients' ports" } dd {
                    @for (index, (name, port)) in ports.enumerate() { @if index > 0 { ", " } (name) " " (port) }
                }
                dt { "Certificate of the console" } dd { (certificate(name, "console", &stores["console"])) }
                dt { "Certificate shown to clients" } dd { (certificate(name, "client", &stores["client"])) }
                dt { "Signs downloads" } dd {
                    @if signs_as_shown { "the key of the certificate that is shown to clients, " (fingerprint(clients)) "." }
                    @else if console == clients { "the key of the console's certificate, " (fingerprint(console)) ", which is shown to clients too." }
                    @else { strong.lost { "the key of the console's certificate, " (fingerprint(console)) ", while " (fingerprint(clients)) " is shown to clients: they learn one and meet the other." } }
                }
                dt { "Lists that name it" } dd { (named(answers.of("lists"), name)) }
                dt { "Services" } dd {
                    @if errors.as_object().is_none_or(serde_json::Map::is_empty) { "up" }
                    @else { @for (service, why) in errors.as_object().into_iter().flatten() { strong.lost { (service) " is down: " } (why.as_str().unwrap_or_default()) } }
                }
                dt { "Replication" } dd {
                    @match manager["broken_since"].as_str() {
                        Some(since) => strong.unwell { "broken since " (moment(since)) },
                        None => "with all managers",
                    }
                }
            }
            p { a href={ "/ahead?manager=" (segment(name)) } { "Which clients would be orphaned if its certificate were replaced now?" } }
        }
    }
}

fn certificate(manager: &str, store: &str, one: &Value) -> Markup {
    let pem = one.text("pem");
    html! {
        (fingerprint(one.text("fingerprint"))) ", " (moment(one.text("not_before"))) " to " (moment(one.text("not_after"))) ", "
        a download={ (manager) "-" (store) ".pem" } href={ "data:application/x-pem-file," (segment(pem)) } { "PEM" }
    }
}

fn named(lists: &Value, manager: &str) -> Markup {
    let is_named = |list: &&Value| {
        list.list("priorities")
            .iter()
            .flat_map(|block| block.as_array().into_iter().flatten())
            .any(|one| one.text("manager") == manager)
    };
    let naming: Vec<&str> =
        lists.as_array().into_iter().flatten().filter(is_named).map(|list| list.text("name")).collect();
    html! {
        @if naming.is_empty() { strong.unwell { "none: clients do not learn of it" } } @else { (naming.join(", ")) }
    }
}

fn table_of_groups(groups: &Value, lists: &Value) -> Markup {
    let protocol = |list: &str| {
        lists
            .as_array()
            .into_iter()
            .flatten()
            .find(|one| one.text("name") == list)
            .map_or("", |one| one.text("protocol"))
    };
    html! {
        div.scroll tabindex="0" role="region" aria-label="Groups" {
            table {
                caption { "Groups and locations" }
                thead { tr {
                    th scope="col" { "Group" } th scope="col" { "Settings of" } th scope="col" { "List" } th scope="col" { "Protocol" }
                    th scope="col" { "Secure communications" } th scope="col" { "Heartbeat" } th scope="col" { "Policy" }
                } }
                tbody {
                    @for group in groups.as_array().into_iter().flatten() {
                        tr {
                            th scope="row" { a href={ "/clients?group=" (segment(group.text("group"))) } { (group.text("group")) } }
                            td { @if group.flag("inherits") { "inherits " (group.text("settings_of")) } @else { "its own" } }
                            td.list { (group.text("list")) }
                            td { (protocol(group.text("list"))) }
                            td { @if group.flag("secure_communications") { "on" } @else { strong.unwell { "off" } } }
                            td { (communication(&group["communication"])) }
                            td { (group.text("serial")) }
                        }
                        @for location in group.list("locations").iter().filter(|one| !one["list"].is_null()) {
                            tr.location {
                                th scope="row" { "location " (location.text("name")) }
                                td { "its own" }
                                td.list { (location.text("list")) }
                                td { (protocol(location.text("list"))) }
                                td { "as the group" }
                                td { (communication(&location["communication"])) }
                                td {}
                            }
                        }
                    }
                }
            }
        }
    }
}

fn table_of_lists(lists: &Value) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Management server lists" {
            table {
                caption { "Management server lists" }
                thead { tr { th scope="col" { "List" } th scope="col" { "Protocol" } th scope="col" { "Checks the name" } th scope="col" { "Priorities" } th scope="col" { "Used by" } } }
                tbody {
                    @for list in lists.as_array().into_iter().flatten() {
                        tr {
                            th scope="row" { (list.text("name")) @if list.flag("default") { " (default)" } }
                            td { (list.text("protocol")) }
                            td { @if list.flag("verify_ca") { "yes" } @else { "no" } }
                            td {
                                @for (index, block) in list.list("priorities").iter().enumerate() {
                                    div { (index + 1) ". " (block.as_array().into_iter().flatten().map(server).collect::<Vec<_>>().join(", ")) }
                                }
                            }
                            td.list {
                                @for user in list.list("used_by") { div { (user.text("group")) @if let Some(location) = user["location"].as_str() { ", location " (location) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A server of a list: a manager by name, with what the list has in the place of the manager's own.
fn server(one: &Value) -> String {
    let own: Vec<String> = one
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| *name != "manager" && !value.is_null())
        .map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{} {value}", name.replace('_', " "))
        })
        .collect();
    let name = one.text("manager").to_owned();
    if own.is_empty() { name } else { format!("{name} ({})", own.join(", ")) }
}

/// How clients communicate with their manager: what is switched off stands out.
fn communication(one: &Value) -> Markup {
    html! {
        @if one["connect"] == false { strong.unwell { "does not connect" } }
        @else {
            (one.number("heartbeat_seconds")) " s, " (one.text("mode"))
            @if one["download_profile"] == false { ", " strong.unwell { "without downloads" } }
        }
    }
}

fn manager_actions(site: &Value) -> Markup {
    let managers = || site.list("managers").iter().map(|one| one.text("name"));
    let manager = || Field::one_of("{manager}", "Manager", managers());
    let actions = [
        Action {
            label: "Replace the certificate",
            about: "Gives a manager a new self-signed certificate under the name of an update. The same update again changes nothing.",
            method: "PUT",
            path: "/v1/managers/{manager}/certificate/{update}",
            body: "{}".into(),
            command: "manager update {manager} --name {update} [--valid-days {valid_days}] --stores {stores}"
                .into(),
            fields: vec![
                manager(),
                Field::new("{update}", "Name of the update", FieldKind::Needed).value("update-1"),
                Field::one_of("stores", "Stores", ["both", "console", "client"]),
                Field::new("valid_days", "Valid for days", FieldKind::Number),
            ],
            ..Action::default()
        },
        Action {
            label: "Restart the services",
            method: "POST",
            path: "/v1/managers/{manager}/restart",
            body: "{}".into(),
            command: "manager restart {manager}".into(),
            fields: vec![manager()],
            ..Action::default()
        },
        Action {
            label: "Set replication",
            about: "While replication is broken, later changes reach only the other managers.",
            method: "PUT",
            path: "/v1/managers/{manager}/replication",
            body: "{}".into(),
            command: "manager replication {manager} {replicates=true:--restore}{replicates=false:--break}"
                .into(),
            fields: vec![manager(), Field::new("replicates", "Replicates", FieldKind::Flag)],
            ..Action::default()
        },
    ];
    html! { details.actions { summary { "Change a manager" } @for one in &actions { (one.view()) } } }
}

/// Names of the lists for which this is true.
fn lists_of(lists: &Value, is_meant: impl Fn(&Value) -> bool) -> Vec<String> {
    let meant = lists.as_array().into_iter().flatten().filter(|list| is_meant(list));
    meant.map(|list| list.text("name").to_owned()).collect()
}

fn group_actions(groups: &Value, all: &Value) -> Markup {
    let groups: Vec<&str> = groups.as_array().into_iter().flatten().map(|one| one.text("group")).collect();
    let lists = lists_of(all, |_| true);
    let group = || Field::one_of("{group}", "Group", groups.iter().copied());
    let list = || Field::one_of("{list}", "List", lists.iter().map(String::as_str));
    let edited = lists_of(all, |list| !list.flag("default"));
    let actions = [
        Action {
            label: "Copy a list",
            about: "The default list cannot be changed. A copy can, and then be assigned.",
            method: "PUT",
            path: "/v1/lists/{list}",
            body: "{}".into(),
            command: "list copy {copy_of} {list}".into(),
            fields: vec![
                Field::one_of("copy_of", "List", lists.iter().map(String::as_str)),
                Field::new("{list}", "Name of the copy", FieldKind::Needed),
            ],
            ..Action::default()
        },
        Action {
            label: "Change the group",
            method: "PUT",
            path: "/v1/groups/{group}",
            body: "{}".into(),
            fields: vec![
                group(),
                Field::new("secure_communications", "Secure communications", FieldKind::Flag),
                Field::new("inherits", "Inherits", FieldKind::Flag),
                Field::new("communication.heartbeat_seconds", "Heartbeat in seconds", FieldKind::Number),
                Field::new("communication.connect", "Clients connect to their managers", FieldKind::Flag),
                Field::new("communication.download_profile", "Clients download policies", FieldKind::Flag),
            ],
            ..Action::default()
        },
        Action {
            label: "Change the list",
            method: "PUT",
            path: "/v1/lists/{list}",
            body: "{}".into(),
            command: "list edit {list} --protocol {protocol} [--verify-ca {verify_ca}]".into(),
            fields: vec![
                Field::one_of("{list}", "List", edited.iter().map(String::as_str)),
                Field::one_of("protocol", "Protocol", ["https", "http"]),
                Field::new("verify_ca", "Checks the name", FieldKind::Flag),
            ],
            ..Action::default()
        },
        Action {
            label: "Assign the list",
            method: "PUT",
            path: "/v1/lists/{list}/assignments",
            body: "{}".into(),
            command: "list assign {list} {group} [--location {location}]".into(),
            fields: vec![
                list(),
                Field::one_of("group", "Group", groups.iter().copied()),
                Field::new("location", "Location", FieldKind::Text).hint("the group itself if empty"),
            ],
            ..Action::default()
        },
    ];
    html! { details.actions { summary { "Change a group or a list" } @for one in &actions { (one.view()) } } }
}
