//! Sessions on the machine that clawfleet runs on.

use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process;
use tokio::time::{Instant, timeout_at};

use super::exec::{Command, ExecEnd, ExecOutput, append_capped};
use super::{ForwardError, Session, StageClock, Stream, Transport};
use crate::model::{Host, HostOutcome, Stage};

/// Runs commands with `sh -c`, in a process group of their own.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalTransport;

impl Transport for LocalTransport {
    type Session = LocalSession;

    async fn connect(&self, _: &Host, clock: Arc<StageClock>) -> Result<LocalSession, HostOutcome> {
        Ok(LocalSession { clock })
    }
}

/// This machine.
#[derive(Debug)]
pub struct LocalSession {
    clock: Arc<StageClock>,
}

impl Session for LocalSession {
    async fn exec(&self, command: Command<'_>, deadline: Instant) -> ExecOutput {
        self.clock.enter(Stage::Exec);
        let spawned = process::Command::new("sh")
            .arg("-c")
            .arg(command.line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                return ExecOutput::nothing(ExecEnd::Refused(format!(
                    "sh does not start: {error}"
                )));
            }
        };
        let mut output = ExecOutput::nothing(ExecEnd::TimedOut);
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A command that does not read its input closes the pipe, which is its business.
                let _ = stdin.write_all(command.stdin.as_bytes()).await;
            }
        };
        let out = drain(stdout, &mut output.stdout, command.stdout_cap, true);
        let err = drain(stderr, &mut output.stderr, command.stderr_cap, false);
        let ended = timeout_at(deadline, async {
            let ((), fitted, _) = tokio::join!(feed, out, err);
            if !fitted {
                return ExecEnd::Capped;
            }
            match child.wait().await {
                Ok(status) => match status.code() {
                    Some(code) => ExecEnd::Exited(code.unsigned_abs()),
                    None => ExecEnd::Signalled(status.to_string()),
                },
                Err(error) => ExecEnd::Lost(error.to_string()),
            }
        });
        let end = ended.await.unwrap_or(ExecEnd::TimedOut);
        if !matches!(end, ExecEnd::Exited(_)) {
            end_group(&child);
        }
        output.end = end;
        output
    }

    async fn forward(&self, address: &str, port: u16) -> Result<Stream, ForwardError> {
        match TcpStream::connect((address, port)).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                Err(ForwardError::Refused)
            }
            Err(error) => Err(ForwardError::Lost(error.to_string())),
        }
    }

    async fn close(self) {}
}

/// Reads a pipe to its end. One that overflows is left at its cap, or read on and dropped.
async fn drain<R: tokio::io::AsyncRead + Unpin>(
    pipe: Option<R>,
    buffer: &mut Vec<u8>,
    cap: usize,
    stop_at_cap: bool,
) -> bool {
    let Some(mut pipe) = pipe else { return true };
    let mut chunk = [0_u8; 8192];
    let mut fitted = true;
    while let Ok(read) = pipe.read(&mut chunk).await {
        if read == 0 {
            break;
        }
        fitted &= append_capped(buffer, chunk.get(..read).unwrap_or_default(), cap);
        if !fitted && stop_at_cap {
            return false;
        }
    }
    fitted
}

/// Ends everything that the command started.
fn end_group(child: &process::Child) {
    let group = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}
