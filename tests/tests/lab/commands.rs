//! Commands of the console, from a site to its clients and back, over sockets.

use epm_client_agent::wire::{Fleet, Member};
use epm_protocol::assumption::Assumptions;
use epm_protocol::heartbeat::{CommandKind, CommandState};
use epm_protocol::id::{AgentId, CommandId};
use epm_protocol::site::agent_id;
use epm_server::MockSite;
use epm_tests::{TestSite, profile, push};

fn agent(member: &Member) -> AgentId {
    agent_id(profile(&member.name, "14.3").hardware_key)
}

fn agents(fleet: &Fleet) -> Vec<AgentId> {
    fleet.members().iter().map(agent).collect()
}

/// The state of a command at each of these clients.
fn states(lab: &TestSite, id: CommandId, agents: &[AgentId]) -> Vec<i64> {
    let given = lab.site().commanded(id).unwrap();
    let row = |agent: &AgentId| given.rows.iter().find(|row| row.agent == *agent).unwrap();
    agents.iter().map(|agent| row(agent).state.number()).collect()
}

#[tokio::test]
async fn a_client_is_quarantined_at_its_next_heartbeat_and_says_so_and_nobody_else_is() {
    let lab = TestSite::start().await;
    let fleet = lab.fleet(vec![lab.client("one", "14.3"), lab.client("two", "14.3")]).await;
    let both = agents(&fleet);
    let id = lab.site().command(CommandKind::Quarantine, &both[..1]);
    assert_eq!(states(&lab, id, &both[..1]), [0]);
    lab.heartbeat(&fleet).await;
    let quarantined = |n: usize| fleet.members()[n].handle.view().quarantined;
    assert_eq!((quarantined(0), quarantined(1)), (true, false));
    assert_eq!(states(&lab, id, &both[..1]), [3]);
    let row = lab.site().commanded(id).unwrap().rows[0].clone();
    assert_eq!((row.computer_name.as_str(), row.begun.is_some()), ("one", true));
    let told = |n: usize| lab.site().client_status(both[n]).unwrap().state.unwrap();
    assert!(told(0).quarantined && !told(1).quarantined);
    lab.site().command(CommandKind::EndQuarantine, &both);
    lab.heartbeat(&fleet).await;
    assert!(!quarantined(0) && !told(0).quarantined);
}

#[tokio::test]
async fn content_is_fetched_with_the_products_line_in_the_log_and_a_scan_takes_two_heartbeats() {
    let lab = TestSite::start().await;
    let fleet = lab.fleet(vec![lab.client("one", "14.3")]).await;
    let one = agents(&fleet);
    let (update, scan) = (
        lab.site().command(CommandKind::UpdateContent, &one),
        lab.site().command(CommandKind::FullScan, &one),
    );
    lab.heartbeat(&fleet).await;
    assert_eq!((states(&lab, update, &one), states(&lab, scan, &one)), (vec![3], vec![2]));
    let lines: Vec<_> = lab.log_of("one").into_iter().filter(|line| line.event.id() == 0x1207_030C).collect();
    assert_eq!(lines.len(), 1);
    assert_eq!(lab.site().client_status(one[0]).unwrap().state.unwrap().content, Some(lines[0].at));
    lab.heartbeat(&fleet).await;
    assert_eq!(states(&lab, scan, &one), [3]);
    let visits = lab.site().journal().records().len();
    lab.heartbeat(&fleet).await;
    assert_eq!(
        lab.site().journal().records().len(),
        visits + 1,
        "afterwards a heartbeat is one request again"
    );
}

#[tokio::test]
async fn a_restart_is_logged_and_completed_by_the_first_heartbeat_after_it() {
    let lab = TestSite::start().await;
    let fleet = lab.fleet(vec![lab.client("one", "14.3")]).await;
    let one = agents(&fleet);
    let id = lab.site().command(CommandKind::Restart, &one);
    lab.heartbeat(&fleet).await;
    lab.until(&fleet, "the restart", |_| states(&lab, id, &one) == [3]).await;
    let lines: Vec<u32> = lab.log_of("one").iter().map(|line| line.event.id()).collect();
    let restart = [0x1207_0204, 0x1207_0202];
    assert!(lines.windows(2).any(|two| two == restart), "{lines:X?}");
}

#[tokio::test]
async fn a_client_in_push_mode_is_told_at_once() {
    let lab = TestSite::start().await;
    lab.apply(&push());
    let fleet = lab.fleet(vec![lab.client("one", "14.3")]).await;
    lab.heartbeat(&fleet).await;
    lab.until(&fleet, "the held request", |members| members[0].handle.held().is_some()).await;
    let one = agents(&fleet);
    let id = lab.site().command(CommandKind::Quarantine, &one);
    lab.until(&fleet, "the quarantine", |members| members[0].handle.view().quarantined).await;
    lab.until(&fleet, "the next held request", |members| members[0].handle.held().is_some()).await;
    assert_eq!(states(&lab, id, &one), [3]);
}

#[tokio::test]
async fn a_command_that_is_cancelled_before_the_heartbeat_never_reaches_the_client() {
    let lab = TestSite::start().await;
    let fleet = lab.fleet(vec![lab.client("one", "14.3")]).await;
    let one = agents(&fleet);
    let id = lab.site().command(CommandKind::Quarantine, &one);
    assert_eq!(lab.site().cancel(id), Some(1));
    lab.heartbeat(&fleet).await;
    assert_eq!((states(&lab, id, &one), fleet.members()[0].handle.view().quarantined), (vec![5], false));
    let id = lab.site().command(CommandKind::Quarantine, &one);
    lab.heartbeat(&fleet).await;
    assert_eq!(lab.site().cancel(id), Some(0));
    assert_eq!(states(&lab, id, &one), [3]);
}

#[tokio::test]
async fn what_a_client_is_at_can_be_cancelled_where_that_is_assumed() {
    let assumptions = Assumptions { cancel_reaches_running_commands: true, ..Assumptions::default() };
    let lab = TestSite::of(MockSite::builder().assumptions(assumptions)).await;
    let fleet = lab.fleet(vec![lab.client("one", "14.3")]).await;
    let one = agents(&fleet);
    let id = lab.site().command(CommandKind::ActiveScan, &one);
    lab.heartbeat(&fleet).await;
    assert_eq!((states(&lab, id, &one), lab.site().cancel(id)), (vec![2], Some(1)));
    lab.heartbeat(&fleet).await;
    assert_eq!(states(&lab, id, &one), [CommandState::Cancelled.number()]);
}
