//! Tables for people: as wide as the terminal, and as wide as their content where no terminal is.

use std::collections::HashMap;

use epm_client_agent::program::width;
use unicode_width::UnicodeWidthStr as _;

/// Between two columns.
const BETWEEN: &str = "  ";
/// The number of rows by which the widths of the columns are judged.
const JUDGED: usize = 60;
/// The largest number of changes of widths.
const SHIFTS: usize = 60;
/// The cost of a further line of a row, where one more line of a cell costs 1.
const ROW: usize = 10;
/// The cost of a broken word.
const BREAK: usize = 6;
/// How much more a broken word of the heading costs.
const HEADING: usize = 20;
/// How much more a word costs that is broken anywhere, or that is short, such as the name of a client.
const DEAR: usize = 4;
/// The longest short word, as long as the longest name of a computer in NetBIOS.
const SHORT: usize = 15;

/// A table; its cells may have several lines.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with this heading.
    pub(super) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    pub(super) fn add_row(&mut self, row: impl IntoIterator<Item = String>) {
        self.rows.push(row.into_iter().collect());
    }

    /// The table in at most this many columns of characters; with none, no line is broken.
    fn drawn(&self, width: Option<usize>) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cells = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        let widest = |measure: fn(&str) -> usize| -> Vec<usize> {
            (0..columns).map(|column| cells(column).map(|cell| measure(cell)).max().unwrap_or(0)).collect()
        };
        let whole = widest(|cell| cell.lines().map(|line| line.width()).max().unwrap_or(0));
        let widths = match width {
            Some(width) => {
                let width = width.saturating_sub(BETWEEN.len() * columns.saturating_sub(1)).max(columns);
                let word = widest(|cell| cell.split_whitespace().map(|word| word.width()).max().unwrap_or(0));
                let part = widest(|cell| parts(cell).map(|part| part.trim_end().width()).max().unwrap_or(0));
                // Lines are broken between words, then within long words, and anywhere only where nothing else is left.
                let narrow = within(&vec![1.min(width); columns], &part, width);
                let middle = within(&narrow, &word, width);
                self.shifted(within(&middle, &whole, width))
            }
            None => whole,
        };
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let broken: Vec<Vec<String>> =
                row.iter().zip(&widths).map(|(cell, width)| broken(cell, *width).0).collect();
            for line in 0..broken.iter().map(Vec::len).max().unwrap_or(0).max(1) {
                let mut drawn = String::new();
                for (column, width) in broken.iter().zip(&widths) {
                    let cell = column.get(line).map_or("", String::as_str);
                    drawn.push_str(cell);
                    drawn.push_str(&" ".repeat(width.saturating_sub(cell.width())));
                    drawn.push_str(BETWEEN);
                }
                text.push_str(drawn.trim_end());
                text.push('\n');
            }
            if number == 0 {
                let under: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
                text.push_str(&under.join(BETWEEN));
                text.push('\n');
            }
        }
        text
    }
}

impl Table {
    /// Moves width between columns for as long as that makes the table lower, or breaks fewer words.
    fn shifted(&self, mut widths: Vec<usize>) -> Vec<usize> {
        let rows = self.rows.get(..JUDGED).unwrap_or(&self.rows);
        let mut known: HashMap<(usize, usize), Vec<(usize, usize)>> = HashMap::new();
        let mut cost = |widths: &[usize]| -> usize {
            let (mut lines, mut most) = (0, vec![1; rows.len()]);
            for (column, width) in widths.iter().enumerate() {
                let cells = known.entry((column, *width)).or_insert_with(|| {
                    let cell = |row: &Vec<String>| {
                        row.get(column).map_or((Vec::new(), 0), |cell| broken(cell, *width))
                    };
                    rows.iter().map(cell).map(|(lines, breaks)| (lines.len(), breaks)).collect()
                });
                for (row, ((cell, breaks), most)) in cells.iter().zip(&mut most).enumerate() {
                    lines += cell + BREAK * breaks * if row == 0 { HEADING } else { 1 };
                    *most = (*most).max(*cell);
                }
            }
            lines + ROW * most.iter().sum::<usize>()
        };
        let mut least = cost(&widths);
        for _ in 0..SHIFTS {
            let columns = 0..widths.len();
            let shifts = columns.clone().flat_map(|from| columns.clone().map(move |to| (from, to)));
            let shifts = shifts.flat_map(|pair| [1, 2, 4, 8, 16].map(|by| (pair, by)));
            let next = shifts
                .filter(|((from, to), by)| from != to && widths[*from] > *by)
                .map(|((from, to), by)| {
                    let mut next = widths.clone();
                    next[from] -= by;
                    next[to] += by;
                    (cost(&next), next)
                })
                .min_by_key(|(cost, _)| *cost);
            match next {
                Some((cost, next)) if cost < least => (least, widths) = (cost, next),
                _ => break,
            }
        }
        widths
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.drawn(width(&std::io::stdout())).trim_end_matches('\n'))
    }
}

/// Column widths between `least` and `wanted` that fit into `total`, where they can: the widest columns give way.
fn within(least: &[usize], wanted: &[usize], total: usize) -> Vec<usize> {
    let capped = |cap: usize| -> Vec<usize> {
        least.iter().zip(wanted).map(|(least, wanted)| *least.max(wanted.min(&cap))).collect()
    };
    let most = wanted.iter().copied().max().unwrap_or(0);
    let (mut low, mut high) = (0, most + 1);
    while low + 1 < high {
        let middle = usize::midpoint(low, high);
        if capped(middle).iter().sum::<usize>() <= total { low = middle } else { high = middle }
    }
    let mut widths = capped(low);
    // What is left goes to the first columns that want it.
    let mut left = total.saturating_sub(widths.iter().sum());
    for (width, wanted) in widths.iter_mut().zip(wanted) {
        if left > 0 && *width < *wanted {
            *width += 1;
            left -= 1;
        }
    }
    widths
}

/// The pieces between which a line may be broken: words, and within a word after a sign; of a time the date and the rest.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive([' ', '\n']).flat_map(|word| match time_in(word) {
        Some(at) => vec![&word[..at], &word[at..]],
        None => word.split_inclusive(['-', '/', '\\', '=', ',', ':', '_', '@']).collect(),
    })
}

/// Where the date of a time such as `2026-01-05T08:00:00.000Z` ends; none if the word is no time.
fn time_in(word: &str) -> Option<usize> {
    let at = word.find('T').filter(|at| *at == "2026-01-05".len())?;
    let is_time = |byte: u8| byte.is_ascii_digit() || b"-T:.Z \n".contains(&byte);
    word.bytes().all(is_time).then_some(at)
}

/// A cell in lines of at most this width, and how often a word was broken: once at a sign of a long word, [`DEAR`] times otherwise.
fn broken(cell: &str, width: usize) -> (Vec<String>, usize) {
    let (mut lines, mut breaks) = (Vec::new(), 0);
    for line in cell.lines() {
        let mut current = String::new();
        for word in line.split_inclusive(' ') {
            if current.width() + word.trim_end().width() <= width {
                current.push_str(word);
                continue;
            }
            if word.trim_end().width() <= width {
                lines.push(std::mem::replace(&mut current, word.to_owned()));
                continue;
            }
            let at_sign = if word.trim_end().width() <= SHORT { DEAR } else { 1 };
            for part in parts(word) {
                if current.width() + part.trim_end().width() > width && !current.is_empty() {
                    breaks += if current.ends_with(' ') { 0 } else { at_sign };
                    lines.push(std::mem::take(&mut current));
                }
                for c in part.chars() {
                    if current.width() + unicode_width::UnicodeWidthChar::width(c).unwrap_or(0) > width
                        && c != ' '
                        && !current.is_empty()
                    {
                        breaks += DEAR + at_sign - 1;
                        lines.push(std::mem::take(&mut current));
                    }
                    current.push(c);
                }
            }
        }
        lines.push(current);
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    (lines, breaks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["client", "state", "since", "why"]);
        table.add_row(
            ["desk-1", "orphaned", "2026-11-28T10:21:01.811Z", "the manager's certificate is unknown"]
                .map(str::to_owned),
        );
        table.add_row(["a-client-with-a-long-name-17", "served", "", ""].map(str::to_owned));
        table
    }

    #[test]
    fn without_a_terminal_every_cell_is_in_one_line() {
        let text = table().drawn(None);
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.contains("2026-11-28T10:21:01.811Z  the manager's certificate is unknown\n"), "{text}");
    }

    #[test]
    fn lines_fit_the_width_words_stay_whole_where_they_can_and_nothing_is_lost() {
        for width in [20, 40, 60, 80, 120] {
            let text = table().drawn(Some(width));
            assert!(text.lines().all(|line| line.width() <= width), "{width}:\n{text}");
            let letters = |text: &str| {
                let mut letters: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
                letters.sort_unstable();
                letters
            };
            assert_eq!(letters(&text), letters(&table().drawn(None)), "{width}:\n{text}");
        }
        let text = table().drawn(Some(80));
        assert!(text.contains("orphaned  ") && text.contains("certificate"), "{text}");
        let text = table().drawn(Some(60));
        assert!(text.contains("2026-11-28 ") && text.contains("T10:21:01.811Z"), "{text}");
        assert!(text.contains("orphaned"), "{text}");
    }

    #[test]
    fn the_name_of_a_client_is_broken_later_than_a_time_or_an_address() {
        let mut table = Table::new(&["", "at", "what", "manager", "client", "peer", "outcome"]);
        for number in 1..20 {
            let client = if number < 15 { "desk-1" } else { "server-1" };
            let row = [
                "2026-12-01T07:43:13.446Z",
                "exchange register",
                "sepm-1",
                client,
                "127.64.0.1:45377",
                "200",
            ];
            table.add_row(std::iter::once(number.to_string()).chain(row.map(str::to_owned)));
        }
        let wide = "2026-12-01T07:43:14.097Z operator-action assign-list";
        table.add_row(["20", wide, "", "", "", "", "connection refused"].map(str::to_owned));
        let text = table.drawn(Some(80));
        assert!(text.contains(" server-1 ") && text.lines().all(|line| line.width() <= 80), "{text}");
    }

    #[test]
    fn wide_characters_are_aligned() {
        let mut table = Table::new(&["名前", "x"]);
        table.add_row(["机".to_owned(), "1".to_owned()]);
        assert_eq!(table.drawn(Some(80)), "名前  x\n────  ─\n机    1\n");
    }
}
