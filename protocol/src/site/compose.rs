//! From what is set to what is published: documents composed, serials advanced, each artifact signed once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::group::{Group, GroupSettings};
use super::publication::{PublishedArtifact, PublishedGroup};
use super::{CommandError, Manager, Publication, Site};
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

/// What every manager publishes of a group alike, before each signs it.
struct Composed {
    id: GroupId,
    serial: PolicySerial,
    policy: Bytes,
    list: Bytes,
    packages: Vec<String>,
}

impl Site {
    /// Advances the serials of these groups and publishes them anew, on every manager.
    pub(super) fn publish(&mut self, paths: &BTreeSet<String>, now: Timestamp) -> Vec<GroupId> {
        for path in paths {
            if let Ok(group) = self.groups.find_mut(path) {
                group.changed = now.max(group.changed + Duration::from_millis(1));
            }
        }
        let composed: Vec<Composed> = paths.iter().filter_map(|path| self.compose(path).ok()).collect();
        let managers: Vec<String> = self.managers.keys().cloned().collect();
        for name in managers {
            let next = self.publication_of(&self.managers[&name], &composed);
            self.publications.insert(name, Arc::new(next));
        }
        composed.iter().map(|group| group.id).collect()
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

    fn publication_of(&self, manager: &Manager, composed: &[Composed]) -> Publication {
        let signer = manager.identity(self.assumptions.signing_store).clone();
        let before = self.publications.get(&manager.name);
        let unchanged = before.filter(|one| one.signer.certificate() == signer.certificate());
        let mut packages = HashMap::new();
        for (name, content) in &self.packages {
            let known = unchanged.and_then(|one| one.packages.get(name)).filter(|one| one.body == *content);
            let artifact = known
                .cloned()
                .unwrap_or_else(|| PublishedArtifact::sign(content.clone(), ContentType::Binary, &signer));
            packages.insert(name.clone(), artifact);
        }
        let mut groups = before.map(|one| one.groups.clone()).unwrap_or_default();
        for group in composed {
            let index = Index {
                manager: manager.name.clone(),
                serial: group.serial,
                policy_checksum: sha256_hex(&group.policy),
                list_checksum: sha256_hex(&group.list),
                packages: group.packages.iter().filter_map(|name| self.package_entry(name)).collect(),
                commands: Vec::new(),
            };
            let published = PublishedGroup {
                serial: group.serial,
                index: Bytes::from(index.to_xml()),
                policy: PublishedArtifact::sign(group.policy.clone(), ContentType::Xml, &signer),
                list: PublishedArtifact::sign(group.list.clone(), ContentType::Xml, &signer),
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

    fn compose(&self, path: &str) -> Result<Composed, CommandError> {
        let Group { id, changed, .. } = self.groups.find(path)?;
        let own = self.groups.effective(path)?;
        let serial = PolicySerial::new(*id, *changed);
        let policy = PolicyDocument {
            group: path.to_owned(),
            serial,
            secure_communications: own.secure_communications,
            policies: own.policies.iter().map(|(name, content)| (name.clone(), content.clone())).collect(),
        };
        let locations = own.locations.iter().map(|(name, location)| {
            let conf = location.own.as_ref().map(|one| self.conf(own, &one.communication, &one.list));
            Ok(LocationConf { id: location.id, name: name.clone(), conf: conf.transpose()? })
        });
        let list = PublishedList {
            domain_id: self.domain,
            group: self.conf(own, &own.communication, &own.list)?,
            locations: locations.collect::<Result<_, CommandError>>()?,
        };
        Ok(Composed {
            id: *id,
            serial,
            policy: Bytes::from(policy.to_xml()),
            list: Bytes::from(list.to_xml()),
            packages: own.packages.clone(),
        })
    }

    /// What clients are told: the settings, the list with its addresses made definite, and the certificate of every
    /// manager of the site [C S20].
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
        let certificates = self.managers.values().map(|manager| NamedCertificate {
            name: manager.name.clone(),
            der: Bytes::copy_from_slice(manager.identity(self.assumptions.signing_store).certificate().der()),
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

    /// A server of a list with the address and ports that its clients are told.
    pub(super) fn definite(
        &self,
        list: &ManagementServerList,
        server: &ManagementServer,
    ) -> Result<ClientServer, CommandError> {
        let known = self.managers.keys().map(String::as_str);
        let found = self.managers.get(&server.manager);
        let manager = found.ok_or_else(|| CommandError::unknown("manager", &server.manager, known))?;
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
