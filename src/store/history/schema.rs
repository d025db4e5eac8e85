//! The tables, and how an older database becomes this program's. `docs/history.md` says what they mean.

use rusqlite::{Connection, TransactionBehavior};

/// The version of the tables: how many of [`STEPS`] were taken.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// From each version to the next. A step that was released is never changed.
const STEPS: [&str; 5] = ["
CREATE TABLE inventories (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE
);
CREATE TABLE hosts (
    id INTEGER PRIMARY KEY,
    inventory INTEGER NOT NULL REFERENCES inventories(id),
    name TEXT NOT NULL,
    UNIQUE (inventory, name)
);
-- Which hosts a run was about: their ids, four bytes each.
CREATE TABLE selections (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    hosts BLOB NOT NULL
);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    inventory INTEGER NOT NULL REFERENCES inventories(id),
    selection INTEGER NOT NULL REFERENCES selections(id),
    started_ms INTEGER NOT NULL,
    elapsed_ms INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    hosts INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    warning INTEGER NOT NULL,
    critical INTEGER NOT NULL,
    not_observed INTEGER NOT NULL,
    interrupted INTEGER NOT NULL,
    on_change INTEGER NOT NULL
);
CREATE INDEX runs_by_inventory ON runs(inventory, id);
-- From that run on the host answered so, in the runs that were about it.
CREATE TABLE outcomes (
    host INTEGER NOT NULL REFERENCES hosts(id),
    run INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    verdict TEXT NOT NULL,
    stage TEXT,
    message TEXT,
    PRIMARY KEY (host, run)
) WITHOUT ROWID;
-- One row for each time that a finding was there. The gateway is its port, 0 for the host.
CREATE TABLE findings (
    id INTEGER PRIMARY KEY,
    host INTEGER NOT NULL REFERENCES hosts(id),
    gateway INTEGER NOT NULL,
    class TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity TEXT NOT NULL,
    peers INTEGER NOT NULL,
    first_seen_ms INTEGER NOT NULL,
    first_run INTEGER NOT NULL,
    last_seen_ms INTEGER NOT NULL,
    last_run INTEGER NOT NULL,
    closed_ms INTEGER,
    closed_run INTEGER
);
CREATE UNIQUE INDEX findings_open ON findings(host, gateway, class, subject) WHERE closed_run IS NULL;
CREATE INDEX findings_by_end ON findings(closed_run) WHERE closed_run IS NOT NULL;
CREATE INDEX findings_by_host ON findings(host, first_run);
-- From that run on the number was so, or so near that it makes no difference.
CREATE TABLE readings (
    host INTEGER NOT NULL REFERENCES hosts(id),
    gateway INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    run INTEGER NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (host, gateway, kind, run)
) WITHOUT ROWID;
CREATE TABLE fingerprints (
    host INTEGER NOT NULL REFERENCES hosts(id),
    gateway INTEGER NOT NULL,
    part TEXT NOT NULL,
    run INTEGER NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (host, gateway, part, run)
) WITHOUT ROWID;
-- What the operator was told, and what is about to be told.
CREATE TABLE troubles (
    inventory INTEGER NOT NULL REFERENCES inventories(id),
    host TEXT NOT NULL,
    gateway INTEGER NOT NULL,
    class TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity TEXT NOT NULL,
    first_seen_ms INTEGER NOT NULL,
    gone_since_ms INTEGER,
    seen INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    worse INTEGER NOT NULL,
    told_ms INTEGER,
    told_severity TEXT,
    came TEXT NOT NULL,
    flapping INTEGER NOT NULL,
    peers INTEGER NOT NULL,
    PRIMARY KEY (inventory, host, gateway, class, subject)
) WITHOUT ROWID;
CREATE TABLE watches (
    inventory INTEGER PRIMARY KEY REFERENCES inventories(id),
    last_run_ms INTEGER NOT NULL
);
-- How far the last clean-up went.
CREATE TABLE upkeep (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
",
    "
-- What is not to be told for a while: names of hosts and ids of classes, a line each.
CREATE TABLE silences (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    inventory INTEGER NOT NULL REFERENCES inventories(id),
    hosts TEXT NOT NULL,
    classes TEXT NOT NULL,
    made_ms INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    why TEXT NOT NULL
);
",
    "
-- Messages that are on their way to a channel, as they are sent, without address and signature.
CREATE TABLE outbox (
    inventory INTEGER NOT NULL REFERENCES inventories(id),
    channel TEXT NOT NULL,
    message TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    entry TEXT NOT NULL,
    PRIMARY KEY (inventory, channel, message)
) WITHOUT ROWID;
",
    "
-- From that run on a finding was so severe; of one that never changed there is no row.
CREATE TABLE grades (
    finding INTEGER NOT NULL REFERENCES findings(id),
    run INTEGER NOT NULL,
    severity TEXT NOT NULL,
    PRIMARY KEY (finding, run)
) WITHOUT ROWID;
",
    "
-- What rollouts did to units. `run` is the first check that can have seen it.
CREATE TABLE rollouts (
    inventory INTEGER NOT NULL REFERENCES inventories(id),
    rollout TEXT NOT NULL,
    host TEXT NOT NULL,
    unit TEXT NOT NULL,
    purpose TEXT NOT NULL,
    outcome TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    run INTEGER NOT NULL,
    PRIMARY KEY (inventory, host, rollout, unit)
) WITHOUT ROWID;
",
];

/// Sets the connection up and brings the tables to [`VERSION`]. Returns the version that was found;
/// a greater one was left alone.
pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<i64> {
    let found = version(connection)?;
    if found > VERSION {
        return Ok(found);
    }
    // It counts only before the first table, and lets a clean-up give space back in small steps.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    // Nothing in the file may run code: views, triggers and their functions are not used here.
    connection.pragma_update(None, "trusted_schema", false)?;
    if found < VERSION {
        // Another process may do the same at this moment: only one of them finds the old version.
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let from = usize::try_from(version(&change)?).unwrap_or(STEPS.len());
        for step in STEPS.iter().skip(from) {
            change.execute_batch(step)?;
        }
        change.pragma_update(None, "user_version", VERSION)?;
        change.commit()?;
    }
    Ok(found)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
