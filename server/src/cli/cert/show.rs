//! `epm-lab cert show` and `diff`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use epm_protocol::assumption::Assumptions;
use epm_protocol::site::ConsoleTrouble;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{
    EntryInfo, FilePosition, Fingerprint, KeyAlgorithm, ServerCertificate, WizardRules,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::bring::{Brought, Source};
use crate::cli::io::{Ending, Failure, say, say_json};

/// Shows the contents of a certificate or keystore file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab cert show server.crt --key server.key
  epm-lab cert show keystore.p12 --password-env STORE_PASSWORD --json")]
pub(crate) struct Show {
    #[command(flatten)]
    source: Source,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Compares two certificates.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab cert diff old.crt new.crt
  epm-lab cert diff old.crt new.crt --json

Exit codes: 0 they are equal; 1 they differ; 2 invalid input.")]
pub(crate) struct Diff {
    /// First certificate (PEM or DER)
    one: PathBuf,
    /// Second certificate (PEM or DER)
    other: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The properties of a certificate.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CertificateView {
    /// Serial number in hexadecimal digits.
    serial: String,
    /// Common name of the subject.
    common_name: String,
    /// Common name of the issuer.
    issuer: String,
    /// Name of the subject.
    subject: String,
    /// Subject alternative names.
    names: Vec<String>,
    /// Time from which the certificate is valid.
    #[schemars(with = "String")]
    not_before: Timestamp,
    /// Time until which the certificate is valid.
    #[schemars(with = "String")]
    not_after: Timestamp,
    /// Algorithm and length of the key.
    key: String,
    /// Algorithm of the signature.
    signature: String,
    /// Whether the certificate names itself as its issuer. The signature is not verified.
    self_signed: bool,
    /// SHA-256 of the certificate.
    #[schemars(with = "String")]
    sha256: Fingerprint,
    /// SHA-256 of the public key.
    #[schemars(with = "String")]
    public_key_sha256: Fingerprint,
}

/// The contents of a certificate or keystore file.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FileView {
    /// Name of the file, as given.
    file: String,
    /// Format of the file.
    format: String,
    /// Alias and contents of each entry.
    entries: Vec<(String, String)>,
    /// The certificate of each entry in short.
    #[serde(skip)]
    leaves: Vec<String>,
    /// Alias of the entry that the certificates below are from; none outside of a keystore, or if it has several keys.
    alias: Option<String>,
    /// Certificates of that entry or of the file, that of the server first.
    certificates: Vec<CertificateView>,
    /// Whether the key belongs to the certificate; none without a key, or if it cannot be read.
    key_fits: Option<bool>,
    #[serde(skip)]
    key: &'static str,
    /// Why the wizard would refuse it; none if it would accept it.
    refusal: Option<String>,
    /// What the wizard would accept, and the console not.
    warnings: Vec<String>,
}

impl CertificateView {
    pub(super) fn of(certificate: &ServerCertificate) -> Self {
        let validity = certificate.validity();
        Self {
            serial: certificate.serial(),
            common_name: certificate.common_name().to_owned(),
            issuer: certificate.issuer().to_owned(),
            subject: certificate.subject().to_owned(),
            names: certificate.names().to_vec(),
            not_before: validity.not_before,
            not_after: validity.not_after,
            key: certificate.key_algorithm().to_string(),
            signature: certificate.signature_algorithm().to_owned(),
            self_signed: certificate.is_self_signed(),
            sha256: certificate.fingerprint(),
            public_key_sha256: Fingerprint::of(certificate.public_key_der()),
        }
    }

    /// Each property with its name.
    fn rows(&self) -> [(&'static str, String); 10] {
        let by = if self.self_signed { "by its own subject" } else { "by another certificate" };
        [
            ("common name", printable(&self.common_name)),
            ("names", printable(&self.names.join(", "))),
            ("serial", self.serial.clone()),
            ("issuer", printable(&self.issuer)),
            ("valid from", self.not_before.to_string()),
            ("valid until", self.not_after.to_string()),
            ("key", self.key.clone()),
            ("signature", format!("{}, {by}", self.signature)),
            ("SHA-256", self.sha256.to_string()),
            ("public key", self.public_key_sha256.to_string()),
        ]
    }
}

/// Why the wizard refuses a certificate without a key: for the certificate itself, if it is at fault.
fn without_key(brought: &Brought) -> String {
    let at = FilePosition { file: brought.file.clone(), line: None };
    let own = brought.certificates.first();
    match own.map(|own| WizardRules::default().check(own, &at)) {
        Some(Err(refusal)) => refusal.to_string(),
        _ => "Invalid private key file: no private key was given".to_owned(),
    }
}

/// The certificate of an entry in short, to tell the entries apart; empty if it has none.
fn leaf(entry: &EntryInfo) -> String {
    let Some(own) = entry.chain.first() else { return String::new() };
    format!(" ({}, {})", printable(own.common_name()), own.fingerprint().short())
}

/// A text from a certificate for the terminal, which its control characters would reach otherwise.
fn printable(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

impl FileView {
    pub(super) fn of(brought: &Brought) -> Self {
        let refusal = match &brought.identity {
            Some(Ok(_)) => None,
            Some(Err(error)) => Some(error.to_string()),
            None => Some(without_key(brought)),
        };
        let trouble = match brought.certificates.first().map(ServerCertificate::key_algorithm) {
            Some(KeyAlgorithm::Rsa { bits }) => ConsoleTrouble::of(*bits, &Assumptions::default()),
            _ => None,
        };
        Self {
            file: brought.file.clone(),
            format: brought.format.clone(),
            entries: brought.entries.iter().map(|one| (one.alias.clone(), one.what.clone())).collect(),
            leaves: brought.entries.iter().map(leaf).collect(),
            alias: brought.alias.clone(),
            certificates: brought.certificates.iter().map(CertificateView::of).collect(),
            key_fits: brought.key_fits,
            key: brought.key,
            refusal,
            warnings: trouble.iter().map(ToString::to_string).collect(),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.file, self.format);
        for ((alias, what), leaf) in self.entries.iter().zip(&self.leaves) {
            let _ = writeln!(text, "  alias {alias:?}: {what}{leaf}");
        }
        for (place, certificate) in self.certificates.iter().enumerate() {
            let before = place.checked_sub(1).and_then(|place| self.certificates.get(place));
            let heading = match (before, &self.alias) {
                (None, Some(alias)) => format!("Certificate of {alias:?}:"),
                (None, None) => "Certificate:".to_owned(),
                (Some(one), _) if one.issuer == certificate.subject => "Issuer:".to_owned(),
                (Some(_), _) => "Another certificate, which is not the issuer of the one before:".to_owned(),
            };
            let _ = writeln!(text, "{heading}");
            for (name, value) in certificate.rows() {
                let _ = writeln!(text, "  {name:<12} {value}");
            }
        }
        let _ = writeln!(text, "Key:      {}", self.key);
        match &self.refusal {
            None => text.push_str("Wizard:   accepts it\n"),
            Some(words) => {
                let _ = writeln!(text, "Wizard:   {words}");
            }
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "Warning:  {warning}");
        }
        text
    }
}

impl Show {
    pub(super) fn go(self) -> Result<Ending, Failure> {
        let view = FileView::of(&self.source.bring()?);
        if self.json {
            say_json(&view)?;
        } else {
            say(&view.text());
        }
        Ok(Ending::Well)
    }
}

/// A property in which two certificates differ.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Difference {
    /// Name of the property.
    what: &'static str,
    /// Value in the first certificate.
    one: String,
    /// Value in the second certificate.
    other: String,
}

impl Diff {
    pub(super) fn go(self) -> Result<Ending, Failure> {
        let view = |file: &PathBuf| {
            let brought = Source::of(file.clone()).bring()?;
            let certificate = brought.certificates.first();
            let none = || Failure::BadInput(format!("{} has no certificate", file.display()));
            certificate.map(CertificateView::of).ok_or_else(none)
        };
        let (one, other) = (view(&self.one)?, view(&self.other)?);
        let differences: Vec<Difference> = one
            .rows()
            .into_iter()
            .zip(other.rows())
            .filter(|((_, one), (_, other))| one != other)
            .map(|((what, one), (_, other))| Difference { what, one, other })
            .collect();
        if self.json {
            say_json(&differences)?;
        } else if differences.is_empty() {
            say("The same certificate.\n");
        } else {
            let mut text = String::new();
            for Difference { what, one, other } in &differences {
                let _ = writeln!(text, "{what}:\n  - {one}\n  + {other}");
            }
            if one.public_key_sha256 == other.public_key_sha256 {
                text.push_str(
                    "The key is the same, but clients pin the whole certificate and notice the change.\n",
                );
            }
            say(&text);
        }
        Ok(if differences.is_empty() { Ending::Well } else { Ending::NotWell })
    }
}
