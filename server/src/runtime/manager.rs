//! One running manager: the certificate that it shows and what it answers from, replaced in one step, and its open
//! connections.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use epm_protocol::manager::previous::Previous;
use epm_protocol::site::{Publication, Site};
use rustls::ServerConfig;

use crate::runtime::connections::Connections;
use crate::runtime::faults::certs::FaultCertCache;
use crate::runtime::install_dir::Installation;
use crate::runtime::service::Service;

/// A running manager. What it shows and answers from is replaced whole and read without a lock.
#[derive(Debug)]
pub(crate) struct ManagerRuntime {
    /// The manager's place in the order of names.
    pub(crate) number: usize,
    pub(crate) name: String,
    generation: ArcSwap<Generation>,
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

/// The TLS configuration of the clients' port, and what is published with it. A renewal of the certificate begins a
/// generation, so that no connection meets the certificate of one and the signatures of another. A connection keeps the
/// generation of its handshake, and sees what is published later with the same certificate.
#[derive(Debug)]
pub(crate) struct Generation {
    /// The certificate of the clients' port, with tickets of its own.
    pub(crate) tls: Arc<ServerConfig>,
    published: Arc<ArcSwap<Published>>,
}

/// What a manager answers from.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) publication: Arc<Publication>,
    /// What the manager was before its last change; only faults ask for it.
    pub(crate) previous: Option<Arc<Previous>>,
}

/// What becomes of the connections that are open when a generation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenConnections {
    /// They end. Until they have, they answer from their own generation.
    End,
    /// They stay open, and answer from what is published from now on.
    Stay,
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
            generation: ArcSwap::from_pointee(Generation::new(
                tls,
                Arc::new(Published { publication: Arc::clone(publication), previous: None }),
            )),
            fault_certs: FaultCertCache::default(),
            connections: Arc::default(),
            rest: RestListener::default(),
            stopped: AtomicBool::new(false),
            installation: OnceLock::new(),
        }
    }

    /// The generation that a new connection belongs to.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// What the manager answers from where no handshake has said so.
    pub(crate) fn published(&self) -> Guard<Arc<Published>> {
        self.generation.load().published()
    }

    /// Answers from the site's publication from now on, and shows the same certificate.
    pub(crate) fn publish(&self, site: &Site) {
        self.generation.load().published.store(self.next(site));
    }

    /// Begins a generation: from now on the manager shows the certificate of this configuration, and answers from the
    /// site's publication.
    pub(crate) fn renew(&self, site: &Site, tls: Arc<ServerConfig>, open: OpenConnections) {
        let next = self.next(site);
        match open {
            OpenConnections::End => {
                self.generation.store(Arc::new(Generation::new(tls, next)));
                self.connections.end_all();
            }
            // What the open connections answer from comes first: the new certificate is never met with what was before.
            OpenConnections::Stay => {
                let published = Arc::clone(&self.generation.load().published);
                published.store(next);
                self.generation.store(Arc::new(Generation { tls, published }));
            }
        }
    }

    /// The flag that says whether a service has not started, and the connections that end with it.
    pub(crate) const fn service(&self, service: Service) -> (&AtomicBool, &Arc<Connections>) {
        match service {
            Service::Semsrv => (&self.rest.stopped, &self.rest.connections),
            Service::Semwebsrv => (&self.stopped, &self.connections),
        }
    }

    /// What the site has published, with what the manager has been until now, if it becomes something else.
    fn next(&self, site: &Site) -> Arc<Published> {
        let now = Guard::into_inner(self.published());
        let Some(publication) = site.publication(&self.name) else { return now };
        let previous = Previous::after(&now.publication, publication, now.previous.as_deref());
        Arc::new(Published {
            publication: Arc::clone(publication),
            previous: previous.map(Arc::new).or_else(|| now.previous.clone()),
        })
    }
}

impl Generation {
    fn new(tls: Arc<ServerConfig>, published: Arc<Published>) -> Self {
        Self { tls, published: Arc::new(ArcSwap::from(published)) }
    }

    /// What the connections of this generation answer from.
    pub(crate) fn published(&self) -> Guard<Arc<Published>> {
        self.published.load()
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
