//! Every entry in virtual time: its symptom, its repair, and no symptom without its cause.

use std::collections::BTreeSet;

use epm_protocol::assumption::Assumptions;

use super::*;

/// The largest number of failures that the lab cannot reproduce.
const MOST_BEYOND_THE_LAB: usize = 6;

fn unexpected(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| !finding.is_as_described()).collect()
}

#[test]
fn every_file_of_the_catalogue_is_an_entry_with_its_name() {
    for ((name, _), entry) in files::ENTRIES.iter().zip(read()) {
        let entry = entry.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(*name, format!("{}.toml", entry.id));
    }
    let ids: Vec<String> = (1..=45).map(|number| format!("F{number:02}")).collect();
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

/// Another choice for each assumption that an entry rests on.
const OTHERWISE: &[(&str, &str)] = &[
    ("adoption_order", r#""list-then-policy""#),
    ("certificate_dates", r#""ignored""#),
    ("console_longest_key_bits", "4096"),
    ("identity_conflicts", "0"),
    ("module_14_2", r#""as-others""#),
    ("module_14_2_from", r#""14.3""#),
    ("module_14_2_until", r#""15.0""#),
    ("new_identity_from", r#""15.0""#),
    ("new_identity_broken_until", r#""15.0""#),
    ("rest_shares_console_trouble", "false"),
    ("secure_communications_by_default", "false"),
    ("signing_store", r#""client""#),
    ("switch_off_still_checks_tls", "false"),
    ("unchanged_status", "299"),
    ("unknown_domain_status", "403"),
    ("unregistered_status", "403"),
];

fn chosen_otherwise(assumptions: &Assumptions, name: &str) -> Assumptions {
    let (_, value) = OTHERWISE.iter().find(|(one, _)| *one == name).expect("OTHERWISE has another choice");
    let mut fields = serde_json::to_value(assumptions).unwrap();
    fields[name] = serde_json::from_str(value).unwrap();
    serde_json::from_value(fields).unwrap()
}

/// Whether symptom and repair are as described if the assumption is chosen otherwise.
fn is_the_same_otherwise(entry: &Entry, name: &str) -> bool {
    match &entry.means {
        Means::Play(play) => {
            let play = Play { assumptions: chosen_otherwise(&play.assumptions, name), ..*play.clone() };
            let seen = rehearse_play(&play, &entry.title).unwrap().check_against(&play);
            seen.shows_the_symptom() && seen.heals()
        }
        Means::RestCase(case) => {
            let case = RestCase { assumptions: chosen_otherwise(&case.assumptions, name), ..*case.clone() };
            rehearse_rest_case(&case).unwrap().iter().all(|one| one.is_as_described)
        }
        Means::Refused(_) | Means::Cannot { .. } => panic!("{} is not played", entry.id),
    }
}

#[test]
fn an_entry_shows_something_else_when_an_assumption_that_it_rests_on_is_chosen_otherwise() {
    for entry in entries() {
        for one in &entry.rests_on {
            let name = one.assumption;
            assert!(!is_the_same_otherwise(entry, name), "{} does not rest on {name}", entry.id);
        }
    }
}

#[test]
fn an_entry_names_each_assumption_about_trust_that_it_rests_on() {
    let about_trust = ["certificate_dates", "module_14_2", "signing_store", "switch_off_still_checks_tls"];
    for (entry, _) in plays() {
        let named = |name: &str| entry.rests_on.iter().any(|one| one.assumption == name);
        for name in about_trust.into_iter().filter(|name| !named(name)) {
            assert!(is_the_same_otherwise(entry, name), "{} rests on {name}: name it", entry.id);
        }
    }
}

#[test]
fn an_assumption_or_a_statement_that_there_is_not_is_refused_with_its_line_and_the_nearest() {
    let (name, text) = files::ENTRIES[6];
    let wrong = text.replace("\"module_14_2\"", "\"module_142\"");
    let error = Entry::parse(&wrong, name).unwrap_err().to_string();
    assert!(error.starts_with("F07.toml:8:") && error.contains("did you mean \"module_14_2\"?"), "{error}");
    let error = Entry::parse(&text.replace("\"P17\"", "\"P27\""), name).unwrap_err().to_string();
    assert!(error.starts_with("F07.toml:6:") && error.contains("P27"), "{error}");
}
