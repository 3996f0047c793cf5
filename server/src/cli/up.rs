//! `epm-lab up`: starts a lab that runs until Ctrl-C.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use clap::Args;
use epm_client_agent::agent::LogLine;
use epm_client_agent::program::unwritten;
use epm_client_agent::scenario::{FASTEST, Span, SpanError};
use epm_client_agent::wire::{LabClock, LogSink, interrupted};
use epm_protocol::plural::counted;
use epm_protocol::site::{Command, CommandError, DEFAULT_GROUP, Material, NewCertificate, Site, Stores};
use epm_protocol::time::Clock;
use epm_protocol::trust::{StoreType, read_private_key};

use crate::cli::again;
use crate::cli::config::in_force::{InForce, elsewhere};
use crate::cli::io::{Ending, Failure, complain, notice, read, say_whole, warning};
use crate::cli::lab::OwnReadyFile;
use crate::cli::out::OutFolder;
use crate::cli::pcap::Pcap;
use crate::cli::print;
use crate::cli::token_files::{TokenFiles, Tokens};
use crate::cli::up_control::OpenControlApi;
use crate::cli::up_data;
use crate::cli::up_files::{check_ready_file, check_root, rest_password};
use crate::cli::up_plan::{LabPlan, PlanOptions};
use crate::cli::up_ready::{self, Reader};
use crate::control_api::{self, Access};
use crate::lab::scenario_run::silent;
use crate::lab::{Lab, fits};
use crate::mock_site::MockSite;
use crate::rest_api::DEFAULT_USER;
use crate::runtime::install_dir::{connector_port, read_recovery};

/// Port of the REST API in the product.
const REST_PORT: u16 = 8446;

/// Starts a lab that runs until Ctrl-C.
#[derive(Debug, Args)]
pub(super) struct Up {
    #[command(flatten)]
    what: PlanOptions,
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
    /// Acknowledge that this mock is unprotected and reachable from other machines
    #[arg(long)]
    lab: bool,
    /// Port of the control API, for `epm-lab check`, `clock`, `fault` and others; 0 for any free port [default: 8015,
    /// or 0 with --http-port 0]
    #[arg(long, value_name = "PORT")]
    control_port: Option<u16>,
    #[command(flatten)]
    tokens: TokenFiles,
    /// Host name at which the control API answers too, besides addresses, localhost and the name of --address; repeatable
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Stop lab time after each change of the site, until this much real time (1ms to 1h) has passed without another one, so
    /// that a slow tool leaves no heartbeat where it does not wait. Choose more than the tool's longest step takes, and at most
    /// half of its shortest wait
    #[arg(long, value_name = "DURATION", value_parser = hold)]
    hold: Option<Span>,
    /// Speed at which lab time runs on after the hold, as a multiple of real time
    #[arg(long, requires = "hold", default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(FASTEST)))]
    pace: u32,
    /// Initial server certificate (PEM or DER)
    #[arg(long, requires = "key", conflicts_with_all = ["keystore", "alias", "store_type", "password_file"], value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Private key of the initial certificate (PEM or DER)
    #[arg(long, requires = "certificate", value_name = "FILE")]
    key: Option<PathBuf>,
    /// Keystore with the initial server certificate and its key (JKS, JCEKS or PKCS#12)
    #[arg(long, conflicts_with_all = ["certificate", "key"], value_name = "FILE")]
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
    /// Write the line with all addresses to this file once the lab is ready, with the shared secret, so do not publish it; the
    /// lab removes it at its start and its end
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
    #[arg(long, value_name = "FILE", conflicts_with_all = ["certificate", "key", "keystore", "alias", "store_type", "password_file"])]
    recovery: Option<PathBuf>,
    /// Keep the lab in this folder, and go on with the lab that is there: a restarted lab has the same certificates, clients
    /// and settings
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Number of exchanges that the journal keeps, and as many REST calls and applied faults; of other entries a tenth. An
    /// exchange takes about 2 kB of memory, and of disk with --data
    #[arg(long, default_value_t = 10_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    journal: u32,
    /// Write what the managers' sockets receive and send into this file, which opens decrypted in Wireshark: it has the secrets
    /// of the sessions
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Show the clients' log
    #[arg(long)]
    client_log: bool,
    /// Write into folders that have other files, and replace a --ready-file that no lab has written
    #[arg(long)]
    force: bool,
    /// File with options, in TOML; those of the command line and of the environment count before it. Defaults to
    /// epm-lab.toml in the working directory, if there is one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What the help of `epm-lab up` ends with.
pub(super) const HELP: &str = "\
Examples:
  epm-lab up
  epm-lab up --http-port 0 --ready-file ready.json
  epm-lab up --certificate server.crt --key server.key
  epm-lab up --keystore keystore.jks --password-file password.txt --alias tomcat
  epm-lab up --install-root sepm/
  epm-lab up --data lab-data/
  epm-lab up --agents 0 --export lab/
  epm-lab up --pcap lab.pcapng
  epm-lab up --assume rest_throttle_calls=50 --assume rest_token_seconds=600
  epm-lab up --http-port 0 --heartbeat 1 --hold 1s
  epm-lab up fixtures/scenarios/single-manager.toml
  epm-lab up --config lab/epm-lab.toml
  epm-lab up --bind 0.0.0.0 --lab --address manager --token-file token --no-rest

Port 0 takes any free port; the line on standard output, and --ready-file, name
the addresses. --install-root writes the product's files, such as
tomcat/etc/keystore.jks, and rereads them at a restart of a service. --export
writes sylink.xml and the certificates for epm-agent and curl.

Each option can also be set by an environment variable, --http-port by
EPM_LAB_HTTP_PORT, and in a configuration file, as http_port = 8014; `epm-lab
config show` prints what is in force.

Exit codes: 0 stopped by Ctrl-C or SIGTERM; 1 it failed while it ran; 2 invalid
input, or a port is in use.";

impl Up {
    pub(super) async fn go(mut self: Box<Self>, options: &[InForce]) -> Result<Ending, Failure> {
        let started = LabClock::wall().now();
        let mut ready_file = None;
        if let Some(file) = &self.ready_file {
            check_ready_file(file, self.force)?;
            ready_file = Some(OwnReadyFile::at(file));
        }
        let mut plan = self.what.plan(self.hold.is_some())?;
        let open = |folder: &Path| up_data::open(folder, options, (&self.what, &plan), self.force);
        let mut data = self.data.as_deref().map(open).transpose()?;
        let founded = data.as_ref().and_then(|data| data.founded.clone());
        if let Some(founded) = &founded {
            self.no_rest = !founded.has_rest_api();
            plan.go_on_from(founded);
        }
        let again = match &founded {
            Some(founded) => founded.repeat.clone(),
            None => Some(again::command(plan.seed)),
        };
        if let Some(data) = &mut data {
            data.repeat.clone_from(&again);
        }
        let exposed = self.what.exposed(&plan);
        if let Some(address) = exposed.as_ref().filter(|_| !self.lab) {
            return Err(Failure::BadInput(format!(
                "{address} can be reached from other machines, and this mock has no protection; \
                 add `--lab` to allow it"
            )));
        }
        fits(plan.clients() as usize, plan.held_clients())
            .map_err(|error| Failure::BadInput(error.to_string()))?;
        let outs = self.outs(&plan)?;
        let access = self.access(&outs.tokens)?;
        let mut builder = plan.builder(&self.what);
        if !self.no_rest {
            let password =
                rest_password(self.rest_password.as_deref(), self.rest_password_file.as_deref(), exposed)?;
            builder = builder.rest_api(self.rest_port()).administrator(DEFAULT_USER, &password);
            for (manager, port, or_any) in self.ports_in_files(&plan) {
                builder = builder.rest_port_of(&manager, port, or_any);
            }
        }
        if let Some(data) = data {
            if founded.is_some() {
                builder = builder.clock(up_data::clock(&data)?);
            }
            builder = builder.keep(data);
        }
        let pcap = Pcap::begin(self.pcap.as_deref())?;
        let site = builder.capture(pcap.capture()).start().await;
        let site = site.map_err(|error| Failure::BadInput(error.to_string()))?;
        site.journal().keep(self.journal as usize);
        let opened = self.open_control_api().await?;
        self.set_up(&site, &plan, founded.is_none(), outs.export.as_ref())?;
        outs.tokens.write()?;
        let site = Arc::new(site);
        let lab = Lab::new(Arc::clone(&site), plan.seed, self.log());
        let control = opened.serve(&lab, access);
        let mut interrupted = pin!(interrupted());
        let asked_to_stop = |result: io::Result<()>| {
            notice("Stopping.\n");
            result.map_err(|error| Failure::Failed(error.to_string()))
        };
        tokio::select! {
            biased; // can be stopped from the start
            result = &mut interrupted => {
                asked_to_stop(result)?;
                control.close().await;
                lab.stop().await;
                return pcap.finish().map(|()| Ending::Well);
            }
            here = people(&plan, &lab, founded.is_none()) => up_ready::tell_unserved(&here?),
        }
        if let Some(hold) = self.hold {
            lab.set_clock(Some(self.pace), None).await;
            lab.clock().set_hold(hold.0);
        }
        if founded.is_none() {
            lab.take_start().await;
        }
        up_data::complete(&lab).await?;
        lab.repeated_by(again.clone());
        let ready = |reader| up_ready::line(&lab, started, &control.url, reader);
        let (said, written) = (ready(Reader::Output)?, ready(Reader::File)?);
        let pace = self.hold.map(|hold| (hold, self.pace));
        notice(&up_ready::greeting(&lab, &control.url, pace));
        if let Some(folder) = &self.data {
            notice(&up_data::notice(folder, founded.as_ref()));
        }
        let fleet = match &founded {
            Some(_) => counted(lab.size().await, "client"),
            None => plan.fleet(),
        };
        notice(&format!(
            "\n{fleet}. Seed {}{}\n{}Ctrl-C stops.\n",
            plan.seed,
            again.map_or_else(String::new, |again| format!("; the same lab again, from its start: {again}")),
            elsewhere(options),
        ));
        say_whole(&said);
        // The reader of that line would wait for it without end.
        if let Some(why) = unwritten() {
            return Err(Failure::Failed(why));
        }
        if let Some(file) = &mut ready_file {
            file.write(&written)?;
        }
        tokio::select! {
            result = &mut interrupted => asked_to_stop(result)?,
            () = lab.keep_presence() => {}
            () = lab.keep_on() => {}
        }
        control.close().await;
        lab.stop().await;
        pcap.finish().map(|()| Ending::Well)
    }

    /// Checks every file and folder that will be written, and writes nothing yet.
    fn outs(&self, plan: &LabPlan) -> Result<Outs, Failure> {
        if let Some(root) = &self.install_root {
            check_root(root, &plan.names(), self.force)?;
        }
        let named = [&self.ready_file, &self.rest_password_file].into_iter().flatten().map(PathBuf::as_path);
        let named: Vec<&Path> = named.chain(self.tokens.paths()).collect();
        let export = self.export.as_deref();
        Ok(Outs {
            export: export
                .map(|folder| OutFolder::again(folder, self.force, "epm-lab up --export", &named))
                .transpose()?,
            tokens: self.tokens.open()?,
        })
    }

    fn rest_port(&self) -> u16 {
        self.rest_port.unwrap_or(if self.what.http_port == 0 { 0 } else { REST_PORT })
    }

    /// Ports of the REST API in the `server.xml` of each manager, which count unless one is given; if any free port is
    /// asked for, they are free to be another.
    fn ports_in_files(&self, plan: &LabPlan) -> Vec<(String, u16, bool)> {
        let is_given = self.rest_port.is_some_and(|port| port != 0);
        let Some(root) = self.install_root.as_ref().filter(|_| !is_given && !self.is_anew()) else {
            return Vec::new();
        };
        let port = |name: String| {
            let port = connector_port(&folder_of(root, plan, &name))?;
            Some((name, port, self.rest_port() == 0))
        };
        plan.names().into_iter().filter_map(port).collect()
    }

    /// Whether files from an earlier run are overwritten.
    fn is_anew(&self) -> bool {
        self.recovery.is_some() || self.certificate.is_some() || self.keystore.is_some()
    }

    fn set_up(
        &self,
        site: &MockSite,
        plan: &LabPlan,
        is_new: bool,
        export: Option<&OutFolder>,
    ) -> Result<(), Failure> {
        let refused = |error: CommandError| Failure::BadInput(error.to_string());
        if let Some(file) = &self.authority_key {
            let key = read_private_key(&read(file)?, &file.display().to_string());
            site.faults().sign_with(&key.map_err(|error| Failure::BadInput(error.to_string()))?);
        }
        if is_new {
            self.furnish(site, plan)?;
        }
        for (manager, trouble) in site.look(Site::console_troubles) {
            warning(&format!("{manager}: {trouble}"));
        }
        if let Some(root) = &self.install_root {
            for name in &plan.names() {
                let place = folder_of(root, plan, name);
                site.install(name, &place, self.is_anew())
                    .map_err(|error| Failure::BadInput(error.to_string()))?;
            }
        }
        for down in print::services_down(&serde_json::to_value(site.service_errors()).unwrap_or_default()) {
            warning(&down);
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

    /// Gives a new site its certificate, settings and groups.
    fn furnish(&self, site: &MockSite, plan: &LabPlan) -> Result<(), Failure> {
        let refused = |error: CommandError| Failure::BadInput(error.to_string());
        let manager = plan.names().swap_remove(0);
        if let Some(file) = &self.recovery {
            let bytes = material(file)?.content;
            let found = read_recovery(&file.display().to_string(), &bytes)
                .map_err(|error| Failure::BadInput(error.to_string()))?;
            site.restore(&manager, &found, true).map_err(refused)?;
        }
        if let Some(certificate) = self.brought()? {
            site.apply(&Command::UpdateCertificate { manager, certificate, stores: Stores::Both })
                .map_err(refused)?;
        }
        site.apply_all(&plan.setup(site.look(|site| site.default_list()))).map_err(refused)?;
        Ok(())
    }

    fn log(&self) -> LogSink {
        if self.client_log {
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
        let bind = self.what.bind();
        if self.tokens.token_file.is_none() && !bind.is_loopback() {
            return Err(Failure::BadInput(format!(
                "{bind} can be reached from other machines, and the control API changes anything in the lab: \
                 protect it with `--token-file FILE`, which is created with a new token if it does not exist"
            )));
        }
        let port =
            self.control_port.unwrap_or(if self.what.http_port == 0 { 0 } else { control_api::DEFAULT_PORT });
        let reachable = if bind.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { bind };
        OpenControlApi::open(bind, port, reachable).await
    }

    /// The tokens of the control API and the names that it answers to.
    fn access(&self, tokens: &Tokens) -> Result<Access, Failure> {
        // An address is answered without being named.
        let published = self.what.address().into_iter().filter(|address| address.parse::<IpAddr>().is_err());
        let names = published.map(|name| ("--address", name));
        let names = names.chain(self.allow_host.iter().map(|name| ("--allow-host", name.as_str())));
        let mut access = tokens.access();
        for (option, name) in names {
            access =
                access.allow_host(name).map_err(|error| Failure::BadInput(format!("`{option}`: {error}")))?;
        }
        Ok(access)
    }
}

/// The files that are written while a lab starts.
struct Outs {
    export: Option<OutFolder>,
    tokens: Tokens,
}

/// Installs the clients of a new lab, or lets those of an earlier start go on. Returns those that are not served, with the
/// reasons; clients that go on are not waited for.
async fn people(plan: &LabPlan, lab: &Lab, is_new: bool) -> Result<Vec<(String, String)>, Failure> {
    if is_new {
        return plan.people(lab).await;
    }
    lab.go_on().await.map_err(|error| Failure::BadInput(error.to_string()))?;
    Ok(Vec::new())
}

/// Reads the length of a hold.
fn hold(text: &str) -> Result<Span, String> {
    let hold: Span = text.parse().map_err(|error: SpanError| error.to_string())?;
    if hold.0.is_zero() || hold.0 > control_api::LONGEST_HOLD {
        return Err(format!("expected from 1ms to 1h, found {hold}"));
    }
    Ok(hold)
}

/// The installation folder of a manager. Several managers never share one: in the product each has its own machine.
fn folder_of(root: &Path, plan: &LabPlan, manager: &str) -> PathBuf {
    if plan.managers.len() == 1 { root.to_owned() } else { root.join(manager) }
}

fn certificates(site: &MockSite) -> Vec<(String, String)> {
    site.look(|site| {
        site.managers().map(|one| (one.name.clone(), one.client.certificate().to_pem())).collect()
    })
}

fn material(file: &Path) -> Result<Material, Failure> {
    Ok(Material { file: file.display().to_string(), content: read(file)?.into() })
}
