//! Sends to a lab what the clients of this process hold, again and again. A report that cannot be sent disturbs no client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use epm_protocol::time::{Clock, Timestamp};
use http_body_util::{BodyExt, Limited};
use hyper::Method;
use parking_lot::Mutex;
use tokio::net::TcpStream;

use super::clock::{LabClock, Stopwatch, wait};
use super::http_call::HttpServer;
use crate::agent::{ClientReport, ReportedState};

/// The shortest time between two reports of one process.
const SHORTEST: Duration = Duration::from_millis(250);
/// The longest time between two attempts.
const LONGEST: Duration = Duration::from_secs(10);
/// The longest time for a report to be answered.
const PATIENCE: Duration = Duration::from_secs(10);
/// The time between two complaints that nothing can be reported.
const COMPLAINTS: Duration = Duration::from_secs(60);
/// The most bytes of an answer that are read.
const ANSWER: usize = 64 * 1024;

/// Why a process cannot report.
#[derive(Debug, thiserror::Error)]
pub enum ReporterError {
    /// The address is not one of a control API.
    #[error(
        "invalid address {found:?} for reports: expected http://HOST:PORT, such as http://127.0.0.1:8015"
    )]
    Address {
        /// The address as it was given.
        found: String,
    },
    /// The operating system gives no random numbers.
    #[error("the operating system's random generator failed")]
    Random,
}

/// Reports the clients of this process to a lab, as one source.
#[derive(Debug)]
pub struct Reporter {
    lab: HttpServer,
    token: Option<String>,
    /// The name of the source, percent-encoded.
    source: String,
    instance: String,
    began: Timestamp,
    clock: Arc<LabClock>,
    every: Duration,
    parts: u32,
    trouble: Mutex<Trouble>,
}

/// How it stands with complaints.
#[derive(Debug, Default)]
struct Trouble {
    last: Option<Stopwatch>,
    is_lost: bool,
}

impl Reporter {
    /// A reporter to the control API at this address. The clients are reported in parts, each once in the interval `every` or, where
    /// that is too short for so many parts, less often.
    ///
    /// # Errors
    ///
    /// When the address is invalid, or there are no random numbers.
    pub fn new(
        lab: &str,
        token: Option<String>,
        source: &str,
        (every, parts): (Duration, u32),
        clock: Arc<LabClock>,
    ) -> Result<Self, ReporterError> {
        let invalid = || ReporterError::Address { found: lab.to_owned() };
        let mut bytes = [0; 8];
        super::tls::provider().secure_random.fill(&mut bytes).map_err(|_| ReporterError::Random)?;
        let source = source.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        });
        Ok(Self {
            lab: HttpServer::of(lab, "http", 80).ok_or_else(invalid)?,
            token,
            source: source.collect(),
            instance: format!("{:016x}", u64::from_be_bytes(bytes)),
            began: clock.now(),
            clock,
            every: every.max(SHORTEST * parts),
            parts,
            trouble: Mutex::default(),
        })
    }

    /// Reports one part after the other, for ever; `look` says how the clients of a part are, on a thread that may take its time.
    pub async fn run(self: Arc<Self>, look: impl Fn(u32) -> Vec<ReportedState> + Clone + Send + 'static) {
        let mut pause = Duration::ZERO;
        loop {
            for part in 1..=self.parts {
                wait(pause).await;
                let sent = self.report(part, look.clone(), false).await;
                let usual = self.every / self.parts.max(1);
                pause = if sent.is_ok() { usual } else { (pause * 2).clamp(usual, LONGEST.max(usual)) };
                self.told(sent);
            }
        }
    }

    /// Reports each part once more, as the last time: the clients have stopped.
    pub async fn end(&self, look: impl Fn(u32) -> Vec<ReportedState> + Clone + Send + 'static) {
        for part in 1..=self.parts {
            let sent = self.report(part, look.clone(), true).await;
            let is_lost = sent.is_err();
            self.told(sent);
            if is_lost {
                return;
            }
        }
    }

    async fn report(
        &self,
        part: u32,
        look: impl Fn(u32) -> Vec<ReportedState> + Send + 'static,
        is_last: bool,
    ) -> Result<(), String> {
        let at = self.clock.now();
        let looked = tokio::task::spawn_blocking(move || look(part)).await;
        let mut states = looked.map_err(|error| error.to_string())?;
        if is_last {
            states.iter_mut().for_each(|state| (state.on, state.silent) = (false, false));
        }
        let report = ClientReport {
            instance: self.instance.clone(),
            began: self.began,
            at,
            interval_ms: u64::try_from(self.every.as_millis()).unwrap_or(u64::MAX),
            part,
            parts: self.parts,
            is_last,
            states,
        };
        let body = serde_json::to_vec(&report).map_err(|error| error.to_string())?;
        tokio::select! {
            sent = self.send(body.into()) => sent,
            () = wait(PATIENCE) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }

    async fn send(&self, body: Bytes) -> Result<(), String> {
        let stream =
            TcpStream::connect((self.lab.name(), self.lab.port)).await.map_err(|error| error.to_string())?;
        let path = format!("/v1/reports/{}", self.source);
        let answer = self.lab.send(stream, Method::PUT, &path, self.token.as_deref(), body).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let body = Limited::new(answer.into_body(), ANSWER).collect().await.map(|body| body.to_bytes());
        let problem: serde_json::Value =
            body.ok().and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
        Err(format!("{status}: {}", problem["detail"].as_str().unwrap_or("the lab gives no reason")))
    }

    /// Logs a loss of the lab once a minute at most, and its return.
    fn told(&self, sent: Result<(), String>) {
        let mut trouble = self.trouble.lock();
        let HttpServer { host, port } = &self.lab;
        match sent {
            Ok(()) if std::mem::take(&mut trouble.is_lost) => {
                tracing::warn!("the lab at http://{host}:{port} takes reports again");
            }
            Ok(()) => {}
            Err(why) => {
                trouble.is_lost = true;
                if trouble.last.is_none_or(|last| last.elapsed() >= COMPLAINTS) {
                    trouble.last = Some(Stopwatch::start());
                    tracing::warn!(
                        "cannot report to http://{host}:{port}: {why}; the clients go on, and the lab does not know how they are"
                    );
                }
            }
        }
    }
}
