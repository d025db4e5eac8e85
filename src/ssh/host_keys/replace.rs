//! Replacing a file that others write, too.
//!
//! The new text goes to a file beside the old one, which takes its place in one step: a full disk
//! or a crash leaves the old file whole. Writers of our kind wait for each other by a lock on the
//! file. ssh itself appends without one, so the file is looked at once more before it is replaced.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::enrol::EnrolError;
use super::key_file::read_capped;

/// How often a file that changes under our hands is read again.
const TRIES: usize = 20;
/// How long a link may be followed.
const MAX_LINKS: usize = 40;
/// How often a lock is asked for.
const LOCK_POLL: Duration = Duration::from_millis(10);

/// Replaces the text of a file by what `edit` makes of it. A file that is not there is empty, and
/// made with its directory; so is the target of a link.
pub(super) fn rewrite<T>(
    file: &Path,
    wait: Duration,
    mut edit: impl FnMut(&[u8]) -> Result<(Vec<u8>, T), EnrolError>,
) -> Result<T, EnrolError> {
    let target = resolve(file)?;
    make_directory(&target)?;
    let _lock = lock(&target, wait)?;
    for _ in 0..TRIES {
        let before = fs::metadata(&target).map_err(EnrolError::io(&target))?;
        let old = read_capped(&target).map_err(EnrolError::io(&target))?;
        let (new, result) = edit(&old)?;
        if new == old {
            return Ok(result);
        }
        let fresh = Fresh::write(&target, &before, &new).map_err(EnrolError::io(&target))?;
        let now = fs::metadata(&target).map_err(EnrolError::io(&target))?;
        if same_text(&before, &now) && now.len() == old.len() as u64 {
            fresh.replace(&target).map_err(EnrolError::io(&target))?;
            return Ok(result);
        }
    }
    Err(EnrolError::Restless(target))
}

/// Whether a file was not written to in between.
fn same_text(before: &Metadata, now: &Metadata) -> bool {
    let stamp = |data: &Metadata| {
        (
            (data.dev(), data.ino(), data.len()),
            (
                data.mtime(),
                data.mtime_nsec(),
                data.ctime(),
                data.ctime_nsec(),
            ),
        )
    };
    stamp(before) == stamp(now)
}

/// Follows links to the file that is meant.
fn resolve(file: &Path) -> Result<PathBuf, EnrolError> {
    let mut target = std::path::absolute(file).map_err(EnrolError::io(file))?;
    for followed in 0..MAX_LINKS {
        let data = match fs::symlink_metadata(&target) {
            Ok(data) => Some(data),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(EnrolError::io(file)(error)),
        };
        let is_link = data.as_ref().is_some_and(Metadata::is_symlink);
        if followed > 0 || is_link {
            refuse_shared(file, directory(&target))?;
        }
        match data {
            Some(_) if is_link => {
                let link = fs::read_link(&target).map_err(EnrolError::io(&target))?;
                target = directory(&target).join(link);
            }
            Some(data) if !data.is_file() => return Err(EnrolError::NotAFile(target)),
            _ => return Ok(target),
        }
    }
    Err(EnrolError::io(file)(io::Error::other("too many links")))
}

fn directory(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("/"))
}

/// Where anybody may write, anybody may have put the link.
fn refuse_shared(file: &Path, directory: &Path) -> Result<(), EnrolError> {
    match fs::metadata(directory) {
        Ok(data) if data.mode() & 0o002 != 0 => Err(EnrolError::SharedDirectory {
            file: file.to_owned(),
            directory: directory.to_owned(),
        }),
        _ => Ok(()),
    }
}

fn make_directory(file: &Path) -> Result<(), EnrolError> {
    let directory = directory(file);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(EnrolError::io(directory))
}

/// Locks a file for as long as what is returned lives. The lock is on the file itself, so it is
/// of no use once another writer has replaced the file.
fn lock(target: &Path, wait: Duration) -> Result<File, EnrolError> {
    let start = Instant::now();
    loop {
        let file = open(target).map_err(EnrolError::io(target))?;
        match file.try_lock() {
            Ok(()) if is_at(&file, target) => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(EnrolError::io(target)(error)),
            Err(TryLockError::WouldBlock) => sleep(LOCK_POLL),
        }
        if start.elapsed() >= wait {
            return Err(EnrolError::Locked {
                file: target.to_owned(),
                waited: wait,
            });
        }
    }
}

/// Opens a file, which is made if it is not there. Some network file systems lock only what is
/// open for writing; elsewhere, a file that nobody may write to is replaced all the same.
fn open(target: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags).mode(0o600);
    match options
        .clone()
        .write(true)
        .create(true)
        .truncate(false)
        .open(target)
    {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => options.open(target),
        opened => opened,
    }
}

fn is_at(file: &File, target: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(target)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// A new file beside the old one. It goes again, unless it takes the old one's place.
struct Fresh(Option<PathBuf>);

impl Fresh {
    /// Writes a text to a file that belongs to whom the old one belongs to.
    fn write(target: &Path, old: &Metadata, text: &[u8]) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!(".clawfleet-{:016x}", u64::from_ne_bytes(random));
        let path = directory(target).join(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let fresh = Self(Some(path));
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        file.write_all(text)?;
        file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
        file.sync_all()?;
        Ok(fresh)
    }

    fn replace(mut self, target: &Path) -> io::Result<()> {
        if let Some(path) = &self.0 {
            fs::rename(path, target)?;
            self.0 = None;
        }
        // The file is there either way; without this a crash of the machine may undo it.
        if let Ok(directory) = File::open(directory(target)) {
            let _ = directory.sync_all();
        }
        Ok(())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}
