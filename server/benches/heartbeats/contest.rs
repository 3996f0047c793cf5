//! Contestants, rounds, turns, and the tables of what came of them.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::candidate::Ready;
use crate::keep_alive::KeepAlive;
use crate::machine::{self, Server};
use crate::nginx;
use crate::pressure::{Pressed, Pressure};
use crate::reconnect::Reconnect;

/// Connections, or heartbeats on their way, at a time.
const IN_FLIGHT: usize = 64;

/// How long it all takes.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    /// How often each contestant has a turn.
    pub(crate) rounds: usize,
    /// How long a turn is measured.
    pub(crate) turn: Duration,
    /// How long it runs before that.
    pub(crate) warm_up: Duration,
}

/// What is asked of the contestants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// A kept connection; the client holds nothing yet, and gets the index.
    KeepAliveIndex,
    /// A kept connection; the client holds the newest policy, and is told so.
    KeepAliveUnchanged,
    /// A new TLS connection each, with a full handshake.
    TlsFull,
    /// A new TLS connection each, with a resumed handshake.
    TlsResumed,
}

/// A request, and what the answer must look like.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) request: Vec<u8>,
    /// How long the answer is, headers included.
    pub(crate) answer_length: usize,
    /// `HTTP/1.1 200`
    status_line: [u8; 12],
}

/// The running mock manager, and all that does not change between loads.
pub(crate) struct Stage {
    settings: Settings,
    folder: TempDir,
    manager: Server,
    ready: Ready,
}

struct Contestant<'a> {
    name: String,
    server: &'a Server,
    address: SocketAddr,
    question: Question,
    turns: Vec<Turn>,
}

/// What came of one turn.
struct Turn {
    answers: f64,
    resumed: f64,
    seconds: f64,
    server: f64,
    /// What neither server nor load has used, of all cores.
    others: f64,
}

impl Load {
    pub(crate) const ALL: [Self; 4] =
        [Self::KeepAliveIndex, Self::KeepAliveUnchanged, Self::TlsFull, Self::TlsResumed];

    /// The name of the contest on the command line and in the tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::KeepAliveIndex => "http keep-alive, index",
            Self::KeepAliveUnchanged => "http keep-alive, unchanged",
            Self::TlsFull => "tls new connection each, full handshake, index",
            Self::TlsResumed => "tls new connection each, resumed, index",
        }
    }

    const fn is_tls(self) -> bool {
        matches!(self, Self::TlsFull | Self::TlsResumed)
    }
}

impl Question {
    /// Asks once, to see what the answer looks like.
    fn put(address: SocketAddr, target: &str, headers: &str) -> (Self, Vec<u8>) {
        // [C S35] for the name of the agent.
        let asks = |extra: &str| {
            format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: Smc\r\n{headers}{extra}\r\n")
        };
        let ask = |request: &str| {
            let mut stream = TcpStream::connect(address).expect("the server takes connections");
            stream.write_all(request.as_bytes()).expect("the server reads");
            stream
        };
        let mut answer = Vec::new();
        ask(&asks("Connection: close\r\n")).read_to_end(&mut answer).expect("the server answers");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("the answer has a head") + 4;
        let body = answer.split_off(end);
        // Without `Connection: close` the head may be another; the body is known now.
        let mut stream = ask(&asks(""));
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the server answers");
            head.extend(byte);
        }
        let status_line = head[..12].try_into().expect("twelve bytes");
        (Self { request: asks("").into_bytes(), answer_length: head.len() + body.len(), status_line }, body)
    }

    fn status(&self) -> &str {
        std::str::from_utf8(&self.status_line[9..]).expect("digits")
    }

    /// Sees that this is the answer.
    pub(crate) fn check(&self, answer: &[u8]) {
        assert!(
            answer.len() == self.answer_length && answer.starts_with(&self.status_line),
            "another answer than before: {}",
            String::from_utf8_lossy(answer)
        );
    }
}

impl Stage {
    /// Starts the mock manager, and says where and with what all this happens.
    pub(crate) fn set(settings: Settings) -> Self {
        machine::settle();
        let folder = tempfile::tempdir().expect("a folder");
        let (manager, ready) = Server::ours(&["candidate", &folder.path().to_string_lossy()]);
        let ready = serde_json::from_str(&ready).expect("the manager says that it is ready");
        println!("machine   {}", machine::described());
        let libraries = ["hyper", "tokio", "rustls", "aws-lc-rs"].map(machine::version);
        println!("versions  {}, {}", libraries.join(", "), nginx::version().unwrap_or("no nginx".into()));
        let pinned = if machine::pins() { "server on core 0, load on core 1" } else { "not pinned to cores" };
        println!("settings  {IN_FLIGHT} in flight, closed loop over loopback, one server thread, {pinned}");
        let Settings { rounds, turn, warm_up } = settings;
        println!("          {rounds} rounds in turns, each {turn:?} after {warm_up:?} of warm-up");
        println!("          RSA-2048, TLS 1.3, TLS_AES_128_GCM_SHA256, X25519, one ticket");
        Self { settings, folder, manager, ready }
    }

    /// Presses the manager and the bare server, and prints what came of the honest heartbeats.
    pub(crate) fn press(&self, pressure: Pressure) {
        let folder = self.folder.path();
        let home = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let manager = home(self.ready.port);
        let (question, body) = Question::put(manager, &self.ready.first, "");
        let path = folder.join("body");
        fs::write(&path, &body).expect("the folder can be written");
        let (bare, ports) = bare(&folder.to_string_lossy(), &question, &path.to_string_lossy());
        let places = [home(ports[0]), home(ports[1])];
        let bare_question = Question::put(places[0], &self.ready.first, "").0;
        pressure.compare(&[
            Pressed { name: "mock manager", server: &self.manager, places: [manager; 2], question },
            Pressed { name: "bare hyper + rustls", server: &bare, places, question: bare_question },
        ]);
    }

    /// Measures one load, and prints what came of it.
    pub(crate) fn compare(&self, load: Load) {
        let folder = self.folder.path();
        let asked = if load == Load::KeepAliveUnchanged { &self.ready.again } else { &self.ready.first };
        let home = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let manager = home(self.ready.port);
        let (question, body) = Question::put(manager, asked, "");
        println!("\n{}: status {}, {} bytes of body", load.name(), question.status(), body.len());

        let path = folder.join("body");
        fs::write(&path, &body).expect("the folder can be written");
        let (folder_name, path) = (folder.to_string_lossy(), path.to_string_lossy());
        let (bare, ports) = bare(&folder_name, &question, &path);
        let bare_question = Question::put(home(ports[0]), asked, "").0;
        let nginx = nginx::start(folder, if body.is_empty() { b"unchanged" } else { &body });

        let contestant = |name: &str, server, [plain, secure]: [SocketAddr; 2], question| Contestant {
            name: name.to_owned(),
            server,
            address: if load.is_tls() { secure } else { plain },
            question,
            turns: Vec::new(),
        };
        let bare_name = if load.is_tls() { "bare hyper + rustls" } else { "bare hyper" };
        let mut contestants = vec![
            contestant("mock manager", &self.manager, [manager; 2], question),
            contestant(bare_name, &bare, [home(ports[0]), home(ports[1])], bare_question),
        ];
        if let Some((server, addresses)) = &nginx {
            let header = if body.is_empty() { nginx::UNCHANGED } else { "" };
            let question = Question::put(addresses[0], asked, header).0;
            contestants.push(contestant("nginx static file", server, *addresses, question));
        }
        let mut quiet = 0;
        for _ in 0..self.settings.rounds {
            quiet += usize::from(machine::wait_for_quiet());
            for one in &mut contestants {
                let turn = one.turn(load, self.settings);
                one.turns.push(turn);
            }
        }
        report(&contestants, load);
        if quiet < self.settings.rounds {
            println!("only {quiet} of {} rounds began on a quiet machine", self.settings.rounds);
        }
    }
}

/// Starts the bare server, and returns its ports for HTTP and HTTPS.
fn bare(folder: &str, question: &Question, body: &str) -> (Server, Vec<u16>) {
    let (server, ports) = Server::ours(&["baseline", folder, question.status(), body]);
    (server, ports.split(' ').flat_map(str::parse).collect())
}

impl Contestant<'_> {
    fn turn(&self, load: Load, settings: Settings) -> Turn {
        match load {
            Load::KeepAliveIndex | Load::KeepAliveUnchanged => {
                let mut load = KeepAlive::open(self.address, &self.question, IN_FLIGHT);
                load.run(settings.warm_up);
                self.measured(|| (load.run(settings.turn), 0))
            }
            Load::TlsFull | Load::TlsResumed => {
                let tickets = load == Load::TlsResumed;
                let mut load = Reconnect::prepare(self.address, self.question.clone(), IN_FLIGHT, tickets);
                load.run(settings.warm_up);
                self.measured(|| {
                    let beats = load.run(settings.turn);
                    (beats.answers, beats.resumed)
                })
            }
        }
    }

    fn measured(&self, load: impl FnOnce() -> (u64, u64)) -> Turn {
        let used = || (self.server.used(), machine::used_by_load(), machine::used_by_all());
        let (before, start) = (used(), Instant::now());
        let (answers, resumed) = load();
        let (seconds, after) = (start.elapsed().as_secs_f64(), used());
        let server = after.0 - before.0;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let (answers, resumed) = (answers as f64, resumed as f64);
        Turn { answers, resumed, seconds, server, others: after.2 - before.2 - server - (after.1 - before.1) }
    }
}

impl Turn {
    fn per_second(&self) -> f64 {
        self.answers / self.seconds
    }

    fn per_server_second(&self) -> f64 {
        self.answers / self.server
    }
}

fn report(contestants: &[Contestant<'_>], load: Load) {
    println!(
        "{:22} {:>26} {:>28} {:>7} {:>7}{}",
        "",
        "per second min/med/max",
        "per CPU-second min/med/max",
        "server",
        "others",
        if load == Load::TlsResumed { " resumed" } else { "" }
    );
    for Contestant { name, turns, .. } in contestants {
        let spread = |of: fn(&Turn) -> f64| {
            let [min, median, max] = spread(turns.iter().map(of));
            format!("{min:.0} {median:>7.0} {max:>7.0}")
        };
        let percent = |of: fn(&Turn) -> f64| format!("{:.0} %", 100.0 * median(turns.iter().map(of)));
        println!(
            "{name:22} {:>26} {:>28} {:>7} {:>7}{}",
            spread(Turn::per_second),
            spread(Turn::per_server_second),
            percent(|turn| turn.server / turn.seconds),
            percent(|turn| turn.others / turn.seconds),
            if load == Load::TlsResumed {
                percent(|turn| turn.resumed / turn.answers)
            } else {
                String::new()
            },
        );
    }
    let (manager, others) = contestants.split_first().expect("the manager takes part");
    for other in others {
        let ratio = |of: fn(&Turn) -> f64| {
            let rounds = manager.turns.iter().zip(&other.turns);
            let [min, median, max] = spread(rounds.map(|(ours, theirs)| of(ours) / of(theirs)));
            format!("{median:.2} ({min:.2} to {max:.2})")
        };
        println!(
            "mock manager / {:19} per second {}, per CPU-second {}",
            other.name,
            ratio(Turn::per_second),
            ratio(Turn::per_server_second)
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    spread(values)[1]
}

/// Least, median and greatest.
pub(crate) fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}
