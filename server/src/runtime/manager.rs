//! One running manager: what it answers from, the certificates that it shows, and its open connections.

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

/// What one manager answers from, and the certificates that it shows. Each is replaced whole and read without a lock.
#[derive(Debug)]
pub(crate) struct ManagerRuntime {
    /// The manager's place in the order of names.
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) publication: ArcSwap<Publication>,
    /// The certificate of the clients' port.
    pub(crate) tls: ArcSwap<ServerConfig>,
    /// What the manager was before its last change; only faults ask for it.
    pub(crate) previous: ArcSwapOption<Previous>,
    /// The certificates that the manager shows under faults.
    pub(crate) fault_certs: FaultCertCache,
    /// The open connections of the clients' port; a restart of the services ends them.
    pub(crate) connections: Arc<Connections>,
    pub(crate) rest: RestListener,
    /// Whether the web server has not started: then the clients' port closes every connection at once.
    pub(crate) stopped: AtomicBool,
    /// The manager's folder, if it has one.
    pub(crate) installation: OnceLock<Installation>,
}

/// The port of a manager's REST API: its certificate, its open connections, and how many times it has started.
#[derive(Debug, Default)]
pub(crate) struct RestListener {
    /// None while the manager serves no REST API.
    pub(crate) tls: ArcSwapOption<ServerConfig>,
    pub(crate) connections: Arc<Connections>,
    /// Whether the service has not started.
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

    /// Answers from the site's publication from now on.
    pub(crate) fn publish(&self, site: &Site) {
        if let Some(publication) = site.publication(&self.name) {
            self.remember(publication);
            self.publication.store(Arc::clone(publication));
        }
    }

    /// The flag that says whether a service has not started, and the connections that end with it.
    pub(crate) const fn service(&self, service: Service) -> (&AtomicBool, &Arc<Connections>) {
        match service {
            Service::Semsrv => (&self.rest.stopped, &self.rest.connections),
            Service::Semwebsrv => (&self.stopped, &self.connections),
        }
    }

    /// Remembers what the manager has been until now, if it becomes something else.
    fn remember(&self, next: &Publication) {
        let before = self.publication.load_full();
        if let Some(previous) = Previous::after(&before, next, self.previous.load().as_deref()) {
            self.previous.store(Some(Arc::new(previous)));
        }
    }
}

impl RestListener {
    /// How many times the REST API has been restarted.
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::SeqCst)
    }

    /// Ends the connections and, with the count of restarts, the tokens of before.
    pub(crate) fn restart(&self) {
        self.restarts.fetch_add(1, Ordering::SeqCst);
        self.connections.end_all();
    }
}
