//! What of a running site a store has beside its log: commands to clients, and the state of the REST API.

use epm_protocol::site::CommandTable;

use super::MockSite;
use crate::rest_api::{KeptLogIns, Stored};

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

    /// Administrators and tokens of the REST API.
    pub(crate) fn rest_log_ins(&self) -> Option<KeptLogIns> {
        let (first, _) = self.rest_apis.first()?;
        Some(KeptLogIns::of(&first.database, self.rest_apis.iter().map(|(api, _)| api)))
    }

    /// Continues with settings, administrators and tokens of an earlier run.
    pub(crate) fn restore_rest(&self, settings: Option<Stored>, log_ins: Option<KeptLogIns>) {
        let Some((first, _)) = self.rest_apis.first() else { return };
        if let Some(settings) = settings {
            *first.database.store.kept() = settings;
        }
        if let Some(log_ins) = log_ins {
            log_ins.restore(&first.database, self.rest_apis.iter().map(|(api, _)| api));
        }
    }

    /// Continues with the commands to clients of an earlier run.
    pub(crate) fn restore_commands(&self, commands: CommandTable) {
        self.state.clients.commands.go_on_from(commands);
    }
}
