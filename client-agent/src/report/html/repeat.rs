//! How to have the same outcome again.

use maud::{Markup, html};

use crate::rehearsal::RunInfo;

/// Says how to have the same outcome again.
pub(super) fn repeat(run: Option<&RunInfo>, otherwise: impl FnOnce() -> Markup) -> Markup {
    html! {
        @match run {
            Some(RunInfo { version, scenario_file, command }) => {
                p.note {
                    "Scenario file " code { (scenario_file) } ", rehearsed by epm-lab " (version) ". To repeat it: " code { (command) }
                    ". The same build of epm-lab finds the same, to the byte."
                }
            }
            None => p.note { (otherwise()) }
        }
    }
}
