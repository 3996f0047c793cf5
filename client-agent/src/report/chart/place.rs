//! Positions for labels that would overlap where they belong: side by side, as near as possible.

/// The rows that this many labels of one width need between two limits.
pub(super) fn rows(labels: usize, width: f64, from: f64, to: f64) -> usize {
    let a_row = ((to - from) / width).floor().max(0.0) as usize + 1;
    labels.div_ceil(a_row).max(1)
}

/// The positions of labels' centres, each at least `width` from the next and within the limits, if there is room.
/// `wanted` is in order.
pub(super) fn apart(wanted: &[f64], width: f64, from: f64, to: f64) -> Vec<f64> {
    let count = wanted.len();
    let ahead = |at: usize| width * at as f64;
    // Moving labels to the end and moving them to the beginning are both right; so is the middle.
    let mut later: Vec<f64> = Vec::with_capacity(count);
    for (at, place) in wanted.iter().enumerate() {
        let free = later.last().map_or(from, |last| last + width);
        later.push(place.max(free).min(to - ahead(count - 1 - at)));
    }
    let mut earlier = vec![0.0; count];
    let mut free = to;
    for (at, place) in wanted.iter().enumerate().rev() {
        earlier[at] = place.min(free).max(from + ahead(at));
        free = earlier[at] - width;
    }
    later.iter().zip(earlier).map(|(one, other)| f64::midpoint(*one, other)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_that_have_room_stay_where_they_belong() {
        assert_eq!(apart(&[10.0, 50.0, 90.0], 20.0, 0.0, 100.0), [10.0, 50.0, 90.0]);
    }

    #[test]
    fn labels_of_one_place_spread_around_it() {
        assert_eq!(apart(&[50.0, 50.0, 50.0], 20.0, 0.0, 100.0), [30.0, 50.0, 70.0]);
        assert_eq!(apart(&[100.0, 100.0], 20.0, 0.0, 100.0), [80.0, 100.0]);
        assert_eq!(apart(&[], 20.0, 0.0, 100.0), [] as [f64; 0]);
    }

    proptest! {
        #[test]
        fn no_two_labels_of_a_row_are_closer_than_their_width(
            mut wanted in prop::collection::vec(0.0..300.0_f64, 0..40),
        ) {
            wanted.sort_by(f64::total_cmp);
            let rows = rows(wanted.len(), 20.0, 0.0, 300.0);
            for row in 0..rows {
                let mine: Vec<f64> = wanted.iter().copied().skip(row).step_by(rows).collect();
                let placed = apart(&mine, 20.0, 0.0, 300.0);
                prop_assert!(placed.windows(2).all(|pair| pair[1] - pair[0] > 19.99), "{placed:?}");
                prop_assert!(placed.iter().all(|place| (-0.01..300.01).contains(place)), "{placed:?}");
            }
        }
    }
}
