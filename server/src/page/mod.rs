//! The page of a lab: views of the control API's JSON as HTML.
//!
//! A view says which answers it needs ([`Asked::wants`]) and is a function of them ([`render`]). The JSON comes from a running lab
//! or from a file: nothing here knows HTTP, a lab or a socket. Styles and scripts are files beside the code; the page needs no
//! other host, and has no script and no style within its HTML.
//!
//! | file | what |
//! |---|---|
//! | `asked` | which view a path and a query ask for, and the answers that it needs |
//! | `frame` | what surrounds every view |
//! | `json`, `words` | reading JSON; numbers, times and fingerprints for people |
//! | `action` | forms that call the control API, each with its commands |
//! | `area` | stacked areas over time |
//! | `home`, `site`, `ahead` | the verdict and the fleet; the managers and groups; the next step |
//! | `clients`, `client` | the clients as a grid; one of them |
//! | `timeline`, `entry` | the journal; one of its entries |
//! | `faults`, `lab`, `failures` | faults and their forms; clock and snapshots; the failure catalogue |
//! | `compare` | two runs compared, and the form for their files |
//! | `recorded` | what was done, as a scenario |
//! | `reference` | the calls of both APIs |
//! | `page.js`, `live.js`, `page.css` | live updates and forms; the one connection of a browser; the style, after that of the report |

mod action;
mod ahead;
mod area;
mod asked;
mod client;
mod clients;
mod compare;
mod entry;
mod failures;
mod faults;
mod frame;
mod home;
mod json;
mod lab;
mod recorded;
mod reference;
mod site;
mod timeline;
mod words;

use maud::{Markup, html};
use serde_json::Value;

use asked::View;
pub(crate) use asked::{Answers, Api, Asked, CERTIFICATES, Want, is_problem};
pub(crate) use compare::LARGEST_COMPARED;
pub(crate) use frame::{Place, log_in};
use json::Fields;
pub(crate) use words::path_of_client;

/// The whole page of a view.
pub(crate) fn render(asked: &Asked, answers: &Answers, place: &Place) -> String {
    let summary = answers.of("summary");
    let refused = answers.0.iter().find(|(_, value)| is_problem(value));
    let (title, main) = match refused {
        Some((_, problem)) => ("Not found".to_owned(), not_found(problem)),
        None => match &asked.view {
            View::Home => ("Verdict".to_owned(), home::view(answers, place)),
            View::Clients => ("Clients".to_owned(), clients::view(answers, &asked.query)),
            View::Client(name) => (name.clone(), client::view(answers, name)),
            View::Timeline => ("Timeline".to_owned(), timeline::view(answers, &asked.query)),
            View::Entry(number) => (format!("Row {number}"), entry::view(answers, *number)),
            View::Faults => ("Faults".to_owned(), faults::view(answers, &asked.query)),
            View::Clock => ("Clock".to_owned(), lab::clock(answers)),
            View::Snapshots => ("Snapshots".to_owned(), lab::snapshots(answers, &asked.query)),
            View::Failures => ("Known failures".to_owned(), failures::list(answers)),
            View::Failure(number) => (number.clone(), failures::view(answers)),
            View::Reference(api) => {
                (api.title().to_owned(), reference::view(answers, *api, &asked.query, place))
            }
            View::Recorded => ("Scenario".to_owned(), recorded::view(answers, place)),
            View::Compare => ("Two runs compared".to_owned(), compare::view(answers, &asked.query)),
            View::Ahead => ("The next step".to_owned(), ahead::view(answers, &asked.query)),
        },
    };
    frame::page(&title, &asked.view, summary, place, &main)
}

fn not_found(problem: &Value) -> Markup {
    html! {
        h1 { (problem.text("title")) }
        p { (problem.text("detail")) }
        p { a href="/" { "To the verdict" } }
    }
}

/// The style of the page.
pub(crate) const STYLE: &str = include_str!("page.css");
/// Files that the page loads: path, media type, content.
pub(crate) const FILES: [(&str, &str, &str); 2] = [
    ("/page/page.js", "text/javascript; charset=utf-8", include_str!("page.js")),
    ("/page/live.js", "text/javascript; charset=utf-8", include_str!("live.js")),
];
