//! The findings of a rotation: each has a stable code and sentence, a result, and counter-examples.

use std::borrow::Cow;

use epm_client_agent::catalogue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lab::finding_result::FindingResult;

/// Maximum number of counter-examples listed.
const NAMED: usize = 20;

/// The table of codes: each with the point of the judgement that it belongs to, and its sentence.
macro_rules! codes {
    ($($(#[$about:meta])* $code:ident = $point:literal, $title:literal;)*) => {
        /// Code of a finding about a rotation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum RotationCode { $($(#[$about])* $code,)* }

        impl RotationCode {
            /// Every code of a finding, in the order of the judgement.
            pub const ALL: &[Self] = &[$(Self::$code,)*];

            /// The point of the judgement that the finding belongs to, from 1 to 8.
            pub const fn point(self) -> u8 {
                match self { $(Self::$code => $point,)* }
            }

            /// The sentence that is true if the finding passes.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$code => $title,)* }
            }
        }
    };
}

codes! {
    /// A manager that rotates still presents a certificate of the baseline.
    CertificateNew = 1, "every manager that rotates presents a new certificate";
    /// The two stores of a manager that rotates hold different certificates.
    StoresEqual = 1, "both stores of every manager that rotates hold the same certificate";
    /// A certificate is expired or not yet valid.
    CertificateValid = 1, "every certificate is valid now";
    /// A certificate lacks the name of a server in a list that verifies names.
    CertificateNamesServer = 1, "every certificate names the servers of the lists that verify names";
    /// A manager that should have kept its certificates has another one.
    OthersUnchanged = 1, "every other manager keeps its certificates";
    /// A service of a manager is down.
    ServicesUp = 2, "no service of a manager is down";
    /// A file was replaced, and its service was not restarted.
    FilesRead = 2, "no file of a manager waits unread";
    /// The console cannot log in to a manager.
    ConsoleConnects = 2, "the console can log in to every manager";
    /// A group or location is gone, or inherits otherwise than before.
    InheritanceRestored = 3, "every group and location inherits what it inherited before";
    /// A group or location has another management server list, or the list has changed.
    ListRestored = 3, "every group and location has its management server list again";
    /// The switch for secure communications of a group differs.
    SwitchRestored = 3, "every group has its switch for secure communications again";
    /// A group or location has other communication settings.
    CommunicationRestored = 3, "every group and location has its communication settings again";
    /// A manager no longer replicates with the others.
    ReplicationRestored = 3, "every manager replicates that replicated before";
    /// Other groups were prepared for the new certificate, that of the client was not.
    GroupForgotten = 4, "no client was orphaned because its group was left out";
    /// The client's group was prepared for the new certificate, its location was not.
    LocationForgotten = 4, "no client was orphaned because its location was left out";
    /// Secure communications were off, but the client's list was still over HTTPS.
    ListOverHttps = 4, "no client was orphaned because its list was still over HTTPS";
    /// Secure communications were never switched off for a client with one manager.
    SwitchLeftOn = 4, "no client with one manager was orphaned because secure communications were left on";
    /// The client had no heartbeat between the preparation and the new certificate, or between that and the end.
    NotWaited = 4, "no client was orphaned for want of a heartbeat between two steps";
    /// Several managers changed before the client had learnt the certificate of the first.
    ManagerTooEarly = 4, "no client was orphaned because a second manager followed too early";
    /// The client's version learns only the certificate of the manager that it talks to.
    VersionLearnsOne = 4, "no client was orphaned because its version learns one certificate only";
    /// A client was orphaned for a reason that has no code.
    OrphanedOtherwise = 4, "no client was orphaned for another reason";
    /// A client that is on is not served, or has no heartbeats.
    ClientsServed = 5, "every client that is on is served and has its heartbeats";
    /// A client is in another group than before, or is on and holds another policy than its group publishes.
    PolicyCurrent = 5, "every client is in its group and, if it is on, holds the policy that the group publishes";
    /// A client that is on has another switch than its group had.
    ClientSwitch = 5, "every client that is on has the switch that its group had";
    /// A client that is on holds a policy that no certificate in force vouches for.
    PolicyVouched = 5, "every client that is on holds a policy that a certificate in force vouches for";
    /// Secure communications were off at some time.
    NeverInsecure = 5, "secure communications were never off";
    /// A client that is on lacks the certificate of a manager in its list.
    CertificatesHeld = 6, "every client that is on holds the certificates of the managers in its list";
    /// A client that is off would be orphaned when it is switched on.
    AbsentReturn = 7, "no client that is off would be orphaned on coming home";
    /// A client had too few heartbeats between two steps that need one.
    HeartbeatsBetweenSteps = 8, "every client had enough heartbeats between two steps";
}

/// One finding about a rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RotationFinding {
    /// Stable code of the finding.
    pub code: RotationCode,
    /// Point of the judgement that the finding belongs to, from 1 to 8.
    pub point: u8,
    /// Sentence that is true if the finding passes.
    pub title: Cow<'static, str>,
    /// Outcome of the finding.
    pub result: FindingResult,
    /// Numbers of the failures in the catalogue that the counter-examples are cases of, such as `F03`; empty if none fits.
    pub failures: Vec<String>,
    /// What to do; absent where the catalogue has no such failure.
    pub remedy: Option<String>,
    /// Number of counter-examples.
    pub against: usize,
    /// Some of the managers, groups or clients that contradict the sentence, each with the reason.
    pub counter_examples: Vec<String>,
}

/// The findings of a rotation that is being judged.
pub(super) struct Findings {
    findings: Vec<RotationFinding>,
    /// Facts that are reported and fail nothing.
    pub(super) notes: Vec<String>,
    /// Counter-examples that only leave a finding unknown which fails: they are named after those that it fails by.
    weaker: Vec<(RotationCode, String)>,
}

impl Findings {
    /// Passing findings of these codes.
    pub(super) fn of(codes: impl IntoIterator<Item = RotationCode>) -> Self {
        let passing = |code: RotationCode| RotationFinding {
            code,
            point: code.point(),
            title: code.title().into(),
            result: FindingResult::Pass,
            failures: Vec::new(),
            remedy: None,
            against: 0,
            counter_examples: Vec::new(),
        };
        Self { findings: codes.into_iter().map(passing).collect(), notes: Vec::new(), weaker: Vec::new() }
    }

    /// Adds a counter-example.
    pub(super) fn against(&mut self, code: RotationCode, why: String) {
        self.add(code, FindingResult::Fail, why);
    }

    /// Adds a counter-example that is a case of this failure of the catalogue.
    pub(super) fn against_failure(&mut self, code: RotationCode, failure: Option<&str>, why: String) {
        self.against(code, why);
        let Some(finding) = self.findings.iter_mut().find(|one| one.code == code) else { return };
        let Some(failure) = failure.filter(|id| !finding.failures.iter().any(|known| known == id)) else {
            return;
        };
        finding.failures.push(failure.to_owned());
        if finding.remedy.is_none() {
            finding.remedy = catalogue::find(failure).ok().map(|entry| entry.repair.clone());
        }
    }

    /// Adds the reason why a finding cannot be judged.
    pub(super) fn unknown(&mut self, code: RotationCode, why: String) {
        self.add(code, FindingResult::Unknown, why);
    }

    fn add(&mut self, code: RotationCode, result: FindingResult, why: String) {
        let Some(finding) = self.findings.iter_mut().find(|one| one.code == code) else { return };
        finding.against += 1;
        if finding.result != finding.result.worse(result) {
            finding.result = result;
            self.weaker
                .extend(std::mem::take(&mut finding.counter_examples).into_iter().map(|one| (code, one)));
        }
        if finding.result != result {
            if self.weaker.iter().filter(|(of, _)| *of == code).count() < NAMED {
                self.weaker.push((code, why));
            }
        } else if finding.counter_examples.len() < NAMED {
            finding.counter_examples.push(why);
        }
    }

    pub(super) fn into_parts(self) -> (Vec<RotationFinding>, Vec<String>) {
        let Self { mut findings, notes, weaker } = self;
        for (code, why) in weaker {
            let finding = findings.iter_mut().find(|one| one.code == code);
            if let Some(finding) = finding.filter(|one| one.counter_examples.len() < NAMED) {
                finding.counter_examples.push(format!("not known: {why}"));
            }
        }
        (findings, notes)
    }
}
