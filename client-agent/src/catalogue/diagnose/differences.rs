//! What distinguishes the candidates of a diagnosis: what their entries say of each other, and the commands that show
//! it.

use super::candidate::{Candidate, Difference};
use crate::catalogue::entry::{Entry, Means};
use crate::catalogue::expected::Area;

/// The number of candidates that are compared.
const TOLD: usize = 5;

/// Adds to the first candidates what distinguishes each from the others, and how to see it; `server` is one that
/// failed.
pub(super) fn add_differences(candidates: &mut [Candidate], server: Option<&str>) {
    let entries: Vec<&'static Entry> = candidates.iter().take(TOLD).map(|one| one.entry).collect();
    for candidate in candidates.iter_mut().take(TOLD) {
        for other in entries.iter().filter(|other| other.id != candidate.id) {
            // An entry says of its look-alike what is seen if it is that one.
            let said = |of: &Entry, by: &Entry| {
                of.unlike.iter().find(|one| one.id == by.id).map(|one| one.by.clone())
            };
            if let Some(by) = said(other, candidate.entry) {
                candidate.differences.push(Difference { from: other.id.clone(), by });
            }
        }
        candidate.commands = commands(candidate.entry, server);
    }
}

/// The commands that show the layer of a failure, and the failure itself.
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
        Area::Tls => vec![shown, doctor],
        Area::Network => vec![hello, doctor],
        Area::Signature | Area::Trust => vec![doctor],
        Area::SharedSecret | Area::Registration | Area::Settings => {
            vec![format!("epm-lab sylink check sylink.xml --against {place}"), doctor]
        }
        Area::Manager => vec![hello],
    };
    if matches!(entry.means, Means::Play(_) | Means::Refused(_) | Means::RestCase(_)) {
        commands.push(format!("epm-lab failure reproduce {}", entry.id));
    } else {
        commands.push(format!("epm-lab failure show {}", entry.id));
    }
    commands
}
