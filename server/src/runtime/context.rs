//! What the clients' port of one manager is handed: the manager itself, and the parts of the site that an answer needs.

use std::sync::Arc;

use epm_client_agent::wire::LabClock;
use epm_protocol::fault::FaultKind;
use epm_protocol::fault::mint::MintInput;
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::KeyPool;

use rustls::ServerConfig;

use crate::runtime::clients::Clients;
use crate::runtime::faults::FaultState;
use crate::runtime::journal::Journal;
use crate::runtime::manager::{Generation, ManagerRuntime};
use crate::runtime::state::{SiteHandle, SiteState};

/// A manager, and what it uses of its site to serve clients.
#[derive(Clone, Debug)]
pub(crate) struct ManagerContext {
    pub(crate) runtime: Arc<ManagerRuntime>,
    pub(crate) site: SiteHandle,
    pub(crate) clients: Arc<Clients>,
    pub(crate) faults: Arc<FaultState>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) clock: Arc<LabClock>,
}

impl ManagerContext {
    /// The parts of a site that one of its managers uses.
    pub(crate) fn new(manager: &Arc<ManagerRuntime>, state: &Arc<SiteState>) -> Self {
        Self {
            runtime: Arc::clone(manager),
            site: SiteHandle::new(Arc::clone(state)),
            clients: Arc::clone(&state.clients),
            faults: Arc::clone(&state.faults),
            journal: Arc::clone(&state.journal),
            clock: Arc::clone(&state.clock),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How the manager shows the certificate that a fault mints from this generation's.
    ///
    /// # Errors
    ///
    /// When there is no such certificate; the text says why.
    pub(crate) fn fault_certificate(
        &self,
        what: &FaultKind,
        generation: &Generation,
    ) -> Result<Arc<ServerConfig>, String> {
        let published = generation.published();
        let mint_input = MintInput {
            good: &published.publication.identity,
            previous: published.previous.as_ref().map(|previous| &previous.identity),
            spare: KeyPool::of_faults(self.faults.set().seed()),
            now: self.now(),
        };
        self.runtime.fault_certs.config_for(what, &mint_input, self.clock.clone())
    }
}
