//! What is read and written, and what is refused.

use proptest::prelude::*;

use super::*;

const ODD: &str = concat!(
    "\u{FEFF}<?xml version='1.0'\tencoding=\"utf-8\" ?>\r\n<!-- head - line -->\r\n<?look here?>\n",
    "<a  x = 'it is \"so\" &amp; &#x41;'\r\n\ty=\"1>2\" >\r\n",
    "  text &lt; <b/> <b /><b></b><b\n></b\n>\n",
    "<![CDATA[ <raw> ]]>&#10;\n<ns:c-d.e ns:f=''/></a >\n\n<!--end-->\n",
);

#[test]
fn what_is_not_changed_comes_out_byte_for_byte() {
    for text in [ODD, "<a/>", "<a></a>", "<a>\r\n</a>\r\n", " \n<a b=\"\"/> ", "<a><!----></a>"] {
        assert_eq!(Document::parse(text).unwrap().to_xml(), text);
    }
}

#[test]
fn what_is_read_is_what_the_file_says() {
    let document = Document::parse(ODD).unwrap();
    let root = document.root();
    assert_eq!(root.attributes().collect::<Vec<_>>(), [("x", "it is \"so\" & A"), ("y", "1>2")]);
    assert_eq!(root.position(), Position { line: 4, column: 1 });
    assert_eq!(root.attribute_position("y"), Position { line: 5, column: 2 });
    assert_eq!(root.children_named("b").count(), 4);
    assert_eq!(root.text(), "\n  text <  \n <raw> \n\n");
    assert_eq!(root.child("ns:c-d.e").and_then(|c| c.attribute("ns:f")), Some(""));
}

#[test]
fn a_text_is_one_node_whatever_references_it_holds() {
    let document = Document::parse("<a>1&lt;2&amp;3</a>").unwrap();
    assert_eq!(document.root().children(), [Node::Text("1&lt;2&amp;3".to_owned())]);
}

#[test]
fn an_error_names_its_place_what_was_expected_and_what_was_found() {
    let deep = "<a>".repeat(DEPTH_LIMIT + 1);
    for (text, line, column, expected, found) in [
        ("", 1, 1, "a root element", "the end of the file"),
        ("\n plain", 2, 2, "a root element", "p"),
        ("<a>\n  <b>\n</a>", 3, 1, "</b>", "</a>"),
        ("<a>\n  <b>", 2, 6, "</b>", "the end of the file"),
        ("<a/>\n</a>", 2, 1, "nothing after the root element", "</a>"),
        ("</a>", 1, 1, "a root element", "</a>"),
        ("<a/><b/>", 1, 5, "nothing after the root element", "a second root element"),
        ("<a/>x", 1, 5, "nothing after the root element", "x"),
        ("<a/>&amp;", 1, 5, "nothing after the root element", "&"),
        ("<![CDATA[x]]><a/>", 1, 1, "a root element", "<![CDATA["),
        ("<a>\n<b x=\"1\"\n  x=\"2\"/></a>", 3, 3, "each attribute once", "x again"),
        ("<a x=1/>", 1, 6, "a quote before the value of x", "1"),
        ("<a x/>", 1, 5, "= after x", "the end of the tag"),
        ("<a x=\"1\"y=\"2\"/>", 1, 9, "a space or the end of the tag", "y"),
        ("<a x=\"1 y=\"2\"/>", 1, 12, "a space or the end of the tag", "2"),
        ("<a x=\"<\"/>", 1, 7, "\" after the value of x", "<"),
        ("<a>\n<b x=\"1/></a>", 2, 10, "\" after the value of x", "<"),
        ("<a><b></b \"", 1, 7, "> after this <", "none"),
        ("<a b='1' ", 1, 1, "> after this <", "none"),
        ("<a b='1", 1, 8, "' after the value of b", "the end of the tag"),
        ("<a x='&no;'/>", 1, 7, "&amp; &lt; &gt; &quot; &apos; or a character's number", "&no;"),
        ("<a>é&no;</a>", 1, 5, "&amp; &lt; &gt; &quot; &apos; or a character's number", "&no;"),
        ("<a>\n& b</a>", 2, 1, "; after this &, or &amp; for a plain &", "none"),
        ("<a>\n&b", 2, 1, "; after this &, or &amp; for a plain &", "none"),
        ("<a></</a>", 1, 4, "</a>", "</</a>"),
        ("<a>\n<<b/></a>", 2, 2, "an element's name", "<"),
        ("<1/>", 1, 2, "an element's name", "1"),
        ("<a 1='2'/>", 1, 4, "an attribute's name", "1"),
        ("<a><!-- -- --></a>", 1, 4, "a comment without -- in it", "--"),
        ("<a><!-- </a>", 1, 4, "--> after this <!--", "none"),
        ("<a><![CDATA[ </a>", 1, 4, "]]> after this <![CDATA[", "none"),
        ("<a><? </a>", 1, 4, "?> after this <?", "none"),
        ("<a><!x></a>", 1, 4, "<!-- or <![CDATA[", "<!"),
        ("<a>\n<", 2, 2, "an element's name", "the end of the tag"),
        ("<a", 1, 1, "> after this <", "none"),
        ("<!DOCTYPE a [<!ENTITY x 'y'>]><a/>", 1, 1, "a file without a DOCTYPE", "<!DOCTYPE"),
        ("<!DOCTYPE>", 1, 1, "a file without a DOCTYPE", "<!DOCTYPE"),
        ("\n<?xml version='1.0'?><a/>", 2, 1, "the XML declaration at the very start of the file", "it here"),
        ("<a>\n\u{1}</a>", 2, 1, "a character that XML allows here", "U+0001"),
        ("\u{FEFF}\u{FEFF}<a/>", 1, 1, "a character that XML allows here", "U+FEFF"),
        ("<?xml version='1.0' encoding='latin1'?><a>é</a>", 1, 1, "encoding=\"UTF-8\"", "latin1"),
        (deep.as_str(), 1, 193, "at most 64 levels of elements", "one more"),
    ] {
        let expected = XmlError { line, column, expected: expected.to_owned(), found: found.to_owned() };
        assert_eq!(Document::parse(text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn an_encoding_that_makes_no_difference_is_no_error() {
    let text = "<?xml version='1.0' encoding='ISO-8859-1'?><a>plain</a>";
    assert_eq!(Document::parse(text).unwrap().to_xml(), text);
}

#[test]
fn a_file_over_the_limits_is_refused_and_one_at_them_is_read() {
    let empty = "<a></a>".len();
    let full = format!("<a>{}</a>", "x".repeat(SIZE_LIMIT - empty));
    assert!(Document::parse(&full).is_ok());
    let error = Document::parse(&format!("{full}\n")).unwrap_err();
    assert_eq!((error.line, error.column, error.found.as_str()), (1, 1, "1048577 bytes"));

    let nested = |levels| format!("{}{}", "<a>".repeat(levels), "</a>".repeat(levels));
    assert!(Document::parse(&nested(DEPTH_LIMIT)).is_ok());
    assert!(Document::parse(&nested(DEPTH_LIMIT + 1)).is_err());
}

#[test]
fn many_elements_on_one_long_line_are_read_in_one_pass() {
    let text = format!("<a>{}</a>", "<b/>".repeat(SIZE_LIMIT / 4 - 2));
    let document = Document::parse(&text).unwrap();
    let last = document.root().elements().last().unwrap();
    assert_eq!(last.position().column, text.len() - "<b/></a>".len() + 1);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let _ = Document::parse(&text);
    }

    #[test]
    fn what_looks_like_xml_is_refused_or_comes_out_as_it_went_in(
        parts in proptest::collection::vec(
            prop::sample::select(vec![
                "<a>", "</a>", "<a/>", "<", ">", "/>", "</", "a", " ", "x='1'", "y=\"2\"", "'", "\"", "=",
                "&amp;",
                "&#65;", "&", ";", "<!--", "-->", "-", "--", "<![CDATA[", "]]>", "<?", "?>", "<?xml ", "<!",
                "!",
                "DOCTYPE", "\r\n", "\n", "\u{FEFF}", "é", "[", "]",
            ]),
            0..24,
        ),
        wrapped: bool,
    ) {
        let inner = parts.concat();
        let text = if wrapped { format!("<a>{inner}</a>") } else { inner };
        if let Ok(document) = Document::parse(&text) {
            prop_assert_eq!(document.to_xml(), text);
        }
    }
}

#[test]
fn many_attributes_at_one_element_are_read_in_one_pass() {
    let attributes: String = (0..80_000).map(|number| format!(" a{number}=''")).collect();
    let text = format!("<a{attributes}/>");
    assert_eq!(Document::parse(&text).unwrap().root().attributes().count(), 80_000);
    let error = Document::parse(&format!("<a{attributes} a7=''/>")).unwrap_err();
    assert_eq!(error.found, "a7 again");
}
