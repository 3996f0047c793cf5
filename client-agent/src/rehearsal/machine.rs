//! A machine and the client on it, in virtual time.

use std::time::Duration;

use epm_protocol::time::Timestamp;

use super::activation::Image;
use super::stimulus::EventKind;
use super::virtual_client::{Context, VirtualClient};
use crate::scenario::{Change, ClientAction, ClientActions, Install, PartCalendar, Place, PowerSchedule};

/// The state that all machines of a part share.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) calendar: PartCalendar,
    /// The changes of the part in this step.
    pub(super) change: Change,
    /// The number of the communications file that its machines import.
    pub(super) import: u32,
    /// The number of the hardware id that its machines get.
    pub(super) identity: u32,
    /// Whether other clients can change what happens to its clients: then they are played together, in the order of
    /// time.
    pub(super) interacts: bool,
    /// The image of its machines at the beginning.
    pub(super) image: Image,
    /// The image of machines that are installed now.
    pub(super) package: Image,
    /// The numbers of its usual and of its other location.
    pub(super) places: [u16; 2],
}

/// The numbers of a part's locations, the usual one first.
pub(super) fn places(calendar: &PartCalendar, locations: &mut Vec<Option<String>>) -> [u16; 2] {
    [Place::Usual, Place::Away].map(|place| number(locations, &calendar.location(place).map(str::to_owned)))
}

fn number(locations: &mut Vec<Option<String>>, location: &Option<String>) -> u16 {
    let place = locations.iter().position(|one| one == location).unwrap_or_else(|| {
        locations.push(location.clone());
        locations.len() - 1
    });
    u16::try_from(place).unwrap_or(u16::MAX)
}

/// A machine and the client on it.
#[derive(Clone, Debug)]
pub(super) struct Machine<C> {
    pub(super) client: C,
    pub(super) part: u32,
    pub(super) number: u32,
    now: Timestamp,
    power: PowerSchedule,
}

const MOMENT: Duration = Duration::from_millis(1);

impl<C: VirtualClient> Machine<C> {
    pub(super) fn new(client: C, part: &Part, place: (u32, u32), seed: u64, start: Timestamp) -> Self {
        let power = PowerSchedule::new(&part.calendar, seed, start);
        Self { client, part: place.0, number: place.1, now: start, power }
    }

    /// Counts the client, if it is installed.
    pub(super) fn count_arrival(&self, context: &mut Context<'_>) {
        if self.is_installed() {
            let counted = self.client.counted(context);
            context.hourly.arrived(self.now, counted);
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.power.is_on()
    }

    pub(super) fn is_installed(&self) -> bool {
        self.power.is_installed()
    }

    /// Lets time pass up to and including `end`; with `heartbeats`, only until the client has begun that many in all or
    /// the machine is off. Returns the time that it has reached.
    pub(super) fn run_until(
        &mut self,
        end: Timestamp,
        heartbeats: Option<u64>,
        part: &Part,
        context: &mut Context<'_>,
    ) -> Timestamp {
        loop {
            let most = match heartbeats {
                None => u64::MAX,
                Some(_) if !self.is_on() => return self.now,
                Some(heartbeats) => match heartbeats.saturating_sub(self.client.counts().heartbeats) {
                    0 => return self.now,
                    most => most,
                },
            };
            let transition = self.power.next_transition(self.now);
            let before = transition.min(end + MOMENT);
            if let Some(wake) = self.client.wakes_before(before) {
                if let Some(row) = self.client.skip(wake, before, most, context) {
                    if heartbeats.is_some() {
                        self.now = self.now.max(row.last());
                    }
                    continue;
                }
                self.now = self.now.max(wake);
                self.handle(EventKind::Wake, context);
                continue;
            }
            if transition > end {
                break;
            }
            self.now = self.now.max(transition);
            let actions = self.power.take_transition(&part.calendar, self.now);
            self.act(actions, part, context);
        }
        self.now = self.now.max(end);
        self.now
    }

    /// The time at which the machine or its client acts next, if that is not after `end`.
    pub(super) fn next(&self, end: Timestamp) -> Option<Timestamp> {
        let transition = self.power.next_transition(self.now);
        let wake = self.client.wakes_before(end + MOMENT);
        let next = wake.map_or(transition, |wake| wake.min(transition)).max(self.now);
        (next <= end).then_some(next)
    }

    /// Applies the changes of the part to the machine.
    pub(super) fn apply_change(&mut self, part: &Part, context: &mut Context<'_>) {
        let actions = self.power.apply_change(&part.change, self.number);
        self.act(actions, part, context);
    }

    /// Lets the client notice a change of the site.
    pub(super) fn notice_site_change(&mut self, context: &mut Context<'_>) {
        if !context.world.is_new {
            return;
        }
        self.handle(context.world.change_for(self.part, self.number), context);
    }

    fn act(&mut self, actions: ClientActions, part: &Part, context: &mut Context<'_>) {
        for action in actions {
            match action {
                ClientAction::Stop => {
                    context.hourly.switched(self.now, false);
                    self.handle(EventKind::Stop, context);
                }
                ClientAction::Install(Install::Package) => {
                    self.client.install(&part.package, context);
                    self.count_arrival(context);
                }
                ClientAction::Install(Install::Image) => {
                    let before = self.client.counted(context);
                    self.client.install(&part.image, context);
                    let after = self.client.counted(context);
                    context.hourly.changed(self.now, before, after);
                }
                ClientAction::MoveTo(place) => {
                    let [usual, away] = part.places;
                    self.handle(EventKind::Move(if place == Place::Away { away } else { usual }), context);
                }
                ClientAction::Import => self.handle(EventKind::Import(part.import), context),
                ClientAction::Identify => self.handle(EventKind::Identify(part.identity), context),
                ClientAction::Start(booted) => {
                    context.hourly.switched(self.now, true);
                    self.handle(EventKind::Start, context);
                    self.client.was_booted(booted, self.now);
                }
            }
        }
    }

    fn handle(&mut self, kind: EventKind, context: &mut Context<'_>) {
        let before = self.client.counted(context);
        self.client.handle(kind, self.now, context);
        let after = self.client.counted(context);
        if self.is_installed() {
            context.hourly.changed(self.now, before, after);
        }
    }
}
