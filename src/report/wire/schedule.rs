//! What `schedule show --format json` tells (`clawfleet.schedule/1`).

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{InstalledSchedule, ScheduleFit, ScheduledRun};

/// `clawfleet.schedule/1`.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::report) struct WireSchedules {
    /// `clawfleet.schedule/1`.
    schema: &'static str,
    /// Whether something is installed, and nothing of it is to be mended.
    well: bool,
    schedules: Vec<WireSchedule>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireSchedule {
    /// The unit's name without `.timer`, and the mark in a crontab.
    name: String,
    /// `system`, `user` or `cron`.
    place: &'static str,
    /// Its unit files; empty in a crontab.
    files: Vec<String>,
    /// The command that installed it.
    installed_by: String,
    /// What is run, as it stands in the unit or the crontab.
    command: String,
    /// Whether it is what that command would write now: `as-wanted`, `differs`, `unknown`, or
    /// `not-compared` where it is another user's.
    fit: &'static str,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    fit_unknown: Option<String>,
    /// Whether it begins with the machine or the session; absent in a crontab, and where systemd cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    /// Whether it waits for its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
    /// RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run: Option<WireScheduledRun>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireScheduledRun {
    /// RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    began_at: Option<String>,
    /// Whether it is at work now; then what follows is of the run before.
    running: bool,
    /// systemd's word: `success` (findings included), `exit-code`, `signal`, `timeout` …
    result: String,
    /// Where the program ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
}

impl WireSchedules {
    pub(in crate::report) fn of(installed: &[InstalledSchedule]) -> Self {
        Self {
            schema: "clawfleet.schedule/1",
            well: !installed.is_empty() && installed.iter().all(InstalledSchedule::is_well),
            schedules: installed.iter().map(schedule).collect(),
        }
    }
}

fn schedule(one: &InstalledSchedule) -> WireSchedule {
    let (fit, fit_unknown) = match &one.fit {
        ScheduleFit::AsWanted => ("as-wanted", None),
        ScheduleFit::Differs(_) => ("differs", None),
        ScheduleFit::OfAnother => ("not-compared", None),
        ScheduleFit::Unknown(why) => ("unknown", Some(why.clone())),
    };
    WireSchedule {
        name: one.name.clone(),
        place: one.place.id(),
        files: one
            .files
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
        installed_by: one.installed_by.clone(),
        command: one.command.clone(),
        fit,
        fit_unknown,
        enabled: one.is_enabled,
        active: one.is_active,
        next_run: one.next.map(|at| at.to_string()),
        last_run: one.last.as_ref().map(run),
        notes: one.notes.clone(),
    }
}

fn run(last: &ScheduledRun) -> WireScheduledRun {
    WireScheduledRun {
        began_at: last.began.map(|at| at.to_string()),
        running: last.is_running,
        result: last.result.clone(),
        exit_code: last.exit_code,
    }
}
