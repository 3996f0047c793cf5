//! TLS configurations for server certificates.

use std::sync::Arc;

use epm_client_agent::wire::{ClockTime, key_log, provider};
use epm_protocol::time::Clock;
use epm_protocol::trust::{ServerCertificate, ServerIdentity, SigningKey};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// A TLS configuration, and the certificate that it presents: an announcement of the certificate is taken from here.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    /// Configuration of a port.
    pub(crate) config: Arc<ServerConfig>,
    /// Certificate that the configuration presents first.
    pub(crate) certificate: ServerCertificate,
}

impl Served {
    /// Serves this certificate with its chain, with TLS 1.2 and 1.3. No certificate is too strange: nothing of it is
    /// read, and that the key belongs to it is known.
    ///
    /// Each configuration has its own ticket keys: a resumed session skips certificate verification, so tickets must not
    /// outlive the certificate under which they were issued. Sessions are kept in tickets only, because rustls' session
    /// store of 256 is too small for a fleet.
    ///
    /// # Errors
    ///
    /// When rustls cannot use the key.
    pub(crate) fn of(identity: &ServerIdentity, clock: Arc<dyn Clock>) -> Result<Self, rustls::Error> {
        let certificate = identity.certificate().clone();
        let certificates = std::iter::once(&certificate).chain(identity.chain());
        let chain = certificates.map(|one| CertificateDer::from(one.der().to_vec())).collect();
        let config = showing(chain, signing(identity.key())?, clock)?;
        Ok(Self { config, certificate })
    }
}

/// A configuration that presents these certificates and signs with this key, whether or not it matches.
///
/// # Errors
///
/// When the operating system's random generator fails.
pub(crate) fn showing(
    chain: Vec<CertificateDer<'static>>,
    key: Arc<dyn rustls::sign::SigningKey>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let shown = SingleCertAndKey::from(CertifiedKey::new(chain, key));
    let config = ServerConfig::builder_with_details(provider(), Arc::new(ClockTime(clock)))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    with_tickets(config)
}

/// A key for signing with rustls.
///
/// # Errors
///
/// When rustls cannot use the key.
pub(crate) fn signing(key: &SigningKey) -> Result<Arc<dyn rustls::sign::SigningKey>, rustls::Error> {
    provider().key_provider.load_private_key(private(key))
}

fn private(key: &SigningKey) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.pkcs8_der().to_vec()))
}

fn with_tickets(mut config: ServerConfig) -> Result<Arc<ServerConfig>, rustls::Error> {
    config.ticketer = Ticketer::new()?;
    config.key_log = key_log();
    config.send_tls13_tickets = 1;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}
