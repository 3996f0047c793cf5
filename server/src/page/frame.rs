//! What surrounds every view: the head, the navigation, lab time, and the form for the token.

use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use super::asked::View;
use super::json::Fields;
use super::words::moment;

/// Where the page is, for its commands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// Scheme, host and port of the control API.
    pub(crate) origin: String,
    /// Whether the control API needs a token.
    pub(crate) has_token: bool,
    /// Whether the reader may change something, and download what has keys in it.
    pub(crate) controls: bool,
}

/// Titles and addresses of the views in the navigation.
const NAVIGATION: [(&str, &str); 8] = [
    ("/", "Verdict"),
    ("/clients", "Clients"),
    ("/timeline", "Timeline"),
    ("/faults", "Faults"),
    ("/clock", "Clock"),
    ("/snapshots", "Snapshots"),
    ("/failures", "Failures"),
    ("/reference/control", "APIs"),
];

/// A page with this view as its main part.
pub(super) fn page(title: &str, view: &View, summary: &Value, place: &Place, main: &Markup) -> String {
    let site = summary.text("site");
    let clock = &summary["clock"];
    document(
        &format!("{title} - {site} - epm-lab"),
        Some((place, summary.number("version"))),
        &html! {
            a.skip href="#main" { "Skip to the content" }
            header.top {
                p.brand {
                    a href="/" { strong { "epm-lab" } " " (site) } span.mock { "mock" }
                    @if !place.controls { " " span.mock title="The token of this session may read, and change nothing" { "read only" } }
                }
                p.clock {
                    span.hint { "Lab time " }
                    span #clock data-now=(clock.number("now_ms")) data-speed=(clock.number("speed")) data-held=(clock.number("held_ms")) {
                        (moment(clock.text("now")))
                    }
                    " "
                    span #speed { (speed(clock)) }
                    " "
                    button #live type="button" aria-pressed="true" title="Updates the page while the lab changes" { "Live" }
                    @if place.has_token { " " button #log-out type="button" { "Log out" } }
                }
                nav aria-label="Views" {
                    @for (path, name) in NAVIGATION {
                        a href=(path) aria-current=[(path == view.place()).then_some("page")] { (name) }
                    }
                }
            }
            main #main tabindex="-1" {
                // Filled by the script once the lab is silent.
                p #lost role="alert" {}
                (main)
            }
        },
    )
}

fn speed(clock: &Value) -> String {
    match (clock.number("held_ms"), clock.number("speed")) {
        (held, _) if held > 0 => "held".to_owned(),
        (_, 0) => "stopped".to_owned(),
        (_, 1) => String::new(),
        (_, speed) => format!("{speed} times as fast"),
    }
}

/// The form that exchanges the token for a session.
pub(crate) fn log_in() -> String {
    document(
        "Log in - epm-lab",
        None,
        &html! {
            main #main {
                h1 { "epm-lab" }
                p { "This lab needs the token of its control API: the content of the file that " code { "epm-lab up --token-file" } " names." }
                form.log-in method="post" data-log-in="" {
                    label { "Token" input type="password" name="token" autocomplete="off" required autofocus; }
                    // Without the script the token would be sent as a form.
                    button disabled { "Log in" }
                    output role="alert" {}
                }
                p.note { "It is exchanged for a cookie that no script can read, and that ends with the browser or the lab." }
            }
        },
    )
}

/// A document; with a place, that of a view of this version of the summary.
fn document(title: &str, of: Option<(&Place, u64)>, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="stylesheet" href="/page/page.css";
                link rel="icon" href="data:,";
                script type="module" src="/page/page.js" {}
            }
            body data-origin=[of.map(|(place, _)| &place.origin)] data-version=[of.map(|(_, version)| version)]
                data-token=[of.filter(|(place, _)| place.has_token).map(|_| "yes")] {
                (body)
                footer {
                    p {
                        strong { "This is a mock." }
                        " epm-lab is not affiliated with or endorsed by the vendor, and contains no vendor code. It protects nothing."
                    }
                }
            }
        }
    };
    // Control characters of names from outside are no part of HTML.
    let printable =
        |c: char| if c.is_control() && !c.is_whitespace() { char::REPLACEMENT_CHARACTER } else { c };
    page.into_string().chars().map(printable).collect()
}
