//! `epm-lab cert issue` and `convert`. Files with a key are readable by their owner alone; existing files are kept
//! unless `--force` is given.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use epm_client_agent::wire::LabClock;
use epm_protocol::time::{Clock as _, Timestamp};
use epm_protocol::trust::{
    CertificateRequest, Password, Salts, ServerIdentity, SigningKey, StoreForm, StoreOptions, Validity,
    issue, issue_by_authority,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::bring::{Source, given};
use super::show::CertificateView;
use crate::cli::io::{Ending, Failure, notice, say_json};
use crate::cli::out::{OutFile, write_together};

/// Makes a key and its certificate.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab cert issue --name sepm.example --out server.crt --key-out server.key
  epm-lab cert issue --name sepm --also 10.0.0.5 --authority 'Lab CA' \\
    --out chain.crt --key-out server.key")]
pub(crate) struct Issue {
    /// Common name; also the first subject alternative name
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Additional host name or address; repeatable
    #[arg(long, value_name = "NAME")]
    also: Vec<String>,
    /// Validity in days
    #[arg(long, default_value_t = 3650, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// Start of the validity; defaults to now
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Key length: 2048, 3072, 4096 or 8192 bits
    #[arg(long, default_value_t = 2048, value_name = "BITS")]
    bits: u32,
    /// Sign with a new certificate authority of this name; its certificate is second in the file
    #[arg(long, value_name = "NAME")]
    authority: Option<String>,
    /// File for the certificate (PEM)
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// File for the key (PKCS#8 in PEM)
    #[arg(long, value_name = "FILE")]
    key_out: PathBuf,
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
    /// Print JSON: the files that were written, and the certificate
    #[arg(long)]
    json: bool,
}

/// Converts a certificate and its key to another format.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab cert convert server.crt --key server.key --to jks \\
    --out keystore.jks --out-password-file password.txt
  epm-lab cert convert keystore.jks --password-file password.txt --to pem \\
    --out server.crt --key-out server.key
  epm-lab cert convert keystore.p12 --password-env P --to pkcs12-old \\
    --out old.p12 --out-password-env P")]
pub(crate) struct Convert {
    #[command(flatten)]
    source: Source,
    /// Format to write
    #[arg(long, value_name = "FORM")]
    to: Form,
    /// File to write; with pem, pkcs1 and der it gets the certificate alone
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// File for the key, with pem, pkcs1 and der
    #[arg(long, value_name = "FILE")]
    key_out: Option<PathBuf>,
    /// Alias to write
    #[arg(long, default_value = "tomcat", value_name = "ALIAS")]
    out_alias: String,
    /// File with the password to write with; encrypts the key with pem and der
    #[arg(long, value_name = "FILE")]
    out_password_file: Option<PathBuf>,
    /// Environment variable with the password to write with
    #[arg(long, value_name = "NAME", conflicts_with = "out_password_file")]
    out_password_env: Option<String>,
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
    /// Print JSON: the files that were written, and the certificate
    #[arg(long)]
    json: bool,
}

/// Formats that `cert convert` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// PEM, key in PKCS#8
    Pem,
    /// PEM, key in PKCS#1
    Pkcs1,
    /// DER, key in PKCS#8
    Der,
    /// JKS
    Jks,
    /// PKCS#12 with AES-256 and HMAC-SHA-256
    Pkcs12,
    /// PKCS#12 with PBMAC1 for integrity
    Pkcs12Pbmac1,
    /// PKCS#12 with RC2, 3DES and SHA-1
    Pkcs12Old,
}

/// The files that were written, and the certificate in them.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Written {
    /// Name of the file with the certificate, or of the keystore.
    file: String,
    /// Name of the file with the key; null if the key is in a keystore, or was not written.
    key_file: Option<String>,
    /// Certificate of the server, and those of its issuers in the file.
    certificates: Vec<CertificateView>,
}

impl Issue {
    pub(super) fn go(self) -> Result<Ending, Failure> {
        let bad = |error: &dyn std::error::Error| Failure::BadInput(error.to_string());
        if self.out == self.key_out {
            return Err(same_file(&self.out));
        }
        let out = OutFile::new(&self.out, self.force)?;
        let key_out = OutFile::secret(&self.key_out, self.force)?;
        let begin = self.from.unwrap_or_else(|| LabClock::wall().now()).as_seconds();
        let not_before = Timestamp::from_seconds(begin);
        let not_after = not_before + Duration::from_secs(u64::from(self.days) * 86_400);
        let [a, b, c, d, e, f, g, h, ..] = random()?;
        let request = CertificateRequest {
            common_name: self.name.clone(),
            names: std::iter::once(&self.name).chain(&self.also).cloned().collect(),
            validity: Validity { not_before, not_after },
            serial: u64::from_be_bytes([a & 0x7F, b, c, d, e, f, g, h]),
        };
        let key = SigningKey::generate(self.bits).map_err(|error| bad(&error))?;
        let (certificate, chain) = match &self.authority {
            None => (issue(&key, &request).map_err(|error| bad(&error))?, Vec::new()),
            Some(name) => {
                let authority = SigningKey::generate(2048).map_err(|error| bad(&error))?;
                let [own, root] =
                    issue_by_authority(&key, &request, &authority, name).map_err(|error| bad(&error))?;
                (own, vec![root])
            }
        };
        let identity = ServerIdentity::new(key, certificate).map_err(|error| bad(&error))?.with_chain(chain);
        let key = identity.key_pem(None, &mut Salts::from_seed(random()?)).map_err(|error| bad(&error))?;
        write_together(&[(&key_out, key.as_bytes()), (&out, identity.certificates_pem().as_bytes())])?;
        report(&identity, &self.out, Some(&self.key_out), self.json)?;
        Ok(Ending::Well)
    }
}

impl Convert {
    pub(super) fn go(self) -> Result<Ending, Failure> {
        if self.key_out.as_ref() == Some(&self.out) {
            return Err(same_file(&self.out));
        }
        let is_apart = matches!(self.to, Form::Pem | Form::Pkcs1 | Form::Der);
        if self.key_out.is_some() && !is_apart {
            return Err(Failure::BadInput(
                "`--key-out` is for pem, pkcs1 and der: a keystore holds the key itself".to_owned(),
            ));
        }
        let out = if is_apart {
            OutFile::new(&self.out, self.force)?
        } else {
            OutFile::secret(&self.out, self.force)?
        };
        let key_out = self.key_out.as_deref().map(|file| OutFile::secret(file, self.force)).transpose()?;
        let brought = self.source.bring()?;
        let identity = match brought.identity {
            Some(Ok(identity)) => identity,
            Some(Err(error)) => return Err(Failure::BadInput(error.to_string())),
            None => {
                return Err(Failure::BadInput(format!(
                    "{} has no private key: give its file with `--key`",
                    brought.file
                )));
            }
        };
        let password = given(self.out_password_file.as_deref(), self.out_password_env.as_deref())?;
        let mut salts = Salts::from_seed(random()?);
        let form = match self.to {
            Form::Jks => StoreForm::Jks,
            Form::Pkcs12 => StoreForm::Pkcs12,
            Form::Pkcs12Pbmac1 => StoreForm::Pkcs12Pbmac1,
            Form::Pkcs12Old => StoreForm::Pkcs12Old,
            Form::Pem | Form::Pkcs1 | Form::Der => {
                self.apart(&identity, password.as_ref(), &mut salts, &out, key_out.as_ref())?;
                return Ok(Ending::Well);
            }
        };
        let Some(password) = password else {
            return Err(Failure::BadInput(
                "a keystore needs a password: give `--out-password-file` or `--out-password-env`".to_owned(),
            ));
        };
        let options = StoreOptions {
            form,
            alias: &self.out_alias,
            password: &password,
            key_password: None,
            created: LabClock::wall().now(),
        };
        let bytes = identity
            .to_keystore(&options, &mut salts)
            .map_err(|error| Failure::BadInput(error.to_string()))?;
        out.write(&bytes)?;
        report(&identity, &self.out, None, self.json)?;
        Ok(Ending::Well)
    }

    fn apart(
        &self,
        identity: &ServerIdentity,
        password: Option<&Password>,
        salts: &mut Salts,
        out: &OutFile,
        key_out: Option<&OutFile>,
    ) -> Result<(), Failure> {
        let failed = |error: epm_protocol::trust::StoreError| Failure::Failed(error.to_string());
        if self.to == Form::Pkcs1 && password.is_some() {
            return Err(Failure::BadInput(
                "a PKCS#1 key cannot be encrypted: leave out the password, or use `--to pem`".to_owned(),
            ));
        }
        let certificate = match self.to {
            Form::Der => identity.certificate().der().to_vec(),
            _ => identity.certificates_pem().into_bytes(),
        };
        let Some(key_out) = key_out else {
            out.write(&certificate)?;
            return report(identity, &self.out, None, self.json);
        };
        let key = match self.to {
            Form::Der => identity.key_der(password, salts).map_err(failed)?.to_vec(),
            Form::Pkcs1 => identity.key_pkcs1_pem().map_err(failed)?.as_bytes().to_vec(),
            _ => identity.key_pem(password, salts).map_err(failed)?.as_bytes().to_vec(),
        };
        write_together(&[(key_out, &key), (out, &certificate)])?;
        report(identity, &self.out, self.key_out.as_deref(), self.json)
    }
}

fn same_file(file: &Path) -> Failure {
    Failure::BadInput(format!("the certificate and its key cannot be in the same file {}", file.display()))
}

/// Says which files were written, and in JSON what is in them.
fn report(
    identity: &ServerIdentity,
    file: &Path,
    key_file: Option<&Path>,
    json: bool,
) -> Result<(), Failure> {
    if json {
        let own = std::iter::once(identity.certificate());
        return say_json(&Written {
            file: file.display().to_string(),
            key_file: key_file.map(|file| file.display().to_string()),
            certificates: own.chain(identity.chain()).map(CertificateView::of).collect(),
        });
    }
    for file in key_file.into_iter().chain([file]) {
        notice(&format!("Wrote {}.\n", file.display()));
    }
    Ok(())
}

/// Random bytes for salts and serial numbers.
fn random() -> Result<[u8; 32], Failure> {
    let mut seed = [0; 32];
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut seed)
        .map_err(|_| Failure::Failed("the operating system's random generator failed".to_owned()))?;
    Ok(seed)
}
