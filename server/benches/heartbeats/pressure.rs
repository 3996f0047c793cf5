//! Honest heartbeats while bad peers hold connections and others do nothing but handshakes.
//!
//! | peer | what it does | of the full size |
//! |---|---|---|
//! | silent | connects and sends nothing | 10,000 |
//! | slow | sends a byte of its request, or of its handshake, every two seconds | 5,000 |
//! | stalled | sends half a request, or a whole greeting of TLS, and no more | 3,000 |
//! | flood | full handshakes of TLS, one after the other, with what the load's core has left | 64 at a time |
//!
//! Every second peer of a kind means HTTP, the others HTTPS. A peer whose connection is ended comes again after five seconds.
//! Without pressure there are only honest heartbeats over HTTPS.
//!
//! The honest heartbeats are an open loop: each has a moment at which it is due, is a connection of its own, by turns HTTP and
//! HTTPS, and its time counts from that moment. One that has no answer within the client's limit of 30 seconds is lost.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::contest::{Question, spread};
use crate::machine::{self, Server};
use crate::reconnect::{beat, client_config};

/// The client's limit for a heartbeat.
const LOST: Duration = Duration::from_secs(30);
/// The time after which a peer whose connection has ended comes again.
const AGAIN: Duration = Duration::from_secs(5);
/// The pause between two bytes of a slow peer.
const SLOW: Duration = Duration::from_secs(2);
/// Handshakes of the flood at a time.
const FLOOD: usize = 64;
/// The request of the slow and the stalled: as long as a heartbeat's.
const REQUEST: &str = "GET /secars/secars.dll?action=34&a=0123456789abcdef0123456789abcdef0123456789abcdef HTTP/1.1\r\nHost: lab\r\n";

/// How hard it is pressed.
#[derive(Clone, Copy)]
pub(crate) struct Pressure {
    silent: usize,
    slow: usize,
    stalled: usize,
    /// Whether others do nothing but handshakes, and half of the honest heartbeats is over HTTP.
    is_pressed: bool,
    rounds: usize,
    /// Honest heartbeats a second.
    rate: u32,
    turn: Duration,
}

/// A server, and where it takes HTTP and HTTPS.
pub(crate) struct Pressed<'a> {
    pub(crate) name: &'static str,
    pub(crate) server: &'a Server,
    pub(crate) places: [SocketAddr; 2],
    pub(crate) question: Question,
}

/// What came of the honest heartbeats of a turn.
struct Turn {
    sent: usize,
    lost: usize,
    /// In milliseconds: the median, the 99th percentile, and the most, lost ones left out.
    p50: f64,
    p99: f64,
    most: f64,
    /// Files that the server had open halfway.
    files: usize,
    server: f64,
}

impl Pressure {
    /// The size that is asked for: the full one, or a part of it.
    pub(crate) fn of(words: &[&str]) -> Self {
        let number = |name: &str| {
            let place = words.iter().position(|word| *word == name)?;
            words.get(place + 1)?.parse::<usize>().ok()
        };
        let quick = words.contains(&"--quick");
        let peers = number("--peers").unwrap_or(if quick { 1800 } else { 18_000 });
        let seconds = number("--seconds").unwrap_or(if quick { 5 } else { 40 });
        let rounds = number("--rounds").unwrap_or(if quick { 3 } else { 5 });
        let (slow, stalled) = (peers * 5 / 18, peers * 3 / 18);
        let silent = peers - slow - stalled;
        let turn = Duration::from_secs(seconds as u64);
        Self { silent, slow, stalled, is_pressed: true, rounds, rate: 100, turn }
    }

    /// Honest heartbeats over HTTPS without any pressure, each on a new connection with its ticket.
    pub(crate) fn none(words: &[&str]) -> Self {
        let Self { rounds, .. } = Self::of(words);
        let number = |name: &str| {
            let place = words.iter().position(|word| *word == name)?;
            words.get(place + 1)?.parse::<u32>().ok()
        };
        let turn = Duration::from_secs(number("--seconds").unwrap_or(10).into());
        let rate = number("--rate").unwrap_or(500);
        Self { silent: 0, slow: 0, stalled: 0, is_pressed: false, rounds, rate, turn }
    }

    /// Presses the servers by turns, and prints what came of it.
    pub(crate) fn compare(self, servers: &[Pressed<'_>]) {
        let Self { silent, slow, stalled, is_pressed, rounds, rate, turn } = self;
        let flood = if is_pressed { FLOOD } else { 0 };
        println!(
            "\npressure: {silent} silent, {slow} slow and {stalled} stalled peers, {flood} full handshakes at a time"
        );
        println!(
            "          {rate} honest heartbeats a second for {turn:?}, open loop; {rounds} rounds in turns"
        );
        let mut turns: Vec<Vec<Turn>> = servers.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (server, turns) in servers.iter().zip(&mut turns) {
                turns.push(self.turn(server));
            }
        }
        println!(
            "{:22} {:>7} {:>5} {:>24} {:>24} {:>9} {:>7} {:>7}",
            "", "sent", "lost", "p50 ms min/med/max", "p99 ms min/med/max", "most ms", "files", "server"
        );
        for (server, turns) in servers.iter().zip(&turns) {
            let triple = |of: fn(&Turn) -> f64| {
                let [min, median, max] = spread(turns.iter().map(of));
                format!("{min:.1} {median:>7.1} {max:>7.1}")
            };
            println!(
                "{:22} {:>7} {:>5} {:>24} {:>24} {:>9.1} {:>7} {:>5.0} %",
                server.name,
                turns.iter().map(|turn| turn.sent).sum::<usize>(),
                turns.iter().map(|turn| turn.lost).sum::<usize>(),
                triple(|turn| turn.p50),
                triple(|turn| turn.p99),
                turns.iter().map(|turn| turn.most).fold(0.0, f64::max),
                turns.iter().map(|turn| turn.files).max().unwrap_or(0),
                100.0 * spread(turns.iter().map(|turn| turn.server))[1],
            );
        }
        let (ours, others) = turns.split_first().expect("there is one");
        for (server, theirs) in servers[1..].iter().zip(others) {
            let ratio = |of: fn(&Turn) -> f64| {
                let [min, median, max] =
                    spread(ours.iter().zip(theirs).map(|(one, other)| of(one) / of(other)));
                format!("{median:.2} ({min:.2} to {max:.2})")
            };
            println!(
                "{} / {}: p50 {}, p99 {}",
                servers[0].name,
                server.name,
                ratio(|turn| turn.p50),
                ratio(|turn| turn.p99)
            );
        }
    }

    fn turn(self, pressed: &Pressed<'_>) -> Turn {
        let [plain, secure] = pressed.places.map(|place| place.to_string());
        let counts = [self.silent, self.slow, self.stalled].map(|count| count.to_string());
        let [silent, slow, stalled] = counts.each_ref().map(String::as_str);
        let _load = self.is_pressed.then(|| {
            let (peers, _) = Server::of_the_load(&["peers", &plain, &secure, silent, slow, stalled]);
            (peers, Server::of_the_load(&["flood", &secure]))
        });
        let (before, start) = (pressed.server.used(), Instant::now());
        let (times, lost, files) = thread::scope(|scope| {
            let files = scope.spawn(|| {
                thread::sleep(self.turn / 2);
                pressed.server.files()
            });
            let (times, lost) = honest(self, pressed);
            (times, lost, files.join().expect("it looks"))
        });
        let server = (pressed.server.used() - before) / start.elapsed().as_secs_f64();
        let mut times: Vec<f64> = times.iter().map(|time| 1000.0 * time.as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
        let at = |percent: usize| at(percent).copied().unwrap_or(f64::INFINITY);
        Turn { sent: times.len() + lost, lost, p50: at(50), p99: at(99), most: at(100), files, server }
    }
}

/// Sends the honest heartbeats; returns the times of those that were answered, and the number of the others.
fn honest(pressure: Pressure, pressed: &Pressed<'_>) -> (Vec<Duration>, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let connector = || TlsConnector::from(Arc::new(client_config(true)));
    // Without pressure each client has a heartbeat a second, and its own ticket: clients that share some take them from each other
    // as soon as an answer is late, and then their full handshakes make the next one later.
    let clients = if pressure.is_pressed { 1 } else { pressure.rate.max(1) };
    let clients: Vec<TlsConnector> = std::iter::repeat_with(connector).take(clients as usize).collect();
    let question = Arc::new(pressed.question.clone());
    let [plain, secure] = pressed.places;
    runtime.block_on(async {
        if !pressure.is_pressed {
            for client in &clients {
                beat(client, secure, &question).await.expect("the first heartbeat is answered");
            }
        }
        let (start, gap) = (Instant::now(), Duration::from_secs(1) / pressure.rate);
        let mut tasks = JoinSet::new();
        let mut number = 0;
        while gap * number < pressure.turn {
            let due = start + gap * number;
            // A sleep takes a millisecond or more, so one that is late makes up for it.
            match due.saturating_duration_since(Instant::now()) {
                Duration::ZERO => tokio::task::yield_now().await,
                ahead => sleep(ahead).await,
            }
            let client = clients[number as usize % clients.len()].clone();
            let question = Arc::clone(&question);
            let is_plain = pressure.is_pressed && number % 2 == 0;
            tasks.spawn(async move {
                let answered = async {
                    if is_plain {
                        ask(plain, &question).await
                    } else {
                        beat(&client, secure, &question).await.map(|_| ())
                    }
                };
                match timeout(LOST, answered).await {
                    Ok(Ok(())) => Some(due.elapsed()),
                    Ok(Err(_)) | Err(_) => None,
                }
            });
            number += 1;
        }
        let all = tasks.join_all().await;
        let times: Vec<Duration> = all.iter().copied().flatten().collect();
        let lost = all.len() - times.len();
        (times, lost)
    })
}

/// A heartbeat over HTTP.
async fn ask(address: SocketAddr, question: &Question) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.set_zero_linger()?;
    stream.write_all(&question.request).await?;
    let mut answer = vec![0; question.answer_length];
    stream.read_exact(&mut answer).await?;
    question.check(&answer);
    Ok(())
}

/// What a bad peer does.
#[derive(Clone, Copy)]
enum Peer {
    Silent,
    Slow,
    Stalled,
}

/// The role of the bad peers: says that it is ready when all have tried once.
pub(crate) fn peers(plain: &str, secure: &str, counts: [&str; 3]) {
    let places: [SocketAddr; 2] = [plain, secure].map(|place| place.parse().expect("an address"));
    let counts = counts.map(|count| count.parse::<usize>().expect("a number"));
    let hello = hello();
    machine::run(async move {
        let tried = Arc::new(AtomicUsize::new(0));
        for (kind, count) in [Peer::Silent, Peer::Slow, Peer::Stalled].into_iter().zip(counts) {
            for number in 0..count {
                let bytes = if number % 2 == 0 { REQUEST.as_bytes().into() } else { Arc::clone(&hello) };
                tokio::spawn(be(kind, number, places[number % 2], bytes, Arc::clone(&tried)));
            }
        }
        let total: usize = counts.iter().sum();
        let start = Instant::now();
        while tried.load(Ordering::Relaxed) < total && start.elapsed() < Duration::from_secs(20) {
            sleep(Duration::from_millis(50)).await;
        }
        println!("ready");
        machine::end_with_parent();
        std::future::pending::<()>().await;
    });
}

async fn be(kind: Peer, number: usize, place: SocketAddr, bytes: Arc<[u8]>, tried: Arc<AtomicUsize>) {
    // One address has too few ports for all.
    let source = Ipv4Addr::new(127, 0, 0, 2 + u8::try_from(number % 8).unwrap_or(0));
    let mut is_first = true;
    loop {
        let connected = async {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind((source, 0).into())?;
            socket.connect(place).await
        };
        let connected = timeout(LOST, connected).await;
        if std::mem::take(&mut is_first) {
            tried.fetch_add(1, Ordering::Relaxed);
        }
        if let Ok(Ok(mut stream)) = connected {
            let (mut from, mut to) = stream.split();
            let sends = async {
                match kind {
                    Peer::Silent => {}
                    Peer::Slow => {
                        for byte in bytes.chunks(1) {
                            if to.write_all(byte).await.is_err() {
                                break;
                            }
                            sleep(SLOW).await;
                        }
                    }
                    Peer::Stalled => drop(to.write_all(&bytes).await),
                }
                std::future::pending::<()>().await;
            };
            let ends = async {
                let mut buffer = [0; 512];
                while from.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
            };
            tokio::select! {
                () = sends => {}
                () = ends => {}
            }
        }
        sleep(AGAIN + Duration::from_millis(number as u64 % 1000)).await;
    }
}

/// The greeting of a TLS client.
fn hello() -> Arc<[u8]> {
    let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
    let mut client = ClientConnection::new(Arc::new(client_config(false)), name).expect("a client");
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("memory takes it");
    bytes.into()
}

/// The role of the flood: full handshakes without a request, one after the other.
pub(crate) fn flood(place: &str) {
    let place: SocketAddr = place.parse().expect("an address");
    machine::run(async move {
        let client = TlsConnector::from(Arc::new(client_config(false)));
        for _ in 0..FLOOD {
            let client = client.clone();
            tokio::spawn(async move {
                loop {
                    let Ok(stream) = TcpStream::connect(place).await else {
                        sleep(Duration::from_millis(10)).await;
                        continue;
                    };
                    let _ = stream.set_zero_linger();
                    let _ = client.connect(ServerName::IpAddress(place.ip().into()), stream).await;
                }
            });
        }
        println!("ready");
        machine::end_with_parent();
        std::future::pending::<()>().await;
    });
}
