//! Moves the lab's clock from event to event, each once all clients are idle. Used by the control API and by
//! scenarios.
//!
//! While the clock is stopped, an exchange takes no time: an answer that a fault delays arrives at once if the client
//! would still wait for it; an exchange that a fault delays longer is given up as soon as no other client is busy.
//!
//! A clock that is held after a change of the site is not stopped: what waits for lab time waits for the end of the hold.

use std::collections::HashMap;
use std::time::Duration;

use epm_client_agent::wire::{Fleet, Member, Stopwatch};
use epm_protocol::time::{Clock, Timestamp};
use tokio::time::timeout;

use crate::lab::first_behind::FirstBehind;
use crate::lab::machines::Machines;
use crate::lab::time_error::{PATIENCE, TimeError};
use crate::lab::{Lab, lock};

impl Lab {
    /// Sets the clock's speed and time while nothing else moves the clock. A held clock runs on at a new speed at once; the
    /// speed also applies after later holds. A new time causes no heartbeat: clients keep their phases.
    pub async fn set_clock(&self, speed: Option<u32>, now: Option<Timestamp>) {
        let _moving = self.moving.lock().await;
        if let Some(speed) = speed {
            self.clock().set_speed(speed);
        }
        if let Some(now) = now {
            let fleet = self.fleet.read().await;
            self.clock().set_with(now, |then| {
                self.site.action_log().clock_set(then, now);
                fleet.members().iter().for_each(|member| member.handle.clock_moved(then, now));
            });
        }
    }

    /// Advances lab time by this duration, with every heartbeat due in between. Returns once all clients are idle;
    /// the clock then continues as before.
    ///
    /// # Errors
    ///
    /// When the clients do not become idle; lab time then stays at that moment.
    pub async fn advance(&self, by: Duration) -> Result<Timestamp, TimeError> {
        let _moving = self.moving.lock().await;
        let _halted = self.clock().halt();
        let until = self.clock().now() + by;
        self.pass(&mut Machines::default(), until, |_, _| false).await?;
        self.site.pauses().asked();
        Ok(self.clock().now())
    }

    /// Waits until every client that is on has begun and completed this many more heartbeats. A stopped clock is
    /// moved.
    ///
    /// # Errors
    ///
    /// When the heartbeats are not completed within `limit` of real time.
    pub async fn pass_heartbeats(&self, heartbeats: u64, limit: Duration) -> Result<(), TimeError> {
        let start: HashMap<String, u64> = {
            let fleet = self.fleet.read().await;
            let on = fleet.members().iter().filter(|member| is_on(member));
            on.map(|member| (member.name.clone(), member.handle.heartbeats())).collect()
        };
        let is_behind = |member: &Member| {
            let before = start.get(&member.name);
            before.is_some_and(|before| {
                is_on(member) && ended_heartbeats(member) < before.saturating_add(heartbeats)
            })
        };
        let mut first = FirstBehind::default();
        let began = Stopwatch::start();
        let passing = async {
            loop {
                if self.stands() {
                    let _moving = self.moving.lock().await;
                    if self.stands() {
                        let done = |_: &Machines, members: &[Member]| !first.is_any(members, is_behind);
                        return self.pass(&mut Machines::default(), Timestamp::NEVER, done).await;
                    }
                } else if self.wait(Timestamp::NEVER, |fleet| !first.is_any(fleet.members(), is_behind)).await
                {
                    return Ok(true);
                }
            }
        };
        if timeout(limit, passing).await.unwrap_or(Ok(false))? {
            self.pass_reported_heartbeats(heartbeats, limit, began).await?;
            self.site.pauses().asked();
            return Ok(());
        }
        let fleet = self.fleet.read().await;
        let late = fleet.members().iter().filter(|member| is_behind(member));
        let late: Vec<String> = late.map(|member| member.name.clone()).collect();
        Err(TimeError::Waited {
            heartbeats,
            limit,
            missing: late.len(),
            clients: start.len(),
            example: late.into_iter().next().unwrap_or_default(),
        })
    }

    /// Lets lab time pass until `done` holds, checked whenever all clients are idle, or until `limit`. Returns
    /// whether it holds; false also when nothing more is due.
    ///
    /// A stopped clock is moved from event to event, and the caller ensures that nothing else moves it. With a
    /// running clock, this waits.
    pub(super) async fn pass(
        &self,
        machines: &mut Machines,
        limit: Timestamp,
        mut done: impl FnMut(&Machines, &[Member]) -> bool,
    ) -> Result<bool, TimeError> {
        loop {
            if self.stands() {
                self.site.faults().ports_settled().await;
            }
            machines.take_transitions(self).await?;
            self.take_presence_transitions().await;
            if self.stands() {
                self.settle().await?;
            }
            if done(machines, self.fleet.read().await.members()) {
                return Ok(true);
            }
            let now = self.clock().now();
            let due = machines.next_transition(now).min(limit);
            let due = due.min(self.present.lock().await.next_transition(now));
            if now >= limit {
                return Ok(false);
            }
            if !self.stands() {
                self.wait(due, |fleet| done(machines, fleet.members())).await;
                continue;
            }
            let due = due.min(self.fleet.read().await.next_wake());
            let due = due.min(self.site.faults().set().next_turn(now));
            if due == Timestamp::NEVER {
                return Ok(false);
            }
            self.clock().set(due.max(now));
        }
    }

    /// Waits until `done` holds or the clock shows `until`, but for one second of real time at most, since what is due may change
    /// in between. Returns whether it holds.
    async fn wait(&self, until: Timestamp, done: impl FnMut(&Fleet) -> bool) -> bool {
        let second = self.clock().now() + Duration::from_secs(1) * self.clock().speed();
        self.wait_until(until.min(second), done).await
    }

    /// Waits until `done` holds, which is asked again whenever a client has ended a heartbeat; false when the clock passes `limit`
    /// first. The fleet is locked only while it is looked at: a change that waits for a reader holds up all readers after it.
    pub(super) async fn wait_until(&self, limit: Timestamp, mut done: impl FnMut(&Fleet) -> bool) -> bool {
        let mut progress = self.fleet.read().await.progress();
        loop {
            progress.mark_unchanged();
            if done(&*self.fleet.read().await) {
                return true;
            }
            tokio::select! {
                changed = progress.changed() => if changed.is_err() { return done(&*self.fleet.read().await) },
                () = self.clock().sleep_until(limit) => return done(&*self.fleet.read().await),
            }
        }
    }

    /// Waits until every client has ended the heartbeats that are due now, for three seconds of real time at most. A client
    /// that has just been switched on is not served yet, which is no finding.
    pub(super) async fn end_due_heartbeats(&self) {
        let now = self.clock().now();
        let limit = now + Duration::from_secs(3) * self.clock().speed();
        if !self.stands() {
            self.wait_until(limit, |fleet| fleet.settled(now).is_some()).await;
        }
    }

    /// Whether the clock is stopped.
    pub(super) fn stands(&self) -> bool {
        self.clock().speed() == 0
    }

    /// Waits until every client has acted on its inputs and, with the clock stopped, until all clients are idle: no
    /// exchange in progress, nothing due now.
    pub(super) async fn settle(&self) -> Result<(), TimeError> {
        if !self.stands() {
            self.wait_until(Timestamp::NEVER, Fleet::has_heard).await;
            return Ok(());
        }
        let at = self.clock().now();
        let idle = async {
            let mut progress = self.fleet.read().await.progress();
            let mut stalled = self.site.faults().stalled();
            let mut held = self.site.held_requests().changes();
            loop {
                progress.mark_unchanged();
                stalled.mark_unchanged();
                held.mark_unchanged();
                if self.is_idle(&*self.fleet.read().await, at) {
                    return;
                }
                tokio::select! {
                    _ = progress.changed() => {}
                    _ = stalled.changed() => {}
                    _ = held.changed() => {}
                }
            }
        };
        timeout(PATIENCE, idle).await.map_err(|_| TimeError::Restless { at })
    }

    /// Whether all clients are idle; if not, those that wait in vain give up.
    fn is_idle(&self, fleet: &Fleet, at: Timestamp) -> bool {
        let settled = fleet.settled(at);
        if settled.is_none() {
            self.give_up_stalled(fleet, at);
            return false;
        }
        // A client that gets its answer while the requests are looked at wants none held at that moment.
        lock(&self.held_check).is_right(&self.site, fleet) && fleet.settled(at) == settled
    }

    /// Once every busy client only waits on a connection that a fault stalls, these clients give up, as if their
    /// limit were reached.
    fn give_up_stalled(&self, fleet: &Fleet, now: Timestamp) {
        let stalled = self.site.faults().stalled();
        let stalled = stalled.borrow();
        if stalled.is_empty() {
            return;
        }
        let busy: Vec<_> = fleet.members().iter().filter(|one| !one.handle.is_settled(now)).collect();
        let is_stalled = |one: &Member| one.handle.connection().is_some_and(|from| stalled.contains(&from));
        let waiting: Vec<_> = busy.iter().filter(|one| is_stalled(one)).collect();
        // With the maximum number of concurrent heartbeats, other clients wait for these.
        if waiting.len() == busy.len() || waiting.len() == fleet.turns() {
            waiting.iter().for_each(|one| one.handle.give_up());
        }
    }
}

/// Whether a client has heartbeats due in the future.
fn is_on(member: &Member) -> bool {
    !member.handle.is_frozen() && !member.handle.is_stopped()
}

/// Number of heartbeats that a client has completed.
pub(super) fn ended_heartbeats(member: &Member) -> u64 {
    member.handle.ended_heartbeats()
}
