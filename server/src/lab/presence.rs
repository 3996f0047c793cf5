//! Switches machines of a running lab on and off by their presence. The control API can switch the same machines; that
//! holds until their presence switches them next.

use std::sync::Arc;
use std::time::Duration;

use epm_client_agent::agent::Input;
use epm_client_agent::scenario::{ClientAction, PartCalendar, PlanError, PowerSchedule};
use epm_client_agent::wire::Member;
use epm_protocol::time::{Clock, Timestamp};

use crate::lab::{Lab, lock};

/// Longest real time that a machine stays on for a heartbeat that is due.
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(3);

impl Lab {
    /// Switches the machines of a part on and off by its presence from now on. All go off now, until the presence next
    /// switches them on.
    ///
    /// # Errors
    ///
    /// When the presence contradicts itself.
    pub async fn follow_presence(&self, part: &str) -> Result<(), PlanError> {
        self.follow_presence_since(part, self.clock().now()).await
    }

    /// Does so by a presence that began at this time.
    pub(super) async fn follow_presence_since(&self, part: &str, since: Timestamp) -> Result<(), PlanError> {
        let Some(plan) = lock(&self.parts).get(part).cloned() else { return Ok(()) };
        let now = self.clock().now();
        let calendar = PartCalendar::new(&plan, since)
            .map_err(|source| PlanError::Presence { part: plan.name.clone(), source })?;
        let calendar = Arc::new(calendar);
        let mut present = self.present.lock().await;
        present.1.insert(part.to_owned(), since);
        for number in 1..=plan.count {
            let (name, seed) = (plan.client_name(number), plan.client_seed(self.seed, number));
            if let Ok(member) = self.member(&name).await
                && !member.handle.is_stopped()
            {
                member.handle.tell(Input::Stop).await;
            }
            let power = PowerSchedule::off_until_next(&calendar, seed, now);
            present.0.insert(name, (Arc::clone(&calendar), power));
        }
        self.presence_changed.notify_one();
        Ok(())
    }

    /// Switches machines on and off by their presence while the clock runs. Never returns.
    pub async fn keep_presence(&self) {
        loop {
            let next = self.present.lock().await.next_transition(self.clock().now());
            tokio::select! {
                () = self.clock().sleep_until(next) => self.take_presence_transitions().await,
                () = self.presence_changed.notified() => {}
            }
        }
    }

    /// Switches the machines whose transition is due.
    pub(super) async fn take_presence_transitions(&self) {
        let now = self.clock().now();
        let mut present = self.present.lock().await;
        for (name, (part, power)) in &mut present.0 {
            while power.next_transition(now) <= now {
                for action in power.take_transition(part, now) {
                    let input = match action {
                        ClientAction::Stop => Input::Stop,
                        ClientAction::Start(booted) => Input::Start { booted },
                        ClientAction::MoveTo(place) => Input::MoveTo(part.location(place).map(str::to_owned)),
                        // Only in scenarios, and for parts that arrive or are re-imaged.
                        ClientAction::Install(_) | ClientAction::Import | ClientAction::Identify => continue,
                    };
                    let Ok(member) = self.member(name).await else { continue };
                    if matches!(input, Input::Stop) {
                        self.await_heartbeat(&member).await;
                    }
                    member.handle.tell(input).await;
                }
            }
        }
    }

    /// Lets a client end the heartbeats that are due before its machine goes off: on a busy machine they would otherwise not
    /// happen at all, since lab time passes while the client waits for its turn.
    async fn await_heartbeat(&self, member: &Member) {
        let clock = self.clock();
        let limit = clock.now() + LONGEST_HEARTBEAT * clock.speed();
        if !self.stands() {
            self.wait_until(limit, |_| member.handle.is_settled(clock.now())).await;
        }
    }
}
