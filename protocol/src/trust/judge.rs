//! Layer a: does the client trust the manager at the other end of this TLS connection?
//!
//! The handshake brings a certificate, the client its [`Beliefs`]. Only [`judge`](fn@judge) makes a [`Trusted`]. The
//! handshake proves that the peer has the key; if it does not, the driver reports [`Rejection::NotPossessed`].

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::certificate::{CertificateError, Fingerprint, Pins, ServerCertificate};
use crate::time::Timestamp;

/// Whether a client checks the dates of a certificate that it has pinned. Unknown for the real one `[U]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DateRule {
    /// An expired certificate is refused, pinned or not.
    #[default]
    Checked,
    /// Only the pin counts.
    Ignored,
}

/// Whether a client checks the names in a certificate that it has pinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NameRule {
    /// The certificate must have the name or address under which the manager was called (CA verification on,
    /// `[R]`).
    Checked,
    /// Only the pin counts: default certificates are self-signed, and lists name managers in many ways
    /// `[I]`.
    #[default]
    Ignored,
}

/// What a client's trust in a manager depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beliefs {
    /// The certificates in the client's management server list.
    pub pins: Pins,
    /// Whether the client checks the dates of certificates.
    pub dates: DateRule,
    /// Whether the client checks the names in certificates.
    pub names: NameRule,
}

/// The proof that a presented certificate is trusted; only [`judge`](fn@judge) makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    certificate: ServerCertificate,
}

impl Trusted {
    /// The certificate that is trusted.
    pub fn certificate(&self) -> &ServerCertificate {
        &self.certificate
    }
}

/// The reason why a manager was not trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, schemars::JsonSchema)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum Rejection {
    /// The client does not know the certificate.
    #[error("the manager presented {found}; the client trusts {}", listed(expected))]
    NotPinned {
        /// The fingerprints of the certificates that the client knows.
        expected: Vec<Fingerprint>,
        /// The fingerprint of the presented certificate.
        found: Fingerprint,
    },
    /// The certificate has expired.
    #[error("the manager presented {found}, which expired at {not_after}")]
    Expired {
        /// The last moment at which the certificate was valid.
        not_after: Timestamp,
        /// The fingerprint of the presented certificate.
        found: Fingerprint,
    },
    /// The certificate is not valid yet.
    #[error("the manager presented {found}, which is not valid before {not_before}")]
    NotYetValid {
        /// The first moment at which the certificate is valid.
        not_before: Timestamp,
        /// The fingerprint of the presented certificate.
        found: Fingerprint,
    },
    /// The certificate is for another host.
    #[error("the manager was called {expected:?}, its certificate is for {found:?}")]
    WrongName {
        /// The name under which the client called the manager.
        expected: String,
        /// The names in the certificate: the alternative ones, or else its common name.
        found: Vec<String>,
    },
    /// The manager presented something that is not a certificate.
    #[error("the manager presented an unreadable certificate: {detail}")]
    Malformed {
        /// The message of the parser.
        detail: String,
    },
    /// The manager did not prove that it has the key of its certificate.
    #[error("the manager presented {found}, but did not prove that it has the key")]
    NotPossessed {
        /// The fingerprint of the presented certificate.
        found: Fingerprint,
    },
}

impl From<CertificateError> for Rejection {
    fn from(error: CertificateError) -> Self {
        Self::Malformed { detail: error.to_string() }
    }
}

/// Judges whether a client with these beliefs trusts a manager that it called `name` and that presented
/// this certificate.
///
/// The pin comes first: dates and names of an unknown certificate do not matter.
///
/// # Errors
/// The first rule that the certificate breaks.
pub fn judge(
    presented: &ServerCertificate,
    believing: &Beliefs,
    name: &str,
    now: Timestamp,
) -> Result<Trusted, Rejection> {
    let found = presented.fingerprint();
    if !believing.pins.contains(&found) {
        return Err(Rejection::NotPinned { expected: believing.pins.fingerprints(), found });
    }
    if believing.dates == DateRule::Checked {
        let validity = presented.validity();
        if validity.is_before(now) {
            return Err(Rejection::NotYetValid { not_before: validity.not_before, found });
        }
        if validity.is_over(now) {
            return Err(Rejection::Expired { not_after: validity.not_after, found });
        }
    }
    if believing.names == NameRule::Checked {
        let borne = names_of(presented);
        if !borne.iter().any(|each| is_for(each, name)) {
            return Err(Rejection::WrongName { expected: name.to_owned(), found: borne });
        }
    }
    Ok(Trusted { certificate: presented.clone() })
}

/// The common name counts only if there are no alternative names (RFC 6125, 6.4.4).
fn names_of(certificate: &ServerCertificate) -> Vec<String> {
    if certificate.names().is_empty() {
        vec![certificate.common_name().to_owned()]
    } else {
        certificate.names().to_vec()
    }
}

/// Whether the name in a certificate covers the name that was called. A `*` stands for one whole first label.
fn is_for(borne: &str, called: &str) -> bool {
    if let Ok(address) = called.parse::<IpAddr>() {
        return borne.parse() == Ok(address);
    }
    let called = called.strip_suffix('.').unwrap_or(called);
    match (borne.strip_prefix("*."), called.split_once('.')) {
        (Some(domain), Some((label, rest))) => !label.is_empty() && domain.eq_ignore_ascii_case(rest),
        (Some(_), None) => false,
        (None, _) => !called.is_empty() && borne.eq_ignore_ascii_case(called),
    }
}

fn listed(trusted: &[Fingerprint]) -> String {
    if trusted.is_empty() {
        return "none, since no certificate is pinned".to_owned();
    }
    let each: Vec<String> = trusted.iter().map(Fingerprint::to_string).collect();
    each.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::issuer::issue;
    use super::super::samples::{self, certificate, moment, request};
    use super::*;

    fn believing(n: usize) -> Beliefs {
        Beliefs { pins: [certificate(n)].into_iter().collect(), ..Beliefs::default() }
    }

    fn now() -> Timestamp {
        moment("2026-06-01T00:00:00Z")
    }

    #[test]
    fn a_pinned_certificate_is_trusted_under_any_name() {
        let trusted = judge(&certificate(0), &believing(0), "whatever", now()).unwrap();
        assert_eq!(trusted.certificate(), &certificate(0));
    }

    #[test]
    fn an_unknown_certificate_is_rejected_with_the_expected_and_the_found_one() {
        let (known, stranger) = (certificate(0).fingerprint(), certificate(1).fingerprint());
        let rejection = judge(&certificate(1), &believing(0), "manager", now()).unwrap_err();
        assert_eq!(rejection, Rejection::NotPinned { expected: vec![known], found: stranger });
        assert_eq!(
            rejection.to_string(),
            format!("the manager presented {stranger}; the client trusts {known}")
        );
    }

    #[test]
    fn a_new_certificate_for_the_same_key_is_unknown() {
        let renewed = issue(
            &samples::key(0),
            &super::super::CertificateRequest { serial: 2, ..request(&["127.0.0.1", "manager.example"]) },
        );
        let rejection = judge(&renewed.unwrap(), &believing(0), "manager", now()).unwrap_err();
        assert!(matches!(rejection, Rejection::NotPinned { .. }), "{rejection}");
    }

    #[test]
    fn without_pins_no_certificate_is_trusted() {
        let rejection = judge(&certificate(0), &Beliefs::default(), "manager", now()).unwrap_err();
        assert!(
            rejection.to_string().ends_with("the client trusts none, since no certificate is pinned"),
            "{rejection}"
        );
    }

    #[test]
    fn dates_count_to_the_second_unless_they_are_ignored() {
        let found = certificate(0).fingerprint();
        let ask = |beliefs: &Beliefs, now| judge(&certificate(0), beliefs, "manager", now);
        let checked = believing(0);
        let ignored = Beliefs { dates: DateRule::Ignored, ..checked.clone() };

        let (first, last) = (moment("2026-01-01T00:00:00Z"), moment("2035-12-31T23:59:59Z"));
        assert!(ask(&checked, first).is_ok() && ask(&checked, last).is_ok());

        let early = moment("2025-12-31T23:59:59.999Z");
        assert_eq!(ask(&checked, early).unwrap_err(), Rejection::NotYetValid { not_before: first, found });
        let late = moment("2036-01-01T00:00:00Z");
        assert_eq!(ask(&checked, late).unwrap_err(), Rejection::Expired { not_after: last, found });
        assert!(ask(&ignored, early).is_ok() && ask(&ignored, late).is_ok());
    }

    #[test]
    fn an_expired_unknown_certificate_is_rejected_as_unknown() {
        let rejection = judge(&certificate(1), &believing(0), "manager", Timestamp::EPOCH).unwrap_err();
        assert!(matches!(rejection, Rejection::NotPinned { .. }), "{rejection}");
    }

    #[test]
    fn names_count_only_where_they_are_checked() {
        let beliefs = Beliefs { names: NameRule::Checked, ..believing(0) };
        assert!(judge(&certificate(0), &beliefs, "127.0.0.1", now()).is_ok());
        assert!(judge(&certificate(0), &beliefs, "MANAGER.example.", now()).is_ok());
        assert_eq!(
            judge(&certificate(0), &beliefs, "manager", now()).unwrap_err(),
            Rejection::WrongName {
                expected: "manager".into(),
                found: vec!["127.0.0.1".into(), "manager.example".into()]
            },
            "the common name does not count beside alternative ones"
        );
        let unnamed = issue(&samples::key(0), &request(&[])).unwrap();
        let beliefs = Beliefs { pins: [unnamed.clone()].into_iter().collect(), ..beliefs };
        assert!(judge(&unnamed, &beliefs, "manager", now()).is_ok());
    }

    #[test]
    fn a_star_stands_for_one_whole_label_and_for_no_address() {
        assert!(is_for("*.example.com", "a.Example.com"));
        for called in ["example.com", "a.b.example.com", ".example.com", "a", ""] {
            assert!(!is_for("*.example.com", called), "{called}");
        }
        assert!(!is_for("*.0.0.1", "127.0.0.1"));
        assert!(is_for("::1", "0:0:0:0:0:0:0:1"));
        assert!(!is_for("", ""));
    }

    #[test]
    fn a_rejection_has_a_stable_code_and_survives_being_written() {
        let found = certificate(0).fingerprint();
        let rejection = Rejection::NotYetValid { not_before: now(), found };
        let json = serde_json::to_value(&rejection).unwrap();
        assert_eq!(json["code"], "not-yet-valid");
        assert_eq!(json["found"], found.to_string());
        assert_eq!(serde_json::from_value::<Rejection>(json).unwrap(), rejection);
    }
}
