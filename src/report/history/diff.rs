//! What differed between two runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::grid::{self, Cell, Column, Paint};
use super::{between, length, minute};
use crate::diagnose::{RunChange, run_changes};
use crate::model::{Chronicle, KeptRun, ReadingKind, Severity, Verdict, nodeset};
use crate::report::table::{View, break_names, shortened};
use crate::report::text::{count, sanitize};

/// How many differences are shown; `-v` shows all.
const LINES: usize = 60;

/// Two runs, and what was kept between them.
#[derive(Debug, Clone, Copy)]
pub struct RunDiff<'a> {
    /// What was kept of both and of those between.
    pub chronicle: &'a Chronicle,
    /// The run that is compared.
    pub from: &'a KeptRun,
    /// And the one that it is compared with.
    pub to: &'a KeptRun,
}

/// A difference, and the hosts that have it.
#[derive(Debug, Clone)]
pub(in crate::report) struct Difference {
    pub(in crate::report) what: RunChange,
    pub(in crate::report) gateway: Option<u16>,
    pub(in crate::report) hosts: Vec<usize>,
}

/// The differences of hosts that both runs were about, each once.
pub(in crate::report) fn differences(diff: &RunDiff<'_>) -> Vec<Difference> {
    let mut all: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for change in run_changes(diff.chronicle, diff.from, diff.to) {
        let hosts = all.entry((change.what, change.gateway)).or_default();
        hosts.push(change.host);
    }
    let all = all.into_iter().map(|((what, gateway), hosts)| Difference {
        what,
        gateway,
        hosts,
    });
    let mut all: Vec<Difference> = all.collect();
    all.sort_by_key(|difference| order(&difference.what));
    all
}

/// What is bad first, and of that the worst.
fn order(change: &RunChange) -> (u8, std::cmp::Reverse<Option<Severity>>) {
    let (place, severity) = match change {
        RunChange::New { severity, .. } => (0, Some(*severity)),
        RunChange::Graded { from, to, .. } if to > from => (1, Some(*to)),
        RunChange::Answered { .. } => (2, None),
        RunChange::Graded { to, .. } => (3, Some(*to)),
        RunChange::Gone { severity, .. } => (4, Some(*severity)),
        RunChange::Between { .. } => (5, None),
        RunChange::Other { .. } => (6, None),
        RunChange::Moved { .. } => (7, None),
    };
    (place, std::cmp::Reverse(severity))
}

/// Renders what differed.
pub fn render_run_diff(diff: &RunDiff<'_>, view: View) -> String {
    let mut out = head(diff, view);
    if view.quiet {
        return out;
    }
    let mut all = differences(diff);
    if all.is_empty() {
        out += "nothing that is kept differs\n";
        return out;
    }
    let most = if view.verbose { usize::MAX } else { LINES };
    let left_out = all.len().saturating_sub(most);
    all.truncate(most);
    let name_width = usize::from(view.width / 4).max(16);
    let column = |head: &str, rank: u8, cell: &dyn Fn(&Difference) -> Cell| Column {
        head: head.to_owned(),
        rank,
        cells: all.iter().map(cell).collect(),
    };
    let several = diff
        .chronicle
        .hosts
        .iter()
        .any(|host| host.gateways().len() > 1);
    let columns = vec![
        column("", 0, &|of| word(of)),
        column("WHAT", 0, &|of| {
            Cell::new(break_names(&sanitize(&what(&of.what)), name_width))
        }),
        column("HOSTS", 0, &|of| {
            let names = shortened(names(diff, &of.hosts), of.hosts.len(), view);
            let names = match of.gateway.filter(|_| several) {
                Some(port) => format!("{names} :{port}"),
                None => names,
            };
            Cell::new(break_names(&names, name_width)).paint(Paint::Strong)
        }),
        column("HOW", 0, &|of| Cell::new(sanitize(&how(&of.what)))),
        column("ABOUT", 1, &|of| {
            Cell::new(sanitize(subject(&of.what))).paint(Paint::Dim)
        }),
    ];
    out.push('\n');
    out += &grid::draw(columns, view.width.into(), view.style);
    if left_out > 0 {
        let _ = writeln!(
            out,
            "and {} (-v shows all)",
            count(left_out, "more difference")
        );
    }
    out
}

fn names(diff: &RunDiff<'_>, hosts: &[usize]) -> String {
    let hosts = hosts
        .iter()
        .filter_map(|place| diff.chronicle.hosts.get(*place));
    sanitize(&nodeset::fold(hosts.map(|host| host.name.as_str()))).into_owned()
}

fn head(diff: &RunDiff<'_>, view: View) -> String {
    let (from, to) = (diff.from, diff.to);
    let run = |run: &KeptRun| {
        format!(
            "run {} ({} UTC, {})",
            run.id,
            minute(run.started_at),
            view.style.verdict(run.verdict, run.verdict.id())
        )
    };
    let apart = between(
        from.started_at.min(to.started_at),
        from.started_at.max(to.started_at),
    );
    let apart = match from.id.cmp(&to.id) {
        std::cmp::Ordering::Less => format!("{} later", length(apart)),
        std::cmp::Ordering::Equal => "the same run".to_owned(),
        std::cmp::Ordering::Greater => format!("{} EARLIER", length(apart)),
    };
    let mut out = format!("from {}\nto   {}, {apart}\n", run(from), run(to));
    let places = |wanted: &dyn Fn(bool, bool) -> bool| -> Vec<usize> {
        let hosts = diff.chronicle.hosts.iter().enumerate();
        let wanted = hosts.filter(|(_, host)| wanted(host.is_about(from), host.is_about(to)));
        wanted.map(|(place, _)| place).collect()
    };
    let both = places(&|from, to| from && to);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{} in both", count(both.len(), "host"));
    for (run, only) in [
        (from, places(&|from, to| from && !to)),
        (to, places(&|from, to| !from && to)),
    ] {
        if !only.is_empty() {
            let _ = writeln!(
                out,
                "only run {} was about {}",
                run.id,
                shortened(names(diff, &only), only.len(), view)
            );
        }
    }
    out
}

fn word(of: &Difference) -> Cell {
    let severity = |severity: Severity| Paint::Verdict(Verdict::of(severity));
    match &of.what {
        RunChange::New { severity: how, .. } => Cell::new("NEW").paint(severity(*how)),
        RunChange::Gone { .. } => Cell::new("GONE").paint(Paint::Verdict(Verdict::Ok)),
        RunChange::Graded { from, to, .. } => {
            let word = if to > from { "WORSE" } else { "BETTER" };
            Cell::new(word).paint(severity(*to))
        }
        RunChange::Between { .. } => Cell::new("BETWEEN"),
        RunChange::Answered { .. } => Cell::new("ANSWER"),
        RunChange::Other { .. } => Cell::new("CHANGED"),
        RunChange::Moved { .. } => Cell::new("NUMBER"),
    }
}

fn what(change: &RunChange) -> String {
    match change {
        RunChange::New { class, .. }
        | RunChange::Gone { class, .. }
        | RunChange::Graded { class, .. }
        | RunChange::Between { class, .. } => class.clone(),
        RunChange::Answered { .. } => "outcome".to_owned(),
        RunChange::Other { part } => part.clone(),
        RunChange::Moved { kind, .. } => number(*kind).to_owned(),
    }
}

fn number(kind: ReadingKind) -> &'static str {
    match kind {
        ReadingKind::Restarts => "restarts",
        ReadingKind::Restarts24h => "restarts in 24 h",
        ReadingKind::Failed1h => "failed starts in 1 h",
        ReadingKind::LatencyMs => "latency in ms",
        ReadingKind::DiskFreePercent => "free disk in %",
        ReadingKind::ClockAheadS => "clock ahead in s",
        ReadingKind::MemoryMib => "memory in MiB",
    }
}

fn how(change: &RunChange) -> String {
    match change {
        RunChange::New { severity, .. } => severity.id().to_owned(),
        RunChange::Gone { severity, .. } => format!("was {}", severity.id()),
        RunChange::Graded { from, to, .. } => format!("{} -> {}", from.id(), to.id()),
        RunChange::Between { .. } => "came and went between".to_owned(),
        RunChange::Answered { from, to } => format!("{from} -> {to}"),
        RunChange::Other { .. } => String::new(),
        RunChange::Moved { from, to, grew, .. } => match grew {
            Some(grew) => format!("{from} -> {to}, {grew} more"),
            None => format!("{from} -> {to}"),
        },
    }
}

fn subject(change: &RunChange) -> &str {
    match change {
        RunChange::New { subject, .. }
        | RunChange::Gone { subject, .. }
        | RunChange::Graded { subject, .. }
        | RunChange::Between { subject, .. } => subject,
        _ => "",
    }
}
