//! Numbers, times, names and fingerprints as people read them, and as parts of addresses.

pub(super) use epm_client_agent::report::grouped;
use maud::{Markup, Render, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Characters that need no escape in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name as a segment of a path, or as a value of a query.
pub(super) fn segment(name: &str) -> String {
    utf8_percent_encode(name, SEGMENT).to_string()
}

/// What is read from JSON, in words; the JSON itself, should this program not know its form.
pub(super) fn in_words<T: DeserializeOwned, W: Render>(one: &Value, words: impl Fn(&T) -> W) -> Markup {
    match T::deserialize(one) {
        Ok(known) => html! { (words(&known)) },
        Err(_) => html! { code { (one.to_string()) } },
    }
}

/// A number of things: `1 client`, `2,000 clients`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// The first eight digits of a fingerprint.
pub(super) fn short(fingerprint: &str) -> String {
    fingerprint.chars().filter(|digit| *digit != ':').take(8).collect()
}

/// A text whose fingerprints are short.
pub(super) fn shortened(text: &str) -> String {
    let is_fingerprint = |word: &str| word.len() == 95 && word.split(':').count() == 32;
    let shorten = |word: &str| {
        let bare = word.trim_end_matches([',', ';', '.']);
        if is_fingerprint(bare) { short(bare) + &word[bare.len()..] } else { word.to_owned() }
    };
    text.split(' ').map(shorten).collect::<Vec<_>>().join(" ")
}

/// A fingerprint, short, with the whole of it in its title.
pub(super) fn fingerprint(whole: &str) -> Markup {
    html! { code title=(whole) { (short(whole)) } }
}

/// A lab time to the second.
pub(super) fn moment(at: &str) -> Markup {
    let (date, time) = at.split_once('T').unwrap_or((at, ""));
    html! { time datetime=(at) title=(at) { (date) " " (time.get(..8).unwrap_or(time)) } }
}

/// A lab time to the millisecond.
pub(super) fn instant(at: &str) -> Markup {
    let (date, time) = at.split_once('T').unwrap_or((at, ""));
    html! { time datetime=(at) { (date) " " (time.trim_end_matches('Z')) } }
}

/// The path of a client's page.
pub(crate) fn path_of_client(name: &str) -> String {
    format!("/clients/{}", segment(name))
}

/// A link to a client.
pub(super) fn client(name: &str) -> Markup {
    html! { a href=(path_of_client(name)) { (name) } }
}

/// A link to a failure of the catalogue.
pub(super) fn failure(number: &str) -> Markup {
    html! { a.failure href={ "/failures/" (segment(number)) } { (number) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fingerprints_and_names_are_written_for_people_and_addresses() {
        assert_eq!((counted(1, "client"), counted(0, "client")), ("1 client".into(), "0 clients".into()));
        assert_eq!(short("C2:F1:50:E9:72:D7"), "C2F150E9");
        let long = vec!["AB"; 32].join(":");
        assert_eq!(
            shortened(&format!("found {long}, a:b {long}; {long}")),
            "found ABABABAB, a:b ABABABAB; ABABABAB"
        );
        assert_eq!(segment(r"My Company\A/B?é"), "My%20Company%5CA%2FB%3F%C3%A9");
        assert_eq!(client("<b>").into_string(), r#"<a href="/clients/%3Cb%3E">&lt;b&gt;</a>"#);
    }
}
