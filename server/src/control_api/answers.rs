//! Descriptions of answers that are lists or maps, whose types have no description of their own.

use aide::openapi::{OpenApi, ReferenceOr};

/// Identifiers of operations, and what they answer.
const ANSWERS: &[(&str, &str)] = &[
    ("assume", "The assumptions after the change; a value for the next reset is in `next`."),
    ("baselines", "The baselines, in the order of their names."),
    ("removeBaseline", "The baselines that are left."),
    ("expectNoLonger", "The results of the expectations that are left."),
    ("failures", "The known failures by identifier and title."),
    ("failure", "The failure, as in its file in the catalogue."),
    ("faultKinds", "The kinds of faults, the outermost layer first."),
    ("faults", "The active faults, in the order in which they are judged."),
    ("clearFaults", "The active faults: none."),
    ("removeFault", "The active faults that are left."),
    ("groups", "The groups, in the order of their paths."),
    ("nearMisses", "The requests that came close to one that was served."),
    ("lists", "The management server lists with their assignments."),
    ("removeList", "The management server lists that are left."),
    ("snapshots", "The snapshots, in the order of their names."),
    ("removeSnapshot", "The snapshots that are left."),
    ("reportSources", "The sources of reports, in the order of their names."),
    ("forgetSource", "The sources of reports that are left."),
];

/// Describes the answers of these operations.
pub(super) fn describe(api: &mut OpenApi) {
    for (_, item) in api.paths.iter_mut().flat_map(|paths| &mut paths.paths) {
        let ReferenceOr::Item(item) = item else { continue };
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let id = operation.operation_id.as_deref();
            let Some((_, words)) = ANSWERS.iter().find(|(known, _)| Some(*known) == id) else { continue };
            let responses = operation.responses.iter_mut().flat_map(|all| all.responses.values_mut());
            for response in responses {
                if let ReferenceOr::Item(response) = response
                    && response.description.is_empty()
                {
                    (*words).clone_into(&mut response.description);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::control_api::openapi;

    #[test]
    fn every_operation_has_a_summary_and_every_answer_a_description() {
        let document = serde_json::to_value(openapi()).unwrap();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                assert!(
                    operation["summary"].as_str().is_some_and(|words| !words.is_empty()),
                    "{method} {path}"
                );
                for (status, answer) in operation["responses"].as_object().unwrap() {
                    let words = answer["description"].as_str().unwrap_or_default();
                    assert!(!words.is_empty(), "{method} {path} {status}");
                }
            }
        }
    }
}
