//! The report for people: the verdict, the table, then each class of finding once.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};

use super::fold::{self, Row};
use super::style::{self, Style};
use super::text::{count, sanitize, span};
use super::words;
use crate::diagnose::explain;
use crate::model::{Class, Finding, HostReport, Report, Verdict};

/// How many hosts of a class are shown with their evidence; `-v` shows all.
const SHOWN: usize = 3;

/// The longest node set in a cell or heading, in characters; `-v` shows it whole.
const MAX_NAMES: usize = 160;

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

/// Renders a report.
pub fn render_table(report: &Report, view: View) -> String {
    let mut out = headline(report, view.style);
    if view.quiet {
        return out;
    }
    out.push('\n');
    out += &table(report, view);
    for class in Class::ALL {
        section(&mut out, report, *class, view);
    }
    fleet_findings(&mut out, report, view);
    out
}

/// The verdict in one sentence, to be read first and, in a hurry, alone.
fn headline(report: &Report, style: Style) -> String {
    let summary = report.summary();
    let verdict = report.verdict();
    let of_all = count(summary.hosts, "host");
    let mut parts = Vec::new();
    if summary.critical > 0 {
        parts.push(format!("{} of {of_all} broken", summary.critical));
    }
    if summary.not_observed > 0 {
        parts.push(format!("{} of {of_all} NOT OBSERVED", summary.not_observed));
    }
    if summary.warning > 0 {
        parts.push(format!("{} with warnings", summary.warning));
    }
    if summary.ok > 0 {
        parts.push(if summary.ok == summary.hosts {
            format!("{} ok", if summary.hosts == 1 { of_all.clone() } else { format!("all {of_all}") })
        } else {
            format!("{} ok", summary.ok)
        });
    }
    let mut roots: Vec<(Class, usize)> = Class::ALL
        .iter()
        .map(|class| (*class, hosts_with_root(report, *class)))
        .filter(|(class, hosts)| {
            *hosts > 0 && *class != Class::NotObserved && class.severity() > crate::model::Severity::Info
        })
        .collect();
    roots.truncate(4);
    let causes = roots
        .iter()
        .map(|(class, hosts)| format!("{hosts} {class}"))
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

fn hosts_with_root(report: &Report, class: Class) -> usize {
    report
        .hosts
        .iter()
        .filter(|host| {
            host.findings
                .iter()
                .any(|finding| finding.class == class && finding.cause.is_none())
        })
        .count()
}

/// A column: its heading, the width from which on it is shown, and its cell.
type Column<'a> = (&'static str, u16, Box<dyn Fn(&Row) -> Cell + 'a>);

fn table(report: &Report, view: View) -> String {
    let rows = fold::rows(&report.hosts, view.verbose);
    let any = |filled: fn(&Row) -> bool| rows.iter().any(filled);
    let mut columns: Vec<Column<'_>> = vec![
        ("HOSTS", 0, Box::new(|row| Cell::new(host_names(report, &row.hosts, view)))),
        ("N", 0, Box::new(|row| number(&row.hosts.len().to_string()))),
        ("STATE", 0, Box::new(|row| view.style.verdict_cell(row.verdict))),
        ("FINDING", 0, Box::new(|row| Cell::new(dash(&row.finding)))),
        ("UNIT", 90, Box::new(|row| Cell::new(dash(&row.units)))),
        ("PORT HELD BY", 72, Box::new(|row| Cell::new(dash(&row.holder)))),
        ("RESTARTS/24H", 120, Box::new(|row| number(&range(row.restarts, "")))),
        ("HTTP", 104, Box::new(|row| Cell::new(dash(&row.http)))),
        ("LATENCY", 120, Box::new(|row| number(&range(row.latency_ms, " ms")))),
    ];
    let folded = any(|row| row.hosts.len() > 1);
    columns.retain(|(name, from, _)| view.width >= *from && (*name != "N" || folded));
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    style::apply(&mut table, view.style);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(view.width);
    table.set_header(columns.iter().map(|(name, _, _)| view.style.head_cell(name)));
    for row in &rows {
        table.add_row(columns.iter().map(|(_, _, cell)| cell(row)));
    }
    // Names and findings may wrap; a state cut in two reads as something else.
    for (place, (name, _, _)) in columns.iter().enumerate() {
        if let Some(column) = table.column_mut(place) {
            column.set_padding((0, 2));
            if *name == "STATE" {
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(10)));
            }
        }
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn number(text: &str) -> Cell {
    Cell::new(dash(text)).set_alignment(CellAlignment::Right)
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

fn host_names(report: &Report, of: &[usize], view: View) -> String {
    let names = fold::names(&report.hosts, of);
    if view.verbose || names.len() <= MAX_NAMES {
        return names;
    }
    // Whole groups only: a node set cut in the middle would name other hosts.
    let mut shown = String::new();
    let mut depth = 0_u32;
    let mut end = 0;
    for (at, c) in names.char_indices().take_while(|(at, _)| *at < MAX_NAMES) {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => end = at,
            _ => {}
        }
    }
    shown.push_str(names.get(..end).unwrap_or_default());
    if shown.is_empty() {
        // One long bracket: name the first host and count the rest.
        let first = of.first().and_then(|index| report.hosts.get(*index));
        let first = first.map_or("", |host| host.name.as_str());
        return format!("{first} and {} more (-v)", of.len().saturating_sub(1));
    }
    format!("{shown},… {} in all (-v)", of.len())
}

/// One class: the hosts it is on, the evidence, what to do.
fn section(out: &mut String, report: &Report, class: Class, view: View) {
    let found: Vec<(usize, &Finding)> = report
        .hosts
        .iter()
        .enumerate()
        .flat_map(|(index, host)| host.findings.iter().map(move |finding| (index, finding)))
        .filter(|(_, finding)| finding.class == class)
        .collect();
    // What follows from a cause is told there, unless everything is wanted.
    let roots: Vec<(usize, &Finding)> = found
        .iter()
        .filter(|(_, finding)| view.verbose || finding.cause.is_none())
        .copied()
        .collect();
    let Some((_, first)) = roots.first() else {
        return;
    };
    let mut hosts: Vec<usize> = roots.iter().map(|(index, _)| *index).collect();
    hosts.dedup();
    let title = explain(class).title;
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "\n{}  {}  {}",
        view.style.severity(first.severity, class.id()),
        view.style.strong(&host_names(report, &hosts, view)),
        view.style.dim(title)
    );
    let said = roots.iter().filter_map(|(index, finding)| {
        let host = report.hosts.get(*index)?;
        Some((body(finding, host), *index))
    });
    let groups = fold::group_by(said);
    let limit = if view.verbose { usize::MAX } else { SHOWN };
    for (lines, members) in groups.iter().take(limit) {
        paragraph(out, report, members, lines, view);
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

/// What is said of one host under a class; hosts of which the same is said are shown together.
fn body(finding: &Finding, host: &HostReport) -> Vec<String> {
    let mut lines: Vec<String> = finding.evidence.iter().map(words::evidence).collect();
    if finding.confidence != crate::model::Confidence::High {
        lines.push(format!("confidence: {}", finding.confidence.id()));
    }
    if let Some(cause) = finding.cause {
        lines.push(format!("follows from {cause}"));
    }
    let mut consequences: Vec<&str> = host
        .findings
        .iter()
        .filter(|other| other.cause == Some(finding.class))
        .map(|other| other.class.id())
        .collect();
    consequences.dedup();
    if !consequences.is_empty() {
        lines.push(format!("therefore: {}", consequences.join(", ")));
    }
    if let Some(remedy) = words::remedy(finding, host) {
        lines.push(format!("do: {}", sanitize(&remedy)));
    }
    lines
}

fn paragraph(out: &mut String, report: &Report, members: &[usize], lines: &[String], view: View) {
    let name = host_names(report, members, view);
    let _ = writeln!(out, "  {name}");
    for line in lines {
        // A command is never wrapped: it must paste as one line.
        if line.starts_with("do: ") {
            let _ = writeln!(out, "    {}", view.style.strong(line));
            continue;
        }
        for (place, part) in wrap(line, usize::from(view.width).saturating_sub(6)).iter().enumerate() {
            let indent = if place == 0 { "    " } else { "      " };
            let _ = writeln!(out, "{indent}{part}");
        }
    }
}

fn fleet_findings(out: &mut String, report: &Report, view: View) {
    for finding in &report.fleet_findings {
        let _ = writeln!(
            out,
            "\n{}  {}",
            view.style.severity(finding.severity, finding.class.id()),
            crate::model::nodeset::fold(&finding.hosts)
        );
        for evidence in &finding.evidence {
            let _ = writeln!(out, "    {}", words::evidence(evidence));
        }
    }
}

/// Breaks a line at blanks; a word that is too long stays whole.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    use unicode_width::UnicodeWidthStr as _;
    let width = width.max(20);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
