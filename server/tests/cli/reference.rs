//! The pages of `docs/reference` are made from the programs, their schemas and both APIs, and held equal to them.
//!
//! With `EPM_TESTS_WRITE_GOLDEN=1` the pages are written instead.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::process::Command;

use epm_server::rest_operations;
use serde_json::Value;

use crate::harness::{agent, json, output, program, root, run, well};

/// Compares a page with what it has to be.
#[track_caller]
fn page(name: &str, text: &str) {
    let file = root().join("docs/reference").join(name);
    let text = format!("{}\n", text.trim_end());
    if std::env::var_os("EPM_TESTS_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &text).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let differs = kept.lines().zip(text.lines()).find(|(kept, now)| kept != now);
    assert!(
        kept == text,
        "docs/reference/{name} is out of date, first at {differs:?}; write it anew with EPM_TESTS_WRITE_GOLDEN=1"
    );
}

/// A file of `fixtures/forms`, which other tests hold equal to what is served.
fn form(name: &str) -> Value {
    serde_json::from_slice(&fs::read(root().join("fixtures/forms").join(name)).unwrap()).unwrap()
}

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('<', "&lt;")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The help of a command and of all commands below it, each under a heading.
fn commands(program: &dyn Fn() -> Command, path: &[String], out: &mut String) {
    let mut command = program();
    command.args(&path[1..]).arg("--help").env("COLUMNS", "100").env_remove("EPM_LAB_URL");
    let help = well(&output(&mut command));
    let _ = write!(out, "## {}\n\n```text\n{}\n```\n\n", path.join(" "), help.trim_end());
    let listed = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let names = listed.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        let name = line.strip_prefix("  ")?;
        name.starts_with(|first: char| first.is_ascii_lowercase()).then(|| name.split(' ').next().unwrap())
    });
    for name in names.filter(|name| *name != "help") {
        commands(program, &[path, &[name.to_owned()]].concat(), out);
    }
}

#[test]
fn the_commands_are_those_of_the_programs() {
    for (name, program) in [("epm-lab", &program as &dyn Fn() -> Command), ("epm-agent", &agent)] {
        let mut out =
            format!("# Commands of {name}\n\nThe help of every command, as `--help` prints it.\n\n");
        commands(program, &[name.to_owned()], &mut out);
        page(&format!("{name}.md"), &out);
    }
}

#[test]
fn the_assumptions_are_those_of_the_program() {
    let mut out = "# Assumptions\n\nWhat no source documents, and how the lab behaves there. The mark says how well the default is founded: I inferred,\n\
        R recalled, U unknown. [Assumptions](../limits.md#assumptions) says how to set them.\n\n\
        | assumption | default | accepts | mark | what it decides, and why |\n|---|---|---|---|---|\n"
        .to_owned();
    for one in json(&run(&["assumptions", "--json"])).as_array().unwrap() {
        let [name, default, accepts, mark, about] =
            ["name", "default", "accepts", "mark", "about"].map(|key| cell(text(one, key)));
        let _ = writeln!(out, "| `{name}` | {default} | {accepts} | {mark} | {about} |");
    }
    page("assumptions.md", &out);
}

#[test]
fn the_faults_are_those_of_the_program() {
    let mut out = "# Kinds of fault\n\nWhat `epm-lab fault add NAME KIND --set PARAMETER=VALUE` accepts. [Faults](../faults.md) says how to aim them.\n\n\
        | kind | where | what it does | parameters | in virtual time |\n|---|---|---|---|---|\n"
        .to_owned();
    for kind in json(&run(&["fault", "kinds", "--json"])).as_array().unwrap() {
        let parameters = kind["parameters"].as_array().unwrap().iter().map(|one| {
            let [name, about, default] = ["name", "about", "default"].map(|key| cell(text(one, key)));
            format!(
                "`{name}`: {about}{}",
                if default.is_empty() { String::new() } else { format!(" (default {default})") }
            )
        });
        let parameters = parameters.collect::<Vec<_>>().join("<br>");
        let [name, layer, about, virtual_time] =
            ["name", "layer", "about", "virtual_time"].map(|key| cell(text(kind, key)));
        let _ = writeln!(out, "| `{name}` | {layer} | {about} | {parameters} | {virtual_time} |");
    }
    page("faults.md", &out);
}

/// The type of a schema in a few words, with links to the definitions on the same page.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(value) = schema.get("const") {
        return format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    if let Some(values) = schema["enum"].as_array() {
        return values
            .iter()
            .map(|one| format!("`{}`", one.as_str().unwrap_or("null")))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if let Some(any) = ["anyOf", "oneOf"].into_iter().find_map(|key| schema[key].as_array()) {
        return any.iter().map(kind).filter(|one| one != "null").collect::<Vec<_>>().join(" or ");
    }
    let one = |name: &str| match name {
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("table of {}", kind(&schema["additionalProperties"]))
        }
        "object" => "table".to_owned(),
        other => other.to_owned(),
    };
    match &schema["type"] {
        Value::String(name) => one(name),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.map(one).collect::<Vec<_>>().join(" or ")
        }
        _ => "any value".to_owned(),
    }
}

/// Describes a definition of a schema: its keys, or its variants.
fn definition(schema: &Value, out: &mut String) {
    let about = schema["description"].as_str().unwrap_or_default();
    let _ = writeln!(out, "{}\n", about.split("\n\n").map(cell).collect::<Vec<_>>().join("\n\n"));
    if let Some(properties) = schema["properties"].as_object() {
        let required =
            |key: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == key));
        out.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
        for (key, value) in properties {
            let default = match value.get("default") {
                _ if required(key) => "required".to_owned(),
                Some(Value::Object(_)) | None => String::new(),
                Some(default) => format!("`{default}`"),
            };
            let _ = writeln!(
                out,
                "| `{key}` | {} | {default} | {} |",
                kind(value),
                cell(text(value, "description"))
            );
        }
        out.push('\n');
    }
    for variant in ["oneOf", "anyOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten() {
        let properties = variant["properties"].as_object();
        let Some((name, inner)) = properties
            .filter(|all| all.len() == 1)
            .and_then(|all| all.iter().find(|(_, one)| one.get("const").is_none()))
        else {
            let tag =
                ["kind", "expect"].into_iter().find_map(|tag| variant["properties"][tag]["const"].as_str());
            let fields = properties.into_iter().flatten().filter(|(_, value)| value.get("const").is_none());
            let fields = fields.map(|(key, value)| {
                format!("<br>`{key}`: {}, {}", kind(value), cell(text(value, "description")))
            });
            let name = tag.map_or_else(|| kind(variant), |tag| format!("`{tag}`"));
            let _ = writeln!(
                out,
                "- {name}: {}{}",
                cell(text(variant, "description")),
                fields.collect::<String>()
            );
            continue;
        };
        let _ = write!(out, "- `{name}`: {}", cell(text(variant, "description")));
        match inner["properties"].as_object() {
            Some(fields) => fields.iter().for_each(|(key, value)| {
                let _ = write!(out, "<br>`{key}`: {}, {}", kind(value), cell(text(value, "description")));
            }),
            None => {
                let _ = write!(out, " ({})", kind(inner));
            }
        }
        out.push('\n');
    }
    out.push('\n');
}

#[test]
fn the_keys_of_a_scenario_are_those_of_its_schema() {
    let schema = form("scenario.schema.json");
    let mut out = "# The scenario file\n\nEvery key, from the schema that `epm-lab scenario schema` prints. [Scenarios](../scenarios.md) explains them with examples.\n\n\
        ## The file\n\n".to_owned();
    definition(&schema, &mut out);
    for (name, schema) in schema["$defs"].as_object().unwrap() {
        let _ = write!(out, "## {name}\n\n");
        definition(schema, &mut out);
    }
    page("scenario.md", &out);
}

#[test]
fn the_expectations_are_those_of_the_control_api() {
    let document = form("control-api.openapi.json");
    let mut out = "# Expectations\n\nWhat `POST /v1/expectations` of the [control API](../control-api.md) accepts, each with the key `expect`.\n\n".to_owned();
    definition(&document["components"]["schemas"]["Expectation"], &mut out);
    page("expectations.md", &out);
}

/// Each operation of an OpenAPI document: path, method, summary.
fn described(document: &Value) -> BTreeMap<(String, String), String> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, methods)| {
        methods
            .as_object()
            .unwrap()
            .iter()
            .filter(|(method, _)| *method != "parameters")
            .map(move |(method, one)| ((path.clone(), method.to_uppercase()), cell(text(one, "summary"))))
    });
    operations.collect()
}

#[test]
fn the_operations_of_the_control_api_are_those_that_it_describes() {
    let mut out = "# Operations of the control API\n\nWith bodies, answers and errors: `GET /v1/openapi.json` of a running lab. [The control API](../control-api.md) explains them with examples.\n\n\
        | method | path | what it does |\n|---|---|---|\n".to_owned();
    for ((path, method), summary) in described(&form("control-api.openapi.json")) {
        let _ = writeln!(out, "| {method} | `{path}` | {summary} |");
    }
    page("control-api.md", &out);
}

#[test]
fn the_coverage_of_the_rest_api_is_what_it_describes() {
    let served = described(&form("rest-api.openapi.json"));
    let shape = |path: &str| {
        path.split('/')
            .map(|part| if part.starts_with('{') { "{}" } else { part })
            .collect::<Vec<_>>()
            .join("/")
    };
    let is_served = |method: &str, path: &str| {
        served.keys().any(|(one, verb)| {
            verb == method && shape(one).ends_with(shape(path).trim_start_matches("/sepm"))
        })
    };
    let mut not = Vec::new();
    let mut all = 0;
    for (method, path) in rest_operations() {
        all += 1;
        if !is_served(method, &path) {
            not.push(format!("| {method} | `{path}` |"));
        }
    }
    let mut out = format!(
        "# Coverage of the vendor's REST API\n\nOf the {all} operations of the product's API the lab serves {}. The others answer 501. [The REST API](../rest-api.md) says how the served ones behave.\n\n## Served\n\n\
        | method | path | what it does |\n|---|---|---|\n",
        all - not.len()
    );
    for ((path, method), summary) in &served {
        let _ = writeln!(out, "| {method} | `{path}` | {summary} |");
    }
    let _ = write!(out, "\n## Not served: 501\n\n| method | path |\n|---|---|\n{}\n", not.join("\n"));
    page("rest-api.md", &out);
}
