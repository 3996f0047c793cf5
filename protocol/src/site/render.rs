//! Renders what is published from what is set: serials advance, and each artifact is signed once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::command_error::CommandError;
use super::group::{Group, GroupSettings};
use super::manager::Manager;
use super::publication::{Publication, PublishedArtifact, PublishedGroup};
use super::state::{Publishing, Site};
use crate::assumption::Assumptions;
use crate::heartbeat::http::sha256_hex;
use crate::heartbeat::{ContentType, Index, PackageEntry};
use crate::id::GroupId;
use crate::policy::{
    CommunicationSettings, ManagementServer, ManagementServerList, PolicyDocument, PolicySerial, Protocol,
};
use crate::sylink::{
    AgentCommunication, ClientServer, ClientServerList, CommConf, LocationConf, NamedCertificate,
    PublishedList, Sylink, SylinkHead,
};
use crate::time::Timestamp;

/// The documents of a group, before each manager signs them.
struct RenderedGroup {
    id: GroupId,
    serial: PolicySerial,
    policy: Bytes,
    policy_checksum: String,
    /// The documents other than the policy.
    part: Arc<PublishedPart>,
}

/// The documents that all groups with the same settings share.
struct PublishedPart {
    list: Bytes,
    list_checksum: String,
    packages: Vec<PackageEntry>,
}

impl Site {
    /// Advances the serials of these groups and publishes them anew, on every manager that replicates with the others.
    pub(super) fn publish(&mut self, paths: &BTreeSet<String>, now: Timestamp) -> Vec<GroupId> {
        let replicating = self.managers.keys().filter(|name| !self.stopped.contains_key(*name));
        let managers: Vec<String> = replicating.cloned().collect();
        self.publish_by(&managers, paths, now)
    }

    /// Replaces the assumptions. Where more changes than the REST API, everything is published anew, with the serials that
    /// it has.
    pub fn assume(&mut self, assumptions: Arc<Assumptions>) {
        let is_immediate = self.assumptions.with_immediate(&assumptions) == *assumptions;
        self.assumptions = assumptions;
        if !is_immediate && self.publishing == Publishing::AtOnce {
            let replicating = self.managers.keys().filter(|name| !self.stopped.contains_key(*name));
            self.publish_unchanged(&replicating.cloned().collect::<Vec<_>>());
        }
    }

    /// Publishes everything anew, with the serials that it has, on these managers.
    pub(super) fn publish_unchanged(&mut self, managers: &[String]) {
        let paths = self.groups.iter().map(|(path, _)| path.to_owned()).collect();
        let rendered = self.render_all(&paths);
        for name in managers {
            let next = self.publication_of(&self.managers[name], &rendered);
            self.publications.insert(name.clone(), Arc::new(next));
        }
    }

    /// Advances the serials of these groups and publishes them anew, on these managers.
    pub(super) fn publish_by(
        &mut self,
        managers: &[String],
        paths: &BTreeSet<String>,
        now: Timestamp,
    ) -> Vec<GroupId> {
        for path in paths {
            if let Ok(group) = self.groups.find_mut(path) {
                group.changed = now.max(group.changed + Duration::from_millis(1));
            }
        }
        if self.publishing == Publishing::AtTheEnd {
            return Vec::new();
        }
        let rendered = self.render_all(paths);
        for name in managers {
            let next = self.publication_of(&self.managers[name], &rendered);
            self.publications.insert(name.clone(), Arc::new(next));
        }
        rendered.iter().map(|group| group.id).collect()
    }

    /// The communications file that the console exports for a group, or for one of its locations.
    ///
    /// # Errors
    ///
    /// When there is no such group or location.
    pub fn export_sylink(&self, path: &str, location: Option<&str>) -> Result<Sylink, CommandError> {
        let own = self.groups.effective(path)?;
        let conf = match location {
            None => self.conf(own, &own.communication, &own.list)?,
            Some(name) => {
                let known = own.locations.keys().map(String::as_str);
                let found = own.locations.get(name);
                let place = found.ok_or_else(|| CommandError::unknown("location", name, known))?;
                match &place.own {
                    Some(settings) => self.conf(own, &settings.communication, &settings.list)?,
                    None => self.conf(own, &own.communication, &own.list)?,
                }
            }
        };
        let head = SylinkHead {
            domain_id: self.domain,
            name_space: "rpc".to_owned(), // [C S17]
            preferred_group: path.to_owned(),
        };
        Ok(Sylink::compose(&head, &conf))
    }

    fn publication_of(&self, manager: &Manager, rendered: &[RenderedGroup]) -> Publication {
        let signer = manager.identity(self.assumptions.signing_store).clone();
        let before = self.publications.get(&manager.name);
        let unchanged = before.filter(|one| one.signer.certificate() == signer.certificate());
        let mut packages = HashMap::new();
        for (name, content) in &self.packages {
            let known =
                unchanged.and_then(|one| one.packages.get(name)).filter(|one| same(&one.body, content));
            let artifact = known
                .cloned()
                .unwrap_or_else(|| PublishedArtifact::new(content.clone(), ContentType::Binary, &signer));
            packages.insert(name.clone(), artifact);
        }
        let mut groups = before.map(|one| one.groups.clone()).unwrap_or_default();
        let mut lists: HashMap<*const PublishedPart, Arc<PublishedArtifact>> = HashMap::new();
        for group in rendered {
            let part = &group.part;
            let index = Index {
                manager: manager.name.clone(),
                serial: group.serial,
                policy_checksum: group.policy_checksum.clone(),
                list_checksum: part.list_checksum.clone(),
                packages: part.packages.clone(),
                commands: Vec::new(),
            };
            let list = lists.entry(Arc::as_ptr(part)).or_insert_with(|| {
                Arc::new(PublishedArtifact::new(part.list.clone(), ContentType::Xml, &signer))
            });
            let list = Arc::clone(list);
            let published = PublishedGroup {
                serial: group.serial,
                index: Bytes::from(index.to_xml()),
                policy: PublishedArtifact::new(group.policy.clone(), ContentType::Xml, &signer),
                list,
            };
            groups.insert(group.id, Arc::new(published));
        }
        Publication {
            manager: manager.name.clone(),
            domain: self.domain,
            kcs: self.kcs.clone(),
            identity: manager.client.clone(),
            signer,
            generation: before.map_or(1, |one| one.generation + 1),
            assumptions: Arc::clone(&self.assumptions),
            groups,
            packages,
        }
    }

    fn package_entry(&self, name: &str) -> Option<PackageEntry> {
        let content = self.packages.get(name)?;
        Some(PackageEntry { name: name.to_owned(), checksum: sha256_hex(content) })
    }

    fn render_all(&self, paths: &BTreeSet<String>) -> Vec<RenderedGroup> {
        // For one group, ask its ancestors; for many, ask each only once.
        let owners = if paths.len() > 1 { self.groups.owners() } else { HashMap::new() };
        let mut parts: HashMap<&str, Arc<PublishedPart>> = HashMap::new();
        let mut render = |path| {
            let owner = owners.get(path).copied().map_or_else(|| self.groups.owner(path), Ok)?;
            let own = &self.groups.find(owner)?.own;
            let part = match parts.get(owner) {
                Some(part) => Arc::clone(part),
                None => {
                    let new = Arc::new(self.published_part(own)?);
                    parts.insert(owner, Arc::clone(&new));
                    new
                }
            };
            self.render(path, own, part)
        };
        paths.iter().filter_map(|path| render(path).ok()).collect()
    }

    fn published_part(&self, own: &GroupSettings) -> Result<PublishedPart, CommandError> {
        let locations = own.locations.iter().map(|(name, location)| {
            let conf = location.own.as_ref().map(|one| self.conf(own, &one.communication, &one.list));
            Ok(LocationConf { id: location.id, name: name.clone(), conf: conf.transpose()? })
        });
        let list = PublishedList {
            domain_id: self.domain,
            group: self.conf(own, &own.communication, &own.list)?,
            locations: locations.collect::<Result<_, CommandError>>()?,
        };
        let list = Bytes::from(list.to_xml());
        let packages = own.packages.iter().filter_map(|name| self.package_entry(name)).collect();
        Ok(PublishedPart { list_checksum: sha256_hex(&list), list, packages })
    }

    fn render(
        &self,
        path: &str,
        own: &GroupSettings,
        part: Arc<PublishedPart>,
    ) -> Result<RenderedGroup, CommandError> {
        let Group { id, changed, .. } = self.groups.find(path)?;
        let serial = PolicySerial::new(*id, *changed);
        let policy = PolicyDocument {
            group: path.to_owned(),
            serial,
            secure_communications: own.secure_communications,
            policies: own.policies.iter().map(|(name, content)| (name.clone(), content.clone())).collect(),
        };
        let policy = Bytes::from(policy.to_xml());
        Ok(RenderedGroup { id: *id, serial, policy_checksum: profile_checksum(&policy), policy, part })
    }

    /// The communication settings of a group or location for its clients: settings, the list with actual addresses,
    /// and the certificate of every manager of the site [C S20].
    fn conf(
        &self,
        own: &GroupSettings,
        settings: &CommunicationSettings,
        list: &str,
    ) -> Result<CommConf, CommandError> {
        let list = self.list(list)?;
        let priorities = list.priorities.iter().map(|block| {
            block
                .0
                .iter()
                .map(|server| {
                    let verify_signatures = own.secure_communications;
                    Ok(ClientServer { verify_signatures, ..self.definite(list, server)? })
                })
                .collect::<Result<Vec<_>, CommandError>>()
        });
        let certificates =
            self.managers.values().map(|one| self.as_known(one)).map(|manager| NamedCertificate {
                name: manager.name.clone(),
                der: Bytes::copy_from_slice(
                    manager.identity(self.assumptions.signing_store).certificate().der(),
                ),
            });
        let seconds = settings.heartbeat_seconds;
        Ok(CommConf {
            settings: AgentCommunication {
                always_connect: settings.connect,
                mode: settings.mode,
                disable_download_profile: !settings.download_profile,
                kcs_hex: self.kcs.to_string(),
                push_heartbeat_seconds: seconds,
                pull_heartbeat_seconds: seconds,
                upload_cmd_state_heartbeat_seconds: seconds,
                upload_log_heartbeat_seconds: seconds,
                upload_op_state_heartbeat_seconds: seconds,
                upload_learned_app: false,
                randomization_enabled: settings.randomization_enabled,
                randomization_range: settings.randomization_range,
                remember_current_group: false,
                remember_current_policy_mode: true,
            },
            list: ClientServerList {
                name: list.name.clone(),
                priorities: priorities.collect::<Result<_, _>>()?,
            },
            certificates: certificates.collect(),
        })
    }

    /// A server of a list with the actual address and ports.
    pub(super) fn definite(
        &self,
        list: &ManagementServerList,
        server: &ManagementServer,
    ) -> Result<ClientServer, CommandError> {
        let manager = self.find_manager(&server.manager)?;
        let http_port = server.http_port.or(manager.ports.http);
        let https_port =
            server.https_port.or(manager.ports.https).filter(|_| list.protocol == Protocol::Https);
        let speaks = match list.protocol {
            Protocol::Http => http_port,
            Protocol::Https => https_port,
        };
        if speaks.is_none() {
            return Err(CommandError::NoPort {
                list: list.name.clone(),
                manager: server.manager.clone(),
                protocol: list.protocol,
            });
        }
        Ok(ClientServer {
            address: server.address.clone().unwrap_or_else(|| manager.ports.address.clone()),
            http_port,
            https_port,
            verify_ca: list.verify_ca,
            verify_signatures: true,
        })
    }
}

/// Whether both hold the same bytes; most often they are the same allocation.
fn same(one: &Bytes, other: &Bytes) -> bool {
    (one.as_ptr() == other.as_ptr() && one.len() == other.len()) || one == other
}

/// The checksum of a policy in the index: 32 hexadecimal digits [C S26]. The product's algorithm is not documented; the
/// lab uses the first half of SHA-256.
fn profile_checksum(policy: &[u8]) -> String {
    let mut digits = sha256_hex(policy).to_ascii_uppercase();
    digits.truncate(32);
    digits
}
