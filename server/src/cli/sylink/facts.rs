//! What a communications file says, for people and for tools, without its secret.

use std::fmt;

use epm_client_agent::agent::Server;
use epm_protocol::heartbeat::http::sha256_hex;
use epm_protocol::sylink::Sylink;
use epm_protocol::trust::{Fingerprint, ServerCertificate};
use serde::Serialize;

/// So much of the secret's hash is shown.
const HASH: usize = 16;

/// What a file says.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    domain: String,
    kcs_sha256: String,
    mode: &'static str,
    always_connect: bool,
    disable_download_profile: bool,
    list: String,
    priorities: Vec<Vec<String>>,
    verify_signatures: bool,
    preferred_group: Option<String>,
    certificates: Vec<Certificate>,
}

/// A certificate in it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Certificate {
    name: String,
    fingerprint: String,
    subject: Option<String>,
    from: Option<String>,
    until: Option<String>,
}

impl Facts {
    pub(super) fn of(sylink: &Sylink) -> Self {
        let conf = sylink.conf();
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
        Self {
            domain: sylink.domain_id().to_string(),
            kcs_sha256: hash,
            mode: conf.settings.mode.as_str(),
            always_connect: conf.settings.always_connect,
            disable_download_profile: conf.settings.disable_download_profile,
            list: conf.list.name.clone(),
            priorities: conf
                .list
                .priorities
                .iter()
                .map(|block| block.iter().map(|server| Server::of_list(server).to_string()).collect())
                .collect(),
            verify_signatures: conf.list.servers().any(|server| server.verify_signatures),
            preferred_group: sylink.preferred_group(),
            certificates: certificates.collect(),
        }
    }

    /// What is sound, and yet will not do.
    pub(super) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.certificates.is_empty() {
            doubts.push("it has no certificate, so a client believes nobody".to_owned());
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

    /// Each thing that it says, in the order in which an admin compares them [C S17].
    fn lines(&self) -> Vec<(&'static str, String)> {
        let yes = |on: bool| if on { "yes" } else { "no" }.to_owned();
        let priorities: Vec<String> = self
            .priorities
            .iter()
            .enumerate()
            .map(|(place, servers)| format!("{}: {}", place + 1, servers.join(", ")))
            .collect();
        let certificates: Vec<String> = self.certificates.iter().map(ToString::to_string).collect();
        vec![
            ("domain", self.domain.clone()),
            ("shared secret, hash", self.kcs_sha256.clone()),
            ("mode", self.mode.to_owned()),
            ("list", self.list.clone()),
            ("preferred group", self.preferred_group.clone().unwrap_or_else(|| "none".to_owned())),
            ("servers by priority", priorities.join("; ")),
            ("verifies signatures", yes(self.verify_signatures)),
            ("talks to its manager", yes(self.always_connect)),
            ("takes policies", yes(!self.disable_download_profile)),
            ("certificates", certificates.join("; ")),
        ]
    }
}

/// What is different, in words.
pub(super) fn differences(before: &Facts, after: &Facts) -> Vec<String> {
    let pairs = before.lines().into_iter().zip(after.lines());
    let other = pairs.filter(|(one, other)| one != other);
    other.map(|((what, was), (_, is))| format!("{what}: was {was}; is {is}")).collect()
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|(what, said)| writeln!(f, "{what:<21} {said}"))
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
