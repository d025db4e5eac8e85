//! The report as a CI server reads test results: a suite per host, a case per finding, and one that
//! passed for each gateway without any. The shape is `docs/schema/junit.xsd`.

use std::fmt::Write as _;
use std::time::Duration;

use super::fold::names;
use super::incident;
use super::text::{sanitize, shorten};
use super::words;
use crate::diagnose::explain;
use crate::model::{
    Class, Finding, FleetFinding, HostOutcome, HostReport, Report, Severity, Subject, nodeset,
};

/// How long a case's name may be, in characters.
const LONGEST_NAME: usize = 200;

/// What became of a case.
enum End {
    Passed,
    /// Neither good nor bad: why.
    Skipped(String),
    /// Critical and warning: which of both, and one line.
    Failed(&'static str, String),
    /// It could not be told: how far the host was reached, and one line.
    Error(&'static str, String),
}

struct Case {
    class: String,
    name: String,
    time: Duration,
    end: End,
    /// What is said below its one line.
    lines: Vec<String>,
}

struct Suite<'a> {
    name: &'a str,
    hostname: &'a str,
    time: Duration,
    properties: Vec<(&'static str, String)>,
    cases: Vec<Case>,
}

/// Renders a report as JUnit XML. A warning is a failure as a critical finding is, of another
/// `type`; what could not be observed is an error; information, and what the inventory has in
/// maintenance, is skipped.
pub fn render_junit(report: &Report) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let started_at = report.started_at.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let hosts = report.hosts.iter().map(host_suite);
    for (id, suite) in hosts
        .chain(std::iter::once(fleet_suite(report)))
        .enumerate()
    {
        write_suite(&mut out, id, &started_at, &suite);
    }
    out += "</testsuites>\n";
    out
}

fn host_suite(host: &HostReport) -> Suite<'_> {
    let mut cases = vec![observed(host)];
    // Whether it was observed is the first case.
    let told = |finding: &&Finding| finding.class != Class::NotObserved;
    cases.extend(host.findings.iter().filter(told).map(|one| case(one, host)));
    // Of what was seen in part nobody knows that all is well.
    let facts = match &host.observation.outcome {
        HostOutcome::Observed(facts) => Some(facts),
        _ => None,
    };
    for gateway in facts.iter().flat_map(|facts| &facts.gateways) {
        let bad = |finding: &Finding| {
            finding.gateway == Some(gateway.port) && finding.severity > Severity::Info
        };
        if !host.findings.iter().any(bad) {
            cases.push(Case {
                class: class_name(host, Some(gateway.port)),
                name: "gateway".to_owned(),
                time: Duration::ZERO,
                end: End::Passed,
                lines: Vec::new(),
            });
        }
    }
    Suite {
        name: &host.name,
        hostname: &host.name,
        time: host.observation.elapsed,
        properties: vec![
            ("address", host.address.clone()),
            ("outcome", host.observation.outcome.id().to_owned()),
            ("verdict", host.verdict.id().to_owned()),
        ],
        cases,
    }
}

fn observed(host: &HostReport) -> Case {
    let outcome = &host.observation.outcome;
    let why = match (outcome, outcome.error()) {
        (HostOutcome::Skipped(why), _) => why.clone(),
        (_, Some(error)) => format!("{}: {}", error.stage.id(), error.message),
        (_, None) => "the run was stopped first".to_owned(),
    };
    let hint = outcome.error().and_then(|error| error.hint.clone());
    Case {
        class: class_name(host, None),
        name: "observed".to_owned(),
        time: host.observation.elapsed,
        end: match outcome {
            HostOutcome::Observed(_) => End::Passed,
            HostOutcome::Skipped(_) => End::Skipped(why),
            _ if host.maintenance => End::Skipped(format!("in maintenance; {why}")),
            other => End::Error(other.id(), why),
        },
        lines: hint.into_iter().collect(),
    }
}

fn case(finding: &Finding, host: &HostReport) -> Case {
    let id = finding.id();
    let name = match &finding.subject {
        Subject::Host | Subject::Port(_) | Subject::Check(_) => id.into_owned(),
        other => format!("{id} {}", words::subject(other)),
    };
    let title = words::title(finding, host);
    let mut lines = incident::lines(finding, host);
    if let Some(remedy) = words::remedy(finding, host) {
        lines.push(format!("do: {remedy}"));
    }
    Case {
        class: class_name(host, finding.gateway),
        name,
        time: Duration::ZERO,
        end: end(finding.severity, host.maintenance, title),
        lines,
    }
}

fn end(severity: Severity, maintenance: bool, title: String) -> End {
    match severity {
        Severity::Info if maintenance => End::Skipped(format!("in maintenance; {title}")),
        Severity::Info => End::Skipped(title),
        Severity::Unknown => End::Error(severity.id(), title),
        Severity::Warning | Severity::Critical => End::Failed(severity.id(), title),
    }
}

fn class_name(host: &HostReport, port: Option<u16>) -> String {
    match port {
        Some(port) => format!("{}:{port}", host.name),
        None => host.name.clone(),
    }
}

/// What compares hosts, in a suite of its own that is always there.
fn fleet_suite(report: &Report) -> Suite<'static> {
    let mut cases: Vec<Case> = report.fleet_findings.iter().map(fleet_case).collect();
    if cases.is_empty() {
        cases.push(Case {
            class: "fleet".to_owned(),
            name: "peers".to_owned(),
            time: Duration::ZERO,
            end: End::Passed,
            lines: Vec::new(),
        });
    }
    let all: Vec<usize> = (0..report.hosts.len()).collect();
    Suite {
        name: "fleet",
        hostname: "localhost",
        time: Duration::from_millis(report.elapsed_ms),
        properties: vec![
            ("hosts", names(&report.hosts, &all)),
            ("verdict", report.verdict().id().to_owned()),
            ("interrupted", report.interrupted.to_string()),
        ],
        cases,
    }
}

fn fleet_case(finding: &FleetFinding) -> Case {
    Case {
        class: "fleet".to_owned(),
        name: format!("{} {}", finding.class, nodeset::fold(&finding.hosts)),
        time: Duration::ZERO,
        end: end(
            finding.severity,
            false,
            explain(finding.class).title.to_owned(),
        ),
        lines: finding.evidence.iter().map(words::evidence).collect(),
    }
}

fn write_suite(out: &mut String, id: usize, started_at: &str, suite: &Suite<'_>) {
    let count = |wanted: fn(&End) -> bool| suite.cases.iter().filter(|it| wanted(&it.end)).count();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        out,
        "  <testsuite id=\"{id}\" package=\"clawfleet\" name=\"{}\" timestamp=\"{started_at}\" hostname=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}\">",
        xml(suite.name),
        xml(suite.hostname),
        suite.cases.len(),
        count(|end| matches!(end, End::Failed(..))),
        count(|end| matches!(end, End::Error(..))),
        count(|end| matches!(end, End::Skipped(_))),
        seconds(suite.time),
    );
    *out += "    <properties>\n";
    for (name, value) in &suite.properties {
        let _ = writeln!(
            out,
            "      <property name=\"{name}\" value=\"{}\"/>",
            xml(value)
        );
    }
    *out += "    </properties>\n";
    for case in &suite.cases {
        write_case(out, case);
    }
    *out += "    <system-out/>\n    <system-err/>\n  </testsuite>\n";
}

fn write_case(out: &mut String, case: &Case) {
    let _ = write!(
        out,
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
        xml(&case.class),
        xml(&shorten(&case.name, LONGEST_NAME)),
        seconds(case.time)
    );
    let (tag, kind, message) = match &case.end {
        End::Passed => {
            *out += "/>\n";
            return;
        }
        End::Skipped(why) => {
            let _ = writeln!(
                out,
                ">\n      <skipped message=\"{}\"/>\n    </testcase>",
                xml(why)
            );
            return;
        }
        End::Failed(kind, message) => ("failure", kind, message),
        End::Error(kind, message) => ("error", kind, message),
    };
    let _ = write!(
        out,
        ">\n      <{tag} type=\"{kind}\" message=\"{}\">",
        xml(message)
    );
    let lines: Vec<String> = case.lines.iter().map(|line| xml(line)).collect();
    *out += &lines.join("\n");
    let _ = writeln!(out, "</{tag}>\n    </testcase>");
}

/// Seconds with three places, which the schemas' `xs:decimal` takes.
fn seconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

/// Text for XML 1.0, in an element or in a quoted attribute.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in sanitize(text).chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            // No characters to XML, escaped or not.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_leaves_its_place(text in "\\PC*|[\\x00-\\x9f<>&\"'\u{fffe}\u{ffff}]{0,20}") {
            let safe = xml(&text);
            let markup = ['<', '>', '"', '\'', '\n', '\u{fffe}', '\u{ffff}'];
            prop_assert!(!safe.contains(markup));
            prop_assert!(!safe.chars().any(char::is_control));
            for (at, _) in safe.match_indices('&') {
                let entity = safe.get(at..).unwrap_or_default();
                let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
                prop_assert!(known.iter().any(|known| entity.starts_with(known)));
            }
        }
    }
}
