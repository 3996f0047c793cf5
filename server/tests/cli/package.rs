//! The cure for clients that have lost their manager, as an administrator applies it: a communication update package from
//! the lab, `epm-agent import` on a machine of its own, and a deployment to the lab's own clients.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Running, RunningLab, agent, json, needs, output, program, said, stderr, well};

struct Site {
    folder: tempfile::TempDir,
    lab: RunningLab,
}

impl Site {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut up = program();
        up.args(["up", "--http-port", "0", "--agents", "2", "--heartbeat", "1", "--export", "lab"]);
        let lab = RunningLab::of(up.current_dir(folder.path()));
        Self { folder, lab }
    }

    fn lab(&self, arguments: &[&str]) -> (Option<i32>, String) {
        said(&output(self.lab.program().args(arguments).current_dir(self.folder.path())))
    }

    #[track_caller]
    fn well(&self, arguments: &[&str]) -> String {
        well(&output(self.lab.program().args(arguments).current_dir(self.folder.path())))
    }

    fn agent(&self, arguments: &[&str]) -> Command {
        let mut command = agent();
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    fn held(&self) -> Value {
        json(&output(&mut self.agent(&["show", "--state", "state", "--json"])))
    }

    /// Waits until so many clients are lost.
    fn lost(&self, count: usize) -> Value {
        self.lab.until(&format!("{count} are lost"), |verdict| {
            verdict["orphaned"].as_array().unwrap().len() == count
        })
    }
}

#[test]
fn an_orphan_on_its_own_machine_and_those_of_the_lab_are_brought_back_and_counted() {
    let site = Site::start();
    let run = ["run", "--sylink", "lab/sylink.xml", "--state", "state"];
    for (number, package) in ["package.zip", "package"].into_iter().enumerate() {
        let mut client = Running::start(&mut site.agent(&run));
        client.says("12070301");
        let name = format!("update-{number}");
        site.well(&["manager", "update", "--name", &name]);
        client.says("120B0001");
        client.interrupt();
        assert_eq!(site.held()["health"]["state"], "orphaned", "{}", site.held());
        site.lost(2);

        assert!(site.well(&["sylink", "package", "-o", package]).contains("epm-agent import"));
        let (code, said) = site.lab(&["sylink", "package", "-o", package]);
        assert!(code == Some(2) && said.contains("`--force`"), "it already exists: {said}");
        let imported = well(&output(&mut site.agent(&["import", package, "--cache", "state"])));
        assert!(imported.contains("1207021B"), "{imported}");
        assert_eq!(site.held()["rescue"], "imported");
        let mut client = Running::start(&mut site.agent(&["run", "--state", "state"]));
        client.says("120B0002");
        client.interrupt();
        assert_eq!(site.held()["rescue"], "brought-back", "{}", site.held());

        let deployed = site.well(&["sylink", "deploy"]);
        assert!(deployed.starts_with("2 clients"), "{deployed}");
        let verdict = site.lost(0);
        assert_eq!(verdict["brought_back"].as_array().unwrap().len(), 2, "{verdict}");
    }
    let (code, said) = site.lab(&["check"]);
    assert!(said.contains("2 were orphaned, and brought back"), "{said}");
    assert!(
        code == Some(4) && said.contains("1 client is unknown"),
        "the one on its own machine is not reported: {said}"
    );
}

#[needs(python3)]
#[test]
fn what_is_no_package_is_refused_and_nobody_is_touched() {
    let site = Site::start();
    let (code, said) = site.lab(&["sylink", "package", "--group", "My Company\\Nowhere", "-o", "x.zip"]);
    assert!(code == Some(2) && said.contains("Nowhere"), "{said}");
    assert!(!site.folder.path().join("x.zip").exists());
    let (code, said) = site.lab(&["sylink", "deploy", "desk-1", "desk-99"]);
    assert!(code == Some(2) && said.contains("desk-99"), "{said}");
    assert_eq!(site.lab.json(&["check"], 0)["brought_back"], serde_json::json!([]));
    let path = |name: &str| site.folder.path().join(name);
    std::fs::write(path("no.zip"), b"PK\x03\x04 and then nothing").unwrap();
    std::fs::create_dir(path("empty")).unwrap();
    let script = "import zipfile; z=zipfile.ZipFile('two.zip','w'); z.writestr('a/sylink.xml','x'); \
                  z.writestr('b/SyLink.xml','x'); z.close(); zipfile.ZipFile('none.zip','w').close()";
    well(&output(Command::new("python3").args(["-c", script]).current_dir(site.folder.path())));
    for (package, words) in [
        ("no.zip", "archive"),
        ("empty", "sylink.xml"),
        ("two.zip", "a/sylink.xml, b/SyLink.xml"),
        ("none.zip", "nothing"),
    ] {
        let import = output(&mut site.agent(&["import", package, "--cache", "fresh"]));
        let error = stderr(&import);
        assert!(import.status.code() == Some(2) && error.contains(words), "{package}: {error}");
        assert!(!path("fresh").exists(), "nothing was begun");
    }
}
