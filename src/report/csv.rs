//! The report for spreadsheets: RFC 4180, a row per finding and one per host without any.

use super::text::sanitize;
use super::words;
use crate::diagnose::explain;
use crate::model::{Finding, FleetFinding, HostReport, Report};

/// The columns, in order. New ones are only ever added at the end.
const HEADER: [&str; 17] = [
    "started_at",
    "host",
    "address",
    "outcome",
    "verdict",
    "maintenance",
    "elapsed_ms",
    "scope",
    "class",
    "severity",
    "confidence",
    "port",
    "subject",
    "title",
    "cause",
    "evidence",
    "remedy",
];

/// What stands between the pieces of evidence in their cell.
const BETWEEN: &str = " | ";

/// Renders a report as CSV by RFC 4180 (CRLF, quotes doubled), with a header. A cell that a
/// spreadsheet could take for a formula begins with an apostrophe.
pub fn render_csv(report: &Report) -> String {
    let mut out = String::new();
    row(&mut out, HEADER.iter().copied());
    let started_at = report.started_at.to_string();
    for host in &report.hosts {
        if host.findings.is_empty() {
            let none = std::iter::repeat_n("", HEADER.len() - HOST_CELLS);
            let cells = host_cells(&started_at, host);
            row(&mut out, cells.iter().map(String::as_str).chain(none));
        }
        for finding in &host.findings {
            let cells = host_cells(&started_at, host)
                .into_iter()
                .chain(finding_cells(finding, host));
            let cells: Vec<String> = cells.collect();
            row(&mut out, cells.iter().map(String::as_str));
        }
    }
    let of = |name: &str| report.hosts.iter().find(|host| host.name == name);
    for finding in &report.fleet_findings {
        for host in finding.hosts.iter().filter_map(|name| of(name)) {
            let cells = host_cells(&started_at, host)
                .into_iter()
                .chain(fleet_cells(finding));
            let cells: Vec<String> = cells.collect();
            row(&mut out, cells.iter().map(String::as_str));
        }
    }
    out
}

/// How many columns tell of the host.
const HOST_CELLS: usize = 7;

fn host_cells(started_at: &str, host: &HostReport) -> [String; HOST_CELLS] {
    [
        started_at.to_owned(),
        host.name.clone(),
        host.address.clone(),
        host.observation.outcome.id().to_owned(),
        host.verdict.id().to_owned(),
        host.maintenance.to_string(),
        host.observation.elapsed.as_millis().to_string(),
    ]
}

fn finding_cells(finding: &Finding, host: &HostReport) -> [String; 10] {
    [
        "host".to_owned(),
        finding.id().into_owned(),
        finding.severity.id().to_owned(),
        finding.confidence.id().to_owned(),
        finding
            .gateway
            .map(|port| port.to_string())
            .unwrap_or_default(),
        words::subject(&finding.subject),
        words::title(finding, host),
        finding
            .cause
            .map(|class| class.id().to_owned())
            .unwrap_or_default(),
        joined(&finding.evidence),
        words::remedy(finding, host).unwrap_or_default(),
    ]
}

fn fleet_cells(finding: &FleetFinding) -> [String; 10] {
    [
        "fleet".to_owned(),
        finding.class.id().to_owned(),
        finding.severity.id().to_owned(),
        String::new(),
        String::new(),
        "fleet".to_owned(),
        explain(finding.class).title.to_owned(),
        String::new(),
        joined(&finding.evidence),
        String::new(),
    ]
}

fn joined(evidence: &[crate::model::Evidence]) -> String {
    let pieces: Vec<String> = evidence.iter().map(words::evidence).collect();
    pieces.join(BETWEEN)
}

fn row<'a>(out: &mut String, cells: impl Iterator<Item = &'a str>) {
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_cell(out, cell);
    }
    out.push_str("\r\n");
}

/// Whether a spreadsheet could read a formula from here on; the wide forms are what East Asian
/// keyboards type and some spreadsheets take for the narrow ones.
fn begins_formula(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠')
}

/// Writes one cell. Where a spreadsheet's language has semicolons between cells it begins a new one
/// at each, quotes or not; so an apostrophe comes there, too.
fn push_cell(out: &mut String, text: &str) {
    let text = sanitize(text);
    let quoted = text.contains(['"', ',', ';']) || text != text.trim();
    if quoted {
        out.push('"');
    }
    let mut at_begin = true;
    for c in text.chars() {
        if at_begin && begins_formula(c) {
            out.push('\'');
        }
        // Blanks before a formula are dropped by some readers.
        at_begin = (at_begin && (c.is_whitespace() || c == '"')) || c == ';';
        if c == '"' {
            out.push('"');
        }
        out.push(c);
    }
    if quoted {
        out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell(text: &str) -> String {
        let mut out = String::new();
        push_cell(&mut out, text);
        out
    }

    #[test]
    fn nothing_is_a_formula() {
        let cases = [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "\" '=1\""),
            ("\r=1", "␍=1"),
            ("＝1", "'＝1"),
            ("a;=1", "\"a;'=1\""),
            ("\"=1", "\"\"\"'=1\""),
            ("a=1", "a=1"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("", ""),
        ];
        for (text, wanted) in cases {
            assert_eq!(cell(text), wanted, "{text:?}");
        }
    }

    /// A reader of RFC 4180 of the test's own.
    fn read(text: &str) -> Vec<String> {
        let mut cells = vec![String::new()];
        let mut quoted = false;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let Some(last) = cells.last_mut() else { break };
            match (c, quoted) {
                ('"', true) if chars.peek() == Some(&'"') => {
                    chars.next();
                    last.push('"');
                }
                ('"', _) => quoted = !quoted,
                (',', false) => cells.push(String::new()),
                (c, _) => last.push(c),
            }
        }
        cells
    }

    proptest! {
        #[test]
        fn cells_come_back(texts in proptest::collection::vec("[ -~\\t\\r\\n=+@;,\"é]{0,12}", 1..6)) {
            let mut line = String::new();
            row(&mut line, texts.iter().map(String::as_str));
            let line = line.strip_suffix("\r\n").unwrap_or_default();
            prop_assert!(!line.contains(['\r', '\n']));
            let back = read(line);
            prop_assert_eq!(back.len(), texts.len());
            for (text, back) in texts.iter().zip(&back) {
                // Apostrophes are added and nothing else is changed.
                let text = sanitize(text);
                let bare = |text: &str| text.replace('\'', "");
                prop_assert_eq!(bare(back), bare(&text));
                prop_assert!(!back.trim_start().starts_with(begins_formula));
            }
        }
    }
}
