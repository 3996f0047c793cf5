//! `epm-lab clock`: the clock of a running lab.

use clap::Subcommand;
use epm_client_agent::scenario::Span;
use epm_protocol::time::Timestamp;
use serde_json::{Value, json};

use super::answer::{Act, Where, words};
use crate::cli::io::{Ending, Failure};

/// Commands on the clock of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum ClockVerb {
    /// Show the lab time and the speed of the clock
    #[command(after_help = "Example:\n  epm-lab clock show")]
    Show,
    /// Stop the clock
    #[command(after_help = "Example:\n  epm-lab clock freeze")]
    Freeze,
    /// Run the clock at a multiple of real time
    #[command(after_help = "Example:\n  epm-lab clock run 60")]
    Run {
        /// Multiple of real time
        #[arg(default_value_t = 1)]
        speed: u32,
    },
    /// Set the clock; everything that became due happens at once, not in order
    #[command(after_help = "Example:\n  epm-lab clock set 2026-01-05T08:00:00Z")]
    Set {
        /// Lab time, such as 2026-01-05T08:00:00Z
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
        let found = match self {
            Self::Show => control.get("/v1/clock").await,
            Self::Freeze => control.put("/v1/clock", &json!({ "speed": 0 })).await,
            Self::Run { speed } => control.put("/v1/clock", &json!({ "speed": speed })).await,
            Self::Set { moment } => control.put("/v1/clock", &json!({ "now": moment.to_string() })).await,
            Self::Advance { by } => control.post("/v1/clock/advance", &json!({ "by": by.to_string() })).await,
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
        Some(0) => "stopped".to_owned(),
        Some(1) => "real time".to_owned(),
        _ => format!("{} times real time", found["speed"]),
    };
    format!("{} ({speed})\n", words(found, "/now"))
}
