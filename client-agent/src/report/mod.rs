//! The outcome of a rehearsal as text: for programs, build servers, spreadsheets, and people.
//!
//! Functions from an [`Outcome`] to a string. They count and judge nothing: that is done by the rehearsal and the
//! verdict. They open no file and ask no clock, so the same outcome gives the same bytes.

mod chart;
mod csv;
mod html;
mod junit;
#[cfg(test)]
mod sample;
mod sweep;
mod test_suite;
mod words;

use crate::rehearsal::Outcome;

pub use csv::{course as csv, not_well as not_well_csv, orphaned as orphaned_csv};
pub use html::{
    Evidence, EvidenceEvent, EvidenceExpectation, EvidenceFinding, EvidenceOldCertificate, EvidenceRotation,
    STYLE, evidence_html, html, note_told, prose, reason_told, sweep_html,
};
pub use junit::{junit, verdict_junit};
pub use sweep::sweep_csv;
pub use test_suite::{TestCase, TestResult, TestRun, TestSuite};
pub use words::grouped;

/// Writes the whole outcome as indented JSON; the keys are in the order of the types.
pub fn json(outcome: &Outcome) -> String {
    let mut text = serde_json::to_string_pretty(outcome)
        .unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }).to_string());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_all_of_an_outcome_twice_in_the_same_words() {
        let outcome = sample::ninety_days();
        let text = json(&outcome);
        assert_eq!(text, json(&outcome));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value, serde_json::to_value(&outcome).unwrap());
        assert_eq!(value["course"]["old_only"].as_array().unwrap().len(), 90 * 24);
        assert_eq!(value["steps"][1]["title"], outcome.steps[1].report.title);
        assert!(text.find("\"began\"") < text.find("\"course\""), "in the order of the type");
    }
}
