//! L2: what is kept between runs. So far who failed in the last one, for `@failed` and
//! `@unreachable`, and which key logged in where.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
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
    fs::read(dir.join("logins.json"))
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
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(dir).map_err(failed)?;
    let temporary = dir.join(format!(".{name}.{}", std::process::id()));
    let text = serde_json::to_vec(value).map_err(|error| failed(error.into()))?;
    let written = fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| fs::rename(&temporary, &path));
    if written.is_err() {
        // What is left of it helps nobody.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(failed)
}
