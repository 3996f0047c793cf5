//! Results that cannot be written are a failure; a reader that has gone is none.

use std::process::{Command, Output};

use crate::harness::{RunningLab, agent, needs, output, program, stderr};

/// Runs a program with its standard output redirected as bash is told.
#[track_caller]
fn redirected(program: &Command, arguments: &[&str], redirection: &str) -> Output {
    let mut bash = Command::new("bash");
    let script = format!("\"$0\" \"$@\" {redirection}; exit ${{PIPESTATUS[0]}}");
    bash.args(["-c", &script]).arg(program.get_program()).args(arguments);
    output(bash.current_dir(crate::harness::root()))
}

#[needs(bash)]
#[test]
fn results_that_cannot_be_written_end_with_1_and_a_closed_pipe_is_quiet() {
    let lab = RunningLab::up(&["--agents", "1"]);
    let scenario = "fixtures/scenarios/single-manager.toml";
    let (program, agent) = (program(), agent());
    for (program, arguments) in [
        (&program, &["--help"][..]),
        (&program, &["--version"]),
        (&program, &["up", "--help"]),
        (&program, &["assumptions", "--json"]),
        (&program, &["assumptions"]),
        (&program, &["completions", "bash"]),
        (&program, &["scenario", "schema"]),
        (&program, &["failure", "list"]),
        (&program, &["rehearse", scenario]),
        (&program, &["check", "--lab", lab.url(), "--json"]),
        (&program, &["health", "--lab", lab.url()]),
        (&agent, &["--help"]),
        (&agent, &["completions", "bash"]),
    ] {
        let full = redirected(program, arguments, "> /dev/full");
        let said = stderr(&full);
        assert_eq!(full.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("cannot write to standard output: No space left"), "{arguments:?}: {said}");
        let closed = redirected(program, arguments, "| true");
        assert_eq!((closed.status.code(), stderr(&closed)), (Some(0), String::new()), "{arguments:?}");
    }
    // What was wrong before is still told.
    let wrong = redirected(&program, &["scenario", "check", "nowhere.toml"], "> /dev/full");
    assert_eq!(wrong.status.code(), Some(2), "{}", stderr(&wrong));
}

#[needs(bash)]
#[test]
fn a_lab_that_cannot_say_that_it_is_ready_ends() {
    let full = redirected(&program(), &["up", "--http-port", "0", "--agents", "0"], "> /dev/full");
    assert_eq!(full.status.code(), Some(1), "{}", stderr(&full));
}

#[needs(bash)]
#[test]
fn the_tail_of_the_journal_ends_when_its_reader_has_gone() {
    let lab = RunningLab::up(&["--agents", "1", "--heartbeat", "1"]);
    let tail = redirected(&program(), &["journal", "tail", "--lab", lab.url()], "| head -n 1");
    assert_eq!((tail.status.code(), stderr(&tail)), (Some(0), String::new()));
    let full = redirected(&program(), &["journal", "tail", "--lab", lab.url()], "> /dev/full");
    assert_eq!(full.status.code(), Some(1), "{}", stderr(&full));
}
