//! The heartbeat: what a watchdog elsewhere is told of runs, so that it notices the one that did not come.

use std::path::PathBuf;

use super::Address;

/// Where the heartbeat goes, and what counts as a failure there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatSpec {
    /// Its address, without `/start`.
    pub url: Address,
    /// The only certificate authorities that are trusted for it, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether the proxies of the environment are used.
    pub proxy: bool,
    /// Whether it may go over the network without TLS. To this machine itself it may always.
    pub plaintext: bool,
    /// Which findings are failures of the run.
    pub fail_on: HeartbeatFailOn,
}

/// Which findings make a run a failure in a watchdog's eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeartbeatFailOn {
    /// None: who looked and found something did its work. Findings have channels of their own.
    #[default]
    Never,
    /// Critical ones.
    Critical,
    /// The same, and hosts that were not observed.
    NotObserved,
    /// Whatever makes an exit code other than 0.
    Warning,
}

/// What a watchdog is told at the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeartbeatEnd {
    /// Nothing: that the run was stopped is no verdict, and what does not come is noticed.
    Silent,
    /// The run did its work.
    Success,
    /// It did not; with the exit code.
    Failure(u8),
}

impl HeartbeatFailOn {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Never,
        Self::Critical,
        Self::NotObserved,
        Self::Warning,
    ];

    /// Returns the word for it.
    pub fn id(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Critical => "critical",
            Self::NotObserved => "not-observed",
            Self::Warning => "warning",
        }
    }

    /// Reads the word.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.id() == id)
    }

    /// Says what is told of a run that ended with a code of the contract.
    pub fn end(self, code: u8) -> HeartbeatEnd {
        let is_failure = match code {
            0 => false,
            1 => self == Self::Warning,
            2 => self != Self::Never,
            3 => matches!(self, Self::NotObserved | Self::Warning),
            130 => return HeartbeatEnd::Silent,
            // The run itself is at fault: nothing was looked at, or its result is not where it should be.
            _ => true,
        };
        match is_failure {
            true => HeartbeatEnd::Failure(code),
            false => HeartbeatEnd::Success,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_failures_only_where_it_is_said() {
        use HeartbeatEnd::{Failure, Silent, Success};
        use HeartbeatFailOn::{Critical, Never, NotObserved, Warning};
        let table = [
            (0, [Success, Success, Success, Success]),
            (1, [Success, Success, Success, Failure(1)]),
            (2, [Success, Failure(2), Failure(2), Failure(2)]),
            (3, [Success, Success, Failure(3), Failure(3)]),
            (70, [Failure(70); 4]),
            (78, [Failure(78); 4]),
            (130, [Silent; 4]),
        ];
        for (code, wanted) in table {
            let told = [Never, Critical, NotObserved, Warning].map(|on| on.end(code));
            assert_eq!(told, wanted, "{code}");
        }
        for on in HeartbeatFailOn::ALL {
            assert_eq!(HeartbeatFailOn::from_id(on.id()), Some(on));
        }
    }
}
