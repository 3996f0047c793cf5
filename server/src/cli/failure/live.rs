//! `epm-lab failure reproduce --live`: leaves a failure in place for inspection from outside.

use std::fmt::Write;
use std::sync::Arc;

use epm_client_agent::agent::LogLine;
use epm_client_agent::catalogue::{Entry, Play, RestCase};
use epm_client_agent::wire::{LogSink, interrupted};
use parking_lot::Mutex;

use crate::cli::io::{Ending, Failure, complain, say};
use crate::cli::out::OutFolder;
use crate::lab::scenario_run::{ProgressEvent, run_scenario_and_stay};
use crate::mock_site::MockSite;
use crate::rest_api::{DEFAULT_PASSWORD, DEFAULT_USER};

/// Reproduces a failure, prints how to inspect it, and keeps it until the program is stopped.
pub(super) async fn stand(entry: &Entry, plan: &Play, folder: &OutFolder) -> Result<Ending, Failure> {
    let mut scenario = plan.scenario(&entry.title);
    scenario.step.truncate(plan.failure.len());
    let log: LogSink = Arc::new(|name: &str, line: &LogLine| say(&format!("  {name}: {line}\n")));
    let stay = async {
        if let Err(error) = interrupted().await {
            complain(&format!("{error}\n"));
        }
        complain("Stopping.\n");
    };
    let trouble: Mutex<Option<Failure>> = Mutex::default();
    say(&format!("{}: {}\n{}\n\n", entry.id, entry.title, entry.cause));
    let tell = |event: ProgressEvent<'_>| {
        let ProgressEvent::Ended { step, site, .. } = event else { return };
        say(&format!("-- {}\n", step.title));
        if step.number == plan.failure.len() {
            match invitation(entry, plan, site, folder) {
                Ok(text) => say(&text),
                Err(failure) => *trouble.lock() = Some(failure),
            }
        }
    };
    let played = Box::pin(run_scenario_and_stay(&scenario, &log, tell, stay)).await;
    played.map_err(|error| Failure::Failed(error.to_string()))?;
    let trouble = trouble.into_inner();
    trouble.map_or(Ok(Ending::Well), Err)
}

/// Reproduces a REST client's failure, and keeps the manager and its REST API running until the program is stopped.
pub(super) async fn stand_for_tools(
    entry: &Entry,
    plan: &RestCase,
    folder: &OutFolder,
) -> Result<Ending, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let site = MockSite::builder().assumptions(plan.assumptions.clone()).rest_api(0);
    let site = site.start().await.map_err(|error| failed(&error))?;
    for visit in &plan.failure {
        site.apply_all(&visit.operator).map_err(|error| failed(&error))?;
        if let Some(limit) = visit.limit {
            site.throttle_rest(Some((limit.calls, std::time::Duration::from_secs(limit.seconds))));
        }
    }
    let file = folder.path().join("console.pem");
    let pem = site.look(|site| site.managers().next().map(|one| one.console.certificate().to_pem()));
    folder.fill(&[("console.pem", pem.unwrap_or_default().as_bytes())])?;
    let control = site.addresses().first().and_then(|place| place.rest.clone()).unwrap_or_default();
    let who = format!(r#"{{"username":"{DEFAULT_USER}","password":"{DEFAULT_PASSWORD}"}}"#);
    say(&format!(
        "{0}: {1}\n{2}\n\n{0} is in place. Repair: {3}\n\n\
         \x20 curl -sv {control}/sepm/api/v1/version\n\
         \x20 curl -sv --cacert {4} {control}/sepm/api/v1/version\n\
         \x20 curl -sv --cacert {4} -H 'Content-Type: application/json' -d '{who}' {control}/sepm/api/v1/identity/authenticate\n\n\
         Ctrl-C stops.\n",
        entry.id,
        entry.title,
        entry.cause,
        entry.repair,
        file.display(),
    ));
    let waited = interrupted().await;
    complain("Stopping.\n");
    site.stop().await;
    waited.map(|()| Ending::Well).map_err(|error| failed(&error))
}

/// Commands to inspect the failure, whose files are written first.
fn invitation(entry: &Entry, plan: &Play, site: &MockSite, folder: &OutFolder) -> Result<String, Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::BadInput(error.to_string());
    // The communications file that a client of this failure was installed with, if the console still exports it.
    let part = plan.fleet.first().map(|part| part.get_ref());
    let (group, location) = part.map_or((epm_protocol::site::DEFAULT_GROUP, None), |part| {
        (part.group.as_str(), part.location.as_deref())
    });
    let sylink = site.export_sylink(group, location).map_err(|error| bad(&error))?;
    let mut files = vec![("sylink.xml".to_owned(), sylink.to_xml())];
    let mut text = format!("\n{} is in place. Repair: {}\n\n", entry.id, entry.repair);
    for place in site.addresses() {
        let pem = site.certificate(&place.manager).map(|one| one.to_pem()).unwrap_or_default();
        let file = format!("{}.pem", place.manager);
        let host = place.https.trim_start_matches("https://");
        let path = folder.path().join(&file);
        files.push((file, pem));
        let _ = writeln!(text, "{}:", place.manager);
        let _ = writeln!(text, "  curl -sv '{}'", place.hello);
        let _ = writeln!(
            text,
            "  curl -sv --cacert {} '{}'",
            path.display(),
            place.hello.replacen(&place.http, &place.https, 1)
        );
        let _ = writeln!(text, "  openssl s_client -connect {host} </dev/null | openssl x509 -noout -text");
    }
    let _ = writeln!(
        text,
        "\nTo run a client with the communications file that the console exports now:\n\
         \x20 epm-agent doctor --sylink {0}/sylink.xml\n  epm-agent run --sylink {0}/sylink.xml --state {0}/state\n\n\
         The clients keep running; their log follows. Ctrl-C stops.",
        folder.path().display()
    );
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    folder.fill(&files)?;
    Ok(text)
}
