//! A machine and the client on it, in virtual time.

use std::time::Duration;

use epm_protocol::time::Timestamp;

use super::activation::Body;
use super::memo::Happening;
use super::virtual_client::{Client, Scene};
use crate::scenario::{Attendance, Change, Deeds, Install, PartDay, Place};

/// What all machines of a part have in common.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) day: PartDay,
    /// What has happened to it since the step began.
    pub(super) change: Change,
    /// The number of the communications file that was brought to it last.
    pub(super) import: u32,
    /// The number of the hardware id that was given to it last.
    pub(super) identity: u32,
    /// Whether what others do may change something for its clients: then they are played together, in the order of time.
    pub(super) meets: bool,
    /// What its machines are installed with, at the beginning.
    pub(super) image: Image,
    /// What they would be installed with now, if they were.
    pub(super) package: Image,
    /// Its usual and its other location, by their numbers.
    pub(super) places: [u16; 2],
}

/// A client as it is installed.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) body: Body,
    /// Its number among all.
    pub(super) number: u32,
}

/// A machine and the client on it.
#[derive(Clone, Debug)]
pub(super) struct Machine<C> {
    pub(super) client: C,
    pub(super) part: u32,
    pub(super) number: u32,
    now: Timestamp,
    attendance: Attendance,
}

const MOMENT: Duration = Duration::from_millis(1);

impl<C: Client> Machine<C> {
    pub(super) fn new(client: C, part: &Part, place: (u32, u32), seed: u64, start: Timestamp) -> Self {
        let attendance = Attendance::new(&part.day, seed, start);
        Self { client, part: place.0, number: place.1, now: start, attendance }
    }

    /// It is there from the beginning, or not yet.
    pub(super) fn appear(&self, scene: &mut Scene<'_>) {
        if self.is_installed() {
            let standing = self.client.standing(scene);
            scene.tally.arrived(self.now, standing);
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.attendance.is_on()
    }

    pub(super) fn is_installed(&self) -> bool {
        self.attendance.is_installed()
    }

    /// Lets time pass until `end`, and with it; or until it has begun so many heartbeats in all, if that comes first or
    /// the machine is switched off. Returns when.
    pub(super) fn live(
        &mut self,
        end: Timestamp,
        heartbeats: Option<u64>,
        part: &Part,
        scene: &mut Scene<'_>,
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
            let edge = self.attendance.next_edge(&part.day, self.now);
            let before = edge.min(end + MOMENT);
            if let Some(wake) = self.client.wakes_before(before) {
                if let Some(row) = self.client.skip(wake, before, most, scene) {
                    if heartbeats.is_some() {
                        self.now = self.now.max(row.last());
                    }
                    continue;
                }
                self.now = self.now.max(wake);
                self.meet(Happening::Wake, scene);
                continue;
            }
            if edge > end {
                break;
            }
            self.now = self.now.max(edge);
            let deeds = self.attendance.pass_edge(&part.day, self.now);
            self.act(deeds, part, scene);
        }
        self.now = self.now.max(end);
        self.now
    }

    /// When something happens to it next, if that is not after `end`.
    pub(super) fn next(&self, part: &Part, end: Timestamp) -> Option<Timestamp> {
        let edge = self.attendance.next_edge(&part.day, self.now);
        let wake = self.client.wakes_before(end + MOMENT);
        let next = wake.map_or(edge, |wake| wake.min(edge)).max(self.now);
        (next <= end).then_some(next)
    }

    /// Something has happened to its part, or not.
    pub(super) fn obey(&mut self, part: &Part, scene: &mut Scene<'_>) {
        let deeds = self.attendance.obey(&part.day, part.change);
        self.act(deeds, part, scene);
    }

    /// The site has changed.
    pub(super) fn feel(&mut self, scene: &mut Scene<'_>) {
        if !scene.world.is_new {
            return;
        }
        if scene.world.forgot_clients {
            self.meet(Happening::Forgotten, scene);
        } else {
            self.meet(Happening::Changed, scene);
        }
    }

    fn act(&mut self, deeds: Deeds, part: &Part, scene: &mut Scene<'_>) {
        if deeds.stop {
            scene.tally.switched(self.now, false);
            self.meet(Happening::Stop, scene);
        }
        match deeds.install {
            None => {}
            Some(Install::Package) => {
                self.client.install(&part.package, scene);
                self.appear(scene);
            }
            Some(Install::Image) => {
                let before = self.client.standing(scene);
                self.client.install(&part.image, scene);
                let after = self.client.standing(scene);
                scene.tally.changed(self.now, before, after);
            }
        }
        if let Some(place) = deeds.go {
            let [usual, away] = part.places;
            self.meet(Happening::Move(if place == Place::Away { away } else { usual }), scene);
        }
        if deeds.import {
            self.meet(Happening::Import(part.import), scene);
        }
        if deeds.identify {
            self.meet(Happening::Identify(part.identity), scene);
        }
        if deeds.start {
            scene.tally.switched(self.now, true);
            self.meet(Happening::Start, scene);
        }
    }

    fn meet(&mut self, happening: Happening, scene: &mut Scene<'_>) {
        let before = self.client.standing(scene);
        self.client.meet(happening, self.now, scene);
        let after = self.client.standing(scene);
        if self.is_installed() {
            scene.tally.changed(self.now, before, after);
        }
    }
}
