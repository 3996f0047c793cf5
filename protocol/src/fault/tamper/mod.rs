//! Answers under a fault: given instead of the manager's, or altered.
//!
//! | layer | here | otherwise |
//! |---|---|---|
//! | http | `status`, `redirect` ([`instead`]); `wrong-type` ([`alter`]) | what concerns the bytes on the wire: the driver |
//! | artifact | all ([`alter`]) | |
//! | certificate | `old-restored` ([`alter`]): it signs with the old key again | `mint` |
//! | list | all ([`alter`]): read, changed, written and signed again | |
//! | site | all: `clock-skew` ([`alter`]), the others ([`instead`]) | |
//!
//! Exactly the thing that the fault names is wrong: a list that names a dead server has a valid signature, a document
//! whose serial goes back is signed with the current key. Nothing here knows the site; what is needed of it comes in as
//! [`TamperInput`].

use std::fmt;

use bytes::Bytes;

use super::kind::FaultKind;
use super::rule::Route;
use super::verdict::Hit;
use crate::heartbeat::{ContentType, ManagerResponse, SignatureHeader};
use crate::sylink::{ClientServer, CommConf, PublishedList};
use crate::time::Timestamp;
use crate::trust::{KcsError, ServerIdentity, Signature};

/// An answer with additional headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tampered {
    /// The answer of the manager.
    pub response: ManagerResponse,
    /// Headers to set, in lower case; they replace headers of the same name.
    pub headers: Vec<(&'static str, String)>,
}

/// The inputs of tampering.
#[derive(Clone, Copy)]
pub struct TamperInput<'a> {
    /// The identity that signs now.
    pub signer: &'a ServerIdentity,
    /// The identity that signed before the last change of the certificate.
    pub retired: Option<&'a ServerIdentity>,
    /// The answer of the previous publication to the same request.
    pub previous: Option<&'a ManagerResponse>,
    /// The status for what does not exist (`missing_status` of the assumptions).
    pub missing_status: u16,
    /// The present moment.
    pub now: Timestamp,
}

/// The reason why a fault could not be carried out. The driver reports it and sends the answer unaltered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TamperError {
    /// Something that the fault needs is missing.
    #[error("the fault {fault} needs {needed}, which is missing")]
    Lacks {
        /// The kind of fault.
        fault: &'static str,
        /// The part that is missing.
        needed: &'static str,
    },
    /// The answer is not a management server list.
    #[error("the fault {fault} needs a management server list, found {found}")]
    NotAList {
        /// The kind of fault.
        fault: &'static str,
        /// What was found instead.
        found: String,
    },
}

impl Tampered {
    fn plain(response: ManagerResponse) -> Self {
        Self { response, headers: Vec::new() }
    }

    fn status(code: u16, words: &str, retry_after_seconds: Option<u64>) -> Self {
        let retry = retry_after_seconds.map(|seconds| ("retry-after", seconds.to_string()));
        Self { response: ManagerResponse::text(code, words), headers: retry.into_iter().collect() }
    }
}

impl fmt::Debug for TamperInput<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprint = |identity: &ServerIdentity| identity.certificate().fingerprint().short();
        f.debug_struct("TamperInput")
            .field("signer", &fingerprint(self.signer))
            .field("retired", &self.retired.map(fingerprint))
            .field("previous", &self.previous.map(|response| response.status))
            .finish_non_exhaustive()
    }
}

/// Returns the answer of a fault that acts before the site: then the site does not learn of the request, and no client
/// is registered.
pub fn instead(hit: &Hit) -> Option<Tampered> {
    Some(match hit.what() {
        FaultKind::Status { code, retry_after_seconds } => Tampered {
            response: ManagerResponse::empty(*code),
            headers: Tampered::status(*code, "", *retry_after_seconds).headers,
        },
        FaultKind::Redirect { code, location } => Tampered {
            response: ManagerResponse::empty(*code),
            headers: vec![("location", location.clone())],
        },
        // 503.2 in the product [C S22].
        FaultKind::PushLimit { retry_after_seconds, .. } => {
            Tampered::status(503, "too many clients are connected\n", *retry_after_seconds)
        }
        FaultKind::SlowStart { ready_after_ms } => {
            let left = u128::from(*ready_after_ms).saturating_sub(hit.age.as_millis());
            let seconds = u64::try_from(left.div_ceil(1000)).unwrap_or(u64::MAX);
            Tampered::status(503, "the manager is starting\n", Some(seconds))
        }
        // [U]: what the product's module for clients answers without its database is not documented.
        FaultKind::DatabaseDown => Tampered::status(500, "the database is not available\n", None),
        // [C S35]: 400 for a wrong shared secret.
        FaultKind::KcsChanged => Tampered::status(400, &format!("{}\n", KcsError::WrongSecret), None),
        _ => return None,
    })
}

/// Alters an answer of the site. Faults of other layers, such as the bytes on the wire, leave it as it is; so do faults
/// of artifacts and lists where the answer has none.
///
/// # Errors
/// If something that the fault needs is missing.
pub fn alter(
    hit: &Hit,
    route: Route,
    answer: ManagerResponse,
    materials: &TamperInput<'_>,
) -> Result<Tampered, TamperError> {
    let what = hit.what();
    match what {
        FaultKind::WrongType { content_type } => {
            let headers = vec![("content-type", content_type.clone())];
            return Ok(Tampered { response: answer, headers });
        }
        FaultKind::ClockSkew { by_ms } => {
            let skewed = Timestamp::from_millis(materials.now.as_millis().saturating_add(*by_ms));
            return Ok(Tampered { response: answer, headers: vec![("date", http_date(skewed))] });
        }
        FaultKind::SerialGoesBack => return earlier(what, answer, materials).map(Tampered::plain),
        _ => {}
    }
    if answer.status != 200 || answer.signature.is_none() {
        return Ok(Tampered::plain(answer));
    }
    let altered = match what {
        FaultKind::BadSignature => {
            ManagerResponse { signature: flipped(&answer).as_ref().map(SignatureHeader::new), ..answer }
        }
        FaultKind::RetiredKeySignature | FaultKind::OldRestored => {
            let retired = needed(what, "a previous certificate", materials.retired)?;
            let signature = SignatureHeader::new(&retired.key().sign(&answer.body));
            ManagerResponse { signature: Some(signature), ..answer }
        }
        FaultKind::StaleSignature => {
            let before = other_than(what, &answer, materials)?;
            ManagerResponse { signature: before.signature.clone(), ..answer }
        }
        FaultKind::TruncatedBody { percent } => {
            let kept = answer.body.len() * usize::from(*percent) / 100;
            ManagerResponse { body: answer.body.slice(..kept), ..answer }
        }
        FaultKind::SwappedBody => ManagerResponse { body: another(hit, &answer), ..answer },
        FaultKind::Missing => ManagerResponse::text(materials.missing_status, "no such artifact"),
        _ if route == Route::List => list(what, answer, materials)?,
        _ => answer,
    };
    Ok(Tampered::plain(altered))
}

/// The previous publication's answer, signed with the current key.
fn earlier(
    what: &FaultKind,
    answer: ManagerResponse,
    materials: &TamperInput<'_>,
) -> Result<ManagerResponse, TamperError> {
    let before = needed(what, "an earlier publication", materials.previous)?;
    if before.signature.is_none() {
        return Ok(before.clone());
    }
    if answer.status != 200 {
        return Ok(answer);
    }
    Ok(signed(before.body.clone(), before.content_type, materials.signer))
}

/// The list with exactly one thing wrong in it, under a valid signature.
fn list(
    what: &FaultKind,
    answer: ManagerResponse,
    materials: &TamperInput<'_>,
) -> Result<ManagerResponse, TamperError> {
    let change: &dyn Fn(&mut CommConf) = match what {
        FaultKind::DeadServer { address, port } => &|conf| {
            // The dead server speaks the protocol of the others, so that the protocol of the list stays the same.
            let like = conf.list.servers().next().cloned();
            if let Some(like) = like {
                let dead = ClientServer {
                    address: address.clone(),
                    http_port: like.http_port.map(|_| *port),
                    https_port: like.https_port.map(|_| *port),
                    ..like
                };
                conf.list.priorities.insert(0, vec![dead]);
            }
        },
        FaultKind::WrongPort { port } => &|conf| {
            for server in conf.list.priorities.iter_mut().flatten() {
                server.http_port = Some(*port);
                server.https_port = server.https_port.map(|_| *port);
            }
        },
        FaultKind::OmitsNewCertificate => {
            &|conf| conf.certificates.retain(|one| one.der != materials.signer.certificate().der())
        }
        FaultKind::EmptyPriority => &|conf| conf.list.priorities.insert(0, Vec::new()),
        FaultKind::HttpOnly => &|conf| {
            conf.list.priorities.iter_mut().flatten().for_each(|server| server.https_port = None);
        },
        _ => return Ok(answer),
    };
    let not_a_list = |found: String| TamperError::NotAList { fault: what.name(), found };
    let text = std::str::from_utf8(&answer.body).map_err(|error| not_a_list(error.to_string()))?;
    let mut list = PublishedList::parse(text).map_err(|error| not_a_list(error.to_string()))?;
    change(&mut list.group);
    list.locations.iter_mut().filter_map(|location| location.conf.as_mut()).for_each(change);
    Ok(signed(Bytes::from(list.to_xml()), answer.content_type, materials.signer))
}

fn signed(body: Bytes, content_type: ContentType, signer: &ServerIdentity) -> ManagerResponse {
    let signature = Some(SignatureHeader::new(&signer.key().sign(&body)));
    ManagerResponse { status: 200, content_type, signature, body }
}

/// The signature with its last bit flipped.
fn flipped(answer: &ManagerResponse) -> Option<Signature> {
    let mut bytes = answer.signature.as_ref()?.signature()?.as_bytes().to_vec();
    *bytes.last_mut()? ^= 1;
    Signature::from_bytes(bytes).ok()
}

/// Another document of the same sort.
fn another(hit: &Hit, answer: &ManagerResponse) -> Bytes {
    match answer.content_type {
        // It has the same meaning, so a client that verifies no signature is not misled by chance.
        ContentType::Xml | ContentType::Text => {
            let mut body = answer.body.to_vec();
            body.extend_from_slice(b"<!-- swapped -->\n");
            body.into()
        }
        ContentType::Binary => hit.noise(answer.body.len().max(1)).into(),
    }
}

/// The previously published body, if it was different.
fn other_than<'a>(
    what: &FaultKind,
    answer: &ManagerResponse,
    materials: &TamperInput<'a>,
) -> Result<&'a ManagerResponse, TamperError> {
    let before = materials.previous.filter(|before| before.signature.is_some() && before.body != answer.body);
    needed(what, "an earlier publication with another body", before)
}

fn needed<T>(what: &FaultKind, needed: &'static str, found: Option<T>) -> Result<T, TamperError> {
    found.ok_or_else(|| TamperError::Lacks { fault: what.name(), needed })
}

/// Formats a moment as in the header `Date`: `Mon, 05 Jan 2026 08:00:00 GMT`.
fn http_date(moment: Timestamp) -> String {
    moment.civil().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests;
