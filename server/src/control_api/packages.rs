//! Files to download or upload: communication update packages and recovery files.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use epm_protocol::excerpt::quoted;
use epm_protocol::plural::counted;
use epm_protocol::trust::Fingerprint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control_api::certificates::ManagerName;
use crate::control_api::extract::{Answer, LabState, Problem, Routes, doc};
use crate::control_api::extract::{Download, File, JsonBody, Path, Query, Zip};
use crate::control_api::site::{GroupName, OfLocation};
use crate::lab::ClientOperation;
use crate::runtime::install_dir::{InstallationError, pack_update_package, read_recovery};
use crate::schema::BridgedSchema;

/// Clients that a package is deployed to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Deployment {
    /// Location that the package is made for; the group's own settings when absent.
    location: Option<String>,
    /// Computer names of the clients; all clients with a policy of the group when absent.
    clients: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Restoring {
    /// Whether the database is restored too, so that clients remain registered.
    #[serde(default)]
    database: bool,
}

/// Result of a deployment.
#[derive(Debug, Serialize, JsonSchema)]
struct Deployed {
    /// Group that the package is made for.
    group: String,
    /// Clients that imported the package.
    delivered: Vec<String>,
    /// Clients that were not reached, because their machine is off.
    off: Vec<String>,
}

/// State of a manager after its reinstallation.
#[derive(Debug, Serialize, JsonSchema)]
struct RestoredManager {
    /// Name of the manager.
    manager: String,
    /// SHA-256 fingerprint of its server certificate.
    #[schemars(with = "BridgedSchema<Fingerprint>")]
    fingerprint: Fingerprint,
    /// Identifier of the domain.
    domain: String,
    /// Number of registered clients.
    clients: usize,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/groups/{group}/package",
            get_with(
                package,
                doc("updatePackage", "Download a communication update package: an archive with a sylink.xml"),
            )
            .post_with(
                deploy,
                doc(
                    "deployUpdatePackage",
                    "Import a communication update package into clients of this lab that are on",
                ),
            ),
        )
        .api_route(
            "/v1/managers/{manager}/recovery",
            get_with(
                back_up,
                doc(
                    "backUpManager",
                    "Download a recovery file of a manager's current state: recovery_TIMESTAMP.zip",
                ),
            ),
        )
        .api_route(
            "/v1/managers/{manager}/restore",
            post_with(
                restore,
                doc(
                    "restoreManager",
                    "Reinstall the managers from the recovery file (recovery_TIMESTAMP.zip) in the body",
                ),
            ),
        )
}

async fn package(
    State(lab): LabState,
    Path(GroupName { group }): Path<GroupName>,
    Query(OfLocation { location }): Query<OfLocation>,
) -> Result<Download<Zip>, Problem> {
    let sylink = lab.site.export_sylink(&group, location.as_deref())?;
    let archive = pack_update_package(&sylink)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no-archive", error.to_string()))?;
    Ok(Download(archive, Zip))
}

async fn deploy(
    State(lab): LabState,
    Path(GroupName { group }): Path<GroupName>,
    JsonBody(Deployment { location, clients }): JsonBody<Deployment>,
) -> Answer<Deployed> {
    lab.site.export_sylink(&group, location.as_deref())?; // fails before any client is changed
    let views = lab.own_views().await;
    let is_meant = |name: &str, of: Option<&str>| match &clients {
        Some(named) => named.iter().any(|one| one == name),
        None => of == Some(group.as_str()),
    };
    for name in clients.iter().flatten() {
        lab.member(name).await?;
    }
    let (mut delivered, mut off) = (Vec::new(), Vec::new());
    for one in views {
        if is_meant(&one.client, one.view.group.as_deref()) {
            if one.on { &mut delivered } else { &mut off }.push(one.client);
        }
    }
    let action = ClientOperation::Import { group: Some(group.clone()), location, sylink: None };
    for name in &delivered {
        lab.do_to(name, &action).await?;
    }
    lab.site.journal().operator_action(format!(
        "update package of {} deployed to {}",
        quoted(&group),
        counted(delivered.len(), "client")
    ));
    Ok(Json(Deployed { group, delivered, off }))
}

async fn back_up(
    State(lab): LabState,
    Path(ManagerName { manager }): Path<ManagerName>,
) -> Result<Download<Zip>, Problem> {
    let zip = lab.site.recovery_file(&manager).map_err(|error| match error {
        InstallationError::NoManager(_) => Problem::unknown(error.to_string()),
        _ => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no-recovery", error.to_string()),
    })?;
    Ok(Download(zip, Zip))
}

async fn restore(
    State(lab): LabState,
    Path(ManagerName { manager }): Path<ManagerName>,
    Query(Restoring { database }): Query<Restoring>,
    File(content): File,
) -> Answer<RestoredManager> {
    let invalid = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "recovery", detail);
    let file = read_recovery("the recovery file", &content).map_err(|error| invalid(error.to_string()))?;
    tokio::task::block_in_place(|| lab.site.restore(&manager, &file, database))?;
    let fingerprint = file.identity.certificate().fingerprint();
    Ok(Json(lab.site.look(|site| RestoredManager {
        manager,
        fingerprint,
        domain: site.domain().to_string(),
        clients: site.clients().count(),
    })))
}
