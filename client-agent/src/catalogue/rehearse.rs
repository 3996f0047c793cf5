//! Rehearses a failure: first the first act, then both, so that the state after each can be observed.

use super::entry::{Acts, Play};
use super::observed::{Act, ManagerNote, Observed, ObservedClient};
use crate::rehearsal::{ManagerAction, Progress, Rehearsal, RehearsalError, RehearsalOptions, rehearse};
use crate::scenario::Scenario;

/// The product's line for a message whose secret does not match [C S9].
const BAD_FORMAT: &str = "4 Bad format.";

/// Plays both acts in virtual time.
///
/// # Errors
///
/// When the site refuses a command, a wait reaches its limit, or the lab contradicts itself.
pub fn rehearse_play(play: &Play, title: &str) -> Result<Observed, RehearsalError> {
    let one = play.acts(title, Acts::First);
    let both = play.acts(title, Acts::Both);
    let first = keep(&one)?;
    let second = keep(&both)?;
    let parts: Vec<String> = one
        .fleet
        .iter()
        .flat_map(|part| {
            let part = part.get_ref();
            std::iter::repeat_n(part.name.clone(), part.count as usize)
        })
        .collect();
    let skipped: Vec<(usize, usize)> = first
        .clients
        .iter()
        .zip(&first.manager_events)
        .map(|((_, lines), manager_events)| (lines.len(), manager_events.len()))
        .collect();
    // The first of all steps is the installation, which belongs to no act.
    let (repair, failure) = (play.failure.len() + 1, 1);
    Ok(Observed { repair: act(second, &parts, &skipped, repair), failure: act(first, &parts, &[], failure) })
}

fn keep(scenario: &Scenario) -> Result<Rehearsal, RehearsalError> {
    let options = RehearsalOptions { threads: 1, keep_logs: true, ..RehearsalOptions::default() };
    rehearse(scenario, &options, &Progress::default(), |_| ())
}

/// The part of a rehearsal that does not belong to the act before.
fn act(rehearsal: Rehearsal, parts: &[String], skipped: &[(usize, usize)], first_step: usize) -> Act {
    let names: Vec<String> = rehearsal.site.managers().map(|manager| manager.name.clone()).collect();
    let (mut clients, mut managers) = (Vec::new(), Vec::new());
    let all = rehearsal.clients.into_iter().zip(rehearsal.manager_events).zip(parts).enumerate();
    for (place, (((view, log), manager_events), part)) in all {
        let (lines, events) = skipped.get(place).copied().unwrap_or_default();
        for event in manager_events.into_iter().skip(events) {
            let (action, status) = match event.action {
                ManagerAction::Answered { action, status } => (action, Some(status)),
                ManagerAction::ShownInVain => ("broken off", None),
            };
            managers.push(ManagerNote {
                at: event.at,
                manager: names.get(event.manager).cloned().unwrap_or_default(),
                client: Some(view.computer_name.clone()),
                action: action.to_owned(),
                status,
            });
        }
        clients.push(ObservedClient::new(part, view, log.into_iter().skip(lines).collect()));
    }
    managers.sort_by_key(|note: &ManagerNote| note.at);
    let refused = managers.iter().filter(|note| note.action == "refused");
    let steps = rehearsal.outcome.steps.iter().skip(first_step);
    Act {
        began: steps.map(|step| step.report.began).collect(),
        ended: rehearsal.outcome.ended,
        manager_log: refused.map(|_| BAD_FORMAT.to_owned()).collect(),
        clients,
        notes: rehearsal.outcome.verdict.notes,
        managers,
        site: rehearsal.site,
    }
}
