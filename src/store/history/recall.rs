//! What is read back.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::record::inventory_id;
use super::{History, HistoryFault};
use crate::model::{Memory, ReadingKind, Severity, Told, Trouble, TroubleKey};

/// A finding that is there, as far as was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFinding {
    /// When it was first seen.
    pub since: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// How bad it was then.
    pub severity: Severity,
}

/// The same, for who goes on with it.
pub(super) struct Open {
    pub(super) id: i64,
    pub(super) peers: u32,
    pub(super) finding: OpenFinding,
}

impl History {
    /// Returns the findings of an inventory's hosts that no look has found gone.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn open_findings(
        &self,
        inventory: &Path,
    ) -> Result<BTreeMap<TroubleKey, OpenFinding>, HistoryFault> {
        let read = || {
            let Some(inventory) = inventory_id(&self.connection, inventory)? else {
                return Ok(BTreeMap::new());
            };
            let open = open_findings(&self.connection, inventory)?;
            let findings = open.into_iter().map(|(key, open)| (key, open.finding));
            Ok(findings.collect())
        };
        read().map_err(|error: rusqlite::Error| self.fault(&error))
    }

    /// Returns what runs since that time read of a gateway, the oldest first: each number where it became another one,
    /// beginning with the one that held at the first of them that saw the host.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn readings_since(
        &self,
        inventory: &Path,
        (host, port): (&str, u16),
        kind: ReadingKind,
        since: Timestamp,
    ) -> Result<Vec<(Timestamp, i64)>, HistoryFault> {
        let read = || {
            let Some(inventory) = inventory_id(&self.connection, inventory)? else {
                return Ok(Vec::new());
            };
            let host: Option<i64> = self
                .connection
                .query_row(
                    "SELECT id FROM hosts WHERE inventory = ? AND name = ?",
                    params![inventory, host],
                    |row| row.get(0),
                )
                .optional()?;
            let Some(host) = host else {
                return Ok(Vec::new());
            };
            let Some(first) = first_look(&self.connection, inventory, host, since)? else {
                return Ok(Vec::new());
            };
            let mut read = self.connection.prepare(
                "SELECT s.started_ms, r.value FROM readings r JOIN runs s ON s.id = max(r.run, ?4)
                 WHERE r.host = ?1 AND r.gateway = ?2 AND r.kind = ?3 AND r.run >= coalesce(
                 (SELECT max(b.run) FROM readings b WHERE b.host = ?1 AND b.gateway = ?2 AND b.kind = ?3 AND b.run <= ?4), 0)
                 ORDER BY r.run",
            )?;
            let rows = read.query_map(params![host, port, kind.code(), first], |row| {
                Ok((time(row, 0)?, row.get(1)?))
            })?;
            rows.collect()
        };
        read().map_err(|error: rusqlite::Error| self.fault(&error))
    }

    /// Returns when a gateway's unit, configuration, version or restart count was last another one than before, or was
    /// first read.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn last_change(
        &self,
        inventory: &Path,
        host: &str,
        port: u16,
    ) -> Result<Option<Timestamp>, HistoryFault> {
        let read = || {
            let mut read = self.connection.prepare(
                "WITH whose(id) AS (SELECT h.id FROM hosts h JOIN inventories i ON i.id = h.inventory
                                    WHERE i.path = ?1 AND h.name = ?2)
                 SELECT started_ms FROM runs WHERE id = (SELECT max(run) FROM (
                 SELECT max(run) AS run FROM fingerprints, whose WHERE host = whose.id AND gateway = ?3
                 UNION ALL
                 SELECT max(run) FROM readings, whose WHERE host = whose.id AND gateway = ?3 AND kind = ?4))",
            )?;
            let path = inventory.display().to_string();
            let kind = ReadingKind::Restarts.code();
            read.query_row(params![path, host, port, kind], |row| time(row, 0))
                .optional()
        };
        read().map_err(|error: rusqlite::Error| self.fault(&error))
    }

    /// Returns what is kept of what the operator was told about an inventory's hosts.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn memory(&self, inventory: &Path) -> Result<Memory, HistoryFault> {
        memory(&self.connection, inventory).map_err(|error| self.fault(&error))
    }
}

/// The first run since that time that saw a host: of what was read before nobody knows how much of it
/// came since. Times are asked backwards from the last run, so that one with a clock that was far ahead
/// counts for nothing.
fn first_look(
    connection: &Connection,
    inventory: i64,
    host: i64,
    since: Timestamp,
) -> rusqlite::Result<Option<i64>> {
    let mut runs = connection.prepare(
        "SELECT r.id, s.hosts FROM runs r JOIN selections s ON s.id = r.selection
         WHERE r.inventory = ?1 AND r.id > coalesce(
         (SELECT id FROM runs WHERE inventory = ?1 AND started_ms < ?2 ORDER BY id DESC LIMIT 1), 0)
         ORDER BY r.id",
    )?;
    let mut answer = connection.prepare(
        "SELECT outcome FROM outcomes WHERE host = ? AND run <= ? ORDER BY run DESC LIMIT 1",
    )?;
    let packed = u32::try_from(host).unwrap_or_default().to_le_bytes();
    let mut rows = runs.query(params![inventory, since.as_millisecond()])?;
    while let Some(row) = rows.next()? {
        let run: i64 = row.get(0)?;
        let hosts: Vec<u8> = row.get(1)?;
        if !hosts.chunks_exact(packed.len()).any(|id| id == packed) {
            continue;
        }
        let outcome: Option<String> = answer.query_row([host, run], |row| row.get(0)).optional()?;
        if outcome.is_some_and(|outcome| ["observed", "partial"].contains(&outcome.as_str())) {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

pub(super) fn open_findings(
    connection: &Connection,
    inventory: i64,
) -> rusqlite::Result<BTreeMap<TroubleKey, Open>> {
    let mut read = connection.prepare(
        "SELECT h.name, f.gateway, f.class, f.subject, f.id, f.peers, f.first_seen_ms, f.last_seen_ms, f.severity
         FROM findings f JOIN hosts h ON h.id = f.host WHERE f.closed_run IS NULL AND h.inventory = ?",
    )?;
    let rows = read.query_map([inventory], |row| {
        let open = Open {
            id: row.get(4)?,
            peers: row.get(5)?,
            finding: OpenFinding {
                since: time(row, 6)?,
                last_seen: time(row, 7)?,
                severity: severity(row, 8)?,
            },
        };
        Ok((key(row)?, open))
    })?;
    rows.collect()
}

/// The first four columns.
fn key(row: &Row<'_>) -> rusqlite::Result<TroubleKey> {
    let port: u16 = row.get(1)?;
    Ok(TroubleKey {
        host: row.get(0)?,
        gateway: (port != 0).then_some(port),
        class: row.get(2)?,
        subject: row.get(3)?,
    })
}

fn memory(connection: &Connection, inventory: &Path) -> rusqlite::Result<Memory> {
    let Some(inventory) = inventory_id(connection, inventory)? else {
        return Ok(Memory::default());
    };
    let last_run: Option<Timestamp> = connection
        .prepare("SELECT last_run_ms FROM watches WHERE inventory = ?")?
        .query_row([inventory], |row| time(row, 0))
        .optional()?;
    let mut read = connection.prepare(
        "SELECT host, gateway, class, subject, severity, first_seen_ms, gone_since_ms, seen, missed, worse, told_ms,
         told_severity, came, flapping, peers FROM troubles WHERE inventory = ?",
    )?;
    let rows = read.query_map([inventory], |row| Ok((key(row)?, trouble(row)?)))?;
    Ok(Memory {
        last_run,
        troubles: rows.collect::<rusqlite::Result<_>>()?,
    })
}

fn trouble(row: &Row<'_>) -> rusqlite::Result<Trouble> {
    let optional_time = |column: usize| {
        let ms: Option<i64> = row.get(column)?;
        ms.map(|_| time(row, column)).transpose()
    };
    let told_at: Option<Timestamp> = optional_time(10)?;
    let told = told_at
        .map(|at| -> rusqlite::Result<Told> {
            Ok(Told {
                at,
                severity: severity(row, 11)?,
            })
        })
        .transpose()?;
    let came: String = row.get(12)?;
    let came = came
        .split(',')
        .filter_map(|ms| Timestamp::from_millisecond(ms.parse().ok()?).ok());
    Ok(Trouble {
        severity: severity(row, 4)?,
        first_seen: time(row, 5)?,
        gone_since: optional_time(6)?,
        seen: row.get(7)?,
        missed: row.get(8)?,
        worse: row.get(9)?,
        told,
        came: came.collect(),
        flapping: row.get(13)?,
        peers: row.get(14)?,
    })
}

pub(super) fn odd(column: usize, kind: Type, why: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, why.to_owned().into())
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let ms = row.get(column)?;
    Timestamp::from_millisecond(ms).map_err(|_| odd(column, Type::Integer, "no such time"))
}

pub(super) fn severity(row: &Row<'_>, column: usize) -> rusqlite::Result<Severity> {
    let id: String = row.get(column)?;
    Severity::from_id(&id).ok_or_else(|| odd(column, Type::Text, "no such severity"))
}
