//! The Rust example of `docs/test-your-rotation-tool.md`, word for word, with `epm-lab rotate single` as the tool.

use std::process::{Command, Stdio};

use std::sync::Arc;

use epm_client_agent::scenario::PartPlan;
use epm_client_agent::wire::LabClock;
use epm_protocol::time::Timestamp;
use epm_server::lab::{Expectation, FindingResult, Lab, Rotation};
use epm_server::{MockSite, control_api};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn the_tool_orphans_no_client() {
    let clock = LabClock::starting_at(Timestamp::from_millis(1_800_000_000_000), 0);
    let site = MockSite::builder().rest_api(0).clock(Arc::new(clock)).start().await.unwrap();
    let lab = Lab::new(Arc::new(site), 1, Arc::new(|_, _| ()));
    lab.set_part(PartPlan::new("desk", 4, "14.3".parse().unwrap())).await.unwrap();
    lab.wait_for_part("desk").await.unwrap();
    lab.take_start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stopping = CancellationToken::new();
    tokio::spawn(control_api::serve(listener, Arc::clone(&lab), None, stopping.clone()));

    let mut tool = tool(&url); // your tool
    let ended = tokio::task::spawn_blocking(move || tool.status().unwrap()).await.unwrap();
    assert!(ended.success(), "the tool says {ended}");

    lab.pass_heartbeats(3, std::time::Duration::from_secs(60)).await.unwrap();
    let rotation = Expectation::Rotation(Rotation::default());
    let judgement = lab.find(vec![rotation]).await.remove(0);
    assert_eq!(judgement.result, FindingResult::Pass, "{:#?}", judgement.counter_examples);
    stopping.cancel();
    lab.stop().await;
}

fn tool(url: &str) -> Command {
    let mut tool = Command::new(env!("CARGO_BIN_EXE_epm-lab"));
    tool.args(["rotate", "single"]).env("EPM_LAB_URL", url).stdout(Stdio::null()).stderr(Stdio::null());
    tool
}
