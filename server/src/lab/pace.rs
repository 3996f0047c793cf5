//! The lab's clock, moved: what falls due on the way happens, over real sockets, and each thing when the lab is quiet.

use std::time::Duration;

use epm_client_agent::wire::{LabClock, Member};
use epm_protocol::time::{Clock, Timestamp};
use tokio::time::timeout;

use crate::lab::Lab;
use crate::mock_site::MockSite;

/// A lab that is not quiet after this much real time will not be.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why the lab's time could not be moved, or what was waited for did not come.
#[derive(Debug, thiserror::Error)]
pub enum TimeError {
    /// The lab does not come to rest.
    #[error("the lab is not quiet: at {at} there is always something under way")]
    Restless {
        /// The lab's time.
        at: Timestamp,
    },
    /// What was waited for did not come.
    #[error(
        "after {limit:?} of real time, {missing} of {clients} clients had not ended {heartbeats} heartbeats, {example} among them"
    )]
    Waited {
        /// How many heartbeats were waited for.
        heartbeats: u64,
        /// The limit.
        limit: Duration,
        /// How many clients are behind.
        missing: usize,
        /// How many there are.
        clients: usize,
        /// One of them.
        example: String,
    },
}

/// The speed that a clock has again when this is dropped.
struct Halted<'a>(&'a LabClock, u32);

impl<'a> Halted<'a> {
    fn halt(clock: &'a LabClock) -> Self {
        let speed = clock.speed();
        clock.set_speed(0);
        Self(clock, speed)
    }
}

impl Drop for Halted<'_> {
    fn drop(&mut self) {
        self.0.set_speed(self.1);
    }
}

impl Lab {
    /// Lets so much of the lab's time pass: every heartbeat that falls due on the way happens. Returns when the lab is
    /// quiet; then the clock goes on as before.
    ///
    /// # Errors
    ///
    /// When the lab does not come to rest; the clock stands where that was.
    pub async fn advance(&self, by: Duration) -> Result<Timestamp, TimeError> {
        let _moving = self.moving.lock().await;
        let halted = Halted::halt(self.clock());
        let until = self.clock().now() + by;
        loop {
            self.settle().await?;
            let now = self.clock().now();
            if now >= until {
                drop(halted);
                return Ok(now);
            }
            let fleet = self.fleet.read().await;
            let next = fleet.members().iter().map(|member| member.handle.next_wake());
            let next = next.fold(until, Timestamp::min);
            drop(fleet);
            self.clock().set(next.max(now));
        }
    }

    /// Waits until every client that is on has begun and ended so many heartbeats more. Where the clock stands, it is
    /// moved.
    ///
    /// # Errors
    ///
    /// When that does not come within `limit` of real time.
    pub async fn pass_heartbeats(&self, heartbeats: u64, limit: Duration) -> Result<(), TimeError> {
        let start: Vec<(String, u64)> = {
            let fleet = self.fleet.read().await;
            let on = fleet.members().iter().filter(|member| is_on(member));
            on.map(|member| (member.name.clone(), member.handle.view().heartbeats)).collect()
        };
        let behind = |members: &[Member]| -> Vec<String> {
            let mut at = members
                .iter()
                .map(|member| (member.name.as_str(), member))
                .collect::<std::collections::HashMap<_, _>>();
            let late = start.iter().filter(|(name, before)| {
                at.remove(name.as_str()).is_some_and(|member| {
                    is_on(member)
                        && !(member.handle.is_resting()
                            && member.handle.view().heartbeats >= before + heartbeats)
                })
            });
            late.map(|(name, _)| name.clone()).collect()
        };
        let passing = async {
            loop {
                if self.clock().speed() == 0 {
                    let fleet = self.fleet.read().await;
                    if behind(fleet.members()).is_empty() {
                        return Ok(());
                    }
                    let now = self.clock().now();
                    let next = fleet.members().iter().map(|member| member.handle.next_wake());
                    let next = next.fold(Timestamp::NEVER, Timestamp::min);
                    drop(fleet);
                    let by = if next == Timestamp::NEVER { Duration::from_secs(1) } else { next.since(now) };
                    self.advance(by).await?;
                } else {
                    let fleet = self.fleet.read().await;
                    let limit = self.clock().now() + Duration::from_secs(1) * self.clock().speed();
                    if fleet.wait_until(limit, |members| behind(members).is_empty()).await {
                        return Ok(());
                    }
                }
            }
        };
        match timeout(limit, passing).await {
            Ok(passed) => passed,
            Err(_) => {
                let fleet = self.fleet.read().await;
                let late = behind(fleet.members());
                Err(TimeError::Waited {
                    heartbeats,
                    limit,
                    missing: late.len(),
                    clients: start.len(),
                    example: late.into_iter().next().unwrap_or_default(),
                })
            }
        }
    }

    /// Waits until nothing is under way and nothing is due.
    async fn settle(&self) -> Result<(), TimeError> {
        let at = self.clock().now();
        let fleet = self.fleet.read().await;
        let quiet = async {
            fleet
                .wait_until(Timestamp::NEVER, |members| {
                    members.iter().all(|one| is_quiet(one, &self.site, at))
                })
                .await;
            // What the clients have sent has yet to arrive. Clients in other processes may hold requests as well.
            while self.site.held() < fleet.members().iter().filter(|one| one.handle.held().is_some()).count()
            {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, quiet).await.map_err(|_| TimeError::Restless { at })
    }
}

fn is_quiet(member: &Member, site: &MockSite, now: Timestamp) -> bool {
    let notices = member.handle.held().is_none_or(|held| site.would_hold(held.agent, held.serial));
    notices && member.handle.is_settled(now)
}

/// Whether a client has heartbeats to come.
pub(super) fn is_on(member: &Member) -> bool {
    !member.handle.is_frozen() && !member.handle.agent().is_stopped()
}
