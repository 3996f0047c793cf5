//! An activation of a client: from a stimulus, exchange by exchange, until the client rests. It takes no time.
//!
//! The real [`Agent`] decides; this is its driver in virtual time.

use bytes::Bytes;
use epm_protocol::heartbeat::{AgentRequest, ExchangeFailure, ManagerResponse, Stage};
use epm_protocol::site::RegisteredClient;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Signed;

use super::faulted::{FaultedClient, OpenConnection};
use super::stimulus::Stimulus;
use super::transcript::ManagerAction;
use super::world::{Carried, World};
use crate::agent::{Agent, Event, Exchange, Input, Output, Timing};

/// The largest number of exchanges in an activation.
const MOST_EXCHANGES: usize = 1000;

/// A client with everything that its driver keeps for it.
#[derive(Clone, Debug)]
pub(super) struct ClientSnapshot {
    pub(super) agent: Agent,
    /// The client's registration at the site, if it is registered.
    pub(super) record: Option<RegisteredClient>,
    /// The request that a manager holds open.
    pub(super) held: Option<Exchange>,
}

/// A client as it is installed on a machine.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) snapshot: ClientSnapshot,
    /// The number of the image.
    pub(super) number: u32,
}

/// What a client did from a stimulus until it rested.
#[derive(Clone, Debug, Default)]
pub(super) struct Activation {
    /// What the client decided about its next heartbeat, in order.
    pub(super) timings: Vec<Timing>,
    /// What the client wrote into its log.
    pub(super) lines: Vec<(Event, String)>,
    /// The indices of the managers that the client connected to.
    pub(super) visits: Vec<usize>,
    /// The actions of managers, each with the manager's index.
    pub(super) manager_events: Vec<(usize, ManagerAction)>,
    /// Invariants that were broken.
    pub(super) broken: Vec<String>,
}

impl ClientSnapshot {
    /// Gives the client a stimulus, and carries its exchanges to the managers until it rests. `faulted` is the client's
    /// identity to the faults, if there may be any.
    pub(super) fn activate(
        &mut self,
        stimulus: Stimulus,
        world: &World,
        now: Timestamp,
        mut faulted: Option<&mut FaultedClient>,
    ) -> Activation {
        let mut activation = Activation::default();
        let mut open: Option<OpenConnection> = None;
        let mut input = match stimulus {
            Stimulus::Told(input) => Some(input),
            Stimulus::Changed => {
                let held = self.held.clone();
                let input = self.changed(world, now, &mut activation.manager_events);
                if let (Some(held), Some(Input::Answered { outcome: Ok(_), .. })) = (held, &input) {
                    // What follows the answer goes over the connection of the held request.
                    open = faulted.as_mut().map(|faulted| faulted.connection_of(&held));
                }
                input
            }
        };
        let mut speaking = None;
        for _ in 0..MOST_EXCHANGES {
            let Some(told) = input.take() else {
                if let (Some(faulted), Some(held)) = (&mut faulted, &self.held) {
                    faulted.keep(held, open);
                }
                return activation;
            };
            let before = self.agent.clone();
            let answer = match &told {
                Input::Answered { outcome: Ok(response), .. } => Some(response.clone()),
                _ => None,
            };
            let outputs = self.agent.handle(told, now);
            activation.timings.extend_from_slice(self.agent.timings());
            check(&before, &self.agent, answer.as_ref(), world, &mut activation.broken);
            for output in outputs {
                match output {
                    Output::Log(line) => activation.lines.push((line.event, line.text)),
                    Output::EndSession => {
                        (speaking, open) = (None, None);
                        self.held = None;
                    }
                    Output::Persist(_) => {}
                    Output::Odd(what) => activation.broken.push(what.to_owned()),
                    Output::Send(exchange) => {
                        self.held = None;
                        if speaking.as_ref() != Some(&exchange.server)
                            && !matches!(exchange.request, AgentRequest::Hold { .. })
                            && let Some(manager) = world.manager_at(&exchange)
                        {
                            activation.visits.push(manager);
                        }
                        speaking = Some(exchange.server.clone());
                        let carried = match &mut faulted {
                            None => world.carry(&exchange, &mut self.record, now),
                            Some(faulted) => {
                                world.carry_faulted(&exchange, &mut self.record, now, faulted, &mut open)
                            }
                        };
                        match carried {
                            Carried::Held => self.held = Some(*exchange),
                            Carried::Ended(outcome) => {
                                activation.manager_events.extend(manager_event(world, &exchange, &outcome));
                                input = Some(Input::Answered { exchange: exchange.id, outcome });
                            }
                        }
                    }
                }
            }
        }
        activation.broken.push(format!("a client made more than {MOST_EXCHANGES} exchanges in one moment"));
        activation
    }

    /// Checks whether a change of the site answers the held request, or has ended its connection.
    fn changed(
        &mut self,
        world: &World,
        now: Timestamp,
        manager_events: &mut Vec<(usize, ManagerAction)>,
    ) -> Option<Input> {
        let held = self.held.take()?;
        let exchange = held.id;
        if world.has_ended(&held) {
            let detail = "the manager has ended the connection".to_owned();
            let outcome = Err(ExchangeFailure::ConnectionLost { stage: Stage::Answer, detail });
            return Some(Input::Answered { exchange, outcome });
        }
        // The connection is open: its certificate was judged when it was opened.
        let open = Exchange { check: crate::agent::TlsCheck::Nothing, ..held.clone() };
        match world.carry(&open, &mut self.record, now) {
            Carried::Held => {
                self.held = Some(held);
                None
            }
            Carried::Ended(outcome) => {
                manager_events.extend(manager_event(world, &open, &outcome));
                Some(Input::Answered { exchange, outcome })
            }
        }
    }
}

/// The action of the manager in an exchange, if it noticed the exchange at all.
fn manager_event(
    world: &World,
    exchange: &Exchange,
    outcome: &Result<ManagerResponse, ExchangeFailure>,
) -> Option<(usize, ManagerAction)> {
    let action = match outcome {
        // A request sealed with another secret cannot be decoded.
        Ok(response) if response.status == 400 => ManagerAction::Answered { action: "refused", status: 400 },
        Ok(response) => {
            ManagerAction::Answered { action: exchange.request.action(), status: response.status }
        }
        Err(ExchangeFailure::TlsRejected { .. } | ExchangeFailure::TlsFailed { .. }) => {
            ManagerAction::ShownInVain
        }
        Err(_) => return None,
    };
    Some((world.manager_at(exchange)?, action))
}

/// Checks the invariants that hold whenever a client has handled an answer.
fn check(
    before: &Agent,
    after: &Agent,
    answer: Option<&ManagerResponse>,
    world: &World,
    broken: &mut Vec<String>,
) {
    let (old, new) = (&before.cache().state, &after.cache().state);
    let Some(response) = answer else { return };
    let adopted =
        old.serial != new.serial || old.list_checksum != new.list_checksum || old.packages != new.packages;
    if adopted && before.is_secure() {
        let signature = response.signature.as_ref().and_then(|header| header.signature());
        if Signed::<Bytes>::new(response.body.clone(), signature).verify(before.pins()).is_err() {
            broken.push("a client adopted an unsigned download while it was secure".to_owned());
        }
    }
    if let (Some(old), Some(new)) = (old.serial, new.serial)
        && old.changed() > new.changed()
        && before.cache().state.group == after.cache().state.group
    {
        broken.push(format!("a client went back from policy {old} to {new}"));
    }
    let is_healed = old.health.orphaned().is_some() && new.health.is_connected();
    if is_healed && response.status >= 400 {
        broken.push("an orphaned client recovered though no manager served it".to_owned());
    }
    // Without a new list only a manager that it trusts can bring it back: an old certificate returned, or a date has
    // passed.
    let has_no_new_list = before.pins() == after.pins() && before.is_secure();
    if is_healed && has_no_new_list && !world.is_known_by(before.pins()) {
        broken.push("an orphaned client recovered without a new list though it trusts no manager".to_owned());
    }
}
