//! Blocks of a pcapng file, as its specification has them (draft-ietf-opsawg-pcapng), in little-endian order.
//!
//! Pure: what is written when is decided in `mod.rs`.

use std::net::IpAddr;

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const NAME_RESOLUTION: u32 = 4;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 0xA;

/// The first bytes of each file of this kind.
pub(super) const MAGIC: [u8; 4] = SECTION_HEADER.to_le_bytes();

const COMMENT: u16 = 1;
/// Packets that begin with an IP header.
const RAW_IP: u16 = 101;
/// Secrets in the form of `SSLKEYLOGFILE`.
const TLS_KEY_LOG: u32 = 0x544C_534B;
/// Resolution of times: milliseconds, as lab time has.
const MILLISECONDS: u8 = 3;

/// The beginning of a file: a section with this comment, and one interface.
pub(super) fn beginning(comment: &str, interface: &str) -> Vec<u8> {
    const APPLICATION: u16 = 4;
    const NAME: u16 = 2;
    const RESOLUTION: u16 = 9;
    let program = concat!("epm-lab ", env!("CARGO_PKG_VERSION"));
    let mut section = Vec::new();
    section.extend(0x1A2B_3C4D_u32.to_le_bytes());
    section.extend(1_u16.to_le_bytes());
    section.extend(0_u16.to_le_bytes());
    section.extend((-1_i64).to_le_bytes()); // a length that is not known
    options(&mut section, &[(COMMENT, comment.as_bytes()), (APPLICATION, program.as_bytes())]);
    let mut described = Vec::new();
    described.extend(RAW_IP.to_le_bytes());
    described.extend(0_u16.to_le_bytes());
    described.extend(0_u32.to_le_bytes()); // no limit of the length
    options(&mut described, &[(NAME, interface.as_bytes()), (RESOLUTION, &[MILLISECONDS])]);
    [block(SECTION_HEADER, &section), block(INTERFACE_DESCRIPTION, &described)].concat()
}

/// A packet at this time, with comments.
pub(super) fn packet(at_ms: u64, bytes: &[u8], comments: &[&str]) -> Vec<u8> {
    let mut body = Vec::with_capacity(bytes.len() + 64);
    body.extend(0_u32.to_le_bytes());
    time(&mut body, at_ms);
    let length = length(bytes);
    body.extend(length);
    body.extend(length);
    padded(&mut body, bytes);
    let comments: Vec<_> = comments.iter().map(|comment| (COMMENT, comment.as_bytes())).collect();
    options(&mut body, &comments);
    block(ENHANCED_PACKET, &body)
}

/// TLS secrets, as lines of an `SSLKEYLOGFILE`.
pub(super) fn secrets(lines: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(TLS_KEY_LOG.to_le_bytes());
    body.extend(length(lines.as_bytes()));
    padded(&mut body, lines.as_bytes());
    block(DECRYPTION_SECRETS, &body)
}

/// The name of an address.
pub(super) fn name(address: IpAddr, name: &str) -> Vec<u8> {
    let (kind, mut record) = match address {
        IpAddr::V4(address) => (1_u16, address.octets().to_vec()),
        IpAddr::V6(address) => (2_u16, address.octets().to_vec()),
    };
    record.extend(name.bytes());
    record.push(0);
    let mut body = Vec::new();
    option(&mut body, kind, &record);
    body.extend([0; 4]);
    block(NAME_RESOLUTION, &body)
}

/// The number of packets that are missing, at this time.
pub(super) fn missing(at_ms: u64, packets: u64) -> Vec<u8> {
    const DROPPED: u16 = 5;
    let comment =
        format!("{packets} packets are missing: the capture was written more slowly than they came");
    let mut body = Vec::new();
    body.extend(0_u32.to_le_bytes());
    time(&mut body, at_ms);
    options(&mut body, &[(COMMENT, comment.as_bytes()), (DROPPED, &packets.to_le_bytes())]);
    block(INTERFACE_STATISTICS, &body)
}

/// The length of the block that begins with these eight bytes.
pub(super) fn length_of(beginning: &[u8]) -> Option<u64> {
    Some(u32::from_le_bytes(beginning.get(4..8)?.try_into().ok()?).into())
}

/// Time and bytes of the packet in this block, if it has one.
pub(super) fn packet_in(block: &[u8]) -> Option<(u64, &[u8])> {
    let word = |at: usize| Some(u32::from_le_bytes(block.get(at..at + 4)?.try_into().ok()?));
    if word(0)? != ENHANCED_PACKET {
        return None;
    }
    let at_ms = u64::from(word(12)?) << 32 | u64::from(word(16)?);
    let length = usize::try_from(word(20)?).ok()?;
    Some((at_ms, block.get(28..)?.get(..length)?))
}

fn time(body: &mut Vec<u8>, at_ms: u64) {
    let [low @ .., _, _, _, _] = at_ms.to_le_bytes();
    let [_, _, _, _, high @ ..] = at_ms.to_le_bytes();
    body.extend(high);
    body.extend(low);
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let whole = u32::try_from(body.len() + 12).unwrap_or(u32::MAX).to_le_bytes();
    [&kind.to_le_bytes()[..], &whole, body, &whole].concat()
}

/// Options with an end; none need no end.
fn options(body: &mut Vec<u8>, all: &[(u16, &[u8])]) {
    all.iter().for_each(|(code, value)| option(body, *code, value));
    if !all.is_empty() {
        body.extend([0; 4]);
    }
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    padded(body, value);
}

fn padded(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_is_a_multiple_of_four_bytes_and_says_its_length_at_both_ends() {
        let name = name(IpAddr::from([127, 64, 0, 1]), "desk-1");
        for block in [packet(1 << 33, b"abcde", &["a comment"]), secrets("x"), name, missing(1, 2)] {
            let length = block.len();
            assert_eq!(length % 4, 0);
            let ends = [&block[4..8], &block[length - 4..]];
            assert_eq!(ends.map(|end| u32::from_le_bytes(end.try_into().unwrap()) as usize), [length; 2]);
        }
        let packet = packet(1 << 33, b"abcde", &[]);
        assert_eq!(
            (&packet[12..20], &packet[28..36]),
            (&[2, 0, 0, 0, 0, 0, 0, 0][..], b"abcde\0\0\0".as_slice())
        );
    }
}
