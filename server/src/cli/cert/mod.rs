//! `epm-lab cert`: certificates, keys and keystores, as with keytool and openssl but one command per task.

mod bring;
mod check;
mod make;
mod show;

use clap::Subcommand;

use super::lab::LiveCert;
use crate::cli::io::{Ending, Failure, waiting};
pub(super) use check::CheckedCertificate;
pub(super) use make::Written;
pub(super) use show::{Difference, FileView};

/// Commands on certificates, keys and keystores.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  epm-lab cert show keystore.jks --password-file password.txt
  epm-lab cert issue --name sepm.example --out server.crt --key-out server.key
  epm-lab cert convert server.crt --key server.key --to jks \\
    --out keystore.jks --out-password-file password.txt
  epm-lab cert check server.crt --key server.key --sylink sylink.xml
  epm-lab cert diff old.crt new.crt
  epm-lab cert live
  epm-lab cert renew sepm-2 --name january

Passwords come from a file, an environment variable or the terminal, never from
the command line.

Exit codes: 0 success; 1 the check failed, or the certificates differ; 2 invalid
input.")]
pub(super) enum Cert {
    /// Show the contents of a certificate or keystore file: names, validity, format, whether the key matches, and
    /// whether the wizard would accept it
    Show(show::Show),
    /// Make a certificate, self-signed or signed by a new authority
    Issue(make::Issue),
    /// Convert a certificate and its key to another format
    Convert(make::Convert),
    /// Check that the wizard would accept a certificate and that the clients of a list would trust it; exit code 1 if
    /// not
    Check(check::Check),
    /// Compare two certificates; exit code 1 if they differ
    Diff(show::Diff),
    /// Commands on the certificates of a running lab.
    #[command(flatten)]
    Live(LiveCert),
}

impl Cert {
    pub(super) fn go(self) -> Result<Ending, Failure> {
        match self {
            Self::Show(show) => show.go(),
            Self::Issue(issue) => issue.go(),
            Self::Convert(convert) => convert.go(),
            Self::Check(check) => check.go(),
            Self::Diff(diff) => diff.go(),
            Self::Live(live) => waiting(live.go()),
        }
    }
}
