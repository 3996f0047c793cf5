//! A rehearsal as a test suite: a step fails if it orphaned clients that are orphaned at the end. Each promise of the
//! verdict has a case. Times are lab time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::test_suite::{TestCase, TestResult, TestRun, TestSuite};
use super::words;
use crate::agent::TrustLayer;
use crate::rehearsal::Outcome;
use crate::scenario::{ClientFinding, Note, OrphanedClient, Reason, Verdict, orphaned_since};

/// The outcome as JUnit XML.
pub fn junit(outcome: &Outcome) -> String {
    let verdict = &outcome.verdict;
    let mut cases = vec![whole(outcome)];
    cases.extend(outcome.steps.iter().map(|step| {
        let lost: Vec<&OrphanedClient> =
            verdict.orphaned.iter().filter(|one| one.step == Some(step.report.number)).collect();
        let name = format!("step {}: {}", step.report.number, step.report.title);
        case("step", name, step.ended.since(step.report.began), loss(verdict, &lost))
    }));
    let timed = |case: TestCase| TestCase { lasted: Some(Duration::ZERO), ..case };
    cases.extend(promises(verdict).into_iter().map(timed));
    let run = TestRun {
        name: "epm-lab rehearsal",
        began: outcome.began,
        lasted: outcome.ended.since(outcome.began),
        properties: properties(outcome),
    };
    TestSuite { name: &verdict.scenario, run: Some(run), cases, said: notes(verdict) }.to_xml()
}

/// A verdict without a rehearsal as JUnit XML, with a link to the page of the lab.
pub fn verdict_junit(verdict: &Verdict, link: Option<&str>) -> String {
    let suite =
        TestSuite { name: "epm-lab verdict", run: None, cases: promises(verdict), said: notes(verdict) };
    suite.with_page(link).to_xml()
}

/// The notes of a verdict, in lines.
fn notes(verdict: &Verdict) -> String {
    let of = |one: &Note| {
        let mut lines = vec![format!("{}, noted: {}", words::clients(one.clients), one.names())];
        lines.extend(one.lines().into_iter().map(|line| format!("  {line}")));
        lines.join("\n")
    };
    verdict.notes.iter().map(of).collect::<Vec<_>>().join("\n")
}

/// Each promise of a verdict as a test case: the verdict is well if all of them pass.
fn promises(verdict: &Verdict) -> Vec<TestCase> {
    let [(down, _), (unread, _)] = verdict.manager_troubles();
    let console: Vec<String> =
        verdict.console_troubles.iter().map(|(manager, why)| format!("{manager}: {why}")).collect();
    let promises = [
        "no client is out of touch",
        "every client is secure",
        "every client holds every certificate in force",
        "every client that is on has its heartbeats",
        "no client that is off would be orphaned on its return",
    ];
    let orphaned = loss(verdict, &verdict.orphaned.iter().collect::<Vec<_>>());
    let others = verdict.unwell().map(|(finding, clients)| unwell(verdict, finding, clients));
    let mut clients = vec![("no client is orphaned", orphaned)];
    clients.extend(promises.into_iter().zip(others));
    if verdict.clients == 0 {
        let message = verdict.no_verdict.clone().unwrap_or_else(|| "there is no client to judge".to_owned());
        clients = vec![("there are clients to judge", TestResult::Error { kind: "no-verdict", message })];
    } else if verdict.clients == verdict.away.len() {
        let message = "all clients are off, with changes still to receive: none was judged".to_owned();
        clients.push(("there are clients to judge", TestResult::Error { kind: "no-verdict", message }));
    }
    if let Some(why) = &verdict.database_error {
        let message = format!("the database that the managers share cannot be used: {why}");
        clients.push(("the site's database answers", TestResult::Error { kind: "unknown", message }));
    }
    if let [first, ..] = verdict.unknown.as_slice() {
        let count = verdict.unknown.len();
        let message = format!("{count} unknown, such as {first}: no process reports what they hold");
        clients.push(("the state of every client is known", TestResult::Error { kind: "unknown", message }));
    }
    let ended = verdict.processes_down.as_deref();
    let managers = [
        ("the process of each manager runs", ended.is_some(), trouble(ended.unwrap_or_default(), "ended")),
        ("no service of a manager is down", verdict.services_down.is_some(), trouble(&down, "down")),
        ("no file of a manager waits unread", verdict.files_unread.is_some(), trouble(&unread, "unread")),
        ("the console can log in", !console.is_empty(), trouble(&console, "refused")),
    ];
    let clients = clients.into_iter().map(|(name, result)| ("clients", name, result));
    let observed = managers.into_iter().filter(|(_, is_observed, _)| *is_observed);
    let managers = observed.map(|(name, _, result)| ("managers", name, result));
    let case =
        |(class, name, result): (_, &str, _)| TestCase { class, name: name.to_owned(), lasted: None, result };
    clients.chain(managers).map(case).collect()
}

/// The failure for these objects of managers, if there are any.
fn trouble(names: &[String], what: &str) -> TestResult {
    if names.is_empty() {
        return TestResult::Passed;
    }
    failure(what.to_owned(), format!("{what}: {}", names.join(", ")), names.iter().cloned(), names.len())
}

/// The case that the rehearsal was played to its end: if it was not, nothing else can be relied on.
fn whole(outcome: &Outcome) -> TestCase {
    let result = if outcome.is_partial {
        let message = format!("interrupted at {}: the results are those up to then", outcome.ended);
        TestResult::Error { kind: "partial", message }
    } else {
        TestResult::Passed
    };
    let name = "the rehearsal was played to its end".to_owned();
    case("rehearsal", name, outcome.ended.since(outcome.began), result)
}

fn properties(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let run = outcome.run.clone().map(|run| {
        [("scenario_file", run.scenario_file), ("version", run.version), ("command", run.command)]
    });
    let counts = [
        ("seed", outcome.verdict.seed.to_string()),
        ("clients", outcome.verdict.clients.to_string()),
        ("heartbeats", outcome.heartbeats.to_string()),
        ("heartbeats_served", outcome.heartbeats_served.to_string()),
        ("ended", outcome.ended.to_string()),
    ];
    run.into_iter().flatten().chain(counts).collect()
}

fn case(class: &'static str, name: String, lasted: Duration, result: TestResult) -> TestCase {
    TestCase { class, name, lasted: Some(lasted), result }
}

/// The failure for these orphaned clients, if there are any: their number, by layer, why, and the first of them.
fn loss(verdict: &Verdict, lost: &[&OrphanedClient]) -> TestResult {
    if lost.is_empty() {
        return TestResult::Passed;
    }
    let mut layers: BTreeMap<TrustLayer, usize> = BTreeMap::new();
    let mut reasons: BTreeMap<usize, (usize, BTreeSet<usize>)> = BTreeMap::new();
    for one in lost {
        *layers.entry(one.layer).or_default() += 1;
        let (clients, steps) = reasons.entry(one.reason.unwrap_or_default()).or_default();
        *clients += 1;
        steps.extend(one.step);
    }
    let layers: Vec<String> = layers
        .iter()
        .map(|(layer, clients)| format!("{} in layer {layer}", words::grouped(clients)))
        .collect();
    let message = format!("{} orphaned: {}", words::clients(lost.len()), layers.join(", "));
    let lines = lost.iter().take(EXAMPLES).map(|one| {
        let OrphanedClient { client, part, since, step, layer, why, failure, .. } = one;
        let step = step.map(|number| format!(", step {number}")).unwrap_or_default();
        let failure = failure.as_ref().map(|id| format!(", {id}")).unwrap_or_default();
        format!("{client} ({part}) since {since}{step}, layer {layer}{failure}: {why}")
    });
    let clients = failure("orphaned".to_owned(), message, lines, lost.len());
    explained(verdict, clients, |one| {
        let (clients, steps) = reasons.get(&one.number)?;
        let layer = one.layer_title.as_ref().map(|title| format!("layer {title}, ")).unwrap_or_default();
        Some((*clients, layer + &orphaned_since(steps)))
    })
}

/// The failure for clients that are not orphaned and not well.
fn unwell(verdict: &Verdict, finding: ClientFinding, clients: &[String]) -> TestResult {
    let clients = failing(clients, &finding.to_string());
    explained(verdict, clients, |one| (one.finding == finding).then(|| (one.clients, one.place())))
}

/// A failure that begins with why: the reasons that have clients here, with what is wrong with these, what to do, and the
/// command that repeats it.
fn explained(
    verdict: &Verdict,
    result: TestResult,
    clients_of: impl Fn(&Reason) -> Option<(usize, String)>,
) -> TestResult {
    let TestResult::Failed { kind, message, text } = result else { return result };
    let mut lines = Vec::new();
    for one in &verdict.reasons {
        let Some((clients, what)) = clients_of(one) else { continue };
        lines.push(format!("{}, {what}", words::clients(clients)));
        lines.extend(one.lines().into_iter().map(|line| format!("  {line}")));
    }
    lines.extend(verdict.repeat.iter().map(|command| format!("Repeat: {command}")));
    lines.push(text);
    TestResult::Failed { kind, message, text: lines.join("\n") }
}

/// The failure for these clients, if there are any.
fn failing(clients: &[String], what: &str) -> TestResult {
    if clients.is_empty() {
        return TestResult::Passed;
    }
    let verb = if clients.len() == 1 { "is" } else { "are" };
    let message = format!("{} {verb} {what}", words::clients(clients.len()));
    failure(what.replace(' ', "-"), message, clients.iter().take(EXAMPLES).cloned(), clients.len())
}

fn failure(kind: String, message: String, lines: impl Iterator<Item = String>, total: usize) -> TestResult {
    let mut text: Vec<String> = lines.collect();
    if total > text.len() {
        text.push(format!("and {} more", words::grouped(total - text.len())));
    }
    TestResult::Failed { kind, message, text: text.join("\n") }
}

/// The number of clients that a failure names.
const EXAMPLES: usize = 10;

#[cfg(test)]
mod tests {
    use epm_protocol::sylink::xml::{Document, Element};

    use super::*;
    use crate::report::sample;

    fn suite(outcome: &Outcome) -> Element {
        let suites = Document::parse(&junit(outcome)).unwrap().into_root();
        suites.child("testsuite").unwrap().clone()
    }

    fn number(suite: &Element, name: &str) -> usize {
        suite.attribute(name).unwrap().parse().unwrap()
    }

    #[test]
    fn a_step_fails_if_clients_were_lost_during_it() {
        let outcome = sample::ninety_days();
        let suite = suite(&outcome);
        let cases: Vec<_> = suite.children_named("testcase").collect();
        assert_eq!(cases.len(), 1 + outcome.steps.len() + 6);
        assert_eq!(number(&suite, "tests"), cases.len());
        let failed = |case: &&&Element| case.child("failure").is_some();
        assert_eq!(number(&suite, "failures"), cases.iter().filter(failed).count());
        assert_eq!(number(&suite, "errors"), 0);
        for step in &outcome.steps {
            let lost =
                outcome.verdict.orphaned.iter().filter(|one| one.step == Some(step.report.number)).count();
            let name = format!("step {}: {}", step.report.number, step.report.title);
            let case = cases.iter().find(|case| case.attribute("name") == Some(&name)).unwrap();
            assert_eq!(case.child("failure").is_some(), lost > 0, "{name}");
        }
    }

    #[test]
    fn the_failure_of_a_step_names_that_step_and_not_the_one_that_is_the_cause() {
        let mut outcome = sample::ninety_days();
        outcome.verdict.reasons = vec![sample::reason()];
        outcome.verdict.orphaned.iter_mut().for_each(|one| one.reason = Some(1));
        let suite = suite(&outcome);
        let first = |name: &str| {
            let mut cases = suite.children_named("testcase");
            let case =
                cases.find(|case| case.attribute("name").is_some_and(|one| one.starts_with(name))).unwrap();
            let text = case.child("failure").unwrap().text();
            text.lines().next().unwrap().split_once(" clients, ").unwrap().1.to_owned()
        };
        assert_eq!(first("step 4: "), "layer TLS certificate, orphaned since step 4");
        assert_eq!(first("step 5: "), "layer TLS certificate, orphaned since step 5");
        assert_eq!(first("no client is orphaned"), "layer TLS certificate, orphaned since step 4 or 5");
    }

    #[test]
    fn a_failure_counts_the_lost_by_layer_and_names_the_first() {
        let outcome = sample::ninety_days();
        let suite = suite(&outcome);
        let case = suite
            .children_named("testcase")
            .find(|case| case.attribute("name") == Some("no client is orphaned"))
            .unwrap();
        let failure = case.child("failure").unwrap();
        let lost = outcome.verdict.orphaned.len();
        let message = failure.attribute("message").unwrap();
        assert!(message.starts_with(&format!("{} clients orphaned:", words::grouped(lost))), "{message}");
        assert!(message.contains(" in layer TLS certificate"), "{message}");
        let text = failure.text();
        assert_eq!(text.lines().count(), EXAMPLES + 1);
        assert!(text.starts_with(sample::NASTY), "{text}");
        assert!(text.ends_with(&format!("and {} more", words::grouped(lost - EXAMPLES))), "{text}");
    }

    #[test]
    fn each_failure_of_a_verdict_leads_to_the_page_of_the_lab() {
        let link = "http://127.0.0.1:8015/clients/desk-1";
        let xml = verdict_junit(&sample::ninety_days().verdict, Some(link));
        let suite = Document::parse(&xml).unwrap().into_root();
        let failures = suite.descendants_named("failure");
        assert!(!failures.is_empty());
        for failure in failures {
            assert!(failure.text().ends_with(&format!("\nOn the page of the lab: {link}")), "{xml}");
        }
    }

    #[test]
    fn a_client_that_was_orphaned_in_no_step_of_a_scenario_has_none_in_the_text() {
        let mut verdict = sample::ninety_days().verdict;
        assert!(verdict_junit(&verdict, None).contains(", step "));
        verdict.reasons.clear();
        verdict.orphaned.iter_mut().for_each(|one| one.step = None);
        let xml = verdict_junit(&verdict, None);
        assert!(xml.contains(" since ") && !xml.contains("step"), "{xml}");
    }

    #[test]
    fn a_rehearsal_that_went_well_has_no_failures() {
        let suite = suite(&sample::well());
        assert_eq!((number(&suite, "failures"), number(&suite, "errors")), (0, 0));
        assert!(suite.descendants_named("failure").is_empty());
    }

    #[test]
    fn notes_are_said_beside_the_cases_and_fail_none() {
        let mut outcome = sample::well();
        assert!(suite(&outcome).child("system-out").is_none());
        outcome.verdict.notes = vec![sample::note()];
        let suite = suite(&outcome);
        assert_eq!(number(&suite, "failures"), 0);
        let said = suite.child("system-out").unwrap().text();
        assert!(
            said.starts_with(&format!("2 clients, noted: {}, PC-2\n  They hold", sample::NASTY)),
            "{said}"
        );
        assert!(said.ends_with("\n  Failure: F37 (No downloads)\n  To do: Switch it on."), "{said}");
    }

    #[test]
    fn a_rehearsal_that_was_broken_off_is_an_error() {
        let suite = suite(&Outcome { is_partial: true, ..sample::well() });
        assert_eq!((number(&suite, "failures"), number(&suite, "errors")), (0, 1));
        assert_eq!(suite.descendants_named("error").len(), 1);
    }

    #[test]
    fn every_promise_of_the_verdict_can_fail_alone() {
        let names = vec!["PC-7".to_owned()];
        for at in 0..4 {
            let mut outcome = sample::well();
            let verdict = &mut outcome.verdict;
            let lists = [
                &mut verdict.out_of_touch,
                &mut verdict.not_secure,
                &mut verdict.behind,
                &mut verdict.silent,
            ];
            for (_, list) in lists.into_iter().enumerate().filter(|(index, _)| *index == at) {
                list.clone_from(&names);
            }
            let suite = suite(&outcome);
            assert_eq!(number(&suite, "failures"), 1);
            let failures = suite.descendants_named("failure");
            assert!(failures[0].text().ends_with("PC-7"));
            assert!(failures[0].attribute("message").unwrap().starts_with("1 client is "));
        }
    }
}
