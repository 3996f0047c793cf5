//! The scanner: what is code in a Rust source, and which paths stand in it.

/// Blanks comments and literals in a source; every line keeps its number.
pub(crate) fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let dead = length_of_comment_or_literal(rest);
        let end = if dead == 0 { first.len_utf8() } else { dead };
        if dead == 0 {
            code.push(first);
        } else {
            code.push_str(&blank(&rest[..end]));
        }
        rest = &rest[end..];
    }
    code
}

/// `code` without the items that are marked `#[cfg(test)]`.
pub(crate) fn shipped(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let Some(start) = code.find(MARK) else { return code.to_owned() };
    let after = start + MARK.len();
    let mut depth = 0;
    let ends = |char: char| {
        depth += i32::from("{([".contains(char)) - i32::from("})]".contains(char));
        depth == 0 && "};".contains(char)
    };
    let end = code[after..].find(ends).map_or(code.len(), |at| after + at + 1);
    format!("{}{}{}", &code[..start], blank(&code[start..end]), shipped(&code[end..]))
}

/// Each path in `code` with its line: `use a::{b, c::d}` is `a::b` and `a::c::d`, and a name alone is a path too.
pub(crate) fn paths(code: &str) -> Vec<(usize, String)> {
    let tokens = tokens(code);
    let (mut at, mut found) = (0, Vec::new());
    while at < tokens.len() {
        at = path(&tokens, at, "", &mut found);
    }
    found
}

pub(crate) fn is_of_name(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Whether the segments of `word` follow each other in `path`.
pub(crate) fn names(path: &str, word: &str) -> bool {
    format!("::{path}::").contains(&format!("::{word}::"))
}

/// The length of the comment or literal that `rest` begins with; 0 if it begins with code.
fn length_of_comment_or_literal(rest: &str) -> usize {
    let until =
        |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    let hashes = rest[1.min(rest.len())..].bytes().take_while(|byte| *byte == b'#').count();
    match rest.as_bytes() {
        [b'/', b'/', ..] => rest.find('\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => length_of_block_comment(rest),
        [b'r', tail @ ..] if tail.get(hashes) == Some(&b'"') => {
            until(&format!("\"{}", "#".repeat(hashes)), hashes + 2)
        }
        [b'"', tail @ ..] => {
            let mut escaped = false;
            let closes = |byte: &u8| {
                let closes = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                closes
            };
            tail.iter().position(closes).map_or(rest.len(), |at| at + 2)
        }
        [b'\'', b'\\', _, ..] => until("'", 3),
        // A character, not a lifetime: the quote closes right after it.
        [b'\'', ..] => match rest.char_indices().nth(2) {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        _ => 0,
    }
}

fn length_of_block_comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    loop {
        match rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            [_, ..] => at += 1,
            [] => return at,
        }
        if depth == 0 {
            return at;
        }
    }
}

fn blank(text: &str) -> String {
    text.chars().map(|char| if char == '\n' { '\n' } else { ' ' }).collect()
}

/// Reads one path after `head`, and returns where to continue.
fn path(tokens: &[(usize, &str)], mut at: usize, head: &str, found: &mut Vec<(usize, String)>) -> usize {
    let mut path = head.to_owned();
    while let Some((line, token)) = tokens.get(at).copied() {
        if token == "{" && !path.is_empty() {
            at += 1;
            while at < tokens.len() && tokens[at].1 != "}" {
                at = self::path(tokens, at, &path, found);
            }
            return at + 1;
        }
        at += 1;
        if !token.starts_with(is_of_name) && token != "*" {
            return at;
        }
        path.push_str(token);
        if tokens.get(at).is_none_or(|(_, next)| *next != "::") {
            found.push((line, path));
            return at;
        }
        path.push_str("::");
        at += 1;
    }
    at
}

/// The names, `::` and single other characters of `code`, each with its line.
fn tokens(code: &str) -> Vec<(usize, &str)> {
    let mut tokens = Vec::new();
    for (at, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let end = match rest.find(|char| !is_of_name(char)).unwrap_or(rest.len()) {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                name => name,
            };
            tokens.push((at + 1, &rest[..end]));
            rest = rest[end..].trim_start();
        }
    }
    tokens
}

#[test]
fn comments_and_literals_are_not_code() {
    for dead in
        ["// x", "/* x /* y */ x */", "\"x \\\" \\\\\"", "r#\"x \" y\"#", "'x'", "'\\''", "'\\u{78}'", "'ü'"]
    {
        let text = format!("before {dead}\nafter");
        assert_eq!(code(&text).split_whitespace().collect::<Vec<_>>(), ["before", "after"], "{dead}");
        assert_eq!(code(&text).lines().count(), 2, "{dead}");
    }
    assert_eq!(code("fn f<'a>(x: &'a str, r#type: T)"), "fn f<'a>(x: &'a str, r#type: T)");
}
