//! What happened to hosts over some time, read back for who shows it.

use std::collections::HashMap;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, Statement, params};

use super::recall::{severity, time};
use super::record::inventory_id;
use super::{History, HistoryFault};
use crate::model::{
    Chronicle, HostPast, KeptAnswer, KeptFinding, KeptNumber, KeptPrint, KeptRollout, KeptRun,
    ReadingKind, Severity, Summary, Verdict,
};

/// Of which runs something is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Those since a time. It is looked for backwards from the last run, so that a run with a clock that
    /// was far ahead counts for nothing.
    Since(Timestamp),
    /// Those from one number to another.
    Runs(i64, i64),
}

/// What is kept of an inventory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extent {
    /// How many runs.
    pub runs: u64,
    /// The first.
    pub first: Option<(i64, Timestamp)>,
    /// The last.
    pub last: Option<(i64, Timestamp)>,
    /// The hosts of which anything is kept, by name.
    pub hosts: Vec<String>,
    /// How many runs of other inventories are kept.
    pub elsewhere: u64,
}

/// Which run is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunWanted {
    /// That number.
    Number(i64),
    /// So many before the last.
    Last(u32),
    /// The last one that began no later than that.
    Before(Timestamp),
}

impl History {
    /// Returns what is kept of an inventory.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn extent(&self, inventory: &Path) -> Result<Extent, HistoryFault> {
        let read = || {
            let all = count(&self.connection, "SELECT count(*) FROM runs", [])?;
            let Some(inventory) = inventory_id(&self.connection, inventory)? else {
                return Ok(Extent {
                    elsewhere: all,
                    ..Extent::default()
                });
            };
            let ours = "SELECT count(*) FROM runs WHERE inventory = ?";
            let runs = count(&self.connection, ours, [inventory])?;
            let end = |order: &str| {
                let query = format!(
                    "SELECT id, started_ms FROM runs WHERE inventory = ? ORDER BY id {order} LIMIT 1"
                );
                self.connection
                    .query_row(&query, [inventory], |row| Ok((row.get(0)?, time(row, 1)?)))
                    .optional()
            };
            let mut names = self
                .connection
                .prepare("SELECT name FROM hosts WHERE inventory = ? ORDER BY id")?;
            let names = names.query_map([inventory], |row| row.get(0))?;
            Ok(Extent {
                runs,
                first: end("ASC")?,
                last: end("DESC")?,
                hosts: names.collect::<rusqlite::Result<_>>()?,
                elsewhere: all.saturating_sub(runs),
            })
        };
        read().map_err(|error: rusqlite::Error| self.fault(&error))
    }

    /// Returns the number of a run; `None` where there is none like that.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn find_run(
        &self,
        inventory: &Path,
        wanted: RunWanted,
    ) -> Result<Option<i64>, HistoryFault> {
        let read = || {
            let Some(inventory) = inventory_id(&self.connection, inventory)? else {
                return Ok(None);
            };
            let (query, number) = match wanted {
                RunWanted::Number(id) => ("SELECT id FROM runs WHERE inventory = ? AND id = ?", id),
                RunWanted::Last(before) => (
                    "SELECT id FROM runs WHERE inventory = ? ORDER BY id DESC LIMIT 1 OFFSET ?",
                    i64::from(before),
                ),
                RunWanted::Before(at) => (
                    "SELECT id FROM runs WHERE inventory = ? AND started_ms <= ? ORDER BY id DESC LIMIT 1",
                    at.as_millisecond(),
                ),
            };
            let mut find = self.connection.prepare(query)?;
            find.query_row([inventory, number], |row| row.get(0))
                .optional()
        };
        read().map_err(|error: rusqlite::Error| self.fault(&error))
    }

    /// Returns what is kept of some hosts in some runs. A host of which nothing is kept has no rows.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn chronicle(
        &self,
        inventory: &Path,
        span: Span,
        hosts: &[String],
    ) -> Result<Chronicle, HistoryFault> {
        let read = || {
            // One picture of it all, while others write.
            let view = self.connection.unchecked_transaction()?;
            let Some(inventory) = inventory_id(&view, inventory)? else {
                return Ok(Chronicle::default());
            };
            let (runs, selections) = runs(&view, inventory, span)?;
            let mut reading = Reading::new(&view, inventory, &runs, &selections)?;
            let hosts = hosts.iter().map(|name| reading.host(name)).collect();
            let hosts: rusqlite::Result<Vec<HostPast>> = hosts;
            drop(reading);
            Ok(Chronicle {
                hosts: hosts?,
                runs,
            })
        };
        read().map_err(|error: rusqlite::Error| self.fault(&error))
    }
}

fn count(connection: &Connection, query: &str, of: impl rusqlite::Params) -> rusqlite::Result<u64> {
    let count: i64 = connection.query_row(query, of, |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// The ids of the hosts of a selection, four bytes each.
type Packed = Vec<u8>;

/// The runs of a span, and the selections that they are about.
fn runs(
    connection: &Connection,
    inventory: i64,
    span: Span,
) -> rusqlite::Result<(Vec<KeptRun>, Vec<Packed>)> {
    let (first, last) = match span {
        Span::Runs(first, last) => (first, last),
        Span::Since(since) => {
            let before: Option<i64> = connection
                .prepare(
                    "SELECT id FROM runs WHERE inventory = ? AND started_ms < ? ORDER BY id DESC LIMIT 1",
                )?
                .query_row([inventory, since.as_millisecond()], |row| row.get(0))
                .optional()?;
            (before.unwrap_or(0).saturating_add(1), i64::MAX)
        }
    };
    let mut read = connection.prepare(
        "SELECT id, started_ms, elapsed_ms, verdict, hosts, ok, warning, critical, not_observed, interrupted, on_change,
         selection FROM runs WHERE inventory = ? AND id BETWEEN ? AND ? ORDER BY id",
    )?;
    let mut packed = connection.prepare("SELECT hosts FROM selections WHERE id = ?")?;
    let mut places: HashMap<i64, usize> = HashMap::new();
    let mut selections = Vec::new();
    let mut runs = Vec::new();
    let mut rows = read.query([inventory, first, last])?;
    while let Some(row) = rows.next()? {
        let selection: i64 = row.get(11)?;
        let place = match places.get(&selection) {
            Some(place) => *place,
            None => {
                let hosts: Option<Packed> =
                    packed.query_row([selection], |row| row.get(0)).optional()?;
                selections.push(hosts.unwrap_or_default());
                places.insert(selection, selections.len() - 1);
                selections.len() - 1
            }
        };
        runs.push(run(row, place)?);
    }
    Ok((runs, selections))
}

fn run(row: &Row<'_>, selection: usize) -> rusqlite::Result<KeptRun> {
    let number = |column: usize| -> rusqlite::Result<usize> {
        Ok(usize::try_from(row.get::<_, i64>(column)?).unwrap_or_default())
    };
    Ok(KeptRun {
        id: row.get(0)?,
        started_at: time(row, 1)?,
        elapsed_ms: u64::try_from(row.get::<_, i64>(2)?).unwrap_or_default(),
        verdict: verdict(row, 3)?,
        summary: Summary {
            hosts: number(4)?,
            ok: number(5)?,
            warning: number(6)?,
            critical: number(7)?,
            not_observed: number(8)?,
        },
        interrupted: row.get(9)?,
        on_change: row.get(10)?,
        selection,
    })
}

fn verdict(row: &Row<'_>, column: usize) -> rusqlite::Result<Verdict> {
    let id: String = row.get(column)?;
    Verdict::from_id(&id)
        .ok_or_else(|| super::recall::odd(column, rusqlite::types::Type::Text, "no such verdict"))
}

/// Reads one host after another.
struct Reading<'a> {
    inventory: i64,
    /// The first run and the last.
    runs: (i64, i64),
    times: HashMap<i64, Timestamp>,
    selections: &'a [Packed],
    id: Statement<'a>,
    started: Statement<'a>,
    answers: Statement<'a>,
    findings: Statement<'a>,
    grades: Statement<'a>,
    numbers: Statement<'a>,
    prints: Statement<'a>,
    rollouts: Statement<'a>,
}

impl<'a> Reading<'a> {
    fn new(
        connection: &'a Connection,
        inventory: i64,
        runs: &[KeptRun],
        selections: &'a [Packed],
    ) -> rusqlite::Result<Self> {
        let ends = runs.first().zip(runs.last());
        Ok(Self {
            inventory,
            // Of no run there is nothing to tell.
            runs: ends.map_or((1, 0), |(first, last)| (first.id, last.id)),
            times: runs.iter().map(|run| (run.id, run.started_at)).collect(),
            selections,
            id: connection.prepare("SELECT id FROM hosts WHERE inventory = ? AND name = ?")?,
            started: connection.prepare("SELECT started_ms FROM runs WHERE id = ?")?,
            answers: connection.prepare(
                "SELECT run, outcome, verdict, stage, message FROM outcomes WHERE host = ?1 AND run <= ?3 AND run >= coalesce(
                 (SELECT max(run) FROM outcomes WHERE host = ?1 AND run <= ?2), 0) ORDER BY run",
            )?,
            findings: connection.prepare(
                "SELECT id, gateway, class, subject, severity, first_seen_ms, first_run, last_seen_ms, closed_ms, closed_run
                 FROM findings WHERE host = ?1 AND first_run <= ?3 AND (closed_run IS NULL OR closed_run >= ?2)
                 ORDER BY first_run, id",
            )?,
            grades: connection
                .prepare("SELECT run, severity FROM grades WHERE finding = ? ORDER BY run")?,
            numbers: connection.prepare(
                "SELECT gateway, kind, run, value FROM readings WHERE host = ?1 AND run <= ?2
                 ORDER BY gateway, kind, run",
            )?,
            prints: connection.prepare(
                "SELECT gateway, part, run, digest FROM fingerprints WHERE host = ?1 AND run <= ?2
                 ORDER BY gateway, part, run",
            )?,
            rollouts: connection.prepare(
                "SELECT run, at_ms, rollout, purpose, unit, outcome FROM rollouts
                 WHERE inventory = ? AND host = ? AND run >= ? ORDER BY run, at_ms, unit",
            )?,
        })
    }

    fn host(&mut self, name: &str) -> rusqlite::Result<HostPast> {
        let mut past = HostPast {
            name: name.to_owned(),
            ..HostPast::default()
        };
        let id: Option<i64> = self
            .id
            .query_row(params![self.inventory, name], |row| row.get(0))
            .optional()?;
        past.rollouts = self.rollouts(name)?;
        let Some(id) = id else { return Ok(past) };
        let packed = u32::try_from(id).unwrap_or_default().to_le_bytes();
        past.asked_in = self
            .selections
            .iter()
            .map(|hosts| hosts.chunks_exact(packed.len()).any(|host| host == packed))
            .collect();
        past.answers = self.answers(id)?;
        past.findings = self.findings(id)?;
        self.numbers(id, &mut past)?;
        self.prints(id, &mut past)?;
        Ok(past)
    }

    fn rollouts(&mut self, name: &str) -> rusqlite::Result<Vec<KeptRollout>> {
        let of = params![self.inventory, name, self.runs.0];
        let rows = self.rollouts.query_map(of, |row| {
            Ok(KeptRollout {
                run: row.get(0)?,
                at: time(row, 1)?,
                rollout: row.get(2)?,
                purpose: row.get(3)?,
                unit: row.get(4)?,
                outcome: row.get(5)?,
            })
        })?;
        rows.collect()
    }

    fn answers(&mut self, host: i64) -> rusqlite::Result<Vec<KeptAnswer>> {
        let mut rows = self.answers.query([host, self.runs.0, self.runs.1])?;
        let mut answers = Vec::new();
        while let Some(row) = rows.next()? {
            let run: i64 = row.get(0)?;
            let at = match self.times.get(&run) {
                Some(at) => Some(*at),
                None => self
                    .started
                    .query_row([run], |row| time(row, 0))
                    .optional()?,
            };
            answers.push(KeptAnswer {
                run,
                at,
                outcome: row.get(1)?,
                verdict: verdict(row, 2)?,
                stage: row.get(3)?,
                message: row.get(4)?,
            });
        }
        Ok(answers)
    }

    fn findings(&mut self, host: i64) -> rusqlite::Result<Vec<KeptFinding>> {
        let mut rows = self.findings.query([host, self.runs.0, self.runs.1])?;
        let mut findings = Vec::new();
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let closed_ms: Option<i64> = row.get(8)?;
            let closed_run: Option<i64> = row.get(9)?;
            let closed = match (closed_ms, closed_run) {
                // Later than the runs that are told of, it is still there.
                (Some(_), Some(run)) if run <= self.runs.1 => Some((time(row, 8)?, run)),
                _ => None,
            };
            let gateway: u16 = row.get(1)?;
            findings.push(KeptFinding {
                gateway: (gateway != 0).then_some(gateway),
                class: row.get(2)?,
                subject: row.get(3)?,
                severity: severity(row, 4)?,
                grades: graded(&mut self.grades, id)?,
                first_seen: time(row, 5)?,
                first_run: row.get(6)?,
                last_seen: time(row, 7)?,
                closed,
            });
        }
        Ok(findings)
    }

    fn numbers(&mut self, host: i64, past: &mut HostPast) -> rusqlite::Result<()> {
        let mut rows = self.numbers.query([host, self.runs.1])?;
        while let Some(row) = rows.next()? {
            let gateway: u16 = row.get(0)?;
            // A kind of a later version is left alone.
            let Some(kind) = ReadingKind::from_code(row.get(1)?) else {
                continue;
            };
            let number = KeptNumber {
                run: row.get(2)?,
                value: row.get(3)?,
            };
            let series = past
                .numbers
                .entry(((gateway != 0).then_some(gateway), kind));
            held_from(series.or_default(), number, self.runs.0, |held| held.run);
        }
        Ok(())
    }

    fn prints(&mut self, host: i64, past: &mut HostPast) -> rusqlite::Result<()> {
        let mut rows = self.prints.query([host, self.runs.1])?;
        while let Some(row) = rows.next()? {
            let print = KeptPrint {
                run: row.get(2)?,
                digest: row.get(3)?,
            };
            let series = past.prints.entry((row.get(0)?, row.get(1)?));
            held_from(series.or_default(), print, self.runs.0, |held| held.run);
        }
        Ok(())
    }
}

/// Adds a row; of those up to the first run only the last stays.
fn held_from<T>(rows: &mut Vec<T>, row: T, first: i64, run_of: fn(&T) -> i64) {
    if run_of(&row) <= first {
        rows.clear();
    }
    rows.push(row);
}

fn graded(read: &mut Statement<'_>, finding: i64) -> rusqlite::Result<Vec<(i64, Severity)>> {
    let rows = read.query_map([finding], |row| Ok((row.get(0)?, severity(row, 1)?)))?;
    rows.collect()
}
