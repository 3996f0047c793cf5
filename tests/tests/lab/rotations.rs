//! The mistakes of `docs/rotation-mistakes.md`: each is made on a lab, and the judgement of the rotation fails with the
//! finding that the page names. What is done right passes.
//!
//! The clock stands, and is moved from heartbeat to heartbeat.

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

/// Makes a mistake by its name in the table, in this way, and returns the judgement.
async fn make(mistake: &str, hand: Hand) -> Finding {
    let named = |names: &[&str]| {
        let pool = KeyPool::of_faults(1);
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let request = CertificateRequest {
            common_name: "other".to_owned(),
            names,
            validity: validity(0, 300),
            serial: 99,
        };
        let certificate = issue(&pool.get(5), &request).unwrap();
        ServerIdentity::new(pool.get(5), certificate).unwrap()
    };
    match mistake {
        "does nothing" => Lab::single(hand).await.judge(Rotation::default()).await,
        "ignores that an upload is refused" => judged_update(hand, Update::Refused).await,
        "updates one store only" => judged_update(hand, Update::Good(Stores::Client)).await,
        "brings an expired certificate" => {
            judged_update(hand, Update::Of(identity_of(5, validity(-30, -1)))).await
        }
        "brings a certificate that is not yet valid" => {
            judged_update(hand, Update::Of(identity_of(5, validity(30, 300)))).await
        }
        "brings a certificate for another name" => {
            judged_update(hand, Update::Of(named(&["other.example"]))).await
        }
        "leaves the copied lists assigned" => {
            judged(&Lab::single(hand).await, Plan { restores_lists: false, ..Plan::default() }).await
        }
        "does not switch on again" => {
            judged(&Lab::single(hand).await, Plan { restores_switch: false, ..Plan::default() }).await
        }
        "forgets a group" => {
            judged(&Lab::single(hand).await, Plan { forgets: vec![(KIOSK, None)], ..Plan::default() }).await
        }
        "forgets a location" => {
            judged(&Lab::single(hand).await, Plan { forgets: vec![(BRANCH, Some(HOME))], ..Plan::default() })
                .await
        }
        "assigns copies that still speak HTTPS" => {
            judged(&Lab::single(hand).await, Plan { copies: Protocol::Https, ..Plan::default() }).await
        }
        "never switches off" => {
            let lab = Lab::single(hand).await;
            lab.renew(MANAGER).await;
            lab.beats(3).await;
            lab.judge(Rotation::default()).await
        }
        "does not wait" => {
            let lab = Lab::single(hand).await;
            lab.rotate(&Plan { waits: [false, false, true], ..Plan::default() }).await;
            lab.judge(Rotation::default()).await
        }
        "does not wait before it switches on" => {
            let lab = Lab::single(hand).await;
            lab.rotate(&Plan { waits: [true, false, true], ..Plan::default() }).await;
            lab.judge(Rotation::default()).await
        }
        "leaves a client behind that was off" => {
            let lab = Lab::single(hand).await;
            lab.act("desk-2", ClientOperation::Offline).await;
            judged(&lab, Plan::default()).await
        }
        "forgets the last of three managers" => {
            let lab = Lab::several(three_managers(), hand).await;
            for manager in ["sepm-1", "sepm-2"] {
                lab.renew(manager).await;
                lab.beats(6).await;
            }
            lab.judge(Rotation::default()).await
        }
        "updates a manager that should keep its certificate" => {
            let lab = Lab::several(two_managers(MockSite::builder()), hand).await;
            for manager in ["sepm-1", "sepm-2"] {
                lab.renew(manager).await;
                lab.beats(6).await;
            }
            lab.judge(rotating(&["sepm-1"])).await
        }
        "updates the second manager too early" => {
            let lab = Lab::several(two_managers(MockSite::builder()), hand).await;
            lab.renew("sepm-1").await;
            lab.renew("sepm-2").await;
            lab.beats(3).await;
            lab.judge(Rotation::default()).await
        }
        "forgets the clients of 14.2" => {
            let lab = Lab::several(two_managers(MockSite::builder()), hand).await;
            lab.part("old", 1, "14.2", DEFAULT_GROUP, None).await;
            lab.opened.lab.take_start().await;
            for manager in ["sepm-1", "sepm-2"] {
                lab.renew(manager).await;
                lab.beats(6).await;
            }
            lab.judge(Rotation::default()).await
        }
        "waits for too few heartbeats" => {
            let lab = Lab::single(hand).await;
            lab.rotate(&Plan { waits: [false; 3], ..Plan::default() }).await;
            lab.beats(3).await;
            lab.judge(Rotation { least_heartbeats: Some(3), ..Rotation::default() }).await
        }
        "switches off although clients must always authenticate" => {
            let lab = Lab::single(hand).await;
            lab.rotate(&Plan::default()).await;
            lab.judge(Rotation { never_insecure: true, ..Rotation::default() }).await
        }
        "does not wait at the end" => {
            judged(&Lab::single(hand).await, Plan { waits: [true, true, false], ..Plan::default() }).await
        }
        "orphans a client that is off at the baseline and at the judgement" => {
            let lab = Lab::single(hand).await;
            lab.act("desk-2", ClientOperation::Offline).await;
            lab.opened.lab.take_start().await;
            lab.rotate(&Plan::default()).await;
            lab.act("desk-2", ClientOperation::Online).await;
            lab.beats(2).await;
            lab.act("desk-2", ClientOperation::Offline).await;
            lab.judge(Rotation::default()).await
        }
        "moves a client that is off to another group" => {
            let lab = Lab::single(hand).await;
            lab.act("desk-2", ClientOperation::Offline).await;
            lab.act("desk-2", ClientOperation::Move { group: KIOSK.to_owned() }).await;
            lab.judge(Rotation::default()).await
        }
        "leaves a client that is off in a new group over HTTP" => {
            let lab = Lab::single(hand).await;
            let temporary = r"My Company\Temporary";
            lab.apply(&Command::AddGroup { group: temporary.into(), inherits: false });
            lab.apply(&Command::CopyList { from: DEFAULT_LIST.into(), to: "HTTP".into() });
            lab.edit("HTTP", Some(Protocol::Http), None);
            lab.assign("HTTP", temporary, None);
            lab.act("desk-2", ClientOperation::Offline).await;
            lab.act("desk-2", ClientOperation::Move { group: temporary.to_owned() }).await;
            lab.judge(Rotation::default()).await
        }
        "puts back a certificate from before the baseline" => {
            let lab = Lab::single(hand).await;
            let first = lab.opened.lab.site.look(|site| site.managers().next().unwrap().client.clone());
            lab.rotate(&Plan::default()).await;
            lab.opened.lab.take_start().await;
            lab.update(MANAGER, &Update::Of(first)).await;
            lab.judge(Rotation::default()).await
        }
        "brings a key that is too long for the console" => {
            judged_update(hand, Update::Of(long_key().await)).await
        }
        "leaves replication stopped" => {
            let lab = Lab::several(two_managers(MockSite::builder()), hand).await;
            lab.apply(&Command::BreakReplication { manager: "sepm-2".into() });
            lab.judge(Rotation::default()).await
        }
        "leaves the download of policies off" => {
            let lab = Lab::single(hand).await;
            let change =
                CommunicationChange { download_profile: Some(false), ..CommunicationChange::default() };
            lab.apply(&Command::SetCommunication { group: TOP_GROUP.into(), location: None, change });
            lab.judge(Rotation::default()).await
        }
        "leaves a client without heartbeats" => {
            let lab = Lab::single(hand).await;
            lab.rotate(&Plan::default()).await;
            lab.act("desk-1", ClientOperation::Freeze).await;
            lab.opened.lab.advance(DAY).await.unwrap();
            lab.judge(Rotation::default()).await
        }
        _ => {
            assert_eq!(hand, Hand::Files, "unknown mistake: {mistake}");
            make_by_files(mistake).await
        }
    }
}

async fn make_by_files(mistake: &str) -> Finding {
    let lab = Lab::single(Hand::Files).await;
    let other = lab.another();
    match mistake {
        "replaces files and restarts nothing" => lab.replace_files(MANAGER, &FILES, &other).await,
        "restarts one service only, so that one of two ports keeps its certificate" => {
            // The switch is off before, as it should be.
            lab.rotate(&Plan { update: Update::Nothing, restores_switch: false, ..Plan::default() }).await;
            lab.replace_files(MANAGER, &FILES, &other).await;
            lab.restart(MANAGER, Some(Service::Semsrv));
            lab.beats(3).await;
        }
        "replaces the files of one service only" => {
            lab.replace_files(MANAGER, &FILES[..2], &other).await;
            lab.restart(MANAGER, None);
        }
        "leaves a service that does not start" => {
            lab.rotate(&Plan::default()).await;
            fs::write(lab.root(MANAGER).join("tomcat/etc/keystore.jks"), "no keystore").unwrap();
            lab.restart(MANAGER, Some(Service::Semsrv));
        }
        other => panic!("unknown mistake: {other}"),
    }
    lab.judge(Rotation::default()).await
}

fn rotating(managers: &[&str]) -> Rotation {
    let rotates: BTreeSet<String> = managers.iter().map(|&name| name.to_owned()).collect();
    Rotation { rotates: Some(rotates), ..Rotation::default() }
}

/// The rows of the table on the page: a mistake and a way in which it can be made, with the code of its finding.
fn table(hand: Hand) -> BTreeMap<String, String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rotation-mistakes.md");
    let page = fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.map(|row| row.split(" | ").map(str::to_owned).collect::<Vec<_>>());
    let cells = cells.filter(|cells| cells.len() == 4 && cells[1].starts_with('`'));
    let column = if hand == Hand::Api { 2 } else { 3 };
    let cells = cells.filter(|cells| cells[column].starts_with("yes"));
    cells.map(|cells| (cells[0].clone(), cells[1].trim_matches('`').to_owned())).collect()
}

async fn each_fails_with_its_finding(hand: Hand) {
    let table = table(hand);
    assert!(table.len() >= 20, "{table:?}");
    let mut wrong = Vec::new();
    // At the same time: each has a lab of its own, and waits for the disk where it is made by files.
    let all = table.into_iter().map(|(mistake, expected)| async move {
        let finding = make(&mistake, hand).await;
        (mistake, expected, finding)
    });
    for (mistake, expected, finding) in all.collect::<JoinSet<_>>().join_all().await {
        let failing = failing(&finding);
        println!("{mistake}: {failing:?}");
        if !failing.contains(&expected) || finding.result != FindingResult::Fail {
            let detail = serde_json::to_string_pretty(&finding).unwrap();
            wrong.push(format!("{mistake}: expected {expected}, found {failing:?}\n{detail}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[needs(curl, openssl)]
#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_of_the_page_fails_with_its_finding() {
    each_fails_with_its_finding(Hand::Api).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_that_can_be_made_by_files_fails_with_its_finding_too() {
    each_fails_with_its_finding(Hand::Files).await;
}

#[test]
fn the_page_names_every_code() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rotation-mistakes.md");
    let page = fs::read_to_string(page).unwrap();
    let missing: Vec<String> = RotationCode::ALL
        .iter()
        .map(|one| format!("`{}`", code(*one)))
        .filter(|one| !page.contains(one.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_right_passes_by_api_and_by_files() {
    for hand in [Hand::Api, Hand::Files] {
        what_is_done_right_passes(&Lab::single(hand).await).await;
    }
}

async fn what_is_done_right_passes(lab: &Lab) {
    let finding = judged(lab, Plan::default()).await;
    assert_eq!(finding.result, FindingResult::Pass, "{finding:#?}");
    assert!(
        finding.notes.iter().any(|note| note.contains("lists that are left over")),
        "{:?}",
        finding.notes
    );
    assert!(finding.notes.iter().any(|note| note.starts_with("without authentication: My Company: ")));
    // The judgement dials the ports, and turns no client away by that.
    let turned_away = lab.opened.lab.find(vec![Expectation::NoClientWasTurnedAway]).await.remove(0);
    assert_eq!(turned_away.result, FindingResult::Pass, "{turned_away:#?}");
    let demanding = Rotation { least_heartbeats: Some(3), ..Rotation::default() };
    let finding = lab.judge(demanding).await;
    assert_eq!(finding.result, FindingResult::Pass, "{finding:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_manager_after_the_other_passes_and_one_that_is_kept_on_purpose() {
    for hand in [Hand::Api, Hand::Files] {
        one_after_the_other_passes(&Lab::several(three_managers(), hand).await).await;
    }
}

async fn one_after_the_other_passes(lab: &Lab) {
    for manager in ["sepm-1", "sepm-2"] {
        lab.renew(manager).await;
        lab.beats(6).await;
    }
    let finding = lab.judge(Rotation { never_insecure: true, ..rotating(&["sepm-1", "sepm-2"]) }).await;
    assert_eq!(finding.result, FindingResult::Pass, "{finding:#?}");
    lab.renew("sepm-3").await;
    lab.beats(6).await;
    let finding = lab.judge(Rotation { never_insecure: true, ..Rotation::default() }).await;
    assert_eq!(finding.result, FindingResult::Pass, "{finding:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_left_behind_on_purpose_fails_nothing() {
    let lab = Lab::single(Hand::Api).await;
    lab.act("desk-2", ClientOperation::Offline).await;
    lab.rotate(&Plan::default()).await;
    let left_behind = BTreeSet::from(["desk-2".to_owned()]);
    let finding = lab.judge(Rotation { left_behind, ..Rotation::default() }).await;
    assert_eq!(finding.result, FindingResult::Pass, "{finding:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_insecure_before_the_baseline_is_noted() {
    let lab = Lab::single(Hand::Api).await;
    lab.apply(&Command::SetSecureCommunications { group: KIOSK.into(), on: false });
    lab.opened.lab.take_start().await;
    lab.rotate(&Plan { restores_switch: false, ..Plan::default() }).await;
    let finding = lab.judge(Rotation::default()).await;
    let noted = format!("{KIOSK}: secure communications were on before, and off already at the baseline");
    assert!(finding.notes.contains(&noted), "{:?}", finding.notes);
    assert!(!finding.notes.iter().any(|note| note.contains("assumptions")), "{:?}", finding.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn healing_does_not_undo_an_orphaning() {
    let lab = Lab::single(Hand::Api).await;
    let before = lab.opened.lab.site.look(|site| site.managers().next().unwrap().client.clone());
    lab.renew(MANAGER).await;
    lab.beats(1).await;
    lab.apply(&import(&before));
    lab.beats(3).await;
    lab.rotate(&Plan::default()).await;
    assert_eq!(lab.opened.lab.verdict().await.well, Some(true));
    let finding = lab.judge(Rotation::default()).await;
    assert_eq!(failing(&finding), ["switch-left-on"], "{finding:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_watched_is_unknown_and_never_passes() {
    let lab = Lab::single(Hand::Api).await;
    lab.opened.lab.take_snapshot("before").await.unwrap();
    lab.rotate(&Plan::default()).await;
    assert_eq!(lab.judge(Rotation::default()).await.result, FindingResult::Pass);
    // A client of another process is registered, and the lab does not see it.
    let site = &lab.opened.lab.site;
    let profile = epm_tests::profile("elsewhere", "14.3");
    lab.apply(&Command::Register(epm_protocol::heartbeat::Registration {
        domain: site.look(epm_protocol::site::Site::domain),
        hardware_key: profile.hardware_key,
        computer_name: profile.computer_name,
        version: profile.version,
        preferred_group: None,
    }));
    let finding = lab.judge(Rotation::default()).await;
    assert_eq!(finding.result, FindingResult::Unknown, "{finding:#?}");
    let left_behind = BTreeSet::from(["elsewhere".to_owned()]);
    let finding = lab.judge(Rotation { left_behind, ..Rotation::default() }).await;
    assert_eq!(finding.result, FindingResult::Pass, "{finding:#?}");
    // Ports that cannot be dialled present nothing, whatever the stores hold.
    let closed = Lab::single(Hand::Api).await;
    closed.rotate(&Plan::default()).await;
    closed.opened.lab.site.stop().await;
    let finding = closed.judge(Rotation::default()).await;
    let new = finding.findings.iter().find(|one| one.code == RotationCode::CertificateNew).unwrap();
    assert_eq!(new.result, FindingResult::Unknown, "{new:#?}");
    assert!(new.counter_examples[0].starts_with("sepm-1: no handshake with the clients' port: "), "{new:#?}");
    // A restored snapshot ends the history that the judgement needs.
    lab.opened.lab.restore_snapshot("before").await.unwrap();
    lab.beats(1).await;
    lab.rotate(&Plan { restores_lists: true, ..Plan::default() }).await;
    let finding = lab.judge(Rotation::default()).await;
    assert_eq!(finding.result, FindingResult::Unknown, "{finding:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verdict_is_not_well_while_a_service_is_down_a_file_waits_or_a_client_is_silent() {
    let lab = Lab::single(Hand::Files).await;
    assert_eq!(lab.opened.lab.verdict().await.well, Some(true));
    lab.replace_files(MANAGER, &FILES[2..], &lab.another()).await;
    let verdict = lab.opened.lab.verdict().await;
    assert_eq!(verdict.well, Some(false));
    let unread =
        BTreeMap::from([(MANAGER.to_owned(), FILES[2..].iter().map(|&one| one.to_owned()).collect())]);
    assert_eq!(verdict.files_unread, Some(unread));

    let lab = Lab::single(Hand::Files).await;
    fs::write(lab.root(MANAGER).join("apache/conf/ssl/server.key"), "no key").unwrap();
    lab.restart(MANAGER, Some(Service::Semwebsrv));
    let verdict = lab.opened.lab.verdict().await;
    assert_eq!(verdict.well, Some(false));
    let down = BTreeMap::from([(MANAGER.to_owned(), vec!["semwebsrv".to_owned()])]);
    assert_eq!((verdict.services_down, verdict.files_unread), (Some(down), Some(BTreeMap::new())));

    let lab = Lab::single(Hand::Api).await;
    lab.act("desk-1", ClientOperation::Freeze).await;
    lab.act("desk-2", ClientOperation::Offline).await;
    lab.opened.lab.advance(Duration::from_secs(600)).await.unwrap();
    assert_eq!(lab.opened.lab.verdict().await.well, Some(true), "two intervals");
    lab.opened.lab.advance(Duration::from_secs(400)).await.unwrap();
    let verdict = lab.opened.lab.verdict().await;
    assert_eq!(verdict.well, Some(false));
    assert_eq!(verdict.silent, ["desk-1"]);
    let served = lab.opened.lab.find(vec![Expectation::EveryClientIsServed]).await.remove(0);
    assert_eq!(served.counter_examples, ["desk-1: it had no heartbeat for three intervals"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_next_heartbeat_lies_hours_ahead_plans_anew_and_goes_on() {
    let lab = Lab::single(Hand::Api).await;
    let (lab, clock) = (&lab.opened.lab, lab.opened.lab.clock());
    clock.set_speed(100);
    // Past the lab, which would have told its clients.
    clock.set(clock.now() - Duration::from_secs(3 * 3600));
    lab.pass_heartbeats(2, Duration::from_secs(60)).await.unwrap();
    assert_eq!(lab.verdict().await.silent, Vec::<String>::new());
}

/// Reads a JUnit file as a build server does: name, and kind of the failure or error, of each case.
const READER: &str = r#"
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.stdin).getroot()
for suite in root.iter("testsuite"):
    cases = suite.findall("testcase")
    counted = [len([c for c in cases if c.find(kind) is not None]) for kind in ("failure", "error")]
    assert [int(suite.get(name)) for name in ("tests", "failures", "errors")] == [len(cases), *counted]
    for case in cases:
        bad = [child.get("type") for child in case if child.tag in ("failure", "error")]
        print(case.get("name"), "|", *bad)
"#;

/// The cases of a JUnit file.
async fn cases(xml: Value) -> Vec<String> {
    let xml = xml.as_str().expect("not JSON").to_owned();
    let mut reader = Process::new("python3");
    reader.args(["-c", READER]);
    let reading = tokio::task::spawn_blocking(move || output_of(&mut reader, xml.as_bytes()));
    let output = reading.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[needs(curl, python3)]
#[tokio::test(flavor = "multi_thread")]
async fn junit_has_a_case_for_each_finding_and_the_verdict_alone_has_cases_too() {
    let lab = Lab::single(Hand::Api).await;
    lab.renew(MANAGER).await;
    lab.beats(1).await;
    let rotation = json!([{ "expect": "rotation" }]);
    let rotated = cases(lab.opened.post("/v1/expectations?format=junit", rotation).await).await;
    assert_eq!(rotated.len(), RotationCode::ALL.len() - 2, "{rotated:#?}");
    let title = RotationCode::SwitchLeftOn.title();
    assert!(rotated.contains(&format!("{title} | switch-left-on")), "{rotated:#?}");
    assert!(rotated.contains(&"every manager that rotates presents a new certificate |".to_owned()));

    let verdict = cases(lab.opened.get("/v1/verdict?format=junit").await).await;
    assert_eq!(verdict.len(), 6, "{verdict:#?}");
    assert_eq!(verdict[0], "no client is orphaned | orphaned");
    assert!(verdict[1..].iter().all(|case| case.ends_with(" |")), "{verdict:#?}");

    let certificate = lab.opened.lab.site.certificate(MANAGER).unwrap().fingerprint().to_string();
    let holds = json!([{ "expect": "every-client-holds", "fingerprint": certificate }]);
    let found = cases(lab.opened.post("/v1/expectations?format=junit", holds).await).await;
    assert_eq!(found, ["every client holds the certificate | expectation"]);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn baselines_are_taken_shown_and_removed_and_an_unknown_one_is_named() {
    let lab = Opened::with_clients(1).await;
    let taken = lab.put("/v1/baselines/before", json!({})).await;
    assert_eq!(taken["clients"]["desk-1"]["served"], true);
    assert_eq!(lab.get("/v1/baselines/before").await, taken);
    let names = |all: &Value| -> Vec<String> {
        all.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&lab.get("/v1/baselines").await), ["before", "start"]);
    for (rotation, expected) in [
        (json!([{ "expect": "rotation", "since": "never" }]), 404),
        (json!([{ "expect": "rotation", "rotates": ["sepm-9"] }]), 422),
        (json!([{ "expect": "rotation", "left_behind": ["missing-1"] }]), 422),
    ] {
        let (status, _, text) = lab.ask("POST", "/v1/expectations", Some(&rotation.to_string())).await;
        assert_eq!(status, expected, "{text}");
    }
    lab.well("DELETE", "/v1/baselines/before", None).await;
    assert_eq!(lab.ask("GET", "/v1/baselines/before", None).await.0, 404);
    lab.put("/v1/managers/sepm-1/certificate/careless", json!({})).await;
    lab.post("/v1/reset", json!({})).await;
    let found = lab.post("/v1/expectations", json!([{ "expect": "rotation" }])).await;
    assert_eq!(found["expectations"][0]["findings"][0]["code"], "certificate-new");
    assert_eq!(found["result"], "fail", "after a reset, the baseline is that of the start again");
}
