//! One HTTP exchange over its own connection, for clients of the control API and of the REST API.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::AT_ONCE;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The largest body that is read, in bytes: a lab's evidence has its capture and all that it keeps.
const LARGEST: usize = 512 * 1024 * 1024;

/// The host and port of a server, from a URL without a path.
#[derive(Clone, Debug)]
pub struct HttpServer {
    /// The host; an IPv6 address in brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl HttpServer {
    /// Reads `scheme://HOST[:PORT]`; none if the URL has another form.
    pub fn of(url: &str, scheme: &str, default_port: u16) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        if uri.scheme_str() != Some(scheme) || !matches!(uri.path(), "" | "/") {
            return None;
        }
        Some(Self { host: uri.host()?.to_owned(), port: uri.port_u16().unwrap_or(default_port) })
    }

    /// The host, without the brackets of an IPv6 address.
    pub fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Sends a request over an open connection, and returns the response with its body still to be read.
    ///
    /// # Errors
    ///
    /// When the request is invalid, or the connection fails.
    pub async fn send(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Bytes,
    ) -> Result<Response<Incoming>, BoxError> {
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(AT_ONCE).handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(HOST, format!("{}:{}", self.host, self.port))
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = sender.send_request(request.body(Full::new(body))?).await?;
        let (host, port, status) = (&self.host, self.port, response.status().as_u16());
        tracing::debug!(%method, host, port, path, status, "call");
        Ok(response)
    }
}

/// The whole body of a response.
///
/// # Errors
///
/// When the connection fails, or the body is larger than any that a lab sends.
pub async fn body_of(response: Response<Incoming>) -> Result<Bytes, BoxError> {
    Ok(Limited::new(response.into_body(), LARGEST).collect().await?.to_bytes())
}
