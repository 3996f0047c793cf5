//! The steps of `action.yml` are run as they stand there, by `tools/action.py`, which is to them what a runner of GitHub is; and the
//! script of `docs/ci.md` that other CI systems run.

use std::fs;
use std::path::Path;
use std::process::Command;

use epm_fixtures::python_packages;
use serde_json::Value;

use crate::harness::{json, junit_cases, needs, output, program, root, said};

/// Makes an archive that is laid out as that of a release. Its `epm-lab` is a script that becomes the built one, which is large.
fn pack(folder: &Path, archive: &str) {
    let inner = "epm-lab-0.1.0-x86_64-unknown-linux-gnu";
    fs::create_dir(folder.join(inner)).unwrap();
    let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", program().get_program().display());
    for name in ["epm-lab", "epm-agent"] {
        let file = folder.join(inner).join(name);
        fs::write(&file, &script).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut tar = Command::new("tar");
    tar.args(["-czf", archive, inner]).current_dir(folder);
    let (code, shown) = said(&output(&mut tar));
    assert_eq!(code, Some(0), "{shown}");
}

/// What a job with the action has left.
struct Job {
    folder: tempfile::TempDir,
    code: Option<i32>,
    shown: String,
}

impl Job {
    /// Runs the action with an archive of the programs; none is on the path.
    fn run(inputs: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        pack(folder.path(), "lab.tar.gz");
        let mut python = Command::new("timeout");
        python.arg("110").arg(python_packages().join("python3"));
        python.arg(root().join("server/tests/cli/tools/action.py")).arg(root().join("action.yml"));
        python.arg("archive=lab.tar.gz").args(inputs).current_dir(folder.path());
        python.env("NO_PROXY", "*").env_remove("EPM_LAB_URL");
        let (code, shown) = said(&output(&mut python));
        Self { folder, code, shown }
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}\n{}", self.shown))
    }

    /// Whether the lab that the action started is gone.
    fn has_ended(&self) -> bool {
        let process = self.file("job/temp/epm-lab/pid");
        !Path::new("/proc").join(process.trim()).exists()
    }

    fn outputs(&self) -> Value {
        let last = self.shown.lines().find(|line| line.starts_with('{')).unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}\n{}", self.shown))
    }
}

#[needs(bash, curl, jq, python_packages, timeout)]
#[test]
fn a_job_passes_with_a_summary_of_the_judgement_and_leaves_no_lab() {
    let job = Job::run(&["run=test -s \"$EPM_LAB_READY_FILE\"\nepm-lab rotate single"]);
    assert_eq!(job.code, Some(0), "{}", job.shown);
    let summary = job.file("job/summary.md");
    assert!(summary.starts_with("### epm-lab: pass\n\n| result | expected |"), "{summary}");
    assert!(
        summary.contains("| pass | every manager that rotates presents a new certificate |"),
        "{summary}"
    );
    assert_eq!(job.outputs()["verdict"], "pass");
    assert!(!junit_cases(&job.folder.path().join("epm-lab.xml")).is_empty());
    assert!(job.has_ended());
}

#[needs(bash, curl, jq, python_packages, timeout)]
#[test]
fn a_job_fails_with_a_summary_where_the_tool_fails_or_does_nothing_and_leaves_no_lab() {
    for run in ["run=exit 7", "run=true"] {
        let job = Job::run(&[run, "junit=judgement.xml", "heartbeats=1"]);
        assert_eq!(job.code, Some(1), "{}", job.shown);
        let summary = job.file("job/summary.md");
        let expected = "| fail | every manager that rotates presents a new certificate | sepm-1";
        assert!(summary.starts_with("### epm-lab: fail\n") && summary.contains(expected), "{summary}");
        assert_eq!(job.outputs()["verdict"], "fail");
        assert!(job.file("judgement.xml").contains("type=\"certificate-new\""));
        assert!(job.has_ended());
    }
}

#[needs(bash, curl, jq, python_packages, timeout)]
#[test]
fn a_job_says_what_is_wrong_with_its_archive_its_lab_or_its_judgement() {
    let sum = "0".repeat(64);
    for (inputs, expected) in [
        (&["run=true", &format!("sha256={sum}")][..], "the archive has the SHA-256 "),
        (&["run=true", "archive=https://127.0.0.1:9/lab.tar.gz"], "the input sha256 is empty"),
        (&["run=true", "archive=http://127.0.0.1:9/lab.tar.gz"], "a URL that begins with https://"),
        (&["run=true", "up=--bind 0.0.0.0"], "the lab is not ready after"),
        (&["run=true", "check=--since never", "heartbeats=1"], "### epm-lab: unknown"),
    ] {
        let job = Job::run(inputs);
        assert_eq!(job.code, Some(1), "{inputs:?}: {}", job.shown);
        assert!(job.shown.contains(expected), "{inputs:?}: {}", job.shown);
        assert_ne!(job.outputs()["verdict"], "pass");
    }
}

/// The first block of this language below a heading of `docs/ci.md`.
fn example(heading: &str, language: &str) -> String {
    let page = fs::read_to_string(root().join("docs/ci.md")).unwrap();
    let (_, below) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let (_, block) = below.split_once(&format!("```{language}\n")).unwrap_or_else(|| panic!("no {language}"));
    block.split("```").next().unwrap().to_owned()
}

#[needs(python_packages)]
#[test]
fn the_page_lists_the_inputs_of_the_action_with_their_defaults_and_its_example_has_no_others() {
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let read = |file: &Path| -> Value {
        let mut python = Command::new(python_packages().join("python3"));
        python.args(["-c", script]).arg(file);
        json(&output(&mut python))
    };
    let page = fs::read_to_string(root().join("docs/ci.md")).unwrap();
    let action = read(&root().join("action.yml"));
    let inputs = action["inputs"].as_object().unwrap();
    for (name, input) in inputs {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/ci.md has no row for the input {name}"));
        let default = input["default"].as_str().unwrap_or_default();
        assert!(row.contains(default), "the default of {name} is {default:?}; docs/ci.md: {row}");
    }
    assert_eq!(
        page.matches("\n| `").count(),
        inputs.len(),
        "docs/ci.md describes an input that does not exist"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), example("GitHub Actions", "yaml")).unwrap();
    let job = read(file.path());
    for name in job["jobs"]["rotation"]["steps"][1]["with"].as_object().unwrap().keys() {
        assert!(inputs.contains_key(name), "{name}");
    }
}

#[needs(bash, timeout)]
#[test]
fn the_script_of_the_page_installs_an_archive_and_passes_and_fails_where_the_tool_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    pack(folder.path(), "epm-lab-0.1.0-x86_64-unknown-linux-gnu.tar.gz");
    let script = example("A shell script", "sh");
    let idle = script.replace("epm-lab rotate single", "true");
    assert_ne!(idle, script);
    for (script, code, failures) in [(script, 0, "failures=\"0\""), (idle, 1, "type=\"certificate-new\"")] {
        fs::write(folder.path().join("rotation.sh"), script).unwrap();
        let mut bash = Command::new("timeout");
        bash.args(["110", "bash", "rotation.sh"]).current_dir(folder.path()).env_remove("EPM_LAB_URL");
        let (ended, shown) = said(&output(&mut bash));
        assert_eq!(ended, Some(code), "{shown}");
        let junit = fs::read_to_string(folder.path().join("judgement.xml")).unwrap();
        assert!(junit.contains(failures), "{junit}");
    }
}
