//! Starts a site: opens its ports, founds it or makes it again, and serves it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use epm_client_agent::scenario::ManagerPlan;
use epm_client_agent::wire::LabClock;
use epm_protocol::site::Founding;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::plan::{MockSiteBuilder, SharedStart};
use super::ports::WantedPorts;
use super::{MockSite, StartError};
use crate::addresses::{addresses, port_of};
use crate::rest_api::{Database, rest_api};
use crate::runtime::context::ManagerContext;
use crate::runtime::faults::Faults;
use crate::runtime::keeper::Keeper;
use crate::runtime::replayed::Beginning;
use crate::runtime::shared_site::SharedSite;
use crate::runtime::state::SiteState;
use crate::wire::{serve, serve_rest};

impl MockSiteBuilder {
    /// Opens the ports, founds the site and serves it. A site that goes on from a store is served once the lab knows what else the
    /// store has: a client that comes earlier waits.
    ///
    /// # Errors
    ///
    /// When a port cannot be opened or the site cannot be founded.
    pub async fn start(mut self) -> Result<MockSite, StartError> {
        // Nothing below waits: without this, a task that starts and drops sites in a loop would never let their ports
        // close.
        tokio::task::yield_now().await;
        if self.managers.is_empty() {
            self.managers.push(ManagerPlan {
                name: "sepm-1".to_owned(),
                address: "127.0.0.1".to_owned(),
                http_port: 0,
                https_port: None,
            });
        }
        let data = self.data.take();
        let serving = CancellationToken::new();
        match data.as_ref().and_then(|data| data.founded.as_ref()) {
            Some(founded) => self.go_on_from(founded),
            None => serving.cancel(),
        }
        let shared = self.shared.take();
        // A client that finds the port open is served the newest state.
        let begun = shared.as_ref().map(SharedStart::begin).transpose()?;
        if let Some(shared) = &shared {
            self.go_on_from(&shared.founded);
        }
        let wanted = WantedPorts {
            bind: self.bind,
            rest: self.rest,
            rest_ports: &self.rest_ports,
            managers: &self.managers,
        };
        let mut places = Vec::new();
        let mut opened = Vec::new();
        for plan in &self.managers {
            if let Some(place) = shared.as_ref().and_then(|shared| shared.elsewhere(&plan.name)) {
                places.push(place);
                continue;
            }
            let (listeners, ports) = wanted.open(plan).await?;
            let rest = wanted.open_rest(plan, places.len()).await?;
            places.push(addresses(&plan.name, &ports, &listeners, rest.as_ref()));
            opened.push((plan.name.clone(), ports, listeners, rest));
        }
        let clock = self.clock.unwrap_or_else(|| Arc::new(LabClock::wall()));
        let founding = Founding {
            name: self.name,
            seed: self.seed,
            managers: opened.iter().map(|(name, ports, ..)| (name.clone(), ports.clone())).collect(),
            assumptions: self.assumptions,
        };
        let rest_ports: Vec<Option<u16>> =
            opened.iter().map(|(.., rest)| rest.as_ref().map(port_of)).collect();
        let (Beginning { site, clients, snapshots, updates, faults, noted, .. }, keeper) =
            match (shared, begun) {
                (Some(shared), Some((mut begun, followed))) => {
                    let updates = std::mem::take(&mut begun.updates);
                    (begun, Keeper::shared(SharedSite::new(shared.log, shared.manager, followed, updates)))
                }
                _ => {
                    let begun = Beginning::of(data.as_ref(), founding, &rest_ports, &clock)?;
                    let keeper = Keeper::new(data.map(|data| data.store), begun.sequence);
                    (begun, keeper)
                }
            };
        let state = Arc::new(SiteState::new(site, clock, self.seed, keeper)?);
        if let Some((changes, pauses)) = noted {
            state.changes.go_on_from(changes.start(), changes.count(), changes.kept_after(0));
            state.pauses.go_on_from_log(&pauses, state.clock.read());
        }
        state.clients.restore(clients);
        Faults::of(Arc::clone(&state.faults)).go_on_with(faults);
        let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
        let database = Database::new(self.administrator);
        let mut rest_apis = Vec::new();
        for (name, _, listeners, rest) in opened {
            let place = places.iter().find(|place| place.manager == name);
            let (Some(place), Some(manager)) = (place, state.manager(&name)) else { continue };
            if let Some(capture) = &self.capture {
                let _ = manager.capture.set(Arc::clone(capture));
            }
            let context = Arc::new(ManagerContext::new(manager, &state));
            for (listener, speaks) in listeners {
                let context = Arc::clone(&context);
                let served = serve(listener, speaks, context, stopping.clone(), tasks.clone());
                tasks.spawn(served_from(serving.clone(), stopping.clone(), served));
            }
            let (Some(listener), Some(base)) = (rest, &place.rest) else { continue };
            state.open_rest(manager)?;
            if let Ok(place) = listener.local_addr() {
                manager.rest.is_at(place);
            }
            let (api, router) = rest_api(&context, &database, base);
            let served = serve_rest(listener, router.clone(), context, stopping.clone(), tasks.clone());
            tasks.spawn(served_from(serving.clone(), stopping.clone(), served));
            rest_apis.push((api, router));
        }
        Ok(MockSite {
            state,
            places,
            stopping,
            tasks,
            serving,
            rest_apis,
            is_set_up: AtomicBool::new(false),
            snapshots: Mutex::new(snapshots),
            updates: Mutex::new(updates),
        })
    }
}

/// Serves a port once the site is ready for it, unless the site stops before.
async fn served_from(
    serving: CancellationToken,
    stopping: CancellationToken,
    served: impl Future<Output = ()>,
) {
    tokio::select! {
        () = serving.cancelled() => served.await,
        () = stopping.cancelled() => {}
    }
}
