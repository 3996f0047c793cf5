//! Keys that a lab has not made, in the copy of its store that is handed on: a certificate with another key stands in for each
//! foreign one, everywhere: in the log, in lists, in what clients hold, in what is reported of them.
//!
//! The log of the site is repeated to find out which keys the lab has made. Then the log brings stand-ins where it brought
//! foreign files, and every text of the store is searched for the certificates that they stand in for, for their
//! fingerprints, and for checksums of texts that change by that.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::rand::fill;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use epm_protocol::heartbeat::http::sha256_hex;
use epm_protocol::site::{Command, Material, NewCertificate, Replay, Stores};
use epm_protocol::sylink::Sylink;
use epm_protocol::trust::{Fingerprint, Kcs, ServerCertificate, ServerIdentity, StandIn, StandInError};
use serde_json::Value;

use super::error::ExportError;
use super::manifest::{Manifest, Replaced};
use crate::runtime::kept_journal::KeptEntry;
use crate::store::{Batch, Change, FoundedWith, Kind, Log, LogEntry, SqliteStore, Store};

/// What a lab has that is foreign, and what stands in for it.
#[derive(Default)]
struct Foreign {
    stand_ins: BTreeMap<Fingerprint, ServerIdentity>,
    certificates: Vec<(ServerCertificate, ServerCertificate)>,
    secrets: BTreeMap<String, Kcs>,
    replaced: Vec<Replaced>,
}

/// Replaces everything foreign in a store, and says so in the manifest. Returns what stands in for each text that has something
/// foreign.
pub(super) fn replace(
    store: &SqliteStore,
    founded: &FoundedWith,
    manifest: &mut Manifest,
) -> Result<Vec<(String, String)>, ExportError> {
    let mut foreign = Foreign::default();
    let own = foreign.replace_in_log(store, founded)?;
    for_each_text(store, &mut |text| foreign.learn_secret(text, &own))?;
    let mut texts = foreign.texts();
    if texts.is_empty() {
        return Ok(texts);
    }
    texts.extend(checksums(store, &texts)?);
    store.edit_texts(&|text| replaced(text, &texts))?;
    replace_in_bodies(store, &texts)?;
    (manifest.replaced, manifest.replaced_secrets) = (foreign.replaced, foreign.secrets.len());
    Ok(texts)
}

impl Foreign {
    /// Returns the shared secrets that the site has had.
    fn replace_in_log(
        &mut self,
        store: &SqliteStore,
        founded: &FoundedWith,
    ) -> Result<BTreeSet<String>, ExportError> {
        let mut log = Vec::new();
        store.read_log(&mut |entry| {
            log.push(entry);
            Ok(())
        })?;
        let bad = |error: &dyn std::fmt::Display| store.invalid("the log".to_owned(), error);
        let mut site = Replay::begin(founded.founding(), founded.at).map_err(|error| bad(&error))?;
        let mut own: BTreeSet<Fingerprint> = certificates_of(&site, founded).collect();
        let mut secrets = BTreeSet::from([site.secret().to_string()]);
        let mut snapshots = BTreeMap::new();
        for LogEntry { sequence, at, change, .. } in log {
            match change {
                Change::Commands { mut commands, clocks, update } => {
                    let rules = site.assumptions().wizard_rules();
                    let mut is_foreign = false;
                    for command in &mut commands {
                        let Some(identity) = command.brought(&rules) else { continue };
                        is_foreign |= self.replace_in(command, &identity, &own, &site)?;
                    }
                    site.repeat(&commands, &clocks, at).map_err(|error| bad(&error))?;
                    secrets.insert(site.secret().to_string());
                    if !is_foreign {
                        own.extend(certificates_of(&site, founded));
                        continue;
                    }
                    store.replace_entry(sequence, &Change::Commands { commands, clocks, update })?;
                }
                Change::Assume(assumptions) => site.assume(assumptions),
                Change::DrawOnFrom(certificate) => site.draw_on_from(certificate),
                Change::TakeSnapshot(name) => drop(snapshots.insert(name, site.clone())),
                Change::RemoveSnapshot(name) => drop(snapshots.remove(&name)),
                Change::RestoreSnapshot { name, assumptions, replaces } => {
                    let earlier = snapshots.get(&name).cloned();
                    let drawn = replaces.map_or(site.drawn(), |one| one.drawn);
                    site.restore(earlier.ok_or_else(|| bad(&"a snapshot is missing"))?, assumptions, drawn);
                }
                // Of a log that several processes share, which is in no data folder.
                Change::Restart { .. } | Change::SetFault(_) | Change::RemoveFault(_) => {}
            }
        }
        Ok(secrets)
    }

    /// Takes the secret of a communications file for foreign that a client was given, unless the site has had it.
    fn learn_secret(&mut self, text: &str, own: &BTreeSet<String>) -> Result<(), ExportError> {
        let Ok(file) = Sylink::parse_bytes(text.as_bytes()) else { return Ok(()) };
        let Ok(secret) = file.kcs_hex().parse::<Kcs>() else { return Ok(()) };
        let secret = secret.to_string();
        let is_stand_in = || self.secrets.values().any(|known| known.to_string() == secret);
        if !own.contains(&secret) && !self.secrets.contains_key(&secret) && !is_stand_in() {
            let other = random_secret("a communications file")?;
            self.secrets.insert(secret, other);
        }
        Ok(())
    }

    /// Replaces what a command brings, unless the lab itself has made it. Returns whether it did.
    fn replace_in(
        &mut self,
        command: &mut Command,
        brought: &ServerIdentity,
        own: &BTreeSet<Fingerprint>,
        site: &Replay,
    ) -> Result<bool, ExportError> {
        let mut is_foreign = false;
        if !own.contains(&brought.certificate().fingerprint()) {
            is_foreign = true;
            let made = self.stand_in(brought)?;
            match command {
                Command::UpdateCertificate { certificate, .. } => *certificate = import_of(&made),
                Command::TakeOver { identity, .. } | Command::KeepRecovery { identity, .. } => {
                    *identity = made;
                }
                _ => {}
            }
        }
        if let Command::KeepRecovery { secret, .. } = command
            && secret != site.secret()
        {
            is_foreign = true;
            let other = match self.secrets.get(&secret.to_string()) {
                Some(other) => other.clone(),
                None => random_secret(brought.certificate().common_name())?,
            };
            self.secrets.insert(secret.to_string(), other.clone());
            *secret = other;
        }
        Ok(is_foreign)
    }

    fn stand_in(&mut self, identity: &ServerIdentity) -> Result<ServerIdentity, ExportError> {
        let original = identity.certificate().fingerprint();
        if let Some(known) = self.stand_ins.get(&original) {
            return Ok(known.clone());
        }
        let made = StandIn::of(identity);
        let made = made.map_err(|source| failed(identity.certificate().common_name(), source))?;
        for (place, (before, after)) in made.certificates.iter().enumerate() {
            self.replaced.push(Replaced {
                certificate: before.common_name().to_owned(),
                original: before.fingerprint().to_string(),
                stand_in: after.fingerprint().to_string(),
                is_signed: made.signed[place],
            });
        }
        self.certificates.extend(made.certificates);
        self.stand_ins.insert(original, made.identity.clone());
        Ok(made.identity)
    }

    /// What stands in for each text in which something foreign can be written.
    fn texts(&self) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        for (before, after) in &self.certificates {
            let forms = |one: &ServerCertificate| {
                let fingerprint = one.fingerprint().to_string();
                let digits = fingerprint.replace(':', "");
                let body = |end: &str| one.to_pem().replace("\r\n", "\n").replace('\n', end);
                let low = digits.to_lowercase();
                [
                    STANDARD.encode(one.der()),
                    body("\n"),
                    body("\\n"),
                    body("\\r\\n"),
                    fingerprint,
                    digits,
                    low,
                ]
            };
            texts.extend(forms(before).into_iter().zip(forms(after)));
        }
        for (before, after) in &self.secrets {
            let after = after.to_string();
            texts.push((before.to_lowercase(), after.to_lowercase()));
            texts.push((before.clone(), after));
        }
        texts
    }
}

/// The certificates of all managers.
fn certificates_of<'a>(site: &'a Replay, founded: &'a FoundedWith) -> impl Iterator<Item = Fingerprint> + 'a {
    let both = [Stores::Console, Stores::Client];
    let names = founded.managers.iter().map(|one| one.name.as_str());
    names.flat_map(move |name| both.into_iter().filter_map(move |store| site.certificate(name, store)))
}

/// The certificate and key in files of their own.
fn import_of(identity: &ServerIdentity) -> NewCertificate {
    let file = |file: &str, content: Bytes| Material { file: file.to_owned(), content };
    NewCertificate::Import {
        certificate: file("stand-in.crt", identity.certificates_pem().into()),
        key: file("stand-in.key", Bytes::copy_from_slice(identity.key().pkcs8_der())),
        key_password: None,
    }
}

fn random_secret(of: &str) -> Result<Kcs, ExportError> {
    let mut bytes = [0; 8];
    fill(&mut bytes).map_err(|_| failed(of, StandInError::Randomness))?;
    Ok(Kcs::derive(u64::from_be_bytes(bytes)))
}

fn failed(certificate: &str, source: StandInError) -> ExportError {
    ExportError::StandIn { certificate: certificate.to_owned(), source }
}

/// Calls a function for each text that clients hold, also in snapshots.
fn for_each_text(
    store: &SqliteStore,
    each: &mut dyn FnMut(&str) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    for (_, text) in store.documents(Kind::Text)? {
        each(&text)?;
    }
    for (_, snapshot) in store.documents(Kind::Snapshot)? {
        let snapshot: Value = serde_json::from_str(&snapshot).unwrap_or_default();
        for text in snapshot["texts"].as_object().into_iter().flatten().filter_map(|(_, text)| text.as_str())
        {
            each(text)?;
        }
    }
    Ok(())
}

/// The checksums of texts of clients, before and after they are replaced: clients compare them with what they are sent.
fn checksums(store: &SqliteStore, texts: &[(String, String)]) -> Result<Vec<(String, String)>, ExportError> {
    let mut found = Vec::new();
    for_each_text(store, &mut |text| {
        let Some(after) = replaced(text, texts) else { return Ok(()) };
        found.push((sha256_hex(text.as_bytes()), sha256_hex(after.as_bytes())));
        let written = |text: &str| Some(Sylink::parse_bytes(text.as_bytes()).ok()?.to_xml());
        if let (Some(before), Some(after)) = (written(text), written(&after)) {
            found.push((sha256_hex(before.as_bytes()), sha256_hex(after.as_bytes())));
        }
        Ok(())
    })?;
    found.dedup();
    Ok(found)
}

/// Replaces what the journal has in bodies, which are not text in the store. A body that is no text is left out: it can have
/// anything packed in it.
fn replace_in_bodies(store: &SqliteStore, texts: &[(String, String)]) -> Result<(), ExportError> {
    let mut batch = Batch::default();
    for (name, json) in store.documents(Kind::Journal)? {
        let mut entry: KeptEntry = serde_json::from_str(&json)
            .map_err(|error| store.invalid(format!("entry {name} of the journal"), &error))?;
        let edit = |body: &[u8]| match std::str::from_utf8(body) {
            Ok(text) => replaced(text, texts).map(String::into_bytes),
            Err(_) => Some(Vec::new()),
        };
        if entry.edit_bodies(&edit) {
            batch.put(Kind::Journal, &name, &entry);
        }
    }
    Ok(store.write(&batch)?)
}

/// The text with everything replaced; none if nothing was.
pub(super) fn replaced(text: &str, texts: &[(String, String)]) -> Option<String> {
    let found = texts.iter().filter(|(before, _)| text.contains(before.as_str()));
    let mut changed: Option<String> = None;
    for (before, after) in found {
        changed = Some(changed.as_deref().unwrap_or(text).replace(before.as_str(), after));
    }
    changed
}
