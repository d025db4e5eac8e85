//! What rollouts did, for who reads what happened. The rollouts themselves are kept beside the database.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{TransactionBehavior, params};

use super::record::inventory_id;
use super::{History, HistoryFault};
use crate::model::UnitResult;

/// A rollout that is over.
#[derive(Debug, Clone, Copy)]
pub struct RolloutRecord<'a> {
    /// The inventory, as an absolute path.
    pub inventory: &'a Path,
    /// The rollout's own name.
    pub rollout: &'a str,
    /// What it was for: `harden`, `fix`, `restart`, `rollback`.
    pub purpose: &'a str,
    /// When it ended.
    pub at: Timestamp,
    /// What came of each unit.
    pub results: &'a [UnitResult],
}

impl History {
    /// Keeps what a rollout did; units that were not attempted are left out. A rollout that was resumed is kept once.
    ///
    /// # Errors
    /// [`HistoryFault`]; then nothing of it is kept.
    pub fn record_rollout(&mut self, record: &RolloutRecord<'_>) -> Result<(), HistoryFault> {
        let path = record.inventory.display().to_string();
        let written = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|change| {
                change.execute(
                    "INSERT OR IGNORE INTO inventories (path) VALUES (?)",
                    [&path],
                )?;
                let inventory = inventory_id(&change, record.inventory)?.unwrap_or_default();
                let last: Option<i64> =
                    change.query_row("SELECT max(id) FROM runs", [], |row| row.get(0))?;
                let mut write = change.prepare(
                    "INSERT OR REPLACE INTO rollouts (inventory, rollout, host, unit, purpose, outcome, at_ms, run)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                )?;
                for result in record.results {
                    if matches!(result.end, crate::model::RolloutEnd::NotAttempted(_)) {
                        continue;
                    }
                    write.execute(params![
                        inventory,
                        record.rollout,
                        result.host,
                        format!("{} ({})", result.unit, result.owner),
                        record.purpose,
                        result.end.id(),
                        record.at.as_millisecond(),
                        last.unwrap_or(0).saturating_add(1),
                    ])?;
                }
                drop(write);
                change.commit()
            });
        written.map_err(|error| self.fault(&error))
    }
}
