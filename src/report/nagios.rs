//! The report as a Nagios plugin prints it: a line of status with performance data, then the
//! incidents.

use std::fmt::Write as _;

use super::fold::some_names;
use super::incident::incidents;
use super::style::Style;
use super::table::headline;
use super::text::{count, sanitize, shorten};
use crate::model::{Report, Severity, Verdict};

/// How long the line of status may be before its performance data, in characters. Old agents cut at
/// 1,024 bytes.
const LONGEST_STATUS: usize = 400;

/// How long each further line may be, in characters.
const LONGEST_LINE: usize = 200;

/// How many further lines there are at most.
const MOST_LINES: usize = 20;

/// A plugin's state, which is also its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NagiosState {
    /// 0.
    Ok,
    /// 1.
    Warning,
    /// 2.
    Critical,
    /// 3: hosts were not observed, or the run was stopped.
    Unknown,
}

impl NagiosState {
    /// Returns the state of a report, where findings from `least` on are a warning. Critical goes
    /// before unknown, as with the exit codes of every other format.
    pub fn of(report: &Report, least: Severity) -> Self {
        if report.verdict() == Verdict::Critical {
            return Self::Critical;
        }
        if report.summary().not_observed > 0 || report.interrupted {
            return Self::Unknown;
        }
        let of_hosts = report.hosts.iter().flat_map(|host| &host.findings);
        let of_hosts = of_hosts.map(|finding| finding.severity);
        let of_fleet = report.fleet_findings.iter().map(|finding| finding.severity);
        if of_hosts.chain(of_fleet).any(|severity| severity >= least) {
            return Self::Warning;
        }
        Self::Ok
    }

    /// Returns the plugin's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Renders a report as a plugin's output in that state: bounded in length, without a `|` but the one
/// before the performance data.
pub fn render_nagios(report: &Report, state: NagiosState) -> String {
    let headline = headline(report, Style::Plain);
    let said = headline
        .split_once(": ")
        .map_or(headline.as_str(), |(_, said)| said);
    let mut out = status_line(state, said);
    out.push_str(" | ");
    out += &performance(report);
    out.push('\n');
    let incidents = incidents(report);
    for incident in incidents.iter().take(MOST_LINES) {
        let line = format!(
            "{} {}: {}: {}",
            incident.severity.id(),
            incident.id,
            some_names(&report.hosts, &incident.hosts, 80),
            incident.title
        );
        out += &inert(&line, LONGEST_LINE);
        out.push('\n');
    }
    if let Some(more) = incidents
        .len()
        .checked_sub(MOST_LINES)
        .filter(|more| *more > 0)
    {
        let _ = writeln!(out, "and {} more", count(more, "kind"));
    }
    out
}

/// Renders what a plugin says that could not look at all: state unknown, and why.
pub fn render_nagios_fault(why: &str) -> String {
    let mut line = status_line(NagiosState::Unknown, why);
    line.push('\n');
    line
}

fn status_line(state: NagiosState, said: &str) -> String {
    let line = format!("CLAWFLEET {} - {}", state.word(), said.trim_end());
    inert(&line, LONGEST_STATUS)
}

/// One line without what the plugin's format reads.
fn inert(text: &str, longest: usize) -> String {
    shorten(&sanitize(text).replace('|', "¦"), longest).into_owned()
}

/// `label=value[unit];warn;crit;min;max`: of the fleet, so that there are always as many.
fn performance(report: &Report) -> String {
    let summary = report.summary();
    let mut out = String::new();
    for (label, value) in [
        ("ok", summary.ok),
        ("warning", summary.warning),
        ("critical", summary.critical),
        ("not_observed", summary.not_observed),
    ] {
        let _ = write!(out, "{label}={value};;;0;{} ", summary.hosts);
    }
    let found: usize = report.hosts.iter().map(|host| host.findings.len()).sum();
    let _ = write!(out, "findings={found};;;0 ");
    let gateways = report
        .hosts
        .iter()
        .filter_map(|host| host.observation.outcome.facts())
        .flat_map(|facts| &facts.gateways);
    let slowest = gateways
        .filter_map(|gateway| gateway.http.answer())
        .map(|answer| answer.latency_ms)
        .max();
    if let Some(slowest) = slowest {
        let _ = write!(out, "slowest_answer={slowest}ms;;;0 ");
    }
    let _ = write!(out, "time={}ms;;;0", report.elapsed_ms);
    out
}
