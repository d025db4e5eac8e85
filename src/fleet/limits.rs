//! How much is done at once.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// File descriptors that the program needs beside its connections.
const RESERVE: u64 = 48;

/// Limits of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sessions in flight.
    pub forks: usize,
    /// Handshakes in flight; they cost most of a session's processor time and memory.
    pub handshakes: usize,
}

impl Limits {
    /// Lowers the limits to what this many open files allow.
    #[must_use]
    pub fn within(self, files: u64) -> Self {
        let sessions = usize::try_from(files.saturating_sub(RESERVE)).unwrap_or(usize::MAX);
        let forks = self.forks.min(sessions).max(1);
        Self {
            forks,
            handshakes: self.handshakes.clamp(1, forks),
        }
    }
}

/// Raises the soft limit of open files as far as the hard one allows and as is needed. Returns
/// the limit that now holds.
pub fn raise_file_limit(sessions: usize) -> u64 {
    let wanted = u64::try_from(sessions)
        .unwrap_or(u64::MAX)
        .saturating_add(RESERVE);
    let limit = getrlimit(Resource::Nofile);
    let soft = limit.current.unwrap_or(u64::MAX);
    if soft >= wanted {
        return soft;
    }
    let raised = wanted.min(limit.maximum.unwrap_or(u64::MAX));
    let set = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(raised),
            maximum: limit.maximum,
        },
    );
    match set {
        Ok(()) => raised,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            soft
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_files_mean_few_sessions() {
        let limits = Limits {
            forks: 256,
            handshakes: 64,
        };
        assert_eq!(limits.within(1024), limits);
        assert_eq!(limits.within(64).forks, 16);
        assert_eq!(limits.within(64).handshakes, 16);
        assert_eq!(limits.within(0).forks, 1);
    }
}
