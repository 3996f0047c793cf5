//! Lets rustls ask the judge about certificates.

use std::sync::Arc;

use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::{self, Rejection, ServerCertificate};
use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, PeerMisbehaved, SignatureScheme};

use crate::agent::TlsCheck;

/// Judges the certificate of a server by an agent's beliefs.
#[derive(Debug)]
pub(super) struct PinVerifier {
    check: TlsCheck,
    clock: Arc<dyn Clock>,
    provider: Arc<CryptoProvider>,
    /// The certificate that was read last: a manager mostly shows the same one.
    last: Mutex<Option<ServerCertificate>>,
}

impl PinVerifier {
    pub(super) fn new(check: TlsCheck, clock: Arc<dyn Clock>, provider: Arc<CryptoProvider>) -> Self {
        Self { check, clock, provider, last: Mutex::default() }
    }

    /// Judges a certificate now. rustls calls it during a full handshake, and the connection after every handshake,
    /// because rustls sees no certificate in a resumed one.
    pub(super) fn judge(&self, presented: &[u8], name: &str) -> Result<(), Rejection> {
        self.judge_at(presented, name, self.clock.now())
    }

    fn judge_at(&self, presented: &[u8], name: &str, now: Timestamp) -> Result<(), Rejection> {
        let TlsCheck::Against(beliefs) = &self.check else { return Ok(()) };
        let certificate =
            self.read(presented).map_err(|error| Rejection::Malformed { detail: error.to_string() })?;
        trust::judge(&certificate, beliefs, name, now).map(drop)
    }

    fn read(&self, presented: &[u8]) -> Result<ServerCertificate, trust::CertificateError> {
        let mut last = self.last.lock();
        if let Some(certificate) = last.as_ref().filter(|last| last.der() == presented) {
            return Ok(certificate.clone());
        }
        let certificate = ServerCertificate::from_der(presented)?;
        Ok(last.insert(certificate).clone())
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
        verify_handshake(message, cert, dss, &self.provider)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if is_pkcs1(dss.scheme) {
            // RFC 8446, 4.2.3.
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        verify_handshake(message, cert, dss, &self.provider)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Checks that the holder of a certificate's key signed a handshake. Of the certificate only the public key is read, by
/// the lab's own reader: rustls' check refuses a certificate with a critical extension that it does not know, or with
/// malformed alternative names, though no client that has pinned it minds. For TLS 1.3, PKCS#1 has to be refused before.
///
/// # Errors
///
/// When the certificate cannot be read, or its key did not make the signature.
pub fn verify_handshake(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    provider: &CryptoProvider,
) -> Result<HandshakeSignatureValid, Error> {
    let certificate = ServerCertificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let (identifier, key) = certificate.subject_public_key();
    let mut known = provider.signature_verification_algorithms.mapping.iter();
    let Some((_, algorithms)) = known.find(|(scheme, _)| *scheme == signed.scheme) else {
        return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
    };
    // RSA may come without the NULL that its identifier ends with.
    let is_for =
        |expected: &[u8]| expected == identifier || expected.strip_suffix(&[5, 0]) == Some(identifier);
    let mut refusal = Error::from(CertificateError::BadEncoding);
    for algorithm in *algorithms {
        if !is_for(algorithm.public_key_alg_id().as_ref()) {
            let (signature, key) = (algorithm.signature_alg_id(), identifier.to_vec());
            refusal = CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: signature.as_ref().to_vec(),
                public_key_algorithm_id: key,
            }
            .into();
            continue;
        }
        if algorithm.verify_signature(key, message, signed.signature()).is_ok() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        return Err(CertificateError::BadSignature.into());
    }
    Err(refusal)
}

/// Whether a scheme is RSA with PKCS#1, which TLS 1.3 forbids in handshakes.
pub fn is_pkcs1(scheme: SignatureScheme) -> bool {
    use SignatureScheme as S;
    matches!(scheme, S::RSA_PKCS1_SHA1 | S::RSA_PKCS1_SHA256 | S::RSA_PKCS1_SHA384 | S::RSA_PKCS1_SHA512)
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
