//! What stands beside an inventory: the folder `checks.d`, and scripts that checks name.

use std::io;
use std::path::Path;

use crate::inventory::InventoryError;

/// The largest file of a check that is read, in bytes.
const MAX_BYTES: u64 = 256 << 10;

/// The folder of checks.
const FOLDER: &str = "checks.d";

/// Reads the files of `checks.d` in the order of their names: each one's path, and its text. Only
/// `.yaml` and `.yml` count, so that scripts and an editor's copies may stand there as well.
pub(super) fn read_checks(dir: &Path) -> Result<Vec<(String, String)>, InventoryError> {
    let folder = dir.join(FOLDER);
    let shown = folder.display().to_string();
    let failed = |error: io::Error| InventoryError::new(&shown, why(&error));
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        // An inventory may come from anywhere, `/dev/stdin` too; what is no folder holds no checks.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let yaml = path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        if yaml && !hidden {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path.display().to_string();
            let bytes = read(&path).map_err(|why| InventoryError::new(&name, why))?;
            let text = text(&name, bytes)?;
            Ok((name, text))
        })
        .collect()
}

/// Reads a script that a check names, relative to the inventory.
pub(super) fn read_script(dir: &Path, file: &str) -> Result<String, String> {
    let bytes = read(&dir.join(file))?;
    String::from_utf8(bytes).map_err(|_| "it is not text".to_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let data = std::fs::metadata(path).map_err(|error| why(&error))?;
    // A pipe or a device would be waited for.
    if !data.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if data.len() > MAX_BYTES {
        return Err(format!("it is larger than {} KiB", MAX_BYTES >> 10));
    }
    std::fs::read(path).map_err(|error| why(&error))
}

/// What the system says, without its number.
pub(super) fn why(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    text.to_lowercase()
}

/// Makes text of a file's bytes, or says in which line it is none.
pub(super) fn text(name: &str, bytes: Vec<u8>) -> Result<String, InventoryError> {
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..good).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        InventoryError {
            at: u64::try_from(line).ok().map(|line| (line, 1)),
            ..InventoryError::new(name, "is not text: it holds bytes that are no UTF-8")
                .hint("is this the right file?")
        }
    })
}
