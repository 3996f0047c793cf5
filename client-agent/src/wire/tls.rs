//! The crypto provider of the lab, and the lab's time for TLS.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use epm_protocol::time::Clock;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use rustls::{KeyLog, KeyLogFile, NoKeyLog};

use super::own_file::open_own;

/// The crypto provider of every TLS configuration in the lab: aws-lc-rs, with AES-128 before AES-256 in each
/// protocol version, because SHA-384 took a quarter of a server's time.
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        let name = format!("{:?}", suite.suite());
        (!name.starts_with("TLS13"), !name.contains("AES_128"))
    });
    Arc::new(provider)
}

/// Where the secrets of TLS sessions go: the file of [`log_keys`], or nowhere.
static KEY_LOG: OnceLock<Arc<dyn KeyLog>> = OnceLock::new();

/// Writes the secrets of all TLS sessions of this process into the file that the environment variable `SSLKEYLOGFILE` names, as
/// other programs do, for tools that decrypt a capture. Does nothing without the variable. Call it first.
///
/// # Errors
///
/// When the file cannot be opened.
pub fn log_keys() -> Result<(), String> {
    let Some(file) = std::env::var_os("SSLKEYLOGFILE").filter(|file| !file.is_empty()) else { return Ok(()) };
    // Only its owner may read a new file; that of the library is opened after this.
    let opened = open_own(OpenOptions::new().create(true).append(true).mode(0o600), Path::new(&file));
    opened.map_err(|error| {
        format!(
            "SSLKEYLOGFILE: cannot write {}: {error}; name a file in a folder that can be written, or unset the variable",
            Path::new(&file).display()
        )
    })?;
    let _ = KEY_LOG.set(Arc::new(KeyLogFile::new()));
    Ok(())
}

/// Where the secrets of TLS sessions go.
pub fn key_log() -> Arc<dyn KeyLog> {
    KEY_LOG.get().map_or_else(|| Arc::new(NoKeyLog) as Arc<dyn KeyLog>, Arc::clone)
}

/// The lab's clock as the time source of rustls.
#[derive(Debug)]
pub struct ClockTime(pub Arc<dyn Clock>);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_seconds()).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aes_128_comes_first_in_both_versions() {
        let names: Vec<String> =
            provider().cipher_suites.iter().map(|suite| format!("{:?}", suite.suite())).collect();
        assert_eq!(names[0], "TLS13_AES_128_GCM_SHA256");
        let first_12 = names.iter().find(|name| !name.starts_with("TLS13")).unwrap();
        assert!(first_12.contains("AES_128"), "{names:?}");
    }
}
