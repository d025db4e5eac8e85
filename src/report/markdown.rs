//! The report for an issue or a chat. Whatever a host wrote stands in code, where no markup, mention
//! or link is read.

use std::fmt::Write as _;

use super::fold::{self, Row};
use super::incident::{Incident, Told, incidents};
use super::style::Style;
use super::table::headline;
use super::text::{count, sanitize, shorten};
use crate::model::{Report, Verdict};

/// How long the whole text may become, in bytes: issues take 65,536 characters.
const LONGEST: usize = 60_000;

/// How long a line of evidence may be, in characters.
const LONGEST_LINE: usize = 240;

/// How long a cell of the table may be, in characters.
const LONGEST_CELL: usize = 120;

/// How long a node set may be, in characters.
const LONGEST_NAMES: usize = 300;

/// How many rows the table has at most.
const MOST_ROWS: usize = 60;

/// How many groups of hosts are shown with their evidence in each incident.
const MOST_GROUPS: usize = 3;

/// Renders a report as Markdown: the verdict, the table of hosts in the same state, and each incident.
/// It is at most some 60 kB long; what is left out is counted.
pub fn render_markdown(report: &Report) -> String {
    let mut out = verdict(report);
    out += &rows(report);
    let incidents = incidents(report);
    let mut left_out = 0;
    for incident in &incidents {
        let text = section(report, incident);
        if left_out == 0 && out.len() + text.len() <= LONGEST {
            out += &text;
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        let kinds = count(left_out, "more kind");
        let _ = writeln!(out, "\n…and {kinds} of finding, left out here.");
    }
    out
}

fn verdict(report: &Report) -> String {
    let line = headline(report, Style::Plain);
    let (word, said) = line.split_once(": ").unwrap_or((&line, ""));
    let sign = match report.verdict() {
        Verdict::Ok => "🟢",
        Verdict::Warning => "🟡",
        Verdict::Unknown => "🟣",
        Verdict::Critical => "🔴",
    };
    format!(
        "{sign} **{word}**: {}\n\nclawfleet check of {}\n",
        plain(said.trim_end()),
        report.started_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    )
}

fn rows(report: &Report) -> String {
    let rows = fold::rows(&report.hosts, false);
    let mut out = String::from(
        "\n| hosts | state | finding | gateway | unit | port held by | HTTP |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows.iter().take(MOST_ROWS) {
        let Row {
            hosts,
            verdict,
            gateway,
            finding,
            units,
            holder,
            http,
            ..
        } = row;
        let names = fold::some_names(&report.hosts, hosts, LONGEST_CELL);
        let state = match verdict {
            Verdict::Ok => "ok",
            other => &format!("**{}**", other.id()),
        };
        let _ = writeln!(
            out,
            "| {} | {state} | {} | {} | {} | {} | {} |",
            code(&names.replace('|', "¦")),
            cell(finding),
            cell(gateway),
            cell(units),
            cell(holder),
            cell(http)
        );
    }
    let hidden = rows.iter().skip(MOST_ROWS).map(|row| row.hosts.len());
    let hidden: usize = hidden.sum();
    if hidden > 0 {
        let _ = writeln!(out, "\n…and {}, left out here.", count(hidden, "more host"));
    }
    out
}

fn section(report: &Report, incident: &Incident) -> String {
    let names = |hosts: &[usize]| fold::some_names(&report.hosts, hosts, LONGEST_NAMES);
    let mut out = format!(
        "\n### {}: {}\n\n{}, {}\n",
        incident.severity.id(),
        code(&incident.id),
        code(&names(&incident.hosts)),
        plain(&incident.title)
    );
    for Told {
        hosts,
        lines,
        remedy,
    } in incident.told.iter().take(MOST_GROUPS)
    {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| shorten(line, LONGEST_LINE))
            .collect();
        let text = format!("{}\n  {}", names(hosts), lines.join("\n  "));
        out += &block("text", &text);
        if let Some(remedy) = remedy {
            out += &block("sh", &sanitize(remedy));
        }
    }
    let rest: Vec<usize> = incident
        .told
        .iter()
        .skip(MOST_GROUPS)
        .flat_map(|told| told.hosts.iter().copied())
        .collect();
    if !rest.is_empty() {
        let hosts = count(rest.len(), "host");
        let _ = writeln!(out, "\nand {hosts} like it: {}", code(&names(&rest)));
    }
    out
}

/// A fence that no line inside can close.
fn block(language: &str, text: &str) -> String {
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    format!("\n{fence}{language}\n{text}\n{fence}\n")
}

/// A code span that nothing inside can close.
fn code(text: &str) -> String {
    let text = sanitize(text);
    let ticks = "`".repeat(longest_run(&text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') || text.trim().is_empty() {
        " "
    } else {
        ""
    };
    format!("{ticks}{pad}{text}{pad}{ticks}")
}

/// A code span in a table, where a `|` would end the cell however it is written.
fn cell(text: &str) -> String {
    if text.is_empty() {
        return "–".to_owned();
    }
    let text = text.replace('\n', " ").replace('|', "¦");
    code(&shorten(&text, LONGEST_CELL))
}

fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

/// The operator's and our own words outside code. A mention has no escape, so its sign is code.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in sanitize(text).chars() {
        match c {
            '@' => out += "`@`",
            '\\' | '`' | '*' | '_' | '<' | '>' | '[' | ']' | '#' | '|' | '~' | '&' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_leaves_its_code() {
        let cases = [
            ("a", "`a`"),
            ("a`b", "``a`b``"),
            ("`", "`` ` ``"),
            ("```", "```` ``` ````"),
            ("@here <b>", "`@here <b>`"),
            ("", "`  `"),
        ];
        for (text, wanted) in cases {
            assert_eq!(code(text), wanted);
        }
        assert_eq!(cell("a|b\\|c"), "`a¦b\\¦c`");
        assert_eq!(cell(""), "–");
        assert_eq!(block("sh", "````"), "\n`````sh\n````\n`````\n");
        assert_eq!(plain("@all *x*"), "`@`all \\*x\\*");
    }

    proptest! {
        /// A span of n backticks ends at the next run of exactly n, so there must be none inside.
        #[test]
        fn a_span_ends_where_it_should(text in "[`a@|<\\\\ ]{0,20}") {
            let span = code(&text);
            let ticks = span.split(|c| c != '`').next().unwrap_or_default().len();
            let inside = span.get(ticks..span.len() - ticks).unwrap_or_default();
            if text.trim_matches('`') == text {
                prop_assert!(inside.split(|c| c != '`').all(|run| run.len() != ticks));
            }
            let runs = inside.split(|c| c != '`').filter(|run| run.len() == ticks).count();
            prop_assert_eq!(runs, 0);
        }
    }
}
