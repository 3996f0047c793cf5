//! Why clients are not well: the one type that the terminal, JSON, JUnit and the report share, and what of a
//! client the cause is told from.
//!
//! The rules that find a cause are in `cause`; here are only its results.

use epm_protocol::policy::PolicySerial;
use epm_protocol::version::ClientVersion;
use serde::{Deserialize, Serialize};

use crate::agent::{AgentView, TrustLayer};

/// The code of a cause.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum CauseCode {
    /// Other groups were prepared for the new certificate, the group of the clients was not.
    GroupForgotten,
    /// The group of the clients was prepared for the new certificate, their location was not.
    LocationForgotten,
    /// Secure communications were off, but the clients' list was still over HTTPS.
    ListOverHttps,
    /// Secure communications were never switched off for clients with one manager.
    SwitchLeftOn,
    /// The certificate was updated before the clients had received the settings that prepare for it.
    NotWaited,
    /// Clients of the group did not download policies and lists, so that no preparation reached them.
    DownloadsOff,
    /// Secure communications were switched on before the clients had received the new certificate.
    SwitchedOnTooEarly,
    /// Several managers changed before the clients had learnt the certificate of the first.
    ManagerTooEarly,
    /// The clients trust a manager of their list, and at its address another one answered.
    ReachedAnotherManager,
    /// Two managers did not replicate, so that the clients could not learn the certificate of one from the other.
    ReplicationBroken,
    /// The clients' version learns only the certificate of the manager that it talks to.
    VersionLearnsOne,
    /// The managers were reinstalled with the shared secret of another site.
    SecretOfAnotherSite,
    /// The managers were reinstalled without a recovery file.
    Reinstalled,
    /// The clients' shared secret is none that the site has had.
    SecretOfClient,
    /// The manager refuses the clients' shared secret, which it had accepted, and the site has not replaced it.
    SecretOfManager,
    /// The certificate has expired.
    CertificateExpired,
    /// The certificate is not valid yet.
    CertificateNotYetValid,
    /// The certificate is for another host.
    CertificateForAnotherName,
    /// An earlier certificate was put back.
    CertificateRestored,
    /// The two stores of a manager hold different certificates.
    StoresDiffer,
    /// The clients were shown a certificate that no manager of the site ever had.
    ForeignCertificate,
    /// The clients' communications file is older than the certificate in force.
    OldFile,
    /// The clients are out of touch for a reason other than trust.
    OutOfTouch,
    /// The manager that answered last is not trusted, and no other manager of the clients' list has served them.
    NotServedByOthers,
    /// The web server of the manager is down.
    ManagerDown,
    /// The clients' list names a port at which the manager does not listen.
    PortNotServed,
    /// What answers at the manager's port does not speak TLS.
    PortWithoutTls,
    /// The manager's HTTPS port is closed, and its HTTP port serves clients.
    HttpsPortRefused,
    /// The clients have waited for an answer since the beginning of their last heartbeat.
    AnswerAwaited,
    /// Communication is switched off by the clients' settings.
    CommunicationOff,
    /// The failure was reproduced on purpose.
    Reproduced,
    /// Secure communications are off in the group of the clients.
    SecureCommunicationsOff,
    /// The clients have not received the change yet.
    NotReceived,
    /// The clients were suspended in the lab.
    Suspended,
    /// No rule explains it.
    Unknown,
}

impl CauseCode {
    /// Every code of a cause, in the order of declaration.
    pub const ALL: &[Self] = &[
        Self::GroupForgotten,
        Self::LocationForgotten,
        Self::ListOverHttps,
        Self::SwitchLeftOn,
        Self::NotWaited,
        Self::DownloadsOff,
        Self::SwitchedOnTooEarly,
        Self::ManagerTooEarly,
        Self::ReachedAnotherManager,
        Self::ReplicationBroken,
        Self::VersionLearnsOne,
        Self::SecretOfAnotherSite,
        Self::Reinstalled,
        Self::SecretOfClient,
        Self::SecretOfManager,
        Self::CertificateExpired,
        Self::CertificateNotYetValid,
        Self::CertificateForAnotherName,
        Self::CertificateRestored,
        Self::StoresDiffer,
        Self::ForeignCertificate,
        Self::OldFile,
        Self::OutOfTouch,
        Self::NotServedByOthers,
        Self::ManagerDown,
        Self::PortNotServed,
        Self::PortWithoutTls,
        Self::HttpsPortRefused,
        Self::AnswerAwaited,
        Self::CommunicationOff,
        Self::Reproduced,
        Self::SecureCommunicationsOff,
        Self::NotReceived,
        Self::Suspended,
        Self::Unknown,
    ];
}

/// What is wrong with a client: the list of the verdict that it is in.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ClientFinding {
    /// The client trusts no manager, or none accepts it as a client of its site.
    #[default]
    Orphaned,
    /// The client is not served, and trust is not the reason.
    OutOfTouch,
    /// The client is served, and does not authenticate its manager.
    NotSecure,
    /// The client is served and secure, and lacks a certificate in force.
    Behind,
    /// The client is on, and has begun no heartbeat for three intervals.
    Silent,
    /// The client is off, and would be orphaned if it were switched on.
    OrphanedOnReturn,
}

impl std::fmt::Display for ClientFinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Orphaned => "orphaned",
            Self::OutOfTouch => "out of touch",
            Self::NotSecure => "not secure",
            Self::Behind => "behind",
            Self::Silent => "silent",
            Self::OrphanedOnReturn => "orphaned on return",
        })
    }
}

/// The reason why clients are not well: the cause, its number in the failure catalogue, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reason {
    /// The number of the reason in its verdict, from 1; `reason` of an orphaned client names it.
    pub number: usize,
    /// What is wrong with the clients: the list of the verdict that they are in.
    pub finding: ClientFinding,
    /// The code of the cause.
    pub code: CauseCode,
    /// The cause in one sentence.
    pub sentence: String,
    /// What one of the clients expected and found; absent where nothing of it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
    /// The code of the layer of trust that failed; absent where trust is not the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<TrustLayer>,
    /// The title of that layer, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_title: Option<String>,
    /// The step of the scenario that is the cause. Absent in a lab without a scenario, and where no step is known to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// The title of that step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_title: Option<String>,
    /// The numbers of the steps during which the clients were orphaned; empty in a lab without a scenario.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub since_steps: Vec<usize>,
    /// The faults, set in the lab, that hit the last contact of some of the clients with their manager.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// The number of the failure in the catalogue, such as `F03`; absent where none fits, or several do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The title of that failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_title: Option<String>,
    /// Failures that look alike from what is known, and how to tell each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alike: Vec<Alike>,
    /// What to do.
    pub remedy: String,
    /// The number of clients.
    pub clients: usize,
    /// The names of the first of these clients.
    pub examples: Vec<String>,
}

/// A failure that looks alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Alike {
    /// The number of the failure in the catalogue.
    pub failure: String,
    /// What is seen if it is this failure.
    pub by: String,
}

/// What a client held, for an orphaned one when it was orphaned: the evidence of which steps reached it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The group that the client's policy is for.
    pub group: Option<String>,
    /// The location of the client; the default one if none.
    pub location: Option<String>,
    /// The version of the client.
    pub version: ClientVersion,
    /// The serial of the policy that the client adopted last.
    pub serial: Option<PolicySerial>,
    /// The serial of the last policy that the client holds with all that belongs to it.
    pub complete: Option<PolicySerial>,
    /// Whether the client was given a communications file without a certificate that it knew, and has not met a manager since.
    pub given_older_file: bool,
    /// Whether a manager has served the client since it got its communications file.
    #[serde(default)]
    pub served_with_file: bool,
}

impl Held {
    /// What a client with this view holds.
    pub fn of(view: &AgentView) -> Self {
        let AgentView {
            group, location, version, serial, complete, given_older_file, served_with_file, ..
        } = view;
        Self {
            group: group.clone(),
            location: location.clone(),
            version: *version,
            serial: *serial,
            complete: *complete,
            given_older_file: *given_older_file,
            served_with_file: *served_with_file,
        }
    }
}

impl Reason {
    /// Adds the faults of a lab that hit the clients: what these observe may be their doing.
    pub fn hit_by(&mut self, faults: Vec<String>) {
        if faults.is_empty() {
            return;
        }
        let named: Vec<String> = faults.iter().map(|name| format!("{name:?}")).collect();
        let kind = if faults.len() == 1 { "fault" } else { "faults" };
        let commands: Vec<String> =
            named.iter().map(|name| format!("`epm-lab fault remove {name}`")).collect();
        self.sentence += &format!(
            " The {kind} {}, set in this lab, hit the last request of at least one of them.",
            named.join(" and ")
        );
        self.remedy =
            format!("See whether it is the {kind}: {}. If not: {}", commands.join(", "), self.remedy);
        self.faults = faults;
    }

    /// The failure's number and title, or that none or several fit: `F03 (TITLE)`.
    pub fn failure_in_words(&self) -> String {
        match (&self.failure, &self.failure_title) {
            (Some(id), Some(title)) => format!("{id} ({title})"),
            (Some(id), None) => id.clone(),
            (None, _) if !self.alike.is_empty() => {
                let ids: Vec<&str> = self.alike.iter().map(|one| one.failure.as_str()).collect();
                format!("not decided: {} look alike", ids.join(", "))
            }
            (None, _) => "no failure of the catalogue".to_owned(),
        }
    }

    /// The reason in lines for people: the cause, the failure, look-alikes and what to do.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.sentence.clone(), format!("Failure: {}", self.failure_in_words())];
        lines.extend(self.alike.iter().map(|one| format!("{} if {}", one.failure, one.by)));
        lines.push(format!("To do: {}", self.remedy));
        lines
    }

    /// What is wrong and the step, for people: `layer TLS certificate, step 2`.
    pub fn place(&self) -> String {
        let what = match (&self.layer_title, self.finding) {
            (Some(title), _) => format!("layer {title}"),
            (None, finding) => finding.to_string(),
        };
        self.step.map_or_else(|| what.clone(), |step| format!("{what}, step {step}"))
    }
}

/// Since which of these steps of a scenario clients are orphaned, for people: `orphaned since step 2 or 3`; `orphaned` without any.
pub fn orphaned_since<'a>(steps: impl IntoIterator<Item = &'a usize>) -> String {
    let steps: Vec<String> = steps.into_iter().map(ToString::to_string).collect();
    if steps.is_empty() {
        "orphaned".to_owned()
    } else {
        format!("orphaned since step {}", steps.join(" or "))
    }
}
