//! The server certificate of each manager, per store; and the restart of its services.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::extract::State;
use bytes::Bytes;
use epm_protocol::site::{Command, Material, NewCertificate, Stores};
use epm_protocol::time::Clock;
use epm_protocol::trust::ServerCertificate;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ask::{Body, Named};
use super::problem::Problem;
use super::{Answer, Routes, Seen, answer};
use crate::Service;
use crate::foreign::Described;
use crate::lab::{Lab, Update};

#[derive(Debug, Deserialize, JsonSchema)]
struct Manager {
    /// Its name.
    manager: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Named2 {
    /// The manager's name.
    manager: String,
    /// A name for this update: the same name again changes nothing.
    update: String,
}

/// Where the new certificate comes from, and which stores get it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct UpdateSetting {
    /// Both stores, as the wizard does, or one of them alone.
    #[serde(default)]
    #[schemars(with = "Described<Stores>")]
    stores: Stores,
    /// A certificate in PEM, with its key; the manager makes a self-signed one when absent.
    certificate: Option<String>,
    /// The private key of the certificate in PEM.
    key: Option<String>,
    /// The password of the key, if it is encrypted.
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

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/managers/{manager}/certificate",
            get_with(show, |op| {
                op.id("certificate").summary("A manager's certificates, per store, and their history")
            }),
        )
        .api_route(
            "/v1/managers/{manager}/certificate/{update}",
            put_with(update, |op| {
                op.id("updateCertificate").summary("Update the server certificate of a manager")
            }),
        )
        .api_route(
            "/v1/managers/{manager}/restart",
            post_with(restart, |op| op.id("restartManager").summary("Restart the services of a manager")),
        )
}

async fn show(State(lab): Seen, Named(Manager { manager }): Named<Manager>) -> Answer {
    effective(&lab, &manager)
}

fn effective(lab: &Lab, manager: &str) -> Answer {
    let found = lab.site.look(|site| {
        let one = site.managers().find(|one| one.name == manager)?;
        Some(
            json!({ "console": shown(one.console.certificate()), "client": shown(one.client.certificate()) }),
        )
    });
    let found = found.ok_or_else(|| unknown(lab, manager))?;
    answer(
        &json!({ "manager": manager, "stores": found, "history": lab.updates(manager), "stopped": lab.site.stopped_services(manager) }),
    )
}

fn unknown(lab: &Lab, manager: &str) -> Problem {
    let names: Vec<String> = lab.site.look(|site| site.managers().map(|one| one.name.clone()).collect());
    Problem::unknown(format!("there is no manager {manager:?}; there are: {}", names.join(", ")))
}

fn shown(certificate: &ServerCertificate) -> Value {
    let validity = certificate.validity();
    json!({
        "fingerprint": certificate.fingerprint(),
        "not-before": validity.not_before.to_string(),
        "not-after": validity.not_after.to_string(),
        "pem": certificate.to_pem(),
    })
}

async fn update(
    State(lab): Seen,
    Named(Named2 { manager, update }): Named<Named2>,
    Body(setting): Body<UpdateSetting>,
) -> Answer {
    if lab.updates(&manager).iter().any(|one| one.update == update) {
        return effective(&lab, &manager);
    }
    let UpdateSetting { stores, certificate, key, key_password, common_name, valid_days } = setting;
    let certificate = match (certificate, key) {
        (None, None) => NewCertificate::Generate { common_name, valid_days },
        (Some(certificate), Some(key)) => NewCertificate::Import {
            certificate: material("certificate", certificate),
            key: material("key", key),
            key_password: key_password.map(|password| material("key-password", password)),
        },
        _ => return Err(Problem::invalid("a certificate and its key come together")),
    };
    if lab.site.certificate(&manager).is_none() {
        return Err(unknown(&lab, &manager));
    }
    lab.site.apply(&Command::UpdateCertificate { manager: manager.clone(), certificate, stores })?;
    let fingerprint = lab.site.look(|site| {
        let one = site.managers().find(|one| one.name == manager)?;
        let identity = if stores == Stores::Console { &one.console } else { &one.client };
        Some(identity.certificate().fingerprint())
    });
    if let Some(fingerprint) = fingerprint {
        lab.updated(&manager, Update { update: update.clone(), at: lab.clock().now(), stores, fingerprint });
    }
    lab.site.journal().did(format!("certificate of {manager:?} updated: {update:?}"));
    effective(&lab, &manager)
}

fn material(file: &str, content: String) -> Material {
    Material { file: file.to_owned(), content: Bytes::from(content) }
}

async fn restart(
    State(lab): Seen,
    Named(Manager { manager }): Named<Manager>,
    Body(Restart { service }): Body<Restart>,
) -> Answer {
    if !lab.site.restart(&manager, service) {
        return Err(unknown(&lab, &manager));
    }
    lab.site.journal().did(format!("{service:?} of {manager:?} restarted"));
    effective(&lab, &manager)
}
