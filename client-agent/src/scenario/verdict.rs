//! What clients hold after a step, and which are orphaned, since when, and by which layer of trust.

use std::collections::BTreeMap;

use epm_protocol::plural::either;
use epm_protocol::statement::Statement;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use serde::Serialize;

use super::note::Note;
use super::part_holding::PartHolding;
use super::reason::{ClientFinding, Held, Reason};
use crate::agent::{AgentView, Distrust, Health, Trouble, TrustLayer};

/// A client that is orphaned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct OrphanedClient {
    /// The computer name of the client.
    pub client: String,
    /// The part of the fleet that the client belongs to.
    pub part: String,
    /// The lab time since which the client has been orphaned.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// The step of the scenario during which the client was orphaned, from 1; 0 is before the first step. Absent in a
    /// lab without a scenario.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// The title of that step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_title: Option<String>,
    /// The code of the layer of trust that failed.
    pub layer: TrustLayer,
    /// The title of that layer, for people.
    pub layer_title: &'static str,
    /// The reason in one sentence: what was expected, and what was found.
    pub why: String,
    /// The reason as data.
    pub because: Distrust,
    /// The number of the cause in `reasons` of the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<usize>,
    /// The numbers of further causes in `reasons`, such as a manager that does not answer: the client has them beside its loss of
    /// trust.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<usize>,
    /// The number of the failure in the catalogue, such as `F03`; absent where none fits, or several do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What the client held when it was orphaned.
    #[serde(skip)]
    pub held: Held,
}

/// The state of the fleet after a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct StepReport {
    /// The number of the step, from 1; 0 is the installation.
    pub number: usize,
    /// The title of the step.
    pub title: String,
    /// The statements of the documented procedure that the step follows or breaks.
    pub statements: Vec<Statement>,
    /// The lab time at which the step began.
    #[schemars(with = "String")]
    pub began: Timestamp,
    /// What clients hold after the step, for each part.
    pub holdings: Vec<PartHolding>,
}

/// The state of a fleet: the certificates that its clients hold, the clients that are orphaned, since when and why. `run`,
/// `rehearse`, `check` and the control API give the same verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Verdict {
    /// The title of the scenario; absent in a lab without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scenario: String,
    /// The seed that reproduces the same lab.
    pub seed: u64,
    /// The lab time of the verdict.
    #[schemars(with = "String")]
    pub now: Timestamp,
    /// Whether every client that is on is served, authenticates its manager, has its heartbeats, and holds every
    /// certificate in force, no client is orphaned or would be on being switched on, no service of a manager is down, no file waits
    /// unread, and the console can log in. Null where there is no client to judge, as where all are off with changes to receive, or the
    /// state of a client is not known, or the return of one cannot be tried, or the database does not answer, and nothing else is wrong:
    /// then there is no verdict.
    pub well: Option<bool>,
    /// The reason why there is no verdict; absent where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_verdict: Option<String>,
    /// The assumptions that differ from their defaults, each as `name = value`: the verdict rests on them. Absent where none does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
    /// The number of clients.
    pub clients: usize,
    /// The number of clients of the scenario that have not been installed yet: they are not judged. Absent where there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_installed: usize,
    /// The number of registered clients that run outside this lab's process. Of those that no process reports the lab knows only what
    /// they tell their manager: their state is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<usize>,
    /// The processes that report clients which run outside this lab's process; absent where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<ReportSource>,
    /// The clients whose state is not known: they run outside this lab's process, and no source has reported them, or theirs has been
    /// silent for three of its intervals. Absent where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// The clients that run outside this lab's process and are off, and that lack something which their managers present, sign with or
    /// share with them: whether they would be orphaned on being switched on cannot be tried. Absent where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untried: Vec<String>,
    /// The clients that several sources report; the latest report counts. Absent where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reported_twice: Vec<String>,
    /// The certificate that each manager shows its clients now: SHA-256 fingerprints by manager name.
    #[schemars(with = "BTreeMap<String, String>")]
    pub certificates: BTreeMap<String, Fingerprint>,
    /// Every certificate that was in force during the scenario, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub certificate_history: Vec<Fingerprint>,
    /// The reason why the console cannot log in (F14), by manager name; absent where it can.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub console_troubles: BTreeMap<String, String>,
    /// The state after each step of the scenario.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepReport>,
    /// The certificates and lists that the clients of each part of the fleet hold now.
    pub parts: Vec<PartHolding>,
    /// The causes for which clients are not well, each with what to do: first those of clients that are orphaned or out of touch;
    /// of these and of the others, those of most clients first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// Facts about clients that do not decide whether all is well, such as clients that hold an old policy; absent where there are
    /// none. A verdict that is well may have notes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// The command that repeats it; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<String>,
    /// The clients that are orphaned.
    pub orphaned: Vec<OrphanedClient>,
    /// The clients that are on, not served, and not orphaned: the reason is not trust.
    pub out_of_touch: Vec<String>,
    /// The clients that are on and served, but do not authenticate their manager.
    pub not_secure: Vec<String>,
    /// The clients that are on, served and secure, but lack a certificate in force.
    pub behind: Vec<String>,
    /// The clients that are on, and have begun no heartbeat for three intervals.
    pub silent: Vec<String>,
    /// The managers whose process does not run; absent where each manager is in this process, or that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes_down: Option<Vec<String>>,
    /// The reason why the database that the managers share does not answer: which processes run, and what they have heard since, is not
    /// known. Absent where it answers, and where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_error: Option<String>,
    /// The services that are down, by manager; absent where no manager has an installation folder, without which
    /// every service is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services_down: Option<BTreeMap<String, Vec<String>>>,
    /// The files that were replaced and that no service has read since, by manager; absent where no manager has an
    /// installation folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_unread: Option<BTreeMap<String, Vec<String>>>,
    /// The clients that are off, not orphaned, and have changes still to receive.
    pub away: Vec<String>,
    /// The clients in `away` that would be orphaned if they were switched on now, as tried on copies of them; absent where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphaned_on_return: Vec<String>,
    /// The clients that were orphaned, and brought back by an imported communications file.
    pub brought_back: Vec<String>,
    /// The clients that were orphaned at any time, whether or not they still are or still belong to the fleet; absent where
    /// this was not watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ever_orphaned: Option<Vec<String>>,
    /// The clients that adopted a policy without authenticating it; absent where this was not watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ever_unsigned: Option<Vec<String>>,
    /// The number of journal entries that have been dropped; absent without a journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_forgotten: Option<u64>,
    /// The clients in `out_of_touch`, and orphaned ones with a problem beside trust, with what the cause is told from.
    #[serde(skip)]
    pub troubled: Vec<Troubled>,
    /// The clients in `orphaned_on_return`, with what the cause is told from.
    #[serde(skip)]
    pub returning: Vec<Returning>,
    /// The reason why the web server of a manager did not start, by manager name.
    #[serde(skip)]
    pub web_server_errors: BTreeMap<String, String>,
    /// The ports at which each manager serves clients.
    #[serde(skip)]
    pub ports: BTreeMap<String, Vec<u16>>,
    /// The clients in `not_secure`, `behind` and `silent`, with what the cause is told from.
    #[serde(skip)]
    pub laggards: Vec<Laggard>,
    /// The number of the reason for each client that is not orphaned, by what is wrong with it.
    #[serde(skip)]
    pub numbers: BTreeMap<(ClientFinding, String), usize>,
}

/// A process that reports clients which run outside of a lab's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ReportSource {
    /// The name of the source.
    pub source: String,
    /// The number of clients in its reports.
    pub clients: usize,
    /// The lab time of the oldest of the reports that count.
    #[schemars(with = "String")]
    pub heard: Timestamp,
    /// Milliseconds of real time since then.
    pub heard_ms_ago: u64,
    /// The longest time between two reports of one client that the source has promised, in milliseconds of real time.
    pub interval_ms: u64,
    /// Whether the source has been silent for longer than three intervals, with all or some of its clients: those are unknown.
    pub silent: bool,
    /// Whether the source has ended: its clients have stopped.
    pub ended: bool,
}

/// A client that is off, and would be orphaned if it were switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returning {
    /// The computer name of the client.
    pub client: String,
    /// The part of the fleet that the client belongs to.
    pub part: String,
    /// What the client holds.
    pub held: Held,
    /// The layer of trust that would fail, with what would be expected and found.
    pub because: Distrust,
}

/// A client that is out of touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Troubled {
    /// The computer name of the client.
    pub client: String,
    /// The part of the fleet that the client belongs to.
    pub part: String,
    /// What the client holds.
    pub held: Held,
    /// What failed in its last heartbeat.
    pub trouble: Trouble,
}

/// Why a client begins no heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The client was suspended in the lab.
    Suspended,
    /// The client's communication is switched off.
    Disabled,
    /// The last heartbeat has not ended.
    InHeartbeat,
}

/// A client that is served, or should be, and is not well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Laggard {
    /// The computer name of the client.
    pub client: String,
    /// The part of the fleet that the client belongs to.
    pub part: String,
    /// What is wrong with the client.
    pub finding: ClientFinding,
    /// What the client holds.
    pub held: Held,
    /// The certificates in force that the client lacks.
    pub lacks: Vec<Fingerprint>,
    /// Why the client begins no heartbeat, as far as its driver knows.
    pub pause: Option<Pause>,
}

/// The state of a client at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The client is served and secure, and holds every certificate in force.
    Well,
    /// The client is orphaned.
    Orphaned,
    /// The client is neither orphaned nor served.
    OutOfTouch,
    /// The client is served, but does not authenticate its manager.
    NotSecure,
    /// The client is served and secure, but lacks a certificate in force.
    Behind,
}

impl Standing {
    /// The state of this client; `in_force` are the certificates that the managers show now.
    pub fn of(view: &AgentView, in_force: &[Fingerprint]) -> Self {
        if view.health.orphaned().is_some() {
            Self::Orphaned
        } else if !view.health.is_connected() {
            Self::OutOfTouch
        } else if !view.secure_communications {
            Self::NotSecure
        } else if !in_force.iter().all(|one| view.certificates.contains(one)) {
            Self::Behind
        } else {
            Self::Well
        }
    }
}

impl Verdict {
    /// A verdict on a fleet of which no client has been looked at yet; `certificates` are those that the managers show now.
    pub fn new(now: Timestamp, seed: u64, certificates: BTreeMap<String, Fingerprint>) -> Self {
        Self { now, seed, certificates, well: Some(true), ..Self::default() }
    }

    /// The certificates in force.
    pub fn in_force(&self) -> Vec<Fingerprint> {
        self.certificates.values().copied().collect()
    }

    /// The reason why a client is orphaned, once the verdict has been explained.
    pub fn reason_of(&self, client: &OrphanedClient) -> Option<&Reason> {
        self.reasons.get(client.reason?.checked_sub(1)?)
    }

    /// The reason why a client that is not orphaned is not well, once the verdict has been explained.
    pub fn reason_for(&self, finding: ClientFinding, client: &str) -> Option<&Reason> {
        let number = self.numbers.get(&(finding, client.to_owned()))?;
        self.reasons.get(number.checked_sub(1)?)
    }

    /// The clients of the reason with this number, once the verdict has been explained.
    pub fn clients_of(&self, reason: usize) -> impl Iterator<Item = &str> {
        let orphaned = self.orphaned.iter().filter(move |one| one.reason == Some(reason));
        let others = self.numbers.iter().filter(move |(_, number)| **number == reason);
        orphaned.map(|one| one.client.as_str()).chain(others.map(|((_, name), _)| name.as_str()))
    }

    /// The clients that are not well and not orphaned, by what is wrong with them.
    pub fn unwell(&self) -> [(ClientFinding, &[String]); 5] {
        [
            (ClientFinding::OutOfTouch, &self.out_of_touch),
            (ClientFinding::NotSecure, &self.not_secure),
            (ClientFinding::Behind, &self.behind),
            (ClientFinding::Silent, &self.silent),
            (ClientFinding::OrphanedOnReturn, &self.orphaned_on_return),
        ]
    }

    /// Says that there is no verdict, and why, where nothing is known to be wrong and not everything could be judged.
    pub fn conclude(&mut self) {
        if !self.console_troubles.is_empty()
            || self.processes_down.as_ref().is_some_and(|down| !down.is_empty())
        {
            self.well = Some(false);
        }
        if self.well != Some(false) {
            self.no_verdict = self.why_not_judged();
            self.well = self.no_verdict.is_none().then_some(true);
        }
    }

    /// The reason why not everything could be judged.
    fn why_not_judged(&self) -> Option<String> {
        if let Some(why) = &self.database_error {
            Some(format!("the database that the managers share cannot be used ({why})"))
        } else if let [first, rest @ ..] = self.unknown.as_slice() {
            let unknown = either(self.unknown.len(), "client is", "clients are");
            let such = if rest.is_empty() { first.clone() } else { format!("{first}, ...") };
            Some(format!("{unknown} unknown, since no process reports what they hold: {such}"))
        } else if let [first, rest @ ..] = self.untried.as_slice() {
            let off = either(self.untried.len(), "client elsewhere is", "clients elsewhere are");
            let such = if rest.is_empty() { first.clone() } else { format!("{first}, ...") };
            Some(format!(
                "{off} off with changes to receive, and whether they would be orphaned on being switched on cannot be tried: {such}"
            ))
        } else if self.clients > self.away.len() {
            None
        } else if self.clients == 0 && self.not_installed > 0 {
            let clients = either(self.not_installed, "client has", "clients have");
            Some(format!(
                "{clients} not been installed yet, and there is no other, so that nothing was judged"
            ))
        } else if self.clients > 0 {
            Some("all clients are off, with changes still to receive, so that nothing was judged".to_owned())
        } else {
            Some("the lab has no client, so that nothing was judged".to_owned())
        }
    }

    /// Adds a client that does not stand well, or was brought back; `is_on` is whether its machine is on.
    pub fn add(&mut self, part: &str, view: &AgentView, standing: Standing, is_on: bool) {
        if view.brought_back {
            self.brought_back.push(view.computer_name.clone());
        }
        let trouble = match (standing, &view.health) {
            (Standing::OutOfTouch, Health::Disconnected { because, .. }) => Some(because),
            (Standing::Orphaned, health) => health.also(),
            _ => None,
        };
        if let Some(because) = trouble.filter(|_| is_on) {
            self.troubled.push(Troubled {
                client: view.computer_name.clone(),
                part: part.to_owned(),
                held: Held::of(view),
                trouble: because.clone(),
            });
        }
        let names = match standing {
            Standing::Well => return,
            Standing::Orphaned => {
                self.orphaned.extend(orphaned(part, view, &self.steps));
                self.well = Some(false);
                return;
            }
            _ if !is_on => &mut self.away,
            Standing::OutOfTouch => &mut self.out_of_touch,
            Standing::NotSecure => &mut self.not_secure,
            Standing::Behind => &mut self.behind,
        };
        names.push(view.computer_name.clone());
        if !is_on {
            return;
        }
        self.well = Some(false);
        match standing {
            Standing::NotSecure => self.lag(ClientFinding::NotSecure, part, view, None),
            Standing::Behind => self.lag(ClientFinding::Behind, part, view, None),
            Standing::Well | Standing::Orphaned | Standing::OutOfTouch => {}
        }
    }

    /// Adds a client that is off, and would be orphaned if it were switched on.
    pub fn add_orphaned_on_return(&mut self, part: &str, view: &AgentView, because: Distrust) {
        self.well = Some(false);
        self.orphaned_on_return.push(view.computer_name.clone());
        // One that holds every certificate in force has something to receive as well: what it would not believe.
        if Standing::of(view, &self.in_force()) == Standing::Well {
            self.away.push(view.computer_name.clone());
        }
        let (client, part) = (view.computer_name.clone(), part.to_owned());
        self.returning.push(Returning { client, part, held: Held::of(view), because });
    }

    /// Adds a client that is on and has begun no heartbeat for three intervals.
    pub fn add_silent(&mut self, part: &str, view: &AgentView, pause: Option<Pause>) {
        self.well = Some(false);
        self.silent.push(view.computer_name.clone());
        let is_disabled = matches!(view.health, Health::Disconnected { because: Trouble::Disabled, .. });
        self.lag(ClientFinding::Silent, part, view, pause.or(is_disabled.then_some(Pause::Disabled)));
    }

    fn lag(&mut self, finding: ClientFinding, part: &str, view: &AgentView, pause: Option<Pause>) {
        let lacks = self.certificates.values().filter(|one| !view.certificates.contains(one)).copied();
        self.laggards.push(Laggard {
            client: view.computer_name.clone(),
            part: part.to_owned(),
            finding,
            held: Held::of(view),
            lacks: lacks.collect(),
            pause,
        });
    }

    /// Adds what was observed of the managers: the services that are down, and the files that wait unread.
    pub fn observe_managers(
        &mut self,
        services_down: BTreeMap<String, Vec<String>>,
        files_unread: BTreeMap<String, Vec<String>>,
    ) {
        if !services_down.is_empty() || !files_unread.is_empty() {
            self.well = Some(false);
        }
        (self.services_down, self.files_unread) = (Some(services_down), Some(files_unread));
    }

    /// What is wrong with the managers, each in a short text such as `semsrv of sepm-1`: the services that are down, and
    /// the files that wait unread.
    pub fn manager_troubles(&self) -> [(Vec<String>, &'static str); 2] {
        let named = |all: &Option<BTreeMap<String, Vec<String>>>| {
            let all = all.iter().flatten();
            all.flat_map(|(manager, names)| names.iter().map(move |name| format!("{name} of {manager}")))
                .collect()
        };
        [(named(&self.services_down), "down"), (named(&self.files_unread), "unread")]
    }
}

/// Whether a number is 0.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Counts what clients hold, part by part; a part whose clients are all still to come has empty counts.
pub fn holdings<'a>(
    parts: impl IntoIterator<Item = &'a str>,
    clients: impl IntoIterator<Item = (&'a str, AgentView)>,
) -> Vec<PartHolding> {
    let mut parts: Vec<PartHolding> = parts.into_iter().map(PartHolding::of).collect();
    for (part, view) in clients {
        if let Some(counts) = parts.iter_mut().find(|one| one.part == part) {
            counts.add(&view, 1);
        }
    }
    parts
}

/// The entry of this client in the list of the orphaned, if it is one; `steps` are those that have begun.
fn orphaned(part: &str, view: &AgentView, steps: &[StepReport]) -> Option<OrphanedClient> {
    let (since, because) = view.health.orphaned()?;
    let step = steps.iter().rev().find(|step| step.began <= since).or(steps.first());
    Some(OrphanedClient {
        client: view.computer_name.clone(),
        part: part.to_owned(),
        since,
        step: step.map(|step| step.number),
        step_title: step.map(|step| step.title.clone()),
        layer: because.layer(),
        layer_title: because.layer().title(),
        why: because.to_string(),
        because: because.clone(),
        reason: None,
        also: Vec::new(),
        failure: None,
        held: Held::of(view),
    })
}
