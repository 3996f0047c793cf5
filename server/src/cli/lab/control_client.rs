//! A client of the control API.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use epm_client_agent::wire::{HttpServer, body_of};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Response, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::io::{Failure, read_text};
use crate::cli::lab::ready_file::ReadyFile;
use crate::cli::print::shortened;
use crate::control_api::extract::Kind;
use crate::control_api::{DROPPED, MARK};

/// Longest wait for a lab that does not respond, in seconds.
pub(super) const PATIENCE: u32 = 10;
/// Longest line of an endless response, in bytes.
const LONGEST_LINE: usize = 16 << 20;

/// A client of a running lab's control API.
#[derive(Debug)]
pub(crate) struct ControlClient {
    server: HttpServer,
    token: Option<String>,
    ready: Option<ReadyFile>,
    /// Longest wait for a connection or for a sign of life. A call may take longer on a lab that responds to others.
    patience: Duration,
}

impl ControlClient {
    pub(crate) fn new(url: &str, token_file: Option<&Path>) -> Result<Self, Failure> {
        let server = HttpServer::of(url, "http", 80).ok_or_else(|| {
            Failure::BadInput(format!(
                "invalid control API address {url:?}: expected http://HOST:PORT, such as http://127.0.0.1:8015"
            ))
        })?;
        let token = token_file.map(read_text).transpose()?.map(|text| text.trim().to_owned());
        Ok(Self { server, token, ready: None, patience: Duration::from_secs(PATIENCE.into()) })
    }

    /// A client of the lab that wrote this file when it was ready.
    pub(crate) fn of(ready: ReadyFile, token_file: Option<&Path>) -> Result<Self, Failure> {
        let client = Self::new(&ready.control_api, token_file)?;
        Ok(Self { ready: Some(ready), ..client })
    }

    /// The same client, which gives up after this time without a sign of life.
    pub(super) fn within(self, seconds: u32) -> Self {
        Self { patience: Duration::from_secs(seconds.into()), ..self }
    }

    /// Address of a view of the lab's page.
    pub(crate) fn page(&self, path: &str) -> String {
        format!("http://{}:{}{path}", self.server.host, self.server.port)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, None).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::DELETE, path, None).await
    }

    /// The body of the response, as text.
    pub(crate) async fn text(&self, path: &str) -> Result<String, Failure> {
        let body = self.read(self.send(Method::GET, path, Bytes::new()).await?).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// The body of the response, which must be a file of this kind.
    pub(crate) async fn file<K: Kind>(&self, path: &str) -> Result<Bytes, Failure> {
        let response = self.send(Method::GET, path, Bytes::new()).await?;
        let found = response.headers().get(header::CONTENT_TYPE);
        if found.is_none_or(|found| found != K::MEDIA_TYPE) {
            let found =
                found.map_or("without a type".into(), |found| String::from_utf8_lossy(found.as_bytes()));
            let found = shortened(&found);
            return Err(self.no_lab(&format!("responds with what is {found}, not {}", K::MEDIA_TYPE)));
        }
        self.read(response).await
    }

    /// Sends a file, and returns the response.
    pub(crate) async fn post_file(&self, path: &str, file: Bytes) -> Result<Value, Failure> {
        self.json(self.send(Method::POST, path, file).await?).await
    }

    /// Sends a JSON body, and returns the response body as text.
    pub(crate) async fn post_text(&self, path: &str, body: &Value) -> Result<String, Failure> {
        let answer = self.read(self.send(Method::POST, path, body.to_string().into()).await?).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Passes each line of an endless response to `tell`, as long as it returns true.
    pub(crate) async fn follow(&self, path: &str, mut tell: impl FnMut(&str) -> bool) -> Result<(), Failure> {
        let mut body = self.send(Method::GET, path, Bytes::new()).await?.into_body();
        let mut line = Vec::new();
        while let Some(frame) = self.while_it_responds(body.frame()).await? {
            let frame = frame.map_err(|error| self.lost(&error))?;
            for piece in
                frame.data_ref().into_iter().flat_map(|data| data.split_inclusive(|byte| *byte == b'\n'))
            {
                line.extend_from_slice(piece);
                if line.len() > LONGEST_LINE {
                    let why = format!("the lab sends a line of more than {} MiB", LONGEST_LINE >> 20);
                    return Err(Failure::Failed(why));
                }
                if let Some(whole) = line.strip_suffix(b"\n") {
                    if !tell(&String::from_utf8_lossy(whole)) {
                        return Ok(());
                    }
                    line.clear();
                }
            }
        }
        Ok(())
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        self.json(self.send(method, path, body).await?).await
    }

    async fn json(&self, response: Response<Incoming>) -> Result<Value, Failure> {
        serde_json::from_slice(&self.read(response).await?)
            .map_err(|error| self.no_lab(&format!("responds with what is not JSON: {error}")))
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Bytes, Failure> {
        self.while_it_responds(body_of(response)).await?.map_err(|error| self.lost(&error))
    }

    /// Waits for as long as the lab responds to other calls.
    async fn while_it_responds<T>(&self, wait: impl Future<Output = T>) -> Result<T, Failure> {
        let mut wait = pin!(wait);
        loop {
            if let Ok(found) = timeout(self.patience / 2, &mut wait).await {
                return Ok(found);
            }
            tokio::select! {
                biased;
                found = &mut wait => return Ok(found),
                health = timeout(self.patience, self.health()) => match health {
                    Ok(health) => drop(health?),
                    Err(_) => return Err(self.silent()),
                },
            }
        }
    }

    async fn connect(&self) -> Result<TcpStream, Failure> {
        let HttpServer { host, port } = &self.server;
        let connecting = timeout(self.patience, TcpStream::connect((self.server.name(), *port)));
        connecting.await.map_err(|_| self.silent())?.map_err(|error| {
            let advice = match &self.ready {
                Some(ready) => {
                    format!("{} is stale: {} has ended; remove the file", ready.file, ready.writer())
                }
                None => "start one with `epm-lab up`, or give another URL with `--lab`".to_owned(),
            };
            Failure::Failed(format!("no lab responds at http://{host}:{port}: {error}; {advice}"))
        })
    }

    /// The response about the lab's health, which needs no token. Fails if it is not the expected lab.
    async fn health(&self) -> Result<(), Failure> {
        let stream = self.connect().await?;
        let asked = self.server.send(stream, Method::GET, "/v1/health", None, Bytes::new()).await;
        let answer = body_of(asked.map_err(|error| self.lost(&error))?).await;
        let health: Value =
            serde_json::from_slice(&answer.map_err(|error| self.lost(&error))?).unwrap_or_default();
        match &self.ready {
            Some(ready) if health["instance"] != ready.instance => {
                let HttpServer { host, port } = &self.server;
                Err(Failure::Failed(format!(
                    "{} is stale: it was written by {}, and the lab at http://{host}:{port} is another one; remove the file",
                    ready.file,
                    ready.writer()
                )))
            }
            _ => Ok(()),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, Failure> {
        if self.ready.is_some() {
            timeout(self.patience, self.health()).await.map_err(|_| self.silent())??;
        }
        let stream = self.connect().await?;
        let sent = self.server.send(stream, method, path, self.token.as_deref(), body);
        let response = self.while_it_responds(sent).await?.map_err(|error| {
            let is_no_http = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
            if is_no_http { self.no_lab("does not speak HTTP") } else { self.lost(&error) }
        })?;
        let status = response.status();
        if status.is_success() {
            // Any server answers something; what a lab has not said must not pass for a verdict.
            return match response.headers().contains_key(MARK) {
                true => Ok(response),
                false => {
                    Err(self
                        .no_lab(&format!("does not say that it is one (`{MARK}` is missing in its answer)")))
                }
            };
        }
        let problem: Value = serde_json::from_slice(&self.read(response).await?).unwrap_or_default();
        let (Some(detail), true) = (problem["detail"].as_str(), problem["code"].is_string()) else {
            return Err(self.no_lab(&format!("responds with status {status}")));
        };
        let detail = detail.to_owned();
        if problem["code"] == DROPPED {
            return Err(Failure::Undecided(detail));
        }
        if status.is_client_error() { Err(Failure::BadInput(detail)) } else { Err(Failure::Failed(detail)) }
    }

    /// The error for a server that is no lab.
    pub(crate) fn no_lab(&self, does: &str) -> Failure {
        let HttpServer { host, port } = &self.server;
        Failure::Failed(format!(
            "no lab answers at http://{host}:{port}: what is there {does}; give the address of a lab's control API, which `epm-lab up` prints (http://127.0.0.1:8015 by default), with {}",
            if self.ready.is_some() { "another `--ready-file`" } else { "`--lab`" }
        ))
    }

    fn silent(&self) -> Failure {
        let HttpServer { host, port } = &self.server;
        let process = self.ready.as_ref().map_or_else(
            || "`kill -CONT PID` continues a process that is stopped".to_owned(),
            |ready| format!("`kill -CONT {}` continues it if it is stopped", ready.pid),
        );
        Failure::Failed(format!(
            "the lab at http://{host}:{port} does not respond: it accepts connections, but has answered nothing for {} s (`--timeout`); {process}, otherwise end the lab and start it again",
            self.patience.as_secs()
        ))
    }

    fn lost(&self, error: &dyn std::fmt::Display) -> Failure {
        let HttpServer { host, port } = &self.server;
        Failure::Failed(format!("the connection to the lab at http://{host}:{port} failed: {error}"))
    }
}

/// A name, percent-encoded as a path segment.
pub(crate) fn segment(name: &str) -> String {
    utf8_percent_encode(name, RESERVED).to_string()
}

/// All characters but the unreserved ones of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
