//! The scenario file: a site, a fleet, and what an operator does to them, step by step.
//!
//! A scenario says what happens, never which clients are orphaned: that is found out by playing it.

mod action_words;
mod communications_file;
mod dry_run;
mod identity;
mod note;
mod part_holding;
mod plan;
mod plan_error;
mod power_schedule;
pub mod presence;
mod read;
mod reason;
mod span;
mod verdict;

pub use action_words::{command_in_words, fleet_action_in_words};
pub use communications_file::{SylinkEdit, SylinkSource};
#[cfg(feature = "wire")]
pub(crate) use identity::client_profile;
pub(crate) use identity::hardware_key;
pub use note::{Note, NoteCode};
pub use part_holding::PartHolding;
pub use plan::{
    ChangedMachines, ClockPlan, FASTEST, FleetAction, ManagerPlan, PartPlan, Scenario, SitePlan, StepPhase,
    StepPlan, Wait,
};
pub use plan_error::PlanError;
pub use power_schedule::{Change, ClientAction, ClientActions, Install, PartCalendar, PowerSchedule};
pub use presence::{Place, PresenceError, booted_before};
pub use read::ScenarioError;
pub use reason::{Alike, CauseCode, ClientFinding, Held, Reason, orphaned_since};
pub use span::{Span, SpanError};
pub use verdict::{
    Laggard, OrphanedClient, Pause, ReportSource, Returning, Standing, StepReport, Troubled, Verdict,
    holdings,
};

/// The identifier of the JSON Schema of the scenario file.
const SCHEMA_ID: &str = "https://example.invalid/epm-lab/scenario.schema.json";

/// The JSON Schema of the scenario file.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Scenario).to_value();
    schema["$id"] = SCHEMA_ID.into();
    schema
}
