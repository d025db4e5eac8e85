//! The report for people: the verdict, the table, then each class of finding once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};

use super::fold::{self, Row};
use super::incident::{self, ids};
use super::style::{self, Style};
use super::text::{count, sanitize, shorten, span};
use super::words;
use crate::diagnose::explain;
use crate::model::{Class, Finding, HostReport, Report, Verdict};

/// How many hosts of a class are shown with their evidence; `-v` shows all.
const SHOWN: usize = 3;

/// The longest node set in a cell or heading, in characters; `-v` shows it whole.
const MAX_NAMES: usize = 160;

/// What stands before a remedy.
const REMEDY: &str = "do: ";

/// How the report is shown.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Colour or not.
    pub style: Style,
    /// Columns of the terminal.
    pub width: u16,
    /// Every host and all evidence, nothing folded.
    pub verbose: bool,
    /// The verdict only.
    pub quiet: bool,
}

impl View {
    /// The view of a table in a file: no colour, and as wide as a mail or a log shows without wrapping.
    pub const fn plain() -> Self {
        Self {
            style: Style::Plain,
            width: 120,
            verbose: false,
            quiet: false,
        }
    }
}

/// Renders a report.
pub fn render_table(report: &Report, view: View) -> String {
    let mut out = headline(report, view.style);
    if view.quiet {
        return out;
    }
    out.push('\n');
    out += &table(report, view);
    for id in ids(report) {
        section(&mut out, report, &id, view);
    }
    fleet_findings(&mut out, report, view);
    out
}

/// The verdict in one sentence, to be read first and, in a hurry, alone.
pub(super) fn headline(report: &Report, style: Style) -> String {
    let summary = report.summary();
    let verdict = report.verdict();
    let of_all = count(summary.hosts, "host");
    let mut parts = Vec::new();
    if summary.critical > 0 {
        parts.push(format!("{} of {of_all} broken", summary.critical));
    }
    if summary.not_observed > 0 {
        let behind = behind_jumps(report);
        parts.push(format!(
            "{} of {of_all} NOT OBSERVED{behind}",
            summary.not_observed
        ));
    }
    if summary.warning > 0 {
        parts.push(format!("{} with warnings", summary.warning));
    }
    if summary.ok > 0 {
        parts.push(if summary.ok == summary.hosts {
            format!(
                "{} ok",
                if summary.hosts == 1 {
                    of_all.clone()
                } else {
                    format!("all {of_all}")
                }
            )
        } else {
            format!("{} ok", summary.ok)
        });
    }
    let mut roots: Vec<(String, usize)> = ids(report)
        .into_iter()
        .map(|id| (hosts_with_root(report, &id), id))
        .filter_map(|(hosts, id)| hosts.map(|hosts| (id, hosts)))
        .collect();
    roots.truncate(4);
    let causes = roots
        .iter()
        .map(|(id, hosts)| format!("{hosts} {id}"))
        .collect::<Vec<_>>()
        .join(", ");
    let word = match verdict {
        Verdict::Ok => "OK",
        Verdict::Warning => "WARNING",
        Verdict::Unknown => "UNKNOWN",
        Verdict::Critical => "CRITICAL",
    };
    let mut line = format!("{}: {}", style.verdict(verdict, word), parts.join(", "));
    if !causes.is_empty() {
        line += &format!(" ({causes})");
    }
    line += &format!(", in {}", span(Duration::from_millis(report.elapsed_ms)));
    if report.interrupted {
        line += "; INTERRUPTED, so the rest was not looked at";
    }
    line.push('\n');
    line
}

/// Which jump hosts failed, and how many hosts stand behind each: one failure, not as many.
fn behind_jumps(report: &Report) -> String {
    let mut jumps: BTreeMap<&str, usize> = BTreeMap::new();
    for host in &report.hosts {
        let error = host.observation.outcome.error();
        if let Some(jump) = error.and_then(|error| error.via.as_deref()) {
            *jumps.entry(jump).or_default() += 1;
        }
    }
    let parts: Vec<String> = jumps
        .iter()
        .map(|(jump, hosts)| {
            let jump = sanitize(jump);
            format!(
                "{hosts} behind jump host {}, which failed",
                shorten(&jump, 40)
            )
        })
        .collect();
    match parts.as_slice() {
        [] => String::new(),
        parts => format!(" ({})", parts.join("; ")),
    }
}

/// On how many hosts that is a root of trouble; `None` where it is none.
fn hosts_with_root(report: &Report, id: &str) -> Option<usize> {
    let counts = |finding: &Finding| {
        finding.id() == id
            && finding.cause.is_none()
            && finding.class != Class::NotObserved
            && finding.class.severity() > crate::model::Severity::Info
    };
    let hosts = report.hosts.iter();
    let hosts = hosts
        .filter(|host| host.findings.iter().any(counts))
        .count();
    (hosts > 0).then_some(hosts)
}

/// A column: its heading, how soon it is given up on a narrow terminal (0 is never), and its text.
type Column<'a> = (&'static str, u8, Box<dyn Fn(&Row) -> String + 'a>);

fn table(report: &Report, view: View) -> String {
    let rows = fold::rows(&report.hosts, view.verbose);
    let name_width = usize::from(view.width / 5).max(16);
    let mut columns: Vec<Column<'_>> = vec![
        (
            "HOSTS",
            0,
            Box::new(|row| break_names(&host_names(report, &row.hosts, view), name_width)),
        ),
        ("N", 3, Box::new(|row| row.hosts.len().to_string())),
        ("STATE", 0, Box::new(|row| row.verdict.id().to_owned())),
        (
            "FINDING",
            0,
            Box::new(|row| row.finding.replace(", ", ",\n")),
        ),
        ("GATEWAY", 0, Box::new(|row| row.gateway.clone())),
        ("UNIT", 2, Box::new(|row| row.units.replace("; ", "\n"))),
        ("PORT HELD BY", 1, Box::new(|row| row.holder.clone())),
        ("RESTARTS/24H", 5, Box::new(|row| range(row.restarts, ""))),
        ("HTTP", 4, Box::new(|row| row.http.clone())),
        ("LATENCY", 6, Box::new(|row| range(row.latency_ms, " ms"))),
    ];
    let nothing_folded = rows.iter().all(|row| row.hosts.len() == 1);
    columns.retain(|(name, _, _)| *name != "N" || !nothing_folded);
    // Where each host has one gateway, its name says nothing.
    let one_each = report
        .hosts
        .iter()
        .filter_map(|host| host.observation.outcome.facts())
        .all(|facts| facts.gateways.len() <= 1);
    columns.retain(|(name, _, _)| *name != "GATEWAY" || !one_each);
    fit(&mut columns, &rows, view.width.into());
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    style::apply(&mut table, view.style);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(
        columns
            .iter()
            .map(|(name, _, _)| view.style.head_cell(name)),
    );
    for row in &rows {
        table.add_row(columns.iter().map(|(name, _, text)| match *name {
            "STATE" => view.style.verdict_cell(row.verdict),
            "N" | "RESTARTS/24H" | "LATENCY" => {
                Cell::new(dash(&text(row))).set_alignment(CellAlignment::Right)
            }
            _ => Cell::new(dash(&text(row))),
        }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Blanks between columns.
const GAP: u16 = 2;

/// Gives up columns until the rest fits: a table that wraps in the middle of its words is read wrong.
fn fit(columns: &mut Vec<Column<'_>>, rows: &[Row], width: usize) {
    use unicode_width::UnicodeWidthStr as _;
    let width_of = |(name, _, text): &Column<'_>| {
        let cells = rows.iter().map(text).collect::<Vec<_>>();
        let lines = cells
            .iter()
            .flat_map(|cell| cell.lines())
            .map(|line| line.width());
        lines.max().unwrap_or(0).max(name.len()) + usize::from(GAP)
    };
    let mut widths: Vec<usize> = columns.iter().map(width_of).collect();
    while widths.iter().sum::<usize>() > width {
        let first = (0..)
            .zip(columns.iter())
            .filter(|(_, (_, rank, _))| *rank > 0)
            .max_by_key(|(_, (_, rank, _))| *rank)
            .map(|(place, _)| place);
        let Some(place) = first else { return };
        let _ = columns.remove(place);
        widths.remove(place);
    }
}

fn dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn range(of: Option<(u32, u32)>, unit: &str) -> String {
    match of {
        None => String::new(),
        Some((low, high)) if low == high => format!("{low}{unit}"),
        Some((low, high)) => format!("{low}-{high}{unit}"),
    }
}

/// The node set of some hosts, shortened unless everything is wanted. A set is only ever cut at a
/// comma and its bracket closed again, so that what is shown are names of these hosts.
fn host_names(report: &Report, of: &[usize], view: View) -> String {
    shortened(fold::names(&report.hosts, of), of.len(), view)
}

/// A node set of that many names, as [`host_names`] has it.
pub(super) fn shortened(names: String, of: usize, view: View) -> String {
    match cut(&names, MAX_NAMES) {
        Some(shown) if !view.verbose => format!("{shown} ({of} in all, -v shows them)"),
        _ => names,
    }
}

/// The beginning of a node set that is longer than so many characters, cut at a comma.
pub(super) fn cut(names: &str, longest: usize) -> Option<String> {
    if names.chars().count() <= longest {
        return None;
    }
    let mut open = false;
    let mut cut = None;
    for (at, c) in names.char_indices().take(longest) {
        match c {
            '[' => open = true,
            ']' => open = false,
            ',' => cut = Some((at, open)),
            _ => {}
        }
    }
    let (shown, close) = match cut {
        Some((at, open)) => (
            names.get(..at).unwrap_or_default(),
            if open { ",…]" } else { ",…" },
        ),
        None => ("", "…"),
    };
    Some(format!("{shown}{close}"))
}

/// Breaks a node set at its commas, for a narrow cell.
pub(super) fn break_names(names: &str, width: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for part in names.split_inclusive([',', ' ']) {
        let length = part.chars().count();
        if column > 0 && column + length > width {
            out.push('\n');
            column = 0;
        }
        out.push_str(part);
        column += length;
    }
    out
}

/// One class, or one check of the operator's: the hosts it is on, the evidence, what to do.
fn section(out: &mut String, report: &Report, id: &str, view: View) {
    let found: Vec<(usize, &Finding)> = report
        .hosts
        .iter()
        .enumerate()
        .flat_map(|(index, host)| host.findings.iter().map(move |finding| (index, finding)))
        .filter(|(_, finding)| finding.id() == id)
        .collect();
    // What follows from a cause is told there, unless everything is wanted.
    let roots: Vec<(usize, &Finding)> = found
        .iter()
        .filter(|(_, finding)| view.verbose || finding.cause.is_none())
        .copied()
        .collect();
    let Some((index, first)) = roots.first() else {
        return;
    };
    let title = report
        .hosts
        .get(*index)
        .map(|host| words::title(first, host));
    // A check of the operator's may be a warning here and critical there.
    let severities = roots.iter().map(|(_, finding)| finding.severity);
    let worst = severities.max().unwrap_or(first.severity);
    let mut hosts: Vec<usize> = roots.iter().map(|(index, _)| *index).collect();
    hosts.dedup();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "\n{}  {}  {}",
        view.style.severity(worst, &sanitize(id)),
        view.style.strong(&host_names(report, &hosts, view)),
        view.style
            .dim(&(title.unwrap_or_default() + &since(report, &roots)))
    );
    let said = roots.iter().filter_map(|(index, finding)| {
        let host = report.hosts.get(*index)?;
        Some((body(finding, host), *index))
    });
    let groups = fold::group_by(said);
    let limit = if view.verbose { usize::MAX } else { SHOWN };
    for ((lines, help), members) in groups.iter().take(limit) {
        paragraph(out, report, members, lines, view);
        if let Some(help) = help {
            // A command is never wrapped: it must paste as one line.
            let names = members.iter().filter_map(|index| report.hosts.get(*index));
            let names = crate::model::nodeset::fold(names.map(|host| host.name.as_str()));
            let line = format!("{REMEDY}{}", sanitize(&help.for_hosts(&names)));
            let _ = writeln!(out, "    {}", view.style.strong(&line));
        }
    }
    let rest: Vec<usize> = groups
        .iter()
        .skip(limit)
        .flat_map(|(_, members)| members.iter().copied())
        .collect();
    if !rest.is_empty() {
        let _ = writeln!(
            out,
            "  and {} like it: {} (-v shows all)",
            count(rest.len(), "host"),
            host_names(report, &rest, view)
        );
    }
}

/// Since when the oldest of some findings is there, where an earlier run saw it.
fn since(report: &Report, found: &[(usize, &Finding)]) -> String {
    let first = found.iter().filter_map(|(_, finding)| finding.since).min();
    first
        .and_then(|first| Duration::try_from(report.started_at.duration_since(first)).ok())
        .filter(|lasted| !lasted.is_zero())
        .map(|lasted| format!(", since {}", span(lasted)))
        .unwrap_or_default()
}

/// What is said of one host under a class; hosts of which the same is said are shown together.
fn body(finding: &Finding, host: &HostReport) -> (Vec<String>, Option<words::Help>) {
    (incident::lines(finding, host), words::help(finding, host))
}

fn paragraph(out: &mut String, report: &Report, members: &[usize], lines: &[String], view: View) {
    let name = host_names(report, members, view);
    let _ = writeln!(out, "  {name}");
    for line in lines {
        wrapped(out, line, view);
    }
}

pub(super) fn wrapped(out: &mut String, line: &str, view: View) {
    let parts = wrap(line, usize::from(view.width).saturating_sub(6));
    for (place, part) in parts.iter().enumerate() {
        let indent = if place == 0 { "    " } else { "      " };
        let _ = writeln!(out, "{indent}{part}");
    }
}

fn fleet_findings(out: &mut String, report: &Report, view: View) {
    for finding in &report.fleet_findings {
        let _ = writeln!(
            out,
            "\n{}  {}  {}",
            view.style.severity(finding.severity, finding.class.id()),
            view.style
                .strong(&crate::model::nodeset::fold(&finding.hosts)),
            view.style.dim(explain(finding.class).title)
        );
        for evidence in &finding.evidence {
            wrapped(out, &words::evidence(evidence), view);
        }
    }
}

/// Breaks a line at blanks, and a word that is too long anywhere: a terminal would go on with it in
/// the first column, where a host could make it look like another host's row.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    use unicode_width::UnicodeWidthStr as _;
    let width = width.max(20);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        for (place, part) in broken(word, width).into_iter().enumerate() {
            match lines.last_mut() {
                Some(line) if place == 0 && line.width() + 1 + part.width() <= width => {
                    line.push(' ');
                    line.push_str(&part);
                }
                _ => lines.push(part),
            }
        }
    }
    lines
}

/// A word in parts of at most that width; never none.
pub(super) fn broken(word: &str, width: usize) -> Vec<String> {
    use unicode_width::UnicodeWidthChar as _;
    let mut parts = vec![String::new()];
    let mut column = 0;
    for c in word.chars() {
        let wide = c.width().unwrap_or(0);
        if column + wide > width {
            parts.push(String::new());
            column = 0;
        }
        column += wide;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}
