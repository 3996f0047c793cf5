//! The caches of a large fleet in one file: lines of JSON, of which the last about a client counts.
//!
//! What many clients have in common stands once: a communications file, and a state. A line about a client refers to its
//! state. A line is written before the client goes on, so a killed process loses nothing. The file is synced once a
//! second, so a power loss costs the last second: the clients concerned go on from an earlier state. A last line that is
//! not whole is ignored. Each start writes the file anew, without what has become void.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use epm_protocol::sylink::Sylink;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::super::durable::sync;
use super::super::own_file::open_own;
use crate::agent::{AgentState, Cache, OwnCache};

/// The version of the form of the file.
const FORMAT: u32 = 1;

/// The maximum number of bytes of a line: one has at most a communications file.
const LONGEST_LINE: u64 = 32 * 1024 * 1024;

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Line {
    /// The first line: whose clients these are.
    Fleet { format: u32, name: String, seed: u64 },
    /// A communications file.
    File { file: u32, sylink: String },
    /// What clients have learnt, without what only one has.
    State { state: u32, file: u32, learnt: Box<AgentState> },
    /// A client: its number, its state, and what only it has.
    Client { client: u32, state: u32, own: OwnCache },
}

/// The reason why the file of a fleet could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FleetStoreError {
    /// The file could not be read or written.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// The operation that failed.
        operation: &'static str,
        /// File with the caches of the fleet.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is not one of a fleet, or is damaged.
    #[error("{}, line {line}: {why}; expected a file that `epm-agent fleet --state` wrote", path.display())]
    Malformed {
        /// File with the caches of the fleet.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The file is that of another fleet.
    #[error(
        "{} has the clients of the fleet {found}; give --name and --seed of that fleet, or another file",
        path.display()
    )]
    Another {
        /// File with the caches of the fleet.
        path: PathBuf,
        /// The name and the seed of the fleet in the file.
        found: String,
    },
    /// Another process uses the file.
    #[error("{} is used by another process; a fleet needs a file of its own", path.display())]
    InUse {
        /// File with the caches of the fleet.
        path: PathBuf,
    },
}

/// The open file of a fleet.
#[derive(Debug)]
pub struct FleetStore {
    path: PathBuf,
    out: BufWriter<File>,
    files: HashMap<String, (Arc<Sylink>, u32)>,
    states: HashMap<String, u32>,
    kept: HashMap<u32, KeptClient>,
}

/// A client as the file has it.
#[derive(Clone, Debug)]
struct KeptClient {
    state: Arc<(Arc<Sylink>, AgentState)>,
    own: OwnCache,
}

impl FleetStore {
    /// Opens the file of this fleet, which is made if there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written, is malformed, belongs to another fleet, or another process uses it.
    pub fn open(path: &Path, name: &str, seed: u64) -> Result<Self, FleetStoreError> {
        let io = |operation| failed(operation, path);
        let before = open_own(OpenOptions::new().read(true).append(true).create(true).mode(0o600), path)
            .map_err(io("open"))?;
        lock(&before, path)?;
        let kept = read(BufReader::new(&before), path, (name, seed))?;
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".new");
        let fresh = PathBuf::from(fresh);
        let _ = fs::remove_file(&fresh); // left by a crash
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&fresh);
        let file = file.map_err(failed("create", &fresh))?;
        lock(&file, path)?;
        let mut store = Self {
            path: path.to_owned(),
            out: BufWriter::new(file),
            files: HashMap::new(),
            states: HashMap::new(),
            kept: HashMap::new(),
        };
        store.line(&Line::Fleet { format: FORMAT, name: name.to_owned(), seed })?;
        let mut clients: Vec<(&u32, &KeptClient)> = kept.iter().collect();
        clients.sort_by_key(|(client, _)| **client);
        let mut known = HashMap::new();
        for (client, KeptClient { state, own }) in clients {
            let state = match known.get(&Arc::as_ptr(state)) {
                Some(number) => *number,
                None => {
                    let number = store.state_number(&state.0, &state.1)?;
                    known.insert(Arc::as_ptr(state), number);
                    number
                }
            };
            store.line(&Line::Client { client: *client, state, own: own.clone() })?;
        }
        store.kept = kept;
        store.out.flush().map_err(io("write"))?;
        store.out.get_ref().sync_all().map_err(io("write"))?;
        fs::rename(&fresh, path).map_err(io("replace"))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        sync(folder.unwrap_or(Path::new("."))).map_err(io("write the folder of"))?;
        Ok(store)
    }

    /// The number of clients in the file when it was opened.
    pub fn count(&self) -> usize {
        self.kept.len()
    }

    /// Takes out the cache of the client with this number, as it was when the file was opened.
    pub(super) fn take(&mut self, client: u32) -> Option<Cache> {
        let KeptClient { state, own } = self.kept.remove(&client)?;
        let (sylink, learnt) = &*state;
        let mut cache = Cache { sylink: Arc::clone(sylink), state: learnt.clone() };
        cache.state.put_own(&own);
        Some(cache)
    }

    /// Writes the cache of the client with this number.
    pub(super) fn save(&mut self, client: u32, mut cache: Cache) -> Result<(), FleetStoreError> {
        let own = cache.state.take_own();
        let state = self.state_number(&cache.sylink, &cache.state)?;
        self.line(&Line::Client { client, state, own })?;
        self.out.flush().map_err(failed("write", &self.path))
    }

    /// The file, to be synced without keeping the store busy.
    pub(super) fn file(&self) -> io::Result<File> {
        self.out.get_ref().try_clone()
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of a state in the file, in which it is written if it is new.
    fn state_number(&mut self, sylink: &Arc<Sylink>, learnt: &AgentState) -> Result<u32, FleetStoreError> {
        let file = self.file_number(sylink, learnt)?;
        let text =
            serde_json::to_string(learnt).map_err(|error| failed("write", &self.path)(error.into()))?;
        let text = format!("{file} {text}");
        if let Some(number) = self.states.get(&text) {
            return Ok(*number);
        }
        let number = u32::try_from(self.states.len()).unwrap_or(u32::MAX);
        self.line(&Line::State { state: number, file, learnt: Box::new(learnt.clone()) })?;
        self.states.insert(text, number);
        Ok(number)
    }

    fn file_number(&mut self, sylink: &Arc<Sylink>, learnt: &AgentState) -> Result<u32, FleetStoreError> {
        // The checksum of a file is known if the client wrote it; comparing is faster than writing the text.
        let name = learnt.sylink_checksum.clone().unwrap_or_default();
        if let Some((known, number)) = self.files.get(&name)
            && (Arc::ptr_eq(known, sylink) || **known == **sylink)
        {
            return Ok(*number);
        }
        let text = sylink.to_xml();
        if let Some((known, number)) = self.files.get(&text)
            && **known == **sylink
        {
            return Ok(*number);
        }
        let number = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        self.line(&Line::File { file: number, sylink: text.clone() })?;
        self.files.entry(name).or_insert_with(|| (Arc::clone(sylink), number));
        self.files.insert(text, (Arc::clone(sylink), number));
        Ok(number)
    }

    fn line(&mut self, line: &Line) -> Result<(), FleetStoreError> {
        let written = serde_json::to_writer(&mut self.out, line).map_err(io::Error::from);
        written.and_then(|()| self.out.write_all(b"\n")).map_err(failed("write", &self.path))
    }
}

/// Reads the clients in a file; none if it is empty.
fn read(
    mut from: impl BufRead,
    path: &Path,
    (name, seed): (&str, u64),
) -> Result<HashMap<u32, KeptClient>, FleetStoreError> {
    let (mut files, mut states, mut clients) = (HashMap::new(), HashMap::new(), HashMap::new());
    let mut text = Vec::new();
    for number in 1.. {
        text.clear();
        (&mut from).take(LONGEST_LINE).read_until(b'\n', &mut text).map_err(failed("read", path))?;
        if text.len() as u64 == LONGEST_LINE {
            let why = format!("longer than {} MiB", LONGEST_LINE >> 20);
            return Err(FleetStoreError::Malformed { path: path.to_owned(), line: number, why });
        }
        if text.last() != Some(&b'\n') {
            break; // the end, or a line that was not written whole
        }
        let malformed = |why: String| FleetStoreError::Malformed { path: path.to_owned(), line: number, why };
        let line = serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
        match line {
            Line::Fleet { format, .. } if format != FORMAT => {
                return Err(malformed(format!("the form {format}, expected {FORMAT}")));
            }
            Line::Fleet { name: found, seed: of, .. } if (found.as_str(), of) != (name, seed) => {
                let found = format!("{found:?} with the seed {of}");
                return Err(FleetStoreError::Another { path: path.to_owned(), found });
            }
            Line::Fleet { .. } if number == 1 => {}
            _ if number == 1 => return Err(malformed("no name of a fleet".to_owned())),
            Line::Fleet { .. } => return Err(malformed("a second name of a fleet".to_owned())),
            Line::File { file, sylink } => {
                let sylink = Sylink::parse(&sylink).map_err(|error| malformed(error.to_string()))?;
                files.insert(file, Arc::new(sylink));
            }
            Line::State { state, file, learnt } => {
                let known = files.get(&file).ok_or_else(|| malformed(format!("no file {file} before it")))?;
                states.insert(state, Arc::new((Arc::clone(known), *learnt)));
            }
            Line::Client { client, state, own } => {
                let known =
                    states.get(&state).ok_or_else(|| malformed(format!("no state {state} before it")))?;
                clients.insert(client, KeptClient { state: Arc::clone(known), own });
            }
        }
    }
    Ok(clients)
}

fn lock(file: &File, path: &Path) -> Result<(), FleetStoreError> {
    flock(file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        rustix::io::Errno::WOULDBLOCK => FleetStoreError::InUse { path: path.to_owned() },
        error => failed("lock", path)(error.into()),
    })
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FleetStoreError {
    let path = path.to_owned();
    move |source| FleetStoreError::Io { operation, path, source }
}

#[cfg(test)]
mod tests {
    use epm_protocol::id::{AgentId, Guid};
    use epm_protocol::time::Timestamp;

    use super::*;
    use crate::agent::Health;

    /// The cache of a client in a group.
    fn cache(client: u8, group: &str) -> Cache {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/sylink/exported.xml");
        let mut sylink = Sylink::parse_bytes(&fs::read(file).unwrap()).unwrap();
        sylink.set_preferred_group(group);
        let state = AgentState {
            agent: Some(AgentId(Guid::from_bytes([client; 16]))),
            group: Some(group.to_owned()),
            health: Health::Connected { since: Timestamp::from_seconds(i64::from(client)) },
            ..AgentState::default()
        };
        Cache { sylink: Arc::new(sylink), state }
    }

    fn open(path: &Path) -> Result<FleetStore, FleetStoreError> {
        FleetStore::open(path, "fleet", 1)
    }

    #[test]
    fn a_fleet_has_after_a_restart_what_was_saved_last_of_each_client_and_equal_states_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.jsonl");
        let mut store = open(&path).unwrap();
        for client in 1..=100 {
            store.save(client.into(), cache(client, "one")).unwrap();
        }
        store.save(7, cache(7, "two")).unwrap();
        assert!(matches!(open(&path), Err(FleetStoreError::InUse { .. })));
        drop(store);
        // A line that was not written whole.
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{{\"kind\":\"client\",\"cli")).unwrap();
        for _ in 0..2 {
            let mut store = open(&path).unwrap();
            assert_eq!(store.count(), 100);
            for client in 1..=100 {
                let group = if client == 7 { "two" } else { "one" };
                assert_eq!(store.take(client.into()), Some(cache(client, group)), "{client}");
            }
            assert_eq!(store.take(101), None);
        }
        let text = fs::read_to_string(&path).unwrap();
        let count = |kind: &str| text.matches(&format!("{{\"kind\":\"{kind}\"")).count();
        assert_eq!((count("file"), count("state"), count("client")), (2, 2, 100), "{text}");
    }

    #[test]
    fn a_file_that_is_no_store_of_this_fleet_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.jsonl");
        let first = "{\"kind\":\"fleet\",\"format\":1,\"name\":\"fleet\",\"seed\":1}\n";
        for (text, expected) in [
            ("letter\n".to_owned(), "line 1"),
            (first.replace("\"seed\":1", "\"seed\":2"), "with the seed 2"),
            (first.replace("\"format\":1", "\"format\":2"), "the form 2, expected 1"),
            (format!("{first}{{\"kind\":\"client\",\"client\":1,\"state\":4,\"own\":{{}}}}\n"), "no state 4"),
            (first.repeat(2), "line 2: a second name"),
        ] {
            fs::write(&path, &text).unwrap();
            let error = open(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert!(!folder.path().join("fleet.jsonl.new").exists());
        }
    }
}
