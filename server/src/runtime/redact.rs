//! Takes passwords, tokens and shared secrets out of what the journal keeps and shows.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use bytes::Bytes;
use epm_protocol::heartbeat::http::sha256_hex;
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Stands in the place of a secret.
pub(crate) const REDACTED: &str = "[redacted]";
/// Stands in the place of a secret in an address or a form, which brackets would break.
const IN_ADDRESS: &str = "redacted";
/// Parts of names whose values are secrets, in lower case.
const SECRET: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "token",
    "secret",
    "credential",
    "authorization",
    "apikey",
    "api_key",
    "api-key",
    "kcs",
];
/// Parts of names that contain one of those, and are no secrets.
const NO_SECRET: &[&str] = &["expir", "type"];

/// Whether a field of this name has a secret value.
pub(crate) fn is_secret(name: &str) -> bool {
    is_secret_in_lower_case(&name.to_lowercase())
}

fn is_secret_in_lower_case(name: &str) -> bool {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    has(SECRET) && !has(NO_SECRET)
}

/// Replaces secrets in settings by digests, which say whether two are the same, and are of no other use. `site` is a secret of the site.
pub(crate) fn digest(settings: &mut Value, site: &str) {
    const MARK: &str = "sha256:";
    // The shortest of these fields in the product has so many characters.
    const LENGTH: usize = 32;
    match settings {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if is_secret(name) && !text.is_empty() && !text.starts_with(MARK) => {
                        *text = format!("{MARK}{}", sha256_hex(format!("{site} {text}").as_bytes()));
                        text.truncate(LENGTH);
                    }
                    _ => digest(value, site),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| digest(value, site)),
        _ => {}
    }
}

/// Takes a token that a caller has sent out of an answer that repeats it.
pub(crate) fn repeated(answer: &Bytes, token: Option<&str>) -> Bytes {
    let found = token.filter(|token| token.len() >= 4).zip(std::str::from_utf8(answer).ok());
    match found.filter(|(token, text)| text.contains(token)) {
        Some((token, text)) => text.replace(token, REDACTED).into(),
        None => answer.clone(),
    }
}

/// Redacts the values of headers that carry credentials, and the addresses in others.
pub(crate) fn headers(headers: &mut HeaderMap) {
    let is_secret = |name: &header::HeaderName| {
        *name == header::COOKIE || *name == header::SET_COOKIE || is_secret_in_lower_case(name.as_str())
    };
    for (name, value) in headers.iter_mut() {
        if is_secret(name) {
            *value = HeaderValue::from_static(REDACTED);
        } else if [header::REFERER, header::LOCATION, header::CONTENT_LOCATION].contains(name) {
            let redacted = value.to_str().map(address).unwrap_or_default();
            *value = redacted.parse().unwrap_or_else(|_| HeaderValue::from_static(REDACTED));
        }
    }
}

/// Redacts the values of query parameters, and of what looks like one in the path; drops a user name and password before
/// the host.
pub(crate) fn uri(uri: &Uri) -> Uri {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    let redacted = address(target);
    if !has_user && redacted == target {
        return uri.clone();
    }
    redacted.parse().unwrap_or_else(|_| Uri::from_static("/"))
}

/// Redacts the values of query parameters of an address, and of what looks like one in its path; and tokens anywhere.
pub(crate) fn address(text: &str) -> String {
    let text = without_tokens(text, IN_ADDRESS);
    match text.split_once('?') {
        Some((path, query)) => format!("{}?{}", pairs(path, &['/', ';']), form(query)),
        None => pairs(&text, &['/', ';']),
    }
}

/// Replaces what has the form of a token of the REST API, a random UUID with hyphens: a tool may have sent it in the wrong place.
/// The product's identifiers have no hyphens.
fn without_tokens<'a>(text: &'a str, instead: &str) -> Cow<'a, str> {
    const LENGTH: usize = 36;
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    const VERSION: usize = 14;
    let is_token = |window: &[u8]| {
        window[VERSION] == b'4'
            && window.iter().enumerate().all(|(at, byte)| match HYPHENS.contains(&at) {
                true => *byte == b'-',
                false => byte.is_ascii_hexdigit(),
            })
    };
    let bytes = text.as_bytes();
    let Some(first) = bytes.windows(LENGTH).position(is_token) else { return text.into() };
    let mut out = format!("{}{instead}", &text[..first]);
    out.push_str(&without_tokens(&text[first + LENGTH..], instead));
    out.into()
}

/// Redacts the values of a form or a query.
fn form(text: &str) -> String {
    pairs(text, &[';'])
}

/// Redacts secret values of pairs that begin at an `&` or one of `starts`. They end at an `&` only: a secret may have the
/// other characters in it.
fn pairs(text: &str, starts: &[char]) -> String {
    let redacted = text.split('&').map(|piece| {
        let mut begin = 0;
        for part in piece.split_inclusive(starts) {
            if let Some((name, _)) = part.split_once('=')
                && is_secret(&percent_decode_str(name).decode_utf8_lossy())
            {
                return format!("{}{name}={IN_ADDRESS}", &piece[..begin]);
            }
            begin += part.len();
        }
        piece.to_owned()
    });
    redacted.collect::<Vec<_>>().join("&")
}

/// Redacts the user name of a refused log-in, in JSON or in a form, unless it is that of an administrator: a password may
/// have been typed into its field. A body that is neither is redacted as a whole.
pub(crate) fn user_name(body: &Bytes, is_known: impl Fn(&str) -> bool) -> Bytes {
    let is_user = |name: &str| {
        let name = name.to_lowercase();
        name == "name" || name.contains("user") || name.contains("login")
    };
    if body.is_empty() || *body == REDACTED {
        return body.clone();
    }
    let text = std::str::from_utf8(body).unwrap_or_default();
    if let Ok(Value::Object(mut fields)) = serde_json::from_str(text) {
        for (name, value) in &mut fields {
            if is_user(name) && !value.as_str().is_some_and(&is_known) {
                *value = Value::from(REDACTED);
            }
        }
        return serde_json::to_vec(&fields).map_or_else(|_| REDACTED.into(), Bytes::from);
    }
    if text.starts_with(['{', '[', '"']) || !text.contains('=') {
        return Bytes::from_static(REDACTED.as_bytes());
    }
    let pairs = text.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if is_user(name) && !is_known(value) => format!("{name}={IN_ADDRESS}"),
        _ => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&").into()
}

/// Redacts a body: the values of JSON fields, of a form, or of attributes and elements of XML. What has the word for a secret
/// in it and is none of these is redacted as a whole. Tokens are left out anywhere.
pub(crate) fn body(bytes: &Bytes) -> Bytes {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => text,
        // Cut inside of a character: what is before it is text.
        Err(error) if error.error_len().is_none() => {
            let whole = bytes.slice(..error.valid_up_to());
            return body(&whole);
        }
        // Another encoding, or no text.
        _ => return if has_secret(bytes) { Bytes::from_static(REDACTED.as_bytes()) } else { bytes.clone() },
    };
    let bytes = match without_tokens(text, REDACTED) {
        Cow::Borrowed(_) => bytes.clone(),
        Cow::Owned(text) => text.into(),
    };
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let lower = text.to_lowercase();
    if !SECRET.iter().any(|word| lower.contains(word)) {
        return bytes;
    }
    if let Ok(mut value) = serde_json::from_str::<Value>(text) {
        json(&mut value);
        return serde_json::to_vec(&value).map_or_else(|_| REDACTED.into(), Bytes::from);
    }
    let trimmed = text.trim_start();
    if trimmed.starts_with('<') && !trimmed.contains("<![CDATA[") {
        return self::text(text).into();
    }
    let is_form =
        !trimmed.starts_with(['{', '[', '"']) && trimmed.contains('=') && !trimmed.contains(['\n', '{']);
    if is_form { form(text).into() } else { Bytes::from_static(REDACTED.as_bytes()) }
}

/// Whether bytes have the word for a secret in an encoding of which ASCII is a part, with or without zeros in between.
fn has_secret(bytes: &[u8]) -> bool {
    let letters: Vec<u8> = bytes.iter().filter(|byte| **byte != 0).map(u8::to_ascii_lowercase).collect();
    SECRET.iter().any(|word| letters.windows(word.len()).any(|found| found == word.as_bytes()))
}

fn json(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::Object(_) | Value::Array(_) if !is_secret(name) => json(value),
                    Value::Null | Value::Bool(_) => {}
                    _ if is_secret(name) => *value = Value::from(REDACTED),
                    _ => {}
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(json),
        _ => {}
    }
}

/// Redacts the values of `name="value"` in a text, and the texts of elements with such names.
pub(crate) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find(['"', '\'', '>']) {
        let (before, after) = rest.split_at(place);
        let quote = after.chars().next().unwrap_or('"');
        out.push_str(before);
        out.push(quote);
        rest = &after[1..];
        let (name, end) = if quote == '>' {
            (before.rsplit('<').next().unwrap_or_default().split_whitespace().next().unwrap_or_default(), '<')
        } else if before.trim_end().ends_with('=') {
            let name = before.trim_end().trim_end_matches('=').trim_end();
            (name.rsplit(|one: char| one.is_whitespace() || one == '<').next().unwrap_or_default(), quote)
        } else {
            continue;
        };
        let length = rest.find(end).unwrap_or(rest.len());
        let (value, more) = rest.split_at(length);
        let hides = is_secret(name) && !name.starts_with('/') && !value.trim().is_empty();
        if quote == '>' {
            if hides {
                out.push_str(REDACTED);
                rest = more;
            }
            continue;
        }
        out.push_str(if hides { REDACTED } else { value });
        if let Some(after) = more.strip_prefix(end) {
            out.push(end);
            rest = after;
        } else {
            rest = more;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        String::from_utf8(body(&Bytes::copy_from_slice(text.as_bytes())).to_vec()).unwrap()
    }

    #[test]
    fn passwords_and_tokens_are_taken_out_of_every_form() {
        for text in [
            r#"{"username":"admin","password":"hush","domain":""}"#,
            r#"{"a":[{"refreshToken":"hush"}],"clientSecret":{"x":"hush"}}"#,
            "grant_type=password&username=admin&password=hush",
            r#"<A Name="x" Kcs="hush" b='c'><Password>hush</Password></A>"#,
            r#"<A Kcs='hush'/>"#,
            r#"{"password":"hush"#,
            "password: hush\nother",
        ] {
            let redacted = redacted(text);
            assert!(!redacted.contains("hush") && redacted.contains("redacted"), "{redacted}");
        }
        // In other encodings, and cut inside of a character.
        let utf_16: Vec<u8> = r#"{"password":"hush"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [&b"{\"password\":\"hush\xFC\"}"[..], b"{\"password\":\"hush\",\"note\":\"\xC3", &utf_16]
        {
            assert_eq!(body(&Bytes::copy_from_slice(bytes)), REDACTED, "{bytes:?}");
        }
        assert_eq!(redacted("<A><Password><![CDATA[hush]]></Password></A>"), REDACTED);
        let archive = Bytes::from_static(b"PK\x03\x04\xFF");
        assert_eq!(body(&archive), archive);
        let named = redacted(r#"{"name":"0f8fad5b-d9cb-469f-a165-70867728950e"}"#);
        assert_eq!(named, r#"{"name":"[redacted]"}"#);
        let kept = r#"<A Name="x" b='c'><B>text with "quotes" > here</B></A>"#;
        assert_eq!(redacted(kept), kept);
        assert_eq!(text(kept), kept);
        assert_eq!(text(r#"<A Name="x" Kcs="1" b='c'>t</A>"#), r#"<A Name="x" Kcs="[redacted]" b='c'>t</A>"#);
        let fields = redacted(r#"{"token":"hush","tokenExpiration":43199,"token_type":"bearer","role":1}"#);
        assert!(
            fields.contains("43199") && fields.contains("bearer") && !fields.contains("hush"),
            "{fields}"
        );
        let uri = uri(&"/a/b?x=1&access_token=hush&y=2".parse().unwrap());
        assert_eq!(uri.to_string(), "/a/b?x=1&access_token=redacted&y=2");
        for (address, redacted) in [
            ("/a?x=1;password=hush&y", "/a?x=1;password=redacted&y"),
            ("/a?pass%77ord=hush", "/a?pass%77ord=redacted"),
            ("/a/token=hush/b?c=d", "/a/token=redacted?c=d"),
            ("/a?token=hu/sh;h?ush&b", "/a?token=redacted&b"),
            ("https://admin:hush@host/a?b=c", "/a?b=c"),
            ("https://host/a?b=c", "https://host/a?b=c"),
            ("/a/0f8fad5b-d9cb-469f-a165-70867728950e/x", "/a/redacted/x"),
            (
                "/a?sort=0F8FAD5B-D9CB-469F-A165-70867728950E,0f8fad5b-d9cb-469f-a165-70867728950e",
                "/a?sort=redacted,redacted",
            ),
            ("/a/0f8fad5bd9cb469fa16570867728950e", "/a/0f8fad5bd9cb469fa16570867728950e"),
        ] {
            assert_eq!(self::uri(&address.parse().unwrap()).to_string(), redacted);
        }
        let mut map = HeaderMap::new();
        map.insert(header::REFERER, HeaderValue::from_static("https://h/a?token=hush&b=c"));
        map.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer hush"));
        map.insert(header::COOKIE, HeaderValue::from_static("JSESSIONID=hush"));
        map.insert("x-api-key", HeaderValue::from_static("hush"));
        map.insert(header::HOST, HeaderValue::from_static("h"));
        let mut settings =
            serde_json::json!({ "proxy": [{ "http_password": "hush", "port": 80 }], "password": null });
        digest(&mut settings, "site");
        let once = settings.to_string();
        assert!(!once.contains("hush") && once.contains("sha256:") && once.contains("80"), "{once}");
        digest(&mut settings, "site");
        assert_eq!(settings.to_string(), once);
        let answer = repeated(&Bytes::from_static(b"no token hush1 here"), Some("hush1"));
        assert_eq!(answer, "no token [redacted] here");
        headers(&mut map);
        assert!(!format!("{map:?}").contains("hush") && map[header::HOST] == "h");
        assert_eq!(map[header::REFERER], "https://h/a?token=redacted&b=c");
    }

    #[test]
    fn the_user_name_of_a_refused_log_in_is_kept_only_if_it_is_known() {
        for (body, kept) in [
            (
                r#"{"password":"[redacted]","username":"hush"}"#,
                r#"{"password":"[redacted]","username":"[redacted]"}"#,
            ),
            (r#"{"domain":"d","username":"admin"}"#, r#"{"domain":"d","username":"admin"}"#),
            (r#"{"userName":["hush"]}"#, r#"{"userName":"[redacted]"}"#),
            (r#"{"username":"hush""#, REDACTED),
            ("hush", REDACTED),
            ("grant_type=password&username=hush", "grant_type=password&username=redacted"),
            ("username=admin&x", "username=admin&x"),
            ("", ""),
        ] {
            assert_eq!(user_name(&Bytes::from_static(body.as_bytes()), |name| name == "admin"), kept);
        }
    }
}
