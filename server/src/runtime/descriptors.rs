//! File descriptors of this process: how many there may be, and what they are for.
//!
//! Every connection takes one, so peers alone could use all of them; then nothing could be accepted, opened or answered.
//! They are divided in advance: some for files and listeners, some for the control API, which therefore always answers, some for the other
//! ends of the lab's own clients, and the rest for connections of the managers' ports. Clients in pull mode have a connection only during a
//! heartbeat, and few are in one at the same time; each in push mode keeps one, so only these limit the size of a fleet. When a lab gets
//! more of them, it reserves their ends, which the ports then no longer have.

use std::sync::{Arc, LazyLock};

use epm_client_agent::wire::TURNS;
use epm_protocol::site::CommandError;
use parking_lot::Mutex;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
    /// A permit for each connection of the managers' ports, and for each end that a lab reserves; all sites of the process together.
    pub(crate) ports: Arc<Semaphore>,
}

/// The ends of connections that a lab has reserved for its own clients; free again when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct ReservedEnds(Mutex<Option<OwnedSemaphorePermit>>);

impl ReservedEnds {
    /// Reserves an end for each of so many clients. What is reserved already stays so, since their connections may end later.
    ///
    /// # Errors
    ///
    /// When there are not so many; nothing has changed then.
    pub(crate) fn grow_to(&self, clients: usize) -> Result<(), CommandError> {
        self.grow(&DESCRIPTORS, clients)
    }

    fn grow(&self, of: &Descriptors, clients: usize) -> Result<(), CommandError> {
        of.division.check(clients)?;
        let mut reserved = self.0.lock();
        let known = reserved.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = u32::try_from(clients.saturating_sub(known)).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&of.ports).try_acquire_many_owned(missing) else {
            let fits = of.division.held_clients().min(known + of.ports.available_permits());
            return Err(CommandError::Descriptors { total: clients, fits, limit: of.division.limit });
        };
        match &mut *reserved {
            Some(reserved) => reserved.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
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

    /// Connections of the managers' ports, with the ends that labs reserve.
    fn port_connections(self) -> usize {
        self.limit.saturating_sub(self.files() + self.control_connections() + self.turns())
    }

    /// Clients of this process that are in a heartbeat at the same time, each with a connection.
    pub(crate) fn turns(self) -> usize {
        TURNS.min(self.limit / 16).max(1)
    }

    /// Clients of this process that each keep a connection open at both of its ends, beside those that are in a heartbeat.
    fn held_clients(self) -> usize {
        self.port_connections().saturating_sub(self.turns()) / 2
    }

    /// Fails if so many clients that keep a connection open do not fit.
    pub(crate) fn check(self, clients: usize) -> Result<(), CommandError> {
        let fits = self.held_clients();
        if clients > fits {
            return Err(CommandError::Descriptors { total: clients, fits, limit: self.limit });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_descriptors_are_divided_into_is_never_more_than_there_are() {
        for limit in [0, 1, 10, 64, 256, 1024, 4096, 20_000, 524_288, 1 << 20] {
            let division = Division { limit };
            let sum = division.files() + division.control_connections() + division.turns();
            assert!(sum + division.port_connections() <= limit.max(5), "{limit}: {sum}");
            let both_ends = 2 * division.held_clients() + division.turns();
            assert!(both_ends <= division.port_connections().max(division.turns()), "{limit}");
        }
        assert_eq!(Division { limit: 20_000 }.port_connections(), 19_296);
        let clients = |limit| Division { limit }.held_clients();
        assert_eq!((clients(256), clients(1024), clients(4096)), (64, 320, 1664));
        assert!(clients(524_288) > 200_000);
        assert_eq!([0, 256, 20_000].map(|limit| Division { limit }.turns()), [1, 16, TURNS]);
    }

    #[test]
    fn what_a_lab_reserves_the_ports_have_no_longer_until_the_lab_ends() {
        let division = Division { limit: 256 };
        let of = Descriptors { division, ports: Arc::new(Semaphore::new(division.port_connections())) };
        let refused = |reserved: &ReservedEnds, clients| match reserved.grow(&of, clients) {
            Err(CommandError::Descriptors { total, fits, limit: 256 }) => (total, fits),
            other => panic!("{other:?}"),
        };
        assert_eq!(of.ports.available_permits(), 144);
        let (first, second) = (ReservedEnds::default(), ReservedEnds::default());
        for (clients, left) in [(40, 104), (10, 104), (50, 94)] {
            first.grow(&of, clients).unwrap();
            assert_eq!(of.ports.available_permits(), left, "{clients}");
        }
        assert_eq!(refused(&first, 65), (65, 64));
        // As long as peers have the rest.
        let peers = of.ports.try_acquire_many(84).unwrap();
        assert_eq!((refused(&first, 61), refused(&second, 11)), ((61, 60), (11, 10)));
        drop(peers);
        first.grow(&of, 61).unwrap();
        drop(first);
        assert_eq!(of.ports.available_permits(), 144);
    }
}
