//! Heartbeats of a running lab's clients are spread over the interval: in a given time, a change reaches the share of the
//! clients that this time is of the interval, whatever was done to the lab before.

use std::time::Duration;

use epm_client_agent::scenario::presence::{MostlyOff, Presence};
use epm_client_agent::scenario::{PartPlan, Span};
use epm_protocol::policy::CommunicationChange;
use epm_protocol::site::{Command, TOP_GROUP};
use epm_protocol::time::{Clock, Timestamp};
use epm_tests::control_api::Opened;

const CLIENTS: u32 = 40;
const MINUTE: Duration = Duration::from_secs(60);
const HALF: Duration = Duration::from_secs(1800);

/// A lab with `CLIENTS` clients that have this interval, all served.
async fn lab(interval: u32) -> Opened {
    let opened = Opened::with(None).await;
    set_interval(&opened, interval);
    opened.lab.set_part(PartPlan::new("desk", CLIENTS, "14.3".parse().unwrap())).await.unwrap();
    opened.lab.wait_for_part("desk").await.unwrap();
    opened
}

fn set_interval(opened: &Opened, seconds: u32) {
    let change = CommunicationChange { heartbeat_seconds: Some(seconds), ..CommunicationChange::default() };
    let command = Command::SetCommunication { group: TOP_GROUP.to_owned(), location: None, change };
    opened.lab.site.apply(&command).unwrap();
}

/// Assigns a new list to every group.
fn change(opened: &Opened, list: &str) {
    let from = opened.lab.site.look(|site| site.default_list());
    let copy = Command::CopyList { from, to: list.to_owned() };
    let assign = Command::AssignList { list: list.to_owned(), group: TOP_GROUP.to_owned(), location: None };
    opened.lab.site.apply_all(&[copy, assign]).unwrap();
}

/// The number of clients that hold this list.
async fn reached(opened: &Opened, list: &str) -> usize {
    opened.lab.views().await.iter().filter(|one| one.view.list == list).count()
}

/// Makes a change, and checks that half of the clients have it after half an hour, within four standard deviations.
async fn reaches_half_in_half_an_hour(opened: &Opened, list: &str, after: &str) {
    change(opened, list);
    opened.lab.advance(HALF).await.unwrap();
    let found = reached(opened, list).await;
    assert!((8..=32).contains(&found), "{found} of {CLIENTS} in half an hour after {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_half_of_the_clients_in_half_an_interval_at_once_and_after_three_days() {
    let opened = lab(3600).await;
    reaches_half_in_half_an_hour(&opened, "first", "the lab is up").await;
    opened.lab.advance(Duration::from_secs(3 * 86_400)).await.unwrap();
    reaches_half_in_half_an_hour(&opened, "second", "three days").await;
    opened.lab.advance(Duration::from_secs(36 * 60)).await.unwrap();
    assert_eq!(reached(&opened, "second").await, CLIENTS as usize, "an interval, and what it may be late");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_stay_apart_when_their_interval_becomes_an_hour() {
    let opened = lab(300).await;
    set_interval(&opened, 3600);
    opened.lab.advance(Duration::from_secs(3 * 3600)).await.unwrap();
    reaches_half_in_half_an_hour(&opened, "new", "5 minutes became an hour").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_restored_reaches_no_client_and_leaves_them_apart() {
    let opened = lab(3600).await;
    change(&opened, "first");
    opened.lab.advance(HALF / 2).await.unwrap();
    opened.lab.take_snapshot("midway").await.unwrap();
    let midway = reached(&opened, "first").await;
    opened.lab.advance(HALF / 2).await.unwrap();
    let later = reached(&opened, "first").await;
    for _ in 0..2 {
        opened.lab.restore_snapshot("midway").await.unwrap();
        opened.lab.advance(Duration::ZERO).await.unwrap();
        assert_eq!(reached(&opened, "first").await, midway, "restored, it is as it was");
        opened.lab.advance(HALF / 2).await.unwrap();
        assert_eq!(reached(&opened, "first").await, later, "and it goes on as it did");
    }
    opened.lab.restore_snapshot("midway").await.unwrap();
    reaches_half_in_half_an_hour(&opened, "second", "a snapshot was restored").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_makes_no_client_due_whether_forward_or_back() {
    let opened = lab(3600).await;
    for (list, by) in [("forward", 3 * 86_400_000), ("back", -2 * 86_400_000_i64)] {
        change(&opened, list);
        let now = Timestamp::from_millis(opened.lab.clock().now().as_millis() + by);
        opened.lab.set_clock(None, Some(now)).await;
        opened.lab.advance(Duration::ZERO).await.unwrap();
        assert_eq!(reached(&opened, list).await, 0, "no client is due because the clock is set {list}");
        opened.lab.advance(HALF).await.unwrap();
        let found = reached(&opened, list).await;
        assert!((8..=32).contains(&found), "{found} of {CLIENTS}, {list}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_a_presence_is_off_at_first_and_then_on_as_its_presence_says() {
    let opened = lab(600).await;
    let mostly_off = MostlyOff { on: Span(10 * MINUTE), every: Span(40 * MINUTE) };
    let plan = PartPlan {
        presence: Presence::MostlyOff(mostly_off),
        ..PartPlan::new("seldom", 1, "14.3".parse().unwrap())
    };
    opened.lab.set_part(plan).await.unwrap();
    opened.lab.wait_for_part("seldom").await.unwrap();
    opened.lab.follow_presence("seldom").await.unwrap();
    let mut on = Vec::new();
    for _ in 0..120 {
        opened.lab.advance(MINUTE).await.unwrap();
        let views = opened.lab.views().await;
        let seldom = views.iter().find(|one| one.part == "seldom").unwrap();
        on.push((seldom.on, seldom.view.heartbeats));
    }
    assert!(!on[0].0, "it is off at first");
    assert_eq!(on.iter().filter(|(on, _)| *on).count(), 30, "a quarter of the time: {on:?}");
    assert_eq!(on[119].1 - on[0].1, 3, "a heartbeat each time: {on:?}");
}
