//! The history of a client, as a store keeps it.

use epm_client_agent::agent::Distrust;
use epm_client_agent::scenario::Held;
use epm_protocol::policy::PolicySerial;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use serde::{Deserialize, Serialize};

use crate::lab::history::{Orphaning, Trace, Unsigned};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptTrace {
    orphaned: Vec<(Timestamp, Option<Timestamp>, Distrust, Held)>,
    unsigned: Vec<(Timestamp, PolicySerial)>,
    certificates: Vec<(Fingerprint, u64)>,
    forgotten: u64,
    serial: Option<PolicySerial>,
    counts: (u64, u64),
    served: Vec<(u64, u64)>,
}

impl KeptTrace {
    pub(super) fn of(trace: &Trace) -> Self {
        let orphaned =
            trace.orphaned.iter().map(|one| (one.since, one.until, one.because.clone(), one.held.clone()));
        Self {
            orphaned: orphaned.collect(),
            unsigned: trace.unsigned.iter().map(|one| (one.at, one.serial)).collect(),
            certificates: trace.certificates.clone(),
            forgotten: trace.forgotten,
            serial: trace.serial,
            counts: trace.counts,
            served: trace.served.iter().copied().collect(),
        }
    }

    pub(super) fn trace(self) -> Trace {
        let orphaned = self.orphaned.into_iter().map(|(since, until, because, held)| Orphaning {
            since,
            until,
            layer: because.layer(),
            layer_title: because.layer().title(),
            because,
            held,
        });
        Trace {
            orphaned: orphaned.collect(),
            unsigned: self.unsigned.into_iter().map(|(at, serial)| Unsigned { at, serial }).collect(),
            certificates: self.certificates,
            forgotten: self.forgotten,
            serial: self.serial,
            counts: self.counts,
            served: self.served.into(),
            told: Default::default(),
        }
    }
}
