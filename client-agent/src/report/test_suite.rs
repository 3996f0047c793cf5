//! A suite of tests as JUnit XML, which build servers read.
//!
//! There is no standard; this is what all known readers agree on.

use std::time::Duration;

use epm_protocol::sylink::xml::{Document, Element};
use epm_protocol::time::Timestamp;

/// A suite of tests.
#[derive(Clone, Debug)]
pub struct TestSuite<'a> {
    /// Its name.
    pub name: &'a str,
    /// When it ran, where that is known.
    pub run: Option<TestRun>,
    /// Its cases, in order.
    pub cases: Vec<TestCase>,
}

/// When and with what a suite ran.
#[derive(Clone, Debug)]
pub struct TestRun {
    /// What ran it.
    pub name: &'static str,
    /// When it began.
    pub began: Timestamp,
    /// How long it took.
    pub lasted: Duration,
    /// With what: names and values.
    pub properties: Vec<(&'static str, String)>,
}

/// One test.
#[derive(Clone, Debug)]
pub struct TestCase {
    /// The class that it belongs to.
    pub class: &'static str,
    /// Its name.
    pub name: String,
    /// How long it took, where that is known.
    pub lasted: Option<Duration>,
    /// What came of it.
    pub result: TestResult,
}

/// What came of a test.
#[derive(Clone, Debug)]
pub enum TestResult {
    /// It passed.
    Passed,
    /// It was not run.
    Skipped {
        /// Why not.
        message: String,
    },
    /// It failed.
    Failed {
        /// The kind of failure.
        kind: String,
        /// What was found, in one line.
        message: String,
        /// The particulars.
        text: String,
    },
    /// It could not be run to its end.
    Error {
        /// The kind of error.
        kind: &'static str,
        /// What happened.
        message: String,
    },
}

impl TestSuite<'_> {
    /// The suite as JUnit XML.
    pub fn to_xml(&self) -> String {
        let mut suite = self.counted(Element::new("testsuite").with("name", self.name));
        let skipped = self.count(|result| matches!(result, TestResult::Skipped { .. }));
        suite.set_attribute("skipped", &skipped.to_string());
        let mut suites = Element::new("testsuites");
        if let Some(run) = &self.run {
            suites = self.counted(suites.with("name", run.name));
            suite.set_attribute("timestamp", run.began.to_string().trim_end_matches('Z'));
            let mut properties = Element::new("properties");
            for (name, value) in &run.properties {
                properties.push(Element::new("property").with("name", name).with("value", value));
            }
            suite.push(properties);
        }
        for case in &self.cases {
            suite.push(case.element());
        }
        suites.push(suite);
        Document::compose(suites).to_xml()
    }

    fn count(&self, is_meant: impl Fn(&TestResult) -> bool) -> usize {
        self.cases.iter().filter(|case| is_meant(&case.result)).count()
    }

    fn counted(&self, mut element: Element) -> Element {
        let failures = self.count(|result| matches!(result, TestResult::Failed { .. }));
        let errors = self.count(|result| matches!(result, TestResult::Error { .. }));
        for (name, number) in [("tests", self.cases.len()), ("failures", failures), ("errors", errors)] {
            element.set_attribute(name, &number.to_string());
        }
        match &self.run {
            Some(run) => element.with("time", &seconds(run.lasted)),
            None => element,
        }
    }
}

impl TestCase {
    fn element(&self) -> Element {
        let mut case = Element::new("testcase").with("classname", self.class).with("name", &self.name);
        if let Some(lasted) = self.lasted {
            case.set_attribute("time", &seconds(lasted));
        }
        match &self.result {
            TestResult::Passed => {}
            TestResult::Skipped { message } => case.push(Element::new("skipped").with("message", message)),
            TestResult::Failed { kind, message, text } => {
                let mut failure = Element::new("failure").with("type", kind).with("message", message);
                failure.set_text(text);
                case.push(failure);
            }
            TestResult::Error { kind, message } => {
                case.push(Element::new("error").with("type", kind).with("message", message));
            }
        }
        case
    }
}

fn seconds(lasted: Duration) -> String {
    format!("{}.{:03}", lasted.as_secs(), lasted.subsec_millis())
}
