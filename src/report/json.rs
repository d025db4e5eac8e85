//! The report for programs.

use super::wire::WireReport;
use crate::model::{Report, escape_json};

/// Renders a report as one JSON object with sorted keys and a newline at its end.
///
/// # Errors
/// None that is known: every key is a text and every number finite.
pub fn render_json(report: &Report) -> Result<String, serde_json::Error> {
    // Through a value, whose maps are sorted by key.
    pretty(&serde_json::to_value(WireReport::of(report))?)
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
    let schema = schemars::schema_for!(WireReport);
    let mut text = serde_json::to_string_pretty(&schema.to_value())?;
    text.push('\n');
    Ok(text)
}
