//! A failure that does not happen because the manager refuses its cause: its expected answers.

use std::sync::Arc;

use epm_protocol::site::{Command, CommandError, Founding, ManagerPorts, Site};
use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Commands that a manager refuses, and one that it accepts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The refused commands, each with the words of the refusal.
    pub commands: Vec<RefusedCommand>,
    /// The command without the mistake, which the manager accepts.
    pub mended: Command,
}

/// A command that a manager refuses.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedCommand {
    /// The mistake in the command.
    pub mistake: String,
    /// The command that is refused.
    pub command: Command,
    /// Words of the real product that the refusal must contain.
    pub words: String,
}

/// Monday, 5 January 2026, 08:00 UTC: the same as the beginning of rehearsals.
pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_767_600_000);

/// A manager's answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RefusalCheck {
    /// The mistake in the command; none for the command without it.
    pub mistake: Option<String>,
    /// The words that were expected.
    pub expected: Option<String>,
    /// The words of the refusal; none if the manager accepted the command.
    pub refusal: Option<String>,
    /// Whether clients are shown another certificate afterwards.
    pub is_changed: bool,
    /// Whether the answer is as described.
    pub is_as_described: bool,
}

impl Refused {
    /// Gives every command to a site. `apply` returns whether clients are then shown another certificate.
    pub fn give(&self, mut apply: impl FnMut(&Command) -> Result<bool, CommandError>) -> Vec<RefusalCheck> {
        let refused = self.commands.iter().map(|one| (Some(one), &one.command));
        let all = refused.chain([(None, &self.mended)]);
        let judged = all.map(|(refused, command)| {
            let answer = apply(command);
            let is_changed = matches!(answer, Ok(true));
            let refusal = answer.err().map(|error| error.to_string());
            let is_as_described = match (refused, &refusal) {
                (Some(one), Some(said)) => said.contains(&one.words),
                (None, None) => is_changed,
                _ => false,
            };
            RefusalCheck {
                mistake: refused.map(|one| one.mistake.clone()),
                expected: refused.map(|one| one.words.clone()),
                refusal,
                is_changed,
                is_as_described,
            }
        });
        judged.collect()
    }

    pub(super) fn commands_mut(&mut self) -> impl Iterator<Item = &mut Command> {
        self.commands.iter_mut().map(|one| &mut one.command).chain([&mut self.mended])
    }
}

/// Gives every command to a site without clients.
///
/// # Errors
///
/// When the site cannot be founded.
pub fn rehearse_refused(entry: &Refused) -> Result<Vec<RefusalCheck>, CommandError> {
    let ports = ManagerPorts { address: "127.0.0.1".to_owned(), http: Some(8014), https: Some(8014) };
    let founding = Founding {
        name: "My Site".to_owned(),
        seed: 1,
        managers: vec![("sepm-1".to_owned(), ports)],
        assumptions: Arc::default(),
    };
    let mut site = Site::found(founding, NOW)?;
    let shown = |site: &Site| site.publication("sepm-1").map(|one| one.identity.certificate().fingerprint());
    Ok(entry.give(|command| {
        let before = shown(&site);
        let answer = site.apply(command, NOW);
        let is_changed = shown(&site) != before;
        answer.map(|_| is_changed)
    }))
}
