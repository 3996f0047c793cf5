//! Requests and answers on HTTP, in the lab's own open form.
//!
//! The product scrambles the query of `/secars/secars.dll?h=...` with a key made from the site's shared secret. That
//! scrambling is not documented and not imitated. The lab's query is readable: `h` is a keyed check over the rest of
//! it, as [`crate::trust::Kcs`] describes, so that a wrong secret has the product's consequence (400) and a person can
//! still write a request with `openssl` and `curl`.
//!
//! | request | method | fields |
//! |---|---|---|
//! | hello | GET | `hello,secars` alone, without check |
//! | register | GET | `action=register domain hardware computer version group?` |
//! | index | GET | `action=index agent serial? turn?` |
//! | policy, list, package | GET | `action=policy` or `list` or `package`, `agent name?` |
//! | upload | POST | `action=upload agent sha256`, the body is JSON |
//! | hold | GET | `action=hold agent serial?` |
//!
//! A probe is one of these with `probe=yes` and the fields of a registration.
//!
//! A signed answer carries its detached RSA/SHA-256 signature, in base64, in the header [`SIGNATURE_HEADER`].

use std::borrow::Cow;

use aws_lc_rs::digest;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use form_urlencoded::byte_serialize;

use super::{AgentRequest, Artifact, Probe, Registration};
use crate::excerpt::excerpt;
use crate::id::AgentId;
use crate::trust::{Kcs, KcsError};

/// The path of the manager's module for clients [C S34, S35].
pub const SECARS_PATH: &str = "/secars/secars.dll";
/// The query of the browser test [C S34].
pub const HELLO_QUERY: &str = "hello,secars";
/// The header that carries a detached signature.
pub const SIGNATURE_HEADER: &str = "x-epm-signature";
/// The header that marks every answer as a mock's.
pub const MOCK_HEADER: (&str, &str) = ("x-epm-lab", "mock manager, for testing only");
/// The longest query that a manager accepts, in bytes.
pub const MAX_QUERY: usize = 4096;
/// The largest body that a client may upload, in bytes.
pub const MAX_UPLOAD: usize = 64 * 1024;

/// A request in its HTTP form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// The path and query of the request.
    pub target: String,
    /// The body. A request with a body is a POST, one without is a GET.
    pub body: Option<Bytes>,
}

/// The reason why a request could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The shared secret does not match, or the envelope is broken; answered with 400.
    #[error(transparent)]
    Kcs(#[from] KcsError),
    /// A field is missing or malformed.
    #[error("the field {field:?} is {found:?}; expected {expected}")]
    Field {
        /// The name of the field.
        field: &'static str,
        /// The value of the field, empty when missing.
        found: String,
        /// The values that the field takes.
        expected: &'static str,
    },
    /// The body does not have the digest in the query.
    #[error("the body does not match the `sha256` of the query")]
    Body,
}

/// Writes a request, sealed with the shared secret.
pub fn encode(request: &AgentRequest, kcs: &Kcs) -> HttpRequest {
    match written(request) {
        Some((fields, body)) => HttpRequest { target: format!("{SECARS_PATH}?{}", kcs.seal(&fields)), body },
        None => HttpRequest { target: format!("{SECARS_PATH}?{HELLO_QUERY}"), body: None },
    }
}

/// The fields and the body of a request; none for the browser test, which has neither.
fn written(request: &AgentRequest) -> Option<(String, Option<Bytes>)> {
    let mut body = None;
    let fields = match request {
        AgentRequest::Hello => return None,
        AgentRequest::Probe(probe) => {
            let (mut fields, body) = written(&probe.request)?;
            push(&mut fields, "probe", "yes");
            if !matches!(probe.request, AgentRequest::Register(_)) {
                push_registration(&mut fields, &probe.registration);
            }
            return Some((fields, body));
        }
        AgentRequest::Register(registration) => {
            let mut fields = "action=register".to_owned();
            push_registration(&mut fields, registration);
            fields
        }
        AgentRequest::Index { agent, serial, turn } => {
            let mut fields = asking("index", *agent, "serial", serial.map(|s| s.to_string()));
            if *turn > 0 {
                push(&mut fields, "turn", &turn.to_string());
            }
            fields
        }
        AgentRequest::Hold { agent, serial } => {
            asking("hold", *agent, "serial", serial.map(|s| s.to_string()))
        }
        AgentRequest::Fetch { agent, artifact } => match artifact {
            Artifact::Policy => asking("policy", *agent, "", None),
            Artifact::List => asking("list", *agent, "", None),
            Artifact::Package(name) => asking("package", *agent, "name", Some(name.clone())),
        },
        AgentRequest::Upload { agent, state } => {
            body = Some(state.clone());
            asking("upload", *agent, "sha256", Some(sha256_hex(state)))
        }
    };
    Some((fields, body))
}

fn push_registration(fields: &mut String, one: &Registration) {
    fields.push_str(&format!("&domain={}&hardware={}", one.domain, one.hardware_key));
    push(fields, "computer", &one.computer_name);
    push(fields, "version", &one.version.to_string());
    if let Some(group) = &one.preferred_group {
        push(fields, "group", group);
    }
}

fn asking(action: &str, agent: AgentId, name: &str, value: Option<String>) -> String {
    let mut fields = format!("action={action}&agent={agent}");
    if let Some(value) = value {
        push(&mut fields, name, &value);
    }
    fields
}

fn push(fields: &mut String, name: &str, value: &str) {
    fields.push('&');
    fields.push_str(name);
    fields.push('=');
    fields.extend(byte_serialize(value.as_bytes()));
}

/// Decodes the query of a request to [`SECARS_PATH`], with its body.
///
/// # Errors
///
/// When the secret does not match, or a field is missing or malformed.
pub fn decode(query: &str, body: &Bytes, kcs: &Kcs) -> Result<AgentRequest, RequestError> {
    if query == HELLO_QUERY {
        return Ok(AgentRequest::Hello);
    }
    let fields = Fields(kcs.open(query)?);
    let request = read(&fields, body)?;
    if fields.one("probe").is_none() {
        return Ok(request);
    }
    Ok(AgentRequest::Probe(Box::new(Probe { registration: fields.registration()?, request })))
}

fn read(fields: &Fields<'_>, body: &Bytes) -> Result<AgentRequest, RequestError> {
    let agent = || fields.parsed::<AgentId>("agent", "the identifier of a client");
    let serial = || fields.one("serial").map(|text| parsed("serial", &text, "a policy serial")).transpose();
    match fields.one("action").as_deref() {
        Some("index") => {
            let turn = fields.one("turn").map(|text| parsed("turn", &text, "a number"));
            Ok(AgentRequest::Index {
                agent: agent()?,
                serial: serial()?,
                turn: turn.transpose()?.unwrap_or_default(),
            })
        }
        Some("hold") => Ok(AgentRequest::Hold { agent: agent()?, serial: serial()? }),
        Some("policy") => Ok(AgentRequest::Fetch { agent: agent()?, artifact: Artifact::Policy }),
        Some("list") => Ok(AgentRequest::Fetch { agent: agent()?, artifact: Artifact::List }),
        Some("package") => Ok(AgentRequest::Fetch {
            agent: agent()?,
            artifact: Artifact::Package(fields.required("name", "the name of a package")?.into_owned()),
        }),
        Some("upload") if fields.one("sha256").as_deref() == Some(&sha256_hex(body)) => {
            Ok(AgentRequest::Upload { agent: agent()?, state: body.clone() })
        }
        Some("upload") => Err(RequestError::Body),
        Some("register") => Ok(AgentRequest::Register(fields.registration()?)),
        other => Err(RequestError::Field {
            field: "action",
            found: excerpt(other.unwrap_or_default()),
            expected: "register, index, policy, list, package, upload or hold",
        }),
    }
}

/// The fields of an opened query.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn one(&self, name: &str) -> Option<Cow<'a, str>> {
        self.0.split('&').find_map(|pair| {
            // Nearly all fields have no escapes, and are read in place.
            if is_escaped(pair) {
                let (key, value) = form_urlencoded::parse(pair.as_bytes()).next()?;
                return (key == name).then_some(value);
            }
            match pair.strip_prefix(name)? {
                "" => Some(Cow::Borrowed("")),
                rest => rest.strip_prefix('=').map(Cow::Borrowed),
            }
        })
    }

    fn registration(&self) -> Result<Registration, RequestError> {
        Ok(Registration {
            domain: self.parsed("domain", "the identifier of a domain")?,
            hardware_key: self.parsed("hardware", "a hardware key")?,
            computer_name: self.required("computer", "the name of a computer")?.into_owned(),
            version: self.parsed("version", "a client version")?,
            preferred_group: self.one("group").map(Cow::into_owned),
        })
    }

    fn required(&self, field: &'static str, expected: &'static str) -> Result<Cow<'a, str>, RequestError> {
        self.one(field).ok_or(RequestError::Field { field, found: String::new(), expected })
    }

    fn parsed<T: std::str::FromStr>(
        &self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<T, RequestError> {
        parsed(field, &self.required(field, expected)?, expected)
    }
}

/// Whether the text contains an escape. Looks at every byte, so that it can be vectorised.
fn is_escaped(text: &str) -> bool {
    text.bytes().fold(false, |found, byte| found | (byte == b'%') | (byte == b'+'))
}

fn parsed<T: std::str::FromStr>(
    field: &'static str,
    text: &str,
    expected: &'static str,
) -> Result<T, RequestError> {
    text.parse().map_err(|_| RequestError::Field { field, found: excerpt(text), expected })
}

/// The SHA-256 of these bytes, in lower-case hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{DomainId, Guid, HardwareKey};
    use crate::policy::PolicySerial;
    use crate::time::Timestamp;

    fn agents() -> impl Strategy<Value = AgentId> {
        any::<[u8; 16]>().prop_map(|bytes| AgentId(Guid::from_bytes(bytes)))
    }

    fn serials() -> impl Strategy<Value = Option<PolicySerial>> {
        let serial = (any::<[u8; 16]>(), 0_i64..4_000_000_000_000).prop_map(|(group, changed)| {
            PolicySerial::new(crate::id::GroupId(Guid::from_bytes(group)), Timestamp::from_millis(changed))
        });
        proptest::option::of(serial)
    }

    fn registrations() -> impl Strategy<Value = Registration> {
        let version = any::<(u16, u16, u16, u16)>().prop_map(|(a, b, c, d)| format!("{a}.{b}.{c}.{d}"));
        (
            any::<[u8; 16]>(),
            any::<[u8; 16]>(),
            any::<String>(),
            version,
            proptest::option::of(any::<String>()),
        )
            .prop_map(|(domain, machine, computer_name, version, preferred_group)| Registration {
                domain: DomainId(Guid::from_bytes(domain)),
                hardware_key: HardwareKey(Guid::from_bytes(machine)),
                computer_name,
                version: version.parse().unwrap(),
                preferred_group,
            })
    }

    fn requests() -> impl Strategy<Value = AgentRequest> {
        let artifacts = prop_oneof![
            Just(Artifact::Policy),
            Just(Artifact::List),
            any::<String>().prop_map(Artifact::Package)
        ];
        let bodies = proptest::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from);
        let requests = prop_oneof![
            Just(AgentRequest::Hello),
            registrations().prop_map(AgentRequest::Register),
            (agents(), serials(), any::<u32>()).prop_map(|(agent, serial, turn)| AgentRequest::Index {
                agent,
                serial,
                turn
            }),
            (agents(), serials()).prop_map(|(agent, serial)| AgentRequest::Hold { agent, serial }),
            (agents(), artifacts).prop_map(|(agent, artifact)| AgentRequest::Fetch { agent, artifact }),
            (agents(), bodies).prop_map(|(agent, state)| AgentRequest::Upload { agent, state }),
        ];
        (requests, registrations(), any::<bool>()).prop_map(|(request, registration, is_probe)| {
            let registration = match &request {
                AgentRequest::Hello => return request,
                AgentRequest::Register(own) => own.clone(),
                _ => registration,
            };
            if is_probe { AgentRequest::Probe(Box::new(Probe { registration, request })) } else { request }
        })
    }

    /// Decodes a request that arrives as it was sent.
    fn received(sent: &HttpRequest, kcs: &Kcs) -> Result<AgentRequest, RequestError> {
        let (path, query) = sent.target.split_once('?').unwrap();
        assert_eq!(path, SECARS_PATH);
        decode(query, &sent.body.clone().unwrap_or_default(), kcs)
    }

    fn agent() -> AgentId {
        AgentId(Guid::from_bytes([0xAB; 16]))
    }

    #[test]
    fn a_request_looks_as_it_is_documented() {
        let kcs = Kcs::derive(7);
        let hello = encode(&AgentRequest::Hello, &kcs);
        assert_eq!(hello.target, "/secars/secars.dll?hello,secars");
        let serial = "C582-07/19/2017 05:55:53 163".parse().ok();
        let index = encode(&AgentRequest::Index { agent: agent(), serial, turn: 0 }, &kcs);
        let fields = "&action=index&agent=ABABABABABABABABABABABABABABABAB\
                      &serial=C582-07%2F19%2F2017+05%3A55%3A53+163";
        assert!(index.target.ends_with(fields), "{}", index.target);
        assert!(index.target.starts_with("/secars/secars.dll?h=") && index.body.is_none());
    }

    #[test]
    fn a_field_is_found_however_it_is_escaped_and_whatever_stands_beside_it() {
        let fields = Fields("&&actions=0&x=a=b&%61ction=in%64ex&action=hold&agent&name=&group=a+b%2B");
        let found =
            ["action", "actions", "x", "agent", "name", "group", "b", "serial"].map(|name| fields.one(name));
        let expected = [Some("index"), Some("0"), Some("a=b"), Some(""), Some(""), Some("a b+"), None, None];
        assert_eq!(found.each_ref().map(Option::as_deref), expected);
    }

    #[test]
    fn an_upload_with_another_body_than_its_check_covers_is_refused() {
        let kcs = Kcs::derive(7);
        let state = Bytes::from_static(b"{}");
        let mut sent = encode(&AgentRequest::Upload { agent: agent(), state }, &kcs);
        sent.body = Some(Bytes::from_static(b"{ }"));
        assert_eq!(received(&sent, &kcs), Err(RequestError::Body));
    }

    #[test]
    fn a_field_that_is_missing_or_malformed_is_named() {
        let kcs = Kcs::derive(7);
        for (fields, named) in [
            ("", "action"),
            ("action=26", "action"),
            ("action=index", "agent"),
            ("action=index&agent=x", "agent"),
            ("action=hold&agent=ABABABABABABABABABABABABABABABAB&serial=yesterday", "serial"),
            ("action=package&agent=ABABABABABABABABABABABABABABABAB", "name"),
            ("action=register&domain=ABABABABABABABABABABABABABABABAB", "hardware"),
        ] {
            let error = decode(&kcs.seal(fields), &Bytes::new(), &kcs).unwrap_err();
            assert!(
                matches!(error, RequestError::Field { field, .. } if field == named),
                "{fields}: {error}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_request_arrives_as_it_was_sent(request in requests(), seed: u64) {
            let kcs = Kcs::derive(seed);
            prop_assert_eq!(received(&encode(&request, &kcs), &kcs), Ok(request));
        }

        #[test]
        fn with_another_secret_no_request_but_hello_is_understood(request in requests()) {
            let result = received(&encode(&request, &Kcs::derive(1)), &Kcs::derive(2));
            match request {
                AgentRequest::Hello => prop_assert_eq!(result, Ok(AgentRequest::Hello)),
                _ => prop_assert_eq!(result, Err(RequestError::Kcs(KcsError::WrongSecret))),
            }
        }

        #[test]
        fn whatever_stands_in_a_query_reading_it_ends(query: String, sealed: String) {
            let kcs = Kcs::derive(7);
            let _ = decode(&query, &Bytes::new(), &kcs);
            let _ = decode(&kcs.seal(&sealed), &Bytes::new(), &kcs);
        }
    }
}
