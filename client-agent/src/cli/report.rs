//! The options with which a process reports its clients to a lab.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use crate::agent::ReportedState;
use crate::program::read_file;
use crate::scenario::{Span, SpanError};
use crate::wire::{LabClock, Reporter, wait};

/// The longest time for the last report.
const GOODBYE: Duration = Duration::from_secs(5);

/// Options for reports.
#[derive(Debug, Args)]
pub(super) struct ReportOptions {
    /// Report what the clients hold to the control API at this address, http://HOST:PORT, so that its verdict counts them in
    #[arg(long, value_name = "URL")]
    report: Option<String>,
    /// The file with the token of the control API, of the scope report or control
    #[arg(long, value_name = "FILE", requires = "report")]
    report_token_file: Option<PathBuf>,
    /// The name of this source of reports, which no other process may have at the same time; defaults to the first client's name
    #[arg(long, value_name = "NAME", requires = "report")]
    report_as: Option<String>,
    /// Report each client once in this time, from 1s to 1h; the lab takes it for lost after three times that
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = interval, requires = "report")]
    report_every: Span,
}

fn interval(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error: SpanError| error.to_string())?;
    let is_valid = (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&span.0);
    if is_valid { Ok(span) } else { Err("expected 1s to 1h".to_owned()) }
}

/// Reports that are being sent.
pub(super) struct Reports<L> {
    reporter: Arc<Reporter>,
    task: tokio::task::JoinHandle<()>,
    look: L,
}

impl ReportOptions {
    /// The reporter that the options ask for, if they do; `first` is the name of the first client.
    pub(super) fn reporter(
        &self,
        first: &str,
        parts: u32,
        clock: &Arc<LabClock>,
    ) -> Result<Option<Arc<Reporter>>, Failure> {
        let Some(lab) = &self.report else { return Ok(None) };
        let bad = |error: &dyn std::fmt::Display| Failure::BadInput(error.to_string());
        let token = self.report_token_file.as_deref().map(|file| {
            let text = read_file(file).map_err(|error| bad(&format!("{}: {error}", file.display())))?;
            let text = String::from_utf8_lossy(&text).trim().to_owned();
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(bad(&format!(
                    "{}: expected a token of printable ASCII characters without spaces, as `--report-token-file` of the lab made it",
                    file.display()
                )));
            }
            Ok(text)
        });
        let source = self.report_as.as_deref().unwrap_or(first);
        let reporter =
            Reporter::new(lab, token.transpose()?, source, (self.report_every.0, parts), Arc::clone(clock));
        reporter.map(|one| Some(Arc::new(one))).map_err(|error| bad(&error))
    }
}

impl<L: Fn(u32) -> Vec<ReportedState> + Clone + Send + 'static> Reports<L> {
    /// Begins to send reports; `look` says how the clients of a part are.
    pub(super) fn begin(reporter: Arc<Reporter>, look: L) -> Self {
        let task = tokio::spawn(Arc::clone(&reporter).run(look.clone()));
        Self { reporter, task, look }
    }

    /// Sends the last reports: the clients have stopped.
    pub(super) async fn end(self) {
        self.task.abort();
        tokio::select! {
            () = self.reporter.end(self.look) => {}
            () = wait(GOODBYE) => {}
        }
    }
}
