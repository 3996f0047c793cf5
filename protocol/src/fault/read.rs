//! Reads rules and kinds, with names in any tool's spelling; an unknown name is answered with the nearest known one.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::kind::{FaultKind, ForeignName, KINDS, KindInfo};
use super::rule::{FaultRule, Place, VersionRange, When, Whom};
use crate::suggest::hint;

/// Reads a kind: a name, or a table with `kind` and parameters.
fn kind(value: Value) -> Result<FaultKind, String> {
    let mut table = match value {
        Value::String(name) => Map::from_iter([("kind".to_owned(), Value::String(name))]),
        Value::Object(table) => table,
        other => {
            return Err(format!(
                "invalid fault {other}: expected the name of a kind, or a table with `kind`"
            ));
        }
    };
    let Some(Value::String(written)) = table.remove("kind") else {
        return Err("the fault has no `kind`; expected the name of a kind, like \"latency\"".to_owned());
    };
    let name = words(&written).join("-");
    let known = || KINDS.iter().flat_map(|info| info.aliases.iter().chain([&info.name]).copied());
    let info = KINDS.iter().find(|info| info.name == name || info.aliases.contains(&name.as_str()));
    let Some(info) = info else {
        let hint = hint(&name, known());
        let help = if hint.is_empty() { "; `epm-lab fault kinds` lists the kinds" } else { &hint };
        return Err(format!("unknown kind of fault {written:?}{help}"));
    };
    let mut table = own_parameters(info, &name, table);
    for key in table.keys() {
        let mut parameters = info.parameters.iter().map(|one| one.name);
        if !parameters.clone().any(|known| known == key) {
            let hint = hint(key, parameters.clone());
            let all = match parameters.by_ref().collect::<Vec<_>>()[..] {
                [] => "it has no parameters".to_owned(),
                ref names => format!("it has {}", names.join(", ")),
            };
            return Err(format!(
                "unknown parameter {key:?} of {}{}",
                info.name,
                if hint.is_empty() { format!("; {all}") } else { hint }
            ));
        }
    }
    (info.read)(&mut table).map_err(|error| error.to_string())
}

/// Returns the words of a name in lower case: `RESET_PEER`, `reset_peer`, `ResetPeer` and `reset-peer` are the same name.
fn words(written: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_small = false;
    for letter in written.trim().chars() {
        let is_separator = matches!(letter, '_' | ' ' | '-');
        if is_separator || letter.is_ascii_uppercase() && after_small {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| !is_separator) {
            word.push(letter.to_ascii_lowercase());
        }
        after_small = letter.is_ascii_lowercase();
    }
    words
}

/// Converts parameters of Toxiproxy and WireMock to the names and units of this lab.
fn own_parameters(info: &KindInfo, written: &str, table: Map<String, Value>) -> Map<String, Value> {
    let mut ours: Map<String, Value> =
        table.into_iter().map(|(key, value)| (words(&key).join("_"), value)).collect();
    for parameter in info.parameters {
        for ForeignName { name, scale: (factor, divisor) } in parameter.foreign {
            if let Some(value) = ours.remove(*name) {
                let number = value.as_u64().map(|number| json!(number.saturating_mul(*factor) / divisor));
                ours.insert(parameter.name.to_owned(), number.unwrap_or(value));
            }
        }
    }
    if info.name == "latency" {
        delay(written, &mut ours);
    }
    ours
}

/// Makes a distribution of the delay parameters that other tools write beside `latency`.
fn delay(written: &str, table: &mut Map<String, Value>) {
    let mut taken = |name: &str| table.remove(name).and_then(|value| value.as_f64());
    let whole = |number: f64| number.max(0.0) as u64;
    let fixed = ["ms", "fixed_delay_milliseconds"].into_iter().find_map(&mut taken);
    let delay = if let Some(ms) = fixed {
        json!({"distribution": "constant", "ms": whole(ms)})
    } else if written == "lognormal" {
        let (median, sigma) = (taken("median").unwrap_or(1000.0), taken("sigma").unwrap_or(0.1));
        let most = taken("max_value").unwrap_or(30_000.0);
        json!({"distribution": "lognormal", "median_ms": whole(median), "sigma": sigma, "most_ms": whole(most)})
    } else if written == "uniform" {
        let (from, to) = (taken("lower").unwrap_or(0.0), taken("upper").unwrap_or(1000.0));
        json!({"distribution": "uniform", "from_ms": whole(from), "to_ms": whole(to)})
    } else if let Some(latency) = taken("latency") {
        // Toxiproxy's jitter: plus or minus, uniform.
        let jitter = taken("jitter").unwrap_or(0.0);
        json!({"distribution": "uniform", "from_ms": whole(latency - jitter), "to_ms": whole(latency + jitter)})
    } else {
        return;
    };
    table.entry("delay").or_insert(delay);
}

impl FaultKind {
    /// Returns the kind of this name, or of this alias, with default parameters.
    ///
    /// # Errors
    /// If the name is unknown; the message names the nearest.
    pub fn named(name: &str) -> Result<Self, String> {
        kind(Value::String(name.to_owned()))
    }
}

impl<'de> Deserialize<'de> for FaultKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        kind(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Reads a table after its keys have been checked against the known ones.
macro_rules! strict {
    ($($type:ty, $what:literal, [$($key:literal),*];)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = Value::deserialize(deserializer)?;
                let known = [$($key),*];
                if let Some(key) = value.as_object().into_iter().flat_map(Map::keys).find(|key| !known.contains(&key.as_str())) {
                    let near = hint(key, known);
                    let near = if near.is_empty() { format!("; expected one of {}", known.join(", ")) } else { near };
                    return Err(D::Error::custom(format!("unknown key {key:?} in {}{near}", $what)));
                }
                // The function that `remote` makes.
                <$type>::deserialize(value).map_err(D::Error::custom)
            }
        }

        #[cfg(test)]
        impl $type {
            fn keys() -> &'static [&'static str] {
                &[$($key),*]
            }
        }
    )*};
}

strict! {
    FaultRule, "a fault", ["name", "what", "whom", "where", "place", "when", "probability"];
    Whom, "`whom`", ["agent", "group", "version", "percent", "source"];
    VersionRange, "`version`", ["from", "until"];
    Place, "`where`", ["manager", "listener", "route", "direction"];
    When, "`when`", ["from", "until", "after", "first", "every", "time_to_live_seconds"];
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::distribution::Distribution;
    use super::*;

    fn read(value: &Value) -> FaultKind {
        kind(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
    }

    fn complaint(value: Value) -> String {
        kind(value).unwrap_err()
    }

    #[test]
    fn every_kind_is_written_and_read_the_same() {
        for info in KINDS {
            let made = FaultKind::named(info.name).unwrap();
            let written = serde_json::to_value(&made).unwrap();
            assert_eq!(serde_json::from_value::<FaultKind>(written).unwrap(), made);
        }
    }

    #[test]
    fn the_names_of_other_tools_are_understood() {
        for (theirs, ours) in [
            ("slow_close", "slow-close"),
            ("timeout", "accept-then-stall"),
            ("reset_peer", "reset"),
            ("limit_data", "limit-data"),
            ("down", "refuse"),
            ("EMPTY_RESPONSE", "empty"),
            ("MALFORMED_RESPONSE_CHUNK", "malformed-chunk"),
            ("RANDOM_DATA_THEN_CLOSE", "garbage"),
            ("CONNECTION_RESET_BY_PEER", "reset"),
            ("chunkedDribbleDelay", "dribbled"),
            ("fixedDelay", "latency"),
        ] {
            assert_eq!(FaultKind::named(theirs).unwrap().name(), ours, "{theirs}");
        }
        for info in KINDS {
            for alias in info.aliases {
                assert_eq!(FaultKind::named(alias).unwrap().name(), info.name, "{alias}");
            }
        }
    }

    #[test]
    fn the_parameters_of_other_tools_are_understood_in_their_units() {
        let latency = |delay| FaultKind::Latency { delay };
        for (theirs, ours) in [
            (
                json!({"kind": "latency", "latency": 1000, "jitter": 100}),
                latency(Distribution::Uniform { from_ms: 900, to_ms: 1100 }),
            ),
            (
                json!({"kind": "latency", "fixedDelayMilliseconds": 250}),
                latency(Distribution::Constant { ms: 250 }),
            ),
            (
                json!({"kind": "lognormal", "median": 80, "sigma": 0.4}),
                latency(Distribution::Lognormal { median_ms: 80, sigma: 0.4, most_ms: 30_000 }),
            ),
            (
                json!({"kind": "uniform", "lower": 15, "upper": 25}),
                latency(Distribution::Uniform { from_ms: 15, to_ms: 25 }),
            ),
            (json!({"kind": "bandwidth", "rate": 2}), FaultKind::Bandwidth { bytes_per_second: 2048 }),
            (
                json!({"kind": "slicer", "average_size": 9, "delay": 4000}),
                FaultKind::Slicer { slice_bytes: 9, gap_ms: 4 },
            ),
            (json!({"kind": "reset_peer", "timeout": 70}), FaultKind::Reset { after_bytes: 0, after_ms: 70 }),
            (
                json!({"kind": "chunkedDribbleDelay", "numberOfChunks": 3, "totalDuration": 900}),
                FaultKind::Dribbled { chunks: 3, total_ms: 900 },
            ),
        ] {
            assert_eq!(read(&theirs), ours, "{theirs}");
        }
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest() {
        assert_eq!(
            complaint(json!("latnecy")),
            "unknown kind of fault \"latnecy\"; did you mean \"latency\"?"
        );
        assert_eq!(
            complaint(json!({"kind": "status", "cod": 500})),
            "unknown parameter \"cod\" of status; did you mean \"code\"?"
        );
        assert_eq!(
            complaint(json!({"kind": "expired", "by": 1})),
            "unknown parameter \"by\" of expired; it has no parameters"
        );
        assert!(complaint(json!({"code": 1})).contains("no `kind`"));
        assert!(complaint(json!(7)).contains("expected the name of a kind"));
        let rule = |value| serde_json::from_value::<FaultRule>(value).unwrap_err().to_string();
        assert!(rule(json!({"name": "a", "wat": "refuse"})).contains("did you mean \"what\"?"));
        let whom = rule(json!({"name": "a", "what": "refuse", "whom": {"grup": "x"}}));
        assert_eq!(whom, "unknown key \"grup\" in `whom`; did you mean \"group\"?");
    }

    #[test]
    fn the_schema_lets_a_kind_be_a_name_or_a_table() {
        let schema = schemars::schema_for!(FaultRule).to_value();
        let ways = schema["properties"]["what"]["anyOf"].as_array().unwrap();
        assert_eq!(ways[0]["enum"].as_array().unwrap().len(), KINDS.len());
        assert_eq!(ways[1]["type"], "string");
        assert!(ways[2]["$ref"].as_str().unwrap().ends_with("FaultKind"));
    }

    #[test]
    fn the_keys_that_are_taken_are_those_of_the_schema() {
        fn check<T: schemars::JsonSchema>(keys: &[&str]) {
            let schema = schemars::schema_for!(T).to_value();
            let known = schema["properties"].as_object().unwrap().keys().map(String::as_str);
            let keys = keys.iter().copied().filter(|key| *key != "place");
            assert_eq!(keys.collect::<BTreeSet<_>>(), known.collect());
        }
        check::<FaultRule>(FaultRule::keys());
        check::<Whom>(Whom::keys());
        check::<VersionRange>(VersionRange::keys());
        check::<Place>(Place::keys());
        check::<When>(When::keys());
    }
}
