//! A computer as the product shows it: known values, and made-up constants in one place.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use epm_protocol::heartbeat::http::sha256_hex;
use epm_protocol::id::{GroupId, Guid, HardwareKey};
use epm_protocol::site::Site;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::rest_api::system::domains::DomainSummary;
use crate::rest_api::system::version::MANAGER_VERSION;
use crate::runtime::clients::ClientStatus;

/// A computer: [`Known`], and the constants of [`MADE_UP`].
#[derive(Debug)]
pub(crate) struct Computer(Known);

/// Values of a computer that the lab knows.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Known {
    computer_name: String,
    unique_id: String,
    agent_id: String,
    current_client_id: String,
    hardware_key: String,
    uuid: String,
    serial_number: String,
    group: GroupSummary,
    agent_version: String,
    deployment_running_version: String,
    deployment_target_version: String,
    major_version: u16,
    minor_version: u16,
    /// Registration time, in milliseconds since 1970.
    creation_time: i64,
    computer_time_stamp: i64,
    agent_time_stamp: i64,
    /// Time of the last contact, in milliseconds since 1970.
    last_update_time: i64,
    /// 1 while the computer is online, otherwise 0.
    online_status: u8,
    last_server_id: Option<String>,
    last_server_name: Option<String>,
    last_site_id: String,
    last_site_name: String,
    last_connected_ip_addr: String,
    ip_addresses: Vec<String>,
    mac_addresses: Vec<String>,
    /// Policy that the client holds; equals its group's `policySerialNumber` once it is up to date.
    profile_serial_no: Option<String>,
    quarantine_desc: String,
    profile_version: String,
    public_key: String,
}

/// Group of a computer; its name is the full path.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct GroupSummary {
    id: String,
    name: String,
    domain: DomainSummary,
    full_path_name: Option<String>,
    external_reference_id: Option<String>,
    source: Option<String>,
}

/// Values that all computers of a site share.
pub(crate) struct Surroundings {
    site: (String, String),
    managers: HashMap<String, String>,
    groups: HashMap<GroupId, GroupSummary>,
    quarantined: String,
}

impl Surroundings {
    /// The shared values of a site.
    pub(crate) fn of(site: &Site, domain: &DomainSummary) -> Self {
        let summary = |path: &str, id: GroupId| GroupSummary {
            id: id.to_string(),
            name: path.to_owned(),
            domain: domain.clone(),
            full_path_name: None,
            external_reference_id: None,
            source: None,
        };
        Self {
            site: (site.id().to_string(), site.name().to_owned()),
            managers: site.managers().map(|one| (one.name.clone(), one.id.to_string())).collect(),
            groups: site.groups().iter().map(|(path, one)| (one.id, summary(path, one.id))).collect(),
            quarantined: site.assumptions().rest_quarantine_words.clone(),
        }
    }

    /// The computer of a client.
    pub(crate) fn computer(&self, client_status: &ClientStatus, online: bool) -> Computer {
        let client = &client_status.client;
        let machine = client.hardware_key;
        let version = client.version.to_string();
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        let nowhere = || GroupSummary {
            id: client.group.to_string(),
            name: String::new(),
            domain: DomainSummary::nowhere(),
            full_path_name: None,
            external_reference_id: None,
            source: None,
        };
        let address = ip_address(machine);
        let quarantined = client_status.state.as_ref().is_some_and(|state| state.quarantined);
        let mac = mac_address(machine);
        Computer(Known {
            computer_name: client.computer_name.clone(),
            unique_id: client.agent.to_string(),
            agent_id: derived("agent-software", machine),
            current_client_id: derived("current-client", machine),
            hardware_key: machine.to_string(),
            uuid: derived("bios", machine),
            serial_number: format!("LAB-{}", &machine.to_string()[..12]),
            group: self.groups.get(&client.group).cloned().unwrap_or_else(nowhere),
            major_version: parts.next().unwrap_or(0),
            minor_version: parts.next().unwrap_or(0),
            agent_version: version.clone(),
            deployment_running_version: version.clone(),
            deployment_target_version: version,
            creation_time: client_status.since.as_millis(),
            computer_time_stamp: client_status.since.as_millis(),
            agent_time_stamp: client_status.last_seen.as_millis(),
            last_update_time: client_status.last_seen.as_millis(),
            online_status: u8::from(online),
            last_server_id: client_status.manager.as_ref().and_then(|name| self.managers.get(name)).cloned(),
            last_server_name: client_status.manager.clone(),
            last_site_id: self.site.0.clone(),
            last_site_name: self.site.1.clone(),
            last_connected_ip_addr: address.clone(),
            ip_addresses: vec![address],
            mac_addresses: vec![mac.clone(), mac],
            profile_serial_no: client_status.serial.map(|serial| serial.to_string()),
            quarantine_desc: if quarantined { self.quarantined.clone() } else { NOT_QUARANTINED.to_owned() },
            profile_version: MANAGER_VERSION
                .rsplit_once('.')
                .map_or(MANAGER_VERSION, |(first, _)| first)
                .to_owned(),
            public_key: public_key(machine),
        })
    }
}

/// Status text of a computer that is not quarantined, as recorded, with its line break.
const NOT_QUARANTINED: &str =
    "Host Integrity check is disabled.\n Host Integrity policy has been disabled by the administrator.";

/// User logged on to every machine of the lab.
pub(crate) const LOGON_USER: &str = "user";

/// IP address of a machine of the lab.
pub(crate) fn ip_address(machine: HardwareKey) -> String {
    let [_, b, c, d] = octets(machine);
    format!("10.{b}.{c}.{d}")
}

/// MAC address of a machine of the lab.
pub(crate) fn mac_address(machine: HardwareKey) -> String {
    let [a, b, c, d] = octets(machine);
    format!("02-50-{a:02X}-{b:02X}-{c:02X}-{d:02X}")
}

fn octets(machine: HardwareKey) -> [u8; 4] {
    let bytes = machine.0.as_bytes();
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

fn derived(kind: &str, machine: HardwareKey) -> String {
    Guid::derive(0, kind, &machine.to_string(), std::net::Ipv4Addr::LOCALHOST).to_string()
}

/// A key in the product's format: a 2048-bit `PUBLICKEYBLOB` in base64. It is derived from the machine and has no
/// private key.
fn public_key(machine: HardwareKey) -> String {
    let mut blob = vec![0x06, 0x02, 0, 0, 0, 0xA4, 0, 0];
    blob.extend(b"RSA1");
    blob.extend(2048_u32.to_le_bytes());
    blob.extend(65_537_u32.to_le_bytes());
    for number in 0..8 {
        let hex = sha256_hex(format!("public key {number} of {machine}").as_bytes());
        let digits = (0..hex.len()).step_by(2).filter_map(|at| hex.get(at..at + 2));
        blob.extend(digits.filter_map(|pair| u8::from_str_radix(pair, 16).ok()));
    }
    if let [first, .., last] = &mut blob[20..] {
        *first |= 1; // odd, and full length
        *last |= 0x80;
    }
    BASE64_STANDARD.encode(blob)
}

/// A made-up constant.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum MadeUp {
    Nothing,
    No(bool),
    Number(i64),
    Text(&'static str),
    List(&'static [&'static str]),
}

use MadeUp::{List, Nothing, Number, Text};

const NO: MadeUp = MadeUp::No(false);

impl Serialize for Computer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            known: &'a Known,
            #[serde(flatten)]
            made_up: Constants,
        }
        Whole { known: &self.0, made_up: Constants }.serialize(serializer)
    }
}

/// All of [`MADE_UP`].
struct Constants;

impl Serialize for Constants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(MADE_UP.len()))?;
        for (name, value) in MADE_UP {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl JsonSchema for Computer {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Computer".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Known::json_schema(generator);
        let properties = schema.ensure_object().get_mut("properties").and_then(|it| it.as_object_mut());
        if let Some(properties) = properties {
            for (name, value) in MADE_UP {
                let described = match value {
                    Nothing => json_schema!({ "type": "null" }),
                    MadeUp::No(_) => json_schema!({ "type": "boolean" }),
                    Number(_) => json_schema!({ "type": "integer" }),
                    Text(_) => json_schema!({ "type": "string" }),
                    List(_) => json_schema!({ "type": "array", "items": { "type": "string" } }),
                };
                properties.insert((*name).to_owned(), described.into());
            }
        }
        schema
    }
}

/// Values that the lab does not know: null, or plausible for a healthy Windows 10 client.
const MADE_UP: &[(&str, MadeUp)] = &[
    ("agentType", Text("105")),
    ("agentUsn", Number(1)),
    ("apOnOff", Number(1)),
    ("atpDeviceId", Nothing),
    ("atpServer", Text("")),
    ("attributeExtension", Text("")),
    ("avDefsetRevision", Text("2")),
    ("avDefsetSequence", Text("230904002")),
    ("avDefsetVersion", Text("230904002")),
    ("avEngineOnOff", Number(1)),
    ("bashStatus", Number(1)),
    ("behavioralAnalysisDefsetVersion", Nothing),
    ("biosVersion", Text("epm-lab")),
    ("bwf", Number(2)),
    ("cidsBrowserFfOnOff", Number(1)),
    ("cidsBrowserIeOnOff", Number(1)),
    ("cidsDefsetVersion", Text("230904061")),
    ("cidsDrvMulfCode", Number(0)),
    ("cidsDrvOnOff", Number(1)),
    ("cidsEngineVersion", Text("0.0.0.0")),
    ("cidsSilentMode", Number(0)),
    ("computerDescription", Text("")),
    ("computerUsn", Number(1)),
    ("contentUpdate", Number(1)),
    ("daOnOff", Number(1)),
    ("deleted", Number(0)),
    ("department", Text("")),
    ("deploymentMessage", Text("")),
    ("deploymentPreVersion", Text("")),
    ("deploymentStatus", Text("302456832")),
    ("description", Text("")),
    ("dhcpServer", Text("0.0.0.0")),
    ("diskDrive", Text("C:\\")),
    ("dnsServers", List(&["10.0.0.1"])),
    ("domainOrWorkgroup", Text("WORKGROUP")),
    ("edrStatus", Number(0)),
    ("elamOnOff", Number(1)),
    ("email", Text("")),
    ("employeeNumber", Text("")),
    ("employeeStatus", Text("")),
    ("encryptedDevicePassword", Nothing),
    ("fbwf", Number(2)),
    ("firewallOnOff", Number(1)),
    ("freeDisk", Number(53_687_091_200)),
    ("freeMem", Number(4_294_967_296)),
    ("fullName", Text("")),
    ("gateways", List(&["10.0.0.1"])),
    ("groupUpdateProvider", NO),
    ("homePhone", Text("")),
    ("hypervisorVendorId", Text("0")),
    ("idsChecksum", Nothing),
    ("idsSerialNo", Text("")),
    ("idsVersion", Text("")),
    ("infected", Number(0)),
    ("installType", Text("0")),
    ("isGrace", Number(0)),
    ("isNpvdiClient", Number(0)),
    ("jobTitle", Text("")),
    ("kernel", Nothing),
    ("lastDeploymentTime", Number(0)),
    ("lastDownloadTime", Number(0)),
    ("lastHeuristicThreatTime", Number(0)),
    ("lastScanTime", Number(0)),
    ("lastVirusTime", Number(0)),
    ("licenseExpiry", Number(0)),
    ("licenseId", Nothing),
    ("licenseStatus", Number(-1)),
    ("logicalCpus", Number(2)),
    ("loginDomain", Text("LocalComputer")),
    ("logonUserName", Text(LOGON_USER)),
    ("memory", Number(8_589_934_592)),
    ("mobilePhone", Text("")),
    ("officePhone", Text("")),
    ("operatingSystem", Text("Windows 10 Enterprise Edition")),
    ("osBitness", Text("x64")),
    ("osElamStatus", Number(0)),
    ("osFlavorNumber", Number(0)),
    ("osFunction", Text("Workstation")),
    ("osLanguage", Text("en-US")),
    ("osMajor", Number(10)),
    ("osMinor", Number(0)),
    ("osName", Text("Windows 10")),
    ("osServicePack", Text("")),
    ("osVersion", Text("10.0")),
    ("patternIdx", Text("D7C17C9E0A320801000000DBF200C60A")),
    ("pepOnOff", Number(1)),
    ("physicalCpus", Number(1)),
    ("processorClock", Number(2_400)),
    ("processorType", Text("Intel64 Family 6")),
    ("profileChecksum", Nothing),
    ("pskVersion", Number(0)),
    ("ptpOnOff", Number(1)),
    ("quarantineCode", Number(0)),
    ("quarantineStatus", Number(3)),
    ("rebootReason", Text("")),
    ("rebootRequired", Number(0)),
    ("securityVirtualAppliance", Nothing),
    ("snacLicenseId", Nothing),
    ("subnetMasks", List(&["255.0.0.0"])),
    ("svaId", Nothing),
    ("tamperOnOff", Number(1)),
    ("tdadGlobalDataDownloadTime", Number(0)),
    ("tdadGlobalDataProcessingDoneTime", Number(0)),
    ("tdadOnOff", Number(127)),
    ("tdadStatusId", Number(0)),
    ("telemetryHwid", Nothing),
    ("telemetryMid", Nothing),
    ("timeZone", Number(480)),
    ("tmpDevice", Nothing),
    ("totalDiskSpace", Number(102_400)),
    ("tpmDevice", Text("0")),
    ("uwf", Number(2)),
    ("virtualizationPlatform", Text("Unknown")),
    ("vsicStatus", Number(3)),
    ("winServers", List(&["0.0.0.0", "0.0.0.0"])),
    ("worstInfectionIdx", Text("0")),
    ("writeFiltersStatus", Nothing),
    ("wssStatus", Number(127)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_has_the_products_form_and_is_another_for_each_machine() {
        let machine = |byte| HardwareKey(Guid::from_bytes([byte; 16]));
        let key = public_key(machine(1));
        assert!(key.starts_with("BgIAAACkAABSU0ExAAgAAAEAAQ"), "{key}");
        assert_eq!(BASE64_STANDARD.decode(&key).unwrap().len(), 276);
        assert_eq!(key, public_key(machine(1)));
        assert_ne!(key, public_key(machine(2)));
    }
}
