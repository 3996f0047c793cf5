//! Made-up outcomes for the tests of the reports: a long one with everything in it, and some that are almost empty.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use epm_protocol::assumption::Assumptions;
use epm_protocol::statement::Statement;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;

use crate::agent::{Distrust, TrustLayer};
use crate::rehearsal::{AtRisk, Course, InForce, Outcome, StepOutcome};
use crate::rehearsal::{Sweep, SweepPoint};
use crate::scenario::{
    CauseCode, ClientFinding, Held, Note, NoteCode, OrphanedClient, PartHolding, Reason, StepReport, Verdict,
};

/// A name that reveals missing escapes.
pub(super) const NASTY: &str = "<script>&\"']]>";

const CLIENTS: usize = 100_000;
const LOST: usize = 1_284;
const HOURS: usize = 90 * 24;

/// Each step: its title, and the minutes after which it begins. Three of them fall within an hour.
const STEPS: [(&str, u64); 7] = [
    ("Install the fleet", 0),
    ("Make the new certificates known to every client in the management server list", 14 * 1440 + 480),
    ("Wait for the laptops", 30 * 1440 + 540),
    ("Switch secure communications off", 60 * 1440 + 1080),
    ("Update the server certificate of manager-a", 60 * 1440 + 1100),
    ("Update the server certificate of manager-b & restart it", 60 * 1440 + 1130),
    ("Switch secure communications on", 75 * 1440 + 360),
];

/// Ninety days of a hundred thousand clients: office hours, a rotation in seven steps, and some orphaned clients.
pub(super) fn ninety_days() -> Outcome {
    let origin = began();
    let ended = origin + Duration::from_secs(3600 * HOURS as u64);
    let assumptions = Assumptions { heartbeat_jitter_percent: 25, ..Assumptions::default() }.list();
    let course = course(origin);
    let served = course.load.values().flatten().map(|beats| u64::from(*beats)).sum();
    Outcome {
        about: "Two managers, one of which is updated before the fleet has heard of it.".to_owned(),
        began: origin,
        ended,
        certificates: in_force(),
        steps: (0..STEPS.len()).map(|number| step(number, ended)).collect(),
        course,
        heartbeats: served + 4_711,
        heartbeats_served: served,
        assumptions,
        verdict: verdict(),
        ..Outcome::default()
    }
}

/// The reason of all orphaned clients.
pub(super) fn reason() -> Reason {
    Reason {
        number: 1,
        finding: ClientFinding::Orphaned,
        code: CauseCode::NotWaited,
        sentence: "Step 4 gave manager-a a new certificate before 1,284 clients had a heartbeat.".to_owned(),
        observed: None,
        layer: Some(TrustLayer::Tls),
        layer_title: Some(TrustLayer::Tls.title().to_owned()),
        step: Some(4),
        step_title: Some(STEPS[4].0.to_owned()),
        since_steps: vec![4, 5],
        faults: Vec::new(),
        failure: Some("F03".to_owned()),
        failure_title: Some("Away".to_owned()),
        alike: Vec::new(),
        remedy: "Give the late clients a new file.".to_owned(),
        clients: LOST,
        examples: vec!["LT-00001".to_owned()],
    }
}

/// A note on two clients.
pub(super) fn note() -> Note {
    Note {
        code: NoteCode::DownloadsOff,
        sentence: "They hold an older policy.".to_owned(),
        failure: Some("F37".to_owned()),
        failure_title: Some("No downloads".to_owned()),
        remedy: "Switch it on.".to_owned(),
        clients: 2,
        examples: vec![NASTY.to_owned(), "PC-2".to_owned()],
    }
}

/// The same outcome without orphaned clients.
pub(super) fn well() -> Outcome {
    let mut outcome = ninety_days();
    let Verdict { orphaned, out_of_touch, not_secure, behind, well, .. } = &mut outcome.verdict;
    orphaned.clear();
    *well = Some(true);
    [out_of_touch, not_secure, behind].into_iter().for_each(Vec::clear);
    outcome
}

/// One client, for some hours, in which everything that was counted is 0 except its trust.
pub(super) fn one_client(hours: usize) -> Outcome {
    let row = |value| vec![value; hours];
    let mut outcome = Outcome {
        began: began(),
        ended: began() + Duration::from_secs(3600 * hours as u64),
        steps: vec![step(0, began())],
        course: Course {
            origin: began(),
            old_only: row(1),
            both: row(0),
            new_only: row(0),
            none: row(0),
            orphaned: row(0),
            online: row(0),
            load: BTreeMap::from([("manager-a".to_owned(), row(0))]),
        },
        ..Outcome::default()
    };
    (outcome.verdict.clients, outcome.verdict.well) = (1, Some(true));
    outcome
}

/// Eight waits with five seeds each, unordered; from 30 days on no client is orphaned.
pub(super) fn sweep() -> Sweep {
    let waits = [
        ("7d", 900),
        ("1h", 20_300),
        ("1d", 9_100),
        ("2w", 60),
        ("3d", 3_300),
        ("30d", 0),
        ("6h", 14_000),
        ("60d", 0),
    ];
    let point = |(wait, lost): (&str, usize)| SweepPoint {
        wait: wait.parse().unwrap(),
        orphaned: [100, 82, 117, 95, 130].map(|percent| lost * percent / 100).to_vec(),
        on_return: vec![0; 5],
        a_day_more: [100, 82, 117, 95, 130].map(|percent| lost * percent / 100).to_vec(),
    };
    Sweep {
        scenario: format!("A rotation, for {NASTY}"),
        step: STEPS[2].0.to_owned(),
        clients: CLIENTS,
        seeds: vec![11, 12, 13, 14, 15],
        points: waits.map(point).to_vec(),
        run: None,
    }
}

fn began() -> Timestamp {
    "2026-01-05T00:00:00Z".parse().unwrap()
}

fn begins(number: usize) -> Timestamp {
    began() + Duration::from_secs(60 * STEPS[number].1)
}

fn certificate(name: &str) -> Fingerprint {
    Fingerprint::of(name.as_bytes())
}

fn in_force() -> Vec<InForce> {
    let shown = [
        ("manager-a", "old-a", 0),
        ("manager-b", "old-b", 0),
        ("manager-a", "new-a", 4),
        ("manager-b", "new-b", 5),
    ];
    shown
        .map(|(manager, name, step)| InForce {
            manager: manager.to_owned(),
            fingerprint: certificate(name),
            since: begins(step),
        })
        .to_vec()
}

/// The trust of clients, hour by hour: new certificates are learnt when a machine is on, most on the first day.
fn course(origin: Timestamp) -> Course {
    let mut course = Course { origin, ..Course::default() };
    let (mut old, mut new) = (CLIENTS as f64, 0.0);
    let all = CLIENTS as f64;
    for hour in 0..HOURS {
        let (day, of_day) = (hour / 24, hour % 24);
        let is_office = day % 7 < 5 && (8..18).contains(&of_day);
        let noon = 1.0 - ((of_day as f64 - 13.0) / 6.0).powi(2);
        let online = if is_office { 0.55 + 0.35 * noon } else { 0.12 + 0.02 * ((hour * 7 % 5) as f64) };
        if hour >= minutes_in_hours(1) {
            old -= old * if is_office { 0.035 } else { 0.002 };
        }
        if hour >= minutes_in_hours(6) {
            new += (all - old - new) * if is_office { 0.06 } else { 0.003 };
        }
        let lost = if hour < minutes_in_hours(4) { 0 } else { LOST.min(90 * (hour - minutes_in_hours(4))) };
        let old_only = old.round() as u32;
        let new_only = new.round() as u32;
        let none = if hour > HOURS - 300 { 35 } else { 0 };
        course.old_only.push(old_only);
        course.new_only.push(new_only);
        course.none.push(none);
        course.both.push(CLIENTS as u32 - old_only - new_only - none);
        course.orphaned.push(lost as u32);
        course.online.push((all * online) as u32);
        for (manager, share) in [("manager-a", if day < 60 { 0.62 } else { 0.45 }), ("manager-b", 0.38)] {
            let beats = all * online * 12.0 * share * (0.97 + 0.03 * ((hour * 13 % 7) as f64 / 7.0));
            course.load.entry(manager.to_owned()).or_default().push(beats as u32);
        }
    }
    course
}

fn minutes_in_hours(step: usize) -> usize {
    STEPS[step].1 as usize / 60
}

fn step(number: usize, end: Timestamp) -> StepOutcome {
    let next = STEPS.get(number + 1);
    let lost = if number >= 4 { LOST } else { 0 };
    StepOutcome {
        report: StepReport {
            number,
            title: STEPS[number].0.to_owned(),
            statements: vec![Statement::P8],
            began: begins(number),
            holdings: vec![
                holding("offices", 80_000, 84, number),
                holding("laptops & <others>", 20_000, lost, number),
            ],
        },
        ended: if next.is_some() { begins(number + 1) } else { end },
        actions: vec![format!("what step {number} does"), "and waits for it".to_owned()],
        online: if number.is_multiple_of(2) { 13_000 } else { 71_204 },
        if_next_now: next.map(|(title, _)| match number {
            3 => AtRisk {
                step: (*title).to_owned(),
                clients: LOST,
                by_layer: BTreeMap::from([(TrustLayer::Tls, LOST)]),
                by_part: BTreeMap::from([("laptops & <others>".to_owned(), LOST)]),
                examples: (0..5).map(|index| format!("LT-{index:05}")).collect(),
            },
            _ => AtRisk { step: (*title).to_owned(), ..AtRisk::default() },
        }),
    }
}

fn holding(part: &str, clients: usize, orphaned: usize, number: usize) -> PartHolding {
    let orphaned = if number >= 4 { orphaned } else { 0 };
    PartHolding {
        part: part.to_owned(),
        clients,
        connected: clients - orphaned - 12,
        disconnected: 12,
        orphaned,
        brought_back: 0,
        secure: if number == 3 { 0 } else { clients - orphaned },
        https: clients,
        certificates: ["old-a", "old-b", "new-a"]
            .into_iter()
            .take(if number == 0 { 2 } else { 3 })
            .map(|name| (certificate(name), clients - orphaned))
            .collect(),
        lists: BTreeMap::from([(format!("Default Management Server List for {NASTY}"), clients)]),
        layers: if orphaned == 0 { BTreeMap::new() } else { [(TrustLayer::Tls, orphaned)].into() },
        served_over_http: BTreeSet::new(),
    }
}

fn verdict() -> Verdict {
    let orphaned = (0..LOST).map(|index| {
        let layer = if index % 40 == 7 { TrustLayer::Signature } else { TrustLayer::Tls };
        let step = if index < 45 { 4 } else { 5 };
        OrphanedClient {
            client: if index == 0 { NASTY.to_owned() } else { format!("LT-{index:05}") },
            part: "laptops & <others>".to_owned(),
            since: begins(4) + Duration::from_secs(40 * index as u64),
            step: Some(step),
            step_title: Some(STEPS[step].0.to_owned()),
            layer,
            layer_title: layer.title(),
            why: format!(
                "expected one of {}, found {}",
                certificate("old-a").short(),
                certificate("new-a").short()
            ),
            because: Distrust::SharedSecret { status: 400 },
            reason: None,
            also: Vec::new(),
            failure: None,
            held: Held {
                group: None,
                location: None,
                version: "14.3.8289".parse().unwrap(),
                serial: None,
                complete: None,
                given_older_file: false,
                served_with_file: true,
            },
        }
    });
    Verdict {
        scenario: format!("A rotation that is rushed, for {NASTY}"),
        seed: 20_260_105,
        certificate_history: in_force().iter().map(|one| one.fingerprint).collect(),
        steps: (0..STEPS.len()).map(|number| step(number, began()).report).collect(),
        orphaned: orphaned.collect(),
        out_of_touch: vec!["PC-00012".to_owned(), NASTY.to_owned()],
        not_secure: Vec::new(),
        behind: vec!["PC-00099".to_owned()],
        away: vec!["PC-00100".to_owned()],
        clients: CLIENTS,
        ..Verdict::default()
    }
}
