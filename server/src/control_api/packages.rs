//! Files that an administrator carries away or brings: communication update packages, and recovery files.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
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

/// To whom a package goes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Deployment {
    /// The location that the package is made for; the group's own settings when absent.
    location: Option<String>,
    /// The clients of this lab that it goes to; all whose policy is of the group when absent.
    clients: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Restoring {
    /// Whether the database is there too, so that the clients are still registered.
    #[serde(default)]
    database: bool,
}

/// Whom a package has reached.
#[derive(Debug, Serialize, JsonSchema)]
struct Deployed {
    /// The group that it is made for.
    group: String,
    /// The clients that have imported it.
    delivered: Vec<String>,
    /// The clients whose machine is off, so that it does not reach them.
    off: Vec<String>,
}

/// A manager that was installed anew.
#[derive(Debug, Serialize, JsonSchema)]
struct RestoredManager {
    /// Its name.
    manager: String,
    /// The server certificate that it has now.
    #[schemars(with = "BridgedSchema<Fingerprint>")]
    fingerprint: Fingerprint,
    /// The domain's identifier.
    domain: String,
    /// How many clients are registered.
    clients: usize,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/groups/{group}/package",
            get_with(package, doc("updatePackage", "A communication update package: an archive with a sylink.xml"))
            .post_with(deploy, doc("deployUpdatePackage", "Bring a communication update package to clients of this lab that are on")),
        )
        .api_route(
            "/v1/managers/{manager}/recovery",
            get_with(back_up, doc("backUpManager", "A recovery file of a manager as it is now: recovery_TIMESTAMP.zip")),
        )
        .api_route(
            "/v1/managers/{manager}/restore",
            post_with(restore, doc("restoreManager", "Install the managers anew from a recovery file, recovery_TIMESTAMP.zip, which is the body")),
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
    lab.site.export_sylink(&group, location.as_deref())?; // refused before anybody is touched
    let views = lab.views().await;
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
    let action = ClientOperation::Import { group: Some(group.clone()), location };
    for name in &delivered {
        lab.do_to(name, &action).await?;
    }
    lab.site.journal().operator_action(format!("update package of {group:?}: {} clients", delivered.len()));
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
