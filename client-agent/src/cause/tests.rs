//! The rules name each failure of the catalogue by what happened, and say what is not known; every form of report says the same.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use epm_protocol::heartbeat::{ExchangeFailure, Stage};
use epm_protocol::policy::{CommunicationSettings, ManagementServer, Protocol, ServerPriority};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{CertificateRequest, Fingerprint, Rejection, SigningKey, Validity, issue};

use super::{Change, GroupState, ListState, Loss, ManagerCertificates, RotationSettings, SiteHistory};
use crate::agent::{Distrust, Trouble};
use crate::catalogue::plays;
use crate::rehearsal::{Outcome, Progress, RehearsalOptions, rehearse};
use crate::report;
use crate::scenario::{
    CauseCode as Code, ClientFinding, Held, PartPlan, Reason, Scenario, Troubled, Verdict,
};

pub(super) fn outcome(scenario: &Scenario) -> Outcome {
    rehearse(scenario, &RehearsalOptions::default(), &Progress::default(), |_| ()).unwrap().outcome
}

pub(super) fn scenario_in(name: &str) -> Scenario {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/scenarios").join(format!("{name}.toml"));
    let text = std::fs::read_to_string(path).unwrap();
    Scenario::parse(&text, name).unwrap()
}

fn of_file(name: &str) -> Outcome {
    outcome(&scenario_in(name))
}

/// The failure that is named where what happened to the site does not tell: a secret that arrives by replication is played as a
/// reinstallation, and named as alike.
const NAMED_INSTEAD: &[(&str, &str)] = &[("F34", "F15")];

#[test]
fn each_failure_of_the_catalogue_that_orphans_is_named_by_its_number() {
    let mut judged = 0;
    for (entry, play) in plays() {
        let mut first = play.clone();
        first.repair.clear();
        let verdict = outcome(&first.scenario(&entry.title)).verdict;
        let instead = NAMED_INSTEAD.iter().find(|(id, _)| *id == entry.id).map(|(_, named)| *named);
        for one in &verdict.orphaned {
            let reason = verdict.reason_of(one).unwrap();
            assert_eq!(one.failure.as_deref(), Some(instead.unwrap_or(&entry.id)), "{reason:?}");
            assert!(
                instead.is_none() || reason.alike.iter().any(|alike| alike.failure == entry.id),
                "{reason:?}"
            );
            judged += 1;
        }
    }
    assert!(judged > 20, "{judged} clients were judged");
}

#[test]
fn what_is_named_for_clients_that_are_out_of_touch_is_the_failure_that_was_brought_about() {
    let mut named = Vec::new();
    for (entry, play) in plays() {
        let mut first = play.clone();
        first.repair.clear();
        let verdict = outcome(&first.scenario(&entry.title)).verdict;
        for reason in verdict.reasons.iter().filter(|one| one.finding == ClientFinding::OutOfTouch) {
            let is_alike = reason.alike.iter().any(|one| one.failure == entry.id);
            assert!(reason.failure.as_ref() == Some(&entry.id) || is_alike, "{}: {reason:#?}", entry.id);
            named.push((entry.id.as_str(), reason.code, reason.sentence.clone()));
        }
    }
    let told: Vec<_> = named
        .iter()
        .filter(|(_, code, _)| *code != Code::OutOfTouch)
        .map(|(id, code, _)| (*id, *code))
        .collect();
    assert_eq!(
        told,
        [
            ("F27", Code::PortNotServed),
            ("F28", Code::PortNotServed),
            ("F29", Code::HttpsPortRefused),
            ("F36", Code::CommunicationOff),
        ]
    );
    for (failure, expected) in [
        ("F27", "Step 1 gave the list \"Custom port\" the port 1 for sepm-1, which listens on 8014: nothing"),
        (
            "F29",
            "Nothing answers these clients at the manager's HTTPS port 8015, and other clients are served at its HTTP port 8014",
        ),
        ("F36", "Step 1 switched communication off in My Company\\Branch, so"),
    ] {
        assert!(named.iter().any(|(id, _, said)| *id == failure && said.starts_with(expected)), "{named:#?}");
    }
}

#[test]
fn an_orphaned_client_that_is_not_answered_has_both_causes_and_that_of_trust_first() {
    let mut verdict = of_file("single-manager-no-wait").verdict;
    let first = verdict.orphaned[0].clone();
    let trouble =
        Trouble::Exchange { failure: ExchangeFailure::TimedOut { stage: Stage::Answer, after_ms: 30_000 } };
    verdict.reasons.clear();
    verdict.numbers.clear();
    for one in verdict.orphaned.clone() {
        let Distrust::Tls { .. } = one.because else { continue };
        let (client, part, held) = (one.client, one.part, one.held);
        verdict.troubled.push(Troubled { client, part, held, trouble: trouble.clone() });
    }
    let history = SiteHistory::new(RotationSettings::default().into(), std::sync::Arc::default());
    super::explain(&mut verdict, &history);
    let one = &verdict.orphaned[0];
    let [also] = one.also[..] else { panic!("{one:?}") };
    assert_eq!(one.client, first.client);
    assert!(one.reason < Some(also), "{:?}", verdict.reasons);
    assert_eq!(verdict.reasons[also - 1].failure.as_deref(), Some("F20"));
}

#[test]
fn clients_that_fail_alike_have_one_reason_and_a_service_that_is_down_is_named() {
    let failed = |failure| Trouble::Exchange { failure };
    let lost = |detail: &str| {
        failed(ExchangeFailure::ConnectionLost { stage: Stage::Answer, detail: detail.to_owned() })
    };
    let late = |after_ms| failed(ExchangeFailure::TimedOut { stage: Stage::Answer, after_ms });
    let late_tls = failed(ExchangeFailure::TimedOut { stage: Stage::Handshake, after_ms: 30_009 });
    let refused = || failed(ExchangeFailure::ConnectionRefused { address: "127.0.0.1:8014".to_owned() });
    let mut verdict = of_file("single-manager").verdict;
    verdict.services_down = Some([("sepm-1".to_owned(), vec!["semwebsrv".to_owned()])].into());
    let group = || Some("My Company".to_owned());
    let (version, [serial, complete]) = ("14.3".parse().unwrap(), [None, None]);
    let held = || Held {
        group: group(),
        location: None,
        version,
        serial,
        complete,
        given_older_file: false,
        served_with_file: true,
    };
    let no_tls = failed(ExchangeFailure::TlsFailed { detail: epm_protocol::heartbeat::NO_TLS.to_owned() });
    let troubles = [
        lost("reset by peer"),
        lost("end of file"),
        late(30_002),
        late(30_004),
        late_tls,
        refused(),
        refused(),
        no_tls,
    ];
    for (number, trouble) in troubles.into_iter().enumerate() {
        let (client, part) = (format!("pc-{number}"), "pc".to_owned());
        verdict.troubled.push(Troubled { client, part, held: held(), trouble });
    }
    let list = list_of(&["sepm-1", "sepm-2"], Protocol::Https);
    let (inherits, locations) = (true, std::collections::BTreeMap::new());
    let (communication, location_communication) = Default::default();
    let secure_communications = true;
    let state = GroupState {
        inherits,
        list,
        secure_communications,
        communication,
        location_communication,
        locations,
    };
    let settings =
        RotationSettings { groups: [("My Company".to_owned(), state)].into(), ..RotationSettings::default() };
    let history = SiteHistory::new(settings.into(), std::sync::Arc::default());
    let mut all_down = verdict.clone();
    super::explain(&mut verdict, &history);
    let told = |verdict: &Verdict| -> Vec<_> {
        let of = |one: &Reason| (one.clients, one.code, one.failure.clone(), one.sentence.clone());
        verdict.reasons.iter().map(of).collect()
    };
    let said = told(&verdict);
    let said: Vec<_> = said
        .iter()
        .map(|(clients, code, id, text)| (*clients, *code, id.as_deref(), text.as_str()))
        .collect();
    let other = "These clients are out of touch for a reason other than trust: ";
    assert_eq!(
        said,
        [
            (
                3,
                Code::OutOfTouch,
                Some("F20"),
                &*format!(
                    "{other}Timeout was reached: Operation timed out after 30000 milliseconds during the TLS handshake; or: \
                     Timeout was reached: Operation timed out after 30000 milliseconds while the answer was awaited."
                )
            ),
            (
                2,
                Code::OutOfTouch,
                None,
                &*format!("{other}the connection was lost while the answer was awaited.")
            ),
            (
                2,
                Code::ManagerDown,
                Some("F19"),
                "The web server of sepm-1 (semwebsrv) did not start, so nothing listens on its clients' port."
            ),
            (
                1,
                Code::PortWithoutTls,
                Some("F29"),
                "What answers these clients at the manager's HTTPS port does not speak TLS: another program holds the port, or it is \
                 a port without TLS."
            ),
        ]
    );
    // With the web server of every manager down, that is why, whatever another program at their ports says; its log says why it is.
    let names = ["sepm-1", "sepm-2"].map(str::to_owned);
    all_down.services_down = Some(names.clone().map(|one| (one, vec!["semwebsrv".to_owned()])).into());
    let why = "AH02565: Certificate and private key do not match".to_owned();
    all_down.web_server_errors = names.map(|one| (one, why.clone())).into();
    super::explain(&mut all_down, &history);
    let [(8, Code::ManagerDown, failure, sentence)] = &told(&all_down)[..] else { panic!("{all_down:?}") };
    assert!(failure.as_deref() == Some("F12") && sentence.ends_with(&format!("({why}).")), "{sentence}");
}

#[test]
fn a_secret_that_was_accepted_before_is_refused_by_the_manager_and_another_one_is_the_clients_own() {
    let history = SiteHistory::new(std::sync::Arc::default(), std::sync::Arc::default());
    let because = Distrust::SharedSecret { status: 400 };
    let cause = |served_with_file| {
        let held = Held { served_with_file, ..held_nothing() };
        history
            .cause(super::Loss { part: "pc", since: Timestamp::EPOCH, because: &because, held: &held })
            .code
    };
    assert_eq!((cause(true), cause(false)), (Code::SecretOfManager, Code::SecretOfClient));
}

fn held_nothing() -> Held {
    Held {
        group: None,
        location: None,
        version: "14.3".parse().unwrap(),
        serial: None,
        complete: None,
        given_older_file: false,
        served_with_file: false,
    }
}

/// A list of managers at their own addresses.
fn list_of(managers: &[&str], protocol: Protocol) -> ListState {
    let servers = managers.iter().map(|name| ManagementServer::at_its_own(name)).collect();
    ListState {
        name: "list".to_owned(),
        protocol,
        verify_ca: false,
        priorities: vec![ServerPriority(servers)],
    }
}

#[test]
fn a_client_that_meets_another_manager_and_one_that_downloads_nothing_are_told_from_those_that_were_too_late()
{
    let mark = |byte: u8| Fingerprint::of(&[byte]);
    let at = Timestamp::from_seconds;
    let rejection = |expected: &[u8], found| {
        let expected = expected.iter().map(|one| mark(*one)).collect();
        Distrust::Tls { rejection: Rejection::NotPinned { expected, found: mark(found) } }
    };
    let settings = |managers: &[(&str, u8)], list: ListState, secure_communications, download_profile| {
        let pair = |byte| ManagerCertificates { console: mark(byte), client: mark(byte) };
        let communication = CommunicationSettings { download_profile, ..CommunicationSettings::default() };
        let (location_communication, locations) = Default::default();
        let state = GroupState {
            inherits: true,
            list,
            secure_communications,
            communication,
            location_communication,
            locations,
        };
        Arc::new(RotationSettings {
            managers: managers.iter().map(|(name, byte)| ((*name).to_owned(), pair(*byte))).collect(),
            groups: [("My Company".to_owned(), state)].into(),
            ..RotationSettings::default()
        })
    };
    let part = PartPlan::new("pc", 1, "14.3".parse().unwrap());
    let held = Held {
        group: Some("My Company".to_owned()),
        location: None,
        version: part.version,
        serial: None,
        complete: None,
        given_older_file: false,
        served_with_file: true,
    };
    let cause = |states: &[Arc<RotationSettings>], because: &Distrust| {
        let mut history =
            SiteHistory::new(Arc::clone(&states[0]), Arc::default()).of_parts(std::iter::once(&part));
        for (number, pair) in (1..).zip(states.windows(2)) {
            let (before, after) = (Arc::clone(&pair[0]), Arc::clone(&pair[1]));
            history.push(
                None,
                Change { number, at: at(number.cast_signed()), before, after, facts: Arc::default() },
            );
        }
        let loss = Loss { part: "pc", since: at(100), because, held: &held };
        let found = history.cause(loss);
        (found.code, history.sentence(loss, found))
    };
    // The certificate of the second manager is still in force, and the client knows it.
    let both = || list_of(&["sepm-1", "sepm-2"], Protocol::Https);
    let two = [(1, 2), (3, 2)]
        .map(|(first, second)| settings(&[("sepm-1", first), ("sepm-2", second)], both(), true, true));
    let (code, said) = cause(&two, &rejection(&[1, 2], 3));
    assert_eq!(code, Code::ReachedAnotherManager, "{said}");
    assert!(said.contains("such as a load balancer"), "{said}");
    // Without it the client has no manager left.
    let (code, said) = cause(&two, &rejection(&[1], 3));
    assert_ne!(code, Code::ReachedAnotherManager, "{said}");
    // Everything was prepared, and the client downloads nothing.
    let over_http = |certificate, secure, downloads| {
        settings(&[("sepm-1", certificate)], list_of(&["sepm-1"], Protocol::Http), secure, downloads)
    };
    let off = [
        over_http(1, true, true),
        over_http(1, true, false),
        over_http(1, false, false),
        over_http(3, false, false),
    ];
    let (code, said) = cause(&off, &rejection(&[1], 3));
    assert_eq!(code, Code::DownloadsOff, "{said}");
    assert!(said.contains("had switched the download of policies and lists off in My Company"), "{said}");
}

/// What a reason says: clients, code, step, failure, and words of the sentence and of the remedy.
type Said = (usize, Code, Option<usize>, Option<&'static str>, &'static str, &'static str);

#[test]
fn the_cause_of_each_mistake_is_told_from_what_the_site_did() {
    let file = "new communications file";
    let cases: &[(&str, &[Said])] = &[
        (
            "single-manager-no-wait",
            &[
                (
                    7,
                    Code::NotWaited,
                    Some(3),
                    Some("F03"),
                    "without a wait after step 2 had switched secure communications off",
                    file,
                ),
                (
                    2,
                    Code::NotWaited,
                    Some(3),
                    Some("F03"),
                    "no manager served these clients a heartbeat in between",
                    "next time wait longer",
                ),
            ],
        ),
        (
            "single-manager-group-forgotten",
            &[(
                4,
                Code::GroupForgotten,
                Some(3),
                Some("F04"),
                "still on in My Company\\Laptops: step 2 switched them off in",
                "Give that group's clients",
            )],
        ),
        (
            "recovery-wrong-file",
            &[(
                9,
                Code::SecretOfAnotherSite,
                Some(2),
                Some("F15"),
                "that of the recovery file \"recovery of another site\"",
                "Restore again with the right recovery file",
            )],
        ),
        (
            "recovery-none",
            &[
                (7, Code::Reinstalled, Some(1), Some("F16"), "installed without a recovery file", file),
                (2, Code::Reinstalled, Some(1), Some("F16"), "installed without a recovery file", file),
            ],
        ),
        (
            "single-manager-switched-on-too-early",
            &[(2, Code::SwitchedOnTooEarly, Some(4), Some("F45"), "switched secure communications on", file)],
        ),
        (
            "holidays-single-manager",
            &[
                (2, Code::NotWaited, Some(2), Some("F03"), "14d after step 1 had", file),
                (
                    1,
                    Code::SwitchedOnTooEarly,
                    Some(3),
                    Some("F45"),
                    "14d after step 2 had given sepm-1 a new certificate",
                    file,
                ),
            ],
        ),
        (
            "several-managers-not-restored",
            &[
                (5, Code::ReplicationBroken, Some(2), None, "did not replicate", "restore replication"),
                (2, Code::ReplicationBroken, Some(2), None, "did not replicate", "restore replication"),
            ],
        ),
        (
            "several-managers-no-wait",
            &[(2, Code::ManagerTooEarly, Some(2), Some("F08"), "had given sepm-1 a new certificate", file)],
        ),
    ];
    for (name, expected) in cases {
        let outcome = of_file(name);
        let verdict = &outcome.verdict;
        assert_eq!(verdict.reasons.len(), expected.len(), "{name}: {:#?}", verdict.reasons);
        for (reason, (clients, code, step, failure, sentence, remedy)) in
            verdict.reasons.iter().zip(*expected)
        {
            let Reason { sentence: said, remedy: to_do, .. } = reason;
            assert_eq!(
                (reason.clients, reason.code, reason.step),
                (*clients, *code, *step),
                "{name}: {said}"
            );
            assert_eq!(reason.failure.as_deref(), *failure, "{name}: {said}");
            assert!(said.contains(sentence) && said.ends_with('.'), "{name}: {said}");
            assert!(to_do.contains(remedy), "{name}: {to_do}");
            // The same is in every form.
            let junit = report::junit(&outcome).replace("&quot;", "\"").replace("&apos;", "'");
            let html = report::html(&outcome).replace("&quot;", "\"").replace("&#39;", "'");
            let csv = report::orphaned_csv(&outcome).replace("\"\"", "\"");
            for text in [junit, html, csv] {
                for what in [said.as_str(), to_do.as_str(), failure.unwrap_or_default()] {
                    assert!(text.contains(what), "{name}: {what:?} is missing in\n{text}");
                }
            }
        }
        let counted: usize = verdict.reasons.iter().map(|reason| reason.clients).sum();
        assert_eq!(counted, verdict.orphaned.len(), "each client has one reason");
    }
}

/// A site of one or two managers with two clients, and these steps.
fn small(managers: &str, version: &str, steps: &str) -> Outcome {
    let text = format!(
        "title = 'Small'\nseed = 1\n[site]\nname = 'My Site'\nmanagers = [{managers}]\n\
         [[fleet]]\nname = 'desk'\ncount = 2\nversion = '{version}'\n{steps}"
    );
    outcome(&Scenario::parse(&text, "small").unwrap())
}

#[test]
fn clients_that_are_served_and_not_well_have_a_cause_and_a_remedy_in_every_form() {
    let one = "{ name = 'sepm-1' }";
    let two = "{ name = 'sepm-1' }, { name = 'sepm-2' }";
    let new = "14.3.8289";
    let switch = |on| {
        format!(
            "[[step]]\ntitle = 'switch'\noperator = [{{ set-secure-communications = {{ group = 'My Company', on = {on} }} }}]\n"
        )
    };
    let wait = "wait = { heartbeats = 3 }\n";
    let update = |manager: &str| {
        format!(
            "[[step]]\ntitle = 'update'\noperator = [{{ update-certificate = {{ manager = '{manager}', certificate = {{ generate = {{}} }} }} }}]\n"
        )
    };
    let broken = "[[step]]\ntitle = 'break'\noperator = [{ break-replication = { manager = 'sepm-2' } }]\nwait = { heartbeats = 1 }\n";
    let (off, on) = (switch(false), switch(true));
    let (secure, behind) = (ClientFinding::NotSecure, ClientFinding::Behind);
    let cases = [
        (
            small(one, new, &[&off, wait].concat()),
            (secure, Code::SecureCommunicationsOff, Some(1), None),
            "Step 1 switched secure communications off in My Company\\Default Group, and nothing has switched them on again",
            "Switch secure communications on for 1 group",
        ),
        (
            small(one, new, &[&off, wait, &on].concat()),
            (secure, Code::NotReceived, Some(2), None),
            "Step 2 switched secure communications on in My Company\\Default Group, and these clients have not received that yet",
            "Wait until each of these clients has had a heartbeat",
        ),
        (
            small(two, new, &update("sepm-1")),
            (behind, Code::NotReceived, Some(1), None),
            "Step 1 gave sepm-1 a new certificate (",
            "Wait until each of these clients has had a heartbeat",
        ),
        (
            small(one, new, &update("sepm-1")),
            (behind, Code::SwitchLeftOn, Some(1), Some("F01")),
            "and these clients know none of the certificates that the managers of their list present now: they will be orphaned",
            "",
        ),
        (
            small(two, new, &[&*update("sepm-1"), &update("sepm-2")].concat()),
            (behind, Code::ManagerTooEarly, Some(2), Some("F08")),
            "they will be orphaned at their next heartbeat",
            "",
        ),
        (
            small(two, new, &[broken, &update("sepm-2"), wait].concat()),
            (behind, Code::ReplicationBroken, Some(2), None),
            "and sepm-2 does not replicate",
            "Restore replication",
        ),
        (
            small(two, "14.2.5323", &[&update("sepm-2"), wait].concat()),
            (behind, Code::VersionLearnsOne, Some(1), Some("F07")),
            "clients of this version learn only the certificate of the manager that they talk to",
            "new communications file",
        ),
    ];
    for (outcome, (finding, code, step, failure), sentence, remedy) in &cases {
        let verdict = &outcome.verdict;
        let [reason] = verdict.reasons.as_slice() else { panic!("{sentence}: {verdict:#?}") };
        let found = (reason.finding, reason.code, reason.step, reason.failure.as_deref());
        assert_eq!(found, (*finding, *code, *step, *failure), "{reason:#?}");
        assert!(reason.sentence.contains(sentence), "{reason:#?}");
        assert!(reason.remedy.contains(remedy), "{reason:#?}");
        let (_, names) = verdict.unwell().into_iter().find(|(one, _)| one == finding).unwrap();
        assert_eq!((reason.clients, reason.examples.as_slice()), (names.len(), names), "{reason:#?}");
        assert_eq!(verdict.well, Some(false));
        let csv = report::not_well_csv(outcome);
        for text in [&report::junit(outcome), &report::html(outcome), &report::json(outcome), &csv] {
            let text = text.replace("&quot;", "\"").replace("\\\\", "\\");
            for what in [&reason.sentence, &reason.remedy] {
                assert!(text.contains(what.as_str()), "{what:?} is missing in\n{text}");
            }
        }
    }
    assert!(
        cases.iter().any(|(outcome, ..)| outcome.verdict.unwell()[2].1.len() == 2),
        "both clients are behind"
    );
}

#[test]
fn one_new_certificate_for_two_managers_is_not_an_old_one() {
    let key = SigningKey::generate(2048).unwrap();
    let year = Duration::from_secs(365 * 86_400);
    let from = Timestamp::from_seconds(1_700_000_000);
    let request = CertificateRequest {
        common_name: "shared".to_owned(),
        names: vec!["127.0.0.1".to_owned()],
        validity: Validity { not_before: from, not_after: from + year * 10 },
        serial: 1,
    };
    let certificate = issue(&key, &request).unwrap();
    let update = |manager: &str| {
        format!(
            "[[step]]\ntitle = 'Update {manager}'\noperator = [{{ update-certificate = {{ manager = '{manager}', \
             certificate = {{ import = {{ certificate = 'shared.crt', key = 'shared.key' }} }} }} }}]\n"
        )
    };
    let text = format!(
        "title = 'Shared'\nseed = 1\n[site]\nname = 'My Site'\nmanagers = [{{ name = 'sepm-1' }}, {{ name = 'sepm-2' }}]\n\
         [[fleet]]\nname = 'desk'\ncount = 2\nversion = '14.3.8289'\n{}{}wait = {{ heartbeats = 3 }}\n",
        update("sepm-1"),
        update("sepm-2")
    );
    let mut scenario = Scenario::parse(&text, "shared").unwrap();
    for command in scenario.step.iter_mut().flat_map(|step| &mut step.operator) {
        let [crt, pkcs8] = command.get_mut().materials_mut().try_into().unwrap();
        crt.content = certificate.der().to_vec().into();
        pkcs8.content = key.pkcs8_der().to_vec().into();
    }
    let verdict = outcome(&scenario).verdict;
    assert_eq!(verdict.orphaned.len(), 2);
    let codes: Vec<Code> = verdict.reasons.iter().map(|reason| reason.code).collect();
    assert_eq!(codes, [Code::ManagerTooEarly], "{:#?}", verdict.reasons);
}

#[test]
fn without_all_changes_the_cause_is_said_to_be_unknown() {
    let mut verdict = of_file("single-manager-group-forgotten").verdict;
    verdict.reasons.clear();
    super::explain(&mut verdict, &SiteHistory::incomplete(std::sync::Arc::default()));
    let [reason] = verdict.reasons.as_slice() else { panic!("{:?}", verdict.reasons) };
    assert_eq!((reason.code, reason.failure.as_deref()), (Code::Unknown, None));
    assert!(reason.sentence.starts_with("The cause is not known; what failed:"), "{}", reason.sentence);
    assert!(reason.alike.iter().any(|one| one.failure == "F04"), "{:?}", reason.alike);
}

#[test]
fn the_steps_of_a_report_are_in_words() {
    let outcome = of_file("holidays-single-manager");
    let actions: Vec<&str> =
        outcome.steps.iter().flat_map(|step| &step.actions).map(String::as_str).collect();
    for expected in [
        "Edit the list \"HTTP\": clients use HTTP",
        "Assign the list \"HTTP\" to My Company\\Laptops",
        "Switch secure communications off for My Company",
        "Update the server certificate of sepm-1 with a new self-signed one",
        "Wait for 14d",
    ] {
        assert!(actions.contains(&expected), "{actions:?}");
    }
    assert!(!actions.iter().any(|one| one.contains('{')), "{actions:?}");
}
