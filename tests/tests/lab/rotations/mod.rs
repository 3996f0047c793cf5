//! The mistakes of `docs/rotation-mistakes.md`: each is made on a lab, and the judgement of the rotation fails with the
//! finding that the page names. What is done right passes.
//!
//! The clock stands, and is moved from heartbeat to heartbeat.

mod judgements;
mod mistakes;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use epm_client_agent::scenario::{ManagerPlan, PartPlan};
use epm_fixtures::{needs, output_of};
use epm_protocol::installation::{ApacheFile, read_apache};
use epm_protocol::policy::{CommunicationChange, Protocol};
use epm_protocol::site::{Command, DEFAULT_GROUP, NewCertificate, Stores, TOP_GROUP};
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::{CertificateRequest, KeyPool, Salts, ServerIdentity, Validity, issue};
use epm_server::lab::{ClientOperation, Expectation, Finding, FindingResult, Rotation, RotationCode};
use epm_server::{MockSite, MockSiteBuilder, Service};
use epm_tests::control_api::{Opened, two_managers};
use epm_tests::{DEFAULT_LIST, MANAGER, START, identity_of, import};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

const KIOSK: &str = r"My Company\Kiosk";
const BRANCH: &str = r"My Company\Branch";
const HOME: &str = "Home";
const DAY: Duration = Duration::from_secs(86_400);

/// A place with a list of its own, and the list.
type Place = (&'static str, Option<&'static str>, &'static str);
/// Every place with settings of its own.
const PLACES: [Place; 4] = [
    (TOP_GROUP, None, DEFAULT_LIST),
    (KIOSK, None, DEFAULT_LIST),
    (BRANCH, None, DEFAULT_LIST),
    (BRANCH, Some(HOME), "Named"),
];

/// How a tool replaces certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hand {
    /// By the control API, as in the console.
    Api,
    /// By the files of the manager's folder, and a restart of its services.
    Files,
}

/// What a tool does where the certificate is to be replaced.
#[derive(Clone)]
enum Update {
    Nothing,
    /// A new certificate, which is right, in these stores.
    Good(Stores),
    /// A new certificate, which may be wrong, in both stores.
    Of(ServerIdentity),
    /// Uploads that are refused: a key of another certificate, and a certificate of an elliptic curve.
    Refused,
}

/// How a rotation of one manager is carried out; the default is right.
struct Plan {
    /// Places that the tool forgets.
    forgets: Vec<(&'static str, Option<&'static str>)>,
    /// Protocol of the copied lists.
    copies: Protocol,
    /// Which of the three waits are kept.
    waits: [bool; 3],
    /// How the certificate is replaced.
    update: Update,
    restores_lists: bool,
    restores_switch: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            forgets: Vec::new(),
            copies: Protocol::Http,
            waits: [true; 3],
            update: Update::Good(Stores::Both),
            restores_lists: true,
            restores_switch: true,
        }
    }
}

/// A lab with groups, a location, and clients of two versions, whose managers have folders if the tool uses files.
struct Lab {
    opened: Opened,
    hand: Hand,
    folder: TempDir,
    /// Number of the certificates that were made for files.
    made: AtomicUsize,
}

impl Lab {
    /// One manager; a group that does not inherit, and one with a location that has a list of its own.
    async fn single(hand: Hand) -> Self {
        Self::of(MockSite::builder(), hand).await.with_groups().await
    }

    /// Several managers, clients of 14.3.
    async fn several(site: MockSiteBuilder, hand: Hand) -> Self {
        let lab = Self::of(site, hand).await;
        lab.part("desk", 2, "14.3", DEFAULT_GROUP, None).await;
        lab.opened.lab.take_start().await;
        lab
    }

    async fn of(site: MockSiteBuilder, hand: Hand) -> Self {
        let (opened, folder) = (Opened::of(site, None).await, TempDir::new().unwrap());
        let lab = Self { opened, hand, folder, made: AtomicUsize::new(5) };
        if hand == Hand::Files {
            let site = &lab.opened.lab.site;
            let names: Vec<String> = site.look(|site| site.managers().map(|one| one.name.clone()).collect());
            for name in names {
                site.install(&name, &lab.root(&name), false).unwrap();
            }
        }
        lab
    }

    async fn with_groups(self) -> Self {
        let lab = self;
        for group in [KIOSK, BRANCH] {
            lab.apply(&Command::AddGroup { group: group.into(), inherits: false });
        }
        lab.apply(&Command::CopyList { from: DEFAULT_LIST.into(), to: "Named".into() });
        lab.edit("Named", None, Some(true));
        lab.apply(&Command::AddLocation { group: BRANCH.into(), location: HOME.into() });
        lab.assign("Named", BRANCH, Some(HOME));
        lab.part("desk", 2, "14.3", DEFAULT_GROUP, None).await;
        lab.part("old", 1, "14.2", DEFAULT_GROUP, None).await;
        lab.part("kiosk", 2, "14.3", KIOSK, None).await;
        lab.part("home", 1, "14.3", BRANCH, Some(HOME)).await;
        lab.opened.lab.take_start().await;
        lab
    }

    async fn part(&self, name: &str, count: u32, version: &str, group: &str, location: Option<&str>) {
        let mut plan = PartPlan::new(name, count, version.parse().unwrap());
        plan.group = group.to_owned();
        plan.location = location.map(str::to_owned);
        self.opened.lab.set_part(plan).await.unwrap();
        self.opened.lab.wait_for_part(name).await.unwrap();
    }

    fn apply(&self, command: &Command) {
        self.opened.lab.site.apply(command).unwrap();
    }

    fn edit(&self, list: &str, protocol: Option<Protocol>, verify_ca: Option<bool>) {
        self.apply(&Command::EditList { list: list.into(), protocol, verify_ca, priorities: None });
    }

    fn assign(&self, list: &str, group: &str, location: Option<&str>) {
        let location = location.map(str::to_owned);
        self.apply(&Command::AssignList { list: list.into(), group: group.into(), location });
    }

    /// Gives a manager a new certificate.
    async fn renew(&self, manager: &str) {
        self.update(manager, &Update::Good(Stores::Both)).await;
    }

    async fn update(&self, manager: &str, update: &Update) {
        match (update, self.hand) {
            (Update::Nothing, _) => {}
            (Update::Good(stores), Hand::Api) => {
                let certificate = NewCertificate::Generate { common_name: None, valid_days: None };
                let stores = *stores;
                self.apply(&Command::UpdateCertificate { manager: manager.into(), certificate, stores });
            }
            (Update::Of(identity), Hand::Api) => self.apply(&import(identity)),
            (Update::Good(stores), Hand::Files) => {
                let identity = self.another();
                let files = match stores {
                    Stores::Both => &FILES[..],
                    Stores::Console => &FILES[..2],
                    Stores::Client => &FILES[2..],
                };
                self.replace_files(manager, files, &identity).await;
                self.restart(manager, None);
            }
            (Update::Of(identity), Hand::Files) => {
                self.replace_files(manager, &FILES, identity).await;
                self.restart(manager, None);
            }
            (Update::Refused, _) => {
                let (one, other) = (identity_of(5, validity(0, 300)), identity_of(6, validity(0, 300)));
                let key = other.key_pem(None, &mut Salts::from_seed([0; 32])).unwrap().to_string();
                let ec = elliptic_curve().await;
                for (certificate, key) in [(one.certificate().to_pem(), key), ec] {
                    let upload = json!({ "certificate": certificate, "key": key }).to_string();
                    let path = format!("/v1/managers/{manager}/certificate/new");
                    let (status, _, text) = self.opened.ask("PUT", &path, Some(&upload)).await;
                    assert_eq!(status, 422, "{text}");
                }
            }
        }
    }

    /// A certificate that no manager has had.
    fn another(&self) -> ServerIdentity {
        identity_of(self.made.fetch_add(1, Ordering::SeqCst), validity(0, 300))
    }

    async fn beats(&self, heartbeats: u64) {
        self.opened.lab.pass_heartbeats(heartbeats, Duration::from_secs(60)).await.unwrap();
    }

    async fn act(&self, client: &str, action: ClientOperation) {
        self.opened.lab.do_to(client, &action).await.unwrap();
    }

    /// Carries out the documented procedure for one manager.
    async fn rotate(&self, plan: &Plan) {
        let places: Vec<Place> =
            PLACES.into_iter().filter(|(group, at, _)| !plan.forgets.contains(&(*group, *at))).collect();
        let copy = |list: &str| format!("{list}, copied");
        for list in [DEFAULT_LIST, "Named"] {
            self.apply(&Command::CopyList { from: list.into(), to: copy(list) });
            self.edit(&copy(list), Some(plan.copies), None);
        }
        for (group, location, list) in &places {
            self.assign(&copy(list), group, *location);
            if location.is_none() {
                self.apply(&Command::SetSecureCommunications { group: (*group).into(), on: false });
            }
        }
        if plan.waits[0] {
            self.beats(3).await;
        }
        self.update(MANAGER, &plan.update).await;
        if plan.waits[1] {
            self.beats(3).await;
        }
        for (group, location, list) in &places {
            if plan.restores_lists {
                self.assign(list, group, *location);
            }
            if location.is_none() && plan.restores_switch {
                self.apply(&Command::SetSecureCommunications { group: (*group).into(), on: true });
            }
        }
        if plan.waits[2] {
            self.beats(3).await;
        }
    }

    async fn judge(&self, rotation: Rotation) -> Finding {
        let expectation = vec![Expectation::Rotation(rotation)];
        self.opened.lab.check_expectations(&expectation).unwrap();
        self.opened.lab.find(expectation).await.remove(0)
    }

    /// Replaces files of a manager by those of this certificate.
    async fn replace_files(&self, manager: &str, files: &[&str], identity: &ServerIdentity) {
        let other = MockSite::start().await.unwrap();
        other.apply(&import(identity)).unwrap();
        let folder = TempDir::new().unwrap();
        other.install(MANAGER, folder.path(), true).unwrap();
        for file in files {
            fs::copy(folder.path().join(file), self.root(manager).join(file)).unwrap();
        }
        other.stop().await;
    }

    fn root(&self, manager: &str) -> PathBuf {
        self.folder.path().join(manager)
    }

    fn restart(&self, manager: &str, service: Option<Service>) {
        assert!(self.opened.lab.site.restart(manager, service));
    }
}

/// A self-signed certificate of an elliptic curve, and its key.
async fn elliptic_curve() -> (String, String) {
    let mut openssl = Process::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    openssl.args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "-"]);
    let output = tokio::task::spawn_blocking(move || output_of(&mut openssl, b"")).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (key, certificate) = text.split_at(text.find("-----BEGIN CERTIFICATE").unwrap());
    (certificate.to_owned(), key.to_owned())
}

/// A certificate with a key of 4096 bits.
async fn long_key() -> ServerIdentity {
    let mut openssl = Process::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:4096", "-nodes", "-days", "30000"]);
    openssl.args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "-"]);
    let output = tokio::task::spawn_blocking(move || output_of(&mut openssl, b"")).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (key, certificate) = text.split_at(text.find("-----BEGIN CERTIFICATE").unwrap());
    let file = |path, content: &'static str| ApacheFile { path, content: Some(content.as_bytes()) };
    let (key, certificate) = (key.to_owned().leak(), certificate.to_owned().leak());
    read_apache(file("server.crt", certificate), file("server.key", key), false).unwrap()
}

/// The files that a rotation tool replaces.
const FILES: [&str; 4] = [
    "tomcat/conf/server.xml",
    "tomcat/etc/keystore.jks",
    "apache/conf/ssl/server.crt",
    "apache/conf/ssl/server.key",
];

/// A validity from and until these numbers of days after the start.
fn validity(from: i64, until: i64) -> Validity {
    let day = |days: i64| Timestamp::from_millis(START.as_millis() + days * 86_400_000);
    Validity { not_before: day(from), not_after: day(until) }
}

fn three_managers() -> MockSiteBuilder {
    let third = ManagerPlan {
        name: "sepm-3".to_owned(),
        address: "127.0.0.1".to_owned(),
        http_port: 0,
        https_port: Some(0),
    };
    two_managers(MockSite::builder()).manager(third)
}

/// The codes of the failing findings, as in JSON.
fn failing(finding: &Finding) -> Vec<String> {
    let failing = finding.findings.iter().filter(|one| one.result == FindingResult::Fail);
    failing.map(|one| code(one.code)).collect()
}

fn code(code: RotationCode) -> String {
    serde_json::to_value(code).unwrap().as_str().unwrap().to_owned()
}

/// Runs on a lab that is prepared, and returns the judgement.
async fn judged(lab: &Lab, plan: Plan) -> Finding {
    lab.rotate(&plan).await;
    lab.judge(Rotation::default()).await
}

async fn judged_update(hand: Hand, update: Update) -> Finding {
    judged(&Lab::single(hand).await, Plan { update, ..Plan::default() }).await
}

fn rotating(managers: &[&str]) -> Rotation {
    let rotates: BTreeSet<String> = managers.iter().map(|&name| name.to_owned()).collect();
    Rotation { rotates: Some(rotates), ..Rotation::default() }
}
