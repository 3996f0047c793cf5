//! Tables of a site that someone has altered, and rows that no program has written: what cannot be read is told, and nothing else is
//! stopped by it.

use std::process::Command;

use epm_fixtures::Postgres;
use serde_json::json;

use crate::harness::{needs, output, program, said, well};
use crate::site::Site;

/// Runs SQL in a database of this server.
#[track_caller]
fn sql(server: &Postgres, database: &str, statement: &str) {
    let url = server.url().replace("/postgres", &format!("/{database}"));
    let options = ["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", &url, "--command", statement];
    well(&output(Command::new("psql").args(options)));
}

/// What `site status` says of this database.
fn status(server: &Postgres, database: &str) -> (Option<i32>, String) {
    let url = server.url().replace("/postgres", &format!("/{database}"));
    said(&output(program().args(["site", "status", "--site", &url])))
}

#[needs(postgres)]
#[test]
fn a_column_of_another_type_and_a_missing_value_are_told_with_their_table_and_row() {
    let site = Site::found(1);
    let server = &site.database;
    let manager = site.start(1);
    let added = json!([{ "add-group": { "group": "My Company\\One", "inherits": true } }]);
    manager.does("POST", "/v1/commands", &added);
    assert_eq!(manager.running.interrupt(), Some(0));
    sql(
        server,
        "postgres",
        "INSERT INTO epm_lab.client VALUES (decode(repeat('0a', 16), 'hex'), '{}', '{}', 0, 0, false, 1); \
         INSERT INTO epm_lab.log_file VALUES (2, 1, 'x')",
    );
    let another = |table: &str, column: &str, of: &str| {
        let alter =
            format!("ALTER TABLE epm_lab.{table} ALTER {column} DROP DEFAULT, ALTER {column} TYPE {of}");
        format!("{alter} USING {column}::text::{of}")
    };
    let missing = |table: &str, column: &str| {
        format!(
            "ALTER TABLE epm_lab.{table} ALTER {column} DROP NOT NULL; UPDATE epm_lab.{table} SET {column} = NULL"
        )
    };
    let row = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a";
    for (number, (damage, expected)) in [
        (another("site", "version", "text"), "column version of the table site: expected int4, found text"),
        (missing("site", "identity"), "column identity of the table site: expected text, found NULL"),
        (
            another("site", "machine_time", "text"),
            "machine_time of the table site: expected int8, found text",
        ),
        (
            another("log", "checksum", "text"),
            "checksum of the row 1 of the table log: expected int8, found text",
        ),
        (missing("log", "change"), "column change of the row 1 of the table log: expected text, found NULL"),
        (another("log_file", "content", "text"), "row 2 of the table log_file: expected bytea, found text"),
        (missing("log_file", "content"), "row 2 of the table log_file: expected bytea, found NULL"),
        (
            another("client", "last_seen", "text"),
            &format!("last_seen of the row {row} of the table client: expected int8, found text"),
        ),
        (
            missing("client", "registration"),
            &format!("registration of the row {row} of the table client: expected text, found NULL"),
        ),
        (missing("client", "is_gone"), "of the table client: expected bool, found NULL"),
        (
            missing("manager", "host"),
            "column place of the row \"sepm-1\" of the table manager: expected text, found NULL",
        ),
        // What the server finds itself.
        (another("client", "revision", "text"), "the tables were altered"),
        ("ALTER TABLE epm_lab.manager DROP seen".to_owned(), "the tables were altered"),
    ]
    .iter()
    .enumerate()
    {
        let database = format!("damaged_{number}");
        server.sql(&format!("CREATE DATABASE {database} TEMPLATE postgres"));
        sql(server, &database, "DELETE FROM epm_lab.log_file");
        if damage.contains("log_file") {
            sql(server, &database, "INSERT INTO epm_lab.log_file VALUES (2, 1, 'x')");
        }
        if !damage.contains("client") {
            sql(server, &database, "DELETE FROM epm_lab.client");
        }
        sql(server, &database, damage);
        let (code, text) = status(server, &database);
        assert!(
            code == Some(1) && text.contains(expected),
            "{damage}\nexpected {expected}\n{code:?}: {text}"
        );
        assert!(!text.contains("panicked"), "{damage}: {text}");
    }
}
