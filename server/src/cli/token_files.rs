//! The files with the tokens of a control API, one for each scope.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use epm_client_agent::program::read_file;

use crate::cli::io::Failure;
use crate::cli::out::OutFile;
use crate::cli::up_files::{NO_RANDOM_NUMBERS, check_permissions};
use crate::control_api::{Access, Scope};

/// The options for the tokens of a control API.
#[derive(Debug, Args)]
pub(super) struct TokenFiles {
    /// File with the token that the control API requires; needed unless on loopback. Created with a new token if it
    /// does not exist
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// File with a token that only reads: no change, and no private key. Created like that of --token-file
    #[arg(long, value_name = "FILE", requires = "token_file")]
    read_token_file: Option<PathBuf>,
    /// File with a token that only sends reports of clients, for `epm-agent --report-token-file`. Created like that of
    /// --token-file
    #[arg(long, value_name = "FILE", requires = "token_file")]
    report_token_file: Option<PathBuf>,
}

/// The tokens of a control API; new ones are yet to be written.
pub(super) struct Tokens(Vec<(Scope, Token)>);

struct Token {
    text: String,
    /// The file to write it to, if it is new.
    file: Option<OutFile>,
}

impl TokenFiles {
    /// The files, each with its option and scope.
    fn all(&self) -> impl Iterator<Item = (&PathBuf, &'static str, Scope)> {
        let all = [
            (&self.token_file, "--token-file", Scope::Control),
            (&self.read_token_file, "--read-token-file", Scope::Read),
            (&self.report_token_file, "--report-token-file", Scope::Report),
        ];
        all.into_iter().filter_map(|(file, option, scope)| Some((file.as_ref()?, option, scope)))
    }

    /// The files that are named.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.all().map(|(file, ..)| file.as_path())
    }

    /// Reads the tokens, and draws those whose files do not exist. Writes nothing yet.
    pub(super) fn open(&self) -> Result<Tokens, Failure> {
        let mut tokens: Vec<(Scope, Token)> = Vec::new();
        for (file, option, scope) in self.all() {
            let token = token(file, option)?;
            if let Some((other, _)) = tokens.iter().find(|(_, known)| known.text == token.text) {
                return Err(Failure::BadInput(format!(
                    "{}: the token of the scope `{scope}` is that of the scope `{other}`; each needs a token of its own: \
                     remove the file, and `{option}` creates it with a new one",
                    file.display()
                )));
            }
            tokens.push((scope, token));
        }
        Ok(Tokens(tokens))
    }
}

impl Tokens {
    /// What the control API answers with these tokens.
    pub(super) fn access(&self) -> Access {
        self.0.iter().fold(Access::open(), |access, (scope, token)| access.scoped(*scope, &token.text))
    }

    /// Writes the tokens that are new.
    pub(super) fn write(&self) -> Result<(), Failure> {
        let new = self.0.iter().filter_map(|(_, token)| Some((token.file.as_ref()?, &token.text)));
        new.into_iter().try_for_each(|(file, text)| file.write(format!("{text}\n").as_bytes()))
    }
}

/// Reads a token from its file, or draws a new one if the file does not exist.
fn token(file: &Path, option: &str) -> Result<Token, Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::BadInput(format!("{}: {error}", file.display()));
    let text = match read_file(file) {
        Ok(text) => String::from_utf8(text).map_err(|_| bad(&"the token is not text"))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut bytes = [0_u8; 24];
            aws_lc_rs::rand::fill(&mut bytes).map_err(|_| bad(&NO_RANDOM_NUMBERS))?;
            let text = base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, bytes);
            return Ok(Token { text, file: Some(OutFile::secret(file, false)?) });
        }
        Err(error) => return Err(bad(&error)),
    };
    check_permissions(file, "token")?;
    let token = text.trim();
    if token.len() < 16 || !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Failure::BadInput(format!(
            "invalid token in {}: expected at least 16 printable ASCII characters without spaces, found {}; \
             remove the file, and `{option}` creates it with a new token",
            file.display(),
            token.chars().count()
        )));
    }
    Ok(Token { text: token.to_owned(), file: None })
}
