//! What of a running site a store has beside its log: commands to clients, and the state of the REST API.

use epm_protocol::site::CommandTable;

use super::MockSite;
use crate::rest_api::{KeptLogIns, Stored};
use crate::runtime::pauses::{Pause, PausesState};

impl MockSite {
    /// Numbers that grow with the commands to clients, and with the settings of the REST API.
    pub(crate) fn revisions(&self) -> (u64, u64) {
        let settings = self.rest_apis.first().map_or(0, |(api, _)| api.database.store.revision());
        (self.state.clients.commands.revision(), settings)
    }

    /// The commands to clients.
    pub(crate) fn client_commands(&self) -> CommandTable {
        self.state.clients.commands.all()
    }

    /// Settings of the REST API that clients do not see, as JSON.
    pub(crate) fn rest_settings(&self) -> Option<String> {
        let (api, _) = self.rest_apis.first()?;
        serde_json::to_string(&*api.database.store.kept()).ok()
    }

    /// Administrators and tokens of the REST API, as JSON.
    pub(crate) fn rest_log_ins(&self) -> Option<String> {
        let (first, _) = self.rest_apis.first()?;
        let log_ins = KeptLogIns::of(&first.database, self.rest_apis.iter().map(|(api, _)| api));
        serde_json::to_string(&log_ins).ok()
    }

    /// Continues with the settings of an earlier run.
    pub(crate) fn restore_rest_settings(&self, json: &str) -> serde_json::Result<()> {
        let settings: Stored = serde_json::from_str(json)?;
        if let Some((first, _)) = self.rest_apis.first() {
            *first.database.store.kept() = settings;
        }
        Ok(())
    }

    /// Continues with the administrators and tokens of an earlier run.
    pub(crate) fn restore_rest_log_ins(&self, json: &str) -> serde_json::Result<()> {
        let log_ins: KeptLogIns = serde_json::from_str(json)?;
        if let Some((first, _)) = self.rest_apis.first() {
            log_ins.restore(&first.database, self.rest_apis.iter().map(|(api, _)| api));
        }
        Ok(())
    }

    /// Continues with the pauses of an earlier run that knew `known` of the `changes` until now. What a file has changed since, at the
    /// start, ends a pause.
    pub(crate) fn go_on_with_pauses(
        &self,
        state: PausesState,
        pauses: impl IntoIterator<Item = Pause>,
        known: u64,
        changes: u64,
    ) {
        let (clock, heartbeats) = (self.state.clock.read(), Some(self.state.clients.heartbeats()));
        self.state.pauses.go_on_with(state, pauses, clock, heartbeats);
        if changes > known {
            self.state.pauses.site_changed(clock, changes, heartbeats);
        }
    }

    /// Serves the ports of a site that goes on from a store.
    pub(crate) fn serve(&self) {
        self.serving.cancel();
    }

    /// Continues with the commands to clients of an earlier run.
    pub(crate) fn restore_commands(&self, commands: CommandTable) {
        self.state.clients.commands.go_on_from(commands);
    }
}
