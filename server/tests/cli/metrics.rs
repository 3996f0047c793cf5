//! `/metrics`, read as Prometheus reads it: each metric follows what it counts, the tools of Prometheus find nothing wrong, and
//! each query of the dashboard has an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use epm_fixtures::output_of;
use serde_json::Value;

use crate::harness::{Running, RunningLab, needs, output, root, until, well};

const TOKEN: &str = "a-token-for-metrics";

/// The samples of a scrape: their values by name and labels.
type Samples = BTreeMap<String, f64>;

fn scrape(lab: &RunningLab, more: &[&str]) -> String {
    let url = format!("{}/metrics", lab.url());
    well(&output(Command::new("curl").args(["--silent", "--show-error", "--fail", &url]).args(more)))
}

fn samples(text: &str) -> Samples {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// The sum of the samples whose name and labels have all of these parts.
fn sum(samples: &Samples, parts: &[&str]) -> f64 {
    samples
        .iter()
        .filter(|(name, _)| parts.iter().all(|part| name.contains(part)))
        .map(|(_, value)| value)
        .sum()
}

fn call(lab: &RunningLab, method: &str, path: &str, body: &str) {
    let url = format!("{}{path}", lab.url());
    let json = "content-type: application/json";
    let arguments = [
        "--silent",
        "--show-error",
        "--fail-with-body",
        "--request",
        method,
        "--header",
        json,
        "--data",
        body,
    ];
    well(&output(Command::new("curl").args(arguments).arg(url)));
}

#[needs(curl)]
#[test]
fn each_metric_follows_what_it_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (data, root) = (folder.path().join("data"), folder.path().join("sepm"));
    let [data, root] = [&data, &root].map(|path| path.to_str().unwrap());
    let lab = RunningLab::frozen(&["--journal", "10", "--data", data, "--install-root", root]);
    let mut seen = Vec::new();
    let mut look = |lab: &RunningLab| {
        seen.push(samples(&scrape(lab, &[])));
        seen[seen.len() - 1].clone()
    };
    let first = look(&lab);
    let clients = sum(&first, &["epm_lab_clients{"]);
    assert_eq!((clients, first["epm_lab_coverage_ratio"], first["epm_lab_clock_speed"]), (5.0, 1.0, 0.0));

    // Heartbeats, some of them hit by a fault; a request that is refused; a call of the REST API.
    well(
        &lab.run(&[
            "fault", "add", "busy", "status", "--set", "code=503", "--route", "index", "--every", "2",
        ]),
    );
    well(&lab.run(&["clock", "advance", "10m"]));
    output(Command::new("curl").args(["--silent", &format!("{}/nothing", lab.http())]));
    let rest = lab.ready["managers"][0]["rest"].as_str().unwrap();
    output(Command::new("curl").args(["--silent", "--insecure", &format!("{rest}/sepm/api/v1/version")]));
    let busy = look(&lab);
    assert!(
        sum(&busy, &["epm_lab_heartbeats_total", "\"served\""])
            > sum(&first, &["epm_lab_heartbeats_total", "\"served\""])
    );
    let hits = sum(&busy, &["epm_lab_faults_applied_total", "status"]);
    assert!(hits > 0.0 && sum(&busy, &["epm_lab_faults{", "status"]) == 1.0, "{busy:#?}");
    assert_eq!(sum(&busy, &["epm_lab_heartbeats_total", "\"faulted\""]), hits);
    assert_eq!(sum(&busy, &["epm_lab_exchanges_total", "other", "refused"]), 1.0);
    assert_eq!(sum(&busy, &["epm_lab_rest_calls_total", "\"2xx\""]), 1.0);
    assert!(sum(&busy, &["epm_lab_journal_drops_total", "\"exchange\""]) > 0.0);
    well(&lab.run(&["fault", "clear"]));

    // Requests that are held, on connections that stay open.
    call(&lab, "PUT", r"/v1/groups/My%20Company", r#"{"communication":{"mode":"push"}}"#);
    well(&lab.run(&["clock", "advance", "10m"]));
    let held = look(&lab);
    assert!(
        held["epm_lab_held_requests"] > 0.0 && sum(&held, &["epm_lab_connections", "clients"]) > 0.0,
        "{held:#?}"
    );

    // Clients apart, a clock that runs, and another one that registers.
    well(&lab.run(&["client", "freeze", "desk-1"]));
    well(&lab.run(&["client", "offline", "old-1"]));
    well(&lab.run(&["client", "add", "more", "1"]));
    well(&lab.run(&["clock", "advance", "10m"]));
    let apart = look(&lab);
    for state in ["off", "frozen", "silent"] {
        assert!(sum(&apart, &["epm_lab_clients_apart", state]) > 0.0, "{state}: {apart:#?}");
    }

    // A careless update: a failed handshake for each client that is orphaned.
    call(&lab, "PUT", "/v1/managers/sepm-1/certificate/careless", "{}");
    well(&lab.run(&["clock", "advance", "10m"]));
    let careless = look(&lab);
    let orphaned = sum(&careless, &["epm_lab_clients{", "orphaned"]);
    assert!(
        orphaned > 0.0 && sum(&careless, &["epm_lab_orphaned_clients", "\"tls\""]) == orphaned,
        "{careless:#?}"
    );
    assert!(sum(&careless, &["epm_lab_tls_handshakes_total", "failed", "clients"]) >= orphaned);
    assert!(careless["epm_lab_coverage_ratio"] < 1.0);
    assert_eq!(sum(&careless, &["epm_lab_certificate_holders", "in_force=\"true\""]), 0.0);
    assert!(sum(&careless, &["epm_lab_certificate_holders", "in_force=\"false\""]) > 0.0);

    // A service that finds no keystore that it can read.
    fs::write(Path::new(root).join("tomcat/etc/keystore.jks"), "no keystore").unwrap();
    lab.run(&["manager", "restart", "sepm-1"]);
    well(&lab.run(&["clock", "run"]));
    let down = look(&lab);
    assert!(sum(&down, &["epm_lab_services_down"]) > 0.0 && down["epm_lab_clock_speed"] == 1.0, "{down:#?}");

    // These say what does not change, or what only a full disk would.
    let fixed = ["epm_lab_build_info", "epm_lab_store_failures_total", "process_max_fds"];
    let names: BTreeSet<String> = scrape(&lab, &[])
        .lines()
        .filter_map(|line| Some(line.strip_prefix("# TYPE ")?.split(' ').next()?.to_owned()))
        .filter(|name| !fixed.contains(&name.as_str()))
        .collect();
    assert!(names.len() > 25, "{names:?}");
    for name in names {
        let values: BTreeSet<String> = seen.iter().map(|one| format!("{:.3}", sum(one, &[&name]))).collect();
        let by_label: BTreeSet<String> = seen
            .iter()
            .map(|one| {
                format!("{:?}", one.iter().filter(|(of, _)| of.starts_with(&name)).collect::<Vec<_>>())
            })
            .collect();
        assert!(values.len() > 1 || by_label.len() > 1, "{name} was not moved: {values:?}");
    }
}

#[needs(curl, promtool)]
#[test]
fn the_tools_of_prometheus_find_nothing_wrong_and_the_guard_stands_before_them() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, TOKEN).unwrap();
    let lab = RunningLab::up(&[
        "--token-file",
        token.to_str().unwrap(),
        "--data",
        folder.path().join("data").to_str().unwrap(),
    ]);
    let url = format!("{}/metrics", lab.url());
    for (more, expected) in [(vec![], "401"), (vec!["--header", "host: elsewhere.example"], "403")] {
        let code = ["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", &url];
        assert_eq!(well(&output(Command::new("curl").args(code).args(more))), expected);
    }
    let authorization = format!("authorization: Bearer {TOKEN}");
    let plain = scrape(&lab, &["--header", &authorization]);
    let checked = output_of(Command::new("promtool").args(["check", "metrics"]), plain.as_bytes());
    assert_eq!((well(&checked).as_str(), checked.stderr.as_slice()), ("", &b""[..]));
    assert!(plain.contains("le=\"+Inf\"") && !plain.contains("e+308") && !plain.contains("e308"), "{plain}");
    let accept = "accept: application/openmetrics-text; version=1.0.0";
    let open = scrape(&lab, &["--header", &authorization, "--header", accept, "--include"]);
    assert!(
        open.contains("content-type: application/openmetrics-text; version=1.0.0")
            && open.ends_with("# EOF\n"),
        "{open}"
    );
}

#[needs(curl, prometheus)]
#[test]
fn a_prometheus_answers_each_query_of_the_dashboard() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, TOKEN).unwrap();
    let lab = RunningLab::up(&[
        "--token-file",
        token.to_str().unwrap(),
        "--heartbeat",
        "1",
        "--data",
        folder.path().join("data").to_str().unwrap(),
    ]);
    let control = lab.url().trim_start_matches("http://");
    let config = format!(
        "global:\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\nscrape_configs:\n  - job_name: epm-lab\n    authorization:\n      credentials_file: {}\n    static_configs:\n      - targets: ['{control}']\n",
        token.display()
    );
    let file = folder.path().join("prometheus.yml");
    fs::write(&file, config).unwrap();
    let busy = ["fault", "add", "busy", "status", "--set", "code=503", "--every", "3", "--token-file"];
    well(&output(lab.program().args(busy).arg(&token)));
    let mut prometheus = Running::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("series").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .current_dir(folder.path()),
    );
    let listens = prometheus.says("Listening on");
    let place = listens.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let ask = |query: &str| -> Option<Value> {
        let url = format!("http://{place}/api/v1/query");
        let asked =
            ["--silent", "--show-error", "--get", "--data-urlencode", &format!("query={query}"), &url];
        // It listens before it is ready, and says so without JSON.
        serde_json::from_str(&well(&output(Command::new("curl").args(asked)))).ok()
    };
    let dashboard = fs::read_to_string(root().join("packaging/grafana/epm-lab.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let targets =
        dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(queries.len() > 15, "{queries:?}");
    for query in queries {
        let query = query.replace("$__rate_interval", "1m").replace("$instance", ".*");
        until(&format!("an answer to {query}"), || {
            let answer = ask(&query)?;
            assert_eq!(answer["status"], "success", "{query}: {answer}");
            (!answer["data"]["result"].as_array().unwrap().is_empty()).then_some(())
        });
    }
    assert_eq!(ask("sum(epm_lab_clients)").unwrap()["data"]["result"][0]["value"][1], "5");
}
