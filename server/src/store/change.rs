//! A change of a site, as the log keeps it: in JSON, with the contents of files beside it.
//!
//! Commands have the same form as in the control API. Keys, certificates, passwords and secrets are in the contents, never
//! in the JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use epm_protocol::assumption::Assumptions;
use epm_protocol::fault::FaultRule;
use epm_protocol::id::{AgentId, DomainId};
use epm_protocol::site::{Command, Drawn, Stores};
use epm_protocol::trust::{Fingerprint, Kcs, ServerIdentity, read_certificates, read_private_key};
use serde::{Deserialize, Serialize};

use crate::runtime::service::Service;

/// A change of a site.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// Commands that took effect together, with the deviations of the managers' clocks.
    Commands { commands: Vec<Command>, clocks: BTreeMap<String, i64>, update: Option<NamedUpdate> },
    /// Other assumptions.
    Assume(Arc<Assumptions>),
    /// What is drawn from now on also follows from this certificate of an earlier run.
    DrawOnFrom(Fingerprint),
    /// A snapshot was taken of the site as it is at this entry.
    TakeSnapshot(String),
    /// A snapshot was removed.
    RemoveSnapshot(String),
    /// The site was put back to a snapshot, with other assumptions if there are any.
    RestoreSnapshot { name: String, assumptions: Option<Arc<Assumptions>>, replaces: Option<Replaced> },
    /// A service of a manager was restarted, or both. Only a log that several processes share has it.
    Restart { manager: String, service: Option<Service> },
    /// A fault was set. Only a log that several processes share has it.
    SetFault(Arc<FaultRule>),
    /// The fault of this name was removed, or every fault. Only a log that several processes share has it.
    RemoveFault(Option<String>),
}

/// Entries before one that puts the site back to a state before them: they are no longer in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replaced {
    /// Number of entries.
    pub(crate) entries: i64,
    /// What the site had drawn after them.
    pub(crate) drawn: Drawn,
}

/// The name that a caller gave to an update of a certificate, so that its repetition is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamedUpdate {
    pub(crate) name: String,
    /// Digest of the request.
    pub(crate) request: Fingerprint,
}

/// Through which way a change came, and by which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) by: GivenBy,
    pub(crate) update: Option<NamedUpdate>,
}

impl From<GivenBy> for Given {
    fn from(by: GivenBy) -> Self {
        Self { by, update: None }
    }
}

/// Through which way a change came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GivenBy {
    /// `epm-lab up` itself, from its options.
    Up,
    /// The control API.
    ControlApi,
    /// The product's REST API.
    RestApi,
    /// Files in an installation folder.
    Files,
}

impl GivenBy {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::ControlApi => "control-api",
            Self::RestApi => "rest-api",
            Self::Files => "files",
        }
    }
}

/// The JSON of a change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Form {
    Commands {
        commands: Vec<CommandForm>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        clocks: BTreeMap<String, i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        update: Option<NamedUpdate>,
    },
    Assume {
        assumptions: Assumptions,
    },
    DrawOnFrom {
        certificate: Fingerprint,
    },
    TakeSnapshot {
        name: String,
    },
    RemoveSnapshot {
        name: String,
    },
    RestoreSnapshot {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assumptions: Option<Assumptions>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<Replaced>,
    },
    Restart {
        manager: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<Service>,
    },
    SetFault {
        fault: Arc<FaultRule>,
    },
    RemoveFault {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
}

/// The JSON of a command: that of the control API where it has one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CommandForm {
    TakeOver {
        manager: String,
        stores: Stores,
    },
    KeepRecovery {
        recovery: String,
        manager: String,
        domain: DomainId,
    },
    RemoveClient {
        agent: AgentId,
    },
    #[serde(untagged)]
    Other(Command),
}

impl Change {
    /// Whether it is a change of the site by an operator, which ends a pause.
    pub(crate) fn ends_pause(&self) -> bool {
        match self {
            Self::Commands { commands, .. } => commands.iter().any(is_of_an_operator),
            Self::Restart { .. } => true,
            _ => false,
        }
    }

    /// The JSON and the contents of files. Registrations and conflicts of clients are left out.
    pub(super) fn written(&self) -> Result<(String, Vec<Bytes>), serde_json::Error> {
        let mut files = Vec::new();
        let form = match self {
            Self::Commands { commands, clocks, update } => Form::Commands {
                commands: commands.iter().filter_map(|one| form_of(one, &mut files)).collect(),
                clocks: clocks.clone(),
                update: update.clone(),
            },
            Self::Assume(assumptions) => Form::Assume { assumptions: Assumptions::clone(assumptions) },
            Self::DrawOnFrom(certificate) => Form::DrawOnFrom { certificate: *certificate },
            Self::TakeSnapshot(name) => Form::TakeSnapshot { name: name.clone() },
            Self::RemoveSnapshot(name) => Form::RemoveSnapshot { name: name.clone() },
            Self::RestoreSnapshot { name, assumptions, replaces } => Form::RestoreSnapshot {
                name: name.clone(),
                assumptions: assumptions.as_deref().cloned(),
                replaces: *replaces,
            },
            Self::Restart { manager, service } => {
                Form::Restart { manager: manager.clone(), service: *service }
            }
            Self::SetFault(fault) => Form::SetFault { fault: Arc::clone(fault) },
            Self::RemoveFault(name) => Form::RemoveFault { name: name.clone() },
        };
        Ok((serde_json::to_string(&form)?, files))
    }

    /// Reads a change back from its JSON and the contents of its files; on an error, says what is wrong.
    pub(super) fn read(json: &str, files: Vec<Bytes>) -> Result<Self, String> {
        let mut files = files.into_iter();
        let change = match serde_json::from_str(json).map_err(|error| error.to_string())? {
            Form::Commands { commands, clocks, update } => Self::Commands {
                commands: commands
                    .into_iter()
                    .map(|one| command_of(one, &mut files))
                    .collect::<Result<_, _>>()?,
                clocks,
                update,
            },
            Form::Assume { assumptions } => Self::Assume(assumptions.into()),
            Form::DrawOnFrom { certificate } => Self::DrawOnFrom(certificate),
            Form::TakeSnapshot { name } => Self::TakeSnapshot(name),
            Form::RemoveSnapshot { name } => Self::RemoveSnapshot(name),
            Form::RestoreSnapshot { name, assumptions, replaces } => {
                Self::RestoreSnapshot { name, assumptions: assumptions.map(Arc::new), replaces }
            }
            Form::Restart { manager, service } => Self::Restart { manager, service },
            Form::SetFault { fault } => Self::SetFault(fault),
            Form::RemoveFault { name } => Self::RemoveFault(name),
        };
        match files.count() {
            0 => Ok(change),
            more => Err(format!("contents of files: {more} too many")),
        }
    }
}

/// Whether a command is in the log. Registrations and conflicts follow from what clients do; their outcome is kept with the
/// clients.
pub(crate) const fn is_logged(command: &Command) -> bool {
    !matches!(command, Command::Register(_) | Command::NoteConflict { .. })
}

/// Whether a command changes the site, and is none that follows from what a client does.
pub(crate) const fn is_of_an_operator(command: &Command) -> bool {
    use Command as C;
    !matches!(
        command,
        C::Register(_)
            | C::NoteConflict { .. }
            | C::BackUp { .. }
            | C::KeepRecovery { .. }
            | C::BackUpAnotherSite { .. }
    )
}

fn form_of(command: &Command, files: &mut Vec<Bytes>) -> Option<CommandForm> {
    Some(match command {
        Command::Register(_) | Command::NoteConflict { .. } => return None,
        Command::TakeOver { manager, identity, stores } => {
            files.extend(contents_of(identity));
            CommandForm::TakeOver { manager: manager.clone(), stores: *stores }
        }
        Command::KeepRecovery { recovery, manager, identity, secret, domain } => {
            files.extend(contents_of(identity));
            files.push(secret.to_string().into());
            CommandForm::KeepRecovery {
                recovery: recovery.clone(),
                manager: manager.clone(),
                domain: *domain,
            }
        }
        Command::RemoveClient { agent } => CommandForm::RemoveClient { agent: *agent },
        other => {
            let mut command = other.clone();
            files.extend(command.materials_mut().iter().map(|file| file.content.clone()));
            CommandForm::Other(command)
        }
    })
}

fn command_of(form: CommandForm, files: &mut impl Iterator<Item = Bytes>) -> Result<Command, String> {
    let mut next = || files.next().ok_or_else(|| "the content of a file is missing".to_owned());
    Ok(match form {
        CommandForm::TakeOver { manager, stores } => {
            Command::TakeOver { manager, identity: identity_of(&next()?, &next()?)?, stores }
        }
        CommandForm::KeepRecovery { recovery, manager, domain } => {
            let identity = identity_of(&next()?, &next()?)?;
            let secret = String::from_utf8_lossy(&next()?).parse::<Kcs>();
            let secret = secret.map_err(|error| error.to_string())?;
            Command::KeepRecovery { recovery, manager, identity, secret, domain }
        }
        CommandForm::RemoveClient { agent } => Command::RemoveClient { agent },
        CommandForm::Other(mut command) => {
            for file in command.materials_mut() {
                file.content = next()?;
            }
            command
        }
    })
}

/// The certificates of an identity in PEM, and its key in DER.
fn contents_of(identity: &ServerIdentity) -> [Bytes; 2] {
    [identity.certificates_pem().into(), Bytes::copy_from_slice(identity.key().pkcs8_der())]
}

fn identity_of(certificates: &[u8], key: &[u8]) -> Result<ServerIdentity, String> {
    let mut certificates =
        read_certificates(certificates, "the certificate").map_err(|error| error.to_string())?.into_iter();
    let certificate = certificates.next().ok_or_else(|| "there is no certificate".to_owned())?;
    let key = read_private_key(key, "the private key").map_err(|error| error.to_string())?;
    let identity = ServerIdentity::new(key, certificate).map_err(|error| error.to_string())?;
    Ok(identity.with_chain(certificates.collect()))
}

#[cfg(test)]
mod tests {
    use epm_protocol::fault::FaultKind;
    use epm_protocol::site::{Material, NewCertificate};

    use super::*;
    use crate::store::test_site;

    fn identity() -> ServerIdentity {
        let (site, _) = test_site(1);
        let identity = site.managers().next().unwrap().client.clone();
        let chain = vec![identity.certificate().clone()];
        identity.with_chain(chain)
    }

    #[test]
    fn every_kind_of_change_is_read_back_as_it_was_and_no_secret_is_in_its_json() {
        let (manager, identity, secret) = ("sepm-1".to_owned(), identity(), Kcs::derive(7));
        let file =
            |name: &str, content: &'static [u8]| Material { file: name.into(), content: content.into() };
        let domain = "C582CF730A000116216D40EAE348F18B".parse().unwrap();
        let agent = "D582CF730A000116216D40EAE348F18B".parse().unwrap();
        let commands = vec![
            Command::TakeOver {
                manager: manager.clone(),
                identity: identity.clone(),
                stores: Stores::Console,
            },
            Command::KeepRecovery {
                recovery: "r".to_owned(),
                manager: manager.clone(),
                identity: identity.clone(),
                secret: secret.clone(),
                domain,
            },
            Command::RemoveClient { agent },
            Command::UpdateCertificate {
                manager,
                certificate: NewCertificate::Import {
                    certificate: file("server.crt", b"certificate"),
                    key: file("server.key", b"private"),
                    key_password: Some(file("password", b"hush")),
                },
                stores: Stores::Both,
            },
            Command::AddPackage { package: "SEP".to_owned(), file: file("setup.exe", b"MZ") },
            Command::RemoveList { list: "old".to_owned() },
        ];
        let update = NamedUpdate { name: "first".to_owned(), request: identity.certificate().fingerprint() };
        let clocks = BTreeMap::from([("sepm-1".to_owned(), -5)]);
        for change in [
            Change::Commands { commands, clocks, update: Some(update) },
            Change::Assume(Arc::default()),
            Change::DrawOnFrom(identity.certificate().fingerprint()),
            Change::TakeSnapshot("a".to_owned()),
            Change::RemoveSnapshot("a".to_owned()),
            Change::RestoreSnapshot {
                name: "a".to_owned(),
                assumptions: Some(Arc::default()),
                replaces: None,
            },
            Change::RestoreSnapshot { name: "a".to_owned(), assumptions: None, replaces: None },
            Change::Restart { manager: "sepm-2".to_owned(), service: Some(Service::Semsrv) },
            Change::SetFault(FaultRule::new("busy", FaultKind::named("status").unwrap()).into()),
            Change::RemoveFault(Some("busy".to_owned())),
            Change::RemoveFault(None),
        ] {
            let (json, files) = change.written().unwrap();
            assert_eq!(Change::read(&json, files.clone()), Ok(change), "{json}");
            for secret in [secret.to_string().as_str(), "hush", "PRIVATE KEY", "BEGIN CERTIFICATE"] {
                assert!(!json.contains(secret), "{json}");
            }
            if let Some((_, fewer)) = files.split_first() {
                assert!(Change::read(&json, fewer.to_vec()).is_err(), "{json}");
            }
            let more = [files, vec![Bytes::new()]].concat();
            assert_eq!(Change::read(&json, more), Err("contents of files: 1 too many".to_owned()));
        }
    }
}
