//! Prose for people: no line longer than the terminal is wide, with words whole and the indentation kept. Where the output
//! goes elsewhere, lines are as they are.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use unicode_width::UnicodeWidthStr as _;

/// The width of a terminal that does not say its own.
const USUAL: usize = 80;

/// The smallest width of text beside an indentation.
const LEAST: usize = 24;
/// The longest text in backquotes that is not broken, in bytes.
const LONGEST_QUOTED: usize = 60;
/// The beginnings of commands, which are copied whole.
const COMMANDS: [&str; 5] = ["epm-lab ", "epm-agent ", "curl ", "openssl ", "$ "];

/// The width of this output if it is a terminal; none if it goes elsewhere and COLUMNS does not say it.
pub fn width(out: &(impl AsFd + IsTerminal)) -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    columns.filter(|columns| *columns > 0).or_else(|| {
        out.is_terminal().then(|| {
            let size = terminal_size::terminal_size_of(out);
            size.map_or(USUAL, |(terminal_size::Width(width), _)| usize::from(width))
        })
    })
}

/// The text in lines of at most this width; as it is without one.
pub(super) fn wrapped(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) => text.split_inclusive('\n').map(|line| within(line, width)).collect(),
        None => text.to_owned(),
    }
}

/// A line in lines of at most this width, where its words allow it.
fn within(line: &str, width: usize) -> String {
    let (content, end) = line.strip_suffix('\n').map_or((line, ""), |content| (content, "\n"));
    let text = content.trim_start_matches(' ');
    let indent = content.len() - text.len();
    let is_command = COMMANDS.iter().any(|command| text.starts_with(command)) || is_assignment(text);
    if content.width() <= width || is_command {
        return line.to_owned();
    }
    let hang = hanging(text, indent, width);
    let (mut broken, mut used) = (" ".repeat(indent), indent);
    let mut begun = false;
    let room = width.saturating_sub(hang);
    let pieces = words(text).flat_map(|word| match is_fingerprint(word) && word.trim_end().width() > room {
        true => word.split_inclusive(':').collect(),
        false => vec![word],
    });
    for word in pieces {
        if begun && used + word.trim_end().width() > width {
            broken.truncate(broken.trim_end_matches(' ').len());
            broken.push('\n');
            broken.push_str(&" ".repeat(hang));
            used = hang;
        }
        broken.push_str(word);
        used += word.width();
        begun = true;
    }
    broken + end
}

/// Whether a word is a SHA-256 fingerprint, which is wider than many terminals; punctuation may follow it.
fn is_fingerprint(word: &str) -> bool {
    let mut pairs = word.split(':');
    let is_pair = |pair: &str| pair.len() >= 2 && pair.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    pairs.clone().count() == 32 && pairs.all(is_pair)
}

/// Whether the line sets a variable of a shell, such as `h=$(...)`.
fn is_assignment(text: &str) -> bool {
    let name = text.split_once('=').map_or("", |(name, _)| name);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// The indentation of the further lines: that of the first, or the column of what stands after a bullet or in a second column.
fn hanging(text: &str, indent: usize, width: usize) -> usize {
    let second = text.find("  ").map(|gap| gap + text[gap..].len() - text[gap..].trim_start().len());
    let bullet = text.starts_with("- ").then_some(2);
    let hang = bullet.or(second).map_or(indent, |at| indent + text[..at].width());
    [hang, indent].into_iter().find(|hang| hang + LEAST <= width).unwrap_or(0)
}

/// The words of a line, each with the spaces after it; a command at the end is one, and a short one in backquotes.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let command = COMMANDS.iter().filter_map(|command| text.find(&format!(": {command}"))).min();
    let (prose, command) = text.split_at(command.map_or(text.len(), |at| at + 2));
    let mut rest = prose;
    let words = std::iter::from_fn(move || {
        let gap = rest[quoted(rest)..].find(' ').map_or(rest.len(), |gap| gap + quoted(rest));
        let end = gap + rest[gap..].len() - rest[gap..].trim_start_matches(' ').len();
        let (word, others) = rest.split_at(end);
        rest = others;
        (!word.is_empty()).then_some(word)
    });
    words.chain((!command.is_empty()).then_some(command))
}

/// The length of the text in backquotes that the first word begins, without the last one; 0 if there is none, or a long one.
fn quoted(text: &str) -> usize {
    let open = text.find('`').filter(|open| !text[..*open].contains(' '));
    let close = open.and_then(|open| Some(open + 1 + text[open + 1..].find('`')?));
    close.filter(|close| *close <= LONGEST_QUOTED).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_that_no_line_holds_is_broken_between_its_bytes_within_the_indentation() {
        let fingerprint = ["AB"; 32].join(":");
        let line = format!("  SHA-256:  {fingerprint}, valid\n");
        let broken = within(&line, 40);
        assert!(
            broken.starts_with("  SHA-256:  AB:AB:AB:AB:AB:AB:AB:AB:AB:\n            AB:AB:"),
            "{broken}"
        );
        assert!(broken.lines().all(|line| line.width() <= 40) && broken.ends_with("AB, valid\n"), "{broken}");
        // One that fits a line of its own stays whole.
        assert!(within(&line, 110).contains(&fingerprint));
        assert!(
            within(&format!("the manager presented {fingerprint}"), 100)
                .ends_with(&format!("\n{fingerprint}"))
        );
    }

    #[test]
    fn lines_are_broken_between_words_and_keep_their_indentation() {
        for (line, broken) in [
            (
                "      To do: give every client a new file.\n",
                "      To do: give every client a\n      new file.\n",
            ),
            (
                "  - a point that is longer than a line is\n",
                "  - a point that is longer than\n    a line is\n",
            ),
            (
                "where  in the folder of the manager, twice",
                "where  in the folder of the\n       manager, twice",
            ),
            ("short", "short"),
            ("\n", "\n"),
            (
                "  epm-lab rehearse a-file-with-a-long-name.toml --seed 1\n",
                "  epm-lab rehearse a-file-with-a-long-name.toml --seed 1\n",
            ),
            (
                "    h=$(printf %s \"$sealed\" | openssl dgst -sha256)\n",
                "    h=$(printf %s \"$sealed\" | openssl dgst -sha256)\n",
            ),
            (
                "Seed 1; repeat with epm-lab 0.1.0: epm-lab rehearse a.toml --seed 1",
                "Seed 1; repeat with epm-lab\n0.1.0:\nepm-lab rehearse a.toml --seed 1",
            ),
            (
                "a-word-that-is-longer-than-the-line is not broken",
                "a-word-that-is-longer-than-the-line\nis not broken",
            ),
            (
                "start it with (`epm-lab up --agents 3`), or not",
                "start it with\n(`epm-lab up --agents 3`), or\nnot",
            ),
            // Twice as wide as other letters.
            ("証明書が信頼されていない 証明書が信頼され", "証明書が信頼されていない\n証明書が信頼され"),
        ] {
            assert_eq!(within(line, 32), broken);
        }
        assert_eq!(hanging("- x", 40, 50), 0);
    }
}
