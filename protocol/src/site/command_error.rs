//! Why a site refuses a command.

use crate::excerpt::{excerpt, quoted};
use crate::policy::Protocol;
use crate::suggest::hint;
use crate::sylink::xml::SIZE_LIMIT;
use crate::trust::{IssueError, KeystoreError};

/// The reason why a site refuses a command; then nothing has changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CommandError {
    /// There is no object of that name.
    #[error("there is no {kind} {}{hint}", quoted(name))]
    Unknown {
        /// The kind of object.
        kind: &'static str,
        /// The name that was not found.
        name: String,
        /// The nearest known name, as the end of a sentence; empty if none is near.
        hint: String,
    },
    /// An object of that name exists already.
    #[error("a {kind} {} exists already", quoted(name))]
    NameTaken {
        /// The kind of object.
        kind: &'static str,
        /// The name of the object.
        name: String,
    },
    /// The default list cannot be changed.
    #[error(
        "{list:?} is the default list of the site and cannot be edited or removed; copy it and edit the copy"
    )]
    DefaultList {
        /// The name of the list.
        list: String,
    },
    /// The files of a manager cannot be written, on a full or read-only disk for example. Nothing has changed.
    #[error("the files of manager {manager:?} cannot be written, so nothing has changed: {why}")]
    NotWritten {
        /// Name of the manager.
        manager: String,
        /// The folder, and the error of the operating system.
        why: String,
    },
    /// The lab's data folder cannot be written, on a full or read-only disk for example. Nothing has changed.
    #[error("the data folder of the lab cannot be written, so nothing has changed: {why}")]
    NotStored {
        /// The folder, and the error.
        why: String,
    },
    /// The database that the managers of the site share is not available.
    #[error("the database cannot be used: {why}")]
    NoDatabase {
        /// The database, the error, and whether anything may have changed.
        why: String,
    },
    /// The site has its managers in several processes, and this needs one.
    #[error(
        "{what} needs a site in one process (`epm-lab up`), and this site has its managers in several: {why}"
    )]
    SeveralProcesses {
        /// What was asked for.
        what: &'static str,
        /// What it needs one process for.
        why: &'static str,
    },
    /// The lab's process has too few file descriptors for so many clients in push mode.
    #[error(
        "too many clients in push mode: {total} clients do not fit, since each keeps a connection open at both of its ends, \
         and this process may open {limit} further files; {fits} would fit; or raise the limit (`ulimit -Hn`) and start again"
    )]
    Descriptors {
        /// The number of clients in push mode that the lab would have.
        total: usize,
        /// The number of clients that fit.
        fits: usize,
        /// The number of file descriptors that there are.
        limit: usize,
    },
    /// The group inherits its settings.
    #[error(
        "the group {} inherits from {}: change it there, or stop the inheritance first",
        quoted(group),
        quoted(from)
    )]
    Inherits {
        /// The full path of the group.
        group: String,
        /// The full path of the group that it inherits from.
        from: String,
    },
    /// The top group cannot inherit.
    #[error("{} is the top group and has no parent to inherit from", quoted(group))]
    TopGroup {
        /// The name of the top group.
        group: String,
    },
    /// The object exists in every site and cannot be renamed or removed.
    #[error("the {kind} {} exists in every site and can be neither renamed nor removed", quoted(name))]
    Fixed {
        /// The kind of object.
        kind: &'static str,
        /// The name of the object.
        name: String,
    },
    /// A group to be removed is not empty.
    #[error("the group {} has {holds}: move or remove them first", quoted(group))]
    NotEmpty {
        /// The full path of the group.
        group: String,
        /// What the group contains.
        holds: &'static str,
    },
    /// A list to be removed is in use.
    #[error("the list {list:?} is in use by {by}")]
    ListInUse {
        /// The name of the list.
        list: String,
        /// A group or location that uses the list.
        by: String,
    },
    /// A value is out of range or malformed.
    #[error("{field} is {found:?}; expected {expected}")]
    Invalid {
        /// The name of the field.
        field: &'static str,
        /// The value that was found.
        found: String,
        /// The values that the field accepts.
        expected: String,
    },
    /// A list would send its clients to a port that the manager does not have.
    #[error("the list {list:?} speaks {protocol}, and the manager {manager:?} has no {protocol} port")]
    NoPort {
        /// The name of the list.
        list: String,
        /// The name of the manager.
        manager: String,
        /// The protocol of the list.
        protocol: Protocol,
    },
    /// A document would be larger than clients read.
    #[error(
        "the {document} of the group {} would have {bytes} bytes, and clients read at most {SIZE_LIMIT}: \
         take fewer or smaller lists, locations or policies",
        quoted(group)
    )]
    TooLarge {
        /// The kind of document: policy, management server list or index.
        document: &'static str,
        /// The full path of the group.
        group: String,
        /// The bytes that the document would have.
        bytes: usize,
    },
    /// The certificate or the key was refused.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// A certificate could not be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

impl CommandError {
    /// Makes the error for an unknown name, with the nearest of the known ones.
    pub fn unknown<'a>(kind: &'static str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Unknown { kind, name: excerpt(name), hint: hint(name, known) }
    }
}
