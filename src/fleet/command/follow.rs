//! A script on a host, followed: its marks are read, all else goes to whoever takes it.

use std::io;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Input;
use crate::command::{EndMark, Marks, Part};
use crate::fleet::worker::{self, RunSecrets, Sent};
use crate::fleet::{privilege, remote};
use crate::model::{Host, HostError, HostOutcome, Stage};
use crate::probe::{self, Nonce};
use crate::ssh::{
    Dialogue, ExecEnd, ExecOutput, Follower, LiveCommand, LiveTimes, Next, Pipe, Session,
    StageClock,
};

/// Whoever takes what a command prints.
pub(super) trait Taker: Send {
    /// Takes a piece. Where it wants no more, it says so.
    fn take(&mut self, pipe: Pipe, data: Vec<u8>) -> Result<(), Enough>;

    /// Its output begins; these words came with it.
    fn begun(&mut self, words: &str) -> Result<(), Enough> {
        let _ = words;
        Ok(())
    }
}

/// The taker wants no more.
#[derive(Debug)]
pub(super) struct Enough;

/// How a script ended.
pub(super) enum Ended {
    /// It was not begun.
    NotBegun(HostOutcome),
    /// It said how.
    Said(EndMark),
    /// It had begun, or may have, and did not say.
    Silent(HostError),
}

/// What came of a script.
pub(super) struct Followed {
    pub(super) ended: Ended,
    /// Whether something that it left behind holds its output.
    pub(super) held: bool,
    /// How long it took since it began.
    pub(super) elapsed: Duration,
}

/// A script and how it is run.
pub(super) struct Run<'a> {
    pub(super) nonce: &'a Nonce,
    pub(super) script: &'a [u8],
    pub(super) input: Option<&'a Input>,
    pub(super) limit: Option<Duration>,
    pub(super) stop_after: Option<Duration>,
    pub(super) grace: Duration,
}

/// Runs a script and follows it.
pub(super) async fn follow<S: Session, T: Taker>(
    host: &Host,
    session: &S,
    clock: &StageClock,
    secrets: &RunSecrets,
    run: Run<'_>,
    (stop, leave): (&CancellationToken, &CancellationToken),
    taker: &mut T,
) -> Followed {
    let dialogue = match remote::nonce() {
        Ok(nonce) => nonce,
        Err(why) => {
            let error = HostError::new(Stage::Exec, why);
            return Followed::not_begun(HostOutcome::Failed(error));
        }
    };
    let (line, questions) = probe::shell(&host.privilege, &dialogue);
    let command = LiveCommand {
        line: &line,
        script: run.script,
        dialogue: questions.as_ref().map(|questions| Dialogue {
            begin: &questions.begin,
            prompt: &questions.prompt,
            ready: &questions.ready,
            password: secrets.become_password(host),
        }),
    };
    let times = LiveTimes {
        begin_by: Instant::now() + host.timeouts.channel + host.timeouts.auth + host.timeouts.exec,
        limit: run.limit,
        stop_after: run.stop_after,
        grace: run.grace,
    };
    let mut ear = Ear {
        taker,
        input: run.input,
        sent: 0,
        out: Marks::new(run.nonce),
        err: Marks::new(run.nonce),
        begun: None,
        end: None,
        held: false,
        stopped: false,
    };
    let followed = tokio::select! {
        output = session.follow(command, times, stop, &mut ear) => Some(output),
        // Whoever leaves waits for nobody: the end of the connection ends the command, too.
        () = leave.cancelled() => None,
    };
    ear.finish();
    let (begun, held) = (ear.begun, ear.held);
    let elapsed = begun.map(|begun| begun.elapsed()).unwrap_or_default();
    let (said, stdout_said) = (ear.err.preamble().to_vec(), ear.out.preamble().to_vec());
    let ended = match (ear.end.take(), begun, followed) {
        (Some(mark), _, _) => Ended::Said(mark),
        // A shell that has the script may begin it whenever it likes.
        (None, None, followed) if may_begin(followed.as_ref(), clock.current()) => {
            silent(session, not_heard(followed.as_ref()))
        }
        (None, None, None) => Ended::NotBegun(HostOutcome::Cancelled),
        (None, None, Some(_)) if stop.is_cancelled() => Ended::NotBegun(HostOutcome::Cancelled),
        (None, None, Some(mut output)) => {
            if output.stderr.is_empty() {
                output.stderr = if said.is_empty() { stdout_said } else { said };
            }
            let outcome = why_not_begun(host, &output, clock.current());
            Ended::NotBegun(worker::by_way(outcome, session))
        }
        (None, Some(_), followed) => silent(session, lost(followed.as_ref())),
    };
    Followed {
        ended,
        held,
        elapsed,
    }
}

impl Followed {
    pub(super) fn not_begun(outcome: HostOutcome) -> Self {
        Self {
            ended: Ended::NotBegun(outcome),
            held: false,
            elapsed: Duration::ZERO,
        }
    }
}

fn why_not_begun(host: &Host, output: &ExecOutput, stage: Stage) -> HostOutcome {
    if let Some(refused) = privilege::refused(host, output, stage) {
        return refused;
    }
    worker::nothing_came(output, stage, Sent::Script)
}

/// Whether a script that did not say that it began may do so all the same: it was sent, and nobody knows what its
/// shell does.
fn may_begin(output: Option<&ExecOutput>, stage: Stage) -> bool {
    let known = output.is_some_and(|output| {
        !matches!(
            output.end,
            ExecEnd::TimedOut | ExecEnd::Lost(_) | ExecEnd::Unfed(_)
        )
    });
    stage >= Stage::Exec && !known
}

fn not_heard(output: Option<&ExecOutput>) -> String {
    match output.map(|output| &output.end) {
        Some(ExecEnd::Lost(why)) => {
            format!(
                "the connection ended when the command was sent and nothing had come of it: {why}"
            )
        }
        Some(_) => "the command was sent, and the host's shell began nothing in time".to_owned(),
        None => "left when the command was sent and nothing had come of it".to_owned(),
    }
}

fn silent<S: Session>(session: &S, why: String) -> Ended {
    let outcome = HostOutcome::Failed(HostError::new(Stage::Exec, why));
    let error = worker::by_way(outcome, session).error().cloned();
    Ended::Silent(error.unwrap_or_else(|| HostError::new(Stage::Exec, "it was lost")))
}

fn lost(output: Option<&ExecOutput>) -> String {
    match output.map(|output| &output.end) {
        None => "left while it ran".to_owned(),
        Some(ExecEnd::TimedOut) => {
            "the host did not say in time that the command is over".to_owned()
        }
        Some(ExecEnd::Lost(why) | ExecEnd::Refused(why)) => {
            format!("the connection ended while the command ran: {why}")
        }
        Some(ExecEnd::Unfed(why)) => {
            format!("the rest of its input could not be read here: {why}")
        }
        Some(ExecEnd::Exited(code)) => {
            format!("what runs the command ended with {code} before the command did")
        }
        Some(ExecEnd::Signalled(signal)) => {
            format!("what runs the command was ended by signal {signal}")
        }
        Some(_) => "the command was cut off".to_owned(),
    }
}

/// Reads marks.
struct Ear<'a, T> {
    taker: &'a mut T,
    input: Option<&'a Input>,
    sent: u64,
    out: Marks,
    err: Marks,
    begun: Option<Instant>,
    end: Option<EndMark>,
    held: bool,
    stopped: bool,
}

impl<T: Taker> Ear<'_, T> {
    fn pass(&mut self, pipe: Pipe, data: Vec<u8>) -> Next {
        match self.taker.take(pipe, data) {
            Ok(()) => Next::GoOn,
            Err(Enough) => self.enough(),
        }
    }

    fn enough(&mut self) -> Next {
        if std::mem::replace(&mut self.stopped, true) {
            Next::GoOn
        } else {
            Next::Stop
        }
    }

    fn finish(&mut self) {
        for pipe in [Pipe::Out, Pipe::Err] {
            let held = match pipe {
                Pipe::Out => self.out.finish(),
                Pipe::Err => self.err.finish(),
            };
            if !held.is_empty() {
                self.pass(pipe, held);
            }
        }
    }
}

impl<T: Taker> Follower for Ear<'_, T> {
    fn hear(&mut self, pipe: Pipe, data: &[u8]) -> Next {
        let parts = match pipe {
            Pipe::Out => self.out.hear(data),
            Pipe::Err => self.err.hear(data),
        };
        let mut next = Next::GoOn;
        for part in parts {
            let wanted = match part {
                Part::Output(data) => self.pass(pipe, data),
                // The streams come by themselves: each must know where it begins.
                Part::Go(words) if pipe == Pipe::Out => match self.taker.begun(&words) {
                    Ok(()) => Next::GoOn,
                    Err(Enough) => self.enough(),
                },
                Part::Go(_) => {
                    self.begun = Some(Instant::now());
                    Next::Begun
                }
                Part::End(mark) if pipe == Pipe::Err => {
                    self.end.get_or_insert(mark);
                    Next::Over
                }
                // Whoever guessed the mark: it says nothing here.
                Part::End(_) => Next::GoOn,
            };
            if wanted != Next::GoOn {
                next = wanted;
            }
        }
        next
    }

    fn input(&mut self) -> io::Result<Vec<u8>> {
        let Some(input) = self.input else {
            return Ok(Vec::new());
        };
        let piece = input.piece(self.sent)?;
        self.sent += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        Ok(piece)
    }

    fn held(&mut self) {
        self.held = true;
    }
}
