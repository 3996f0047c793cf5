//! Tables of the database, in a schema of their own. `docs/many-machines.md` describes them.

/// The version of the tables that this program reads and writes.
pub(super) const VERSION: i32 = 3;

/// What makes the tables. The one row of `site` is locked by each change.
pub(super) const TABLES: &str = "
CREATE SCHEMA IF NOT EXISTS epm_lab;
CREATE TABLE epm_lab.site (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    version integer NOT NULL,
    identity text NOT NULL,
    founding text NOT NULL,
    speed integer NOT NULL,
    machine_time bigint NOT NULL,
    last_sequence bigint NOT NULL DEFAULT 0,
    last_revision bigint NOT NULL DEFAULT 0
);
CREATE TABLE epm_lab.log (
    sequence bigint PRIMARY KEY,
    at bigint NOT NULL,
    written timestamptz NOT NULL DEFAULT clock_timestamp(),
    given_by text NOT NULL,
    change text NOT NULL,
    checksum bigint NOT NULL
);
CREATE TABLE epm_lab.log_file (
    sequence bigint NOT NULL,
    number bigint NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (sequence, number)
);
CREATE TABLE epm_lab.client (
    agent bytea PRIMARY KEY,
    registration text NOT NULL,
    visit text NOT NULL,
    since bigint NOT NULL,
    last_seen bigint NOT NULL,
    is_gone boolean NOT NULL,
    revision bigint NOT NULL
);
CREATE INDEX client_revision ON epm_lab.client (revision);
CREATE TABLE epm_lab.manager (
    name text PRIMARY KEY,
    instance text NOT NULL,
    host text NOT NULL,
    process bigint NOT NULL,
    version text NOT NULL,
    since timestamptz NOT NULL,
    seen timestamptz NOT NULL
);
CREATE SEQUENCE epm_lab.report_number;
CREATE TABLE epm_lab.report (
    source text NOT NULL,
    part integer NOT NULL,
    instance text NOT NULL,
    number bigint NOT NULL,
    came timestamptz NOT NULL,
    heard bigint NOT NULL,
    origin_source bigint NOT NULL,
    origin_lab bigint NOT NULL,
    content text NOT NULL,
    PRIMARY KEY (source, part)
);
CREATE SEQUENCE epm_lab.document_number;
CREATE TABLE epm_lab.document (
    kind text NOT NULL,
    name text NOT NULL,
    number bigint NOT NULL,
    content text NOT NULL,
    PRIMARY KEY (kind, name)
);
";

/// What the session of a process begins with: a session that is lost or stands ends, and so does its lock. Keepalives find that a
/// machine is gone if there was nothing to send, and the time-out if there was, such as a notification.
pub(super) const SESSION: &str = "
SET application_name = 'epm-lab';
SET statement_timeout = '30s';
SET lock_timeout = '4s';
SET idle_in_transaction_session_timeout = '10s';
SET tcp_keepalives_idle = 5;
SET tcp_keepalives_interval = 2;
SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 11000;
SET client_min_messages = warning;
";
