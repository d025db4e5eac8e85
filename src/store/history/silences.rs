//! What the operator wants to hear nothing of for a while.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Row, TransactionBehavior, params};

use super::recall::time;
use super::record::inventory_id;
use super::{History, HistoryFault};
use crate::model::{Silence, sanitize, shorten};

/// How long a reason is kept, in characters.
const LONGEST_WHY: usize = 300;

/// A silence as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSilence {
    /// Its number; 0 before it is kept.
    pub id: i64,
    /// What it covers.
    pub silence: Silence,
    /// Since when.
    pub made_at: Timestamp,
    /// By whom: `user@bastion`.
    pub made_by: String,
    /// Why, in the operator's words.
    pub why: String,
}

impl History {
    /// Keeps a silence. Returns its number.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn add_silence(
        &mut self,
        inventory: &Path,
        kept: &KeptSilence,
    ) -> Result<i64, HistoryFault> {
        let path = inventory.display().to_string();
        let lines = |names: &BTreeSet<String>| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            names.join("\n")
        };
        let mut add = || {
            let change = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            change.execute(
                "INSERT OR IGNORE INTO inventories (path) VALUES (?)",
                [&path],
            )?;
            let inventory = inventory_id(&change, inventory)?.unwrap_or_default();
            change.execute(
                "INSERT INTO silences (inventory, hosts, classes, made_ms, made_by, until_ms, why)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
                params![
                    inventory,
                    lines(&kept.silence.hosts),
                    lines(&kept.silence.classes),
                    kept.made_at.as_millisecond(),
                    shorten(&sanitize(&kept.made_by), LONGEST_WHY),
                    kept.silence.until.as_millisecond(),
                    shorten(&sanitize(&kept.why), LONGEST_WHY),
                ],
            )?;
            let id = change.last_insert_rowid();
            change.commit()?;
            Ok(id)
        };
        let added: rusqlite::Result<i64> = add();
        added.map_err(|error| self.fault(&error))
    }

    /// Returns the silences of an inventory that are not over, the oldest first.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn silences(
        &self,
        inventory: &Path,
        now: Timestamp,
    ) -> Result<Vec<KeptSilence>, HistoryFault> {
        let read = || {
            let mut read = self.connection.prepare(
                "SELECT s.id, s.hosts, s.classes, s.until_ms, s.made_ms, s.made_by, s.why
                 FROM silences s JOIN inventories i ON i.id = s.inventory
                 WHERE i.path = ? AND s.until_ms > ? ORDER BY s.id",
            )?;
            let path = inventory.display().to_string();
            let rows = read.query_map(params![path, now.as_millisecond()], kept)?;
            rows.collect()
        };
        let all: rusqlite::Result<Vec<KeptSilence>> = read();
        all.map_err(|error| self.fault(&error))
    }

    /// Ends a silence now. Returns whether there was one of that number that was not over.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn end_silence(
        &mut self,
        inventory: &Path,
        id: i64,
        now: Timestamp,
    ) -> Result<bool, HistoryFault> {
        let ended = self.connection.execute(
            "UPDATE silences SET until_ms = ?3 WHERE id = ?2 AND until_ms > ?3
             AND inventory = (SELECT id FROM inventories WHERE path = ?1)",
            params![inventory.display().to_string(), id, now.as_millisecond()],
        );
        ended
            .map(|rows| rows > 0)
            .map_err(|error| self.fault(&error))
    }
}

fn kept(row: &Row<'_>) -> rusqlite::Result<KeptSilence> {
    let names = |column: usize| -> rusqlite::Result<BTreeSet<String>> {
        let text: String = row.get(column)?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    Ok(KeptSilence {
        id: row.get(0)?,
        silence: Silence {
            hosts: names(1)?,
            classes: names(2)?,
            until: time(row, 3)?,
        },
        made_at: time(row, 4)?,
        made_by: row.get(5)?,
        why: row.get(6)?,
    })
}
