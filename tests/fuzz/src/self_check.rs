//! Planted panics, which the fuzzer must find: `run.sh self-check` fails if the coverage does not guide it to them.
//!
//! Each is behind what blind mutation does not pass, and begins without kept inputs.

/// Bytes that are compared one after the other.
pub(crate) fn bytes(input: &[u8]) {
    if input.len() >= 4 && input[0] == b'Q' && input[1] == b'z' && input[2] == b'7' && input[3] == b'k' {
        panic!("planted");
    }
}

/// Numbers that are all read before the first is compared: an optimiser makes one branch of the comparisons.
pub(crate) fn numbers(input: &[u8]) {
    let Some(&[first, second, third, fourth, fifth, sixth, seventh]) = input.first_chunk() else { return };
    let number = u32::from_be_bytes([second, third, fourth, fifth]);
    let port = u16::from_be_bytes([sixth, seventh]);
    if first == 0x99 && number == 0x1234_5678 && port == 7301 {
        panic!("planted");
    }
}

/// A name and its value, both compared with texts.
pub(crate) fn text(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if text.split_once('=').is_some_and(|(name, value)| name == "ClientKind" && value == "tangerine") {
        panic!("planted");
    }
}
