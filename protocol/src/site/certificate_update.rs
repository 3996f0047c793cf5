//! Replaces the server certificate of a manager, in one store or both.

use std::time::Duration;

use super::command::{NewCertificate, Stores};
use super::command_error::CommandError;
use super::effect::Effect;
use super::manager::ManagerPorts;
use super::state::Site;
use crate::time::Timestamp;
use crate::trust::{self, CertificateRequest, ServerIdentity, Validity};

impl Site {
    pub(super) fn update_certificate(
        &mut self,
        name: &str,
        certificate: &NewCertificate,
        stores: Stores,
        now: Timestamp,
    ) -> Result<Vec<Effect>, CommandError> {
        let ports = self.find_manager(name)?.ports.clone();
        let identity = match certificate {
            NewCertificate::Generate { common_name, valid_days } => {
                let common_name = common_name.as_ref().unwrap_or(&ports.address);
                self.self_signed(common_name, &ports, *valid_days, self.time_at(name, now))?
            }
            brought => match brought.read(&self.assumptions.wizard_rules()) {
                Some(read) => read?,
                None => return Ok(Vec::new()),
            },
        };
        Ok(self.store(name, identity, stores))
    }

    /// Puts an identity into stores of a manager.
    pub(super) fn store(&mut self, name: &str, identity: ServerIdentity, stores: Stores) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(manager) = self.managers.get_mut(name) else { return effects };
        let fingerprint = identity.certificate().fingerprint();
        if stores != Stores::Client {
            manager.console = identity.clone();
            effects.push(Effect::ConsoleCertificate { manager: name.to_owned(), fingerprint });
        }
        if stores != Stores::Console {
            manager.client = identity;
            effects.push(Effect::CertificateServed { manager: name.to_owned(), fingerprint });
        }
        effects
    }

    pub(super) fn self_signed(
        &mut self,
        common_name: &str,
        ports: &ManagerPorts,
        valid_days: Option<u32>,
        now: Timestamp,
    ) -> Result<ServerIdentity, CommandError> {
        let days = valid_days.unwrap_or(self.assumptions.certificate_validity_days);
        let backdated = i64::from(self.assumptions.certificate_backdated_seconds);
        let key = self.keys.get(self.keys_used);
        let request = CertificateRequest {
            common_name: common_name.to_owned(),
            names: vec![ports.address.clone()],
            validity: Validity {
                not_before: Timestamp::from_seconds(now.as_seconds() - backdated),
                not_after: Timestamp::from_seconds(now.as_seconds())
                    + Duration::from_secs(u64::from(days) * 86_400),
            },
            serial: self.keys.serial(self.keys_used),
        };
        let certificate = trust::issue(&key, &request)?;
        let identity = ServerIdentity::new(key, certificate)?;
        identity.check_size()?;
        self.keys_used += 1;
        Ok(identity)
    }
}
