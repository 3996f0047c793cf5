//! The twenty statements of the vendor's procedure for a new server certificate: P1 to P20, each with its title.
//!
//! `docs/procedure.md` has them in full, under the same titles. Steps of scenarios, failures and assumptions name them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! statements {
    ($($name:ident = $title:literal;)*) => {
        /// A statement of the vendor's procedure, by its number; `docs/procedure.md` has its text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(into = "TitledStatement")]
        pub enum Statement {$(
            #[doc = $title]
            $name,
        )*}

        impl Statement {
            /// Every statement, in order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The number as texts write it, `P17`.
            pub const fn number(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The title, which is its heading in `docs/procedure.md`.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }
        }
    };
}

statements! {
    P1 = "The certificate authenticates the manager";
    P2 = "The same certificate signs what clients download";
    P3 = "Clients keep a copy of the certificate";
    P4 = "An invalid certificate stops communication";
    P5 = "With secure communications off, clients still communicate";
    P6 = "When to switch secure communications off";
    P7 = "Recover a damaged certificate that has not expired";
    P8 = "Switch secure communications on again";
    P9 = "Let clients learn from another manager";
    P10 = "Where to begin: steps 1 to 5 are for version 14";
    P11 = "Assign a list that speaks HTTP (steps 1 to 5)";
    P12 = "Switch secure communications off (steps 6 and 7)";
    P13 = "Wait, and reach every group (step 8)";
    P14 = "Update the server certificate (step 9)";
    P15 = "Wait, switch on, restore the list (step 10)";
    P16 = "Make sure that clients can fail over";
    P17 = "Clients of 14.2 cannot learn this way";
    P18 = "One manager after the other";
    P19 = "Clients that are away";
    P20 = "Measure coverage instead of time";
}

/// A statement of the procedure. Input is the number alone; output has the number and the title.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TitledStatement {
    /// The number, `P1` to `P20`.
    pub number: &'static str,
    /// The title of the statement, as in `docs/procedure.md`.
    pub title: &'static str,
}

impl From<Statement> for TitledStatement {
    fn from(statement: Statement) -> Self {
        Self { number: statement.number(), title: statement.title() }
    }
}

/// Number and title: `P17 Clients of 14.2 cannot learn this way`.
impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number(), self.title())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_titles_are_the_headings_of_the_page() {
        let page = include_str!("../../docs/procedure.md");
        let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let titles: Vec<String> =
            Statement::ALL.iter().map(|one| format!("{}. {}", one.number(), one.title())).collect();
        assert_eq!(headings, titles);
    }

    #[test]
    fn a_statement_is_read_by_its_number_and_written_with_its_title() {
        let statement: Statement = serde_json::from_str("\"P17\"").unwrap();
        assert_eq!(statement, Statement::P17);
        let written = serde_json::json!({"number": "P17", "title": "Clients of 14.2 cannot learn this way"});
        assert_eq!(serde_json::to_value(statement).unwrap(), written);
        assert!(serde_json::from_str::<Statement>("\"P21\"").unwrap_err().to_string().contains("P21"));
    }
}
