//! Passwords, and salts.

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use super::file_kind;

/// A password: never shown, and wiped from memory when it is no longer needed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password {
    text: Zeroizing<String>,
    /// Whether PKCS#12's key derivation gets no bytes at all, instead of the two zeros of an empty text.
    is_absent: bool,
}

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
        Self { text: Zeroizing::new(text.to_owned()), is_absent: false }
    }

    /// Reads the first line of a password file, as keytool and openssl do. The file is UTF-8, with or without a byte
    /// order mark, or UTF-16 with one, as Windows PowerShell writes it.
    ///
    /// # Errors
    /// If it is neither, or too long.
    pub fn from_file(bytes: &[u8]) -> Result<Self, PasswordError> {
        let from_utf16 = matches!(bytes, [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..])
            .then(|| file_kind::utf16(bytes).map(Zeroizing::new))
            .flatten();
        let bytes = from_utf16.as_ref().map_or(bytes, |text| text.as_bytes());
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > Self::MAX_BYTES {
            return Err(PasswordError::TooLong { expected: Self::MAX_BYTES, found: line.len() });
        }
        std::str::from_utf8(line).map(Self::new).map_err(|_| PasswordError::NotText)
    }

    /// Whether the password is empty.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The password in the clear, to write it where the product writes it.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The forms in which programs derive keys from this password: an empty one stands for no password as well, which
    /// `certtool --null-password` writes.
    pub(super) fn forms(&self) -> impl Iterator<Item = Self> {
        let absent = self.is_empty().then(|| Self { is_absent: true, ..Self::default() });
        std::iter::once(self.clone()).chain(absent)
    }

    /// The password as PBES2 and old PEM use it.
    pub(super) fn utf8(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The password as a JKS uses it.
    pub(super) fn utf16(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.text.encode_utf16().flat_map(u16::to_be_bytes).collect())
    }

    /// The password as PKCS#12's key derivation uses it: with a zero at its end.
    pub(super) fn utf16_with_end(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = self.utf16();
        if self.is_absent {
            return bytes;
        }
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
    fn a_password_is_the_first_line_of_its_file_without_a_mark_of_the_encoding() {
        let read = |bytes: &[u8]| Password::from_file(bytes).map(|one| one.reveal().to_owned());
        assert_eq!(read(b"s3cret\r\n").unwrap(), "s3cret");
        assert_eq!(read(b" s3 cret \nsecond\n").unwrap(), " s3 cret ");
        assert_eq!(read(b"\xEF\xBB\xBFs3cret\r\n").unwrap(), "s3cret");
        let utf16 = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{FEFF}s3crêt\r\n".encode_utf16().flat_map(order).collect()
        };
        assert_eq!(read(&utf16(u16::to_le_bytes)).unwrap(), "s3crêt");
        assert_eq!(read(&utf16(u16::to_be_bytes)).unwrap(), "s3crêt");
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
