//! The certificate that a port presents, seen from outside: by a TLS handshake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use epm_client_agent::wire::provider;
use epm_protocol::trust::{Fingerprint, ServerCertificate};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Longest real time for a handshake.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for the end of the connection.
const GOODBYE: Duration = Duration::from_secs(1);

/// The fingerprint of the certificate that a port presents; without one, the reason.
pub(crate) async fn presented(at: SocketAddr) -> Result<Fingerprint, String> {
    let handshake = async {
        let stream = TcpStream::connect(at).await.map_err(|error| error.to_string())?;
        let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let verifier = Arc::new(AnyCertificate);
        let config = config.map_err(|error| error.to_string())?.dangerous();
        let mut config = config.with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.resumption = Resumption::disabled();
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream =
            connector.connect(at.ip().into(), stream).await.map_err(|error| error.to_string())?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let shown = shown.ok_or("no certificate was presented")?;
        let certificate = ServerCertificate::from_der(shown).map_err(|error| error.to_string())?;
        let _ = stream.shutdown().await;
        // What is unread at the end would reset the connection, which the journal would note as a failed one.
        let _ = timeout(GOODBYE, stream.read_to_end(&mut Vec::new())).await;
        Ok(certificate.fingerprint())
    };
    timeout(PATIENCE, handshake).await.unwrap_or_else(|_| Err("no handshake within 5 s".to_owned()))
}

/// Accepts any certificate, which is only looked at.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
