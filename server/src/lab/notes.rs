//! The notes of a verdict on the clients of a lab, and the number of registered clients that are none of them.

use epm_client_agent::cause::{NoteTaker, NotedClient};
use epm_client_agent::scenario::{Note, Verdict};
use epm_client_agent::wire::{Glance, Member};

use crate::lab::{Lab, Seen};

impl Lab {
    /// Collects notes on clients of the site as it is now; the verdict has been told which managers serve.
    pub(super) fn note_taker(&self, verdict: &Verdict) -> NoteTaker {
        let faults = self.site.faults().list();
        self.site.look(|site| NoteTaker::new(site, &faults, verdict))
    }

    /// The notes of this verdict that are about one client, wherever it runs.
    pub(crate) async fn notes_of(&self, client: &str, verdict: &Verdict) -> Vec<Note> {
        if verdict.notes.is_empty() {
            return Vec::new();
        }
        let mut taker = self.note_taker(verdict);
        self.look_at_everyone(|Seen { name, glance, .. }| {
            if name == client {
                let facts = taker.of_state(&glance.common);
                taker.see(name, &facts, noted(glance));
            }
        })
        .await;
        self.site.look(|site| taker.finish(site))
    }

    /// The notes on these clients of the lab's process.
    pub(super) fn notes_on<'a>(
        &self,
        members: impl Iterator<Item = &'a Member>,
        verdict: &Verdict,
    ) -> Vec<Note> {
        let mut taker = self.note_taker(verdict);
        for Member { name, handle, .. } in members {
            let glance = handle.glance(verdict.now);
            let facts = taker.of_state(&glance.common);
            taker.see(name, &facts, noted(&glance));
        }
        self.site.look(|site| taker.finish(site))
    }
}

/// What the notes need to know of a client beside its state.
pub(super) fn noted(glance: &Glance) -> NotedClient {
    NotedClient { agent: glance.agent, contact: glance.contact, group: None }
}
