//! The REST API of the product: `/sepm/api/v1` on port 8446, over HTTPS with the certificate of the api's store.
//!
//! Only what the vendor has is here; what the lab alone needs has a door of its own, and the two know nothing of each
//! other. What a request comes to is decided in this order: `gate` asks `vendor` whether the path is one of the
//! product's, counts the call, looks at the size and at the token; then a module answers.
//!
//! A module is a file with `pub(crate) fn routes() -> ApiRouter<Arc<RestApi>>`, named in `routes` below. Its handlers
//! take [`extract`]'s types and return [`reply`]'s, or a [`refusal::ApiError`]; the OpenAPI document follows from both.
//! What all managers of a site share beyond the site itself is a field of [`Database`].

mod auth;
mod clients;
mod groups;
mod http;
mod system;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aide::axum::ApiRouter;
use axum::Router;
use bytes::Bytes;
use epm_protocol::assumption::Assumptions;
use epm_protocol::time::Timestamp;

pub(crate) use auth::admin_store::{Administrator, DEFAULT_PASSWORD, DEFAULT_USER};
pub(crate) use http::middleware::Peer;
pub use http::operations::operations;
pub(crate) use http::throttle::Throttle;

use crate::runtime::state::{ManagerRuntime, SiteState};
use auth::admin_store::Administrators;
use auth::tokens::{Lifetimes, Tokens};
use clients::client_index::ClientIndex;
use system::store::RestStore;

/// The api of one manager.
#[derive(Debug)]
pub(crate) struct RestApi {
    pub(crate) shared: Arc<SiteState>,
    /// The manager.
    pub(crate) manager: Arc<ManagerRuntime>,
    /// What all managers of the site share.
    pub(crate) database: Arc<Database>,
    /// Where it is found: `https://127.0.0.1:8446`.
    pub(crate) base: String,
    pub(crate) tokens: Tokens,
    pub(crate) throttle: Throttle,
}

/// What the rest_apis of all managers of a site share, beyond the site itself.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) administrators: Administrators,
    /// What no client is told of.
    pub(crate) store: RestStore,
    /// The clients, sorted.
    pub(crate) client_index: ClientIndex,
}

impl Database {
    /// A database with one administrator.
    pub(crate) fn new(first: Administrator) -> Arc<Self> {
        Arc::new(Self {
            administrators: Administrators::new(first),
            client_index: ClientIndex::default(),
            store: RestStore::default(),
        })
    }
}

impl RestApi {
    /// The api of a manager, found at `base`.
    pub(crate) fn new(
        shared: Arc<SiteState>,
        manager: Arc<ManagerRuntime>,
        database: Arc<Database>,
        base: String,
    ) -> Arc<Self> {
        database.store.open(shared.now());
        Arc::new(Self {
            shared,
            manager,
            database,
            base,
            tokens: Tokens::default(),
            throttle: Throttle::default(),
        })
    }

    /// What serves it.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        http::middleware::before(made().router.clone(), self)
    }

    /// The lab's time.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// The how-manieth start of the services this is.
    fn restarts(&self) -> u64 {
        self.manager.rest.restarts()
    }

    /// What is assumed of the product. Not to be asked for while the site is locked.
    fn assumed(&self) -> Arc<Assumptions> {
        Arc::clone(self.shared.site().assumptions())
    }

    fn lifetimes(&self) -> Lifetimes {
        let assumed = self.assumed();
        Lifetimes {
            token: Duration::from_secs(u64::from(assumed.rest_token_seconds)),
            refresh: Duration::from_secs(u64::from(assumed.rest_refresh_token_seconds)),
        }
    }
}

/// Every module of the API.
fn routes() -> ApiRouter<Arc<RestApi>> {
    ApiRouter::new()
        .merge(auth::identity::routes())
        .merge(system::version::routes())
        .merge(http::openapi::routes())
        .merge(system::domains::routes())
        .merge(groups::groups::routes())
        .merge(groups::locations::routes())
        .merge(clients::computers::routes())
        .merge(clients::statistics::routes())
        .merge(groups::settings::routes())
        .merge(clients::command_queue::routes())
        .merge(groups::policies::routes())
        .merge(groups::fingerprints::routes())
        .merge(auth::admin_users::routes())
        .merge(system::server_info::routes())
        .merge(groups::external_communication::routes())
}

/// The routes and what describes them: the same for every api, so made once.
struct Made {
    router: Router<Arc<RestApi>>,
    document: Bytes,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let (router, document) = http::openapi::finish(routes());
        Made { router, document }
    })
}
