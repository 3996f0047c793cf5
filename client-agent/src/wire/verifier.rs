//! Lets rustls ask the judge about certificates.

use std::sync::Arc;

use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::{self, Rejection, ServerCertificate};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use crate::agent::TlsCheck;

/// Judges the certificate of a server by an agent's beliefs.
#[derive(Debug)]
pub(super) struct PinVerifier {
    check: TlsCheck,
    clock: Arc<dyn Clock>,
    provider: Arc<CryptoProvider>,
}

impl PinVerifier {
    pub(super) fn new(check: TlsCheck, clock: Arc<dyn Clock>, provider: Arc<CryptoProvider>) -> Self {
        Self { check, clock, provider }
    }

    /// Judges a certificate now. rustls calls it during a full handshake, and the connection after every handshake,
    /// because rustls sees no certificate in a resumed one.
    pub(super) fn judge(&self, presented: &[u8], name: &str) -> Result<(), Rejection> {
        self.judge_at(presented, name, self.clock.now())
    }

    fn judge_at(&self, presented: &[u8], name: &str, now: Timestamp) -> Result<(), Rejection> {
        let TlsCheck::Against(beliefs) = &self.check else { return Ok(()) };
        let certificate = ServerCertificate::from_der(presented)
            .map_err(|error| Rejection::Malformed { detail: error.to_string() })?;
        trust::judge(&certificate, beliefs, name, now).map(drop)
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let now = Timestamp::from_seconds(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        self.judge_at(end_entity, &server_name.to_str(), now)
            .map(|()| ServerCertVerified::assertion())
            .map_err(|rejection| CertificateError::Other(OtherError(Arc::new(rejection))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The judge's verdict inside an error of rustls, if there is one.
pub(super) fn rejection_in(error: &Error) -> Option<Rejection> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
            inner.downcast_ref::<Rejection>().cloned()
        }
        _ => None,
    }
}
