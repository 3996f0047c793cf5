//! As little as a server on hyper and rustls can do: one answer, which is ready, to whatever is asked.

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use epm_client_agent::wire::provider;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{candidate, machine};

/// The manager's patience, so that both pay for the timer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves until the bench ends, HTTP on the first port that it prints and HTTPS on the second.
pub(crate) fn run(folder: &str, status: &str, body: &str) {
    let status: StatusCode = status.parse().expect("a status");
    let body = Bytes::from(fs::read(body).expect("the body is there"));
    let acceptor = TlsAcceptor::from(Arc::new(tls(folder.as_ref())));
    serve(async move {
        let plain = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let secure = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = |listener: &TcpListener| listener.local_addr().expect("it is bound").port();
        println!("{} {}", port(&plain), port(&secure));
        machine::end_with_parent();
        loop {
            tokio::select! {
                accepted = plain.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(converse(stream, status, body.clone()));
                }
                accepted = secure.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    let _ = stream.set_nodelay(true);
                    let (acceptor, body) = (acceptor.clone(), body.clone());
                    tokio::spawn(async move {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            Box::pin(converse(stream, status, body)).await;
                        }
                    });
                }
            }
        }
    });
}

async fn converse<S>(stream: S, status: StatusCode, body: Bytes)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|_| {
        let mut response = Response::new(Full::new(body.clone()));
        *response.status_mut() = status;
        async { Ok::<_, Infallible>(response) }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// The manager's certificate, provider and tickets.
fn tls(folder: &Path) -> ServerConfig {
    let certificate =
        CertificateDer::from_pem_file(folder.join(candidate::CERTIFICATE)).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join(candidate::KEY)).expect("a key");
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key fits");
    config.ticketer = Ticketer::new().expect("a ticketer");
    config.send_tls13_tickets = 1;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config
}

/// Runs a server as `epm-lab` runs on a machine with one core.
pub(crate) fn serve(server: impl Future<Output = ()>) {
    epm_server::raise_descriptor_limit();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(server);
}
