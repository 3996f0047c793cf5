//! A run as it is compared: the verdict, what was done, and the assumptions, from evidence, from JSON, or from a running lab.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek};

use epm_client_agent::scenario::{Scenario, Span};
use epm_protocol::plain::plain;
use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::lab_export::folder_of;

/// The finding of what is noted of clients that may be well.
pub(crate) const NOTE: &str = "note";

/// What is known of a run.
#[derive(Debug)]
pub(crate) struct Run {
    /// Name of the file, or what stands for the lab.
    pub(super) name: String,
    /// Title of the scenario, or name of the site; empty where neither is known.
    pub(super) title: String,
    /// Lab time of the verdict.
    pub(super) at: Option<Timestamp>,
    /// Number of clients.
    pub(super) clients: u64,
    /// Number of orphaned clients.
    pub(super) orphaned: usize,
    /// Whether all is well; none where nothing was judged.
    pub(super) well: Option<bool>,
    /// The clients that are not well, each with the first finding.
    pub(super) findings: BTreeMap<String, &'static str>,
    /// The parts of the fleet with their numbers of clients; or why they are not known.
    pub(super) parts: Result<BTreeMap<String, u64>, String>,
    /// Whether it also has clients that are in none of the parts.
    pub(super) has_others: bool,
    /// Why clients are not well, and what is noted of them, by what makes causes alike: finding, code and layer.
    pub(super) causes: BTreeMap<[String; 3], Cause>,
    /// What was done, each with the milliseconds until the next step; or why it is not known.
    pub(super) steps: Result<Vec<(String, u64)>, String>,
    /// The assumptions by name; or why they are not known.
    pub(super) assumptions: Result<BTreeMap<String, String>, String>,
}

/// Why clients are not well, or what is noted of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Cause {
    /// What the clients are by the verdict, such as `orphaned`; `note` for what is noted of clients that may be well.
    pub(crate) finding: String,
    /// The cause, in a sentence.
    pub(crate) sentence: String,
    /// Steps that the sentence names by number; absent in a lab without a scenario.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) steps: Vec<StepTitle>,
    /// Layer of trust that failed, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) layer: Option<String>,
    /// Number of the failure in the catalogue, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
    /// Number of clients.
    pub(crate) clients: u64,
}

/// A step of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct StepTitle {
    /// Number of the step, from 1.
    pub(crate) number: usize,
    /// What was done.
    pub(crate) title: String,
}

/// Why something cannot be compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoRun {
    #[error("{name}: it is neither evidence nor JSON of `rehearse`, `run` or `check`: {}", plain(&why.to_string()))]
    Neither { name: String, why: serde_json::Error },
    #[error("{name}: {why}")]
    Unreadable { name: String, why: io::Error },
    #[error("{name}: the ZIP archive cannot be read: {why}")]
    Archive { name: String, why: ZipError },
    #[error("{name}: it is no evidence: it has no verdict.json")]
    NoEvidence { name: String },
    #[error("{name}: {what} is larger than the {} MiB that are read at most", largest >> 20)]
    TooLarge { name: String, what: &'static str, largest: u64 },
    #[error("{name}: {part} in it cannot be read: {}", plain(&why.to_string()))]
    Part { name: String, part: &'static str, why: serde_json::Error },
    #[error(
        "{name}: it has no verdict: expected evidence, or what `rehearse`, `run` or `check` prints with --json: {}",
        plain(&why.to_string())
    )]
    NoVerdict { name: String, why: serde_json::Error },
}

/// What a running lab answers.
pub(crate) struct LabNow<'a> {
    /// What stands for the lab.
    pub(crate) name: String,
    /// Name of the site.
    pub(crate) site: String,
    /// `GET /v1/verdict`.
    pub(crate) verdict: &'a Value,
    /// `GET /v1/assumptions`.
    pub(crate) assumptions: &'a Value,
    /// `scenario` of `GET /v1/scenario`; or why the lab does not tell what was done.
    pub(crate) scenario: Result<&'a str, String>,
}

impl Run {
    /// How this client ended: a finding, `well`, `absent` where the run does not have it, or `not_named` where that is not known.
    pub(super) fn end_of(&self, client: &str) -> &'static str {
        if let Some(finding) = self.findings.get(client) {
            return finding;
        }
        let Ok(parts) = &self.parts else { return "not_named" };
        let is_in = |(part, clients): (&String, &u64)| {
            let number = client.strip_prefix(part.as_str()).and_then(|rest| rest.strip_prefix('-'));
            client == part
                || number.is_some_and(|number| number.parse().is_ok_and(|one: u64| one <= *clients))
        };
        match parts.iter().any(is_in) {
            true => "well",
            false if self.has_others => "not_named",
            false => "absent",
        }
    }

    /// Reads evidence or JSON of at most so many bytes; of evidence each part may have as many.
    ///
    /// # Errors
    ///
    /// When it is neither, is larger, or has no verdict.
    pub(crate) fn read(name: &str, input: impl Read + Seek, largest: u64) -> Result<Self, NoRun> {
        let unreadable = |why| NoRun::Unreadable { name: name.to_owned(), why };
        let mut input = input;
        let mut head = Vec::new();
        (&mut input).take(2).read_to_end(&mut head).map_err(unreadable)?;
        input.rewind().map_err(unreadable)?;
        if head == *b"PK" {
            return Self::of_evidence(name, input, largest);
        }
        let json = bounded(name, "it", input, largest)?;
        let whole: Result<Whole, _> = serde_json::from_slice(&json);
        let whole = whole.map_err(|why| match why.is_data() {
            true => NoRun::NoVerdict { name: name.to_owned(), why },
            false => NoRun::Neither { name: name.to_owned(), why },
        })?;
        let judged = match whole.verdict {
            Some(judged) => judged,
            None => serde_json::from_slice(&json)
                .map_err(|why| NoRun::NoVerdict { name: name.to_owned(), why })?,
        };
        let missing = || format!("{name} does not have it");
        let steps = if judged.steps.is_empty() { Err(missing()) } else { Ok(steps_in(&judged)) };
        Ok(Self::of(name.to_owned(), String::new(), judged, steps, whole.assumptions.ok_or_else(missing)))
    }

    fn of_evidence(name: &str, input: impl Read + Seek, largest: u64) -> Result<Self, NoRun> {
        let mut zip = ZipArchive::new(input).map_err(|why| NoRun::Archive { name: name.to_owned(), why })?;
        let inside = folder_of(&zip, "verdict.json");
        let inside = inside.ok_or_else(|| NoRun::NoEvidence { name: name.to_owned() })?;
        let mut part = |part: &'static str| match zip.by_name(&format!("{inside}{part}")) {
            Ok(entry) => {
                let largest =
                    largest.min(entry.compressed_size().saturating_mul(LARGEST_RATIO).max(ANY_PART));
                bounded(name, part, entry, largest).map(Some)
            }
            Err(ZipError::FileNotFound) => Ok(None),
            Err(why) => Err(NoRun::Archive { name: name.to_owned(), why }),
        };
        let verdict = part("verdict.json")?.unwrap_or_default();
        let (about, assumptions) = (part("evidence.json")?, part("assumptions.json")?);
        let missing = || format!("{name} does not have it");
        let steps = match part("scenario.toml")? {
            Some(text) => steps_of(&String::from_utf8_lossy(&text)),
            None => Err(missing()),
        };
        let judged = json(name, "verdict.json", &verdict)?;
        let about: Option<About> = about.map(|one| json(name, "evidence.json", &one)).transpose()?;
        let assumptions = assumptions.map(|one| json(name, "assumptions.json", &one)).transpose()?;
        let site = about.unwrap_or_default().site;
        Ok(Self::of(name.to_owned(), site, judged, steps, assumptions.ok_or_else(missing)))
    }

    /// A running lab as it is now.
    ///
    /// # Errors
    ///
    /// When its answers have another form.
    pub(crate) fn of_lab(lab: LabNow<'_>) -> Result<Self, NoRun> {
        let LabNow { name, site, verdict, assumptions, scenario } = lab;
        let part = |part: &'static str, why| NoRun::Part { name: name.clone(), part, why };
        let judged = Judged::deserialize(verdict).map_err(|why| part("the verdict", why))?;
        let assumptions =
            Vec::<Assumption>::deserialize(assumptions).map_err(|why| part("the assumptions", why))?;
        Ok(Self::of(name, site, judged, scenario.and_then(steps_of), Ok(assumptions)))
    }

    fn of(
        name: String,
        site: String,
        judged: Judged,
        steps: Result<Vec<(String, u64)>, String>,
        assumptions: Result<Vec<Assumption>, String>,
    ) -> Self {
        let (orphaned, causes) = (judged.orphaned.len(), causes(&judged));
        let parts = match judged.steps.last() {
            Some(step) if judged.parts.is_empty() => &step.holdings,
            _ => &judged.parts,
        };
        let parts: BTreeMap<String, u64> = parts.iter().map(|one| (one.part.clone(), one.clients)).collect();
        let parts = if parts.is_empty() { Err(format!("{name} does not have it")) } else { Ok(parts) };
        let findings = [
            ("orphaned", judged.orphaned),
            ("out_of_touch", judged.out_of_touch),
            ("not_secure", judged.not_secure),
            ("behind", judged.behind),
            ("silent", judged.silent),
            ("unknown", judged.unknown),
            ("orphaned_on_return", judged.orphaned_on_return),
            ("away", judged.away),
        ];
        let mut found = BTreeMap::new();
        for (finding, clients) in findings {
            for Named::Client { client } | Named::Name(client) in clients {
                found.entry(client).or_insert(finding);
            }
        }
        Self {
            name,
            title: if judged.scenario.is_empty() { site } else { judged.scenario },
            at: judged.now,
            clients: judged.clients,
            orphaned,
            well: judged.well,
            findings: found,
            parts,
            has_others: judged.elsewhere > 0,
            causes,
            steps,
            assumptions: assumptions.map(|all| all.into_iter().map(|one| (one.name, one.value)).collect()),
        }
    }
}

/// What `rehearse` prints, or another verdict.
#[derive(Deserialize)]
struct Whole {
    verdict: Option<Judged>,
    assumptions: Option<Vec<Assumption>>,
}

/// What is read of a verdict.
#[derive(Deserialize)]
struct Judged {
    #[serde(default)]
    scenario: String,
    now: Option<Timestamp>,
    well: Option<bool>,
    clients: u64,
    #[serde(default)]
    elsewhere: u64,
    #[serde(default)]
    parts: Vec<Part>,
    orphaned: Vec<Named>,
    #[serde(default)]
    out_of_touch: Vec<Named>,
    #[serde(default)]
    not_secure: Vec<Named>,
    #[serde(default)]
    behind: Vec<Named>,
    #[serde(default)]
    silent: Vec<Named>,
    #[serde(default)]
    unknown: Vec<Named>,
    #[serde(default)]
    orphaned_on_return: Vec<Named>,
    #[serde(default)]
    away: Vec<Named>,
    #[serde(default)]
    reasons: Vec<Reason>,
    #[serde(default)]
    notes: Vec<Reason>,
    #[serde(default)]
    steps: Vec<Step>,
}

/// A client in a list of a verdict.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Name(String),
    Client { client: String },
}

/// A reason, or a note, which has no finding.
#[derive(Deserialize)]
struct Reason {
    finding: Option<String>,
    code: String,
    layer: Option<String>,
    sentence: String,
    failure: Option<String>,
    remedy: Option<String>,
    clients: u64,
}

#[derive(Deserialize)]
struct Step {
    number: usize,
    title: String,
    began: Timestamp,
    #[serde(default)]
    holdings: Vec<Part>,
}

/// A part of the fleet.
#[derive(Deserialize)]
struct Part {
    part: String,
    clients: u64,
}

#[derive(Deserialize)]
struct Assumption {
    name: String,
    value: String,
}

/// What is read of `evidence.json`.
#[derive(Default, Deserialize)]
struct About {
    #[serde(default)]
    site: String,
}

/// Bytes that a part of evidence may have, however small it is in the archive.
const ANY_PART: u64 = 1024 * 1024;
/// Largest ratio of a larger part to its bytes in the archive.
const LARGEST_RATIO: u64 = 200;

/// Reads to the end of what may have so many bytes.
fn bounded(name: &str, what: &'static str, input: impl Read, largest: u64) -> Result<Vec<u8>, NoRun> {
    let mut bytes = Vec::new();
    input
        .take(largest.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|why| NoRun::Unreadable { name: name.to_owned(), why })?;
    match bytes.len() as u64 > largest {
        true => Err(NoRun::TooLarge { name: name.to_owned(), what, largest }),
        false => Ok(bytes),
    }
}

fn json<T: DeserializeOwned>(name: &str, part: &'static str, bytes: &[u8]) -> Result<T, NoRun> {
    serde_json::from_slice(bytes).map_err(|why| NoRun::Part { name: name.to_owned(), part, why })
}

/// The steps of a verdict, each with the milliseconds until the next one or the verdict.
fn steps_in(judged: &Judged) -> Vec<(String, u64)> {
    let ends = judged.steps.iter().skip(1).map(|one| one.began).chain(judged.now);
    let step = |(one, end): (&Step, Timestamp)| (one.title.clone(), millis(end.since(one.began)));
    judged.steps.iter().zip(ends).map(step).collect()
}

/// The steps of a recorded scenario.
fn steps_of(text: &str) -> Result<Vec<(String, u64)>, String> {
    let scenario = Scenario::parse(text, "scenario.toml").map_err(|error| error.to_string())?;
    let lasted = |wait: Option<Span>| wait.map_or(0, |span| millis(span.0));
    let steps = scenario.step.into_iter();
    Ok(steps.map(|step| (step.title, lasted(step.wait.and_then(|wait| wait.time)))).collect())
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn causes(judged: &Judged) -> BTreeMap<[String; 3], Cause> {
    let mut causes = BTreeMap::<_, Cause>::new();
    for one in judged.reasons.iter().chain(&judged.notes) {
        let finding = one.finding.clone().unwrap_or_else(|| NOTE.to_owned());
        let key = [finding.clone(), one.code.clone(), one.layer.clone().unwrap_or_default()];
        let cause = causes.entry(key).or_insert_with(|| Cause {
            finding,
            sentence: one.sentence.clone(),
            steps: titled(&one.sentence, &judged.steps),
            layer: one.layer.clone(),
            failure: one.failure.clone(),
            remedy: one.remedy.clone(),
            clients: 0,
        });
        cause.clients = cause.clients.saturating_add(one.clients);
    }
    causes
}

/// The steps that a sentence names by number, with their titles.
fn titled(sentence: &str, steps: &[Step]) -> Vec<StepTitle> {
    let words: Vec<&str> = sentence.split(|c: char| !c.is_alphanumeric()).collect();
    let numbers: BTreeSet<usize> = words
        .windows(2)
        .filter(|pair| pair[0].eq_ignore_ascii_case("step"))
        .filter_map(|pair| pair[1].parse().ok())
        .collect();
    let named = steps.iter().filter(|step| numbers.contains(&step.number) && !step.title.is_empty());
    named.map(|step| StepTitle { number: step.number, title: step.title.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use serde_json::json;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::comparison::Comparison;

    const ENOUGH: u64 = 1 << 20;

    fn of_json(name: &str, verdict: &Value) -> Run {
        Run::read(name, Cursor::new(verdict.to_string()), ENOUGH).unwrap()
    }

    fn evidence(parts: &[(&str, &str)]) -> Cursor<Vec<u8>> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in parts {
            zip.start_file(format!("evidence/{name}"), SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        let mut packed = zip.finish().unwrap();
        packed.set_position(0);
        packed
    }

    #[test]
    fn no_more_is_read_of_a_file_or_of_a_part_than_is_allowed() {
        let verdict = json!({ "clients": 1, "orphaned": [] }).to_string();
        let size = verdict.len() as u64;
        let read = |largest| Run::read("a.json", Cursor::new(&verdict), largest).map_err(|e| e.to_string());
        assert_eq!(read(size).unwrap().clients, 1);
        assert!(read(size - 1).unwrap_err().starts_with("a.json: it is larger than"));
        let packed = |largest| Run::read("a.zip", evidence(&[("verdict.json", &verdict)]), largest);
        assert_eq!(packed(size).unwrap().clients, 1);
        let refused = packed(size - 1).unwrap_err().to_string();
        assert!(refused.starts_with("a.zip: verdict.json is larger than"), "{refused}");
    }

    #[test]
    fn what_evidence_does_not_have_or_what_cannot_be_read_is_named() {
        let verdict = json!({ "clients": 1, "orphaned": [], "well": true }).to_string();
        let read = |parts: &[(&str, &str)]| {
            Run::read("a.zip", evidence(parts), ENOUGH).map_err(|error| error.to_string())
        };
        let run = read(&[("verdict.json", &verdict), ("evidence.json", r#"{"site":"My Site"}"#)]).unwrap();
        assert_eq!(
            (run.title.as_str(), run.steps.as_ref().unwrap_err().as_str()),
            ("My Site", "a.zip does not have it")
        );
        let compared = Comparison::of(&run, &run);
        assert!(compared.same && compared.steps.is_none());
        assert_eq!(compared.not_compared[0], "The fleet: not compared, since a.zip does not have it.");
        let broken = read(&[("verdict.json", &verdict), ("scenario.toml", "[[step")]).unwrap();
        assert!(broken.steps.unwrap_err().contains("scenario.toml"));
        for (parts, expected) in [
            (&[("journal.har", "")][..], "it has no verdict.json"),
            (&[("verdict.json", "{}")][..], "verdict.json in it cannot be read: missing field"),
            (&[("verdict.json", verdict.as_str()), ("assumptions.json", "{}")][..], "assumptions.json in it"),
        ] {
            let refused = read(parts).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
    }

    #[test]
    fn a_client_that_would_be_orphaned_on_its_return_is_not_only_away() {
        let verdict = json!({ "clients": 1, "orphaned": [], "well": false, "away": ["one"] });
        let mut worse = verdict.clone();
        worse["orphaned_on_return"] = json!(["one"]);
        let compared = Comparison::of(&of_json("green", &verdict), &of_json("red", &worse));
        let [one] = &compared.clients[..] else { panic!("{compared:?}") };
        assert_eq!((one.first.as_str(), one.second.as_str()), ("away", "orphaned_on_return"));
    }

    #[test]
    fn a_client_that_a_run_does_not_have_is_not_called_well_in_it() {
        let verdict = |part: &str, clients: u64, orphaned: &[&str]| json!({ "clients": clients, "well": orphaned.is_empty(), "orphaned": orphaned, "parts": [{ "part": part, "clients": clients }] });
        let compared = |first: &Value, second: &Value| {
            let compared = Comparison::of(&of_json("green", first), &of_json("red", second));
            let ends =
                compared.clients.iter().map(|one| [one.first.as_str(), &one.second].join(", ")).collect();
            (compared.same, ends)
        };
        let red = verdict("desk", 2, &["desk-2"]);
        let ends = |first: &Value| -> Vec<String> { compared(first, &red).1 };
        assert_eq!(ends(&verdict("desk", 2, &[])), ["well, orphaned"]);
        assert_eq!(ends(&verdict("shop", 2, &[])), ["absent, orphaned"]);
        assert_eq!(ends(&verdict("desk", 1, &[])), ["absent, orphaned"]);
        assert_eq!(ends(&json!({ "clients": 2, "well": true, "orphaned": [] })), ["not_named, orphaned"]);
        let mut elsewhere = verdict("shop", 2, &[]);
        elsewhere["elsewhere"] = json!(2);
        assert_eq!(ends(&elsewhere), ["not_named, orphaned"]);
        // As many clients, all well, and others.
        let both = compared(&verdict("desk", 2, &[]), &verdict("shop", 2, &[]));
        assert_eq!(both, (false, Vec::<String>::new()));
    }

    #[test]
    fn a_note_that_only_one_run_has_is_told_though_its_clients_are_well() {
        let verdict = json!({ "clients": 1, "orphaned": [], "well": true });
        let mut noted = verdict.clone();
        noted["notes"] =
            json!([{ "code": "old-policy", "sentence": "They hold an older policy.", "clients": 1 }]);
        let compared = Comparison::of(&of_json("green", &verdict), &of_json("later", &noted));
        let [one] = &compared.causes_of_second[..] else { panic!("{compared:?}") };
        assert_eq!((one.finding.as_str(), one.clients), (NOTE, 1));
        assert!(compared.same && compared.causes_of_first.is_empty(), "{compared:?}");
    }

    #[test]
    fn steps_that_a_cause_names_by_number_have_their_titles() {
        let step = |number: usize, title: &str| json!({ "number": number, "title": title, "began": "2026-01-05T08:00:00.000Z" });
        let verdict = json!({
            "clients": 1, "orphaned": ["one"], "well": false, "now": "2026-01-05T09:00:00.000Z",
            "steps": [step(1, "The list"), step(2, ""), step(3, "The certificate"), step(13, "Later")],
            "reasons": [{ "finding": "orphaned", "code": "x", "clients": 1, "sentence": "Step 3 came without a wait after step 1 and step 2 in 13 groups." }],
        });
        let run = of_json("red", &verdict);
        let named: Vec<(usize, &str)> = run
            .causes
            .values()
            .flat_map(|one| &one.steps)
            .map(|one| (one.number, one.title.as_str()))
            .collect();
        assert_eq!(named, [(1, "The list"), (3, "The certificate")]);
        assert_eq!(run.steps.unwrap()[3], ("Later".to_owned(), 3_600_000));
    }
}
