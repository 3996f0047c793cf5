//! Evidence: everything that a running lab knows, as one file that says what happened without the lab at hand.
//!
//! The file is an exported lab with more in it, so that it can be imported; without a data folder it has no lab.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::DirBuilder;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use axum::http::StatusCode;
use epm_client_agent::rehearsal::Outcome;
use epm_client_agent::report::{
    Evidence, EvidenceEvent, EvidenceExpectation, EvidenceFinding, EvidenceOldCertificate, EvidenceRotation,
    evidence_html, not_well_csv, orphaned_csv,
};
use epm_client_agent::scenario::Verdict;
use epm_client_agent::wire::log_text;
use epm_protocol::plural::counted;
use epm_protocol::time::Clock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::Problem;
use super::extract::{Download, LabState, Pcapng, Query, Routes, Zip, doc};
use super::scope::{CAPTURE, EVIDENCE};
use super::{har, journal};
use crate::lab::{Finding, Lab, OldCertificate, RotationFinding, RotationJudgement};
use crate::lab_export::{ExportError, Prepared, file_name, pack};
use crate::runtime::capture::Capture;

/// Number of clients whose logs are in the file.
const LOGS: usize = 50;
/// Number of clients whose logs are in the file if all are well.
const LOGS_IF_WELL: usize = 3;
/// Number of events on the page.
const EVENTS: usize = 500;
/// Largest capture that is put into the file, in bytes.
const LARGEST_CAPTURE: u64 = 256 << 20;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default)]
struct EvidenceQuery {
    /// Whether the capture of the traffic goes with it, if the lab takes one. Its session secrets decrypt what tools have sent,
    /// such as passwords.
    capture: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default)]
struct CaptureQuery {
    /// Number of minutes of lab time; 5 when absent.
    minutes: u64,
}

impl Default for CaptureQuery {
    fn default() -> Self {
        Self { minutes: 5 }
    }
}

impl Default for EvidenceQuery {
    fn default() -> Self {
        Self { capture: true }
    }
}

pub(super) fn routes() -> Routes {
    let summary =
        "Download evidence: verdict, journal, logs, certificates and the lab itself as one ZIP file";
    let last = "Download the last minutes of the capture, with the session secrets that decrypt it";
    ApiRouter::new()
        .api_route(EVIDENCE, get_with(evidence, doc("evidence", summary)))
        .api_route(CAPTURE, get_with(capture, doc("capture", last)))
}

/// The connections that had a packet in the last minutes, each from its beginning.
async fn capture(
    State(lab): LabState,
    Query(wanted): Query<CaptureQuery>,
) -> Result<Download<Pcapng>, Problem> {
    let Some(capture) = lab.site.capture() else {
        return Err(Problem::unknown("the lab takes no capture: start it with `--pcap FILE`".to_owned()));
    };
    let back = Duration::from_secs(wanted.minutes.saturating_mul(60));
    let since = (lab.clock().now() - back).as_millis().try_into().unwrap_or_default();
    let most = usize::try_from(LARGEST_CAPTURE).unwrap_or(usize::MAX);
    let failed = |error: &dyn std::fmt::Display| {
        let detail = format!(
            "the capture cannot be sent: {error}; ask for fewer minutes, or read the file of `--pcap`"
        );
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "capture", detail)
    };
    let read = tokio::task::spawn_blocking(move || capture.since(since, most)).await;
    Ok(Download(read.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?, Pcapng))
}

async fn evidence(
    State(lab): LabState,
    Query(wanted): Query<EvidenceQuery>,
) -> Result<Download<Zip>, Problem> {
    let failed = |error: &dyn std::fmt::Display| {
        let detail = format!("the evidence cannot be written: {error}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "evidence", detail)
    };
    // As of a lab that is stopped: nothing of what happened until now is missing.
    let kept = lab.keep_whole().await;
    let mut gathered = Gathered::of(&lab, wanted.capture).await;
    let mut folder = lab.site.keeper().store().map(|store| store.folder().to_owned());
    if let Err(error) = kept {
        gathered.without_lab(&format!("the data folder could not be written: {error}"));
        folder = None;
    }
    let made = tokio::task::spawn_blocking(move || gathered.write(folder.as_deref())).await;
    // It is tried again all the time, and an error is logged then.
    let _ = lab.keep().await;
    let made = made.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    Ok(Download(made, Zip))
}

/// A file of the evidence.
struct Part {
    name: String,
    /// What the file has, for people.
    what: &'static str,
    text: String,
}

/// What the file has beside the lab.
struct Gathered {
    outcome: Outcome,
    page: Evidence,
    parts: Vec<Part>,
    capture: Option<Arc<Capture>>,
}

impl Gathered {
    async fn of(lab: &Lab, with_capture: bool) -> Self {
        let verdict = lab.verdict().await;
        let not_read = lab.read_documents().err().map(|error| error.to_string());
        let damaged = lab.damaged_documents(None);
        let not_read: Vec<String> = not_read.into_iter().chain(damaged).collect();
        let findings = lab.known_findings().await;
        let outcome = Outcome { assumptions: lab.assumptions(), verdict, ..Outcome::default() };
        let mut parts = Vec::new();
        let mut add = |name: &str, what, text| parts.push(Part { name: name.to_owned(), what, text });
        let faults: Vec<_> = lab.site.faults().list().iter().map(|fault| Arc::clone(&fault.rule)).collect();
        add("verdict.json", "the verdict, as `epm-lab check --json` prints it", pretty(&outcome.verdict));
        add(
            "expectations.json",
            "each expectation with limit, result and counter-examples",
            pretty(&findings),
        );
        let rotation = lab.rotation_judgement().await;
        if let Some(rotation) = &rotation {
            add("rotation.json", "the judgement of the rotation, with all findings", pretty(rotation));
        }
        let old = lab.old_certificates().await;
        if !old.is_empty() {
            add("old-certificates.json", "certificates not in force that clients hold", pretty(&old));
        }
        add("orphaned.csv", "the orphaned clients, each with the reason", orphaned_csv(&outcome));
        add("not-well.csv", "the other clients with problems", not_well_csv(&outcome));
        add("clients.json", "what each client holds, and how its heartbeats go", pretty(&lab.views().await));
        add("faults.json", "the faults that are set", pretty(&faults));
        add("assumptions.json", "assumptions about undocumented behaviour", pretty(&outcome.assumptions));
        add("journal.ndjson", "the journal, an entry on each line", journal::all_lines(lab));
        add("journal.har", "exchanges and calls as an HTTP archive (HAR 1.2)", journal::all_as_har(lab));
        if let Ok(recorded) = lab.recorded_scenario("scenario-files").await {
            add(
                "scenario.toml",
                "what was done, as a scenario; files that it names are not here",
                recorded.scenario,
            );
        }
        let log = lab.site.journal().server_log().join("\n");
        add("managers/ersecreg.log", "messages that managers refused, in their words", log);
        let certificates: Vec<(String, String)> = lab.site.look(|site| {
            let of = |store: &str, manager: &str| format!("certificates/{manager}-{store}.pem");
            let both = site.managers().map(|one| {
                let console = (of("console", &one.name), one.console.certificates_pem());
                [console, (of("client", &one.name), one.client.certificates_pem())]
            });
            both.flatten().collect()
        });
        for (name, pem) in certificates {
            add(&name, "a certificate of a manager, with its chain", pem);
        }
        let mut dropped = 0;
        for client in concerned(lab, &outcome.verdict).await {
            let (lines, missing) = lab.client_log(&client, usize::MAX);
            dropped = missing;
            let name = format!("clients/{}/syslog.log", file_name(&client));
            add(&name, "the system log of a client, in the real one's form", log_text(&lines));
        }
        let mut notes = Vec::new();
        notes.extend(
            not_read
                .into_iter()
                .map(|error| format!("Expectations and baselines of other managers are not known: {error}.")),
        );
        if lab.site.journal().forgotten() > 0 {
            let entries = lab.site.journal().forgotten();
            notes.push(format!(
                "The journal has dropped older entries ({entries}): what they would show is not known."
            ));
        }
        if dropped > 0 {
            let lines = counted(usize::try_from(dropped).unwrap_or(usize::MAX), "older line");
            notes.push(format!("Of the clients' logs {lines} are not kept."));
        }
        if !lab.is_kept() {
            notes.push("The lab has no data folder, so the file does not have the lab itself and cannot be opened as one; `epm-lab up --data FOLDER` keeps a lab.".to_owned());
        }
        let mut events = folded(journal::events(lab));
        let earlier = events.len().saturating_sub(EVENTS);
        let page = Evidence {
            site: lab.site.look(|site| site.name().to_owned()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            expectations: findings.iter().map(row).collect(),
            rotation: rotation.map(shown_rotation),
            old_certificates: old.into_iter().map(shown_old).collect(),
            events: events.split_off(earlier),
            earlier: earlier as u64,
            files: Vec::new(),
            notes,
        };
        let capture = lab.site.capture().filter(|_| with_capture);
        Self { outcome, page, parts, capture }
    }

    /// Writes the file, with the lab of the data folder if there is one.
    fn write(mut self, folder: Option<&Path>) -> Result<Vec<u8>, ExportError> {
        let lab = match folder.map(prepared).transpose() {
            Ok(lab) => lab,
            Err(error @ ExportError::StandIn { .. }) => return Err(error),
            Err(error) => {
                self.without_lab(&error.to_string());
                None
            }
        };
        let (lab, _work) = lab.unzip();
        if let Some(lab) = lab.as_ref().filter(|lab| lab.has_foreign()) {
            self.without_foreign(lab);
        }
        let capture = self.capture().unwrap_or_else(|error| {
            self.page
                .notes
                .push(format!("The capture was left out, since its file cannot be read: {error}."));
            None
        });
        let about = |name: &str, what: &str| (name.to_owned(), what.to_owned());
        let mut files: Vec<(String, String)> =
            self.parts.iter().map(|part| about(&part.name, part.what)).collect();
        if capture.is_some() {
            files.push(about("capture.pcapng", "the traffic, for Wireshark. It has the secrets of its TLS sessions: passwords and tokens that tools have sent can be read in it"));
        }
        if lab.is_some() {
            self.page.notes.push(
                "epm-lab evidence open FILE goes on with the lab as it was when this was written; epm-lab rehearse scenario.toml plays \
                 again what was done to it."
                    .to_owned(),
            );
            files.push(about("lab.db, lab.json", "the lab itself, with the private keys that it has made and its shared secret; `epm-lab evidence open` goes on with it"));
        }
        self.page.files = files;
        let verdict = &self.outcome.verdict;
        let said = json!({
            "form": "epm-lab evidence",
            "version": 1,
            "program": self.page.version,
            "site": self.page.site,
            "now": verdict.now,
            "seed": verdict.seed,
            "repeat": verdict.repeat,
            "has_lab": lab.is_some(),
            "has_capture": capture.is_some(),
            "notes": self.page.notes,
        });
        let page = evidence_html(&self.outcome, &self.page);
        let edited = |text: String| lab.as_ref().map_or_else(|| text.clone(), |lab| lab.edited(&text));
        let mut parts = vec![
            ("evidence.html".to_owned(), edited(page).into_bytes()),
            ("evidence.json".to_owned(), edited(pretty(&said)).into_bytes()),
        ];
        parts.extend(self.parts.into_iter().map(|part| (part.name, edited(part.text).into_bytes())));
        parts.extend(capture.map(|capture| ("capture.pcapng".to_owned(), capture)));
        let mut out = io::Cursor::new(Vec::new());
        match lab {
            Some(lab) => lab.write("evidence", &parts, &mut out),
            None => pack(("evidence", &self.page.site), &parts, None, &mut out),
        }
        .map_err(in_work)?;
        Ok(out.into_inner())
    }

    /// Says why the lab itself cannot be in the file: what is in memory is needed most then.
    fn without_lab(&mut self, why: &str) {
        self.page.notes.push(format!(
            "The file does not have the lab itself and cannot be opened as one, and nothing stands in for certificates of another site: {why}."
        ));
    }

    /// Leaves out what can have something of a foreign certificate in it that no stand-in can replace.
    fn without_foreign(&mut self, lab: &Prepared) {
        let replaced = lab.manifest().replaced.len();
        let (shown, note) = match replaced {
            0 => (
                "messages that a shared secret of another site seals",
                "Another one stands in for the shared secret that the lab has not made.".to_owned(),
            ),
            1.. => (
                "certificates whose private keys the lab has not made",
                format!(
                    "Others stand in for {} whose private keys the lab has not made; README.txt names them.",
                    counted(replaced, "certificate")
                ),
            ),
        };
        if self.capture.take().is_some() {
            self.page.notes.push(format!("The capture was left out: it shows {shown}."));
        }
        self.page.notes.push(note);
        for part in self.parts.iter_mut().filter(|part| part.name == "journal.har") {
            part.text = har::without_binary(&part.text);
        }
    }

    /// The bytes of the capture, if there is one and it is not too large.
    fn capture(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(capture) = self.capture.take() else { return Ok(None) };
        let file = capture.flushed()?;
        if file.metadata()?.len() > LARGEST_CAPTURE {
            let most = LARGEST_CAPTURE >> 20;
            self.page.notes.push(format!("The capture has more than {most} MiB and was left out."));
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(LARGEST_CAPTURE).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

/// The lab of a data folder, and the folder in which it is made ready.
fn prepared(folder: &Path) -> Result<(Prepared, Work), ExportError> {
    let work = Work::make().map_err(in_work)?;
    Ok((Prepared::of(folder, &work.0)?, work))
}

fn in_work(source: io::Error) -> ExportError {
    ExportError::File { file: std::env::temp_dir(), source }
}

/// The events, with what went wrong again and again as one, at its first time.
fn folded(events: Vec<EvidenceEvent>) -> Vec<EvidenceEvent> {
    let mut all: Vec<EvidenceEvent> = Vec::new();
    let mut places: HashMap<(String, String, String), usize> = HashMap::new();
    for event in events {
        let place = places.entry((event.kind.clone(), event.who.clone(), event.what.clone()));
        match place {
            Entry::Occupied(place) if event.is_bad => {
                let first = &mut all[*place.get()];
                first.times = (first.times.0 + 1, event.at);
            }
            place => {
                place.insert_entry(all.len());
                all.push(event);
            }
        }
    }
    all
}

/// The clients that are not well, as many as have a log in the file; some of them if all are well.
async fn concerned(lab: &Lab, verdict: &Verdict) -> Vec<String> {
    let others = [&verdict.out_of_touch, &verdict.behind, &verdict.not_secure, &verdict.silent];
    let orphaned = verdict.orphaned.iter().map(|one| one.client.clone());
    let mut concerned: Vec<String> = orphaned.collect();
    for client in others.into_iter().flatten() {
        if concerned.len() < LOGS && !concerned.contains(client) {
            concerned.push(client.clone());
        }
    }
    concerned.truncate(LOGS);
    if concerned.is_empty() {
        concerned.extend(lab.views().await.into_iter().map(|one| one.client).take(LOGS_IF_WELL));
    }
    concerned
}

/// A value of an enum, as in JSON.
fn word(value: impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn shown_rotation(judged: RotationJudgement) -> EvidenceRotation {
    let RotationJudgement { at, asked, since, finding } = judged;
    let of = |one: RotationFinding| EvidenceFinding {
        title: one.title.into_owned(),
        result: word(one.result),
        failures: one.failures,
        remedy: one.remedy,
        examples: one.counter_examples,
    };
    let mut notes = finding.notes;
    if finding.findings.is_empty() {
        notes.extend(finding.counter_examples);
    }
    let findings = finding.findings.into_iter().map(of).collect();
    let (result, clients) = (word(finding.result), finding.clients);
    EvidenceRotation { at, since, asked, result, clients, findings, notes }
}

fn shown_old(old: OldCertificate) -> EvidenceOldCertificate {
    let OldCertificate { fingerprint, managers, clients, without_new, examples } = old;
    let managers = managers.into_iter().collect();
    EvidenceOldCertificate { fingerprint, managers, clients, without_new, examples }
}

fn row(finding: &Finding) -> EvidenceExpectation {
    let Finding { name, expectation, result, clients, against, counter_examples, .. } = finding;
    EvidenceExpectation {
        name: name.clone(),
        title: expectation.title().to_owned(),
        limit: serde_json::to_string(expectation).unwrap_or_default(),
        value: format!("not met by {against} of {}", counted(*clients, "client")),
        result: word(result),
        examples: counter_examples.clone(),
    }
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// A folder for work in progress, which only this process uses and which is removed at the end.
struct Work(PathBuf);

impl Work {
    fn make() -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("epm-lab-evidence.{}.{number}", std::process::id()));
        // A folder that another account has made there first is refused.
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
