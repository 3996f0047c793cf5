//! What a command does, for the driver that carries it out.

use crate::id::{AgentId, GroupId};
use crate::trust::Fingerprint;

/// An effect of a command, which the driver of the site carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Groups have a new policy, list or index, on every manager.
    Published {
        /// The identifiers of the groups.
        groups: Vec<GroupId>,
    },
    /// The clients' port of this manager shows another certificate from the next handshake on.
    CertificateServed {
        /// The name of the manager.
        manager: String,
        /// The fingerprint of the new certificate.
        fingerprint: Fingerprint,
    },
    /// The console of this manager shows another certificate and was restarted.
    ConsoleCertificate {
        /// The name of the manager.
        manager: String,
        /// The fingerprint of the new certificate.
        fingerprint: Fingerprint,
    },
    /// The services of all managers were restarted with another domain, secret or certificate, and all connections
    /// ended.
    ServicesRestarted,
    /// All clients were forgotten: none is registered any more.
    ClientsForgotten,
    /// A client is in this group now.
    ClientPlaced {
        /// The identifier of the client.
        agent: AgentId,
        /// The identifier of the client's group.
        group: GroupId,
    },
    /// A client is no longer registered.
    ClientRemoved {
        /// The identifier of the client.
        agent: AgentId,
    },
}
