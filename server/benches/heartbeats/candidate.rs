//! The mock manager, with one registered client.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use epm_protocol::heartbeat::{AgentRequest, Registration, http};
use epm_protocol::id::{Guid, HardwareKey};
use epm_protocol::site::{Command, Effect};
use epm_protocol::version::ClientVersion;
use epm_server::MockSite;
use serde::{Deserialize, Serialize};

use crate::{baseline, machine};

/// The certificate of the manager, which all contestants show.
pub(crate) const CERTIFICATE: &str = "certificate.pem";
/// The key of the certificate, from the public pool.
pub(crate) const KEY: &str = "key.pem";

/// What the bench must know of the running manager.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Where it takes HTTP and HTTPS.
    pub(crate) port: u16,
    /// What a client asks that holds nothing yet: path and query.
    pub(crate) first: String,
    /// What a client asks that holds the newest policy.
    pub(crate) again: String,
}

/// Serves until the bench ends. Leaves certificate and key in the folder.
pub(crate) fn run(folder: &str) {
    baseline::serve(async {
        let site = MockSite::start().await.expect("a site starts");
        println!("{}", serde_json::to_string(&prepared(&site, folder.as_ref())).expect("plain data"));
        machine::end_with_parent();
        std::future::pending::<()>().await;
    });
}

fn prepared(site: &MockSite, folder: &Path) -> Ready {
    let manager = &site.addresses()[0];
    let registration = Registration {
        domain: site.look(|site| site.domain()),
        hardware_key: HardwareKey(Guid::from_bytes([7; 16])),
        computer_name: "PC-0001".to_owned(),
        version: ClientVersion::new(14, 3),
        preferred_group: None,
    };
    let effects = site.apply(&Command::Register(registration)).expect("a client is registered");
    let Some(&Effect::ClientPlaced { agent, group }) = effects.first() else { panic!("{effects:?}") };
    let (identity, serial) = site.look(|site| {
        let publication = site.publication(&manager.manager).expect("the manager publishes");
        (publication.identity.clone(), publication.group(group).expect("for the group").serial)
    });
    let key = STANDARD.encode(identity.key().pkcs8_der());
    let key = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    fs::write(folder.join(KEY), key).expect("the folder can be written");
    fs::write(folder.join(CERTIFICATE), identity.certificate().to_pem()).expect("the folder can be written");
    let asks = |serial| http::encode(&AgentRequest::Index { agent, serial, turn: 0 }, &site.kcs()).target;
    Ready { port: manager.sockets()[0].port(), first: asks(None), again: asks(Some(serial)) }
}
