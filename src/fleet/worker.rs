//! One host's life: a permit, one connection, one probe and one HTTP question, an observation.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::http::{self, Door};
use super::{privilege, remote};
use crate::model::{
    Facts, Host, HostError, HostObservation, HostOutcome, Secrets, Stage, TransportKind,
};
use crate::probe::{self, ProbeRequest};
use crate::ssh::{
    ExecEnd, ExecOutput, LocalTransport, LoginPassword, Passwords, Session, SshTransport,
    StageClock, Transport,
};

/// The transports of a run.
#[derive(Debug)]
pub struct AnyTransport {
    /// For hosts over SSH.
    pub ssh: SshTransport,
    /// For this machine.
    pub local: LocalTransport,
}

/// What only this run knows.
#[derive(Debug)]
pub struct RunSecrets {
    /// The key of digests that are compared between hosts.
    pub(super) digest_key: String,
    /// The gateways' tokens.
    pub(super) tokens: Secrets,
    /// What sudo and su may ask for.
    pub(super) passwords: Arc<Passwords>,
}

impl RunSecrets {
    /// Returns what sudo or su may be told on a host.
    pub(super) fn become_password(&self, host: &Host) -> Option<&LoginPassword> {
        let source = host.privilege.password.as_ref()?;
        self.passwords.of(source).map(AsRef::as_ref)
    }

    /// Keeps the gateways' tokens, and what sudo and su may ask for.
    pub fn new(tokens: Secrets, passwords: Arc<Passwords>) -> Self {
        Self {
            digest_key: remote::digest_key(),
            tokens,
            passwords,
        }
    }
}

/// What is done on a host after it was probed, over the same connection.
pub(super) trait Errand: Send + Sync {
    /// What comes of it.
    type Found: Default + Send + 'static;

    /// Does it.
    fn go<S: Session>(
        &self,
        host: &Host,
        session: &S,
        facts: &Facts,
        run: &RunSecrets,
    ) -> impl Future<Output = Self::Found> + Send;
}

/// Nothing more.
pub(super) struct NoErrand;

impl Errand for NoErrand {
    type Found = ();

    async fn go<S: Session>(&self, _: &Host, _: &S, _: &Facts, _: &RunSecrets) {}
}

/// Observes one host, and does an errand where all of it was seen.
pub(super) async fn observe<E: Errand>(
    host: Arc<Host>,
    transport: Arc<AnyTransport>,
    handshakes: Arc<Semaphore>,
    clock: Arc<StageClock>,
    run: Arc<RunSecrets>,
    errand: Arc<E>,
) -> (HostObservation, E::Found) {
    let begin = Instant::now();
    let way = (handshakes.as_ref(), &clock);
    let (outcome, found) = match host.transport {
        TransportKind::Ssh => reach(&host, &transport.ssh, way, &run, errand.as_ref()).await,
        TransportKind::Local => reach(&host, &transport.local, way, &run, errand.as_ref()).await,
    };
    tracing::debug!(host = %host.name, outcome = outcome.id(), elapsed = ?begin.elapsed(), "done");
    let observation = HostObservation {
        outcome,
        stages: clock.times(),
        elapsed: begin.elapsed(),
    };
    (observation, found)
}

async fn reach<T: Transport, E: Errand>(
    host: &Host,
    transport: &T,
    (handshakes, clock): (&Semaphore, &Arc<StageClock>),
    run: &RunSecrets,
    errand: &E,
) -> (HostOutcome, E::Found) {
    let (session, deadline) = match connect(host, transport, handshakes, clock).await {
        Ok(connected) => connected,
        Err(outcome) => return (outcome, E::Found::default()),
    };
    // The operator's own checks have a time of their own, on top of the host's.
    let deadline = deadline + host.checks_limit();
    let outcome = by_way(ask(host, &session, deadline, clock, run).await, &session);
    let found = match &outcome {
        HostOutcome::Observed(facts) => errand.go(host, &session, facts, run).await,
        _ => E::Found::default(),
    };
    session.close().await;
    (outcome, found)
}

/// Connects to a host and logs in. Returns until when the host's own time lasts.
pub(super) async fn connect<T: Transport>(
    host: &Host,
    transport: &T,
    handshakes: &Semaphore,
    clock: &Arc<StageClock>,
) -> Result<(T::Session, Instant), HostOutcome> {
    let admission = transport.admit(host).await?;
    let permit = handshakes.acquire().await;
    clock.restart();
    let deadline = Instant::now() + host.timeouts.host;
    let connect = transport.connect(host, Arc::clone(clock), admission);
    let connected = timeout_at(deadline, connect).await;
    drop(permit);
    match connected {
        Ok(Ok(session)) => Ok((session, deadline)),
        Ok(Err(outcome)) => Err(outcome),
        Err(_) => {
            let stage = clock.current();
            clock.enter(Stage::Deadline);
            Err(HostOutcome::TimedOut(HostError::new(
                Stage::Deadline,
                format!(
                    "no result within {:?}; it was in stage {}",
                    host.timeouts.host,
                    stage.id()
                ),
            )))
        }
    }
}

/// The probe and the HTTP questions travel at once on the same connection. Gateways that only the
/// probe found are asked after it.
pub(super) async fn ask<S: Session>(
    host: &Host,
    session: &S,
    deadline: Instant,
    clock: &StageClock,
    run: &RunSecrets,
) -> HostOutcome {
    let (nonce, dialogue) = match (remote::nonce(), remote::nonce()) {
        (Ok(nonce), Ok(dialogue)) => (nonce, dialogue),
        (Err(why), _) | (_, Err(why)) => {
            return HostOutcome::Failed(HostError::new(Stage::Exec, why));
        }
    };
    let script = probe::probe_script(ProbeRequest {
        host,
        nonce: &nonce,
        dialogue: &dialogue,
        digest_key: &run.digest_key,
        use_ss: true,
    });
    let limit = host.timeouts.exec + host.checks_limit() + remote::WATCHDOG_MARGIN;
    let exec_deadline = deadline.min(Instant::now() + limit);
    let asked_at = jiff::Timestamp::now();
    let door = |port: u16| Door {
        session,
        host,
        port,
        deadline,
    };
    let named = join_all(host.services().map(|service| async {
        let asked = door(service.port).ask(http::LOOPBACK).await;
        (service.port, asked)
    }));
    let probe = async {
        let password = run.become_password(host);
        let output = remote::run(session, &script, password, exec_deadline).await;
        (output, jiff::Timestamp::now())
    };
    let ((output, answered_at), named) = tokio::join!(probe, named);
    let stage = clock.current();
    let text = String::from_utf8_lossy(&output.stdout);
    let frames = probe::split(&text, &nonce);
    if frames.frames.is_empty() {
        return privilege::refused(host, &output, stage)
            .unwrap_or_else(|| nothing_came(&output, stage, Sent::Probe));
    }
    let services: Vec<_> = host.services().collect();
    let mut facts = probe::parse(&frames, &services);
    facts.system.clock_ahead_s = facts
        .system
        .clock_s
        .and_then(|clock_s| ahead(clock_s, asked_at, answered_at));
    let mut named: HashMap<u16, http::Asked> = named.into_iter().collect();
    let answers = join_all(facts.gateways.iter().map(|gateway| {
        let asked = named.remove(&gateway.port);
        async move {
            let door = door(gateway.port);
            let asked = match asked {
                Some(asked) => asked,
                None => door.ask(http::LOOPBACK).await,
            };
            door.settle(gateway, asked, &run.tokens).await
        }
    }))
    .await;
    for (gateway, answer) in facts.gateways.iter_mut().zip(answers) {
        gateway.http = answer;
    }
    clock.enter(Stage::Parse);
    // A check of the operator's that never ends is that check's failure, not the host's.
    // A connection that was lost meanwhile is the host's.
    let lost = matches!(output.end, ExecEnd::Lost(_)) && !frames.ended;
    if frames.is_whole() && !lost {
        HostOutcome::Observed(Box::new(facts))
    } else {
        partial(facts, &output)
    }
}

/// Names the jump host whose loss ended a session, where that is why.
pub(super) fn by_way<S: Session>(outcome: HostOutcome, session: &S) -> HostOutcome {
    let Some(jump) = session.lost_jump() else {
        return outcome;
    };
    let behind = |error: HostError| HostError {
        message: jump.words.clone(),
        via: Some(jump.name.clone()),
        ..error
    };
    match outcome {
        HostOutcome::Partial(facts, error) => HostOutcome::Partial(facts, behind(error)),
        HostOutcome::Failed(error) => HostOutcome::Failed(behind(error)),
        other => other,
    }
}

/// How far a clock is outside of the time in which it was read: 0 within it.
fn ahead(clock_s: u64, asked_at: jiff::Timestamp, answered_at: jiff::Timestamp) -> Option<i64> {
    let clock_s = i64::try_from(clock_s).ok()?;
    let (begin, end) = (asked_at.as_second(), answered_at.as_second());
    Some(if clock_s < begin {
        clock_s.saturating_sub(begin)
    } else {
        clock_s.saturating_sub(end).max(0)
    })
}

/// What is sent to a host's shell, in the words of those who asked for it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sent {
    /// The probe.
    Probe,
    /// What runs a command or copies a file.
    Script,
}

/// No frame came: why not? The command's end and its error output tell.
pub(super) fn nothing_came(output: &ExecOutput, stage: Stage, sent: Sent) -> HostOutcome {
    let sent = match sent {
        Sent::Probe => "probe",
        Sent::Script => "script",
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    let words = stderr
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let says = if words.is_empty() {
        String::new()
    } else {
        format!(": {words}")
    };
    let exec = |message: String| HostError::new(Stage::Exec, message);
    match &output.end {
        ExecEnd::TimedOut if stage < Stage::Exec => HostOutcome::TimedOut(HostError::new(
            stage,
            "logged in, and the server opened no session channel in time",
        )),
        ExecEnd::TimedOut => HostOutcome::TimedOut(exec(format!(
            "logged in, and the {sent} printed nothing in time{says}"
        ))),
        ExecEnd::Refused(why) => HostOutcome::Failed(HostError::new(Stage::Channel, why.clone())),
        ExecEnd::Lost(why) if stage < Stage::Exec => HostOutcome::Failed(HostError::new(
            stage,
            format!("logged in, and the connection ended before a session channel was open: {why}"),
        )),
        ExecEnd::Lost(why) | ExecEnd::Unfed(why) => HostOutcome::Failed(exec(format!(
            "the connection ended before the {sent} printed anything: {why}{says}"
        ))),
        ExecEnd::Capped => HostOutcome::Failed(exec(format!(
            "the host printed more than {} KiB, and none of it was the {sent}'s",
            probe::OUTPUT_CAP >> 10
        ))),
        // Said by whoever became another user, and told there.
        ExecEnd::WrongPassword | ExecEnd::PasswordWanted | ExecEnd::PasswordWithheld => {
            HostOutcome::Failed(HostError::new(
                Stage::Become,
                "the login could not become another user",
            ))
        }
        ExecEnd::Signalled(signal) => HostOutcome::Failed(exec(format!(
            "the {sent} was ended by signal {signal} before it printed anything{says}"
        ))),
        ExecEnd::Exited(127) => HostOutcome::Failed(
            exec(format!("the host has no `sh` for this login{says}")).hint(format!(
                "the {sent} needs a POSIX shell on the login's PATH"
            )),
        ),
        ExecEnd::Exited(code) => HostOutcome::Failed(
            exec(format!(
                "the login's shell ended with {code} and ran no {sent}{says}"
            ))
            .hint("does the login have a real shell, and no forced command?"),
        ),
    }
}

fn partial(facts: Facts, output: &ExecOutput) -> HostOutcome {
    let why = match &output.end {
        ExecEnd::TimedOut => {
            "the probe did not end in time; what it printed until then is kept".to_owned()
        }
        ExecEnd::Capped => format!(
            "the host printed more than {} KiB; the rest was dropped",
            probe::OUTPUT_CAP >> 10
        ),
        ExecEnd::Signalled(signal) => format!("the probe was ended by signal {signal} on the host"),
        ExecEnd::Lost(why) | ExecEnd::Unfed(why) | ExecEnd::Refused(why) => {
            format!("the connection ended in the middle of the probe: {why}")
        }
        ExecEnd::WrongPassword | ExecEnd::PasswordWanted | ExecEnd::PasswordWithheld => {
            "the probe asked for a password".to_owned()
        }
        ExecEnd::Exited(137) => {
            "the probe was killed on the host, by its watchdog or by somebody else".to_owned()
        }
        ExecEnd::Exited(code) => format!("the probe ended early, with status {code}"),
    };
    HostOutcome::Partial(Box::new(facts), HostError::new(Stage::Exec, why))
}
