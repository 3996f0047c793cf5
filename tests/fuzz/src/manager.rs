//! The files of a manager's installation, and the commands of its operator.

use std::sync::Arc;

use epm_protocol::assumption::Assumptions;
use epm_protocol::installation::{ApacheFile, RecoverySettings, connector, connectors, read_apache};
use epm_protocol::site::{Command, Founding, ManagerPorts, Site};
use epm_protocol::time::Timestamp;
use epm_server::read_recovery;

use crate::{is_short, read};

/// The name of the site's manager.
pub(crate) const MANAGER: &str = "sepm-1";
/// The time at which the site is founded.
const START: Timestamp = Timestamp::from_seconds(1_767_600_000);

/// A site with one manager.
pub(crate) fn site() -> Site {
    let ports = ManagerPorts { address: "127.0.0.1".to_owned(), http: Some(8014), https: Some(8014) };
    let founding = Founding {
        name: "My Site".to_owned(),
        seed: 7,
        managers: vec![(MANAGER.to_owned(), ports)],
        assumptions: Arc::new(Assumptions::default()),
    };
    Site::found(founding, START).expect("the site can be founded")
}

/// A `server.xml` of Tomcat, and the settings of a recovery file.
pub(crate) fn server_xml(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(settings) = RecoverySettings::parse(text) {
        assert_eq!(RecoverySettings::parse(&settings.to_text()).as_ref(), Ok(&settings));
    }
    let Some(found) = read(connectors(text)) else { return };
    for port in [None, Some(8446)] {
        let chosen = connector(text, port);
        assert!(chosen.is_err() || !found.is_empty());
        read(chosen);
    }
}

/// A recovery file: an archive of a keystore, a `server.xml` and settings.
pub(crate) fn recovery(input: &[u8]) {
    match read_recovery("recovery.zip", input) {
        Ok(file) => assert!(file.files.len() >= 3, "{:?}", file.files),
        Err(error) => is_short(&error),
    }
}

/// A `server.crt` and a `server.key` of Apache, in one file.
pub(crate) fn apache(input: &[u8]) {
    let file = |path| ApacheFile { path, content: Some(input) };
    for refuses_weak in [false, true] {
        match read_apache(file("server.crt"), file("server.key"), refuses_weak) {
            Ok(identity) => {
                assert_eq!(identity.certificate().public_key_der(), identity.key().public_key_der());
            }
            Err(error) => assert!(!error.lines().is_empty()),
        }
    }
}

/// Commands in JSON, applied to a site one after the other. A refused command changes nothing.
pub(crate) fn command(input: &[u8]) {
    thread_local!(static SITE: Site = site());
    let Ok(commands) = serde_json::from_slice::<Vec<Command>>(input) else { return };
    let written = serde_json::to_vec(&commands).expect("commands can be written");
    assert_eq!(serde_json::from_slice::<Vec<Command>>(&written).expect("what was written is read"), commands);
    let mut site = SITE.with(Site::clone);
    for command in commands.iter().take(4) {
        let before = site.clone();
        if let Err(error) = site.apply(command, START) {
            is_short(&error);
            assert!(site.publishes_as(&before), "a refused command changed the site: {command:?}");
        }
    }
}
