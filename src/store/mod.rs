//! L2: what is kept between runs. So far only who failed in the last one, for `@failed` and
//! `@unreachable`.

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
    let path = dir.join("last-run.json");
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(dir).map_err(failed)?;
    let temporary = dir.join(format!(".last-run.{}", std::process::id()));
    let text = serde_json::to_vec(record).map_err(|error| failed(error.into()))?;
    let written = fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| fs::rename(&temporary, &path));
    if written.is_err() {
        // What is left of it helps nobody.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(failed)
}
