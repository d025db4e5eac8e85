//! How far a host was reached. A host's trouble is a value, never an error that ends the run.

use std::time::Duration;

use super::{Facts, sanitize, shorten};

/// How long an error's message may be, in characters: hosts write parts of it.
const LONGEST_MESSAGE: usize = 800;

/// A step on the way to a host's facts, in the order they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Name resolution.
    Dns,
    /// TCP connect.
    Tcp,
    /// The server's identification line.
    Banner,
    /// Key exchange.
    Kex,
    /// Host key check.
    HostKey,
    /// Authentication.
    Auth,
    /// Opening a channel.
    Channel,
    /// Gaining root.
    Become,
    /// The probe itself.
    Exec,
    /// Reading the probe's output.
    Parse,
    /// The deadline of the whole host.
    Deadline,
}

impl Stage {
    /// Returns the contract's word for it.
    pub fn id(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Banner => "banner",
            Self::Kex => "kex",
            Self::HostKey => "host-key",
            Self::Auth => "auth",
            Self::Channel => "channel",
            Self::Become => "become",
            Self::Exec => "exec",
            Self::Parse => "parse",
            Self::Deadline => "deadline",
        }
    }
}

/// What went wrong with a host, where, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostError {
    /// The stage it happened in.
    pub stage: Stage,
    /// One sentence; may hold text that the host sent, made printable and short.
    pub message: String,
    /// A command or a hint that helps.
    pub hint: Option<String>,
    /// How long the stage had lasted, in ms.
    pub after_ms: Option<u64>,
    /// The jump host that failed, where it was not the host itself.
    pub via: Option<String>,
}

impl HostError {
    /// Makes an error without a hint. What a host says in it is shown in many places, logs among
    /// them, so it is made safe here and not where it is shown.
    pub fn new(stage: Stage, message: impl Into<String>) -> Self {
        Self {
            stage,
            message: shorten(&sanitize(&message.into()), LONGEST_MESSAGE).into_owned(),
            hint: None,
            after_ms: None,
            via: None,
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(sanitize(&hint.into()).into_owned());
        self
    }
}

/// Time spent in each stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageTimes(pub Vec<(Stage, Duration)>);

/// How far a host was reached.
#[derive(Debug, Clone, PartialEq)]
pub enum HostOutcome {
    /// The whole probe came back.
    Observed(Box<Facts>),
    /// A part of it did.
    Partial(Box<Facts>, HostError),
    /// No connection.
    Unreachable(HostError),
    /// The login was refused.
    AuthFailed(HostError),
    /// The host's key is unknown, changed or revoked.
    HostKeyRejected(HostError),
    /// A deadline struck before anything was seen.
    TimedOut(HostError),
    /// Connected, and still nothing was seen.
    Failed(HostError),
    /// The operator stopped the run first.
    Cancelled,
    /// It was not meant to be asked; the text says why.
    Skipped(String),
}

impl HostOutcome {
    /// Returns the contract's word for it.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Observed(_) => "observed",
            Self::Partial(..) => "partial",
            Self::Unreachable(_) => "unreachable",
            Self::AuthFailed(_) => "auth-failed",
            Self::HostKeyRejected(_) => "host-key-rejected",
            Self::TimedOut(_) => "timed-out",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped(_) => "skipped",
        }
    }

    /// Returns what was seen, whole or in part.
    pub fn facts(&self) -> Option<&Facts> {
        match self {
            Self::Observed(facts) | Self::Partial(facts, _) => Some(facts),
            _ => None,
        }
    }

    /// Returns what went wrong.
    pub fn error(&self) -> Option<&HostError> {
        match self {
            Self::Partial(_, error)
            | Self::Unreachable(error)
            | Self::AuthFailed(error)
            | Self::HostKeyRejected(error)
            | Self::TimedOut(error)
            | Self::Failed(error) => Some(error),
            Self::Observed(_) | Self::Cancelled | Self::Skipped(_) => None,
        }
    }
}

/// One host's outcome with its timing.
#[derive(Debug, Clone, PartialEq)]
pub struct HostObservation {
    /// How far it was reached.
    pub outcome: HostOutcome,
    /// Time spent in each stage.
    pub stages: StageTimes,
    /// From the permit to the outcome.
    pub elapsed: Duration,
}
