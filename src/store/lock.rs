//! One rollout at a time: two at once would each take the other's changes for somebody's hand. And one
//! check from cron at a time: two at once would tell the same news twice.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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

/// The lock of checks that tell what changed, one for each inventory. It is let go when this is
/// dropped, and by the kernel when the process dies, so there is no stale one: what a dead holder wrote
/// into the file is for people only.
#[derive(Debug)]
pub struct CheckLock {
    file: File,
}

/// How often is looked whether a lock is free.
const LOOK: Duration = Duration::from_millis(100);

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
    since: String,
}

impl RolloutLock {
    /// Takes the lock, or says at once who has it. `who` is `user@bastion`.
    ///
    /// # Errors
    /// [`LockFault`].
    pub fn take(dir: &Path, run: &str, who: &str) -> Result<Self, LockFault> {
        let path = dir.join("rollout.lock");
        let file = take(dir, &path, &|file| holder(file))?;
        let file = write(file, &path, Some(run), who)?;
        Ok(Self { file })
    }
}

impl CheckLock {
    /// Takes the lock of an inventory, by its absolute path, and waits at most so long for it. `who` is
    /// `user@bastion`.
    ///
    /// # Errors
    /// [`LockFault`].
    pub fn take(
        dir: &Path,
        inventory: &Path,
        who: &str,
        wait: Duration,
    ) -> Result<Self, LockFault> {
        let digest = Sha256::digest(inventory.as_os_str().as_encoded_bytes());
        let short: String = digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let path = dir.join(format!("check-{short}.lock"));
        let begin = Instant::now();
        loop {
            match take(dir, &path, &|file| checking(file)) {
                Err(LockFault::Held { .. }) if begin.elapsed() < wait => {
                    std::thread::sleep(LOOK.min(wait.saturating_sub(begin.elapsed())));
                }
                taken => {
                    let file = write(taken?, &path, None, who)?;
                    return Ok(Self { file });
                }
            }
        }
    }
}

/// Opens a lock's file and locks it, or says who holds it.
fn take(dir: &Path, path: &Path, by: &dyn Fn(&File) -> String) -> Result<File, LockFault> {
    let failed = |error: io::Error| LockFault::Failed(format!("{}: {error}", path.display()));
    file::make_dir(dir).map_err(failed)?;
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path)
        .map_err(|error| failed(file::name_link(error)))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(LockFault::Held { by: by(&file) }),
        Err(error) => Err(LockFault::Failed(format!(
            "{}: cannot be locked: {error}; is its file system one without locks?",
            path.display()
        ))),
    }
}

/// Writes who holds a lock. What an earlier holder left is nobody's now.
fn write(mut file: File, path: &Path, run: Option<&str>, who: &str) -> Result<File, LockFault> {
    let failed = |error: io::Error| LockFault::Failed(format!("{}: {error}", path.display()));
    let holder = Holder {
        pid: std::process::id(),
        who: who.to_owned(),
        run: run.map(str::to_owned),
        since: jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string(),
    };
    let text = serde_json::to_vec(&holder).map_err(|error| failed(error.into()))?;
    file.set_len(0)
        .and_then(|()| file.write_all(&text))
        .map_err(failed)?;
    Ok(file)
}

impl Drop for RolloutLock {
    fn drop(&mut self) {
        let_go(&self.file);
    }
}

impl Drop for CheckLock {
    fn drop(&mut self) {
        let_go(&self.file);
    }
}

fn let_go(file: &File) {
    // The file stays, or two could each lock a file of that name.
    let _ = file.set_len(0);
    // Closing it is not enough: a child that is being started has the file for a moment, too.
    let _ = flock(file, FlockOperation::Unlock);
}

fn read(file: &File) -> Option<Holder> {
    let mut text = Vec::new();
    file.take(MAX_HOLDER).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn said(text: &str) -> String {
    shorten(&sanitize(text), 80).into_owned()
}

fn checking(file: &File) -> String {
    match read(file) {
        Some(Holder {
            pid, who, since, ..
        }) => format!(
            "a check of {} (process {pid}) has been at work since {}",
            said(&who),
            said(&since)
        ),
        None => "another check is just beginning".to_owned(),
    }
}

fn holder(file: &File) -> String {
    match read(file) {
        Some(Holder {
            pid,
            who,
            run: Some(run),
            since,
        }) => format!(
            "run {} of {} (process {pid}) is changing hosts since {}",
            said(&run),
            said(&who),
            said(&since)
        ),
        // It was taken a moment ago.
        _ => "another run is just beginning to change hosts".to_owned(),
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

    #[test]
    fn a_check_says_who_is_before_it_or_waits() {
        let dir = tempfile::tempdir().unwrap();
        let take = |inventory: &str, wait: u64| {
            let wait = Duration::from_millis(wait);
            CheckLock::take(dir.path(), Path::new(inventory), "ops@bastion", wait)
        };
        let lock = take("/a", 0).unwrap();
        let fault = take("/a", 150).unwrap_err().to_string();
        let begin = format!(
            "a check of ops@bastion (process {}) has been at work since 2",
            std::process::id()
        );
        assert!(fault.starts_with(&begin), "{fault}");
        // Another inventory's is another lock.
        drop(take("/b", 0).unwrap());
        let holder = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(lock);
        });
        drop(take("/a", 20_000).unwrap());
        holder.join().unwrap();
    }

    const HERE: &str = "a-check-is-locked-here";

    /// The other process of [`a_dead_holder_blocks_nobody`]; alone it does nothing.
    #[test]
    fn a_holder_that_waits_to_be_killed() {
        if !Path::new(HERE).exists() {
            return;
        }
        let lock = CheckLock::take(Path::new("."), Path::new("/a"), "x@y", Duration::ZERO).unwrap();
        fs::write("taken", "").unwrap();
        std::thread::sleep(Duration::from_secs(60));
        drop(lock);
    }

    #[test]
    fn a_dead_holder_blocks_nobody() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(HERE), "").unwrap();
        let mut holder = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::lock::tests::a_holder_that_waits_to_be_killed",
            ])
            .current_dir(dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while !dir.path().join("taken").exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let take = || CheckLock::take(dir.path(), Path::new("/a"), "x@y", Duration::ZERO);
        let fault = take().unwrap_err().to_string();
        assert!(
            fault.contains(&format!("(process {})", holder.id())),
            "{fault}"
        );
        holder.kill().unwrap();
        holder.wait().unwrap();
        drop(take().unwrap());
    }
}
