//! What a fleet run tells those who watch it.

use super::{HostObservation, Stage};

/// What a host is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPhase {
    /// It waits for a permit.
    Queued,
    /// It is in that stage.
    In(Stage),
}

/// Something that happened in a run. Hosts are named by their index in the run's list.
#[derive(Debug)]
pub enum FleetEvent<'run> {
    /// The run begins with that many hosts.
    Started {
        /// How many hosts it has.
        hosts: usize,
    },
    /// A host got its permit.
    HostStarted {
        /// Index of the host.
        host: usize,
    },
    /// A host's work is over.
    HostFinished {
        /// Index of the host.
        host: usize,
        /// What came of it.
        observation: &'run HostObservation,
    },
    /// The operator asked to stop: no new host is started.
    Draining {
        /// Hosts still at work.
        running: usize,
    },
    /// Time passed; `pending` has the hosts at work, slowest first, with what they do.
    Tick {
        /// Index and phase.
        pending: &'run [(usize, HostPhase)],
    },
}
