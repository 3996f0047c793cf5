//! Both HTTP APIs: a request goes through the router of a running site in this process, without a socket.

use std::cell::RefCell;
use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use epm_client_agent::wire::LabClock;
use epm_protocol::time::Timestamp;
use epm_server::MockSite;
use epm_server::control_api::{self, Access};
use epm_server::lab::Lab;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// The number of requests after which a new site takes the place of the one that they have changed.
const TURN: usize = 500;
/// The longest time that a request may wait for what does not come, such as a page of the journal.
const PATIENCE: Duration = Duration::from_millis(200);
/// The largest response that an API gives to these inputs, in bytes.
const LARGEST: usize = 64 * 1024 * 1024;

/// What the product answers, with the status 500, to a path that it takes for an attack.
const REJECTED: &[u8] = b"The request was rejected because the URL";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().expect("the runtime starts")
});

/// A site, the routers of its APIs, a token of the REST API, and the number of requests so far.
struct Running {
    _site: Arc<MockSite>,
    rest: Router,
    control: Router,
    token: String,
    requests: usize,
}

thread_local!(static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) });

/// A request to the vendor's REST API: method and path in the first line, then the body.
pub(crate) fn rest(input: &[u8]) {
    call(input, |running| (running.rest.clone(), format!("Bearer {}", running.token)));
}

/// A request to the control API: method and path in the first line, then the body. Those that start clients of the lab,
/// or write an archive of all, are left out: they are work, and no parsing.
pub(crate) fn control(input: &[u8]) {
    if input.windows(9).any(|part| part == b"/v1/fleet") {
        return;
    }
    call(input, |running| (running.control.clone(), "Bearer x".to_owned()));
}

/// A report of clients that run elsewhere; what the lab then says of them is asked as well.
pub(crate) fn reports(input: &[u8]) {
    let to = |running: &Running| (running.control.clone(), "Bearer x".to_owned());
    call(&[b"PUT /v1/reports/elsewhere\n", input].concat(), to);
    for path in ["verdict", "clients", "reports"] {
        call(format!("GET /v1/{path}\n").as_bytes(), to);
    }
}

fn call(input: &[u8], to: impl Fn(&Running) -> (Router, String)) {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (line, body) = (&input[..line], input.get(line + 1..).unwrap_or_default());
    let Some((method, target)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(' ')) else {
        return;
    };
    let request = Request::builder().method(method).uri(target);
    let request = request.header(header::HOST, "localhost").header(header::CONTENT_TYPE, "application/json");
    RUNNING.with_borrow_mut(|running| {
        RUNTIME.block_on(async {
            if running.as_ref().is_none_or(|one| one.requests >= TURN) {
                *running = Some(Running::start().await);
            }
            let Some(running) = running.as_mut() else { return };
            running.requests += 1;
            let (router, authorization) = to(running);
            let request = request.header(header::AUTHORIZATION, authorization);
            let Ok(request) = request.body(Body::from(body.to_vec())) else { return };
            let answered = timeout(PATIENCE, async {
                let Ok(response) = TowerToHyperService::new(router).call(request).await;
                let status = response.status();
                (status, to_bytes(response.into_body(), LARGEST).await.unwrap_or_default())
            });
            if let Ok((status, answer)) = answered.await {
                let is_rejected = answer.windows(REJECTED.len()).any(|part| part == REJECTED);
                assert!(
                    status.as_u16() != 500 || is_rejected,
                    "the request is answered with an error of the server"
                );
            }
        });
    });
}

impl Running {
    async fn start() -> Self {
        let clock = Arc::new(LabClock::starting_at(Timestamp::from_seconds(1_767_600_000), 0));
        let site = MockSite::builder().rest_api(0).clock(clock).start().await.expect("the site starts");
        let site = Arc::new(site);
        let rest = site.rest_router("sepm-1").expect("the manager has a REST API");
        let control =
            control_api::router(Lab::new(Arc::clone(&site), 1, Arc::new(|_, _| {})), Access::open());
        let log_in = Request::post("/sepm/api/v1/identity/authenticate");
        let log_in = log_in.body(Body::from(r#"{"username":"admin","password":"epm-lab","domain":""}"#));
        let Ok(response) = TowerToHyperService::new(rest.clone()).call(log_in.expect("a request")).await;
        let body = to_bytes(response.into_body(), LARGEST).await.expect("a body");
        let answer: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let token = answer["token"].as_str().expect("a token").to_owned();
        Self { _site: site, rest, control, token, requests: 0 }
    }
}
