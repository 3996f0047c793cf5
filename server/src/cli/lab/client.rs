//! `epm-lab client`: the clients of a running lab.

use clap::Subcommand;
use serde_json::{Value, json};

use super::answer::{Act, Where, rows, short, table, words};
use super::control_client::segment;
use crate::cli::io::{Ending, Failure};

/// What is done to the clients of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientVerb {
    /// List them
    List {
        /// Only those of this part of the fleet
        #[arg(long, value_name = "PART")]
        part: Option<String>,
        /// Only those in this state: new, connected, disconnected, orphaned
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// How many to pass over
        #[arg(long, default_value_t = 0)]
        offset: usize,
        /// How many to show, at most 1000
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one: what it holds, what it thinks of its manager, and what became of it
    Show {
        /// Its computer's name
        client: String,
    },
    /// Make a part of the fleet as large as this
    Add {
        /// The part's name: its clients are called by it, with a number
        part: String,
        /// How many clients it is to have
        count: u32,
        /// Their group; the default group when absent
        #[arg(long, value_name = "PATH")]
        group: Option<String>,
        /// Their location
        #[arg(long, value_name = "NAME")]
        location: Option<String>,
        /// Their version
        #[arg(long, value_name = "VERSION", default_value = "14.3")]
        client_version: String,
    },
    /// Ask one for an update now
    Poke(One),
    /// Keep one from waking
    Freeze(One),
    /// Let one wake again
    Thaw(One),
    /// Switch its machine off
    Offline(One),
    /// Switch its machine on again
    Online(One),
    /// Put the image of its group back: it forgets all that it has learnt
    Reimage(One),
    /// Let one import the communications file that its group gives now, as an administrator would to bring it back
    Import {
        /// Its computer's name
        client: String,
        /// Another group's file
        #[arg(long, value_name = "PATH")]
        group: Option<String>,
        /// A location's file
        #[arg(long, value_name = "NAME")]
        location: Option<String>,
    },
    /// Move one to another group
    Move {
        /// Its computer's name
        client: String,
        /// The group's full path
        group: String,
    },
    /// Put one into another location; its group's default one when none is named
    Location {
        /// Its computer's name
        client: String,
        /// The location's name
        location: Option<String>,
    },
}

/// One client.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// Its computer's name
    client: String,
}

impl Act for ClientVerb {
    async fn act(self, at: &Where) -> Result<Ending, Failure> {
        let control = at.control()?;
        let (client, deed) = match self {
            Self::List { part, state, offset, limit } => {
                let mut path = format!("/v1/clients?offset={offset}&limit={limit}");
                for (name, value) in [("part", part), ("state", state)] {
                    if let Some(value) = value {
                        path.push_str(&format!("&{name}={}", segment(&value)));
                    }
                }
                return at.show(&control.get(&path).await?, listed);
            }
            Self::Show { client } => {
                let found = control.get(&format!("/v1/clients/{}", segment(&client))).await?;
                return at.show(&found, shown);
            }
            Self::Add { part, count, group, location, client_version } => {
                let body = json!({ "count": count, "group": group, "location": location, "version": client_version });
                let found = control.put(&format!("/v1/fleet/{}", segment(&part)), &body).await?;
                return at.show(&found, |found| format!("{part}: {} clients\n", found["count"]));
            }
            Self::Poke(One { client }) => (client, json!({ "do": "poke" })),
            Self::Freeze(One { client }) => (client, json!({ "do": "freeze" })),
            Self::Thaw(One { client }) => (client, json!({ "do": "thaw" })),
            Self::Offline(One { client }) => (client, json!({ "do": "offline" })),
            Self::Online(One { client }) => (client, json!({ "do": "online" })),
            Self::Reimage(One { client }) => (client, json!({ "do": "reimage" })),
            Self::Import { client, group, location } => {
                (client, json!({ "do": "import", "group": group, "location": location }))
            }
            Self::Move { client, group } => (client, json!({ "do": "move", "group": group })),
            Self::Location { client, location } => {
                (client, json!({ "do": "location", "location": location }))
            }
        };
        let found = control.post(&format!("/v1/clients/{}/operations", segment(&client)), &deed).await?;
        at.show(&found, shown)
    }
}

fn listed(found: &Value) -> String {
    let lines = rows(found, "/clients").map(|one| {
        let held: Vec<String> =
            rows(one, "/view/certificates").filter_map(Value::as_str).map(short).collect();
        vec![
            words(one, "/client"),
            words(one, "/part"),
            words(one, "/view/version"),
            words(one, "/view/health/state"),
            machine(one),
            words(one, "/view/secure_communications"),
            words(one, "/view/serial"),
            held.join("\n"),
        ]
    });
    let text =
        table(&["client", "part", "version", "state", "machine", "secure", "policy", "certificates"], lines);
    format!("{text}{} in all\n", found["total"])
}

/// Whether its machine is on.
fn machine(one: &Value) -> String {
    let on = if one["on"] == true { "on" } else { "off" };
    if one["frozen"] == true { format!("{on}, frozen") } else { on.to_owned() }
}

fn shown(found: &Value) -> String {
    let server = |name: &str| words(found, &format!("/view/server/{name}"));
    let location = match words(found, "/view/location") {
        none if none.is_empty() => "the default one".to_owned(),
        location => location,
    };
    let held: Vec<String> =
        rows(found, "/view/certificates").filter_map(Value::as_str).map(str::to_owned).collect();
    let lines = [
        ("client", words(found, "/client")),
        ("part", words(found, "/part")),
        ("machine", machine(found)),
        ("status", words(found, "/status_detail")),
        ("group", words(found, "/view/group")),
        ("location", location),
        ("policy", words(found, "/view/serial")),
        ("secure", words(found, "/view/secure_communications")),
        ("list", words(found, "/view/list")),
        ("server", format!("{}://{}:{}", server("protocol"), server("address"), server("port"))),
        ("certificates", held.join("\n")),
        (
            "heartbeats",
            format!(
                "{}, {} served",
                words(found, "/view/heartbeats"),
                words(found, "/view/heartbeats_served")
            ),
        ),
        ("next heartbeat", words(found, "/next_heartbeat")),
        ("was lost", format!("{} times", rows(found, "/history/orphaned").count())),
    ];
    table(&["", ""], lines.map(|(name, value)| vec![name.to_owned(), value]))
}
