//! `epm-lab clock`: the clock of a running lab.

use clap::Subcommand;
use serde_json::{Value, json};

use super::answer::{Act, Where, words};
use crate::cli::io::{Ending, Failure};

/// What is done to the clock of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum ClockVerb {
    /// Show it
    Show,
    /// Stop it
    Freeze,
    /// Let it run, so many times as fast as real time
    Run {
        /// How many times as fast
        #[arg(default_value_t = 1)]
        speed: u32,
    },
    /// Set it to a moment, as 2026-01-05T08:00:00Z; what falls due does so at once, and not one after the other
    Set {
        /// The moment
        moment: String,
    },
    /// Let time pass, as 90m, 24h or 30d: every heartbeat on the way happens; returns when the lab is quiet
    Advance {
        /// How far
        by: String,
    },
    /// Wait until every client that is on has ended so many heartbeats more
    Heartbeats {
        /// How many
        count: u64,
        /// How many seconds of real time to wait at most
        #[arg(long, default_value_t = 60)]
        limit: u64,
    },
}

impl Act for ClockVerb {
    async fn act(self, at: &Where) -> Result<Ending, Failure> {
        let control = at.control()?;
        let found = match self {
            Self::Show => control.get("/v1/clock").await,
            Self::Freeze => control.put("/v1/clock", &json!({ "speed": 0 })).await,
            Self::Run { speed } => control.put("/v1/clock", &json!({ "speed": speed })).await,
            Self::Set { moment } => control.put("/v1/clock", &json!({ "now": moment })).await,
            Self::Advance { by } => control.post("/v1/clock/advance", &json!({ "by": by })).await,
            Self::Heartbeats { count, limit } => {
                control
                    .post("/v1/clock/heartbeats", &json!({ "heartbeats": count, "limit_seconds": limit }))
                    .await
            }
        }?;
        at.show(&found, shown)
    }
}

fn shown(found: &Value) -> String {
    let speed = match found["speed"].as_u64() {
        Some(0) => "stands still".to_owned(),
        Some(1) => "runs as fast as real time".to_owned(),
        _ => format!("runs {} times as fast as real time", found["speed"]),
    };
    format!("{} ({speed})\n", words(found, "/now"))
}
