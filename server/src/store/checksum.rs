//! Checksums of what a store has: a database can be well formed with other content than was written.

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;

/// The checksum of a row, from its columns.
pub(super) fn checksum(columns: &[&[u8]]) -> i64 {
    let mut context = Context::new(&SHA256);
    for column in columns {
        context.update(&(column.len() as u64).to_le_bytes());
        context.update(column);
    }
    let digest = context.finish();
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_ref()[..8]);
    i64::from_le_bytes(first)
}

/// The checksum of an entry of the log, with the contents of its files.
pub(super) fn entry_checksum(sequence: i64, at: i64, given_by: &str, change: &str, files: &[Bytes]) -> i64 {
    let (sequence, at) = (sequence.to_le_bytes(), at.to_le_bytes());
    let mut columns: Vec<&[u8]> = vec![&sequence, &at, given_by.as_bytes(), change.as_bytes()];
    columns.extend(files.iter().map(|file| &file[..]));
    checksum(&columns)
}
