//! `command-queue/file`: files that clients have uploaded on a command, described and downloaded.

use std::io::{Cursor, Write};
use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get;
use axum::extract::State;
use epm_protocol::heartbeat::CommandKind;
use epm_protocol::heartbeat::http::sha256_hex;
use epm_protocol::id::Guid;
use epm_protocol::site::{CommandRow, GivenCommand};
use epm_protocol::sylink::xml::Element;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zip::ZipWriter;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;

use crate::rest_api::http::{ApiError, File, Id, Json, Path};
use crate::rest_api::state::RestApi;

/// Key by which each byte of a file in an archive is changed with exclusive or [A].
const KEY: u8 = 165;

/// Path parameter for a file.
#[derive(Debug, Deserialize, JsonSchema)]
struct FilePath {
    /// Identifier of the file.
    file_id: Id,
}

/// A file that a client delivered.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct BinaryFile {
    /// Checksum of the file.
    checksum: String,
    /// Size of the file in bytes.
    file_size: usize,
    /// Identifier of the file.
    id: String,
}

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    let at = |path| format!("/sepm/api/v1/command-queue/file/{path}");
    ApiRouter::new()
        .api_route(&at("{file_id}/details"), get(file_details))
        .api_route(&at("{file_id}/content"), get(file_content))
}

async fn file_details(
    State(api): State<Arc<RestApi>>,
    Path(FilePath { file_id }): Path<FilePath>,
) -> Result<Json<BinaryFile>, ApiError> {
    let (checksum, content) = api.uploaded(file_id)?;
    Ok(Json(BinaryFile { checksum, file_size: content.len(), id: file_id.to_string() }))
}

async fn file_content(
    State(api): State<Arc<RestApi>>,
    Path(FilePath { file_id }): Path<FilePath>,
) -> Result<File, ApiError> {
    let (checksum, content) = api.uploaded(file_id)?;
    if !api.assumed().rest_file_is_zipped {
        return Ok(File(content.into_bytes()));
    }
    let zipped = zipped(&checksum, content.as_bytes());
    zipped.map(File).map_err(|error| ApiError::Invalid(format!("The file cannot be packed: {error}.")))
}

/// An archive with the file under its checksum, and the key that restores its bytes in `metadata.xml`, in the form that a
/// public client reads.
fn zipped(checksum: &str, content: &[u8]) -> Result<Vec<u8>, ZipError> {
    let is_hash =
        matches!(checksum.len(), 32 | 40 | 64) && checksum.bytes().all(|one| one.is_ascii_hexdigit());
    let name = if is_hash { checksum.to_owned() } else { sha256_hex(content) };
    let file = Element::new("File").with("Name", &name).with("Key", &KEY.to_string());
    let mut metadata = Element::new("Metadata");
    metadata.push(file);
    let changed: Vec<u8> = content.iter().map(|byte| byte ^ KEY).collect();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().unix_permissions(0o600);
    zip.start_file(name, options)?;
    zip.write_all(&changed)?;
    zip.start_file("metadata.xml", options)?;
    zip.write_all(metadata.to_string().as_bytes())?;
    Ok(zip.finish()?.into_inner())
}

impl RestApi {
    /// Checksum and content of a file that a client has uploaded.
    fn uploaded(&self, file: Id) -> Result<(String, String), ApiError> {
        let found = self.clients.commands.find(|given| {
            given
                .rows
                .iter()
                .any(|row| file_of(given, row) == Some(file.0))
                .then(|| given.particulars.clone())
        });
        let particulars = found.ok_or_else(|| ApiError::gone("files", file))?;
        let (checksum, path) = particulars.split_once('\n').unwrap_or_default();
        Ok((checksum.to_owned(), content_of(path)))
    }
}

/// Identifier of the file that a client delivered.
pub(super) fn file_of(given: &GivenCommand, row: &CommandRow) -> Option<Guid> {
    let has_come = given.command.kind == CommandKind::Files && row.state.number() == 3;
    let name = format!("{} {}", given.command.id, row.agent);
    has_come.then(|| Guid::derive(0, "file", &name, std::net::Ipv4Addr::LOCALHOST))
}

/// Content of a file on an emulated machine.
pub(super) fn content_of(path: &str) -> String {
    format!("epm-lab: the file {path} of an emulated machine\n")
}
