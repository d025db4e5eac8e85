//! The report in the formats that other programs read: as snapshots, and as their own rules have it.
//! Whether the real programs read them, `tests/readers` asks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/recorded.rs"]
mod recorded;

use std::collections::BTreeSet;

use clawfleet::model::{HostOutcome, Report, Severity, Trends};
use clawfleet::report::{
    EventLines, NagiosState, render_csv, render_html, render_json, render_junit, render_markdown,
    render_nagios, render_nagios_fault, render_ndjson, render_prometheus,
};
use proptest::prelude::*;
use recorded::{hostile, many, mixed, report, three, three_hundred, two_weeks};
use serde_json::Value;

fn state(report: &Report) -> NagiosState {
    NagiosState::of(report, Severity::Warning)
}

#[test]
fn csv() {
    insta::assert_snapshot!(render_csv(&mixed()).replace('\r', ""));
}

#[test]
fn markdown() {
    insta::assert_snapshot!(render_markdown(&mixed()));
}

#[test]
fn junit() {
    insta::assert_snapshot!(render_junit(&mixed()));
}

#[test]
fn prometheus() {
    insta::assert_snapshot!(render_prometheus(&mixed()));
}

#[test]
fn nagios() {
    let report = mixed();
    insta::assert_snapshot!(render_nagios(&report, state(&report)));
}

#[test]
fn html() {
    let trends = two_weeks();
    let html = render_html(&mixed(), Some(&trends));
    // The style and the script are files of their own, and their digests change with them.
    let cut = |html: &str, begin: &str, end: &str| {
        let (before, rest) = html.split_once(begin).unwrap();
        let (_, after) = rest.split_once(end).unwrap();
        format!("{before}{begin}…{end}{after}")
    };
    let html = cut(&html, "<style>", "</style>");
    let html = cut(&html, "<script>", "</script>");
    let html = cut(&html, "style-src &#39;", "&#39;;");
    let html = cut(&html, "script-src &#39;", "&#39;;");
    insta::assert_snapshot!(html);
}

/// A stream that began and ended has a line for each host, and its parts are those of the report.
#[test]
fn the_events_hold_what_the_report_holds() {
    let report = mixed();
    let text = render_ndjson(&report).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let whole: Value = serde_json::from_str(&render_json(&report).unwrap()).unwrap();
    assert!(
        lines
            .iter()
            .all(|line| line["schema"] == "clawfleet.event/1")
    );
    let (first, last) = (&lines[0], &lines[lines.len() - 1]);
    assert_eq!(first["event"], "run-started");
    assert_eq!(first["hosts"], report.hosts.len());
    let hosts: Vec<&Value> = lines
        .iter()
        .filter(|line| line["event"] == "host-finished")
        .map(|line| &line["host"])
        .collect();
    assert_eq!(
        hosts,
        whole["hosts"]
            .as_array()
            .unwrap()
            .iter()
            .collect::<Vec<_>>()
    );
    assert_eq!(last["event"], "run-finished");
    for key in [
        "verdict",
        "summary",
        "fleet_findings",
        "started_at",
        "elapsed_ms",
        "interrupted",
    ] {
        assert_eq!(last[key], whole[key], "{key}");
    }
}

/// Hosts that finished have had their line; the end brings the others, each once.
#[test]
fn every_host_has_one_line_whatever_the_order() {
    let report = mixed();
    let mut lines = EventLines::new(report.hosts.len());
    let mut text = lines.started(report.started_at).unwrap();
    for index in [3, 0] {
        text += &lines.host(index, &report.hosts[index]).unwrap();
    }
    text += &lines.finished(&report).unwrap();
    let names: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|line| Some(line["host"]["name"].as_str()?.to_owned()))
        .collect();
    assert_eq!(names, ["VM154", "VM151", "VM152", "VM153", "VM155"]);
}

#[test]
fn nagios_has_the_state_of_the_report() {
    let broken = three();
    assert_eq!(state(&broken).code(), 2);
    let well = report("VM151", |_| recorded::recorded("healthy-real"));
    assert_eq!(state(&well).code(), 0);
    let gone = report("VM151", |_| HostOutcome::Cancelled);
    assert_eq!(state(&gone).code(), 3);
    let noisy = report("VM151", |_| recorded::recorded("noisy-journal"));
    assert_eq!(state(&noisy).code(), 1);
    assert_eq!(NagiosState::of(&noisy, Severity::Critical).code(), 0);
    let cut_short = Report {
        interrupted: true,
        ..well
    };
    assert_eq!(state(&cut_short).code(), 3);
    let fault = render_nagios_fault("no inventory: looked | at\nmany places");
    assert_eq!(
        fault,
        "CLAWFLEET UNKNOWN - no inventory: looked ¦ at␊many places\n"
    );
}

/// The first line has one `|` and no more than agents carry, however many hosts there are.
fn is_plugin_output(text: &str) {
    let first = text.lines().next().unwrap();
    assert!(first.len() < 1024, "{}", first.len());
    assert_eq!(text.matches('|').count(), 1, "{text}");
    assert!(text.len() < 8192, "{}", text.len());
    assert!(text.starts_with("CLAWFLEET "));
    let (_, performance) = first.split_once(" | ").unwrap();
    for one in performance.split(' ') {
        let (label, value) = one.split_once('=').unwrap();
        assert!(!label.is_empty());
        assert!(value.starts_with(|c: char| c.is_ascii_digit()), "{one}");
    }
}

/// An empty section is worse than none.
#[test]
fn without_readings_there_are_no_trends() {
    let report = three();
    let without = render_html(&report, None);
    assert!(!without.contains("id=\"trends\""));
    assert_eq!(render_html(&report, Some(&Trends::default())), without);
    let mut empty = two_weeks();
    empty.hosts.drain(..2);
    assert_eq!(render_html(&report, Some(&empty)), without);
    assert!(render_html(&report, Some(&two_weeks())).contains("id=\"trends\""));
}

/// Readings that make no sense leave a page that does.
#[test]
fn odd_readings_are_drawn_or_left_out() {
    let mut trends = two_weeks();
    let host = &mut trends.hosts[0];
    let at = host.restarts[0].at;
    for (place, value) in [f64::NAN, f64::INFINITY, -5.0, f64::MAX, 0.0, -0.0]
        .into_iter()
        .enumerate()
    {
        host.restarts[place].value = value;
    }
    // A clock that jumped back, and readings of one moment.
    host.latency_ms.reverse();
    for point in &mut host.observed {
        point.at = at;
    }
    trends.hosts[1].restarts.truncate(1);
    trends.hosts[1].observed.clear();
    let html = render_html(&three(), Some(&trends));
    is_html(&html);
    let (_, drawn) = html.split_once("id=\"trends\"").unwrap();
    assert!(!drawn.contains("NaN") && !drawn.contains("inf<") && !drawn.contains("inf "));
    // Of one moment alone there is no axis.
    trends.hosts.truncate(1);
    trends.hosts[0].restarts.clear();
    trends.hosts[0].latency_ms.clear();
    is_html(&render_html(&three(), Some(&trends)));
}

/// A bastion that checks every minute for three months is drawn as shortly as any other.
#[test]
fn a_long_history_makes_no_large_page() {
    let mut trends = two_weeks();
    let host = &mut trends.hosts[0];
    let start = host.restarts[0].at;
    host.restarts = (0..130_000_u32)
        .map(|minute| clawfleet::model::TrendPoint {
            at: start + std::time::Duration::from_secs(60 * u64::from(minute)),
            value: f64::from(minute % 7),
        })
        .collect();
    host.observed = host
        .restarts
        .iter()
        .enumerate()
        .map(|(place, point)| clawfleet::model::SeenPoint {
            at: point.at,
            looks: 1,
            seen: u32::from(place % 2 == 0),
        })
        .collect();
    let short = render_html(&three(), Some(&two_weeks())).len();
    let long = render_html(&three(), Some(&trends)).len();
    assert!(long < short + 1000, "{long}, {short}");
}

/// What loads, runs or leads elsewhere is not in the page at all.
#[test]
fn the_page_asks_for_nothing() {
    let html = render_html(&three_hundred(), Some(&two_weeks()));
    for word in [
        " src=", "url(", "@import", "http:", "https:", " on", "<link", "<iframe", "style=\"",
    ] {
        let found = html.match_indices(word).find(|(at, _)| {
            // In the text of a remedy or a sentence there may be such words; in a tag there are none.
            let before = &html[..*at];
            before.rfind('<') > before.rfind('>') || matches!(word, "url(" | "@import")
        });
        assert_eq!(found, None, "{word}");
    }
    assert_eq!(html.matches("<script>").count(), 1);
}

// --- rules of each format, for hosts that write what they like -------------------------------

/// A reader of RFC 4180 that knows nothing of the writer.
fn read_csv(text: &str) -> Vec<Vec<String>> {
    let mut rows = vec![vec![String::new()]];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let row = rows.last_mut().unwrap();
        match (c, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => {
                chars.next();
                row.last_mut().unwrap().push('"');
            }
            ('"', true) => {
                quoted = false;
                assert!(matches!(chars.peek(), None | Some(',' | '\r')));
            }
            ('"', false) => {
                assert_eq!(row.last().unwrap(), "", "a quote in the middle of a cell");
                quoted = true;
            }
            (',', false) => row.push(String::new()),
            ('\r', false) => {
                assert_eq!(chars.next(), Some('\n'));
                rows.push(vec![String::new()]);
            }
            (c, _) => {
                assert!(quoted || !matches!(c, '\n' | '\r'));
                row.last_mut().unwrap().push(c);
            }
        }
    }
    assert!(!quoted);
    assert_eq!(rows.pop().unwrap(), [""], "the last line ends");
    rows
}

fn is_csv(text: &str) {
    let rows = read_csv(text);
    assert_eq!(rows[0][..2], ["started_at", "host"]);
    for row in &rows {
        assert_eq!(row.len(), rows[0].len());
        for cell in row {
            let first = cell.trim_start().chars().next();
            assert!(!matches!(first, Some('=' | '+' | '-' | '@')), "{cell}");
            assert!(!cell.chars().any(char::is_control), "{cell:?}");
        }
    }
}

/// Elements nest, attributes are quoted, and nothing else has a `<`. Returns every tag's name.
fn well_formed<'a>(text: &'a str, empty: &[&str]) -> BTreeSet<&'a str> {
    let mut open: Vec<&str> = Vec::new();
    let mut names = BTreeSet::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        assert!(!before.contains('>'), "a bare > in {before:?}");
        let (tag, next) = after.split_once('>').expect("a tag that never ends");
        rest = next;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
            continue;
        }
        let end = tag.find([' ', '/']).unwrap_or(tag.len());
        let name = &tag[..end];
        if name.starts_with(['?', '!']) {
            continue;
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        assert!(!name.is_empty() && name.chars().all(plain), "<{tag}>");
        names.insert(name);
        let mut attributes = tag[end..].trim_end_matches('/').trim();
        while !attributes.is_empty() {
            let (key, value) = match attributes.split_once("=\"") {
                Some((key, value)) if !key.contains(' ') => (key, value),
                // One without a value, as HTML has them.
                _ => {
                    let (key, more) = attributes.split_once(' ').unwrap_or((attributes, ""));
                    assert!(key.chars().all(plain), "<{tag}>");
                    attributes = more.trim();
                    continue;
                }
            };
            assert!(key.chars().all(plain), "{key} in <{tag}>");
            let (value, more) = value.split_once('"').expect("a value that never ends");
            assert!(!value.contains('<'), "{value}");
            attributes = more.trim();
        }
        if !tag.ends_with('/') && !empty.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    assert!(!rest.contains('>'));
    names
}

fn is_junit(text: &str) {
    let names = well_formed(text, &[]);
    let known = [
        "error",
        "failure",
        "properties",
        "property",
        "skipped",
        "system-err",
        "system-out",
        "testcase",
        "testsuite",
        "testsuites",
    ];
    assert!(names.is_subset(&known.into_iter().collect()), "{names:?}");
    // The counts of each suite are those of its cases.
    for suite in text.split("<testsuite ").skip(1) {
        let count = |key: &str| -> usize {
            let (_, rest) = suite.split_once(&format!(" {key}=\"")).unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        for (key, tag) in [
            ("tests", "<testcase "),
            ("failures", "<failure "),
            ("errors", "<error "),
            ("skipped", "<skipped "),
        ] {
            assert_eq!(count(key), suite.matches(tag).count(), "{key}");
        }
    }
}

fn is_html(html: &str) {
    let without = |html: &str, name: &str| {
        let (before, rest) = html.split_once(&format!("<{name}>")).unwrap();
        let (_, after) = rest.split_once(&format!("</{name}>")).unwrap();
        assert!(!after.contains(&format!("<{name}>")), "a second {name}");
        format!("{before}{after}")
    };
    let bare = without(&without(html, "style"), "script");
    let names = well_formed(&bare, &["meta", "input", "br"]);
    for name in ["script", "style", "img", "link", "object", "base", "iframe"] {
        assert!(!names.contains(name), "{name}");
    }
    let ids: Vec<&str> = bare
        .split(" id=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "an id twice");
    for target in bare.split("href=\"#").skip(1) {
        let target = target.split('"').next().unwrap();
        assert!(unique.contains(target), "a link to nowhere: {target}");
    }
}

/// The grammar of the text format, line by line, and its rules on families.
fn is_prometheus(text: &str) {
    let mut family = String::new();
    let mut families = BTreeSet::new();
    let mut series = BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.ends_with('.'), "{help}");
            family = name.to_owned();
            assert!(families.insert(family.clone()), "{name} comes twice");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert_eq!(rest, format!("{family} gauge"));
            continue;
        }
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        assert_eq!(name, family);
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        let mut rest = rest;
        let mut labels = Vec::new();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside;
            loop {
                let (key, value) = rest.split_once("=\"").unwrap();
                assert!(key.chars().all(|c| c.is_ascii_lowercase()), "{line}");
                let mut end = None;
                let mut escaped = false;
                for (at, c) in value.char_indices() {
                    match (c, escaped) {
                        (c, true) => {
                            assert!(matches!(c, '\\' | '"' | 'n'), "{line}");
                            escaped = false;
                        }
                        ('\\', false) => escaped = true,
                        ('"', false) => {
                            end = Some(at);
                            break;
                        }
                        _ => {}
                    }
                }
                let end = end.expect("a label that never ends");
                labels.push((key.to_owned(), value[..end].to_owned()));
                rest = &value[end + 1..];
                match rest.strip_prefix(',') {
                    Some(more) => rest = more,
                    None => break,
                }
            }
            rest = rest.strip_prefix('}').unwrap();
        }
        let value: f64 = rest.strip_prefix(' ').unwrap().parse().unwrap();
        assert!(value.is_finite(), "{line}");
        for (key, value) in &labels {
            let known = [
                "host", "port", "class", "severity", "verdict", "outcome", "stage", "version",
            ];
            assert!(known.contains(&key.as_str()), "{key}");
            // What a host writes is in no label.
            assert!(!value.contains("evil"), "{line}");
        }
        assert!(
            series.insert(format!("{name}{labels:?}")),
            "{line} comes twice"
        );
    }
}

/// Outside code there is nothing of a host's: no markup, no mention, no cell.
fn is_markdown(text: &str) {
    assert!(text.len() <= 66_000, "{}", text.len());
    let mut fence: Option<String> = None;
    for line in text.lines() {
        if let Some(open) = &fence {
            if line == open {
                fence = None;
            }
            continue;
        }
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        if ticks.len() >= 3 && line[ticks.len()..].chars().all(char::is_alphabetic) {
            fence = Some(ticks);
            continue;
        }
        if line.starts_with('|') {
            assert_eq!(line.matches('|').count(), 8, "{line}");
        }
        let bare = without_spans(line);
        assert!(!bare.contains("evil"), "{line}");
        assert!(
            !bare.contains(['<', '>', '@']) || !line.contains("evil"),
            "{line}"
        );
    }
    assert_eq!(fence, None);
}

/// A line without its code spans, as CommonMark finds them.
fn without_spans(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('`') {
        out.push_str(&rest[..at]);
        let length = rest[at..].chars().take_while(|c| *c == '`').count();
        rest = &rest[at + length..];
        let mut from = 0;
        loop {
            let Some(next) = rest[from..].find('`').map(|next| from + next) else {
                return out + rest;
            };
            let run = rest[next..].chars().take_while(|c| *c == '`').count();
            from = next + run;
            if run == length {
                rest = &rest[from..];
                break;
            }
        }
    }
    out + rest
}

fn are_sound(report: &Report) {
    is_csv(&render_csv(report));
    is_junit(&render_junit(report));
    is_html(&render_html(report, None));
    is_prometheus(&render_prometheus(report));
    is_markdown(&render_markdown(report));
    is_plugin_output(&render_nagios(report, state(report)));
    for line in render_ndjson(report).unwrap().lines() {
        serde_json::from_str::<Value>(line).unwrap();
        assert!(!line.chars().any(clawfleet::model::is_unsafe));
    }
}

#[test]
fn every_format_keeps_its_rules() {
    let mut trends = two_weeks();
    trends.hosts[0].name = "<evil>\"".into();
    is_html(&render_html(&mixed(), Some(&trends)));
    let nobody = Report {
        hosts: Vec::new(),
        ..three()
    };
    for report in [three(), mixed(), three_hundred(), nobody] {
        are_sound(&report);
    }
}

#[test]
fn no_host_breaks_a_format() {
    for evil in [
        "<script>evil()</script>",
        "\"><img src=x onerror=evil()>",
        "evil' onmouseover='evil()",
        "</details></article><h1>evil",
        "]]><!-- evil",
        "evil&amp;&#x3c;b&#x3e;",
        "=HYPERLINK(\"evil\")",
        "evil;=1+1",
        "\t@SUM(evil)",
        "evil,\"evil\",'evil'",
        "| evil | evil",
        "\\| evil \\| evil",
        "```\n# evil\n@everyone",
        "`@evil` ``@evil``",
        "[evil](javascript:evil)",
        "evil\"} 1\nevil{a=\"b",
        "evil\\",
        "\u{1b}[31mevil\u{7}\u{202e}\u{2028}\r\n\u{fffe}\u{ffff}\u{0}",
        "evil|'time'=0;;",
    ] {
        are_sound(&hostile(evil));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_breaks_a_format(text in "evil[ -~\\t\\n\\r`|<>&\"'@=;é\u{202e}\u{fffe}]{0,30}") {
        are_sound(&hostile(&text));
    }
}

/// A host cannot make series: however many gateways it runs, there are as many as before.
#[test]
fn a_host_cannot_make_series() {
    let before = render_prometheus(&hostile("x")).lines().count();
    let mut flooded = hostile("x");
    if let HostOutcome::Observed(facts) = &mut flooded.hosts[1].observation.outcome {
        let one = facts.gateways[0].clone();
        for port in 1000..2000 {
            let mut more = one.clone();
            more.port = port;
            facts.gateways.push(more);
        }
    }
    assert_eq!(render_prometheus(&flooded).lines().count(), before);
}

// --- what is checked in for Prometheus and Grafana -------------------------------------------

fn checked_in(path: &str) -> String {
    std::fs::read_to_string(format!("{}/docs/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The names of metrics in an expression.
fn metrics(expression: &str) -> BTreeSet<String> {
    expression
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("clawfleet_"))
        .map(str::to_owned)
        .collect()
}

/// Rules and panels that name a metric which nobody writes stay silent for ever.
#[test]
fn rules_and_dashboard_name_metrics_that_exist() {
    let mut report = mixed();
    for host in &mut report.hosts {
        if let HostOutcome::Observed(facts) = &mut host.observation.outcome {
            facts.system.clock_ahead_s = Some(1);
            for gateway in &mut facts.gateways {
                gateway.http.version = Some("2026.9.1".into());
                gateway.http.ready = Some(clawfleet::model::Readiness {
                    uptime_ms: Some(5),
                    ..Default::default()
                });
            }
        }
    }
    let written = metrics(
        &render_prometheus(&report)
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .collect::<String>(),
    );
    let dashboard: Value =
        serde_json::from_str(&checked_in("prometheus/grafana-dashboard.json")).unwrap();
    let mut named = metrics(&checked_in("prometheus/clawfleet.rules.yaml"));
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 6);
    let ids: BTreeSet<u64> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), panels.len(), "panels need ids of their own");
    for panel in panels {
        for target in panel["targets"].as_array().unwrap() {
            let names = metrics(target["expr"].as_str().unwrap());
            assert!(!names.is_empty(), "{panel}");
            named.extend(names);
        }
    }
    for name in &named {
        assert!(written.contains(name), "{name} is written by nobody");
    }
    // And what is written is told of.
    let docs = checked_in("formats.md");
    for name in &written {
        assert!(docs.contains(name), "{name} is not in docs/formats.md");
    }
}

/// How long each format takes for 1,000 hosts. Run it with
/// `cargo test --release --test formats -- --ignored --nocapture how_fast`.
#[test]
#[ignore = "a measurement"]
fn how_fast() {
    let broken = recorded::recorded("orphan-real");
    figures("most are well", &many("VM[1000-1999]"));
    figures(
        "all are broken",
        &report("VM[1000-1999]", |_| broken.clone()),
    );
}

#[allow(clippy::print_stdout, reason = "a measurement prints its figures")]
fn figures(what: &str, report: &Report) {
    println!("{what}:");
    let time = |name: &str, render: &dyn Fn() -> String| {
        let (mut best, mut size) = (std::time::Duration::MAX, 0);
        for _ in 0..5 {
            let begin = std::time::Instant::now();
            size = render().len();
            best = best.min(begin.elapsed());
        }
        println!(
            "{name:12} {:7.1} ms {:8.1} kB",
            best.as_secs_f64() * 1e3,
            size as f64 / 1e3
        );
    };
    time("json", &|| render_json(report).unwrap());
    time("ndjson", &|| render_ndjson(report).unwrap());
    time("csv", &|| render_csv(report));
    time("markdown", &|| render_markdown(report));
    time("junit", &|| render_junit(report));
    time("prometheus", &|| render_prometheus(report));
    time("nagios", &|| render_nagios(report, state(report)));
    time("html", &|| render_html(report, None));
}
