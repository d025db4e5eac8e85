//! What the results of a command come to.

use crate::model::{CommandEnd, CommandResult};

/// The worst that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Every command ended with 0.
    Well,
    /// Hosts were not reached, or left out.
    NotReached,
    /// A command failed: it ended with another status, or had to be ended.
    Failed,
    /// Nobody knows what became of a command.
    Unknown,
}

/// Counts of hosts; they add up to `hosts`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// All.
    pub hosts: usize,
    /// The command ended with 0.
    pub well: usize,
    /// It ended with another status.
    pub failed: usize,
    /// It was ended: its time was over, it printed too much, or the operator stopped it.
    pub ended: usize,
    /// Nobody knows what became of it.
    pub unknown: usize,
    /// The host was not reached.
    pub not_reached: usize,
    /// It was not tried.
    pub not_tried: usize,
}

impl Tally {
    /// Counts results.
    pub fn of(results: &[CommandResult]) -> Self {
        let mut tally = Self {
            hosts: results.len(),
            ..Self::default()
        };
        for result in results {
            let count = match &result.end {
                CommandEnd::Exited(0) => &mut tally.well,
                CommandEnd::Exited(_) => &mut tally.failed,
                CommandEnd::NotReached(_) => &mut tally.not_reached,
                CommandEnd::NotTried(_) => &mut tally.not_tried,
                end if !end.is_known() => &mut tally.unknown,
                _ => &mut tally.ended,
            };
            *count += 1;
        }
        tally
    }

    /// Returns the worst that applies, in the order of the exit codes: 6, 2, 3.
    pub fn verdict(&self) -> Verdict {
        if self.unknown > 0 {
            Verdict::Unknown
        } else if self.failed + self.ended > 0 {
            Verdict::Failed
        } else if self.not_reached + self.not_tried > 0 {
            Verdict::NotReached
        } else {
            Verdict::Well
        }
    }
}
