//! The report for programs.

use super::plan_view::PlanReport;
use super::rollout_view::RolloutReport;
use super::wire::{WirePlanReport, WireReport, WireRollout, WireRuns};
use crate::model::{Report, RunSummary, escape_json};

/// Renders a report as one JSON object with sorted keys and a newline at its end.
///
/// # Errors
/// None that is known: every key is a text and every number finite.
pub fn render_json(report: &Report) -> Result<String, serde_json::Error> {
    // Through a value, whose maps are sorted by key.
    pretty(&serde_json::to_value(WireReport::of(report))?)
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

fn schema_of<T: schemars::JsonSchema>() -> Result<String, serde_json::Error> {
    let schema = schemars::schema_for!(T);
    let mut text = serde_json::to_string_pretty(&schema.to_value())?;
    text.push('\n');
    Ok(text)
}
