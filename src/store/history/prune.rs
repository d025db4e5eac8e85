//! What is old goes: of findings that are over, of runs, and of numbers that were followed by others.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::{History, HistoryFault};

/// How many hosts a step of a clean-up looks at, how many findings, and how many pages it gives
/// back: a run must not wait for it.
const HOSTS: i64 = 200;
const ROWS: i64 = 2000;
const PAGES: i64 = 500;

/// How many runs are asked what time it is.
const WITNESSES: i64 = 10;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// For how long.
    pub age: Duration,
    /// How large the file may be, in bytes. Where it is larger the oldest tenth of its time goes.
    pub bytes: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(90 * 86_400),
            bytes: 500_000_000,
        }
    }
}

/// What went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Runs.
    pub runs: u64,
    /// Findings that were over, answers, numbers and fingerprints.
    pub rows: u64,
    /// The size of what is used in the file before, in bytes.
    pub bytes_before: u64,
    /// And after, in bytes.
    pub bytes_after: u64,
}

impl History {
    /// Removes a little of what is too old or too much, as each run does. `now` is the run's time; where
    /// the runs before it say that it is earlier, they are believed.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn prune_a_little(&mut self, keep: Keep, now: Timestamp) -> Result<(), HistoryFault> {
        let step = |history: &mut Self| {
            let change = begin(history)?;
            let cut = match upkeep(&change, "cut")? {
                Some(cut) => cut,
                None => match cut_of(&change, keep, agreed(&change, now)?)? {
                    Some(cut) => cut,
                    None => return change.commit(),
                },
            };
            let from = upkeep(&change, "host")?.unwrap_or_default();
            let (_, next) = sweep(&change, cut, from, HOSTS, ROWS)?;
            match next {
                Some(next) => {
                    set(&change, "cut", cut)?;
                    set(&change, "host", next)?;
                }
                None => {
                    end(&change, cut)?;
                    change.execute("DELETE FROM upkeep WHERE name IN ('cut', 'host')", [])?;
                }
            }
            change.commit()?;
            give_back(history, PAGES)
        };
        step(self).map_err(|error| self.fault(&error))
    }

    /// Removes all that is too old or too much, and gives its space back to the file system.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn prune(&mut self, keep: Keep, now: Timestamp) -> Result<Pruned, HistoryFault> {
        let all = |history: &mut Self| {
            let mut pruned = Pruned {
                bytes_before: used(history)?,
                ..Pruned::default()
            };
            // Each round takes a tenth of what is too much; it ends where no runs are left.
            while let Some(cut) = {
                let change = begin(history)?;
                let cut = cut_of(&change, keep, now.as_millisecond())?;
                change.commit()?;
                cut
            } {
                let mut from = 0;
                loop {
                    let change = begin(history)?;
                    let (rows, next) = sweep(&change, cut, from, HOSTS, i64::MAX)?;
                    pruned.rows = pruned.rows.saturating_add(rows);
                    if next.is_none() {
                        pruned.runs = pruned.runs.saturating_add(end(&change, cut)?);
                        change.execute("DELETE FROM upkeep WHERE name IN ('cut', 'host')", [])?;
                    }
                    change.commit()?;
                    match next {
                        Some(next) => from = next,
                        None => break,
                    }
                }
            }
            give_back(history, i64::MAX)?;
            history.connection.pragma_update_and_check(
                None,
                "wal_checkpoint",
                "TRUNCATE",
                |_| Ok(()),
            )?;
            pruned.bytes_after = used(history)?;
            Ok(pruned)
        };
        all(self).map_err(|error: rusqlite::Error| self.fault(&error))
    }
}

fn begin(history: &mut History) -> rusqlite::Result<Transaction<'_>> {
    history
        .connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
}

fn upkeep(change: &Transaction<'_>, name: &str) -> rusqlite::Result<Option<i64>> {
    change
        .query_row("SELECT value FROM upkeep WHERE name = ?", [name], |row| {
            row.get(0)
        })
        .optional()
}

fn set(change: &Transaction<'_>, name: &str, value: i64) -> rusqlite::Result<()> {
    change.execute(
        "INSERT OR REPLACE INTO upkeep (name, value) VALUES (?, ?)",
        params![name, value],
    )?;
    Ok(())
}

/// The earliest time of the last few runs, this one among them: a machine that was booted with a clock
/// that is months ahead must not take its whole history for old.
fn agreed(change: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<i64> {
    let now_ms = now.as_millisecond();
    let earliest: Option<i64> = change.query_row(
        "SELECT min(started_ms) FROM (SELECT started_ms FROM runs ORDER BY id DESC LIMIT ?)",
        [WITNESSES],
        |row| row.get(0),
    )?;
    Ok(earliest.map_or(now_ms, |earliest| earliest.min(now_ms)))
}

/// The first run that stays; `None` where all of them do. The newest one always stays. Runs are asked in
/// the order they were written, so that a clock that jumped takes nothing away.
fn cut_of(change: &Transaction<'_>, keep: Keep, now_ms: i64) -> rusqlite::Result<Option<i64>> {
    let (first, last): (Option<i64>, Option<i64>) =
        change.query_row("SELECT min(id), max(id) FROM runs", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let (Some(first), Some(last)) = (first, last) else {
        return Ok(None);
    };
    let age = i64::try_from(keep.age.as_millis()).unwrap_or(i64::MAX);
    let oldest = now_ms.saturating_sub(age);
    let mut cut: i64 = change.query_row(
        "SELECT coalesce(min(id), ?2) FROM runs WHERE started_ms >= ?1",
        params![oldest, last],
        |row| row.get(0),
    )?;
    if used_in(change)? > keep.bytes {
        let tenth = last.saturating_sub(first) / 10;
        cut = cut.max(first.saturating_add(tenth.max(1)).min(last));
    }
    Ok((cut > first).then_some(cut))
}

/// Removes what lies before a run, of some hosts. Returns how many rows went, and the host to go on
/// with.
fn sweep(
    change: &Transaction<'_>,
    cut: i64,
    from: i64,
    hosts: i64,
    findings: i64,
) -> rusqlite::Result<(u64, Option<i64>)> {
    let upto: Option<i64> = change.query_row(
        "SELECT max(id) FROM (SELECT id FROM hosts WHERE id > ?1 ORDER BY id LIMIT ?2)",
        params![from, hosts],
        |row| row.get(0),
    )?;
    let mut rows = change.execute(
        "DELETE FROM findings WHERE id IN (SELECT id FROM findings WHERE closed_run < ?1 LIMIT ?2)",
        params![cut, findings],
    )?;
    let Some(upto) = upto else {
        return Ok((as_count(rows), None));
    };
    // The last one before the cut is what held at the cut, so it becomes the first that is kept.
    let series = [
        ("outcomes", "a.host = b.host"),
        (
            "readings",
            "a.host = b.host AND a.gateway = b.gateway AND a.kind = b.kind",
        ),
        (
            "fingerprints",
            "a.host = b.host AND a.gateway = b.gateway AND a.part = b.part",
        ),
    ];
    for (table, same) in series {
        rows += change.execute(
            &format!(
                "DELETE FROM {table} AS a WHERE host > ?1 AND host <= ?2 AND run < ?3
                 AND EXISTS (SELECT 1 FROM {table} b WHERE {same} AND b.run > a.run AND b.run <= ?3)"
            ),
            params![from, upto, cut],
        )?;
        change.execute(
            &format!("UPDATE {table} SET run = ?3 WHERE host > ?1 AND host <= ?2 AND run < ?3"),
            params![from, upto, cut],
        )?;
    }
    Ok((as_count(rows), Some(upto)))
}

/// Removes the runs before the cut, when everything else of them is gone.
fn end(change: &Transaction<'_>, cut: i64) -> rusqlite::Result<u64> {
    let runs = change.execute("DELETE FROM runs WHERE id < ?", [cut])?;
    change.execute(
        "DELETE FROM grades WHERE finding NOT IN (SELECT id FROM findings)",
        [],
    )?;
    change.execute(
        "DELETE FROM selections WHERE id NOT IN (SELECT selection FROM runs)",
        [],
    )?;
    Ok(as_count(runs))
}

fn as_count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

/// What is used in the file, in bytes: free pages are used again.
fn used(history: &History) -> rusqlite::Result<u64> {
    used_in(&history.connection)
}

fn used_in(connection: &rusqlite::Connection) -> rusqlite::Result<u64> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = number("page_count")?.saturating_sub(number("freelist_count")?);
    let bytes = pages.saturating_mul(number("page_size")?);
    Ok(u64::try_from(bytes).unwrap_or_default())
}

fn give_back(history: &History, pages: i64) -> rusqlite::Result<()> {
    let mut vacuum = history.connection.prepare(&format!(
        "PRAGMA incremental_vacuum({})",
        pages.min(i64::from(i32::MAX))
    ))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}
