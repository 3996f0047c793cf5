//! The one task of a fleet that does not belong to a client: it calls clients whose heartbeats are due, as many at the same time as
//! may be, and starts a task for each client that has something to do.

use std::sync::Arc;

use epm_protocol::time::{Clock, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};

use super::agenda::{Dispatch, Next};
use super::client::{LogSink, Shared, Sinks};
use super::clock::LabClock;
use super::driver::Driver;
use super::handle::{AgentHandle, Leaves};
use super::store::{DiskCache, StoreError};
use crate::agent::Agent;

/// The dispatcher of a fleet. Its clients' tasks end when it is dropped.
pub(super) struct Dispatcher {
    shared: Arc<Shared>,
    tasks: JoinSet<Result<(), StoreError>>,
    lasts: Lasts,
    /// The first error of a task.
    failed: Option<StoreError>,
}

/// How long a dispatcher lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasts {
    /// Until the fleet's agenda is closed.
    UntilClosed,
    /// While the fleet has clients.
    WithClients,
}

/// Waits for a turn.
type Turn = std::pin::Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

/// Runs one agent until it is told to stop, or its handle is dropped.
///
/// # Errors
///
/// When its cache cannot be written: a client that cannot keep what it has learnt must stop.
pub fn drive(
    agent: Agent,
    clock: Arc<LabClock>,
    log: LogSink,
    disk: Option<DiskCache>,
) -> (AgentHandle, impl Future<Output = Result<(), StoreError>> + Send) {
    let shared = Shared::new(clock, 1);
    let client = shared.join(agent, Arc::new(Sinks { log, watcher: None }), disk, None, false);
    let leaves = Some(Arc::new(Leaves(Arc::clone(&client))));
    (AgentHandle { client, leaves }, Dispatcher::new(shared, Lasts::WithClients).run())
}

impl Dispatcher {
    pub(super) fn new(shared: Arc<Shared>, lasts: Lasts) -> Self {
        shared.agenda.set_dispatch(Dispatch::GoesOn);
        Self { shared, tasks: JoinSet::new(), lasts, failed: None }
    }

    /// Starts the tasks of the clients, until there is none left to come.
    ///
    /// # Errors
    ///
    /// When the cache of a client could not be written.
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let (agenda, clock) = (&shared.agenda, &shared.clock);
        let mut set_back = clock.times_set_back();
        let mut turn: Option<Turn> = None;
        loop {
            let before = std::mem::replace(&mut set_back, clock.times_set_back());
            if before != set_back {
                agenda.agents().iter().for_each(|client| client.replan());
            }
            let (due, wake) = match agenda.next(clock.now()) {
                Next::Drive(client) => {
                    self.tasks.spawn(Driver::new(client).run());
                    continue;
                }
                Next::Due(client) => (Some(client), Timestamp::NEVER),
                Next::Wait(wake) => (None, wake),
            };
            if self.tasks.is_empty() && self.is_over() {
                return self.failed.take().map_or(Ok(()), Err);
            }
            // A turn that is not awaited would be kept from the clients.
            turn = due.is_some().then(|| turn.unwrap_or_else(|| next_turn(&shared.turns)));
            tokio::select! {
                permit = given(&mut turn), if due.is_some() => {
                    turn = None;
                    if let (Some(client), Some(permit)) = (due, permit) {
                        client.call(permit);
                    }
                }
                Some(ended) = self.tasks.join_next() => self.note(ended),
                _ = clock.sleep_or_set_back(wake) => {}
                () = agenda.earlier() => {}
            }
        }
    }

    fn is_over(&self) -> bool {
        match self.lasts {
            Lasts::UntilClosed => self.shared.agenda.dispatch() == Dispatch::Closing,
            Lasts::WithClients => self.shared.agenda.is_empty(),
        }
    }

    fn note(&mut self, ended: Result<Result<(), StoreError>, JoinError>) {
        if let Ok(Err(error)) = ended {
            self.failed.get_or_insert(error);
        }
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.shared.agenda.set_dispatch(Dispatch::Over);
    }
}

fn next_turn(turns: &Arc<Semaphore>) -> Turn {
    let turns = Arc::clone(turns);
    Box::pin(async move { turns.acquire_owned().await.ok() })
}

async fn given(turn: &mut Option<Turn>) -> Option<OwnedSemaphorePermit> {
    match turn {
        Some(turn) => turn.await,
        None => std::future::pending().await,
    }
}
