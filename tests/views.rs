//! What people and programs read, as snapshots. The hosts are recorded ones.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use clawfleet::diagnose::judge;
use clawfleet::model::{
    Class, Evidence, FleetFinding, Host, HostError, HostObservation, HostOutcome, HttpAnswer,
    HttpError, HttpFacts, HttpRoute, Report, Severity, Stage, StageTimes,
};
use clawfleet::probe::{Nonce, parse, split};
use clawfleet::report::{Style, View, render_json, render_table};

fn hosts(pattern: &str) -> Vec<Arc<Host>> {
    let text = format!("{{defaults: {{user: root}}, hosts: {{\"{pattern}\": {{}}}}}}");
    let inventory = clawfleet::inventory::parse(&text, "test", "/root").unwrap();
    inventory.hosts.into_iter().map(Arc::new).collect()
}

/// What a recorded host would have answered.
fn recorded(case: &str) -> HostOutcome {
    let path = format!(
        "{}/tests/fixtures/probes/{case}.txt",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    let host = hosts("VM151").remove(0);
    let services: Vec<_> = host.services().collect();
    let mut facts = parse(&split(&text, &Nonce::new(1)), &services);
    let live = text.contains("#? http 200");
    facts.gateways[0].http = HttpFacts {
        health: Some(if live {
            Ok(HttpAnswer {
                status: 200,
                latency_ms: 7,
                is_gateway: true,
                route: HttpRoute::Forwarded,
            })
        } else {
            Err(HttpError::Refused)
        }),
        ..HttpFacts::default()
    };
    HostOutcome::Observed(Box::new(facts))
}

fn unreachable(stage: Stage, message: &str) -> HostOutcome {
    let error = HostError {
        after_ms: Some(5_000),
        ..HostError::new(stage, message)
    };
    HostOutcome::TimedOut(error)
}

fn report(pattern: &str, outcome: impl Fn(usize) -> HostOutcome) -> Report {
    let hosts = hosts(pattern)
        .iter()
        .enumerate()
        .map(|(index, host)| {
            let observation = HostObservation {
                outcome: outcome(index),
                stages: StageTimes(vec![(Stage::Tcp, Duration::from_millis(1))]),
                elapsed: Duration::from_millis(143),
            };
            judge(host, observation)
        })
        .collect();
    Report {
        started_at: "2026-06-26T12:15:00Z".parse().unwrap(),
        elapsed_ms: 812,
        hosts,
        fleet_findings: Vec::new(),
        interrupted: false,
    }
}

fn three() -> Report {
    report("VM[151-153]", |index| match index {
        0 => recorded("orphan-real"),
        1 => recorded("healthy-real"),
        _ => recorded("duplicate-unit-real"),
    })
}

/// 300 hosts: most are fine, some are broken in the same way, some are cut off.
fn three_hundred() -> Report {
    report("VM[100-399]", |index| match index {
        7 | 8 | 9 | 55 | 140 => recorded("orphan-real"),
        20 => recorded("config-error"),
        30..=41 => unreachable(Stage::Tcp, "no answer to the TCP connect"),
        index if index % 17 == 3 => recorded("user-unit"),
        index if index % 50 == 49 => recorded("unprivileged"),
        _ => recorded("healthy-real"),
    })
}

const fn view(width: u16) -> View {
    View {
        style: Style::Plain,
        width,
        verbose: false,
        quiet: false,
    }
}

#[test]
fn three_hosts_at_80_columns() {
    insta::assert_snapshot!(render_table(&three(), view(80)));
}

#[test]
fn three_hosts_at_200_columns() {
    insta::assert_snapshot!(render_table(&three(), view(200)));
}

#[test]
fn three_hundred_hosts_at_100_columns() {
    insta::assert_snapshot!(render_table(&three_hundred(), view(100)));
}

/// Each gateway of a host has a row of its own, and the host's own findings stand in the first.
fn several_gateways() -> Report {
    let mut report = report("VM[151-155]", |index| {
        let case = match index {
            0 | 1 => "two-profiles-one-orphan",
            2 => "overlap",
            3 => "two-users",
            _ => "healthy-real",
        };
        recorded(case)
    });
    report.fleet_findings.push(FleetFinding {
        class: Class::ConfigDrift,
        severity: Severity::Warning,
        hosts: vec!["VM153".into()],
        evidence: vec![Evidence::Deviates {
            what: "gateway.bind".into(),
            here: "lan".into(),
            peers: "loopback".into(),
            agree: 4,
            of: 5,
        }],
    });
    report
}

#[test]
fn several_gateways_at_80_columns() {
    insta::assert_snapshot!(render_table(&several_gateways(), view(80)));
}

#[test]
fn several_gateways_at_200_columns() {
    insta::assert_snapshot!(render_table(&several_gateways(), view(200)));
}

#[test]
fn all_is_well_in_two_lines() {
    let report = report("VM[154-199]", |_| recorded("healthy-real"));
    insta::assert_snapshot!(render_table(&report, view(80)));
}

#[test]
fn the_verdict_alone_is_one_line() {
    let quiet = View {
        quiet: true,
        ..view(80)
    };
    let text = render_table(&three(), quiet);
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn verbose_shows_every_host_and_every_consequence() {
    let verbose = View {
        verbose: true,
        ..view(120)
    };
    let text = render_table(&three_hundred(), verbose);
    for host in three_hundred().hosts {
        assert!(text.contains(&host.name), "{}", host.name);
    }
    assert!(text.contains("follows from orphan-holds-port"));
}

#[test]
fn no_table_line_is_wider_than_its_terminal() {
    for width in [40, 60, 80, 100, 120, 200] {
        for report in [three(), three_hundred()] {
            let text = render_table(&report, view(width));
            let table = text.lines().skip(2).take_while(|line| !line.is_empty());
            // Names, states and findings are never given up, so the narrowest need some 75 columns.
            let limit = usize::from(width).max(76);
            for line in table {
                assert!(line.chars().count() <= limit, "{width}: {line}");
            }
        }
    }
}

/// Colour only repeats what the words say.
#[test]
fn without_its_colours_a_coloured_table_is_the_plain_one() {
    let coloured = View {
        style: Style::Colour,
        ..view(100)
    };
    let mut text = String::new();
    let mut escape = false;
    for c in render_table(&three(), coloured).chars() {
        match (c, escape) {
            ('\u{1b}', _) => escape = true,
            ('m', true) => escape = false,
            (_, true) => {}
            (c, false) => text.push(c),
        }
    }
    let trimmed = |text: &str| {
        text.lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(trimmed(&text), trimmed(&render_table(&three(), view(100))));
}

/// A host chooses its unit states, process names and error texts; a terminal must not obey them.
#[test]
fn nothing_that_a_host_sends_reaches_the_terminal_raw() {
    let evil = "\u{1b}[2J\u{7}\u{9b}31m\u{202e}evil\r";
    let report = report("VM[151-152]", |index| {
        if index == 0 {
            return unreachable(Stage::Banner, evil);
        }
        let HostOutcome::Observed(mut facts) = recorded("orphan-real") else {
            panic!("recorded hosts are observed");
        };
        for process in &mut facts.processes {
            process.comm = format!("openclaw{evil}");
            process.cgroup = format!("/{evil}");
            process.argv = vec![evil.to_owned()];
        }
        for unit in &mut facts.gateways[0].units {
            unit.sub_state = evil.to_owned();
            unit.result = evil.to_owned();
        }
        HostOutcome::Observed(facts)
    });
    for verbose in [false, true] {
        let text = render_table(
            &report,
            View {
                verbose,
                ..view(120)
            },
        );
        assert!(text.contains("evil"));
        let raw = text
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(raw, None);
    }
}

#[test]
fn the_json_of_three_hosts() {
    insta::assert_snapshot!(render_json(&three()).unwrap());
}

#[test]
fn the_json_keys_are_sorted_and_the_counts_add_up() {
    let text = render_json(&three_hundred()).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let summary = &value["summary"];
    let count = |key: &str| summary[key].as_u64().unwrap();
    assert_eq!(
        count("hosts"),
        count("ok") + count("warning") + count("critical") + count("not_observed")
    );
    assert_eq!(count("not_observed"), 12);
    let again = serde_json::to_string_pretty(&value).unwrap();
    assert_eq!(text.trim_end(), again, "sorted keys survive a round trip");
}

/// What a gateway says of itself is shown where every host has a row of its own, and only there.
#[test]
fn verbose_shows_what_a_gateway_says_of_itself() {
    use clawfleet::model::{ModelsAnswer, Readiness, WebSocketAnswer};
    let mut outcome = recorded("healthy-real");
    if let HostOutcome::Observed(facts) = &mut outcome {
        let http = &mut facts.gateways[0].http;
        http.tls = true;
        http.ready = Some(Readiness {
            ready: false,
            failing: vec!["telegram\u{1b}[2J".into()],
            ..Readiness::default()
        });
        http.models = Some(ModelsAnswer::Listed(3));
        http.websocket = Some(Ok(WebSocketAnswer {
            challenge: true,
            hello: Some(Err("UNAVAILABLE".into())),
            latency_ms: 1,
        }));
    }
    let report = report("VM151", |_| outcome.clone());
    let view = |verbose| View {
        style: Style::Plain,
        width: 200,
        verbose,
        quiet: false,
    };
    let text = render_table(&report, view(true));
    for words in ["TLS", "not ready: telegram", "models: 3", "no hello"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(!render_table(&report, view(false)).contains("TLS"));
}
