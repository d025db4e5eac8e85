//! What runs the checks of a bastion, for people.

use std::fmt::Write as _;

use super::plan_view::diff_lines;
use super::table::{View, wrapped};
use super::text::sanitize;
use super::wire::schedule::WireSchedules;
use crate::model::{InstalledSchedule, ScheduleDiff, ScheduleFit, SchedulePlace, ScheduledRun};

/// Renders how files differ from what is wanted.
pub fn render_schedule_diff(diffs: &[ScheduleDiff], view: View) -> String {
    let mut out = String::new();
    for diff in diffs {
        let what = match (diff.is_there, diff.is_wanted) {
            (false, _) => "new",
            (true, true) => "changed",
            (true, false) => "removed",
        };
        let _ = writeln!(out, "{} ({what})", sanitize(&diff.path));
        diff_lines(&mut out, &diff.lines, view);
    }
    out
}

/// Renders what is installed.
pub fn render_schedules(installed: &[InstalledSchedule], view: View) -> String {
    if installed.is_empty() {
        return "nothing is installed: `clawfleet schedule install` lets this machine check its fleet\n"
            .to_owned();
    }
    let mut out = String::new();
    for (at, one) in installed.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        schedule(&mut out, one, view);
    }
    out
}

fn schedule(out: &mut String, one: &InstalledSchedule, view: View) {
    let place = match one.place {
        SchedulePlace::System => "the system's timer",
        SchedulePlace::User => "this user's timer",
        SchedulePlace::Cron => "in this user's crontab",
    };
    let head = format!("{} ({place})", sanitize(&one.name));
    let _ = writeln!(out, "{}", view.style.strong(&head));
    let mut say = |key: &str, value: &str| {
        wrapped(out, &format!("{key:<9} {}", sanitize(value)), view);
    };
    say("runs", &one.command);
    match (one.is_active, one.is_enabled) {
        (Some(true), Some(true)) => say("state", "waits for its time, and begins with the machine"),
        (Some(true), _) => say(
            "state",
            "waits for its time; NOT ENABLED: it does not begin with the machine",
        ),
        (Some(false), _) => say("state", "NOT ACTIVE: nothing is checked"),
        (None, _) => {}
    }
    if let Some(next) = one.next {
        say(
            "next run",
            &next.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        );
    }
    match (&one.last, one.place) {
        (Some(last), _) => say("last run", &run(last)),
        (None, SchedulePlace::Cron) => {}
        (None, _) if one.is_active.is_some() => say("last run", "none yet"),
        (None, _) => {}
    }
    match &one.fit {
        ScheduleFit::AsWanted => say("files", "as `install` would write them"),
        ScheduleFit::Differs(_) => {
            say(
                "files",
                "DIFFERENT from what this clawfleet would write; this does it again:",
            );
            say("", &one.installed_by);
        }
        ScheduleFit::OfAnother => say(
            "files",
            "not compared: they are another user's, who can do it",
        ),
        ScheduleFit::Unknown(why) => say("files", &format!("NOT COMPARED: {why}")),
    }
    for note in &one.notes {
        say("note", note);
    }
    if let (ScheduleFit::Differs(diffs), true) = (&one.fit, view.verbose) {
        *out += &render_schedule_diff(diffs, view);
    }
}

/// A run in a line.
fn run(last: &ScheduledRun) -> String {
    let began = last
        .began
        .map(|at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    let mut text = began.unwrap_or_else(|| "at a time that nobody knows".to_owned());
    if last.is_running {
        text += ", at work now";
        return text;
    }
    let meaning = match last.exit_code {
        Some(0) => "clean",
        Some(1) => "warnings",
        Some(2) => "critical findings",
        Some(3) => "hosts not observed",
        Some(64) => "its command line is at fault",
        Some(75) => "another run was at work",
        Some(78) => "the inventory or an output is at fault",
        Some(130) => "stopped",
        _ => "",
    };
    match (last.exit_code, meaning) {
        (Some(code), "") => text += &format!(", exit code {code}"),
        (Some(code), meaning) => text += &format!(", exit code {code}: {meaning}"),
        (None, _) => {}
    }
    if last.result != "success" {
        text += &format!(" (FAILED: {})", last.result);
    }
    text
}

/// Renders what is installed, as `clawfleet.schedule/1`.
///
/// # Errors
/// None that is known.
pub fn render_schedules_json(installed: &[InstalledSchedule]) -> Result<String, serde_json::Error> {
    super::json::pretty(&serde_json::to_value(WireSchedules::of(installed))?)
}

/// Returns the JSON Schema of it, as it is checked in under `docs/schema/`.
///
/// # Errors
/// None that is known.
pub fn schedule_schema() -> Result<String, serde_json::Error> {
    super::json::schema_of::<WireSchedules>()
}
