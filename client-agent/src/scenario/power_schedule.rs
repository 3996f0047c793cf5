//! The power schedule of a machine: when it is on, where it is, and the actions on its client. The same for both
//! drivers.

use std::collections::BTreeMap;
use std::time::Duration;

use epm_protocol::time::Timestamp;

use super::plan::{ChangedMachines, FleetAction, PartPlan};
use super::presence::calendar::Calendar;
use super::presence::error::PresenceError;
use super::presence::window::{Place, Window};

/// The calendar that all machines of a part share.
#[derive(Clone, Debug)]
pub struct PartCalendar {
    calendar: Calendar,
    arrives: bool,
    usual: Option<String>,
    away: Option<String>,
}

/// The power schedule of a machine.
#[derive(Clone, Copy, Debug)]
pub struct PowerSchedule {
    seed: u64,
    /// The window in which the machine is on, or will be next.
    window: Option<Window>,
    /// The boot of the machine, if it is on when the run starts and its service has not been started yet.
    booted_before: Option<Timestamp>,
    /// The place of which the client was told.
    place: Place,
    is_on: bool,
    /// Whether the machine was switched off by hand, which keeps it off.
    is_kept_off: bool,
    is_installed: bool,
    is_reimaged: bool,
}

/// The actions on a client after a change of its machine, in the order in which every driver carries them
/// out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientActions {
    stop: bool,
    install: Option<Install>,
    move_to: Option<Place>,
    import: bool,
    identify: bool,
    start: Option<Timestamp>,
}

/// An action on the client of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAction {
    /// Stops the client's service.
    Stop,
    /// Installs a client, which replaces the present one.
    Install(Install),
    /// Tells the client the location of this place; see [`PartCalendar::location`].
    MoveTo(Place),
    /// Imports the communications file of the part's change.
    Import,
    /// Gives the machine the hardware id of the part's change.
    Identify,
    /// Starts the client's service on a machine that was booted at this time.
    Start(Timestamp),
}

impl IntoIterator for ClientActions {
    type Item = ClientAction;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<ClientAction>, 6>>;

    fn into_iter(self) -> Self::IntoIter {
        [
            self.stop.then_some(ClientAction::Stop),
            self.install.map(ClientAction::Install),
            self.move_to.map(ClientAction::MoveTo),
            self.import.then_some(ClientAction::Import),
            self.identify.then_some(ClientAction::Identify),
            self.start.map(ClientAction::Start),
        ]
        .into_iter()
        .flatten()
    }
}

/// The changes of a part in a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Whether the usual location changes.
    is_moved: bool,
    /// Whether its machines get another hardware id.
    identifies: bool,
    /// What all its machines do.
    all: MachineChange,
    /// What single machines do, by their number.
    single: BTreeMap<u32, MachineChange>,
}

/// What a machine does in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct MachineChange {
    /// Whether it is switched on, or off.
    switched_on: Option<bool>,
    /// Whether a communications file is imported on it.
    imports: bool,
}

impl Change {
    /// Notes that machines are switched on or off; the last word counts.
    fn switch(&mut self, machines: ChangedMachines, on: bool) {
        match machines {
            ChangedMachines::All => {
                self.single.values_mut().for_each(|one| one.switched_on = None);
                self.all.switched_on = Some(on);
            }
            ChangedMachines::One(number) => self.single.entry(number).or_default().switched_on = Some(on),
        }
    }

    fn import(&mut self, machines: ChangedMachines) {
        match machines {
            ChangedMachines::All => self.all.imports = true,
            ChangedMachines::One(number) => self.single.entry(number).or_default().imports = true,
        }
    }

    fn of_machine(&self, number: u32) -> MachineChange {
        let single = self.single.get(&number).copied().unwrap_or_default();
        MachineChange {
            switched_on: single.switched_on.or(self.all.switched_on),
            imports: single.imports || self.all.imports,
        }
    }
}

/// The communications file with which a client is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install {
    /// The file that the console exports at that moment.
    Package,
    /// The file of the beginning, from an old image.
    Image,
}

/// The length of time for which calendars are made.
const HORIZON: Duration = Duration::from_secs(3660 * 86_400);

impl PartCalendar {
    /// Makes the calendar of this part.
    ///
    /// # Errors
    ///
    /// When its presence is impossible.
    pub fn new(plan: &PartPlan, start: Timestamp) -> Result<Self, PresenceError> {
        let calendar = Calendar::new(plan, start, start + HORIZON)?;
        Ok(Self {
            arrives: plan.arrives.is_some(),
            usual: plan.location.clone(),
            away: calendar.away_location().map(str::to_owned).or_else(|| plan.location.clone()),
            calendar,
        })
    }

    /// Whether its machines are installed when they first come on, instead of at the beginning.
    pub fn arrives(&self) -> bool {
        self.arrives
    }

    /// The location at this place; the default one if none.
    pub fn location(&self, place: Place) -> Option<&str> {
        match place {
            Place::Usual => self.usual.as_deref(),
            Place::Away => self.away.as_deref(),
        }
    }

    /// Applies an action on these machines of the part.
    pub fn apply(&mut self, action: &FleetAction, machines: ChangedMachines, change: &mut Change) {
        match action {
            FleetAction::SwitchOff(_) => change.switch(machines, false),
            FleetAction::SwitchOn(_) => change.switch(machines, true),
            FleetAction::Move { location, .. } => {
                self.usual.clone_from(location);
                change.is_moved = true;
            }
            FleetAction::ImportSylink { .. } | FleetAction::UpdatePackage { .. } => change.import(machines),
            FleetAction::Identify { .. } => change.identifies = true,
        }
    }
}

impl PowerSchedule {
    /// Makes the schedule of a machine that is not on yet.
    pub fn new(part: &PartCalendar, seed: u64, start: Timestamp) -> Self {
        let window = part.calendar.window(seed, start);
        Self {
            seed,
            window,
            booted_before: window.filter(|one| one.booted < one.on).map(|one| one.booted),
            place: Place::Usual,
            is_on: false,
            is_kept_off: false,
            is_installed: !part.arrives,
            is_reimaged: false,
        }
    }

    /// A machine that is switched off now, until its presence switches it on the next time.
    pub fn off_until_next(part: &PartCalendar, seed: u64, now: Timestamp) -> Self {
        let machine = Self::new(part, seed, now);
        let window = machine.window.and_then(|first| {
            if first.on <= now { part.calendar.window(seed, first.off) } else { Some(first) }
        });
        Self { window, booted_before: None, is_installed: true, ..machine }
    }

    /// Whether the machine is on.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether a client has been installed on the machine.
    pub fn is_installed(&self) -> bool {
        self.is_installed
    }

    /// The time at which the machine is next switched on or off.
    pub fn next_transition(&self, now: Timestamp) -> Timestamp {
        match self.window {
            None => Timestamp::NEVER,
            Some(window) if self.is_on => window.off,
            Some(_) if self.is_kept_off => Timestamp::NEVER,
            Some(window) => window.on.max(now),
        }
    }

    /// Makes the transition at the time of [`Self::next_transition`].
    pub fn take_transition(&mut self, part: &PartCalendar, now: Timestamp) -> ClientActions {
        let mut actions = ClientActions::default();
        // While it was kept off by hand, its hours may have passed.
        let window = part.calendar.window(self.seed, now);
        self.window = window;
        if self.is_on {
            self.is_on = false;
            actions.stop = true;
            return actions;
        }
        let Some(window) = window.filter(|window| window.on <= now) else { return actions };
        if !self.is_installed {
            self.is_installed = true;
            actions.install = Some(Install::Package);
        } else if !self.is_reimaged && part.calendar.reimaged(self.seed).is_some_and(|at| at <= now) {
            self.is_reimaged = true;
            actions.install = Some(Install::Image);
            self.place = Place::Usual;
        }
        if window.place != self.place {
            self.place = window.place;
            actions.move_to = Some(window.place);
        }
        self.is_on = true;
        actions.start = Some(self.booted_before.take().unwrap_or(now));
        actions
    }

    /// Applies changes of the part to the machine with this number.
    pub fn apply_change(&mut self, change: &Change, number: u32) -> ClientActions {
        let mut actions = ClientActions::default();
        let own = change.of_machine(number);
        if let Some(on) = own.switched_on {
            self.is_kept_off = !on;
        }
        if self.is_kept_off && self.is_on {
            self.is_on = false;
            actions.stop = true;
        }
        if change.is_moved && self.place == Place::Usual {
            actions.move_to = Some(Place::Usual);
        }
        actions.import = own.imports && self.is_on;
        actions.identify = change.identifies && self.is_on;
        actions
    }
}
