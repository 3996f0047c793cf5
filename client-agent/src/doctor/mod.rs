//! Examines a heartbeat step by step: how far it comes with one server, why it fails there, and what to do.
//!
//! Trust is not decided here: the client itself ([`crate::agent`]) makes the heartbeat and is observed.

use epm_protocol::heartbeat::{AgentRequest, ExchangeFailure, Stage};
use epm_protocol::policy::Protocol;
use schemars::JsonSchema;
use serde::Serialize;

use crate::agent::{AgentView, Distrust, Health, Trouble};

/// A step of a heartbeat. The order is that of the heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The name of the server resolves.
    Name,
    /// The port of the server accepts connections.
    Tcp,
    /// The TLS handshake succeeds.
    Tls,
    /// The certificate of the server is one of the list's.
    Certificate,
    /// The manager answers the browser test.
    Hello,
    /// The manager registers the client.
    Registration,
    /// The manager answers the request for the index.
    Index,
    /// The manager sends the documents that its index names.
    Download,
    /// The downloads are signed by a certificate of the list.
    Signature,
    /// The manager accepts the state that the client reports.
    Upload,
    /// The client holds the newest policy, and all that belongs to it.
    Serial,
}

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Outcome {
    /// The step succeeded.
    Well,
    /// The step does not apply to this server or these settings.
    NotNeeded,
    /// The step failed.
    Broken {
        /// The reason why it failed.
        why: String,
        /// The advice for the administrator.
        advice: &'static str,
    },
    /// The step was not tried.
    NotReached,
}

/// A step and its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    /// The step of the heartbeat.
    pub step: Step,
    /// The result of the step.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The results for one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Examination {
    /// The URL of the server.
    pub server: String,
    /// The results of all steps, in order.
    pub checks: Vec<Check>,
    /// Whether the manager keeps a registration of the client: a manager of this lab keeps none, another one may not
    /// know that this was an examination.
    pub stays_registered: bool,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Self; 11] = [
        Self::Name,
        Self::Tcp,
        Self::Tls,
        Self::Certificate,
        Self::Hello,
        Self::Registration,
        Self::Index,
        Self::Download,
        Self::Signature,
        Self::Upload,
        Self::Serial,
    ];

    /// The step that a request belongs to.
    pub fn of(request: &AgentRequest) -> Self {
        match request {
            AgentRequest::Hello => Self::Hello,
            AgentRequest::Register(_) => Self::Registration,
            AgentRequest::Index { .. } => Self::Index,
            AgentRequest::Fetch { .. } => Self::Download,
            AgentRequest::Upload { .. } | AgentRequest::Hold { .. } => Self::Upload,
            AgentRequest::Probe(probe) => Self::of(&probe.request),
        }
    }

    /// The step at which the first exchange with a server, the browser test, failed.
    pub fn broken_by(failure: &ExchangeFailure) -> Self {
        match failure {
            ExchangeFailure::NameNotResolved { .. } => Self::Name,
            ExchangeFailure::ConnectionRefused { .. }
            | ExchangeFailure::Unreachable { .. }
            | ExchangeFailure::TimedOut { stage: Stage::Connect, .. }
            | ExchangeFailure::ConnectionLost { stage: Stage::Connect, .. } => Self::Tcp,
            ExchangeFailure::TlsFailed { .. }
            | ExchangeFailure::TimedOut { stage: Stage::Handshake, .. }
            | ExchangeFailure::ConnectionLost { stage: Stage::Handshake, .. } => Self::Tls,
            ExchangeFailure::TlsRejected { .. } => Self::Certificate,
            _ => Self::Hello,
        }
    }

    /// The advice for a step that failed.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Name => "check the server's name in the list and in the DNS, or name its address",
            Self::Tcp => {
                "check that the service runs, that the list has the right port, and the firewalls in between"
            }
            Self::Tls => {
                "check that the port speaks TLS, its versions and ciphers, and any TLS inspection in between"
            }
            Self::Certificate => {
                "compare the certificate shown with that of the manager: if it has expired or is for another name, \
                 renew it there; if the manager has a new one, give the client a new communications file; if neither, \
                 look for TLS inspection in between"
            }
            Self::Hello => "the answer is not a manager's, or the manager has a problem: look at its log",
            Self::Registration => {
                "400: the shared secret (KCS) differs; 401: the domain differs; export the communications file again; \
                 anything else is not a manager's answer, or its trouble: look at its log"
            }
            Self::Index | Self::Download | Self::Upload => "look at the manager's log, and at its database",
            Self::Signature => {
                "the manager signs with a certificate that the list does not have: make it publish again, restore the old \
                 certificate, or give the client a new communications file"
            }
            Self::Serial => "check AlwaysConnect and DisableDownloadProfile in the communications file",
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Name => "name",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Certificate => "certificate",
            Self::Hello => "hello",
            Self::Registration => "registration",
            Self::Index => "index",
            Self::Download => "download",
            Self::Signature => "signature",
            Self::Upload => "upload",
            Self::Serial => "serial",
        })
    }
}

impl Examination {
    /// Makes the results for a server that was not asked yet; `secure` is whether signatures are checked.
    pub fn new(server: String, protocol: Protocol, secure: bool) -> Self {
        let is_needed = |step| match step {
            Step::Tls | Step::Certificate => protocol == Protocol::Https,
            Step::Signature => secure,
            _ => true,
        };
        let outcome = |step| if is_needed(step) { Outcome::NotReached } else { Outcome::NotNeeded };
        let checks = Step::ALL.map(|step| Check { step, outcome: outcome(step) }).to_vec();
        Self { server, checks, stays_registered: false }
    }

    /// Records that a step succeeded, if it is needed.
    pub fn pass(&mut self, step: Step) {
        let tried = self.checks.iter_mut().filter(|one| one.step == step);
        tried.filter(|one| one.outcome == Outcome::NotReached).for_each(|one| one.outcome = Outcome::Well);
    }

    /// Records that a step failed.
    pub fn fail(&mut self, step: Step, why: &dyn std::fmt::Display) {
        for one in self.checks.iter_mut().filter(|one| one.step == step) {
            one.outcome = Outcome::Broken { why: why.to_string(), advice: step.advice() };
        }
    }

    /// Records the status of the answer to the request of a step. A refusal shows only at the end, by
    /// [`conclude`](Self::conclude).
    pub fn answered(&mut self, step: Step, status: u16) {
        if status < 400 {
            self.pass(step);
        }
        if step == Step::Download && status == 200 {
            self.pass(Step::Signature);
        }
    }

    /// Records how the heartbeat ended for the client; `at` is the step of the last request.
    pub fn conclude(&mut self, client: &AgentView, at: Step) {
        match &client.health {
            Health::Connected { .. } if client.complete.is_some() => self.pass(Step::Serial),
            Health::Connected { .. } if client.downloads_off => {
                self.fail(Step::Serial, &"the client downloads no policy from its manager");
            }
            Health::Connected { .. } => {
                self.fail(Step::Download, &"the manager did not send all that belongs to its newest policy");
            }
            Health::Orphaned { because: distrust, .. }
            | Health::Disconnected { because: Trouble::Untrusted { distrust }, .. } => {
                let step = match distrust {
                    Distrust::Tls { .. } => Step::Certificate,
                    Distrust::Signature { .. } => Step::Signature,
                    Distrust::SharedSecret { .. } => at,
                };
                self.fail(step, distrust);
            }
            Health::Disconnected { because, .. } => self.fail(at, because),
            Health::New => self.fail(at, &"the client did not try"),
        }
    }

    /// Whether a step was tried, and succeeded.
    pub fn is_well(&self, step: Step) -> bool {
        self.checks.iter().any(|one| one.step == step && one.outcome == Outcome::Well)
    }

    /// The step that failed, if one did.
    pub fn broken_at(&self) -> Option<Step> {
        self.checks.iter().find(|one| matches!(one.outcome, Outcome::Broken { .. })).map(|one| one.step)
    }
}

impl std::fmt::Display for Examination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.server)?;
        for Check { step, outcome } in &self.checks {
            let name = step.to_string();
            match outcome {
                Outcome::Well => writeln!(f, "  {name:<13} well")?,
                Outcome::NotNeeded => writeln!(f, "  {name:<13} not needed")?,
                Outcome::NotReached => writeln!(f, "  {name:<13} not reached")?,
                Outcome::Broken { why, advice } => {
                    writeln!(f, "  {name:<13} FAILED: {why}\n  {:<13} What to do: {advice}", "")?;
                }
            }
        }
        if self.stays_registered {
            writeln!(f, "  The client stays registered with this manager: delete it there.")?;
        }
        Ok(())
    }
}
