//! The last minutes of a capture: the connections that had a packet in them, each from its beginning, since nothing of it can be
//! decrypted without its handshake. Reads only what `pcapng` and `tcp` write.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read, Seek};

use super::pcapng;

/// Both ends of a connection: addresses and ports, the lesser end first.
type Ends = [Vec<u8>; 2];

/// The capture without the connections that had no packet since this time. Ends at a block that is not whole.
///
/// # Errors
///
/// When the file cannot be read, or more than `most` bytes are left.
pub(super) fn since(file: &mut (impl Read + Seek), at_ms: u64, most: usize) -> io::Result<Vec<u8>> {
    let mut wanted = HashSet::new();
    each(file, |block| {
        if let Some((at, packet)) = pcapng::packet_in(block)
            && at >= at_ms
        {
            wanted.extend(ends(packet));
        }
        Ok(())
    })?;
    let mut left = Vec::new();
    each(file, |block| {
        let is_wanted = match pcapng::packet_in(block) {
            Some((_, packet)) => ends(packet).is_some_and(|ends| wanted.contains(&ends)),
            None => true,
        };
        if is_wanted {
            if left.len() + block.len() > most {
                return Err(io::Error::other(format!("more than {} MiB", most >> 20)));
            }
            left.extend_from_slice(block);
        }
        Ok(())
    })?;
    Ok(left)
}

/// Calls `see` with each block of the file, from its beginning.
fn each(file: &mut (impl Read + Seek), mut see: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    file.rewind()?;
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut block = Vec::new();
    while !file.fill_buf()?.is_empty() {
        block.clear();
        (&mut file).take(8).read_to_end(&mut block)?;
        let Some(length) = pcapng::length_of(&block) else { break };
        (&mut file).take(length.saturating_sub(8)).read_to_end(&mut block)?;
        if block.len() as u64 != length {
            break;
        }
        see(&block)?;
    }
    Ok(())
}

/// The ends of the connection that a packet belongs to.
fn ends(packet: &[u8]) -> Option<Ends> {
    let (source, target, segment) = match packet.first()? >> 4 {
        4 => (packet.get(12..16)?, packet.get(16..20)?, packet.get(20..)?),
        _ => (packet.get(8..24)?, packet.get(24..40)?, packet.get(40..)?),
    };
    let mut ends = [[source, segment.get(..2)?].concat(), [target, segment.get(2..4)?].concat()];
    ends.sort();
    Some(ends)
}
