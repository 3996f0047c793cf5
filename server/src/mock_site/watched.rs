//! What of a running site its metrics and its evidence show.

use std::sync::Arc;

use super::MockSite;
use crate::runtime::capture::Capture;
use crate::runtime::manager::ManagerRuntime;

impl MockSite {
    /// The capture of the traffic, if there is one.
    pub(crate) fn capture(&self) -> Option<Arc<Capture>> {
        self.state.managers.iter().find_map(|manager| manager.capture.get().cloned())
    }

    /// The managers, in name order.
    pub(crate) fn managers(&self) -> &[Arc<ManagerRuntime>] {
        &self.state.managers
    }
}
