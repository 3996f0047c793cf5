//! The examples of `docs/test-your-rotation-tool.md` are run as they stand there, and the script beside it.
//!
//! They find `epm-lab` on the path. The Rust example stands in `your_tool.rs`, and must be the same word for word.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use epm_fixtures::python_packages;

use crate::harness::{STALE, needs, output, program, root, said};

/// A `cargo` for the examples: what it would install is on the path already.
const NO_CARGO: &str = "#!/bin/sh\n[ \"$*\" = 'install --locked --path epm-lab/server' ] || { echo \"unknown: cargo $*\" >&2; exit 9; }\n";
/// Runs the steps of a job, each in a shell of its own, as a runner does.
const RUNNER: &str = r#"
import os, subprocess, sys, yaml
job = yaml.safe_load(open("job.yml"))["jobs"]["rotation"]
env, failed = {**os.environ, "GITHUB_ENV": "github.env"}, False
for step in (step for step in job["steps"] if "run" in step):
    if failed and step.get("if") != "always()":
        continue
    print("step:", step["name"], flush=True)
    failed |= subprocess.run(["bash", "-e", "-o", "pipefail", "-c", step["run"]], env=env).returncode != 0
    if os.path.exists("github.env"):
        env.update(line.rstrip("\n").split("=", 1) for line in open("github.env"))
sys.exit(failed)
"#;

/// The one example in this language.
fn example(language: &str) -> String {
    let page = fs::read_to_string(root().join("docs/test-your-rotation-tool.md")).unwrap();
    let fence = format!("```{language}\n");
    let mut found = page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    let only = found.next().unwrap_or_else(|| panic!("no example in {language}"));
    assert_eq!(found.next(), None, "several examples in {language}");
    only
}

/// Runs bash in a folder, with `epm-lab` and the programs of the Python packages on the path.
fn bash(folder: &Path, script: &str) -> Output {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join("cargo"), NO_CARGO).unwrap();
    let mut mode = fs::metadata(bin.join("cargo")).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(bin.join("cargo"), mode).unwrap();
    let lab = Path::new(program().get_program()).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap();
    let path = [bin, lab, python_packages().to_owned()].into_iter().chain(std::env::split_paths(&path));
    let mut bash = Command::new("timeout");
    bash.args(["110", "bash", "-c", script]).current_dir(folder);
    bash.env("PATH", std::env::join_paths(path).unwrap()).env("NO_PROXY", "*").env_remove("EPM_LAB_URL");
    output(&mut bash)
}

fn words(out: &Output) -> String {
    said(out).1
}

#[needs(bash, python3, timeout)]
#[test]
fn the_shell_script_passes_and_fails_with_names_where_the_tool_is_careless_or_does_nothing() {
    let (folder, script) = (tempfile::tempdir().unwrap(), example("sh"));
    let out = bash(folder.path(), &script);
    assert!(out.status.success(), "{}", words(&out));
    fs::write(folder.path().join("ready.json"), STALE).unwrap();
    let careless = script.replace("rotate single", "rotate single --no-wait");
    assert_ne!(careless, script);
    let out = bash(folder.path(), &careless);
    assert_eq!(out.status.code(), Some(1), "{}", words(&out));
    let (_, shown) = said(&out);
    assert!(shown.contains("FAIL not-waited: desk-1 in My Company\\Default Group since"), "{shown}");
    assert!(shown.contains("; the client trusts "), "{shown}");
    fs::write(folder.path().join("ready.json"), STALE).unwrap();
    let idle = script.replace("epm-lab rotate single", "true");
    assert_ne!(idle, script);
    let out = bash(folder.path(), &idle);
    assert_eq!(out.status.code(), Some(1), "{}", words(&out));
    assert!(words(&out).contains("FAIL certificate-new: sepm-1"), "{}", words(&out));
}

#[needs(bash, python_packages, timeout)]
#[test]
fn the_job_passes_and_fails_where_the_tool_is_careless_or_does_nothing() {
    let (folder, job) = (tempfile::tempdir().unwrap(), example("yaml"));
    fs::write(folder.path().join("runner.py"), RUNNER).unwrap();
    fs::write(folder.path().join("job.yml"), &job).unwrap();
    let out = bash(folder.path(), "exec python3 runner.py");
    assert!(out.status.success(), "{}", words(&out));
    let junit = fs::read_to_string(folder.path().join("rotation.xml")).unwrap();
    assert!(junit.contains("failures=\"0\" errors=\"0\""), "{junit}");
    assert!(junit.contains("name=\"every manager that rotates presents a new certificate\""), "{junit}");
    fs::write(folder.path().join("ready.json"), STALE).unwrap();
    for left in ["github.env", "rotation.xml"] {
        fs::remove_file(folder.path().join(left)).unwrap();
    }
    let fails = |tool: &str, finding: &str| {
        let careless = job.replace("epm-lab rotate single", tool);
        assert_ne!(careless, job);
        fs::write(folder.path().join("job.yml"), careless).unwrap();
        let out = bash(folder.path(), "exec python3 runner.py");
        assert_eq!(out.status.code(), Some(1), "{}", words(&out));
        let junit = fs::read_to_string(folder.path().join("rotation.xml")).unwrap();
        assert!(junit.contains(finding), "{junit}");
        assert!(junit.contains("On the page of the lab: http://127.0.0.1:"), "{junit}");
    };
    fails("epm-lab rotate single --no-wait || true", "type=\"not-waited\"");
    fs::write(folder.path().join("ready.json"), STALE).unwrap();
    for left in ["github.env", "rotation.xml"] {
        fs::remove_file(folder.path().join(left)).unwrap();
    }
    fails("/bin/true", "type=\"certificate-new\"");
}

/// Runs the pytest example with this tool; with none, the one that stands there.
fn pytest(tool: Option<&str>) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("test_rotation.py"), example("python")).unwrap();
    let run = "exec python3 -m pytest -q -p no:cacheprovider test_rotation.py";
    let script = root().join("docs/rotate_single.py");
    let run = tool.map_or_else(
        || run.to_owned(),
        |tool| {
            format!("export ROTATION_TOOL='{tool}'; {run} -s -k tool_orphans")
                .replace("SCRIPT", &script.display().to_string())
        },
    );
    bash(folder.path(), &run)
}

#[needs(bash, python_packages, timeout)]
#[test]
fn the_fixture_passes() {
    let out = pytest(None);
    assert!(out.status.success() && words(&out).contains("2 passed"), "{}", words(&out));
}

#[needs(bash, python_packages, timeout)]
#[test]
fn the_script_with_sepm_api_orphans_no_client() {
    let out = pytest(Some("python3 SCRIPT READY"));
    assert!(out.status.success() && words(&out).contains("1 passed"), "{}", words(&out));
    assert!(words(&out).contains("All is well."), "{}", words(&out));
}

#[needs(bash, python_packages, timeout)]
#[test]
fn the_fixture_fails_with_names_where_the_tool_updates_too_early_or_does_nothing() {
    let out = pytest(Some("epm-lab manager update"));
    assert_eq!(out.status.code(), Some(1), "{}", words(&out));
    assert!(words(&out).contains("switch-left-on: desk-1 in"), "{}", words(&out));
    let out = pytest(Some("true"));
    assert_eq!(out.status.code(), Some(1), "{}", words(&out));
    assert!(words(&out).contains("certificate-new: sepm-1"), "{}", words(&out));
}

#[test]
fn the_rust_example_is_the_test_beside_this_one() {
    let test = fs::read_to_string(root().join("server/tests/cli/your_tool.rs")).unwrap();
    assert!(test.contains(&example("rust")));
}
