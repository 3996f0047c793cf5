//! Servers given on the command line.

use crate::cli::io::Failure;
use epm_protocol::sylink::{ClientServer, ServerUrlError};

/// A server and its priority, from 1: `[PRIORITY=]http://HOST:PORT` or `[PRIORITY=]https://HOST:PORT`.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    priority: usize,
    server: ClientServer,
}

/// Highest number of a priority.
const MOST: usize = 100;

/// Reads a server from a URL.
pub(super) fn server(url: &str) -> Result<ClientServer, Failure> {
    url.parse().map_err(|error: ServerUrlError| Failure::BadInput(error.to_string()))
}

/// Reads a server with its priority.
pub(super) fn placed(text: &str) -> Result<Placed, String> {
    let (priority, url) = match text.split_once('=') {
        Some((priority, url)) if !priority.contains(':') => {
            let number = priority.parse().ok().filter(|number| (1..=MOST).contains(number));
            (number.ok_or_else(|| format!("expected a priority from 1 to {MOST}, found {priority:?}"))?, url)
        }
        _ => (1, text),
    };
    let server = url.parse().map_err(|error: ServerUrlError| error.to_string())?;
    Ok(Placed { priority, server })
}

/// The priorities of a list with these servers. A server given for both HTTP and HTTPS becomes one with two ports.
/// Other settings come from the earlier server of the same address, or else from the first.
pub(super) fn list(placed: &[Placed], before: &[Vec<ClientServer>]) -> Vec<Vec<ClientServer>> {
    let last = placed.iter().map(|one| one.priority).max().unwrap_or(0);
    let mut blocks: Vec<Vec<ClientServer>> = vec![Vec::new(); last];
    for Placed { priority, server } in placed {
        let Some(block) = blocks.get_mut(priority - 1) else { continue };
        let known = || before.iter().flatten().find(|one| one.address == server.address);
        let like = known().or_else(|| before.iter().flatten().next());
        match block.iter_mut().find(|one| one.address == server.address) {
            Some(same) => {
                same.http_port = server.http_port.or(same.http_port);
                same.https_port = server.https_port.or(same.https_port);
            }
            None => block.push(ClientServer {
                verify_ca: like.is_some_and(|one| one.verify_ca),
                verify_signatures: like.is_none_or(|one| one.verify_signatures),
                ..server.clone()
            }),
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}
