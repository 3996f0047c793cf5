//! The control API of `epm-lab up`: its port is opened before the lab is set up, and served after.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::io::Failure;
use crate::control_api::{self, Access};
use crate::lab::Lab;

/// Longest wait for open requests when the control API closes.
const PATIENCE: Duration = Duration::from_secs(1);

/// An open port of the control API that is not served yet.
pub(super) struct OpenControlApi {
    listener: TcpListener,
    url: String,
}

impl OpenControlApi {
    /// Opens the port; clients reach it at the address `reachable`.
    pub(super) async fn open(bind: IpAddr, port: u16, reachable: IpAddr) -> Result<Self, Failure> {
        let refused = |error: io::Error| {
            Failure::BadInput(format!(
                "cannot open the control API on {bind}:{port}: {error}; choose another port with `--control-port`, 0 for any free one",
            ))
        };
        let listener = TcpListener::bind((bind, port)).await.map_err(refused)?;
        let port = listener.local_addr().map_err(refused)?.port();
        Ok(Self { listener, url: format!("http://{}", SocketAddr::new(reachable, port)) })
    }

    pub(super) fn serve(self, lab: &Arc<Lab>, access: Access) -> ServedControlApi {
        let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(control_api::serve(self.listener, Arc::clone(lab), access, stopping.clone()));
        ServedControlApi { url: self.url, stopping, tasks }
    }
}

/// A running control API.
pub(super) struct ServedControlApi {
    pub(super) url: String,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl ServedControlApi {
    /// Closes it. Open streams have a moment to end.
    pub(super) async fn close(self) {
        self.stopping.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(PATIENCE, self.tasks.wait()).await;
    }
}
