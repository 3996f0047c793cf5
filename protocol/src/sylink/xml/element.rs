//! Elements of a file, with their values and the form in which they were written.

use std::fmt;

use super::escape;

/// A position in a file, from 1. Zeroes mean that the thing was made and not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// A part of the content of an element, or of what surrounds the root.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// An element.
    Element(Element),
    /// Text as written, references and white space included. [`Element::text`] reads it.
    Text(String),
    /// The content of a `<![CDATA[` section.
    CData(String),
    /// The content between `<!--` and `-->`.
    Comment(String),
    /// The content between `<?` and `?>`; the XML declaration is one.
    Instruction(String),
}

/// An element: its attributes in the order of the file, and its children.
///
/// Two elements are equal if they are written alike, wherever they are. `Debug` shows no content, since
/// attributes can be secret.
#[derive(Clone)]
pub struct Element {
    pub(super) name: String,
    pub(super) position: Position,
    pub(super) attributes: Vec<Attribute>,
    /// White space before the `>` of the start tag.
    pub(super) tail: String,
    /// Whether the element is written as `<a/>` while it has no children.
    pub(super) self_closing: bool,
    /// White space before the `>` of the end tag.
    pub(super) end_tail: String,
    pub(super) children: Vec<Node>,
}

#[derive(Clone)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) position: Position,
    /// Everything before the quote: white space, name, equals sign.
    pub(super) lead: String,
    pub(super) quote: char,
    /// The value as written between the quotes.
    pub(super) written: String,
    pub(super) value: String,
}

impl Element {
    /// Makes an element without attributes and children.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            position: Position::default(),
            attributes: Vec::new(),
            tail: String::new(),
            self_closing: true,
            end_tail: String::new(),
            children: Vec::new(),
        }
    }

    /// Adds an attribute.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set_attribute(name, value);
        self
    }

    /// The name of the element, with its prefix if it has one.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The position of the start tag in the file that was read.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The names and values of the attributes, in order.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|attribute| (attribute.name.as_str(), attribute.value.as_str()))
    }

    /// The value of an attribute; none if there is no such attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The position of an attribute in the file; that of the element if there is no such attribute.
    pub fn attribute_position(&self, name: &str) -> Position {
        self.attributes.iter().find(|known| known.name == name).map_or(self.position, |known| known.position)
    }

    /// Sets an attribute. An existing one keeps its position and quotes; a new one comes last.
    pub fn set_attribute(&mut self, name: &str, value: &str) {
        match self.attributes.iter_mut().find(|known| known.name == name) {
            Some(known) if known.value == value => {}
            Some(known) => {
                known.written = escape::attribute(value, known.quote);
                known.value = value.to_owned();
            }
            None => self.attributes.push(Attribute {
                name: name.to_owned(),
                position: self.position,
                lead: format!(" {name}="),
                quote: '"',
                written: escape::attribute(value, '"'),
                value: value.to_owned(),
            }),
        }
    }

    /// Removes an attribute and the white space before it.
    pub fn remove_attribute(&mut self, name: &str) {
        self.attributes.retain(|known| known.name != name);
    }

    /// Everything between the tags of the element.
    pub fn children(&self) -> &[Node] {
        &self.children
    }

    /// The child elements.
    pub fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(Node::as_element)
    }

    /// The child elements, to change.
    pub fn elements_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        self.children.iter_mut().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            _ => None,
        })
    }

    /// The child elements of this name.
    pub fn children_named(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.elements().filter(move |element| element.name == name)
    }

    /// The first child element of this name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children_named(name).next()
    }

    /// The first child element of this name, to change.
    pub fn child_mut(&mut self, name: &str) -> Option<&mut Self> {
        self.elements_mut().find(|element| element.name == name)
    }

    /// The elements of this name at any depth below this one, in the order of the file.
    pub fn descendants_named(&self, name: &str) -> Vec<&Self> {
        self.elements()
            .flat_map(|element| {
                let own = (element.name == name).then_some(element);
                own.into_iter().chain(element.descendants_named(name))
            })
            .collect()
    }

    /// The first element of this name at any depth below this one, to change.
    pub fn descendant_mut(&mut self, name: &str) -> Option<&mut Self> {
        for element in self.elements_mut() {
            if element.name == name {
                return Some(element);
            }
            if let Some(found) = element.descendant_mut(name) {
                return Some(found);
            }
        }
        None
    }

    /// The text directly between the tags, with references replaced.
    pub fn text(&self) -> String {
        self.children
            .iter()
            .map(|node| match node {
                // The parser never returns a text that cannot be read.
                Node::Text(written) => escape::read_text(written).unwrap_or_default(),
                Node::CData(plain) => plain.clone(),
                Node::Element(_) | Node::Comment(_) | Node::Instruction(_) => String::new(),
            })
            .collect()
    }

    /// Replaces all children with a text.
    pub fn set_text(&mut self, plain: &str) {
        self.children = vec![Node::Text(escape::text(plain))];
    }

    /// Adds a child after the last one.
    pub fn push(&mut self, element: Self) {
        self.insert(self.end_of_content(), element);
    }

    /// Adds a child after the first child of the name `sibling`, or after the last child if there is none.
    pub fn insert_after(&mut self, sibling: &str, element: Self) {
        let place = self.children.iter().position(|node| node.is_named(sibling));
        self.insert(place.map_or_else(|| self.end_of_content(), |place| place + 1), element);
    }

    /// Replaces the children of this name with `new`, one by one, so that what stands between them stays in place.
    /// Surplus old ones are removed, surplus new ones follow the last.
    pub fn replace_children(&mut self, name: &str, new: Vec<Self>) {
        let mut new = new.into_iter();
        let mut after = self.end_of_content();
        let mut at = 0;
        while at < self.children.len() {
            if !self.children[at].is_named(name) {
                at += 1;
            } else if let Some(element) = new.next() {
                self.children[at] = Node::Element(element);
                at += 1;
                after = at;
            } else {
                self.children.remove(at);
                if at > 0 && self.children[at - 1].is_space() {
                    at -= 1;
                    self.children.remove(at);
                }
                after = after.min(at);
            }
        }
        for element in new {
            self.insert(after, element);
            after += 1;
        }
    }

    fn insert(&mut self, at: usize, mut element: Self) {
        // Without a position, `lay_out` sets it on a line of its own.
        element.position = Position::default();
        self.children.insert(at, Node::Element(element));
    }

    /// The index for a new last child: before the white space that indents the end tag.
    fn end_of_content(&self) -> usize {
        let length = self.children.len();
        length - usize::from(self.children.last().is_some_and(Node::is_space))
    }

    /// Sets every element that was made or moved on a line of its own, indented like its neighbours.
    /// `outer` is the white space before this element, `step` what a level adds. A file without line breaks
    /// gets none.
    pub(super) fn lay_out(&mut self, outer: &str, step: &str) {
        let inner = match self.separator() {
            Some(inner) => inner.to_owned(),
            None if self.elements().all(Self::is_made) && !outer.is_empty() => format!("{outer}{step}"),
            None => String::new(),
        };
        let old = std::mem::take(&mut self.children);
        let mut moved = false;
        for node in old {
            let spaced = self.children.last().is_some_and(Node::is_space);
            if node.as_element().is_some_and(Self::is_made) && !spaced && !inner.is_empty() {
                self.children.push(Node::Text(inner.clone()));
                moved = true;
            }
            self.children.push(node);
        }
        if moved && !self.children.last().is_some_and(Node::is_space) {
            self.children.push(Node::Text(outer.to_owned()));
        }
        let mut before = String::new();
        for node in &mut self.children {
            match node {
                Node::Element(element) => element.lay_out(&before, step),
                Node::Text(text) if text.contains('\n') && text.chars().all(escape::is_space) => {
                    before.clone_from(text);
                }
                _ => {}
            }
        }
    }

    /// The line break and indentation before the first child that has one.
    pub(super) fn separator(&self) -> Option<&str> {
        self.children.windows(2).find_map(|pair| match pair {
            [Node::Text(text), Node::Element(_)] if pair[0].is_space() && text.contains('\n') => {
                Some(text.as_str())
            }
            _ => None,
        })
    }

    fn is_made(&self) -> bool {
        self.position == Position::default()
    }
}

impl Node {
    /// The element, if the node is one.
    pub fn as_element(&self) -> Option<&Element> {
        match self {
            Self::Element(element) => Some(element),
            _ => None,
        }
    }

    fn is_named(&self, name: &str) -> bool {
        self.as_element().is_some_and(|element| element.name == name)
    }

    fn is_space(&self) -> bool {
        matches!(self, Self::Text(text) if text.chars().all(escape::is_space))
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}> at {}:{}", self.name, self.position.line, self.position.column)
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.name)?;
        for Attribute { lead, quote, written, .. } in &self.attributes {
            write!(f, "{lead}{quote}{written}{quote}")?;
        }
        if self.self_closing && self.children.is_empty() {
            return write!(f, "{}/>", self.tail);
        }
        write!(f, "{}>", self.tail)?;
        self.children.iter().try_for_each(|node| node.fmt(f))?;
        write!(f, "</{}{}>", self.name, self.end_tail)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element(element) => element.fmt(f),
            Self::Text(written) => f.write_str(written),
            Self::CData(plain) => write!(f, "<![CDATA[{plain}]]>"),
            Self::Comment(plain) => write!(f, "<!--{plain}-->"),
            Self::Instruction(plain) => write!(f, "<?{plain}?>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sylink::xml::Document;

    fn parse(text: &str) -> Element {
        Document::parse(text).unwrap().into_root()
    }

    #[test]
    fn an_attribute_that_is_set_keeps_its_place_quotes_and_neighbours() {
        let mut root = parse("<a  x = '1'\n\ty=\"2\" z='3' />");
        root.set_attribute("y", "<\"'>");
        root.set_attribute("x", "it's \"so\"");
        assert_eq!(root.to_string(), "<a  x = 'it&apos;s \"so\"'\n\ty=\"&lt;&quot;'&gt;\" z='3' />");
        root.remove_attribute("x");
        root.set_attribute("new", "4");
        assert_eq!(root.to_string(), "<a\n\ty=\"&lt;&quot;'&gt;\" z='3' new=\"4\" />");
        assert_eq!(root.attribute("y"), Some("<\"'>"));
        assert_eq!(root.attribute("x"), None);
    }

    #[test]
    fn an_attribute_set_to_what_it_says_is_not_rewritten() {
        let mut root = parse("<a x='&#65;'/>");
        root.set_attribute("x", "A");
        assert_eq!(root.to_string(), "<a x='&#65;'/>");
    }

    #[test]
    fn replacing_children_leaves_what_stands_between_them() {
        let mut root = parse("<a><!--1--><b i='1'/><c/><b i='2'/><!--2--></a>");
        root.replace_children("b", vec![Element::new("b").with("i", "9")]);
        assert_eq!(root.to_string(), "<a><!--1--><b i=\"9\"/><c/><!--2--></a>");
        root.replace_children("b", ["7", "8"].map(|i| Element::new("b").with("i", i)).to_vec());
        assert_eq!(root.to_string(), "<a><!--1--><b i=\"7\"/><b i=\"8\"/><c/><!--2--></a>");
        root.replace_children("b", Vec::new());
        assert_eq!(root.to_string(), "<a><!--1--><c/><!--2--></a>");
        root.replace_children("b", vec![Element::new("b")]);
        assert_eq!(root.to_string(), "<a><!--1--><c/><!--2--><b/></a>");
    }

    #[test]
    fn a_new_child_stands_on_a_line_of_its_own_where_its_neighbours_do() {
        let mut document = Document::parse("<a>\r\n\t<b/>\r\n\t<c/><d/>\r\n</a>").unwrap();
        let mut made = Element::new("e");
        made.push(Element::new("f"));
        document.root_mut().push(made);
        document.lay_out();
        let expected = "<a>\r\n\t<b/>\r\n\t<c/><d/>\r\n\t<e>\r\n\t\t<f/>\r\n\t</e>\r\n</a>";
        assert_eq!(document.to_string(), expected);
        document.lay_out();
        assert_eq!(document.to_string(), expected, "once is enough");

        let mut flat = Document::parse("<a><b/></a>").unwrap();
        flat.root_mut().push(Element::new("c"));
        flat.lay_out();
        assert_eq!(flat.to_string(), "<a><b/><c/></a>");
    }

    #[test]
    fn debug_shows_no_value() {
        let root = parse("<a secret='swordfish'>swordfish</a>");
        assert_eq!(format!("{root:?}"), "<a> at 1:1");
    }

    #[test]
    fn descendants_come_in_the_order_of_the_file() {
        let mut root = parse("<a><x i='1'><x i='2'/></x><b><x i='3'/></b></a>");
        let found: Vec<_> = root.descendants_named("x").iter().filter_map(|x| x.attribute("i")).collect();
        assert_eq!(found, ["1", "2", "3"]);
        assert_eq!(root.descendant_mut("x").unwrap().attribute("i"), Some("1"));
    }
}
