//! P7 over real sockets: managers that are installed anew, with the right recovery file, a wrong one, or none.

use std::path::Path;
use std::sync::Arc;

use epm_client_agent::agent::{Distrust, Health, Trouble, TrustLayer};
use epm_client_agent::wire::{Fleet, MemberSpec};
use epm_protocol::id::AgentId;
use epm_protocol::installation::RecoverySettings;
use epm_protocol::site::{Command, NewCertificate, Site, Stores};
use epm_protocol::trust::Kcs;
use epm_server::{MockSite, RecoveryFile, read_recovery};
use epm_tests::scenario_runs::{assert_all_orphaned, assert_orphaned, played};
use epm_tests::{DEFAULT_LIST, MANAGER, TestSite, edit_list, push};
use tempfile::TempDir;

const TLS: TrustLayer = TrustLayer::Tls;
const SECRET: TrustLayer = TrustLayer::SharedSecret;
const OURS: &str = "recovery";
const THEIRS: &str = "recovery of another site";

#[test]
fn p7_with_the_right_recovery_file_every_client_stays_with_or_without_the_database() {
    let played = played("recovery");
    let verdict = &played.verdict;
    assert_eq!(verdict.well, Some(true), "{verdict:?}");
    assert_eq!(verdict.certificate_history.len(), 2, "no manager has shown another certificate");
    for step in &verdict.steps {
        for part in &step.holdings {
            let (clients, held) = (part.clients, [0, 1].map(|one| played.holds(part, one)));
            assert_eq!((part.connected, part.secure, held), (clients, clients, [clients; 2]), "{part:?}");
        }
    }
}

#[test]
fn p7_ignored_f15_with_the_secret_of_another_site_every_client_is_lost_by_the_secret() {
    let parts = ["desktop", "desktop-142", "laptop", "legacy"];
    assert_orphaned(&played("recovery-wrong-file").verdict, 2, SECRET, &parts);
}

#[test]
fn p7_ignored_f16_without_a_recovery_file_every_client_is_lost() {
    let parts = [("desktop", TLS), ("desktop-142", TLS), ("laptop", TLS), ("legacy", SECRET)];
    assert_all_orphaned(&played("recovery-none").verdict, 1, &parts);
}

#[tokio::test]
async fn p7_with_the_right_recovery_file_no_client_has_anything_to_say() {
    let lab = insured().await;
    let fleet = lab.fleet(vec![lab.client("client", "14.3"), lab.client("older", "14.2")]).await;
    let known = registered(&lab);
    for database in [true, false] {
        lab.apply(&reinstall(Some(OURS), Some(OURS), Some(OURS), database));
        assert_eq!(registered(&lab), if database { known.clone() } else { Vec::new() });
        for _ in 0..3 {
            lab.heartbeat(&fleet).await;
        }
        assert_eq!(registered(&lab), known, "all forgotten clients have registered again");
        for member in fleet.members() {
            let view = member.handle.view();
            assert!(view.health.is_connected());
            assert_eq!(view.heartbeats_served, view.heartbeats, "every heartbeat was served");
            let bad = lab.log_of(&member.name).into_iter().find(|line| line.event.severity() > 0);
            assert_eq!(bad, None, "no warning and no error in its log");
        }
    }
}

#[tokio::test]
async fn f15_with_the_secret_of_another_site_the_dot_is_green_and_the_console_does_not_have_the_client() {
    let lab = insured().await;
    let fleet = lab.fleet(vec![lab.client("client", "14.3")]).await;
    let agent = registered(&lab)[0];
    assert!(lab.site().client_status(agent).is_some());
    lab.apply(&reinstall(Some(OURS), Some(THEIRS), Some(OURS), false));
    assert_eq!(lab.site().client_status(agent), None, "the board is cleared with the registry");
    for _ in 0..3 {
        lab.heartbeat(&fleet).await;
    }
    let health = fleet.members()[0].handle.view().health;
    assert!(
        matches!(&health, Health::Orphaned { because: Distrust::SharedSecret { status: 400 }, .. }),
        "{health:?}"
    );
    assert!(health.green_dot());
    assert!(registered(&lab).is_empty() && lab.site().client_status(agent).is_none());
    let log = lab.site().journal().server_log();
    assert_eq!(
        log.iter().filter(|line| *line == "4 Bad format.").count(),
        3,
        "one for each heartbeat: {log:?}"
    );
}

#[tokio::test]
async fn f17_in_a_new_domain_a_forgotten_client_is_believed_and_believes_but_registers_nowhere() {
    let lab = insured().await;
    let fleet = lab.fleet(vec![lab.client("client", "14.3")]).await;
    lab.apply(&reinstall(Some(OURS), Some(OURS), None, false));
    lab.heartbeat(&fleet).await;
    match fleet.members()[0].handle.view().health {
        Health::Disconnected { because: Trouble::Status { status: 401, request }, .. } => {
            assert_eq!(request, "the registration");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(registered(&lab), []);
}

#[tokio::test]
async fn a_restart_of_the_services_ends_open_connections_and_no_ticket_of_before_is_good() {
    let lab = insured().await;
    lab.apply(&push());
    let fleet = lab.fleet(vec![lab.client("client", "14.3")]).await;
    let member = &fleet.members()[0].handle;
    assert_eq!((member.handshakes().full(), member.handshakes().resumed()), (1, 0));
    lab.apply(&reinstall(Some(OURS), Some(OURS), Some(OURS), true));
    lab.heartbeat(&fleet).await;
    assert!(member.view().health.is_connected());
    assert_eq!((member.handshakes().full(), member.handshakes().resumed()), (2, 0));
}

/// A lab with two recovery files, its own and that of another site.
async fn insured() -> TestSite {
    let lab = TestSite::start().await;
    lab.apply(&Command::BackUp { recovery: OURS.to_owned() });
    lab.apply(&Command::BackUpAnotherSite { recovery: THEIRS.to_owned() });
    lab
}

fn reinstall(keystore: Option<&str>, secret: Option<&str>, domain: Option<&str>, database: bool) -> Command {
    let [keystore, secret, domain] = [keystore, secret, domain].map(|name| name.map(str::to_owned));
    Command::Reinstall { keystore, secret, domain, database }
}

fn registered(lab: &TestSite) -> Vec<AgentId> {
    lab.site().look(|site: &Site| site.clients().map(|one| one.agent).collect())
}

// ------------------------------------------------------------------------- a manager that is installed anew, with files

const LEGACY: &str = r"My Company\Legacy";
/// The folder of a manager's recovery zips.
const BACKUPS: &str = "Server Private Key Backup";

/// A site whose manager has a folder, with a client that speaks HTTPS and one that speaks HTTP and verifies nothing.
struct Old {
    lab: TestSite,
    fleet: Fleet,
    folder: TempDir,
    file: RecoveryFile,
    port: u16,
}

async fn old() -> Old {
    let folder = tempfile::tempdir().unwrap();
    let lab = TestSite::start().await;
    lab.site().install(MANAGER, &folder.path().join("old"), true).unwrap();
    lab.apply(&Command::AddGroup { group: LEGACY.to_owned(), inherits: false });
    lab.apply(&Command::CopyList { from: DEFAULT_LIST.to_owned(), to: "HTTP".to_owned() });
    lab.apply(&edit_list("HTTP"));
    lab.apply(&Command::AssignList { list: "HTTP".to_owned(), group: LEGACY.to_owned(), location: None });
    lab.apply(&Command::SetSecureCommunications { group: LEGACY.to_owned(), on: false });
    let legacy = Arc::new(lab.site().export_sylink(LEGACY, None).unwrap());
    let legacy = MemberSpec { sylink: legacy, ..lab.client("legacy", "14.3") };
    let fleet = lab.fleet(vec![lab.client("client", "14.3"), legacy]).await;
    lab.heartbeat(&fleet).await;
    let file = newest(&folder.path().join("old"));
    let port = lab.socket().port();
    Old { lab, fleet, folder, file, port }
}

/// The newest recovery zip in a manager's folder.
fn newest(root: &Path) -> RecoveryFile {
    let zip = std::fs::read_dir(root.join(BACKUPS)).unwrap().map(|one| one.unwrap().path()).max().unwrap();
    read_recovery("it", &std::fs::read(zip).unwrap()).unwrap()
}

/// A recovery zip of a manager with this content.
async fn zip_of(file: &RecoveryFile) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let site = MockSite::builder().seed(31).start().await.unwrap();
    site.restore(MANAGER, file, false).unwrap();
    site.install(MANAGER, folder.path(), true).unwrap();
    site.stop().await;
    let zip = std::fs::read_dir(folder.path().join(BACKUPS)).unwrap().next().unwrap().unwrap().path();
    std::fs::read(zip).unwrap()
}

impl Old {
    /// Reinstalls the lost manager on the same port, in a folder that is empty or contains this zip.
    async fn installed_anew(&mut self, zip: Option<&[u8]>) {
        self.lab.cut().await;
        self.lab.found_again(MockSite::builder().seed(99), self.port).await;
        let root = self.folder.path().join("new");
        if let Some(zip) = zip {
            std::fs::create_dir_all(root.join(BACKUPS)).unwrap();
            std::fs::write(root.join(BACKUPS).join("recovery_2026-01-05-07-00-00.zip"), zip).unwrap();
        }
        self.lab.site().install(MANAGER, &root, false).unwrap();
        for _ in 0..3 {
            self.lab.heartbeat(&self.fleet).await;
        }
    }

    fn health(&self) -> [Health; 2] {
        [0, 1].map(|place: usize| self.fleet.members()[place].handle.view().health)
    }

    fn registration_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("new/data/inbox/log/ersecreg.log")).unwrap()
    }
}

fn layer(health: &Health) -> Option<TrustLayer> {
    health.orphaned().map(|(_, because)| because.layer())
}

#[tokio::test]
async fn p7_a_manager_whose_folder_holds_the_right_zip_comes_back_and_no_client_notices() {
    let mut old = old().await;
    let zip = zip_of(&old.file).await;
    let before = old.lab.log_of("client").len() + old.lab.log_of("legacy").len();
    old.installed_anew(Some(&zip)).await;
    for member in old.fleet.members() {
        let view = member.handle.view();
        assert!(view.health.is_connected(), "{:?}", view.health);
        assert_eq!(view.heartbeats_served, view.heartbeats, "every heartbeat was served");
        let bad = old.lab.log_of(&member.name).into_iter().find(|line| line.event.severity() > 0);
        assert_eq!(bad, None, "no warning and no error in its log");
    }
    assert!(old.lab.log_of("client").len() + old.lab.log_of("legacy").len() > before);
    assert_eq!(registered(&old.lab).len(), 2);
    let site = old.lab.site();
    assert_eq!(site.kcs(), old.file.settings.secret);
    assert_eq!(newest(&old.folder.path().join("new")).settings, old.file.settings);
    assert!(!old.registration_log().contains("FAILED"), "{}", old.registration_log());
}

#[tokio::test]
async fn f15_with_the_zip_of_another_site_the_secret_is_another_and_nobody_is_registered() {
    // The certificate is the old one, the secret that of another site.
    let mut old = old().await;
    let settings = RecoverySettings { secret: Kcs::derive(4711), domain: old.file.settings.domain };
    let zip = zip_of(&RecoveryFile { settings, ..old.file.clone() }).await;
    old.installed_anew(Some(&zip)).await;
    for health in old.health() {
        assert_eq!(layer(&health), Some(SECRET), "{health:?}");
        assert!(health.green_dot());
    }
    assert!(registered(&old.lab).is_empty());
    let log = old.registration_log();
    assert!(log.contains("4 Bad format.\n<127.0.0.1>--FAILED\n"), "{log}");
}

#[tokio::test]
async fn f15_with_a_zip_that_is_of_another_site_altogether_who_looks_at_certificates_is_lost_by_them_first() {
    let mut old = old().await;
    let folder = tempfile::tempdir().unwrap();
    let other = MockSite::builder().seed(5).start().await.unwrap();
    let update = NewCertificate::Generate { common_name: Some("another".to_owned()), valid_days: None };
    let manager = MANAGER.to_owned();
    other.apply(&Command::UpdateCertificate { manager, certificate: update, stores: Stores::Both }).unwrap();
    other.install(MANAGER, folder.path(), true).unwrap();
    let zip = zip_of(&newest(folder.path())).await;
    old.installed_anew(Some(&zip)).await;
    let [client, legacy] = old.health();
    assert_eq!((layer(&client), layer(&legacy)), (Some(TLS), Some(SECRET)), "{client:?} {legacy:?}");
    assert!(legacy.green_dot() && registered(&old.lab).is_empty());
}

#[tokio::test]
async fn f16_in_an_empty_folder_all_is_new_and_everybody_is_lost() {
    let mut old = old().await;
    old.installed_anew(None).await;
    let [client, legacy] = old.health();
    assert_eq!((layer(&client), layer(&legacy)), (Some(TLS), Some(SECRET)), "{client:?} {legacy:?}");
    let now = newest(&old.folder.path().join("new"));
    assert_ne!(now.settings.secret, old.file.settings.secret);
    assert_ne!(now.settings.domain, old.file.settings.domain);
    assert!(registered(&old.lab).is_empty());
}

#[tokio::test]
async fn f17_with_a_zip_that_names_another_domain_clients_believe_and_register_nowhere() {
    let mut old = old().await;
    let domain = "0123456789ABCDEF0123456789ABCDEF".parse().unwrap();
    let settings = RecoverySettings { secret: old.file.settings.secret.clone(), domain };
    let zip = zip_of(&RecoveryFile { settings, ..old.file.clone() }).await;
    old.installed_anew(Some(&zip)).await;
    for health in old.health() {
        match health {
            Health::Disconnected { because: Trouble::Status { status: 401, request }, .. } => {
                assert_eq!(request, "the registration");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(registered(&old.lab), []);
    assert!(!old.registration_log().contains("FAILED"), "the secret fits");
}

#[tokio::test]
async fn a_zip_that_cannot_be_used_is_no_reason_to_lose_every_client() {
    let site = MockSite::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join(BACKUPS)).unwrap();
    let zip = folder.path().join(BACKUPS).join("recovery_2026-01-05-07-00-00.zip");
    std::fs::write(&zip, b"PK\x03\x04 torn").unwrap();
    let refused = site.install(MANAGER, folder.path(), false).unwrap_err().to_string();
    assert!(refused.contains("recovery_2026-01-05-07-00-00.zip"), "{refused}");
    assert!(!folder.path().join("tomcat").exists(), "nothing was laid out");
    // If a manager is installed already, it takes the next newest, and the log says so.
    std::fs::remove_file(&zip).unwrap();
    site.install(MANAGER, folder.path(), false).unwrap();
    std::fs::write(folder.path().join(BACKUPS).join("recovery_9999-01-01-00-00-00.zip"), b"torn").unwrap();
    site.stop().await;
    let again = MockSite::builder().seed(12).start().await.unwrap();
    again.install(MANAGER, folder.path(), false).unwrap();
    assert_eq!(again.kcs(), site.kcs());
    let log = std::fs::read_to_string(folder.path().join("tomcat/logs/scm-server-0.log")).unwrap();
    assert!(log.contains("WARNING") && log.contains("recovery_9999-01-01-00-00-00.zip"), "{log}");
}
