//! What tells the candidates of a diagnosis apart: what their entries say of each other, and what to run to see it.

use serde::Serialize;

use super::Candidate;
use crate::catalogue::entry::{Entry, Means, Standing};

/// So many of the candidates are told apart.
const TOLD: usize = 5;

/// What tells a failure from another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Apart {
    /// The other failure.
    pub from: String,
    /// What to look for, in the words of the entry that says it.
    pub by: String,
}

/// Says of the first candidates what tells each from the others, and how to see it; `server` is one that failed.
pub(super) fn tell(candidates: &mut [Candidate], server: Option<&str>) {
    let entries: Vec<&'static Entry> = candidates.iter().take(TOLD).map(|one| one.entry).collect();
    for candidate in candidates.iter_mut().take(TOLD) {
        for other in entries.iter().filter(|other| other.id != candidate.id) {
            // An entry says of its look-alike what is seen if it is that one.
            let said = |of: &Entry, by: &Entry| {
                of.unlike.iter().find(|one| one.id == by.id).map(|one| one.by.clone())
            };
            if let Some(by) = said(other, candidate.entry) {
                candidate.apart.push(Apart { from: other.id.clone(), by });
            }
        }
        candidate.commands = commands(candidate.entry, server);
    }
}

/// What shows the layer that a failure lies in, and the failure itself.
fn commands(entry: &Entry, server: Option<&str>) -> Vec<String> {
    let place = server.unwrap_or("https://SERVER:PORT");
    let host = place.split_once("://").map_or(place, |(_, host)| host);
    let doctor = match server {
        Some(one) => format!("epm-agent doctor --sylink sylink.xml --server {one}"),
        None => "epm-agent doctor --sylink sylink.xml".to_owned(),
    };
    let hello = format!("curl -vk '{place}/secars/secars.dll?hello,secars'");
    let shown = format!(
        "openssl s_client -connect {host} </dev/null | openssl x509 -noout -fingerprint -sha256 -dates"
    );
    let mut commands = match entry.layer {
        Standing::Tls => vec![shown, doctor],
        Standing::Network => vec![hello, doctor],
        Standing::Signature | Standing::Trust => vec![doctor],
        Standing::Secret | Standing::Registration | Standing::Settings => {
            vec![format!("epm-lab sylink check sylink.xml --against {place}"), doctor]
        }
        Standing::Manager => vec![hello],
    };
    if matches!(entry.means, Means::Play(_) | Means::Refused(_) | Means::Errand(_)) {
        commands.push(format!("epm-lab failure reproduce {}", entry.id));
    } else {
        commands.push(format!("epm-lab failure show {}", entry.id));
    }
    commands
}
