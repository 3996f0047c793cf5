//! throwaway
#![allow(clippy::unwrap_used)]
use epm_protocol::fault::*;
use serde_json::{Value, json};
fn main() {
    println!("{}", serde_json::to_string_pretty(&schemars::schema_for!(FaultRule)).unwrap());
    println!("{}", serde_json::to_string_pretty(&schemars::schema_for!(FaultKind)).unwrap());
    println!("{}", serde_json::to_string_pretty(&schemars::schema_for!(Vec<KindInfo>)).unwrap());
    println!("{}", serde_json::to_string_pretty(FaultKind::kinds()).unwrap());
    let values = [
        json!(null),
        json!(1),
        json!(-1),
        json!(0),
        json!(100),
        json!(70000),
        json!(1.5),
        json!("x"),
        json!(""),
        json!([1]),
        json!({"a":1}),
        json!(true),
        json!(1e300),
        json!(u64::MAX),
        json!({"distribution":"constant"}),
        json!({"distribution":"uniform","from-ms":1,"to-ms":"z"}),
        json!("unknown-ca"),
        json!("after-finished"),
    ];
    let try_it = |value: Value| match serde_json::from_value::<FaultKind>(value.clone()) {
        Ok(kind) => {
            let rule = FaultRule::new("n", kind.clone());
            println!(
                "{value} => {} {:?} {} {:?} {:?} {}",
                serde_json::to_string(&kind).unwrap(),
                kind,
                kind,
                kind.layer(),
                rule.moment(),
                rule.check().map_or_else(|e| e.to_string(), |()| "ok".into())
            );
            println!("   {}", serde_json::to_string(&rule).unwrap());
        }
        Err(error) => println!("{value} => ERROR {error}"),
    };
    for v in &values {
        try_it(v.clone());
        try_it(json!({"kind": v}));
    }
    for info in FaultKind::kinds() {
        try_it(json!(info.name));
        try_it(json!({"kind": info.name}));
        try_it(json!({"kind": info.name, "ms": 12}));
        try_it(json!({"kind": info.name, "zzz": 12}));
        for alias in info.aliases {
            try_it(json!(alias));
        }
        for p in info.parameters.iter().map(|p| p.name).chain([
            "timeout",
            "rate",
            "delay",
            "averageSize",
            "number_of_chunks",
            "total_duration",
            "latency",
            "jitter",
            "lower",
            "upper",
            "median",
            "sigma",
        ]) {
            for v in &values {
                try_it(json!({"kind": info.name, p: v}));
                try_it(json!({"kind": info.name, p.replace('-', "_"): v}));
            }
        }
    }
}
