//! The latest lines of the system logs of all clients of a fleet, bounded together.

use std::collections::VecDeque;
use std::sync::Arc;

use epm_client_agent::agent::LogLine;
use epm_client_agent::wire::LogSink;
use parking_lot::Mutex;

/// Number of lines that are kept, of all clients together.
const KEPT: usize = 50_000;

/// The latest lines of the logs of all clients.
#[derive(Debug, Default)]
pub(super) struct ClientLogs(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<(Arc<str>, LogLine)>,
    dropped: u64,
}

impl ClientLogs {
    /// A sink that keeps each line, and passes it on.
    pub(super) fn keep(self: &Arc<Self>, log: LogSink) -> LogSink {
        let own = Arc::clone(self);
        Arc::new(move |client: &str, line: &LogLine| {
            own.add(client, line.clone());
            log(client, line);
        })
    }

    fn add(&self, client: &str, line: LogLine) {
        let Lines { lines, dropped } = &mut *self.0.lock();
        if lines.len() == KEPT {
            lines.pop_front();
            *dropped += 1;
        }
        lines.push_back((client.into(), line));
    }

    /// The kept lines of these clients, oldest first, and the number of dropped lines of all clients.
    pub(super) fn of(&self, clients: &[String]) -> (Vec<(String, Vec<LogLine>)>, u64) {
        let kept = self.0.lock();
        let of = |client: &String| {
            let own = kept.lines.iter().filter(|(name, _)| **name == **client);
            (client.clone(), own.map(|(_, line)| line.clone()).collect())
        };
        (clients.iter().map(of).collect(), kept.dropped)
    }
}

#[cfg(test)]
mod tests {
    use epm_client_agent::agent::Event;
    use epm_protocol::time::Timestamp;

    use super::*;

    #[test]
    fn the_latest_lines_are_kept_and_the_others_counted() {
        let logs = Arc::new(ClientLogs::default());
        let sink = logs.keep(Arc::new(|_: &str, _: &LogLine| ()));
        for number in 0..=KEPT {
            let at = Timestamp::from_seconds(i64::try_from(number).unwrap());
            sink(
                if number % 2 == 0 { "even" } else { "odd" },
                &LogLine { at, event: Event::ServerConnected, text: String::new() },
            );
        }
        let (found, dropped) = logs.of(&["even".to_owned(), "none".to_owned()]);
        assert_eq!((dropped, found[0].1.len(), found[1].1.len()), (1, KEPT / 2, 0));
        assert_eq!(found[0].1[0].at, Timestamp::from_seconds(2));
    }
}
