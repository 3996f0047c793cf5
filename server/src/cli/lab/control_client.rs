//! A client of the control API.

use std::path::Path;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::cli::http::{self, Server};
use crate::cli::io::{Failure, read_text};
use crate::control_api::DROPPED;

/// A client of a running lab's control API.
#[derive(Debug)]
pub(crate) struct ControlClient {
    server: Server,
    token: Option<String>,
}

impl ControlClient {
    pub(crate) fn new(url: &str, token_file: Option<&Path>) -> Result<Self, Failure> {
        let server = Server::of(url, "http", 80).ok_or_else(|| {
            Failure::BadInput(format!(
                "invalid control API address {url:?}: expected http://HOST:PORT, such as http://127.0.0.1:8015"
            ))
        })?;
        let token = token_file.map(read_text).transpose()?.map(|text| text.trim().to_owned());
        Ok(Self { server, token })
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
        Ok(String::from_utf8_lossy(&self.bytes(path).await?).into_owned())
    }

    /// The body of the response, as bytes.
    pub(crate) async fn bytes(&self, path: &str) -> Result<Bytes, Failure> {
        self.read(self.send(Method::GET, path, Bytes::new()).await?).await
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

    /// Passes each piece of an endless response to `tell`.
    pub(crate) async fn follow(&self, path: &str, mut tell: impl FnMut(&str)) -> Result<(), Failure> {
        let mut body = self.send(Method::GET, path, Bytes::new()).await?.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.lost(&error))?;
            if let Some(piece) = frame.data_ref() {
                tell(&String::from_utf8_lossy(piece));
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
            .map_err(|error| Failure::Failed(format!("the lab's response is not JSON: {error}")))
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Bytes, Failure> {
        http::body(response).await.map_err(|error| self.lost(&error))
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, Failure> {
        let Server { host, port } = &self.server;
        let stream = TcpStream::connect((self.server.name(), *port)).await.map_err(|error| {
            Failure::Failed(format!(
                "no lab responds at http://{host}:{port}: {error}; start one with `epm-lab up`, or give another URL with `--lab`"
            ))
        })?;
        let sent = self.server.send(stream, method, path, self.token.as_deref(), body).await;
        let response = sent.map_err(|error| self.lost(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let problem: Value = serde_json::from_slice(&self.read(response).await?).unwrap_or_default();
        let detail = problem["detail"]
            .as_str()
            .map_or_else(|| format!("the lab responded with status {status}"), str::to_owned);
        if problem["code"] == DROPPED {
            return Err(Failure::Undecided(detail));
        }
        if status.is_client_error() { Err(Failure::BadInput(detail)) } else { Err(Failure::Failed(detail)) }
    }

    fn lost(&self, error: &dyn std::fmt::Display) -> Failure {
        let Server { host, port } = &self.server;
        Failure::Failed(format!("the connection to the lab at http://{host}:{port} failed: {error}"))
    }
}

/// A name, percent-encoded as a path segment.
pub(crate) fn segment(name: &str) -> String {
    utf8_percent_encode(name, RESERVED).to_string()
}

/// All characters but the unreserved ones of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
