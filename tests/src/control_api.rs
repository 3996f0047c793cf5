//! A lab with a stopped clock and an open control API, called with curl.

use std::process::Command as Process;
use std::sync::Arc;

use epm_client_agent::scenario::{ManagerPlan, PartPlan};
use epm_client_agent::wire::LabClock;
use epm_fixtures::output_of;
use epm_protocol::version::ClientVersion;
use epm_server::control_api::Access;
use epm_server::lab::Lab;
use epm_server::{MockSite, MockSiteBuilder, control_api};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::{Lines, START, collect_into};

/// A lab with a stopped clock and an open control API.
pub struct Opened {
    /// The lab.
    pub lab: Arc<Lab>,
    /// The URL of the control API.
    pub url: String,
    /// The token of the calls.
    pub token: Option<&'static str>,
    /// The log lines of the clients.
    pub lines: Lines,
    stopping: CancellationToken,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

impl Opened {
    /// Makes a lab without clients, whose control API demands this token.
    pub async fn with(token: Option<&'static str>) -> Self {
        Self::of(MockSite::builder(), token).await
    }

    /// Makes a lab of such a site.
    pub async fn of(site: MockSiteBuilder, token: Option<&'static str>) -> Self {
        Self::at(site, token, &[]).await
    }

    /// Makes a lab of such a site, whose control API answers to these names too.
    pub async fn at(site: MockSiteBuilder, token: Option<&'static str>, names: &[&str]) -> Self {
        let clock = Arc::new(LabClock::starting_at(START, 0));
        let site = site.clock(clock).start().await.expect("the site starts");
        let lines = Lines::default();
        let lab = Lab::new(Arc::new(site), 1, collect_into(&lines));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let stopping = CancellationToken::new();
        let mut access = Access::from(token.map(str::to_owned));
        for name in names {
            access = access.allow_host(name).expect("it is a host name");
        }
        tokio::spawn(control_api::serve(listener, Arc::clone(&lab), access, stopping.clone()));
        Self { lab, url, token, lines, stopping }
    }

    /// Makes a lab with this many clients, all served.
    pub async fn with_clients(count: u32) -> Self {
        Self::with(None).await.and_clients(count).await
    }

    /// Adds this many clients.
    pub async fn and_clients(self, count: u32) -> Self {
        let opened = self;
        let part = PartPlan::new("desk", count, ClientVersion::new(14, 3));
        opened.lab.set_part(part).await.expect("the part is taken");
        opened.lab.wait_for_part("desk").await.expect("its clients come");
        opened.lab.take_start().await;
        opened
    }

    /// Opens a connection and sends this text.
    pub async fn dial(&self, said: &str) -> TcpStream {
        let dialled = TcpStream::connect(self.url.trim_start_matches("http://")).await;
        let mut stream = dialled.expect("the control API accepts connections");
        stream.write_all(said.as_bytes()).await.expect("it can be said");
        stream
    }

    /// Calls with curl; returns the status, the content type, and the body.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&str>) -> (u16, String, String) {
        let mut curl = Process::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "60", "--request", method]);
        curl.args(["--write-out", "\n%{http_code} %{content_type}"]);
        if body.is_some() {
            curl.args(["--header", "content-type: application/json", "--data-binary", "@-"]);
        }
        if let Some(token) = self.token {
            curl.args(["--header", &format!("authorization: Bearer {token}")]);
        }
        curl.arg(format!("{}{path}", self.url));
        let body = body.unwrap_or_default().to_owned();
        let asking = tokio::task::spawn_blocking(move || output_of(&mut curl, body.as_bytes()));
        let output = asking.await.expect("curl has asked");
        // An archive is not text; callers look at its type only.
        let text = String::from_utf8_lossy(&output.stdout);
        let (body, last) = text.rsplit_once('\n').expect("curl says how it went");
        let (status, kind) = last.split_once(' ').expect("status and type");
        (status.parse().expect("a number"), kind.to_owned(), body.to_owned())
    }

    /// Makes a call that must succeed.
    pub async fn well(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let body = body.map(|body| body.to_string());
        let (status, _, text) = self.ask(method, path, body.as_deref()).await;
        assert_eq!(status, 200, "{method} {path}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    /// Makes a GET call that must succeed.
    pub async fn get(&self, path: &str) -> Value {
        self.well("GET", path, None).await
    }

    /// Makes a PUT call that must succeed.
    pub async fn put(&self, path: &str, body: Value) -> Value {
        self.well("PUT", path, Some(body)).await
    }

    /// Makes a POST call that must succeed.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.well("POST", path, Some(body)).await
    }
}

/// Reads everything from a connection until it ends.
pub async fn heard(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Adds the managers sepm-1 and sepm-2, each over HTTP and HTTPS.
pub fn two_managers(site: MockSiteBuilder) -> MockSiteBuilder {
    let manager = |name: &str| ManagerPlan {
        name: name.to_owned(),
        address: "127.0.0.1".to_owned(),
        http_port: 0,
        https_port: Some(0),
    };
    site.manager(manager("sepm-1")).manager(manager("sepm-2"))
}
