//! Stacked areas over time, as SVG: bands are told apart by pattern and by name, not by colour alone.

use std::fmt::Write;

use maud::{Markup, html};
use serde_json::Value;

use super::json::Fields;
use super::words::{grouped, moment};

const WIDTH: u32 = 1440;
const HEIGHT: u32 = 300;
/// Number of patterns in `page.css`. The last one is that of a band without a number.
const PATTERNS: usize = 6;

/// A chart of these samples: `at` has lab times, and each band as many numbers of `clients`, and a `number` that stays. `classes` names the class
/// of each band that has a colour of its own.
pub(super) fn stacked(id: &str, title: &str, at: &Value, bands: &Value, classes: &[&str]) -> Markup {
    let times: Vec<f64> =
        at.as_array().into_iter().flatten().map(|one| one["ms"].as_f64().unwrap_or_default()).collect();
    let row = |band: &Value| band.list("clients").iter().filter_map(Value::as_f64).collect();
    let rows: Vec<(&str, Vec<f64>, &Value)> =
        bands.as_array().into_iter().flatten().map(|band| (band.text("name"), row(band), band)).collect();
    let sum = |index: usize| rows.iter().filter_map(|(_, row, _)| row.get(index)).sum::<f64>();
    let most = (0..times.len()).map(sum).fold(1.0, f64::max);
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return html! {} };
    let lasted = (last - first).max(1.0);
    let scaled = |share: f64, whole: u32| (share * f64::from(whole)).round() as u32;
    let x = |index: usize| scaled((times[index] - first) / lasted, WIDTH);
    let y = |value: f64| HEIGHT.saturating_sub(scaled(value / most, HEIGHT));
    let mut floor = vec![0.0; times.len()];
    let mut areas: Vec<(&str, String, String, u64)> = Vec::new();
    for (place, (name, row, band)) in rows.iter().enumerate() {
        let ceiling: Vec<f64> = floor
            .iter()
            .enumerate()
            .map(|(index, floor)| floor + row.get(index).copied().unwrap_or(0.0))
            .collect();
        // A sample holds until the next one, and the last one to the right edge.
        let mut path = format!("M0 {}", y(ceiling[0]));
        for index in 1..times.len() {
            if y(ceiling[index]) != y(ceiling[index - 1]) {
                let _ = write!(path, "H{}V{}", x(index), y(ceiling[index]));
            }
        }
        let _ = write!(path, "H{WIDTH}V{}", y(floor[times.len() - 1]));
        for index in (1..times.len()).rev() {
            if y(floor[index]) != y(floor[index - 1]) {
                let _ = write!(path, "H{}V{}", x(index), y(floor[index - 1]));
            }
        }
        path.push_str("H0Z");
        let last = row.last().copied().unwrap_or(0.0) as u64;
        let class = classes.get(place).map_or_else(
            || {
                // A band keeps the pattern of its number, unless another has that already.
                let own = band["number"].as_u64().map(|number| number as usize % (PATTERNS - 1));
                let patterns = own.into_iter().chain(0..PATTERNS - 1).map(|number| format!("band-{number}"));
                let is_free = |class: &String| areas.iter().all(|(_, taken, ..)| taken != class);
                let mut free = patterns.filter(is_free);
                own.and_then(|_| free.next()).unwrap_or_else(|| format!("band-{}", PATTERNS - 1))
            },
            |class| (*class).to_owned(),
        );
        areas.push((*name, class, path, last));
        floor = ceiling;
    }
    let spoken: Vec<String> =
        areas.iter().map(|(name, _, _, last)| format!("{name} {}", grouped(*last))).collect();
    let (from, to) = (at[0].text("at"), at[times.len() - 1].text("at"));
    html! {
        figure.stacked {
            figcaption { h3 { (title) } }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-labelledby={ (id) "-words" } {
                title id={ (id) "-words" } { (title) " over time, as stacked areas. Now: " (spoken.join(", ")) "." }
                defs {
                    @for (_, class, _, _) in &areas { (pattern(id, class)) }
                }
                @for (_, class, path, _) in &areas {
                    g fill={ "url(#" (id) "-" (class) ")" } { path class="band" d=(path) {} }
                }
            }
            p.scale {
                @if from == to {
                    span { "seen once, at " (moment(from)) } span { "up to " (grouped(most as u64)) }
                } @else {
                    span { (moment(from)) } span { "up to " (grouped(most as u64)) } span { (moment(to)) }
                }
            }
            ul.legend {
                @for (name, class, _, last) in &areas {
                    li {
                        svg.swatch viewBox="0 0 30 16" aria-hidden="true" { rect width="30" height="16" fill={ "url(#" (id) "-" (class) ")" } {} }
                        span { (name) ": " strong { (grouped(*last)) } }
                    }
                }
            }
        }
    }
}

/// The pattern of a class: its ground, and its marks.
fn pattern(id: &str, class: &str) -> Markup {
    let mark = match class {
        "band-0" | "is-well" => "",
        "band-1" | "is-behind" => "M0 8L8 0",
        "band-2" | "is-orphaned" => "M0 0L8 8M0 8L8 0",
        "band-3" | "is-out-of-touch" => "M0 4H8",
        "band-4" | "is-not-secure" => "M4 0V8",
        "is-silent" => "M4 2V5",
        _ => "M3 4H5",
    };
    html! {
        pattern id={ (id) "-" (class) } width="8" height="8" patternUnits="userSpaceOnUse" {
            rect class={ "ground " (class) } width="8" height="8" {}
            @if !mark.is_empty() { path class={ "mark " (class) } d=(mark) {} }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bands_are_stacked_and_a_sample_holds_until_the_next() {
        let at = json!([{ "at": "a", "ms": 0 }, { "at": "b", "ms": 50 }, { "at": "c", "ms": 100 }]);
        let bands =
            json!([{ "name": "<old>", "clients": [4, 2, 2] }, { "name": "new", "clients": [0, 2, 2] }]);
        let drawn = stacked("x", "Held", &at, &bands, &[]).into_string();
        assert!(drawn.contains(r#"d="M0 0H720V150H1440V300H0Z""#), "{drawn}");
        assert!(drawn.contains(r#"d="M0 0H1440V150H720V0H0Z""#), "{drawn}");
        assert!(drawn.contains("&lt;old&gt; 2, new 2") && !drawn.contains("<old>"), "{drawn}");
        assert_eq!(stacked("x", "Held", &json!([]), &json!([]), &[]).into_string(), "");
    }

    #[test]
    fn a_band_has_the_pattern_of_its_number_whatever_stands_beside_it() {
        let at = json!([{ "at": "a", "ms": 0 }]);
        let patterns = |numbers: &[Value]| {
            let band = |number: &Value| json!({ "name": "x", "clients": [1], "number": number });
            let bands = Value::Array(numbers.iter().map(band).collect());
            let drawn = stacked("x", "Held", &at, &bands, &[]).into_string();
            let of = |piece: &str| piece.chars().next().unwrap();
            drawn.split("<g fill=\"url(#x-band-").skip(1).map(of).collect::<String>()
        };
        assert_eq!(patterns(&[json!(0), json!(1), json!(3), json!(null)]), "0135");
        assert_eq!(patterns(&[json!(3), json!(null)]), "35");
        assert_eq!(patterns(&[json!(3), json!(8), json!(9)]), "304", "8 would be as 3");
    }
}
