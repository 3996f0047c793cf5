//! What a client does with a download: verify it, accept it, keep it.
//!
//! While secure communications are on, a download is adopted only if a certificate of the cached list signed it. While
//! they are off, it is adopted anyway, and the log says so [C S1].

use std::sync::Arc;

use epm_protocol::assumption::{Assumptions, Module142};
use epm_protocol::heartbeat::ManagerResponse;
use epm_protocol::policy::PolicyDocument;
use epm_protocol::sylink::{CommConf, NamedCertificate, PublishedList, Sylink};
use epm_protocol::trust::{Accepted, Pins, ServerCertificate, Signed};
use epm_protocol::version::ClientVersion;

use super::health::{Distrust, Trouble};
use super::version_gates::has_142_module;

/// The reason why a download is not adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Distrust(Distrust),
    Trouble(Trouble),
}

/// Accepts a download: verified, or unchecked while secure communications are off.
pub(super) fn accept<T>(
    response: &ManagerResponse,
    artifact: &str,
    secure: bool,
    pins: &Pins,
) -> Result<Accepted<T>, Refusal> {
    let signature = response.signature.as_ref().and_then(|header| header.signature());
    let signed = Signed::<T>::new(response.body.clone(), signature);
    if !secure {
        return Ok(Accepted::without_authentication(signed));
    }
    match signed.verify(pins) {
        Ok(verified) => Ok(Accepted::from(verified)),
        Err(error) => Err(Refusal::Distrust(Distrust::Signature { artifact: artifact.to_owned(), error })),
    }
}

/// Reads an accepted policy.
pub(super) fn policy(accepted: &Accepted<PolicyDocument>) -> Result<PolicyDocument, Refusal> {
    PolicyDocument::parse(accepted.body()).map_err(|error| malformed("policy", &error))
}

/// Reads an accepted list.
pub(super) fn list(accepted: &Accepted<PublishedList>) -> Result<(PublishedList, Arc<str>), Refusal> {
    let text = std::str::from_utf8(accepted.body()).map_err(|error| malformed("list", &error))?;
    let parsed = PublishedList::parse(text).map_err(|error| malformed("list", &error))?;
    Ok((parsed, Arc::from(text)))
}

pub(super) fn malformed(what: &str, detail: &dyn std::fmt::Display) -> Refusal {
    Refusal::Trouble(Trouble::Malformed { what: what.to_owned(), detail: detail.to_string() })
}

/// The certificates that a client of this version takes from a verified new list. From a list that is adopted
/// without authentication every client takes all.
///
/// A client with the 14.2 module takes only the certificate of the manager that it is talking to, by the assumption
/// `module_14_2`; for the other managers it keeps what it had. So it is orphaned in the several-manager procedure
/// (F07).
pub(super) fn certificates_taken(
    conf: CommConf,
    before: &CommConf,
    speaking: &str,
    version: ClientVersion,
    assumptions: &Assumptions,
) -> CommConf {
    if !has_142_module(version, assumptions)
        || assumptions.module_14_2 != Module142::LearnsOnlyTheSendingManager
    {
        return conf;
    }
    let certificates = conf
        .certificates
        .iter()
        .filter_map(|new| {
            let old = before.certificates.iter().find(|one| one.name == new.name);
            if new.name == speaking { Some(new) } else { old }
        })
        .cloned()
        .collect();
    CommConf { certificates, ..conf }
}

/// The certificates of a communications file, and the names of those that cannot be read.
pub(super) fn pins(sylink: &Sylink) -> (Pins, Vec<String>) {
    let mut broken = Vec::new();
    let pins = sylink
        .conf()
        .certificates
        .iter()
        .filter_map(|NamedCertificate { name, der }| match ServerCertificate::from_der(der) {
            Ok(certificate) => Some(certificate),
            Err(error) => {
                broken.push(format!("{name}: {error}"));
                None
            }
        })
        .collect();
    (pins, broken)
}
