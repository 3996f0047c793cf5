//! The cure for clients that have lost their manager, as an administrator applies it: a communication update package from
//! the lab, `epm-agent import` on a machine of its own, and a deployment to the lab's own clients.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A program that ends when the test does.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The first line from now on that says this.
    fn says(&mut self, what: &str) -> String {
        let found = self.lines.by_ref().map(Result::unwrap).find(|line| line.contains(what));
        found.unwrap_or_else(|| panic!("it ended without saying {what:?}"))
    }

    fn interrupt(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.child.wait().unwrap();
    }
}

fn agent() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "epm-client-agent", "--bin", "epm-agent"])
        .current_dir(root)
        .status();
    assert!(built.unwrap().success(), "epm-agent cannot be built");
    Path::new(env!("CARGO_BIN_EXE_epm-lab")).with_file_name("epm-agent")
}

struct Site {
    folder: tempfile::TempDir,
    agent: PathBuf,
    door: String,
    _lab: Running,
}

impl Site {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut up = Command::new(env!("CARGO_BIN_EXE_epm-lab"));
        up.args(["up", "--http-port", "0", "--agents", "2", "--heartbeat", "1", "--export", "lab"]);
        up.current_dir(folder.path());
        let mut lab = Running::start(up);
        let ready: Value = serde_json::from_str(&lab.says("\"ready\":true")).unwrap();
        let door = ready["door"].as_str().unwrap().to_owned();
        Self { folder, agent: agent(), door, _lab: lab }
    }

    fn lab(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut lab = Command::new(env!("CARGO_BIN_EXE_epm-lab"));
        lab.args(arguments).current_dir(self.folder.path()).env("EPM_LAB_URL", &self.door);
        let output = lab.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said.into_owned())
    }

    #[track_caller]
    fn well(&self, arguments: &[&str]) -> String {
        let (code, said) = self.lab(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        said
    }

    fn agent(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.agent);
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    fn held(&self) -> Value {
        let output = self.agent(&["show", "--state", "state"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Asks the lab until every client is as it should be.
    fn until(&self, pointer: &str, count: usize) -> Value {
        loop {
            let (_, said) = self.lab(&["check", "--json"]);
            let verdict: Value = serde_json::from_str(&said).unwrap();
            if verdict.pointer(pointer).and_then(Value::as_array).map(Vec::len) == Some(count) {
                return verdict;
            }
        }
    }
}

#[test]
fn an_orphan_on_its_own_machine_and_those_of_the_lab_are_brought_back_and_counted() {
    let site = Site::start();
    let run = ["run", "--sylink", "lab/sylink.xml", "--state", "state"];
    for (number, package) in ["package.zip", "package"].into_iter().enumerate() {
        let mut client = Running::start(site.agent(&run));
        client.says("12070301");
        let name = format!("update-{number}");
        site.well(&["manager", "update", "--name", &name]);
        client.says("120B0001");
        client.interrupt();
        assert_eq!(site.held()["health"]["state"], "orphaned", "{}", site.held());
        site.until("/lost", 2);

        assert!(site.well(&["sylink", "package", "-o", package]).contains("epm-agent import"));
        let (code, said) = site.lab(&["sylink", "package", "-o", package]);
        assert!(code == Some(2) && said.contains("name another file"), "it is there already: {said}");
        let import = site.agent(&["import", package, "--cache", "state"]).output().unwrap();
        assert!(import.status.success() && String::from_utf8_lossy(&import.stdout).contains("1207021B"));
        assert_eq!(site.held()["rescue"], "imported");
        let mut client =
            Running::start(site.agent(&run[..1].iter().chain(&run[3..]).copied().collect::<Vec<_>>()));
        client.says("120B0002");
        client.interrupt();
        assert_eq!(site.held()["rescue"], "brought-back", "{}", site.held());

        let deployed = site.well(&["sylink", "deploy"]);
        assert!(deployed.starts_with("2 clients"), "{deployed}");
        let verdict = site.until("/lost", 0);
        assert_eq!(verdict["brought-back"].as_array().unwrap().len(), 2, "{verdict}");
    }
    let said = site.well(&["check"]);
    assert!(said.contains("2 were lost, and brought back"), "{said}");
}

#[test]
fn what_is_no_package_is_refused_and_nobody_is_touched() {
    let site = Site::start();
    let (code, said) = site.lab(&["sylink", "package", "--group", "My Company\\Nowhere", "-o", "x.zip"]);
    assert!(code == Some(2) && said.contains("Nowhere"), "{said}");
    assert!(!site.folder.path().join("x.zip").exists());
    let (code, said) = site.lab(&["sylink", "deploy", "desk-1", "desk-99"]);
    assert!(code == Some(2) && said.contains("desk-99"), "{said}");
    let (_, verdict) = site.lab(&["check", "--json"]);
    let verdict: Value = serde_json::from_str(&verdict).unwrap();
    assert_eq!(verdict["brought-back"], serde_json::json!([]));
    let path = |name: &str| site.folder.path().join(name);
    std::fs::write(path("no.zip"), b"PK\x03\x04 and then nothing").unwrap();
    std::fs::create_dir(path("empty")).unwrap();
    let script = "import zipfile; z=zipfile.ZipFile('two.zip','w'); z.writestr('a/sylink.xml','x'); \
                  z.writestr('b/SyLink.xml','x'); z.close(); zipfile.ZipFile('none.zip','w').close()";
    let made = Command::new("python3").args(["-c", script]).current_dir(site.folder.path()).status();
    let mut cases = vec![("no.zip", "archive"), ("empty", "sylink.xml")];
    if made.is_ok_and(|status| status.success()) {
        cases.extend([("two.zip", "a/sylink.xml, b/SyLink.xml"), ("none.zip", "nothing")]);
    }
    for (package, words) in cases {
        let output = site.agent(&["import", package, "--cache", "fresh"]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && error.contains(words), "{package}: {error}");
        assert!(!path("fresh").exists(), "nothing was begun");
    }
}
