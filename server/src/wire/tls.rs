//! The TLS configuration of the certificate of the moment.

use std::sync::Arc;

use epm_client_agent::wire::{ClockTime, provider};
use epm_protocol::time::Clock;
use epm_protocol::trust::ServerIdentity;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;

/// A configuration that shows this certificate, over TLS 1.2 and 1.3.
///
/// Each has tickets of its own: a resumed session skips the check of the certificate, so tickets must not outlive the
/// certificate under which they were given. Sessions live in tickets alone, because rustls' own store of 256 is too
/// small for a fleet.
///
/// # Errors
///
/// When rustls cannot use the key, or finds that it does not belong to the certificate.
pub(crate) fn server_config(
    identity: &ServerIdentity,
    clock: Arc<dyn Clock>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let certificate = CertificateDer::from(identity.certificate().der().to_vec());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key().pkcs8_der().to_vec()));
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(ClockTime(clock)))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    config.ticketer = Ticketer::new()?;
    config.send_tls13_tickets = 1;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}
