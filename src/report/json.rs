//! The report for programs.

use std::io::{self, Write};

use super::history::{HistoryReport, RunDiff};
use super::plan_view::PlanReport;
use super::rollout_view::RolloutReport;
use super::wire::{
    WireChanges, WireCommand, WireEvent, WireHistory, WireKeptRuns, WireLastLine, WireLine,
    WirePlanReport, WireReport, WireRollout, WireRunDiff, WireRuns,
};
use crate::model::{
    Change, CommandReport, CommandResult, KeptRun, Report, RunSummary, escape_json,
};

/// Renders a report as one JSON object with sorted keys and a newline at its end.
///
/// # Errors
/// None that is known: every key is a text and every number finite.
pub fn render_json(report: &Report) -> Result<String, serde_json::Error> {
    // Through a value, whose maps are sorted by key.
    pretty(&serde_json::to_value(WireReport::of(report))?)
}

/// Renders what changed as one JSON object with sorted keys and a newline at its end
/// (`clawfleet.changes/1`).
///
/// # Errors
/// None that is known.
pub fn render_changes_json(
    changes: &[Change],
    report: &Report,
) -> Result<String, serde_json::Error> {
    pretty(&serde_json::to_value(WireChanges::of(changes, report))?)
}

/// Renders a plan as one JSON object with sorted keys and a newline at its end
/// (`clawfleet.plan-report/1`).
///
/// # Errors
/// None that is known.
pub fn render_plan_json(report: &PlanReport<'_>) -> Result<String, serde_json::Error> {
    pretty(&serde_json::to_value(WirePlanReport::of(report))?)
}

/// Renders what came of a rollout as one JSON object with sorted keys and a newline at its end
/// (`clawfleet.rollout/1`).
///
/// # Errors
/// None that is known.
pub fn render_rollout_json(report: &RolloutReport<'_>) -> Result<String, serde_json::Error> {
    pretty(&serde_json::to_value(WireRollout::of(report))?)
}

/// Renders the runs that are kept as one JSON object with sorted keys and a newline at its end
/// (`clawfleet.runs/1`).
///
/// # Errors
/// None that is known.
pub fn render_runs_json(runs: &[RunSummary]) -> Result<String, serde_json::Error> {
    pretty(&serde_json::to_value(WireRuns::of(runs))?)
}

/// Renders what happened as one JSON object with sorted keys and a newline at its end
/// (`clawfleet.history/1`).
///
/// # Errors
/// None that is known.
pub fn render_history_json(report: &HistoryReport<'_>) -> Result<String, serde_json::Error> {
    pretty(&serde_json::to_value(WireHistory::of(report))?)
}

/// Renders the runs of checks that are kept as one JSON object with sorted keys and a newline at its end
/// (`clawfleet.history-runs/1`).
///
/// # Errors
/// None that is known.
pub fn render_kept_runs_json(runs: &[KeptRun]) -> Result<String, serde_json::Error> {
    pretty(&serde_json::to_value(WireKeptRuns::of(runs))?)
}

/// Renders what differed between two runs as one JSON object with sorted keys and a newline at its end
/// (`clawfleet.history-diff/1`).
///
/// # Errors
/// None that is known.
pub fn render_run_diff_json(diff: &RunDiff<'_>) -> Result<String, serde_json::Error> {
    pretty(&serde_json::to_value(WireRunDiff::of(diff))?)
}

/// Writes what came of a command as one JSON object with sorted keys and a newline at its end
/// (`clawfleet.run/1`). It is written while it is made, for outputs may be large.
///
/// # Errors
/// It cannot be written, or what was kept cannot be read.
pub fn write_command_json(out: &mut dyn Write, report: &CommandReport) -> io::Result<()> {
    let mut escaping = Escaping(&mut *out);
    serde_json::to_writer_pretty(&mut escaping, &WireCommand::of(report))?;
    out.write_all(b"\n")
}

/// Writes what came of a command on one host as a line of JSON (`clawfleet.run-host/1`).
///
/// # Errors
/// It cannot be written, or what was kept cannot be read.
pub fn write_command_line(out: &mut dyn Write, result: &CommandResult) -> io::Result<()> {
    let mut escaping = Escaping(&mut *out);
    serde_json::to_writer(&mut escaping, &WireLine::of(result))?;
    out.write_all(b"\n")
}

/// Writes the last line of NDJSON (`clawfleet.run-summary/1`).
///
/// # Errors
/// It cannot be written.
pub fn write_command_last(out: &mut dyn Write, report: &CommandReport) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &WireLastLine::of(report))?;
    out.write_all(b"\n")
}

/// Escapes what a terminal could obey on its way. What is written are whole characters: serde_json writes
/// pieces of texts.
struct Escaping<'a>(&'a mut dyn Write);

impl Write for Escaping<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(data) {
            Ok(text) => self.0.write_all(escape_json(text).as_bytes())?,
            Err(_) => self.0.write_all(data)?,
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Renders a value with a newline at its end.
pub(super) fn pretty(value: &serde_json::Value) -> Result<String, serde_json::Error> {
    let mut text = escape_json(&serde_json::to_string_pretty(value)?);
    text.push('\n');
    Ok(text)
}

/// Returns the JSON Schema of the report, as it is checked in under `docs/schema/`.
///
/// # Errors
/// None that is known.
pub fn schema() -> Result<String, serde_json::Error> {
    schema_of::<WireReport>()
}

/// Returns the JSON Schema of what changed, as [`schema`] does.
///
/// # Errors
/// None that is known.
pub fn changes_schema() -> Result<String, serde_json::Error> {
    schema_of::<WireChanges>()
}

/// Returns the JSON Schema of a line of `check --format ndjson`, as [`schema`] does.
///
/// # Errors
/// None that is known.
pub fn event_schema() -> Result<String, serde_json::Error> {
    schema_of::<WireEvent>()
}

/// Returns the JSON Schema of plans that are shown, as [`schema`] does.
///
/// # Errors
/// None that is known.
pub fn plan_schema() -> Result<String, serde_json::Error> {
    schema_of::<WirePlanReport>()
}

/// Returns the JSON Schema of what came of a rollout, as [`schema`] does.
///
/// # Errors
/// None that is known.
pub fn rollout_schema() -> Result<String, serde_json::Error> {
    schema_of::<WireRollout>()
}

/// Returns the JSON Schema of the list of runs, as [`schema`] does.
///
/// # Errors
/// None that is known.
pub fn runs_schema() -> Result<String, serde_json::Error> {
    schema_of::<WireRuns>()
}

/// Returns the JSON Schema of what came of a command, as [`schema`] does.
///
/// # Errors
/// None that is known.
pub fn run_schema() -> Result<String, serde_json::Error> {
    schema_of::<WireCommand<'_>>()
}

/// Returns the JSON Schema of a host's line of NDJSON, as [`schema`] does.
///
/// # Errors
/// None that is known.
pub fn run_host_schema() -> Result<String, serde_json::Error> {
    schema_of::<WireLine<'_>>()
}

/// Returns the JSON Schema of the last line of NDJSON, as [`schema`] does.
///
/// # Errors
/// None that is known.
pub fn run_summary_schema() -> Result<String, serde_json::Error> {
    schema_of::<WireLastLine>()
}

/// Returns the JSON Schema of what happened, as [`schema`] does.
///
/// # Errors
/// None that is known.
pub fn history_schema() -> Result<String, serde_json::Error> {
    schema_of::<WireHistory>()
}

/// Returns the JSON Schema of the runs of checks that are kept, as [`schema`] does.
///
/// # Errors
/// None that is known.
pub fn history_runs_schema() -> Result<String, serde_json::Error> {
    schema_of::<WireKeptRuns>()
}

/// Returns the JSON Schema of what differed between two runs, as [`schema`] does.
///
/// # Errors
/// None that is known.
pub fn history_diff_schema() -> Result<String, serde_json::Error> {
    schema_of::<WireRunDiff>()
}

pub(super) fn schema_of<T: schemars::JsonSchema>() -> Result<String, serde_json::Error> {
    let schema = schemars::schema_for!(T);
    let mut text = serde_json::to_string_pretty(&schema.to_value())?;
    text.push('\n');
    Ok(text)
}
