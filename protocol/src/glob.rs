//! Patterns with `*`, as used for names of computers.

/// Whether the whole of `text` matches `pattern`, in which `*` stands for any characters or none. Ignores case.
pub fn is_match(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text) in
            [("pc-1", "PC-1"), ("pc*", "pc-1"), ("*1", "pc-1"), ("p*-*1", "pc-1"), ("*", ""), ("**", "x")]
        {
            assert!(is_match(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("pc", "pc-1"), ("pc*2", "pc-1"), ("c*", "pc-1"), ("a*a", "a"), ("", "x")] {
            assert!(!is_match(pattern, text), "{pattern} {text}");
        }
    }
}
