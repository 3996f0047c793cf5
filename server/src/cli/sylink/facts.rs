//! The contents of a communications file, for people and tools. Its secret is left out unless requested.

use std::collections::BTreeMap;
use std::fmt;

use epm_client_agent::agent::Server;
use epm_protocol::heartbeat::http::sha256_hex;
use epm_protocol::sylink::xml::Element;
use epm_protocol::sylink::{ClientServer, Encoding, Sylink};
use epm_protocol::trust::{Fingerprint, ServerCertificate};
use schemars::JsonSchema;
use serde::Serialize;

/// Number of digits of the secret's hash that are shown.
const HASH: usize = 16;
/// Elements that are described by fields below; all others are listed as written.
const UNDERSTOOD: [&str; 3] = ["ServerList", "ServerCertList", "AgentCommunicationSetting"];

/// A value of a file, in the order in which an administrator compares them [C S17]; those after the address are the lab's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Domain,
    Secret,
    Mode,
    List,
    Group,
    Servers,
    Switch,
    Settings,
    Certificates,
    Other,
}

/// The contents of a communications file.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Facts {
    /// Identifier of the domain.
    domain: String,
    /// First digits of the SHA-256 of the shared secret.
    kcs_sha256: String,
    /// The shared secret; absent unless it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    kcs: Option<String>,
    /// Communication mode, PUSH or PULL.
    mode: &'static str,
    /// Name of the management server list.
    list: String,
    /// Group that a new client asks for.
    preferred_group: Option<String>,
    /// Servers of the list with their special settings, by priority.
    priorities: Vec<Vec<String>>,
    /// Whether clients check a server's name against its certificate.
    verify_ca: bool,
    /// Whether clients verify signatures.
    verify_signatures: bool,
    /// Whether a client talks to its manager.
    always_connect: bool,
    /// Whether a client takes no policy.
    disable_download_profile: bool,
    /// Heartbeat interval in push mode, in seconds.
    heartbeat_seconds: u32,
    /// Attributes of the communication settings, without the secret.
    settings: BTreeMap<&'static str, String>,
    /// Certificates that a client trusts.
    certificates: Vec<Certificate>,
    /// Encoding of the file.
    encoding: &'static str,
    /// Attributes and texts that this program does not interpret, by their place.
    other: BTreeMap<String, String>,
}

/// A certificate in the file.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Certificate {
    /// Name of the certificate in the file.
    name: String,
    /// SHA-256 of the certificate.
    fingerprint: String,
    /// Common name of the subject; null if the certificate cannot be read.
    subject: Option<String>,
    /// Time from which it is valid.
    from: Option<String>,
    /// Time until which it is valid.
    until: Option<String>,
}

impl Facts {
    pub(super) fn of(sylink: &Sylink) -> Self {
        let conf = sylink.conf();
        let secure = conf.list.servers().any(|server| server.verify_signatures);
        let certificates = conf.certificates.iter().map(|one| {
            let read = ServerCertificate::from_der(&one.der).ok();
            Certificate {
                name: one.name.clone(),
                fingerprint: Fingerprint::of(&one.der).to_string(),
                subject: read.as_ref().map(|read| read.common_name().to_owned()),
                from: read.as_ref().map(|read| read.validity().not_before.to_string()),
                until: read.as_ref().map(|read| read.validity().not_after.to_string()),
            }
        });
        let mut hash = sha256_hex(sylink.kcs_hex().to_ascii_uppercase().as_bytes());
        hash.truncate(HASH);
        let mut other = BTreeMap::new();
        rest(sylink.document().root(), "", &mut other);
        Self {
            domain: sylink.domain_id().to_string(),
            kcs_sha256: hash,
            kcs: None,
            mode: conf.settings.mode.as_str(),
            list: conf.list.name.clone(),
            preferred_group: sylink.preferred_group(),
            priorities: conf
                .list
                .priorities
                .iter()
                .map(|block| block.iter().map(|one| address(one, secure)).collect())
                .collect(),
            verify_ca: conf.list.servers().any(|server| server.verify_ca),
            verify_signatures: secure,
            always_connect: conf.settings.always_connect,
            disable_download_profile: conf.settings.disable_download_profile,
            heartbeat_seconds: conf.settings.push_heartbeat_seconds,
            settings: conf.settings.attributes_without_secret().into_iter().collect(),
            certificates: certificates.collect(),
            encoding: match sylink.encoding() {
                Encoding::Utf8 => "UTF-8",
                Encoding::Utf16Le => "UTF-16, lower byte first",
                Encoding::Utf16Be => "UTF-16, higher byte first",
            },
            other,
        }
    }

    /// The same, with the secret.
    pub(super) fn with_secret(sylink: &Sylink) -> Self {
        Self { kcs: Some(sylink.kcs_hex().to_owned()), ..Self::of(sylink) }
    }

    /// What is valid, but keeps a client from working.
    pub(super) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.certificates.is_empty() {
            doubts.push("it has no certificate, so a client trusts no manager".to_owned());
        }
        for one in self.certificates.iter().filter(|one| one.subject.is_none()) {
            doubts.push(format!("the certificate {:?} cannot be read", one.name));
        }
        if !self.always_connect {
            doubts.push("AlwaysConnect is 0: a client does not talk to its manager".to_owned());
        }
        if self.disable_download_profile {
            doubts.push("DisableDownloadProfile is 1: a client takes no policy".to_owned());
        }
        doubts
    }

    /// Each value as a line.
    fn lines(&self) -> Vec<(Value, String, String)> {
        let yes = |on: bool| if on { "yes" } else { "no" }.to_owned();
        let priorities: Vec<String> = self
            .priorities
            .iter()
            .enumerate()
            .map(|(place, servers)| format!("{}: {}", place + 1, servers.join(", ")))
            .collect();
        let certificates: Vec<String> = self.certificates.iter().map(ToString::to_string).collect();
        let mut lines = vec![
            (Value::Domain, "domain", self.domain.clone()),
            (Value::Secret, "shared secret, hash", self.kcs_sha256.clone()),
            (Value::Mode, "mode", self.mode.to_owned()),
            (Value::List, "list", self.list.clone()),
            (
                Value::Group,
                "preferred group",
                self.preferred_group.clone().unwrap_or_else(|| "none".to_owned()),
            ),
            (Value::Servers, "servers by priority", priorities.join("; ")),
            (Value::Switch, "verifies signatures", yes(self.verify_signatures)),
            (Value::Settings, "talks to its manager", yes(self.always_connect)),
            (Value::Settings, "takes policies", yes(!self.disable_download_profile)),
            (Value::Certificates, "certificates", certificates.join("; ")),
            (Value::Other, "encoding", self.encoding.to_owned()),
        ]
        .into_iter()
        .map(|(value, what, said)| (value, what.to_owned(), said))
        .collect::<Vec<_>>();
        if let Some(secret) = &self.kcs {
            lines.insert(2, (Value::Secret, "shared secret".to_owned(), secret.clone()));
        }
        lines
    }

    /// Every value, for comparison: the settings by attribute, and what is not interpreted by place.
    fn all(&self) -> BTreeMap<(Value, String), String> {
        let lines = self.lines().into_iter().map(|(value, what, said)| ((value, what), said));
        // Values that have lines of their own.
        const TOLD: [&str; 3] = ["CommunicationMode", "AlwaysConnect", "DisableDownloadProfile"];
        let settings = self.settings.iter().filter(|(name, _)| !TOLD.contains(name));
        let settings = settings.map(|(name, said)| ((Value::Settings, (*name).to_owned()), said.clone()));
        let other = self.other.iter().map(|(place, said)| ((Value::Other, place.clone()), said.clone()));
        lines.chain(settings).chain(other).collect()
    }

    /// Differences from another file: the value, its name, and its content here and there.
    pub(super) fn differences(&self, other: &Self) -> Vec<(Value, String, String, String)> {
        let (mine, theirs) = (self.all(), other.all());
        let keys: std::collections::BTreeSet<_> = mine.keys().chain(theirs.keys()).collect();
        let said = |all: &BTreeMap<(Value, String), String>, key| {
            all.get(key).cloned().unwrap_or_else(|| "absent".to_owned())
        };
        keys.into_iter()
            .map(|key| (key.0, key.1.clone(), said(&mine, key), said(&theirs, key)))
            .filter(|(_, _, is, should)| is != should)
            .collect()
    }
}

/// A difference between two communications files.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Difference {
    /// Name of the value.
    what: String,
    /// Content in the first file; "absent" if it has none.
    before: String,
    /// Content in the second file; "absent" if it has none.
    after: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: was {}; is {}", self.what, self.before, self.after)
    }
}

/// The differences between two files.
pub(super) fn differences(before: &Facts, after: &Facts) -> Vec<Difference> {
    let found = before.differences(after).into_iter();
    found.map(|(_, what, before, after)| Difference { what, before, after }).collect()
}

/// A server of the list with its special settings; `secure` is whether the client verifies any server's signatures.
fn address(server: &ClientServer, secure: bool) -> String {
    let mut told = Server::of_list(server).to_string();
    if let (Some(http), Some(_)) = (server.http_port, server.https_port) {
        told.push_str(&format!(" (HTTP {http})"));
    }
    if server.verify_ca {
        told.push_str(" (by its name)");
    }
    if secure && !server.verify_signatures {
        told.push_str(" (without signatures)");
    }
    told
}

/// Collects the attributes and texts that this program does not interpret, by their place.
fn rest(element: &Element, above: &str, found: &mut BTreeMap<String, String>) {
    let place = format!("{above}/{}", element.name());
    for (name, value) in element.attributes() {
        let understood = [("ServerSettings", "DomainId"), ("RegisterClient", "PreferredGroup")];
        if !understood.contains(&(element.name(), name)) {
            found.insert(format!("{place}@{name}"), value.to_owned());
        }
    }
    let text = element.text();
    if !text.trim().is_empty() {
        found.insert(format!("{place}/text"), text.trim().to_owned());
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for child in element.elements().filter(|child| !UNDERSTOOD.contains(&child.name())) {
        let count = counts.entry(child.name()).or_default();
        *count += 1;
        let place = if *count == 1 { place.clone() } else { format!("{place}/{count}") };
        rest(child, &place, found);
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|(_, what, said)| writeln!(f, "{what:<21} {said}"))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Domain => "the domain (DomainId)",
            Self::Secret => "the shared secret (Kcs)",
            Self::Mode => "the mode (CommunicationMode)",
            Self::List => "the server list (ServerList)",
            Self::Group => "the preferred group (PreferredGroup)",
            Self::Servers => "the server's address or port (Server)",
            Self::Switch => "the switch (VerifySignatures)",
            Self::Settings => "the communication settings",
            Self::Certificates => "the certificates (ServerCertList)",
            Self::Other => "values that this program does not interpret",
        })
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fingerprint)?;
        match (&self.subject, &self.from, &self.until) {
            (Some(subject), Some(from), Some(until)) => write!(f, " ({subject}, {from} to {until})"),
            _ => f.write_str(" (cannot be read)"),
        }
    }
}
