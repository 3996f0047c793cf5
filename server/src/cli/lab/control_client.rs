//! The control API, from outside.

use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::cli::Failure;
use crate::control_api::DROPPED;

/// The control API, from outside.
#[derive(Debug)]
pub(in crate::cli) struct ControlClient {
    host: String,
    port: u16,
    token: Option<String>,
}

impl ControlClient {
    pub(in crate::cli) fn new(url: &str, token_file: Option<&Path>) -> Result<Self, Failure> {
        let bad = || {
            Failure::BadInput(format!(
                "{url:?} is no address of a lab; expected one like http://127.0.0.1:8015"
            ))
        };
        let uri: Uri = url.parse().map_err(|_| bad())?;
        if uri.scheme_str() != Some("http") || !matches!(uri.path(), "" | "/") {
            return Err(bad());
        }
        let host = uri.host().ok_or_else(bad)?.to_owned();
        let token = match token_file {
            None => None,
            Some(file) => Some(
                std::fs::read_to_string(file)
                    .map_err(|error| Failure::BadInput(format!("cannot read {}: {error}", file.display())))?
                    .trim()
                    .to_owned(),
            ),
        };
        Ok(Self { host, port: uri.port_u16().unwrap_or(80), token })
    }

    pub(in crate::cli) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, None).await
    }

    pub(in crate::cli) async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::PUT, path, Some(body)).await
    }

    pub(in crate::cli) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub(in crate::cli) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::DELETE, path, None).await
    }

    /// The answer as it comes.
    pub(in crate::cli) async fn text(&self, path: &str) -> Result<String, Failure> {
        let response = self.send(Method::GET, path, None).await?;
        let body = response.into_body().collect().await.map_err(|error| self.lost(&error))?;
        Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
    }

    /// The bytes of the answer.
    pub(in crate::cli) async fn bytes(&self, path: &str) -> Result<Bytes, Failure> {
        let response = self.send(Method::GET, path, None).await?;
        Ok(response.into_body().collect().await.map_err(|error| self.lost(&error))?.to_bytes())
    }

    /// The answer to a file.
    pub(in crate::cli) async fn post_file(&self, path: &str, file: Bytes) -> Result<Value, Failure> {
        let response = self.send_bytes(Method::POST, path, file).await?;
        self.json(response).await
    }

    /// The answer to a body as it comes.
    pub(in crate::cli) async fn post_text(&self, path: &str, body: &Value) -> Result<String, Failure> {
        let response = self.send(Method::POST, path, Some(body)).await?;
        let body = response.into_body().collect().await.map_err(|error| self.lost(&error))?;
        Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
    }

    /// Tells of every piece of an answer that does not end.
    pub(in crate::cli) async fn follow(&self, path: &str, mut tell: impl FnMut(&str)) -> Result<(), Failure> {
        let mut body = self.send(Method::GET, path, None).await?.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.lost(&error))?;
            if let Some(piece) = frame.data_ref() {
                tell(&String::from_utf8_lossy(piece));
            }
        }
        Ok(())
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let response = self.send(method, path, body).await?;
        self.json(response).await
    }

    async fn json(&self, response: Response<Incoming>) -> Result<Value, Failure> {
        let body = response.into_body().collect().await.map_err(|error| self.lost(&error))?;
        serde_json::from_slice(&body.to_bytes())
            .map_err(|error| Failure::Failed(format!("the lab's answer is no JSON: {error}")))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, Failure> {
        self.send_bytes(method, path, body.map(|body| Bytes::from(body.to_string())).unwrap_or_default())
            .await
    }

    async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, self.port)).await.map_err(|error| {
            Failure::Failed(format!(
                "no lab answers at http://{}:{}: {error}; start one with epm-lab up, or name another with --lab",
                self.host, self.port
            ))
        })?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.lost(&error))?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, format!("{}:{}", self.host, self.port))
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body)).map_err(|error| Failure::BadInput(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(|error| self.lost(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| self.lost(&error))?.to_bytes();
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        let detail =
            problem["detail"].as_str().map_or_else(|| format!("it answered {status}"), str::to_owned);
        if problem["code"] == DROPPED {
            return Err(Failure::Undecided(detail));
        }
        if status.is_client_error() { Err(Failure::BadInput(detail)) } else { Err(Failure::Failed(detail)) }
    }

    fn lost(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure::Failed(format!("the lab at http://{}:{} broke off: {error}", self.host, self.port))
    }
}

/// A name as a part of a path.
pub(in crate::cli) fn segment(name: &str) -> String {
    utf8_percent_encode(name, RESERVED).to_string()
}

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
