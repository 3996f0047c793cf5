//! Shared helpers of the integration tests: a lab with a stopped clock, and output for failing tests.
//!
//! No test sleeps: it moves the lab's clock, and waits for an event with a limit.

pub mod control_api;
pub mod foreign;
pub mod rest_curl;
pub mod scenario_runs;

use std::fmt::Write;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use epm_client_agent::agent::{
    AgentProfile, Distrust, Exchange, Health, LogLine, Server, TlsCheck, TlsVersions,
};
use epm_client_agent::scenario::ManagerPlan;
use epm_client_agent::wire::{Fleet, LabClock, LogSink, Member, MemberSpec, ask_once};
use epm_fixtures::HeldPort;
use epm_protocol::assumption::Assumptions;
use epm_protocol::heartbeat::{AgentRequest, ExchangeFailure, ManagerResponse, Registration};
use epm_protocol::id::{AgentId, Guid, HardwareKey};
use epm_protocol::policy::{CommunicationChange, Protocol};
use epm_protocol::site::{Command, DEFAULT_GROUP, Material, NewCertificate, Stores, TOP_GROUP};
use epm_protocol::sylink::CommunicationMode;
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::{CertificateRequest, Fingerprint, KeyPool, ServerIdentity, Validity, issue};
use epm_protocol::version::ClientVersion;
use epm_server::{MockSite, MockSiteBuilder};
use tokio::time::{interval, timeout};

/// The time of the lab's clock at the start of a test: 2026-01-05T08:00:00Z.
pub const START: Timestamp = Timestamp::from_seconds(1_767_600_000);
/// The name of the only manager.
pub const MANAGER: &str = "sepm-1";
/// The name of the manager's default list.
pub const DEFAULT_LIST: &str = "Default Management Server List for My Site";
/// The time limit for an event, in real time.
pub const PATIENCE: Duration = Duration::from_secs(40);
/// The time after which every client with a heartbeat interval of 300 seconds is due, with the jitter of ten per cent.
pub const INTERVAL: Duration = Duration::from_secs(330);

/// How far `schemathesis` searches: so many examples for each operation, more if all tools are required, as in CI. A limit of
/// time is none: with `--max-time`, it goes on until then, and what it finds depends on the speed of the machine.
pub fn search_extent() -> [&'static str; 2] {
    let examples = if std::env::var_os("EPM_LAB_ALL_TOOLS").is_some() { "6" } else { "3" };
    ["--max-examples", examples]
}

/// A client's log lines, each with the client's name.
pub type Lines = Arc<Mutex<Vec<(String, LogLine)>>>;

/// A site with one manager on a random port of loopback, its clients, and a stopped clock.
///
/// When the test that holds it fails, it prints the exchanges.
#[derive(Debug)]
pub struct TestSite {
    site: Option<MockSite>,
    /// The ports of the site that was stopped, for the one that is started in its place.
    held: Vec<HeldPort>,
    clock: Arc<LabClock>,
    lines: Lines,
}

impl TestSite {
    /// Starts a lab with the usual site.
    pub async fn start() -> Self {
        Self::of(MockSite::builder()).await
    }

    /// Starts a lab with this site.
    pub async fn of(builder: MockSiteBuilder) -> Self {
        let clock = Arc::new(LabClock::starting_at(START, 0));
        let site = builder.clock(Arc::clone(&clock)).start().await.expect("the site starts");
        Self { site: Some(site), held: Vec::new(), clock, lines: Lines::default() }
    }

    /// The site of the lab.
    pub fn site(&self) -> &MockSite {
        self.site.as_ref().expect("the site runs")
    }

    /// The clock of the lab.
    pub fn clock(&self) -> &Arc<LabClock> {
        &self.clock
    }

    /// The address of the manager's port.
    pub fn socket(&self) -> SocketAddr {
        self.site().addresses()[0].sockets()[0]
    }

    /// Stops the site, so that its ports are closed.
    pub async fn cut(&mut self) {
        if let Some(site) = self.site.take() {
            let sockets: Vec<SocketAddr> =
                site.addresses().iter().flat_map(|one| one.sockets().to_vec()).collect();
            site.stop().await;
            for socket in sockets {
                // A connection that another process opened in between may come from the port, until it ends.
                eventually("the port can be held", || {
                    HeldPort::at(socket).map(|held| self.held.push(held)).is_ok()
                })
                .await;
            }
        }
    }

    /// Starts another site on the port of the one that was stopped.
    pub async fn found_again(&mut self, builder: MockSiteBuilder, port: u16) {
        let plan = ManagerPlan {
            name: MANAGER.to_owned(),
            address: "127.0.0.1".to_owned(),
            http_port: port,
            https_port: None,
        };
        let builder = builder.manager(plan).clock(Arc::clone(&self.clock));
        self.site = Some(builder.start().await.expect("the port is held for it"));
        self.held.clear();
    }

    /// Applies a command that must succeed.
    pub fn apply(&self, command: &Command) {
        self.site().apply(command).expect("the site takes the command");
    }

    /// The fingerprint of the certificate that the manager shows.
    pub fn certificate(&self) -> Fingerprint {
        self.site().certificate(MANAGER).expect("the manager has a certificate").fingerprint()
    }

    /// The certificate and the key that the manager shows.
    pub fn identity(&self) -> ServerIdentity {
        let identity = self.site().look(|site| site.publication(MANAGER).map(|one| one.identity.clone()));
        identity.expect("the manager has a publication")
    }

    /// Updates the certificate, in these stores.
    pub fn update(&self, stores: Stores) {
        let certificate = NewCertificate::Generate { common_name: None, valid_days: None };
        self.apply(&Command::UpdateCertificate { manager: MANAGER.to_owned(), certificate, stores });
    }

    /// Switches secure communications for every group.
    pub fn secure(&self, on: bool) {
        self.apply(&Command::SetSecureCommunications { group: TOP_GROUP.to_owned(), on });
    }

    /// Assigns this list to every group.
    pub fn assign(&self, list: &str) {
        self.apply(&assign_list(list));
    }

    /// Makes a copy of the default list that speaks HTTP, and assigns it to every group.
    pub fn assign_http_list(&self) {
        self.apply(&Command::CopyList { from: DEFAULT_LIST.to_owned(), to: "HTTP".to_owned() });
        self.apply(&edit_list("HTTP"));
        self.assign("HTTP");
    }

    /// Updates the certificate as the vendor describes it, without orphaning a client of this fleet.
    pub async fn rotate_by_the_book(&self, fleet: &Fleet) {
        self.assign_http_list();
        self.heartbeat(fleet).await;
        self.secure(false);
        self.heartbeat(fleet).await;
        self.update(Stores::Both);
        self.heartbeat(fleet).await;
        self.secure(true);
        self.assign(DEFAULT_LIST);
        self.heartbeat(fleet).await;
    }

    /// A client of this version in the default group, with the present communications file.
    pub fn client(&self, name: &str, version: &str) -> MemberSpec {
        let sylink = self.site().export_sylink(DEFAULT_GROUP, None).expect("the default group is there");
        MemberSpec {
            part: version.to_owned(),
            profile: profile(name, version),
            sylink: Arc::new(sylink),
            location: None,
            disk: None,
            source: None,
        }
    }

    /// Starts these clients, and waits until each has ended its first heartbeat.
    pub async fn fleet(&self, specs: Vec<MemberSpec>) -> Fleet {
        let assumptions = Arc::new(Assumptions::default());
        let fleet = Fleet::start(Arc::clone(&self.clock), &assumptions, &self.log(), specs).await;
        self.until(&fleet, "the first heartbeat", |members| members.iter().all(|one| has_ended(one, 1)))
            .await;
        fleet
    }

    /// Moves the clock by one interval, and waits until every client has ended another heartbeat.
    pub async fn heartbeat(&self, fleet: &Fleet) {
        self.pass(fleet, INTERVAL).await;
    }

    /// Moves the clock, and waits until every client has ended another heartbeat.
    pub async fn pass(&self, fleet: &Fleet, time: Duration) {
        let before: Vec<u64> = fleet.members().iter().map(|one| one.handle.view().heartbeats).collect();
        self.clock.advance(time);
        self.until(fleet, "another heartbeat", |members| {
            members.iter().zip(&before).all(|(one, before)| has_ended(one, before + 1))
        })
        .await;
    }

    /// Waits until `done` returns true, without moving the clock.
    pub async fn until(&self, fleet: &Fleet, what: &str, done: impl FnMut(&[Member]) -> bool) {
        let came = timeout(PATIENCE, fleet.wait_until(Timestamp::NEVER, done)).await;
        assert!(came.is_ok(), "it did not come in {PATIENCE:?}: {what}");
    }

    /// Carries out one exchange with the manager, without a client.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub async fn ask(
        &self,
        protocol: Protocol,
        request: AgentRequest,
        check: TlsCheck,
    ) -> Result<ManagerResponse, ExchangeFailure> {
        let server = Server {
            address: "127.0.0.1".to_owned(),
            port: self.socket().port(),
            protocol,
            verify_ca: false,
        };
        let exchange = Exchange {
            id: 1,
            server,
            request,
            kcs: self.site().kcs(),
            check,
            tls: TlsVersions::From12To13,
            deadline: Timestamp::NEVER,
        };
        ask_once(Arc::clone(&self.clock), &exchange).await
    }

    /// Registers a client at the site without running it.
    pub fn register(&self, name: &str) -> AgentId {
        let profile = profile(name, "14.3");
        self.apply(&Command::Register(Registration {
            domain: self.site().look(epm_protocol::site::Site::domain),
            hardware_key: profile.hardware_key,
            computer_name: profile.computer_name,
            version: profile.version,
            preferred_group: None,
        }));
        let known = self.site().look(|site| site.clients().find(|one| one.computer_name == name).cloned());
        known.expect("it was registered").agent
    }

    /// A sink for the clients' log lines.
    pub fn log(&self) -> LogSink {
        collect_into(&self.lines)
    }

    /// The log of this client.
    pub fn log_of(&self, name: &str) -> Vec<LogLine> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|(client, _)| client == name).map(|(_, line)| line.clone()).collect()
    }

    /// The exchanges, with the logs of both sides.
    pub fn history(&self) -> String {
        let mut text = format!("the lab's clock shows {}\n", self.clock.now());
        if let Some(site) = &self.site {
            text.push_str(&history_of(site));
        }
        text.push_str(&told(&self.lines));
        text
    }
}

impl Drop for TestSite {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the exchange history ---\n{}", self.history());
        }
    }
}

/// The records of a manager, for people.
pub fn history_of(site: &MockSite) -> String {
    let mut text = String::new();
    for one in site.journal().records() {
        let scheme = if one.tls { "https" } else { "http" };
        let _ = writeln!(
            text,
            "{} {} {scheme} {} {:?} -> {}",
            one.at, one.peer, one.action, one.agent, one.status
        );
    }
    for (peer, why) in site.journal().connections_closed() {
        let _ = writeln!(text, "{peer} left: {why:?}");
    }
    for line in site.journal().server_log() {
        let _ = writeln!(text, "server log: {line}");
    }
    text
}

/// A sink that keeps every line.
pub fn collect_into(lines: &Lines) -> LogSink {
    let lines = Arc::clone(lines);
    Arc::new(move |name: &str, line: &LogLine| {
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push((name.to_owned(), line.clone()));
    })
}

/// The log lines of the clients, for people.
pub fn told(lines: &Lines) -> String {
    let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().fold(String::new(), |mut text, (name, line)| {
        let _ = writeln!(text, "{name}: {line}");
        text
    })
}

/// Polls until `is_so` returns true, for events at the other end of a socket, which give no notification.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut tick = interval(Duration::from_millis(1));
    let came = timeout(PATIENCE, async {
        while !is_so() {
            tick.tick().await;
        }
    })
    .await;
    assert!(came.is_ok(), "it did not come in {PATIENCE:?}: {what}");
}

/// Waits until the port is closed.
pub async fn refused(socket: SocketAddr) {
    eventually("the port is closed", || {
        let connected = TcpStream::connect(socket);
        connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    })
    .await;
}

/// The profile of a client with this name.
pub fn profile(name: &str, version: &str) -> AgentProfile {
    let key = Guid::derive(0, "hardware", name, Ipv4Addr::LOCALHOST);
    AgentProfile {
        hardware_key: HardwareKey(key),
        computer_name: name.to_owned(),
        version: version.parse::<ClientVersion>().expect("a version"),
        seed: key.as_bytes().iter().fold(0, |seed, byte| (seed << 8) ^ u64::from(*byte)),
        use_last_server: true,
    }
}

/// The command that puts this certificate and key into both stores.
pub fn import(identity: &ServerIdentity) -> Command {
    let material = |file: &str, content: Vec<u8>| Material { file: file.to_owned(), content: content.into() };
    let certificate = NewCertificate::Import {
        certificate: material("server.crt", identity.certificate().to_pem().into_bytes()),
        key: material("server.key", identity.key().pkcs8_der().to_vec()),
        key_password: None,
    };
    Command::UpdateCertificate { manager: MANAGER.to_owned(), certificate, stores: Stores::Both }
}

/// A certificate of a key that is no site's, the one with this number, and the key.
pub fn identity_of(key: usize, validity: Validity) -> ServerIdentity {
    let key = KeyPool::of_site(u64::MAX).get(key);
    let names = vec!["127.0.0.1".to_owned()];
    let request = CertificateRequest { common_name: "127.0.0.1".to_owned(), names, validity, serial: 99 };
    let certificate = issue(&key, &request).expect("it can be issued");
    ServerIdentity::new(key, certificate).expect("they belong together")
}

/// The command that puts every client into push mode.
pub fn push() -> Command {
    let change =
        CommunicationChange { mode: Some(CommunicationMode::Push), ..CommunicationChange::default() };
    Command::SetCommunication { group: TOP_GROUP.to_owned(), location: None, change }
}

/// The command that assigns a list to every group.
pub fn assign_list(list: &str) -> Command {
    Command::AssignList { list: list.to_owned(), group: TOP_GROUP.to_owned(), location: None }
}

/// The command that makes a list speak HTTP.
pub fn edit_list(list: &str) -> Command {
    let list = list.to_owned();
    Command::EditList { list, protocol: Some(Protocol::Http), verify_ca: None, priorities: None }
}

/// Whether a client has ended this many heartbeats.
pub fn has_ended(member: &Member, heartbeats: u64) -> bool {
    member.handle.view().heartbeats >= heartbeats && member.handle.is_resting()
}

/// Why an orphaned client trusts no manager.
///
/// # Panics
///
/// When the client is not orphaned.
pub fn distrust(health: Health) -> Distrust {
    match health {
        Health::Orphaned { because, .. } => because,
        other => panic!("it should be orphaned, and is {other:?}"),
    }
}
