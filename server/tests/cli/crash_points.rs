//! Programs that are killed at random points of a rotation: what they had promised to keep is there after a restart, and
//! nothing is half there.
//!
//! Each test kills a few times; `EPM_TESTS_ROUNDS=1000` kills a thousand times, `EPM_TESTS_SEED=2` at other points, and
//! `--nocapture` shows how often what was found.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use epm_client_agent::wire::{DiskCache, Stopwatch};
use serde_json::{Value, json};

use crate::harness::{RunningLab, agent, program, until};

/// How often each test kills, unless the environment says how often.
const ROUNDS: u64 = 5;
/// Rounds in one folder or lab, before the next one begins with a new one.
const IN_ONE: u64 = 20;
/// The list of the lab's groups.
const LIST: &str = "Default Management Server List for My Site";

/// The rounds of a test.
struct Rounds {
    what: &'static str,
    seed: u64,
    count: u64,
    drawn: u64,
    /// The length of what is killed, without a kill.
    length: Duration,
    /// How often what was found.
    found: BTreeMap<String, u64>,
}

impl Rounds {
    fn of(what: &'static str) -> Self {
        let number =
            |name, default| std::env::var(name).map_or(default, |number: String| number.parse().unwrap());
        let (seed, count) = (number("EPM_TESTS_SEED", 1), number("EPM_TESTS_ROUNDS", ROUNDS));
        println!("{what}: {count} kills, EPM_TESTS_SEED={seed}");
        Self { what, seed, count, drawn: 0, length: Duration::ZERO, found: BTreeMap::new() }
    }

    /// The point of the next kill: from the start to a little after the end. The generator is SplitMix64.
    fn next_point(&mut self) -> Duration {
        self.drawn += 1;
        if self.drawn.is_multiple_of(100) {
            println!("{}: kill {} of {}", self.what, self.drawn, self.count);
        }
        let mut z = (self.seed << 32).wrapping_add(self.drawn.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let share = u32::try_from((z ^ (z >> 31)) % 1000).unwrap();
        self.length * 11 * share / 10_000
    }

    fn found(&mut self, what: &str) {
        *self.found.entry(what.to_owned()).or_default() += 1;
    }
}

impl Drop for Rounds {
    fn drop(&mut self) {
        let Self { what, drawn, count, length, found, .. } = self;
        println!("{what}: {drawn} of {count} kills within {length:?}: {found:#?}");
    }
}

/// Runs a program, which `act` uses from its output on, and kills it after so long, or when `act` is done. Returns what `act`
/// does.
fn kill_after<T: Send>(
    command: &mut Command,
    point: Duration,
    act: impl FnOnce(BufReader<ChildStdout>) -> T + Send,
) -> T {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    let (done, is_done) = channel();
    thread::scope(|scope| {
        let acting = scope.spawn(move || {
            let result = act(lines);
            drop(done);
            result
        });
        let _: Result<(), _> = is_done.recv_timeout(point); // the random point
        child.kill().unwrap();
        child.wait().unwrap();
        acting.join().unwrap()
    })
}

/// Calls the control API. Returns the whole answer, or nothing if there was none.
fn call(url: &str, method: &str, path: &str, body: &Value) -> Option<Value> {
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).ok()?;
    let body = if method == "GET" { String::new() } else { body.to_string() };
    let head = "content-type: application/json\r\nconnection: close\r\ncontent-length:";
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{head} {}\r\n\r\n{body}", body.len()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status: u16 = head.get(9..12)?.parse().ok()?;
    let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).ok()? };
    assert!(status < 300, "{method} {path}: {status} {body}");
    Some(body)
}

/// The fingerprints in both stores.
fn fingerprints(certificate: &Value) -> [String; 2] {
    ["console", "client"]
        .map(|store| certificate["stores"][store]["fingerprint"].as_str().unwrap_or_default().to_owned())
}

/// The files below a folder that an interrupted write has left.
fn left(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => left(&path),
            false => {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let is_left =
                    name.ends_with(".pending") || name.ends_with(".unfinished") || name == ".update";
                is_left.then_some(path).into_iter().collect()
            }
        })
        .collect()
}

fn up(root: &Path) -> Command {
    let mut command = program();
    command.args(["up", "--http-port", "0", "--seed", "1", "--agents", "1", "--heartbeat", "60"]);
    command.arg("--install-root").arg(root);
    command
}

/// Starts the lab again after a kill: everything in the folder is whole. Returns the lab, and the fingerprint of its certificate.
fn restarted(root: &Path, at: &str) -> (RunningLab, String) {
    let lab = RunningLab::as_it_is(&mut up(root));
    let ask = |path: &str| call(lab.url(), "GET", path, &Value::Null).unwrap();
    let certificate = ask("/v1/managers/sepm-1/certificate");
    assert_eq!(certificate["stopped"], json!([]), "{at}: a store is half: {certificate}");
    let [console, client] = fingerprints(&certificate);
    assert_eq!(console, client, "{at}: one store is old");
    assert_eq!(lab.ready["managers"][0]["fingerprint"], *client, "{at}: another one is served");
    assert_eq!(ask("/v1/verdict")["well"], true, "{at}");
    assert_eq!(left(root), Vec::<PathBuf>::new(), "{at}: files are left");
    (lab, client)
}

/// Waits for the ready line, and returns where the control API is; nothing if the lab was killed before.
fn ready(lines: BufReader<ChildStdout>) -> Option<String> {
    let line = lines.lines().map_while(Result::ok).find(|line| line.contains("\"ready\":true"))?;
    let ready: Value = serde_json::from_str(&line).ok()?;
    Some(ready["control_api"].as_str().unwrap().to_owned())
}

/// Updates the certificate. Returns the fingerprint that was answered.
fn update(url: &str, name: &str) -> Option<String> {
    let answer = call(url, "PUT", &format!("/v1/managers/sepm-1/certificate/{name}"), &json!({}))?;
    let [console, client] = fingerprints(&answer);
    assert_eq!(console, client);
    Some(client)
}

#[test]
fn an_installation_that_is_killed_from_its_start_to_its_first_update_has_the_old_files_or_the_new_ones() {
    let mut rounds = Rounds::of("the files of an installation folder");
    let folder = tempfile::tempdir().unwrap();
    let measured = Stopwatch::start();
    let act = |lines| ready(lines).and_then(|url| update(&url, "first"));
    kill_after(&mut up(&folder.path().join("measured")), Duration::from_secs(60), act).unwrap();
    rounds.length = measured.elapsed();
    let mut before = None;
    for round in 0..rounds.count {
        let root = folder.path().join((round / IN_ONE).to_string());
        if round % IN_ONE == 0 {
            before = None;
        }
        let (point, name) = (rounds.next_point(), format!("update-{round}"));
        let at = format!("round {round}, killed after {point:?}");
        let answered = kill_after(&mut up(&root), point, |lines| update(&ready(lines)?, &name));
        let now = restarted(&root, &at).1;
        if let Some(answered) = &answered {
            assert_eq!(now, *answered, "{at}: an answered update is lost");
        }
        rounds.found(match (&answered, before.as_ref()) {
            (Some(_), _) => "after the answer",
            (None, None) => "before the answer, in a new folder",
            (None, Some(before)) if *before == now => "before the answer, the old certificate",
            (None, Some(_)) => "before the answer, the new certificate",
        });
        before = Some(now);
    }
}

/// Makes a whole rotation through the control API, again and again until the lab is gone. Returns the number of answers, and the
/// last fingerprint that was answered.
fn rotate_by_calls(url: &str, round: u64, times: u64, answered: &mut (u64, Option<String>)) -> Option<()> {
    let (list, group) = ("/v1/lists/Over%20HTTP", "/v1/groups/My%20Company");
    for time in 0..times {
        let calls = [
            ("PUT", list.to_owned(), json!({ "copy_of": LIST, "protocol": "http" })),
            ("PUT", group.to_owned(), json!({ "list": "Over HTTP", "secure_communications": false })),
            ("PUT", format!("/v1/managers/sepm-1/certificate/{round}-{time}"), json!({})),
            ("PUT", group.to_owned(), json!({ "list": LIST, "secure_communications": true })),
            ("DELETE", list.to_owned(), json!({})),
        ];
        for (method, path, body) in calls {
            let answer = call(url, method, &path, &body)?;
            answered.0 += 1;
            if path.contains("certificate") {
                let [_, client] = fingerprints(&answer);
                answered.1 = Some(client);
            }
        }
    }
    Some(())
}

#[test]
fn a_lab_that_is_killed_while_its_control_api_is_called_has_kept_every_answered_certificate() {
    let mut rounds = Rounds::of("the control API");
    let folder = tempfile::tempdir().unwrap();
    let (mut lab, mut before) = restarted(&folder.path().join("0"), "at first");
    let measured = Stopwatch::start();
    rotate_by_calls(lab.url(), rounds.count, 1, &mut (0, None)).unwrap();
    rounds.length = measured.elapsed();
    for round in 0..rounds.count {
        let root = folder.path().join((round / IN_ONE + 1).to_string());
        if round % IN_ONE == 0 {
            lab.kill();
            (lab, before) = restarted(&root, "at first");
        }
        let url = lab.url().to_owned();
        let point = rounds.next_point();
        let at = format!("round {round}, killed after {point:?}");
        let (calls, answered) = thread::scope(|scope| {
            let calling = scope.spawn(|| {
                let mut answered = (0, None);
                rotate_by_calls(&url, round, u64::MAX, &mut answered);
                answered
            });
            let (_end, never) = channel::<()>();
            let _: Result<(), _> = never.recv_timeout(point); // the random point
            lab.kill();
            calling.join().unwrap()
        });
        let now;
        (lab, now) = restarted(&root, &at);
        rounds.found(match answered {
            // After the seventh call the next update is under way.
            Some(answered) if calls < 7 => {
                assert_eq!(now, answered, "{at}: an answered update is lost");
                "after the answer"
            }
            Some(_) => {
                assert_ne!(now, before, "{at}: both updates are lost");
                "in a second rotation"
            }
            None if now == before => "before the answer, the old certificate",
            None => "before the answer, the new certificate",
        });
        before = now;
    }
}

#[test]
fn a_rotation_that_is_killed_goes_on_when_it_is_run_again() {
    let mut rounds = Rounds::of("epm-lab rotate");
    let folder = tempfile::tempdir().unwrap();
    let mut lab = None;
    for round in 0..=rounds.count {
        let lab: &RunningLab = match &mut lab {
            Some(lab) if round % IN_ONE != 1 => lab,
            lab => lab.insert(RunningLab::frozen(&["--agents", "2"])),
        };
        let state = folder.path().join(format!("{round}.json"));
        let arguments = ["rotate", "single", "--json", "--state", state.to_str().unwrap()];
        let ask = |path: &str| call(lab.url(), "GET", path, &Value::Null).unwrap();
        let updates = || ask("/v1/managers/sepm-1/certificate")["history"].as_array().unwrap().len();
        let (lists, before) = (ask("/v1/lists"), updates());
        let run = |point| {
            kill_after(lab.program().args(arguments), point, |mut lines| {
                let mut text = String::new();
                lines.read_to_string(&mut text).map(|_| text).unwrap_or_default()
            })
        };
        let mut at = "not killed".to_owned();
        if round > 0 {
            let point = rounds.next_point();
            at = format!("round {round}, killed after {point:?}");
            run(point);
            let known: Value = std::fs::read(&state).map_or(Value::Null, |text| {
                serde_json::from_slice(&text)
                    .unwrap_or_else(|error| panic!("{at}: the state is half: {error}"))
            });
            let last = known["done"].as_array().and_then(|done| done.last()?.as_str());
            rounds.found(last.unwrap_or("before its first step"));
        }
        let measured = Stopwatch::start();
        let text = run(Duration::from_secs(60));
        if round == 0 {
            rounds.length = measured.elapsed();
        }
        let end: Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(end["verdict"]["well"], true, "{at}: {text}");
        assert_eq!(end["judgement"]["result"], "pass", "{at}: {text}");
        assert_eq!(end["done"].as_array().unwrap().len(), 10, "{at}: {text}");
        assert_eq!(end["verdict"]["ever_orphaned"], json!([]), "{at}: {text}");
        assert_eq!((ask("/v1/lists"), updates()), (lists, before + 1), "{at}");
    }
}

/// What a client's log on standard output has told.
fn told(lines: BufReader<ChildStdout>, until: &str) -> Vec<String> {
    let mut told = Vec::new();
    for line in lines.lines().map_while(Result::ok) {
        let is_last = line.contains(until);
        told.push(line);
        if is_last {
            break;
        }
    }
    told
}

#[test]
fn a_client_that_is_killed_has_kept_what_its_log_told_and_is_served_when_it_is_started_again() {
    let mut rounds = Rounds::of("epm-agent");
    let folder = tempfile::tempdir().unwrap();
    let mut lab = None;
    let (mut state, mut sylink, mut step) = (PathBuf::new(), PathBuf::new(), 0);
    for round in 0..=rounds.count {
        let lab: &RunningLab = match &mut lab {
            Some(lab) if round % IN_ONE != 1 => lab,
            lab => {
                let export = folder.path().join(format!("export-{round}"));
                state = folder.path().join(format!("state-{round}"));
                (sylink, step) = (export.join("sylink.xml"), 0);
                let arguments = ["--agents", "0", "--heartbeat", "1", "--export", export.to_str().unwrap()];
                lab.insert(RunningLab::up(&arguments))
            }
        };
        // One step of a rotation, of which the client has not heard.
        let put = |path: &str, body: Value| call(lab.url(), "PUT", path, &body).unwrap();
        put("/v1/lists/Over%20HTTP", json!({ "copy_of": LIST, "protocol": "http" }));
        let group = "/v1/groups/My%20Company";
        match step % 3 {
            0 => put(group, json!({ "list": "Over HTTP", "secure_communications": false })),
            1 => put(&format!("/v1/managers/sepm-1/certificate/{round}"), json!({})),
            _ => put(group, json!({ "list": LIST, "secure_communications": true })),
        };
        step += 1;
        let serial = call(lab.url(), "GET", "/v1/groups", &Value::Null).unwrap();
        let serial =
            serial.as_array().unwrap().iter().find(|one| one["group"] == r"My Company\Default Group");
        let serial = serial.unwrap()["serial"].as_str().unwrap().to_owned();
        let run = |point, until: &str| {
            let arguments = ["run", "--sylink", sylink.to_str().unwrap(), "--state", state.to_str().unwrap()];
            kill_after(agent().args(arguments), point, |lines| told(lines, until))
        };
        let kept = |at: &str| {
            DiskCache::read(&state).unwrap_or_else(|error| panic!("{at}: the cache is half: {error}"))
        };
        let mut at = "not killed".to_owned();
        if round > 0 {
            let point = rounds.next_point();
            at = format!("round {round}, killed after {point:?}");
            let told = run(point, "never");
            let cache = kept(&at);
            let held = cache.and_then(|cache| cache.state.serial).map(|serial| serial.to_string());
            // A serial that is told is kept.
            let is_told = told.iter().any(|line| line.contains(&serial));
            assert!(!is_told || held.as_ref() == Some(&serial), "{at}: {held:?} is kept, and {told:#?}");
            rounds.found(match (told.is_empty(), is_told, held) {
                (true, ..) => "before its start",
                (_, true, _) => "after the policy was told",
                (_, _, Some(held)) if held == serial => "the new policy, before it was told",
                _ => "the old policy",
            });
        }
        let measured = Stopwatch::start();
        let served = "has the newest policy";
        let told = run(Duration::from_secs(60), served);
        if round == 0 {
            rounds.length = measured.elapsed();
        }
        assert!(told.last().is_some_and(|line| line.contains(served)), "{at}: {told:#?}");
        let held = kept(&at).and_then(|cache| cache.state.serial).map(|serial| serial.to_string());
        assert_eq!(held, Some(serial), "{at}");
        until("the lab knows its client", || {
            let verdict = call(lab.url(), "GET", "/v1/verdict", &Value::Null)?;
            (verdict["orphaned"] == json!([])).then_some(())
        });
    }
}
