//! `epm-lab site found`: founds a site in a database.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use epm_client_agent::scenario::{FASTEST, ManagerPlan};
use epm_protocol::assumption::Assumptions;
use epm_protocol::policy::CommunicationChange;
use epm_protocol::site::{Command, Site, TOP_GROUP};

use crate::cli::assume::Assume;
use crate::cli::io::{Ending, Failure};
use crate::cli::scenario;
use crate::cli::site::database::Database;
#[cfg(not(feature = "postgres"))]
use crate::cli::site::database::MISSING;
use crate::cli::up_files::new_seed;
use crate::store::{Change, FoundedManager, FoundedWith};

/// Port of the clients, and of the REST API, in the product.
const HTTP_PORT: u16 = 8014;
const REST_PORT: u16 = 8446;
/// The most managers of a site.
const MOST_MANAGERS: usize = 16;
/// Seconds between two heartbeats, without a scenario.
const HEARTBEAT: u32 = 10;

/// Found a site in a database.
#[derive(Debug, Args)]
pub(crate) struct Found {
    #[command(flatten)]
    database: Database,
    /// Scenario file with the managers, settings and assumptions of the site; - reads standard input. Its clients and steps are
    /// left out
    #[arg(value_name = "SCENARIO")]
    scenario: Option<PathBuf>,
    /// Manager of the site with its name or address as clients reach it, and its ports for clients and for the REST API, 8014 and
    /// 8446 if absent; repeatable
    #[arg(long, value_name = "NAME=HOST[:PORT[:REST]]", value_parser = manager)]
    manager: Vec<FoundedManager>,
    /// Found a site without the product's REST API
    #[arg(long)]
    no_rest: bool,
    /// Seconds between two heartbeats of a client [default: 10, or as the scenario says]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    heartbeat: Option<u32>,
    /// Speed of lab time in all processes, as a multiple of real time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(FASTEST)))]
    speed: u32,
    /// Seed of the site's keys, serial numbers, identifiers and shared secret; the scenario's, or drawn, if absent
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    assume: Assume,
}

/// What the help of `epm-lab site found` ends with.
pub(super) const HELP: &str = "\
Examples:
  epm-lab site found --site postgres://lab@db/lab?sslmode=require \\
      --manager sepm-1=10.0.0.1 --manager sepm-2=10.0.0.2
  epm-lab site found fixtures/scenarios/several-managers.toml \\
      --site postgres://lab@127.0.0.1/lab

A database has one site. The same command again changes nothing, and one that
contradicts the site is refused. The tables are in the schema epm_lab: without it
(DROP SCHEMA epm_lab CASCADE) the next one is founded.

Exit codes: 0 the site is founded; 1 the database failed; 2 invalid input, or the
database has another site, or one of another version.";

impl Found {
    pub(super) fn go(&self) -> Result<Ending, Failure> {
        let bad = |error: &dyn std::fmt::Display| Failure::BadInput(error.to_string());
        let (scenario, text) = self.scenario.as_deref().map(scenario::load_with_text).transpose()?.unzip();
        let mut managers = self.manager.clone();
        if let Some(scenario) = scenario.as_ref().filter(|_| managers.is_empty()) {
            managers = scenario.site.managers.iter().map(of_plan).collect();
        }
        check_managers(&managers)?;
        if self.no_rest {
            managers.iter_mut().for_each(|one| one.rest = None);
        }
        let defaults = scenario.as_ref().map_or_else(Assumptions::default, |one| one.assumptions.clone());
        let setup = scenario.iter().flat_map(|one| &one.site.setup).map(|one| one.get_ref().clone());
        let every = self.heartbeat.or(scenario.is_none().then_some(HEARTBEAT));
        let setup: Vec<Command> = setup.chain(every.map(heartbeat)).collect();
        let given_seed = self.seed.or(scenario.as_ref().map(|one| one.seed));
        let machine = epm_client_agent::wire::machine_date();
        let start = scenario.as_ref().and_then(|one| one.clock.start);
        let founded = FoundedWith {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at: start.unwrap_or(machine),
            name: scenario.map_or_else(|| "My Site".to_owned(), |one| one.site.name),
            seed: given_seed.map_or_else(new_seed, Ok)?,
            managers,
            assumptions: self.assume.read(defaults)?,
            options: self.options(given_seed, text.as_deref()),
            repeat: None,
            is_complete: true,
        };
        // Refused before anything is written.
        let mut site = Site::found(founded.founding(), founded.at).map_err(|error| bad(&error))?;
        site.apply_all(&setup, founded.at).map_err(|error| bad(&error))?;
        let first = Change::Commands { commands: setup, clocks: BTreeMap::new(), update: None };
        self.write(&founded, first)
    }

    #[cfg(feature = "postgres")]
    fn write(&self, founded: &FoundedWith, first: Change) -> Result<Ending, Failure> {
        use crate::cli::io::notice;
        use crate::cli::site::database::failed;
        use epm_protocol::plural::counted;

        let store = self.database.open()?;
        let Some(before) = store.found(founded, self.speed, first).map_err(|error| failed(&error))? else {
            notice(&format!(
                "Founded a site with {}, seed {}. Start each with `epm-lab site manager --name NAME`.\n",
                counted(founded.managers.len(), "manager"),
                founded.seed
            ));
            return Ok(Ending::Well);
        };
        for (name, given) in &founded.options {
            let known = before.with.options.get(name).map_or("", String::as_str);
            // A seed that was drawn is given back by no option.
            if given != known
                && !(name == "seed" && (given.is_empty() || *given == before.with.seed.to_string()))
            {
                return Err(Failure::BadInput(format!(
                    "the database has a site already, founded at {} with {name} {known:?}, found {given:?}: leave the site as it is, \
                     or choose another database",
                    before.with.at
                )));
            }
        }
        let of = |assumptions: &Assumptions| serde_json::to_value(assumptions).unwrap_or_default();
        if let (Some(known), Some(given)) =
            (of(&before.with.assumptions).as_object(), of(&founded.assumptions).as_object())
            && let Some((name, value)) = given.iter().find(|(name, value)| known.get(*name) != Some(*value))
        {
            return Err(Failure::BadInput(format!(
                "the database has a site already, founded at {} with the assumption {name} = {}, found {value}: leave the site as it \
                 is, or choose another database",
                before.with.at,
                known.get(name).unwrap_or(&serde_json::Value::Null)
            )));
        }
        notice(&format!("The site was founded at {}; nothing has changed.\n", before.with.at));
        Ok(Ending::Well)
    }

    #[cfg(not(feature = "postgres"))]
    fn write(&self, _: &FoundedWith, _: Change) -> Result<Ending, Failure> {
        Err(Failure::BadInput(MISSING.to_owned()))
    }

    /// What makes the site what it is, by name.
    fn options(&self, seed: Option<u64>, scenario: Option<&str>) -> BTreeMap<String, String> {
        let shown = |one: &FoundedManager| {
            let port = |port: Option<u16>| port.map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}={}{}{}", one.name, one.address, port(one.http), port(one.rest))
        };
        let managers: Vec<String> = self.manager.iter().map(shown).collect();
        let digest = |text: &str| epm_protocol::heartbeat::http::sha256_hex(text.as_bytes());
        [
            ("manager", managers.join(" ")),
            ("no-rest", self.no_rest.to_string()),
            ("heartbeat", self.heartbeat.map(|every| every.to_string()).unwrap_or_default()),
            ("speed", self.speed.to_string()),
            ("seed", seed.map(|seed| seed.to_string()).unwrap_or_default()),
            ("scenario", scenario.map(digest).unwrap_or_default()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

fn check_managers(managers: &[FoundedManager]) -> Result<(), Failure> {
    if managers.is_empty() || managers.len() > MOST_MANAGERS {
        return Err(Failure::BadInput(format!(
            "a site has from 1 to {MOST_MANAGERS} managers, found {}: `--manager NAME=HOST`, once for each",
            managers.len()
        )));
    }
    for (place, one) in managers.iter().enumerate() {
        let earlier = &managers[..place];
        if earlier.iter().any(|other| other.name == one.name) {
            return Err(Failure::BadInput(format!("there are two managers {:?}", one.name)));
        }
        let ports = |of: &FoundedManager| [of.http, of.rest];
        let is_taken = |other: &&FoundedManager| {
            other.address == one.address
                && ports(other).iter().flatten().any(|port| ports(one).contains(&Some(*port)))
        };
        if let Some(other) = earlier.iter().find(is_taken) {
            return Err(Failure::BadInput(format!(
                "{} and {} have a port of {} in common: give each its own, as NAME=HOST:PORT:REST",
                other.name, one.name, one.address
            )));
        }
    }
    Ok(())
}

/// A manager of a scenario.
fn of_plan(plan: &ManagerPlan) -> FoundedManager {
    let port = |port: u16| Some(if port == 0 { HTTP_PORT } else { port });
    FoundedManager {
        name: plan.name.clone(),
        address: plan.address.clone(),
        http: port(plan.http_port),
        https: port(plan.https_port.unwrap_or(plan.http_port)),
        rest: Some(REST_PORT),
    }
}

/// Reads NAME=HOST[:PORT[:REST]].
fn manager(text: &str) -> Result<FoundedManager, String> {
    let bad =
        || "expected NAME=HOST, NAME=HOST:PORT or NAME=HOST:PORT:REST, such as sepm-1=10.0.0.1".to_owned();
    let (name, place) = text.split_once('=').ok_or_else(bad)?;
    let (host, ports) = match place.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(bad)?,
        None => place.find(':').map_or((place, ""), |colon| place.split_at(colon)),
    };
    if name.trim().is_empty() || host.is_empty() {
        return Err(bad());
    }
    let mut numbers = ports.strip_prefix(':').into_iter().flat_map(|ports| ports.split(':'));
    let mut port = |default: u16| match numbers.next() {
        None => Ok(default),
        Some(text) => text.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(bad),
    };
    let (http, rest) = (port(HTTP_PORT)?, port(REST_PORT)?);
    if numbers.next().is_some() || http == rest {
        return Err(bad());
    }
    Ok(FoundedManager {
        name: name.trim().to_owned(),
        address: host.to_owned(),
        http: Some(http),
        https: Some(http),
        rest: Some(rest),
    })
}

fn heartbeat(seconds: u32) -> Command {
    let change = CommunicationChange { heartbeat_seconds: Some(seconds), ..CommunicationChange::default() };
    Command::SetCommunication { group: TOP_GROUP.to_owned(), location: None, change }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_a_name_with_a_host_and_perhaps_ports() {
        let read = |text: &str| manager(text).map(|one| (one.name, one.address, one.http, one.rest));
        let found = |name: &str, host: &str, http, rest| {
            Ok((name.to_owned(), host.to_owned(), Some(http), Some(rest)))
        };
        assert_eq!(read("sepm-1=10.0.0.1"), found("sepm-1", "10.0.0.1", 8014, 8446));
        assert_eq!(read("a=host:1"), found("a", "host", 1, 8446));
        assert_eq!(read("a=[::1]:1:2"), found("a", "::1", 1, 2));
        for bad in ["", "a", "a=", "=b", "a=b:", "a=b:x", "a=b:0", "a=b:1:2:3", "a=b:1:1", "a=b:99999"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let two = |second: &str| check_managers(&[manager("a=h").unwrap(), manager(second).unwrap()]);
        assert!(two("b=h:1:2").is_ok() && two("b=other").is_ok());
        assert!(two("a=other").is_err() && two("b=h:8446:1").is_err() && check_managers(&[]).is_err());
    }
}
