//! What the clients' port of one manager needs: the manager, and the parts of the site that answers depend on.

use std::sync::Arc;

use epm_client_agent::wire::LabClock;
use epm_protocol::fault::FaultKind;
use epm_protocol::fault::mint::MintInput;
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::KeyPool;

use rustls::ServerConfig;

use crate::runtime::capture::Capture;
use crate::runtime::clients::Clients;
use crate::runtime::faults::FaultState;
use crate::runtime::journal::Journal;
use crate::runtime::manager::{Generation, ManagerRuntime};
use crate::runtime::state::{SiteHandle, SiteState};

/// A manager, and the parts of its site that it uses to serve clients.
#[derive(Clone, Debug)]
pub(crate) struct ManagerContext {
    pub(crate) runtime: Arc<ManagerRuntime>,
    pub(crate) site: SiteHandle,
    pub(crate) clients: Arc<Clients>,
    pub(crate) faults: Arc<FaultState>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) clock: Arc<LabClock>,
    /// None unless the traffic is captured.
    pub(crate) capture: Option<Arc<Capture>>,
}

impl ManagerContext {
    /// The context of one manager.
    pub(crate) fn new(manager: &Arc<ManagerRuntime>, state: &Arc<SiteState>) -> Self {
        Self {
            runtime: Arc::clone(manager),
            site: SiteHandle::new(Arc::clone(state)),
            clients: Arc::clone(&state.clients),
            faults: Arc::clone(&state.faults),
            journal: Arc::clone(&state.journal),
            clock: Arc::clone(&state.clock),
            capture: manager.capture.get().cloned(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// TLS configuration for the certificate that a fault mints from the certificate of this generation.
    ///
    /// # Errors
    ///
    /// When the certificate cannot be minted; the text has the reason.
    pub(crate) fn fault_certificate(
        &self,
        what: &FaultKind,
        generation: &Generation,
    ) -> Result<Arc<ServerConfig>, String> {
        let published = generation.published();
        let authorities = self.faults.authorities();
        let mint_input = MintInput {
            good: &published.publication.identity,
            previous: published.previous.as_ref().map(|previous| &previous.identity),
            authorities: &authorities,
            spare: KeyPool::of_faults(self.faults.set().seed()),
            now: self.now(),
        };
        self.runtime.fault_certs.config_for(what, &mint_input, self.clock.clone())
    }
}
