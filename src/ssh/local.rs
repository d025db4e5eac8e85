//! Sessions on the machine that clawfleet runs on.

use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{self, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::exec::{Command, Conversation, ExecEnd, ExecOutput, Reply, append_capped};
use super::live::{Follower, LiveCommand, LiveTimes, Next, Pipe, Timers};
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
        let mut child = match spawn(command.line) {
            Ok(child) => child,
            Err(end) => return ExecOutput::nothing(end),
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
        let talked = timeout_at(deadline, async {
            let (stopped, fitted) = tokio::join!(talk, out);
            if let Some(end) = stopped {
                return end;
            }
            if !fitted {
                return ExecEnd::Capped;
            }
            ended(child.wait().await)
        });
        let end = talked.await.unwrap_or(ExecEnd::TimedOut);
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

    async fn follow<F: Follower>(
        &self,
        command: LiveCommand<'_>,
        times: LiveTimes,
        stop: &CancellationToken,
        follower: &mut F,
    ) -> ExecOutput {
        self.clock.enter(Stage::Exec);
        let mut child = match spawn(command.line) {
            Ok(child) => child,
            Err(end) => return ExecOutput::nothing(end),
        };
        let mut output = ExecOutput::nothing(ExecEnd::TimedOut);
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(mut out), Some(mut err)) = pipes else {
            return ExecOutput::nothing(ExecEnd::Refused("sh has no pipes".into()));
        };
        let mut stdin = Some(stdin);
        let mut conversation = command.dialogue.map(Conversation::new);
        let mut timers = Timers::new(times, stop);
        let mut to_write: Vec<u8> = match command.dialogue {
            Some(_) => Vec::new(),
            None => command.script.to_vec(),
        };
        let (mut out_chunk, mut err_chunk) = (vec![0_u8; PIECE], vec![0_u8; PIECE]);
        let (mut out_open, mut err_open, mut feeding) = (true, true, false);
        let end = loop {
            if feeding && to_write.is_empty() {
                match follower.input() {
                    Ok(piece) => {
                        feeding = !piece.is_empty();
                        to_write = piece;
                    }
                    Err(error) => break ExecEnd::Unfed(error.to_string()),
                }
            }
            if !out_open && !err_open {
                break ended(child.wait().await);
            }
            let writes = stdin.is_some() && !to_write.is_empty();
            let next = tokio::select! {
                written = write_some(&mut stdin, &to_write), if writes => {
                    match written {
                        Ok(written) => { to_write.drain(..written); }
                        // Who does not read its input closes it, which is its business.
                        Err(_) => { stdin = None; to_write.clear(); feeding = false; }
                    }
                    continue;
                }
                read = out.read(&mut out_chunk), if out_open => {
                    let data = out_chunk.get(..read.unwrap_or(0)).unwrap_or_default();
                    out_open = !data.is_empty();
                    timers.heard();
                    follower.hear(Pipe::Out, data)
                }
                read = err.read(&mut err_chunk), if err_open => {
                    let said = err_chunk.get(..read.unwrap_or(0)).unwrap_or_default();
                    err_open = !said.is_empty();
                    timers.heard();
                    append_capped(&mut output.stderr, said, PIECE);
                    match &mut conversation {
                        Some(conversation) if !conversation.ready => {
                            match conversation.hear(said).await {
                                Reply::Nothing => {}
                                Reply::End(end) => break end,
                                Reply::Password(line) => to_write = line.into_bytes(),
                                Reply::Input => to_write = command.script.to_vec(),
                            }
                            continue;
                        }
                        _ => follower.hear(Pipe::Err, said),
                    }
                }
                () = timers.given_up() => break ExecEnd::TimedOut,
                () = timers.wanted() => Next::Stop,
                () = timers.lingered() => {
                    follower.held();
                    break ExecEnd::Exited(0);
                }
            };
            match next {
                Next::GoOn => {}
                Next::Begun => {
                    timers.begun();
                    feeding = true;
                }
                Next::Over => timers.over(),
                Next::Stop => {
                    if timers.stop() {
                        stdin = None;
                        feeding = false;
                    }
                }
            }
        };
        drop(stdin);
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

/// How much is read at once, in bytes.
const PIECE: usize = 16 << 10;

/// Starts a command in a process group of its own.
fn spawn(line: &str) -> Result<process::Child, ExecEnd> {
    process::Command::new("sh")
        .arg("-c")
        .arg(line)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| ExecEnd::Refused(format!("sh does not start: {error}")))
}

fn ended(status: std::io::Result<std::process::ExitStatus>) -> ExecEnd {
    match status {
        Ok(status) => match status.code() {
            Some(code) => ExecEnd::Exited(code.unsigned_abs()),
            None => ExecEnd::Signalled(status.to_string()),
        },
        Err(error) => ExecEnd::Lost(error.to_string()),
    }
}

async fn write_some(stdin: &mut Option<ChildStdin>, data: &[u8]) -> std::io::Result<usize> {
    match stdin {
        Some(stdin) => stdin.write(data).await,
        None => std::future::pending().await,
    }
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
