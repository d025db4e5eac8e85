//! One rollout at a time: two at once would each take the other's changes for somebody's hand.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::file;
use crate::model::{RunId, sanitize, shorten};

/// The longest text about a holder that is read, in bytes.
const MAX_HOLDER: u64 = 4096;

/// The lock of this machine and state directory. Whoever changes hosts holds it; it is let go when
/// this is dropped, and when the process dies, however that comes.
#[derive(Debug)]
pub struct RolloutLock {
    file: File,
}

/// Why the lock is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockFault {
    /// Another process holds it.
    #[error("{by}")]
    Held {
        /// Who, since when, as a sentence without a full stop.
        by: String,
    },
    /// It cannot be told: the file cannot be opened, or the file system has no locks.
    #[error("{0}")]
    Failed(String),
}

/// What stands in the file. It is for people: only the lock itself decides.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    who: String,
    run: RunId,
    since: String,
}

impl RolloutLock {
    /// Takes the lock, or says at once who has it. `who` is `user@bastion`.
    ///
    /// # Errors
    /// [`LockFault`].
    pub fn take(dir: &Path, run: &str, who: &str) -> Result<Self, LockFault> {
        let path = dir.join("rollout.lock");
        let failed = |error: io::Error| LockFault::Failed(format!("{}: {error}", path.display()));
        file::make_dir(dir).map_err(failed)?;
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(&path)
            .map_err(|error| failed(file::name_link(error)))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(LockFault::Held { by: holder(&file) }),
            Err(error) => {
                return Err(LockFault::Failed(format!(
                    "{}: cannot be locked: {error}; is its file system one without locks?",
                    path.display()
                )));
            }
        }
        // What an earlier holder left is nobody's now.
        let holder = Holder {
            pid: std::process::id(),
            who: who.to_owned(),
            run: run.to_owned(),
            since: jiff::Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string(),
        };
        let text = serde_json::to_vec(&holder).map_err(|error| failed(error.into()))?;
        file.set_len(0)
            .and_then(|()| file.write_all(&text))
            .map_err(failed)?;
        Ok(Self { file })
    }
}

impl Drop for RolloutLock {
    fn drop(&mut self) {
        // The file stays, or two could each lock a file of that name.
        let _ = self.file.set_len(0);
        // Closing it is not enough: a child that is being started has the file for a moment, too.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

fn holder(file: &File) -> String {
    let mut text = Vec::new();
    let read = file.take(MAX_HOLDER).read_to_end(&mut text);
    let holder: Option<Holder> = read.ok().and_then(|_| serde_json::from_slice(&text).ok());
    let said = |text: &str| shorten(&sanitize(text), 80).into_owned();
    match holder {
        Some(Holder {
            pid,
            who,
            run,
            since,
        }) => format!(
            "run {} of {} (process {pid}) is changing hosts since {}",
            said(&run),
            said(&who),
            said(&since)
        ),
        // It was taken a moment ago.
        None => "another run is just beginning to change hosts".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "20261121-120301-5f3a9c";

    #[test]
    fn one_holds_it_and_the_other_is_told_who() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new/state");
        let lock = RolloutLock::take(&dir, RUN, "ops@bastion").unwrap();
        let Err(LockFault::Held { by }) = RolloutLock::take(&dir, "other", "jo@bastion") else {
            panic!("it was taken twice");
        };
        let pid = std::process::id();
        let begin = format!("run {RUN} of ops@bastion (process {pid}) is changing hosts since 2");
        assert!(by.starts_with(&begin), "{by}");
        drop(lock);
        drop(RolloutLock::take(&dir, RUN, "jo@bastion").unwrap());
    }

    #[test]
    fn what_a_dead_holder_left_does_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rollout.lock");
        let stale = r#"{"pid":1,"who":"a@b","run":"x","since":"2020-01-01T00:00:00Z","more":""}"#;
        fs::write(&path, stale.repeat(9)).unwrap();
        let lock = RolloutLock::take(dir.path(), RUN, "ops@bastion").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(RUN) && !text.contains("a@b"), "{text}");
        drop(lock);
    }

    #[test]
    fn a_holder_that_said_nothing_yet() {
        let dir = tempfile::tempdir().unwrap();
        let lock = RolloutLock::take(dir.path(), RUN, "ops@bastion").unwrap();
        fs::write(dir.path().join("rollout.lock"), "\u{1b}[2J").unwrap();
        let fault = RolloutLock::take(dir.path(), RUN, "jo@bastion").unwrap_err();
        assert_eq!(
            fault.to_string(),
            "another run is just beginning to change hosts"
        );
        drop(lock);
    }

    #[test]
    fn what_cannot_be_locked_is_told_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rollout.lock");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        let fault = RolloutLock::take(dir.path(), RUN, "ops@bastion").unwrap_err();
        assert!(matches!(fault, LockFault::Failed(_)), "{fault:?}");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let fault = RolloutLock::take(dir.path(), RUN, "ops@bastion").unwrap_err();
        assert!(matches!(fault, LockFault::Failed(_)), "{fault:?}");
    }

    /// A child that outlives the run, a proxy command for one, must not keep the lock.
    #[test]
    fn children_do_not_inherit_it() {
        let dir = tempfile::tempdir().unwrap();
        let lock = RolloutLock::take(dir.path(), RUN, "ops@bastion").unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("30")
            .spawn()
            .unwrap();
        drop(lock);
        let again = RolloutLock::take(dir.path(), RUN, "ops@bastion");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(again.is_ok(), "{again:?}");
    }
}
