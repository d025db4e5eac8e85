//! Messages that are on their way to somebody, until they arrive.

use std::path::Path;

use rusqlite::{Connection, Transaction, params};

use super::record::inventory_id;
use super::{History, HistoryFault};
use crate::model::OutboxEntry;

impl History {
    /// Returns the messages of an inventory that wait, the oldest first. What cannot be read any more is left out.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn waiting(&self, inventory: &Path) -> Result<Vec<OutboxEntry>, HistoryFault> {
        waiting(&self.connection, inventory).map_err(|error| self.fault(&error))
    }

    /// Keeps a message, in the place of the one with its id and channel.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn keep_message(
        &mut self,
        inventory: &Path,
        entry: &OutboxEntry,
    ) -> Result<(), HistoryFault> {
        let kept = self.connection.transaction().and_then(|change| {
            if let Some(inventory) = inventory_id(&change, inventory)? {
                keep(&change, inventory, std::slice::from_ref(entry))?;
            }
            change.commit()
        });
        kept.map_err(|error| self.fault(&error))
    }

    /// Forgets a message.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn forget_message(
        &mut self,
        inventory: &Path,
        entry: &OutboxEntry,
    ) -> Result<(), HistoryFault> {
        let forgotten = self.connection.execute(
            "DELETE FROM outbox WHERE channel = ? AND message = ?
             AND inventory = (SELECT id FROM inventories WHERE path = ?)",
            params![entry.channel, entry.id, inventory.display().to_string()],
        );
        match forgotten {
            Ok(_) => Ok(()),
            Err(error) => Err(self.fault(&error)),
        }
    }
}

fn waiting(connection: &Connection, inventory: &Path) -> rusqlite::Result<Vec<OutboxEntry>> {
    let mut read = connection.prepare(
        "SELECT entry FROM outbox WHERE inventory = (SELECT id FROM inventories WHERE path = ?)
         ORDER BY first_ms, message",
    )?;
    let rows = read.query_map([inventory.display().to_string()], |row| {
        row.get::<_, String>(0)
    })?;
    let mut entries = Vec::new();
    for text in rows {
        entries.extend(serde_json::from_str(&text?).ok());
    }
    Ok(entries)
}

/// Keeps messages within a change.
pub(super) fn keep(
    change: &Transaction<'_>,
    inventory: i64,
    entries: &[OutboxEntry],
) -> rusqlite::Result<()> {
    let mut write = change.prepare(
        "INSERT OR REPLACE INTO outbox (inventory, channel, message, first_ms, entry)
         VALUES (?, ?, ?, ?, ?)",
    )?;
    for entry in entries {
        // It is texts and numbers.
        let text = serde_json::to_string(entry).unwrap_or_default();
        write.execute(params![
            inventory,
            entry.channel,
            entry.id,
            entry.first_at.as_millisecond(),
            text
        ])?;
    }
    Ok(())
}
