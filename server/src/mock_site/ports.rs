//! Opens the ports of a site's managers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use epm_client_agent::scenario::ManagerPlan;
use epm_protocol::site::ManagerPorts;
use tokio::net::TcpListener;

use crate::addresses::port_of;
use crate::wire::{BindError, Speaks, bind};

/// The ports that a site wants to open.
pub(super) struct WantedPorts<'a> {
    /// Address to listen on, instead of the published ones.
    pub(super) bind: Option<IpAddr>,
    /// Port of the first manager's REST API; none without it.
    pub(super) rest: Option<u16>,
    /// Ports of the REST API by manager, before that of all, and whether any free port will do instead.
    pub(super) rest_ports: &'a BTreeMap<String, (u16, bool)>,
    pub(super) managers: &'a [ManagerPlan],
}

impl WantedPorts<'_> {
    fn address(&self, plan: &ManagerPlan) -> String {
        self.bind.map_or_else(|| plan.address.clone(), |one| one.to_string())
    }

    /// The listeners of a manager for clients.
    pub(super) async fn open(
        &self,
        plan: &ManagerPlan,
    ) -> Result<(Vec<(TcpListener, Speaks)>, ManagerPorts), BindError> {
        let address = self.address(plan);
        let first = bind(&plan.name, &address, plan.http_port).await?;
        let http = port_of(&first);
        let (listeners, https) = match plan.https_port {
            None => (vec![(first, Speaks::Both)], http),
            Some(port) if port != 0 && port == plan.http_port => (vec![(first, Speaks::Both)], http),
            Some(port) => {
                let second = bind(&plan.name, &address, port).await?;
                let https = port_of(&second);
                (vec![(first, Speaks::Http), (second, Speaks::Https)], https)
            }
        };
        Ok((listeners, ManagerPorts { address: plan.address.clone(), http: Some(http), https: Some(https) }))
    }

    /// The listener of a manager's REST API, if it has one: ten ports up for each of the `before` earlier managers that is at the
    /// same address.
    pub(super) async fn open_rest(
        &self,
        plan: &ManagerPlan,
        before: usize,
    ) -> Result<Option<TcpListener>, BindError> {
        let Some(first) = self.rest else { return Ok(None) };
        let address = self.address(plan);
        if let Some((port, or_any)) = self.rest_ports.get(&plan.name) {
            match bind(&plan.name, &address, *port).await {
                Err(_) if *or_any => return bind(&plan.name, &address, 0).await.map(Some),
                bound => return bound.map(Some),
            }
        }
        let neighbours = self.managers.iter().take(before).filter(|one| self.address(one) == address).count();
        let further = u16::try_from(neighbours * 10).unwrap_or(u16::MAX);
        let port = if first == 0 { 0 } else { first.saturating_add(further) };
        bind(&plan.name, &address, port).await.map(Some)
    }
}
