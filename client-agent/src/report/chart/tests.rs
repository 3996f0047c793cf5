//! The numbers in the charts are those of the outcome, whatever the outcome.

use std::time::Duration;

use epm_protocol::sylink::xml::{Document, Element};
use proptest::prelude::*;

use super::*;
use crate::report::sample;

const DRAWINGS: [fn(&Outcome, Size) -> Markup; 4] = [trust, orphans, online, load];

/// Reads a chart back as XML.
fn drawn(markup: Markup) -> Element {
    Document::parse(&markup.into_string()).unwrap().into_root()
}

/// The coordinates in an attribute.
fn numbers(path: &str) -> Vec<f64> {
    path.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'))
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().unwrap())
        .collect()
}

fn points(svg: &Element, class: &str) -> Vec<(f64, f64)> {
    let paths = svg.descendants_named("path");
    let path = paths.iter().find(|path| path.attribute("class") == Some(class)).unwrap();
    numbers(path.attribute("d").unwrap()).chunks(2).map(|pair| (pair[0], pair[1])).collect()
}

/// The markers of a chart: left edge, right edge and height of each.
fn markers(svg: &Element) -> Vec<(f64, f64, f64)> {
    let groups = svg.descendants_named("g");
    let number = |group: &&Element, name| {
        group.child("rect").unwrap().attribute(name).unwrap().parse::<f64>().unwrap()
    };
    groups
        .iter()
        .map(|group| (number(group, "x"), number(group, "x") + number(group, "width"), number(group, "y")))
        .collect()
}

/// The height of the plot: from the first line of the grid to the last.
fn plot(svg: &Element) -> (f64, f64) {
    let grid =
        svg.descendants_named("path").into_iter().filter(|path| path.attribute("class") == Some("grid"));
    let ys: Vec<f64> = grid.map(|path| numbers(path.attribute("d").unwrap())[1]).collect();
    (ys.iter().copied().fold(f64::MAX, f64::min), ys.iter().copied().fold(0.0, f64::max))
}

#[test]
fn the_areas_of_trust_are_the_fleet_at_every_hour_that_is_drawn() {
    let outcome = sample::ninety_days();
    for (size, _) in Size::ALL {
        let svg = drawn(trust(&outcome, size));
        let (top, bottom) = plot(&svg);
        let bands = TRUST.map(|band| {
            let mut upper = points(&svg, &format!("area {}", band.id));
            let lower = upper.split_off(upper.len() / 2);
            assert_eq!(upper.len(), lower.len());
            (upper, lower.into_iter().rev().collect::<Vec<_>>())
        });
        for at in 0..bands[0].0.len() {
            let x = bands[0].0[at].0;
            assert!(bands.iter().all(|(upper, lower)| upper[at].0 == x && lower[at].0 == x), "{x}");
            let sum: f64 = bands.iter().map(|(upper, lower)| lower[at].1 - upper[at].1).sum();
            assert!((sum - (bottom - top)).abs() < 0.25, "{sum} at {x}");
        }
        // In the middle, and at the end: the height of a band is its share of the fleet.
        for (band, (upper, lower)) in TRUST.iter().zip(&bands) {
            let share = f64::from(*(band.row)(&outcome.course).last().unwrap()) / 100_000.0;
            let height = lower.last().unwrap().1 - upper.last().unwrap().1;
            assert!((height - share * (bottom - top)).abs() < 0.25, "{}: {height}", band.id);
        }
    }
}

#[test]
fn a_spike_of_one_hour_is_drawn_in_full() {
    let mut outcome = sample::ninety_days();
    outcome.course.orphaned[333] = 1_500;
    for (size, _) in Size::ALL {
        let svg = drawn(orphans(&outcome, size));
        let highest = points(&svg, "edge orphans").iter().map(|(_, y)| *y).fold(f64::MAX, f64::min);
        assert_eq!(highest, plot(&svg).0, "1,500 is the highest tick");
    }
}

#[test]
fn all_drawings_of_a_page_share_the_axis_of_time() {
    let outcome = sample::ninety_days();
    let [first, others @ ..] = DRAWINGS.map(|draw| markers(&drawn(draw(&outcome, Size::Wide))));
    assert_eq!(first.len(), outcome.steps.len());
    assert!(others.iter().all(|other| *other == first));
}

#[test]
fn every_drawing_says_what_it_shows_to_those_who_do_not_see_it() {
    let outcome = sample::ninety_days();
    let said = |draw: fn(&Outcome, Size) -> Markup| {
        let svg = drawn(draw(&outcome, Size::Wide));
        assert_eq!(svg.attribute("role"), Some("img"));
        svg.attribute("aria-label").unwrap().to_owned()
    };
    assert!(
        said(trust).ends_with("At the end: none 35, old only 0, both 61, new only 99,904."),
        "{}",
        said(trust)
    );
    assert!(said(orphans).ends_with("at most 1,284, at the end 1,284."));
    assert!(said(load).contains("manager-a at most 1"), "{}", said(load));
}

#[test]
fn the_names_of_managers_do_not_lie_on_each_other() {
    let mut outcome = sample::one_client(12);
    for number in 0..20 {
        outcome.course.load.insert(format!("manager-of-the-office-{number}"), vec![60 + number; 12]);
    }
    for (size, _) in Size::ALL {
        let svg = drawn(load(&outcome, size));
        let names = svg.elements().filter(|text| text.child("title").is_some() && text.name() == "text");
        let mut ys: Vec<f64> = names.map(|text| text.attribute("y").unwrap().parse().unwrap()).collect();
        assert_eq!(ys.len(), DASHES.len(), "seven, and the others together");
        ys.sort_by(f64::total_cmp);
        assert!(ys.windows(2).all(|pair| pair[1] - pair[0] >= 14.8), "{ys:?}");
    }
}

#[test]
fn an_outcome_that_is_hardly_there_is_drawn_without_a_number_that_is_none() {
    let empty = Outcome::default();
    let nothing_believed = {
        let mut outcome = sample::one_client(3);
        outcome.course.old_only = vec![0; 3];
        outcome
    };
    let rows_of_other_lengths = {
        let mut outcome = sample::one_client(5);
        outcome.course.orphaned.truncate(2);
        outcome.course.online.clear();
        outcome
    };
    let outcomes =
        [empty, sample::one_client(0), sample::one_client(1), nothing_believed, rows_of_other_lengths];
    for outcome in outcomes {
        for (size, _) in Size::ALL {
            for draw in DRAWINGS {
                let text = draw(&outcome, size).into_string();
                assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
                Document::parse(&text).unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_two_markers_lie_on_each_other_and_none_is_cut_off(
        minutes in prop::collection::vec(0_u64..200 * 60, 1..70),
        hours in 0_usize..200,
    ) {
        let mut outcome = sample::one_client(hours);
        let step = outcome.steps[0].clone();
        outcome.steps = minutes.iter().enumerate().map(|(number, minute)| {
            let mut step = step.clone();
            step.report.number = number;
            step.report.began = outcome.course.origin + Duration::from_secs(60 * minute);
            step
        }).collect();
        for (size, _) in Size::ALL {
            let svg = drawn(orphans(&outcome, size));
            let mut markers = markers(&svg);
            prop_assert_eq!(markers.len(), minutes.len());
            prop_assert!(markers.iter().all(|(from, to, y)| *from >= 0.0 && *to <= size.width() && *y >= 0.0));
            markers.sort_by(|one, other| one.2.total_cmp(&other.2).then(one.0.total_cmp(&other.0)));
            let apart = |pair: &[(f64, f64, f64)]| pair[1].2 - pair[0].2 > 18.0 || pair[1].0 - pair[0].1 > 1.0;
            prop_assert!(markers.windows(2).all(apart), "{markers:?}");
        }
    }
}
