//! The commands of an operator to a site, and the reasons for which a site refuses one.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heartbeat::Registration;
use crate::id::{AgentId, DomainId, GroupId};
use crate::policy::{CommunicationChange, Protocol, ServerPriority};
use crate::suggest::hint;
use crate::trust::{
    FilePosition, FileRole, Fingerprint, IssueError, Kcs, KeyStore, KeystoreError, Password, ServerIdentity,
    StoreType, WizardRules, read_identity_with,
};

/// One change of a site. All truth of a site is the fold of these.
///
/// Groups are named by their full path, `My Company\Desktops`; lists, managers and locations by their names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Add a group below one that exists. An inheriting one takes everything from its parent.
    AddGroup {
        /// The full path of the group.
        group: String,
        /// Whether the group takes settings, policies and locations from its parent.
        #[serde(default = "yes")]
        inherits: bool,
    },
    /// Let a group inherit, or stop it: then it starts from a copy of what it inherited.
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
    /// Describe a group.
    DescribeGroup {
        /// The full path of the group.
        group: String,
        /// The description; none when absent.
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
        /// The group.
        group: String,
        /// The location's name.
        location: String,
    },
    /// Rename a location of a group that does not inherit.
    RenameLocation {
        /// The group.
        group: String,
        /// The location.
        location: String,
        /// The new name of the location.
        name: String,
    },
    /// Change communication settings of a group, or of a location, which from then on has settings of its own.
    SetCommunication {
        /// The group.
        group: String,
        /// The location; the group's own settings when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<String>,
        /// The settings to change; those that are absent stay.
        change: CommunicationChange,
    },
    /// Tick "use group communication settings" for a location: its own settings and its own list are gone.
    UseGroupCommunication {
        /// The group.
        group: String,
        /// The location.
        location: String,
    },
    /// Switch secure communications on or off for a group that does not inherit, and all that inherit from it.
    SetSecureCommunications {
        /// The group.
        group: String,
        /// Whether clients authenticate their manager.
        on: bool,
    },
    /// Copy a management server list and paste it under another name.
    CopyList {
        /// The list to copy.
        from: String,
        /// The name of the copy.
        to: String,
    },
    /// Edit a list; what is absent stays. The default list cannot be edited.
    EditList {
        /// The list.
        list: String,
        /// The protocol that clients of the list use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        protocol: Option<Protocol>,
        /// Whether clients hold a server's certificate against its name as well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verify_ca: Option<bool>,
        /// The servers of the list, a block for each priority.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        priorities: Option<Vec<ServerPriority>>,
    },
    /// Remove a list that no group or location uses.
    RemoveList {
        /// The list.
        list: String,
    },
    /// Assign a list to a group, or to a location, which from then on has settings of its own.
    AssignList {
        /// The list.
        list: String,
        /// The group.
        group: String,
        /// The location; the group when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<String>,
    },
    /// Add or change a policy of a group that does not inherit.
    SetPolicy {
        /// The group.
        group: String,
        /// The policy's name.
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
    /// Give a package to the clients of a group that does not inherit.
    AssignPackage {
        /// The package.
        package: String,
        /// The group.
        group: String,
    },
    /// Update the server certificate of a manager.
    UpdateCertificate {
        /// The manager.
        manager: String,
        /// The source of the new certificate.
        certificate: NewCertificate,
        /// The stores of the manager that get the certificate.
        #[serde(default)]
        stores: Stores,
    },
    /// Break the replication of one manager with the others. It goes on with what it knows; of what is done from now on it
    /// learns what is done to its own certificate, and of that the others do not learn.
    BreakReplication {
        /// The manager.
        manager: String,
    },
    /// Restore it: everybody publishes everything.
    RestoreReplication {
        /// The manager.
        manager: String,
    },
    /// Keep a recovery file of this site: the keystores of its managers, its shared secret, and the identifier of
    /// its default domain [C S7].
    BackUp {
        /// The name of the recovery file.
        recovery: String,
    },
    /// Come by the recovery file of another site, whose managers have the same names and addresses.
    BackUpAnotherSite {
        /// The name of the recovery file.
        recovery: String,
    },
    /// Install all managers anew. What is taken from no recovery file is new.
    ///
    /// Groups, locations, lists, policies and packages stay as they are, even without the database: who restores
    /// without one sets them up again by hand, and only what trust hangs on is modelled.
    Reinstall {
        /// The recovery file that the server certificates of the managers come from, in both stores.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keystore: Option<String>,
        /// The recovery file that the shared secret comes from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<String>,
        /// The recovery file that the identifier of the default domain comes from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        domain: Option<String>,
        /// Whether the database is restored, too: otherwise no client is registered any more.
        #[serde(default = "yes")]
        database: bool,
    },
    /// Keep the recovery file that a manager wrote.
    #[serde(skip)]
    KeepRecovery {
        /// The name of the recovery file.
        recovery: String,
        /// The manager that wrote the recovery file.
        manager: String,
        /// The server certificate.
        identity: ServerIdentity,
        /// The shared secret.
        secret: Kcs,
        /// The identifier of the default domain.
        domain: DomainId,
    },
    /// Register a client, as its first heartbeat does.
    #[serde(skip)]
    Register(Registration),
    /// Note that a client came whose record belongs to another machine of the same hardware id by now.
    #[serde(skip)]
    NoteConflict {
        /// The client.
        agent: AgentId,
    },
    /// Forget a client, until it registers again.
    #[serde(skip)]
    RemoveClient {
        /// The client.
        agent: AgentId,
    },
    /// Move a client to another group.
    MoveClient {
        /// The client.
        #[schemars(with = "String")]
        agent: AgentId,
        /// The group.
        group: String,
    },
}

/// The source of a server certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum NewCertificate {
    /// The manager makes a self-signed one.
    Generate {
        /// The common name; the manager's address when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        common_name: Option<String>,
        /// For how many days it is valid; as assumed when absent.
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
        /// The keystore.
        file: Material,
        /// The type of the keystore; found out when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        store_type: Option<StoreType>,
        /// Under which alias; the only key that there is when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alias: Option<String>,
        /// The file with the password of the keystore; an empty password when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password: Option<Material>,
        /// The file with the password of the key; that of the keystore when absent.
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

    /// Reads what is brought, as the wizard does; nothing for one that the manager makes.
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

/// The password in a file; `role` is what it opens.
fn secret(file: Option<&Material>, role: FileRole) -> Result<Option<Password>, KeystoreError> {
    let Some(file) = file else { return Ok(None) };
    let at = FilePosition { file: file.file.clone(), line: None };
    Password::from_file(&file.content).map(Some).map_err(|reason| KeystoreError::Password {
        role,
        at,
        reason,
    })
}

/// The certificate stores of a manager that an update reaches. Half an update is a case of its own (F10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stores {
    /// Both, as the wizard does.
    #[default]
    Both,
    /// The console's alone.
    Console,
    /// The clients' port's alone.
    Client,
}

/// A file that a command needs: named in the command, and read before the command is given.
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
    /// The files that must be read before this command is given.
    pub fn materials_mut(&mut self) -> Vec<&mut Material> {
        match self {
            Self::AddPackage { file, .. } => vec![file],
            Self::UpdateCertificate { certificate, .. } => certificate.materials_mut(),
            _ => Vec::new(),
        }
    }
}

/// An effect of a command, for the driver of the site to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// These groups have a new policy, list or index, on every manager.
    Published {
        /// The groups.
        groups: Vec<GroupId>,
    },
    /// The clients' port of this manager shows another certificate, from the next handshake on.
    CertificateServed {
        /// The manager.
        manager: String,
        /// The certificate.
        fingerprint: Fingerprint,
    },
    /// The console of this manager shows another certificate, and has begun again.
    ConsoleCertificate {
        /// The manager.
        manager: String,
        /// The certificate.
        fingerprint: Fingerprint,
    },
    /// The services of all managers were restarted: they go by another domain, secret or certificate now, and no
    /// connection outlives it.
    ServicesRestarted,
    /// All clients were forgotten: none is registered any more.
    ClientsForgotten,
    /// A client is in this group now.
    ClientPlaced {
        /// The client.
        agent: AgentId,
        /// The group of the client.
        group: GroupId,
    },
    /// A client is no longer registered.
    ClientRemoved {
        /// The client.
        agent: AgentId,
    },
}

/// Why a site refuses a command; nothing has changed then.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CommandError {
    /// There is nothing of that name.
    #[error("there is no {kind} {name:?}{hint}")]
    Unknown {
        /// The kind of object that was looked for.
        kind: &'static str,
        /// The name.
        name: String,
        /// The nearest name there is, as the end of a sentence; empty when none is near.
        hint: String,
    },
    /// There is something of that name.
    #[error("there is a {kind} {name:?} already")]
    NameTaken {
        /// The kind of object that has the name.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// The default list belongs to the site.
    #[error(
        "{list:?} is the default list of the site and cannot be edited or removed; copy it, and edit the copy"
    )]
    DefaultList {
        /// The name of the list.
        list: String,
    },
    /// The group has nothing of its own to change.
    #[error("the group {group:?} inherits from {from:?}: change it there, or stop the inheritance first")]
    Inherits {
        /// The group.
        group: String,
        /// The group whose settings hold for it.
        from: String,
    },
    /// The top group has no parent.
    #[error("{group:?} is the top group and has nobody to inherit from")]
    TopGroup {
        /// The name of the top group.
        group: String,
    },
    /// The object belongs to every site and stays as it is.
    #[error("the {kind} {name:?} belongs to every site and can be neither renamed nor removed")]
    Fixed {
        /// The kind of object.
        kind: &'static str,
        /// The name of the object.
        name: String,
    },
    /// A group holds something.
    #[error("the group {group:?} has {holds}: move or remove them first")]
    NotEmpty {
        /// The group.
        group: String,
        /// The content of the group.
        holds: &'static str,
    },
    /// A list is still assigned.
    #[error("the list {list:?} is in use by {by}")]
    ListInUse {
        /// The list.
        list: String,
        /// A group or location that uses it.
        by: String,
    },
    /// A value cannot be.
    #[error("{field} is {found:?}; expected {expected}")]
    Invalid {
        /// The field with the value.
        field: &'static str,
        /// The value.
        found: String,
        /// The values that the field takes.
        expected: String,
    },
    /// A list would send its clients to a port that is not there.
    #[error("the list {list:?} speaks {protocol}, and the manager {manager:?} has no {protocol} port")]
    NoPort {
        /// The list.
        list: String,
        /// The manager.
        manager: String,
        /// The protocol of the list.
        protocol: Protocol,
    },
    /// The certificate or the key cannot be used.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The certificate could not be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

impl CommandError {
    /// There is no such thing; names the nearest of those there are.
    pub fn unknown<'a>(kind: &'static str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Unknown { kind, name: name.to_owned(), hint: hint(name, known) }
    }
}

/// Refuses a change that clients could not live by.
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

/// Refuses a name that a client would read differently: XML cannot hold every character.
pub(super) fn check_name(field: &'static str, name: &str) -> Result<(), CommandError> {
    if name.trim().is_empty() || name.chars().any(|c| c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}'))
    {
        return Err(CommandError::Invalid {
            field,
            found: name.chars().take(80).collect(),
            expected: "a name without control characters".to_owned(),
        });
    }
    Ok(())
}

const fn yes() -> bool {
    true
}
