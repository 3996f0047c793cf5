//! What a client can do, and how it fails, because of its version. The version limits are assumptions.

use epm_protocol::assumption::Assumptions;
use epm_protocol::version::ClientVersion;

use super::exchange::TlsVersions;

/// Whether this version has the communication module of 14.2, with which the several-manager procedure fails. The
/// difference is in `adoption::certificates_taken`.
pub(super) fn has_142_module(version: ClientVersion, assumptions: &Assumptions) -> bool {
    version.is_between(assumptions.module_14_2_from, assumptions.module_14_2_until)
}

/// The TLS versions of this client version.
pub(super) fn tls_versions(version: ClientVersion, assumptions: &Assumptions) -> TlsVersions {
    if version >= assumptions.tls_1_3_from { TlsVersions::From12To13 } else { TlsVersions::Only12 }
}

/// Whether this version makes a new hardware id when its manager tells it to.
pub(super) fn makes_new_identity(version: ClientVersion, assumptions: &Assumptions) -> bool {
    let Assumptions { new_identity_from, new_identity_broken_from, new_identity_broken_until, .. } =
        *assumptions;
    version >= new_identity_from && !version.is_between(new_identity_broken_from, new_identity_broken_until)
}
