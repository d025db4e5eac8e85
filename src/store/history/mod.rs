//! What earlier runs saw, in a database (`history.db`): runs, how each host answered, findings with
//! the times they were there, numbers, fingerprints, and what the operator was told.
//!
//! It keeps changes, not copies: how a host answered, a number and a fingerprint are written where
//! they differ from the run before. So a quiet fleet costs a row per run, whatever its size.
//!
//! The journal is a write-ahead log and `synchronous` is NORMAL: a process that dies at any instant
//! loses its own transaction and nothing else, and so does a machine that loses its power, which may
//! lose the last few runs as well. A run is worth less than a disk flush every few seconds.

mod chronicle;
mod outbox;
mod place;
mod prune;
mod recall;
mod record;
mod rollouts;
mod schema;
mod silences;

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::OFlags;

use super::file;
pub use chronicle::{Extent, RunWanted, Span};
pub use prune::{Keep, Pruned};
pub use recall::OpenFinding;
pub use record::{Recorded, RunRecord};
pub use rollouts::RolloutRecord;
pub use silences::KeptSilence;

/// How long is waited for another process that writes. A run of ten thousand hosts takes under two
/// seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The open database.
#[derive(Debug)]
pub struct History {
    connection: Connection,
    path: PathBuf,
}

/// Why the history is not to be had. No check is stopped by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryFault {
    /// A later clawfleet wrote it.
    #[error(
        "{path}: it was written by a later clawfleet (version {found}; this one knows {known}); update this one, or move that file away"
    )]
    Newer {
        /// The file.
        path: String,
        /// The version of its tables.
        found: i64,
        /// The version that this program has.
        known: i64,
    },
    /// It stands on a network.
    #[error(
        "{dir}: it is on a network file system ({kind}), where two bastions would write over each other's history; set XDG_STATE_HOME to a directory on a disk of this machine"
    )]
    Shared {
        /// The directory.
        dir: String,
        /// The file system's name.
        kind: &'static str,
    },
    /// It is no database, or a damaged one.
    #[error("{path}: it is damaged ({why}); move it away, and the next run begins a new one")]
    Damaged {
        /// The file.
        path: String,
        /// What the database says.
        why: String,
    },
    /// The disk is full.
    #[error("{path}: the disk is full; this run is not kept")]
    Full {
        /// The file.
        path: String,
    },
    /// Another process writes for longer than is waited for.
    #[error("{path}: another process has been writing to it for {} s", PATIENCE.as_secs())]
    Busy {
        /// The file.
        path: String,
    },
    /// There is none yet.
    #[error("{path}: there is no history yet; `clawfleet check` begins one")]
    Absent {
        /// The file.
        path: String,
    },
    /// Something else.
    #[error("{path}: {why}")]
    Failed {
        /// The file.
        path: String,
        /// What.
        why: String,
    },
}

impl History {
    /// Opens the history of a state directory, begins one where there is none, and brings an older one
    /// to this program's version.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn open(dir: &Path) -> Result<Self, HistoryFault> {
        let path = dir.join("history.db");
        let failed = |error: io::Error| from_io(&path, &error);
        file::make_dir(dir).map_err(failed)?;
        place::must_be_local(dir)?;
        // The database makes its file by the process's mask; this one is for the user alone.
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(&path)
            .map_err(|error| failed(file::name_link(error)))?;
        Self::at(path)
    }

    /// The same, where there is one already.
    ///
    /// # Errors
    /// [`HistoryFault`]; `Absent` where there is none.
    pub fn open_existing(dir: &Path) -> Result<Self, HistoryFault> {
        let path = dir.join("history.db");
        match path.symlink_metadata() {
            Ok(_) => Self::open(dir),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(HistoryFault::Absent {
                path: path.display().to_string(),
            }),
            Err(error) => Err(from_io(&path, &error)),
        }
    }

    fn at(path: PathBuf) -> Result<Self, HistoryFault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let opened = Connection::open_with_flags(&path, flags).and_then(|mut connection| {
            connection.busy_timeout(PATIENCE)?;
            let found = schema::prepare(&mut connection)?;
            Ok((connection, found))
        });
        match opened {
            Ok((_, found)) if found > schema::VERSION => Err(HistoryFault::Newer {
                path: path.display().to_string(),
                found,
                known: schema::VERSION,
            }),
            Ok((connection, _)) => Ok(Self { connection, path }),
            Err(error) => Err(fault(&path, &error)),
        }
    }

    fn fault(&self, error: &rusqlite::Error) -> HistoryFault {
        fault(&self.path, error)
    }
}

fn from_io(path: &Path, error: &io::Error) -> HistoryFault {
    let path = path.display().to_string();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => HistoryFault::Full { path },
        _ => HistoryFault::Failed {
            path,
            why: error.to_string(),
        },
    }
}

fn fault(path: &Path, error: &rusqlite::Error) -> HistoryFault {
    let path = path.display().to_string();
    let why = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            HistoryFault::Damaged { path, why }
        }
        Some(ErrorCode::DiskFull) => HistoryFault::Full { path },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => HistoryFault::Busy { path },
        Some(ErrorCode::ReadOnly) => HistoryFault::Failed {
            path,
            why: "it cannot be written to".into(),
        },
        // Tables that are not what this version's are.
        None | Some(ErrorCode::Unknown) => HistoryFault::Damaged { path, why },
        Some(_) => HistoryFault::Failed { path, why },
    }
}

#[cfg(test)]
mod tests;
