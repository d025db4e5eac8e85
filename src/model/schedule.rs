//! What runs the checks of a bastion: what is wanted of it, and how it stands.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::DiffLine;

/// Where a schedule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SchedulePlace {
    /// The system's units.
    System,
    /// A user's own units.
    User,
    /// A user's crontab.
    Cron,
}

impl SchedulePlace {
    /// Returns the word for it.
    pub fn id(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Cron => "cron",
        }
    }
}

/// A check that is run again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The unit's name without `.timer`, and the mark in a crontab.
    pub name: String,
    /// Where it stands.
    pub place: SchedulePlace,
    /// The program and its words.
    pub command: Vec<String>,
    /// The command that installs it, in one line.
    pub installed_by: String,
    /// How often it runs.
    pub every: Duration,
    /// Within which time it begins by chance; in a crontab the command itself has it.
    pub jitter: Duration,
    /// After which time a run hangs.
    pub hangs_after: Duration,
    /// Variables without which the run would not find what a run by hand finds. No secrets.
    pub environment: Vec<(String, String)>,
    /// A file with the secrets.
    pub environment_file: Option<PathBuf>,
    /// What the run writes to, beside what it needs for itself.
    pub writable: Vec<PathBuf>,
    /// Whether it may have a /tmp of its own.
    pub private_tmp: bool,
}

/// A file of a schedule, or its part of the crontab, as a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleDiff {
    /// The file; `crontab` for the crontab.
    pub path: String,
    /// Whether it is there now, and whether it is wanted.
    pub is_there: bool,
    /// Whether it is wanted.
    pub is_wanted: bool,
    /// The lines.
    pub lines: Vec<DiffLine>,
}

/// Whether a schedule is what installing it again would write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleFit {
    /// It is.
    AsWanted,
    /// It is not.
    Differs(Vec<ScheduleDiff>),
    /// It cannot be told.
    Unknown(String),
    /// It is another user's: their home and environment would have to be known.
    OfAnother,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledRun {
    /// When it began.
    pub began: Option<Timestamp>,
    /// systemd's word for how it ended: `success`, `exit-code`, `timeout` …
    pub result: String,
    /// The exit code, where the program ended by itself.
    pub exit_code: Option<i32>,
    /// Whether it is at work now.
    pub is_running: bool,
}

/// A schedule that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledSchedule {
    /// As in [`Schedule`].
    pub name: String,
    /// Where it stands.
    pub place: SchedulePlace,
    /// Its files; none in a crontab.
    pub files: Vec<PathBuf>,
    /// The command that installed it.
    pub installed_by: String,
    /// What is run.
    pub command: String,
    /// Whether it is what installing it again would write.
    pub fit: ScheduleFit,
    /// Whether it begins with the machine, or the user's session. `None` where nobody can be asked.
    pub is_enabled: Option<bool>,
    /// Whether it waits for its time now.
    pub is_active: Option<bool>,
    /// When it runs next.
    pub next: Option<Timestamp>,
    /// Its last run, where somebody knows of it.
    pub last: Option<ScheduledRun>,
    /// What else there is to say.
    pub notes: Vec<String>,
}

impl InstalledSchedule {
    /// Whether there is nothing to be done about it.
    pub fn is_well(&self) -> bool {
        let died = |run: &ScheduledRun| run.result != "success";
        matches!(self.fit, ScheduleFit::AsWanted | ScheduleFit::OfAnother)
            && self.is_enabled != Some(false)
            && self.is_active != Some(false)
            && !self.last.as_ref().is_some_and(died)
    }
}
