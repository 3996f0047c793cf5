//! The system log of the client, with the event numbers and the texts of the real one [C S31].

use std::fmt;

use epm_protocol::time::Timestamp;
use serde::Serialize;

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $severity:literal, $title:literal;)*) => {
        /// An event of the log, by the real client's event numbers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        pub enum Event {$(
            $(#[$doc])*
            $name,
        )*}

        impl Event {
            /// Every event that the lab's clients write.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// A short name of the event.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// The number of the event, which the log shows in hexadecimal digits.
            pub const fn id(self) -> u32 {
                match self { $(Self::$name => $id,)* }
            }

            /// 0 for information, 1 for a warning, 2 for an error.
            pub const fn severity(self) -> u8 {
                match self { $(Self::$name => $severity,)* }
            }
        }
    };
}

events! {
    /// The service has started.
    ServiceStarted = 0x1207_0202, 0, "service started";
    /// The service has stopped.
    ServiceStopped = 0x1207_0204, 0, "service stopped";
    /// A communications file was imported.
    ImportedSylink = 0x1207_021B, 0, "imported sylink";
    /// A manager serves the client.
    ServerConnected = 0x1207_0301, 0, "server connected";
    /// A server does not answer.
    NoServerResponse = 0x1207_0302, 1, "no server response";
    /// The connection to a server failed.
    ServerConnectionFailed = 0x1207_0303, 2, "server connection failed";
    /// The client has lost contact with its manager.
    ServerDisconnected = 0x1207_0304, 1, "server disconnected";
    /// A new policy, list or package has been received.
    NewPolicyReceived = 0x1207_0306, 0, "new policy received";
    /// A new policy is in force.
    NewPolicyApplied = 0x1207_0307, 0, "new policy applied";
    /// A new policy was refused.
    NewPolicyFailed = 0x1207_0308, 2, "new policy failed";
    /// A policy could not be downloaded.
    CannotDownloadPolicy = 0x1207_0309, 1, "cannot download policy";
    /// The client has the newest policy.
    HaveLatestPolicy = 0x1207_030A, 0, "have latest policy";
    /// The client has downloaded newer definitions from a manager.
    ContentUpdated = 0x1207_030C, 0, "content updated";
    /// The client is in another group, or another location.
    ClientMoved = 0x1207_1044, 0, "client moved";
    /// No server of the list serves the client.
    CannotReachServer = 0x120B_0001, 1, "cannot reach server";
    /// A server serves the client again.
    Reconnected = 0x120B_0002, 0, "reconnected";
}

/// Texts of the real client, or its names for events, in lower case, and the event of each [C S31]. Logs that are passed on
/// have the text alone.
const TEXTS: &[(&str, Event)] = &[
    ("symantec management client has been started", Event::ServiceStarted),
    ("symantec management client has been stopped", Event::ServiceStopped),
    ("imported sylink", Event::ImportedSylink),
    ("disconnected from symantec endpoint protection manager", Event::ServerDisconnected),
    ("reconnected to symantec endpoint protection manager", Event::Reconnected),
    ("connected to symantec endpoint protection manager", Event::ServerConnected),
    ("no server response", Event::NoServerResponse),
    ("server connection failed", Event::ServerConnectionFailed),
    ("received a new policy with serial number", Event::NewPolicyReceived),
    ("applied new policy with serial number", Event::NewPolicyApplied),
    ("new policy failed", Event::NewPolicyFailed),
    ("cannot download policy", Event::CannotDownloadPolicy),
    ("already has the newest policy", Event::HaveLatestPolicy),
    ("downloaded new content update from the management server", Event::ContentUpdated),
    ("cannot reach server", Event::CannotReachServer),
    ("cannot reach any server", Event::CannotReachServer),
];

/// Second numbers of events [C S31].
const ALSO: &[(u32, Event)] =
    &[(0x120B_0004, Event::HaveLatestPolicy), (0x120B_0005, Event::CannotDownloadPolicy)];

impl Event {
    /// The event with this number.
    pub fn from_id(id: u32) -> Option<Self> {
        let also = || ALSO.iter().find(|(other, _)| *other == id).map(|(_, event)| *event);
        Self::ALL.iter().copied().find(|event| event.id() == id).or_else(also)
    }

    /// The event that a text of the client reports.
    pub fn in_text(text: &str) -> Option<Self> {
        let text = text.to_lowercase();
        TEXTS.iter().find(|(words, _)| text.contains(words)).map(|(_, event)| *event)
    }
}

/// A line for the log without its time.
pub(super) type News = (Event, String);

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// The time of the event.
    pub at: Timestamp,
    /// The event itself.
    pub event: Event,
    /// The text: the real client's, followed by what was expected and what was found.
    pub text: String,
}

/// 100-nanosecond steps from 1601 to 1970, for the log's time stamps.
const FILETIME_EPOCH_SECONDS: i64 = 11_644_473_600;

impl LogLine {
    /// Formats the entry as in `syslog.log`, with tabs between [C S31]: length, FILETIME, event, a number of unknown
    /// meaning, severity, length of the data, summary, source, data and location. The length counts the entry from its
    /// first digit to before the end of the line, which is inferred from how a public reader finds the next one. That
    /// the source is the management client is inferred too. There are no data, and the location is empty, which is
    /// assumed.
    pub fn to_entry(&self) -> String {
        let seconds = self.at.as_seconds() + FILETIME_EPOCH_SECONDS;
        let filetime = (seconds * 1000 + self.at.as_millis().rem_euclid(1000)) * 10_000;
        let text = self.in_one_line();
        let (event, severity) = (self.event.id(), self.event.severity());
        let rest =
            format!("\t{filetime:016X}\t{event:08X}\t00000000\t{severity:08X}\t00000000\t{text}\tSmc\t\t");
        format!("{:08X}{rest}\r\n", 8 + rest.len())
    }
}

impl LogLine {
    /// The text, which may have what a manager or a file says in it.
    fn in_one_line(&self) -> String {
        self.text.replace(['\t', '\r', '\n'], " ")
    }
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:08X} {}", self.at, self.event.id(), self.in_one_line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> LogLine {
        let at = "2018-10-01T00:00:00Z".parse().unwrap();
        LogLine { at, event: Event::HaveLatestPolicy, text: text.to_owned() }
    }

    #[test]
    fn a_name_with_a_line_break_makes_no_second_line() {
        let line = line("from 127.0.0.1\nHost: evil");
        assert_eq!(line.to_string(), "2018-10-01T00:00:00.000Z 1207030A from 127.0.0.1 Host: evil");
    }

    #[test]
    fn an_entry_has_the_form_of_the_real_log() {
        // 131828256000000000 steps of 100 ns since 1601; 0x4B bytes before the end of the line.
        let entry = line("one\ttwo").to_entry();
        let fields =
            "0000004B\t01D45919B23D4000\t1207030A\t00000000\t00000000\t00000000\tone two\tSmc\t\t\r\n";
        assert_eq!((entry.as_str(), entry.len()), (fields, 0x4B + 2));
    }
}
