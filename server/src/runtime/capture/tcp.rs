//! The packets of a TCP connection, made from what was read and written at its accepted end.
//!
//! A program above TCP sees bytes, not packets. Each piece of bytes becomes one packet here; opening, acknowledgements and the end
//! are made up so that a reader of captures follows the connection. Nothing is ever sent twice, late or out of order.

use std::net::{IpAddr, SocketAddr};

/// Largest number of bytes in a packet: the loopback interface has packets of this size.
const LARGEST: usize = 32 * 1024;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const PROTOCOL: u8 = 6;
const WINDOW: u16 = u16::MAX;
/// Largest segment and scale of the window, as in the packets that open a connection.
const OPENING: [u8; 8] = [2, 4, 0xFF, 0xC3, 1, 3, 3, 7];

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Client,
    Manager,
}

/// A connection, and how far each end has come.
#[derive(Debug)]
pub(super) struct Connection {
    client: SocketAddr,
    manager: SocketAddr,
    /// Numbers of the next bytes of client and manager.
    next: [u32; 2],
    /// Whether client and manager have ended their directions.
    ended: [bool; 2],
    is_reset: bool,
}

impl Connection {
    /// A connection of these ends, and the packets that open it. Each has another first number: by that, readers tell a connection
    /// from an earlier one of the same ports.
    pub(super) fn open(client: SocketAddr, manager: SocketAddr, first: u32) -> (Self, Vec<Vec<u8>>) {
        let mut opened = Self { client, manager, next: [first; 2], ended: [false; 2], is_reset: false };
        let hello = opened.packet(End::Client, SYN, &OPENING, &[]);
        opened.next[0] = first.wrapping_add(1);
        let answer = opened.packet(End::Manager, SYN | ACK, &OPENING, &[]);
        opened.next[1] = first.wrapping_add(1);
        let last = opened.packet(End::Client, ACK, &[], &[]);
        (opened, vec![hello, answer, last])
    }

    /// The packets with these bytes.
    pub(super) fn send(&mut self, from: End, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for piece in bytes.chunks(LARGEST) {
            packets.push(self.packet(from, PSH | ACK, &[], piece));
            let next = &mut self.next[from as usize];
            *next = next.wrapping_add(u32::try_from(piece.len()).unwrap_or_default());
        }
        packets
    }

    /// The packets with which an end finishes its direction; none if it has, or if the connection was reset.
    pub(super) fn finish(&mut self, from: End) -> Vec<Vec<u8>> {
        if self.is_reset || std::mem::replace(&mut self.ended[from as usize], true) {
            return Vec::new();
        }
        let last = self.packet(from, FIN | ACK, &[], &[]);
        self.next[from as usize] = self.next[from as usize].wrapping_add(1);
        let other = if from == End::Client { End::Manager } else { End::Client };
        vec![last, self.packet(other, ACK, &[], &[])]
    }

    /// The packet with which an end resets the connection; none if it is over.
    pub(super) fn reset(&mut self, from: End) -> Vec<Vec<u8>> {
        if self.ended == [true; 2] || std::mem::replace(&mut self.is_reset, true) {
            return Vec::new();
        }
        vec![self.packet(from, RST | ACK, &[], &[])]
    }

    fn packet(&self, from: End, flags: u8, options: &[u8], bytes: &[u8]) -> Vec<u8> {
        let (source, target, [own, other]) = match from {
            End::Client => (self.client, self.manager, self.next),
            End::Manager => (self.manager, self.client, [self.next[1], self.next[0]]),
        };
        let acknowledged = if flags & ACK == 0 { 0 } else { other };
        let words = u8::try_from(5 + options.len() / 4).unwrap_or(5);
        let mut segment = Vec::with_capacity(20 + options.len() + bytes.len());
        segment.extend(source.port().to_be_bytes());
        segment.extend(target.port().to_be_bytes());
        segment.extend(own.to_be_bytes());
        segment.extend(acknowledged.to_be_bytes());
        segment.extend([words << 4, flags]);
        segment.extend(WINDOW.to_be_bytes());
        segment.extend([0; 4]); // checksum, and no urgent bytes
        segment.extend(options);
        segment.extend(bytes);
        wrapped(source.ip(), target.ip(), segment)
    }
}

/// The segment with its checksum, behind an IP header.
fn wrapped(source: IpAddr, target: IpAddr, mut segment: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(segment.len()).unwrap_or(u16::MAX);
    let (header, addresses) = match (source, target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            let mut header = vec![0x45, 0];
            header.extend((length + 20).to_be_bytes());
            header.extend([0, 0, 0x40, 0, 64, PROTOCOL, 0, 0]); // not to be split
            let addresses = [source.octets(), target.octets()].concat();
            header.extend(&addresses);
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum);
            (header, addresses)
        }
        (source, target) => {
            let octets = |address: IpAddr| match address {
                IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                IpAddr::V6(address) => address.octets(),
            };
            let addresses = [octets(source), octets(target)].concat();
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(length.to_be_bytes());
            header.extend([PROTOCOL, 64]);
            header.extend(&addresses);
            (header, addresses)
        }
    };
    let [high, low] = length.to_be_bytes();
    let sum = checksum(&[&addresses, &[0, PROTOCOL, high, low], &segment]);
    segment[16..18].copy_from_slice(&sum);
    [header, segment].concat()
}

/// The checksum of the internet (RFC 1071) of these parts, all but the last of which have an even length.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum = words.fold(0_u64, |sum, word| {
        sum + u64::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or_default()]))
    });
    let folded = (0..4).fold(sum, |sum, _| (sum & 0xFFFF) + (sum >> 16));
    (!u16::try_from(folded).unwrap_or_default()).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_packet_goes_on_where_the_one_before_ended_and_has_right_checksums() {
        let (client, manager) = ("127.64.0.1:40000".parse().unwrap(), "127.0.0.1:8014".parse().unwrap());
        let (mut connection, opening) = Connection::open(client, manager, u32::MAX);
        let large = vec![7; LARGEST + 1];
        let sent = connection.send(End::Client, b"abc");
        let answered = connection.send(End::Manager, &large);
        let numbers = |packet: &[u8]| {
            let number = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
            (packet[33], number(24), number(28))
        };
        let all = [opening, sent, answered, connection.finish(End::Client), connection.reset(End::Manager)]
            .concat();
        let end = u32::try_from(LARGEST).unwrap() + 1;
        assert_eq!(
            all.iter().map(|packet| numbers(packet)).collect::<Vec<_>>(),
            [
                (SYN, u32::MAX, 0),
                (SYN | ACK, u32::MAX, 0),
                (ACK, 0, 0),
                (PSH | ACK, 0, 0),
                (PSH | ACK, 0, 3),
                (PSH | ACK, end - 1, 3),
                (FIN | ACK, 3, end),
                (ACK, end, 4),
                (RST | ACK, end, 4),
            ]
        );
        for packet in &all {
            let length = u16::try_from(packet.len() - 20).unwrap().to_be_bytes();
            assert_eq!(checksum(&[&packet[..20]]), [0, 0]);
            assert_eq!(checksum(&[&packet[12..20], &[0, PROTOCOL], &length, &packet[20..]]), [0, 0]);
        }
        assert!(connection.finish(End::Manager).is_empty() && connection.reset(End::Client).is_empty());
    }
}
