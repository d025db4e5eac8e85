//! What is known of a rollout that was kept.

use std::collections::BTreeMap;

use super::{Purpose, RunId};

/// A kept run in a few words, for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// The run's name.
    pub run: RunId,
    /// When it was planned, RFC 3339.
    pub made_at: String,
    /// Who planned it: `user@bastion`.
    pub made_by: String,
    /// The inventory that names its hosts, as an absolute path.
    pub inventory: String,
    /// What it was for.
    pub purpose: Purpose,
    /// Hosts of its plan.
    pub hosts: usize,
    /// Units of its plan.
    pub units: usize,
    /// How often each end came, by the ends' ids.
    pub ends: BTreeMap<&'static str, usize>,
    /// Whether every unit of its plan has an end, and none was left out ([`RolloutEnd::NotAttempted`](super::RolloutEnd::NotAttempted)).
    pub finished: bool,
}
