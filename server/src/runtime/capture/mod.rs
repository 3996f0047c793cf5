//! A capture of the managers' ports as a pcapng file, with the secrets that decrypt it.
//!
//! | file | what |
//! |---|---|
//! | here | what is captured when, and the task that writes it |
//! | `tcp` | the packets of a connection, made from its bytes |
//! | `pcapng` | the blocks of the file |
//! | `slice` | its last minutes |
//!
//! The bytes are those of the sockets, below TLS; packets are made up around them. The tasks of connections hand finished blocks to
//! a thread through a bounded queue. What does not fit is dropped and counted, and the file says so.

mod pcapng;
mod slice;
mod tcp;

use std::collections::{BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use epm_client_agent::wire::LabClock;
use epm_protocol::fault::{Hit, Moment};
use epm_protocol::time::Clock;
use parking_lot::Mutex;
use rustls::{KeyLog, ServerConfig};
use tcp::{Connection, End};

/// Number of bytes that may wait for the thread that writes.
const WAITING: usize = 64 * 1024 * 1024;
/// Secrets are small, and without them nothing is read: they have room of their own.
const SECRETS: usize = 4 * 1024 * 1024;
/// Spreads the first numbers of connections, as an odd factor does.
const SPREAD: u32 = 0x9E37_79B1;
/// What the section says of itself.
const COMMENT: &str = "Captured by epm-lab, a mock, at the accepted sockets of its managers. The bytes above TCP are those of the wire. \
                       Packets, TCP and IP are reconstructed: no retransmission, delay or loss of the network shows. Times are lab time.";

/// A capture that is being written.
#[derive(Debug)]
pub struct Capture {
    file: PathBuf,
    queue: Sender<Message>,
    waiting: Arc<AtomicUsize>,
    /// Number of bytes that may wait.
    room: usize,
    dropped: Arc<AtomicU64>,
    packets: AtomicU64,
    connections: AtomicU32,
    names: Mutex<HashMap<IpAddr, BTreeSet<String>>>,
    writer: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

/// What a capture has, once it is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Number of packets in the file.
    pub packets: u64,
    /// Number of packets that were dropped, because the file was written too slowly.
    pub dropped: u64,
}

/// Why a capture cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file cannot be created.
    #[error("cannot write the capture {}: {source}", file.display())]
    Create {
        /// The path of the capture that cannot be written.
        file: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Something else is there.
    #[error("{} exists and is no capture: choose another file, or remove it", .0.display())]
    Foreign(PathBuf),
    /// The file could not be written to its end.
    #[error("the capture is incomplete: {0}")]
    Write(io::Error),
}

enum Message {
    Blocks {
        bytes: Vec<u8>,
        at_ms: u64,
    },
    /// Told once everything before is in the file.
    Flush(Sender<()>),
    End,
}

/// A captured connection, from its acceptance to its end.
#[derive(Debug)]
pub(crate) struct Flow {
    capture: Arc<Capture>,
    clock: Arc<LabClock>,
    state: Mutex<FlowState>,
}

#[derive(Debug)]
struct FlowState {
    connection: Connection,
    /// Comments on packets that a fault on the connection, or on its present exchange, touches.
    touched: [Option<String>; 2],
    /// Whether secrets are expected that decrypt what is read next.
    expects_secrets: bool,
    /// Packets of the client that wait for the secrets that decrypt them.
    held: Vec<Vec<u8>>,
    is_reset_when_dropped: bool,
}

impl Capture {
    /// Begins a capture in this file, which only its owner may read. A capture that is there is replaced.
    ///
    /// # Errors
    ///
    /// When the file cannot be created, or something else is there.
    pub fn create(file: &Path) -> Result<Arc<Self>, CaptureError> {
        let bad = |source| CaptureError::Create { file: file.to_owned(), source };
        match is_capture(file).map_err(bad)? {
            Some(true) => std::fs::remove_file(file).map_err(bad)?,
            Some(false) => return Err(CaptureError::Foreign(file.to_owned())),
            None => {}
        }
        let mut opened =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(bad)?;
        opened.write_all(&pcapng::beginning(COMMENT, "managers")).map_err(bad)?;
        let (queue, messages) = channel();
        let (waiting, dropped) = (Arc::<AtomicUsize>::default(), Arc::<AtomicU64>::default());
        let shared = (Arc::clone(&waiting), Arc::clone(&dropped));
        let writer = std::thread::Builder::new().name("capture".to_owned());
        let writer = writer.spawn(move || write(opened, &messages, &shared.0, &shared.1)).map_err(bad)?;
        Ok(Arc::new(Self {
            file: file.to_owned(),
            queue,
            waiting,
            room: WAITING,
            dropped,
            packets: AtomicU64::new(0),
            connections: AtomicU32::new(0),
            names: Mutex::default(),
            writer: Mutex::new(Some(writer)),
        }))
    }

    /// The file, opened once it has everything that came before.
    pub(crate) fn flushed(&self) -> io::Result<File> {
        let (told, is_written) = channel();
        // A capture that has ended has everything already.
        if self.queue.send(Message::Flush(told)).is_ok() {
            let _ = is_written.recv();
        }
        File::open(&self.file)
    }

    /// A capture of the connections that had a packet since this lab time, of at most this many bytes.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the capture would be larger.
    pub(crate) fn since(&self, at_ms: u64, most: usize) -> io::Result<Vec<u8>> {
        slice::since(&mut self.flushed()?, at_ms, most)
    }

    /// Writes what waits, and ends the file. Later packets are not written.
    ///
    /// # Errors
    ///
    /// When the file could not be written.
    pub fn finish(&self) -> Result<Captured, CaptureError> {
        let _ = self.queue.send(Message::End);
        if let Some(writer) = self.writer.lock().take() {
            let written = writer.join().unwrap_or_else(|_| Err(io::Error::other("its thread has failed")));
            written.map_err(CaptureError::Write)?;
        }
        let dropped = self.dropped.load(Ordering::SeqCst);
        Ok(Captured { packets: self.packets.load(Ordering::SeqCst), dropped })
    }

    /// Begins to capture a connection; `client` is the name of the client if it is known, and `port` says which port of the manager
    /// it is.
    pub(crate) fn open(
        self: &Arc<Self>,
        (client_at, client): (SocketAddr, Option<&str>),
        (manager_at, manager, port): (SocketAddr, &str, &str),
        clock: &Arc<LabClock>,
    ) -> Arc<Flow> {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let (connection, packets) = Connection::open(client_at, manager_at, number.wrapping_mul(SPREAD));
        let flow = Arc::new(Flow {
            capture: Arc::clone(self),
            clock: Arc::clone(clock),
            state: Mutex::new(FlowState {
                connection,
                touched: [None, None],
                expects_secrets: false,
                held: Vec::new(),
                is_reset_when_dropped: false,
            }),
        });
        let names = [(manager_at.ip(), Some(manager)), (client_at.ip(), client)];
        for (address, name) in names.into_iter().filter_map(|(address, name)| Some((address, name?))) {
            let mut names = self.names.lock();
            let known = names.entry(address).or_default();
            if known.insert(name.to_owned()) {
                let all: Vec<&str> = known.iter().map(String::as_str).collect();
                self.push(pcapng::name(address, &all.join("+")), flow.now(), SECRETS);
            }
        }
        let who = client.map(|name| format!("client {name} to ")).unwrap_or_default();
        let (first, others) = packets.split_at(1);
        self.packets(flow.now(), first, &[&format!("{who}manager {manager}, {port}")]);
        self.packets(flow.now(), others, &[]);
        flow
    }

    /// Hands blocks to the thread that writes; false if they do not fit, with this much more room than packets have.
    fn push(&self, bytes: Vec<u8>, at_ms: u64, more: usize) -> bool {
        let length = bytes.len();
        if self.waiting.fetch_add(length, Ordering::SeqCst) + length > self.room + more {
            self.waiting.fetch_sub(length, Ordering::SeqCst);
            return false;
        }
        self.queue.send(Message::Blocks { bytes, at_ms }).is_ok()
    }

    fn packets(&self, at_ms: u64, packets: &[Vec<u8>], comments: &[&str]) {
        if packets.is_empty() {
            return;
        }
        let blocks: Vec<Vec<u8>> =
            packets.iter().map(|packet| pcapng::packet(at_ms, packet, comments)).collect();
        let count = if self.push(blocks.concat(), at_ms, 0) { &self.packets } else { &*self.dropped };
        count.fetch_add(packets.len() as u64, Ordering::SeqCst);
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

impl Flow {
    /// Notes bytes that the client has sent; none if it has finished.
    pub(crate) fn read(&self, bytes: &[u8]) {
        let state = &mut *self.state.lock();
        if bytes.is_empty() {
            let packets = state.connection.finish(End::Client);
            return self.packets(state, &packets);
        }
        let packets = state.connection.send(End::Client, bytes);
        state.touched[1] = None;
        if state.expects_secrets {
            self.flush(state);
            state.held = packets;
        } else {
            self.packets(state, &packets);
        }
    }

    /// Notes that the client has reset the connection.
    pub(crate) fn is_reset(&self) {
        let state = &mut *self.state.lock();
        let packets = state.connection.reset(End::Client);
        self.packets(state, &packets);
    }

    /// Notes bytes that the manager has sent.
    pub(crate) fn written(&self, bytes: &[u8]) {
        let state = &mut *self.state.lock();
        let packets = state.connection.send(End::Manager, bytes);
        self.packets(state, &packets);
    }

    /// Notes that the manager has finished its direction.
    pub(crate) fn finish(&self) {
        let state = &mut *self.state.lock();
        let packets = state.connection.finish(End::Manager);
        self.packets(state, &packets);
    }

    /// Notes that the connection ends with a reset.
    pub(crate) fn reset_when_dropped(&self) {
        self.state.lock().is_reset_when_dropped = true;
    }

    /// Notes that the manager has closed the connection.
    pub(crate) fn close(&self) {
        let state = &mut *self.state.lock();
        let packets = match state.is_reset_when_dropped {
            true => state.connection.reset(End::Manager),
            false => state.connection.finish(End::Manager),
        };
        self.packets(state, &packets);
    }

    /// Comments the packets from here on: those of the connection, or those until the client's next request.
    pub(crate) fn touch(&self, hit: &Hit, moment: Moment) {
        let (place, what) = match moment {
            Moment::Connection => (0, "connection"),
            Moment::Exchange => (1, "exchange"),
        };
        let comment = format!("fault {} ({}) acts on this {what}", hit.rule.name, hit.what());
        self.state.lock().touched[place] = Some(comment);
    }

    /// The configuration, with secrets that go into the capture too.
    pub(crate) fn with_secrets(self: &Arc<Self>, config: &Arc<ServerConfig>) -> Arc<ServerConfig> {
        self.state.lock().expects_secrets = true;
        let mut config = ServerConfig::clone(config);
        config.key_log = Arc::new(FlowSecrets { flow: Arc::clone(self), other: config.key_log });
        Arc::new(config)
    }

    fn packets(&self, state: &mut FlowState, packets: &[Vec<u8>]) {
        self.flush(state);
        let comments: Vec<&str> = state.touched.iter().flatten().map(String::as_str).collect();
        self.capture.packets(self.now(), packets, &comments);
    }

    /// Writes what was held back.
    fn flush(&self, state: &mut FlowState) {
        let comments: Vec<&str> = state.touched.iter().flatten().map(String::as_str).collect();
        self.capture.packets(self.now(), &std::mem::take(&mut state.held), &comments);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.now().as_millis()).unwrap_or_default()
    }
}

/// Takes the secrets of one connection.
#[derive(Debug)]
struct FlowSecrets {
    flow: Arc<Flow>,
    other: Arc<dyn KeyLog>,
}

impl KeyLog for FlowSecrets {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        {
            let state = &mut *self.flow.state.lock();
            self.flow.capture.push(pcapng::secrets(&line), self.flow.now(), SECRETS);
            // The last ones that packets wait for, in TLS 1.2 and 1.3.
            if matches!(label, "CLIENT_RANDOM" | "SERVER_TRAFFIC_SECRET_0") {
                state.expects_secrets = false;
                self.flow.flush(state);
            }
        }
        if self.other.will_log(label) {
            self.other.log(label, client_random, secret);
        }
    }
}

/// Whether the file is a capture; none if there is no file.
fn is_capture(file: &Path) -> io::Result<Option<bool>> {
    match std::fs::symlink_metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(found) if !found.is_file() => return Ok(Some(false)),
        Ok(_) => {}
    }
    let mut first = Vec::new();
    File::open(file)?.take(pcapng::MAGIC.len() as u64).read_to_end(&mut first)?;
    Ok(Some(first == pcapng::MAGIC))
}

/// Writes blocks as they come, whole ones in each write, until the capture ends. Returns the first error.
fn write(
    file: File,
    messages: &Receiver<Message>,
    waiting: &AtomicUsize,
    dropped: &AtomicU64,
) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(64 * 1024, file);
    let (mut told, mut last_ms, mut result) = (0, 0, Ok(()));
    let mut missing = |file: &mut BufWriter<File>, at_ms| match dropped.load(Ordering::SeqCst) {
        now if now > told => {
            told = now;
            file.write_all(&pcapng::missing(at_ms, now))
        }
        _ => Ok(()),
    };
    loop {
        let message = match messages.try_recv() {
            Ok(message) => message,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                if result.is_ok() {
                    result = file.flush().inspect_err(tell);
                }
                match messages.recv() {
                    Ok(message) => message,
                    Err(_) => break,
                }
            }
        };
        let (bytes, at_ms) = match message {
            Message::Blocks { bytes, at_ms } => (bytes, at_ms),
            Message::Flush(told) => {
                if result.is_ok() {
                    result = file.flush().inspect_err(tell);
                }
                let _ = told.send(());
                continue;
            }
            Message::End => break,
        };
        last_ms = at_ms;
        if result.is_ok() {
            result = missing(&mut file, at_ms).and_then(|()| file.write_all(&bytes)).inspect_err(tell);
        }
        waiting.fetch_sub(bytes.len(), Ordering::SeqCst);
    }
    result.and_then(|()| missing(&mut file, last_ms)).and_then(|()| file.flush())
}

fn tell(error: &io::Error) {
    tracing::error!(%error, "the capture cannot be written");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minutes_have_whole_connections_and_no_earlier_ones() {
        let folder = tempfile::tempdir().unwrap();
        let capture = Capture::create(&folder.path().join("lab.pcapng")).unwrap();
        let clock = Arc::new(LabClock::starting_at(epm_protocol::time::Timestamp::from_seconds(1000), 0));
        let open = |port: u16| {
            let client = (SocketAddr::from(([127, 64, 0, 1], port)), Some("desk-1"));
            capture.open(client, ("127.0.0.1:8014".parse().unwrap(), "sepm-1", "clients' port"), &clock)
        };
        let (over, lasting) = (open(1), open(2));
        over.read(b"GET /over");
        lasting.read(b"GET /begun");
        over.close();
        clock.set(epm_protocol::time::Timestamp::from_seconds(2000));
        lasting.written(b"HTTP/1.1 200");
        open(3).read(b"GET /new");
        let text = |at_ms| String::from_utf8_lossy(&capture.since(at_ms, usize::MAX).unwrap()).into_owned();
        let has = |text: &str| ["/over", "/begun", "200", "/new", "desk-1"].map(|part| text.contains(part));
        assert_eq!(has(&text(0)), [true; 5]);
        assert_eq!(has(&text(1_500_000)), [false, true, true, true, true]);
        assert_eq!(has(&text(2_000_001)), [false, false, false, false, true]);
        assert!(capture.since(0, 500).unwrap_err().to_string().contains("more than 0 MiB"));
        // A block that is still being written ends it.
        let whole = capture.since(0, usize::MAX).unwrap();
        let cut = slice::since(&mut io::Cursor::new(&whole[..whole.len() - 3]), 0, usize::MAX).unwrap();
        assert!(cut.len() < whole.len() - 3 && whole.starts_with(&cut));
    }

    #[test]
    fn packets_that_do_not_fit_are_counted_and_the_file_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("full.pcapng");
        let mut capture = Capture::create(&file).unwrap();
        Arc::get_mut(&mut capture).unwrap().room = 0;
        let clock = Arc::new(LabClock::starting_at(epm_protocol::time::Timestamp::from_seconds(1), 0));
        let (client, manager) = ("127.64.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let flow = capture.open((client, Some("desk-1")), (manager, "sepm-1", "clients' port"), &clock);
        flow.read(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(capture.finish().unwrap(), Captured { packets: 0, dropped: 4 });
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(text.contains("desk-1") && text.contains("4 packets are missing"), "{text:?}");
        assert!(!text.contains("GET /"));
    }
}
