//! Which servers a client tries, and in which order.
//!
//! First the server that last served it, for up to 24 hours of uninterrupted contact; then the list, most
//! preferred priority first, the servers of one priority in any order [C S10, S12].

use epm_protocol::assumption::LoadBalance;
use epm_protocol::policy::Protocol;
use epm_protocol::sylink::{ClientServer, ClientServerList};
use epm_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::Health;
use super::schedule::{STICKY_FOR, draw};

/// The address of a server, and how to connect to it.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Server {
    /// The host name or IP address.
    pub address: String,
    /// The TCP port.
    pub port: u16,
    /// The protocol of that port.
    pub protocol: Protocol,
    /// Whether the server's certificate must contain the server's name.
    pub verify_ca: bool,
}

/// The server that a client stays with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LastServer {
    /// The server that the client stays with.
    pub server: Server,
    /// The time since when it has served the client without interruption.
    pub since: Timestamp,
}

impl LastServer {
    /// The server, since when it is known to serve the client. A client whose machine was on before it was installed has an earlier
    /// beginning, for the day after which it asks its list again.
    #[must_use]
    pub fn known_of(&self, health: &Health) -> Self {
        let since =
            if let Health::Connected { since } = health { self.since.max(*since) } else { self.since };
        Self { server: self.server.clone(), since }
    }

    /// Whether the client stays with this server and does not consult its list.
    pub(super) fn stays(&self, now: Timestamp) -> bool {
        now.since(self.since) < STICKY_FOR
    }
}

impl Server {
    /// Makes the address of a server of a list: its HTTPS port, if the list names one.
    pub fn of_list(server: &ClientServer) -> Self {
        let (port, protocol) = match (server.https_port, server.http_port) {
            (Some(port), _) => (port, Protocol::Https),
            (None, Some(port)) => (port, Protocol::Http),
            (None, None) => (8014, Protocol::Http), // [C S4]
        };
        Self { address: server.address.clone(), port, protocol, verify_ca: server.verify_ca }
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = match self.protocol {
            Protocol::Http => "http",
            Protocol::Https => "https",
        };
        write!(f, "{scheme}://{}:{}", self.address, self.port)
    }
}

/// The servers to try in this heartbeat, in order.
pub(super) fn candidates(
    list: &ClientServerList,
    last: Option<&LastServer>,
    balance: LoadBalance,
    seed: u64,
    now: Timestamp,
) -> Vec<Server> {
    let servers: Vec<Server> = list.priorities.iter().flatten().map(Server::of_list).collect();
    let blocks: Vec<usize> = list.priorities.iter().map(Vec::len).collect();
    let sticky = last
        .filter(|last| last.stays(now))
        .and_then(|last| servers.iter().position(|server| *server == last.server));
    let order = order(&blocks, sticky, balance, seed, now);
    order.into_iter().filter_map(|place| servers.get(place).cloned()).collect()
}

/// The indices of a list's servers in the order in which they are tried; `blocks` is the number of servers in each
/// priority, `sticky` the index of the server that comes first whatever the list says.
pub(super) fn order(
    blocks: &[usize],
    sticky: Option<usize>,
    balance: LoadBalance,
    seed: u64,
    now: Timestamp,
) -> Vec<usize> {
    let mut places: Vec<usize> = (0..blocks.iter().sum()).collect();
    let mut begin = 0;
    for (level, size) in blocks.iter().enumerate() {
        let block = &mut places[begin..begin + size];
        if balance == LoadBalance::Drawn {
            shuffle(block, seed ^ level as u64, now);
        }
        begin += size;
    }
    if let Some(at) = sticky.and_then(|sticky| places.iter().position(|place| *place == sticky)) {
        places[..=at].rotate_right(1);
    }
    places
}

fn shuffle(places: &mut [usize], seed: u64, now: Timestamp) {
    for left in (1..places.len()).rev() {
        let other = draw(seed, now.as_millis().unsigned_abs(), left as u64, left as u64);
        places.swap(left, usize::try_from(other).unwrap_or(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(port: u16) -> ClientServer {
        ClientServer {
            address: "127.0.0.1".into(),
            http_port: Some(port),
            https_port: None,
            verify_ca: false,
            verify_signatures: true,
        }
    }

    fn list() -> ClientServerList {
        ClientServerList { name: "l".into(), priorities: vec![vec![server(1), server(2)], vec![server(3)]] }
    }

    fn ports(last: Option<&LastServer>, seed: u64, now: i64) -> Vec<u16> {
        let now = Timestamp::from_seconds(now);
        candidates(&list(), last, LoadBalance::Drawn, seed, now).iter().map(|server| server.port).collect()
    }

    #[test]
    fn the_load_is_shared_within_a_priority_and_the_next_one_is_for_failover() {
        let firsts: Vec<u16> = (0..1000).map(|seed| ports(None, seed, 5)[0]).collect();
        let ones = firsts.iter().filter(|port| **port == 1).count();
        assert!((400..600).contains(&ones), "{ones} of 1000 began with the first server");
        assert!((0..1000).all(|seed| ports(None, seed, 5)[2] == 3));
    }

    #[test]
    fn the_last_server_comes_first_for_a_day_and_then_the_list_decides_again() {
        let last = LastServer { server: Server::of_list(&server(3)), since: Timestamp::from_seconds(0) };
        assert_eq!(ports(Some(&last), 1, 86_399)[0], 3);
        assert_ne!(ports(Some(&last), 1, 86_400)[0], 3);
    }

    #[test]
    fn a_last_server_that_is_no_longer_listed_is_forgotten() {
        let last = LastServer { server: Server::of_list(&server(9)), since: Timestamp::from_seconds(0) };
        assert!(!ports(Some(&last), 1, 10).contains(&9));
    }
}
