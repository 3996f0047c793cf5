//! Processes, cores, and what they have used, as Linux tells it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

/// Where servers run.
pub(crate) const SERVER_CORE: usize = 0;
/// Where the load runs.
pub(crate) const LOAD_CORE: usize = 1;
/// What `/proc` counts processor time in: ticks a second.
const TICKS: f64 = 100.0;

/// A server's process. It ends when this is dropped, and one of ours also when this process is gone.
pub(crate) struct Server {
    child: Child,
    _alive: Option<ChildStdin>,
}

impl Server {
    /// Starts this program in another role, and returns the line with which it says that it is ready.
    pub(crate) fn ours(arguments: &[&str]) -> (Self, String) {
        Self::start(SERVER_CORE, arguments)
    }

    /// Starts this program in another role on the core of the load, behind the load itself.
    pub(crate) fn of_the_load(arguments: &[&str]) -> (Self, String) {
        Self::start(LOAD_CORE, arguments)
    }

    fn start(core: usize, arguments: &[&str]) -> (Self, String) {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = on_core(core, &program.to_string_lossy())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let out = child.stdout.take().expect("its output is piped");
        let server = Self { _alive: child.stdin.take(), child };
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("it says that it is ready");
        (server, line.trim().to_owned())
    }

    /// Starts another program.
    pub(crate) fn theirs(program: &str, arguments: &[&str]) -> std::io::Result<Self> {
        let child = on_core(SERVER_CORE, program).args(arguments).stdin(Stdio::null()).spawn()?;
        Ok(Self { child, _alive: None })
    }

    /// Whether it runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Number of files and connections that it has open.
    pub(crate) fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    /// Processor time that it has used, in seconds.
    pub(crate) fn used(&self) -> f64 {
        used_by(&self.child.id().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a role of the load, with as many files as the system allows.
pub(crate) fn run(role: impl Future<Output = ()>) {
    epm_server::raise_descriptor_limit();
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(role);
}

/// Ends this process when the one that started it is gone: then its input ends.
pub(crate) fn end_with_parent() {
    thread::spawn(|| {
        let _ = std::io::stdin().lines().count();
        std::process::exit(0);
    });
}

/// Processor time that this process has used, in seconds.
pub(crate) fn used_by_load() -> f64 {
    used_by("self")
}

/// Processor time that everything on this machine has used, in seconds.
pub(crate) fn used_by_all() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let times: Vec<f64> =
        stat.lines().next().unwrap_or_default().split_whitespace().flat_map(str::parse).collect();
    // user nice system idle iowait irq softirq steal: all but the two idle ones.
    times.iter().take(8).enumerate().filter(|(n, _)| !matches!(n, 3 | 4)).map(|(_, time)| time).sum::<f64>()
        / TICKS
}

fn used_by(process: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name of the program stands in brackets, and may hold anything; utime and stime are the 12th and 13th after it.
    let after = stat.rsplit(')').next().unwrap_or_default();
    after.split_whitespace().skip(11).take(2).flat_map(str::parse::<f64>).sum::<f64>() / TICKS
}

/// Waits until nothing else uses much of this machine, but not for long. Returns whether it is so.
pub(crate) fn wait_for_quiet() -> bool {
    const LOOK: Duration = Duration::from_millis(200);
    (0..5).any(|_| {
        let before = used_by_all();
        thread::sleep(LOOK);
        used_by_all() - before < 0.15 * LOOK.as_secs_f64()
    })
}

/// Puts the load, which is this process, on its core.
pub(crate) fn settle() {
    if pins() {
        let (core, id) = (LOAD_CORE.to_string(), std::process::id().to_string());
        let _ = Command::new("taskset").args(["-a", "-c", "-p", &core, &id]).stdout(Stdio::null()).status();
    }
}

/// Whether processes can be kept on a core here.
pub(crate) fn pins() -> bool {
    static PINS: OnceLock<bool> = OnceLock::new();
    *PINS.get_or_init(|| {
        let core = LOAD_CORE.to_string();
        let tried = Command::new("taskset").args(["-c", &core, "true"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    })
}

fn on_core(core: usize, program: &str) -> Command {
    if !pins() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string(), program]);
    command
}

/// The processor, how many there are of it, and the system.
pub(crate) fn described() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{} x {}, {} {}",
        info.lines().filter(|line| line.starts_with("processor")).count(),
        model.map_or("a processor", |(_, model)| model),
        std::env::consts::OS,
        release.trim()
    )
}

/// The version of a library, as the lock file has it.
pub(crate) fn version(library: &str) -> String {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let lock = fs::read_to_string(lock).unwrap_or_default();
    let entry = format!("name = \"{library}\"\nversion = \"");
    let version = lock.split_once(&entry).and_then(|(_, rest)| rest.split_once('"'));
    format!("{library} {}", version.map_or("?", |(version, _)| version))
}
