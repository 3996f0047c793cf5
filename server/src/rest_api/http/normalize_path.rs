//! Removes redundant slashes from paths, which clients produce by joining URLs.

use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// The URL without redundant slashes; none if it has none.
pub(crate) fn without(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let has_too_many = path.contains("//") || path.len() > 1 && path.ends_with('/');
    if !has_too_many {
        return None;
    }
    let mut plain: String =
        path.split('/').filter(|part| !part.is_empty()).flat_map(|part| ["/", part]).collect();
    if plain.is_empty() {
        plain.push('/');
    }
    if let Some(query) = uri.query() {
        plain = format!("{plain}?{query}");
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(plain.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_too_many_are_taken_out_and_the_query_stays() {
        let plain = |uri: &str| without(&uri.parse().unwrap()).map(|uri| uri.to_string());
        for (uri, expected) in [
            ("/a/b/", "/a/b"),
            ("//a//b?x=//&y=/", "/a/b?x=//&y=/"),
            ("/a/b//?x=1", "/a/b?x=1"),
            ("https://host:8446//a/", "https://host:8446/a"),
            ("//", "/"),
        ] {
            assert_eq!(plain(uri).as_deref(), Some(expected), "{uri}");
        }
        for uri in ["/", "/a/b", "/a?x=//"] {
            assert_eq!(plain(uri), None, "{uri}");
        }
    }
}
