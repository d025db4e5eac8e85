//! What is kept between runs: which troubles are open, what was said of them, and the numbers that
//! have a trend. Plain data; `diagnose` decides what changed, `store` keeps it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Class, Finding, FleetFinding, Severity, Subject, UnitScope, sanitize, shorten};

/// How long a name in a key may be, in characters: a host writes parts of it.
const LONGEST_PART: usize = 200;

/// What tells one trouble from another, from run to run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TroubleKey {
    /// The host's name in the inventory.
    pub host: String,
    /// The port of the gateway; `None` for the host as a whole.
    pub gateway: Option<u16>,
    /// The class's id, or `custom/NAME`.
    pub class: String,
    /// What it is about, printable and bounded; may be empty.
    pub subject: String,
}

impl TroubleKey {
    /// Returns the key of a finding on a host.
    pub fn of(host: &str, finding: &Finding) -> Self {
        Self {
            host: host.to_owned(),
            gateway: finding.gateway,
            class: bounded(&finding.id()),
            subject: bounded(&subject(&finding.subject)),
        }
    }

    /// Returns the key of a finding about several hosts, for one of them.
    pub fn of_fleet(host: &str, finding: &FleetFinding) -> Self {
        Self {
            host: host.to_owned(),
            gateway: None,
            class: finding.class.id().to_owned(),
            subject: String::new(),
        }
    }

    /// Whether only a comparison of hosts can tell that it is over.
    pub fn compares_hosts(&self) -> bool {
        [Class::ConfigDrift, Class::VersionDrift, Class::UnitDiffers]
            .iter()
            .any(|class| class.id() == self.class)
    }
}

fn bounded(text: &str) -> String {
    shorten(&sanitize(text), LONGEST_PART).into_owned()
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Host => String::new(),
        Subject::Port(port) => format!("port {port}"),
        Subject::Unit { name, scope } => match scope {
            UnitScope::System => format!("{name} (system)"),
            UnitScope::User { user, .. } => format!("{name} (user {user})"),
        },
        Subject::Model(name) | Subject::Path(name) | Subject::Check(name) => name.clone(),
    }
}

/// How much of a host a run saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// All that was asked for: what was not found is not there.
    Whole,
    /// A part: what was found is there, and no more is known.
    Part,
    /// Nothing.
    Not,
}

/// One trouble as a run saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Which.
    pub key: TroubleKey,
    /// How bad.
    pub severity: Severity,
    /// Whether another finding on the same host explains it.
    pub follows: bool,
}

/// What one run saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sightings {
    /// When the run began.
    pub at: Timestamp,
    /// The hosts that it was about.
    pub hosts: BTreeMap<String, Looked>,
    /// What was found, each key once.
    pub found: BTreeMap<TroubleKey, Sighting>,
}

impl Sightings {
    /// Counts the hosts that were seen whole.
    pub fn seen_whole(&self) -> u32 {
        let whole = self
            .hosts
            .values()
            .filter(|looked| **looked == Looked::Whole);
        u32::try_from(whole.count()).unwrap_or(u32::MAX)
    }
}

/// That the operator was told of a trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// When last.
    pub at: Timestamp,
    /// The worst that was told.
    pub severity: Severity,
}

/// A trouble that is there, or was there lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// How bad it was when it was last seen.
    pub severity: Severity,
    /// When it was first seen, of the time that it is there now.
    pub first_seen: Timestamp,
    /// When a look first did not find it any more; `None` while it is there.
    pub gone_since: Option<Timestamp>,
    /// In how many runs in a row it was seen and worth telling, as far as that matters.
    pub seen: u32,
    /// How many looks in a row did not find it, as far as that matters.
    pub missed: u32,
    /// In how many runs in a row it was worse than what was told.
    pub worse: u32,
    /// Whether the operator knows of it.
    pub told: Option<Told>,
    /// When it came, lately.
    pub came: Vec<Timestamp>,
    /// Whether it comes and goes.
    pub flapping: bool,
    /// How many hosts were seen whole in the run that saw it last: only as many can tell that a
    /// difference between hosts is over.
    pub peers: u32,
}

/// All that is kept of an inventory's troubles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// When the last run began that it was made from.
    pub last_run: Option<Timestamp>,
    /// The troubles.
    pub troubles: BTreeMap<TroubleKey, Trouble>,
}

/// Why something is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// It was not there before, or nobody was told.
    New,
    /// It is more severe than what was told.
    Worsened,
    /// It comes and goes; until that ends nothing more is told of it.
    Flapping,
    /// It is still there, and was told some time ago.
    Reminder,
    /// It is over.
    Recovered,
}

impl ChangeKind {
    /// Every kind, in the order they are shown.
    pub const ALL: [Self; 5] = [
        Self::New,
        Self::Worsened,
        Self::Flapping,
        Self::Reminder,
        Self::Recovered,
    ];

    /// Returns its id.
    pub fn id(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Worsened => "worsened",
            Self::Flapping => "flapping",
            Self::Reminder => "reminder",
            Self::Recovered => "recovered",
        }
    }
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Why.
    pub kind: ChangeKind,
    /// Of which trouble.
    pub key: TroubleKey,
    /// How bad it is; the worst that was told of it, where it is over.
    pub severity: Severity,
    /// How bad it was told to be, where it got worse.
    pub was: Option<Severity>,
    /// When it was first seen.
    pub since: Timestamp,
    /// When a look first did not find it any more, where it is over.
    pub until: Option<Timestamp>,
    /// How often it came lately, where it comes and goes.
    pub times: Option<u32>,
}

/// What the operator wants to hear nothing of for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// On these hosts.
    pub hosts: BTreeSet<String>,
    /// Of these classes, by their ids. A class that is not named is told as ever.
    pub classes: BTreeSet<String>,
    /// From then on everything is told again.
    pub until: Timestamp,
}

impl Silence {
    /// Whether it is about that trouble at that time.
    pub fn covers(&self, key: &TroubleKey, at: Timestamp) -> bool {
        at < self.until && self.hosts.contains(&key.host) && self.classes.contains(&key.class)
    }
}

/// A number that has a trend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadingKind {
    /// How often the manager restarted the gateway's units since they were started by hand.
    Restarts,
    /// Restarts of the last 24 hours, as the journal has them.
    Restarts24h,
    /// "Failed to start" lines of the last hour.
    Failed1h,
    /// How long the gateway took to answer, in ms.
    LatencyMs,
    /// The least that is free on a file system that a gateway writes to, in percent.
    DiskFreePercent,
    /// How far the host's clock is ahead of the controller's (behind: negative), in seconds.
    ClockAheadS,
    /// What the processes that hold the gateway's port have in memory, in MiB.
    MemoryMib,
}

impl ReadingKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Restarts,
        Self::Restarts24h,
        Self::Failed1h,
        Self::LatencyMs,
        Self::DiskFreePercent,
        Self::ClockAheadS,
        Self::MemoryMib,
    ];

    /// Returns the number that stands for it where readings are kept. It never changes meaning.
    pub fn code(self) -> u8 {
        match self {
            Self::Restarts => 1,
            Self::Restarts24h => 2,
            Self::Failed1h => 3,
            Self::LatencyMs => 4,
            Self::DiskFreePercent => 5,
            Self::ClockAheadS => 6,
            Self::MemoryMib => 7,
        }
    }

    /// Returns the kind that a number stands for where readings are kept.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Returns its id, which names its unit where it has one.
    pub fn id(self) -> &'static str {
        match self {
            Self::Restarts => "restarts",
            Self::Restarts24h => "restarts_24h",
            Self::Failed1h => "failed_1h",
            Self::LatencyMs => "latency_ms",
            Self::DiskFreePercent => "disk_free_percent",
            Self::ClockAheadS => "clock_ahead_s",
            Self::MemoryMib => "memory_mib",
        }
    }

    /// Whether a number is so near to the last one that it is not worth keeping. Counters are kept
    /// exactly; of the others only what a drawing would show.
    pub fn is_near(self, last: i64, now: i64) -> bool {
        let apart = last.abs_diff(now);
        match self {
            Self::Restarts | Self::Restarts24h | Self::Failed1h | Self::DiskFreePercent => {
                apart == 0
            }
            Self::LatencyMs => apart <= (last.unsigned_abs() / 2).max(5),
            Self::ClockAheadS => apart <= 1,
            Self::MemoryMib => apart <= (last.unsigned_abs() / 20).max(8),
        }
    }
}

/// A number that was read on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The host's name in the inventory.
    pub host: String,
    /// The port of the gateway; `None` for the host as a whole.
    pub gateway: Option<u16>,
    /// What was read.
    pub kind: ReadingKind,
    /// The number, in the unit of its kind.
    pub value: i64,
}

/// By what a unit or a configuration can be told from what it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The host's name in the inventory.
    pub host: String,
    /// The port of the gateway.
    pub gateway: u16,
    /// Of what: `config`, or a unit's name and owner; printable and bounded.
    pub of: String,
    /// SHA-256 of its lines, without what may be a secret.
    pub digest: [u8; 32],
}
