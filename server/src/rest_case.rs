//! Runs a REST client case over sockets: each call is a real one over HTTPS.

use std::sync::Arc;

use bytes::Bytes;
use epm_client_agent::agent::{Exchange, Server, TlsCheck, TlsVersions};
use epm_client_agent::catalogue::{Call, CallResult, RestCase, given_beliefs, rejection_code};
use epm_client_agent::wire::{LabClock, call_once};
use epm_protocol::heartbeat::{AgentRequest, ExchangeFailure};
use epm_protocol::policy::Protocol;
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::Beliefs;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};

use crate::lab::RunError;
use crate::mock_site::MockSite;
use crate::rest_api::{DEFAULT_PASSWORD, DEFAULT_USER};
use crate::runtime::capture::Capture;

/// Runs a REST client case over sockets, with the clock moved. The results must equal those in virtual time. `capture` gets the
/// traffic, if there is one.
///
/// # Errors
///
/// When the site cannot start or refuses a command.
pub async fn rest_case(plan: &RestCase, capture: Option<&Arc<Capture>>) -> Result<Vec<CallResult>, RunError> {
    let clock = Arc::new(LabClock::starting_at(RestCase::START, 0));
    let site = MockSite::builder()
        .assumptions(plan.assumptions.clone())
        .clock(Arc::clone(&clock))
        .rest_api(0)
        .capture(capture)
        .start()
        .await?;
    let met = visits(plan, &site, &clock).await;
    site.stop().await;
    met
}

async fn visits(
    plan: &RestCase,
    site: &MockSite,
    clock: &Arc<LabClock>,
) -> Result<Vec<CallResult>, RunError> {
    let rest = site.addresses().first().and_then(|place| place.rest.as_deref());
    let rest = rest.and_then(|url| url.trim_start_matches("https://").rsplit_once(':'));
    let Some((address, port)) = rest.and_then(|(host, port)| Some((host, port.parse().ok()?))) else {
        return Err(RunError::Incomplete("the manager has no REST API"));
    };
    let server = Server { address: address.to_owned(), port, protocol: Protocol::Https, verify_ca: false };
    let mut beliefs = Beliefs::default();
    let mut met = Vec::new();
    for (number, (visit, is_repair)) in plan.steps().enumerate() {
        site.apply_all(&visit.operator)
            .map_err(|source| RunError::command(number + 1, &visit.title, source))?;
        if let Some(limit) = visit.limit {
            site.throttle_rest(Some((limit.calls, std::time::Duration::from_secs(limit.seconds))));
        }
        if visit.given {
            beliefs = site.look(|site| site.managers().next().map(given_beliefs)).unwrap_or_default();
        }
        let mut found = Vec::new();
        for call in 0..visit.times {
            clock.set(clock.now() + visit.before(call));
            let exchange = Exchange {
                id: 1,
                server: server.clone(),
                request: AgentRequest::Hello,
                kcs: site.kcs(),
                check: TlsCheck::Against(beliefs.clone()),
                tls: TlsVersions::From12To13,
                deadline: Timestamp::NEVER,
            };
            found.push(match call_once(Arc::clone(clock), &exchange, written(visit.call, &server)).await {
                Ok(status) => status.to_string(),
                Err(ExchangeFailure::TlsRejected { rejection }) => rejection_code(&rejection),
                Err(failure) => failure.code().to_owned(),
            });
        }
        met.push(CallResult::of(visit, is_repair, found));
    }
    Ok(met)
}

/// The call as HTTP.
fn written(call: Call, server: &Server) -> Request<Full<Bytes>> {
    let (method, path, body) = match call {
        Call::Version => (Method::GET, "/sepm/api/v1/version", String::new()),
        Call::LogIn => (
            Method::POST,
            "/sepm/api/v1/identity/authenticate",
            serde_json::json!({ "username": DEFAULT_USER, "password": DEFAULT_PASSWORD, "domain": "" })
                .to_string(),
        ),
    };
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    *request.uri_mut() = hyper::Uri::from_static(path);
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    if let Ok(host) = format!("{}:{}", server.address, server.port).parse() {
        headers.insert(HOST, host);
    }
    request
}
