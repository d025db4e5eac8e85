//! A program on this machine takes the alert on its standard input.

use std::collections::BTreeSet;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::net::words;
use super::outbox::Outcome;
use crate::model::{sanitize, shorten};

/// What is kept of its errors, in bytes.
const MAX_ERRORS: usize = 4 << 10;

/// How much of them is quoted, in characters.
const LONGEST_QUOTE: usize = 160;

/// How long a program's errors are waited for when it has ended: a child of its own may hold the
/// pipe for ever.
const GRACE: Duration = Duration::from_millis(200);

/// Runs it. `without` are names of variables that hold secrets of others.
pub(super) async fn send(
    argv: &[String],
    without: &BTreeSet<String>,
    id: &str,
    payload: &str,
    limit: Duration,
) -> Outcome {
    let helps =
        "look at `command`; run it by hand with the JSON of `clawfleet notify test` on its input";
    let Some((program, arguments)) = argv.split_first() else {
        return Outcome::refused("no program is named", helps);
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("CLAWFLEET_MESSAGE_ID", id)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // A group of its own, which can be ended as one, and which Ctrl-C does not reach.
        .process_group(0)
        .kill_on_drop(true);
    for name in without {
        command.env_remove(name);
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            return Outcome::refused(
                format!("{} does not start: {}", sanitize(program), words(&error)),
                helps,
            );
        }
    };
    let group = Group::of(&child);
    let ended = timeout(limit, feed(&mut child, payload)).await;
    match ended {
        Err(_) => {
            // Before it is waited for: until then its number is its own.
            group.kill();
            let _ = child.wait().await;
            Outcome::later(format!(
                "{} did not end within {} s, and was ended",
                sanitize(program),
                limit.as_secs_f32()
            ))
        }
        Ok(Err(error)) => {
            group.kill();
            let _ = child.wait().await;
            Outcome::later(format!("{}: {}", sanitize(program), words(&error)))
        }
        Ok(Ok((status, errors))) => judge(program, status, &errors, helps),
    }
}

/// The processes of a program that may have to be given up.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn kill(&self) {
        if let Some(group) = self.0 {
            // It may have ended in this very moment.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Writes the message and reads the errors until the program ends.
async fn feed(child: &mut Child, payload: &str) -> std::io::Result<(ExitStatus, Vec<u8>)> {
    let stdin = child.stdin.take();
    let stderr = child.stderr.take();
    let mut errors = Vec::new();
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program that does not read its input may be right nevertheless: its status tells.
            let _ = stdin.write_all(payload.as_bytes()).await;
            let _ = stdin.write_all(b"\n").await;
        }
    };
    let status = {
        let read = async {
            if let Some(mut stderr) = stderr {
                let mut bytes = [0; 1024];
                while let Ok(count @ 1..) = stderr.read(&mut bytes).await {
                    let room = MAX_ERRORS.saturating_sub(errors.len());
                    let read = bytes.get(..count.min(room)).unwrap_or_default();
                    errors.extend_from_slice(read);
                }
            }
        };
        let mut read = std::pin::pin!(read);
        let mut work = std::pin::pin!(async {
            let (_, status) = tokio::join!(write, child.wait());
            status
        });
        tokio::select! {
            status = &mut work => {
                let _ = timeout(GRACE, &mut read).await;
                status?
            }
            () = &mut read => work.await?,
        }
    };
    Ok((status, errors))
}

/// What a program's end means: 0 is delivered. What cannot work (64, 65, 77, 78 of sysexits(3), and
/// the shell's 126 and 127) is given up, everything else may pass.
fn judge(program: &str, status: ExitStatus, errors: &[u8], helps: &str) -> Outcome {
    if status.success() {
        return Outcome::Delivered { note: None };
    }
    let text = String::from_utf8_lossy(errors);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    let said = last.map_or_else(String::new, |line| {
        format!(": {}", shorten(&sanitize(line), LONGEST_QUOTE))
    });
    let why = format!("{} failed, {status}{said}", sanitize(program));
    match status.code() {
        Some(64 | 65 | 77 | 78 | 126 | 127) => Outcome::refused(why, helps),
        _ => Outcome::later(why),
    }
}
