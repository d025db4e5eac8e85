//! One run becomes one transaction.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use sha2::{Digest as _, Sha256};

use super::{History, HistoryFault, outbox, recall};
use crate::model::{
    Fingerprint, HostReport, Looked, Memory, OutboxEntry, Reading, Report, Sightings, Trouble,
    TroubleKey, sanitize, shorten,
};

/// How long a host's error is kept, in characters.
const LONGEST_MESSAGE: usize = 300;

/// What a run leaves behind.
#[derive(Clone, Copy)]
pub struct RunRecord<'a> {
    /// The inventory, as an absolute path: names mean nothing without it.
    pub inventory: &'a Path,
    /// The report.
    pub report: &'a Report,
    /// What it saw.
    pub sightings: &'a Sightings,
    /// The numbers that it read.
    pub readings: &'a [Reading],
    /// The fingerprints of what it read.
    pub fingerprints: &'a [Fingerprint],
    /// For a run that tells only what changed: what was kept before, and what is kept from now on.
    pub memory: Option<(&'a Memory, &'a Memory)>,
    /// What is to be sent of it, made when the run has its number.
    pub messages: &'a dyn Fn(i64) -> Vec<OutboxEntry>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The run's number.
    pub run: i64,
    /// When the run before it began, where that is later than this one: the clock was set back.
    pub after: Option<Timestamp>,
}

/// The run that is written.
struct Writing<'a> {
    change: &'a Transaction<'a>,
    run: i64,
    at_ms: i64,
    hosts: HashMap<&'a str, i64>,
}

impl History {
    /// Keeps a run, whole or not at all.
    ///
    /// # Errors
    /// [`HistoryFault`]; then nothing of it is kept.
    pub fn record(&mut self, record: &RunRecord<'_>) -> Result<Recorded, HistoryFault> {
        let written = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|change| {
                let recorded = write(&change, record)?;
                change.commit()?;
                Ok(recorded)
            });
        written.map_err(|error| self.fault(&error))
    }
}

fn write(change: &Transaction<'_>, record: &RunRecord<'_>) -> rusqlite::Result<Recorded> {
    let path = record.inventory.display().to_string();
    change
        .prepare("INSERT OR IGNORE INTO inventories (path) VALUES (?)")?
        .execute([&path])?;
    let inventory = inventory_id(change, record.inventory)?.unwrap_or_default();
    let hosts = host_ids(change, inventory, &record.report.hosts)?;
    let selection = selection(change, record.report, &hosts)?;
    let before: Option<i64> = change
        .prepare("SELECT started_ms FROM runs WHERE inventory = ? ORDER BY id DESC LIMIT 1")?
        .query_row([inventory], |row| row.get(0))
        .optional()?;
    let at_ms = record.report.started_at.as_millisecond();
    let run = insert_run(change, record, inventory, selection, at_ms)?;
    let writing = Writing {
        change,
        run,
        at_ms,
        hosts,
    };
    writing.outcomes(&record.report.hosts)?;
    writing.findings(inventory, record.sightings)?;
    writing.readings(record.readings)?;
    writing.fingerprints(record.fingerprints)?;
    if let Some((old, new)) = record.memory {
        memory(change, inventory, old, new)?;
    }
    outbox::keep(change, inventory, &(record.messages)(run))?;
    Ok(Recorded {
        run,
        after: before
            .filter(|before| *before > at_ms)
            .and_then(|ms| Timestamp::from_millisecond(ms).ok()),
    })
}

/// The number of an inventory; `None` where no run of it was kept.
pub(super) fn inventory_id(
    connection: &Connection,
    inventory: &Path,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare("SELECT id FROM inventories WHERE path = ?")?
        .query_row([inventory.display().to_string()], |row| row.get(0))
        .optional()
}

fn host_ids<'a>(
    change: &Transaction<'_>,
    inventory: i64,
    hosts: &'a [HostReport],
) -> rusqlite::Result<HashMap<&'a str, i64>> {
    let mut find = change.prepare("SELECT id FROM hosts WHERE inventory = ? AND name = ?")?;
    let mut add = change.prepare("INSERT INTO hosts (inventory, name) VALUES (?, ?)")?;
    let mut ids = HashMap::with_capacity(hosts.len());
    for host in hosts {
        let known = find
            .query_row(params![inventory, host.name], |row| row.get(0))
            .optional()?;
        let id = match known {
            Some(id) => id,
            None => {
                add.execute(params![inventory, host.name])?;
                change.last_insert_rowid()
            }
        };
        ids.insert(host.name.as_str(), id);
    }
    Ok(ids)
}

/// The number of the set of hosts that the run was about. Runs from cron are about the same set.
fn selection(
    change: &Transaction<'_>,
    report: &Report,
    ids: &HashMap<&str, i64>,
) -> rusqlite::Result<i64> {
    let mut packed = Vec::with_capacity(report.hosts.len() * 4);
    for host in &report.hosts {
        let id = ids.get(host.name.as_str()).copied().unwrap_or_default();
        packed.extend_from_slice(&u32::try_from(id).unwrap_or_default().to_le_bytes());
    }
    let digest: [u8; 32] = Sha256::digest(&packed).into();
    change
        .prepare("INSERT OR IGNORE INTO selections (digest, hosts) VALUES (?, ?)")?
        .execute(params![digest, packed])?;
    change
        .prepare("SELECT id FROM selections WHERE digest = ?")?
        .query_row([digest], |row| row.get(0))
}

fn insert_run(
    change: &Transaction<'_>,
    record: &RunRecord<'_>,
    inventory: i64,
    selection: i64,
    at_ms: i64,
) -> rusqlite::Result<i64> {
    let report = record.report;
    let summary = report.summary();
    change
        .prepare(
            "INSERT INTO runs (inventory, selection, started_ms, elapsed_ms, verdict, hosts, ok,
             warning, critical, not_observed, interrupted, on_change)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            inventory,
            selection,
            at_ms,
            i64::try_from(report.elapsed_ms).unwrap_or(i64::MAX),
            report.verdict().id(),
            number(summary.hosts),
            number(summary.ok),
            number(summary.warning),
            number(summary.critical),
            number(summary.not_observed),
            report.interrupted,
            record.memory.is_some(),
        ])?;
    Ok(change.last_insert_rowid())
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The host as a whole is 0, which no gateway listens on.
pub(super) fn port(gateway: Option<u16>) -> u16 {
    gateway.unwrap_or(0)
}

/// How a host answered, as it is kept: outcome, verdict, stage, message.
type Answer = (String, String, Option<String>, Option<String>);

impl Writing<'_> {
    fn outcomes(&self, hosts: &[HostReport]) -> rusqlite::Result<()> {
        let mut last = self.change.prepare(
            "SELECT outcome, verdict, stage, message FROM outcomes WHERE host = ? ORDER BY run DESC LIMIT 1",
        )?;
        let mut add = self.change.prepare(
            "INSERT OR REPLACE INTO outcomes (host, run, outcome, verdict, stage, message) VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        for host in hosts {
            let Some(id) = self.hosts.get(host.name.as_str()) else {
                continue;
            };
            let outcome = &host.observation.outcome;
            let error = outcome.error();
            let message =
                error.map(|error| shorten(&sanitize(&error.message), LONGEST_MESSAGE).into_owned());
            let now: Answer = (
                outcome.id().to_owned(),
                host.verdict.id().to_owned(),
                error.map(|error| error.stage.id().to_owned()),
                message,
            );
            let before: Option<Answer> = last
                .query_row([id], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })
                .optional()?;
            // What a host says of its trouble may differ each time; that is no other outcome.
            let same = before.is_some_and(|before| {
                (before.0, before.1, before.2) == (now.0.clone(), now.1.clone(), now.2.clone())
            });
            if !same {
                add.execute(params![id, self.run, now.0, now.1, now.2, now.3])?;
            }
        }
        Ok(())
    }

    fn findings(&self, inventory: i64, seen: &Sightings) -> rusqlite::Result<()> {
        let whole = seen.seen_whole();
        let mut open: BTreeMap<TroubleKey, recall::Open> =
            recall::open_findings(self.change, inventory)?;
        let mut add = self.change.prepare(
            "INSERT OR IGNORE INTO findings (host, gateway, class, subject, severity, peers, first_seen_ms, first_run,
             last_seen_ms, last_run) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        // A clock that was set back moves what was seen before to its time.
        let mut again = self.change.prepare(
            "UPDATE findings SET severity = ?2, peers = ?3, first_seen_ms = min(first_seen_ms, ?4),
             last_seen_ms = ?4, last_run = ?5 WHERE id = ?1",
        )?;
        let mut grade = self.change.prepare(
            "INSERT OR IGNORE INTO grades (finding, run, severity) SELECT id, first_run, severity FROM findings WHERE id = ?1
             UNION ALL SELECT ?1, ?2, ?3",
        )?;
        let mut close = self.change.prepare(
            "UPDATE findings SET closed_ms = max(?2, last_seen_ms), closed_run = ?3 WHERE id = ?1",
        )?;
        for (key, sighting) in &seen.found {
            let severity = sighting.severity.id();
            if let Some(known) = open.remove(key) {
                if known.finding.severity != sighting.severity {
                    grade.execute(params![known.id, self.run, severity])?;
                }
                again.execute(params![known.id, severity, whole, self.at_ms, self.run])?;
                continue;
            }
            let Some(host) = self.hosts.get(key.host.as_str()) else {
                continue;
            };
            add.execute(params![
                host,
                port(key.gateway),
                key.class,
                key.subject,
                severity,
                whole,
                self.at_ms,
                self.run,
                self.at_ms,
                self.run
            ])?;
        }
        for (key, known) in open {
            let looked = seen.hosts.get(&key.host).copied().unwrap_or(Looked::Not);
            // As `diagnose::step` has it: who was not looked at has not recovered.
            let gone = looked == Looked::Whole && (!key.compares_hosts() || whole >= known.peers);
            if gone {
                close.execute(params![known.id, self.at_ms, self.run])?;
            }
        }
        Ok(())
    }

    fn readings(&self, readings: &[Reading]) -> rusqlite::Result<()> {
        let mut last = self.change.prepare(
            "SELECT value FROM readings WHERE host = ? AND gateway = ? AND kind = ? ORDER BY run DESC LIMIT 1",
        )?;
        let mut add = self.change.prepare(
            "INSERT OR REPLACE INTO readings (host, gateway, kind, run, value) VALUES (?, ?, ?, ?, ?)",
        )?;
        for reading in readings {
            let Some(host) = self.hosts.get(reading.host.as_str()) else {
                continue;
            };
            let gateway = port(reading.gateway);
            let before: Option<i64> = last
                .query_row(params![host, gateway, reading.kind.code()], |row| {
                    row.get(0)
                })
                .optional()?;
            if before.is_none_or(|before| !reading.kind.is_near(before, reading.value)) {
                let kind = reading.kind.code();
                add.execute(params![host, gateway, kind, self.run, reading.value])?;
            }
        }
        Ok(())
    }

    fn fingerprints(&self, fingerprints: &[Fingerprint]) -> rusqlite::Result<()> {
        let mut last = self.change.prepare(
            "SELECT digest FROM fingerprints WHERE host = ? AND gateway = ? AND part = ? ORDER BY run DESC LIMIT 1",
        )?;
        let mut add = self.change.prepare(
            "INSERT OR REPLACE INTO fingerprints (host, gateway, part, run, digest) VALUES (?, ?, ?, ?, ?)",
        )?;
        for print in fingerprints {
            let Some(host) = self.hosts.get(print.host.as_str()) else {
                continue;
            };
            let before: Option<Vec<u8>> = last
                .query_row(params![host, print.gateway, print.of], |row| row.get(0))
                .optional()?;
            if before.is_none_or(|before| before != print.digest) {
                add.execute(params![
                    host,
                    print.gateway,
                    print.of,
                    self.run,
                    print.digest
                ])?;
            }
        }
        Ok(())
    }
}

/// Writes what differs of what the operator was told.
fn memory(
    change: &Transaction<'_>,
    inventory: i64,
    old: &Memory,
    new: &Memory,
) -> rusqlite::Result<()> {
    let mut remove = change.prepare(
        "DELETE FROM troubles WHERE inventory = ? AND host = ? AND gateway = ? AND class = ? AND subject = ?",
    )?;
    for key in old.troubles.keys() {
        if !new.troubles.contains_key(key) {
            let gateway = port(key.gateway);
            remove.execute(params![
                inventory,
                key.host,
                gateway,
                key.class,
                key.subject
            ])?;
        }
    }
    let mut put = change.prepare(
        "INSERT OR REPLACE INTO troubles (inventory, host, gateway, class, subject, severity, first_seen_ms, gone_since_ms,
         seen, missed, worse, told_ms, told_severity, came, flapping, peers)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for (key, trouble) in &new.troubles {
        if old.troubles.get(key) != Some(trouble) {
            put_trouble(&mut put, inventory, key, trouble)?;
        }
    }
    if let Some(at) = new.last_run {
        change
            .prepare("INSERT OR REPLACE INTO watches (inventory, last_run_ms) VALUES (?, ?)")?
            .execute(params![inventory, at.as_millisecond()])?;
    }
    Ok(())
}

fn put_trouble(
    put: &mut rusqlite::Statement<'_>,
    inventory: i64,
    key: &TroubleKey,
    trouble: &Trouble,
) -> rusqlite::Result<()> {
    let came: Vec<String> = trouble
        .came
        .iter()
        .map(|at| at.as_millisecond().to_string())
        .collect();
    put.execute(params![
        inventory,
        key.host,
        port(key.gateway),
        key.class,
        key.subject,
        trouble.severity.id(),
        trouble.first_seen.as_millisecond(),
        trouble.gone_since.map(Timestamp::as_millisecond),
        trouble.seen,
        trouble.missed,
        trouble.worse,
        trouble.told.map(|told| told.at.as_millisecond()),
        trouble.told.map(|told| told.severity.id()),
        came.join(","),
        trouble.flapping,
        trouble.peers,
    ])?;
    Ok(())
}
