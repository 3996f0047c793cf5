//! File descriptors of this process: how many there may be, and what they are for.
//!
//! Every connection takes one, so peers alone could use all of them; then nothing could be accepted, opened or answered.
//! They are divided in advance: some for files and listeners, some for the control API, which therefore always answers,
//! and the rest in equal parts for connections of the managers' ports and for the other ends of the lab's own clients. Of these, the ones
//! in pull mode have a connection only during a heartbeat; so only those in push mode limit the size of a fleet.

use std::sync::{Arc, LazyLock};

use epm_client_agent::wire::TURNS;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::Semaphore;

/// Largest limit that is asked for and divided; some systems allow a thousand million.
const MOST: u64 = 1 << 20;

/// Raises this process's limit of file descriptors as far as the system lets it, and returns the limit. Call it first:
/// the limit is read once.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(MOST).min(MOST);
    if limit.current.is_some_and(|current| current < most) {
        let before = limit.current.replace(most);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "cannot raise the limit of file descriptors");
            limit.current = before;
        }
    }
    limit.current.unwrap_or(MOST)
}

/// Descriptors of this process.
pub(crate) static DESCRIPTORS: LazyLock<Descriptors> = LazyLock::new(|| {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(MOST).min(MOST);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(open_files());
    let division = Division { limit };
    Descriptors { division, ports: Arc::new(Semaphore::new(division.port_connections())) }
});

/// Number of files that are open already, such as those that the process was started with; 0 if the system does not say.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Descriptors, and the permits for connections.
#[derive(Debug)]
pub(crate) struct Descriptors {
    pub(crate) division: Division,
    /// A permit for each connection of the managers' ports, all sites of the process together.
    pub(crate) ports: Arc<Semaphore>,
}

/// A number of descriptors, divided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Division {
    pub(crate) limit: usize,
}

impl Division {
    /// Descriptors for files, listeners and the runtime.
    fn files(self) -> usize {
        (self.limit / 4).min(128)
    }

    /// Connections of the control API.
    pub(crate) fn control_connections(self) -> usize {
        (self.limit / 8).clamp(4, 512)
    }

    /// Connections of the managers' ports, and as many other ends.
    pub(crate) fn port_connections(self) -> usize {
        self.limit.saturating_sub(self.files() + self.control_connections()) / 2
    }

    /// Clients of this process that are in a heartbeat at the same time, each with a connection.
    pub(crate) fn turns(self) -> usize {
        TURNS.min(self.limit / 16).max(1)
    }

    /// Clients of this process that each keep a connection open, beside those that are in a heartbeat.
    pub(crate) fn held_clients(self) -> usize {
        self.port_connections().saturating_sub(self.turns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_descriptors_are_divided_into_is_never_more_than_there_are() {
        for limit in [0, 1, 10, 64, 256, 1024, 4096, 20_000, 524_288, 1 << 20] {
            let division = Division { limit };
            let sum = division.files() + division.control_connections() + 2 * division.port_connections();
            assert!(sum <= limit.max(4), "{limit}: {sum}");
            assert!(division.held_clients() <= division.port_connections(), "{limit}");
        }
        let clients = |limit| Division { limit }.held_clients();
        assert_eq!((clients(256), clients(1024), clients(4096)), (64, 320, 1664));
        assert!(clients(524_288) > 200_000);
        assert_eq!([0, 256, 20_000].map(|limit| Division { limit }.turns()), [1, 16, TURNS]);
    }
}
