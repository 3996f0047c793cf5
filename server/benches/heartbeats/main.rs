//! Heartbeats answered per second: the mock manager beside a bare hyper server, and beside nginx where it is installed.
//!
//! ```text
//! cargo bench -p epm-server                      everything, under three minutes
//! cargo bench -p epm-server -- --quick           everything, in half a minute
//! cargo bench -p epm-server -- keep-alive        the loads whose name has this in it
//! cargo bench -p epm-server -- pressure          honest heartbeats among 18,000 bad peers, in ten minutes; only when asked for
//! cargo bench -p epm-server -- pressure --peers 2000 --seconds 10 --rounds 3
//! cargo bench -p epm-server -- latency           heartbeats over HTTPS at a rate, and nothing else; only when asked for
//! ```
//!
//! Read the ratios, not the absolute figures: contestants take turns within one run, on the same core, with the same
//! answer, and a ratio is made within each turn. *Per CPU-second* counts the processor time that the server has used,
//! so it holds even where the load cannot keep the server busy. Nothing here passes or fails.
//!
//! | file | what |
//! |---|---|
//! | `candidate` | the mock manager, with one registered client |
//! | `baseline` | hyper, or hyper and rustls, with an answer that is ready |
//! | `nginx` | nginx, with the answer as a static file |
//! | `keep_alive`, `reconnect` | the two loads |
//! | `pressure` | honest heartbeats while bad peers hold connections |
//! | `contest` | rounds, turns, and the tables |
//! | `machine` | processes, cores, and what they have used |
//!
//! Servers run in processes of their own, which are this program again, on the first core; the load runs on the second.

#![expect(clippy::disallowed_methods, reason = "a bench goes by the machine's own time")]

mod baseline;
mod candidate;
mod contest;
mod keep_alive;
mod machine;
mod nginx;
mod pressure;
mod reconnect;

use std::time::Duration;

use crate::contest::{Load, Settings, Stage};
use crate::pressure::Pressure;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["candidate", folder] => candidate::run(folder),
        ["baseline", folder, status, body] => baseline::run(folder, status, body),
        ["peers", plain, secure, silent, slow, stalled] => {
            pressure::peers(plain, secure, [silent, slow, stalled]);
        }
        ["flood", place] => pressure::flood(place),
        _ if words.contains(&"--bench") => bench(&words),
        _ => println!("this measures only when it is asked to: cargo bench -p epm-server"),
    }
}

fn bench(words: &[&str]) {
    let settings = if words.contains(&"--quick") {
        Settings { rounds: 3, turn: Duration::from_millis(600), warm_up: Duration::from_millis(150) }
    } else {
        Settings { rounds: 7, turn: Duration::from_millis(1500), warm_up: Duration::from_millis(200) }
    };
    let wanted = words.iter().find(|word| !word.starts_with("--"));
    let stage = Stage::set(settings);
    if wanted.is_some_and(|part| *part == "pressure") {
        return stage.press(Pressure::of(words));
    }
    if wanted.is_some_and(|part| *part == "latency") {
        return stage.press(Pressure::none(words));
    }
    for load in Load::ALL {
        if wanted.is_none_or(|part| load.name().contains(part)) {
            stage.compare(load);
        }
    }
}
