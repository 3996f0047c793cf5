//! Passwords, and salts.

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

/// A password: never shown, and wiped from memory when it is no longer needed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

/// The reason why bytes are not a password. Does not show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The bytes are not UTF-8.
    #[error("the password is not UTF-8")]
    NotText,
    /// The password is too long.
    #[error("the password has {found} bytes, expected at most {expected}")]
    TooLong {
        /// The largest length in bytes.
        expected: usize,
        /// The length of the password in bytes.
        found: usize,
    },
}

impl Password {
    /// The largest length of a password in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// Makes a password of this text.
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// Reads the content of a password file, without the line end after it.
    ///
    /// # Errors
    /// If it is not UTF-8, or too long.
    pub fn from_file(bytes: &[u8]) -> Result<Self, PasswordError> {
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > Self::MAX_BYTES {
            return Err(PasswordError::TooLong { expected: Self::MAX_BYTES, found: line.len() });
        }
        std::str::from_utf8(line).map(Self::new).map_err(|_| PasswordError::NotText)
    }

    /// Whether the password is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The password in the clear, to write it where the product writes it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The password as PBES2 and old PEM use it.
    pub(super) fn utf8(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The password as a JKS uses it.
    pub(super) fn utf16(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.encode_utf16().flat_map(u16::to_be_bytes).collect())
    }

    /// The password as PKCS#12's key derivation uses it: with a zero at its end.
    pub(super) fn utf16_with_end(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = self.utf16();
        bytes.extend([0, 0]);
        bytes
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A stream of salts for keystores, determined by a seed, so that nothing here is random. For keystores in real use the
/// caller must hand in a random seed.
#[derive(Clone)]
pub struct Salts {
    seed: [u8; 32],
    used: u64,
}

impl Salts {
    /// Makes the stream of this seed.
    pub const fn from_seed(seed: [u8; 32]) -> Self {
        Self { seed, used: 0 }
    }

    pub(super) fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        for chunk in taken.chunks_mut(32) {
            let block = Sha256::new()
                .chain_update(b"salt")
                .chain_update(self.seed)
                .chain_update(self.used.to_be_bytes())
                .finalize();
            self.used += 1;
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        taken
    }
}

impl Drop for Salts {
    fn drop(&mut self) {
        self.seed.zeroize();
    }
}

impl fmt::Debug for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salts({} used)", self.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_loses_its_line_end_and_nothing_else() {
        let read = |bytes: &[u8]| Password::from_file(bytes).map(|one| one.reveal().to_owned());
        assert_eq!(read(b"s3cret\r\n").unwrap(), "s3cret");
        assert_eq!(read(b" s3 cret \n\n").unwrap(), " s3 cret \n");
        assert_eq!(read(b"").unwrap(), "");
        assert_eq!(read(b"\xFF"), Err(PasswordError::NotText));
        assert!(matches!(read(&[b'x'; 1025]), Err(PasswordError::TooLong { found: 1025, .. })));
    }

    #[test]
    fn no_password_is_ever_shown() {
        let password = Password::new("s3cret");
        assert_eq!(format!("{password:?}"), "Password(..)");
        assert!(!format!("{:?}", Salts::from_seed([7; 32])).contains('7'));
    }

    #[test]
    fn salts_never_repeat_and_the_same_seed_gives_the_same() {
        let mut salts = Salts::from_seed([1; 32]);
        let first: [u8; 20] = salts.take();
        assert_ne!(first, salts.take());
        assert_eq!(first, Salts::from_seed([1; 32]).take());
        assert_ne!(first, Salts::from_seed([2; 32]).take());
    }
}
