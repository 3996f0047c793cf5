//! The parsers of foreign bytes, each as a function from an input that may panic: what a fuzzer runs, and what a test runs on the kept
//! inputs.
//!
//! A target also checks what is cheap to check: a document that was read and written is read as the same again. The fuzzer itself is in
//! the folder `libfuzzer`, outside of the workspace. `docs/fuzzing.md` says how to run it.

mod apis;
mod client;
mod keystores;
mod manager;
mod messages;
mod self_check;

/// A function that panics on an input that a parser does not handle as it should.
pub type Run = fn(&[u8]);

/// A parser of foreign bytes. The name is that of its folders in `corpus` and `finds`.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of the target.
    pub name: &'static str,
    /// Runs the parser on an input.
    pub run: Run,
}

/// Every parser that is fuzzed, under the name that `run.sh` takes.
pub const TARGETS: &[Target] = &[
    Target { name: "sylink", run: messages::sylink },
    Target { name: "list", run: messages::list },
    Target { name: "index", run: messages::index },
    Target { name: "policy", run: messages::policy },
    Target { name: "request", run: messages::request },
    Target { name: "jks", run: keystores::jks },
    Target { name: "jceks", run: keystores::jks },
    Target { name: "pkcs12", run: keystores::pkcs12 },
    Target { name: "pem", run: keystores::separate },
    Target { name: "der", run: keystores::der },
    Target { name: "server-xml", run: manager::server_xml },
    Target { name: "apache", run: manager::apache },
    Target { name: "command", run: manager::command },
    Target { name: "recovery", run: manager::recovery },
    Target { name: "rest", run: apis::rest },
    Target { name: "control", run: apis::control },
    Target { name: "reports", run: apis::reports },
    Target { name: "package", run: client::package },
    Target { name: "scenario", run: client::scenario },
    Target { name: "log", run: client::log },
    Target { name: "diagnosis", run: client::diagnosis },
    Target { name: "state", run: client::state },
];

/// Functions with a planted panic that the fuzzer must find. They have no kept inputs of their own.
pub const SELF_CHECKS: &[Target] = &[
    Target { name: "check-bytes", run: self_check::bytes },
    Target { name: "check-numbers", run: self_check::numbers },
    Target { name: "check-text", run: self_check::text },
];

/// The target of this name, or the self-check.
///
/// # Panics
///
/// If there is none.
pub const fn target(name: &str) -> &'static Target {
    match (find(TARGETS, name), find(SELF_CHECKS, name)) {
        (Some(target), _) | (None, Some(target)) => target,
        (None, None) => panic!("unknown target: `tests/fuzz/src/lib.rs` lists them"),
    }
}

/// The target of this name among some.
const fn find(among: &'static [Target], name: &str) -> Option<&'static Target> {
    let mut place = 0;
    while place < among.len() {
        if is_equal(among[place].name.as_bytes(), name.as_bytes()) {
            return Some(&among[place]);
        }
        place += 1;
    }
    None
}

/// Checks that an error names what it found without repeating a file.
pub(crate) fn is_short(error: &impl std::fmt::Display) {
    let error = error.to_string();
    assert!(error.len() < 8192, "an error of {} bytes: {error:.200}", error.len());
}

/// Returns what was read, or checks the error.
pub(crate) fn read<T, E: std::fmt::Display>(result: Result<T, E>) -> Option<T> {
    result.inspect_err(is_short).ok()
}

/// Compares in a constant expression, where `==` cannot.
const fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let mut place = 0;
    while place < one.len() && place < other.len() && one[place] == other[place] {
        place += 1;
    }
    place == one.len() && place == other.len()
}
