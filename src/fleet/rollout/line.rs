//! A line to one host: opened when it is needed, closed and opened anew when a fresh one is wanted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::fleet::worker::{self, RunSecrets};
use crate::fleet::{privilege, remote};
use crate::model::{Become, Facts, Host, HostOutcome, Stage};
use crate::probe::{Nonce, ProbeScript};
use crate::ssh::{ExecEnd, Session, StageClock, Transport};

/// Why something could not be done on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The host was not asked: it could not be reached, or nobody let us in.
    NotAsked(String),
    /// It was asked, and nobody knows what it did.
    Lost(String),
}

impl Trouble {
    pub(super) fn into_words(self) -> String {
        match self {
            Self::NotAsked(why) | Self::Lost(why) => why,
        }
    }
}

/// A line to one host.
pub(super) struct Line<'a, T: Transport> {
    host: &'a Host,
    transport: &'a T,
    handshakes: &'a Semaphore,
    run: &'a RunSecrets,
    session: Option<(T::Session, Arc<StageClock>)>,
    /// Commands that were run.
    pub(super) commands: u32,
}

impl<'a, T: Transport> Line<'a, T> {
    pub(super) fn new(
        host: &'a Host,
        transport: &'a T,
        handshakes: &'a Semaphore,
        run: &'a RunSecrets,
    ) -> Self {
        Self {
            host,
            transport,
            handshakes,
            run,
            session: None,
            commands: 0,
        }
    }

    /// Returns how the login becomes another user.
    pub(super) fn privilege(&self) -> &'a Become {
        &self.host.privilege
    }

    /// Ends the connection, so that the next command goes over a fresh one.
    pub(super) async fn hang_up(&mut self) {
        if let Some((session, _)) = self.session.take() {
            session.close().await;
        }
    }

    async fn open(&mut self) -> Result<(&T::Session, &Arc<StageClock>), Trouble> {
        if self.session.is_none() {
            let clock = Arc::new(StageClock::start(Stage::Dns));
            let connected =
                worker::connect(self.host, self.transport, self.handshakes, &clock).await;
            match connected {
                Ok((session, _)) => self.session = Some((session, clock)),
                Err(outcome) => return Err(Trouble::NotAsked(words(&outcome))),
            }
        }
        match &self.session {
            Some((session, clock)) => Ok((session, clock)),
            None => Err(Trouble::NotAsked("there is no connection".into())),
        }
    }

    /// Runs a script that is composed with these nonces: the frames' and the dialogue's. Returns what it
    /// printed with the frames' nonce.
    pub(super) async fn run(
        &mut self,
        limit: Duration,
        compose: impl FnOnce(&Nonce, &Nonce) -> ProbeScript,
    ) -> Result<(Vec<u8>, Nonce), Trouble> {
        let nonces = remote::nonce().and_then(|frames| Ok((frames, remote::nonce()?)));
        let (nonce, dialogue) = nonces.map_err(Trouble::NotAsked)?;
        let script = compose(&nonce, &dialogue);
        let (host, run) = (self.host, self.run);
        self.commands += 1;
        let (session, clock) = self.open().await?;
        let deadline = Instant::now() + limit;
        let output = remote::run(session, &script, run.become_password(host), deadline).await;
        let said_something = output
            .stdout
            .windows(nonce.as_str().len())
            .any(|window| window == nonce.as_str().as_bytes());
        if said_something {
            if !matches!(output.end, ExecEnd::Exited(_)) {
                self.hang_up().await;
            }
            return Ok((output.stdout, nonce));
        }
        let stage = clock.current();
        let trouble = match privilege::refused(host, &output, stage) {
            Some(refused) if !output.ready => Trouble::NotAsked(words(&refused)),
            _ => match (
                &output.end,
                worker::nothing_came(&output, stage, worker::Sent::Script),
            ) {
                (ExecEnd::Refused(_), outcome) => Trouble::NotAsked(words(&outcome)),
                (_, outcome) => Trouble::Lost(words(&outcome)),
            },
        };
        self.hang_up().await;
        Err(trouble)
    }

    /// Runs the probe and asks the gateways.
    pub(super) async fn probe(&mut self) -> Result<Facts, Trouble> {
        let (host, run) = (self.host, self.run);
        self.commands += 1;
        let (session, clock) = self.open().await?;
        let deadline = Instant::now() + host.timeouts.host + host.checks_limit();
        let outcome = worker::ask(host, session, deadline, clock, run).await;
        match worker::by_way(outcome, session) {
            HostOutcome::Observed(facts) => Ok(*facts),
            other => {
                let words = words(&other);
                self.hang_up().await;
                Err(Trouble::Lost(words))
            }
        }
    }
}

fn words(outcome: &HostOutcome) -> String {
    match outcome.error() {
        Some(error) => format!("{}: {}", error.stage.id(), error.message),
        None => outcome.id().to_owned(),
    }
}
