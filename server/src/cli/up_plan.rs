//! What `epm-lab up` brings up: managers, clients, settings and the clock, from its options or from a scenario.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use epm_client_agent::scenario::presence::{MostlyOff, Presence};
use epm_client_agent::scenario::{ManagerPlan, PartPlan, Scenario, Span};
use epm_client_agent::wire::LabClock;
use epm_protocol::assumption::Assumptions;
use epm_protocol::heartbeat::http::sha256_hex;
use epm_protocol::plural::counted;
use epm_protocol::policy::CommunicationChange;
use epm_protocol::site::{Command, Founding, ManagerPorts, Site, TOP_GROUP};
use epm_protocol::sylink::CommunicationMode;
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::version::ClientVersion;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::assume::Assume;
use crate::cli::io::{Failure, is_quiet, warning};
use crate::cli::scenario;
use crate::cli::up_files::new_seed;
use crate::lab::{FleetError, Lab, held};
use crate::mock_site::{MockSite, MockSiteBuilder};
use crate::store::{FoundedManager, FoundedWith};

/// Smallest fleet with one client of each kind that a careless rotation forgets.
const VARIED: u32 = 5;
/// A group that does not inherit.
const SERVERS: &str = r"My Company\Servers";
/// A location with communication settings of its own.
const BRANCH: &str = "Branch";
/// With a hold, seconds before the update at which a certificate becomes valid: lab time gets ahead of the machine's, and a
/// tool that verifies by the machine's clock would reject the certificate.
const BACKDATED: u32 = 86_400;
/// Seconds between two heartbeats, without a scenario.
const HEARTBEAT: u32 = 10;
/// Longest real time that the first heartbeats of a scenario's clients may take.
const LONGEST_START: Duration = Duration::from_secs(120);
/// Longest real time that the first heartbeat of a client may take, on average, in a fleet that needs longer than that.
const LONGEST_FIRST: Duration = Duration::from_millis(20);
/// Smallest part whose progress is shown while its clients come.
const SHOWN: u32 = 500;
/// Heartbeats per second beyond which a machine may not keep up.
const MANY_HEARTBEATS: u32 = 1000;

/// Options that say which lab is brought up.
#[derive(Debug, Args)]
pub(super) struct PlanOptions {
    /// Scenario file with the managers, settings, clients, assumptions and clock of the lab; - reads standard input. Its
    /// steps are not executed
    #[arg(value_name = "SCENARIO", conflicts_with_all = ["managers", "agents"])]
    pub(super) scenario: Option<PathBuf>,
    /// Clients' port for HTTP, and for HTTPS too without --https-port; 0 for any free port
    #[arg(long, default_value_t = 8014, value_name = "PORT")]
    pub(super) http_port: u16,
    /// Separate port for HTTPS; 0 for any free port
    #[arg(long, value_name = "PORT")]
    https_port: Option<u16>,
    /// Address to listen on; any but loopback needs --lab [default: 127.0.0.1, or the addresses of the scenario]
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<IpAddr>,
    /// Name or address of the managers that is published to clients; defaults to the address to listen on
    #[arg(long, value_name = "HOST")]
    address: Option<String>,
    /// Number of managers: sepm-1, sepm-2 and so on, each with ports 10 higher than the one before
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=16))]
    managers: u16,
    /// Number of clients to run in this process. Of five or more, one each is in a group that does not inherit, in a
    /// location with settings of its own, mostly off (on for one heartbeat in four), and, with one manager, of version 14.2
    #[arg(long, default_value_t = 5, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    agents: u32,
    /// Seconds between two heartbeats of a client [default: 10, or as the scenario says]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    heartbeat: Option<u32>,
    /// Seed of the site's keys, serial numbers, identifiers, shared secret and random draws; the scenario's, or drawn and
    /// printed, if absent. The same seed gives the same lab again
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    assume: Assume,
}

/// A lab to bring up.
pub(super) struct LabPlan {
    name: String,
    pub(super) seed: u64,
    pub(super) managers: Vec<ManagerPlan>,
    pub(super) assumptions: Assumptions,
    /// Commands that are applied before the clients are installed. Those of a varied fleet come after them.
    setup: Vec<Command>,
    parts: Vec<PartPlan>,
    is_varied: bool,
    /// Lab time and its speed, for a scenario. Without one, lab time is the machine's.
    clock: Option<(Option<Timestamp>, u32)>,
    title: Option<String>,
    /// SHA-256 of the text of the scenario.
    pub(super) scenario_sha256: Option<String>,
    heartbeat: Option<u32>,
}

impl PlanOptions {
    /// Address to listen on without a scenario, and of the control API.
    pub(super) fn bind(&self) -> IpAddr {
        self.bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// The host name in --address.
    pub(super) fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// The address at which the lab can be reached from other machines, if any.
    pub(super) fn exposed<'a>(&self, plan: &'a LabPlan) -> Option<String>
    where
        Self: 'a,
    {
        if let Some(bind) = self.bind {
            return (!bind.is_loopback()).then(|| bind.to_string());
        }
        let mut addresses = plan.managers.iter().map(|one| &one.address);
        let is_loopback = |address: &str| {
            address == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        };
        // Without a scenario the managers listen on loopback, whatever they publish.
        self.scenario.as_ref()?;
        addresses.find(|address| self.address.is_none() && !is_loopback(address)).cloned()
    }

    /// The assumptions `before`, with those of the options.
    pub(super) fn assumed(&self, before: Assumptions) -> Result<Assumptions, Failure> {
        self.assume.read(before)
    }

    /// Reads the scenario, if there is one, and plans the lab.
    pub(super) fn plan(&self, is_held: bool) -> Result<LabPlan, Failure> {
        let certificate_backdated_seconds = if is_held { BACKDATED } else { 0 };
        let Some(file) = &self.scenario else {
            let defaults = Assumptions { certificate_backdated_seconds, ..Assumptions::default() };
            let heartbeat = self.heartbeat.unwrap_or(HEARTBEAT);
            return Ok(LabPlan {
                name: "My Site".to_owned(),
                seed: self.seed.map_or_else(new_seed, Ok)?,
                managers: (0..self.managers).map(|before| self.manager(before)).collect(),
                assumptions: self.assume.read(defaults)?,
                setup: vec![every(heartbeat)],
                parts: self.parts(heartbeat),
                is_varied: self.is_varied(),
                clock: None,
                title: None,
                scenario_sha256: None,
                heartbeat: Some(heartbeat),
            });
        };
        let (scenario, text) = scenario::load_with_text(file)?;
        let defaults = scenario.assumptions.clone();
        let defaults = match is_held {
            true => Assumptions { certificate_backdated_seconds, ..defaults },
            false => defaults,
        };
        let setup = scenario.site.setup.iter().map(|command| command.get_ref().clone());
        Ok(LabPlan {
            name: scenario.site.name.clone(),
            seed: self.seed.unwrap_or(scenario.seed),
            managers: self.managers_of(&scenario),
            assumptions: self.assume.read(defaults)?,
            setup: setup.chain(self.heartbeat.map(every)).collect(),
            parts: scenario.fleet.iter().map(|part| part.get_ref().clone()).collect(),
            is_varied: false,
            clock: Some((scenario.clock.start, scenario.clock.speed.max(1))),
            title: Some(scenario.title),
            scenario_sha256: Some(sha256_hex(text.as_bytes())),
            heartbeat: self.heartbeat,
        })
    }

    /// Plan of the manager with this many others before it.
    fn manager(&self, before: u16) -> ManagerPlan {
        ManagerPlan {
            name: format!("sepm-{}", before + 1),
            address: self.published().unwrap_or_else(|| self.bind().to_string()),
            http_port: further(self.http_port, before),
            https_port: self.https_port.map(|port| further(port, before)),
        }
    }

    /// The managers of a scenario. Ports that it leaves open are those of the options.
    fn managers_of(&self, scenario: &Scenario) -> Vec<ManagerPlan> {
        let managers = (0..).zip(&scenario.site.managers);
        managers
            .map(|(before, plan)| ManagerPlan {
                name: plan.name.clone(),
                address: self.published().unwrap_or_else(|| plan.address.clone()),
                http_port: if plan.http_port == 0 { further(self.http_port, before) } else { plan.http_port },
                https_port: plan.https_port.or(self.https_port.map(|port| further(port, before))),
            })
            .collect()
    }

    /// The address that clients are told, if an option says so: loopback if the lab listens on all.
    fn published(&self) -> Option<String> {
        let reachable = |bind: IpAddr| if bind.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { bind };
        self.address.clone().or_else(|| self.bind.map(|bind| reachable(bind).to_string()))
    }

    /// Whether the fleet has one client of each kind that a careless rotation forgets.
    fn is_varied(&self) -> bool {
        self.agents >= VARIED
    }

    /// The parts of the fleet. In a varied fleet, one client is in a group that does not inherit, one in a location with
    /// settings of its own, one is mostly off and off at first, and, with one manager, one has version 14.2. In a smaller
    /// fleet a third has version 14.2.
    fn parts(&self, heartbeat: u32) -> Vec<PartPlan> {
        let part = |name: &str, count, minor| PartPlan::new(name, count, ClientVersion::new(14, minor));
        if !self.is_varied() {
            let older = self.agents / 3;
            return vec![part("desk", self.agents - older, 3), part("old", older, 2)];
        }
        let heartbeat = Duration::from_secs(heartbeat.into());
        let presence = Presence::MostlyOff(MostlyOff { on: Span(heartbeat), every: Span(4 * heartbeat) });
        let older = u32::from(self.managers == 1);
        vec![
            part("desk", self.agents - 3 - older, 3),
            part("old", older, 2),
            PartPlan { group: SERVERS.to_owned(), ..part("server", 1, 3) },
            PartPlan { location: Some(BRANCH.to_owned()), ..part("branch", 1, 3) },
            PartPlan { presence, ..part("mostly-off", 1, 3) },
        ]
    }
}

impl LabPlan {
    /// Takes seed, managers and assumptions from the founding of an earlier start.
    pub(super) fn go_on_from(&mut self, founded: &FoundedWith) {
        self.seed = founded.seed;
        self.managers = founded.managers.iter().map(FoundedManager::plan).collect();
        self.assumptions.clone_from(&founded.assumptions);
    }

    /// The site, without APIs, that listens on this address, or on those of its managers.
    pub(super) fn builder(&self, options: &PlanOptions) -> MockSiteBuilder {
        let mut builder = MockSite::builder().name(&self.name).seed(self.seed);
        if options.bind.is_some() || options.scenario.is_none() || options.address.is_some() {
            builder = builder.bind(options.bind());
        }
        if let Some((start, _)) = self.clock {
            let start = start.unwrap_or_else(|| LabClock::wall().now());
            builder = builder.clock(Arc::new(LabClock::starting_at(start, 0)));
        }
        let managers = self.managers.iter().cloned();
        managers.fold(builder.assumptions(self.assumptions.clone()), MockSiteBuilder::manager)
    }

    /// The commands that prepare a site with this default list for the fleet.
    pub(super) fn setup(&self, default_list: String) -> Vec<Command> {
        let mut commands = self.setup.clone();
        if self.is_varied {
            let (group, location) = (TOP_GROUP.to_owned(), BRANCH.to_owned());
            commands.extend([
                Command::AddGroup { group: SERVERS.to_owned(), inherits: false },
                Command::AddLocation { group: group.clone(), location: location.clone() },
                Command::AssignList { list: default_list, group, location: Some(location) },
            ]);
        }
        commands
    }

    /// Number of clients.
    pub(super) fn clients(&self) -> u32 {
        self.parts.iter().map(|part| part.count).sum()
    }

    /// Number of clients that will keep a connection open. They do in push mode, which only a command of the setup brings.
    pub(super) fn held_clients(&self) -> usize {
        let is_push = |command: &Command| {
            let Command::SetCommunication { change, .. } = command else { return false };
            change.mode == Some(CommunicationMode::Push)
        };
        if !self.setup.iter().any(is_push) {
            return 0;
        }
        let managers = self.managers.iter().map(|one| {
            // Which ports will be free is not known yet.
            let port = one.http_port.max(1);
            let (http, https) = (Some(port), Some(one.https_port.unwrap_or(port).max(1)));
            (one.name.clone(), ManagerPorts { address: one.address.clone(), http, https })
        });
        let founding = Founding {
            name: self.name.clone(),
            seed: self.seed,
            managers: managers.collect(),
            assumptions: Arc::new(self.assumptions.clone()),
        };
        // What is refused here will be refused again, with its reason.
        let now = LabClock::wall().now();
        let Ok(mut site) = Site::found(founding, now) else { return 0 };
        let setup = self.setup(site.default_list());
        let _ = site.apply_all(&setup, now);
        held(self.parts.iter(), |group, location| site.export_sylink(group, location))
    }

    /// Names of the managers.
    pub(super) fn names(&self) -> Vec<String> {
        self.managers.iter().map(|one| one.name.clone()).collect()
    }

    /// The fleet in a few words.
    pub(super) fn fleet(&self) -> String {
        let heartbeat = self.heartbeat.map(|every| format!(", a heartbeat every {every} s"));
        let title = self.title.as_ref().map(|title| format!(" of the scenario {title:?}"));
        let clients = counted(self.clients(), "client");
        format!("{clients}{}{}", title.unwrap_or_default(), heartbeat.unwrap_or_default())
    }

    /// Adds the clients, and waits until each has been served, or cannot be. Returns those that are not, with the reasons.
    pub(super) async fn people(&self, lab: &Lab) -> Result<Vec<(String, String)>, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        if let Some(every) = self.heartbeat.filter(|every| self.clients() / *every > MANY_HEARTBEATS) {
            warning(&format!(
                "{} heartbeats a second, more than the machine may be able to make: clients whose heartbeats are late count as \
                 silent; `--heartbeat {}` would make {MANY_HEARTBEATS} a second",
                self.clients() / every,
                self.clients().div_ceil(MANY_HEARTBEATS),
            ));
        }
        let mut unserved = Vec::new();
        for part in &self.parts {
            lab.set_part(part.clone()).await.map_err(|error| failed(&error))?;
            if self.clock.is_none() {
                let bar = bar(part);
                let found = lab.wait_for_contact(&part.name, |here, _| bar.set_position(here as u64)).await;
                bar.finish_and_clear();
                unserved.extend(found.map_err(|error: FleetError| failed(&error))?);
                self.follow(lab, part).await?;
            }
        }
        if let Some((_, speed)) = self.clock {
            // Heartbeats can be hours apart.
            let longest = LONGEST_START.max(LONGEST_FIRST * self.clients());
            lab.pass_heartbeats(1, longest).await.map_err(|error| failed(&error))?;
            unserved = lab.unserved().await;
            for part in &self.parts {
                self.follow(lab, part).await?;
                if part.arrives.is_some() || part.leaves.is_some() || part.reimaged.is_some() {
                    warning(&format!(
                        "all clients of {} are installed now: arrives, leaves and reimaged count in `run` and `rehearse` only",
                        part.name
                    ));
                }
            }
            lab.set_clock(Some(speed), None).await;
        }
        Ok(unserved)
    }

    async fn follow(&self, lab: &Lab, part: &PartPlan) -> Result<(), Failure> {
        if part.presence == Presence::Always {
            return Ok(());
        }
        lab.follow_presence(&part.name).await.map_err(|error| Failure::Failed(error.to_string()))
    }
}

/// A progress bar on standard error while the clients of a part come; hidden without a terminal.
fn bar(part: &PartPlan) -> ProgressBar {
    if part.count < SHOWN || is_quiet() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(part.count.into());
    let style = ProgressStyle::with_template(
        "{spinner} {wide_bar} {pos} of {len} clients served ({elapsed}, {eta} left)",
    );
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn further(port: u16, before: u16) -> u16 {
    if port == 0 { 0 } else { port.saturating_add(before.saturating_mul(10)) }
}

/// The command that sets the heartbeat of every group that inherits.
fn every(heartbeat: u32) -> Command {
    let change = CommunicationChange { heartbeat_seconds: Some(heartbeat), ..CommunicationChange::default() };
    Command::SetCommunication { group: TOP_GROUP.to_owned(), location: None, change }
}
