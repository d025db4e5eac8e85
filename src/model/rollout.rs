//! Plans, and what came of them: what is to be changed on which host, and how it ended.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{HostError, Remedy, UnitScope};

/// Names a run: `20261121-120301-5f3a9c`, the time it was planned and six random hex digits.
pub type RunId = String;

/// Everything that is to be done to a fleet. It holds every choice: who carries it out makes none.
/// Nothing of it is a secret; it is kept on the bastion as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// `clawfleet.plan/1`.
    pub schema: String,
    /// The run's name.
    pub run: RunId,
    /// When it was made, RFC 3339.
    pub made_at: String,
    /// Who made it: `user@bastion`.
    pub made_by: String,
    /// The inventory that names its hosts, as an absolute path.
    pub inventory: String,
    /// What it is for.
    pub purpose: Purpose,
    /// When the units are restarted.
    pub restart: RestartWhen,
    /// Hosts that were asked for and could not be looked at. They count as failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
    /// What is done, one entry for each unit of each host, in the order of the hosts.
    pub units: Vec<UnitPlan>,
}

/// Why a plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To harden units.
    Harden {
        /// The profile.
        profile: String,
    },
    /// To put back what a run replaced.
    Rollback {
        /// That run.
        run: RunId,
    },
    /// To mend what a diagnosis found.
    Fix,
    /// To restart gateways.
    Restart,
}

impl Purpose {
    /// Returns what it is called.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Harden { .. } => "harden",
            Self::Rollback { .. } => "rollback",
            Self::Fix => "fix",
            Self::Restart => "restart",
        }
    }
}

/// When units are restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartWhen {
    /// Never: what only a restart brings is in force from the next one on.
    Never,
    /// Where a setting changes that only a restart brings to a running gateway.
    IfChanged,
    /// Wherever something is changed.
    Always,
}

/// What is done to one unit of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitPlan {
    /// The host's name in the inventory.
    pub host: String,
    /// The unit's name with suffix.
    pub unit: String,
    /// Whose manager it belongs to.
    pub owner: UnitOwner,
    /// The gateway's port.
    pub port: u16,
    /// The files that are written or removed, in the order in which that is done.
    pub files: Vec<FileChange>,
    /// What changes in systemd's eyes.
    pub settings: Vec<SettingChange>,
    /// `systemd-analyze security` before, and after where it could be told.
    pub exposure: Option<Exposure>,
    /// Whether the unit is enabled.
    pub enable: bool,
    /// Whether the unit is restarted (started, where it does not run).
    pub restart: bool,
    /// What it is like now: a unit that was well has to be well afterwards.
    pub before: Standing,
    /// Remarks for the operator, sentences.
    pub notes: Vec<String>,
    /// Of a fix: what it mends, and what it does beside files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
}

/// Whose manager a unit belongs to, as a plan keeps it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitOwner {
    /// PID 1: what is done is done as root.
    System,
    /// A user's manager: what is done is done as that user, and never as root in a user's directories.
    User {
        /// The user's name.
        name: String,
        /// The user's id.
        uid: u32,
    },
}

impl UnitOwner {
    /// Returns the owner of a scope.
    pub fn of(scope: &UnitScope) -> Self {
        match scope {
            UnitScope::System => Self::System,
            UnitScope::User { user, uid } => Self::User {
                name: user.clone(),
                uid: *uid,
            },
        }
    }

    /// Returns the scope that it owns.
    pub fn scope(&self) -> UnitScope {
        match self {
            Self::System => UnitScope::System,
            Self::User { name, uid } => UnitScope::User {
                user: name.clone(),
                uid: *uid,
            },
        }
    }
}

impl fmt::Display for UnitOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::User { name, .. } => write!(f, "user {name}"),
        }
    }
}

/// One file, before and after. At least one of them is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// Its absolute path.
    pub path: String,
    /// What stands there now.
    pub before: Option<FileContent>,
    /// What shall stand there.
    pub after: Option<FileContent>,
}

/// A file's content and rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileContent {
    /// SHA-256 of its bytes, in hex.
    pub digest: String,
    /// Its text.
    pub text: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner. Of a file that is to be written: whoever writes it.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// One effective property of a unit that changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SettingChange {
    /// The setting as it is written in a unit, e.g. `KillMode`.
    pub name: String,
    /// What systemd has in force, as it says it.
    pub now: String,
    /// What it will be.
    pub then: String,
    /// Whether only a restart brings it to a running process.
    pub by_restart: bool,
}

/// What `systemd-analyze security` says of a unit, in tenths: 96 is 9.6, and less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Exposure {
    /// As the unit is.
    pub before: u32,
    /// As it will be, where the host's systemd can tell (250 and later).
    pub after: Option<u32>,
}

/// How a unit and its gateway do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The unit is active, its process owns the port, and the gateway answers.
    Well,
    /// The unit is there and its gateway is not well.
    Ill,
    /// The unit is there and nobody wants it to run: it is neither active nor enabled.
    Off,
    /// There is no such unit.
    Absent,
}

/// What a plan makes of one unit, or of a host whose units are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// Something is changed.
    Change(Box<UnitPlan>),
    /// Nothing has to be changed, for that reason.
    Nothing {
        /// The unit and its owner.
        unit: String,
        /// Why, as a sentence without a full stop.
        why: String,
    },
    /// Nothing is changed, though something should be.
    Refused(Refusal),
    /// The host was not seen.
    NotObserved(HostError),
}

/// Why a host is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The unit, where there is one.
    pub unit: Option<String>,
    /// Why, as a sentence without a full stop.
    pub why: String,
    /// What helps.
    pub hint: Option<String>,
}

/// How it ended for one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "why")]
pub enum RolloutEnd {
    /// It was changed and verified, and its undo is disarmed.
    Applied,
    /// It was not touched: it is no longer what the plan was made for.
    Drifted(String),
    /// It was not touched: another run holds its lock.
    Locked(String),
    /// It was not touched: it could not be reached or looked at.
    NotReached(String),
    /// It was not touched: an earlier failure closed the gate, or the operator stopped the run.
    NotAttempted(String),
    /// It failed before anything was changed, and nothing was left there.
    Failed(String),
    /// It failed, and is again what it was. That was verified.
    RolledBack(String),
    /// It failed, and could not be made what it was.
    RollbackFailed(String),
    /// Nobody knows what it is.
    Unknown(String),
}

impl RolloutEnd {
    /// Returns its id, as the audit log and the JSON have it.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Drifted(_) => "drifted",
            Self::Locked(_) => "locked",
            Self::NotReached(_) => "not-reached",
            Self::NotAttempted(_) => "not-attempted",
            Self::Failed(_) => "failed",
            Self::RolledBack(_) => "rolled-back",
            Self::RollbackFailed(_) => "rollback-failed",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Returns why, where it did not go well.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Applied => None,
            Self::Drifted(why)
            | Self::Locked(why)
            | Self::NotReached(why)
            | Self::NotAttempted(why)
            | Self::Failed(why)
            | Self::RolledBack(why)
            | Self::RollbackFailed(why)
            | Self::Unknown(why) => Some(why),
        }
    }

    /// Whether it counts against `--max-fail`. A host that could not be reached does.
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Applied | Self::NotAttempted(_))
    }
}

/// What a run did to one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitResult {
    /// The host.
    pub host: String,
    /// The unit's name.
    pub unit: String,
    /// Whose manager it belongs to.
    pub owner: UnitOwner,
    /// How it ended.
    #[serde(flatten)]
    pub end: RolloutEnd,
    /// From its first connection to its end, ms.
    pub elapsed_ms: u64,
    /// Commands that were run on the host for it.
    pub commands: u32,
}

/// How often each end came.
pub fn count_ends<'a>(
    results: impl IntoIterator<Item = &'a UnitResult>,
) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for result in results {
        *counts.entry(result.end.id()).or_insert(0) += 1;
    }
    counts
}

/// A step of one unit's way through a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RolloutStep {
    /// The lock is taken, the files are staged and checked, the old ones kept, the undo armed.
    Prepare,
    /// The files take their places, the manager reads them, the unit is restarted.
    Apply,
    /// A fresh connection looks at the gateway.
    Verify,
    /// The undo is disarmed.
    Disarm,
    /// The undo is carried out now.
    Undo,
    /// A fresh connection looks what the undo left.
    VerifyUndo,
    /// After a connection was lost: what is the state there?
    Look,
}

impl RolloutStep {
    /// Every step.
    pub const ALL: [Self; 7] = [
        Self::Prepare,
        Self::Apply,
        Self::Verify,
        Self::Disarm,
        Self::Undo,
        Self::VerifyUndo,
        Self::Look,
    ];

    /// Returns its id.
    pub fn id(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Apply => "apply",
            Self::Verify => "verify",
            Self::Disarm => "disarm",
            Self::Undo => "undo",
            Self::VerifyUndo => "verify-undo",
            Self::Look => "look",
        }
    }
}

/// Something that happened in a rollout. Units are named by their index in the plan.
#[derive(Debug)]
pub enum RolloutEvent<'run> {
    /// A batch begins.
    BatchStarted {
        /// Which, from 1.
        batch: usize,
        /// Of how many.
        of: usize,
        /// Its hosts.
        hosts: &'run [String],
    },
    /// A unit's way begins or goes on.
    Step {
        /// Index of the unit.
        unit: usize,
        /// The step.
        step: RolloutStep,
    },
    /// A unit's way is over.
    UnitFinished {
        /// Index of the unit.
        unit: usize,
        /// How it ended.
        result: &'run UnitResult,
    },
    /// A batch is over.
    BatchFinished {
        /// Which, from 1.
        batch: usize,
        /// Why no other follows, where that is so.
        closed: Option<&'run str>,
    },
    /// The operator asked to stop: no further unit is begun.
    Draining,
}

/// One line of a unified diff.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiffLine {
    /// `@@ -1,2 +1,3 @@`.
    Hunk(String),
    /// In both.
    Same(String),
    /// Only before.
    Removed(String),
    /// Only after.
    Added(String),
}
