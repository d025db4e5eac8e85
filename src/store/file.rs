//! Files of our own: read with a limit, replaced whole or not at all, appended to line by line.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Neither what a link leads to nor a pipe that nobody writes to.
fn careful() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

fn must_be_file(file: &File) -> io::Result<fs::Metadata> {
    let data = file.metadata()?;
    if data.is_file() {
        Ok(data)
    } else {
        Err(io::Error::other("it is not a file"))
    }
}

/// Reads a file: not what a link, a pipe or a device in its place would give, and no more than
/// `most` bytes.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(careful())
        .open(path)
        .map_err(name_link)?;
    must_be_file(&file)?;
    let mut text = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut text)?;
    if text.len() as u64 > most {
        let message = format!("it is larger than {} MiB", most >> 20);
        return Err(io::Error::other(message));
    }
    Ok(text)
}

/// What the system calls "too many levels of symbolic links" is one, and it is refused.
pub(super) fn name_link(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        io::Error::other("it is a symbolic link, and links are not followed here")
    } else {
        error
    }
}

/// Makes a directory with its parents, for the user alone.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// Puts a new file in a file's place. Its first name cannot be guessed and must be free, so that a
/// link which somebody left there is never written through.
pub(super) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    put(path, text, |_| Ok(()))
}

/// The same, and it is on the disk when this returns: a power failure leaves the old file or the
/// new one.
pub(super) fn replace_durably(path: &Path, text: &[u8]) -> io::Result<()> {
    put(path, text, File::sync_all)?;
    sync_dir(&parent(path))
}

/// The same as [`replace_durably`], after `prepare` gave the new file what it needs, such as a mode.
pub(super) fn replace_readable(
    path: &Path,
    text: &[u8],
    prepare: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    put(path, text, |file| {
        prepare(file)?;
        file.sync_all()
    })?;
    sync_dir(&parent(path))
}

/// Looks whether a new file can be made beside that one, and leaves nothing behind.
pub(super) fn can_make_beside(path: &Path) -> io::Result<()> {
    let (temporary, file) = make_beside(path)?;
    drop(file);
    fs::remove_file(temporary)
}

fn put(path: &Path, text: &[u8], settle: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let (temporary, mut file) = make_beside(path)?;
    let written = file
        .write_all(text)
        .and_then(|()| settle(&file))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What is left of it helps nobody.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Makes a file of a name that nobody can guess.
fn make_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let name = format!(".new.{:016x}", u64::from_le_bytes(random));
    let temporary = parent(path).join(name);
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    Ok((temporary, file))
}

/// The directory of a file; of a bare name, the current one.
pub(super) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Writes the names in a directory to the disk.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    match File::open(dir)?.sync_all() {
        // Some file systems have nothing to do here and say so.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

/// Adds a line to a file, in one write, and to the disk. Writers that do so at the same time do not
/// tear each other's lines: the kernel finds the file's end and writes there in one step. A line that
/// a crash tore is ended first, so that it spoils no other.
pub(super) fn append_line(path: &Path, line: &str) -> io::Result<()> {
    let is_new = !path.try_exists()?;
    let mut file = fs::OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(careful())
        .open(path)
        .map_err(name_link)?;
    let length = must_be_file(&file)?.len();
    let mut text = String::with_capacity(line.len() + 2);
    if let Some(last) = length.checked_sub(1) {
        let mut byte = [0];
        // Where another writer is in the middle of its line this may be wrong, and costs an empty line.
        if file.read_at(&mut byte, last)? == 1 && byte != *b"\n" {
            text.push('\n');
        }
    }
    text.push_str(line);
    text.push('\n');
    // Not `write_all`: what a second write added could stand behind another's line.
    let written = file.write(text.as_bytes())?;
    if written != text.len() {
        let message = format!("only {written} of {} bytes could be written", text.len());
        return Err(io::Error::other(message));
    }
    if is_new {
        file.sync_all()?;
        sync_dir(&parent(path))
    } else {
        file.sync_data()
    }
}

/// The lines of a file that was appended to, without empty ones.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
}
