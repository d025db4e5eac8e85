//! One host's command: connected, run, followed; tried again where that is wanted.

use std::sync::Arc;
use std::time::Duration;

use super::capture::{Capture, Spill};
use super::follow::{Ended, Enough, Followed, Run, Taker, follow};
use super::{Deed, Order, Retry, Task, Tell, files, not_reached, nothing};
use crate::command::RunScript;
use crate::fleet::remote;
use crate::fleet::worker::{self, AnyTransport, RunSecrets};
use crate::model::{CommandEnd, CommandResult, HostError, HostOutcome, Stage, TransportKind};
use crate::ssh::{Pipe, Session, StageClock, Transport};

/// How much longer than the host's own watch the controller waits.
pub(super) const MARGIN: Duration = Duration::from_secs(10);

/// What the work on one host has at hand.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) task: &'a Task,
    pub(super) clock: &'a Arc<StageClock>,
    pub(super) secrets: &'a RunSecrets,
    pub(super) spill: &'a Arc<Spill>,
}

/// Does what is wanted on one host.
pub(super) async fn run(
    deed: &Deed,
    retry: Retry,
    transport: &AnyTransport,
    secrets: &RunSecrets,
    spill: &Arc<Spill>,
    task: Task,
) -> CommandResult {
    let mut tries = 0;
    loop {
        tries += 1;
        // Stages never go back: each try has its own.
        let clock = match tries {
            1 => Arc::clone(&task.clock),
            _ => Arc::new(StageClock::start(Stage::Dns)),
        };
        let at = At {
            task: &task,
            clock: &clock,
            secrets,
            spill,
        };
        let mut result = match task.host.transport {
            TransportKind::Ssh => once(deed, &transport.ssh, at).await,
            TransportKind::Local => once(deed, &transport.local, at).await,
        };
        result.tries = tries;
        task.host.name.clone_into(&mut result.host);
        let again = match &result.end {
            CommandEnd::NotReached(outcome) => may_pass(outcome),
            CommandEnd::Exited(code) => retry.failed && *code != 0,
            CommandEnd::TimedOut { ended } => retry.failed && *ended,
            _ => false,
        };
        if !again || tries > retry.times || task.stop.is_cancelled() {
            tracing::debug!(host = %task.host.name, end = result.end.id(), tries, "done");
            return result;
        }
        let pause = Duration::from_secs(1 << (tries - 1).min(4));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = task.stop.cancelled() => return result,
        }
    }
}

/// Whether a host may be reached the next time. A login that was refused is not tried again, so that no
/// account is locked, and a wrong key does not become right.
fn may_pass(outcome: &HostOutcome) -> bool {
    match outcome {
        HostOutcome::Unreachable(_) => true,
        HostOutcome::TimedOut(error) | HostOutcome::Failed(error) => error.stage < Stage::Become,
        _ => false,
    }
}

async fn once<T: Transport>(deed: &Deed, transport: &T, at: At<'_>) -> CommandResult {
    let At {
        task, clock, spill, ..
    } = at;
    let host = &task.host;
    // Who is asked to stop while a host is connected to has nothing there to end.
    let connected = tokio::select! {
        connected = worker::connect(host, transport, &task.handshakes, clock) => connected,
        () = task.stop.cancelled() => Err(HostOutcome::Cancelled),
    };
    let session = match connected {
        Ok((session, _)) => session,
        Err(outcome) => {
            return CommandResult {
                end: not_reached(outcome),
                ..nothing(spill)
            };
        }
    };
    let result = match deed {
        Deed::Run(order) => command(order, &session, at).await,
        Deed::Send(delivery) => files::send(delivery, &session, at).await,
        Deed::Fetch(fetch) => files::fetch(fetch, &session, at).await,
    };
    if !task.leave.is_cancelled() {
        session.close().await;
    }
    result
}

/// Runs a command.
async fn command<S: Session>(order: &Order, session: &S, at: At<'_>) -> CommandResult {
    let At {
        task,
        clock,
        secrets,
        spill,
    } = at;
    let nonces = remote::nonce().and_then(|nonce| Ok((nonce, remote::nonce()?)));
    let (nonce, cookie) = match nonces {
        Ok(nonces) => nonces,
        Err(why) => {
            let error = HostError::new(Stage::Exec, why);
            return CommandResult {
                end: CommandEnd::NotReached(HostOutcome::Failed(error)),
                ..nothing(spill)
            };
        }
    };
    let script = RunScript {
        nonce: &nonce,
        cookie: &cookie,
        body: &order.body,
        environment: &order.environment,
        limit_s: order.limit.map(whole_seconds),
        grace_s: whole_seconds(order.grace),
        input: order.input.as_ref().map(|input| input.length),
    }
    .compose();
    let mut taking = Taking {
        index: task.index,
        stdout: Capture::new(spill),
        stderr: Capture::new(spill),
        left: order.most,
        told: order.tell.as_ref(),
        fault: None,
        too_much: false,
    };
    let run = Run {
        nonce: &nonce,
        script: &script,
        input: order.input.as_ref(),
        limit: order.limit.map(|limit| limit + order.grace + MARGIN),
        stop_after: None,
        grace: order.grace + MARGIN,
    };
    let followed = follow(
        &task.host,
        session,
        clock,
        secrets,
        run,
        (&task.stop, &task.leave),
        &mut taking,
    )
    .await;
    taking.result(followed, task, order)
}

/// Rounded up: no command has less time than it was given.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Takes what a command prints.
struct Taking<'a> {
    index: usize,
    stdout: Capture,
    stderr: Capture,
    /// How much more it may print, in bytes.
    left: u64,
    told: Option<&'a Tell>,
    /// Why an output could not be kept.
    fault: Option<String>,
    too_much: bool,
}

impl Taker for Taking<'_> {
    fn take(&mut self, pipe: Pipe, mut data: Vec<u8>) -> Result<(), Enough> {
        if self.fault.is_some() || self.too_much {
            return Err(Enough);
        }
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        if length > self.left {
            self.too_much = true;
            data.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        }
        self.left = self.left.saturating_sub(length);
        let capture = match pipe {
            Pipe::Out => &mut self.stdout,
            Pipe::Err => &mut self.stderr,
        };
        if let Err(error) = capture.take(&data) {
            self.fault = Some(format!("its output could not be kept here: {error}"));
        }
        if let Some(told) = self.told {
            told(self.index, pipe == Pipe::Err, &data);
        }
        if self.too_much || self.fault.is_some() {
            return Err(Enough);
        }
        Ok(())
    }
}

impl Taking<'_> {
    fn result(self, followed: Followed, task: &Task, order: &Order) -> CommandResult {
        let (too_much, stopped) = (
            self.too_much || self.fault.is_some(),
            task.stop.is_cancelled(),
        );
        let end = match followed.ended {
            Ended::NotBegun(outcome) => not_reached(outcome),
            Ended::Silent(_) if stopped => CommandEnd::Stopped { ended: false },
            Ended::Silent(_) if too_much => CommandEnd::TooMuch { ended: false },
            Ended::Silent(error) => CommandEnd::Lost(error),
            Ended::Said(mark) => match (mark.how.as_str(), mark.rest.parse::<u32>()) {
                // It may have ended by itself while more than was wanted was still on its way.
                ("exit", Ok(_)) if self.too_much => CommandEnd::TooMuch { ended: true },
                ("exit", Ok(code)) => match &self.fault {
                    // What it ended with is known, and what it said is not: that is no success.
                    Some(fault) => CommandEnd::Lost(HostError::new(
                        Stage::Exec,
                        format!("it ended with {code}, and {fault}"),
                    )),
                    None => CommandEnd::Exited(code),
                },
                ("timeout", _) => CommandEnd::TimedOut { ended: true },
                ("stopped", _) if too_much => CommandEnd::TooMuch { ended: true },
                ("stopped", _) => CommandEnd::Stopped { ended: true },
                ("unended", _) if too_much => CommandEnd::TooMuch { ended: false },
                ("unended", _) if stopped => CommandEnd::Stopped { ended: false },
                ("unended", _) => CommandEnd::TimedOut { ended: false },
                (how, _) => CommandEnd::Lost(HostError::new(
                    Stage::Parse,
                    format!("the host said `{how}`, which means nothing here"),
                )),
            },
        };
        let note = match (self.fault, followed.held) {
            (Some(fault), _) => Some(fault),
            (None, true) => Some("something that it left running holds its output open; what that prints later is not here".to_owned()),
            (None, false) if too_much => Some(format!(
                "it printed more than {} bytes (--max-output) and was ended",
                order.most
            )),
            (None, false) => None,
        };
        CommandResult {
            host: task.host.name.clone(),
            end,
            stdout: self.stdout.finish(),
            stderr: self.stderr.finish(),
            elapsed_ms: u64::try_from(followed.elapsed.as_millis()).unwrap_or(u64::MAX),
            tries: 1,
            note,
        }
    }
}
