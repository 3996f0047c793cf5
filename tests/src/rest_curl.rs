//! The REST API as curl sees it: a foreign client whose requests are written here.

use std::process::Command as Process;

use epm_fixtures::output;
use epm_server::MockSite;
use serde_json::Value;

use crate::TestSite;

/// curl, logged in to the first manager of a site.
#[derive(Clone, Debug)]
pub struct Rest {
    /// The base URL, `https://127.0.0.1:PORT`.
    pub base: String,
    token: String,
}

/// An answer of the REST API.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// The HTTP status.
    pub status: u16,
    /// The content type.
    pub content_type: String,
    /// The body as text.
    pub text: String,
    /// The body as JSON; null if it is not JSON.
    pub json: Value,
}

/// Starts a lab with a REST API, and logs in to it.
pub async fn lab() -> (TestSite, Rest) {
    let lab = TestSite::of(MockSite::builder().rest_api(0)).await;
    let rest = Rest::log_in(lab.site());
    (lab, rest)
}

impl Rest {
    /// Logs in as the initial administrator of every site.
    pub fn log_in(site: &MockSite) -> Self {
        let base = site.addresses()[0].rest.clone().expect("the site has a REST API");
        let mut rest = Self { base, token: String::new() };
        let said = rest.send(
            "POST",
            "/sepm/api/v1/identity/authenticate",
            &["--data", r#"{"username":"admin","password":"epm-lab","domain":""}"#],
        );
        assert_eq!(said.status, 200, "{said:?}");
        said.json["token"].as_str().expect("a token").clone_into(&mut rest.token);
        rest
    }

    /// The token of the log-in.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Makes a GET call below `/sepm/api/v1/`.
    pub fn get(&self, path: &str) -> Said {
        self.send("GET", &format!("/sepm/api/v1/{path}"), &[])
    }

    /// Sends a JSON body to a path below `/sepm/api/v1/`.
    pub fn with(&self, method: &str, path: &str, body: &str) -> Said {
        let arguments = ["-H", "Content-Type: application/json", "--data", body];
        self.send(method, &format!("/sepm/api/v1/{path}"), &arguments)
    }

    /// Posts without a body, below `/sepm/api/v1/`.
    pub fn post(&self, path: &str) -> Said {
        self.send("POST", &format!("/sepm/api/v1/{path}"), &["-H", "Content-Length: 0"])
    }

    /// Sends any request to any path.
    ///
    /// # Panics
    ///
    /// When curl gets no answer.
    pub fn send(&self, method: &str, path: &str, arguments: &[&str]) -> Said {
        let bearer = format!("Authorization: Bearer {}", self.token);
        let address = format!("{}{path}", self.base);
        let out = output(
            Process::new("curl")
                .args(["-sS", "--insecure", "--max-time", "20", "--globoff", "-X", method, "-H", &bearer])
                .args(["--write-out", "\n%{http_code} %{content_type}"])
                .args(arguments)
                .arg(&address),
        );
        let shown = String::from_utf8_lossy(&out.stdout);
        let (text, end) = shown.rsplit_once('\n').unwrap_or_else(|| panic!("{address}: {out:?}"));
        let (status, content_type) = end.split_once(' ').unwrap_or((end, ""));
        Said {
            status: status.parse().expect("a status"),
            content_type: content_type.to_owned(),
            text: text.to_owned(),
            json: serde_json::from_str(text).unwrap_or_default(),
        }
    }
}
