//! The rounds of a soak: the site and the fleet, the ways to rotate, the faults, and how a seed draws them.

use std::fmt::Write;

/// The faults of which one may act on a round; each kind does the same to a client with both drivers.
const FAULTS: [&str; 16] = [
    "what = 'refuse'\nwhere = { manager = 'sepm-1' }",
    "what = 'refuse'\nwhom = { percent = 30 }\nprobability = 0.5",
    "what = 'blackhole'\nprobability = 0.2",
    "what = 'accept-then-stall'\nwhom = { percent = 20 }\nprobability = 0.5",
    "what = { kind = 'handshake-stall', stage = 'after-finished' }\nwhen = { first = 2 }",
    "what = 'no-shared-cipher'\nwhen = { every = 2 }",
    "what = 'other-self-signed'\nwhom = { percent = 5 }",
    "what = 'expired'\nwhom = { percent = 10 }\nprobability = 0.5",
    "what = 'status'\nwhere = { route = 'index' }\nwhen = { after = 1, every = 3 }",
    "what = 'status'\nwhere = { manager = 'sepm-2' }\nprobability = 0.5",
    "what = { kind = 'latency', ms = 2000 }\nprobability = 0.7",
    "what = { kind = 'latency', ms = 45000 }\nprobability = 0.3",
    "what = { kind = 'slicer', slice_bytes = 10, gap_ms = 1 }\nprobability = 0.3",
    "what = { kind = 'limit-data', bytes = 20 }\nwhere = { direction = 'to-manager' }\nprobability = 0.3",
    "what = 'bad-signature'\nwhere = { route = 'policy' }\nwhen = { first = 2 }",
    "what = 'database-down'\nprobability = 0.5",
];

/// A way to rotate the certificates of all managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rotation {
    OneByOne,
    HttpFirst,
    AllAtOnce,
    NoWait,
    NotSwitchedOff,
    GroupForgotten,
    OnTooEarly,
}

impl Rotation {
    const RIGHT: [Self; 2] = [Self::OneByOne, Self::HttpFirst];
    const CARELESS: [Self; 5] =
        [Self::AllAtOnce, Self::NoWait, Self::NotSwitchedOff, Self::GroupForgotten, Self::OnTooEarly];

    const WAITING: [Self; 5] =
        [Self::OneByOne, Self::HttpFirst, Self::AllAtOnce, Self::NotSwitchedOff, Self::GroupForgotten];

    pub(crate) fn is_right(self) -> bool {
        Self::RIGHT.contains(&self)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OneByOne => "one by one",
            Self::HttpFirst => "HTTP first",
            Self::AllAtOnce => "all at once",
            Self::NoWait => "no wait",
            Self::NotSwitchedOff => "not switched off",
            Self::GroupForgotten => "group forgotten",
            Self::OnTooEarly => "on too early",
        }
    }

    /// The commands of each step, with the wait after them.
    fn steps(self) -> Vec<(String, &'static str)> {
        const WAIT: &str = "{ heartbeats = 3 }";
        const SHORT: &str = "{ time = '10s' }";
        let update = |managers: &[u32]| {
            managers.iter().fold(String::new(), |mut text, number| {
                let certificate = "certificate = { generate = {} }";
                let _ = write!(
                    text,
                    "{{ update-certificate = {{ manager = 'sepm-{number}', {certificate} }} }},"
                );
                text
            })
        };
        let both = |of: &dyn Fn(&str) -> String| of(r"My Company") + &of(r"My Company\Laptops");
        let assign = |list: &str, group: &str| {
            format!("{{ assign-list = {{ list = '{list}', group = '{group}' }} }},")
        };
        let secure = |on: bool, group: &str| {
            format!("{{ set-secure-communications = {{ group = '{group}', on = {on} }} }},")
        };
        let usual = |list: &str| both(&|group| assign(list, group));
        let switch = |on: bool| both(&|group| secure(on, group)) + &secure(on, r"My Company\Legacy");
        let (http, default) = ("HTTP", "Default Management Server List for My Site");
        let all = update(&[1, 2, 3]);
        match self {
            Self::OneByOne => [1, 2, 3].map(|one| (update(&[one]), WAIT)).to_vec(),
            Self::AllAtOnce => vec![(all, WAIT)],
            Self::NoWait => vec![(update(&[1]), SHORT), (update(&[2]), SHORT), (update(&[3]), WAIT)],
            Self::NotSwitchedOff => vec![(usual(http), WAIT), (all, WAIT), (usual(default), WAIT)],
            Self::GroupForgotten => vec![
                (assign(http, "My Company"), WAIT),
                (secure(false, "My Company"), WAIT),
                (all, WAIT),
                (secure(true, "My Company") + &assign(default, "My Company"), WAIT),
            ],
            Self::HttpFirst | Self::OnTooEarly => vec![
                (usual(http), WAIT),
                (switch(false), WAIT),
                (all, if self == Self::HttpFirst { WAIT } else { SHORT }),
                (switch(true) + &usual(default), WAIT),
            ],
        }
    }
}

/// The moments at which clients in push mode have their heartbeats. A restart of a manager and a restored snapshot end the
/// requests that a manager holds, which no scenario says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phases {
    /// The same as in the rehearsal: everything is compared.
    Equal,
    /// Others than in the rehearsal: everything but the protocol of the last heartbeat is compared.
    Shifted,
}

/// Numbers from a seed (SplitMix64).
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap_or(0)
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// The scenario without steps: the site, the fleet, and the faults that rounds may set.
pub(crate) fn scenario(clients: usize, seed: u64) -> String {
    let (push, legacy) = (clients * 2 / 5, clients / 10);
    let pull = clients - push - legacy;
    let mut text = format!(
        r#"title = "Soak"
seed = {seed}
clock = {{ start = "2026-01-05T08:00:00Z" }}

[site]
managers = [{{ name = "sepm-1" }}, {{ name = "sepm-2" }}, {{ name = "sepm-3" }}]
setup = [
  {{ set-communication = {{ group = 'My Company', change = {{ heartbeat_seconds = 40 }} }} }},
  {{ copy-list = {{ from = "Default Management Server List for My Site", to = "HTTP" }} }},
  {{ edit-list = {{ list = "HTTP", protocol = "http" }} }},
  {{ add-group = {{ group = 'My Company\Desktops' }} }},
  {{ add-group = {{ group = 'My Company\Laptops', inherits = false }} }},
  {{ set-communication = {{ group = 'My Company\Laptops', change = {{ mode = "push" }} }} }},
  {{ add-group = {{ group = 'My Company\Legacy', inherits = false }} }},
  {{ assign-list = {{ list = "HTTP", group = 'My Company\Legacy' }} }},
]
"#
    );
    for (part, count, group, version) in [
        ("desktop", pull, "Desktops", "14.3.8289"),
        ("laptop", push, "Laptops", "14.0.1904"),
        ("legacy", legacy, "Legacy", "12.1.7004"),
    ] {
        let _ = write!(
            text,
            "\n[[fleet]]\nname = '{part}'\ncount = {count}\ngroup = 'My Company\\{group}'\nversion = '{version}'\n"
        );
    }
    for (number, fault) in FAULTS.iter().enumerate() {
        let _ = write!(text, "\n[[fault]]\nname = 'fault-{number}'\n{fault}\n");
    }
    text
}

/// A round: a rotation, the fault that acts on it, and the manager that is restarted before.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    pub(crate) rotation: Rotation,
    pub(crate) fault: Option<usize>,
    pub(crate) restarted: Option<usize>,
}

impl Round {
    /// Draws a round. Where clients in push mode have their heartbeats at other moments than in the rehearsal, only rounds
    /// whose result does not depend on those moments: every step waits, and no fault acts. Managers are restarted only there,
    /// since a restart shifts the moments.
    pub(crate) fn draw(draw: &mut Draw, phases: Phases) -> Self {
        if phases == Phases::Shifted {
            return Self {
                rotation: draw.one_of(&Rotation::WAITING),
                fault: None,
                restarted: (draw.below(2) == 0).then(|| 1 + draw.below(3)),
            };
        }
        let right = draw.below(3) != 0;
        Self {
            rotation: if right { draw.one_of(&Rotation::RIGHT) } else { draw.one_of(&Rotation::CARELESS) },
            fault: (draw.below(2) == 0).then(|| draw.below(FAULTS.len())),
            restarted: None,
        }
    }

    /// The steps of the round, as a scenario file has them. The last one heals the fault and brings orphaned clients back.
    pub(crate) fn steps(self, number: usize) -> Vec<String> {
        let mut steps = Vec::new();
        for (place, (commands, wait)) in self.rotation.steps().into_iter().enumerate() {
            let fault = self.fault.filter(|_| place == 0);
            let faults = fault.map(|fault| format!("faults = ['fault-{fault}']\n")).unwrap_or_default();
            let title = format!("Round {number}, {}, {}", self.rotation.name(), place + 1);
            steps.push(format!(
                "\n[[step]]\ntitle = '{title}'\n{faults}operator = [{commands}]\nwait = {wait}\n"
            ));
        }
        let heal = self.fault.map(|fault| format!("heal = ['fault-{fault}']\n")).unwrap_or_default();
        let policy = format!(
            "operator = [{{ set-policy = {{ group = 'My Company', policy = 'Firewall', content = '{number}' }} }}]\n"
        );
        steps.push(format!(
            "\n[[step]]\ntitle = 'Round {number}, healed'\n{heal}{policy}wait = {{ heartbeats = 2 }}\n"
        ));
        if !self.rotation.is_right() || self.fault.is_some() {
            let fleet = ["desktop", "laptop", "legacy"]
                .map(|part| format!("{{ update-package = {{ part = '{part}' }} }}"))
                .join(", ");
            steps.push(format!(
                "\n[[step]]\ntitle = 'Round {number}, update packages'\nfleet = [{fleet}]\nwait = {{ heartbeats = 2 }}\n"
            ));
        }
        steps
    }
}
