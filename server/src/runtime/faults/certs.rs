//! Certificates that a manager presents under faults, each made once.

use std::collections::HashMap;
use std::sync::Arc;

use epm_protocol::fault::FaultKind;
use epm_protocol::fault::mint::{MintInput, mint};
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::{Fingerprint, ServerCertificate, ServerIdentity};
use parking_lot::Mutex;
use rustls::ServerConfig;

use crate::runtime::faults::rsa_1024::weak_key;
use crate::runtime::tls::{showing, signing};

/// Maximum number of cached certificates; the cache is cleared at that number.
const MAX_CERTIFICATES: usize = 64;
const SECONDS_OF_A_DAY: i64 = 86_400;

/// TLS configurations that one manager uses under faults.
#[derive(Debug, Default)]
pub(crate) struct FaultCertCache(Mutex<HashMap<FaultCertKey, Arc<ServerConfig>>>);

/// Everything that a configuration depends on; identities with the certificates of their issuers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FaultCertKey {
    fault: &'static str,
    good: Fingerprint,
    previous: Option<Fingerprint>,
    /// Number of authorities whose keys are known.
    authorities: usize,
    day: i64,
}

impl FaultCertCache {
    /// The configuration that presents the certificate of this fault.
    ///
    /// # Errors
    ///
    /// When the certificate cannot be minted, or rustls cannot use its key; the text has the reason.
    pub(crate) fn config_for(
        &self,
        what: &FaultKind,
        mint_input: &MintInput<'_>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<ServerConfig>, String> {
        let fingerprint = |identity: &ServerIdentity| {
            let sent = std::iter::once(identity.certificate()).chain(identity.chain());
            Fingerprint::of(&sent.flat_map(ServerCertificate::der).copied().collect::<Vec<_>>())
        };
        let now: Timestamp = mint_input.now;
        let key = FaultCertKey {
            fault: what.name(),
            good: fingerprint(mint_input.good),
            previous: mint_input.previous.map(fingerprint),
            authorities: mint_input.authorities.len(),
            day: now.as_seconds().div_euclid(SECONDS_OF_A_DAY),
        };
        let mut made = self.0.lock();
        if let Some(config) = made.get(&key) {
            return Ok(Arc::clone(config));
        }
        let shown = mint(what, mint_input).map_err(|error| error.to_string())?;
        let chain = shown.chain.iter().map(|one| one.der().to_vec().into()).collect();
        let signer = match what {
            FaultKind::WeakKey => Ok(weak_key()),
            _ => signing(&shown.key),
        };
        let config = signer.and_then(|signer| showing(chain, signer, clock));
        let config = config.map_err(|error| error.to_string())?;
        if made.len() >= MAX_CERTIFICATES {
            made.clear();
        }
        made.insert(key, Arc::clone(&config));
        Ok(config)
    }
}
