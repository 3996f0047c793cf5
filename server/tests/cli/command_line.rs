//! The command line as such: help, completions, the log, the width of tables, and what is left behind by a command that is refused.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::harness::{
    Running, RunningLab, agent, needs, output, program, refused, root, run, said, stderr, stdout, well,
};

/// Every command of a program without commands below it, and its help.
fn leaves(program: fn() -> Command) -> Vec<(Vec<String>, String)> {
    let (mut open, mut found) = (vec![Vec::new()], Vec::new());
    while let Some(path) = open.pop() {
        let path: Vec<String> = path;
        let help = well(&output(program().args(&path).arg("--help").env("COLUMNS", "80")));
        let listed = help.split("\nCommands:\n").nth(1).map(|rest| rest.split("\n\n").next().unwrap_or(rest));
        let names = listed.into_iter().flat_map(str::lines).filter_map(|line| {
            let name = line.strip_prefix("  ")?;
            name.starts_with(char::is_alphabetic).then(|| name.split(' ').next())?
        });
        let names: Vec<&str> = names.filter(|name| *name != "help").collect();
        open.extend(names.iter().map(|name| [&path[..], &[(*name).to_owned()]].concat()));
        if names.is_empty() {
            found.push((path, help));
        }
    }
    found
}

#[test]
fn the_help_of_every_command_has_an_example_and_its_exit_codes_and_fits_80_columns() {
    for (name, program) in [("epm-lab", program as fn() -> Command), ("epm-agent", agent)] {
        let leaves = leaves(program);
        assert!(leaves.len() >= if name == "epm-lab" { 60 } else { 5 }, "{name}: {}", leaves.len());
        for (path, help) in leaves {
            assert!(help.contains("Example") && help.contains(&format!("\n  {name} ")), "{path:?}: {help}");
            assert!(help.contains("xit codes: 0 "), "{path:?}: {help}");
            let long = help.lines().find(|line| line.chars().count() > 80);
            assert_eq!(long, None, "{path:?}");
        }
    }
}

/// A function that completes a command line as bash does, with the function that the script has registered.
const COMPLETE: &str = r#"
completed() {
    local registered function
    registered=$(complete -p "$1")
    function=${registered#*-F } function=${function%% *}
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    echo "$*=${COMPREPLY[*]}"
}
"#;

#[needs(bash)]
#[test]
fn bash_completes_the_options_of_every_command_and_the_commands_of_every_level() {
    for (name, program) in [("epm-lab", program as fn() -> Command), ("epm-agent", agent)] {
        let mut script = well(&output(program().args(["completions", "bash"]))) + COMPLETE;
        let leaves = leaves(program);
        for (path, _) in &leaves {
            script.push_str(&format!("completed {name} {} --h\n", path.join(" ")));
        }
        script.push_str(&format!("completed {name} c\n"));
        if name == "epm-lab" {
            script.push_str("completed epm-lab client ''\ncompleted epm-lab cert issue --o\n");
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("script");
        fs::write(&file, script).unwrap();
        let found = well(&output(Command::new("bash").arg(&file)));
        for (path, _) in &leaves {
            let line = format!("{name} {} --h=", path.join(" "));
            let completed = found.lines().find_map(|one| one.strip_prefix(&line));
            assert!(completed.is_some_and(|one| one.contains("--help")), "{line}{completed:?}");
        }
        assert!(found.contains(&format!("{name} c=")) && found.contains("completions"), "{found}");
        if name == "epm-lab" {
            assert!(found.contains(" poke freeze thaw "), "{found}");
            assert!(found.contains("epm-lab cert issue --o=--out\n"), "{found}");
        }
    }
}

#[needs(zsh, fish)]
#[test]
fn zsh_and_fish_can_read_their_completions() {
    let folder = tempfile::tempdir().unwrap();
    for program in [program as fn() -> Command, agent] {
        for shell in ["zsh", "fish"] {
            let file = folder.path().join(shell);
            fs::write(&file, well(&output(program().args(["completions", shell])))).unwrap();
            assert_eq!(said(&output(Command::new(shell).arg("-n").arg(&file))), (Some(0), String::new()));
        }
    }
}

#[test]
fn the_log_says_what_the_lab_does_and_a_level_that_does_not_exist_is_refused() {
    let up = ["--log", "debug", "up", "--http-port", "0", "--agents", "1", "--heartbeat", "1"];
    let mut up = Running::start(program().args(up));
    for expected in
        ["exchange peer=", "action=\"register\" status=200", "client=\"desk-1\"", "action=\"index\""]
    {
        up.says(expected);
    }
    assert_eq!(up.interrupt(), Some(0));

    let lab = RunningLab::up(&["--agents", "1", "--log", "info"]);
    let check = lab.run(&["check", "--log", "debug"]);
    assert!(stderr(&check).contains(" DEBUG ") && stderr(&check).contains("status=200"), "{check:?}");
    assert!(!stdout(&check).contains("DEBUG"), "{check:?}");
    assert_eq!(stderr(&lab.run(&["check"])), "");

    refused(&run(&["check", "--log", "debgu"]), &["'--log <LEVEL>'", "did you mean \"debug\"?"]);
    refused(&output(program().arg("assumptions").env("EPM_LAB_LOG", "epm_server")), &["MODULE=LEVEL"]);
    let doctor = ["doctor", "--log", "debug", "--sylink", "fixtures/sylink/exported.xml", "--server"];
    let doctor = output(agent().args(doctor).arg("http://127.0.0.1:9").current_dir(root()));
    assert!(stderr(&doctor).contains("exchange failed"), "{doctor:?}");
    assert!(stdout(&doctor).contains("FAILED"), "{doctor:?}");
}

#[test]
fn prose_fits_80_columns_and_breaks_neither_a_word_nor_a_command_nor_a_line_elsewhere() {
    for arguments in [
        &["rehearse", "fixtures/scenarios/single-manager-no-wait.toml"][..],
        &["failure", "show", "F38"],
        &["failure", "reproduce", "F29"],
    ] {
        let narrow = stdout(&output(program().args(arguments).env("COLUMNS", "80")));
        let long = narrow.lines().find(|line| line.chars().count() > 80 && !line.starts_with("epm-lab "));
        assert_eq!(long, None, "{arguments:?}");
        let wide = stdout(&output(program().args(arguments).env_remove("COLUMNS")));
        assert!(wide.lines().any(|line| line.chars().count() > 80), "{arguments:?}");
        // Tables break words where nothing else is left.
        if arguments[1] == "show" {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&narrow), words(&wide), "{arguments:?}");
        }
    }
    let refused = |command: &mut Command| stderr(&output(command.env("COLUMNS", "60")));
    for text in [
        refused(program().args(["check", "--lab", "http://127.0.0.1:1"])),
        refused(agent().args(["doctor", "--sylink", "nowhere.xml", "--server", "no address"])),
    ] {
        let long = text.lines().find(|line| line.chars().count() > 60);
        assert!(long.is_none() && text.lines().count() > 1, "{text}");
    }
    let json = |columns| {
        stdout(&output(program().args(["failure", "show", "F38", "--json"]).env("COLUMNS", columns)))
    };
    assert_eq!(json("20"), json("2000"));
}

#[test]
fn tables_fit_80_columns_and_break_no_line_elsewhere() {
    for arguments in [&["assumptions"][..], &["fault", "kinds"], &["failure", "list"]] {
        let narrow = well(&output(program().args(arguments).env("COLUMNS", "80")));
        let long = narrow.lines().find(|line| line.chars().count() > 80 && !line.ends_with("reproduced."));
        assert_eq!(long, None, "{arguments:?}");
        let wide = well(&output(program().args(arguments).env_remove("COLUMNS")));
        assert!(wide.lines().count() < narrow.lines().count(), "{arguments:?}");
    }
}

#[needs(script)]
#[test]
fn the_progress_names_the_step_of_the_heading() {
    let lab = env!("CARGO_BIN_EXE_epm-lab");
    let run = format!("stty cols 120; {lab} run fixtures/scenarios/single-manager.toml --moved");
    let shown = output(Command::new("script").args(["-qec", &run, "/dev/null"]).current_dir(root()));
    let shown = stdout(&shown);
    let bars: Vec<&str> = shown
        .split(['\r', '\n'])
        .filter_map(|line| line.split_once("Step ").filter(|_| line.contains("s)")).map(|(_, rest)| rest))
        .collect();
    assert!(!bars.is_empty(), "{shown}");
    for bar in bars {
        let step = bar.split(':').next().unwrap();
        assert!(shown.contains(&format!("\nStep {step}: ")), "{bar:?} in {shown}");
    }
}

/// The names of everything in a folder, and below it.
fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(self::names(&path));
        }
        names.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    names
}

#[test]
fn a_command_that_cannot_write_its_files_is_refused_before_it_works_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("photos")).unwrap();
    for name in ["photos/beach.jpg", "mine"] {
        fs::write(at.join(name), "mine").unwrap();
    }
    let sylink = root().join("fixtures/sylink/exported.xml");
    let scenario = root().join("fixtures/scenarios/single-manager.toml");
    let (sylink, scenario) = (sylink.to_str().unwrap(), scenario.to_str().unwrap());
    let before = names(at);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port().to_string();
    let up = ["up", "--http-port", "0", "--agents", "0"];
    for (arguments, expected) in [
        (
            &["cert", "issue", "--name", "x", "--out", "no/c", "--key-out", "k"][..],
            "its folder does not exist",
        ),
        (&["cert", "issue", "--name", "x", "--out", "c", "--key-out", "no/k"], "its folder does not exist"),
        (&["cert", "issue", "--name", "x", "--out", "c", "--key-out", "mine"], "already exists"),
        (&["cert", "issue", "--name", "x", "--out", "c", "--key-out", "c"], "same file"),
        (&["cert", "issue", "--name", "x", "--out", "photos", "--key-out", "k"], "it is a folder"),
        (&["recovery", "save", "--out", "no/r.zip"], "its folder does not exist"),
        (&["recovery", "save", "--out", "mine"], "already exists; `--force`"),
        (&["sylink", "package", "-o", "no/p.zip"], "its folder does not exist"),
        (&["sylink", "package", "-o", "photos"], "has other files: \"beach.jpg\""),
        (&["sylink", "edit", sylink, "--out", "no/s.xml"], "its folder does not exist"),
        (&["sylink", "edit", sylink, "--out", "mine"], "already exists; `--force`"),
        (&["check", "--junit", "no/j.xml"], "its folder does not exist"),
        (&["check", "--junit", "mine"], "already exists; `--force`"),
        (&["check", "--expected", "--junit", "mine"], "already exists; `--force`"),
        (&["rotate", "single", "--state", "no/state"], "its folder does not exist"),
        (&["rehearse", scenario, "--report", "photos"], "has other files: \"beach.jpg\""),
        (&["rehearse", scenario, "--report", "mine/report"], "cannot write into the folder"),
        (&["rehearse", scenario, "--report", "new", "--seeds", "2"], "leave out `--report`"),
        (&["rehearse", scenario, "--report", "new", "--sweep", "9=1h..2h"], "the scenario has 4 steps"),
        (&["failure", "reproduce", "F01", "--live", "--export", "photos"], "has other files: \"beach.jpg\""),
        (&[&up[..], &["--ready-file", "no/ready.json"]].concat(), "its folder does not exist"),
        (&[&up[..], &["--ready-file", "mine"]].concat(), "was not written by a lab; `--force`"),
        (&[&up[..], &["--token-file", "no/token"]].concat(), "its folder does not exist"),
        (&[&up[..], &["--export", "photos"]].concat(), "has other files: \"beach.jpg\""),
        (&[&up[..], &["--install-root", "photos"]].concat(), "has other files: \"beach.jpg\""),
        (
            &[&up[..], &["--control-port", &taken, "--export", "e", "--token-file", "t"]].concat(),
            "--control-port",
        ),
        (&[&up[..], &["--control-port", &taken, "--install-root", "i"]].concat(), "--control-port"),
    ] {
        refused(&output(program().args(arguments).current_dir(at)), &[expected]);
        assert_eq!(names(at), before, "{arguments:?}");
    }
    for arguments in [
        &["run", "--sylink", sylink, "--state", "photos"][..],
        &["import", sylink, "--cache", "photos"],
        &["run", "--state", "new"],
        &["run", "--sylink", "missing.xml", "--state", "new"],
        &["show", "--state", "photos"],
    ] {
        refused(&output(agent().args(arguments).current_dir(at)), &[]);
        assert_eq!(names(at), before, "{arguments:?}");
    }
    well(&output(agent().args(["import", sylink, "--cache", "photos", "--force"]).current_dir(at)));
    assert!(at.join("photos/current/sylink.xml").is_file() && at.join("photos/beach.jpg").is_file());
}

#[test]
fn what_a_lab_has_written_is_replaced_at_its_next_start_and_what_it_has_not_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let up = || {
        let outs = ["--ready-file", "lab/ready.json", "--export", "lab", "--token-file", "lab/token"];
        let mut up = program();
        up.args(["up", "--http-port", "0", "--agents", "0", "--install-root", "sepm"]).args(outs);
        up.current_dir(at);
        RunningLab::of(&mut up).interrupt()
    };
    fs::create_dir(at.join("lab")).unwrap();
    assert_eq!(up(), Some(0));
    fs::create_dir(at.join("lab/state")).unwrap();
    assert_eq!(up(), Some(0));
    assert_eq!(names(&at.join("lab")), [".epm-lab", "sepm-1.pem", "state", "sylink.xml", "token"]);
}

#[test]
fn a_report_is_replaced_only_when_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = root().join("fixtures/scenarios/single-manager.toml");
    let report = |more: &[&str]| {
        let arguments = ["rehearse", scenario.to_str().unwrap(), "--report", "report"];
        output(program().args(arguments).args(more).current_dir(folder.path()))
    };
    well(&report(&[]));
    let file = folder.path().join("report/outcome.json");
    fs::write(&file, "old").unwrap();
    refused(&report(&[]), &["has other files", "--force"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    well(&report(&["--force"]));
    assert_ne!(fs::read_to_string(&file).unwrap(), "old");
}
