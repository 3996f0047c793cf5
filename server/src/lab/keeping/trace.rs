//! The history of a client, as a store keeps it.

use epm_client_agent::agent::Distrust;
use epm_client_agent::scenario::Held;
use epm_protocol::policy::PolicySerial;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use serde::{Deserialize, Serialize};

use crate::lab::history::{Orphaning, Told, Trace, Unsigned};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptTrace {
    orphaned: Vec<(Timestamp, Option<Timestamp>, Distrust, Held)>,
    unsigned: Vec<(Timestamp, PolicySerial)>,
    certificates: Vec<(Fingerprint, u64)>,
    forgotten: u64,
    serial: Option<PolicySerial>,
    counts: (u64, u64),
    served: Vec<(u64, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<Told>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contact: Option<(Timestamp, Timestamp)>,
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
            told: trace.told,
            contact: trace.contact,
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
            told: self.told,
            contact: self.contact,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_of_an_earlier_version_is_that_of_a_client_that_has_told_nothing() {
        let earlier = r#"{"orphaned":[],"unsigned":[],"certificates":[],"forgotten":3,"serial":null,"counts":[2,1],"served":[[1,7]]}"#;
        let kept: KeptTrace = serde_json::from_str(earlier).unwrap();
        let trace = kept.trace();
        assert!(trace.told.is_none() && trace.contact.is_none() && trace.counts == (2, 1), "{trace:?}");
        assert_eq!(serde_json::to_string(&KeptTrace::of(&trace)).unwrap(), earlier);
    }
}
