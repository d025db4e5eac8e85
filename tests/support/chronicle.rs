//! What was kept of fleets that were never there.

#![allow(dead_code, reason = "shared by suites that each use a part of it")]

use std::collections::BTreeSet;

use clawfleet::model::{
    Chronicle, HostPast, KeptAnswer, KeptFinding, KeptNumber, KeptPrint, KeptRun, ReadingKind,
    Severity, Summary, Verdict,
};
use clawfleet::report::HistoryReport;
use jiff::{SignedDuration, Timestamp};

/// How far apart the runs are.
const MINUTES: i64 = 30;

pub(crate) fn at(run: i64) -> Timestamp {
    let first: Timestamp = "2026-11-14T12:00:00Z".parse().unwrap();
    first + SignedDuration::from_mins((run - 1) * MINUTES)
}

/// A chronicle of so many runs, in which hosts of these names were well all the time.
pub(crate) fn quiet(runs: i64, names: &[String]) -> Chronicle {
    let summary = Summary {
        hosts: names.len(),
        ok: names.len(),
        ..Summary::default()
    };
    Chronicle {
        runs: (1..=runs)
            .map(|id| KeptRun {
                id,
                started_at: at(id),
                elapsed_ms: 812,
                verdict: Verdict::Ok,
                summary,
                interrupted: false,
                on_change: true,
                selection: 0,
            })
            .collect(),
        hosts: names.iter().map(|name| host(name)).collect(),
    }
}

pub(crate) fn host(name: &str) -> HostPast {
    let mut host = HostPast {
        name: name.to_owned(),
        asked_in: vec![true],
        ..HostPast::default()
    };
    answers(&mut host, 1, "observed", Verdict::Ok);
    reads(&mut host, ReadingKind::Restarts, &[(1, 3)]);
    reads(&mut host, ReadingKind::LatencyMs, &[(1, 4)]);
    for part in ["config", "openclaw-gateway.service (system)", "version"] {
        prints(&mut host, part, 1);
    }
    host
}

pub(crate) fn answers(host: &mut HostPast, run: i64, outcome: &str, verdict: Verdict) {
    let (outcome, stage) = match outcome.split_once('/') {
        Some((outcome, stage)) => (outcome, Some(stage.to_owned())),
        None => (outcome, None),
    };
    host.answers.push(KeptAnswer {
        run,
        at: Some(at(run)),
        outcome: outcome.to_owned(),
        verdict,
        message: stage.as_ref().map(|_| "no answer".to_owned()),
        stage,
    });
}

pub(crate) fn reads(host: &mut HostPast, kind: ReadingKind, numbers: &[(i64, i64)]) {
    let gateway = match kind {
        ReadingKind::DiskFreePercent | ReadingKind::ClockAheadS => None,
        _ => Some(18789),
    };
    let series = host.numbers.entry((gateway, kind)).or_default();
    series.extend(numbers.iter().map(|(run, value)| KeptNumber {
        run: *run,
        value: *value,
    }));
}

pub(crate) fn prints(host: &mut HostPast, part: &str, run: i64) {
    let series = host.prints.entry((18789, part.to_owned())).or_default();
    let digest = vec![u8::try_from(series.len()).unwrap_or(0); 32];
    series.push(KeptPrint { run, digest });
}

pub(crate) fn finds(
    host: &mut HostPast,
    class: &str,
    severity: Severity,
    runs: (i64, Option<i64>),
) {
    host.findings.push(KeptFinding {
        gateway: Some(18789),
        class: class.to_owned(),
        subject: "openclaw-gateway.service (system)".to_owned(),
        severity,
        grades: Vec::new(),
        first_seen: at(runs.0),
        first_run: runs.0,
        last_seen: at(runs.1.unwrap_or(runs.0)),
        closed: runs.1.map(|run| (at(run), run)),
    });
}

fn names(from: usize, count: usize) -> Vec<String> {
    (from..from + count)
        .map(|number| format!("VM{number}"))
        .collect()
}

/// A week of three hosts: a configuration is changed and an orphan follows, a host is cut off, one is well.
pub(crate) fn three() -> Chronicle {
    let mut week = quiet(336, &names(151, 3));
    let [first, second, _] = week.hosts.as_mut_slice() else {
        panic!("three hosts");
    };
    prints(first, "config", 300);
    finds(first, "orphan-holds-port", Severity::Critical, (301, None));
    finds(first, "journal-noise", Severity::Warning, (301, None));
    answers(first, 301, "observed", Verdict::Critical);
    reads(
        first,
        ReadingKind::Restarts,
        &[(301, 9), (310, 120), (330, 4)],
    );
    reads(first, ReadingKind::Failed1h, &[(1, 0), (301, 40)]);
    reads(first, ReadingKind::DiskFreePercent, &[(1, 60), (200, 41)]);
    answers(second, 40, "unreachable/tcp", Verdict::Unknown);
    answers(second, 44, "timed-out/kex", Verdict::Unknown);
    answers(second, 52, "observed", Verdict::Ok);
    for run in [100, 120, 140, 160, 180] {
        finds(second, "disk-low", Severity::Warning, (run, Some(run + 5)));
        answers(second, run, "observed", Verdict::Warning);
        answers(second, run + 5, "observed", Verdict::Ok);
    }
    reads(second, ReadingKind::LatencyMs, &[(60, 140), (61, 6)]);
    prints(second, "version", 240);
    prints(second, "openclaw-gateway.service (user bot)", 250);
    week
}

/// A week of three hundred: a rack is cut off twice, some have the same trouble, each tenth has its own.
pub(crate) fn three_hundred() -> Chronicle {
    let mut week = quiet(336, &names(100, 300));
    for (place, host) in week.hosts.iter_mut().enumerate() {
        let run = i64::try_from(place).unwrap_or(0);
        match place {
            30..=41 => {
                for from in [50, 320] {
                    answers(host, from, "unreachable/tcp", Verdict::Unknown);
                    if from == 50 {
                        answers(host, 60, "observed", Verdict::Ok);
                    }
                }
            }
            7 | 8 | 9 | 55 | 140 => {
                finds(host, "orphan-holds-port", Severity::Critical, (290, None));
                answers(host, 290, "observed", Verdict::Critical);
                reads(host, ReadingKind::Restarts, &[(290, 30), (300, 90 + run)]);
            }
            _ if place % 10 == 0 => {
                finds(
                    host,
                    "disk-low",
                    Severity::Warning,
                    (run + 5, Some(run + 9)),
                );
                answers(host, run + 5, "observed", Verdict::Warning);
                answers(host, run + 9, "observed", Verdict::Ok);
            }
            _ => reads(host, ReadingKind::LatencyMs, &[(run + 2, 3 + run % 9)]),
        }
        prints(host, "version", 200);
    }
    week
}

/// The report of a chronicle, eight minutes after its last run.
pub(crate) fn told<'a>(
    chronicle: &'a Chronicle,
    classes: &'a BTreeSet<String>,
) -> HistoryReport<'a> {
    let last = chronicle.runs.last();
    let now = at(last.map_or(337, |run| run.id)) + SignedDuration::from_mins(8);
    HistoryReport {
        chronicle,
        classes,
        since: now - SignedDuration::from_hours(168),
        begins: chronicle.runs.first().map(|run| run.started_at),
        last: last.map(|run| (run.id, run.started_at)),
        now,
    }
}
