//! A test suite as JUnit XML, which build servers read.
//!
//! There is no standard; all known readers accept this form.

use std::time::Duration;

use epm_protocol::sylink::xml::{Document, Element};
use epm_protocol::time::Timestamp;

/// A test suite.
#[derive(Clone, Debug)]
pub struct TestSuite<'a> {
    /// The name of the suite.
    pub name: &'a str,
    /// The run of the suite, if known.
    pub run: Option<TestRun>,
    /// The cases of the suite, in order.
    pub cases: Vec<TestCase>,
    /// What else is to be said of the suite, as its `system-out`; left out if empty.
    pub said: String,
}

/// The time and the properties of a run.
#[derive(Clone, Debug)]
pub struct TestRun {
    /// The name of the program that ran it.
    pub name: &'static str,
    /// The time at which it began.
    pub began: Timestamp,
    /// The duration of the run.
    pub lasted: Duration,
    /// Names and values that describe the run.
    pub properties: Vec<(&'static str, String)>,
}

/// A test case.
#[derive(Clone, Debug)]
pub struct TestCase {
    /// The class of the case.
    pub class: &'static str,
    /// The name of the case.
    pub name: String,
    /// The duration of the case, if known.
    pub lasted: Option<Duration>,
    /// The result of the case.
    pub result: TestResult,
}

/// The result of a test case.
#[derive(Clone, Debug)]
pub enum TestResult {
    /// The test passed.
    Passed,
    /// The test was not run.
    Skipped {
        /// The reason why it was not run.
        message: String,
    },
    /// The test failed.
    Failed {
        /// The kind of failure.
        kind: String,
        /// The finding, in one line.
        message: String,
        /// The failing clients, one per line, each with the reason.
        text: String,
    },
    /// The test could not be run to its end.
    Error {
        /// The kind of error.
        kind: &'static str,
        /// What happened, in one line.
        message: String,
    },
}

impl TestSuite<'_> {
    /// The suite with this link in the text of each failure.
    #[must_use]
    pub fn with_page(mut self, link: Option<&str>) -> Self {
        for case in &mut self.cases {
            if let (TestResult::Failed { text, .. }, Some(link)) = (&mut case.result, link) {
                text.push_str(&format!("\nOn the page of the lab: {link}"));
            }
        }
        self
    }

    /// Writes the suite as JUnit XML.
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
        if !self.said.is_empty() {
            let mut said = Element::new("system-out");
            said.set_text(&self.said);
            suite.push(said);
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
