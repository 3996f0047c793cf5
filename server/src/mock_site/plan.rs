//! The plan of a site that is to run.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use epm_client_agent::scenario::{ManagerPlan, Scenario};
use epm_client_agent::wire::LabClock;
use epm_protocol::assumption::Assumptions;
use epm_protocol::site::ManagerPorts;

use crate::addresses::{Addresses, addresses};
use crate::rest_api::{Administrator, DEFAULT_PASSWORD, DEFAULT_USER};
use crate::runtime::capture::Capture;
use crate::runtime::replayed::{Beginning, Data};
use crate::runtime::shared_site::Followed;
use crate::store::{FoundedManager, FoundedWith, SharedLog, StoreError};

/// Builds a running site, a [`MockSite`](crate::MockSite).
#[derive(Clone, Debug)]
#[must_use]
pub struct MockSiteBuilder {
    pub(super) name: String,
    pub(super) seed: u64,
    pub(super) managers: Vec<ManagerPlan>,
    pub(super) bind: Option<IpAddr>,
    pub(super) assumptions: Arc<Assumptions>,
    pub(super) clock: Option<Arc<LabClock>>,
    pub(super) rest: Option<u16>,
    /// Ports of the REST API by manager, before that of all, and whether any free port will do instead.
    pub(super) rest_ports: BTreeMap<String, (u16, bool)>,
    pub(super) administrator: Administrator,
    pub(super) data: Option<Data>,
    pub(super) capture: Option<Arc<Capture>>,
    pub(super) shared: Option<SharedStart>,
}

/// A manager of a site whose log several processes share.
#[derive(Clone, Debug)]
pub(crate) struct SharedStart {
    pub(crate) log: Arc<dyn SharedLog>,
    pub(crate) founded: FoundedWith,
    /// The manager that this process is.
    pub(crate) manager: String,
}

impl SharedStart {
    /// Makes the site again from its log.
    pub(super) fn begin(&self) -> Result<(Beginning, Followed), StoreError> {
        tokio::task::block_in_place(|| Beginning::shared(&self.founded, self.log.as_ref()))
    }

    /// The addresses of a manager that is another process; none if it is this one.
    pub(super) fn elsewhere(&self, manager: &str) -> Option<Addresses> {
        if manager == self.manager {
            return None;
        }
        let known = self.founded.managers.iter().find(|one| one.name == manager)?;
        let ports = ManagerPorts { address: known.address.clone(), http: known.http, https: known.https };
        Some(addresses(manager, &ports, &[], None))
    }
}

impl Default for MockSiteBuilder {
    fn default() -> Self {
        Self {
            name: "My Site".to_owned(),
            seed: 1,
            managers: Vec::new(),
            bind: None,
            assumptions: Arc::default(),
            clock: None,
            rest: None,
            rest_ports: BTreeMap::new(),
            administrator: Administrator::first(DEFAULT_USER, DEFAULT_PASSWORD),
            data: None,
            capture: None,
            shared: None,
        }
    }
}

impl MockSiteBuilder {
    /// Sets the name of the site.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Sets the seed of the site's identifiers, shared secret and keys; defaults to 1. Clients cannot tell two sites of one
    /// seed apart.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Adds a manager. Without any, the site gets one on a free loopback port.
    pub fn manager(mut self, plan: ManagerPlan) -> Self {
        self.managers.push(plan);
        self
    }

    /// Listens on this address instead of the addresses that the managers publish to clients.
    pub fn bind(mut self, address: IpAddr) -> Self {
        self.bind = Some(address);
        self
    }

    /// Sets the assumptions about undocumented behaviour.
    pub fn assumptions(mut self, assumptions: Assumptions) -> Self {
        self.assumptions = Arc::new(assumptions);
        self
    }

    /// Sets the clock; defaults to the machine's.
    pub fn clock(mut self, clock: Arc<LabClock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Serves the product's REST API too. Managers at the same address get this port and every tenth after it; 0 takes
    /// any free port.
    pub fn rest_api(mut self, port: u16) -> Self {
        self.rest = Some(port);
        self
    }

    /// Serves the REST API of one manager at this port; with `or_any`, at a free one if it is taken.
    pub fn rest_port_of(mut self, manager: &str, port: u16, or_any: bool) -> Self {
        self.rest_ports.insert(manager.to_owned(), (port, or_any));
        self
    }

    /// Sets the administrator of the REST API; defaults to `admin` with the password `epm-lab`.
    pub fn administrator(mut self, user: &str, password: &str) -> Self {
        self.administrator = Administrator::first(user, password);
        self
    }

    /// Captures the traffic of all ports, if there is a capture. It is to be finished once the site has stopped.
    pub fn capture(mut self, capture: Option<&Arc<Capture>>) -> Self {
        self.capture = capture.cloned();
        self
    }

    /// Keeps the site in a store, and goes on with the site that it has.
    pub(crate) fn keep(mut self, data: Data) -> Self {
        self.data = Some(data);
        self
    }

    /// Serves one manager of a site whose log several processes share.
    pub(crate) fn share(mut self, shared: SharedStart) -> Self {
        self.shared = Some(shared);
        self
    }

    /// Takes everything that the site was founded with from its store.
    pub(super) fn go_on_from(&mut self, founded: &FoundedWith) {
        self.name.clone_from(&founded.name);
        self.seed = founded.seed;
        self.assumptions = Arc::new(founded.assumptions.clone());
        self.managers = founded.managers.iter().map(FoundedManager::plan).collect();
        for one in &founded.managers {
            if let Some(port) = one.rest {
                self.rest_ports.entry(one.name.clone()).or_insert((port, false));
            }
        }
    }

    /// Takes name, seed, managers and assumptions from a scenario, but not its setup.
    pub fn scenario(mut self, scenario: &Scenario) -> Self {
        self.name.clone_from(&scenario.site.name);
        self.seed = scenario.seed;
        self.managers.clone_from(&scenario.site.managers);
        self.assumptions = Arc::new(scenario.assumptions.clone());
        self
    }
}
