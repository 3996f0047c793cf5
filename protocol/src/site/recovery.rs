//! Disaster recovery: the content of a recovery file, and the reinstallation of a site's managers.
//!
//! A recovery file holds the keystores, the encryption password, from which the shared secret derives, and the
//! identifier of the default domain [C S7]. A manager that is installed without one makes its own of each [I S7, S9].
//! The real program takes a recovery file whole; here each of the three has its own source, so that every mistake can
//! be made.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::command::check_name;
use super::command_error::CommandError;
use super::effect::Effect;
use super::manager::ManagerPorts;
use super::state::{AffectedGroups, Keystore, Recovery, Site};
use crate::id::{DomainId, Guid};
use crate::time::Timestamp;
use crate::trust::{Kcs, ServerIdentity};

impl Site {
    /// Makes a recovery file of this site.
    pub(super) fn back_up(&mut self, name: &str) -> Result<AffectedGroups, CommandError> {
        self.check_recovery(name)?;
        let keystores = self.managers.iter().map(|(name, manager)| {
            let keystore = Keystore { console: manager.console.clone(), client: manager.client.clone() };
            (name.clone(), keystore)
        });
        let recovery =
            Recovery { keystores: keystores.collect(), secret: self.kcs.clone(), domain: self.domain };
        self.recoveries.insert(name.to_owned(), recovery);
        Ok(AffectedGroups::None)
    }

    /// Keeps a recovery file that a manager made. It holds one keystore, which serves both stores.
    pub(super) fn keep_recovery(
        &mut self,
        name: &str,
        manager: &str,
        identity: &ServerIdentity,
        secret: &Kcs,
        domain: DomainId,
    ) -> Result<AffectedGroups, CommandError> {
        self.check_recovery(name)?;
        let keystore = Keystore { console: identity.clone(), client: identity.clone() };
        let keystores = BTreeMap::from([(manager.to_owned(), keystore)]);
        self.recoveries.insert(name.to_owned(), Recovery { keystores, secret: secret.clone(), domain });
        Ok(AffectedGroups::None)
    }

    /// Makes a recovery file of another site. It derives from the seed of this one and the file's name.
    pub(super) fn back_up_another_site(
        &mut self,
        name: &str,
        now: Timestamp,
    ) -> Result<AffectedGroups, CommandError> {
        self.check_recovery(name)?;
        let recovery = Recovery {
            keystores: self.new_keystores(now)?,
            secret: Kcs::derive(self.seed_of("another site", name)),
            domain: self.domain_of("another site", name),
        };
        self.recoveries.insert(name.to_owned(), recovery);
        Ok(AffectedGroups::None)
    }

    /// Reinstalls every manager: keystore, secret and domain come from these recovery files, or are new.
    pub(super) fn reinstall(
        &mut self,
        [keystore, secret, domain]: [Option<&str>; 3],
        has_database: bool,
        now: Timestamp,
    ) -> Result<Vec<Effect>, CommandError> {
        let keystores =
            keystore.map(|name| self.recovery(name)).transpose()?.map(|one| one.keystores.clone());
        let secret = secret.map(|name| self.recovery(name)).transpose()?.map(|one| one.secret.clone());
        let domain = domain.map(|name| self.recovery(name)).transpose()?.map(|one| one.domain);
        let keystores = match keystores {
            Some(kept) => kept,
            None => self.new_keystores(now)?,
        };
        // A reinstalled manager starts with what all managers know.
        self.stopped.clear();
        self.reinstalled += 1;
        let installation = self.reinstalled.to_string();
        self.kcs = secret.unwrap_or_else(|| Kcs::derive(self.seed_of("installation", &installation)));
        self.domain = domain.unwrap_or_else(|| self.domain_of("installation", &installation));
        let mut effects = Vec::new();
        for (name, keystore) in keystores {
            let Some(manager) = self.managers.get_mut(&name) else { continue };
            let fingerprint = keystore.client.certificate().fingerprint();
            if manager.client.certificate().fingerprint() != fingerprint {
                effects.push(Effect::CertificateServed { manager: name, fingerprint });
            }
            (manager.console, manager.client) = (keystore.console, keystore.client);
        }
        if !has_database {
            self.clients.clear();
            effects.push(Effect::ClientsForgotten);
        }
        effects.push(Effect::ServicesRestarted);
        Ok(effects)
    }

    /// Makes a new certificate for each manager, the same in both stores, as the wizard does.
    fn new_keystores(&mut self, now: Timestamp) -> Result<BTreeMap<String, Keystore>, CommandError> {
        let used = self.keys_used;
        let places: Vec<(String, ManagerPorts)> =
            self.managers.values().map(|one| (one.name.clone(), one.ports.clone())).collect();
        let mut keystores = BTreeMap::new();
        for (name, ports) in places {
            match self.self_signed(&ports.address, &ports, None, self.time_at(&name, now)) {
                Ok(identity) => {
                    keystores.insert(name, Keystore { console: identity.clone(), client: identity });
                }
                Err(error) => {
                    self.keys_used = used;
                    return Err(error);
                }
            }
        }
        Ok(keystores)
    }

    /// The name of a recovery file that has the site's present shared secret; none if no file that the site was told of has it.
    pub fn recovery_with_this_secret(&self) -> Option<&str> {
        let found = self.recoveries.iter().find(|(_, recovery)| recovery.secret == self.kcs);
        found.map(|(name, _)| name.as_str())
    }

    fn recovery(&self, name: &str) -> Result<&Recovery, CommandError> {
        let known = self.recoveries.keys().map(String::as_str);
        self.recoveries.get(name).ok_or_else(|| CommandError::unknown("recovery file", name, known))
    }

    /// Refuses a name under which no recovery file can be kept.
    fn check_recovery(&self, name: &str) -> Result<(), CommandError> {
        check_name("recovery", name)?;
        if self.recoveries.contains_key(name) {
            return Err(CommandError::NameTaken { kind: "recovery file", name: name.to_owned() });
        }
        Ok(())
    }

    /// A seed for what does not, or no longer, belong to this site.
    pub(super) fn seed_of(&self, kind: &str, name: &str) -> u64 {
        let drawn = Guid::derive(self.secret_seed, kind, name, Ipv4Addr::LOCALHOST);
        drawn.as_bytes()[8..].iter().fold(0, |seed, byte| (seed << 8) | u64::from(*byte))
    }

    fn domain_of(&self, kind: &str, name: &str) -> DomainId {
        let address = self.managers.values().next().map_or(Ipv4Addr::LOCALHOST, |one| one.ports.ipv4());
        DomainId(Guid::derive(self.seed_of(kind, name), "domain", "Default", address))
    }
}
