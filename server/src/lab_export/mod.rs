//! A whole lab as one file: what its data folder has, and readable parts beside it. A lab that is imported goes on like the original.
//!
//! | file | what |
//! |---|---|
//! | `archive` | the archive itself: folder, dates, where a file is in it |
//! | `manifest` | what the file says of itself |
//! | `write` | makes the file from a data folder |
//! | `foreign` | keys that the lab has not made, and what stands in for them |
//! | `read` | makes a data folder from the file |
//! | `error` | why one or the other cannot be done |
//!
//! Foreign private keys, and the shared secret of another site, never leave a data folder.

mod archive;
mod error;
mod foreign;
mod manifest;
mod read;
mod write;

pub(crate) use archive::{file_name, folder_of, pack};
pub(crate) use error::ExportError;
pub(crate) use manifest::Manifest;
pub(crate) use read::import;
pub(crate) use write::{Prepared, export};
