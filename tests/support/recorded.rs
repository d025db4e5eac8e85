//! Reports made of recorded hosts.

// Each suite is a crate of its own and uses a part of this.
#![allow(dead_code, reason = "shared by suites that each use a part of it")]

use std::sync::Arc;
use std::time::Duration;

use clawfleet::diagnose::judge;
use clawfleet::model::{
    Class, Evidence, Finding, FleetFinding, Host, HostError, HostObservation, HostOutcome,
    HostTrend, HttpAnswer, HttpError, HttpFacts, HttpRoute, Report, SeenPoint, Severity, Stage,
    StageTimes, Subject, TrendPoint, Trends,
};
use clawfleet::probe::{Nonce, parse, split};

pub(crate) fn hosts(pattern: &str) -> Vec<Arc<Host>> {
    let text = format!("{{defaults: {{user: root}}, hosts: {{\"{pattern}\": {{}}}}}}");
    let inventory = clawfleet::inventory::parse(&text, "test", "/root").unwrap();
    inventory.hosts.into_iter().map(Arc::new).collect()
}

/// What a recorded host would have answered.
pub(crate) fn recorded(case: &str) -> HostOutcome {
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

pub(crate) fn unreachable(stage: Stage, message: &str) -> HostOutcome {
    let error = HostError {
        after_ms: Some(5_000),
        ..HostError::new(stage, message)
    };
    HostOutcome::TimedOut(error)
}

pub(crate) fn report(pattern: &str, outcome: impl Fn(usize) -> HostOutcome) -> Report {
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

pub(crate) fn three() -> Report {
    report("VM[151-153]", |index| match index {
        0 => recorded("orphan-real"),
        1 => recorded("healthy-real"),
        _ => recorded("duplicate-unit-real"),
    })
}

/// 300 hosts: most are fine, some are broken in the same way, some are cut off.
pub(crate) fn three_hundred() -> Report {
    many("VM[100-399]")
}

/// As many hosts as the pattern has, in the states of [`three_hundred`].
pub(crate) fn many(pattern: &str) -> Report {
    let healthy = recorded("healthy-real");
    let orphan = recorded("orphan-real");
    let config_error = recorded("config-error");
    let user_unit = recorded("user-unit");
    let unprivileged = recorded("unprivileged");
    report(pattern, |index| match index % 300 {
        7 | 8 | 9 | 55 | 140 => orphan.clone(),
        20 => config_error.clone(),
        30..=41 => unreachable(Stage::Tcp, "no answer to the TCP connect"),
        index if index % 17 == 3 => user_unit.clone(),
        index if index % 50 == 49 => unprivileged.clone(),
        _ => healthy.clone(),
    })
}

/// What a comparison of hosts finds.
pub(crate) fn drift(host: &str) -> FleetFinding {
    FleetFinding {
        class: Class::ConfigDrift,
        severity: Severity::Warning,
        hosts: vec![host.into()],
        evidence: vec![Evidence::Deviates {
            what: "gateway.bind".into(),
            here: "lan".into(),
            peers: "loopback".into(),
            agree: 4,
            of: 5,
        }],
    }
}

/// Each gateway of a host has a row of its own, and the host's own findings stand in the first.
pub(crate) fn several_gateways() -> Report {
    let mut report = report("VM[151-155]", |index| {
        let case = match index {
            0 | 1 => "two-profiles-one-orphan",
            2 => "overlap",
            3 => "two-users",
            _ => "healthy-real",
        };
        recorded(case)
    });
    report.fleet_findings.push(drift("VM153"));
    report
}

/// Every kind of end at once: broken, cut off, well, in maintenance, and one that differs.
pub(crate) fn mixed() -> Report {
    let mut report = report("VM[151-155]", |index| match index {
        0 => recorded("orphan-real"),
        1 => recorded("healthy-real"),
        2 => unreachable(Stage::Tcp, "no answer to the TCP connect"),
        3 => recorded("two-profiles-one-orphan"),
        _ => recorded("noisy-journal"),
    });
    report.fleet_findings.push(drift("VM152"));
    let resting = &mut report.hosts[4];
    resting.maintenance = true;
    for finding in &mut resting.findings {
        finding.severity = Severity::Info;
    }
    resting.verdict = clawfleet::model::Verdict::Ok;
    report
}

/// Hosts that write this wherever they can.
pub(crate) fn hostile(evil: &str) -> Report {
    let mut report = report("VM[151-152]", |index| {
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
            evil.clone_into(&mut unit.name);
            evil.clone_into(&mut unit.sub_state);
            evil.clone_into(&mut unit.active_state);
            evil.clone_into(&mut unit.result);
        }
        facts.gateways[0].named = None;
        facts.gateways[0].http.version = Some(evil.to_owned());
        facts.system.os = Some(evil.to_owned());
        HostOutcome::Observed(facts)
    });
    let logged = Evidence::LogLine {
        text: evil.to_owned(),
        count: 3,
        hours: 1,
    };
    let host = &mut report.hosts[1];
    host.findings.push(Finding::new(
        Class::ModelSkipped,
        Subject::Model(evil.to_owned()),
        vec![logged],
    ));
    report.fleet_findings.push(FleetFinding {
        evidence: vec![Evidence::Deviates {
            what: evil.into(),
            here: evil.into(),
            peers: evil.into(),
            agree: 4,
            of: 5,
        }],
        ..drift("VM152")
    });
    report
}

/// Two weeks of two hosts, one of which gets worse, with a gap; and one host without anything.
pub(crate) fn two_weeks() -> Trends {
    let start: jiff::Timestamp = "2026-06-12T12:15:00Z".parse().unwrap();
    let at = |hour: u32| start + Duration::from_secs(u64::from(hour) * 3600);
    let hours = (0..14 * 24).step_by(3);
    let series = |value: &dyn Fn(u32) -> f64| -> Vec<TrendPoint> {
        let points = hours.clone().map(|hour| TrendPoint {
            at: at(hour),
            value: value(hour),
        });
        points.collect()
    };
    let seen = |gone: std::ops::Range<u32>| -> Vec<SeenPoint> {
        let points = hours.clone().map(|hour| SeenPoint {
            at: at(hour),
            looks: 1,
            seen: u32::from(!gone.contains(&hour)),
        });
        points.collect()
    };
    Trends {
        hosts: vec![
            HostTrend {
                name: "VM151".into(),
                restarts: series(&|hour| f64::from(hour / 24)),
                latency_ms: series(&|hour| 20.0 + f64::from(hour % 24)),
                observed: seen(100..130),
            },
            HostTrend {
                name: "VM152".into(),
                restarts: series(&|_| 0.0),
                latency_ms: Vec::new(),
                observed: seen(0..0),
            },
            HostTrend {
                name: "VM153".into(),
                ..HostTrend::default()
            },
        ],
    }
}
