//! The REST API of one manager: the parts of the site that its handlers use, and its own state.

use std::sync::Arc;
use std::time::Duration;

use epm_client_agent::wire::LabClock;
use epm_protocol::assumption::Assumptions;
use epm_protocol::time::{Clock, Timestamp};

use crate::rest_api::auth::admin_store::{Administrator, Administrators};
use crate::rest_api::auth::tokens::{Lifetimes, Tokens};
use crate::rest_api::clients::client_index::ClientIndex;
use crate::rest_api::http::throttle::Throttle;
use crate::rest_api::system::store::RestStore;
use crate::runtime::clients::Clients;
use crate::runtime::context::ManagerContext;
use crate::runtime::failed_attempts::FailedAttempts;
use crate::runtime::journal::Journal;
use crate::runtime::manager::ManagerRuntime;
use crate::runtime::state::SiteHandle;

/// The REST API of one manager.
#[derive(Debug)]
pub(crate) struct RestApi {
    pub(crate) manager: Arc<ManagerRuntime>,
    pub(crate) site: SiteHandle,
    pub(crate) clients: Arc<Clients>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) clock: Arc<LabClock>,
    pub(crate) database: Arc<Database>,
    /// Base URL of the API, such as `https://127.0.0.1:8446`.
    pub(crate) base: String,
    pub(crate) tokens: Tokens,
    pub(crate) throttle: Throttle,
}

/// State that the REST APIs of all managers of a site share.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) administrators: Administrators,
    /// Settings that clients do not see.
    pub(crate) store: RestStore,
    /// The sorted clients.
    pub(crate) client_index: ClientIndex,
    /// Failed log-ins, which slow down further ones.
    pub(crate) failed_log_ins: FailedAttempts,
}

impl Database {
    /// A database with one administrator.
    pub(crate) fn new(first: Administrator) -> Arc<Self> {
        Arc::new(Self {
            administrators: Administrators::new(first),
            client_index: ClientIndex::default(),
            store: RestStore::default(),
            failed_log_ins: FailedAttempts::default(),
        })
    }
}

impl RestApi {
    /// The REST API of a manager at the URL `base`.
    pub(crate) fn new(context: &ManagerContext, database: Arc<Database>, base: String) -> Self {
        database.store.open(context.now());
        Self {
            manager: Arc::clone(&context.runtime),
            site: context.site.clone(),
            clients: Arc::clone(&context.clients),
            journal: Arc::clone(&context.journal),
            clock: Arc::clone(&context.clock),
            database,
            base,
            tokens: Tokens::default(),
            throttle: Throttle::default(),
        }
    }

    /// Lab time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Number of restarts of the service.
    pub(crate) fn restarts(&self) -> u64 {
        self.manager.rest.restarts()
    }

    /// The assumptions in effect. Must not be called while the site is locked.
    pub(crate) fn assumed(&self) -> Arc<Assumptions> {
        Arc::clone(self.site.read().assumptions())
    }

    /// A list of which the product shows null when it is empty, unless assumed otherwise.
    pub(crate) fn listed<T>(&self, all: Vec<T>) -> Option<Vec<T>> {
        (!all.is_empty() || !self.assumed().rest_empty_lists_are_null).then_some(all)
    }

    /// Validity of tokens and refresh tokens.
    pub(crate) fn lifetimes(&self) -> Lifetimes {
        let assumed = self.assumed();
        Lifetimes {
            token: Duration::from_secs(u64::from(assumed.rest_token_seconds)),
            refresh: Duration::from_secs(u64::from(assumed.rest_refresh_token_seconds)),
        }
    }
}
