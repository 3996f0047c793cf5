//! Writes a scenario as a file.

use std::fmt::Write as _;

use epm_client_agent::scenario::presence::{MostlyOff, Presence};
use epm_client_agent::scenario::{ManagerPlan, PartPlan, Scenario, StepPlan};
use epm_protocol::assumption::Assumptions;
use epm_protocol::site::DEFAULT_GROUP;
use serde::Serialize;
use serde_json::{Map, Value, json};
use toml::Spanned;

/// The file of a scenario, with remarks at its beginning. Presence other than `always` and `mostly-off` is of scenarios only.
pub(super) fn written(scenario: &Scenario, remarks: &[String]) -> String {
    let mut text = String::new();
    for remark in remarks {
        let _ = writeln!(text, "# Not as in the lab: {}", remark.replace(|c: char| c.is_control(), " "));
    }
    let mut head = vec![("title", json!(scenario.title)), ("about", json!(scenario.about))];
    head.push(("seed", json!(scenario.seed)));
    keys(&mut text, head);
    section(&mut text, "[clock]", [("start", json!(scenario.clock.start))]);
    let assumed = changed(&scenario.assumptions);
    if !assumed.is_empty() {
        section(&mut text, "[assumptions]", assumed.iter().map(|(key, value)| (key.as_str(), value.clone())));
    }
    let manager =
        |one: &ManagerPlan| json!({ "name": one.name, "address": one.address, "https_port": one.https_port });
    let managers = Value::Array(scenario.site.managers.iter().map(manager).collect());
    let site = [("name", json!(scenario.site.name)), ("managers", managers)];
    section(&mut text, "[site]", site);
    list(&mut text, "setup", &scenario.site.setup);
    for part in &scenario.fleet {
        section(&mut text, "[[fleet]]", part_keys(part.get_ref()));
    }
    for fault in &scenario.fault {
        let Value::Object(fault) = json!(fault.get_ref()) else { continue };
        let fault = fault.iter().filter(|(_, value)| value.as_object().is_none_or(|one| !one.is_empty()));
        section(&mut text, "[[fault]]", fault.map(|(key, value)| (key.as_str(), value.clone())));
    }
    for step in &scenario.step {
        write_step(&mut text, step);
    }
    text
}

fn write_step(text: &mut String, step: &StepPlan) {
    section(text, "[[step]]", [("title", json!(step.title))]);
    list(text, "fleet", &step.fleet);
    list(text, "heal", &step.heal);
    list(text, "faults", &step.faults);
    list(text, "operator", &step.operator);
    if let Some(time) = step.wait.and_then(|wait| wait.time) {
        keys(text, [("wait", json!({ "time": time }))]);
    }
}

fn part_keys(part: &PartPlan) -> Vec<(&'static str, Value)> {
    let presence = match part.presence {
        Presence::MostlyOff(MostlyOff { on, every }) => {
            json!({ "mostly-off": { "on": on, "every": every } })
        }
        _ => Value::Null,
    };
    let group = (part.group != DEFAULT_GROUP).then_some(&part.group);
    let use_last_server = (!part.use_last_server).then_some(false);
    vec![
        ("name", json!(part.name)),
        ("count", json!(part.count)),
        ("version", json!(part.version)),
        ("group", json!(group)),
        ("location", json!(part.location)),
        ("hardware_id", json!(part.hardware_id)),
        ("use_last_server", json!(use_last_server)),
        ("presence", presence),
    ]
}

/// The assumptions that differ from the defaults.
fn changed(assumptions: &Assumptions) -> Map<String, Value> {
    let values = |of: &Assumptions| match json!(of) {
        Value::Object(values) => values,
        _ => Map::new(),
    };
    let usual = values(&Assumptions::default());
    let all = values(assumptions).into_iter();
    all.filter(|(key, value)| usual.get(key) != Some(value)).collect()
}

fn section<'a>(text: &mut String, heading: &str, pairs: impl IntoIterator<Item = (&'a str, Value)>) {
    let _ = writeln!(text, "\n{heading}");
    keys(text, pairs);
}

fn keys<'a>(text: &mut String, pairs: impl IntoIterator<Item = (&'a str, Value)>) {
    for (key, value) in pairs.into_iter().filter(|(_, value)| !value.is_null()) {
        let _ = writeln!(text, "{key} = {}", inline(&value));
    }
}

/// A list, one entry a line; nothing if it is empty.
fn list<T: Serialize>(text: &mut String, key: &str, entries: &[Spanned<T>]) {
    if entries.is_empty() {
        return;
    }
    let _ = writeln!(text, "{key} = [");
    for entry in entries {
        let _ = writeln!(text, "  {},", inline(&json!(entry.get_ref())));
    }
    let _ = writeln!(text, "]");
}

/// A value in one line. TOML has no null; keys without a value are left out.
fn inline(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(values) => {
            format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        Value::Object(pairs) => {
            let pair = |(key, value): (&String, &Value)| {
                let is_bare = !key.is_empty()
                    && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
                let key = if is_bare { key.clone() } else { quoted(key) };
                (!value.is_null()).then(|| format!("{key} = {}", inline(value)))
            };
            let pairs: Vec<String> = pairs.iter().filter_map(pair).collect();
            if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
        }
    }
}

/// A text in quotes: as it is where it has backslashes, as paths of groups have, and nothing else to escape.
fn quoted(text: &str) -> String {
    if text.contains('\\') && !text.contains(|c: char| c == '\'' || c.is_control()) {
        return format!("'{text}'");
    }
    // What JSON escapes TOML escapes in the same way, and DEL besides.
    Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_read_back_as_it_was() {
        for text in ["", "plain", r"My Company\Desktops", r"a\'b", "a\"b", "a\u{7f}\u{0}\n\tb", "ä\u{2028}🙂"]
        {
            let document = format!("{} = {}", quoted(text), inline(&json!({ text: [text, {}] })));
            let read: toml::Table = toml::from_str(&document).unwrap_or_else(|error| panic!("{error}"));
            let inner = read.values().next().and_then(toml::Value::as_table);
            let (key, values) = inner.and_then(|inner| inner.iter().next()).unwrap();
            assert_eq!((key.as_str(), values[0].as_str()), (text, Some(text)), "{document}");
        }
    }
}
