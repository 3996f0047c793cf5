//! `epm-lab client`: the clients of a running lab.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use epm_protocol::plural::counted;
use epm_protocol::suggest::hint;
use epm_protocol::sylink::Sylink;
use epm_protocol::version::ClientVersion;
use serde_json::{Value, json};

use super::answer::{Act, Where, rows, table, words};
use super::control_client::segment;
use crate::cli::io::{Ending, Failure, read};
use crate::cli::print::short;

/// Commands on the clients of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientVerb {
    /// List clients
    #[command(after_help = "Example:\n  epm-lab client list --state orphaned")]
    List {
        /// Only clients of this part of the fleet
        #[arg(long, value_name = "PART")]
        part: Option<String>,
        /// Only clients in this state
        #[arg(long, value_name = "STATE", value_parser = ["new", "connected", "disconnected", "orphaned"])]
        state: Option<String>,
        /// Number of clients to skip
        #[arg(long, default_value_t = 0)]
        offset: usize,
        /// Number of clients to show, at most 1000
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Show a client: policy, list, certificates, connection and heartbeats
    #[command(after_help = "Example:\n  epm-lab client show desk-1")]
    Show {
        /// Computer name of the client
        client: String,
    },
    /// Add clients to a part of the fleet, or a new part with them; returns when all are served
    #[command(
        after_help = "Examples:\n  epm-lab client add desk 2\n  epm-lab client add laptops 20 --client-version 14.2"
    )]
    Add {
        /// Name of the part; its clients are named PART-1, PART-2 and so on
        part: String,
        /// Number of clients to add
        #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
        count: u32,
        /// Full path of the group of a new part's clients; defaults to the default group
        #[arg(long, value_name = "PATH")]
        group: Option<String>,
        /// Location of a new part's clients
        #[arg(long, value_name = "NAME")]
        location: Option<String>,
        /// Version of a new part's clients; defaults to 14.3
        #[arg(long, value_name = "VERSION")]
        client_version: Option<ClientVersion>,
    },
    /// Give a part of the fleet this number of clients: new ones are added, surplus ones removed from the end
    #[command(after_help = "Example:\n  epm-lab client resize desk 1")]
    Resize {
        /// Name of the part
        part: String,
        /// Number of clients in the part; 0 removes all of them
        #[arg(value_parser = clap::value_parser!(u32).range(0..=100_000))]
        count: u32,
    },
    /// Make a client send its next heartbeat now
    #[command(after_help = "Example:\n  epm-lab client poke desk-1")]
    Poke(One),
    /// Suspend a client: it sends nothing until it is thawed
    #[command(after_help = "Example:\n  epm-lab client freeze desk-1")]
    Freeze(One),
    /// Resume a frozen client
    #[command(after_help = "Example:\n  epm-lab client thaw desk-1")]
    Thaw(One),
    /// Switch a client's machine off
    #[command(after_help = "Example:\n  epm-lab client offline desk-1")]
    Offline(One),
    /// Switch a client's machine on
    #[command(after_help = "Example:\n  epm-lab client online desk-1")]
    Online(One),
    /// Re-image a client: it loses its state and starts from the installation package that its group exports now
    #[command(after_help = "Example:\n  epm-lab client reimage desk-1")]
    Reimage(One),
    /// Make a client import its group's current communications file, which brings back an orphaned client, or a given file
    #[command(after_help = "\
Examples:
  epm-lab client import desk-1
  epm-lab client import desk-1 --file old-sylink.xml")]
    Import {
        /// Computer name of the client
        client: String,
        /// Import the file of this group instead
        #[arg(long, value_name = "PATH")]
        group: Option<String>,
        /// Import the file of this location
        #[arg(long, value_name = "NAME")]
        location: Option<String>,
        /// Import this file, such as one from before a rotation, or of another site
        #[arg(long, conflicts_with_all = ["group", "location"])]
        file: Option<PathBuf>,
    },
    /// Move a client to another group
    #[command(after_help = "Example:\n  epm-lab client move desk-1 'My Company\\Sales'")]
    Move {
        /// Computer name of the client
        client: String,
        /// Full path of the group
        group: String,
    },
    /// Put a client into another location
    #[command(after_help = "Example:\n  epm-lab client location desk-1 Home")]
    Location {
        /// Computer name of the client
        client: String,
        /// Location; defaults to the group's default location
        location: Option<String>,
    },
}

/// A client by name.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// Computer name of the client
    client: String,
}

impl Act for ClientVerb {
    async fn act(self, at: &Where) -> Result<Ending, Failure> {
        let control = at.control()?;
        let (client, deed) = match self {
            Self::List { part, state, offset, limit } => {
                if let Some(part) = &part {
                    refuse_unknown(&control.get("/v1/verdict").await?, part)?;
                }
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
                let version = client_version.map(|version| version.to_string());
                let body =
                    json!({ "count": count, "group": group, "location": location, "version": version });
                let found = control.post(&format!("/v1/fleet/{}", segment(&part)), &body).await?;
                return at.show(&found, |found| {
                    let now = counted(&found["count"], "client");
                    format!("{part}: {} added, {now} now\n", counted(count, "client"))
                });
            }
            Self::Resize { part, count } => {
                refuse_unknown(&control.get("/v1/verdict").await?, &part)?;
                let path = format!("/v1/fleet/{}", segment(&part));
                let found = control.put(&path, &json!({ "count": count })).await?;
                return at.show(&found, |found| format!("{part}: {}\n", counted(&found["count"], "client")));
            }
            Self::Poke(One { client }) => (client, json!({ "do": "poke" })),
            Self::Freeze(One { client }) => (client, json!({ "do": "freeze" })),
            Self::Thaw(One { client }) => (client, json!({ "do": "thaw" })),
            Self::Offline(One { client }) => (client, json!({ "do": "offline" })),
            Self::Online(One { client }) => (client, json!({ "do": "online" })),
            Self::Reimage(One { client }) => (client, json!({ "do": "reimage" })),
            Self::Import { client, group: None, location: None, file: Some(file) } => {
                (client, json!({ "do": "import", "sylink": sylink_in(&file)? }))
            }
            Self::Import { client, group, location, .. } => {
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

/// The text of a communications file.
fn sylink_in(file: &Path) -> Result<String, Failure> {
    let read = Sylink::parse_bytes(&read(file)?);
    read.map(|file| file.to_xml()).map_err(|error| Failure::BadInput(format!("{}: {error}", file.display())))
}

/// Refuses the name of a part that the fleet does not have.
fn refuse_unknown(verdict: &Value, part: &str) -> Result<(), Failure> {
    let known: Vec<&str> = rows(verdict, "/parts").filter_map(|one| one["part"].as_str()).collect();
    if known.contains(&part) {
        return Ok(());
    }
    if known.is_empty() {
        return Err(Failure::BadInput(format!("there is no part {part:?}: the fleet has none")));
    }
    let hint = hint(part, known.iter().copied());
    Err(Failure::BadInput(format!(
        "the fleet has no part {part:?}: its parts are {}{hint}",
        known.join(", ")
    )))
}

fn listed(found: &Value) -> String {
    let lines = rows(found, "/clients").map(|one| {
        let held: Vec<String> =
            rows(one, "/view/certificates").filter_map(Value::as_str).map(short).collect();
        vec![
            words(one, "/client"),
            words(one, "/view/version"),
            words(one, "/view/health/state"),
            machine(one),
            secure(one).to_owned(),
            words(one, "/view/serial"),
            held.join("\n"),
        ]
    });
    let text = table(&["client", "version", "state", "machine", "secure", "policy", "trusts"], lines);
    format!("{text}{} in all\n", found["total"])
}

/// Whether the client authenticates the manager that serves it; nothing for a client that is not served.
fn secure(one: &Value) -> &'static str {
    match (words(one, "/view/health/state").as_str(), &one["view"]["secure_communications"]) {
        ("connected", Value::Bool(true)) => "yes",
        ("connected", _) => "no",
        _ => "",
    }
}

/// Whether the client's machine is on or off, and whether the client is frozen or without a heartbeat for three intervals.
fn machine(one: &Value) -> String {
    let on = if one["on"] == true { "on" } else { "off" };
    let states = [("frozen", "frozen"), ("silent", "silent")];
    states
        .iter()
        .filter(|(key, _)| one[*key] == true)
        .fold(on.to_owned(), |text, (_, state)| format!("{text}, {state}"))
}

/// Why a client has no next heartbeat.
fn no_next_heartbeat(one: &Value) -> &'static str {
    match (one["reported_by"].is_string(), one["on"] == true, one["frozen"] == true) {
        (true, ..) => "planned elsewhere",
        (_, false, _) => "none: the client is off",
        (_, _, true) => "none: the client is frozen",
        _ => "under way",
    }
}

fn shown(found: &Value) -> String {
    let server = |name: &str| words(found, &format!("/view/server/{name}"));
    let location = match words(found, "/view/location") {
        none if none.is_empty() => "default".to_owned(),
        location => location,
    };
    let next_heartbeat = match words(found, "/next_heartbeat") {
        none if none.is_empty() => no_next_heartbeat(found).to_owned(),
        at => at,
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
        (
            "secure communications",
            if found["view"]["secure_communications"] == true { "on" } else { "off" }.to_owned(),
        ),
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
        ("next heartbeat", next_heartbeat),
        ("was orphaned", counted(rows(found, "/history/orphaned").count(), "time")),
    ];
    table(&["property", "value"], lines.map(|(name, value)| vec![name.to_owned(), value]))
}
