//! The runs that are kept, with the numbers by which `history diff` names them.

use std::time::Duration;

use super::grid::{self, Cell, Column, Paint};
use super::{between, length, minute};
use crate::model::{KeptRun, Summary, Verdict};
use crate::report::table::View;

/// How many lines are shown; `-v` shows each run.
const LINES: usize = 40;

/// Runs one after the other that saw the same counts.
struct Stretch<'a> {
    first: &'a KeptRun,
    last: &'a KeptRun,
    runs: usize,
}

/// Renders runs, the newest last. Those that saw the same counts one after the other are one line.
pub fn render_kept_runs(runs: &[KeptRun], view: View) -> String {
    if runs.is_empty() {
        return "no run was kept in that time\n".to_owned();
    }
    let mut stretches: Vec<Stretch<'_>> = Vec::new();
    for run in runs {
        match stretches.last_mut() {
            Some(before) if !view.verbose && same(before.last, run) => {
                before.last = run;
                before.runs += 1;
            }
            _ => stretches.push(Stretch {
                first: run,
                last: run,
                runs: 1,
            }),
        }
    }
    let most = if view.verbose { usize::MAX } else { LINES };
    let left_out = stretches.len().saturating_sub(most);
    let mut out = String::new();
    if left_out > 0 {
        let runs: usize = stretches.iter().take(left_out).map(|of| of.runs).sum();
        out = format!("{runs} earlier runs left out (-v shows all)\n");
    }
    let shown = stretches.get(left_out..).unwrap_or_default();
    let column = |head: &str, rank: u8, cell: &dyn Fn(&Stretch<'_>) -> Cell| Column {
        head: head.to_owned(),
        rank,
        cells: shown.iter().map(cell).collect(),
    };
    let columns = vec![
        column("RUN", 0, &|of| Cell::new(ids(of)).paint(Paint::Strong)),
        column("STARTED (UTC)", 0, &|of| {
            Cell::new(minute(of.first.started_at))
        }),
        column("FOR", 1, &|of| {
            Cell::new(match of.runs {
                1 => String::new(),
                _ => length(between(of.first.started_at, of.last.started_at)),
            })
        }),
        column("VERDICT", 0, &|of| {
            Cell::new(of.last.verdict.id()).paint(Paint::Verdict(of.last.verdict))
        }),
        column("HOSTS", 0, &|of| {
            Cell::new(of.last.summary.hosts.to_string())
        }),
        column("SAW", 0, &|of| Cell::new(counts(of.last.summary))),
        column("TOOK", 3, &|of| {
            Cell::new(length(Duration::from_millis(of.last.elapsed_ms)))
        }),
        column("", 2, &|of| {
            Cell::new(if of.last.interrupted {
                "interrupted"
            } else {
                ""
            })
        }),
    ];
    out + &grid::draw(columns, view.width.into(), view.style)
}

fn same(one: &KeptRun, other: &KeptRun) -> bool {
    (one.verdict, one.summary, one.interrupted, one.selection)
        == (
            other.verdict,
            other.summary,
            other.interrupted,
            other.selection,
        )
}

fn ids(of: &Stretch<'_>) -> String {
    match of.runs {
        1 => of.first.id.to_string(),
        runs => format!("{}-{} ({runs})", of.first.id, of.last.id),
    }
}

fn counts(summary: Summary) -> String {
    let parts = [
        (summary.critical, "critical"),
        (summary.not_observed, "not observed"),
        (summary.warning, Verdict::Warning.id()),
        (summary.ok, "ok"),
    ];
    let parts = parts.iter().filter(|(hosts, _)| *hosts > 0);
    let parts: Vec<String> = parts
        .map(|(hosts, word)| format!("{hosts} {word}"))
        .collect();
    parts.join(", ")
}
