//! Errors in communications files and published lists, with line and column.

use crate::excerpt::excerpt;

use super::xml::{Element, Position, XmlError};

/// An error in a communications file or a published list. Never shows a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SylinkError {
    /// The file is not well-formed XML.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// The file is not UTF-8; the position is that of the first invalid byte.
    #[error("line {line}, column {column}: expected text in UTF-8, found the byte 0x{found:02X}")]
    NotUtf8 {
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// The first invalid byte.
        found: u8,
    },
    /// The file looks like UTF-16 but is not; the position is that of the first error.
    #[error("line {line}, column {column}: expected text in UTF-16, found {found}")]
    NotUtf16 {
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// A description of what was found.
        found: String,
    },
    /// The root element has another name than expected.
    #[error("line {line}, column {column}: expected <{expected}> as the root element, found <{found}>")]
    WrongRoot {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The expected name of the root element.
        expected: &'static str,
        /// The name that was found.
        found: String,
    },
    /// A required element is missing. The position is that of its parent.
    #[error("line {line}, column {column}: expected <{name}> in <{parent}>, found none")]
    MissingElement {
        /// The name of the parent element.
        parent: String,
        /// The name of the missing element.
        name: &'static str,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// An element that may appear once appears again. The position is that of the second.
    #[error("line {line}, column {column}: expected one <{name}> in <{parent}>, found a second")]
    RepeatedElement {
        /// The name of the parent element.
        parent: String,
        /// The name of the repeated element.
        name: &'static str,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A required attribute is missing. The position is that of the element.
    #[error("line {line}, column {column}: expected {attribute} of <{element}>: {expected}; found none")]
    MissingAttribute {
        /// The name of the element.
        element: String,
        /// The name of the attribute.
        attribute: &'static str,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The values that the attribute accepts.
        expected: &'static str,
    },
    /// An attribute has a value that it does not accept.
    #[error("line {line}, column {column}: expected {attribute} of <{element}>: {expected}; found {found}")]
    BadAttribute {
        /// The name of the element.
        element: String,
        /// The name of the attribute.
        attribute: &'static str,
        /// The line of the attribute, from 1.
        line: usize,
        /// The column of the attribute, from 1.
        column: usize,
        /// The values that the attribute accepts.
        expected: &'static str,
        /// The value that was found, or a description of it if it is secret.
        found: String,
    },
    /// The body of a certificate is not base64, or empty.
    #[error("line {line}, column {column}: expected the certificate {name:?} in base64, found {found}")]
    BadCertificate {
        /// The name of the certificate in the file.
        name: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// A description of what was found.
        found: String,
    },
    /// The server list names no server.
    #[error("line {line}, column {column}: expected a <Server> in a <ServerPriorityBlock>, found none")]
    NoServer {
        /// The line of the list, from 1.
        line: usize,
        /// The column of the list, from 1.
        column: usize,
    },
}

impl SylinkError {
    /// The line of the error, from 1.
    pub fn line(&self) -> usize {
        self.position().line
    }

    /// The column of the error in characters, from 1.
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
        Self::MissingElement { parent: excerpt(parent.name()), name, line, column }
    }

    pub(super) fn repeated_element(parent: &Element, name: &'static str, second: &Element) -> Self {
        let Position { line, column } = second.position();
        Self::RepeatedElement { parent: excerpt(parent.name()), name, line, column }
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
        Self::MissingAttribute { element: excerpt(element.name()), attribute, line, column, expected }
    }

    pub(super) fn bad_attribute(
        element: &Element,
        attribute: &'static str,
        expected: &'static str,
        found: &str,
    ) -> Self {
        let Position { line, column } = element.attribute_position(attribute);
        let found = if found.is_empty() { "nothing".to_owned() } else { excerpt(found) };
        let element = excerpt(element.name());
        Self::BadAttribute { element, attribute, line, column, expected, found }
    }
}
