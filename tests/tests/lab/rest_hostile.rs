//! Bad input for every operation of the product's REST API, and crowds: each answer has one of the product's shapes, no
//! answer is a server error, and nothing is changed by halves.

use std::path::PathBuf;
use std::process::Command as Process;

use epm_fixtures::{needs, output_of};
use epm_protocol::site::Command;
use epm_server::MockSite;
use epm_tests::rest_curl::Rest;
use epm_tests::{MANAGER, TestSite};
use serde_json::{Value, json};

const HOSTILE: &str = include_str!("../../clients/hostile.py");
const CROWD: &str = include_str!("../../clients/crowd.py");
/// The largest body.
const LARGEST: &str = "4194304";

/// Runs a script against a lab, with its certificate and a token, and returns its output.
fn run(lab: &TestSite, rest: &Rest, script: &str, arguments: &[&str], input: &Value) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let authority: PathBuf = folder.path().join("ca.pem");
    std::fs::write(&authority, lab.site().certificate(MANAGER).unwrap().to_pem()).unwrap();
    let mut python = Process::new("python3");
    python.args(["-c", script, &rest.base]).arg(&authority).arg(rest.token()).args(arguments);
    let out = output_of(&mut python, input.to_string().as_bytes());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[needs(curl, python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_to_any_operation_is_refused_in_the_right_shape_and_changes_nothing() {
    let lab = TestSite::of(MockSite::builder().rest_api(0)).await;
    let _fleet = lab.fleet(vec![lab.client("one", "14.3")]).await;
    let rest = Rest::log_in(lab.site());
    let operations: Vec<Value> =
        epm_server::rest_operations().map(|(method, path)| json!([method, path])).collect();
    let mut said = run(&lab, &rest, HOSTILE, &[LARGEST], &json!(operations));
    let last: Value = serde_json::from_str(&said.pop().unwrap()).unwrap();
    assert!(said.is_empty(), "{} are wrong:\n{}", said.len(), said[..said.len().min(40)].join("\n"));
    assert!(last["asked"].as_u64().unwrap() > 10_000, "{last}");
}

/// The number of groups side by side at the beginning.
const CROWD_OF: usize = 10_000;
/// The number of groups that are added over the REST API.
const MORE: usize = 60;

#[needs(curl, python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_in_crowds_are_served_or_refused_and_no_change_is_lost_among_them() {
    let lab = TestSite::of(MockSite::builder().rest_api(0)).await;
    let add = |group: String| Command::AddGroup { group, inherits: false };
    let crowd: Vec<Command> =
        (0..CROWD_OF).map(|number| add(format!(r"My Company\crowd {number:05}"))).collect();
    lab.site().apply_all(&crowd).unwrap();
    let rest = Rest::log_in(lab.site());
    let (more, already) = (MORE.to_string(), CROWD_OF.to_string());
    let mut said = run(&lab, &rest, CROWD, &[&more, &already], &Value::Null);
    let last: Value = serde_json::from_str(&said.pop().unwrap()).unwrap();
    assert!(said.is_empty(), "{said:#?}");
    assert_eq!((&last["deep"], &last["wide"]), (&63.into(), &MORE.into()));

    // The control API makes them deeper than the REST API does: they are listed, and no tree of them is written.
    let mut path = r"My Company\deep".to_owned();
    let deep: Vec<Command> = (0..300)
        .map(|_| {
            path.push_str(r"\x");
            add(path.clone())
        })
        .collect();
    lab.apply(&add(r"My Company\deep".to_owned()));
    lab.site().apply_all(&deep).unwrap();
    let tree = rest.get("groups?mode=tree");
    assert_eq!((tree.status, &tree.json["errorCode"]), (400, &"400".into()), "{tree:?}");
    assert_eq!(
        rest.get(&format!("groups?fullPathName={}", path.replace(' ', "%20").replace('\\', "%5C"))).json["totalElements"],
        1
    );
}
