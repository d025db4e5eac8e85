//! What comes of a command on a host.

use std::fmt;
use std::sync::Arc;

use super::{HostError, HostOutcome};

/// Bytes that are kept somewhere, and are too many to be handed around.
pub trait Kept: fmt::Debug + Send + Sync {
    /// Gives them piece by piece.
    ///
    /// # Errors
    /// They cannot be read, or the taker does not want more.
    fn give(&self, take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()>;
}

/// A stream that a command printed.
#[derive(Debug, Clone)]
pub struct Output {
    /// How many bytes it has.
    pub length: u64,
    /// The SHA-256 of them: equal outputs are told by it.
    pub digest: [u8; 32],
    /// Where they are.
    pub kept: Arc<dyn Kept>,
}

impl Output {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns at most so many bytes of it, from its beginning.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn head(&self, most: usize) -> std::io::Result<Vec<u8>> {
        let mut head = Vec::new();
        let mut take = |data: &[u8]| {
            let room = most.saturating_sub(head.len());
            head.extend_from_slice(data.get(..room).unwrap_or(data));
            if head.len() < most {
                Ok(())
            } else {
                Err(std::io::ErrorKind::Interrupted.into())
            }
        };
        match self.kept.give(&mut take) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => Err(error),
            _ => Ok(head),
        }
    }
}

/// How a command ended on a host.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandEnd {
    /// By itself, with that status; where a signal ended it, 128 and the signal's number.
    Exited(u32),
    /// Its time was over. `ended` says whether the host said that nothing of it is left.
    TimedOut {
        /// Whether nothing of it is left.
        ended: bool,
    },
    /// The operator stopped it.
    Stopped {
        /// Whether nothing of it is left.
        ended: bool,
    },
    /// It printed more than it may, and was stopped.
    TooMuch {
        /// Whether nothing of it is left.
        ended: bool,
    },
    /// It had begun, and nobody knows what became of it.
    Lost(HostError),
    /// It did not begin: the host was not reached, or nobody let us in.
    NotReached(HostOutcome),
    /// It was not tried; the text says why.
    NotTried(String),
}

impl CommandEnd {
    /// Returns its id; hosts that were not reached have the contract's words for that.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Exited(_) => "exited",
            Self::TimedOut { .. } => "ended-by-timeout",
            Self::Stopped { .. } => "interrupted",
            Self::TooMuch { .. } => "output-limit",
            Self::Lost(_) => "lost",
            Self::NotReached(outcome) => outcome.id(),
            Self::NotTried(_) => "not-tried",
        }
    }

    /// Whether all is as it should be.
    pub fn is_well(&self) -> bool {
        matches!(self, Self::Exited(0))
    }

    /// Whether the command is over on the host, as far as anybody knows.
    pub fn is_known(&self) -> bool {
        match self {
            Self::TimedOut { ended } | Self::Stopped { ended } | Self::TooMuch { ended } => *ended,
            Self::Lost(_) => false,
            Self::Exited(_) | Self::NotReached(_) | Self::NotTried(_) => true,
        }
    }

    /// Returns what went wrong on the way.
    pub fn error(&self) -> Option<&HostError> {
        match self {
            Self::Lost(error) => Some(error),
            Self::NotReached(outcome) => outcome.error(),
            _ => None,
        }
    }
}

/// What came of a command on one host.
#[derive(Debug, Clone)]
pub struct CommandResult {
    /// The host's name.
    pub host: String,
    /// How it ended.
    pub end: CommandEnd,
    /// Its standard output.
    pub stdout: Output,
    /// Its standard error.
    pub stderr: Output,
    /// How long the command took, without the way there, in ms.
    pub elapsed_ms: u64,
    /// How often it was tried.
    pub tries: u32,
    /// What there is to say beside it.
    pub note: Option<String>,
}

/// What came of a command on a fleet.
#[derive(Debug, Clone)]
pub struct CommandReport {
    /// When it began.
    pub started_at: jiff::Timestamp,
    /// How long it took, in ms.
    pub elapsed_ms: u64,
    /// One result for each host, in the inventory's order.
    pub results: Vec<CommandResult>,
    /// Why no further host was begun, where that is so.
    pub stopped: Option<String>,
    /// Whether the operator stopped it.
    pub interrupted: bool,
}

/// Something that happens while a command runs on a fleet. Hosts are named by their index.
#[derive(Debug)]
pub enum CommandEvent<'a> {
    /// A batch begins.
    Batch {
        /// Its number, from 1 on.
        batch: usize,
        /// How many there are.
        of: usize,
    },
    /// What a fleet's watchers hear of any run.
    Fleet(super::FleetEvent<'a>),
    /// A host's command is over.
    Finished {
        /// Which host.
        host: usize,
        /// What came of it.
        result: &'a CommandResult,
    },
}
