//! Reproduces an entry of the failure catalogue over real sockets, with the clock moved.

use std::collections::BTreeMap;
use std::sync::Arc;

use epm_client_agent::agent::{AgentView, LogLine};
use epm_client_agent::catalogue::{Act, ManagerNote, Observed, ObservedClient, Play, RefusalCheck, Refused};
use epm_client_agent::scenario::Note;
use epm_client_agent::wire::LogSink;
use epm_protocol::time::{Clock, Timestamp};
use parking_lot::Mutex;

use crate::lab::run_error::RunError;
use crate::lab::scenario_run::{ProgressEvent, run_scenario_moved};
use crate::mock_site::{MockSite, StartError};
use crate::runtime::capture::Capture;

/// Log lines by client name.
type Logs = BTreeMap<String, Vec<LogLine>>;

/// Totals at the end of an act, counted from the start.
struct Snapshot {
    ended: Timestamp,
    clients: Vec<(String, AgentView, Vec<LogLine>)>,
    notes: Vec<Note>,
    answered: Vec<ManagerNote>,
    broken_off: Vec<ManagerNote>,
    log: Vec<String>,
    site: epm_protocol::site::Site,
}

/// Runs both acts over sockets. `capture` gets the traffic, if there is one.
///
/// # Errors
///
/// As [`run_scenario_moved`].
pub async fn reproduced(
    play: &Play,
    title: &str,
    capture: Option<&Arc<Capture>>,
) -> Result<Observed, RunError> {
    let logs: Arc<Mutex<Logs>> = Arc::default();
    let sink: LogSink = {
        let logs = Arc::clone(&logs);
        Arc::new(move |name: &str, line: &LogLine| {
            let mut logs = logs.lock();
            logs.entry(name.to_owned()).or_default().push(line.clone());
        })
    };
    let (mut failure, mut repair) = (None, None);
    let mut began = Vec::new();
    let last = play.failure.len() + play.repair.len();
    run_scenario_moved(&play.scenario(title), &sink, capture, |event| {
        let ProgressEvent::Ended { step, clients, notes, site } = event else { return };
        began.push(step.began);
        let snapshot = || {
            let logs = logs.lock();
            Snapshot::of(site, clients, notes, &logs)
        };
        if step.number == play.failure.len() {
            failure = Some(snapshot());
        }
        if step.number == last {
            repair = Some(snapshot());
        }
    })
    .await?;
    let (Some(failure), Some(repair)) = (failure, repair) else {
        return Err(RunError::Incomplete("an act of the failure has no last step"));
    };
    // The first step is the installation, which belongs to neither act.
    let mut steps = began.into_iter().skip(1);
    let first = steps.by_ref().take(play.failure.len()).collect();
    Ok(Observed {
        repair: repair.since(Some(&failure), steps.collect()),
        failure: failure.since(None, first),
    })
}

/// Gives every command to a running manager. Answers and consequences must equal those without sockets.
///
/// # Errors
///
/// When the site cannot start.
pub async fn refused(entry: &Refused) -> Result<Vec<RefusalCheck>, StartError> {
    let site = MockSite::start().await?;
    let verdicts = entry.give(|command| {
        let before = site.certificate("sepm-1");
        let answer = site.apply(command);
        let is_changed = site.certificate("sepm-1") != before;
        answer.map(|_| is_changed)
    });
    site.stop().await;
    Ok(verdicts)
}

impl Snapshot {
    fn of(site: &MockSite, clients: &[(String, AgentView)], notes: &[Note], logs: &Logs) -> Self {
        let state = site.look(Clone::clone);
        let names: Vec<&str> = state.managers().map(|manager| manager.name.as_str()).collect();
        let name = |manager: usize| names.get(manager).copied().unwrap_or_default().to_owned();
        let answered = site.journal().records().into_iter().map(|record| ManagerNote {
            at: record.at,
            manager: name(record.manager),
            client: record
                .agent
                .and_then(|agent| state.client(agent))
                .map(|client| client.computer_name.clone()),
            action: record.action.to_owned(),
            status: Some(record.status),
        });
        let broken_off = site.journal().failed_handshakes().into_iter().map(|(at, manager)| ManagerNote {
            at,
            manager: name(manager),
            client: None,
            action: "broken off".to_owned(),
            status: None,
        });
        let log_of = |view: &AgentView| logs.get(&view.computer_name).cloned().unwrap_or_default();
        Self {
            ended: site.clock().now(),
            clients: clients.iter().map(|(part, view)| (part.clone(), view.clone(), log_of(view))).collect(),
            notes: notes.to_vec(),
            answered: answered.collect(),
            broken_off: broken_off.collect(),
            log: site.journal().server_log(),
            site: state,
        }
    }

    /// The difference from an earlier snapshot.
    fn since(&self, before: Option<&Self>, began: Vec<Timestamp>) -> Act {
        let skipped = |name: &str| {
            let known = before.map_or(&[][..], |before| before.clients.as_slice());
            known.iter().find(|(_, view, _)| view.computer_name == name).map_or(0, |(_, _, log)| log.len())
        };
        let clients = self.clients.iter().map(|(part, view, log)| {
            let new = log.iter().skip(skipped(&view.computer_name)).cloned().collect();
            ObservedClient::new(part, view.clone(), new)
        });
        let answered = self.answered.iter().skip(before.map_or(0, |before| before.answered.len()));
        // An aborted handshake is recorded after the client has moved on, so it is assigned by its time.
        let broken_off = self.broken_off.iter();
        let broken_off = broken_off.filter(|note| before.is_none_or(|before| note.at > before.ended));
        let mut managers: Vec<ManagerNote> = answered.chain(broken_off).cloned().collect();
        managers.sort_by_key(|note| note.at);
        Act {
            began,
            ended: self.ended,
            clients: clients.collect(),
            notes: self.notes.clone(),
            managers,
            manager_log: self.log.iter().skip(before.map_or(0, |one| one.log.len())).cloned().collect(),
            site: self.site.clone(),
        }
    }
}
