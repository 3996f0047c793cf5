//! The page has all its parts, and escapes its content.

use epm_protocol::sylink::xml::{Document, Element};

use super::*;
use crate::report::{chart, sample};

/// The part of the page that is also well-formed XML.
fn main_of(page: &str) -> Element {
    let (from, to) = (page.find("<main>").unwrap(), page.find("</main>").unwrap());
    let main = page[from..to + "</main>".len()].replace("<details open>", "<details>");
    Document::parse(&main).unwrap().into_root()
}

fn all_text(element: &Element) -> String {
    let own = element.text();
    element.elements().map(all_text).fold(own, |text, inner| format!("{text} {inner}"))
}

#[test]
fn no_name_breaks_out_of_its_place() {
    let mut outcome = sample::ninety_days();
    let nasty = || sample::NASTY.to_owned();
    outcome.about = nasty();
    outcome.course.load.insert(nasty(), vec![1; 90 * 24]);
    outcome.certificates[0].manager = nasty();
    outcome.steps[1].actions.push(nasty());
    outcome.steps[1].report.title = nasty();
    outcome.steps[1].report.holdings[0].part = nasty();
    outcome.verdict.reasons = vec![sample::reason()];
    outcome.verdict.reasons[0].sentence = nasty();
    outcome.verdict.orphaned[0].why = "a\u{0}b\u{1b}".to_owned();
    let page = html(&outcome);
    assert_eq!(
        page.matches("<script").count(),
        1,
        "the only script is the page's own, so none comes from a name"
    );
    assert!(page.ends_with(&format!("<script>{SORT}</script></body></html>")));
    assert!(!page.contains(['\u{0}', '\u{1b}']));
    let main = main_of(&page);
    assert!(all_text(&main).matches(sample::NASTY).count() > 10);
}

#[test]
fn the_page_needs_nothing_from_anywhere() {
    let page = html(&sample::ninety_days());
    for outside in
        ["http://", "https://", "src=", "@import", "<link", "javascript:", "onload", "fetch(", "import("]
    {
        assert!(!page.contains(outside), "{outside}");
    }
    // Every link within the page has exactly one target.
    let main = main_of(&page);
    for link in main.descendants_named("a") {
        let target = link.attribute("href").unwrap().strip_prefix('#').unwrap();
        assert_eq!(page.matches(&format!(" id=\"{target}\"")).count(), 1, "{target}");
    }
    for pattern in chart::TRUST {
        assert_eq!(page.matches(&format!(" id=\"{}\"", pattern.id)).count(), 1, "{}", pattern.id);
    }
}

#[test]
fn the_verdict_comes_first_and_the_seed_with_it() {
    let page = html(&sample::ninety_days());
    let text = all_text(&main_of(&page));
    let places = [
        "1,284 of 100,000 clients were orphaned",
        "--seed 20260105",
        "What the clients trust",
        "Step by step",
        "Orphaned clients",
        "Assumptions",
    ]
    .map(|what| text.find(what).unwrap_or_else(|| panic!("{what:?} is not in the page")));
    assert!(places.is_sorted(), "{places:?}");
    assert!(page.contains("It protects nothing"));
}

#[test]
fn two_hundred_of_the_lost_are_listed_and_all_are_counted() {
    let outcome = sample::ninety_days();
    let page = html(&outcome);
    let main = main_of(&page);
    let tables = main.descendants_named("table");
    let lost = tables.iter().find(|table| all_text(table).contains("Because")).unwrap();
    assert_eq!(lost.child("tbody").unwrap().children_named("tr").count(), 200);
    assert!(all_text(&main).contains("1,284 clients, of which the first 200 are listed"));
}

#[test]
fn notes_stand_on_the_page_of_an_outcome_that_is_well() {
    let mut outcome = sample::well();
    assert!(!html(&outcome).contains("<h2>Notes</h2>"));
    outcome.verdict.notes = vec![sample::note()];
    let text = all_text(&main_of(&html(&outcome)));
    for expected in [
        "There is 1 note.",
        "They hold an older policy.",
        "F37: No downloads.",
        "Switch it on.",
        sample::NASTY,
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn why_stands_before_the_charts_and_each_orphaned_client_has_its_failure_and_remedy() {
    let mut outcome = sample::ninety_days();
    assert!(!html(&outcome).contains("<h2>Why</h2>"));
    outcome.verdict.reasons = vec![sample::reason()];
    for one in &mut outcome.verdict.orphaned {
        (one.reason, one.failure) = (Some(1), Some("F03".to_owned()));
    }
    let page = html(&outcome);
    let main = main_of(&page);
    let text = all_text(&main);
    let places = ["1,284 clients", &sample::reason().sentence, "What the clients trust"];
    let places = places.map(|what| text.find(what).unwrap_or_else(|| panic!("{what:?} is not in the page")));
    assert!(places.is_sorted(), "{places:?}");
    let tables = main.descendants_named("table");
    let lost =
        tables.iter().find(|table| table.attribute("class").is_some_and(|class| class.contains("sortable")));
    let rows: Vec<_> = lost.unwrap().child("tbody").unwrap().children_named("tr").collect();
    for row in &rows {
        let text = all_text(row);
        assert!(text.contains("F03") && text.contains("Give the late clients a new file."), "{text}");
    }
    let printed = rows.iter().filter(|row| row.attribute("class") != Some("screen-only")).count();
    assert_eq!(printed, 25, "paper has fewer, and says how many more there are");
    assert!(text.contains("1,259 more are in orphaned.csv."), "{text}");
    assert!(text.contains("1,084 more are in orphaned.csv."), "{text}");
}

#[test]
fn wide_charts_say_their_numbers_under_the_pointer() {
    let outcome = sample::ninety_days();
    let main = main_of(&html(&outcome));
    let is_hover = |rect: &&Element| rect.attribute("class") == Some("hover");
    let columns = |svg: &Element| svg.descendants_named("rect").into_iter().filter(is_hover).count();
    let counts: Vec<usize> = main.descendants_named("svg").iter().map(|svg| columns(svg)).collect();
    assert_eq!(
        counts.iter().filter(|count| **count == 60).count(),
        8,
        "four charts, wide and middle: {counts:?}"
    );
    let titles =
        main.descendants_named("rect").into_iter().filter(is_hover).map(all_text).collect::<Vec<_>>();
    let last = titles.iter().find(|title| title.contains("to 2026-04-05 00:00")).unwrap();
    let old = words::grouped(*outcome.course.old_only.last().unwrap());
    assert!(last.contains(&format!("old only {old}")), "{last}");
}

#[test]
fn every_step_says_who_holds_what_and_who_would_be_lost_by_the_next() {
    let outcome = sample::ninety_days();
    let main = main_of(&html(&outcome));
    let articles = main.descendants_named("article");
    assert_eq!(articles.len(), outcome.steps.len());
    for (article, step) in articles.iter().zip(&outcome.steps) {
        let text = all_text(article);
        assert!(text.contains(&step.report.title), "{text}");
        let rows = article.descendants_named("tbody")[0].children_named("tr").count();
        assert_eq!(rows, step.report.holdings.len() + 1, "each part, and all together");
        for certificate in step.report.holdings[0].certificates.keys() {
            assert!(text.contains(&certificate.short()), "{text}");
        }
        assert_eq!(text.contains("were taken at its end"), step.if_next_now.is_some());
    }
    let risk = all_text(articles[3]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(risk.contains("1,284 clients would be orphaned."), "{risk}");
}

#[test]
fn who_was_brought_back_is_counted_for_the_part_and_for_all() {
    let mut outcome = sample::ninety_days();
    assert!(!html(&outcome).contains("brought back"));
    let holdings = &mut outcome.steps.last_mut().unwrap().report.holdings;
    (holdings[0].brought_back, holdings[1].brought_back) = (1200, 34);
    let text = all_text(&main_of(&html(&outcome)));
    for count in ["1,200", "34", "1,234"] {
        assert!(text.contains(&format!("brought back: {count}")), "{count}");
    }
}

#[test]
fn headings_of_tables_say_what_they_are_headings_of() {
    let page = html(&sample::ninety_days());
    let main = main_of(&page);
    assert!(page.contains("<html lang=\"en\">"));
    let headings = main.descendants_named("th");
    assert!(headings.iter().all(|th| matches!(th.attribute("scope"), Some("col" | "row"))));
    for svg in main.descendants_named("svg") {
        let is_hidden = svg.attribute("aria-hidden") == Some("true");
        assert!(is_hidden || svg.attribute("aria-label").is_some_and(|label| !label.is_empty()));
    }
}

#[test]
fn an_outcome_that_is_hardly_there_is_a_page() {
    let partial = Outcome { is_partial: true, ..Outcome::default() };
    for outcome in
        [Outcome::default(), partial, sample::one_client(0), sample::one_client(1), sample::one_client(7)]
    {
        let page = html(&outcome);
        main_of(&page);
        assert!(!page.contains("NaN") && !page.contains(">inf"));
        assert_eq!(page.contains("<figure>"), chart::hours(&outcome) > 0);
    }
}

#[test]
fn a_page_of_ninety_days_and_a_hundred_thousand_clients_stays_small() {
    let page = html(&sample::ninety_days());
    assert!(page.len() < 700_000, "{} bytes", page.len());
}

#[test]
fn a_sweep_says_the_wait_that_is_long_enough() {
    let mut sweep = sample::sweep();
    let page = sweep_html(&sweep);
    let main = main_of(&page);
    let text = all_text(&main);
    assert!(
        text.contains("Of the waits that were tried, 30 d and longer orphaned no client with any seed."),
        "{text}"
    );
    assert!(text.contains(sample::NASTY) && !page.contains("<script"));
    assert_eq!(main.descendants_named("tbody")[0].children_named("tr").count(), sweep.points.len());
    for svg in main.descendants_named("svg") {
        assert_eq!(svg.descendants_named("circle").len(), sweep.points.len());
    }
    sweep.points.truncate(1);
    let text = all_text(&main_of(&sweep_html(&sweep)));
    assert!(text.contains("No wait was long enough: 7 d still orphans up to 1,170 clients."), "{text}");
}

#[test]
fn a_sweep_that_is_hardly_there_is_a_page() {
    use crate::rehearsal::{Sweep, SweepPoint};
    let point = |lost: &[usize]| SweepPoint {
        wait: "0s".parse().unwrap(),
        orphaned: lost.to_vec(),
        on_return: lost.to_vec(),
        a_day_more: lost.to_vec(),
    };
    for points in [vec![], vec![point(&[])], vec![point(&[0])], vec![point(&[1]), point(&[1, 0])]] {
        let page = sweep_html(&Sweep { points, ..Sweep::default() });
        main_of(&page);
        assert!(!page.contains("NaN") && !page.contains(">inf"));
    }
}
