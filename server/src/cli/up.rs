//! `epm-lab up`: starts a lab that runs until Ctrl-C.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use epm_client_agent::agent::LogLine;
use epm_client_agent::program::unwritten;
use epm_client_agent::scenario::presence::{MostlyOff, Presence};
use epm_client_agent::scenario::{ManagerPlan, PartPlan, Span, SpanError};
use epm_client_agent::wire::{LabClock, LogSink, interrupted};
use epm_protocol::assumption::Assumptions;
use epm_protocol::plural::counted;
use epm_protocol::policy::CommunicationChange;
use epm_protocol::site::{
    Command, CommandError, DEFAULT_GROUP, Material, NewCertificate, Site, Stores, TOP_GROUP,
};
use epm_protocol::time::Clock;
use epm_protocol::trust::{StoreType, read_private_key};
use epm_protocol::version::ClientVersion;

use crate::cli::again;
use crate::cli::assume::Assume;
use crate::cli::io::{Ending, Failure, complain, read, read_password, say};
use crate::cli::lab::OwnReadyFile;
use crate::cli::out::OutFolder;
use crate::cli::print;
use crate::cli::up_control::OpenControlApi;
use crate::cli::up_data::{self, FoundingOption};
use crate::cli::up_files::{Outs, Token, check_ready_file, check_root, new_seed, token};
use crate::cli::up_ready;
use crate::control_api::{self, Access};
use crate::lab::scenario_run::silent;
use crate::lab::{FleetError, Lab, fits};
use crate::mock_site::MockSite;
use crate::rest_api::{DEFAULT_PASSWORD, DEFAULT_USER};
use crate::runtime::install_dir::{connector_port, read_recovery};
use crate::runtime::replayed::Data;
use crate::store::FoundedWith;

/// Port of the REST API in the product.
const REST_PORT: u16 = 8446;
/// Smallest fleet with one client of each kind that a careless rotation forgets.
const VARIED: u32 = 5;
/// A group that does not inherit.
const SERVERS: &str = r"My Company\Servers";
/// A location with communication settings of its own.
const BRANCH: &str = "Branch";
/// Name of the first manager.
const MANAGER: &str = "sepm-1";
/// With a hold, seconds before the update at which a certificate becomes valid: lab time gets ahead of the machine's, and a
/// tool that verifies by the machine's clock would reject the certificate.
const BACKDATED: u32 = 86_400;

/// Starts a lab that runs until Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab up
  epm-lab up --http-port 0 --ready-file ready.json
  epm-lab up --certificate server.crt --key server.key
  epm-lab up --keystore keystore.jks --password-file password.txt --alias tomcat
  epm-lab up --install-root sepm/
  epm-lab up --data lab-data/
  epm-lab up --agents 0 --export lab/
  epm-lab up --assume rest_throttle_calls=50 --assume rest_token_seconds=600
  epm-lab up --http-port 0 --heartbeat 1 --hold 1s
  epm-lab up --bind 0.0.0.0 --lab --address manager --token-file token --no-rest

Port 0 takes any free port; the line on standard output, and --ready-file, name
the addresses. --install-root writes the product's files, such as
tomcat/etc/keystore.jks, and rereads them at a restart of a service. --export
writes sylink.xml and the certificates for epm-agent and curl.

Exit codes: 0 stopped by Ctrl-C or SIGTERM; 1 it failed while it ran; 2 invalid
input, or a port is in use.")]
pub(super) struct Up {
    /// Clients' port for HTTP, and for HTTPS too without --https-port; 0 for any free port
    #[arg(long, default_value_t = 8014, value_name = "PORT")]
    http_port: u16,
    /// Separate port for HTTPS; 0 for any free port
    #[arg(long, value_name = "PORT")]
    https_port: Option<u16>,
    /// Port of the product's REST API over HTTPS; 0 for any free port [default: that of server.xml in --install-root, or
    /// 8446, or 0 with --http-port 0]
    #[arg(long, value_name = "PORT", conflicts_with = "no_rest")]
    rest_port: Option<u16>,
    /// Disable the REST API
    #[arg(long)]
    no_rest: bool,
    /// Password of the REST API's user "admin"; defaults to "epm-lab", which is accepted on loopback only
    #[arg(long, value_name = "PASSWORD", env = "EPM_LAB_REST_PASSWORD", hide_env_values = true)]
    rest_password: Option<String>,
    /// File with the password of the REST API's user "admin"
    #[arg(long, value_name = "FILE", conflicts_with = "rest_password")]
    rest_password_file: Option<PathBuf>,
    /// Address to listen on; any but loopback needs --lab
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDRESS")]
    bind: IpAddr,
    /// Acknowledge that this mock is unprotected and reachable from other machines
    #[arg(long)]
    lab: bool,
    /// Name or address of the managers that is published to clients; defaults to the address to listen on
    #[arg(long, value_name = "HOST")]
    address: Option<String>,
    /// Port of the control API, for `epm-lab check`, `clock`, `fault` and others; 0 for any free port [default: 8015,
    /// or 0 with --http-port 0]
    #[arg(long, value_name = "PORT")]
    control_port: Option<u16>,
    /// File with the token that the control API requires; needed unless on loopback. Created with a new token if it
    /// does not exist
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Host name at which the control API answers too, besides addresses, localhost and the name of --address; repeatable
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Number of managers: sepm-1, sepm-2 and so on, each with ports 10 higher than the one before
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=16))]
    managers: u16,
    /// Number of clients to run in this process. Of five or more, one each is in a group that does not inherit, in a
    /// location with settings of its own, mostly off (on for one heartbeat in four), and, with one manager, of version 14.2
    #[arg(long, default_value_t = 5, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    agents: u32,
    /// Seconds between two heartbeats of a client
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    heartbeat: u32,
    /// Stop lab time after each change of the site, until this much real time (1ms to 1h) has passed without another one, so
    /// that a slow tool leaves no heartbeat where it does not wait. Choose more than the tool's longest step takes, and at most
    /// half of its shortest wait
    #[arg(long, value_name = "DURATION", value_parser = hold)]
    hold: Option<Span>,
    /// Speed at which lab time runs on after the hold, as a multiple of real time
    #[arg(long, requires = "hold", default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pace: u32,
    /// Initial server certificate (PEM or DER)
    #[arg(long, requires = "key", value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Private key of the initial certificate (PEM or DER)
    #[arg(long, requires = "certificate", value_name = "FILE")]
    key: Option<PathBuf>,
    /// Keystore with the initial server certificate and its key (JKS, JCEKS or PKCS#12)
    #[arg(long, conflicts_with = "certificate", value_name = "FILE")]
    keystore: Option<PathBuf>,
    /// Alias in the keystore; needed if it has several keys
    #[arg(long, requires = "keystore", value_name = "ALIAS")]
    alias: Option<String>,
    /// Type of the keystore: jks, jceks or pkcs12; detected by default
    #[arg(long, requires = "keystore", value_name = "TYPE")]
    store_type: Option<StoreType>,
    /// File with the password of the keystore
    #[arg(long, requires = "keystore", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Private key of the authority that signed the certificate: certificate faults sign with it, so that clients that
    /// trust the authority find only the property wrong that the fault names
    #[arg(long, value_name = "FILE")]
    authority_key: Option<PathBuf>,
    /// File with the password of the key; needed if it is encrypted, or differs from that of the keystore
    #[arg(long, value_name = "FILE")]
    key_password_file: Option<PathBuf>,
    /// Write the line with all addresses to this file once the lab is ready; the lab removes it at its start and its end
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Write sylink.xml and MANAGER.pem into this folder, for epm-agent and curl
    #[arg(long, value_name = "FOLDER")]
    export: Option<PathBuf>,
    /// Write the manager's files into this folder as the product does, and read them at restarts; files from an
    /// earlier run are loaded. With several managers, each has a subfolder with its name
    #[arg(long, value_name = "FOLDER")]
    install_root: Option<PathBuf>,
    /// Reinstall the manager from this recovery file (recovery_TIMESTAMP.zip)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["certificate", "keystore"])]
    recovery: Option<PathBuf>,
    /// Keep the lab in this folder, and go on with the lab that is there: a restarted lab has the same certificates, clients
    /// and settings
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Seed of the site's keys, serial numbers, identifiers, shared secret and random draws; drawn and printed if absent. The
    /// same seed gives the same lab again
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    assume: Assume,
    /// Show the clients' log
    #[arg(long, short)]
    verbose: bool,
    /// Write into folders that have other files, and replace a --ready-file that no lab has written
    #[arg(long)]
    force: bool,
}

impl Up {
    pub(super) async fn go(mut self: Box<Self>) -> Result<Ending, Failure> {
        let started = LabClock::wall().now();
        let mut ready_file = None;
        if let Some(file) = &self.ready_file {
            check_ready_file(file, self.force)?;
            ready_file = Some(OwnReadyFile::at(file));
        }
        if !self.bind.is_loopback() && !self.lab {
            return Err(Failure::BadInput(format!(
                "{} can be reached from other machines, and this mock has no protection; \
                 add `--lab` to allow it",
                self.bind
            )));
        }
        fits(self.agents as usize).map_err(|error| Failure::BadInput(error.to_string()))?;
        let outs = self.outs()?;
        let access = self.access(outs.token.as_ref().map(|token| token.text.clone()))?;
        let data = self.data()?;
        let founded = data.as_ref().and_then(|data| data.founded.clone());
        let seed = founded.as_ref().map(|one| one.seed).or(self.seed).map_or_else(new_seed, Ok)?;
        let certificate_backdated_seconds = if self.hold.is_some() { BACKDATED } else { 0 };
        let defaults = Assumptions { certificate_backdated_seconds, ..Assumptions::default() };
        let assumed = self.assume.read(founded.as_ref().map_or(defaults, |one| one.assumptions.clone()))?;
        if let (Some(founded), Some(folder)) = (&founded, &self.data) {
            up_data::same_assumptions(founded, &assumed, folder)?;
        }
        let mut builder = MockSite::builder().seed(seed).bind(self.bind).assumptions(assumed);
        for number in 0..self.managers {
            builder = builder.manager(self.plan(number));
        }
        if !self.no_rest {
            builder = builder.rest_api(self.rest_port()).administrator(DEFAULT_USER, &self.rest_password()?);
            for (manager, port, or_any) in self.ports_in_files() {
                builder = builder.rest_port_of(&manager, port, or_any);
            }
        }
        if let Some(data) = data {
            builder = builder.clock(up_data::clock(&data)?).keep(data);
        }
        let site = builder.start().await;
        let site = site.map_err(|error| Failure::BadInput(error.to_string()))?;
        let opened = self.open_control_api().await?;
        self.set_up(&site, founded.is_none(), outs.export.as_ref())?;
        if let Some(Token { text, new: Some(file) }) = &outs.token {
            file.write(format!("{text}\n").as_bytes())?;
        }
        let site = Arc::new(site);
        let lab = Lab::new(Arc::clone(&site), seed, self.log());
        let control = opened.serve(&lab, access);
        let mut interrupted = pin!(interrupted());
        let asked_to_stop = |result: io::Result<()>| {
            complain("Stopping.\n");
            result.map_err(|error| Failure::Failed(error.to_string()))
        };
        tokio::select! {
            biased; // can be stopped from the start
            result = &mut interrupted => {
                asked_to_stop(result)?;
                control.close().await;
                lab.stop().await;
                return Ok(Ending::Well);
            }
            here = self.people(&lab, founded.is_none()) => up_ready::tell_unserved(&here?),
        }
        if let Some(hold) = self.hold {
            lab.set_clock(Some(self.pace), None).await;
            lab.clock().set_hold(hold.0);
        }
        if founded.is_none() {
            lab.take_start().await;
        }
        up_data::complete(&lab).await?;
        let ready = up_ready::line(&lab, started, &control.url)?;
        let pace = self.hold.map(|hold| (hold, self.pace));
        complain(&up_ready::greeting(&lab, &control.url, pace));
        if let Some(folder) = &self.data {
            complain(&up_data::notice(folder, founded.as_ref()));
        }
        complain(&format!(
            "\n{}, a heartbeat every {} s. Seed {seed}; the same lab again: {}\nCtrl-C stops.\n",
            counted(self.agents, "client"),
            self.heartbeat,
            again::command(seed)
        ));
        say(&ready);
        // The reader of that line would wait for it without end.
        if let Some(why) = unwritten() {
            return Err(Failure::Failed(why));
        }
        if let Some(file) = &mut ready_file {
            file.write(&ready)?;
        }
        tokio::select! {
            result = &mut interrupted => asked_to_stop(result)?,
            () = lab.keep_presence() => {}
            () = lab.keep_on() => {}
        }
        control.close().await;
        lab.stop().await;
        Ok(Ending::Well)
    }

    /// Checks every file and folder that will be written, and writes nothing yet.
    fn outs(&self) -> Result<Outs, Failure> {
        if let Some(root) = &self.install_root {
            check_root(root, self.managers, self.force)?;
        }
        let named = [&self.ready_file, &self.token_file, &self.rest_password_file];
        let named: Vec<&Path> = named.into_iter().flatten().map(PathBuf::as_path).collect();
        let export = self.export.as_deref();
        Ok(Outs {
            export: export
                .map(|folder| OutFolder::again(folder, self.force, "epm-lab up --export", &named))
                .transpose()?,
            token: self.token_file.as_deref().map(token).transpose()?,
        })
    }

    /// Plan of the manager with this many others before it.
    fn plan(&self, before: u16) -> ManagerPlan {
        let further = |port: u16| if port == 0 { 0 } else { port.saturating_add(before.saturating_mul(10)) };
        ManagerPlan {
            name: format!("sepm-{}", before + 1),
            address: self.address.clone().unwrap_or_else(|| self.reachable().to_string()),
            http_port: further(self.http_port),
            https_port: self.https_port.map(further),
        }
    }

    /// Address to reach this lab at: the one it listens on, or loopback if it listens on all.
    fn reachable(&self) -> IpAddr {
        if self.bind.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { self.bind }
    }

    fn rest_port(&self) -> u16 {
        self.rest_port.unwrap_or(if self.http_port == 0 { 0 } else { REST_PORT })
    }

    /// Ports of the REST API in the `server.xml` of each manager, which count unless one is given; if any free port is
    /// asked for, they are free to be another.
    fn ports_in_files(&self) -> Vec<(String, u16, bool)> {
        let is_given = self.rest_port.is_some_and(|port| port != 0);
        let Some(root) = self.install_root.as_ref().filter(|_| !is_given && !self.is_anew()) else {
            return Vec::new();
        };
        let names = (0..self.managers).map(|number| self.plan(number).name);
        names
            .filter_map(|name| {
                let port = connector_port(&self.folder_of(root, &name))?;
                Some((name, port, self.rest_port() == 0))
            })
            .collect()
    }

    /// Whether files from an earlier run are overwritten.
    fn is_anew(&self) -> bool {
        self.recovery.is_some() || self.certificate.is_some() || self.keystore.is_some()
    }

    /// The installation folder of a manager. Several managers never share one: in the product each has its own machine.
    fn folder_of(&self, root: &Path, manager: &str) -> PathBuf {
        if self.managers == 1 { root.to_owned() } else { root.join(manager) }
    }

    /// The password of the REST API. The default one is refused unless on loopback.
    fn rest_password(&self) -> Result<String, Failure> {
        let password = match &self.rest_password_file {
            Some(file) => read_password(file)?,
            None => self.rest_password.clone().unwrap_or_else(|| DEFAULT_PASSWORD.to_owned()),
        };
        if password.is_empty() {
            return Err(Failure::BadInput("the password of the REST API is empty".to_owned()));
        }
        if password == DEFAULT_PASSWORD && !self.bind.is_loopback() {
            return Err(Failure::BadInput(format!(
                "{} can be reached from other machines, and the REST API's default password is public; \
                 set another with `--rest-password-file`, or disable the API with `--no-rest`",
                self.bind
            )));
        }
        Ok(password)
    }

    fn set_up(&self, site: &MockSite, is_new: bool, export: Option<&OutFolder>) -> Result<(), Failure> {
        let refused = |error: CommandError| Failure::BadInput(error.to_string());
        if let Some(file) = &self.authority_key {
            let key = read_private_key(&read(file)?, &file.display().to_string());
            site.faults().sign_with(&key.map_err(|error| Failure::BadInput(error.to_string()))?);
        }
        if is_new {
            self.furnish(site)?;
        }
        for (manager, trouble) in site.look(Site::console_troubles) {
            complain(&format!("warning: {manager}: {trouble}\n"));
        }
        if let Some(root) = &self.install_root {
            let names: Vec<String> = site.look(|site| site.managers().map(|one| one.name.clone()).collect());
            for name in &names {
                let place = self.folder_of(root, name);
                site.install(name, &place, self.is_anew())
                    .map_err(|error| Failure::BadInput(error.to_string()))?;
            }
        }
        for down in print::services_down(&serde_json::to_value(site.service_errors()).unwrap_or_default()) {
            complain(&format!("warning: {down}\n"));
        }
        if let Some(folder) = export {
            let sylink = site.export_sylink(DEFAULT_GROUP, None).map_err(refused)?.to_xml();
            let named: Vec<(String, String)> = std::iter::once(("sylink.xml".to_owned(), sylink))
                .chain(certificates(site).into_iter().map(|(manager, pem)| (format!("{manager}.pem"), pem)))
                .collect();
            let files: Vec<(&str, &[u8])> =
                named.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
            folder.fill_secretly(&files)?;
        }
        Ok(())
    }

    /// Gives a new site its certificate, and the settings and groups of this lab.
    fn furnish(&self, site: &MockSite) -> Result<(), Failure> {
        let refused = |error: CommandError| Failure::BadInput(error.to_string());
        if let Some(certificate) = self.brought()? {
            let manager = MANAGER.to_owned();
            site.apply(&Command::UpdateCertificate { manager, certificate, stores: Stores::Both })
                .map_err(refused)?;
        }
        if let Some(file) = &self.recovery {
            let bytes = material(file)?.content;
            let found = read_recovery(&file.display().to_string(), &bytes)
                .map_err(|error| Failure::BadInput(error.to_string()))?;
            site.restore(MANAGER, &found, true).map_err(refused)?;
        }
        let change =
            CommunicationChange { heartbeat_seconds: Some(self.heartbeat), ..CommunicationChange::default() };
        site.apply(&Command::SetCommunication { group: TOP_GROUP.to_owned(), location: None, change })
            .map_err(refused)?;
        site.apply_all(&self.places(site.look(|site| site.default_list()))).map_err(refused)?;
        Ok(())
    }

    /// Opens the data folder. The lab in it, if there is one, decides on everything that this start does not name.
    fn data(&mut self) -> Result<Option<Data>, Failure> {
        let Some(folder) = &self.data else { return Ok(None) };
        let data = up_data::open(folder, &self.founding_options(), self.force)?;
        if let Some(founded) = &data.founded {
            let FoundedWith { managers, .. } = founded;
            self.managers = u16::try_from(managers.len()).unwrap_or(self.managers);
            self.no_rest = managers.iter().all(|one| one.rest.is_none());
            self.agents = up_data::founded_number(founded, "--agents", self.agents);
            self.heartbeat = up_data::founded_number(founded, "--heartbeat", self.heartbeat);
        }
        Ok(Some(data))
    }

    /// The options that make a lab what it is.
    fn founding_options(&self) -> Vec<FoundingOption> {
        let file = |file: &Option<PathBuf>| file.as_ref().map(|file| file.display().to_string());
        let address = self.plan(0).address;
        vec![
            FoundingOption::new("--http-port", &self.http_port, &8014),
            FoundingOption::optional("--https-port", self.https_port),
            FoundingOption::optional("--rest-port", self.rest_port),
            FoundingOption::new("--no-rest", &self.no_rest, &false),
            FoundingOption::new("--address", &address, &""),
            FoundingOption::new("--managers", &self.managers, &1),
            FoundingOption::new("--agents", &self.agents, &5),
            FoundingOption::new("--heartbeat", &self.heartbeat, &10),
            FoundingOption::optional("--certificate", file(&self.certificate)),
            FoundingOption::optional("--keystore", file(&self.keystore)),
            FoundingOption::optional("--recovery", file(&self.recovery)),
            FoundingOption::optional("--seed", self.seed),
        ]
    }

    fn log(&self) -> LogSink {
        if self.verbose {
            Arc::new(|name: &str, line: &LogLine| complain(&format!("  {name}: {line}\n")))
        } else {
            silent()
        }
    }

    /// The initial server certificate, if given.
    fn brought(&self) -> Result<Option<NewCertificate>, Failure> {
        let optional = |file: &Option<PathBuf>| file.as_deref().map(material).transpose();
        let key_password = optional(&self.key_password_file)?;
        if let Some(file) = &self.keystore {
            return Ok(Some(NewCertificate::Keystore {
                file: material(file)?,
                store_type: self.store_type,
                alias: self.alias.clone(),
                password: optional(&self.password_file)?,
                key_password,
            }));
        }
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else { return Ok(None) };
        let (certificate, key) = (material(certificate)?, material(key)?);
        Ok(Some(NewCertificate::Import { certificate, key, key_password }))
    }

    /// Opens the port of the control API.
    async fn open_control_api(&self) -> Result<OpenControlApi, Failure> {
        if self.token_file.is_none() && !self.bind.is_loopback() {
            return Err(Failure::BadInput(format!(
                "{} can be reached from other machines, and the control API changes anything in the lab: \
                 protect it with `--token-file FILE`, which is created with a new token if it does not exist",
                self.bind
            )));
        }
        let port =
            self.control_port.unwrap_or(if self.http_port == 0 { 0 } else { control_api::DEFAULT_PORT });
        OpenControlApi::open(self.bind, port, self.reachable()).await
    }

    /// The token of the control API and the names that it answers to.
    fn access(&self, token: Option<String>) -> Result<Access, Failure> {
        // An address is answered without being named.
        let published = self.address.iter().filter(|address| address.parse::<IpAddr>().is_err());
        let names = published.map(|name| ("--address", name));
        let names = names.chain(self.allow_host.iter().map(|name| ("--allow-host", name)));
        let mut access = Access::from(token);
        for (option, name) in names {
            access =
                access.allow_host(name).map_err(|error| Failure::BadInput(format!("`{option}`: {error}")))?;
        }
        Ok(access)
    }

    /// Whether the fleet is large enough for a client of each kind that a careless rotation forgets.
    fn is_varied(&self) -> bool {
        self.agents >= VARIED
    }

    /// The commands that add the group and the location of a varied fleet.
    fn places(&self, list: String) -> Vec<Command> {
        let (group, location) = (TOP_GROUP.to_owned(), BRANCH.to_owned());
        let servers = Command::AddGroup { group: SERVERS.to_owned(), inherits: false };
        let branch = Command::AddLocation { group: group.clone(), location: location.clone() };
        let own = Command::AssignList { list, group, location: Some(location) };
        if self.is_varied() { vec![servers, branch, own] } else { Vec::new() }
    }

    /// The parts of the fleet. In a varied fleet, one client is in a group that does not inherit, one in a location with
    /// settings of its own, one is mostly off and off at first, and, with one manager, one has version 14.2. In a smaller
    /// fleet a third has version 14.2.
    fn parts(&self) -> Vec<PartPlan> {
        let part = |name: &str, count, minor| PartPlan::new(name, count, ClientVersion::new(14, minor));
        if !self.is_varied() {
            let older = self.agents / 3;
            return vec![part("desk", self.agents - older, 3), part("old", older, 2)];
        }
        let heartbeat = Duration::from_secs(self.heartbeat.into());
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

    /// Adds the clients, and waits until each has been served, or cannot be. Returns those that are not, with the reasons.
    async fn people(&self, lab: &Lab, is_new: bool) -> Result<Vec<(String, String)>, Failure> {
        if !is_new {
            // Clients that were not served before are not waited for.
            lab.go_on().await.map_err(|error| Failure::BadInput(error.to_string()))?;
            return Ok(Vec::new());
        }
        let mut unserved = Vec::new();
        let failed = |error: FleetError| Failure::Failed(error.to_string());
        for part in self.parts() {
            let (name, presence) = (part.name.clone(), part.presence.clone());
            lab.set_part(part).await.map_err(failed)?;
            unserved.extend(lab.wait_for_contact(&name).await.map_err(failed)?);
            if presence != Presence::Always {
                let followed = lab.follow_presence(&name).await;
                followed.map_err(|error| Failure::Failed(error.to_string()))?;
            }
        }
        Ok(unserved)
    }
}

/// Reads the length of a hold.
fn hold(text: &str) -> Result<Span, String> {
    let hold: Span = text.parse().map_err(|error: SpanError| error.to_string())?;
    if hold.0.is_zero() || hold.0 > control_api::LONGEST_HOLD {
        return Err(format!("expected from 1ms to 1h, found {hold}"));
    }
    Ok(hold)
}

fn certificates(site: &MockSite) -> Vec<(String, String)> {
    site.look(|site| {
        site.managers().map(|one| (one.name.clone(), one.client.certificate().to_pem())).collect()
    })
}

fn material(file: &Path) -> Result<Material, Failure> {
    Ok(Material { file: file.display().to_string(), content: read(file)?.into() })
}
