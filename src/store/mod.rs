//! L2: what is kept between runs: who failed in the last one, for `@failed` and `@unreachable`;
//! which key logged in where; rollouts with their plans and results; the audit log; and the lock
//! that lets one rollout run at a time; the history of checks. And what other programs are given to read.

mod audit;
mod file;
mod history;
mod lock;
mod plans;
mod publish;
mod rollouts;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use audit::{AuditEvent, AuditFile, AuditRecord, append_audit};
pub use history::{
    Extent, History, HistoryFault, Keep, KeptSilence, OpenFinding, Pruned, Recorded, RolloutRecord,
    RunRecord, RunWanted, Span,
};
pub use lock::{CheckLock, LockFault, RolloutLock};
pub use plans::{read_plan_file, write_plan_file};
pub use publish::{can_publish, publish};
pub use rollouts::{RunList, StoredRun, append_result, list_runs, read_run, write_plan};

/// The largest record that is read, in bytes: 100,000 names of hosts take about 3 MB.
const MAX_BYTES: u64 = 16 << 20;

/// The hosts of an inventory's last run that selectors can name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRunRecord {
    /// The inventory, as an absolute path: names mean nothing without it.
    pub inventory: PathBuf,
    /// Critical, or not seen.
    pub failed: Vec<String>,
    /// Not seen.
    pub unreachable: Vec<String>,
}

/// Reads the record of the last run. `Ok(None)` where there was none for this inventory.
///
/// # Errors
/// A sentence for the operator.
pub fn read_last_run(dir: &Path, inventory: &Path) -> Result<Option<LastRunRecord>, String> {
    let path = dir.join("last-run.json");
    let text = match file::read(&path, MAX_BYTES) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let record: LastRunRecord = serde_json::from_slice(&text)
        .map_err(|error| format!("{}: {error}; remove it and run a check", path.display()))?;
    Ok((record.inventory == inventory).then_some(record))
}

/// Writes the record, whole or not at all.
///
/// # Errors
/// A sentence for the operator.
pub fn write_last_run(dir: &Path, record: &LastRunRecord) -> Result<(), String> {
    write_json(dir, "last-run.json", record)
}

/// What logged in to each server (`user@host:port`) last, so that it is offered first. It is no
/// secret, and losing it costs a try.
pub type Logins = BTreeMap<String, String>;

/// Reads what logged in. What cannot be read is nothing.
pub fn read_logins(dir: &Path) -> Logins {
    file::read(&dir.join("logins.json"), MAX_BYTES)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

/// Writes what logged in, whole or not at all.
///
/// # Errors
/// A sentence for the operator.
pub fn write_logins(dir: &Path, logins: &Logins) -> Result<(), String> {
    write_json(dir, "logins.json", logins)
}

fn write_json(dir: &Path, name: &str, value: &impl Serialize) -> Result<(), String> {
    let path = dir.join(name);
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = serde_json::to_vec(value).map_err(|error| failed(&error))?;
    file::make_dir(dir)
        .and_then(|()| file::replace(&path, &text))
        .map_err(|error| failed(&error))
}
