//! Every operation of the vendor's specification: 195 methods and paths, plus one that a client uses: GET to refresh
//! a token.
//!
//! Operations that are listed here and have no route respond with 501; others do not exist in the product.

use axum::http::Method;

/// What the vendor has at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// The operation.
    Operation,
    /// The path, but not with this method.
    Path,
    /// Neither path nor method.
    Nothing,
}

/// What the vendor has for this method and path. `HEAD` exists wherever `GET` does.
pub(crate) fn known(method: &Method, path: &str) -> Known {
    let Some(path) = path.strip_prefix("/sepm/") else { return Known::Nothing };
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let mut found = Known::Nothing;
    for (template, methods) in OPERATIONS {
        if fits(template, path) {
            if methods.contains(&method) {
                return Known::Operation;
            }
            found = Known::Path;
        }
    }
    found
}

/// Every operation of the product's REST API: method and path template with `{..}` for parameters.
pub fn operations() -> impl Iterator<Item = (&'static str, String)> {
    OPERATIONS.iter().flat_map(|(template, methods)| {
        methods.iter().map(move |method| (*method, format!("/sepm/{template}")))
    })
}

/// Whether a path matches this template; `{..}` matches one segment that is not empty.
pub(crate) fn fits(template: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    template.split('/').all(|wanted| {
        parts
            .next()
            .is_some_and(|part| if wanted.starts_with('{') { !part.is_empty() } else { part == wanted })
    }) && parts.next().is_none()
}

/// Paths below `/sepm/` with their methods, in alphabetical order.
const OPERATIONS: &[(&str, &[&str])] = &[
    ("api/v1/admin-users", &["GET", "POST"]),
    ("api/v1/admin-users/{id}", &["GET", "PUT"]),
    ("api/v1/admin/database", &["GET"]),
    ("api/v1/admin/password-settings", &["GET", "PUT", "PATCH"]),
    ("api/v1/admin/servers", &["GET"]),
    ("api/v1/admin/servers/{id}", &["PATCH"]),
    ("api/v1/admin/tdadserver", &["GET", "POST", "DELETE"]),
    ("api/v1/cloud/epmp/account/admin", &["POST"]),
    ("api/v1/cloud/epmp/account/email", &["POST"]),
    ("api/v1/cloud/epmp/asset_sync_reset", &["POST"]),
    ("api/v1/cloud/epmp/asset_sync_reset/{id}", &["GET"]),
    ("api/v1/cloud/epmp/cloud_enrollment", &["GET"]),
    ("api/v1/cloud/epmp/cloud_test_connections", &["GET"]),
    ("api/v1/cloud/epmp/enableAutoPolicySync", &["POST"]),
    ("api/v1/cloud/epmp/enroll", &["GET", "POST", "DELETE"]),
    ("api/v1/cloud/epmp/features", &["GET", "PUT"]),
    ("api/v1/cloud/epmp/heatmap", &["GET"]),
    ("api/v1/cloud/epmp/hubstatus", &["GET"]),
    ("api/v1/cloud/epmp/isEnrolled", &["GET"]),
    ("api/v1/cloud/epmp/light_registration", &["GET"]),
    ("api/v1/cloud/epmp/light_registration/status", &["GET"]),
    ("api/v1/cloud/epmp/restart-bridge-uploader-service", &["POST"]),
    ("api/v1/cloud/epmp/shouldHubRun", &["GET"]),
    ("api/v1/cloud/epmp/shouldHubRunByServerId", &["GET"]),
    ("api/v1/cloud/epmp/tenant", &["POST"]),
    ("api/v1/command-queue/activescan", &["POST"]),
    ("api/v1/command-queue/baseline", &["POST"]),
    ("api/v1/command-queue/cloudmanaged", &["POST"]),
    ("api/v1/command-queue/eoc", &["POST"]),
    ("api/v1/command-queue/file/{file_id}/content", &["GET"]),
    ("api/v1/command-queue/file/{file_id}/details", &["GET"]),
    ("api/v1/command-queue/files", &["POST"]),
    ("api/v1/command-queue/fullscan", &["POST"]),
    ("api/v1/command-queue/ironcache", &["POST"]),
    ("api/v1/command-queue/license/override", &["POST"]),
    ("api/v1/command-queue/license/resetoverride", &["POST"]),
    ("api/v1/command-queue/quarantine", &["POST"]),
    ("api/v1/command-queue/quarantine/files/delete/{uid}", &["POST"]),
    ("api/v1/command-queue/quarantine/files/restore/{uid}", &["POST"]),
    ("api/v1/command-queue/restart", &["POST"]),
    ("api/v1/command-queue/updatecontent", &["POST"]),
    ("api/v1/command-queue/{command_id}", &["GET"]),
    ("api/v1/command-queue/{command_id}/cancel", &["POST"]),
    ("api/v1/computers", &["GET", "PATCH"]),
    ("api/v1/computers/delete", &["POST"]),
    ("api/v1/computers/enroll", &["POST"]),
    ("api/v1/computers/enroll/{id}", &["GET"]),
    ("api/v1/computers/{id}", &["DELETE"]),
    ("api/v1/content/avdef/latest", &["GET"]),
    ("api/v1/domains", &["GET", "POST"]),
    ("api/v1/domains/analytics", &["GET"]),
    ("api/v1/domains/name/{id}", &["GET"]),
    ("api/v1/domains/{id}", &["GET", "POST", "PUT", "DELETE"]),
    ("api/v1/events/acknowledge/risks/{eventID}", &["POST"]),
    ("api/v1/events/acknowledge/{eventID}", &["POST"]),
    ("api/v1/events/critical", &["GET"]),
    ("api/v1/events/notifications", &["POST"]),
    ("api/v1/events/notifications/{id}/report", &["GET"]),
    ("api/v1/ext/groups/syncdelete", &["POST"]),
    ("api/v1/ext/groups/synchronization", &["POST", "DELETE"]),
    ("api/v1/ext/groups/{group_id}/policies/external-communication", &["GET", "PUT", "DELETE"]),
    ("api/v1/ext/groups/{group_id}/policies/{policy_type}", &["GET", "PUT", "DELETE"]),
    ("api/v1/ext/groups/{group_id}/policies/{policy_type}/{sub_type}", &["GET", "PUT", "DELETE"]),
    ("api/v1/ext/{source}/groups/mycompany", &["GET"]),
    ("api/v1/ext/{source}/groups/{groupId}", &["GET"]),
    ("api/v1/groups", &["GET"]),
    ("api/v1/groups/{groupId}", &["GET", "POST", "DELETE", "PATCH"]),
    ("api/v1/groups/{groupId}/computers", &["GET"]),
    ("api/v1/groups/{groupId}/external-communication", &["GET", "PUT", "PATCH"]),
    ("api/v1/groups/{groupId}/locations", &["GET"]),
    ("api/v1/groups/{groupId}/locations/{locationId}/external-communication", &["GET", "PUT", "PATCH"]),
    ("api/v1/groups/{groupId}/locations/{locationId}/policies", &["GET"]),
    ("api/v1/groups/{groupId}/locations/{locationId}/policies/{policyType}", &["GET", "PUT"]),
    ("api/v1/groups/{groupId}/locations/{locationId}/quarantine", &["GET"]),
    ("api/v1/groups/{groupId}/locations/{locationId}/quarantine/{policyType}", &["GET"]),
    ("api/v1/groups/{groupId}/locations/{locationId}/settings", &["GET", "PATCH"]),
    ("api/v1/groups/{groupId}/locations/{locationId}/xml", &["GET"]),
    ("api/v1/groups/{groupId}/policies/{policyType}", &["GET", "PUT"]),
    ("api/v1/groups/{groupId}/system-lockdown/fingerprints/{fingerprint_id}", &["PUT"]),
    ("api/v1/gup/status", &["GET"]),
    ("api/v1/identity/authenticate", &["POST"]),
    ("api/v1/identity/logout", &["POST"]),
    ("api/v1/licenses", &["GET"]),
    ("api/v1/licenses/add", &["POST"]),
    ("api/v1/licenses/config", &["GET"]),
    ("api/v1/licenses/entitlements", &["GET"]),
    ("api/v1/licenses/summary", &["GET"]),
    ("api/v1/policies/exceptions", &["POST"]),
    ("api/v1/policies/exceptions/{id}", &["GET", "PUT", "DELETE", "PATCH"]),
    ("api/v1/policies/firewall/{id}", &["GET", "DELETE"]),
    ("api/v1/policies/hid", &["POST"]),
    ("api/v1/policies/hid/{id}", &["GET", "PUT", "DELETE", "PATCH"]),
    ("api/v1/policies/ips/{id}", &["GET"]),
    ("api/v1/policies/licensing", &["POST"]),
    ("api/v1/policies/lu/{id}", &["GET"]),
    ("api/v1/policies/mem", &["POST"]),
    ("api/v1/policies/mem/{id}", &["GET", "PUT", "DELETE", "PATCH"]),
    ("api/v1/policies/policy-objects/hostgroups", &["POST"]),
    ("api/v1/policies/policy-objects/hostgroups/summary", &["GET"]),
    ("api/v1/policies/policy-objects/hostgroups/{id}", &["GET", "PUT"]),
    ("api/v1/policies/raw/{policy_type}/{id}", &["GET"]),
    ("api/v1/policies/summary", &["GET"]),
    ("api/v1/policies/summary/{policy_type}", &["GET"]),
    ("api/v1/policies/tdad", &["POST"]),
    ("api/v1/policies/tdad/{id}", &["GET", "PUT", "DELETE", "PATCH"]),
    ("api/v1/policies/upgrade", &["POST"]),
    ("api/v1/policies/upgrade/{id}", &["GET", "PUT", "DELETE", "PATCH"]),
    ("api/v1/policy-objects/fingerprints", &["GET", "POST"]),
    ("api/v1/policy-objects/fingerprints/{id}", &["GET", "POST", "DELETE"]),
    ("api/v1/replication/is_replicated", &["GET"]),
    ("api/v1/replication/replicatenow", &["POST"]),
    ("api/v1/replication/status", &["GET"]),
    ("api/v1/reporting/authenticate", &["POST"]),
    ("api/v1/requested-files/{sha256}/content", &["GET"]),
    ("api/v1/sessions/currentuser", &["GET"]),
    ("api/v1/stats/autoresolved/{reportType}/{startTime}/to/{endTime}", &["GET"]),
    ("api/v1/stats/client/content", &["GET"]),
    ("api/v1/stats/client/content/sources", &["GET"]),
    ("api/v1/stats/client/infection/{reportType}/{startTime}/to/{endTime}", &["GET"]),
    ("api/v1/stats/client/malware/{reportType}/{startTime}/to/{endTime}", &["GET"]),
    ("api/v1/stats/client/onlinestatus", &["GET"]),
    ("api/v1/stats/client/risk/{startTime}/to/{endTime}", &["GET"]),
    ("api/v1/stats/client/version", &["GET"]),
    ("api/v1/stats/licenses", &["GET"]),
    ("api/v1/stats/threat", &["GET"]),
    ("api/v1/tdad", &["GET", "POST", "PUT", "DELETE", "PATCH"]),
    ("api/v1/tdad/{adDomainUid}/{policyUid}", &["GET", "DELETE"]),
    ("api/v1/version", &["GET"]),
    ("api/v2/policies/exceptions", &["POST"]),
    ("api/v2/policies/exceptions/{id}", &["GET", "PUT", "DELETE", "PATCH"]),
    ("api/v2/policy-objects/fingerprints", &["GET", "POST"]),
    ("api/v2/policy-objects/fingerprints/{id}", &["GET", "POST", "DELETE"]),
    ("oauth/token", &["GET", "POST"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_operation_and_finds_it() {
        assert_eq!(OPERATIONS.iter().map(|(_, methods)| methods.len()).sum::<usize>(), 195 + 1);
        for (template, methods) in OPERATIONS {
            let path = format!("/sepm/{}", template.replace(['{', '}'], "x"));
            for method in *methods {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                assert_eq!(known(&method, &path), Known::Operation, "{method} {path}");
            }
        }
    }

    #[test]
    fn a_path_with_another_method_and_a_path_of_nobody_are_told_apart() {
        assert_eq!(known(&Method::PUT, "/sepm/api/v1/computers"), Known::Path);
        assert_eq!(known(&Method::HEAD, "/sepm/api/v1/computers"), Known::Operation);
        for nobody in [
            "/",
            "/sepm",
            "/sepm/api/v1/computer",
            "/sepm/api/v1/groups//computers",
            "/sepm/ws/v1/ClientService",
        ] {
            assert_eq!(known(&Method::GET, nobody), Known::Nothing, "{nobody}");
        }
    }
}
