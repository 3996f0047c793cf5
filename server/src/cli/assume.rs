//! Options that set assumptions: `--assume` and `--assumptions`.

use std::path::PathBuf;

use clap::Args;
use epm_protocol::assumption::Assumptions;

use crate::cli::io::{Failure, read_text};

/// Assumptions that differ from the defaults.
#[derive(Debug, Args)]
pub(super) struct Assume {
    /// Set an assumption about undocumented behaviour, as listed by `epm-lab assumptions`; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = assumption)]
    assume: Vec<(String, String)>,
    /// File with assumptions in TOML, one NAME = VALUE per line; --assume overrides it
    #[arg(long, value_name = "FILE")]
    assumptions: Option<PathBuf>,
}

impl Assume {
    /// The assumptions: the defaults, those of the file, those of the options.
    pub(super) fn read(&self, defaults: Assumptions) -> Result<Assumptions, Failure> {
        let mut assumed = defaults;
        if let Some(file) = &self.assumptions {
            let bad =
                |error: &dyn std::fmt::Display| Failure::BadInput(format!("{}: {error}", file.display()));
            let text = read_text(file)?;
            let table: toml::Table = toml::from_str(&text).map_err(|error| bad(&error))?;
            // A scenario's table is accepted as it is.
            let table = match table.get("assumptions") {
                Some(toml::Value::Table(inner)) if table.len() == 1 => inner,
                _ => &table,
            };
            for (name, value) in table {
                let value = serde_json::to_value(value).map_err(|error| bad(&error))?;
                assumed.set(name, &value).map_err(|error| bad(&error))?;
            }
        }
        override_with(&mut assumed, &self.assume)?;
        Ok(assumed)
    }
}

/// Sets assumptions by name.
pub(super) fn override_with(assumed: &mut Assumptions, given: &[(String, String)]) -> Result<(), Failure> {
    given.iter().try_for_each(|(name, value)| {
        assumed.set_text(name, value).map_err(|error| Failure::BadInput(format!("--assume: {error}")))
    })
}

/// Reads NAME=VALUE.
pub(super) fn assumption(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("expected NAME=VALUE, such as rest_throttle_calls=50".to_owned()),
    }
}
