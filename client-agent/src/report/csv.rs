//! The course and the orphaned clients as comma-separated values (RFC 4180).

use std::time::Duration;

use crate::rehearsal::Outcome;
use crate::scenario::Reason;

/// The course, a line for each hour: its beginning, the clients by their trust at its end, orphaned clients and
/// machines that are on at its end, and the number of clients that connected to each manager.
pub fn course(outcome: &Outcome) -> String {
    let course = &outcome.course;
    let rows: Vec<(&str, &[u32])> = [
        ("old_only", course.old_only.as_slice()),
        ("both", &course.both),
        ("new_only", &course.new_only),
        ("none", &course.none),
        ("orphaned", &course.orphaned),
        ("online", &course.online),
    ]
    .into_iter()
    .chain(course.load.iter().map(|(manager, row)| (manager.as_str(), row.as_slice())))
    .collect();
    let hours = rows.iter().map(|(_, row)| row.len()).max().unwrap_or(0);

    let loads = course.load.keys().map(|manager| format!("load of {manager}"));
    let named = ["hour", "old_only", "both", "new_only", "none", "orphaned", "online"].map(String::from);
    let mut text = line(named.into_iter().chain(loads));
    let mut begins = course.origin;
    for hour in 0..hours {
        let numbers = rows.iter().map(|(_, row)| row.get(hour).map_or_else(String::new, ToString::to_string));
        text.push_str(&line(std::iter::once(begins.to_string()).chain(numbers)));
        begins = begins + Duration::from_secs(3600);
    }
    text
}

/// The orphaned clients, one per line: since when, during which step, why, the failure of the catalogue, the cause and the remedy, and
/// further causes, each after its failure if it is one of the catalogue.
pub fn orphaned(outcome: &Outcome) -> String {
    let columns = [
        "client",
        "part",
        "since",
        "step",
        "step_title",
        "layer",
        "why",
        "failure",
        "cause",
        "remedy",
        "also",
    ];
    let mut text = line(columns.map(String::from));
    for one in &outcome.verdict.orphaned {
        let further = one.also.iter().filter_map(|number| {
            let other = outcome.verdict.reasons.get(number.checked_sub(1)?)?;
            let failure = other.failure.as_ref().map(|failure| format!("{failure}: ")).unwrap_or_default();
            Some(failure + &other.sentence)
        });
        text.push_str(&line([
            one.client.clone(),
            one.part.clone(),
            one.since.to_string(),
            one.step.map(|step| step.to_string()).unwrap_or_default(),
            one.step_title.clone().unwrap_or_default(),
            one.layer.to_string(),
            one.why.clone(),
            one.failure.clone().unwrap_or_default(),
            outcome.verdict.reason_of(one).map(|reason| reason.sentence.clone()).unwrap_or_default(),
            outcome.verdict.reason_of(one).map(|reason| reason.remedy.clone()).unwrap_or_default(),
            further.collect::<Vec<_>>().join(" "),
        ]));
    }
    text
}

/// The clients that are not orphaned and not well: a line for each, with why and what to do.
pub fn not_well(outcome: &Outcome) -> String {
    let verdict = &outcome.verdict;
    let mut text = line(["client", "finding", "step", "failure", "cause", "remedy"].map(String::from));
    for (finding, clients) in verdict.unwell() {
        for client in clients {
            let reason = verdict.reason_for(finding, client);
            let of = |field: &dyn Fn(&Reason) -> Option<String>| reason.and_then(field).unwrap_or_default();
            text.push_str(&line([
                client.clone(),
                finding.to_string(),
                of(&|one| one.step.map(|step| step.to_string())),
                of(&|one| one.failure.clone()),
                of(&|one| Some(one.sentence.clone())),
                of(&|one| Some(one.remedy.clone())),
            ]));
        }
    }
    text
}

/// A line with its line end.
fn line(fields: impl IntoIterator<Item = String>) -> String {
    let fields: Vec<String> = fields.into_iter().map(quoted).collect();
    format!("{}\r\n", fields.join(","))
}

/// A field, in quotes if necessary.
fn quoted(field: String) -> String {
    if field.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn read(text: &str) -> Vec<Vec<String>> {
        let rows = ::csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes()).into_records();
        rows.map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn the_course_has_a_line_for_each_hour_and_a_column_for_each_manager() {
        let outcome = sample::ninety_days();
        let rows = read(&course(&outcome));
        assert_eq!(rows.len(), 1 + 90 * 24);
        assert_eq!(rows[0][..3], ["hour", "old_only", "both"]);
        assert_eq!(rows[0][7..], ["load of manager-a", "load of manager-b"]);
        assert_eq!(rows[1][0], "2026-01-05T00:00:00.000Z");
        assert_eq!(rows[26][0], "2026-01-06T01:00:00.000Z");
        for (hour, row) in rows[1..].iter().enumerate() {
            let number = |column: usize| row[column].parse::<u32>().unwrap();
            assert_eq!((1..=4).map(number).sum::<u32>(), 100_000, "{hour}");
            assert_eq!(number(5), outcome.course.orphaned[hour], "{hour}");
            assert_eq!(number(8), outcome.course.load["manager-b"][hour], "{hour}");
        }
    }

    #[test]
    fn a_lost_client_of_any_name_is_one_line() {
        let mut outcome = sample::ninety_days();
        outcome.verdict.orphaned[0].client = "a,\"b\"\r\nc".to_owned();
        outcome.verdict.orphaned[0].why = sample::NASTY.to_owned();
        let rows = read(&orphaned(&outcome));
        assert_eq!(rows.len(), 1 + outcome.verdict.orphaned.len());
        assert_eq!((rows[1][0].as_str(), rows[1][6].as_str()), ("a,\"b\"\r\nc", sample::NASTY));
        assert_eq!(rows[1][2], outcome.verdict.orphaned[0].since.to_string());
    }

    #[test]
    fn further_causes_of_an_orphaned_client_stand_in_a_column_of_their_own() {
        let mut outcome = sample::ninety_days();
        outcome.verdict.orphaned[1].also = vec![1, 2];
        let reason = |number: usize, sentence: &str| -> Reason {
            let reason = serde_json::json!({
                "number": number, "finding": "orphaned", "code": "not-waited", "sentence": sentence, "remedy": "", "clients": 1, "examples": [],
            });
            serde_json::from_value(reason).unwrap()
        };
        let second = Reason { failure: Some("F14".to_owned()), ..reason(2, "The second.") };
        outcome.verdict.reasons = vec![reason(1, "The first."), second];
        let rows = read(&orphaned(&outcome));
        assert_eq!((rows[0][10].as_str(), rows[1][10].as_str()), ("also", ""));
        assert_eq!(rows[2][10], "The first. F14: The second.");
    }

    #[test]
    fn an_outcome_without_a_course_is_a_heading() {
        assert_eq!(read(&course(&Outcome::default())).len(), 1);
        assert_eq!(read(&orphaned(&Outcome::default())).len(), 1);
    }
}
