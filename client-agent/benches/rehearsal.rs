//! Measures rehearsals: skipped heartbeats against played ones, one thread against two, larger fleets against
//! smaller ones.
//!
//! ```text
//! cargo bench -p epm-client-agent                     everything, in a few minutes
//! cargo bench -p epm-client-agent -- --quick          one round of each, and smaller fleets
//! cargo bench -p epm-client-agent -- skipping         the tables whose name has this in it
//! ```
//!
//! Each plan is the documented procedure for one manager, with heartbeats of five minutes, office hours in Berlin and
//! New York, and holidays. Read the ratios, not the absolute figures: contestants take turns within one run, each in a
//! process of its own, which is this program again, and a ratio is made within each turn. *Peak* is the largest memory
//! use of such a process. The only check is that skipping and playing find the same.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::process::Command;
use std::time::Instant;

use epm_client_agent::rehearsal::{Progress, RehearsalOptions, rehearse, rehearse_every_heartbeat};
use epm_client_agent::report;
use epm_client_agent::scenario::Scenario;

/// The parameters of a rehearsal.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Task {
    agents: u32,
    days: u32,
    threads: usize,
    plays_every_heartbeat: bool,
    /// The number of further agents that share one hardware id.
    clones: u32,
}

/// The result of a measurement.
#[derive(Clone, Copy)]
struct Took {
    seconds: f64,
    heartbeats: u64,
    lost: usize,
    peak_mib: f64,
    /// The checksum of the outcome as JSON.
    checksum: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["task", agents, days, threads, clones, way] => work(Task {
            agents: agents.parse().expect("a number of agents"),
            days: days.parse().expect("a number of days"),
            threads: threads.parse().expect("a number of threads"),
            clones: clones.parse().expect("a number of clones"),
            plays_every_heartbeat: way == "playing",
        }),
        _ if words.contains(&"--bench") => bench(&words),
        _ => println!("nothing was measured: cargo bench -p epm-client-agent"),
    }
}

fn bench(words: &[&str]) {
    let is_quick = words.contains(&"--quick");
    let (rounds, scale) = if is_quick { (1, 10) } else { (3, 1) };
    let wanted = words.iter().find(|word| !word.starts_with("--"));
    let is_wanted = |name: &str| wanted.is_none_or(|part| name.contains(part));
    let memoized = |agents: u32, days, threads| Task {
        agents: agents / scale,
        days,
        threads,
        plays_every_heartbeat: false,
        clones: 0,
    };
    if is_wanted("skipping") {
        let agents = 2000 / scale;
        let skipping = Task { agents, days: 30, threads: 1, plays_every_heartbeat: false, clones: 0 };
        let playing = Task { plays_every_heartbeat: true, ..skipping };
        let rows = compare(
            "skipping: every heartbeat played, or the quiet ones skipped",
            rounds,
            &[skipping, playing],
        );
        assert!(
            rows.iter().all(|row| row.checksum == rows[0].checksum),
            "skipping and playing must not differ"
        );
        println!("both find the same outcome, byte for byte\n");
    }
    if is_wanted("threads") {
        compare(
            "threads: the same on one and on two",
            rounds,
            &[memoized(100_000, 90, 2), memoized(100_000, 90, 1)],
        );
    }
    if is_wanted("agents") {
        let tasks = [100_000, 50_000, 200_000].map(|agents| memoized(agents, 90, 2));
        compare("agents: half and twice as many", rounds, &tasks);
    }
    if is_wanted("days") {
        let tasks = [90, 30, 180].map(|days| memoized(100_000, days, 2));
        compare("days: a third and twice as many", rounds, &tasks);
    }
    if is_wanted("clones") {
        let none = memoized(100_000, 90, 2);
        let tasks = [none, Task { clones: 2, ..none }, Task { clones: 200, ..none }];
        compare("clones: none, two and two hundred more agents with one hardware id", rounds, &tasks);
    }
    if is_wanted("million") {
        compare("million: a million agents, once", 1, &[memoized(1_000_000, 90, 2)]);
    }
}

/// Runs the tasks in turn, and prints a line for each; ratios are to the first. Returns the last turn of each.
fn compare(title: &str, rounds: usize, tasks: &[Task]) -> Vec<Took> {
    println!("{title}");
    println!(
        "   agents  days threads      seconds (min median max)    x first      heartbeats    per us     lost  peak MiB"
    );
    let turns: Vec<Vec<Took>> = (0..rounds).map(|_| tasks.iter().map(in_a_process).collect()).collect();
    for (place, task) in tasks.iter().enumerate() {
        let seconds = spread(turns.iter().map(|turn| turn[place].seconds));
        let ratio = spread(turns.iter().map(|turn| turn[place].seconds / turn[0].seconds))[1];
        let took = turns[rounds - 1][place];
        let peak = spread(turns.iter().map(|turn| turn[place].peak_mib))[2];
        println!(
            "{:>9} {:>5} {:>7} {:>9.3} {:>9.3} {:>9.3} {:>10.2} {:>15} {:>9.1} {:>8} {:>9.1}{}",
            task.agents,
            task.days,
            task.threads,
            seconds[0],
            seconds[1],
            seconds[2],
            ratio,
            took.heartbeats,
            took.heartbeats as f64 / seconds[1] / 1e6,
            took.lost,
            peak,
            match task {
                Task { plays_every_heartbeat: true, .. } => "  every heartbeat played".to_owned(),
                Task { clones: 0, .. } => String::new(),
                Task { clones, .. } => format!("  {clones} clones"),
            },
        );
    }
    println!();
    turns.last().cloned().unwrap_or_default()
}

/// The smallest value, the median and the largest.
fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

/// Runs this program again, with one task.
fn in_a_process(task: &Task) -> Took {
    let program = std::env::current_exe().expect("this program has a path");
    let way = if task.plays_every_heartbeat { "playing" } else { "skipping" };
    let numbers = [task.agents, task.days, u32::try_from(task.threads).unwrap_or(1), task.clones];
    let numbers = numbers.map(|number| number.to_string());
    let output =
        Command::new(program).arg("task").args(numbers).arg(way).output().expect("this program starts again");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    let [seconds, heartbeats, lost, peak_kib, checksum] = words[..] else { panic!("it says {text:?}") };
    Took {
        seconds: seconds.parse().expect("seconds"),
        heartbeats: heartbeats.parse().expect("heartbeats"),
        lost: lost.parse().expect("the number of orphaned clients"),
        peak_mib: peak_kib.parse::<f64>().expect("kibibytes") / 1024.0,
        checksum: checksum.parse().expect("a checksum"),
    }
}

fn work(task: Task) {
    let scenario = Scenario::parse(&plan(task), "bench.toml").expect("the plan can be read");
    let options = RehearsalOptions { threads: task.threads, ..RehearsalOptions::default() };
    let began = Instant::now();
    let found = if task.plays_every_heartbeat {
        rehearse_every_heartbeat(&scenario, &options, &Progress::default(), |_| ())
    } else {
        rehearse(&scenario, &options, &Progress::default(), |_| ())
    };
    let outcome = found.expect("the plan can be rehearsed").outcome;
    let seconds = began.elapsed().as_secs_f64();
    let peak = peak_kib();
    let checksum = report::json(&outcome)
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    println!("{seconds} {} {} {peak} {checksum}", outcome.heartbeats, outcome.verdict.orphaned.len());
}

/// The peak memory use of this process in KiB, on Linux; 0 elsewhere.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The documented procedure for one manager; each of its three waits lasts a third of the days.
fn plan(task: Task) -> String {
    let wait = task.days / 3;
    let (berlin, new_york) = (task.agents - task.agents / 3, task.agents / 3);
    let clones = match task.clones {
        0 => String::new(),
        count => format!(
            "[[fleet]]\nname = \"cloned\"\ncount = {count}\nversion = \"14.3.8289\"\nhardware_id = \"image\"\n"
        ),
    };
    format!(
        r#"
title = "The documented procedure for one manager"
clock = {{ start = "2026-06-01T04:00:00Z" }}

[site]
name = "S"
managers = [{{ name = "sepm-1" }}]
setup = [
  {{ add-group = {{ group = 'My Company\Desktops' }} }},
  {{ add-group = {{ group = 'My Company\Laptops', inherits = false }} }},
]

[[fleet]]
name = "berlin"
count = {berlin}
group = 'My Company\Desktops'
version = "14.3.8289"
presence = {{ office = {{ zone = "Europe/Berlin", from = "08:00", to = "17:00", spread = "45m" }} }}
holidays = {{ share = 80, days = [7, 28] }}

[[fleet]]
name = "new-york"
count = {new_york}
group = 'My Company\Laptops'
version = "14.0.1904"
presence = {{ office = {{ zone = "America/New_York", from = "09:00", to = "17:30", spread = "30m" }} }}
holidays = {{ share = 80, days = [3, 14] }}

{clones}
[[step]]
title = "Steps 1 to 8"
operator = [
  {{ copy-list = {{ from = "Default Management Server List for S", to = "HTTP" }} }},
  {{ edit-list = {{ list = "HTTP", protocol = "http" }} }},
  {{ assign-list = {{ list = "HTTP", group = 'My Company' }} }},
  {{ assign-list = {{ list = "HTTP", group = 'My Company\Laptops' }} }},
  {{ set-secure-communications = {{ group = 'My Company', on = false }} }},
  {{ set-secure-communications = {{ group = 'My Company\Laptops', on = false }} }},
]
wait = {{ time = "{wait}d" }}

[[step]]
title = "Step 9"
operator = [{{ update-certificate = {{ manager = "sepm-1", certificate = {{ generate = {{}} }} }} }}]
wait = {{ time = "{wait}d" }}

[[step]]
title = "Step 10"
operator = [
  {{ set-secure-communications = {{ group = 'My Company', on = true }} }},
  {{ set-secure-communications = {{ group = 'My Company\Laptops', on = true }} }},
  {{ assign-list = {{ list = "Default Management Server List for S", group = 'My Company' }} }},
  {{ assign-list = {{ list = "Default Management Server List for S", group = 'My Company\Laptops' }} }},
]
wait = {{ time = "{wait}d" }}
"#
    )
}
