//! Domains; a site of the lab has one.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get;
use axum::extract::State;
use epm_protocol::site::TOP_GROUP;
use schemars::JsonSchema;
use serde::Serialize;

use crate::rest_api::auth::identity::DOMAIN;
use crate::rest_api::http::{ApiError, IdPath, Json, Path};
use crate::rest_api::state::RestApi;

/// A domain.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Domain {
    id: String,
    name: &'static str,
    description: Option<&'static str>,
    created_time: i64,
    enable: bool,
    company_name: &'static str,
    contact_info: Option<&'static str>,
    administrator_count: usize,
}

/// A domain with its settings.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct DomainSettings {
    #[serde(flatten)]
    domain: Domain,
    allow_never_expires_passwords: bool,
    allow_users_to_save_credentials: bool,
    delete_old_clients: bool,
    delete_old_clients_days: u32,
    #[serde(rename = "deleteOldVDIClients")]
    delete_old_vdi_clients: bool,
    #[serde(rename = "deleteOldVDIClientsDays")]
    delete_old_vdi_clients_days: u32,
    show_banner: bool,
    banner_title: Option<String>,
    banner_text: Option<String>,
}

/// Reference to a domain in groups and computers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct DomainSummary {
    id: String,
    name: &'static str,
}

impl DomainSummary {
    /// No domain.
    pub(crate) const fn nowhere() -> Self {
        Self { id: String::new(), name: DOMAIN }
    }
}

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    ApiRouter::new()
        .api_route("/sepm/api/v1/domains", get(domains))
        .api_route("/sepm/api/v1/domains/{id}", get(domain))
}

async fn domains(State(api): State<Arc<RestApi>>) -> Json<Vec<Domain>> {
    Json(vec![api.domain()])
}

async fn domain(
    State(api): State<Arc<RestApi>>,
    Path(IdPath { id }): Path<IdPath>,
) -> Result<Json<DomainSettings>, ApiError> {
    let domain = api.domain();
    if domain.id != id.to_string() {
        return Err(ApiError::gone("domains", id));
    }
    Ok(Json(DomainSettings {
        domain,
        allow_never_expires_passwords: false,
        allow_users_to_save_credentials: false,
        delete_old_clients: true,
        delete_old_clients_days: api.assumed().rest_old_clients_days,
        delete_old_vdi_clients: true,
        delete_old_vdi_clients_days: api.assumed().rest_old_vdi_clients_days,
        show_banner: false,
        banner_title: None,
        banner_text: None,
    }))
}

impl RestApi {
    fn domain(&self) -> Domain {
        let site = self.site.read();
        Domain {
            id: site.domain().to_string(),
            name: DOMAIN,
            description: None,
            created_time: site.groups().find(TOP_GROUP).map_or(0, |top| top.created.as_millis()),
            enable: true,
            company_name: "",
            contact_info: None,
            administrator_count: self.database.administrators.all().len(),
        }
    }

    /// Reference to the domain.
    pub(crate) fn domain_summary(&self) -> DomainSummary {
        DomainSummary { id: self.site.read().domain().to_string(), name: DOMAIN }
    }
}
