//! Checksums of what a store has: a database can be well formed with other content than was written.

use aws_lc_rs::digest::{Context, SHA256};

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
