//! A client of the vendor's REST API, over HTTPS with the manager's certificate pinned.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use epm_client_agent::wire::{HttpServer, body_of};
use epm_client_agent::wire::{is_pkcs1, verify_handshake};
use epm_protocol::trust::read_certificates;
use hyper::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, PeerMisbehaved, RootCertStore, SignatureScheme,
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::cli::io::Failure;

/// Base path of the REST API.
const BASE: &str = "/sepm/api/v1";
/// Longest wait for a response.
const PATIENCE: Duration = Duration::from_secs(60);
/// Page size.
const PAGE: u32 = 500;

/// The reason why the certificate of a server was refused, if that is the error.
fn refused_certificate(error: &std::io::Error) -> Option<&rustls::CertificateError> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::InvalidCertificate(why) => Some(why),
        _ => None,
    }
}

/// A session with the REST API.
#[derive(Debug)]
pub(super) struct Rest {
    server: HttpServer,
    user: String,
    password: String,
    pinned: Vec<CertificateDer<'static>>,
    token: Option<String>,
}

impl Rest {
    /// A session that has not logged in yet.
    pub(super) fn new(url: &str, user: &str, password: String) -> Result<Self, Failure> {
        let server = HttpServer::of(url, "https", 443).ok_or_else(|| {
            Failure::BadInput(format!(
                "invalid REST API address {url:?}: expected https://HOST:PORT, such as https://127.0.0.1:8446"
            ))
        })?;
        Ok(Self { server, user: user.to_owned(), password, pinned: Vec::new(), token: None })
    }

    /// Trusts the certificates in a file (PEM or DER), and those that they have signed.
    pub(super) fn trust(&mut self, certificates: &[u8], from: &str) -> Result<(), Failure> {
        let found = read_certificates(certificates, from);
        let found = found.map_err(|error| Failure::BadInput(error.to_string()))?;
        self.pinned.extend(found.iter().map(|one| CertificateDer::from(one.der().to_vec())));
        self.token = None; // a manager with a new certificate has restarted, which revokes tokens
        Ok(())
    }

    /// Gets a resource.
    pub(super) async fn get(&mut self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, None).await
    }

    /// Changes a resource.
    pub(super) async fn patch(&mut self, path: &str, change: &Value) -> Result<(), Failure> {
        self.ask(Method::PATCH, path, Some(change)).await.map(drop)
    }

    /// The rows of all pages.
    pub(super) async fn all(&mut self, path: &str) -> Result<Vec<Value>, Failure> {
        let mut rows = Vec::new();
        for page in 1_u32.. {
            let mut found = self.get(&format!("{path}?pageIndex={page}&pageSize={PAGE}")).await?;
            if let Some(Value::Array(more)) = found.get_mut("content").map(Value::take) {
                rows.extend(more);
            }
            if found["lastPage"] != false {
                break;
            }
        }
        Ok(rows)
    }

    /// Sends a request; logs in again once if the token is no longer valid.
    async fn ask(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let mut is_new = false;
        loop {
            let token = match self.token.clone() {
                Some(token) => token,
                None => {
                    is_new = true;
                    self.log_in().await?
                }
            };
            let (status, found) = self.send(method.clone(), path, body, Some(&token)).await?;
            if status == StatusCode::UNAUTHORIZED && !is_new {
                self.token = None;
                continue;
            }
            return if status.is_success() { Ok(found) } else { Err(refused(path, status, &found)) };
        }
    }

    async fn log_in(&mut self) -> Result<String, Failure> {
        // The product decodes credentials as it does addresses.
        let quoted = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let who = json!({ "username": quoted(&self.user), "password": quoted(&self.password), "domain": "" });
        let (status, found) = self.send(Method::POST, "/identity/authenticate", Some(&who), None).await?;
        match found["token"].as_str() {
            Some(token) if status.is_success() => {
                self.token = Some(token.to_owned());
                Ok(token.to_owned())
            }
            _ => Err(refused("/identity/authenticate", status, &found)),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        token: Option<&str>,
    ) -> Result<(StatusCode, Value), Failure> {
        let sent = timeout(PATIENCE, self.sent(method, path, body, token)).await;
        let HttpServer { host, port } = &self.server;
        sent.map_err(|_| {
            Failure::Failed(format!(
                "the REST API at https://{host}:{port} has not responded for {} s; `kill -CONT PID` continues a process that is stopped, otherwise look at the faults of its port",
                PATIENCE.as_secs()
            ))
        })?
    }

    async fn sent(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        token: Option<&str>,
    ) -> Result<(StatusCode, Value), Failure> {
        let HttpServer { host, port } = &self.server;
        let failed = |error: &dyn std::fmt::Display| {
            Failure::Failed(format!("the REST API at https://{host}:{port}: {error}"))
        };
        let name = self.server.name().to_owned();
        let stream = TcpStream::connect((name.as_str(), *port)).await.map_err(|error| failed(&error))?;
        let name = ServerName::try_from(name).map_err(|error| failed(&error))?;
        let stream = TlsConnector::from(Arc::new(self.tls().map_err(|error| failed(&error))?))
            .connect(name, stream)
            .await
            .map_err(|error| match refused_certificate(&error) {
                Some(why) => failed(&format!(
                    "its certificate is none that this rotation was told of ({why}); another rotation may run at the same time, or a \
                     fault may be set"
                )),
                None => failed(&error),
            })?;
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let sent = self.server.send(stream, method, &format!("{BASE}{path}"), token, body).await;
        let response = sent.map_err(|error| failed(&error))?;
        let status = response.status();
        let body = body_of(response).await.map_err(|error| failed(&error))?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    fn tls(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.pinned.iter().cloned());
        // A certificate that cannot be an authority's is pinned all the same.
        let authorities = if roots.is_empty() {
            None
        } else {
            let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            Some(builder.build().map_err(|error| rustls::Error::General(error.to_string()))?)
        };
        let verifier =
            Arc::new(Pinning { pinned: self.pinned.clone(), authorities, provider: Arc::clone(&provider) });
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    }
}

fn refused(path: &str, status: StatusCode, found: &Value) -> Failure {
    let words = found["error_description"].as_str().or(found["errorMessage"].as_str()).unwrap_or("no reason");
    Failure::Failed(format!("the REST API refused {path} with status {status}: {words}"))
}

/// Trusts the pinned certificates, and certificates that one of them signed for the requested name.
#[derive(Debug)]
struct Pinning {
    pinned: Vec<CertificateDer<'static>>,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinning {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.pinned.iter().any(|one| one == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.authorities {
            Some(authorities) => authorities.verify_server_cert(end_entity, intermediates, name, ocsp, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_handshake(message, certificate, signature, &self.provider)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if is_pkcs1(signature.scheme) {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        verify_handshake(message, certificate, signature, &self.provider)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
