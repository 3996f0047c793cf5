//! Every entry of the failure catalogue over real sockets: its symptom, its repair, and the same result as in virtual
//! time.

use epm_client_agent::agent::Event;
use epm_client_agent::catalogue::{
    Act, Entry, Finding, Means, Observed, Play, Reproduction, entries, rehearse_play, rehearse_refused,
    rehearse_rest_case,
};
use epm_protocol::time::Timestamp;
use epm_server::lab as play;

fn scenario_runs() -> impl Iterator<Item = (&'static Entry, &'static Play)> {
    entries().iter().filter_map(|entry| match &entry.means {
        Means::Play(play) => Some((entry, play.as_ref())),
        _ => None,
    })
}

/// The findings that are not as described.
fn unexpected(id: &str, seen: &Reproduction) -> Vec<String> {
    let acts = [("failure", &seen.symptom), ("repair", &seen.recovery)];
    let all = acts.into_iter().flat_map(|(act, findings)| findings.iter().map(move |one| (act, one)));
    all.filter(|(_, one)| !Finding::is_as_described(one))
        .map(|(act, one)| format!("{id}, {act}: {one:?}"))
        .collect()
}

/// The events that each client logged, without texts, since addresses differ between drivers.
fn told(act: &Act) -> Vec<(&str, Vec<(Timestamp, Event)>)> {
    let lines = |seen: &epm_client_agent::catalogue::ObservedClient| {
        seen.log.iter().map(|line| (line.at, line.event)).collect::<Vec<_>>()
    };
    act.clients.iter().map(|seen| (seen.client.as_str(), lines(seen))).collect()
}

async fn over_sockets(play: &Play, title: &str) -> Observed {
    play::reproduced(play, title).await.unwrap_or_else(|error| panic!("{title}: {error}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_play_shows_its_symptom_and_is_healed_over_sockets_as_it_is_in_virtual_time() {
    let mut red = Vec::new();
    for (entry, play) in scenario_runs() {
        let there = over_sockets(play, &entry.title).await;
        let here = rehearse_play(play, &entry.title).unwrap();
        for (here, there) in [(&here.failure, &there.failure), (&here.repair, &there.repair)] {
            assert_eq!(told(here), told(there), "{}, virtual time first", entry.id);
        }
        red.extend(unexpected(&entry.id, &there.check_against(play)));
    }
    assert!(red.is_empty(), "{}", red.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_play_whose_cause_is_left_out_does_not_show_its_symptom_over_sockets_either() {
    for (entry, play) in scenario_runs() {
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
                epm_server::rest_case::rest_case(plan).await.unwrap(),
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
