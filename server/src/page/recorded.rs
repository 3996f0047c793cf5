//! What was done to the lab, as a scenario.

use maud::{Markup, html};

use super::asked::Answers;
use super::frame::Place;
use super::json::Fields;
use super::words::counted;

pub(super) fn view(answers: &Answers, place: &Place) -> Markup {
    let recorded = answers.of("recorded");
    let left_out = recorded.list("left_out");
    html! {
        h1 { "What was done, as a scenario" }
        p {
            (counted(recorded.number("steps"), "step")) ", "
            (counted(recorded.number("clients"), "client")) ". "
            "Played again, it does the same to a new site at the same times: over sockets with " code { "epm-lab run" } ", or in virtual time with "
            code { "epm-lab rehearse" } ", there with as many clients as wanted."
        }
        div.command { pre { code {
            "epm-lab scenario record my.toml --lab " (place.origin) "\n"
            "epm-lab rehearse my.toml"
        } } }
        @if let Some(why) = recorded["refused"].as_str() {
            div class="verdict unwell" { p { strong.badge { "Cannot be played" } " as it is: " (why) } }
        }
        @if !left_out.is_empty() {
            section aria-labelledby="left-out-title" {
                h2 #left-out-title { "Not as in the lab" }
                ul { @for one in left_out { li { (one.as_str().unwrap_or_default()) } } }
            }
        }
        section aria-labelledby="file-title" {
            h2 #file-title { "The file" }
            pre.body tabindex="0" aria-label="The scenario" { code { (recorded.text("scenario")) } }
        }
        @if !recorded.list("files").is_empty() {
            p.note { "Beside it, " code { "scenario record" } " writes the files that were imported, private keys among them." }
        }
        p { a href="/" { "To the verdict" } }
    }
}
