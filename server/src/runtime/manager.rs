//! A running manager: its certificate and its publication, replaced in one step, and its open connections.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use epm_protocol::fault::Past;
use epm_protocol::manager::previous::Previous;
use epm_protocol::site::{Publication, Site};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::runtime::capture::Capture;
use crate::runtime::connections::Connections;
use crate::runtime::counters::Counters;
use crate::runtime::faults::certs::FaultCertCache;
use crate::runtime::install_dir::Installation;
use crate::runtime::service::Service;
use crate::runtime::tls::Served;

/// A running manager. Its certificate and publication are replaced as a whole and read without a lock.
#[derive(Debug)]
pub(crate) struct ManagerRuntime {
    /// Index of the manager in name order.
    pub(crate) number: usize,
    pub(crate) name: String,
    generation: ArcSwap<Generation>,
    /// Certificates that the manager presents under faults.
    pub(crate) fault_certs: FaultCertCache,
    /// Open connections of the clients' port; a restart of the services ends them.
    pub(crate) connections: Arc<Connections>,
    pub(crate) rest: RestListener,
    /// What the manager has done, for the metrics.
    pub(crate) counters: Counters,
    /// Whether the web server failed to start: then nothing listens on the clients' port.
    pub(crate) stopped: watch::Sender<bool>,
    /// Why services did not start.
    pub(crate) errors: Mutex<BTreeMap<Service, String>>,
    /// Where the traffic of the ports is captured, if it is.
    pub(crate) capture: OnceLock<Arc<Capture>>,
    /// Installation folder of the manager, if any.
    pub(crate) installation: OnceLock<Installation>,
}

/// The TLS configuration of the clients' port and the publication that belongs to it. A renewal of the certificate begins a
/// new generation, so that no connection gets a certificate of one and signatures of another. A connection keeps the
/// generation of its handshake, and serves later publications with the same certificate.
#[derive(Debug)]
pub(crate) struct Generation {
    /// TLS configuration of the clients' port, with its own session tickets, and its certificate.
    pub(crate) tls: Served,
    published: Arc<ArcSwap<Published>>,
}

/// The publication that a manager answers from, and its state before.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) publication: Arc<Publication>,
    /// State before the last change, for faults.
    pub(crate) previous: Option<Arc<Previous>>,
}

/// The fate of open connections when a generation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenConnections {
    /// Open connections end; until then they answer from their own generation.
    End,
    /// Open connections stay, and answer from the new publication.
    Stay,
}

/// The port of a manager's REST API: certificate, open connections and number of restarts.
#[derive(Debug, Default)]
pub(crate) struct RestListener {
    /// None while the manager serves no REST API.
    pub(crate) tls: ArcSwapOption<Served>,
    pub(crate) connections: Arc<Connections>,
    /// Whether the service failed to start: then nothing listens on the port.
    pub(crate) stopped: watch::Sender<bool>,
    restarts: AtomicU64,
    /// Where the API is served; none while it is not.
    place: Mutex<Option<SocketAddr>>,
    /// A listener that replaces the present one.
    next: Mutex<Option<TcpListener>>,
    moved: Notify,
}

impl ManagerRuntime {
    /// A manager that has just started.
    pub(crate) fn new(number: usize, publication: &Arc<Publication>, tls: Served) -> Self {
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
            counters: Counters::default(),
            stopped: watch::Sender::default(),
            errors: Mutex::default(),
            capture: OnceLock::new(),
            installation: OnceLock::new(),
        }
    }

    /// Returns the generation of new connections.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// Returns the publication for connections without a handshake.
    pub(crate) fn published(&self) -> Guard<Arc<Published>> {
        self.generation.load().published()
    }

    /// Returns what faults can use of the state before the last change.
    pub(crate) fn past(&self) -> Past {
        let published = self.published();
        Previous::past(published.previous.as_deref(), &published.publication)
    }

    /// Answers from the site's new publication from now on, with the same certificate.
    pub(crate) fn publish(&self, site: &Site) {
        self.generation.load().published.store(self.next(site));
    }

    /// Begins a generation: presents the certificate of this configuration from now on, and answers from the site's
    /// publication.
    pub(crate) fn renew(&self, site: &Site, tls: Served, open: OpenConnections) {
        let next = self.next(site);
        match open {
            OpenConnections::End => {
                self.generation.store(Arc::new(Generation::new(tls, next)));
                self.connections.end_all();
            }
            // The publication comes first, so that the new certificate is never followed by an old signature.
            OpenConnections::Stay => {
                let published = Arc::clone(&self.generation.load().published);
                published.store(next);
                self.generation.store(Arc::new(Generation { tls, published }));
            }
        }
    }

    /// Whether a service failed to start, and the connections that end with it.
    pub(crate) const fn service(&self, service: Service) -> (&watch::Sender<bool>, &Arc<Connections>) {
        match service {
            Service::Semsrv => (&self.rest.stopped, &self.rest.connections),
            Service::Semwebsrv => (&self.stopped, &self.connections),
        }
    }

    /// Notes that a service has started, or why it has not; then its connections end.
    pub(crate) fn started(&self, service: Service, error: Option<String>) {
        let (stopped, connections) = self.service(service);
        stopped.send_replace(error.is_some());
        if error.is_some() {
            connections.end_all();
        }
        let mut errors = self.errors.lock();
        match error {
            Some(error) => errors.insert(service, error),
            None => errors.remove(&service),
        };
    }

    /// Returns the site's publication with the state before it, if it changes.
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
    fn new(tls: Served, published: Arc<Published>) -> Self {
        Self { tls, published: Arc::new(ArcSwap::from(published)) }
    }

    /// Returns the publication for connections of this generation.
    pub(crate) fn published(&self) -> Guard<Arc<Published>> {
        self.published.load()
    }
}

impl RestListener {
    /// Where the API is served; none while it is not.
    pub(crate) fn place(&self) -> Option<SocketAddr> {
        *self.place.lock()
    }

    /// Notes where the API is served.
    pub(crate) fn is_at(&self, place: SocketAddr) {
        *self.place.lock() = Some(place);
    }

    /// Opens another port at the same address; the present one is closed, and its connections end.
    ///
    /// # Errors
    ///
    /// When the port cannot be opened; then the present one stays.
    pub(crate) fn move_to(&self, port: u16) -> io::Result<()> {
        let Some(place) = self.place() else { return Ok(()) };
        let listener = TcpListener::bind((place.ip(), port))?;
        listener.set_nonblocking(true)?;
        self.is_at(listener.local_addr()?);
        *self.next.lock() = Some(listener);
        self.moved.notify_one();
        self.connections.end_all();
        Ok(())
    }

    /// Completes with the listener of another port, once the API is to be served there.
    pub(crate) async fn moved(&self) -> TcpListener {
        loop {
            self.moved.notified().await;
            if let Some(listener) = self.next.lock().take() {
                return listener;
            }
        }
    }

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
