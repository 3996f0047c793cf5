//! Tests that open hundreds of connections and ports, in a process of their own.
//!
//! The first counts the descriptors of the whole process, and needs a thousand closed ports that another test might be
//! given. The second alone holds more than a thousand descriptors. So each waits until the other has ended.

#![cfg(test)]

use std::time::Duration;

use epm_server::{MockSite, raise_descriptor_limit};
use epm_tests::control_api::{Opened, heard};
use epm_tests::refused;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio::time::timeout;

const HEALTH: &str = "GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n";
/// Ends a request, and its connection.
const END: &[u8] = b"Connection: close\r\n\r\n";
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

#[tokio::test]
async fn idle_connections_give_way_to_a_call_of_the_control_api() {
    let _alone = ALONE.lock().await;
    let room = room();
    let lab = Opened::with(None).await;
    let mut idle = Vec::new();
    for _ in 0..2 * room {
        idle.push(lab.dial(HEALTH).await);
    }
    // Those that came first have ended, the last ones wait for the rest of the request.
    assert_eq!(heard(&mut idle[0]).await, "");
    let last = idle.last_mut().expect("there are some");
    last.write_all(END).await.expect("it is still open");
    assert!(heard(last).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn listeners_of_the_journal_leave_room_for_calls() {
    let _alone = ALONE.lock().await;
    let room = room();
    let lab = Opened::with(None).await;
    let tail = HEALTH.replace("health", "journal/tail");
    let mut listeners = Vec::new();
    let mut refused = 0;
    for _ in 0..room {
        let mut listener = lab.dial(&format!("{tail}\r\n")).await;
        let mut status = [0; 12];
        listener.read_exact(&mut status).await.expect("an answer");
        match &status {
            b"HTTP/1.1 200" => listeners.push(listener),
            b"HTTP/1.1 503" => refused += 1,
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
    }
    assert_eq!((listeners.len(), refused), (room / 4, room - room / 4));
    // Idle connections do not take their places either.
    let mut idle = Vec::new();
    for _ in 0..room {
        idle.push(lab.dial(HEALTH).await);
    }
    let mut call = lab.dial(HEALTH).await;
    call.write_all(END).await.expect("it is open");
    assert!(heard(&mut call).await.starts_with("HTTP/1.1 200"));
    // Every listener is still there; one that goes makes room for the next.
    let open =
        listeners.iter().filter(|one| matches!(one.try_read(&mut [0; 4096]), Ok(1..) | Err(_))).count();
    assert_eq!(open, room / 4);
    listeners.pop();
    let status = timeout(Duration::from_secs(30), async {
        loop {
            let mut again = lab.dial(&format!("{tail}\r\n")).await;
            let mut status = [0; 12];
            again.read_exact(&mut status).await.expect("an answer");
            if &status == b"HTTP/1.1 200" {
                return;
            }
        }
    });
    status.await.expect("the place is free again");
}

/// The number of connections that the control API holds at a time.
fn room() -> usize {
    usize::try_from(raise_descriptor_limit() / 8).map_or(512, |room| room.min(512))
}

/// The number of open files of this process; 0 if the system does not say.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
