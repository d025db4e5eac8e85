//! L2: what is kept between runs. So far who failed in the last one, for `@failed` and
//! `@unreachable`, and which key logged in where.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

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
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let record: LastRunRecord = serde_json::from_slice(&text)
        .map_err(|error| format!("{}: {error}; remove it and run a check", path.display()))?;
    Ok((record.inventory == inventory).then_some(record))
}

/// Reads a file of ours: not what a link, a pipe or a device in its place would give.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut text)?;
    Ok(text)
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
    read(&dir.join("logins.json"))
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
    replace(dir, &path, &text).map_err(|error| failed(&error))
}

/// Puts a new file in a file's place. Its first name cannot be guessed and must be free, so that a
/// link which somebody left there is never written through.
fn replace(dir: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let temporary = dir.join(format!(".new.{:016x}", u64::from_le_bytes(random)));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    let written = file
        .write_all(text)
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What is left of it helps nobody.
        let _ = fs::remove_file(&temporary);
    }
    written
}
