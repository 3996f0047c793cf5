//! What every test of the command line uses: runs of `epm-lab` that end, and labs that are up until they are dropped.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock};

use epm_fixtures::{HeldPort, check_json, schema_of};
pub(crate) use epm_fixtures::{Running, needs, output, root, until};
use serde_json::Value;

/// `epm-lab`, in the folder of the workspace.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epm-lab"));
    command.current_dir(root());
    command
}

/// Runs `epm-lab` to its end. JSON that it prints must be as `epm-lab schema` says.
#[track_caller]
pub(crate) fn run(arguments: &[&str]) -> Output {
    output(program().args(arguments))
}

/// `epm-agent`, the program of another crate. It is built first, with the features that it has in a test of the whole workspace,
/// so that nothing is built twice.
#[track_caller]
pub(crate) fn agent() -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let path = BUILT.get_or_init(|| {
        let build = ["test", "--workspace", "--quiet", "--no-run", "--test", "agent"];
        well(&output(Command::new(env!("CARGO")).args(build).current_dir(root())));
        Path::new(env!("CARGO_BIN_EXE_epm-lab")).with_file_name("epm-agent")
    });
    Command::new(path)
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The exit code of a run, and all that it printed: first the results, then the messages.
pub(crate) fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), stdout(output) + &stderr(output))
}

/// What a run printed that went well.
#[track_caller]
pub(crate) fn well(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(output), stderr(output));
    stdout(output)
}

/// The JSON that a run printed.
#[track_caller]
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error} in {}{}", stdout(output), stderr(output)))
}

/// Asserts that a run was refused as bad input, with one clear message that holds all of these.
#[track_caller]
pub(crate) fn refused(output: &Output, expected: &[&str]) {
    let error = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert_eq!(error.matches("error:").count(), 1, "{error}");
    assert!(!error.contains("panicked"), "{error}");
    for part in expected {
        assert!(error.contains(part), "expected {part:?} in: {error}");
    }
}

/// The ready file of a lab that was killed.
pub(crate) const STALE: &str = r#"{"ready":true,"pid":1,"started":"2026-01-05T08:00:00.000Z","instance":"gone","control_api":"http://127.0.0.1:1"}
"#;

/// Reads a JUnit file as a build server does: each case as `NAME | passed`, or with the kind and all words of what it is
/// instead. The counts of each suite must be right.
const JUNIT_READER: &str = r#"
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
suites = list(root.iter("testsuite"))
assert root.tag in ("testsuites", "testsuite") and suites, root.tag
for suite in suites:
    cases = suite.findall("testcase")
    counted = [len([c for c in cases if c.find(kind) is not None]) for kind in ("failure", "error", "skipped")]
    expected = [int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")]
    assert expected == [len(cases), *counted], (suite.attrib, counted)
    for case in cases:
        assert case.get("name") and case.get("classname"), case.attrib
        bad = [child for child in case if child.tag in ("failure", "error", "skipped")]
        words = [f"{one.tag} {one.get('type', '')} {one.get('message', '')} {one.text or ''}" for one in bad]
        print(case.get("name"), "|", " ".join(" ".join(words or ["passed"]).split()))
"#;

/// The cases of a JUnit file, read by a foreign reader.
#[track_caller]
pub(crate) fn junit_cases(file: &Path) -> Vec<String> {
    let mut reader = Command::new("python3");
    well(&output(reader.args(["-c", JUNIT_READER]).arg(file))).lines().map(str::to_owned).collect()
}

/// A lab that is up, until it is dropped.
pub(crate) struct RunningLab {
    pub(crate) running: Running,
    /// What it printed when it was ready.
    pub(crate) ready: Value,
}

impl RunningLab {
    /// A lab on ports of its own.
    #[track_caller]
    pub(crate) fn up(arguments: &[&str]) -> Self {
        Self::of(program().args(["up", "--http-port", "0"]).args(arguments))
    }

    /// A lab whose clock stands: each heartbeat that is waited for happens at once.
    #[track_caller]
    pub(crate) fn frozen(arguments: &[&str]) -> Self {
        let lab = Self::up(&[&["--heartbeat", "60"], arguments].concat());
        well(&lab.run(&["clock", "freeze"]));
        lab
    }

    /// A lab that is started so, with the seed 1 unless it is given another.
    #[track_caller]
    pub(crate) fn of(up: &mut Command) -> Self {
        if !up.get_args().any(|argument| argument == "--seed") {
            up.args(["--seed", "1"]);
        }
        Self::as_it_is(up)
    }

    /// A lab that is started so, with the seed that it draws.
    #[track_caller]
    pub(crate) fn as_it_is(up: &mut Command) -> Self {
        let mut running = Running::start(up);
        let ready = serde_json::from_str(&running.says("\"ready\":true")).unwrap();
        let (_, schema) = schema_of(program().get_program().as_ref(), &["up"]).unwrap();
        check_json(&schema, &ready).unwrap_or_else(|problem| panic!("{problem}: {ready:#}"));
        Self { running, ready }
    }

    /// Where its control API is.
    pub(crate) fn url(&self) -> &str {
        self.ready["control_api"].as_str().unwrap()
    }

    /// The shared secret of its site, as the communications file has it.
    #[track_caller]
    pub(crate) fn secret(&self) -> String {
        let folder = tempfile::tempdir().unwrap();
        let [sylink, file] = ["sylink", "sylink/sylink.xml"].map(|name| folder.path().join(name));
        well(&self.run(&["sylink", "package", "-o", sylink.to_str().unwrap()]));
        let shown = json(&run(&["sylink", "show", file.to_str().unwrap(), "--show-secret", "--json"]));
        shown["kcs"].as_str().unwrap().to_owned()
    }

    /// Where its first manager listens.
    pub(crate) fn http(&self) -> &str {
        self.ready["managers"][0]["http"].as_str().unwrap()
    }

    /// `epm-lab`, told where this lab is.
    pub(crate) fn program(&self) -> Command {
        let mut command = program();
        command.env("EPM_LAB_URL", self.url());
        command
    }

    /// Runs a verb of the command line against it.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        output(self.program().args(arguments))
    }

    /// What a verb says to programs; the exit code must be this.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str], code: i32) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}{}", stdout(&output), stderr(&output));
        json(&output)
    }

    /// Asks for the verdict until it is so.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        until(what, || Some(json(&self.run(&["check", "--json"]))).filter(&is_so))
    }

    /// Interrupts it as Ctrl-C does: its exit code.
    #[track_caller]
    pub(crate) fn interrupt(self) -> Option<i32> {
        let code = self.running.interrupt();
        hold_ports(&self.ready);
        code
    }

    /// Kills it, which gives it no time for anything.
    pub(crate) fn kill(self) {
        self.running.kill();
        hold_ports(&self.ready);
    }
}

/// Holds the ports of a lab that has ended, for the one that is started in its place.
fn hold_ports(ready: &Value) {
    static HELD: Mutex<Vec<HeldPort>> = Mutex::new(Vec::new());
    let managers = ready["managers"].as_array().into_iter().flatten();
    let of_managers = managers.flat_map(|one| ["http", "https", "rest"].map(|port| &one[port]));
    let urls = of_managers.chain([&ready["control_api"]]).filter_map(Value::as_str);
    let addresses = urls.filter_map(|url| url.split("://").last()?.split('/').next()?.parse().ok());
    HELD.lock().unwrap().extend(addresses.filter_map(|address| HeldPort::at(address).ok()));
}
