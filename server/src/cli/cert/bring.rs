//! Reads a certificate, key or keystore file in any format, and finds its passwords.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use crate::cli::io::{Failure, read};
use clap::Args;
use epm_protocol::trust::{
    EntryInfo, KeyStore, KeystoreError, Password, ServerCertificate, ServerIdentity, StoreType, WizardRules,
    read_certificates, read_identity_with,
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
    /// Certificates of the chosen entry or of the file, leaf first.
    pub(super) certificates: Vec<ServerCertificate>,
    /// Entries of a keystore.
    pub(super) entries: Vec<EntryInfo>,
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
            let identity = store.identity(self.alias.as_deref(), own.as_ref().unwrap_or(&password), &rules);
            let entries = store.entries();
            let is_meant = |entry: &&EntryInfo| match &self.alias {
                Some(alias) => entry.alias.eq_ignore_ascii_case(alias),
                None => !entry.chain.is_empty(),
            };
            let certificates =
                entries.iter().find(is_meant).map(|entry| entry.chain.clone()).unwrap_or_default();
            let format = store.kind().to_string();
            return Ok(Brought { file: name, format, certificates, entries, identity: Some(identity) });
        }
        let certificates = read_certificates(&bytes, &name).map_err(bad)?;
        let is_pem = bytes.windows(11).any(|part| part == b"-----BEGIN ");
        let has_key = is_pem
            && bytes.windows(17).any(|part| part == b"PRIVATE KEY-----\n" || part == b"PRIVATE KEY-----\r");
        let key = match &self.key {
            Some(file) => Some((read(file)?, file.display().to_string())),
            None => has_key.then(|| (bytes.clone(), name.clone())),
        };
        let mut identity = None;
        if let Some((key, key_name)) = key {
            let mut password = match &self.key_password_file {
                Some(file) => Some(password_in(file)?),
                None => self.given()?,
            };
            let is_encrypted = key.windows(9).any(|part| part == b"ENCRYPTED");
            if password.is_none() && is_encrypted {
                password = self.password(&format!("Password of {key_name}: "))?;
            }
            identity = Some(read_identity_with(&bytes, &name, &key, &key_name, password.as_ref(), &rules));
        }
        let format = if is_pem { "PEM" } else { "DER" }.to_owned();
        Ok(Brought { file: name, format, certificates, entries: Vec::new(), identity })
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
