//! Every entry in virtual time: its symptom, its repair, and no symptom without its cause.

use std::collections::BTreeSet;

use super::*;

/// The largest number of failures that the lab cannot reproduce.
const MOST_BEYOND_THE_LAB: usize = 6;

fn plays() -> impl Iterator<Item = (&'static Entry, &'static Play)> {
    entries().iter().filter_map(|entry| match &entry.means {
        Means::Play(play) => Some((entry, play.as_ref())),
        _ => None,
    })
}

fn unexpected(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| !finding.is_as_described()).collect()
}

#[test]
fn every_file_of_the_catalogue_is_an_entry_with_its_name() {
    for ((name, _), entry) in files::ENTRIES.iter().zip(read()) {
        let entry = entry.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(*name, format!("{}.toml", entry.id));
    }
    let ids: Vec<String> = (1..=44).map(|number| format!("F{number:02}")).collect();
    assert_eq!(entries().iter().map(|entry| entry.id.clone()).collect::<Vec<_>>(), ids);
}

#[test]
fn every_lookalike_is_another_entry() {
    let ids: BTreeSet<&str> = entries().iter().map(|entry| entry.id.as_str()).collect();
    for entry in entries() {
        assert!(!entry.versions.is_empty(), "{}", entry.id);
        assert!(!entry.unlike.is_empty(), "{}", entry.id);
        for other in &entry.unlike {
            assert!(ids.contains(other.id.as_str()) && other.id != entry.id, "{}: {other:?}", entry.id);
        }
    }
}

#[test]
fn few_failures_are_beyond_the_lab() {
    let beyond = entries().iter().filter(|entry| matches!(entry.means, Means::Cannot { .. }));
    assert!(beyond.count() <= MOST_BEYOND_THE_LAB);
}

#[test]
fn every_play_shows_its_symptom_and_its_repair_heals_in_virtual_time() {
    let mut red = Vec::new();
    for (entry, play) in plays() {
        let seen = match rehearse_play(play, &entry.title) {
            Ok(observed) => observed.check_against(play),
            Err(error) => {
                red.push(format!("{}: {error}", entry.id));
                continue;
            }
        };
        for (act, findings) in [("failure", &seen.symptom), ("repair", &seen.recovery)] {
            red.extend(unexpected(findings).iter().map(|one| format!("{}, {act}: {one:?}", entry.id)));
        }
    }
    assert!(red.is_empty(), "{}", red.join("\n"));
}

#[test]
fn a_play_whose_cause_is_left_out_does_not_show_its_symptom() {
    for (entry, play) in plays() {
        let idle = play.without_cause();
        let seen = rehearse_play(&idle, &entry.title).unwrap().check_against(&idle);
        assert!(!seen.shows_the_symptom(), "{} shows its symptom without its cause", entry.id);
    }
}

#[test]
fn what_a_manager_must_refuse_it_refuses_in_the_words_of_the_product_and_nothing_changes() {
    let refusals = entries().iter().filter_map(|entry| match &entry.means {
        Means::Refused(refused) => Some((&entry.id, refused)),
        _ => None,
    });
    for (id, entry) in refusals {
        let verdicts = rehearse_refused(entry).unwrap();
        assert!(verdicts.len() > 1 && verdicts.iter().all(|one| one.is_as_described), "{id}: {verdicts:#?}");
        assert!(verdicts.iter().all(|one| one.is_changed == one.mistake.is_none()), "{id}: {verdicts:#?}");
    }
}

#[test]
fn what_a_tool_must_meet_at_the_rest_api_it_meets_and_without_its_cause_it_does_not() {
    let cases = entries().iter().filter_map(|entry| match &entry.means {
        Means::RestCase(case) => Some((&entry.id, case)),
        _ => None,
    });
    for (id, plan) in cases {
        let met = rehearse_rest_case(plan).unwrap();
        assert!(met.iter().all(|one| one.is_as_described), "{id}: {met:#?}");
        assert!(met.iter().any(|one| one.is_repair), "{id}");
        let idle = rehearse_rest_case(&plan.without_cause()).unwrap();
        assert!(idle.iter().all(|one| one.found == ["200"]), "{id}: {idle:#?}");
    }
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest() {
    assert_eq!(find("f07").unwrap().id, "F07");
    let error = find("F0 7").unwrap_err().to_string();
    assert!(error.contains("F0 7") && error.contains("did you mean \"F07\"?"), "{error}");
    assert!(find("G1000").is_err());
}

#[test]
fn an_entry_that_does_not_say_in_one_way_how_it_is_brought_about_is_refused() {
    let (name, text) = files::ENTRIES[21];
    let without = text.replace("cannot = ", "layers = ");
    assert!(Entry::parse(&without, name).unwrap_err().to_string().contains("layers"));
    let twice = text.replace("cannot = ", "rest_case = { failure = [], repair = [] }\ncannot = ");
    assert!(Entry::parse(&twice, name).unwrap_err().to_string().contains("exactly one of"), "{twice}");
}

#[test]
fn a_scenario_that_no_site_takes_is_refused_with_its_line() {
    let (name, text) = files::ENTRIES[0];
    let wrong = text.replace("manager = \"sepm-1\", certificate", "manager = \"sepm-2\", certificate");
    let error = Entry::parse(&wrong, name).unwrap_err().to_string();
    assert!(error.starts_with("F01.toml:") && error.contains("sepm-2"), "{error}");
}
