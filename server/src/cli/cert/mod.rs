//! `epm-lab cert`: what a lab engineer does with keytool and openssl, in one command each.

mod bring;
mod check;
mod make;
mod show;

use clap::Subcommand;

use super::lab::LiveCert;
use crate::cli::io::{Ending, Failure, waiting};

/// What can be done with certificates, keys and keystores.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  epm-lab cert show keystore.jks --password-file password.txt
  epm-lab cert issue --name sepm.example --out server.crt --key-out server.key
  epm-lab cert convert server.crt --key server.key --to jks --out keystore.jks --out-password-file password.txt
  epm-lab cert check server.crt --key server.key --sylink sylink.xml
  epm-lab cert diff old.crt new.crt
  epm-lab cert live                                    what each manager of a running lab shows
  epm-lab cert renew sepm-2 --name january              let it make a new one

Passwords come from a file, from a variable of the environment, or from the terminal; never from the command line.
Exit codes: 0 well; 1 the check found something, or the two differ; 2 bad input.")]
pub(super) enum Cert {
    /// Whom it names, until when, in which format; does the key fit, and would the wizard take it?
    Show(show::Show),
    /// Make a certificate, self-signed or by an authority that is made with it
    Issue(make::Issue),
    /// Write certificate and key in another form
    Convert(make::Convert),
    /// Would the wizard take it, and would the clients of a list believe it? Exit code 1 if not
    Check(check::Check),
    /// What differs between two; exit code 1 if anything does
    Diff(show::Diff),
    /// Those of a running lab
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
