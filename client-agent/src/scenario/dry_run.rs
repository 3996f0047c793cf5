//! Checks a scenario before it is played, by giving its commands to a site without clients.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use epm_protocol::fault::FaultRule;
use epm_protocol::id::AgentId;
use epm_protocol::name::check_name;
use epm_protocol::site::{ClientKey, Command, CommandError, Founding, ManagerPorts, Site, agent_id};
use epm_protocol::suggest::hint;
use epm_protocol::time::Timestamp;
use toml::Spanned;

use super::plan::{FASTEST, FleetAction, ManagerPlan, Scenario, StepPlan};
use super::presence::calendar::Calendar;
use super::read::ScenarioError;

/// The largest number of managers of a site.
const MOST_MANAGERS: usize = 16;
/// Maximum number of clients of a scenario: a rehearsal of so many takes one to two gigabytes.
const MOST_CLIENTS: u64 = 1_000_000;
/// Maximum number of steps: each publishes anew, for all clients.
const MOST_STEPS: usize = 1_000;
/// The run for which calendars are made: whether they can be made does not depend on its length.
const A_YEAR: Duration = Duration::from_secs(365 * 86_400);

impl Scenario {
    /// The inputs for a site of this scenario, with its managers at these ports.
    pub fn founding(&self, places: Vec<ManagerPorts>) -> Founding {
        let names = self.site.managers.iter().map(|manager| manager.name.clone());
        Founding {
            name: self.site.name.clone(),
            seed: self.seed,
            managers: names.zip(places).collect(),
            assumptions: Arc::new(self.assumptions.clone()),
        }
    }

    /// The time at which a rehearsal of the scenario begins.
    pub fn rehearsal_start(&self) -> Timestamp {
        self.clock.start.unwrap_or(REHEARSAL_START)
    }

    /// Ports for its managers that are never opened.
    pub fn supposed_places(&self) -> Vec<ManagerPorts> {
        self.site.managers.iter().enumerate().map(supposed_ports).collect()
    }

    /// Gives every command to a site without clients, and looks up every name, without playing anything.
    ///
    /// # Errors
    ///
    /// The first command that the site refuses, or the first name that does not exist.
    pub fn check(&self, file: &str, text: &str) -> Result<(), ScenarioError> {
        let refuse = |span: Range<usize>, problem: String| ScenarioError::at(file, text, span, problem);
        let now = self.rehearsal_start();
        if now < Timestamp::EPOCH {
            let problem = format!("start: {now}, expected a time from {} on", Timestamp::EPOCH);
            return Err(refuse(section(text, "[clock]"), problem));
        }
        if !(1..=FASTEST).contains(&self.clock.speed) {
            let problem = format!(
                "speed: {}, expected 1 to {FASTEST}; `epm-lab run --moved` moves the clock from event to event",
                self.clock.speed
            );
            return Err(refuse(section(text, "speed ="), problem));
        }
        let managers = self.site.managers.len();
        if managers > MOST_MANAGERS {
            let problem =
                format!("{managers} managers: expected at most {MOST_MANAGERS}, as many as a lab runs");
            return Err(refuse(section(text, "[site]"), problem));
        }
        if self.step.len() > MOST_STEPS {
            let problem = format!("{} steps: expected at most {MOST_STEPS}", self.step.len());
            return Err(refuse(heading_of_step(text, MOST_STEPS), problem));
        }
        let mut site = Site::found(self.founding(self.supposed_places()), now)
            .map_err(|error| refuse(section(text, "[site]"), error.to_string()))?;
        for command in &self.site.setup {
            give(&mut site, command, now).map_err(|problem| refuse(command.span(), problem))?;
        }
        if self.fleet.is_empty() {
            return Err(refuse(
                section(text, "fleet"),
                "the fleet has no part; expected at least one".to_owned(),
            ));
        }
        let clients: u64 = self.fleet.iter().map(|part| u64::from(part.get_ref().count)).sum();
        if let Some(largest) = self.fleet.iter().max_by_key(|part| part.get_ref().count)
            && clients > MOST_CLIENTS
        {
            let problem = format!("{clients} clients: expected at most {MOST_CLIENTS} in all parts together");
            return Err(refuse(largest.span(), problem));
        }
        self.check_fleet(&site, now).map_err(|(span, problem)| refuse(span, problem))?;
        self.check_faults(&site).map_err(|(span, problem)| refuse(span, problem))?;
        let parts: BTreeSet<&str> = self.fleet.iter().map(|part| part.get_ref().name.as_str()).collect();
        for (place, step) in self.step.iter().enumerate() {
            if step.wait.is_some_and(|wait| wait.heartbeats == 0 && wait.time.is_none()) {
                let problem = "has an empty wait: expected heartbeats, a time, or both";
                let at = heading_of_step(text, place);
                return Err(refuse(at, format!("the step {:?} {problem}", step.title)));
            }
            self.check_imports(step).map_err(|(span, problem)| refuse(span, problem))?;
            for action in &step.fleet {
                self.check_name(action.get_ref()).map_err(|problem| refuse(action.span(), problem))?;
                if let FleetAction::Identify { image_of: Some(image), .. } = action.get_ref()
                    && !parts.contains(image.as_str())
                {
                    let hint = hint(image, parts.iter().copied());
                    return Err(refuse(
                        action.span(),
                        format!("there is no part {image:?} in the fleet{hint}"),
                    ));
                }
                self.check_import(&site, action.get_ref())
                    .map_err(|error| refuse(action.span(), error.to_string()))?;
            }
            for command in &step.operator {
                let given = match command.get_ref() {
                    // There are no clients here.
                    Command::MoveClient { client, group } => self.check_move(&site, client, group),
                    _ => give(&mut site, command, now),
                };
                given.map_err(|problem| refuse(command.span(), problem))?;
            }
        }
        // Steps may add groups.
        for fault in &self.fault {
            if let Some(group) = &fault.get_ref().whom.group {
                site.groups().find(group).map_err(|error| refuse(fault.span(), error.to_string()))?;
            }
        }
        Ok(())
    }

    fn check_move(&self, site: &Site, client: &ClientKey, group: &str) -> Result<(), String> {
        self.place_of(client).map_err(|error| error.to_string())?;
        site.groups().find(group).map(drop).map_err(|error| error.to_string())
    }

    /// The index of the part, and the number in it, of a client of the fleet.
    ///
    /// # Errors
    ///
    /// When there is no such client, with the nearest name.
    pub fn place_of(&self, client: &ClientKey) -> Result<(u32, u32), CommandError> {
        let parts = self.fleet.iter().map(Spanned::get_ref);
        let mut places = (0..)
            .zip(parts)
            .flat_map(|(place, part)| (1..=part.count).map(move |number| (place, part, number)));
        let found = places.find(|(_, part, number)| match client {
            ClientKey::Id(agent) => agent_id(part.machine(self.seed, *number)) == *agent,
            ClientKey::Name(name) => part.client_name(*number).eq_ignore_ascii_case(name),
        });
        found.map(|(place, _, number)| (place, number)).ok_or_else(|| {
            let names: Vec<String> = self.client_names().collect();
            CommandError::unknown("client", &client.to_string(), names.iter().map(String::as_str))
        })
    }

    /// The computer names of all clients of the fleet.
    pub fn client_names(&self) -> impl Iterator<Item = String> + '_ {
        let parts = self.fleet.iter().map(Spanned::get_ref);
        parts.flat_map(|part| (1..=part.count).map(|number| part.client_name(number)))
    }

    /// Checks that every fault is valid, names existing managers, and is set before it is healed.
    fn check_faults(&self, site: &Site) -> Result<(), (Range<usize>, String)> {
        let mut rules: BTreeMap<&str, &FaultRule> = BTreeMap::new();
        for spanned in &self.fault {
            let (span, rule) = (spanned.span(), spanned.get_ref());
            rule.check().map_err(|error| (span.clone(), error.to_string()))?;
            if let Some(name) = &rule.place.manager {
                let mut known = site.managers().map(|manager| manager.name.as_str());
                if !known.any(|one| one == name) {
                    let hint = hint(name, site.managers().map(|manager| manager.name.as_str()));
                    return Err((span, format!("there is no manager {name:?}{hint}")));
                }
            }
            if rules.insert(&rule.name, rule).is_some() {
                return Err((span, format!("a fault {:?} exists already", rule.name)));
            }
        }
        for spanned in &self.fault {
            let whom = &spanned.get_ref().whom;
            let Some(agent) = whom.agent.as_deref().filter(|agent| !agent.contains('*')) else { continue };
            if agent.parse::<AgentId>().is_err()
                && !self.client_names().any(|name| name.eq_ignore_ascii_case(agent))
            {
                let names: Vec<String> = self.client_names().collect();
                let hint = hint(agent, names.iter().map(String::as_str));
                return Err((spanned.span(), format!("there is no client {agent:?} in the fleet{hint}")));
            }
        }
        let mut set: BTreeSet<&str> = BTreeSet::new();
        for step in &self.step {
            for name in &step.heal {
                if !set.remove(name.get_ref().as_str()) {
                    let hint = hint(name.get_ref(), set.iter().copied());
                    return Err((
                        name.span(),
                        format!("no fault {:?} is set at this step{hint}", name.get_ref()),
                    ));
                }
            }
            for name in &step.faults {
                let Some((known, _)) = rules.get_key_value(name.get_ref().as_str()) else {
                    let hint = hint(name.get_ref(), rules.keys().copied());
                    return Err((name.span(), format!("there is no fault {:?}{hint}", name.get_ref())));
                };
                set.insert(known);
            }
        }
        Ok(())
    }

    /// Checks that no step imports files on a part and on a client of it, of which each machine would need its own.
    fn check_imports(&self, step: &StepPlan) -> Result<(), (Range<usize>, String)> {
        for plan in self.fleet.iter().map(Spanned::get_ref) {
            let mut first = None;
            for action in &step.fleet {
                let one = action.get_ref();
                if one.changed(plan).is_none() || one.brings(plan).is_none() {
                    continue;
                }
                let name = one.name();
                if *first.get_or_insert(name) != name {
                    let problem = format!(
                        "the step {:?} imports files on several machines of {:?}; expected a step for {name:?} alone",
                        step.title, plan.name
                    );
                    return Err((action.span(), problem));
                }
            }
        }
        Ok(())
    }

    /// Checks that the action names a part, or a client where it may, and not both.
    fn check_name(&self, action: &FleetAction) -> Result<(), String> {
        let name = action.name();
        let parts = || self.fleet.iter().map(Spanned::get_ref);
        let is_part = parts().any(|plan| plan.name == name);
        let is_client = parts().any(|plan| action.client_of(plan).is_some());
        match (is_part, is_client) {
            (true, true) if action.may_name_a_client() => {
                Err(format!("{name:?} is a part and a client; expected parts with other names"))
            }
            (true, _) => Ok(()),
            (false, true) if action.may_name_a_client() => Ok(()),
            (false, true) => {
                Err(format!("{name:?} is one client; expected a part, which changes as a whole"))
            }
            (false, false) => {
                let hint = hint(name, parts().map(|plan| plan.name.as_str()));
                let what = if action.may_name_a_client() { "part or client" } else { "part" };
                Err(format!("there is no {what} {name:?} in the fleet{hint}"))
            }
        }
    }

    /// Checks that there is such a file; that of the installation stands for any that the part may have.
    fn check_import(&self, site: &Site, action: &FleetAction) -> Result<(), CommandError> {
        let plan = self.fleet.iter().map(Spanned::get_ref).find(|plan| action.changed(plan).is_some());
        let Some((plan, from)) = plan.and_then(|plan| Some((plan, action.brings(plan)?))) else {
            return Ok(());
        };
        let installed = site.export_sylink(&plan.group, plan.location.as_deref()).map(Arc::new)?;
        from.file(|group, location| site.export_sylink(group, location), &installed).map(drop)
    }

    fn check_fleet(&self, site: &Site, now: Timestamp) -> Result<(), (Range<usize>, String)> {
        let mut names = BTreeSet::new();
        for part in &self.fleet {
            let (span, part) = (part.span(), part.get_ref());
            check_name("a part", &part.name).map_err(|error| (span.clone(), error.to_string()))?;
            if part.count == 0 {
                return Err((
                    span,
                    format!("the part {:?} has a count of 0: expected at least 1", part.name),
                ));
            }
            if !names.insert(&part.name) {
                return Err((span, format!("a part {:?} exists already", part.name)));
            }
            let calendar = Calendar::new(part, now, now + A_YEAR).map_err(|error| {
                (span.clone(), format!("the presence of the part {:?}: {error}", part.name))
            })?;
            for location in [part.location.as_deref(), calendar.away_location()] {
                site.export_sylink(&part.group, location)
                    .map_err(|error| (span.clone(), error.to_string()))?;
            }
        }
        Ok(())
    }
}

fn give(site: &mut Site, command: &Spanned<Command>, now: Timestamp) -> Result<(), String> {
    site.apply(command.get_ref(), now).map(drop).map_err(|error| error.to_string())
}

/// The default beginning of a rehearsal: Monday, 5 January 2026, 08:00 UTC. Its outcome must not depend on the day on
/// which it is played.
const REHEARSAL_START: Timestamp = Timestamp::from_seconds(1_767_600_000);

/// Ports for a manager that are never opened, each manager's ten apart.
fn supposed_ports((place, plan): (usize, &ManagerPlan)) -> ManagerPorts {
    let own = 8014 + 10 * u16::try_from(place).unwrap_or_default().min(1000);
    let http = if plan.http_port == 0 { own } else { plan.http_port };
    ManagerPorts {
        address: plan.address.clone(),
        http: Some(http),
        https: Some(match plan.https_port {
            None => http,
            Some(0) => own + 1,
            Some(port) => port,
        }),
    }
}

/// The heading of the step with this index; the words of its title may stand elsewhere too.
fn heading_of_step(text: &str, index: usize) -> Range<usize> {
    let start = text.match_indices("[[step]]").nth(index).map_or(0, |(start, _)| start);
    start..start
}

fn section(text: &str, heading: &str) -> Range<usize> {
    let start = text.find(heading).unwrap_or(0);
    start..start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_steps_are_refused_at_the_first_of_them() {
        let begin = "title = 'again'\nsite = { managers = [{ name = 'sepm-1' }] }\n[[fleet]]\nname = 'a'\ncount = 1\nversion = '14.3'\n";
        let checked = |steps: usize| {
            let text = format!("{begin}{}", "[[step]]\ntitle = 'again'\n".repeat(steps));
            let checked = Scenario::parse(&text, "x.toml").and_then(|one| one.check("x.toml", &text));
            checked.map_or_else(|error| error.to_string(), |()| "sound".to_owned())
        };
        assert_eq!(checked(MOST_STEPS), "sound");
        let refused = checked(MOST_STEPS + 1);
        assert!(refused.starts_with("x.toml:2007:1: 1001 steps: expected at most 1000"), "{refused}");
    }

    #[test]
    fn a_long_name_and_a_clock_that_overtakes_clients_are_refused_with_their_limits() {
        let refused = |part: &str, fault: &str, speed: u32| {
            let text = format!(
                "title = 't'\nclock = {{ speed = {speed} }}\nsite = {{ managers = [{{ name = 'sepm-1' }}] }}\n\
                 [[fleet]]\nname = \"{part}\"\ncount = 1\nversion = '14.3'\n[[fault]]\nname = \"{fault}\"\nwhat = 'reset'\n"
            );
            let checked = Scenario::parse(&text, "x.toml").and_then(|one| one.check("x.toml", &text));
            checked.map_or_else(|error| error.to_string(), |()| "sound".to_owned())
        };
        assert_eq!(refused(&"x".repeat(128), &"y".repeat(128), FASTEST), "sound");
        for (found, expected) in [
            (
                refused(&"x".repeat(129), "f", 1),
                "x.toml:4:1: invalid name of a part: expected 1 to 128 characters",
            ),
            (refused("a\\u001Bb", "f", 1), "found the control character"),
            (refused("a", &"y".repeat(129), 1), "invalid name of a fault: expected 1 to 128 characters"),
            (refused("a", "f", FASTEST + 1), "x.toml:2:11: speed: 301, expected 1 to 300"),
            (refused("a", "f", 0), "x.toml:2:11: speed: 0, expected 1 to 300"),
        ] {
            assert!(found.contains(expected), "{expected}: {found}");
        }
    }
}
