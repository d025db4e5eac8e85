//! What happened to hosts over days, for somebody who was woken up: how it is now, how each host fared, and
//! what happened when, the newest last, next to the prompt.

mod diff;
mod events;
mod grid;
mod rows;
mod runs;
mod strip;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use super::table::{View, break_names, shortened};
use super::text::{count, sanitize, span};
use crate::diagnose::happenings;
use crate::model::{Chronicle, Verdict, nodeset};
pub(super) use events::{Event, events, lasted, name as happened_name, widely};
use grid::{Cell, Column, Paint};
pub(super) use rows::{Row, Series, looked, restarts, rows, standing};
pub(super) use strip::Axis;
use strip::{narrowed, spark, strip};

pub(super) use diff::{Difference, differences};
pub use diff::{RunDiff, render_run_diff};
pub use runs::render_kept_runs;

/// How many rows of hosts, and how many events, are shown; `-v` shows all.
const ROWS: usize = 14;
const EVENTS: usize = 24;

/// How many columns of restarts and latency there are for each of the strip: one for so many.
const NARROWER: usize = 3;

/// What is told of some time.
#[derive(Debug, Clone, Copy)]
pub struct HistoryReport<'a> {
    /// What was kept.
    pub chronicle: &'a Chronicle,
    /// Only findings of these classes; all, where none is named.
    pub classes: &'a BTreeSet<String>,
    /// From when on it was asked for.
    pub since: Timestamp,
    /// When what is kept begins.
    pub begins: Option<Timestamp>,
    /// The last run that is kept, whenever it was.
    pub last: Option<(i64, Timestamp)>,
    /// The time.
    pub now: Timestamp,
}

/// Renders what happened.
pub fn render_history(report: &HistoryReport<'_>, view: View) -> String {
    let runs = &report.chronicle.runs;
    let mut out = head(report, view);
    if view.quiet || runs.is_empty() {
        return out;
    }
    let axis = Axis::new(runs, strip_width(view.width));
    let _ = writeln!(out, "{}\n", legend(&axis));
    out += &hosts(report, &axis, view);
    out += &happened(report, view);
    out
}

/// How many columns time has.
fn strip_width(width: u16) -> usize {
    match width {
        0..=99 => 24,
        100..=139 => 36,
        140..=179 => 48,
        _ => 60,
    }
}

/// A length of time without hours that are none.
pub(super) fn length(of: Duration) -> String {
    let text = span(of);
    text.strip_suffix(" 0 h")
        .map_or(text.clone(), str::to_owned)
}

pub(super) fn between(first: Timestamp, last: Timestamp) -> Duration {
    Duration::try_from(last.duration_since(first)).unwrap_or_default()
}

pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// `2 critical, 1 not observed, 37 ok`
pub(super) fn standing_words(report: &HistoryReport<'_>) -> Vec<(Verdict, String)> {
    let standing = standing(report).into_iter().rev();
    standing
        .map(|(verdict, hosts)| {
            let word = match verdict {
                Verdict::Unknown => "not observed",
                other => other.id(),
            };
            (verdict, format!("{hosts} {word}"))
        })
        .collect()
}

fn head(report: &HistoryReport<'_>, view: View) -> String {
    let hosts = count(report.chronicle.hosts.len(), "host");
    let asked = length(between(report.since, report.now));
    let Some(last) = report.chronicle.runs.last() else {
        let last = report.last.map(|(id, at)| {
            let ago = length(between(at, report.now));
            format!("; the last is run {id}, {} UTC, {ago} ago", minute(at))
        });
        return format!(
            "{hosts}: no run was kept in the last {asked}{}\n",
            last.unwrap_or_default()
        );
    };
    let words: Vec<String> = standing_words(report)
        .into_iter()
        .map(|(verdict, words)| view.style.verdict(verdict, &words))
        .collect();
    let words = match words.as_slice() {
        [] => "not asked in that time".to_owned(),
        words => words.join(", "),
    };
    let mut out = format!("{hosts}: {words}\n");
    if view.quiet {
        return out;
    }
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "as of run {}, {} UTC, {} ago; {} in {}",
        last.id,
        minute(last.started_at),
        length(between(last.started_at, report.now)),
        count(report.chronicle.runs.len(), "run"),
        length(match report.chronicle.runs.first() {
            Some(first) => between(first.started_at, last.started_at),
            None => Duration::ZERO,
        })
    );
    if let Some(begins) = report.begins.filter(|begins| is_short_of(report, *begins)) {
        let _ = writeln!(
            out,
            "the history begins {} UTC, {} ago; nothing older is kept",
            minute(begins),
            length(between(begins, report.now))
        );
    }
    if !report.classes.is_empty() {
        let classes: Vec<&str> = report.classes.iter().map(String::as_str).collect();
        let _ = writeln!(out, "only {}", sanitize(&classes.join(", ")));
    }
    out
}

/// Whether what is kept begins so much later than was asked for that it matters.
fn is_short_of(report: &HistoryReport<'_>, begins: Timestamp) -> bool {
    let asked = between(report.since, report.now);
    between(report.since, begins) > asked / 20
}

fn legend(axis: &Axis) -> String {
    let column = match axis.column_ms.and_then(|ms| u64::try_from(ms).ok()) {
        Some(ms) => length(Duration::from_millis(ms)),
        None => "a run".to_owned(),
    };
    format!("a column is {column}: . ok  ! warning  X critical  ? not observed")
}

fn names(report: &HistoryReport<'_>, hosts: &[usize]) -> String {
    let hosts = hosts
        .iter()
        .filter_map(|place| report.chronicle.hosts.get(*place));
    sanitize(&nodeset::fold(hosts.map(|host| host.name.as_str()))).into_owned()
}

fn hosts(report: &HistoryReport<'_>, axis: &Axis, view: View) -> String {
    let all = rows(report, axis, view.verbose);
    let most = if view.verbose { usize::MAX } else { ROWS };
    // One line that says "and one more" is no shorter than the row.
    let shown = if all.len() <= most.saturating_add(1) {
        all.len()
    } else {
        most
    };
    let (rows, rest) = all.split_at(shown.min(all.len()));
    let name_width = usize::from(view.width / 5).max(16);
    let column = |head: &str, rank: u8, cell: &dyn Fn(&Row) -> Cell| Column {
        head: head.to_owned(),
        rank,
        cells: rows.iter().map(cell).collect(),
    };
    let narrow = (axis.columns / NARROWER).max(8);
    let folded = rows.iter().any(|row| row.hosts.len() > 1);
    let drawn = |series: &Series, unit: &str| {
        let bars = spark(&narrowed(&series.columns, narrow));
        match range(series.told, unit) {
            text if text.is_empty() => String::new(),
            text => format!("{bars} {text}"),
        }
    };
    let mut columns = vec![
        column("HOSTS", 0, &|row| {
            let names = shortened(names(report, &row.hosts), row.hosts.len(), view);
            Cell::new(break_names(&names, name_width))
        }),
        column("N", 5, &|row| {
            Cell::new(if folded {
                row.hosts.len().to_string()
            } else {
                String::new()
            })
        }),
        column("GATEWAY", 0, &|row| {
            Cell::new(
                row.gateway
                    .map(|port| format!(":{port}"))
                    .unwrap_or_default(),
            )
        }),
        column("NOW", 0, &|row| match &row.now {
            Some((verdict, word)) => Cell::new(sanitize(word)).paint(Paint::Verdict(*verdict)),
            None => Cell::new("not asked"),
        }),
        column("OBSERVED", 3, &|row| Cell::new(percent(row.seen))),
        column(&head_of(axis), 0, &|row| {
            Cell::new(strip(&row.strip)).paint(Paint::Strip)
        }),
        column("RESTARTS", 1, &|row| Cell::new(drawn(&row.restarts, ""))),
        column("LATENCY", 2, &|row| Cell::new(drawn(&row.latency, " ms"))),
        column("FAILED STARTS/H", 4, &|row| {
            let some = row.failed.told.filter(|(_, most)| *most > 0);
            Cell::new(some.map_or_else(String::new, |_| drawn(&row.failed, "")))
        }),
        column("DISK FREE", 6, &|row| {
            Cell::new(
                row.disk
                    .told
                    .map_or_else(String::new, |(least, _)| format!("{least} %")),
            )
        }),
    ];
    // No host here has several gateways.
    columns
        .retain(|column| column.head != "GATEWAY" || rows.iter().any(|row| row.gateway.is_some()));
    let mut out = grid::draw(columns, view.width.into(), view.style);
    if !rest.is_empty() {
        let hosts: Vec<usize> = rest
            .iter()
            .flat_map(|row| row.hosts.iter().copied())
            .collect();
        let said = format!(
            "and {} with less trouble, in {} rows (-v shows all): {}",
            count(hosts.len(), "host"),
            rest.len(),
            shortened(names(report, &hosts), hosts.len(), view)
        );
        let _ = writeln!(out, "{}", break_names(&said, view.width.into()));
    }
    out
}

/// The strip's heading, over its ends.
fn head_of(axis: &Axis) -> String {
    match axis.columns {
        0..=11 => "STATE".to_owned(),
        columns => format!("STATE{:>width$}", "NOW>", width = columns - 5),
    }
}

/// What share of looks saw the host; all of them is 100 % and nothing else is.
pub(super) fn percent(thousandths: Option<(u64, u64)>) -> String {
    let one = |part: u64| match (part / 10, part % 10) {
        (whole, 0) => format!("{whole}"),
        (whole, tenth) => format!("{whole}.{tenth}"),
    };
    match thousandths {
        None => String::new(),
        Some((least, most)) if least == most => format!("{} %", one(least)),
        Some((least, most)) => format!("{}-{} %", one(least), one(most)),
    }
}

pub(super) fn range(told: Option<(i64, i64)>, unit: &str) -> String {
    match told {
        None => String::new(),
        Some((low, high)) if low == high => format!("{low}{unit}"),
        Some((low, high)) => format!("{low}-{high}{unit}"),
    }
}

fn happened(report: &HistoryReport<'_>, view: View) -> String {
    let all = events(
        report,
        happenings(report.chronicle, report.classes),
        view.verbose,
    );
    if all.is_empty() {
        let what = match report.classes.is_empty() {
            true => "nothing was found and nothing changed",
            false => "none of that was found",
        };
        return format!("\n{what} in that time\n");
    }
    let most = if view.verbose { usize::MAX } else { EVENTS };
    let all = match all.len() > most {
        true => widely(all),
        false => all,
    };
    let (shown, left_out) = chosen(&all, most);
    let mut out = "\n".to_owned();
    if let Some(left_out) = left_out {
        let _ = writeln!(out, "{left_out}");
    }
    out + &table(report, &shown, view)
}

/// The newest events, and all that are still so; and what is said of the others.
fn chosen(all: &[Event], most: usize) -> (Vec<&Event>, Option<String>) {
    if all.len() <= most.saturating_add(1) {
        return (all.iter().collect(), None);
    }
    // What is still so goes first, the newest of it; one in ten stays for what is over.
    let still: Vec<usize> = (0..all.len())
        .rev()
        .filter(|place| all.get(*place).is_some_and(Event::is_there))
        .take(most - most / 10)
        .collect();
    let over = (0..all.len()).rev().filter(|place| !still.contains(place));
    let over: Vec<usize> = over.take(most - still.len()).collect();
    let mut places: Vec<usize> = still.into_iter().chain(over).collect();
    places.sort_unstable();
    let gone = all.len() - places.len();
    let there = all.iter().filter(|event| event.is_there()).count();
    let shown: Vec<&Event> = places.iter().filter_map(|place| all.get(*place)).collect();
    let still_gone = there - shown.iter().filter(|event| event.is_there()).count();
    let mut said = format!("{} left out", count(gone, "earlier event"));
    if still_gone > 0 {
        said += &format!(", {still_gone} of them still there");
    }
    (shown, Some(said + " (-v shows all)"))
}

fn table(report: &HistoryReport<'_>, events: &[&Event], view: View) -> String {
    let years: BTreeSet<i16> = events
        .iter()
        .filter_map(|event| event.since)
        .chain([report.now])
        .map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).year())
        .collect();
    let when = |at: Timestamp| match years.len() {
        1 => at.strftime("%m-%d %H:%M").to_string(),
        _ => minute(at),
    };
    let column = |head: &str, rank: u8, cell: &dyn Fn(&Event) -> Cell| Column {
        head: head.to_owned(),
        rank,
        cells: events.iter().map(|event| cell(event)).collect(),
    };
    let name_width = usize::from(view.width / 4).max(16);
    let columns = vec![
        column("SINCE (UTC)", 0, &|event| {
            Cell::new(event.since.map_or_else(|| "before".to_owned(), when)).paint(Paint::Dim)
        }),
        column("UNTIL", 2, &|event| {
            Cell::new(match event.until {
                Some((_, at)) if event.what.iter().any(crate::diagnose::Happened::lasts) => {
                    when(at)
                }
                _ => String::new(),
            })
        }),
        column("FOR", 0, &|event| lasting(event)),
        column("WHAT", 0, &|event| what(event, view)),
        column("HOSTS", 0, &|event| {
            let names = shortened(names(report, &event.hosts), event.hosts.len(), view);
            let names = match event.gateway.filter(|_| several(report, event)) {
                Some(port) => format!("{names} :{port}"),
                None => names,
            };
            Cell::new(break_names(&names, name_width)).paint(Paint::Strong)
        }),
        column("ABOUT", 1, &|event| {
            let mut about = Vec::new();
            about.extend(event.first.map(|first| format!("first {}", when(first))));
            about.extend(Some(event.subject().to_owned()).filter(|subject| !subject.is_empty()));
            Cell::new(sanitize(&about.join("; "))).paint(Paint::Dim)
        }),
        column("SEVERITY", 3, &|event| {
            let found = event.what.iter().any(crate::diagnose::Happened::lasts);
            Cell::new(if found { event.verdict().id() } else { "" })
        }),
    ];
    grid::draw(columns, view.width.into(), view.style)
}

/// Whether a gateway is to be named.
fn several(report: &HistoryReport<'_>, event: &Event) -> bool {
    let mut hosts = event.hosts.iter();
    hosts.any(|place| {
        let host = report.chronicle.hosts.get(*place);
        host.is_some_and(|host| host.gateways().len() > 1)
    })
}

fn lasting(event: &Event) -> Cell {
    if !event.what.iter().any(crate::diagnose::Happened::lasts) {
        return Cell::new(match event.times {
            1 => String::new(),
            times => format!("{times} times"),
        });
    }
    let mut text = length(event.lasted);
    if event.times > 1 {
        let up_to = if event.spread { "up to " } else { "" };
        text = format!("{} times, {up_to}{text}", event.times);
    }
    match event.is_there() {
        true => Cell::new(format!("{text}, STILL")).paint(Paint::Verdict(event.verdict())),
        false => Cell::new(text),
    }
}

fn what(event: &Event, view: View) -> Cell {
    let mut text = sanitize(&event.name()).into_owned();
    let more = event.what.len().saturating_sub(1);
    if more > 0 {
        text = match view.width {
            // There is room for their names.
            140.. => {
                let all: Vec<String> = event.what.iter().map(happened_name).collect();
                sanitize(&all.join(", ")).into_owned()
            }
            _ => format!("{text} +{more}"),
        };
    }
    let text = break_names(&text, usize::from(view.width / 3).max(24));
    match event.verdict() {
        _ if !event.is_there() => Cell::new(text),
        verdict => Cell::new(text).paint(Paint::Verdict(verdict)),
    }
}
