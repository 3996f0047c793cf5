//! What was well, or was mended, is not named as the cause of what fails later; and each rule asks for what the clients held.

use super::tests::{outcome, scenario_in};
use crate::scenario::{CauseCode as Code, ClientFinding, Scenario, Verdict};

const ONE: &str = "{ name = 'sepm-1' }";
const TWO: &str = "{ name = 'sepm-1' }, { name = 'sepm-2' }";
const NEW: &str = "14.3.8289";
const WITH_142: &str = "14.2.5323";

/// Commands that make a list over HTTP.
const HTTP: &str = "{ copy-list = { from = 'Default Management Server List for My Site', to = 'HTTP' } }, \
                    { edit-list = { list = 'HTTP', protocol = 'http' } }";

/// The verdict on a site of these managers with two clients of this version, after these steps; `more` are other tables.
fn judged(managers: &str, version: &str, more: &str, steps: &[&str]) -> Verdict {
    let text = format!(
        "title = 'Small'\nseed = 1\n[site]\nname = 'My Site'\nmanagers = [{managers}]\n\
         [[fleet]]\nname = 'desk'\ncount = 2\nversion = '{version}'\n{more}\n{}",
        steps.concat()
    );
    let scenario = Scenario::parse(&text, "small").unwrap_or_else(|error| panic!("{error}\n{text}"));
    scenario.check("small", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    outcome(&scenario).verdict
}

/// A step with these commands of the operator.
fn step(operator: &str, more: &str) -> String {
    format!("[[step]]\ntitle = 'step'\noperator = [{operator}]\n{more}\n")
}

fn waited(operator: &str) -> String {
    step(operator, WAIT)
}

const WAIT: &str = "wait = { heartbeats = 3 }";

fn update(number: u8) -> String {
    format!("{{ update-certificate = {{ manager = 'sepm-{number}', certificate = {{ generate = {{}} }} }} }}")
}

fn switch(on: bool) -> String {
    format!("{{ set-secure-communications = {{ group = 'My Company', on = {on} }} }}")
}

fn assign(list: &str) -> String {
    format!("{{ assign-list = {{ list = '{list}', group = 'My Company' }} }}")
}

/// A fault that is set when a step names it.
fn fault(what: &str) -> String {
    format!("[[fault]]\nname = 'it'\n{what}")
}

/// A step that imports a communications file on the machines of a part.
fn import(part: &str, from: &str) -> String {
    let action = format!("fleet = [{{ import-sylink = {{ part = '{part}', from = {from} }} }}]");
    step("", &format!("{action}\n{WAIT}"))
}

/// The rotation of one manager, step by step, as it is documented.
fn rotation() -> String {
    [
        waited(&format!("{HTTP}, {}, {}", assign("HTTP"), switch(false))),
        waited(&update(1)),
        waited(&format!("{}, {}", switch(true), assign("Default Management Server List for My Site"))),
    ]
    .concat()
}

/// What each reason says of orphaned clients: how many, the code, the step and the failure.
fn causes(verdict: &Verdict) -> Vec<(usize, Code, Option<usize>, Option<&str>)> {
    let all = verdict.reasons.iter().filter(|one| one.finding == ClientFinding::Orphaned);
    all.map(|one| (one.clients, one.code, one.step, one.failure.as_deref())).collect()
}

/// A file of the site with a shared secret that no site has.
const EDITED: &str =
    "{ group = 'My Company\\Default Group', edited = { kcs = '00112233445566778899AABBCCDDEEFF' } }";
const FRESH: &str = "{ group = 'My Company\\Default Group' }";

#[test]
fn a_secret_that_a_manager_accepted_and_refuses_is_wrong_at_the_manager_and_one_of_a_new_file_at_the_client()
{
    let kcs_changed = fault("what = 'kcs-changed'");
    let refuses = step("", &format!("faults = ['it']\n{WAIT}"));
    let verdict = judged(ONE, NEW, &kcs_changed, &[&waited(""), &refuses]);
    assert_eq!(causes(&verdict), [(2, Code::SecretOfManager, None, Some("F34"))], "{:#?}", verdict.reasons);
    // It was never accepted together with a file that a client has just got.
    for before in [String::new(), waited("")] {
        let verdict = judged(ONE, NEW, "", &[&before, &import("desk", EDITED)]);
        assert_eq!(
            causes(&verdict),
            [(2, Code::SecretOfClient, None, Some("F18"))],
            "{:#?}",
            verdict.reasons
        );
    }
}

#[test]
fn a_reinstallation_that_the_clients_have_followed_is_not_why_a_later_secret_or_file_is_wrong() {
    let backups = "{ back-up = { recovery = 'ours' } }, { back-up-another-site = { recovery = 'other' } }";
    let wrong = "{ reinstall = { keystore = 'ours', secret = 'other', domain = 'ours' } }";
    let orphaned = [waited(backups), waited(wrong)].concat();
    let followed = [orphaned.as_str(), &import("desk", FRESH)].concat();
    let cause = |more: &str, steps: &[&str]| judged(ONE, NEW, more, steps);
    let verdict = cause("", &[&orphaned]);
    assert_eq!(causes(&verdict), [(2, Code::SecretOfAnotherSite, Some(2), Some("F15"))]);
    let verdict = cause("", &[&followed]);
    assert!(causes(&verdict).is_empty(), "{:#?}", verdict.reasons);
    let verdict = cause("", &[&followed, &import("desk-1", EDITED)]);
    assert_eq!(causes(&verdict), [(1, Code::SecretOfClient, None, Some("F18"))], "{:#?}", verdict.reasons);
    let refuses = step("", &format!("faults = ['it']\n{WAIT}"));
    let verdict = cause(&fault("what = 'kcs-changed'"), &[&followed, &refuses]);
    assert_eq!(causes(&verdict), [(2, Code::SecretOfManager, None, Some("F34"))], "{:#?}", verdict.reasons);
    // With new certificates as well it is the certificate that a file from before lacks.
    let anew = [waited("{ reinstall = {} }"), import("desk", FRESH)].concat();
    let verdict = cause("", &[&anew, &import("desk-1", "{}")]);
    assert_eq!(causes(&verdict), [(1, Code::OldFile, Some(1), Some("F43"))], "{:#?}", verdict.reasons);
}

#[test]
fn an_update_that_the_clients_have_followed_is_not_why_a_signature_or_certificate_is_refused_later() {
    let unsigned = fault("what = 'bad-signature'\nwhere = { route = 'policy' }");
    let news = "{ set-policy = { group = 'My Company', policy = 'Firewall', content = 'allow nothing' } }";
    let under = step(news, &format!("faults = ['it']\n{WAIT}"));
    let both = [waited(&update(1)), waited(&update(2))].concat();
    for (managers, rotated) in [(ONE, rotation()), (TWO, both)] {
        let verdict = judged(managers, NEW, &unsigned, &[&rotated]);
        assert!(verdict.orphaned.is_empty(), "{:#?}", verdict.reasons);
        let verdict = judged(managers, NEW, &unsigned, &[&rotated, &under]);
        assert_eq!(causes(&verdict), [(2, Code::Unknown, None, Some("F11"))], "{:#?}", verdict.reasons);
    }
    let old = fault("what = 'old-restored'");
    let verdict = judged(ONE, NEW, &old, &[&rotation(), &under]);
    let [(2, Code::Unknown, None, failure)] = causes(&verdict)[..] else { panic!("{:#?}", verdict.reasons) };
    assert_ne!(failure, Some("F43"), "{:#?}", verdict.reasons);
}

#[test]
fn of_several_managers_that_are_updated_in_turn_one_was_too_early_whatever_another_group_does() {
    let mut scenario = scenario_in("several-managers-mixed");
    scenario.step[1].wait = None;
    let verdict = outcome(&scenario).verdict;
    let codes: Vec<Code> = verdict.reasons.iter().map(|one| one.code).collect();
    assert!(
        !codes.is_empty() && codes.iter().all(|code| *code == Code::ManagerTooEarly),
        "{:#?}",
        verdict.reasons
    );
    // With all of them updated at once no wait would have helped: the group was left out.
    let branch =
        "{ name = 'sepm-2' }]\nsetup = [{ add-group = { group = 'My Company\\Branch', inherits = false } }";
    let fleet =
        "[[fleet]]\nname = 'branch'\ncount = 2\nversion = '14.3.8289'\ngroup = 'My Company\\Branch'\n";
    let managers = format!("{{ name = 'sepm-1' }}, {branch}");
    let prepared = waited(&format!("{HTTP}, {}, {}", assign("HTTP"), switch(false)));
    let at_once = waited(&[update(1), update(2)].join(", "));
    let verdict = judged(&managers, NEW, fleet, &[&prepared, &at_once]);
    assert_eq!(causes(&verdict), [(2, Code::GroupForgotten, Some(2), Some("F04"))], "{:#?}", verdict.reasons);
}

#[test]
fn a_version_is_named_only_where_it_learns_one_certificate_and_had_the_chance_to_learn_another() {
    let as_others = "[assumptions]\nmodule_14_2 = 'as-others'\n";
    let [first, second] = [1, 2].map(|number| step(&update(number), ""));
    let in_turn = [first.as_str(), &second, &waited("")].concat();
    let at_once = waited(&[update(1), update(2)].join(", "));
    let learns_one = [waited(&update(1)), waited(&update(2))].concat();
    let cases = [
        ("", &learns_one, (Code::VersionLearnsOne, Some(2), Some("F07"))),
        ("", &in_turn, (Code::ManagerTooEarly, Some(2), Some("F08"))),
        (as_others, &in_turn, (Code::ManagerTooEarly, Some(2), Some("F08"))),
        ("", &at_once, (Code::ManagerTooEarly, Some(1), Some("F08"))),
        (as_others, &at_once, (Code::ManagerTooEarly, Some(1), Some("F08"))),
    ];
    for (assumed, steps, (code, index, failure)) in cases {
        let verdict = judged(TWO, WITH_142, assumed, &[steps]);
        assert_eq!(causes(&verdict), [(2, code, index, failure)], "{:#?}", verdict.reasons);
    }
    let verdict = judged(TWO, WITH_142, as_others, &[&first]);
    let behind: Vec<_> = verdict.reasons.iter().map(|one| (one.finding, one.code)).collect();
    assert_eq!(behind, [(ClientFinding::Behind, Code::NotReceived)], "{:#?}", verdict.reasons);
}

#[test]
fn clients_that_still_have_a_list_with_a_manager_that_they_trust_are_not_said_to_be_orphaned_soon() {
    let alone = "{ copy-list = { from = 'Default Management Server List for My Site', to = 'One' } }, \
                 { edit-list = { list = 'One', priorities = [[{ manager = 'sepm-1' }]] } }";
    let alone = format!("{alone}, {}", assign("One"));
    let update = step(&update(1), "");
    let told = |first: &str| {
        let verdict = judged(TWO, NEW, "", &[first, &update]);
        let [reason] = &verdict.reasons[..] else { panic!("{:#?}", verdict.reasons) };
        assert_eq!((reason.finding, reason.clients), (ClientFinding::Behind, 2), "{reason:#?}");
        (reason.code, reason.sentence.contains("they will be orphaned at their next heartbeat"))
    };
    assert_eq!(told(&waited(&alone)), (Code::SwitchLeftOn, true));
    assert_eq!(told(&step(&alone, "")), (Code::NotReceived, false));
}
