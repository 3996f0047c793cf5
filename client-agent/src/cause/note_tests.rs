//! The notes of a verdict: each failure that leaves its clients well is noted with its number, and what is on its way is not.

use std::time::Duration;

use epm_protocol::fault::FaultSet;
use epm_protocol::time::Timestamp;
use serde_json::json;

use super::{NoteTaker, NotedClient};
use crate::agent::{AgentView, Contact};
use crate::catalogue::{Means, Play, find, plays};
use crate::rehearsal::{Progress, Rehearsal, RehearsalOptions, rehearse};
use crate::scenario::{Note, NoteCode as Code, Verdict};

fn play(id: &str) -> Play {
    let Means::Play(play) = &find(id).unwrap().means else { panic!("{id} is no scenario") };
    Play::clone(play)
}

/// The rehearsal of a play with this many steps of its failure, and of its repair.
fn played(mut play: Play, failure: usize, repair: usize) -> Rehearsal {
    play.failure.truncate(failure);
    play.repair.truncate(repair);
    let options = RehearsalOptions { keep_logs: true, ..RehearsalOptions::default() };
    rehearse(&play.scenario("noted"), &options, &Progress::default(), |_| ()).unwrap()
}

fn notes(play: Play, failure: usize, repair: usize) -> Vec<Note> {
    played(play, failure, repair).outcome.verdict.notes
}

fn codes(notes: &[Note]) -> Vec<Code> {
    notes.iter().map(|one| one.code).collect()
}

#[test]
fn each_failure_that_leaves_its_clients_well_is_noted_with_its_number_until_it_is_repaired() {
    let mut noted = Vec::new();
    for (entry, play) in plays() {
        let verdict = played(Play::clone(play), usize::MAX, 0).outcome.verdict;
        for note in verdict.notes {
            assert_eq!(note.failure.as_ref(), Some(&entry.id), "{note:#?}");
            assert_eq!(
                (verdict.well, note.remedy.as_str()),
                (Some(true), entry.repair.as_str()),
                "{note:#?}"
            );
            assert_eq!(
                codes(&notes(Play::clone(play), usize::MAX, usize::MAX)),
                [],
                "{} is repaired",
                entry.id
            );
            noted.push((entry.id.as_str(), note.code, note.clients, note.examples.join(" ")));
        }
    }
    assert_eq!(
        noted,
        [
            ("F25", Code::SharedRecord, 2, "old-1 old-copy-1".to_owned()),
            ("F26", Code::LowerPriority, 1, "desktop-1".to_owned()),
            ("F35", Code::PreferredGroupMissing, 2, "desktop-1 desktop-2".to_owned()),
            ("F37", Code::DownloadsOff, 2, "desktop-1 desktop-2".to_owned()),
        ]
    );
}

#[test]
fn a_change_that_clients_have_not_heard_of_yet_is_not_noted() {
    let mut changed_last = play("F37");
    changed_last.failure[1].wait = None;
    assert_eq!(codes(&notes(changed_last.clone(), 2, 0)), []);
    // The same where clients do download.
    changed_last.failure.remove(0);
    assert_eq!(codes(&notes(changed_last, 1, 0)), []);
}

#[test]
fn half_of_a_repair_is_noted() {
    // The download is on again, and the clients do not ask for it; the file is right, and the clients are registered already.
    for (id, expected, names) in [
        ("F37", Code::DownloadsOff, "Default Group has now"),
        (
            "F35",
            Code::NotInPreferredGroup,
            r"although their communications file prefers My Company\Desktops:",
        ),
    ] {
        let notes = notes(play(id), usize::MAX, 1);
        assert_eq!(codes(&notes), [expected], "{id}");
        assert!(notes[0].sentence.contains(names) && notes[0].failure.as_deref() == Some(id), "{notes:#?}");
    }
}

#[test]
fn a_note_counts_all_clients_and_names_the_first_twenty() {
    let mut play = play("F37");
    play.fleet[0].get_mut().count = 30;
    let [note] = &notes(play, usize::MAX, 0)[..] else { panic!("one note is expected") };
    let names: Vec<String> = (1..=20).map(|number| format!("desktop-{number}")).collect();
    assert_eq!((note.clients, &note.examples), (30, &names));
    assert!(note.names().ends_with("desktop-20 and 10 more"), "{}", note.names());
}

#[test]
fn a_preferred_manager_that_may_not_serve_clients_is_no_reason_to_note_those_that_stay_with_another() {
    let Rehearsal { outcome, clients, site, .. } = played(play("F26"), usize::MAX, 0);
    let verdict = Verdict { now: outcome.verdict.now, ..Verdict::default() };
    let is_noted = |faults: &FaultSet, verdict: &Verdict| {
        !NoteTaker::new(&site, faults.list(), verdict).of_state(&clients[0].0).is_empty()
    };
    let with = |place: serde_json::Value| {
        let mut faults = FaultSet::default();
        let rule = json!({ "name": "closed", "what": "refuse", "where": place });
        faults.add(serde_json::from_value(rule).unwrap(), verdict.now).unwrap();
        faults
    };
    assert!(is_noted(&FaultSet::default(), &verdict));
    assert!(is_noted(&with(json!({ "manager": "sepm-2" })), &verdict));
    assert!(is_noted(&with(json!({ "listener": "rest" })), &verdict));
    assert!(!is_noted(&with(json!({ "manager": "sepm-1" })), &verdict));
    assert!(!is_noted(&with(json!({})), &verdict));
    let down = [("sepm-1".to_owned(), vec!["semwebsrv".to_owned()])].into();
    assert!(!is_noted(&FaultSet::default(), &Verdict { services_down: Some(down), ..verdict.clone() }));
    // A client that does not trust it cannot go back to it.
    let mut view = clients[0].0.clone();
    view.certificates.retain(|one| *one != outcome.verdict.certificates["sepm-1"]);
    assert!(NoteTaker::new(&site, &[], &verdict).of_state(&view).is_empty());
}

#[test]
fn a_client_that_downloads_and_holds_an_old_policy_is_noted_after_two_heartbeats() {
    let Rehearsal { outcome, clients, site, .. } = played(play("F37"), usize::MAX, 0);
    let view = AgentView { downloads_off: false, ..clients[0].0.clone() };
    let changed = site.groups().get(view.group.as_deref().unwrap()).unwrap().changed;
    let interval = Duration::from_secs(300);
    let noted = |heartbeat: Option<Timestamp>| {
        let mut taker = NoteTaker::new(&site, &[], &outcome.verdict);
        let facts = taker.of_state(&view);
        let contact = Some(Contact { heartbeat, interval, stays_until: None });
        taker.see("desktop-1", &facts, NotedClient { agent: None, contact, group: None });
        codes(&taker.finish(&site))
    };
    let moment = Duration::from_millis(1);
    assert_eq!(noted(None), []);
    assert_eq!(noted(Some(changed + interval)), []);
    assert_eq!(noted(Some(changed + interval + moment)), [Code::OldPolicy]);
}
