//! Sessions on the machine that clawfleet runs on.

use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{self, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::{Instant, timeout_at};

use super::exec::{Command, Conversation, ExecEnd, ExecOutput, Reply, append_capped};
use super::{ForwardError, Session, StageClock, Stream, Transport};
use crate::model::{Host, HostOutcome, Stage};

/// Runs commands with `sh -c`, in a process group of their own.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalTransport;

impl Transport for LocalTransport {
    type Session = LocalSession;
    type Admission = ();

    async fn admit(&self, _: &Host) -> Result<(), HostOutcome> {
        Ok(())
    }

    async fn connect(
        &self,
        _: &Host,
        clock: Arc<StageClock>,
        (): (),
    ) -> Result<LocalSession, HostOutcome> {
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
        let mut conversation = command.dialogue.map(Conversation::new);
        let talk = converse(
            stdin,
            stderr,
            &command,
            &mut output.stderr,
            &mut conversation,
        );
        let out = drain(stdout, &mut output.stdout, command.stdout_cap);
        let ended = timeout_at(deadline, async {
            let (stopped, fitted) = tokio::join!(talk, out);
            if let Some(end) = stopped {
                return end;
            }
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
        if let Some(conversation) = &mut conversation {
            if matches!(end, ExecEnd::Exited(_) | ExecEnd::Signalled(_)) {
                conversation.ended(&output.stderr);
            }
            output.password_sent = conversation.password_sent;
            output.ready = conversation.ready;
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

/// Writes the input, when it is wanted, and reads the errors to their end. Returns how the command
/// is to end where the dialogue failed.
async fn converse(
    stdin: Option<ChildStdin>,
    stderr: Option<ChildStderr>,
    command: &Command<'_>,
    errors: &mut Vec<u8>,
    conversation: &mut Option<Conversation<'_>>,
) -> Option<ExecEnd> {
    let (Some(mut stdin), Some(mut stderr)) = (stdin, stderr) else {
        return None;
    };
    let Some(conversation) = conversation else {
        let feed = async move {
            // A command that does not read its input closes the pipe, which is its business.
            let _ = stdin.write_all(command.stdin.as_bytes()).await;
        };
        tokio::join!(feed, read_all(&mut stderr, errors, command.stderr_cap));
        return None;
    };
    let mut chunk = [0_u8; 1024];
    loop {
        let read = stderr.read(&mut chunk).await.unwrap_or(0);
        if read == 0 {
            return None;
        }
        let said = chunk.get(..read).unwrap_or_default();
        append_capped(errors, said, command.stderr_cap);
        match conversation.hear(said).await {
            Reply::Nothing => {}
            Reply::End(end) => return Some(end),
            Reply::Password(line) => {
                let _ = stdin.write_all(line.as_bytes()).await;
            }
            Reply::Input => break,
        }
    }
    let feed = async move {
        let _ = stdin.write_all(command.stdin.as_bytes()).await;
    };
    tokio::join!(feed, read_all(&mut stderr, errors, command.stderr_cap));
    None
}

/// Reads to the end; what does not fit is dropped.
async fn read_all(pipe: &mut ChildStderr, buffer: &mut Vec<u8>, cap: usize) {
    let mut chunk = [0_u8; 8192];
    while let Ok(read) = pipe.read(&mut chunk).await {
        if read == 0 {
            break;
        }
        append_capped(buffer, chunk.get(..read).unwrap_or_default(), cap);
    }
}

/// Reads to the end or to the cap. Returns whether all of it fitted.
async fn drain(pipe: Option<ChildStdout>, buffer: &mut Vec<u8>, cap: usize) -> bool {
    let Some(mut pipe) = pipe else { return true };
    let mut chunk = [0_u8; 8192];
    while let Ok(read) = pipe.read(&mut chunk).await {
        if read == 0 {
            break;
        }
        if !append_capped(buffer, chunk.get(..read).unwrap_or_default(), cap) {
            return false;
        }
    }
    true
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
