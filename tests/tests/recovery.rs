//! S7 over real sockets: managers that are installed anew, with the right recovery file, a wrong one, or none.

use std::sync::LazyLock;

use epm_client_agent::agent::{Distrust, Health, Trouble};
use epm_protocol::id::AgentId;
use epm_protocol::site::{Command, Site};
use epm_tests::plays::{Played, Plays, assert_all_lost, assert_lost};
use epm_tests::{Lab, push};

const TLS: &str = "a (TLS certificate)";
const SECRET: &str = "c (shared secret)";
const OURS: &str = "recovery";
const THEIRS: &str = "recovery of another site";

/// All scenarios of disaster recovery, played once and at the same time.
static PLAYS: LazyLock<Plays> = LazyLock::new(|| Plays::of("recovery"));

fn played(scenario: &str) -> Played {
    PLAYS.of_scenario(scenario)
}

#[test]
fn s7_with_the_right_recovery_file_every_client_stays_with_or_without_the_database() {
    let played = played("recovery");
    let verdict = &played.verdict;
    assert!(verdict.is_well(), "{verdict:?}");
    assert_eq!(verdict.certificates.len(), 2, "no manager has shown another certificate");
    for step in &verdict.steps {
        for part in &step.holdings {
            let (clients, held) = (part.clients, [0, 1].map(|one| played.holds(part, one)));
            assert_eq!((part.connected, part.secure, held), (clients, clients, [clients; 2]), "{part:?}");
        }
    }
}

#[test]
fn s7_ignored_f15_with_the_secret_of_another_site_every_client_is_lost_by_the_secret() {
    let parts = ["desktop", "desktop-142", "laptop", "legacy"];
    assert_lost(&played("recovery-wrong-file").verdict, 2, SECRET, &parts);
}

#[test]
fn s7_ignored_f16_without_a_recovery_file_every_client_is_lost() {
    let parts = [("desktop", TLS), ("desktop-142", TLS), ("laptop", TLS), ("legacy", SECRET)];
    assert_all_lost(&played("recovery-none").verdict, 1, &parts);
}

#[tokio::test]
async fn s7_with_the_right_recovery_file_no_client_has_anything_to_say() {
    let lab = insured().await;
    let fleet = lab.fleet(vec![lab.client("client", "14.3"), lab.client("older", "14.2")]).await;
    let known = registered(&lab);
    for database in [true, false] {
        lab.apply(&reinstall(Some(OURS), Some(OURS), Some(OURS), database));
        assert_eq!(registered(&lab), if database { known.clone() } else { Vec::new() });
        for _ in 0..3 {
            lab.heartbeat(&fleet).await;
        }
        assert_eq!(registered(&lab), known, "whoever was forgotten has registered again");
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
    assert!(lab.site().seat(agent).is_some());
    lab.apply(&reinstall(Some(OURS), Some(THEIRS), Some(OURS), false));
    assert_eq!(lab.site().seat(agent), None, "the board is cleared with the registry");
    for _ in 0..3 {
        lab.heartbeat(&fleet).await;
    }
    let health = fleet.members()[0].handle.view().health;
    assert!(
        matches!(&health, Health::Orphaned { because: Distrust::Secret { status: 400 }, .. }),
        "{health:?}"
    );
    assert!(health.green_dot());
    assert!(registered(&lab).is_empty() && lab.site().seat(agent).is_none());
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
async fn insured() -> Lab {
    let lab = Lab::start().await;
    lab.apply(&Command::BackUp { recovery: OURS.to_owned() });
    lab.apply(&Command::BackUpAnotherSite { recovery: THEIRS.to_owned() });
    lab
}

fn reinstall(keystore: Option<&str>, secret: Option<&str>, domain: Option<&str>, database: bool) -> Command {
    let [keystore, secret, domain] = [keystore, secret, domain].map(|name| name.map(str::to_owned));
    Command::Reinstall { keystore, secret, domain, database }
}

fn registered(lab: &Lab) -> Vec<AgentId> {
    lab.site().look(|site: &Site| site.clients().map(|one| one.agent).collect())
}
