//! Replacing a file that others write, too.
//!
//! The new text goes to a file beside the old one, which takes its place in one step: a full disk
//! or a crash leaves the old file whole. Writers of our kind wait for each other by a lock
//! beside it. ssh itself appends without one, so the file is looked at once more before it is replaced.

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
    let of_target = |error| EnrolError::io(&target)(error);
    for _ in 0..TRIES {
        let before = look(&target).map_err(of_target)?;
        let old = match &before {
            Some(_) => read_capped(&target).map_err(of_target)?,
            None => Vec::new(),
        };
        let (new, result) = edit(&old)?;
        if new == old {
            return Ok(result);
        }
        let fresh = Fresh::write(&target, before.as_ref(), &new).map_err(of_target)?;
        let now = look(&target).map_err(of_target)?;
        if same_text(before.as_ref(), now.as_ref(), old.len()) {
            fresh.replace(&target).map_err(of_target)?;
            return Ok(result);
        }
    }
    Err(EnrolError::Restless(target))
}

fn look(target: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(target) {
        Ok(data) => Ok(Some(data)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a file was not written to in between, and all of it was read.
fn same_text(before: Option<&Metadata>, now: Option<&Metadata>, read: usize) -> bool {
    let stamp = |data: &Metadata| {
        (
            (data.dev(), data.ino(), data.len()),
            (data.mtime(), data.mtime_nsec()),
            (data.ctime(), data.ctime_nsec()),
        )
    };
    before.map(stamp) == now.map(stamp) && now.is_none_or(|now| now.len() == read as u64)
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

/// Locks a file for as long as what is returned lives. The lock is a file beside it: the file
/// itself will be another one when the next writer gets the lock that it waited for.
fn lock(target: &Path, wait: Duration) -> Result<File, EnrolError> {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let path = directory(target).join(name);
    let start = Instant::now();
    loop {
        let file = open_lock(&path).map_err(EnrolError::io(&path))?;
        match file.try_lock() {
            // It may have been tidied away meanwhile.
            Ok(()) if is_at(&file, &path) => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(EnrolError::io(&path)(error)),
            Err(TryLockError::WouldBlock) => sleep(LOCK_POLL),
        }
        if start.elapsed() >= wait {
            return Err(EnrolError::Locked {
                file: path,
                waited: wait,
            });
        }
    }
}

/// Opens a lock, which is made if it is not there. Some network file systems lock only what is
/// open for writing; elsewhere, a lock that root made serves others, too.
fn open_lock(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags).mode(0o644);
    let writable = options
        .clone()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    match writable {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            options.open(path).map_err(|_| error)
        }
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
    fn write(target: &Path, old: Option<&Metadata>, text: &[u8]) -> io::Result<Self> {
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
        give(&file, target, old)?;
        file.write_all(text)?;
        if let Some(old) = old {
            file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
        }
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

/// Gives a file to the owner of the old one. Without one it is for the owner of the directory, so
/// that root leaves no file behind that a user cannot read.
fn give(file: &File, target: &Path, old: Option<&Metadata>) -> io::Result<()> {
    let owner = |data: &Metadata| (data.uid(), data.gid());
    let ours = owner(&file.metadata()?);
    match old.map(owner) {
        Some((uid, gid)) if (uid, gid) != ours => fchown(file, Some(uid), Some(gid)),
        Some(_) => Ok(()),
        None => {
            let (uid, gid) = owner(&fs::metadata(directory(target))?);
            if uid != ours.0 {
                let _ = fchown(file, Some(uid), Some(gid));
            }
            Ok(())
        }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}
