//! A value of DER whose type does not matter here: tag, length and content.

use der::{Encode as _, Length};

/// The DER of a value with this tag and this content.
pub(crate) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    // Neither can fail: contents are parts of files, which are bounded, and writing to memory succeeds.
    let length = Length::try_from(content.len()).unwrap_or(Length::MAX);
    _ = length.encode_to_vec(&mut der);
    der.extend_from_slice(content);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_takes_as_many_bytes_as_it_needs() {
        for (length, header) in [
            (0, &[4, 0][..]),
            (127, &[4, 0x7F]),
            (128, &[4, 0x81, 0x80]),
            (256, &[4, 0x82, 1, 0]),
            (70_000, &[4, 0x83, 1, 0x11, 0x70]),
        ] {
            let der = value(4, &vec![7; length]);
            assert_eq!((&der[..header.len()], der.len()), (header, header.len() + length));
        }
    }
}
