//! A sweep as CSV: the number of orphaned clients for each wait.

use crate::rehearsal::{Sweep, SweepPoint};

/// A line for each wait and seed: the wait as written and in seconds, the seed, the number of orphaned clients, and
/// that number if the wait were a day longer.
pub fn sweep_csv(sweep: &Sweep) -> String {
    let mut text = "wait,wait_seconds,seed,orphaned,orphaned_a_day_later,orphaned_on_return\r\n".to_owned();
    let mut points: Vec<&SweepPoint> = sweep.points.iter().collect();
    points.sort_by_key(|point| point.wait);
    for SweepPoint { wait, orphaned, on_return, a_day_more } in points {
        for (at, count) in orphaned.iter().enumerate() {
            let text_of = |counts: &[usize]| counts.get(at).map_or_else(String::new, ToString::to_string);
            let (later, on_return) = (text_of(a_day_more), text_of(on_return));
            let seed = sweep.seeds.get(at).map_or_else(String::new, ToString::to_string);
            text.push_str(&format!("{wait},{},{seed},{count},{later},{on_return}\r\n", wait.0.as_secs_f64()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_wait_is_long_enough_if_no_longer_one_loses_anybody() {
        let mut sweep = sample::sweep();
        assert_eq!(sweep.shortest_without_orphans(), Some("30d".parse().unwrap()));
        // A lucky short wait, and an unlucky seed of the longest.
        sweep.points[2].orphaned = vec![0; 5];
        assert_eq!(sweep.shortest_without_orphans(), Some("30d".parse().unwrap()));
        sweep.points.last_mut().unwrap().orphaned[3] = 1;
        assert_eq!(sweep.shortest_without_orphans(), None);
        assert_eq!(Sweep::default().shortest_without_orphans(), None);
    }

    #[test]
    fn a_sweep_has_a_line_for_each_wait_and_seed() {
        let sweep = sample::sweep();
        let text = sweep_csv(&sweep);
        let rows: Vec<_> =
            ::csv::Reader::from_reader(text.as_bytes()).into_records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), sweep.points.len() * sweep.seeds.len());
        assert_eq!(rows[0].iter().collect::<Vec<_>>(), ["1h", "3600", "11", "20300", "20300", "0"]);
    }
}
