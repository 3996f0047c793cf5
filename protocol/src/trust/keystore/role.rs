//! The role in which a file is given to the wizard, and the sentence with which the product refuses a bad one.

/// The sentence with which the product refuses a file [C S6].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The sentence for private keys.
    #[error("Invalid private key file")]
    PrivateKeyFile,
    /// The sentence for keystores.
    #[error("Invalid keystore file")]
    KeystoreFile,
    /// The sentence for certificates.
    #[error("Invalid certificate type, or invalid certificate signature algorithm")]
    Certificate,
}

/// The role in which a file was given to the wizard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileRole {
    /// The file was given as the certificate.
    Certificate,
    /// The file was given as the private key.
    PrivateKey,
    /// The file was given as a keystore, with certificate and key.
    Keystore,
}

impl FileRole {
    /// The sentence with which the product refuses a bad file in this role.
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::Certificate => Refusal::Certificate,
            Self::PrivateKey => Refusal::PrivateKeyFile,
            Self::Keystore => Refusal::KeystoreFile,
        }
    }

    /// The files that are expected in this role.
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Certificate => "a certificate (PEM or DER)",
            Self::PrivateKey => "a private key (PEM or DER)",
            Self::Keystore => "a keystore (JKS, JCEKS or PKCS#12)",
        }
    }
}
