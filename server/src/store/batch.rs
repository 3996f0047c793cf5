//! What a store writes in one step.

use epm_protocol::id::AgentId;
use epm_protocol::time::Timestamp;
use serde::Serialize;

use crate::runtime::clients::ClientStatus;

/// Everything that is written in one step: all of it or nothing.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Whether every client is forgotten first.
    pub(crate) forgets_clients: bool,
    /// Clients to be added or replaced.
    pub(crate) clients: Vec<ClientStatus>,
    /// Clients to be removed.
    pub(crate) removed: Vec<AgentId>,
    /// Clients of which nothing has changed but when they were last seen.
    pub(crate) seen: Vec<(AgentId, Timestamp)>,
    /// Kinds of which every document is removed first.
    pub(crate) cleared: Vec<Kind>,
    /// Documents to be added or replaced; removed without a content.
    pub(crate) documents: Vec<(Kind, String, Option<String>)>,
}

/// The kinds of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// What the lab was founded with; one document, whose name is that of the kind.
    Founding,
    /// Facts about the lab as a whole; one document.
    Lab,
    /// The active faults, in order; one document.
    Faults,
    /// Numbers of connections and exchanges under faults, by what was counted.
    FaultCount,
    /// Parts of the fleet.
    Part,
    /// Clients of the fleet, without their caches.
    Client,
    /// Caches of the clients of the fleet.
    Cache,
    /// Texts that caches name, by their SHA-256.
    Text,
    /// Histories of the clients of the fleet.
    Trace,
    /// Histories of clients that processes elsewhere report, of those with something to report.
    Reported,
    /// Histories of clients that left the fleet.
    Departed,
    /// Changes of certificates, lists and switches, by number.
    SiteChange,
    /// Pauses between changes of the site, by number; in a shared store those in which the tool waited, without a content.
    Pause,
    /// The pauses between changes, without those that have ended; one document.
    Pauses,
    /// What was done to the lab beside the commands in the log, by number.
    Action,
    Baseline,
    Expectation,
    /// Reports that a process of a shared site refused because another one has their source, by source.
    Refusal,
    /// The last judgement of a rotation that was asked for; one document.
    Judgement,
    Snapshot,
    /// Commands of the console to clients; one document.
    ClientCommands,
    /// Settings of the REST API that clients do not see; one document.
    RestSettings,
    /// Administrators and tokens of the REST API; one document.
    RestLogIns,
    /// Entries of the journal, by number.
    Journal,
}

impl Kind {
    /// Every kind of document that a store keeps.
    pub(crate) const ALL: [Self; 24] = [
        Self::Founding,
        Self::Lab,
        Self::Faults,
        Self::FaultCount,
        Self::Part,
        Self::Client,
        Self::Cache,
        Self::Text,
        Self::Trace,
        Self::Reported,
        Self::Departed,
        Self::SiteChange,
        Self::Pause,
        Self::Pauses,
        Self::Action,
        Self::Baseline,
        Self::Expectation,
        Self::Refusal,
        Self::Judgement,
        Self::Snapshot,
        Self::ClientCommands,
        Self::RestSettings,
        Self::RestLogIns,
        Self::Journal,
    ];

    /// The name of the kind, in the database and in messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Founding => "founding",
            Self::Lab => "lab",
            Self::Faults => "faults",
            Self::FaultCount => "fault-count",
            Self::Part => "part",
            Self::Client => "client",
            Self::Cache => "cache",
            Self::Text => "text",
            Self::Trace => "trace",
            Self::Reported => "reported",
            Self::Departed => "departed",
            Self::SiteChange => "site-change",
            Self::Pause => "pause",
            Self::Pauses => "pauses",
            Self::Action => "action",
            Self::Baseline => "baseline",
            Self::Expectation => "expectation",
            Self::Refusal => "refusal",
            Self::Judgement => "judgement",
            Self::Snapshot => "snapshot",
            Self::ClientCommands => "client-commands",
            Self::RestSettings => "rest-settings",
            Self::RestLogIns => "rest-log-ins",
            Self::Journal => "journal",
        }
    }
}

impl Batch {
    /// A batch with one document.
    pub(crate) fn of(kind: Kind, name: &str, content: &impl Serialize) -> Self {
        let mut batch = Self::default();
        batch.put(kind, name, content);
        batch
    }

    /// Adds or replaces a document.
    pub(crate) fn put(&mut self, kind: Kind, name: &str, content: &impl Serialize) {
        // The documents are this program's own types, which serialise.
        let content = serde_json::to_string(content).unwrap_or_default();
        self.documents.push((kind, name.to_owned(), Some(content)));
    }

    /// What the batch does to records of clients, without its documents.
    #[cfg(feature = "postgres")]
    pub(crate) fn for_clients(&self) -> Self {
        let (clients, removed) = (self.clients.clone(), self.removed.clone());
        Self { forgets_clients: self.forgets_clients, clients, removed, ..Self::default() }
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        !self.forgets_clients
            && self.clients.is_empty()
            && self.removed.is_empty()
            && self.seen.is_empty()
            && self.cleared.is_empty()
            && self.documents.is_empty()
    }
}
