//! A running manager: its publication, its certificates and its open connections.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use epm_protocol::manager::previous::Previous;
use epm_protocol::site::{Publication, Site};
use rustls::ServerConfig;

use crate::runtime::connections::Connections;
use crate::runtime::faults::certs::FaultCertCache;
use crate::runtime::install_dir::Installation;
use crate::runtime::service::Service;

/// The publication and certificates of one manager. Each is replaced as a whole and read without a lock.
#[derive(Debug)]
pub(crate) struct ManagerRuntime {
    /// Index of the manager in name order.
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) publication: ArcSwap<Publication>,
    /// Certificate of the clients' port.
    pub(crate) tls: ArcSwap<ServerConfig>,
    /// State before the last change, for faults.
    pub(crate) previous: ArcSwapOption<Previous>,
    /// Certificates that the manager presents under faults.
    pub(crate) fault_certs: FaultCertCache,
    /// Open connections of the clients' port; a restart of the services ends them.
    pub(crate) connections: Arc<Connections>,
    pub(crate) rest: RestListener,
    /// Whether the web server failed to start: then the clients' port closes every connection at once.
    pub(crate) stopped: AtomicBool,
    /// Installation folder of the manager, if any.
    pub(crate) installation: OnceLock<Installation>,
}

/// The port of a manager's REST API: certificate, open connections and number of restarts.
#[derive(Debug, Default)]
pub(crate) struct RestListener {
    /// None while the manager serves no REST API.
    pub(crate) tls: ArcSwapOption<ServerConfig>,
    pub(crate) connections: Arc<Connections>,
    /// Whether the service failed to start.
    pub(crate) stopped: AtomicBool,
    restarts: AtomicU64,
}

impl ManagerRuntime {
    /// A manager that has just started.
    pub(crate) fn new(number: usize, publication: &Arc<Publication>, tls: Arc<ServerConfig>) -> Self {
        Self {
            number,
            name: publication.manager.clone(),
            publication: ArcSwap::from(Arc::clone(publication)),
            tls: ArcSwap::from(tls),
            previous: ArcSwapOption::empty(),
            fault_certs: FaultCertCache::default(),
            connections: Arc::default(),
            rest: RestListener::default(),
            stopped: AtomicBool::new(false),
            installation: OnceLock::new(),
        }
    }

    /// Answers from the site's new publication from now on.
    pub(crate) fn publish(&self, site: &Site) {
        if let Some(publication) = site.publication(&self.name) {
            self.remember(publication);
            self.publication.store(Arc::clone(publication));
        }
    }

    /// Whether a service failed to start, and the connections that end with it.
    pub(crate) const fn service(&self, service: Service) -> (&AtomicBool, &Arc<Connections>) {
        match service {
            Service::Semsrv => (&self.rest.stopped, &self.rest.connections),
            Service::Semwebsrv => (&self.stopped, &self.connections),
        }
    }

    /// Keeps the current state as the previous one, if it changes.
    fn remember(&self, next: &Publication) {
        let before = self.publication.load_full();
        if let Some(previous) = Previous::after(&before, next, self.previous.load().as_deref()) {
            self.previous.store(Some(Arc::new(previous)));
        }
    }
}

impl RestListener {
    /// Number of restarts of the REST API.
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::SeqCst)
    }

    /// Ends all connections and, with the new count of restarts, all tokens.
    pub(crate) fn restart(&self) {
        self.restarts.fetch_add(1, Ordering::SeqCst);
        self.connections.end_all();
    }
}
