//! Why a run over sockets did not finish.

use epm_client_agent::scenario::PlanError;
use epm_protocol::fault::FaultError;
use epm_protocol::site::CommandError;

use crate::lab::fault_check::FaultRefused;
use crate::lab::fleet::FleetError;
use crate::lab::time_error::TimeError;
use crate::mock_site::StartError;

/// Why a scenario or an entry of the failure catalogue could not be run to its end over sockets.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The site could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The site refused a command, or a wait reached its limit.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The fleet does not fit into the process.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// A fault of the scenario is invalid.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// The lab refuses a fault of the scenario.
    #[error(transparent)]
    Refused(#[from] FaultRefused),
    /// Lab time could not pass as requested.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// A part of the run is missing.
    #[error("the run is incomplete: {0}")]
    Incomplete(&'static str),
}

impl RunError {
    /// The site refused a command in this step; step 0 is the setup.
    pub(crate) fn command(step: usize, title: &str, source: CommandError) -> Self {
        PlanError::command(step, title, source).into()
    }
}
