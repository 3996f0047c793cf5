//! What the machine can do for a fleet: descriptors, ports and memory, and how many clients would fit.

use std::fs;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors for standard streams, the runtime, name resolution and a store.
const OTHER_FILES: u64 = 32;
/// Memory of a client between two heartbeats with its ticket, in bytes, at most; measured in `docs/large-fleets.md`.
const CLIENT_BYTES: u64 = 1_800;
/// Memory of a client while it is in a heartbeat or its manager holds a request, in bytes.
const AWAKE_BYTES: u64 = 64 * 1024;
/// Memory of the program itself, in bytes.
const PROGRAM_BYTES: u64 = 12 * 1024 * 1024;
/// The largest limit of descriptors that is asked for.
const MOST_FILES: u64 = 1 << 20;

/// What the machine has to give.
#[derive(Clone, Copy, Debug)]
pub struct MachineLimits {
    /// File descriptors that this process may open.
    pub descriptors: u64,
    /// Ports that outgoing connections to one server may have.
    pub ports: u64,
    /// Memory in bytes; none if the system does not say.
    pub memory: Option<u64>,
}

/// The needs of a fleet.
#[derive(Clone, Copy, Debug)]
pub struct FleetNeeds {
    /// The number of clients.
    pub clients: u32,
    /// The number of clients that may be in a heartbeat at the same time.
    pub in_flight: u32,
    /// Whether each client keeps a connection open, as in push mode.
    pub holds: bool,
    /// Whether each client has a source address of its own.
    pub own_addresses: bool,
}

/// The reason why the machine cannot run a fleet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// There are too few descriptors for the heartbeats.
    #[error(
        "{in_flight} heartbeats at the same time do not fit: this process may open {limit} files; `--in-flight {fits}` \
         would fit; or raise the limit (`ulimit -Hn`)"
    )]
    InFlight {
        /// The number of heartbeats.
        in_flight: u32,
        /// The number of descriptors.
        limit: u64,
        /// The number that fits.
        fits: u64,
    },
    /// There are too few descriptors for the connections that are kept open.
    #[error(
        "{clients} clients in push mode do not fit: each keeps a connection open, and this process may open {limit} files; \
         {fits} would fit; raise the limit (`ulimit -Hn`), use pull mode, or split the fleet with --shard"
    )]
    Descriptors {
        /// The number of clients.
        clients: u32,
        /// The number of descriptors.
        limit: u64,
        /// The number of clients that fit.
        fits: u64,
    },
    /// There are too few ports for the connections that are kept open.
    #[error(
        "{clients} clients in push mode do not fit: this machine has {ports} ports for connections to one server \
         (net.ipv4.ip_local_port_range); {fits} would fit; use pull mode, or split the fleet over machines with --shard"
    )]
    Ports {
        /// The number of clients.
        clients: u32,
        /// The number of ports.
        ports: u64,
        /// The number of clients that fit.
        fits: u64,
    },
    /// There is too little memory.
    #[error(
        "{clients} clients do not fit: they need up to {} MiB, and this machine has {} MiB available; {fits} would fit",
        needed / 1024 / 1024,
        memory / 1024 / 1024
    )]
    Memory {
        /// The number of clients.
        clients: u32,
        /// The memory that they need, in bytes.
        needed: u64,
        /// The memory that there is, in bytes.
        memory: u64,
        /// The number of clients that fit.
        fits: u64,
    },
}

impl MachineLimits {
    /// Raises the limit of descriptors as far as the system lets it, and reads what there is.
    pub fn read() -> Self {
        let mut limit = getrlimit(Resource::Nofile);
        let most = limit.maximum.unwrap_or(MOST_FILES).min(MOST_FILES);
        if limit.current.is_some_and(|current| current < most) {
            let before = limit.current.replace(most);
            if setrlimit(Resource::Nofile, limit).is_err() {
                limit.current = before;
            }
        }
        Self {
            descriptors: limit.current.unwrap_or(MOST_FILES),
            ports: fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
                .ok()
                .and_then(|range| ports_in(&range))
                .unwrap_or(16_384),
            memory: fs::read_to_string("/proc/meminfo").ok().and_then(|text| available_in(&text)),
        }
    }
}

impl FleetNeeds {
    /// Checks that the machine can run the fleet.
    ///
    /// # Errors
    ///
    /// When it cannot, with the number that would fit.
    pub fn check(&self, machine: &MachineLimits) -> Result<(), TooLarge> {
        let Self { clients, in_flight, holds, own_addresses } = *self;
        let limit = machine.descriptors;
        let free = limit.saturating_sub(OTHER_FILES);
        if u64::from(in_flight) > free {
            return Err(TooLarge::InFlight { in_flight, limit, fits: free });
        }
        let fits = free - u64::from(in_flight);
        if holds && u64::from(clients) > fits {
            return Err(TooLarge::Descriptors { clients, limit, fits });
        }
        let fits = machine.ports.saturating_sub(u64::from(in_flight));
        if holds && !own_addresses && u64::from(clients) > fits {
            return Err(TooLarge::Ports { clients, ports: machine.ports, fits });
        }
        let needed = self.memory();
        match machine.memory {
            Some(memory) if needed > memory => {
                let fixed = needed - u64::from(clients) * self.per_client();
                let fits = memory.saturating_sub(fixed) / self.per_client();
                Err(TooLarge::Memory { clients, needed, memory, fits })
            }
            _ => Ok(()),
        }
    }

    /// The number of descriptors that the fleet needs at most.
    pub fn descriptors(&self) -> u64 {
        let held = if self.holds { self.clients } else { 0 };
        OTHER_FILES + u64::from(self.in_flight) + u64::from(held)
    }

    /// The memory that the fleet needs at most, in bytes.
    pub fn memory(&self) -> u64 {
        PROGRAM_BYTES + u64::from(self.in_flight) * AWAKE_BYTES + u64::from(self.clients) * self.per_client()
    }

    fn per_client(&self) -> u64 {
        CLIENT_BYTES + if self.holds { AWAKE_BYTES } else { 0 }
    }
}

/// The anonymous memory of this process in bytes; none if the system does not say.
pub(super) fn anonymous_memory() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/self/smaps_rollup").ok()?, "Anonymous:")
}

/// The number of ports in a range such as `32768 60999`.
fn ports_in(range: &str) -> Option<u64> {
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some(last.checked_sub(first)? + 1)
}

/// The memory that is available according to `/proc/meminfo`, in bytes.
fn available_in(text: &str) -> Option<u64> {
    kibibytes(text, "MemAvailable:")
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_that_does_not_fit_is_told_the_number_that_does() {
        let memory = available_in("MemTotal: 99 kB\nMemAvailable:   200000 kB\n");
        let machine = MachineLimits { descriptors: 20_000, ports: ports_in("32768\t60999").unwrap(), memory };
        let pull = FleetNeeds { clients: 100_000, in_flight: 64, holds: false, own_addresses: true };
        assert_eq!(pull.check(&machine), Ok(()));
        let push = FleetNeeds { holds: true, ..pull };
        let (clients, limit) = (100_000, 20_000);
        assert_eq!(push.check(&machine), Err(TooLarge::Descriptors { clients, limit, fits: 19_904 }));
        let many = MachineLimits { descriptors: 1 << 20, ..machine };
        let elsewhere = FleetNeeds { own_addresses: false, ..push };
        let ports = 28_232;
        assert_eq!(elsewhere.check(&many), Err(TooLarge::Ports { clients, ports, fits: 28_168 }));
        let Err(TooLarge::Memory { fits, .. }) = push.check(&many) else { panic!("it has no memory") };
        let fitting = FleetNeeds { clients: u32::try_from(fits).unwrap(), ..push };
        assert_eq!(fitting.check(&many), Ok(()));
        assert!(FleetNeeds { clients: fitting.clients + 1, ..push }.check(&many).is_err());
        let few = MachineLimits { descriptors: 64, ..machine };
        assert_eq!(pull.check(&few), Err(TooLarge::InFlight { in_flight: 64, limit: 64, fits: 32 }));
    }
}
