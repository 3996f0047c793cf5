//! Clients that open a TLS connection for each heartbeat, as the product's do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use epm_client_agent::wire::provider;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::contest::Question;

/// Clients with one heartbeat each on its way.
pub(crate) struct Reconnect {
    runtime: Runtime,
    address: SocketAddr,
    question: Arc<Question>,
    clients: Vec<TlsConnector>,
}

/// What came of a time under this load.
#[derive(Default)]
pub(crate) struct Beats {
    /// Heartbeats answered.
    pub(crate) answers: u64,
    /// The number of answers after a resumed handshake.
    pub(crate) resumed: u64,
}

impl Reconnect {
    /// Prepares the clients. Only with `tickets` do they resume.
    pub(crate) fn prepare(address: SocketAddr, question: Question, clients: usize, tickets: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let connector = || TlsConnector::from(Arc::new(client_config(tickets)));
        let clients = std::iter::repeat_with(connector).take(clients).collect();
        Self { runtime, address, question: Arc::new(question), clients }
    }

    /// Goes on for this time, and until what is on its way is answered.
    pub(crate) fn run(&mut self, time: Duration) -> Beats {
        let end = Instant::now() + time;
        let mut tasks = JoinSet::new();
        for client in &self.clients {
            let (client, question, address) = (client.clone(), Arc::clone(&self.question), self.address);
            let task = async move {
                let mut beats = Beats::default();
                while Instant::now() < end {
                    let kind = beat(&client, address, &question).await.expect("a heartbeat is answered");
                    beats.answers += 1;
                    beats.resumed += u64::from(kind == Some(HandshakeKind::Resumed));
                }
                beats
            };
            tasks.spawn_on(task, self.runtime.handle());
        }
        self.runtime.block_on(tasks.join_all()).into_iter().fold(Beats::default(), |sum, one| Beats {
            answers: sum.answers + one.answers,
            resumed: sum.resumed + one.resumed,
        })
    }
}

/// One heartbeat over a TLS connection of its own.
pub(crate) async fn beat(
    client: &TlsConnector,
    address: SocketAddr,
    question: &Question,
) -> std::io::Result<Option<HandshakeKind>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    // Ends the connection at once, so that no port stays in TIME_WAIT.
    stream.set_zero_linger()?;
    let mut stream = client.connect(ServerName::IpAddress(address.ip().into()), stream).await?;
    stream.write_all(&question.request).await?;
    stream.flush().await?;
    let mut answer = vec![0; question.answer_length];
    stream.read_exact(&mut answer).await?;
    question.check(&answer);
    Ok(stream.get_ref().1.handshake_kind())
}

pub(crate) fn client_config(tickets: bool) -> ClientConfig {
    let provider = provider();
    let verifier = Arc::new(SignatureOnly(Arc::clone(&provider)));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has suites")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = if tickets { Resumption::in_memory_sessions(4) } else { Resumption::disabled() };
    config
}

/// Takes any certificate whose key has signed the handshake: what it costs is a client's least.
#[derive(Debug)]
struct SignatureOnly(Arc<CryptoProvider>);

impl ServerCertVerifier for SignatureOnly {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
