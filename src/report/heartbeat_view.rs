//! What a watchdog is told of a run, for whoever looks there why it is red.

use super::table::{View, render_table};
use crate::model::Report;

/// How much of the table goes along, in characters: a watchdog shows the beginning.
const LONGEST: usize = 8000;

/// Renders a short text: the verdict with its counts, the exit code, and the beginning of the table.
pub fn render_heartbeat(report: &Report, code: u8) -> String {
    let table = render_table(report, View::plain());
    let (verdict, rest) = table.split_once('\n').unwrap_or((&table, ""));
    let begun = report.started_at.strftime("%Y-%m-%d %H:%M:%S UTC");
    let mut text = format!("{verdict}\nexit code {code}, begun {begun}\n");
    let mut room = LONGEST;
    for line in rest.lines() {
        let length = line.chars().count() + 1;
        if length > room {
            text += "…\n";
            break;
        }
        room -= length;
        text += line;
        text.push('\n');
    }
    text
}
