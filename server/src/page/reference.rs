//! The reference of both APIs: every call, and one call with its parameters, its body, its answers and the shapes of both. The OpenAPI
//! documents that the APIs serve are its only source.

use std::collections::BTreeSet;

use maud::{Markup, html};
use serde_json::Value;

use super::asked::{Answers, Api, Query};
use super::frame::Place;
use super::json::Fields;
use super::words::{counted, segment};

/// Methods of calls, in the order in which the calls of a path are listed.
const METHODS: [&str; 6] = ["get", "post", "put", "patch", "delete", "head"];

/// A call of an API, as its document has it.
#[derive(Clone, Copy)]
struct Call<'a> {
    method: &'a str,
    path: &'a str,
    operation: &'a Value,
}

pub(super) fn view(answers: &Answers, api: Api, query: &Query, place: &Place) -> Markup {
    let document = answers.of("document");
    let asked = query.get("call");
    match calls(document).find(|call| call.name() == asked) {
        Some(call) => one(document, api, call, place),
        None if asked.is_empty() => all(document, api, query.get("find")),
        None => html! {
            h1 { "Not found" }
            p { "The API has no call " code { (asked) } ". " a href=(api.path()) { "All calls" } }
        },
    }
}

fn all(document: &Value, api: Api, find: &str) -> Markup {
    let found: Vec<Call<'_>> = calls(document).filter(|call| call.matches(find)).collect();
    html! {
        h1 { (api.title()) }
        p.note { (document["info"].text("description").lines().next().unwrap_or_default()) }
        p {
            @for other in Api::ALL { @if other != api { a href=(other.path()) { (other.title()) } " " } }
            "Its OpenAPI document: " code { (api.document()) }
        }
        form.filters method="get" role="search" {
            label { "Find" input type="search" name="find" value=(find) autocomplete="off"; }
            button { "Show" }
        }
        p.count role="status" { (counted(found.len() as u64, "call")) @if !find.is_empty() { " with " code { (find) } } }
        table.calls {
            thead { tr { th scope="col" { "Call" } th scope="col" { "What it does" } } }
            tbody {
                @for call in found {
                    tr {
                        th scope="row" { a href=(call.address(api)) { code { (call.method.to_uppercase()) " " (call.path) } } }
                        td { (call.operation.text("summary")) }
                    }
                }
            }
        }
    }
}

fn one(document: &Value, api: Api, call: Call<'_>, place: &Place) -> Markup {
    let operation = call.operation;
    let body = &operation["requestBody"];
    let mut named = BTreeSet::new();
    names_in(operation, &mut named);
    let mut fresh: Vec<String> = named.iter().cloned().collect();
    while let Some(name) = fresh.pop() {
        let mut inner = BTreeSet::new();
        names_in(schema(document, &name), &mut inner);
        fresh.extend(inner.into_iter().filter(|one| named.insert(one.clone())));
    }
    html! {
        p { a href=(api.path()) { (api.title()) } }
        h1 { code { (call.method.to_uppercase()) " " (call.path) } }
        p.sentence { (operation.text("summary")) }
        @if let Some(more) = operation["description"].as_str() { p { (more) } }
        pre { code { (call.as_command(api, place, body)) } }
        @if !operation.list("parameters").is_empty() {
            h2 { "Parameters" }
            table.calls {
                thead { tr { th scope="col" { "Name" } th scope="col" { "In" } th scope="col" { "Type" } th scope="col" { "What it is" } } }
                tbody {
                    @for parameter in operation.list("parameters") {
                        tr {
                            th scope="row" { code { (parameter.text("name")) } @if parameter.flag("required") { small { " required" } } }
                            td { (parameter.text("in")) }
                            td { (shape(&parameter["schema"])) }
                            td.long { (parameter.text("description")) }
                        }
                    }
                }
            }
        }
        @if body.is_object() {
            h2 { "Body" }
            p { (body.text("description")) @if !body.flag("required") { " It may be absent." } }
            (contents(body))
        }
        h2 { "Answers" }
        table.calls {
            thead { tr { th scope="col" { "Status" } th scope="col" { "When" } th scope="col" { "Body" } } }
            tbody {
                @for (status, answer) in operation.entries("responses") {
                    tr {
                        th scope="row" { (if status == "default" { "any other" } else { status.as_str() }) }
                        td.long { (answer.text("description")) }
                        td { (contents(answer)) }
                    }
                }
            }
        }
        @if !named.is_empty() { h2 { "Shapes" } }
        @for name in &named {
            section aria-labelledby=(format!("shape-{name}")) {
                h3 #(format!("shape-{name}")) { code { (name) } }
                p { (schema(document, name).text("description")) }
                (shape(schema(document, name)))
            }
        }
    }
}

impl Call<'_> {
    /// The name of the call in an address.
    fn name(&self) -> String {
        format!("{} {}", self.method.to_uppercase(), self.path)
    }

    fn address(&self, api: Api) -> String {
        format!("{}?call={}", api.path(), segment(&self.name()))
    }

    /// Whether the words that are looked for are all in the call.
    fn matches(&self, find: &str) -> bool {
        let text = format!("{} {}", self.name(), self.operation.text("summary")).to_lowercase();
        find.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }

    fn as_command(&self, api: Api, place: &Place, body: &Value) -> String {
        let mut command = match api {
            Api::Control => "curl".to_owned(),
            // The certificate of a manager is its own authority.
            Api::Rest => "curl --insecure".to_owned(),
        };
        if self.method != "get" {
            command += &format!(" -X {}", self.method.to_uppercase());
        }
        let needs_token = match api {
            Api::Control => place.has_token,
            Api::Rest => self.operation["security"].is_array(),
        };
        if needs_token {
            command += " -H \"Authorization: Bearer $TOKEN\"";
        }
        if let Some((kind, _)) = body.entries("content").next() {
            let what = if kind == "application/json" { "-d '{ ... }'" } else { "--data-binary @FILE" };
            command += &format!(" -H 'Content-Type: {kind}' {what}");
        }
        let origin = match api {
            Api::Control => place.origin.as_str(),
            Api::Rest => "https://127.0.0.1:8446",
        };
        command + &format!(" '{origin}{}'", self.path)
    }
}

fn calls(document: &Value) -> impl Iterator<Item = Call<'_>> {
    document.entries("paths").flat_map(|(path, operations)| {
        METHODS.iter().filter_map(move |method| {
            let operation = operations.get(*method)?;
            Some(Call { method, path, operation })
        })
    })
}

/// A shape that the document names.
fn schema<'a>(document: &'a Value, name: &str) -> &'a Value {
    &document["components"]["schemas"][name]
}

/// The shapes that are named within a value.
fn names_in(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(name) = referred(value) {
                names.insert(name.to_owned());
            }
            fields.values().for_each(|one| names_in(one, names));
        }
        Value::Array(all) => all.iter().for_each(|one| names_in(one, names)),
        _ => {}
    }
}

/// The name of the shape that a value refers to.
fn referred(value: &Value) -> Option<&str> {
    value.get("$ref")?.as_str()?.strip_prefix("#/components/schemas/")
}

/// The media types of a body or an answer, each with its shape.
fn contents(of: &Value) -> Markup {
    html! {
        @for (kind, content) in of.entries("content") { div { code { (kind) } ": " (shape(&content["schema"])) } }
    }
}

/// What a value looks like: its type and limits in words, the fields of an object as a list.
fn shape(schema: &Value) -> Markup {
    if let Some(name) = referred(schema) {
        return html! { a href={ "#shape-" (name) } { (name) } };
    }
    let alternatives = ["oneOf", "anyOf"].into_iter().find_map(|name| schema[name].as_array());
    html! {
        @if let Some(alternatives) = alternatives {
            "one of"
            ul { @for one in alternatives { li { @if let Some(about) = one["description"].as_str() { (about) " " } (shape(one)) } } }
        } @else if let Some(value) = schema.get("const") {
            code { (value.to_string()) }
        } @else if !schema.list("enum").is_empty() {
            @for (at, value) in schema.list("enum").iter().enumerate() { @if at > 0 { ", " } code { (value.to_string()) } }
        } @else if !schema.list("prefixItems").is_empty() {
            "list of " @for (at, one) in schema.list("prefixItems").iter().enumerate() { @if at > 0 { ", " } (shape(one)) }
        } @else if schema["items"].is_object() {
            "list of " (shape(&schema["items"]))
        } @else if schema["additionalProperties"].is_object() {
            "object: names with " (shape(&schema["additionalProperties"]))
        } @else {
            (kind(schema))
        }
        @for name in ["minimum", "maximum", "minLength", "maxLength", "pattern", "default"] {
            @if let Some(limit) = schema.get(name).filter(|one| !one.is_null()) { ", " (name) " " code { (limit.to_string()) } }
        }
        @for one in schema.list("allOf") { " with " (shape(one)) }
        @if schema["properties"].is_object() { (fields(schema)) }
    }
}

/// The type of a value in one word or several.
fn kind(schema: &Value) -> String {
    let format = schema["format"].as_str().map(|format| format!(" ({format})")).unwrap_or_default();
    let names = match &schema["type"] {
        Value::String(one) => one.clone(),
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "any value".to_owned(),
    };
    names + &format
}

fn fields(schema: &Value) -> Markup {
    let required: Vec<&str> = schema.texts("required").collect();
    html! {
        ul.shape {
            @for (name, field) in schema.entries("properties") {
                li {
                    code { (name) }
                    @if required.contains(&name.as_str()) { small { " required" } }
                    ": " (shape(field))
                    @if let Some(about) = field["description"].as_str() { ". " (about) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_call_of_both_apis_is_listed_and_shown_with_all_that_it_refers_to() {
        let documents = [
            (Api::Control, include_str!("../../../fixtures/forms/control-api.openapi.json")),
            (Api::Rest, include_str!("../../../fixtures/forms/rest-api.openapi.json")),
        ];
        for (api, text) in documents {
            let document: Value = serde_json::from_str(text).unwrap();
            let answers = Answers(vec![("document", document.clone())]);
            let list = view(&answers, api, &Query::of(""), &Place::default()).into_string();
            let count = calls(&document).count();
            assert!(list.contains(&format!("{count} calls")));
            for call in calls(&document) {
                assert!(list.contains(&call.address(api)), "{} is not listed", call.name());
                let query = Query::of(call.address(api).split_once('?').unwrap().1);
                let page = view(&answers, api, &query, &Place::default()).into_string();
                for (at, _) in page.match_indices("href=\"#shape-") {
                    let name = page[at + 13..].split('"').next().unwrap();
                    assert!(
                        page.contains(&format!("id=\"shape-{name}\"")),
                        "{} leads to {name}",
                        call.name()
                    );
                }
            }
        }
    }

    #[test]
    fn a_shape_is_told_in_words() {
        let told = |schema: Value| shape(&schema).into_string();
        assert_eq!(told(json!({ "type": ["string", "null"] })), "string or null");
        assert_eq!(
            told(json!({ "type": "integer", "format": "uint16", "maximum": 65535 })),
            "integer (uint16), maximum <code>65535</code>"
        );
        assert_eq!(
            told(json!({ "items": { "const": "<a>" } })),
            "list of <code>&quot;&lt;a&gt;&quot;</code>"
        );
        assert_eq!(
            told(
                json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "boolean" } } })
            ),
            "object<ul class=\"shape\"><li><code>a</code><small> required</small>: boolean</li></ul>"
        );
    }

    #[test]
    fn calls_are_found_by_all_words() {
        let document =
            json!({ "paths": { "/v1/faults/{fault}": { "put": { "summary": "Set a fault" }, "get": {} } } });
        let found = |words| calls(&document).filter(|call| call.matches(words)).count();
        assert_eq!((found(""), found("FAULT set"), found("get fault"), found("clock")), (2, 1, 1, 0));
    }
}
