//! Reads a certificate, key or keystore file in any format, and finds its passwords.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use crate::cli::io::{Failure, read};
use clap::Args;
use epm_protocol::trust::{
    EntryInfo, FileKind, KeyStore, KeystoreError, Password, ServerCertificate, ServerIdentity, StoreType,
    WizardRules, is_key_encrypted, key_fits, read_certificates, read_identity_with,
};

/// A certificate or keystore file, and what is needed to open it.
#[derive(Debug, Args)]
pub(super) struct Source {
    /// Certificate (PEM or DER) or keystore (JKS, JCEKS or PKCS#12)
    pub(super) file: PathBuf,
    /// Private key, if it is in a separate file (PEM or DER)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Alias in the keystore; needed if it has several keys
    #[arg(long, value_name = "ALIAS")]
    alias: Option<String>,
    /// Type of the keystore: jks, jceks or pkcs12; detected by default
    #[arg(long = "from", value_name = "TYPE")]
    store_type: Option<StoreType>,
    /// File with the password of the keystore or of the key
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Environment variable with the password of the keystore or of the key
    #[arg(long, value_name = "NAME", conflicts_with = "password_file")]
    password_env: Option<String>,
    /// File with the password of the key, if it differs from the keystore's
    #[arg(long, value_name = "FILE")]
    key_password_file: Option<PathBuf>,
}

/// Contents of a file.
pub(super) struct Brought {
    /// Name of the file, as given.
    pub(super) file: String,
    /// Format, for people.
    pub(super) format: String,
    /// Alias of the entry that was chosen in a keystore.
    pub(super) alias: Option<String>,
    /// Certificates of the chosen entry or of the file, leaf first.
    pub(super) certificates: Vec<ServerCertificate>,
    /// Entries of a keystore.
    pub(super) entries: Vec<EntryInfo>,
    /// Whether the private key belongs to the first certificate; none without a key, or if it cannot be told.
    pub(super) key_fits: Option<bool>,
    /// What is to be said of the key, for people.
    pub(super) key: &'static str,
    /// Key and certificate as the wizard would accept them, or the reason to refuse them; none without a key.
    pub(super) identity: Option<Result<ServerIdentity, KeystoreError>>,
}

impl Source {
    /// A file with a certificate alone.
    pub(super) fn of(file: PathBuf) -> Self {
        Self {
            file,
            key: None,
            alias: None,
            store_type: None,
            password_file: None,
            password_env: None,
            key_password_file: None,
        }
    }

    /// Reads the file.
    pub(super) fn bring(&self) -> Result<Brought, Failure> {
        let bytes = read(&self.file)?;
        let name = self.file.display().to_string();
        let rules = WizardRules::default();
        let bad = |error: KeystoreError| Failure::BadInput(error.to_string());
        if self.store_type.is_some() || StoreType::of(&bytes).is_some() {
            let password = self.password(&format!("Password of {name}: "))?.unwrap_or_default();
            let store = KeyStore::read(&bytes, &name, self.store_type, &password).map_err(bad)?;
            let own = self.key_password_file.as_deref().map(password_in).transpose()?;
            let (alias, own) = (self.alias.as_deref(), own.as_ref().unwrap_or(&password));
            let identity = store.identity(alias, own, &rules);
            let entries = store.entries();
            let contents = store.contents(alias, own).ok();
            let format = store.kind().to_string();
            let keys = entries.iter().filter(|entry| entry.has_key).count();
            let fits = contents.as_ref().and_then(|one| one.key_fits);
            let chosen = contents.as_ref().map(|one| one.alias.clone());
            let has_key = entries.iter().any(|entry| entry.has_key && Some(&entry.alias) == chosen.as_ref());
            let key = match (fits, keys) {
                (Some(fits), _) => words(fits),
                (None, 0) => "none in the keystore",
                (None, 2..) if alias.is_none() => "several in the keystore; `--alias` chooses one",
                (None, _) if has_key || contents.is_none() => "cannot be read",
                (None, _) => "none under this alias",
            };
            // A keystore with a single certificate leaves no doubt which one is meant.
            let only = || if let [only] = entries.as_slice() { only.chain.clone() } else { Vec::new() };
            return Ok(Brought {
                file: name,
                format,
                alias: chosen,
                key_fits: fits,
                key,
                certificates: contents.map_or_else(only, |one| one.certificates),
                entries,
                identity: Some(identity),
            });
        }
        if self.alias.is_some() {
            return Err(Failure::BadInput(format!("{name} is not a keystore, so it has no aliases")));
        }
        let certificates = read_certificates(&bytes, &name).map_err(bad)?;
        let kinds = FileKind::blocks(&bytes);
        let has_key = kinds.iter().any(|kind| matches!(kind, FileKind::PrivateKey | FileKind::EncryptedKey));
        let key = match &self.key {
            Some(file) => Some((read(file)?, file.display().to_string())),
            None => has_key.then(|| (bytes.clone(), name.clone())),
        };
        let (mut identity, mut fits, mut words_of_key) = (None, None, "not given");
        if let Some((key, key_name)) = key {
            let mut password = match &self.key_password_file {
                Some(file) => Some(password_in(file)?),
                None => self.given()?,
            };
            if password.is_none() && is_key_encrypted(&key, &key_name).unwrap_or(false) {
                password = self.password(&format!("Password of {key_name}: "))?;
            }
            let password = password.as_ref();
            identity = Some(read_identity_with(&bytes, &name, &key, &key_name, password, &rules));
            if let Some(own) = certificates.first() {
                let found = key_fits(own, &key, &key_name, password);
                fits = found.as_ref().ok().copied().flatten();
                words_of_key = match found {
                    Ok(Some(fits)) => words(fits),
                    Ok(None) => "cannot be compared: it is of another kind",
                    Err(_) => "cannot be read",
                };
            }
        }
        let format = if kinds.is_empty() { "DER" } else { "PEM" }.to_owned();
        Ok(Brought {
            file: name,
            format,
            alias: None,
            certificates,
            entries: Vec::new(),
            key_fits: fits,
            key: words_of_key,
            identity,
        })
    }

    /// The password from a file, a variable or the terminal; none without a terminal.
    fn password(&self, prompt: &str) -> Result<Option<Password>, Failure> {
        if let Some(password) = self.given()? {
            return Ok(Some(password));
        }
        if !std::io::stdin().is_terminal() {
            return Ok(None);
        }
        let typed = rpassword::prompt_password(prompt)
            .map_err(|error| Failure::BadInput(format!("cannot read the password: {error}")))?;
        Ok(Some(Password::new(&typed)))
    }

    fn given(&self) -> Result<Option<Password>, Failure> {
        given(self.password_file.as_deref(), self.password_env.as_deref())
    }
}

fn words(fits: bool) -> &'static str {
    if fits { "matches" } else { "does not match" }
}

/// The password in a file or in an environment variable.
pub(super) fn given(file: Option<&Path>, variable: Option<&str>) -> Result<Option<Password>, Failure> {
    if let Some(file) = file {
        return password_in(file).map(Some);
    }
    let Some(name) = variable else { return Ok(None) };
    let text = std::env::var(name).map_err(|_| {
        Failure::BadInput(format!("the environment variable {name} is not set, or is not UTF-8"))
    })?;
    Ok(Some(Password::new(&text)))
}

fn password_in(file: &Path) -> Result<Password, Failure> {
    Password::from_file(&read(file)?)
        .map_err(|error| Failure::BadInput(format!("{}: {error}", file.display())))
}
