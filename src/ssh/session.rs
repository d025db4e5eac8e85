//! Sessions over SSH.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelOpenFailure, ChannelWriteHalf};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::connect::Link;
use super::exec::{Command, Conversation, Dialogue, ExecEnd, ExecOutput, Reply, append_capped};
use super::live::{Follower, LiveCommand, LiveTimes, Next, Pipe, Timers};
use super::{ForwardError, LostJump, Session, StageClock, Stream, words};
use crate::model::{Host, Route, SshSettings, Stage};

/// How much is kept of what a followed command says on standard error before it begins, in bytes.
const SAID: usize = 16 << 10;

/// A logged-in SSH connection.
pub struct SshSession {
    link: Link,
    /// The jump host that carries it.
    jump: Option<(Arc<Link>, Arc<SshSettings>)>,
    clock: Arc<StageClock>,
    channel_timeout: Duration,
    become_timeout: Duration,
    environment: Vec<(String, String)>,
}

impl SshSession {
    pub(super) fn new(
        link: Link,
        jump: Option<Arc<Link>>,
        clock: Arc<StageClock>,
        host: &Host,
    ) -> Self {
        let jump = match (&host.ssh.route, jump) {
            (Route::Jump(settings), Some(link)) => Some((link, Arc::clone(settings))),
            _ => None,
        };
        Self {
            link,
            jump,
            clock,
            channel_timeout: host.timeouts.channel,
            become_timeout: host.timeouts.auth,
            environment: host.ssh.environment.clone(),
        }
    }

    fn lost(&self, fallback: &str) -> String {
        self.link.goodbye().unwrap_or_else(|| fallback.to_owned())
    }

    async fn open(&self) -> Result<Channel<Msg>, ExecEnd> {
        let open = self.link.handle.channel_open_session();
        match timeout(self.channel_timeout, open).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => Err(ExecEnd::Refused(format!(
                "the server opens no session channel: {reason:?}"
            ))),
            Ok(Err(error)) => Err(ExecEnd::Lost(self.lost(&error.to_string()))),
            Err(_) => Err(ExecEnd::TimedOut),
        }
    }

    /// Starts a command.
    async fn start(&self, to_host: &ChannelWriteHalf<Msg>, line: &str) -> Result<(), russh::Error> {
        for (name, value) in &self.environment {
            to_host
                .set_env(false, name.as_str(), value.as_str())
                .await?;
        }
        to_host.exec(true, line).await
    }

    /// Starts a command and sends what it may have at once.
    async fn begin(
        &self,
        to_host: &ChannelWriteHalf<Msg>,
        command: &Command<'_>,
    ) -> Result<(), russh::Error> {
        self.start(to_host, command.line).await?;
        if command.dialogue.is_some() {
            return Ok(());
        }
        send_input(to_host, command).await
    }
}

async fn send_input(
    to_host: &ChannelWriteHalf<Msg>,
    command: &Command<'_>,
) -> Result<(), russh::Error> {
    to_host.data_bytes(command.stdin.to_owned()).await?;
    to_host.eof().await
}

/// A command whose output is being read.
struct Running<'a> {
    command: Command<'a>,
    heard: Heard<'a>,
}

impl Running<'_> {
    async fn hear(&mut self, message: ChannelMsg) -> Reply {
        match message {
            ChannelMsg::Data { data } => {
                let cap = self.command.stdout_cap;
                if !append_capped(&mut self.heard.output.stdout, &data, cap) {
                    return Reply::End(ExecEnd::Capped);
                }
            }
            ChannelMsg::ExtendedData { data, .. } => {
                append_capped(
                    &mut self.heard.output.stderr,
                    &data,
                    self.command.stderr_cap,
                );
                if let Some(conversation) = &mut self.heard.conversation {
                    return conversation.hear(&data).await;
                }
            }
            ChannelMsg::ExitStatus { exit_status } => {
                self.heard.end = Some(ExecEnd::Exited(exit_status));
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                self.heard.end = Some(ExecEnd::Signalled(format!("{signal_name:?}")));
            }
            ChannelMsg::Failure => {
                return Reply::End(ExecEnd::Refused(
                    "the server refused to run a command".into(),
                ));
            }
            // Neither the end of the output nor success is the end of the command.
            _ => {}
        }
        Reply::Nothing
    }
}

/// What a command said so far, and the dialogue with it.
struct Heard<'a> {
    conversation: Option<Conversation<'a>>,
    output: ExecOutput,
    end: Option<ExecEnd>,
}

impl<'a> Heard<'a> {
    fn new(dialogue: Option<Dialogue<'a>>) -> Self {
        Self {
            conversation: dialogue.map(Conversation::new),
            output: ExecOutput::nothing(ExecEnd::TimedOut),
            end: None,
        }
    }

    /// Takes a message. `Err` has what the dialogue wants sent.
    async fn hear<F: Follower>(
        &mut self,
        message: ChannelMsg,
        follower: &mut F,
    ) -> Result<Next, Reply> {
        match message {
            ChannelMsg::Data { data } => Ok(follower.hear(Pipe::Out, &data)),
            ChannelMsg::ExtendedData { data, .. } => {
                if let Some(conversation) = &mut self.conversation
                    && !conversation.ready
                {
                    append_capped(&mut self.output.stderr, &data, SAID);
                    match conversation.hear(&data).await {
                        Reply::Nothing => {}
                        other => return Err(other),
                    }
                } else if self.output.stderr.len() < SAID {
                    append_capped(&mut self.output.stderr, &data, SAID);
                }
                Ok(follower.hear(Pipe::Err, &data))
            }
            ChannelMsg::ExitStatus { exit_status } => {
                self.end = Some(ExecEnd::Exited(exit_status));
                Ok(Next::Over)
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                self.end = Some(ExecEnd::Signalled(format!("{signal_name:?}")));
                Ok(Next::Over)
            }
            ChannelMsg::Failure => Err(Reply::End(ExecEnd::Refused(
                "the server refused to run a command".into(),
            ))),
            _ => Ok(Next::GoOn),
        }
    }

    /// Whether the other user does not run yet.
    fn is_asked(&self) -> bool {
        self.conversation
            .as_ref()
            .is_some_and(|conversation| !conversation.ready)
    }

    fn finish(mut self, end: ExecEnd) -> ExecOutput {
        if let Some(conversation) = &mut self.conversation {
            if matches!(end, ExecEnd::Exited(_) | ExecEnd::Signalled(_)) {
                conversation.ended(&self.output.stderr);
            }
            self.output.password_sent = conversation.password_sent;
            self.output.ready = conversation.ready;
        }
        self.output.end = end;
        self.output
    }
}

impl Session for SshSession {
    async fn exec(&self, command: Command<'_>, deadline: Instant) -> ExecOutput {
        self.clock.enter(Stage::Channel);
        let channel = match self.open().await {
            Ok(channel) => channel,
            Err(end) => return ExecOutput::nothing(end),
        };
        self.clock.enter(match command.dialogue {
            Some(_) => Stage::Become,
            None => Stage::Exec,
        });
        let (mut from_host, to_host) = channel.split();
        let mut running = Running {
            command,
            heard: Heard::new(command.dialogue),
        };
        // A question that nobody answers is no reason to wait as long as for a probe.
        let become_by = Instant::now() + self.become_timeout;
        let talk = async {
            // Input and output flow at once: writing without reading stalls both on full windows.
            let mut writing: Writing<'_> = Box::pin(self.begin(&to_host, &command));
            let mut busy = true;
            loop {
                let message = tokio::select! {
                    written = &mut writing, if busy => {
                        busy = false;
                        if let Err(error) = written {
                            tracing::debug!(%error, "writing to the channel");
                        }
                        continue;
                    }
                    message = from_host.wait() => message,
                    () = sleep_until(become_by), if running.heard.is_asked() => {
                        return ExecEnd::TimedOut;
                    }
                };
                let reply = match message {
                    None | Some(ChannelMsg::Close) => {
                        return running.heard.end.take().unwrap_or_else(|| {
                            ExecEnd::Lost(self.lost("the channel closed without an exit status"))
                        });
                    }
                    Some(message) => running.hear(message).await,
                };
                match reply {
                    Reply::Nothing => continue,
                    Reply::End(end) => return end,
                    Reply::Password(line) => writing = Box::pin(to_host.data_bytes(line)),
                    Reply::Input => {
                        self.clock.enter(Stage::Exec);
                        writing = Box::pin(send_input(&to_host, &command));
                    }
                }
                busy = true;
            }
        };
        let end = timeout_at(deadline, talk).await;
        running.heard.finish(end.unwrap_or(ExecEnd::TimedOut))
    }

    async fn follow<F: Follower>(
        &self,
        command: LiveCommand<'_>,
        times: LiveTimes,
        stop: &CancellationToken,
        follower: &mut F,
    ) -> ExecOutput {
        self.clock.enter(Stage::Channel);
        let channel = match self.open().await {
            Ok(channel) => channel,
            Err(end) => return ExecOutput::nothing(end),
        };
        self.clock.enter(match command.dialogue {
            Some(_) => Stage::Become,
            None => Stage::Exec,
        });
        let (mut from_host, to_host) = channel.split();
        let mut heard = Heard::new(command.dialogue);
        let become_by = Instant::now() + self.become_timeout;
        let mut timers = Timers::new(times, stop);
        let script = || to_host.data_bytes(command.script.to_vec());
        let mut writing: Writing<'_> = Box::pin(async {
            self.start(&to_host, command.line).await?;
            match command.dialogue {
                Some(_) => Ok(()),
                None => script().await,
            }
        });
        let mut busy = true;
        // Whether there may be more input; it is read when the piece before it is sent.
        let mut feeding = false;
        let end = loop {
            if feeding && !busy {
                match follower.input() {
                    Ok(piece) if piece.is_empty() => feeding = false,
                    Ok(piece) => {
                        writing = Box::pin(to_host.data_bytes(piece));
                        busy = true;
                    }
                    Err(error) => break ExecEnd::Unfed(error.to_string()),
                }
            }
            let next = tokio::select! {
                written = &mut writing, if busy => {
                    busy = false;
                    if let Err(error) = written {
                        tracing::debug!(%error, "writing to the channel");
                        feeding = false;
                    }
                    continue;
                }
                message = from_host.wait() => match message {
                    None | Some(ChannelMsg::Close) => {
                        break heard.end.take().unwrap_or_else(|| {
                            ExecEnd::Lost(self.lost("the connection ended before the command did"))
                        });
                    }
                    Some(message) => {
                        timers.heard();
                        match heard.hear(message, follower).await {
                        Ok(next) => next,
                        Err(Reply::End(end)) => break end,
                        Err(Reply::Password(line)) => {
                            writing = Box::pin(to_host.data_bytes(line));
                            busy = true;
                            continue;
                        }
                        Err(Reply::Input) => {
                            self.clock.enter(Stage::Exec);
                            writing = Box::pin(script());
                            busy = true;
                            continue;
                        }
                        Err(Reply::Nothing) => continue,
                    }
                    }
                },
                () = sleep_until(become_by), if heard.is_asked() => break ExecEnd::TimedOut,
                () = timers.given_up() => break ExecEnd::TimedOut,
                () = timers.wanted() => Next::Stop,
                () = timers.lingered() => {
                    follower.held();
                    break heard.end.take().unwrap_or(ExecEnd::Exited(0));
                }
            };
            match next {
                Next::GoOn => {}
                Next::Begun => {
                    self.clock.enter(Stage::Exec);
                    timers.begun();
                    feeding = true;
                }
                // What it left running may hold its output for ever.
                Next::Over => timers.over(),
                Next::Stop => {
                    if timers.stop() {
                        feeding = false;
                        writing = Box::pin(to_host.eof());
                        busy = true;
                    }
                }
            }
        };
        drop(writing);
        // The host's side of it ends with the channel, also where the connection lives on.
        let _ = timeout(Duration::from_millis(200), to_host.close()).await;
        heard.finish(end)
    }

    async fn forward(&self, address: &str, port: u16) -> Result<Stream, ForwardError> {
        let open =
            self.link
                .handle
                .channel_open_direct_tcpip(address, u32::from(port), "127.0.0.1", 0);
        match timeout(self.channel_timeout, open).await {
            Ok(Ok(channel)) => Ok(Box::new(channel.into_stream())),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => Err(match reason {
                ChannelOpenFailure::ConnectFailed => ForwardError::Refused,
                other => ForwardError::Forbidden(format!("{other:?}")),
            }),
            Ok(Err(error)) => Err(ForwardError::Lost(self.lost(&error.to_string()))),
            Err(_) => Err(ForwardError::Lost(
                "the channel was not opened in time".into(),
            )),
        }
    }

    fn lost_jump(&self) -> Option<LostJump> {
        let (link, settings) = self.jump.as_ref()?;
        link.handle.is_closed().then(|| LostJump {
            name: settings.name.clone(),
            words: words::lost_jump(settings, link),
        })
    }

    async fn close(self) {
        self.link.close().await;
    }
}

/// What is being written.
type Writing<'a> = Pin<Box<dyn Future<Output = Result<(), russh::Error>> + Send + 'a>>;
