//! The commands of an operator to a site, and the errors of refused commands.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::client_key::ClientKey;
use super::command_error::CommandError;
use crate::heartbeat::Registration;
use crate::id::{AgentId, DomainId};
use crate::policy::{CommunicationChange, Protocol, ServerPriority};
use crate::sylink::CommunicationMode;
use crate::trust::{
    FilePosition, FileRole, Kcs, KeyStore, KeystoreError, Password, ServerIdentity, StoreType, WizardRules,
    read_identity_with,
};

/// A change of a site. The state of a site follows from its commands alone.
///
/// Groups are named by their full path, `My Company\Desktops`; lists, managers and locations by their names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Add a group below an existing one. A group that inherits takes everything from its parent.
    AddGroup {
        /// The full path of the group.
        group: String,
        /// Whether the group takes settings, policies and locations from its parent; defaults to true.
        #[serde(default = "yes")]
        inherits: bool,
    },
    /// Make a group inherit, or stop it; then it starts with a copy of what it inherited.
    SetInheritance {
        /// The full path of the group.
        group: String,
        /// Whether the group takes settings, policies and locations from its parent.
        inherits: bool,
    },
    /// Rename a group, and with it the paths of all groups below it.
    RenameGroup {
        /// The full path of the group.
        group: String,
        /// The new name of the group, without the path.
        name: String,
    },
    /// Set or remove the description of a group.
    DescribeGroup {
        /// The full path of the group.
        group: String,
        /// The new description, of at most 1024 characters; none if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
    },
    /// Remove a group that has neither clients nor groups below it.
    RemoveGroup {
        /// The full path of the group.
        group: String,
    },
    /// Add a location to a group that does not inherit.
    AddLocation {
        /// The full path of the group.
        group: String,
        /// The name of the location.
        location: String,
    },
    /// Rename a location of a group that does not inherit.
    RenameLocation {
        /// The full path of the group.
        group: String,
        /// The name of the location.
        location: String,
        /// The new name of the location.
        name: String,
    },
    /// Change the communication settings of a group, or of a location, which then has settings of its own.
    SetCommunication {
        /// The full path of the group.
        group: String,
        /// The name of the location; the group's own settings change if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<String>,
        /// The settings to change; absent ones stay.
        change: CommunicationChange,
    },
    /// Tick "use group communication settings" for a location: its own settings and its own list are removed.
    UseGroupCommunication {
        /// The full path of the group.
        group: String,
        /// The name of the location.
        location: String,
    },
    /// Switch secure communications on or off for a group that does not inherit, and for all groups that inherit from
    /// it.
    SetSecureCommunications {
        /// The full path of the group.
        group: String,
        /// Whether clients authenticate their manager.
        on: bool,
    },
    /// Copy a management server list under another name.
    CopyList {
        /// The name of the list to copy.
        from: String,
        /// The name of the copy.
        to: String,
    },
    /// Edit a management server list. The default list cannot be edited.
    EditList {
        /// The name of the list.
        list: String,
        /// The protocol that clients of the list use; unchanged if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        protocol: Option<Protocol>,
        /// Whether clients also check a server's certificate against its host name; unchanged if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verify_ca: Option<bool>,
        /// The servers of the list, a block for each priority; unchanged if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        priorities: Option<Vec<ServerPriority>>,
    },
    /// Remove a list that no group or location uses.
    RemoveList {
        /// The name of the list.
        list: String,
    },
    /// Assign a list to a group, or to a location, which then has settings of its own.
    AssignList {
        /// The name of the list.
        list: String,
        /// The full path of the group.
        group: String,
        /// The name of the location; the list is assigned to the group if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<String>,
    },
    /// Add or change a policy of a group that does not inherit.
    SetPolicy {
        /// The full path of the group.
        group: String,
        /// The name of the policy.
        policy: String,
        /// The content of the policy.
        content: String,
    },
    /// Add or replace a client package.
    AddPackage {
        /// The name of the package.
        package: String,
        /// The file with its content.
        file: Material,
    },
    /// Assign a package to the clients of a group that does not inherit.
    AssignPackage {
        /// The name of the package.
        package: String,
        /// The full path of the group.
        group: String,
    },
    /// Update the server certificate of a manager.
    UpdateCertificate {
        /// The name of the manager.
        manager: String,
        /// The source of the new certificate.
        certificate: NewCertificate,
        /// The stores of the manager that get the certificate; both if absent.
        #[serde(default)]
        stores: Stores,
    },
    /// Stop the replication of one manager with the others. Later changes reach only the other managers; certificate
    /// updates of this manager stay local.
    BreakReplication {
        /// The name of the manager.
        manager: String,
    },
    /// Restore the replication of a manager: every manager publishes everything.
    RestoreReplication {
        /// The name of the manager.
        manager: String,
    },
    /// Make a recovery file of this site: the keystores of its managers, its shared secret, and the identifier of
    /// its default domain [C S7].
    BackUp {
        /// The name of the recovery file.
        recovery: String,
    },
    /// Obtain the recovery file of another site whose managers have the same names and addresses.
    BackUpAnotherSite {
        /// The name of the recovery file.
        recovery: String,
    },
    /// Reinstall all managers. Whatever is not taken from a recovery file is new.
    ///
    /// Groups, locations, lists, policies and packages stay, even without the database: an operator who restores
    /// without one sets them up again by hand, and only what trust depends on is modelled.
    Reinstall {
        /// The recovery file with the server certificates of the managers, for both stores; new ones if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keystore: Option<String>,
        /// The recovery file with the shared secret; a new secret if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<String>,
        /// The recovery file with the identifier of the default domain; a new domain if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        domain: Option<String>,
        /// Whether the database is restored, too. If not, no client is registered any more.
        #[serde(default = "yes")]
        database: bool,
    },
    /// Keep the recovery file that a manager made.
    #[serde(skip)]
    KeepRecovery {
        /// The name of the recovery file.
        recovery: String,
        /// The name of the manager that made the recovery file.
        manager: String,
        /// The server certificate of the manager, with its key.
        identity: ServerIdentity,
        /// The shared secret of the site.
        secret: Kcs,
        /// The identifier of the default domain.
        domain: DomainId,
    },
    /// Serve what a manager's files hold. The wizard has not seen them, so its rules do not apply.
    #[serde(skip)]
    TakeOver {
        /// The name of the manager.
        manager: String,
        /// The certificate in the files, with its key.
        identity: ServerIdentity,
        /// The stores whose files hold it.
        stores: Stores,
    },
    /// Register a client, as at its first heartbeat.
    #[serde(skip)]
    Register(Registration),
    /// Note a visit of a client whose record now belongs to another machine with the same hardware id.
    #[serde(skip)]
    NoteConflict {
        /// The identifier of the client.
        agent: AgentId,
    },
    /// Forget a client, until it registers again.
    #[serde(skip)]
    RemoveClient {
        /// The identifier of the client.
        agent: AgentId,
    },
    /// Move a client to another group.
    MoveClient {
        /// The name of the client's computer, or the identifier of the client.
        #[serde(alias = "agent")]
        client: ClientKey,
        /// The full path of the group.
        group: String,
    },
}

/// The source of a server certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum NewCertificate {
    /// A self-signed certificate that the manager makes.
    Generate {
        /// The common name; the manager's address if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        common_name: Option<String>,
        /// The validity in days; `certificate_validity_days` of the assumptions if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        valid_days: Option<u32>,
    },
    /// A certificate and its private key, in PEM or DER.
    Import {
        /// The file with the certificate.
        certificate: Material,
        /// The file with the key.
        key: Material,
        /// The file with the password of the key, if it is encrypted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key_password: Option<Material>,
    },
    /// A keystore: JKS, JCEKS or PKCS#12.
    Keystore {
        /// The file with the keystore.
        file: Material,
        /// The type of the keystore; detected if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        store_type: Option<StoreType>,
        /// The alias of the key; the only key of the keystore if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alias: Option<String>,
        /// The file with the password of the keystore; an empty password if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password: Option<Material>,
        /// The file with the password of the key; that of the keystore if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key_password: Option<Material>,
    },
}

impl NewCertificate {
    fn materials_mut(&mut self) -> Vec<&mut Material> {
        match self {
            Self::Generate { .. } => Vec::new(),
            Self::Import { certificate, key, key_password } => {
                [certificate, key].into_iter().chain(key_password).collect()
            }
            Self::Keystore { file, password, key_password, .. } => {
                std::iter::once(file).chain(password).chain(key_password).collect()
            }
        }
    }

    /// Reads an imported certificate as the wizard does; none for one that the manager makes.
    pub(super) fn read(&self, rules: &WizardRules) -> Option<Result<ServerIdentity, KeystoreError>> {
        match self {
            Self::Generate { .. } => None,
            Self::Import { certificate, key, key_password } => {
                let read = || {
                    let password = secret(key_password.as_ref(), FileRole::PrivateKey)?;
                    let (crt, key) = (certificate, key);
                    let password = password.as_ref();
                    read_identity_with(&crt.content, &crt.file, &key.content, &key.file, password, rules)
                };
                Some(read())
            }
            Self::Keystore { file, store_type, alias, password, key_password } => {
                let read = || {
                    let password = secret(password.as_ref(), FileRole::Keystore)?.unwrap_or_default();
                    let own = secret(key_password.as_ref(), FileRole::Keystore)?;
                    let store = KeyStore::read(&file.content, &file.file, *store_type, &password)?;
                    store.identity(alias.as_deref(), own.as_ref().unwrap_or(&password), rules)
                };
                Some(read())
            }
        }
    }
}

/// Reads the password in a file; `role` says what it opens.
fn secret(file: Option<&Material>, role: FileRole) -> Result<Option<Password>, KeystoreError> {
    let Some(file) = file else { return Ok(None) };
    let at = FilePosition { file: file.file.clone(), line: None };
    Password::from_file(&file.content).map(Some).map_err(|reason| KeystoreError::Password {
        role,
        at,
        reason,
    })
}

/// The certificate stores of a manager that an update reaches. An update of one store is half an update (F10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stores {
    /// Both stores, as with the wizard.
    #[default]
    Both,
    /// The console's store only.
    Console,
    /// The store of the clients' port only.
    Client,
}

/// A file that a command needs, read before the command is applied.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Material {
    /// The name of the file, for messages.
    pub file: String,
    /// The content of the file, once it has been read.
    pub content: Bytes,
}

impl From<String> for Material {
    fn from(file: String) -> Self {
        Self { file, content: Bytes::new() }
    }
}

impl From<Material> for String {
    fn from(material: Material) -> Self {
        material.file
    }
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Material({:?})", self.file)
    }
}

impl Command {
    /// The files to read before this command is applied.
    pub fn materials_mut(&mut self) -> Vec<&mut Material> {
        match self {
            Self::AddPackage { file, .. } => vec![file],
            Self::UpdateCertificate { certificate, .. } => certificate.materials_mut(),
            _ => Vec::new(),
        }
    }

    /// Whether this command can put clients into push mode.
    pub fn may_hold_requests(&self) -> bool {
        match self {
            Self::SetCommunication { change, .. } => change.mode == Some(CommunicationMode::Push),
            Self::SetInheritance { .. } | Self::UseGroupCommunication { .. } => true,
            _ => false,
        }
    }

    /// The key and certificate that this command brings from outside of the site; none if it brings none, or none that can be
    /// read by these rules.
    pub fn brought(&self, rules: &WizardRules) -> Option<ServerIdentity> {
        match self {
            Self::UpdateCertificate { certificate, .. } => certificate.read(rules)?.ok(),
            Self::TakeOver { identity, .. } | Self::KeepRecovery { identity, .. } => Some(identity.clone()),
            _ => None,
        }
    }
}

/// Refuses settings with which clients could not work.
pub(super) fn check(change: &CommunicationChange) -> Result<(), CommandError> {
    if change.heartbeat_seconds == Some(0) {
        return Err(CommandError::Invalid {
            field: "heartbeat_seconds",
            found: "0".into(),
            expected: "at least one second".into(),
        });
    }
    Ok(())
}

/// The largest number of characters of the name of a group, location, list, policy, package or manager.
const LONGEST_NAME: usize = 256;

/// Refuses names that are blank or too long, or have characters that XML cannot hold.
pub(super) fn check_name(field: &'static str, name: &str) -> Result<(), CommandError> {
    if name.trim().is_empty()
        || name.chars().count() > LONGEST_NAME
        || name.chars().any(|c| c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}'))
    {
        return Err(CommandError::Invalid {
            field,
            found: name.chars().take(80).collect(),
            expected: format!("a name of 1 to {LONGEST_NAME} characters without control characters"),
        });
    }
    Ok(())
}

const fn yes() -> bool {
    true
}
