//! Exit codes: a contract with users' scripts.

use std::process::ExitCode;

use super::args::FailOn;
use crate::command::{self, Tally};
use crate::model::{CommandReport, Report, Severity, Verdict};
use crate::report::NagiosState;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Clean.
    Clean,
    /// Warnings at or above `--fail-on`.
    Warnings,
    /// Critical findings.
    Critical,
    /// Hosts were not observed.
    NotObserved,
    /// Changes are pending.
    Pending,
    /// A rollout failed on some host, and was rolled back there.
    RolledBack,
    /// A rollback failed, or a host's state is unknown.
    UnknownState,
    /// Wrong usage.
    Usage,
    /// Another run holds the lock.
    Locked,
    /// The program itself failed.
    Software,
    /// The inventory, the configuration or a template is at fault.
    Config,
    /// Interrupted.
    Interrupted,
    /// A plugin's state, for `--format nagios`.
    Monitored(NagiosState),
}

impl Exit {
    /// Returns the code.
    pub fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Warnings => 1,
            Self::Critical => 2,
            Self::NotObserved => 3,
            Self::Pending => 4,
            Self::RolledBack => 5,
            Self::UnknownState => 6,
            Self::Locked => 75,
            Self::Usage => 64,
            // EX_SOFTWARE of sysexits(3): outside the contract's table, for what should not happen.
            Self::Software => 70,
            Self::Config => 78,
            Self::Interrupted => 130,
            Self::Monitored(state) => state.code(),
        }
    }

    /// Returns the code of a command on a fleet: a command that failed is what a critical finding is to a
    /// check, and one of which nobody knows the end leaves the host's state unknown. In the contract's
    /// order 6, 2, 3.
    pub(super) fn of_command(report: &CommandReport) -> Self {
        if report.interrupted {
            return Self::Interrupted;
        }
        match Tally::of(&report.results).verdict() {
            command::Verdict::Well => Self::Clean,
            command::Verdict::NotReached => Self::NotObserved,
            command::Verdict::Failed => Self::Critical,
            command::Verdict::Unknown => Self::UnknownState,
        }
    }

    /// Returns the code of a report: the worst that applies, in the contract's order 2, 3, 1.
    pub(super) fn of(report: &Report, fail_on: FailOn) -> Self {
        if report.interrupted {
            return Self::Interrupted;
        }
        let summary = report.summary();
        if report.verdict() == Verdict::Critical {
            return Self::Critical;
        }
        if summary.not_observed > 0 {
            return Self::NotObserved;
        }
        let least = fail_on.least();
        let of_hosts = report
            .hosts
            .iter()
            .flat_map(|host| host.findings.iter().map(|finding| finding.severity));
        let of_fleet = report.fleet_findings.iter().map(|finding| finding.severity);
        if of_hosts.chain(of_fleet).any(|severity| severity >= least) {
            return Self::Warnings;
        }
        Self::Clean
    }
}

impl FailOn {
    /// Returns the least severity that it means.
    pub(super) fn least(self) -> Severity {
        match self {
            Self::Info => Severity::Info,
            Self::Warning => Severity::Warning,
            Self::Critical => Severity::Critical,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
