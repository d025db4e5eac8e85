//! The report for programs.

use super::text::is_unsafe;
use super::wire::WireReport;
use crate::model::Report;

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
    let mut text = escape(&serde_json::to_string_pretty(value)?);
    text.push('\n');
    Ok(text)
}

/// Escapes what a terminal could obey and JSON allows raw in its strings (DEL, C1 controls, marks
/// of writing direction), so that the values stay as they were and a terminal shows only text.
fn escape(json: &str) -> String {
    use std::fmt::Write as _;
    json.chars()
        .fold(String::with_capacity(json.len()), |mut out, c| {
            // Line feeds are the printer's own: those in strings are escaped already.
            if is_unsafe(c) && c != '\n' {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            } else {
                out.push(c);
            }
            out
        })
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
