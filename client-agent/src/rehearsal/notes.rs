//! The notes on the clients of a rehearsal as they are at its end.

use super::shard::Shard;
use super::virtual_client::VirtualClient;
use super::world::World;
use crate::cause::NoteTaker;
use crate::scenario::{Note, Verdict};

/// The notes on the clients, whose names are told from their part and number.
pub(super) fn notes<C: VirtualClient>(
    shards: &[Shard<C>],
    world: &World,
    name: impl Fn(u32, u32) -> String,
    verdict: &Verdict,
) -> Vec<Note> {
    let mut taker = NoteTaker::new(&world.site, world.faults.list(), verdict);
    for shard in shards {
        taker.know_records(shard.memo.shared.values());
    }
    let mut noted: Vec<_> = shards.iter().flat_map(|shard| shard.noted(&taker)).collect();
    noted.sort_by_key(|(place, ..)| *place);
    for ((part, number), facts, client) in noted {
        taker.see(&name(part, number), &facts, client);
    }
    taker.finish(&world.site)
}
