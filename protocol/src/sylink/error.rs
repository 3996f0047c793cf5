//! What can be wrong with a communications file, and where.

use super::xml::{Element, Position, XmlError};

/// A communications file or a published list that cannot be understood. Never shows a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SylinkError {
    /// It is not XML.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// It is not text in UTF-8; the place is that of the first byte that is not.
    #[error("line {line}, column {column}: expected text in UTF-8, found the byte 0x{found:02X}")]
    NotUtf8 {
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// The first byte that is none of UTF-8's.
        found: u8,
    },
    /// It looks like text in UTF-16, and is none; the place is where it breaks.
    #[error("line {line}, column {column}: expected text in UTF-16, found {found}")]
    NotUtf16 {
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What stands there.
        found: String,
    },
    /// The root is another element than it must be.
    #[error("line {line}, column {column}: expected <{expected}> as the root element, found <{found}>")]
    WrongRoot {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The root's name in every such file.
        expected: &'static str,
        /// The root's name in this file.
        found: String,
    },
    /// An element that cannot be missing is. The place is that of the element that should have it.
    #[error("line {line}, column {column}: expected <{name}> in <{parent}>, found none")]
    MissingElement {
        /// The element that should have it.
        parent: String,
        /// The missing one.
        name: &'static str,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// An element of which there can be but one stands there again. The place is that of the second.
    #[error("line {line}, column {column}: expected one <{name}> in <{parent}>, found a second")]
    RepeatedElement {
        /// The element that has them.
        parent: String,
        /// The repeated one.
        name: &'static str,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// An attribute that cannot be missing is. The place is that of the element.
    #[error("line {line}, column {column}: expected {attribute} of <{element}>: {expected}; found none")]
    MissingAttribute {
        /// The element.
        element: String,
        /// The attribute.
        attribute: &'static str,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What it should say.
        expected: &'static str,
    },
    /// An attribute says what it cannot say.
    #[error("line {line}, column {column}: expected {attribute} of <{element}>: {expected}; found {found}")]
    BadAttribute {
        /// The element.
        element: String,
        /// The attribute.
        attribute: &'static str,
        /// The attribute's line, from 1.
        line: usize,
        /// The attribute's column, from 1.
        column: usize,
        /// What it should say.
        expected: &'static str,
        /// What it says, or a description of it if it is secret.
        found: String,
    },
    /// The body of a certificate is not base64, or empty.
    #[error("line {line}, column {column}: expected the certificate {name:?} in base64, found {found}")]
    BadCertificate {
        /// The certificate's name in the file.
        name: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// Why it cannot be read.
        found: String,
    },
    /// The server list has no server, so there is nobody to talk to.
    #[error("line {line}, column {column}: expected a <Server> in a <ServerPriorityBlock>, found none")]
    NoServer {
        /// The line of the list, from 1.
        line: usize,
        /// The column of the list, from 1.
        column: usize,
    },
}

impl SylinkError {
    /// The line where it is wrong, from 1.
    pub fn line(&self) -> usize {
        self.position().line
    }

    /// The column where it is wrong, in characters, from 1.
    pub fn column(&self) -> usize {
        self.position().column
    }

    fn position(&self) -> Position {
        let (Self::Xml(XmlError { line, column, .. })
        | Self::NotUtf8 { line, column, .. }
        | Self::NotUtf16 { line, column, .. }
        | Self::WrongRoot { line, column, .. }
        | Self::MissingElement { line, column, .. }
        | Self::RepeatedElement { line, column, .. }
        | Self::MissingAttribute { line, column, .. }
        | Self::BadAttribute { line, column, .. }
        | Self::BadCertificate { line, column, .. }
        | Self::NoServer { line, column }) = self;
        Position { line: *line, column: *column }
    }

    pub(super) fn missing_element(parent: &Element, name: &'static str) -> Self {
        let Position { line, column } = parent.position();
        Self::MissingElement { parent: parent.name().to_owned(), name, line, column }
    }

    pub(super) fn repeated_element(parent: &Element, name: &'static str, second: &Element) -> Self {
        let Position { line, column } = second.position();
        Self::RepeatedElement { parent: parent.name().to_owned(), name, line, column }
    }

    pub(super) fn no_server(list: &Element) -> Self {
        let Position { line, column } = list.position();
        Self::NoServer { line, column }
    }

    pub(super) fn missing_attribute(
        element: &Element,
        attribute: &'static str,
        expected: &'static str,
    ) -> Self {
        let Position { line, column } = element.position();
        Self::MissingAttribute { element: element.name().to_owned(), attribute, line, column, expected }
    }

    pub(super) fn bad_attribute(
        element: &Element,
        attribute: &'static str,
        expected: &'static str,
        found: &str,
    ) -> Self {
        let Position { line, column } = element.attribute_position(attribute);
        let found = if found.is_empty() { "nothing" } else { found }.to_owned();
        let element = element.name().to_owned();
        Self::BadAttribute { element, attribute, line, column, expected, found }
    }
}
