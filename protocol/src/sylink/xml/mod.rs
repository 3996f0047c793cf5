//! An XML document that is written as it was read.
//!
//! Every byte that is read is kept: white space, quotes, comments, the form of a tag. A change affects nothing else.
//! There are no entities beyond those of XML itself, and a DOCTYPE is refused, so a file cannot grow while it is read.
//! Nothing here knows what the elements mean. Start at [`Document`].

mod element;
mod escape;

use std::collections::BTreeSet;
use std::fmt;

use quick_xml::Reader;
use quick_xml::errors::{IllFormedError, SyntaxError};
use quick_xml::events::Event;

pub use element::{Element, Node, Position};

use crate::excerpt::excerpt;
use element::Attribute;

/// The largest file that is read, in bytes. Real ones have some thousand. [I, from their content]
pub const SIZE_LIMIT: usize = 1 << 20;

/// The deepest nesting of elements that is read. Real files have five levels. [C S17]
pub const DEPTH_LIMIT: usize = 64;

/// A whole file: the root element, and what surrounds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Whether the file begins with a byte order mark.
    marked: bool,
    prolog: Vec<Node>,
    root: Element,
    epilog: Vec<Node>,
}

/// A text that is not well-formed XML, or exceeds a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: expected {expected}, found {found}")]
pub struct XmlError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1. A byte order mark is not counted.
    pub column: usize,
    /// A description of what was expected.
    pub expected: String,
    /// A description of what was found.
    pub found: String,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is not well-formed, has a DOCTYPE, declares an encoding other than the text's, or exceeds [`SIZE_LIMIT`]
    /// bytes or [`DEPTH_LIMIT`] levels.
    pub fn parse(text: &str) -> Result<Self, XmlError> {
        Self::read(text, true)
    }

    /// Reads a file whose bytes have been decoded already, and ignores the encoding that it declares.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub(crate) fn parse_decoded(text: &str) -> Result<Self, XmlError> {
        Self::read(text, false)
    }

    fn read(text: &str, is_utf8: bool) -> Result<Self, XmlError> {
        if text.len() > SIZE_LIMIT {
            let expected = format!("at most {SIZE_LIMIT} bytes");
            return Err(XmlError { line: 1, column: 1, expected, found: format!("{} bytes", text.len()) });
        }
        let unmarked = text.strip_prefix(BYTE_ORDER_MARK);
        let mut parser = Parser { is_utf8, ..Parser::new(unmarked.unwrap_or(text)) };
        parser.run()?;
        let Parser { prolog, root, epilog, source, .. } = &mut parser;
        let Some(root) = root.take() else {
            return Err(source.error(source.text.len(), ROOT, END));
        };
        let (prolog, epilog) = (std::mem::take(prolog), std::mem::take(epilog));
        Ok(Self { marked: unmarked.is_some(), prolog, root, epilog })
    }

    /// Makes a new file around a root: an XML declaration, and an element on each line.
    pub fn compose(root: Element) -> Self {
        let declaration = Node::Instruction("xml version=\"1.0\" encoding=\"UTF-8\"".to_owned());
        let line_end = || Node::Text("\n".to_owned());
        let mut document =
            Self { marked: false, prolog: vec![declaration, line_end()], root, epilog: vec![line_end()] };
        document.lay_out();
        document
    }

    /// The root element.
    pub fn root(&self) -> &Element {
        &self.root
    }

    /// The root element, to change.
    pub fn root_mut(&mut self) -> &mut Element {
        &mut self.root
    }

    /// Returns the root element, without the rest.
    pub fn into_root(self) -> Element {
        self.root
    }

    /// The text of the file. Unchanged parts are kept byte for byte.
    pub fn to_xml(&self) -> String {
        self.to_string()
    }

    /// Sets what was made since the file was read on lines of its own, indented like the rest of the file.
    pub fn lay_out(&mut self) {
        let inner = match self.root.separator() {
            Some(inner) => inner.to_owned(),
            None if self.root.elements().all(|child| child.position() == Position::default()) => {
                "\n  ".to_owned()
            }
            None => return,
        };
        let indentation = inner.rfind('\n').map_or(0, |end| end + 1);
        let (line_end, step) = inner.split_at(indentation);
        // Blank lines before the first child are not repeated.
        let line_end = if line_end.ends_with("\r\n") { "\r\n" } else { "\n" };
        self.root.lay_out(line_end, step);
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.marked {
            write!(f, "{BYTE_ORDER_MARK}")?;
        }
        self.prolog.iter().try_for_each(|node| node.fmt(f))?;
        self.root.fmt(f)?;
        self.epilog.iter().try_for_each(|node| node.fmt(f))
    }
}

/// The position just after a text that a file begins with.
pub(crate) fn end_of(text: &str) -> Position {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    Source { text, at: 0, position: START }.position(text.len())
}

/// Takes quick-xml's events and cuts the parts they stand for out of the text, as written.
struct Parser<'a> {
    source: Source<'a>,
    prolog: Vec<Node>,
    root: Option<Element>,
    epilog: Vec<Node>,
    /// The elements whose end tags have not been read yet, outermost first.
    open: Vec<Element>,
    /// Whether the bytes are UTF-8, so that no other encoding may be declared.
    is_utf8: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let source = Source { text, at: 0, position: START };
        Self { source, prolog: Vec::new(), root: None, epilog: Vec::new(), open: Vec::new(), is_utf8: true }
    }

    fn run(&mut self) -> Result<(), XmlError> {
        let text = self.source.text;
        // quick-xml would skip a byte order mark without counting it, so a second one must not reach it.
        if let Some((at, c)) =
            text.char_indices().find(|&(at, c)| !escape::is_allowed(c) || (at == 0 && c == BYTE_ORDER_MARK))
        {
            let found = format!("U+{:04X}", u32::from(c));
            return Err(self.source.error(at, "a character that XML allows here", found));
        }
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        // Tags are matched here, where the error can name the expected ones.
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        loop {
            let start = offset(reader.buffer_position());
            let event = reader.read_event().map_err(|error| self.refuse(&error, start))?;
            let raw = text.get(start..offset(reader.buffer_position())).unwrap_or_default();
            match event {
                Event::Start(_) => {
                    let element = self.start_tag(raw, start)?;
                    self.open.push(element);
                }
                Event::Empty(_) => {
                    let element = self.start_tag(raw, start)?;
                    self.place_element(element);
                }
                Event::End(_) => self.end_tag(raw, start)?,
                Event::Text(_) | Event::GeneralRef(_) => self.text(raw, start)?,
                Event::CData(plain) => {
                    if self.open.is_empty() {
                        return Err(self.source.error(start, self.outside(), "<![CDATA["));
                    }
                    self.place(Node::CData((*plain).to_owned()));
                }
                Event::Comment(plain) => {
                    if plain.contains("--") || plain.ends_with('-') {
                        return Err(self.source.error(start, "a comment without -- in it", "--"));
                    }
                    self.place(Node::Comment((*plain).to_owned()));
                }
                Event::PI(plain) => self.place(Node::Instruction((*plain).to_owned())),
                Event::Decl(declaration) => {
                    if start > 0 {
                        let expected = "the XML declaration at the very start of the file";
                        return Err(self.source.error(start, expected, "it here"));
                    }
                    let encoding = declaration.encoding().and_then(Result::ok).unwrap_or("UTF-8".into());
                    if self.is_utf8 && !encoding.eq_ignore_ascii_case("UTF-8") && !text.is_ascii() {
                        return Err(self.source.error(start, "encoding=\"UTF-8\"", excerpt(&encoding)));
                    }
                    self.place(Node::Instruction((*declaration).to_owned()));
                }
                Event::DocType(_) => {
                    return Err(self.source.error(start, "a file without a DOCTYPE", "<!DOCTYPE"));
                }
                Event::Eof => break,
            }
        }
        match self.open.last() {
            Some(element) => {
                Err(self.source.error(text.len(), format!("</{}>", excerpt(&element.name)), END))
            }
            None => Ok(()),
        }
    }

    /// What is allowed where text other than white space is not.
    fn outside(&self) -> &'static str {
        if self.root.is_none() { ROOT } else { "nothing after the root element" }
    }

    fn place(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(element) => element.children.push(node),
            None if self.root.is_none() => self.prolog.push(node),
            None => self.epilog.push(node),
        }
    }

    fn place_element(&mut self, element: Element) {
        if self.open.is_empty() {
            self.root = Some(element);
        } else {
            self.place(Node::Element(element));
        }
    }

    fn text(&mut self, raw: &str, start: usize) -> Result<(), XmlError> {
        escape::read_text(raw)
            .map_err(|(at, expected, found)| self.source.error(start + at, expected, found))?;
        let Some(element) = self.open.last_mut() else {
            if let Some((at, c)) = raw.char_indices().find(|&(_, c)| !escape::is_space(c)) {
                return Err(self.source.error(start + at, self.outside(), character(Some(c))));
            }
            self.place(Node::Text(raw.to_owned()));
            return Ok(());
        };
        // A reference is an event of its own, but does not split a text.
        match element.children.last_mut() {
            Some(Node::Text(text)) => text.push_str(raw),
            _ => element.children.push(Node::Text(raw.to_owned())),
        }
        Ok(())
    }

    fn end_tag(&mut self, raw: &str, start: usize) -> Result<(), XmlError> {
        let content = raw.strip_prefix("</").and_then(|raw| raw.strip_suffix('>')).unwrap_or_default();
        let name = content.trim_end_matches(escape::is_space);
        let found = || format!("</{}>", excerpt(name));
        let Some(mut element) = self.open.pop() else {
            return Err(self.source.error(start, self.outside(), found()));
        };
        if element.name != name {
            return Err(self.source.error(start, format!("</{}>", excerpt(&element.name)), found()));
        }
        element.end_tail = content[name.len()..].to_owned();
        self.place_element(element);
        Ok(())
    }

    fn start_tag(&mut self, raw: &'a str, start: usize) -> Result<Element, XmlError> {
        if self.open.is_empty() && self.root.is_some() {
            return Err(self.source.error(start, self.outside(), "a second root element"));
        }
        if self.open.len() >= DEPTH_LIMIT {
            let expected = format!("at most {DEPTH_LIMIT} levels of elements");
            return Err(self.source.error(start, expected, "one more"));
        }
        let body = raw.strip_prefix('<').unwrap_or(raw);
        let (body, self_closing) = match body.strip_suffix("/>") {
            Some(body) => (body, true),
            None => (body.strip_suffix('>').unwrap_or(body), false),
        };
        let mut tag = Tag { rest: body, end: start + 1 + body.len() };
        let name = tag.name();
        if name.is_empty() {
            return Err(self.unexpected(&tag, "an element's name"));
        }
        let mut element =
            Element { self_closing, position: self.source.position(start), ..Element::new(name) };
        let mut names = BTreeSet::new();
        loop {
            let space = tag.take(escape::is_space);
            if tag.rest.is_empty() {
                element.tail = space.to_owned();
                return Ok(element);
            }
            if space.is_empty() {
                return Err(self.unexpected(&tag, "a space or the end of the tag"));
            }
            let attribute = self.attribute(&mut tag, space)?;
            if !names.insert(attribute.name.clone()) {
                let Position { line, column } = attribute.position;
                let found = format!("{} again", excerpt(&attribute.name));
                return Err(XmlError { line, column, expected: "each attribute once".to_owned(), found });
            }
            element.attributes.push(attribute);
        }
    }

    /// Reads an attribute up to its closing quote.
    fn attribute(&mut self, tag: &mut Tag<'a>, space: &str) -> Result<Attribute, XmlError> {
        let position = self.source.position(tag.at());
        let name = tag.name();
        if name.is_empty() {
            return Err(self.unexpected(tag, "an attribute's name"));
        }
        let before = tag.take(escape::is_space);
        if !tag.rest.starts_with('=') {
            return Err(self.unexpected(tag, &format!("= after {}", excerpt(name))));
        }
        tag.rest = &tag.rest[1..];
        let after = tag.take(escape::is_space);
        let Some(quote) = tag.rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            return Err(self.unexpected(tag, &format!("a quote before the value of {}", excerpt(name))));
        };
        tag.rest = &tag.rest[1..];
        let start = tag.at();
        let written = tag.take(|c| c != quote && c != '<');
        if !tag.rest.starts_with(quote) {
            return Err(self.unexpected(tag, &format!("{quote} after the value of {}", excerpt(name))));
        }
        tag.rest = &tag.rest[1..];
        let value = escape::read_attribute(written)
            .map_err(|(at, expected, found)| self.source.error(start + at, expected, found))?;
        Ok(Attribute {
            name: name.to_owned(),
            position,
            lead: format!("{space}{name}{before}={after}"),
            quote,
            written: written.to_owned(),
            value,
        })
    }

    fn unexpected(&mut self, tag: &Tag<'_>, expected: &str) -> XmlError {
        self.source.error(tag.at(), expected, character(tag.rest.chars().next()))
    }

    /// Translates quick-xml's errors. It stops only where something has no end.
    fn refuse(&mut self, error: &quick_xml::Error, start: usize) -> XmlError {
        use quick_xml::Error::{IllFormed, Syntax};
        let rest = self.source.text.get(start..).unwrap_or_default();
        let (expected, found) = match error {
            Syntax(SyntaxError::InvalidBangMarkup) => ("<!-- or <![CDATA[", "<!"),
            Syntax(SyntaxError::UnclosedPI | SyntaxError::UnclosedXmlDecl) => ("?> after this <?", "none"),
            Syntax(SyntaxError::UnclosedComment) => ("--> after this <!--", "none"),
            Syntax(SyntaxError::UnclosedCData) => ("]]> after this <![CDATA[", "none"),
            Syntax(
                SyntaxError::UnclosedTag
                | SyntaxError::UnclosedSingleQuotedAttributeValue
                | SyntaxError::UnclosedDoubleQuotedAttributeValue,
            ) => {
                // A quote or a > is missing; reading the start tag shows where.
                if !rest.starts_with("</")
                    && let Err(error) = self.start_tag(rest, start)
                {
                    return error;
                }
                ("> after this <", "none")
            }
            Syntax(SyntaxError::UnclosedDoctype) | IllFormed(IllFormedError::MissingDoctypeName) => {
                ("a file without a DOCTYPE", "<!DOCTYPE")
            }
            IllFormed(IllFormedError::UnclosedReference) => {
                ("; after this &, or &amp; for a plain &", "none")
            }
            _ => ("well-formed XML", "something else"),
        };
        self.source.error(start, expected, found)
    }
}

/// The rest of a start tag.
struct Tag<'a> {
    rest: &'a str,
    /// The offset in the whole text at which the rest ends.
    end: usize,
}

impl<'a> Tag<'a> {
    fn at(&self) -> usize {
        self.end - self.rest.len()
    }

    fn take(&mut self, accepted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !accepted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Reads a name; empty if there is none here.
    fn name(&mut self) -> &'a str {
        if self.rest.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | ':')) {
            self.take(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '-' | '.' | '\u{B7}'))
        } else {
            ""
        }
    }
}

/// The text, with the line and column of a moving offset, so that no line is counted twice.
struct Source<'a> {
    text: &'a str,
    at: usize,
    position: Position,
}

impl Source<'_> {
    fn position(&mut self, offset: usize) -> Position {
        if offset < self.at {
            (self.at, self.position) = (0, START);
        }
        for c in self.text.get(self.at..offset).unwrap_or_default().chars() {
            if c == '\n' {
                self.position = Position { line: self.position.line + 1, column: 1 };
            } else {
                self.position.column += 1;
            }
        }
        self.at = offset;
        self.position
    }

    fn error(&mut self, at: usize, expected: impl Into<String>, found: impl Into<String>) -> XmlError {
        let Position { line, column } = self.position(at);
        XmlError { line, column, expected: expected.into(), found: found.into() }
    }
}

fn offset(position: u64) -> usize {
    // A file is at most SIZE_LIMIT long.
    usize::try_from(position).unwrap_or(usize::MAX)
}

fn character(c: Option<char>) -> String {
    c.map_or_else(|| "the end of the tag".to_owned(), |c| c.to_string())
}

const BYTE_ORDER_MARK: char = '\u{FEFF}';
const START: Position = Position { line: 1, column: 1 };
const ROOT: &str = "a root element";
const END: &str = "the end of the file";

#[cfg(test)]
mod tests;
