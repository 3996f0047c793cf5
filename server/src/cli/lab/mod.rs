//! Commands on a running lab: each calls the control API and prints its response.

mod answer;
mod baseline;
mod cert;
mod check;
mod client;
mod clock;
mod control_client;
mod fault;
mod journal;
mod list;
mod manager;
mod ready_file;
mod snapshot;

pub(super) use answer::{Act, At, Where};
pub(super) use baseline::BaselineVerb;
pub(super) use cert::LiveCert;
pub(super) use check::Check;
pub(super) use client::ClientVerb;
pub(super) use clock::ClockVerb;
pub(super) use control_client::{ControlClient, segment};
pub(super) use fault::FaultVerb;
pub(super) use journal::JournalVerb;
pub(super) use list::ListVerb;
pub(super) use manager::{ManagerVerb, ServiceVerb};
pub(super) use ready_file::{OwnReadyFile, ReadyFile};
pub(super) use snapshot::SnapshotVerb;
