//! Tables and views of the database, and their versions. `docs/data.md` describes them.
//!
//! A new version is a further migration: the ones that are released never change.

/// Identifies the database as one of this program, for `file` and for us.
pub(super) const APPLICATION: i64 = 0x6570_6d6c; // "epml"

/// What brings a database from each version to the next one, from an empty one on.
pub(super) const MIGRATIONS: &[&str] = &["
CREATE TABLE log (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    given_by TEXT NOT NULL,
    change TEXT NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE log_file (
    sequence INTEGER NOT NULL REFERENCES log (sequence),
    number INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (sequence, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE client (
    agent BLOB PRIMARY KEY,
    record TEXT NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE last_seen (
    agent BLOB PRIMARY KEY,
    at INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE document (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    content TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE written (
    steps INTEGER NOT NULL
) STRICT;
INSERT INTO written VALUES (0);
CREATE VIEW commands AS
SELECT
    log.sequence AS sequence,
    strftime('%Y-%m-%dT%H:%M:%fZ', log.at / 1000.0, 'unixepoch') AS at,
    log.given_by AS given_by,
    (SELECT key FROM json_each(command.value)) AS command,
    (SELECT value FROM json_each(command.value)) AS arguments
FROM log, json_each(log.change, '$.commands') AS command
WHERE log.change ->> '$.kind' = 'commands'
UNION ALL
SELECT
    sequence,
    strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch'),
    given_by,
    change ->> '$.kind',
    json_remove(change, '$.kind')
FROM log
WHERE change ->> '$.kind' <> 'commands'
ORDER BY 1;
CREATE VIEW clients AS
SELECT
    record ->> '$.client.computer_name' AS computer,
    hex(client.agent) AS agent,
    record ->> '$.client.group' AS group_id,
    record ->> '$.client.hardware_key' AS hardware_key,
    record ->> '$.manager' AS manager,
    record ->> '$.serial' AS serial,
    record ->> '$.since' AS since,
    strftime('%Y-%m-%dT%H:%M:%fZ', last_seen.at / 1000.0, 'unixepoch') AS last_seen
FROM client LEFT JOIN last_seen USING (agent)
ORDER BY 1;
"];
