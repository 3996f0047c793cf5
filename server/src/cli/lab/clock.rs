//! `epm-lab clock`: the clock of a running lab.

use clap::Subcommand;
use epm_client_agent::scenario::Span;
use epm_protocol::time::Timestamp;
use serde_json::{Value, json};

use super::answer::{Act, Where, rows, table, words};
use crate::cli::io::{Ending, Failure};
use crate::control_api::lab_time;

/// Commands on the clock of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum ClockVerb {
    /// Show the lab time, the speed and hold of the clock, and the longest pauses between changes
    #[command(after_help = "Example:\n  epm-lab clock show")]
    Show,
    /// Stop the clock, until `clock run`; also with a hold
    #[command(after_help = "Example:\n  epm-lab clock freeze")]
    Freeze,
    /// Run the clock at a multiple of real time; with a hold, also after each later one
    #[command(after_help = "Example:\n  epm-lab clock run 60")]
    Run {
        /// Multiple of real time, at most 300; `clock advance` passes any time at once
        #[arg(default_value_t = 1)]
        speed: u32,
    },
    /// Let the clock stand for a while after each change of the site
    #[command(after_help = "Examples:\n  epm-lab clock hold 1s\n  epm-lab clock hold 0s   (ends the hold)")]
    Hold {
        /// Real time, such as 1s or 500ms; 0s ends the hold
        time: String,
    },
    /// Set the clock; everything that became due happens at once, not in order
    #[command(after_help = "Example:\n  epm-lab clock set 2026-01-05T08:00:00Z")]
    Set {
        /// Lab time, such as 2026-01-05T08:00:00Z, from 1970 to the end of 2999
        #[arg(value_parser = lab_time)]
        moment: Timestamp,
    },
    /// Advance the clock, with every heartbeat in between in order; returns when all clients are idle
    #[command(after_help = "Example:\n  epm-lab clock advance 24h")]
    Advance {
        /// Duration, such as 90m, 24h or 30d
        by: Span,
    },
    /// Wait until every client that is switched on has completed this many more heartbeats
    #[command(after_help = "Example:\n  epm-lab clock heartbeats 2")]
    Heartbeats {
        /// Number of heartbeats
        count: u64,
        /// Longest wait, in seconds of real time
        #[arg(long, default_value_t = 60)]
        limit: u64,
    },
}

impl Act for ClockVerb {
    async fn act(self, at: &Where) -> Result<Ending, Failure> {
        let control = at.control()?;
        let people = if matches!(self, Self::Show) { shown_with_pauses } else { shown };
        let found = match self {
            Self::Show => control.get("/v1/clock").await,
            Self::Freeze => control.put("/v1/clock", &json!({ "speed": 0 })).await,
            Self::Run { speed } => control.put("/v1/clock", &json!({ "speed": speed })).await,
            Self::Hold { time } => control.put("/v1/clock", &json!({ "hold": time.to_string() })).await,
            Self::Set { moment } => control.put("/v1/clock", &json!({ "now": moment.to_string() })).await,
            Self::Advance { by } => control.post("/v1/clock/advance", &json!({ "by": by.to_string() })).await,
            Self::Heartbeats { count, limit } => {
                control
                    .post("/v1/clock/heartbeats", &json!({ "heartbeats": count, "limit_seconds": limit }))
                    .await
            }
        }?;
        at.show(&found, people)
    }
}

fn shown(found: &Value) -> String {
    let speed = match found["speed"].as_u64() {
        Some(0) => "stopped".to_owned(),
        Some(1) => "real time".to_owned(),
        _ => format!("{} times real time", found["speed"]),
    };
    let mut text = format!("{} ({speed}", words(found, "/now"));
    if let Some(hold) = found["hold"].as_str() {
        text.push_str(&format!("; stands for {hold} after each change of the site"));
    }
    if let Some(left) = found["held_ms"].as_u64().filter(|left| *left > 0) {
        text.push_str(&format!(", now for {left} ms more"));
    }
    text.push_str(")\n");
    text
}

/// The clock, with the longest pauses between changes.
fn shown_with_pauses(found: &Value) -> String {
    let mut text = shown(found);
    let pauses = rows(found, "/longest_pauses").map(|one| {
        ["from", "lasted_ms", "ran_ms", "heartbeats"].map(|name| words(one, &format!("/{name}"))).to_vec()
    });
    text.push_str("Longest pauses between changes:\n");
    text.push_str(&table(&["after the change at", "ms", "ms not held", "heartbeats"], pauses));
    text
}
