//! `policies`: the fifteen policies of a fresh 14.3 installation [R], and their assignments.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get;
use axum::extract::State;
use epm_protocol::assumption::PolicyReference;
use epm_protocol::id::{GroupId, Guid, LocationId};
use epm_protocol::site::{Command, DEFAULT_LOCATION, Site};
use epm_protocol::sylink::xml::Element;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rest_api::groups::locations::find_location;
use crate::rest_api::http::{
    ApiError, Blank, Id, IdPath, Json, JsonBody, LocationKey, LocationPath, Page, Paging, Path, Query,
};
use crate::rest_api::state::RestApi;
use crate::rest_api::system::store::Stored;

/// The policies of a fresh installation: type, name, and whether it is the assigned one of its type.
const POLICIES: &[(&str, &str, bool)] = &[
    ("mem", "Memory Exploit Mitigation policy", true),
    ("ntr", "Web and Cloud Access Protection policy", true),
    ("av", "Virus and Spyware Protection policy - Balanced", true),
    ("av", "Virus and Spyware Protection policy - High Security", false),
    ("av", "Virus and Spyware Protection policy - High Performance", false),
    ("fw", "Firewall policy", true),
    ("fw", "Quarantine Firewall policy", false),
    ("ips", "Intrusion Prevention policy", true),
    ("lucontent", "LiveUpdate Content policy", true),
    ("lu", "LiveUpdate Settings policy", true),
    ("hi", "Host Integrity policy", true),
    ("adc", "Application and Device Control policy", true),
    ("upgrade", "Client Upgrade policy", true),
    ("exceptions", "Exceptions policy", true),
    ("hid", "HID policy", true),
];
/// Types of which a fresh installation has no policy.
const OTHER_TYPES: &[&str] = &["tdad"];
/// Type of the policies that the API can create here.
pub(super) const EXCEPTIONS: &str = "exceptions";
/// Name of the exceptions policy of a fresh installation.
pub(super) const FIRST: &str = "Exceptions policy";

/// Summary of a policy.
#[derive(Debug, Serialize, JsonSchema)]
struct PolicySummary {
    /// Identifier of the policy.
    id: String,
    /// Name of the policy.
    name: String,
    /// Type of the policy.
    policytype: &'static str,
    /// Subtype of the policy.
    subtype: Option<String>,
    /// Description of the policy.
    desc: String,
    /// Whether the policy is enabled.
    enabled: bool,
    /// Identifier of the domain.
    domainid: String,
    /// Time of the last change, in milliseconds since 1970.
    lastmodifiedtime: i64,
    /// Other sources that manage the policy.
    sources: Vec<String>,
    /// Cloud groups that the policy is assigned to.
    assignedtocloudgroups: Option<Vec<String>>,
    /// Locations that the policy is assigned to.
    assignedtolocations: Option<Vec<Assigned>>,
}

/// Locations of a group that a policy is assigned to.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Assigned {
    /// Identifier of the group.
    group_id: String,
    /// Identifier of the group's default location.
    default_location_id: Option<String>,
    /// Identifiers of the locations.
    location_ids: Vec<String>,
}

/// Path parameter for a policy type.
#[derive(Debug, Deserialize, JsonSchema)]
struct TypePath {
    /// Policy type, such as `av` or `fw`.
    policy_type: String,
}

/// Path parameters for a policy.
#[derive(Debug, Deserialize, JsonSchema)]
struct RawPath {
    /// Policy type, such as `av` or `fw`.
    policy_type: String,
    /// Identifier of the policy.
    id: Id,
}

/// Path parameters for a policy type at a location.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AssignmentPath {
    /// Identifier of the group.
    group_id: Id,
    /// Identifier of the location, or `default`.
    location_id: LocationKey,
    /// Policy type, such as `av` or `fw`.
    policy_type: String,
}

/// Policy to assign.
#[derive(Debug, Deserialize, JsonSchema)]
struct Assignment {
    /// Identifier of the policy.
    id: Id,
}

/// A policy as XML.
#[derive(Debug, Serialize, JsonSchema)]
struct RawPolicy {
    /// XML of the policy.
    policy_xml: String,
}

/// A firewall policy.
#[derive(Debug, Serialize, JsonSchema)]
struct FirewallPolicy {
    /// Name of the policy.
    name: &'static str,
    /// Description of the policy.
    desc: &'static str,
    /// Whether the policy is enabled.
    enabled: bool,
    /// Time of the last change, in milliseconds since 1970.
    lastmodifiedtime: i64,
    /// Other sources that manage the policy.
    sources: Vec<String>,
    /// Configuration of the firewall.
    configuration: FirewallConfiguration,
    /// Settings that groups below may not change.
    lockedoptions: LockedOptions,
}

/// Configuration of a firewall policy, with the product's field names.
#[derive(Debug, Serialize, JsonSchema)]
struct FirewallConfiguration {
    /// Rules above the blue line.
    enforced_rules: Vec<String>,
    /// Rules below the blue line.
    baseline_rules: Vec<String>,
    /// Inherited rules that are ignored.
    ignore_parent_rules: Option<Vec<String>>,
    smart_dhcp: bool,
    smart_dns: bool,
    smart_wins: bool,
    token_ring_traffic: bool,
    netbios_protection: bool,
    reverse_dns: bool,
    port_scan: bool,
    dos: bool,
    antimac_spoofing: bool,
    autoblock: bool,
    /// Duration of an automatic block, in seconds.
    autoblock_duration: i64,
    stealth_web: bool,
    #[serde(rename = "antiIP_spoofing")]
    anti_ip_spoofing: bool,
    hide_os: bool,
    windows_firewall: &'static str,
    windows_firewall_notification: bool,
    endpoint_notification: Option<LockedOptions>,
    p2p_auth: Option<LockedOptions>,
    mac: Option<LockedOptions>,
}

impl FirewallConfiguration {
    /// Without rules; everything else as in a recorded policy.
    const fn recorded() -> Self {
        Self {
            enforced_rules: Vec::new(),
            baseline_rules: Vec::new(),
            ignore_parent_rules: None,
            smart_dhcp: false,
            smart_dns: false,
            smart_wins: false,
            token_ring_traffic: false,
            netbios_protection: false,
            reverse_dns: false,
            port_scan: false,
            dos: false,
            antimac_spoofing: false,
            autoblock: false,
            autoblock_duration: 600,
            stealth_web: false,
            anti_ip_spoofing: false,
            hide_os: false,
            windows_firewall: "NO_ACTION",
            windows_firewall_notification: false,
            endpoint_notification: None,
            p2p_auth: None,
            mac: None,
        }
    }
}

/// Locked settings; empty.
#[derive(Debug, Serialize, JsonSchema)]
struct LockedOptions {}

/// An intrusion prevention policy.
#[derive(Debug, Serialize, JsonSchema)]
struct IpsPolicy {
    /// Name of the policy.
    name: &'static str,
    /// Description of the policy.
    desc: &'static str,
    /// Whether the policy is enabled.
    enabled: bool,
    /// Time of the last change, in milliseconds since 1970.
    lastmodifiedtime: i64,
    /// Other sources that manage the policy.
    sources: Vec<String>,
    /// Configuration of intrusion prevention.
    configuration: IpsConfiguration,
    /// Settings that groups below may not change.
    lockedoptions: LockedOptions,
}

/// Configuration of an intrusion prevention policy, with the product's field names; without signatures of its own.
#[derive(Debug, Serialize, JsonSchema)]
struct IpsConfiguration {
    enabled: bool,
    browser_protection: &'static str,
    out_of_band: bool,
    server_signature_set: bool,
    url_reputation: bool,
    ips_signatures: Vec<String>,
    custom_ips_signature_groups: Vec<String>,
    custom_variables: Vec<String>,
    mac: Vec<String>,
    endpoint_notification: Option<LockedOptions>,
}

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    let assigned = "/sepm/api/v1/groups/{groupId}/locations/{locationId}/policies";
    ApiRouter::new()
        .api_route("/sepm/api/v1/policies/summary", get(summary))
        .api_route("/sepm/api/v1/policies/summary/{policy_type}", get(summary_of_type))
        .api_route("/sepm/api/v1/policies/raw/{policy_type}/{id}", get(raw))
        .api_route("/sepm/api/v1/policies/firewall/{id}", get(firewall))
        .api_route("/sepm/api/v1/policies/ips/{id}", get(ips))
        .api_route(assigned, get(assignments))
        .api_route(&format!("{assigned}/{{policyType}}"), get(assignment).put(assign))
}

async fn summary(
    State(api): State<Arc<RestApi>>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<PolicySummary>>, ApiError> {
    api.summaries(|_| true, paging)
}

/// `msl` is refused, as recorded: management server lists are not available here.
async fn summary_of_type(
    State(api): State<Arc<RestApi>>,
    Path(TypePath { policy_type }): Path<TypePath>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<PolicySummary>>, ApiError> {
    let wanted = known_type(&policy_type)?;
    api.summaries(|kind| kind == wanted, paging)
}

async fn raw(
    State(api): State<Arc<RestApi>>,
    Path(RawPath { policy_type, id }): Path<RawPath>,
) -> Result<Json<RawPolicy>, ApiError> {
    let wanted = known_type(&policy_type)?;
    let site = api.site.read();
    let found = policy(&site, &api.database.store.kept(), id.0);
    let (_, name) = found.filter(|(kind, _)| *kind == wanted).ok_or_else(|| gone(id))?;
    let mut inner = Element::new("Policy");
    for (attribute, value) in [("Id", id.to_string().as_str()), ("Name", name.as_str()), ("Type", wanted)] {
        inner.set_attribute(attribute, value);
    }
    let mut outer = Element::new("SchemaContainer");
    outer.set_attribute("DomainId", &site.domain().to_string());
    outer.push(inner);
    Ok(Json(RawPolicy { policy_xml: format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{outer}") }))
}

async fn firewall(
    State(api): State<Arc<RestApi>>,
    Path(IdPath { id }): Path<IdPath>,
) -> Result<Json<FirewallPolicy>, ApiError> {
    let site = api.site.read();
    let (_, name) = installed(&site, id.0).filter(|(kind, _)| *kind == "fw").ok_or_else(|| gone(id))?;
    Ok(Json(FirewallPolicy {
        name,
        desc: DESCRIPTION,
        enabled: true,
        lastmodifiedtime: api.database.store.founded().as_millis(),
        sources: Vec::new(),
        configuration: FirewallConfiguration::recorded(),
        lockedoptions: LockedOptions {},
    }))
}

async fn ips(
    State(api): State<Arc<RestApi>>,
    Path(IdPath { id }): Path<IdPath>,
) -> Result<Json<IpsPolicy>, ApiError> {
    let site = api.site.read();
    let name = installed(&site, id.0).filter(|(kind, _)| *kind == "ips").map(|(_, name)| name);
    Ok(Json(IpsPolicy {
        name: name.ok_or_else(|| gone(id))?,
        desc: DESCRIPTION,
        enabled: true,
        lastmodifiedtime: api.database.store.founded().as_millis(),
        sources: Vec::new(),
        configuration: IpsConfiguration {
            enabled: true,
            browser_protection: "BLOCK",
            out_of_band: false,
            server_signature_set: false,
            url_reputation: false,
            ips_signatures: Vec::new(),
            custom_ips_signature_groups: Vec::new(),
            custom_variables: Vec::new(),
            mac: Vec::new(),
            endpoint_notification: None,
        },
        lockedoptions: LockedOptions {},
    }))
}

/// Policies assigned to a location, as URLs unless assumed otherwise.
async fn assignments(
    State(api): State<Arc<RestApi>>,
    Path(LocationPath { group_id, location_id }): Path<LocationPath>,
) -> Result<Json<Vec<String>>, ApiError> {
    let (group, location, _) = api.location(group_id, location_id)?;
    let mut kinds: Vec<&str> = POLICIES.iter().map(|(kind, ..)| *kind).collect();
    kinds.dedup();
    let form = api.assumed().rest_assigned_policies;
    let named = kinds.into_iter().filter_map(|kind| api.reference(form, group, location, kind));
    Ok(Json(named.collect()))
}

/// The assigned policy as a JSON string: its identifier unless assumed otherwise.
async fn assignment(
    State(api): State<Arc<RestApi>>,
    Path(AssignmentPath { group_id, location_id, policy_type }): Path<AssignmentPath>,
) -> Result<Json<String>, ApiError> {
    let kind = known_type(&policy_type)?;
    let (group, location, _) = api.location(group_id, location_id)?;
    let form = api.assumed().rest_assigned_policy;
    let named = api.reference(form, group, location, kind);
    named.map(Json).ok_or_else(|| ApiError::gone("policies", kind))
}

async fn assign(
    State(api): State<Arc<RestApi>>,
    Path(AssignmentPath { group_id, location_id, policy_type }): Path<AssignmentPath>,
    JsonBody(Assignment { id }): JsonBody<Assignment>,
) -> Result<Blank, ApiError> {
    let kind = known_type(&policy_type)?;
    let (group, location, name) = api.location(group_id, location_id)?;
    let found = policy(&api.site.read(), &api.database.store.kept(), id.0);
    let (found_kind, policy_name) = found.ok_or_else(|| gone(id))?;
    if found_kind != kind {
        let words = format!("The policy {id} has the type {found_kind}; expected {kind}.");
        return Err(ApiError::Invalid(words));
    }
    let _changing = api.database.store.changing();
    let path = api.own_settings(group)?;
    let command = Command::SetPolicy {
        group: path,
        policy: format!("{kind} at {name}"),
        content: format!("{policy_name} ({id})"),
    };
    api.site.apply(&command)?;
    api.database.store.kept().assigned.insert((group, location, kind.to_owned()), id.0);
    Ok(Blank)
}

impl RestApi {
    fn summaries(
        &self,
        wanted: impl Fn(&str) -> bool,
        paging: Paging,
    ) -> Result<Json<Page<PolicySummary>>, ApiError> {
        let site = self.site.read();
        let kept = self.database.store.kept();
        let rows = POLICIES.iter().filter(|(kind, ..)| wanted(kind));
        let rows = rows.map(|(kind, name, _)| summary_row(&site, &kept, kind, policy_id(&site, name), name));
        let first = policy_id(&site, FIRST);
        let own = kept.exceptions.iter().filter(|(id, _)| **id != first && wanted(EXCEPTIONS));
        let own = own.map(|(id, policy)| summary_row(&site, &kept, EXCEPTIONS, *id, &policy.name));
        let rows: Vec<PolicySummary> = rows.chain(own).collect();
        let all = u32::try_from(rows.len()).unwrap_or(u32::MAX).max(1);
        Ok(Json(paging.slice(all, site.assumptions())?.of(rows, None)))
    }

    /// Reference to the policy of this type that is assigned to a location.
    fn reference(
        &self,
        form: PolicyReference,
        group: GroupId,
        location: LocationId,
        kind: &'static str,
    ) -> Option<String> {
        let site = self.site.read();
        let kept = self.database.store.kept();
        let id = in_force(&site, &kept, group, location, kind)?;
        Some(match form {
            PolicyReference::Address => {
                format!("{}/sepm/api/v1/groups/{group}/locations/{location}/policies/{kind}", self.base)
            }
            PolicyReference::Identifier => id.to_string(),
            PolicyReference::Name => policy(&site, &kept, id)?.1,
        })
    }

    /// Identifiers of a group and of one of its locations, and the location's name.
    pub(crate) fn location(
        &self,
        group: Id,
        location: LocationKey,
    ) -> Result<(GroupId, LocationId, String), ApiError> {
        let site = self.site.read();
        let (_, name, found) = find_location(&site, group, location)?;
        Ok((GroupId(group.0), found.id, name.to_owned()))
    }

    /// Path of a group with its own settings.
    pub(crate) fn own_settings(&self, group: GroupId) -> Result<String, ApiError> {
        let site = self.site.read();
        let found = site.groups().iter().find(|(_, one)| one.id == group);
        let (path, found) = found.ok_or_else(|| ApiError::gone("groups", group))?;
        if found.inherits {
            let words = format!("The group {path} inherits its policies from its parent; change them there.");
            return Err(ApiError::assumed(site.assumptions().rest_inheriting_group_status, words));
        }
        Ok(path.to_owned())
    }
}

/// Description of every policy.
pub(super) const DESCRIPTION: &str = "Created automatically during product installation.";

fn known_type(found: &str) -> Result<&'static str, ApiError> {
    let mut known = POLICIES.iter().map(|(kind, ..)| *kind).chain(OTHER_TYPES.iter().copied());
    known
        .find(|kind| kind.eq_ignore_ascii_case(found))
        .ok_or_else(|| ApiError::Invalid(INVALID_TYPE.to_owned()))
}

/// The product's message [R].
const INVALID_TYPE: &str = "The policy type argument is invalid.";

pub(super) fn policy_id(site: &Site, name: &str) -> Guid {
    let address = site.managers().next().and_then(|one| one.ports.address.parse().ok());
    let name = format!("{} {name}", site.domain());
    Guid::derive(0, "policy", &name, address.unwrap_or(std::net::Ipv4Addr::LOCALHOST))
}

/// Type and present name of a policy.
fn policy(site: &Site, kept: &Stored, id: Guid) -> Option<(&'static str, String)> {
    let own = kept.exceptions.get(&id).map(|policy| (EXCEPTIONS, policy.name.clone()));
    own.or_else(|| installed(site, id).map(|(kind, name)| (kind, name.to_owned())))
}

/// Type and first name of a policy of a fresh installation.
fn installed(site: &Site, id: Guid) -> Option<(&'static str, &'static str)> {
    let found = POLICIES.iter().find(|(_, name, _)| policy_id(site, name) == id);
    found.map(|(kind, name, _)| (*kind, *name))
}

/// The policy of this type that is assigned to a location.
pub(super) fn in_force(
    site: &Site,
    kept: &Stored,
    group: GroupId,
    location: LocationId,
    kind: &'static str,
) -> Option<Guid> {
    let path = site.groups().iter().find(|(_, one)| one.id == group).map(|(path, _)| path)?;
    let owner = site.groups().owner(path).and_then(|path| site.groups().find(path)).ok()?.id;
    let first = POLICIES.iter().find(|(one, _, is_assigned)| *one == kind && *is_assigned);
    let assigned = kept.assigned.get(&(owner, location, kind.to_owned())).copied();
    assigned.or_else(|| first.map(|(_, name, _)| policy_id(site, name)))
}

fn summary_row(site: &Site, kept: &Stored, kind: &'static str, id: Guid, name: &str) -> PolicySummary {
    let own = kept.exceptions.get(&id);
    let (name, description) = own.map_or((name, DESCRIPTION), |own| (&own.name, &own.description));
    let is_enabled = own.is_none_or(|own| own.enabled);
    let modified = own.map(|own| own.modified).or(kept.founded);
    // Only groups without inheritance are listed here [R].
    let own = site.groups().iter().filter(|(_, group)| !group.inherits);
    let assigned = own.filter_map(|(_, group)| {
        let locations = group.own.locations.values().map(|one| one.id);
        let here = locations.filter(|one| in_force(site, kept, group.id, *one, kind) == Some(id));
        let location_ids: Vec<String> = here.map(|one| one.to_string()).collect();
        let default = group.own.locations.get(DEFAULT_LOCATION);
        let default_location_id = default.map(|one| one.id.to_string());
        (!location_ids.is_empty()).then(|| Assigned {
            group_id: group.id.to_string(),
            default_location_id,
            location_ids,
        })
    });
    let assigned: Vec<Assigned> = assigned.collect();
    PolicySummary {
        id: id.to_string(),
        name: name.to_owned(),
        policytype: kind,
        subtype: None,
        desc: description.to_owned(),
        enabled: is_enabled,
        domainid: site.domain().to_string(),
        lastmodifiedtime: modified.map_or(0, |at| at.as_millis()),
        sources: Vec::new(),
        assignedtocloudgroups: None,
        assignedtolocations: (!assigned.is_empty()).then_some(assigned),
    }
}

fn gone(id: Id) -> ApiError {
    ApiError::gone("policies", id)
}
