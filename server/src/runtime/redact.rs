//! Takes passwords, tokens and shared secrets out of what the journal keeps and shows.

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use bytes::Bytes;
use epm_protocol::heartbeat::http::sha256_hex;
use serde_json::Value;

/// Stands in the place of a secret.
pub(crate) const REDACTED: &str = "[redacted]";
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

/// Redacts the values of headers that carry credentials.
pub(crate) fn headers(headers: &mut HeaderMap) {
    let is_secret = |name: &header::HeaderName| {
        *name == header::COOKIE || *name == header::SET_COOKIE || is_secret_in_lower_case(name.as_str())
    };
    for (name, value) in headers.iter_mut() {
        if is_secret(name) {
            *value = HeaderValue::from_static(REDACTED);
        }
    }
}

/// Redacts the values of query parameters.
pub(crate) fn uri(uri: &Uri) -> Uri {
    let Some(query) = uri.query().filter(|query| query.split('&').any(|pair| is_secret(name_of(pair))))
    else {
        return uri.clone();
    };
    let with = format!("{}?{}", uri.path(), form(query));
    with.parse().unwrap_or_else(|_| Uri::from_static("/"))
}

/// Redacts the values of a form or a query.
fn form(text: &str) -> String {
    let pairs = text.split('&').map(|pair| {
        let name = name_of(pair);
        if is_secret(name) { format!("{name}={REDACTED}").replace(['[', ']'], "") } else { pair.to_owned() }
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn name_of(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

/// Redacts a body: the values of JSON fields, of a form, or of attributes and elements of XML. What has the word for a secret
/// in it and is none of these is redacted as a whole.
pub(crate) fn body(bytes: &Bytes) -> Bytes {
    let Ok(text) = std::str::from_utf8(bytes) else { return bytes.clone() };
    let lower = text.to_lowercase();
    if !SECRET.iter().any(|word| lower.contains(word)) {
        return bytes.clone();
    }
    if let Ok(mut value) = serde_json::from_str::<Value>(text) {
        json(&mut value);
        return serde_json::to_vec(&value).map_or_else(|_| REDACTED.into(), Bytes::from);
    }
    let trimmed = text.trim_start();
    if trimmed.starts_with('<') {
        return self::text(text).into();
    }
    let is_form =
        !trimmed.starts_with(['{', '[', '"']) && trimmed.contains('=') && !trimmed.contains(['\n', '{']);
    if is_form { form(text).into() } else { Bytes::from_static(REDACTED.as_bytes()) }
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
        let mut map = HeaderMap::new();
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
    }
}
