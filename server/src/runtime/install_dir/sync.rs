//! How a running site lives from its folders: read when a service starts, written when the site changes.

use std::path::Path;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use epm_protocol::installation::RecoverySettings;
use epm_protocol::site::{
    Command, CommandError, ConsoleTrouble, Effect, Material, NewCertificate, Site, Stores,
};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Salts, ServerIdentity};

use crate::runtime::install_dir::{CERTIFICATE, Installation, InstallationError, KEY, RecoveryFile, Stored};
use crate::runtime::state::{ManagerRuntime, Service, SiteState};

/// Which services of a manager start, of those that were asked to.
pub(crate) enum Starting {
    All,
    Only(Service),
    None,
}

impl SiteState {
    /// Gives a manager its folder.
    pub(crate) fn install(&self, manager: &str, root: &Path, anew: bool) -> Result<(), InstallationError> {
        let runtime =
            self.manager(manager).ok_or_else(|| InstallationError::NoManager(manager.to_owned()))?;
        let installation = Installation::open(root, self.site().assumptions())?;
        let was_here = installation.is_laid_out() && !anew;
        let now = self.now();
        if !anew {
            let (kept, mut broken) = installation.recoveries();
            // Who brings a file to an empty manager wants it to be used, and not to lose every client.
            if kept.is_none() && !was_here && !broken.is_empty() {
                return Err(broken.swap_remove(0));
            }
            for trouble in &broken {
                installation.warn(now, &format!("a recovery file cannot be used: {trouble}"));
            }
            match kept {
                // What the product keeps in its database.
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
            write_stores(&installation, &site, manager, Stores::Both, now)?;
        }
        let installation = runtime.installation.get_or_init(|| installation);
        installation.note_secret(self.site().kcs(), now);
        if was_here {
            self.restart_manager(manager, None);
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

    /// Installs the managers anew, from this recovery file.
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
        let name = format!("recovery file of {}", self.journal.next_number());
        let from = || Some(name.clone());
        let kept = Command::KeepRecovery {
            recovery: name.clone(),
            manager: manager.to_owned(),
            identity: file.identity.clone(),
            secret: file.settings.secret.clone(),
            domain: file.settings.domain,
        };
        let again = Command::Reinstall { keystore: from(), secret: from(), domain: from(), database };
        self.apply_all(&[kept, again])?;
        self.journal.did(format!("{manager:?} restored from a recovery file"));
        Ok(())
    }

    /// A recovery file of a manager as it is now; none if there is no such manager.
    pub(crate) fn back_up(&self, manager: &str) -> Result<Vec<u8>, InstallationError> {
        let (now, site) = (self.now(), self.site());
        let mut zip = Err(InstallationError::NoManager(manager.to_owned()));
        kept(&site, manager, |kept| {
            zip = Ok(crate::runtime::install_dir::back_up(&kept, site.assumptions(), now)?);
            Ok(())
        })?;
        zip
    }

    /// Reads the stores of a manager's services again, before they start. One whose store cannot be used does not start,
    /// and says why in its log.
    pub(crate) fn read_again(&self, manager: &ManagerRuntime, service: Option<Service>) -> Starting {
        let Some(installation) = manager.installation.get() else { return Starting::All };
        let asked = [Service::Semsrv, Service::Semwebsrv].into_iter();
        let asked: Vec<Service> = asked.filter(|one| service.is_none_or(|only| only == *one)).collect();
        let mut starting = Vec::new();
        for one in &asked {
            let found = installation.read_store(*one);
            let trouble = match &found {
                Ok(identity) => {
                    if let Err(error) = self.take_over(manager, *one, identity) {
                        tracing::error!(%error, manager = manager.name, "the site refuses its own files");
                    }
                    if *one == Service::Semsrv
                        && let Some(trouble) = self.console_trouble(&manager.name)
                    {
                        installation.warn(self.now(), &format!("F14: {trouble}"));
                    }
                    starting.push(*one);
                    None
                }
                Err(trouble) => Some(trouble),
            };
            installation.note(*one, self.now(), trouble);
            let (stopped, guests) = match one {
                Service::Semsrv => (&manager.rest.stopped, &manager.rest.connections),
                Service::Semwebsrv => (&manager.stopped, &manager.connections),
            };
            stopped.store(trouble.is_some(), Ordering::SeqCst);
            if trouble.is_some() {
                guests.end_all();
            }
        }
        match starting.as_slice() {
            [] => Starting::None,
            [one] => Starting::Only(*one),
            _ => Starting::All,
        }
    }

    /// What keeps administrators out of a manager's console (F14).
    fn console_trouble(&self, manager: &str) -> Option<ConsoleTrouble> {
        let site = self.site();
        let found = site.managers().find(|one| one.name == manager);
        found.and_then(|one| one.console_trouble(site.assumptions()))
    }

    /// The site takes what a store holds, if it is something else than before.
    fn take_over(
        &self,
        manager: &ManagerRuntime,
        service: Service,
        identity: &ServerIdentity,
    ) -> Result<(), CommandError> {
        let is_known = self.site().managers().any(|one| {
            let before = if service == Service::Semsrv { &one.console } else { &one.client };
            one.name == manager.name && before == identity
        });
        if is_known {
            return Ok(());
        }
        let material =
            |file: &str, content: Vec<u8>| Material { file: file.to_owned(), content: content.into() };
        let key = identity.key_pem(None, &mut Salts::from_seed([0; 32])); // without a password, none is taken
        let key = key.map(|key| Bytes::copy_from_slice(key.as_bytes())).unwrap_or_default();
        let certificate = NewCertificate::Import {
            certificate: material(CERTIFICATE, identity.certificates_pem().into_bytes()),
            key: Material { file: KEY.to_owned(), content: key },
            key_password: None,
        };
        let stores = if service == Service::Semsrv { Stores::Console } else { Stores::Client };
        let command = Command::UpdateCertificate { manager: manager.name.clone(), certificate, stores };
        let now = self.now();
        let mut site = self.site();
        let effects = site.apply(&command, now)?;
        // It is in the files already: they are not written again.
        self.show_without_files(&site, &effects, now);
        let Some(installation) = manager.installation.get() else { return Ok(()) };
        let mut written =
            site.publication(&manager.name).map_or(Ok(()), |one| installation.write_outbox(one));
        if service == Service::Semsrv {
            let zip = kept(&site, &manager.name, |kept| installation.write_recovery(&kept, now));
            written = written.and(zip);
        }
        if let Err(error) = written {
            tracing::error!(%error, manager = manager.name, "the installation cannot be written");
        }
        Ok(())
    }

    /// The site has become another one: the folders hold what it says, and every service has started.
    pub(crate) fn lay_out_again(&self, site: &Site, now: Timestamp) {
        for manager in &self.managers {
            let Some(installation) = manager.installation.get() else { continue };
            manager.stopped.store(false, Ordering::SeqCst);
            manager.rest.stopped.store(false, Ordering::SeqCst);
            let written = kept(site, &manager.name, |kept| {
                let holds = |service, identity: &ServerIdentity| {
                    installation.read_store(service).is_ok_and(|found| found == *identity)
                };
                if holds(Service::Semsrv, kept.console) && holds(Service::Semwebsrv, kept.client) {
                    installation.write_recovery(&kept, now)
                } else {
                    installation.write_stores(&kept, Stores::Both, now)
                }
            });
            installation.note_secret(site.kcs(), now);
            let outbox = site.publication(&manager.name).map_or(Ok(()), |one| installation.write_outbox(one));
            if let Err(error) = written.and(outbox) {
                tracing::error!(%error, manager = manager.name, "the installation cannot be written");
            }
        }
    }

    /// Writes what has changed into the folders, before it shows.
    pub(crate) fn keep_files(&self, site: &Site, effects: &[Effect], now: Timestamp) {
        for manager in &self.managers {
            let Some(installation) = manager.installation.get() else { continue };
            let has = |wanted: &dyn Fn(&Effect) -> bool| effects.iter().any(wanted);
            let restarted = has(&|effect| matches!(effect, Effect::ServicesRestarted));
            let client = has(
                &|effect| matches!(effect, Effect::CertificateServed { manager: one, .. } if *one == manager.name),
            );
            let console = has(
                &|effect| matches!(effect, Effect::ConsoleCertificate { manager: one, .. } if *one == manager.name),
            );
            let stores = match (restarted || console, restarted || client) {
                (false, false) => None,
                (true, false) => Some(Stores::Console),
                (false, true) => Some(Stores::Client),
                (true, true) => Some(Stores::Both),
            };
            let mut written = Ok(());
            if let Some(stores) = stores {
                written = write_stores(installation, site, &manager.name, stores, now);
            }
            if restarted {
                installation.note_secret(site.kcs(), now);
            }
            if effects.iter().any(|effect| matches!(effect, Effect::Published { .. }))
                && let Some(publication) = site.publication(&manager.name)
            {
                written = written.and(installation.write_outbox(publication));
            }
            if let Err(error) = written {
                tracing::error!(%error, manager = manager.name, "the installation cannot be written");
            }
        }
    }
}

fn write_stores(
    installation: &Installation,
    site: &Site,
    manager: &str,
    stores: Stores,
    now: Timestamp,
) -> Result<(), InstallationError> {
    kept(site, manager, |kept| installation.write_stores(&kept, stores, now))
}

/// Does something with what the files of a manager are to say.
fn kept(
    site: &Site,
    manager: &str,
    act: impl FnOnce(Stored<'_>) -> Result<(), InstallationError>,
) -> Result<(), InstallationError> {
    let settings = RecoverySettings { secret: site.kcs().clone(), domain: site.domain() };
    match site.managers().find(|one| one.name == manager) {
        Some(one) => act(Stored { console: &one.console, client: &one.client, settings: &settings }),
        None => Ok(()),
    }
}
