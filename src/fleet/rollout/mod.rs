//! Rollouts on real hosts: looking for a plan, and carrying one out. The decisions are made elsewhere: what is
//! planned by whoever implements `rollout::Planning`, what is done next by `rollout::Way`.

mod batches;
mod line;
mod survey;
mod unit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use batches::{Between, Order, RolledOut, Sick, roll_out};
pub use survey::survey;

use super::Limits;
use super::worker::{AnyTransport, RunSecrets};
use crate::model::{Facts, UnitPlan};
use crate::rollout::Health;

/// What a look at a unit showed, for the verdict whether it is as it should be.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// What the probe saw.
    pub facts: &'a Facts,
    /// What `systemctl show` says of the properties that were asked for.
    pub shown: &'a BTreeMap<String, String>,
    /// MainPID before the unit was restarted.
    pub main_pid_before: Option<u32>,
    /// Whether it was changed, or changed back.
    pub undone: bool,
}

/// Says whether a unit is as it should be.
pub trait Judge: Send + Sync {
    /// Returns the properties that it wants to see of a unit, as `systemctl show` names them.
    fn properties(&self, plan: &UnitPlan) -> Vec<String>;

    /// Returns how long the unit's manager lets its old process end, where that is longer than the other times
    /// are made for.
    fn stop_within(&self, plan: &UnitPlan) -> Duration;

    /// Judges a unit.
    fn health(&self, plan: &UnitPlan, seen: Seen<'_>) -> Health;
}

/// The times of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// After how long a host undoes by itself; `None` arms nothing.
    pub undo_after: Option<Duration>,
    /// How long a gateway has to be well without a restart.
    pub settle: Duration,
    /// How long it may take to become well.
    pub well_within: Duration,
}

/// What all units of a rollout share.
pub struct Crew {
    /// Who judges.
    pub judge: Arc<dyn Judge>,
    /// Who runs it: `user@bastion`.
    pub who: String,
    /// Its times.
    pub times: Times,
    /// How hosts are reached.
    pub transport: Arc<AnyTransport>,
    /// How many at once.
    pub limits: Limits,
    /// What only this run knows.
    pub secrets: Arc<RunSecrets>,
}
