//! The server certificate of each manager, per store; the restart of its services; its replication with the others.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::Json;
use axum::extract::State;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use epm_protocol::site::{Command, Material, NewCertificate, Stores};
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::{Fingerprint, ServerCertificate, ServerIdentity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Service;
use crate::control_api::extract::{Answer, LabState, Problem, Routes, doc};
use crate::control_api::extract::{JsonBody, Path};
use crate::lab::{Lab, Update};
use crate::schema::BridgedSchema;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ManagerName {
    /// The name of the manager.
    pub(super) manager: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct UpdatePath {
    /// The manager's name.
    manager: String,
    /// A name for this update: the same name again changes nothing.
    update: String,
}

/// Where the new certificate comes from, and which stores get it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateSetting {
    /// Both stores, as the wizard does, or one of them alone.
    #[serde(default)]
    #[schemars(with = "BridgedSchema<Stores>")]
    stores: Stores,
    /// A certificate in PEM, with its key; the manager makes a self-signed one when absent.
    certificate: Option<String>,
    /// The private key of the certificate in PEM.
    key: Option<String>,
    /// A keystore instead, in base64: JKS, JCEKS or PKCS#12.
    keystore: Option<String>,
    /// The password of the keystore; an empty one when absent.
    password: Option<String>,
    /// Under which alias the keystore has it; the only key that there is when absent.
    alias: Option<String>,
    /// The password of the key, if it is encrypted; in a keystore that of the store when absent.
    key_password: Option<String>,
    /// The common name of a self-made one; the manager's address when absent.
    common_name: Option<String>,
    /// For how many days a self-made one is valid; as assumed when absent.
    valid_days: Option<u32>,
}

/// What is to be restarted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Restart {
    /// One of its services; both when absent.
    service: Option<Service>,
}

/// Whether a manager is to replicate with the others.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReplicationSetting {
    /// False breaks its replication; true restores it.
    replicates: bool,
}

/// How a manager replicates with the others.
#[derive(Debug, Serialize, JsonSchema)]
struct Replication {
    /// The manager.
    manager: String,
    /// Whether it replicates with anybody.
    replicates: bool,
    /// With whom.
    partners: Vec<String>,
    /// Since when it goes on with what it knew then; none if it knows what all know.
    #[schemars(with = "Option<String>")]
    broken_since: Option<Timestamp>,
}

/// What a manager shows, and what it has shown.
#[derive(Debug, Serialize, JsonSchema)]
struct Certificates {
    /// The manager.
    manager: String,
    /// What each of its stores holds.
    stores: StoresHold,
    /// The updates that were given a name, the first first.
    history: Vec<Update>,
    /// Its services that have not started.
    stopped: Vec<Service>,
}

/// What the stores of a manager hold.
#[derive(Debug, Serialize, JsonSchema)]
struct StoresHold {
    /// The console's, and the REST API's.
    console: Certificate,
    /// The clients' port's.
    client: Certificate,
}

/// A certificate.
#[derive(Debug, Serialize, JsonSchema)]
struct Certificate {
    /// SHA-256 of its DER form.
    #[schemars(with = "String")]
    fingerprint: Fingerprint,
    /// Its first moment.
    #[schemars(with = "String")]
    not_before: Timestamp,
    /// Its last.
    #[schemars(with = "String")]
    not_after: Timestamp,
    /// It, as a text.
    pem: String,
}

impl Certificate {
    fn of(certificate: &ServerCertificate) -> Self {
        let validity = certificate.validity();
        Self {
            fingerprint: certificate.fingerprint(),
            not_before: validity.not_before,
            not_after: validity.not_after,
            pem: certificate.to_pem(),
        }
    }
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/managers/{manager}/certificate",
            get_with(show, doc("certificate", "A manager's certificates, per store, and their history")),
        )
        .api_route(
            "/v1/managers/{manager}/certificate/{update}",
            put_with(update, doc("updateCertificate", "Update the server certificate of a manager")),
        )
        .api_route(
            "/v1/managers/{manager}/replication",
            get_with(replication, doc("replication", "Whether a manager replicates with the others"))
            .put_with(set_replication, doc("setReplication", "Break the replication of a manager with the others, or restore it: while it is broken, what is done is done at the others, its own certificate aside")),
        )
        .api_route(
            "/v1/managers/{manager}/restart",
            post_with(restart, doc("restartManager", "Restart the services of a manager")),
        )
}

async fn show(
    State(lab): LabState,
    Path(ManagerName { manager }): Path<ManagerName>,
) -> Answer<Certificates> {
    effective(&lab, &manager)
}

fn effective(lab: &Lab, manager: &str) -> Answer<Certificates> {
    let found = lab.site.look(|site| {
        let one = site.managers().find(|one| one.name == manager)?;
        let of = |identity: &ServerIdentity| Certificate::of(identity.certificate());
        Some(StoresHold { console: of(&one.console), client: of(&one.client) })
    });
    Ok(Json(Certificates {
        manager: manager.to_owned(),
        stores: found.ok_or_else(|| unknown(lab, manager))?,
        history: lab.updates(manager),
        stopped: lab.site.stopped_services(manager),
    }))
}

fn unknown(lab: &Lab, manager: &str) -> Problem {
    let names: Vec<String> = lab.site.look(|site| site.managers().map(|one| one.name.clone()).collect());
    Problem::unknown(format!("there is no manager {manager:?}; there are: {}", names.join(", ")))
}

impl UpdateSetting {
    /// The certificate that it names.
    fn certificate(self) -> Result<NewCertificate, Problem> {
        let secret = |name: &str, password: Option<String>| password.map(|password| material(name, password));
        let Self { key_password, common_name, valid_days, alias, password, .. } = self;
        let is_of_keystore = alias.is_some() || password.is_some();
        match (self.certificate, self.key, self.keystore) {
            (None, None, None) if !is_of_keystore => Ok(NewCertificate::Generate { common_name, valid_days }),
            (Some(certificate), Some(key), None) if !is_of_keystore => Ok(NewCertificate::Import {
                certificate: material("certificate", certificate),
                key: material("key", key),
                key_password: secret("key_password", key_password),
            }),
            (None, None, Some(keystore)) => {
                let content = BASE64_STANDARD.decode(keystore.trim());
                let content = content
                    .map_err(|error| Problem::invalid(format!("keystore: expected base64: {error}")))?;
                Ok(NewCertificate::Keystore {
                    file: Material { file: "keystore".to_owned(), content: Bytes::from(content) },
                    store_type: None,
                    alias,
                    password: secret("password", password),
                    key_password: secret("key_password", key_password),
                })
            }
            _ => Err(Problem::invalid(
                "a certificate and its key come together, or a keystore with its password and alias"
                    .to_owned(),
            )),
        }
    }
}

async fn update(
    State(lab): LabState,
    Path(UpdatePath { manager, update }): Path<UpdatePath>,
    JsonBody(setting): JsonBody<UpdateSetting>,
) -> Answer<Certificates> {
    if lab.site.certificate(&manager).is_none() {
        return Err(unknown(&lab, &manager));
    }
    let stores = setting.stores;
    let certificate = setting.certificate()?;
    let updating = || {
        lab.site.apply(&Command::UpdateCertificate { manager: manager.clone(), certificate, stores })?;
        let fingerprint = lab.site.look(|site| {
            let one = site.managers().find(|one| one.name == manager)?;
            let identity = if stores == Stores::Console { &one.console } else { &one.client };
            Some(identity.certificate().fingerprint())
        });
        let fingerprint = fingerprint.ok_or_else(|| unknown(&lab, &manager))?;
        lab.site.journal().operator_action(format!("certificate of {manager:?} updated: {update:?}"));
        Ok::<_, Problem>(Update { update: update.clone(), at: lab.clock().now(), stores, fingerprint })
    };
    tokio::task::block_in_place(|| lab.update_once(&manager, &update, updating))?;
    effective(&lab, &manager)
}

fn material(file: &str, content: String) -> Material {
    Material { file: file.to_owned(), content: Bytes::from(content) }
}

async fn restart(
    State(lab): LabState,
    Path(ManagerName { manager }): Path<ManagerName>,
    JsonBody(Restart { service }): JsonBody<Restart>,
) -> Answer<Certificates> {
    if !lab.site.restart(&manager, service) {
        return Err(unknown(&lab, &manager));
    }
    lab.site.journal().operator_action(format!("{service:?} of {manager:?} restarted"));
    effective(&lab, &manager)
}

async fn replication(
    State(lab): LabState,
    Path(ManagerName { manager }): Path<ManagerName>,
) -> Answer<Replication> {
    replicating(&lab, manager)
}

fn replicating(lab: &Lab, manager: String) -> Answer<Replication> {
    let found = lab.site.look(|site| {
        site.managers().find(|one| one.name == manager)?;
        let partners = site.partners(&manager).map(|one| one.name.clone()).collect::<Vec<_>>();
        Some((partners, site.replication_stopped_since(&manager)))
    });
    let (partners, broken_since) = found.ok_or_else(|| unknown(lab, &manager))?;
    Ok(Json(Replication { replicates: !partners.is_empty(), manager, partners, broken_since }))
}

async fn set_replication(
    State(lab): LabState,
    Path(ManagerName { manager }): Path<ManagerName>,
    JsonBody(ReplicationSetting { replicates }): JsonBody<ReplicationSetting>,
) -> Answer<Replication> {
    let name = manager.clone();
    let (command, what) = if replicates {
        (Command::RestoreReplication { manager: name }, "restored")
    } else {
        (Command::BreakReplication { manager: name }, "broken")
    };
    let is_so = lab.site.look(|site| site.replication_stopped_since(&manager).is_none() == replicates);
    tokio::task::block_in_place(|| lab.site.apply(&command))?;
    if !is_so {
        lab.site.journal().operator_action(format!("replication of {manager:?} {what}"));
    }
    replicating(&lab, manager)
}
