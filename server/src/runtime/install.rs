//! Installation of a running site's managers: installation folders, and recovery files.

use std::path::Path;

use epm_protocol::site::{Command, CommandError, Stores};

use crate::runtime::install_dir::{Installation, InstallationError, RecoveryFile, back_up, sync};
use crate::runtime::service::Service;
use crate::runtime::state::SiteState;
use crate::store::{Batch, Change, GivenBy};

impl SiteState {
    /// Gives a manager an installation folder.
    pub(crate) fn install(&self, manager: &str, root: &Path, anew: bool) -> Result<(), InstallationError> {
        let runtime =
            self.manager(manager).ok_or_else(|| InstallationError::NoManager(manager.to_owned()))?;
        let installation = Installation::open(root, self.site().assumptions())?;
        if let Some(place) = runtime.rest.place() {
            installation.serves_rest_at(place.port());
        }
        let was_here = installation.is_laid_out() && !anew;
        let now = self.now();
        if !anew {
            let (kept, mut broken) = installation.recoveries();
            // With a recovery file in an empty folder, the operator wants it used: otherwise every client would be
            // orphaned.
            if kept.is_none() && !was_here && !broken.is_empty() {
                return Err(broken.swap_remove(0));
            }
            for trouble in &broken {
                installation.warn(now, &format!("cannot use a recovery file: {trouble}"));
            }
            match kept {
                // Data that the product keeps in its database.
                Some(kept) if was_here => {
                    let is_other = {
                        let site = self.site();
                        *site.kcs() != kept.settings.secret || site.domain() != kept.settings.domain
                    };
                    if is_other {
                        self.restore(manager, &kept, true)?;
                    }
                }
                // An empty manager with a recovery file is installed from it.
                Some(kept) => self.restore(manager, &kept, false)?,
                None => {}
            }
        }
        if !was_here {
            let site = self.site();
            sync::write_stores(&installation, &site, manager, Stores::Both, now)?;
        }
        let installation = runtime.installation.get_or_init(|| installation);
        installation.note_secret(self.site().kcs(), now);
        if was_here {
            self.restart_manager(manager, None);
            let mut site = self.site();
            let served = site.managers().find(|one| one.name == manager);
            if let Some(found) = served.map(|one| one.console.certificate().fingerprint()) {
                self.record(&Change::DrawOnFrom(found), GivenBy::Files, Batch::default())?;
                site.draw_on_from(found);
            }
        } else {
            for service in [Service::Semsrv, Service::Semwebsrv] {
                installation.note(service, now, None);
            }
        }
        if let Some(publication) = self.site().publication(manager) {
            installation.write_outbox(publication)?;
        }
        Ok(())
    }

    /// Reinstalls the managers from this recovery file.
    pub(crate) fn restore(
        &self,
        manager: &str,
        file: &RecoveryFile,
        database: bool,
    ) -> Result<(), CommandError> {
        if self.manager(manager).is_none() {
            let known = self.managers.iter().map(|manager| manager.name.as_str());
            return Err(CommandError::unknown("manager", manager, known));
        }
        let shared = self.keeper.shared_site().map(|shared| shared.followed().unsigned_abs());
        let number = shared.unwrap_or_else(|| self.journal.next_number());
        let name = format!("given to {manager} at {}, number {number}", self.now());
        let from = || Some(name.clone());
        let kept = Command::KeepRecovery {
            recovery: name.clone(),
            manager: manager.to_owned(),
            identity: file.identity.clone(),
            secret: file.settings.secret.clone(),
            domain: file.settings.domain,
        };
        let again = Command::Reinstall { keystore: from(), secret: from(), domain: from(), database };
        self.apply_all(&[kept, again], GivenBy::Files)?;
        self.journal.operator_action(format!("{manager:?} restored from a recovery file"));
        Ok(())
    }

    /// A recovery file of a manager's current state.
    pub(crate) fn back_up(&self, manager: &str) -> Result<Vec<u8>, InstallationError> {
        let (now, site) = (self.now(), self.site());
        let mut zip = Err(InstallationError::NoManager(manager.to_owned()));
        sync::with_stored(&site, manager, |stored| {
            zip = Ok(back_up(&stored, site.assumptions(), now)?);
            Ok(())
        })?;
        zip
    }
}
