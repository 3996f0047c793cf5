//! The mock Endpoint Protection Manager of epm-lab.
//!
//! | module | contents |
//! |---|---|
//! | [`MockSite`] | a running site in this process, for tests and programs |
//! | `runtime` | the state of a running site |
//! | [`Faults`] | faults: added, listed, removed when their guard is dropped |
//! | [`Journal`] | what the managers recorded: requests, calls, faults applied, connections closed |
//! | [`lab`] | site, fleet and clock, driven by the control API or by a scenario: verdict, expectations, snapshots |
//! | `store` | what outlives a lab: the log of its changes, clients and documents, in a folder |
//! | `wire` | listening, TLS, one exchange after another: the hot path |
//! | `rest_api` | the vendor's REST API |
//! | [`control_api`] | the lab's control API |
//! | `unique_keys` | JSON whose objects have no key twice |
//! | `comparison` | two runs compared: read from files or a lab, and what differs |
//! | `page` | the lab's page: views of the control API's JSON |
//! | [`cli`] | the program `epm-lab` |
//!
//! ```
//! use epm_protocol::site::{Command, NewCertificate, Stores};
//! use epm_server::MockSite;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let site = MockSite::start().await?; // one manager on free ports of loopback
//! let before = site.certificate("sepm-1");
//!
//! site.apply(&Command::UpdateCertificate {
//!     manager: "sepm-1".into(),
//!     certificate: NewCertificate::Generate { common_name: None, valid_days: None },
//!     stores: Stores::Both,
//! })?; // in force from the next handshake
//! assert_ne!(site.certificate("sepm-1"), before);
//!
//! site.stop().await; // returns when the ports are closed
//! # Ok(())
//! # }
//! ```

// Managers in several processes need the feature. What is unused is found in the builds that have it, as every one of the workspace.
#![cfg_attr(not(feature = "postgres"), allow(unused))]

mod addresses;
pub mod cli;
mod comparison;
pub mod control_api;
pub mod lab;
mod lab_export;
mod mock_site;
mod page;
mod rest_api;
pub mod rest_case;
mod runtime;
mod schema;
mod store;
mod unique_keys;
mod wire;

pub use addresses::Addresses;
pub use epm_client_agent::cause::{Change, GroupState, ListState, ManagerCertificates, RotationSettings};
pub use mock_site::{MockSite, MockSiteBuilder, StartError};
pub use rest_api::operations as rest_operations;
pub use runtime::capture::{Capture, CaptureError, Captured};
pub use runtime::changes::Changes;
pub use runtime::clients::ClientStatus;
pub use runtime::descriptors::raise_descriptor_limit;
pub use runtime::faults::{FaultGuard, Faults};
pub use runtime::install_dir::{InstallationError, RecoveryError, RecoveryFile, read_recovery};
pub use runtime::journal::{Call, ConnectionClosed, Entry, FaultApplied, Journal, Kind, Record};
pub use runtime::service::Service;
pub use store::StoreError;
pub use wire::BindError;

/// The examples of the page about faults, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/faults.md")]
struct Pages;
