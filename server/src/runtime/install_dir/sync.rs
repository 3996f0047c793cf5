//! Keeps installation folders and the site in step, in both directions.

use std::sync::Arc;

use epm_protocol::installation::RecoverySettings;
use epm_protocol::site::{Command, CommandError, Effect, Site, Stores};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::ServerIdentity;

use crate::runtime::install_dir::{Installation, InstallationError, Stored};
use crate::runtime::journal::Journal;
use crate::runtime::manager::ManagerRuntime;
use crate::runtime::service::Service;

/// Writes the effects of commands into the managers' folders, before they are published.
///
/// # Errors
///
/// When the files of a manager cannot be written; those of the managers before it have been.
pub(crate) fn write_effects(
    managers: &[Arc<ManagerRuntime>],
    site: &Site,
    effects: &[Effect],
    now: Timestamp,
) -> Result<(), CommandError> {
    for manager in managers {
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
        if has(&|effect| matches!(effect, Effect::Published { .. })) {
            written = written.and_then(|()| write_outbox(site, manager, installation));
        }
        if let Err(error) = &written {
            let (manager, why) = (manager.name.clone(), error.to_string());
            log_failure(&manager, written);
            return Err(CommandError::NotWritten { manager, why });
        }
    }
    Ok(())
}

/// Writes everything of a replaced site; every service has then started.
pub(crate) fn write_all(managers: &[Arc<ManagerRuntime>], site: &Site, now: Timestamp) {
    for manager in managers {
        let Some(installation) = manager.installation.get() else { continue };
        for service in [Service::Semsrv, Service::Semwebsrv] {
            manager.started(service, None);
        }
        let written = with_stored(site, &manager.name, |stored| {
            let holds = |service, identity: &ServerIdentity| {
                installation.read_store(service).is_ok_and(|found| found == *identity)
            };
            if holds(Service::Semsrv, stored.console) && holds(Service::Semwebsrv, stored.client) {
                installation.write_recovery(&stored, now)
            } else {
                installation.write_stores(&stored, Stores::Both, now)
            }
        });
        installation.note_secret(site.kcs(), now);
        log_failure(&manager.name, written.and(write_outbox(site, manager, installation)));
    }
}

/// The update that makes the site adopt the contents of a manager's store; none if the site has them already.
pub(crate) fn taken_over(
    site: &Site,
    manager: &ManagerRuntime,
    service: Service,
    identity: &ServerIdentity,
) -> Option<Command> {
    let is_known = site.managers().any(|one| {
        let before = if service == Service::Semsrv { &one.console } else { &one.client };
        one.name == manager.name && before == identity
    });
    if is_known {
        return None;
    }
    let stores = if service == Service::Semsrv { Stores::Console } else { Stores::Client };
    Some(Command::TakeOver { manager: manager.name.clone(), identity: identity.clone(), stores })
}

/// Writes what follows from adopted files: the outbox and, for the console's store, a recovery file.
pub(crate) fn write_taken_over(site: &Site, manager: &ManagerRuntime, service: Service, now: Timestamp) {
    let Some(installation) = manager.installation.get() else { return };
    let mut written = write_outbox(site, manager, installation);
    if service == Service::Semsrv {
        let zip = with_stored(site, &manager.name, |stored| installation.write_recovery(&stored, now));
        written = written.and(zip);
    }
    log_failure(&manager.name, written);
}

/// Says in the journal and in the manager's log if the console's certificate keeps administrators out (F14).
pub(crate) fn warn_of_console_trouble(
    site: &Site,
    manager: &ManagerRuntime,
    journal: &Journal,
    now: Timestamp,
) {
    let known = site.managers().find(|one| one.name == manager.name);
    let Some(trouble) = known.and_then(|one| one.console_trouble(site.assumptions())) else { return };
    journal.operator_action(format!("certificate of {:?}: {trouble}", manager.name));
    if let Some(installation) = manager.installation.get() {
        installation.warn(now, &trouble.to_string());
    }
}

/// Writes stores of a manager as the site has them.
pub(crate) fn write_stores(
    installation: &Installation,
    site: &Site,
    manager: &str,
    stores: Stores,
    now: Timestamp,
) -> Result<(), InstallationError> {
    with_stored(site, manager, |stored| installation.write_stores(&stored, stores, now))
}

/// Calls `with` with the contents for the files of a manager; does nothing for an unknown manager.
pub(crate) fn with_stored(
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

fn write_outbox(
    site: &Site,
    manager: &ManagerRuntime,
    installation: &Installation,
) -> Result<(), InstallationError> {
    site.publication(&manager.name).map_or(Ok(()), |one| installation.write_outbox(one))
}

fn log_failure(manager: &str, written: Result<(), InstallationError>) {
    if let Err(error) = written {
        tracing::error!(%error, manager, "cannot write the installation");
    }
}
