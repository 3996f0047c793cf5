//! The program `epm-agent`, as a user runs it: what it refuses, what it keeps, and its exit codes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use epm_fixtures::{commands_with_schema, output};

fn agent(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epm-agent"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs `epm-agent` to its end. JSON that it prints must be as `epm-agent schema` says.
#[track_caller]
fn run(arguments: &[&str]) -> Output {
    output(&mut agent(arguments))
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/sylink")
}

#[track_caller]
fn refused(output: &Output, expected: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.starts_with("error: ") && error.lines().count() == 1, "{error}");
    for part in expected {
        assert!(error.contains(part), "expected {part:?} in: {error}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Starts a client of a closed port, waits until it logs that, and interrupts it.
fn live_for_one_heartbeat(arguments: &[&str]) -> String {
    use std::io::{BufRead, BufReader};
    let mut child = agent(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut heard = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.by_ref() {
        let line = line.unwrap();
        heard.push_str(&line);
        heard.push('\n');
        if line.contains(" 120B0001 ") || line.contains(" 12070302 ") || line.contains(" 12070303 ") {
            break;
        }
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    for line in lines {
        heard.push_str(&line.unwrap());
        heard.push('\n');
    }
    assert_eq!(child.wait().unwrap().code(), Some(0), "{heard}");
    heard
}

/// A communications file whose only server is a closed port of loopback.
fn sylink_to_nobody(folder: &Path) -> PathBuf {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let file = folder.join("given.xml");
    let xml = format!(
        "<?xml version=\"1.0\"?>\n<!-- by hand -->\n\
         <ServerSettings DomainId=\"{0}\" NameSpace=\"rpc\" Odd=\"kept\">\n <CommConf>\n  \
         <AgentCommunicationSetting CommunicationMode=\"PULL\" Kcs=\"{0}\"/>\n  \
         <ServerList Name=\"by hand\"><ServerPriorityBlock Name=\"Priority1\">\
         <Server Address=\"127.0.0.1\" HttpPort=\"{port}\" VerifySignatures=\"1\"/>\
         </ServerPriorityBlock></ServerList>\n  <Unknown><Deep a='1'/></Unknown>\n </CommConf>\n</ServerSettings>\n",
        "0123456789ABCDEF0123456789ABCDEF"
    );
    fs::write(&file, xml).unwrap();
    file
}

#[test]
fn a_client_keeps_its_file_as_it_was_given_and_survives_a_restart_with_the_network_cut() {
    let folder = tempfile::tempdir().unwrap();
    let given = sylink_to_nobody(folder.path());
    let state = folder.path().join("state");
    let first = live_for_one_heartbeat(&["run", "--sylink", text(&given), "--state", text(&state)]);
    assert!(first.contains("1207021B Imported sylink."), "{first}");
    assert!(first.contains("refused"), "{first}");
    let kept = state.join("current/sylink.xml");
    assert_eq!(fs::read_to_string(&kept).unwrap(), fs::read_to_string(&given).unwrap());

    fs::remove_file(&given).unwrap();
    let again = live_for_one_heartbeat(&["run", "--state", text(&state)]);
    assert!(!again.contains("Imported"), "{again}");
    let shown = run(&["show", "--state", text(&state), "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["list"], "by hand");
    assert_eq!(shown["health"]["state"], "disconnected");
    let words = run(&["show", "--state", text(&state)]);
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(
        words.contains("list          by hand\n") && words.contains("contact       disconnected since"),
        "{words}"
    );

    let log = fs::read_to_string(state.join("syslog.log")).unwrap();
    let mut lines = log.split_terminator("\r\n");
    let header: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let entries: Vec<&str> = lines.collect();
    assert_eq!(header.len(), 7, "{header:?}");
    assert_eq!(usize::from_str_radix(header[3], 16).unwrap(), entries.len(), "{header:?}");
    for entry in entries {
        let fields: Vec<&str> = entry.split('\t').collect();
        assert_eq!(usize::from_str_radix(fields[0], 16).unwrap(), entry.len(), "{entry:?}");
        assert_eq!((fields.len(), fields[7]), (10, "Smc"), "{entry:?}");
    }
}

#[test]
fn a_cache_folder_that_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let given = sylink_to_nobody(folder.path());
    let state = given.join("state"); // below a file, where not even root can create a folder
    let output = run(&["run", "--sylink", text(&given), "--state", text(&state)]);
    refused(&output, &["cannot create the folder", text(&state)]);
}

#[test]
fn a_broken_communications_file_is_refused_with_its_place_and_nothing_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read_to_string(samples().join("exported.xml")).unwrap();
    let broken = folder.path().join("broken.xml");
    fs::write(&broken, whole.replacen("</ServerList>", "</ServerLits>", 1)).unwrap();
    let state = folder.path().join("state");
    let output = run(&["run", "--sylink", text(&broken), "--state", text(&state)]);
    refused(&output, &["broken.xml", "line ", "</ServerList>", "</ServerLits>"]);
    assert!(!state.join("current").exists());
}

#[test]
fn a_client_without_cache_and_without_file_says_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&["run", "--state", text(folder.path())]);
    refused(&output, &["no cache in", "--sylink FILE"]);
    refused(&run(&["show", "--state", text(folder.path())]), &["no cache in"]);
}

/// Commands that print no facts: the others print JSON, and `epm-agent schema` has the schema.
const NO_FACTS: &[&str] = &["completions", "import", "run", "schema"];

#[test]
fn every_command_that_prints_facts_has_a_schema() {
    let all = epm_client_agent::cli::command();
    let known = commands_with_schema(Path::new(env!("CARGO_BIN_EXE_epm-agent")));
    let names = all.get_subcommands().map(|one| one.get_name()).filter(|name| !NO_FACTS.contains(name));
    assert_eq!(names.collect::<std::collections::BTreeSet<_>>(), known.iter().map(String::as_str).collect());
    refused(&run(&["schema", "docter"]), &["no schema for \"docter\"", "doctor", "`schema` alone lists"]);
}

#[test]
fn help_shows_examples_and_completions_are_printed() {
    let help = run(&["--help"]);
    assert!(String::from_utf8_lossy(&help.stdout).contains("Examples:"));
    let script = run(&["completions", "bash"]);
    assert!(String::from_utf8_lossy(&script.stdout).contains("epm-agent"));
}

#[test]
fn the_doctor_says_where_a_heartbeat_breaks_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let given = sylink_to_nobody(folder.path());
    let output = run(&["doctor", "--sylink", text(&given)]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("TCP           FAILED: the connection to 127.0.0.1:"), "{said}");
    assert!(said.contains("What to do: ") && said.contains("hello         not reached"), "{said}");
    let output = run(&["doctor", "--sylink", text(&given), "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found[0]["checks"][1]["step"], "tcp");
    assert_eq!(found[0]["checks"][1]["state"], "broken");
    let wrong = run(&["doctor", "--sylink", text(&given), "--server", "here:1"]);
    refused(&wrong, &["expected http://HOST:PORT", "here:1"]);
    refused(&run(&["doctor", "--sylink", "/nowhere.xml"]), &["/nowhere.xml"]);
}

#[test]
fn a_file_or_a_folder_with_one_is_imported_into_the_cache_and_the_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let given = sylink_to_nobody(folder.path());
    let state = folder.path().join("state");
    let first = run(&["import", text(&given), "--cache", text(&state)]);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    assert!(String::from_utf8_lossy(&first.stdout).contains(" 1207021B Imported sylink."), "{first:?}");
    let package = folder.path().join("package");
    fs::create_dir(&package).unwrap();
    let other = fs::read_to_string(&given).unwrap().replace("by hand", "from a package");
    fs::write(package.join("sylink.xml"), &other).unwrap();
    let second = run(&["import", text(&package), "--cache", text(&state)]);
    assert_eq!(second.status.code(), Some(0), "{second:?}");
    assert_eq!(fs::read_to_string(state.join("current/sylink.xml")).unwrap(), other);
    let log = fs::read_to_string(state.join("syslog.log")).unwrap();
    assert_eq!(log.matches("\t1207021B\t").count(), 2, "{log}");
    fs::write(package.join("sylink.xml"), "<broken").unwrap();
    let broken = run(&["import", text(&package), "--cache", text(&state)]);
    refused(&broken, &["sylink.xml", "line 1"]);
    assert_eq!(fs::read_to_string(state.join("current/sylink.xml")).unwrap(), other, "nothing has changed");
}

#[test]
fn a_fleet_that_the_machine_cannot_run_is_refused_with_the_number_that_would_fit() {
    let sylink = samples().join("exported.xml");
    let limited = |words: &str| {
        let program = env!("CARGO_BIN_EXE_epm-agent");
        let script = format!("ulimit -n 80; exec {program} fleet --sylink {} {words}", text(&sylink));
        Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).output().unwrap()
    };
    refused(
        &limited("--count 100"),
        &["64 heartbeats at the same time do not fit", "`--in-flight 48` would fit"],
    );
    refused(&limited("--count 3 --shard 1/7"), &["this shard has no client", "only 3 clients"]);
    let folder = tempfile::tempdir().unwrap();
    let letter = folder.path().join("letter.txt");
    fs::write(&letter, "dear reader\n").unwrap();
    let foreign = limited(&format!("--count 1 --in-flight 1 --state {}", text(&letter)));
    refused(&foreign, &["letter.txt, line 1", "`epm-agent fleet --state` wrote"]);
    assert_eq!(fs::read_to_string(&letter).unwrap(), "dear reader\n");
}
