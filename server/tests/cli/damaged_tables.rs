//! Tables of a site that someone has altered, and rows that no program has written: what cannot be read is told, and nothing else is
//! stopped by it.

use std::process::Command;

use epm_fixtures::Postgres;
use serde_json::{Value, json};

use crate::control::Control;
use crate::harness::{Running, agent, needs, output, program, run, said, until, well};
use crate::reports::report;
use crate::site::{Manager, Site};

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
        (
            "DELETE FROM epm_lab.log WHERE sequence = (SELECT max(sequence) FROM epm_lab.log)".to_owned(),
            "of the log is missing: put a backup of the database back",
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

/// A report of one client that is well.
fn well_report(lab: &Control, client: &str) -> Value {
    let mut report = report("one", 1, &[client]);
    let certificates: Vec<Value> =
        lab.get("/v1/verdict")["certificates"].as_object().unwrap().values().cloned().collect();
    report["states"][0]["first"]["certificates"] = json!(certificates);
    report
}

#[needs(postgres)]
#[test]
fn a_damaged_report_makes_the_clients_of_its_source_unknown_until_the_next_one_comes() {
    let site = Site::found(2);
    let (first, second) = (site.start(1), site.start(2));
    let tell = |lab: &Control, client: &str| {
        lab.does("PUT", &format!("/v1/reports/fleet-{client}"), &well_report(lab, client));
    };
    let is_well = |lab: &Control| {
        let verdict = lab.get("/v1/verdict");
        (verdict["well"] == true && verdict["clients"] == 2).then_some(())
    };
    tell(&first, "a");
    tell(&first, "b");
    until("both clients to be well", || is_well(&first).and(is_well(&second)));
    let damages = [
        (
            "UPDATE epm_lab.report SET number = nextval('epm_lab.report_number'), content = '{'",
            "is not what was written",
        ),
        (
            "UPDATE epm_lab.report SET number = nextval('epm_lab.report_number'), content = replace(content, '60000', '0')",
            "interval_ms: 0, expected 1000",
        ),
        (
            "ALTER TABLE epm_lab.report ALTER origin_lab DROP NOT NULL; UPDATE epm_lab.report SET origin_lab = NULL",
            "column origin_lab of the row \"fleet-a\" of the table report: expected int8, found NULL",
        ),
        ("UPDATE epm_lab.report SET came = 'infinity'", "column came of the row \"fleet-a\""),
    ];
    for (damage, expected) in damages {
        sql(&site.database, "postgres", &format!("{damage} WHERE source = 'fleet-a'"));
        for lab in [&first, &second] {
            let verdict = until("a client to be unknown", || {
                let verdict = lab.get("/v1/verdict");
                (verdict["well"] != true).then_some(verdict)
            });
            assert_eq!((&verdict["clients"], &verdict["unknown"]), (&json!(1), &json!(["a"])), "{verdict:#}");
            let why = verdict["no_verdict"].as_str().unwrap();
            assert!(verdict["well"].is_null() && why.contains(expected), "{expected}: {why}");
        }
        let checked = run(&["check", "--expect", "no-client-is-orphaned", "--lab", &first.control.0]);
        assert_eq!(checked.status.code(), Some(4), "{:?}", said(&checked));
        tell(&second, "b");
        tell(&second, "a");
        until("both clients to be well again", || is_well(&first).and(is_well(&second)));
    }
    sql(&site.database, "postgres", &format!("{} WHERE source = 'fleet-a'", damages[0].0));
    // A process that has known neither the report nor its clients.
    second.running.kill();
    let second = site.start(2);
    let verdict = second.get("/v1/verdict");
    assert_eq!((&verdict["clients"], &verdict["well"]), (&json!(1), &Value::Null), "{verdict:#}");
    tell(&first, "a");
    until("both clients to be well again", || is_well(&second));
    // A column of another type concerns every source, also those that report anew.
    let alter = |of: &str| format!("ALTER TABLE epm_lab.report ALTER heard TYPE {of} USING heard::{of}");
    sql(&site.database, "postgres", &alter("text"));
    until("no verdict", || (first.get("/v1/verdict")["well"].is_null()).then_some(()));
    let (status, answer) = first.call("PUT", "/v1/reports/fleet-a", &well_report(&first, "a"));
    assert_eq!((status, &answer["code"]), (503, &json!("no-database")), "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("column heard of the row"), "{answer}");
    sql(&site.database, "postgres", &alter("bigint"));
    until("both clients to be well again", || is_well(&first).and(is_well(&second)));
    first.running.signal("INT");
    let (_, log) = first.running.ends();
    // Told once, not each second.
    for (_, expected) in damages {
        let told =
            log.lines().filter(|line| line.contains("a report cannot be read") && line.contains(expected));
        let times = if expected == damages[0].1 { 2 } else { 1 };
        assert_eq!(told.count(), times, "{expected}: {log}");
    }
}

#[needs(postgres)]
#[test]
fn a_damaged_document_is_told_where_it_is_needed_and_nowhere_else() {
    let site = Site::found(2);
    let (first, second) = (site.start(1), site.start(2));
    let rotation = json!({ "expect": "rotation", "since": "before" });
    first.does("PUT", "/v1/baselines/before", &json!({}));
    first.does("PUT", "/v1/expectations/rotated", &rotation);
    first.does("PUT", "/v1/expectations/none", &json!({ "expect": "no-client-is-orphaned" }));
    let refused = |method: &str, path: &str, body: &Value, expected: &str| {
        for lab in [&first, &second] {
            let (status, answer) = lab.call(method, path, body);
            let detail = answer["detail"].as_str().unwrap_or_default();
            assert!(status == 503 && detail.contains(expected), "{method} {path}: {status} {answer}");
        }
    };
    let damage = |set: &str, name: &str| {
        let update = "UPDATE epm_lab.document SET number = nextval('epm_lab.document_number')";
        sql(&site.database, "postgres", &format!("{update}, {set} WHERE name = '{name}'"));
    };
    damage("content = '{'", "before");
    refused("GET", "/v1/baselines/before", &Value::Null, "the baseline \"before\" cannot be used");
    refused("GET", "/v1/baselines", &Value::Null, "the baseline \"before\"");
    refused("POST", "/v1/expectations", &json!([rotation]), "the baseline \"before\"");
    for lab in [&first, &second] {
        let found = lab.get("/v1/expectations");
        let rotated = &found["expectations"][1];
        let why = rotated["not_judged"][0].as_str().unwrap_or_default();
        assert!(rotated["result"] == "unknown" && why.contains("the baseline \"before\""), "{found:#}");
    }
    second.does("PUT", "/v1/baselines/after", &json!({}));
    first.get("/v1/baselines/after");
    first.does("PUT", "/v1/baselines/before", &json!({}));
    second.get("/v1/baselines/before");
    damage("content = '[]'", "none");
    refused("GET", "/v1/expectations", &Value::Null, "the expectation \"none\" cannot be used");
    second.does("POST", "/v1/expectations", &json!([rotation]));
    second.does("DELETE", "/v1/expectations/none", &Value::Null);
    first.get("/v1/expectations");
    // What may be anything concerns everything.
    damage("kind = 'xpectation'", "rotated");
    let unknown = "document \"rotated\" of an unknown kind, \"xpectation\"";
    refused("GET", "/v1/expectations", &Value::Null, unknown);
    refused("GET", "/v1/baselines", &Value::Null, unknown);
    first.get("/v1/baselines/before");
    sql(
        &site.database,
        "postgres",
        "UPDATE epm_lab.document SET kind = 'pause', name = 'x'  WHERE name = 'rotated'",
    );
    for lab in [&first, &second] {
        lab.get("/v1/baselines");
        let found = lab.does("POST", "/v1/expectations", &json!([rotation]))["expectations"][0].take();
        let waits =
            found["findings"].as_array().unwrap().iter().find(|one| one["code"] == "not-waited").unwrap();
        assert!(waits["result"] == "unknown" && waits.to_string().contains("the pause"), "{waits:#}");
    }
}

#[needs(postgres)]
#[test]
fn of_two_fleets_under_one_name_every_process_knows_that_one_is_refused() {
    let site = Site::found(2);
    let (first, second) = (site.start(1), site.start(2));
    let report = |instance: &str, began: u32| {
        let mut report = well_report(&first, "desk-1");
        report["instance"] = json!(instance);
        report["began"] = json!(format!("2026-01-05T08:00:0{began}Z"));
        report
    };
    let both_know = |expected: &[&str]| {
        for lab in [&first, &second] {
            until("what is unknown", || {
                let verdict = lab.get("/v1/verdict");
                let unknown = verdict["unknown"].as_array().cloned().unwrap_or_default();
                (unknown == expected && (verdict["well"] == true) == expected.is_empty()).then_some(())
            });
        }
    };
    first.does("PUT", "/v1/reports/fleet", &report("later", 1));
    both_know(&[]);
    let mut refused = report("earlier", 0);
    assert_eq!(first.call("PUT", "/v1/reports/fleet", &refused).0, 409);
    both_know(&["desk-1"]);
    let damage = "UPDATE epm_lab.document SET number = nextval('epm_lab.document_number'), content = '{' WHERE kind = 'refusal'";
    sql(&site.database, "postgres", damage);
    for lab in [&first, &second] {
        until("a verdict that names the refusal", || {
            let verdict = lab.get("/v1/verdict");
            (verdict["well"] != true && verdict["database_error"].to_string().contains("refusal"))
                .then_some(())
        });
    }
    refused["is_last"] = json!(true);
    refused["states"][0]["on"] = json!(false);
    assert_eq!(first.call("PUT", "/v1/reports/fleet", &refused).0, 409);
    both_know(&[]);
}

#[needs(postgres)]
#[test]
fn pauses_that_count_no_more_are_removed_from_the_database() {
    let site = Site::found(1);
    let lab = site.start(1);
    let number = "nextval('epm_lab.document_number')";
    sql(
        &site.database,
        "postgres",
        &format!(
            "INSERT INTO epm_lab.document (kind, name, number, content) \
             SELECT 'pause', one, {number}, 'true' FROM unnest(ARRAY['7', '8', '1007', '1008']) AS one"
        ),
    );
    lab.get("/v1/baselines");
    let left = "SELECT string_agg(name, ' ' ORDER BY number) FROM epm_lab.document WHERE kind = 'pause'";
    assert_eq!(site.database.sql(left), "8 1007 1008");
}

#[needs(postgres)]
#[test]
fn while_clients_cannot_be_exchanged_there_is_no_verdict_until_the_tables_are_mended() {
    let site = Site::found(1);
    let server = &site.database;
    server.sql(
        "CREATE ROLE limited LOGIN; GRANT ALL ON SCHEMA epm_lab TO limited; \
         GRANT ALL ON ALL TABLES IN SCHEMA epm_lab TO limited; GRANT ALL ON ALL SEQUENCES IN SCHEMA epm_lab TO limited",
    );
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("lab");
    let url = server.url().replace("lab@", "limited@");
    let manager = Manager::of(site.manager_at(1, &url).args(["--export", export.to_str().unwrap()]));
    let mut fleet = agent();
    fleet.args(["fleet", "--count", "2", "--report", &manager.control.0, "--report-every", "1s", "--sylink"]);
    let _fleet = Running::start(fleet.arg(export.join("sylink.xml")));
    let is_well = || (manager.get("/v1/verdict")["well"] == true).then_some(());
    until("the clients to be well", is_well);
    let lock = || {
        let mut psql = Command::new("psql");
        let held = "BEGIN; LOCK TABLE epm_lab.client; SELECT pg_sleep(600)";
        Running::start(psql.args(["--no-psqlrc", &server.url(), "--command", held]))
    };
    let end_lock = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'";
    let invalid = "INSERT INTO epm_lab.client VALUES (decode(repeat('0a', 16), 'hex'), '{', '{}', 0, 0, false, 1000000)";
    for (damage, repair, expected) in [
        (invalid, "DELETE FROM epm_lab.client WHERE revision = 1000000", "the record of the client 0A0A0A0A"),
        (
            "REVOKE UPDATE ON epm_lab.client FROM limited",
            "GRANT UPDATE ON epm_lab.client TO limited",
            "permission denied for table client",
        ),
        ("", end_lock, "another session holds a lock"),
    ] {
        let held = damage.is_empty().then(lock);
        if held.is_none() {
            server.sql(damage);
        }
        let verdict = until("no verdict", || {
            let verdict = manager.get("/v1/verdict");
            verdict["no_verdict"].as_str().is_some_and(|why| why.contains(expected)).then_some(verdict)
        });
        assert!(verdict["well"].is_null(), "{verdict:#}");
        let checked = run(&["check", "--lab", &manager.control.0]);
        let (code, text) = said(&checked);
        assert!(code == Some(4) && text.contains("No verdict: ") && text.contains(expected), "{text}");
        server.sql(repair);
        until("the clients to be well again", is_well);
        drop(held);
    }
}

#[needs(postgres)]
#[test]
fn a_machine_whose_date_is_not_that_of_the_database_is_refused() {
    let site = Site::found(1);
    let server = &site.database;
    for (apart, way) in [("+ interval '1 hour'", "behind"), ("- interval '1 hour'", "ahead of")] {
        server.sql(&format!(
            "CREATE SCHEMA IF NOT EXISTS shifted; \
             CREATE OR REPLACE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS \
             $$ SELECT pg_catalog.clock_timestamp() {apart} $$; \
             ALTER ROLE lab SET search_path = shifted, pg_catalog"
        ));
        for command in [&mut site.manager(1), &mut program()] {
            if command.get_args().count() == 0 {
                command.args(["site", "status", "--site", &server.url()]);
            }
            let (code, text) = said(&output(command));
            let expected = format!("s {way} that of the database");
            assert!(code != Some(0) && text.contains("3600 ") | text.contains("3599 "), "{code:?}: {text}");
            assert!(text.contains(&expected) && text.contains("set the clocks right"), "{text}");
        }
    }
}
