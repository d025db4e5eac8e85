//! Files to hosts and from them, over a command's own streams. What a host says is never a path here.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::capture::Capture;
use super::follow::{Ended, Enough, Followed, Run, Taker, follow};
use super::work::At;
use super::{Input, not_reached, nothing};
use crate::command::{GetScript, PutScript};
use crate::fleet::remote;
use crate::model::{CommandEnd, CommandResult, HostError, HostOutcome, Stage};
use crate::probe::Nonce;
use crate::ssh::{Pipe, Session};

/// How long a host has to take back what it began, once it is told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// A file that hosts are sent.
#[derive(Debug)]
pub struct Carried {
    /// Its name, without directories.
    pub name: Vec<u8>,
    /// Its bytes.
    pub bytes: Input,
    /// Their SHA-256.
    pub digest: [u8; 32],
    /// Its permissions.
    pub mode: u32,
    /// Whether it has bits beside them, as set-user-ID, which stay here.
    pub special: bool,
}

impl Carried {
    /// Opens a file and takes its digest.
    ///
    /// # Errors
    /// It is no file, or cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let name = path
            .file_name()
            .ok_or_else(|| io::Error::other("it is not a file"))?;
        let mut file = File::open(path)?;
        let data = file.metadata()?;
        if !data.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        let mut digest = Hashing {
            digest: Sha256::new(),
            length: 0,
        };
        io::copy(&mut file, &mut digest)?;
        Ok(Self {
            name: name.as_encoded_bytes().to_vec(),
            digest: digest.digest.finalize().into(),
            mode: data.permissions().mode() & 0o777,
            special: data.permissions().mode() & 0o7000 != 0,
            bytes: Input {
                file: Arc::new(file),
                length: digest.length,
            },
        })
    }
}

struct Hashing {
    digest: Sha256,
    length: u64,
}

impl io::Write for Hashing {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.digest.update(data);
        self.length += u64::try_from(data.len()).unwrap_or(u64::MAX);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Files for every host.
#[derive(Debug)]
pub struct Delivery {
    /// Which.
    pub files: Vec<Carried>,
    /// Where they go on the host.
    pub destination: Vec<u8>,
    /// Whether that must be a directory.
    pub into: bool,
    /// How long the files of a host may take.
    pub limit: Option<Duration>,
}

/// A file from every host.
#[derive(Debug)]
pub struct Fetch {
    /// Which.
    pub source: Vec<u8>,
    /// Where each host's file goes here, in the order of the hosts.
    pub places: Vec<PathBuf>,
    /// The most that is taken, in bytes.
    pub most: u64,
    /// How long it may take.
    pub limit: Option<Duration>,
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn nonces() -> Result<(Nonce, Nonce), HostOutcome> {
    let nonces = remote::nonce().and_then(|nonce| Ok((nonce, remote::nonce()?)));
    nonces.map_err(|why| HostOutcome::Failed(HostError::new(Stage::Exec, why)))
}

/// Keeps what a script printed beside what it was asked for; a host that prints more is stopped.
struct Errors {
    capture: Capture,
    left: usize,
}

/// How much a host may print on standard error while a file is copied, in bytes.
const ERRORS: usize = 64 << 10;

impl Errors {
    fn take(&mut self, data: &[u8]) -> Result<(), Enough> {
        let fits = data.len() <= self.left;
        self.left = self.left.saturating_sub(data.len());
        match self.capture.take(data) {
            Ok(()) if fits => Ok(()),
            _ => Err(Enough),
        }
    }
}

impl Taker for Errors {
    fn take(&mut self, _: Pipe, data: Vec<u8>) -> Result<(), Enough> {
        Self::take(self, &data)
    }
}

/// How one copy ended.
enum Copied {
    /// With these words on it.
    Well(String),
    /// The host, or this machine, could not.
    Badly(String),
    /// Otherwise.
    Ended(CommandEnd),
}

/// Sends files to one host, one after the other, until one does not arrive.
pub(super) async fn send<S: Session>(
    delivery: &Delivery,
    session: &S,
    at: At<'_>,
) -> CommandResult {
    let begin = Instant::now();
    let mut said = Capture::new(at.spill);
    let mut errors = Errors {
        capture: Capture::new(at.spill),
        left: ERRORS,
    };
    let mut end = CommandEnd::Exited(0);
    for (sent, file) in delivery.files.iter().enumerate() {
        let left = delivery
            .limit
            .map(|limit| limit.saturating_sub(begin.elapsed()));
        let name = String::from_utf8_lossy(&file.name).into_owned();
        let line = match put(delivery, file, left, session, &at, &mut errors).await {
            Copied::Well(words) => format!("{name}: {words}\n"),
            Copied::Badly(words) => {
                end = CommandEnd::Exited(1);
                let _ = errors.capture.take(format!("{name}: {words}\n").as_bytes());
                break;
            }
            Copied::Ended(other) => {
                end = between(sent, other);
                break;
            }
        };
        // Memory takes so little, whatever becomes of the file that outputs spill to.
        let _ = said.take(line.as_bytes());
    }
    CommandResult {
        end,
        stdout: said.finish(),
        stderr: errors.capture.finish(),
        elapsed_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        ..nothing(at.spill)
    }
}

/// A host that was lost between two files was reached, and has some of them.
fn between(sent: usize, end: CommandEnd) -> CommandEnd {
    match end {
        end if sent == 0 => end,
        CommandEnd::NotTried(_) => CommandEnd::Stopped { ended: true },
        CommandEnd::NotReached(outcome) => CommandEnd::Lost(HostError {
            message: format!(
                "{sent} of the files are there, and then: {}",
                outcome
                    .error()
                    .map_or("it was lost", |error| &error.message)
            ),
            ..outcome
                .error()
                .cloned()
                .unwrap_or_else(|| HostError::new(Stage::Exec, ""))
        }),
        other => other,
    }
}

async fn put<S: Session>(
    delivery: &Delivery,
    file: &Carried,
    limit: Option<Duration>,
    session: &S,
    at: &At<'_>,
    errors: &mut Errors,
) -> Copied {
    let (nonce, fresh) = match nonces() {
        Ok(nonces) => nonces,
        Err(outcome) => return Copied::Ended(CommandEnd::NotReached(outcome)),
    };
    let digest = hex(&file.digest);
    let script = PutScript {
        nonce: &nonce,
        fresh: &fresh,
        destination: &delivery.destination,
        name: &file.name,
        into: delivery.into,
        size: file.bytes.length,
        digest: &digest,
        mode: file.mode,
    }
    .compose();
    let run = Run {
        nonce: &nonce,
        script: &script,
        input: Some(&file.bytes),
        limit: limit.map(|limit| limit + GRACE),
        // The host takes back what it began, and says so.
        stop_after: limit,
        grace: GRACE,
    };
    let followed = follow(
        &at.task.host,
        session,
        at.clock,
        at.secrets,
        run,
        (&at.task.stop, &at.task.leave),
        errors,
    )
    .await;
    judged(followed, at, limit, |how, rest| match how {
        "done" | "same" if rest != digest => Some(Copied::Badly(format!(
            "the host has another content now (sha256 {rest})"
        ))),
        "done" => Some(Copied::Well("copied".to_owned())),
        "same" => Some(Copied::Well("was there already".to_owned())),
        _ => None,
    })
}

/// What a script's end means for a copy.
fn judged(
    followed: Followed,
    at: &At<'_>,
    limit: Option<Duration>,
    good: impl FnOnce(&str, &str) -> Option<Copied>,
) -> Copied {
    let stopped = at.task.stop.is_cancelled();
    let late = limit.is_some_and(|limit| followed.elapsed >= limit);
    let given_up = |ended: bool| match (stopped, late) {
        (true, _) => Some(Copied::Ended(CommandEnd::Stopped { ended })),
        (false, true) => Some(Copied::Ended(CommandEnd::TimedOut { ended })),
        (false, false) => None,
    };
    match followed.ended {
        Ended::NotBegun(outcome) => Copied::Ended(not_reached(outcome)),
        Ended::Silent(error) => given_up(false).unwrap_or(Copied::Ended(CommandEnd::Lost(error))),
        Ended::Said(mark) => match good(&mark.how, &mark.rest) {
            Some(copied) => copied,
            None if mark.how == "failed" => given_up(true).unwrap_or(Copied::Badly(mark.rest)),
            None => Copied::Badly(format!(
                "the host said `{}`, which means nothing here",
                mark.how
            )),
        },
    }
}

/// Brings a file from one host.
pub(super) async fn fetch<S: Session>(fetch: &Fetch, session: &S, at: At<'_>) -> CommandResult {
    let begin = Instant::now();
    let mut said = Capture::new(at.spill);
    let mut coming = Coming {
        errors: Errors {
            capture: Capture::new(at.spill),
            left: ERRORS,
        },
        place: fetch.places.get(at.task.index).cloned().unwrap_or_default(),
        most: fetch.most,
        announced: None,
        mode: 0,
        beside: None,
        digest: Sha256::new(),
        length: 0,
        fault: None,
    };
    let copied = get(fetch, session, &at, &mut coming).await;
    // What is left of a file that did not come whole helps nobody.
    if let Some((beside, _)) = coming.beside.take() {
        let _ = fs::remove_file(beside);
    }
    let mut errors = coming.errors.capture;
    let end = match copied {
        Copied::Well(words) => {
            let _ = said.take(format!("{words}\n").as_bytes());
            CommandEnd::Exited(0)
        }
        Copied::Badly(words) => {
            let _ = errors.take(format!("{words}\n").as_bytes());
            CommandEnd::Exited(1)
        }
        Copied::Ended(end) => end,
    };
    CommandResult {
        end,
        stdout: said.finish(),
        stderr: errors.finish(),
        elapsed_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        ..nothing(at.spill)
    }
}

async fn get<S: Session>(fetch: &Fetch, session: &S, at: &At<'_>, coming: &mut Coming) -> Copied {
    let (nonce, _) = match nonces() {
        Ok(nonces) => nonces,
        Err(outcome) => return Copied::Ended(CommandEnd::NotReached(outcome)),
    };
    let script = GetScript {
        nonce: &nonce,
        source: &fetch.source,
        most: fetch.most,
    }
    .compose();
    let run = Run {
        nonce: &nonce,
        script: &script,
        input: None,
        limit: fetch.limit,
        stop_after: None,
        grace: GRACE,
    };
    let followed = follow(
        &at.task.host,
        session,
        at.clock,
        at.secrets,
        run,
        (&at.task.stop, &at.task.leave),
        coming,
    )
    .await;
    // A host that sends what it should not is told apart from one that could not.
    if let Some(fault) = coming.fault.take() {
        return Copied::Badly(fault);
    }
    let judgement = judged(followed, at, fetch.limit, |how, rest| match how {
        "done" => Some(match coming.finish(rest) {
            Ok(words) => Copied::Well(words),
            Err(why) => Copied::Badly(why),
        }),
        _ => None,
    });
    // Nothing changes on a host that gives a file: whatever became of it there, its state is known.
    match judgement {
        Copied::Ended(CommandEnd::Lost(error)) => Copied::Badly(error.message),
        Copied::Ended(CommandEnd::TimedOut { .. }) => {
            Copied::Ended(CommandEnd::TimedOut { ended: true })
        }
        Copied::Ended(CommandEnd::Stopped { .. }) => {
            Copied::Ended(CommandEnd::Stopped { ended: true })
        }
        other => other,
    }
}

/// A file that is coming.
struct Coming {
    errors: Errors,
    /// Where it goes.
    place: PathBuf,
    most: u64,
    /// How many bytes the host said it has.
    announced: Option<u64>,
    mode: u32,
    /// What is written first.
    beside: Option<(PathBuf, File)>,
    digest: Sha256,
    length: u64,
    /// Why no more of it is wanted.
    fault: Option<String>,
}

impl Coming {
    fn refuse(&mut self, why: impl Into<String>) -> Result<(), Enough> {
        self.fault.get_or_insert(why.into());
        Err(Enough)
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Enough> {
        let Some(announced) = self.announced else {
            return self.refuse("the host sent a file that it had not announced");
        };
        self.length += u64::try_from(data.len()).unwrap_or(u64::MAX);
        if self.length > announced {
            return self.refuse("the host sent more than it had announced");
        }
        self.digest.update(data);
        let written = match &mut self.beside {
            Some((_, file)) => file.write_all(data),
            None => Err(io::Error::other("it is not open")),
        };
        match written {
            Ok(()) => Ok(()),
            Err(error) => self.refuse(format!("{}: {error}", self.place.display())),
        }
    }

    fn open(&self) -> io::Result<(PathBuf, File)> {
        let dir = self.place.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)?;
        let nonce = remote::nonce().map_err(io::Error::other)?;
        let beside = dir.join(format!(".clawfleet-new.{}", nonce.as_str()));
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        Ok((beside, file))
    }

    /// Puts the file in its place, if it is what the host says that it has.
    fn finish(&mut self, said: &str) -> Result<String, String> {
        let Some((beside, file)) = self.beside.take() else {
            return Err("the host sent no file".to_owned());
        };
        let digest = hex(&std::mem::take(&mut self.digest).finalize());
        let placed = if self.announced != Some(self.length) {
            Err(format!(
                "{} bytes came of {}",
                self.length,
                self.announced.unwrap_or(0)
            ))
        } else if digest != said {
            Err(format!(
                "what arrived is not what the host has (sha256 {digest}); does somebody write it?"
            ))
        } else {
            file.set_permissions(fs::Permissions::from_mode(self.mode))
                .and_then(|()| file.sync_all())
                .and_then(|()| fs::rename(&beside, &self.place))
                .map_err(|error| format!("{}: {error}", self.place.display()))
        };
        match placed {
            Ok(()) => Ok(format!("{} bytes, sha256 {digest}", self.length)),
            Err(why) => {
                let _ = fs::remove_file(&beside);
                Err(why)
            }
        }
    }
}

impl Taker for Coming {
    fn take(&mut self, pipe: Pipe, data: Vec<u8>) -> Result<(), Enough> {
        match pipe {
            _ if self.fault.is_some() => Err(Enough),
            Pipe::Err => self.errors.take(&data),
            Pipe::Out => self.write(&data),
        }
    }

    fn begun(&mut self, words: &str) -> Result<(), Enough> {
        let (size, mode) = words.split_once(' ').unwrap_or((words, ""));
        let Ok(size) = size.parse::<u64>() else {
            return self.refuse("the host does not say how large the file is");
        };
        if size > self.most {
            return self.refuse(format!(
                "it has {size} bytes, more than --max-size allows ({})",
                self.most
            ));
        }
        self.announced = Some(size);
        self.mode = permissions(mode);
        match self.open() {
            Ok(open) => {
                self.beside = Some(open);
                Ok(())
            }
            Err(error) => self.refuse(format!("{}: {error}", self.place.display())),
        }
    }
}

/// Reads permissions as `ls -l` shows them; what is none there is none here. Nobody becomes another user
/// by a file that a host gave.
fn permissions(text: &str) -> u32 {
    text.bytes()
        .skip(1)
        .take(9)
        .zip((0..9).rev())
        .filter(|(letter, _)| matches!(letter, b'r' | b'w' | b'x' | b's' | b't'))
        .map(|(_, bit)| 1 << bit)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_read() {
        let cases = [
            ("-rw-r--r--", 0o644),
            ("-rwsr-xr-t", 0o755),
            ("-rwSr-----", 0o640),
            ("-rwxrwxrwx.", 0o777),
            ("", 0),
            ("x", 0),
        ];
        for (text, wanted) in cases {
            assert_eq!(permissions(text), wanted, "{text}");
        }
    }
}
