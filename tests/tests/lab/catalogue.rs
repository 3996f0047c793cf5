//! Every entry of the failure catalogue over real sockets: its symptom, its repair, and the same result as in virtual
//! time.

use epm_client_agent::agent::LogLine;
use epm_client_agent::catalogue::{
    Act, Finding, Means, Observed, Play, Reproduction, entries, plays, rehearse_play, rehearse_refused,
    rehearse_rest_case,
};
use epm_client_agent::scenario::NoteCode;
use epm_server::lab as play;
use epm_server::lab::scenario_run::{ScenarioRun, silent};

/// The findings that are not as described.
fn unexpected(id: &str, seen: &Reproduction) -> Vec<String> {
    let acts = [("failure", &seen.symptom), ("repair", &seen.recovery)];
    let all = acts.into_iter().flat_map(|(act, findings)| findings.iter().map(move |one| (act, one)));
    all.filter(|(_, one)| !Finding::is_as_described(one))
        .map(|(act, one)| format!("{id}, {act}: {one:?}"))
        .collect()
}

/// The first difference of each client's log between the drivers, with some lines of both. The texts of the lines are
/// not compared, since addresses differ.
fn differences(act: &str, here: &Act, there: &Act) -> Vec<String> {
    assert_eq!(here.clients.len(), there.clients.len(), "{act}");
    let each = here.clients.iter().zip(&there.clients);
    let each = each.filter_map(|(here, there)| {
        let (virtual_time, sockets) = (&here.log, &there.log);
        let event = |lines: &[LogLine], place: usize| lines.get(place).map(|line| (line.at, line.event));
        let place = (0..virtual_time.len().max(sockets.len()))
            .find(|place| event(virtual_time, *place) != event(sockets, *place))?;
        let around = |lines: &[LogLine]| {
            let lines = lines.iter().skip(place.saturating_sub(2)).take(5);
            lines.map(|line| format!("\n    {line}")).collect::<String>()
        };
        let head = format!("{act}: {}, line {place}", there.client);
        Some(format!(
            "{head}\n  in virtual time:{}\n  over sockets:{}",
            around(virtual_time),
            around(sockets)
        ))
    });
    each.collect()
}

async fn over_sockets(play: &Play, title: &str) -> Observed {
    play::reproduced(play, title, None).await.unwrap_or_else(|error| panic!("{title}: {error}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_play_shows_its_symptom_and_is_healed_over_sockets_as_it_is_in_virtual_time() {
    let mut red = Vec::new();
    for (entry, play) in plays() {
        let there = over_sockets(play, &entry.title).await;
        let here = rehearse_play(play, &entry.title).unwrap();
        for (act, here, there) in
            [("failure", &here.failure, &there.failure), ("repair", &here.repair, &there.repair)]
        {
            red.extend(differences(&format!("{}, {act}", entry.id), here, there));
            if here.notes != there.notes {
                red.push(format!("{}, {act}: {:#?}, over sockets {:#?}", entry.id, here.notes, there.notes));
            }
        }
        red.extend(unexpected(&entry.id, &there.check_against(play)));
    }
    assert!(red.is_empty(), "{}", red.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clones_are_noted_by_a_lab_and_are_no_clients_elsewhere() {
    let (entry, play) = plays().find(|(entry, _)| entry.id == "F25").unwrap();
    let mut first = play.clone();
    first.repair.clear();
    let scenario = first.scenario(&entry.title);
    let mut run = ScenarioRun::start(&scenario, &silent()).await.unwrap();
    for step in &scenario.step {
        run.take(step).await.unwrap();
    }
    let (of_run, of_lab) = (run.verdict().await, run.lab().verdict().await);
    let [note] = &of_lab.notes[..] else { panic!("{:#?}", of_lab.notes) };
    assert_eq!(
        (note.code, &note.examples[..]),
        (NoteCode::SharedRecord, &["old-1", "old-copy-1"].map(str::to_owned)[..])
    );
    assert_eq!(of_run.notes, of_lab.notes);
    // One has made a new identity, and has a second record.
    assert!(run.lab().site.look(|site| site.clients().count()) > of_lab.clients);
    assert_eq!((of_lab.well, of_lab.elsewhere, of_lab.unknown), (Some(true), Some(0), Vec::new()));
    run.lab().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_play_whose_cause_is_left_out_does_not_show_its_symptom_over_sockets_either() {
    for (entry, play) in plays() {
        let idle = play.without_cause();
        let seen = over_sockets(&idle, &entry.title).await.check_against(&idle);
        assert!(!seen.shows_the_symptom(), "{} shows its symptom without its cause", entry.id);
    }
}

#[tokio::test]
async fn a_tool_meets_at_the_rest_api_over_sockets_what_it_meets_in_virtual_time() {
    for entry in entries() {
        let Means::RestCase(plan) = &entry.means else { continue };
        for plan in [plan.as_ref(), &plan.without_cause()] {
            assert_eq!(
                epm_server::rest_case::rest_case(plan, None).await.unwrap(),
                rehearse_rest_case(plan).unwrap(),
                "{}",
                entry.id
            );
        }
    }
}

#[tokio::test]
async fn a_manager_that_listens_refuses_in_the_same_words() {
    for entry in entries() {
        let Means::Refused(commands) = &entry.means else { continue };
        assert_eq!(
            play::refused(commands).await.unwrap(),
            rehearse_refused(commands).unwrap(),
            "{}",
            entry.id
        );
    }
}
