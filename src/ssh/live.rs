//! A command that is followed while it runs: what it prints goes piece by piece to whoever takes it,
//! and its input comes from there.

use std::io;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::exec::Dialogue;

/// What is run.
#[derive(Debug, Clone, Copy)]
pub struct LiveCommand<'a> {
    /// The command line, for the login's shell.
    pub line: &'a str,
    /// The script for its standard input. The input stays open after it: its end tells the script
    /// that nobody is there any more.
    pub script: &'a [u8],
    /// What is said before the script may be sent, where the command becomes another user first.
    pub dialogue: Option<Dialogue<'a>>,
}

/// Where a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pipe {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What is to be done after a piece of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    GoOn,
    /// The command has begun; its input may be sent.
    Begun,
    /// It is over, whatever still holds its output.
    Over,
    /// It is to be stopped.
    Stop,
}

/// Whoever follows a command.
pub trait Follower: Send {
    /// Takes a piece of what it printed.
    fn hear(&mut self, pipe: Pipe, data: &[u8]) -> Next;

    /// Returns the next piece of its input; nothing where all is sent.
    ///
    /// # Errors
    /// It cannot be read.
    fn input(&mut self) -> io::Result<Vec<u8>>;

    /// Takes note that the command is over, and something that it left behind holds its output open.
    fn held(&mut self) {}
}

/// How long a command that is over may be silent until nobody waits for more of its output, and how
/// long that may take in all.
const LINGER: Duration = Duration::from_secs(3);
const LINGER_IN_ALL: Duration = Duration::from_secs(30);

/// When a command is given up.
#[derive(Debug, Clone, Copy)]
pub struct LiveTimes {
    /// It must have begun by then.
    pub begin_by: Instant,
    /// It must have ended so long after it began; `None` where it may run for ever.
    pub limit: Option<Duration>,
    /// It is told to stop so long after it began; `None` where it has a watch of its own.
    pub stop_after: Option<Duration>,
    /// Once it was told to stop it has so long.
    pub grace: Duration,
}

/// The timers of a command that is followed.
pub(super) struct Timers<'a> {
    grace: Duration,
    limit: Option<Duration>,
    stop_after: Option<Duration>,
    stop_at: Option<Instant>,
    end_by: Option<Instant>,
    stop: &'a CancellationToken,
    stopped: bool,
    over: Option<Instant>,
    silent_since: Option<Instant>,
}

impl<'a> Timers<'a> {
    pub(super) fn new(times: LiveTimes, stop: &'a CancellationToken) -> Self {
        Self {
            grace: times.grace,
            limit: times.limit,
            stop_after: times.stop_after,
            stop_at: None,
            end_by: Some(times.begin_by),
            stop,
            stopped: false,
            over: None,
            silent_since: None,
        }
    }

    /// The command is over; what is on its way may still come.
    pub(super) fn over(&mut self) {
        let now = Instant::now();
        self.over.get_or_insert(now);
        self.silent_since = Some(now);
    }

    /// Something came.
    pub(super) fn heard(&mut self) {
        if self.over.is_some() {
            self.silent_since = Some(Instant::now());
        }
    }

    /// Waits until nobody waits any longer for the output of a command that is over.
    pub(super) async fn lingered(&self) {
        match (self.over, self.silent_since) {
            (Some(over), Some(silent)) => {
                let until = (silent + LINGER).min(over + LINGER_IN_ALL);
                tokio::time::sleep_until(until).await;
            }
            _ => std::future::pending().await,
        }
    }

    /// The command has begun.
    pub(super) fn begun(&mut self) {
        if !self.stopped {
            self.end_by = self.limit.map(|limit| Instant::now() + limit);
            self.stop_at = self.stop_after.map(|time| Instant::now() + time);
        }
    }

    /// The command is told to stop. Returns whether it was not before.
    pub(super) fn stop(&mut self) -> bool {
        if !self.stopped {
            self.end_by = Some(Instant::now() + self.grace);
        }
        !std::mem::replace(&mut self.stopped, true)
    }

    /// Waits until somebody wants it stopped, who did not before, or its time to be stopped has come.
    pub(super) async fn wanted(&self) {
        if self.stopped {
            std::future::pending::<()>().await;
        }
        let in_time = async {
            match self.stop_at {
                Some(stop_at) => tokio::time::sleep_until(stop_at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = in_time => {}
        }
    }

    /// Waits until it is given up.
    pub(super) async fn given_up(&self) {
        match self.end_by {
            Some(end_by) => tokio::time::sleep_until(end_by).await,
            None => std::future::pending().await,
        }
    }
}
