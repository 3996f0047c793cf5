//! Server certificates per manager and store, restarts of services, and replication.

use std::collections::BTreeMap;

use std::fmt;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use epm_protocol::excerpt::expected_one_of;
use epm_protocol::name::check_name;
use epm_protocol::site::{Command, Material, NewCertificate, Stores};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::keystore::MAX_BYTES;
use epm_protocol::trust::{Fingerprint, ServerCertificate, StoreType};
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::Service;
use crate::control_api::extract::{Answer, LabState, Problem, Routes, doc};
use crate::control_api::extract::{JsonBody, Path};
use crate::lab::{Lab, Update};
use crate::schema::BridgedSchema;
use crate::store::NamedUpdate;

/// Maximum size of an update, in bytes: two files of the largest size in base64, and passwords.
const LARGEST_UPDATE: usize = 3 * MAX_BYTES;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ManagerName {
    /// Name of the manager.
    pub(super) manager: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct UpdatePath {
    /// Name of the manager.
    manager: String,
    /// Name of this update. The same request again changes nothing; another one under this name is refused.
    update: String,
}

/// Source of the new certificate, and the stores that get it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateSetting {
    /// Stores to update: both, as the wizard does, or one of them.
    #[serde(default)]
    #[schemars(with = "BridgedSchema<Stores>")]
    stores: Stores,
    /// Certificate (PEM as text, or any file); the manager makes a self-signed one when absent.
    certificate: Option<FileContent>,
    /// Private key of the certificate (PEM as text, or any file).
    key: Option<FileContent>,
    /// Keystore (JKS, JCEKS or PKCS#12), in base64 or as a file, instead of certificate and key.
    keystore: Option<FileContent>,
    /// Type of the keystore; detected when absent.
    #[schemars(with = "Option<BridgedSchema<StoreType>>")]
    store_type: Option<StoreType>,
    /// Password of the keystore; empty when absent.
    password: Option<String>,
    /// Alias in the keystore; its only key when absent.
    alias: Option<String>,
    /// Password of the key, if it is encrypted; the keystore's password when absent.
    key_password: Option<String>,
    /// Common name of a self-signed certificate; the manager's address when absent.
    common_name: Option<String>,
    /// Validity of a self-signed certificate in days; the assumption `certificate_validity_days` when absent.
    valid_days: Option<u32>,
}

/// Content of a file, as a text or as an object with the file's name.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
enum FileContent {
    /// The content of the file, with a name that the lab chooses.
    Text(String),
    /// The content of the file, and its name for messages.
    Named(NamedFile),
}

/// A file in PEM, DER or another format.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NamedFile {
    /// Name of the file, for messages.
    file: String,
    /// Content of the file, in base64.
    content: String,
}

impl<'de> Deserialize<'de> for FileContent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = FileContent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the content of a file, or an object with `file` and `content`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<FileContent, E> {
                Ok(FileContent::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FileContent, A::Error> {
                NamedFile::deserialize(MapAccessDeserializer::new(map)).map(FileContent::Named)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl FileContent {
    /// The file, named like the field if it has no name.
    fn material(self, field: &str) -> Result<Material, Problem> {
        match self {
            Self::Text(text) => Ok(material(field, text)),
            Self::Named(NamedFile { file, content }) => {
                Ok(Material { content: decoded(field, &content)?, file })
            }
        }
    }

    /// A keystore, which as a text is base64.
    fn keystore(self, field: &str) -> Result<Material, Problem> {
        let (file, content) = match self {
            Self::Text(content) => (field.to_owned(), content),
            Self::Named(NamedFile { file, content }) => (file, content),
        };
        Ok(Material { content: decoded(field, &content)?, file })
    }
}

fn decoded(field: &str, content: &str) -> Result<Bytes, Problem> {
    let digits: String = content.split_ascii_whitespace().collect();
    let decoded = BASE64_STANDARD.decode(digits);
    decoded.map(Bytes::from).map_err(|error| Problem::invalid(format!("{field}: expected base64: {error}")))
}

/// Services to restart.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Restart {
    /// Service to restart; both when absent.
    service: Option<Service>,
}

/// Whether a manager replicates with the others.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReplicationSetting {
    /// False breaks the manager's replication; true restores it.
    replicates: bool,
}

/// Replication of a manager.
#[derive(Debug, Serialize, JsonSchema)]
struct Replication {
    /// Name of the manager.
    manager: String,
    /// Whether the manager replicates with at least one other.
    replicates: bool,
    /// Names of the managers that it replicates with.
    partners: Vec<String>,
    /// Lab time since which the manager has not replicated; absent while it replicates.
    #[schemars(with = "Option<String>")]
    broken_since: Option<Timestamp>,
}

/// Certificates that a manager presents, and their history.
#[derive(Debug, Serialize, JsonSchema)]
struct Certificates {
    /// Name of the manager.
    manager: String,
    /// Certificates in its stores.
    stores: StoresHold,
    /// Named updates, oldest first.
    history: Vec<Update>,
    /// Services that did not start.
    stopped: Vec<Service>,
    /// Why each of them did not start.
    service_errors: BTreeMap<Service, String>,
    /// Why the console cannot log in to the manager (F14); absent if it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    console_trouble: Option<String>,
}

/// Certificates in the stores of a manager.
#[derive(Debug, Serialize, JsonSchema)]
struct StoresHold {
    /// Certificate of the console and the REST API.
    console: Certificate,
    /// Certificate of the clients' port.
    client: Certificate,
}

/// A certificate.
#[derive(Debug, Serialize, JsonSchema)]
struct Certificate {
    /// SHA-256 of the DER form.
    #[schemars(with = "String")]
    fingerprint: Fingerprint,
    /// Start of the validity.
    #[schemars(with = "String")]
    not_before: Timestamp,
    /// End of the validity.
    #[schemars(with = "String")]
    not_after: Timestamp,
    /// Certificate in PEM.
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
            get_with(show, doc("certificate", "Show a manager's certificates per store, and their history")),
        )
        .api_route(
            "/v1/managers/{manager}/certificate/{update}",
            put_with(update, doc("updateCertificate", "Update a manager's server certificate under the name of an update; the same request again changes nothing, another one under a known name is refused with 409"))
            .layer(DefaultBodyLimit::max(LARGEST_UPDATE)),
        )
        .api_route(
            "/v1/managers/{manager}/replication",
            get_with(replication, doc("replication", "Show whether a manager replicates with the others"))
            .put_with(set_replication, doc("setReplication", "Break or restore a manager's replication. While it is broken, later changes reach only the other managers; certificate updates of this manager stay local")),
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
    let trouble = lab.site.look(|site| {
        let one = site.managers().find(|one| one.name == manager)?;
        Some(one.console_trouble(site.assumptions()))
    });
    let trouble = trouble.ok_or_else(|| unknown(lab, manager))?;
    let served = |one: Option<ServerCertificate>| one.ok_or_else(|| unknown(lab, manager));
    let console = Certificate::of(&served(lab.site.console_certificate(manager))?);
    let stores = StoresHold { console, client: Certificate::of(&served(lab.site.certificate(manager))?) };
    Ok(Json(Certificates {
        manager: manager.to_owned(),
        stores,
        history: lab.updates(manager),
        stopped: lab.site.stopped_services(manager),
        service_errors: lab.site.service_errors().remove(manager).unwrap_or_default(),
        console_trouble: trouble.map(|one| one.to_string()),
    }))
}

fn unknown(lab: &Lab, manager: &str) -> Problem {
    let names: Vec<String> = lab.site.look(|site| site.managers().map(|one| one.name.clone()).collect());
    Problem::unknown(format!("there is no manager {manager:?}: {}", expected_one_of(&names)))
}

impl UpdateSetting {
    /// The certificate described by the setting.
    fn certificate(self) -> Result<NewCertificate, Problem> {
        let secret = |name: &str, password: Option<String>| password.map(|password| material(name, password));
        let Self { key_password, common_name, valid_days, alias, password, store_type, .. } = self;
        let is_of_keystore = alias.is_some() || password.is_some() || store_type.is_some();
        match (self.certificate, self.key, self.keystore) {
            (None, None, None) if !is_of_keystore => Ok(NewCertificate::Generate { common_name, valid_days }),
            (Some(certificate), Some(key), None) if !is_of_keystore => Ok(NewCertificate::Import {
                certificate: certificate.material("certificate")?,
                key: key.material("key")?,
                key_password: secret("key_password", key_password),
            }),
            (None, None, Some(keystore)) => Ok(NewCertificate::Keystore {
                file: keystore.keystore("keystore")?,
                store_type,
                alias,
                password: secret("password", password),
                key_password: secret("key_password", key_password),
            }),
            _ => Err(Problem::invalid(
                "expected a certificate with its key, or a keystore with its password and alias".to_owned(),
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
    check_name("an update", &update)?;
    let stores = setting.stores;
    let certificate = setting.certificate()?;
    let command = Command::UpdateCertificate { manager: manager.clone(), certificate, stores };
    let request = request(command.clone())?;
    let updating = || {
        let at = lab.site.apply_named(&command, NamedUpdate { name: update.clone(), request })?;
        let fingerprint = lab.site.look(|site| {
            let one = site.managers().find(|one| one.name == manager)?;
            let identity = if stores == Stores::Console { &one.console } else { &one.client };
            Some(identity.certificate().fingerprint())
        });
        let fingerprint = fingerprint.ok_or_else(|| unknown(&lab, &manager))?;
        lab.site.journal().operator_action(format!("certificate of {manager:?} updated: {update:?}"));
        Ok::<_, Problem>(Update { update: update.clone(), at, stores, fingerprint, request })
    };
    tokio::task::block_in_place(|| lab.update_once(&manager, &update, request, updating))?;
    effective(&lab, &manager)
}

/// Identifies a request by all but the names of its files.
fn request(mut command: Command) -> Result<Fingerprint, Problem> {
    let mut parts = Vec::new();
    for file in command.materials_mut() {
        parts.extend_from_slice(Fingerprint::of(&file.content).as_bytes());
        file.file.clear();
    }
    let rest = serde_json::to_vec(&command).map_err(|error| Problem::invalid(error.to_string()))?;
    parts.extend(rest);
    Ok(Fingerprint::of(&parts))
}

fn material(file: &str, content: String) -> Material {
    Material { file: file.to_owned(), content: Bytes::from(content) }
}

async fn restart(
    State(lab): LabState,
    Path(ManagerName { manager }): Path<ManagerName>,
    JsonBody(Restart { service }): JsonBody<Restart>,
) -> Answer<Certificates> {
    if !tokio::task::block_in_place(|| lab.site.restart_anywhere(&manager, service))? {
        return Err(unknown(&lab, &manager));
    }
    let what = service.map_or_else(|| "both services".to_owned(), |one| one.to_string());
    let errors = lab.site.service_errors().remove(&manager).unwrap_or_default();
    let errors = errors.into_iter().filter(|(one, _)| service.is_none_or(|only| only == *one));
    let down: String = errors.map(|(one, why)| format!("; {one} did not start: {why}")).collect();
    lab.site.journal().operator_action(format!("{what} of {manager:?} restarted{down}"));
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
