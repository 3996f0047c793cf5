//! `epm-lab failure reproduce --live`: leaves a failure in place, in a lab with all its APIs, for inspection from outside.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use epm_client_agent::agent::{AgentView, Cache, Health, LogLine, Server};
use epm_client_agent::catalogue::{Entry, Play, RestCase};
use epm_client_agent::wire::{DiskCache, LogFile, LogSink, interrupted};
use epm_protocol::time::Clock;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cli::io::{Ending, Failure, notice, say, say_whole};
use crate::cli::out::OutFolder;
use crate::cli::print;
use crate::control_api;
use crate::lab::scenario_run::{ProgressEvent, operate, run_scenario_and_stay, silent};
use crate::lab::{ClientView, Lab};
use crate::mock_site::MockSite;
use crate::rest_api::{DEFAULT_PASSWORD, DEFAULT_USER};
use crate::runtime::capture::Capture;

/// Number of clients whose caches are exported: those that fail first.
const EXPORTED: usize = 16;

/// Log lines by client.
type Logs = Arc<Mutex<BTreeMap<String, Vec<LogLine>>>>;

/// Reproduces a failure, prints how to inspect it, and keeps it until the program is stopped.
pub(super) async fn stand(
    entry: &Entry,
    plan: &Play,
    folder: &OutFolder,
    capture: Option<&Arc<Capture>>,
) -> Result<Ending, Failure> {
    let mut scenario = plan.scenario(&entry.title);
    scenario.step.truncate(plan.failure.len());
    let logs = Logs::default();
    let log: LogSink = {
        let logs = Arc::clone(&logs);
        Arc::new(move |name: &str, line: &LogLine| {
            logs.lock().entry(name.to_owned()).or_default().push(line.clone());
            say_whole(&format!("  {name}: {line}\n"));
        })
    };
    let trouble: Mutex<Option<Failure>> = Mutex::default();
    say(&format!("{}: {}\n{}\n\n", entry.id, entry.title, entry.cause));
    let tell = |event: ProgressEvent<'_>| {
        if let ProgressEvent::Begins(step, of) = event {
            say(&print::step(step, of));
        }
    };
    let stay = async |lab: Arc<Lab>| {
        let kept = async {
            let control = Control::open(&lab).await?;
            say(&invitation(entry, &lab, &control.url, folder).await?);
            say(&clients(&lab, &logs, folder.path()).await?);
            say(&ending(folder.path()));
            let waited = interrupted().await;
            notice("Stopping.\n");
            control.stopping.cancel();
            waited.map_err(failed)
        };
        if let Err(failure) = kept.await {
            *trouble.lock() = Some(failure);
        }
    };
    let stay = |lab| Box::pin(stay(lab)) as std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>>;
    let played = Box::pin(run_scenario_and_stay(&scenario, &log, capture, tell, stay)).await;
    played.map_err(failed)?;
    trouble.into_inner().map_or(Ok(Ending::Well), Err)
}

/// Reproduces a REST client's failure, and keeps the lab running until the program is stopped.
pub(super) async fn stand_for_tools(
    entry: &Entry,
    plan: &RestCase,
    folder: &OutFolder,
    capture: Option<&Arc<Capture>>,
) -> Result<Ending, Failure> {
    let site = MockSite::builder().assumptions(plan.assumptions.clone()).rest_api(0).capture(capture);
    let site = Arc::new(site.start().await.map_err(failed)?);
    for visit in &plan.failure {
        operate(&site, &visit.operator).map_err(failed)?;
        if let Some(limit) = visit.limit {
            site.throttle_rest(Some((limit.calls, std::time::Duration::from_secs(limit.seconds))));
        }
    }
    let lab = Lab::new(site, 1, silent());
    lab.take_start().await;
    let control = Control::open(&lab).await?;
    say(&format!("{}: {}\n{}\n", entry.id, entry.title, entry.cause));
    say(&invitation(entry, &lab, &control.url, folder).await?);
    let rest = lab.site.addresses().first().and_then(|place| place.rest.clone()).unwrap_or_default();
    let who = format!(r#"{{"username":"{DEFAULT_USER}","password":"{DEFAULT_PASSWORD}"}}"#);
    let file = folder.path().join("console.pem");
    let pem = lab.site.look(|site| site.managers().next().map(|one| one.console.certificate().to_pem()));
    folder.fill(&[("console.pem", pem.unwrap_or_default().as_bytes())])?;
    say(&format!(
        "\nREST API, with its certificate and a log-in:\n\
         \x20 curl -sv {rest}/sepm/api/v1/version\n\
         \x20 curl -sv --cacert {0} {rest}/sepm/api/v1/version\n\
         \x20 curl -sv --cacert {0} -H 'Content-Type: application/json' -d '{who}' {rest}/sepm/api/v1/identity/authenticate\n\n\
         Ctrl-C stops.\n",
        file.display(),
    ));
    let waited = interrupted().await;
    notice("Stopping.\n");
    control.stopping.cancel();
    lab.stop().await;
    waited.map(|()| Ending::Well).map_err(failed)
}

/// The control API of a lab, open on a free port of loopback.
struct Control {
    url: String,
    stopping: CancellationToken,
}

impl Control {
    async fn open(lab: &Arc<Lab>) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let url = format!("http://{}", listener.local_addr().map_err(failed)?);
        let stopping = CancellationToken::new();
        tokio::spawn(control_api::serve(listener, Arc::clone(lab), None, stopping.clone()));
        Ok(Self { url, stopping })
    }
}

/// The addresses of the lab, and commands to inspect the failure, whose files are written first.
async fn invitation(entry: &Entry, lab: &Lab, control: &str, folder: &OutFolder) -> Result<String, Failure> {
    // The communications file that the console exports now for the group of the first client.
    let first = lab.views().await.into_iter().next().and_then(|client| client.view.group);
    let group = first.as_deref().unwrap_or(epm_protocol::site::DEFAULT_GROUP);
    let exported = lab.site.export_sylink(group, None);
    let exported = exported.or_else(|_| lab.site.export_sylink(epm_protocol::site::DEFAULT_GROUP, None));
    let sylink = exported.map_err(|error| Failure::BadInput(error.to_string()))?.to_xml();
    let mut files = vec![("sylink.xml".to_owned(), sylink)];
    let mut text = format!("\n{} is in place. Repair: {}\n\n", entry.id, entry.repair);
    let _ = writeln!(text, "page: {control}/   (for a browser)");
    let _ = writeln!(text, "control API: {control}");
    let _ = writeln!(text, "  EPM_LAB_URL={control} epm-lab check");
    let _ = writeln!(text, "  EPM_LAB_URL={control} epm-lab journal near-misses");
    for place in lab.site.addresses() {
        let pem = lab.site.certificate(&place.manager).map(|one| one.to_pem()).unwrap_or_default();
        let file = format!("{}.pem", place.manager);
        let host = place.https.trim_start_matches("https://");
        let path = folder.path().join(&file);
        files.push((file, pem));
        let _ = writeln!(text, "{}:", place.manager);
        if let Some(rest) = &place.rest {
            let _ = writeln!(
                text,
                "  REST API {rest}/sepm/api/v1, as {DEFAULT_USER}, password {DEFAULT_PASSWORD}"
            );
        }
        let _ = writeln!(text, "  curl -sv '{}'", place.hello);
        let hello = place.hello.replacen(&place.http, &place.https, 1);
        let _ = writeln!(text, "  curl -sv --cacert {} '{hello}'", path.display());
        let _ = writeln!(text, "  openssl s_client -connect {host} </dev/null | openssl x509 -noout -text");
    }
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    folder.fill_secretly(&files)?;
    Ok(text)
}

/// Commands for the clients that fail, or for the first if none does; the caches and the logs of the clients are written
/// first.
async fn clients(lab: &Lab, logs: &Logs, folder: &Path) -> Result<String, Failure> {
    let mut views = lab.views().await;
    views.sort_by_key(|one| one.view.health.is_connected());
    let failing = views.iter().filter(|one| !one.view.health.is_connected()).count().max(1);
    let (mut text, shown) = (String::new(), failing.min(3));
    for (place, client) in views.iter().take(EXPORTED).enumerate() {
        let own = folder.join(&client.client);
        let _ = std::fs::remove_dir_all(&own);
        let member = lab.member(&client.client).await.map_err(failed)?;
        let mut disk = DiskCache::open(&own).map_err(|error| bad(&own, &error))?;
        let agent = member.handle.agent();
        disk.save(agent.cache()).map_err(|error| bad(&own, &error))?;
        let mut log = LogFile::open(&own).map_err(|error| bad(&own, &error))?;
        for line in logs.lock().get(&client.client).into_iter().flatten() {
            log.write(line).map_err(|error| bad(&own, &error))?;
        }
        // A command for each client that fails, and for one of those that do not if none does.
        if place < shown {
            text.push_str(&commands(lab, client, agent.cache(), &own));
        }
    }
    if failing > shown {
        let _ = writeln!(text, "and {} more that fail: `epm-lab client list` has all", failing - shown);
    }
    Ok(text)
}

fn commands(lab: &Lab, client: &ClientView, cache: &Cache, own: &Path) -> String {
    let ClientView { client, view, .. } = client;
    let file = own.join("current/sylink.xml");
    let source = lab.source_of(client).map(|source| format!(" --source {source}")).unwrap_or_default();
    let at = format!("{source} --at {}", lab.clock().now());
    let server = server_of(lab, cache);
    format!(
        "{client} {}:\n\
         \x20 epm-agent doctor --sylink {1} --computer {client}{at}\n\
         \x20 epm-lab sylink check {1} --against {server}{at}\n\
         \x20 epm-lab failure diagnose {2}\n",
        state(view),
        file.display(),
        own.join("syslog.log").display(),
    )
}

/// The URL of the manager that a client reaches, or should: of its list if a manager of the lab is there.
fn server_of(lab: &Lab, cache: &Cache) -> String {
    let places = lab.site.addresses();
    let conf = cache.sylink.conf();
    let mut listed = conf.list.servers().map(|server| Server::of_list(server).to_string());
    let is_here = |url: &String| places.iter().any(|place| place.http == *url || place.https == *url);
    let first = || places.first().map(|place| place.https.clone());
    listed.find(is_here).or_else(first).unwrap_or_default()
}

fn state(view: &AgentView) -> String {
    match &view.health {
        Health::Connected { .. } => "is connected".to_owned(),
        Health::New => "has not been served".to_owned(),
        Health::Disconnected { because, .. } => format!("is out of touch: {because}"),
        Health::Orphaned { because, .. } => format!("is orphaned: {because}"),
    }
}

fn ending(folder: &Path) -> String {
    format!(
        "\nTo run a client with the communications file that the console exports now:\n\
         \x20 epm-agent doctor --sylink {0}/sylink.xml\n  epm-agent run --sylink {0}/sylink.xml --state {0}/state\n\n\
         The clients keep running; their log follows. Ctrl-C stops.\n",
        folder.display()
    )
}

fn failed(error: impl Display) -> Failure {
    Failure::Failed(error.to_string())
}

fn bad(folder: &Path, error: &dyn Display) -> Failure {
    Failure::BadInput(format!("{}: {error}", folder.display()))
}
