//! The verdict in one sentence.

use crate::rehearsal::Outcome;
use crate::report::words;

/// The verdict as a word, a colour, and a sentence.
#[derive(Debug)]
pub(super) struct Sentence {
    /// The badge: one or two words.
    pub(super) badge: &'static str,
    /// The CSS class of the badge.
    pub(super) class: &'static str,
    /// The sentence itself.
    pub(super) text: String,
}

impl Sentence {
    /// Makes the sentence for an outcome.
    pub(super) fn of(outcome: &Outcome) -> Self {
        let verdict = &outcome.verdict;
        let all = words::clients(verdict.clients);
        let were = |number: usize| if number == 1 { "was" } else { "were" };
        let are = |number: usize| if number == 1 { "is" } else { "are" };
        let rest: Vec<String> = [
            (verdict.out_of_touch.len(), "out of touch"),
            (verdict.not_secure.len(), "not secure"),
            (verdict.behind.len(), "without a certificate that is in force"),
            (verdict.silent.len(), "without a heartbeat for three intervals"),
            (verdict.orphaned_on_return.len(), "off and would be orphaned on being switched on"),
        ]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{} {} {what}", words::grouped(number), are(number)))
        .collect();
        let besides = if rest.is_empty() { String::new() } else { format!("; {}", rest.join(", ")) };
        let lost = verdict.orphaned.len();
        let so_far = if lost == 0 {
            "no client was orphaned".to_owned()
        } else {
            format!("{} {} orphaned", words::clients(lost), were(lost))
        };
        if outcome.is_partial {
            let text = format!(
                "Interrupted at {}: by then {so_far}, of {all}{besides}.",
                words::moment(outcome.ended)
            );
            return Self { badge: "Partial", class: "partial", text };
        }
        if lost > 0 {
            let text = format!("{} of {all} {} orphaned{besides}.", words::grouped(lost), were(lost));
            return Self { badge: "Orphaned", class: "lost", text };
        }
        if verdict.well == Some(false) {
            return Self {
                badge: "With problems",
                class: "unwell",
                text: format!("No client was orphaned{besides}."),
            };
        }
        if let Some(why) = &verdict.no_verdict {
            let text = format!("There is none, since {why}.");
            return Self { badge: "No verdict", class: "partial", text };
        }
        let text = match verdict.clients {
            1 => "The only client is served, is secure, and holds every certificate in force.".to_owned(),
            _ => format!(
                "No client was orphaned: all {all} are served, are secure, and hold every certificate in force."
            ),
        };
        let text = match verdict.not_installed {
            0 => text,
            1 => format!("{text} 1 more had not been installed by then, and was not judged."),
            more => format!(
                "{text} {} more had not been installed by then, and were not judged.",
                words::grouped(more)
            ),
        };
        let text = match verdict.notes.len() {
            0 => text,
            1 => format!("{text} There is 1 note."),
            notes => format!("{text} There are {notes} notes."),
        };
        Self { badge: "Well", class: "well", text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_verdict_is_said_in_one_sentence() {
        let said = |outcome: &Outcome| {
            let Sentence { badge, text, .. } = Sentence::of(outcome);
            format!("{badge}: {text}")
        };
        let mut outcome = sample::ninety_days();
        assert_eq!(
            said(&outcome),
            "Orphaned: 1,284 of 100,000 clients were orphaned; 2 are out of touch, 1 is without a certificate that is in force."
        );
        outcome.is_partial = true;
        assert!(said(&outcome).starts_with(
            "Partial: Interrupted at 2026-04-05 00:00: by then 1,284 clients were orphaned, of"
        ));
        outcome = sample::well();
        assert_eq!(
            said(&outcome),
            "Well: No client was orphaned: all 100,000 clients are served, are secure, and hold every certificate in force."
        );
        outcome.verdict.notes = vec![sample::note()];
        assert!(said(&outcome).ends_with("hold every certificate in force. There is 1 note."));
        outcome.verdict.not_secure.push("PC-1".to_owned());
        outcome.verdict.well = Some(false);
        assert_eq!(said(&outcome), "With problems: No client was orphaned; 1 is not secure.");
        outcome = Outcome::default();
        outcome.verdict.conclude();
        assert_eq!(
            said(&outcome),
            "No verdict: There is none, since the lab has no client, so that nothing was judged."
        );
        (outcome.verdict.clients, outcome.verdict.away) = (1, vec!["PC-1".to_owned()]);
        outcome.verdict.conclude();
        assert!(said(&outcome).starts_with("No verdict: There is none, since all clients are off"));
    }
}
