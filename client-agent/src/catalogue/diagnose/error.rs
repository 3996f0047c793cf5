//! The reasons why bytes are not a log.

/// The reason why a text is not a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The text is empty.
    #[error("the log is empty; expected lines of a client's log, or an event's number with --line")]
    Empty,
    /// The bytes are not text.
    #[error(
        "line {line}: expected text in UTF-8, UTF-16 or a code page of Windows, found the byte 0x{byte:02X}"
    )]
    NotText {
        /// The line, from 1.
        line: usize,
        /// The first invalid byte.
        byte: u8,
    },
    /// There is no encoding of this name.
    #[error(
        "there is no encoding {name:?}; names are those of the web, such as windows-1251, shift_jis or utf-16le"
    )]
    Encoding {
        /// The name that was given.
        name: String,
    },
}
