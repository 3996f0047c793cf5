//! Reads a scenario; every error names the line, and the nearest thing that would have been right.

use std::fmt;
use std::ops::Range;

use epm_protocol::excerpt::excerpt;
use epm_protocol::plain::plain;
use epm_protocol::suggest::hint;

use super::plan::Scenario;

/// The longest excerpt of the file in an error.
const SHOWN: usize = 60;

/// An error in a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// The name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The problem, and what was expected.
    pub problem: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.problem)
    }
}

impl std::error::Error for ScenarioError {}

impl ScenarioError {
    /// A problem at this place of a file.
    pub fn at(file: &str, text: &str, span: Range<usize>, problem: impl Into<String>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            problem: problem.into(),
        }
    }

    /// Converts an error of the TOML reader, and adds the nearest known name.
    pub fn of(error: &toml::de::Error, text: &str, file: &str) -> Self {
        let span = error.span().unwrap_or(0..0);
        let found = text.get(span.clone()).unwrap_or_default().trim();
        let mut problem = plain(&with_hint(error.message()));
        if !found.is_empty() && found.len() <= SHOWN && !problem.contains(found.trim_matches(['"', '\''])) {
            problem = format!("{problem}: {found}");
        }
        Self::at(file, text, span, problem)
    }
}

impl Scenario {
    /// Reads a scenario; `file` is its name, for messages.
    ///
    /// # Errors
    ///
    /// When it is not TOML, has an unknown key or an invalid value, or lacks a value.
    pub fn parse(text: &str, file: &str) -> Result<Self, ScenarioError> {
        toml::from_str(text).map_err(|error| ScenarioError::of(&error, text, file))
    }
}

/// Adds the nearest known name to an error about an unknown one: "unknown field `x`, expected one of `a`, `b`".
fn with_hint(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let first = quoted.next().unwrap_or_default();
    let hint = if message.starts_with("unknown ") { hint(first, quoted) } else { String::new() };
    let short = excerpt(first);
    let message = if short == first { message.to_owned() } else { message.replacen(first, &short, 1) };
    format!("{}{hint}", message.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_named_with_its_line_and_the_key_that_was_meant() {
        let text = "title = \"t\"\n\n[site]\nmanagers = [{ name = \"a\", htpp_port = 1 }]\n";
        let error = Scenario::parse(text, "x.toml").unwrap_err();
        assert_eq!((error.line, error.file.as_str()), (4, "x.toml"), "{error}");
        assert!(
            error.problem.contains("htpp_port") && error.problem.contains("did you mean \"http_port\"?"),
            "{error}"
        );
    }

    #[test]
    fn a_misspelt_command_is_named_with_the_command_that_was_meant() {
        let text = r#"
            title = "t"
            fleet = []
            site = { managers = [] }
            [[step]]
            title = "s"
            operator = [{ copy-lits = { from = "a", to = "b" } }]
        "#;
        let error = Scenario::parse(text, "x.toml").unwrap_err();
        assert_eq!(error.line, 7, "{error}");
        assert!(error.problem.contains("did you mean \"copy-list\"?"), "{error}");
    }

    #[test]
    fn a_choice_in_the_wrong_form_is_refused_in_words_that_say_the_form() {
        let refused = |key: &str, value: &str| {
            let [presence, certificate] =
                if key == "presence" { [value, "{ generate = {} }"] } else { [r#""always""#, value] };
            let text = format!(
                "title = 't'\nsite = {{ managers = [{{ name = 'a' }}] }}\n[[fleet]]\nname = 'b'\ncount = 1\nversion = '14.3'\npresence = {presence}\n\
                 [[step]]\ntitle = 's'\noperator = [{{ update-certificate = {{ manager = 'a', certificate = {certificate} }} }}]\n"
            );
            Scenario::parse(&text, "x.toml").unwrap_err().problem
        };
        for (key, value, expected) in [
            ("presence", "5", "expected a name, or a table with one name and its values: 5"),
            (
                "presence",
                "'office'",
                "expected the values of this name too, as in { NAME = { KEY = VALUE } }: 'office'",
            ),
            ("presence", "{}", "expected one name in the table, found none: {}"),
            (
                "presence",
                "{ always = {}, office = {} }",
                "expected one name in the table, found several: { always = {}, office = {} }",
            ),
            (
                "certificate",
                "'generate'",
                "expected the values of this name too, as in { NAME = { KEY = VALUE } }: 'generate'",
            ),
            ("certificate", "{ generate = 'x' }", "invalid type: string \"x\", expected named values"),
        ] {
            assert_eq!(refused(key, value), expected, "{key} = {value}");
        }
    }

    #[test]
    fn a_statement_that_the_procedure_does_not_have_is_named_with_its_place() {
        let text = "title = \"t\"\nfleet = []\nsite = { managers = [] }\n[[step]]\ntitle = \"s\"\nstatements = [\"P8\", \"P99\"]\n";
        let error = Scenario::parse(text, "x.toml").unwrap_err();
        assert_eq!((error.line, error.column), (6, 21), "{error}");
        assert!(error.problem.contains("P99") && error.problem.contains("did you mean \"P9\"?"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named_with_its_place() {
        let text = "title = 5\nsite = { managers = [] }\nfleet = []\n";
        let error = Scenario::parse(text, "x.toml").unwrap_err();
        assert_eq!((error.line, error.column), (1, 9), "{error}");
    }
}
