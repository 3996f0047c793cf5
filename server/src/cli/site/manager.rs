//! `epm-lab site manager`: one manager of a site as a process of its own.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

#[cfg(not(feature = "postgres"))]
use crate::cli::io::{Ending, Failure};
use crate::cli::site::database::Database;
#[cfg(not(feature = "postgres"))]
use crate::cli::site::database::MISSING;
use crate::cli::token_files::TokenFiles;

/// Run one manager of a site until Ctrl-C.
#[derive(Debug, Args)]
pub(crate) struct Manager {
    #[command(flatten)]
    database: Database,
    /// Name of the manager, as the site was founded with it
    #[arg(long, env = "EPM_LAB_MANAGER", value_name = "NAME")]
    name: String,
    /// Address to listen on; any but loopback needs --lab
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    bind: IpAddr,
    /// Acknowledge that this mock is unprotected and reachable from other machines
    #[arg(long)]
    lab: bool,
    /// Password of the REST API's user "admin"; defaults to "epm-lab", which is accepted on loopback only
    #[arg(long, value_name = "PASSWORD", env = "EPM_LAB_REST_PASSWORD", hide_env_values = true)]
    rest_password: Option<String>,
    /// File with the password of the REST API's user "admin"
    #[arg(long, value_name = "FILE", conflicts_with = "rest_password")]
    rest_password_file: Option<PathBuf>,
    /// Port of the control API; 0 for any free port
    #[arg(long, value_name = "PORT", default_value_t = crate::control_api::DEFAULT_PORT)]
    control_port: u16,
    #[command(flatten)]
    tokens: TokenFiles,
    /// Host name at which the control API answers too, besides addresses and localhost; repeatable
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Write the line with all addresses to this file once the manager is ready, with the shared secret, so do not publish it;
    /// it is removed at the start and the end
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Write sylink.xml and the managers' certificates into this folder, for epm-agent and curl
    #[arg(long, value_name = "FOLDER")]
    export: Option<PathBuf>,
    /// Number of exchanges that the journal keeps, and as many REST calls and applied faults
    #[arg(long, default_value_t = 10_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    journal: u32,
    /// Write into folders that have other files, and replace a --ready-file that no lab has written
    #[arg(long)]
    force: bool,
}

/// What the help of `epm-lab site manager` ends with.
pub(super) const HELP: &str = "\
Examples:
  epm-lab site manager --site postgres://lab@127.0.0.1/lab --name sepm-1
  epm-lab site manager --site postgres://lab@db/lab?sslmode=require \\
      --name sepm-2 --bind 0.0.0.0 --lab --token-file token \\
      --rest-password-file rest-password

Its ports are those that the site was founded with. It catches up with the site
before it opens them. Without its database a manager answers clients from what it
published last, refuses changes, and goes on when the database is there again.

Exit codes: 0 stopped by Ctrl-C or SIGTERM; 1 it failed while it ran; 2 invalid
input, a database that cannot be used, or a port is in use.";

impl Manager {
    #[cfg(not(feature = "postgres"))]
    pub(super) async fn go(self: Box<Self>) -> Result<Ending, Failure> {
        Err(Failure::BadInput(MISSING.to_owned()))
    }
}

#[cfg(feature = "postgres")]
mod run {
    use std::net::Ipv4Addr;
    use std::pin::pin;
    use std::sync::Arc;

    use epm_client_agent::program::unwritten;
    use epm_client_agent::wire::{LabClock, interrupted, machine_date};
    use epm_protocol::site::{CommandError, DEFAULT_GROUP};
    use epm_protocol::suggest::hint;
    use epm_protocol::time::Clock;

    use crate::StoreError;
    use crate::cli::io::{Ending, Failure, notice, say_whole};
    use crate::cli::lab::OwnReadyFile;
    use crate::cli::out::OutFolder;
    use crate::cli::site::manager::Manager;
    use crate::cli::token_files::Tokens;
    use crate::cli::up_control::OpenControlApi;
    use crate::cli::up_files::{check_ready_file, rest_password};
    use crate::cli::up_ready::{self, Reader};
    use crate::control_api::Access;
    use crate::lab::Lab;
    use crate::lab::scenario_run::silent;
    use crate::mock_site::{MockSite, SharedStart};
    use crate::rest_api::DEFAULT_USER;
    use crate::store::postgres::{PgStore, Presence};
    use crate::store::{Founded, SharedLog};

    impl Manager {
        pub(crate) async fn go(self: Box<Self>) -> Result<Ending, Failure> {
            let bad = |error: &dyn std::fmt::Display| Failure::BadInput(error.to_string());
            let started = LabClock::wall().now();
            let mut ready_file = None;
            if let Some(file) = &self.ready_file {
                check_ready_file(file, self.force)?;
                ready_file = Some(OwnReadyFile::at(file));
            }
            let exposed = (!self.bind.is_loopback()).then(|| self.bind.to_string());
            if let Some(address) = exposed.as_ref().filter(|_| !self.lab) {
                return Err(Failure::BadInput(format!(
                    "{address} can be reached from other machines, and this mock has no protection; add `--lab` to allow it"
                )));
            }
            if self.tokens.token_file.is_none() && exposed.is_some() {
                return Err(Failure::BadInput(format!(
                    "{} can be reached from other machines, and the control API changes anything in the site: protect it with \
                     `--token-file FILE`, which is created with a new token if it does not exist",
                    self.bind
                )));
            }
            let tokens = self.tokens.open()?;
            let access = self.access(&tokens)?;
            let store = Arc::new(self.database.open()?);
            let joined = self.join(&store)?;
            let clock = LabClock::going_on_from(joined.lab_time(machine_date()), joined.speed);
            let founded = joined.with;
            let known = founded.managers.iter().find(|one| one.name == self.name);
            let has_rest = known.is_some_and(|one| one.rest.is_some());
            let mut builder = MockSite::builder().bind(self.bind);
            if has_rest {
                let password = rest_password(
                    self.rest_password.as_deref(),
                    self.rest_password_file.as_deref(),
                    exposed,
                )?;
                builder = builder.rest_api(0).administrator(DEFAULT_USER, &password);
            }
            let (seed, manager) = (founded.seed, self.name.clone());
            let log: Arc<dyn SharedLog> = Arc::clone(&store) as Arc<dyn SharedLog>;
            builder = builder.clock(Arc::new(clock)).share(SharedStart { log, founded, manager });
            let site = Arc::new(builder.start().await.map_err(|error| bad(&error))?);
            site.journal().keep(self.journal as usize);
            site.set_up().map_err(|error| bad(&error))?;
            let reachable = if self.bind.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { self.bind };
            let opened = OpenControlApi::open(self.bind, self.control_port, reachable).await?;
            self.write_export(&site)?;
            tokens.write()?;
            let lab = Lab::new(Arc::clone(&site), seed, silent());
            let control = opened.serve(&lab, access);
            let ready = |reader| up_ready::line(&lab, started, &control.url, reader);
            let (said, written) = (ready(Reader::Output)?, ready(Reader::File)?);
            notice(&format!(
                "Manager {} of the site {:?}. Ctrl-C stops.\n",
                self.name,
                site.look(|one| one.name().to_owned())
            ));
            say_whole(&said);
            if let Some(why) = unwritten() {
                return Err(Failure::Failed(why));
            }
            if let Some(file) = &mut ready_file {
                file.write(&written)?;
            }
            let mut interrupted = pin!(interrupted());
            let ended = tokio::select! {
                result = &mut interrupted => {
                    notice("Stopping.\n");
                    result.map_err(|error| Failure::Failed(error.to_string()))
                }
                why = site.follow() => Err(Failure::Failed(why)),
                () = lab.follow_reports() => Ok(()),
            };
            control.close().await;
            lab.stop().await;
            // What clients did in the last second.
            let _ = tokio::task::block_in_place(|| site.exchange_clients());
            ended.map(|()| Ending::Well)
        }

        /// Takes the name of the manager in its site.
        fn join(&self, store: &PgStore) -> Result<Founded, Failure> {
            let bad = |error: StoreError| Failure::BadInput(error.to_string());
            let founded = tokio::task::block_in_place(|| store.founded()).map_err(bad)?;
            let founded = founded.ok_or_else(|| bad(store.not_founded()))?;
            let names = || founded.with.managers.iter().map(|one| one.name.as_str());
            if !names().any(|name| name == self.name) {
                let known: Vec<&str> = names().collect();
                return Err(Failure::BadInput(format!(
                    "the site has no manager {:?}{} (it was founded with: {})",
                    self.name,
                    hint(&self.name, names()),
                    known.join(", ")
                )));
            }
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            let mut instance = [0_u8; 8];
            aws_lc_rs::rand::fill(&mut instance)
                .map_err(|_| Failure::Failed("the operating system's random generator failed".to_owned()))?;
            let instance = data_encoding::HEXLOWER.encode(&instance);
            let presence = Presence { name: self.name.clone(), instance, host };
            tokio::task::block_in_place(|| store.follow_as(presence)).map_err(bad)?;
            Ok(founded)
        }

        fn access(&self, tokens: &Tokens) -> Result<Access, Failure> {
            let mut access = tokens.access();
            for name in &self.allow_host {
                access = access
                    .allow_host(name)
                    .map_err(|error| Failure::BadInput(format!("`--allow-host`: {error}")))?;
            }
            Ok(access)
        }

        fn write_export(&self, site: &MockSite) -> Result<(), Failure> {
            let Some(folder) = &self.export else { return Ok(()) };
            let named: Vec<_> = self.ready_file.as_deref().into_iter().chain(self.tokens.paths()).collect();
            let folder = OutFolder::again(folder, self.force, "epm-lab site manager --export", &named)?;
            let refused = |error: CommandError| Failure::BadInput(error.to_string());
            let sylink = site.export_sylink(DEFAULT_GROUP, None).map_err(refused)?.to_xml();
            let certificates: Vec<(String, String)> = site.look(|site| {
                let of = |one: &epm_protocol::site::Manager| {
                    (format!("{}.pem", one.name), one.client.certificate().to_pem())
                };
                site.managers().map(of).collect()
            });
            let mut files: Vec<(&str, &[u8])> = vec![("sylink.xml", sylink.as_bytes())];
            files.extend(certificates.iter().map(|(name, text)| (name.as_str(), text.as_bytes())));
            folder.fill_secretly(&files)
        }
    }
}
