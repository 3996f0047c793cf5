//! Tests that open hundreds of connections and ports, in a process of their own.
//!
//! The first counts the descriptors of the whole process, and needs a thousand closed ports that another test might be
//! given. The second alone holds more than a thousand descriptors. So each waits until the other has ended.

#![cfg(test)]

use std::time::Duration;

use epm_server::MockSite;
use epm_tests::control_api::{Opened, heard};
use epm_tests::refused;
use tokio::sync::Mutex;
use tokio::time::timeout;

const HEALTH: &str = "GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n";
/// The number of connections that the control API holds at a time.
const ROOM: usize = 512;
/// Lets one test run at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn a_thousand_sites_opened_and_dropped_in_one_task_leave_nothing_open() {
    let _alone = ALONE.lock().await;
    let mut sockets = Vec::new();
    let mut most = 0;
    for _ in 0..1000 {
        let site = MockSite::start().await.expect("there is room for another one");
        sockets.push(site.addresses()[0].sockets()[0]);
        drop(site);
        most = most.max(open_files());
    }
    assert!(most < 1000, "{most} files were open at the same time: the dropped ones had not been closed");
    for socket in sockets {
        refused(socket).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_when_the_door_is_full_waits_until_somebody_goes() {
    let _alone = ALONE.lock().await;
    let lab = Opened::with(None).await;
    let mut connections = Vec::new();
    for _ in 0..ROOM {
        connections.push(lab.dial(HEALTH).await);
    }
    let mut late = lab.dial(&format!("{HEALTH}Connection: close\r\n\r\n")).await;
    let waiting = timeout(Duration::from_secs(5), heard(&mut late)).await;
    assert!(waiting.is_err(), "{waiting:?}");
    connections.truncate(ROOM - 1);
    assert!(heard(&mut late).await.starts_with("HTTP/1.1 200"));
}

/// The number of open files of this process; 0 if the system does not say.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
