//! The latest lines of the clients' logs: one bounded store for the whole fleet, the oldest lines are dropped first.

use std::collections::VecDeque;
use std::sync::Arc;

use epm_client_agent::agent::LogLine;
use epm_client_agent::wire::LogSink;
use parking_lot::Mutex;

/// Number of lines that are kept of all clients together.
const KEPT: usize = 10_000;

/// Lines of all clients, oldest first, each with the name of its client.
#[derive(Debug, Default)]
pub(super) struct ClientLog(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<(Box<str>, LogLine)>,
    dropped: u64,
}

impl ClientLog {
    /// A sink that keeps each line and hands it on.
    pub(super) fn sink(self: &Arc<Self>, next: LogSink) -> LogSink {
        let log = Arc::clone(self);
        Arc::new(move |client, line| {
            log.add(client, line);
            next(client, line);
        })
    }

    fn add(&self, client: &str, line: &LogLine) {
        let mut kept = self.0.lock();
        if kept.lines.len() == KEPT {
            kept.lines.pop_front();
            kept.dropped += 1;
        }
        kept.lines.push_back((client.into(), line.clone()));
    }

    /// The latest lines of a client, at most so many, oldest first; and the number of lines of all clients that were dropped.
    pub(super) fn of(&self, client: &str, most: usize) -> (Vec<LogLine>, u64) {
        let kept = self.0.lock();
        let own = kept.lines.iter().rev().filter(|(name, _)| **name == *client);
        let mut lines: Vec<LogLine> = own.take(most).map(|(_, line)| line.clone()).collect();
        lines.reverse();
        (lines, kept.dropped)
    }

    /// Forgets the lines of all clients and the number of dropped ones.
    pub(super) fn clear(&self) {
        *self.0.lock() = Kept::default();
    }
}

#[cfg(test)]
mod tests {
    use epm_client_agent::agent::Event;
    use epm_protocol::time::Timestamp;

    use super::*;

    #[test]
    fn the_oldest_lines_are_dropped_and_counted() {
        let log = ClientLog::default();
        let line = |seconds| LogLine {
            at: Timestamp::from_seconds(seconds),
            event: Event::ALL[0],
            text: String::new(),
        };
        (0..=i64::try_from(KEPT).unwrap()).for_each(|second| log.add("desk-1", &line(second)));
        log.add("desk-2", &line(0));
        let (lines, dropped) = log.of("desk-1", KEPT);
        assert_eq!((lines.len(), dropped, lines[0].at), (KEPT - 1, 2, Timestamp::from_seconds(2)));
        assert_eq!(log.of("desk-1", 1).0[0].at, Timestamp::from_seconds(i64::try_from(KEPT).unwrap()));
        log.clear();
        assert_eq!(log.of("desk-1", 1), (Vec::new(), 0));
    }
}
