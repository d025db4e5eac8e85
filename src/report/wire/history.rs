//! What was kept, for programs: `clawfleet.history/1`, `clawfleet.history-runs/1` and
//! `clawfleet.history-diff/1`.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::history::{
    Axis, Difference, HistoryReport, RunDiff, differences, lasted, looked, restarts,
};
use crate::diagnose::{Happened, Happening, RunChange, happenings};
use crate::model::{HostPast, KeptRun, ReadingKind};

/// How many points a number has at most: a month of a thousand hosts is to be read by a program, too.
const POINTS: usize = 60;

/// `clawfleet.history/1`.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::report) struct WireHistory {
    /// `clawfleet.history/1`.
    schema: &'static str,
    /// From when on it was asked for, RFC 3339 in UTC.
    since: String,
    /// When this was made.
    made_at: String,
    /// When what is kept begins; null where nothing is.
    begins: Option<String>,
    /// The first run of that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_run: Option<WireKeptRun>,
    /// The last one, of which the state of the hosts is.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run: Option<WireKeptRun>,
    /// How many runs there were.
    runs: usize,
    hosts: Vec<WireHostPast>,
    /// What happened to one host each, in the order of the beginnings.
    events: Vec<WireHappening>,
}

/// `clawfleet.history-runs/1`.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::report) struct WireKeptRuns {
    /// `clawfleet.history-runs/1`.
    schema: &'static str,
    /// The oldest first.
    runs: Vec<WireKeptRun>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireKeptRun {
    /// Its number, as `history diff` takes it.
    run: i64,
    /// When it began, RFC 3339 in UTC.
    started_at: String,
    elapsed_ms: u64,
    /// `ok`, `warning`, `unknown` or `critical`.
    verdict: &'static str,
    hosts: usize,
    ok: usize,
    warning: usize,
    critical: usize,
    not_observed: usize,
    /// Whether its operator stopped it.
    interrupted: bool,
    /// Whether it told only what changed.
    on_change: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireHostPast {
    name: String,
    /// Whether the inventory does not have it any more.
    left_inventory: bool,
    /// In how many runs of that time it was asked.
    asked: u64,
    /// In how many of them it was observed, whole or in part.
    observed: u64,
    /// The share of these, from 0 to 1; absent where it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    availability: Option<f64>,
    /// How it answered, from a run on; the last is how it is now.
    states: Vec<WireState>,
    /// Its numbers.
    numbers: Vec<WireNumbers>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireState {
    run: i64,
    /// When that run began; absent where it is not kept any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// As in `clawfleet.report/1`.
    outcome: String,
    /// `ok`, `warning`, `unknown` or `critical`.
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireNumbers {
    /// The port of the gateway; absent for the host as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<u16>,
    /// `restarts` (the manager's counter), `restarts_24h`, `failed_1h`, `latency_ms`, `disk_free_percent`,
    /// `clock_ahead_s`, `memory_mib`.
    kind: &'static str,
    /// Of `restarts`: by how much it grew in that time. One that is lower than before began anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    grew: Option<i64>,
    /// What it was over the time: of up to 60 runs each, else the least and the most of each sixtieth of the time.
    /// What is as the point before is left out.
    points: Vec<WirePoint>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WirePoint {
    /// The first run of it.
    run: i64,
    at: String,
    least: i64,
    most: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireHappening {
    /// `finding`, `not-observed` (an outcome), `changed` or `appeared` (a fingerprint), `rollout` (`subject` is the unit;
    /// `outcomes` are what it did, and its name).
    kind: &'static str,
    host: String,
    /// The port of the gateway; absent for the host as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<u16>,
    /// Of a finding: its class, or `custom/NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    /// Of a finding: what it was about; may be empty. Of a fingerprint: `config`, `version` or the unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Of an outcome: each that there was in that time, with its stage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outcomes: Vec<String>,
    /// How bad it was at the worst; absent for a fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'static str>,
    /// The run that saw it first.
    run: i64,
    /// When that began; absent where it is not kept any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// The run that saw it over; absent where it is still so, and for a fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    until_run: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// Whether it is still so.
    still: bool,
    /// How long it lasted; to the last run, where it is still so.
    lasted_ms: u64,
}

impl WireKeptRun {
    fn of(run: &KeptRun) -> Self {
        Self {
            run: run.id,
            started_at: run.started_at.to_string(),
            elapsed_ms: run.elapsed_ms,
            verdict: run.verdict.id(),
            hosts: run.summary.hosts,
            ok: run.summary.ok,
            warning: run.summary.warning,
            critical: run.summary.critical,
            not_observed: run.summary.not_observed,
            interrupted: run.interrupted,
            on_change: run.on_change,
        }
    }
}

impl WireKeptRuns {
    pub(in crate::report) fn of(runs: &[KeptRun]) -> Self {
        Self {
            schema: "clawfleet.history-runs/1",
            runs: runs.iter().map(WireKeptRun::of).collect(),
        }
    }
}

impl WireHistory {
    pub(in crate::report) fn of(report: &HistoryReport<'_>) -> Self {
        let chronicle = report.chronicle;
        let runs = &chronicle.runs;
        // The beginning of time is no time that can be written everywhere.
        let since = report.since.max(jiff::Timestamp::UNIX_EPOCH);
        Self {
            schema: "clawfleet.history/1",
            since: since.to_string(),
            made_at: report.now.to_string(),
            begins: report.begins.map(|at| at.to_string()),
            first_run: runs.first().map(WireKeptRun::of),
            last_run: runs.last().map(WireKeptRun::of),
            runs: runs.len(),
            hosts: chronicle
                .hosts
                .iter()
                .map(|host| of_host(host, runs))
                .collect(),
            events: happenings(chronicle, report.classes)
                .iter()
                .filter_map(|happening| of_happening(report, happening))
                .collect(),
        }
    }
}

fn of_host(host: &HostPast, runs: &[KeptRun]) -> WireHostPast {
    let (asked, observed) = looked(host, runs);
    #[expect(clippy::cast_precision_loss, reason = "nobody makes 2^52 runs")]
    let availability = (asked > 0).then(|| (observed as f64 / asked as f64 * 1e5).round() / 1e5);
    WireHostPast {
        name: host.name.clone(),
        left_inventory: host.left,
        asked,
        observed,
        availability,
        states: host
            .answers
            .iter()
            .map(|answer| WireState {
                run: answer.run,
                at: answer.at.map(|at| at.to_string()),
                outcome: answer.outcome.clone(),
                verdict: answer.verdict.id(),
                stage: answer.stage.clone(),
                message: answer.message.clone(),
            })
            .collect(),
        numbers: host
            .numbers
            .keys()
            .map(|(gateway, kind)| numbers(host, runs, *gateway, *kind))
            .collect(),
    }
}

fn numbers(
    host: &HostPast,
    runs: &[KeptRun],
    gateway: Option<u16>,
    kind: ReadingKind,
) -> WireNumbers {
    let read = host.read(runs, gateway, kind);
    let read = read.map(|(place, value)| (place, (place, value, value)));
    let columns = Axis::new(runs, POINTS).columns(read, |(place, least, most), (_, low, high)| {
        (place, least.min(low), most.max(high))
    });
    let mut before = None;
    let points = columns
        .into_iter()
        .flatten()
        .filter(|(_, least, most)| before.replace((*least, *most)) != Some((*least, *most)))
        .filter_map(|(place, least, most)| {
            let run = runs.get(place)?;
            Some(WirePoint {
                run: run.id,
                at: run.started_at.to_string(),
                least,
                most,
            })
        })
        .collect();
    let grew = restarts(host, runs, &Axis::new(runs, 1), gateway);
    WireNumbers {
        gateway,
        kind: kind.id(),
        grew: grew.last.filter(|_| kind == ReadingKind::Restarts),
        points,
    }
}

fn of_happening(report: &HistoryReport<'_>, happening: &Happening) -> Option<WireHappening> {
    let host = report.chronicle.hosts.get(happening.host)?;
    let lasts = happening.what.lasts();
    let (kind, class, subject, outcomes) = match &happening.what {
        Happened::Found { class, subject, .. } => (
            "finding",
            Some(class.clone()),
            Some(subject.clone()),
            Vec::new(),
        ),
        Happened::Unseen(words) => ("not-observed", None, None, words.clone()),
        Happened::Changed(part) => ("changed", None, Some(part.clone()), Vec::new()),
        Happened::Appeared(part) => ("appeared", None, Some(part.clone()), Vec::new()),
        Happened::Rollout {
            what,
            rollout,
            unit,
        } => (
            "rollout",
            None,
            Some(unit.clone()),
            vec![what.clone(), rollout.clone()],
        ),
    };
    let until = happening.until.filter(|_| lasts);
    let lasted = lasted(report, happening.since, happening.until);
    Some(WireHappening {
        kind,
        host: host.name.clone(),
        gateway: happening.gateway,
        class,
        subject,
        outcomes,
        severity: lasts.then(|| happening.what.severity().id()),
        run: happening.run,
        since: happening.since.map(|at| at.to_string()),
        until_run: until.map(|(run, _)| run),
        until: until.map(|(_, at)| at.to_string()),
        still: happening.until.is_none(),
        lasted_ms: u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
    })
}

/// `clawfleet.history-diff/1`.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::report) struct WireRunDiff {
    /// `clawfleet.history-diff/1`.
    schema: &'static str,
    from: WireKeptRun,
    to: WireKeptRun,
    /// Hosts that both runs were about: only these are compared.
    hosts_in_both: usize,
    /// Hosts that only `from` was about.
    only_from: Vec<String>,
    /// Hosts that only `to` was about.
    only_to: Vec<String>,
    differences: Vec<WireDifference>,
}

/// A difference, with all hosts that have it. What a kind does not have is absent.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct WireDifference {
    /// `new`, `graded`, `gone`, `between` (it came and went between the two), `answered`, `changed` (a
    /// fingerprint), `moved` (a number).
    kind: &'static str,
    hosts: Vec<String>,
    /// The port of the gateway; absent for the host as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<u16>,
    /// Of a finding: its class, or `custom/NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    /// Of a finding: what it is about. Of a fingerprint: `config`, `version` or the unit. Of a number: its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Of a finding that is there in one of the runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'static str>,
    /// What it was: a severity or an outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// What a number was.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_value: Option<i64>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_value: Option<i64>,
    /// By how much a counter grew, where it began anew between.
    #[serde(skip_serializing_if = "Option::is_none")]
    grew: Option<i64>,
}

impl WireRunDiff {
    pub(in crate::report) fn of(diff: &RunDiff<'_>) -> Self {
        let hosts = || diff.chronicle.hosts.iter();
        let names = |wanted: &dyn Fn(bool, bool) -> bool| -> Vec<String> {
            let hosts =
                hosts().filter(|host| wanted(host.is_about(diff.from), host.is_about(diff.to)));
            hosts.map(|host| host.name.clone()).collect()
        };
        Self {
            schema: "clawfleet.history-diff/1",
            from: WireKeptRun::of(diff.from),
            to: WireKeptRun::of(diff.to),
            hosts_in_both: names(&|from, to| from && to).len(),
            only_from: names(&|from, to| from && !to),
            only_to: names(&|from, to| !from && to),
            differences: differences(diff)
                .into_iter()
                .map(|difference| of_difference(diff, difference))
                .collect(),
        }
    }
}

fn of_difference(diff: &RunDiff<'_>, difference: Difference) -> WireDifference {
    let hosts = difference.hosts.iter();
    let hosts = hosts.filter_map(|place| diff.chronicle.hosts.get(*place));
    let base = WireDifference {
        hosts: hosts.map(|host| host.name.clone()).collect(),
        gateway: difference.gateway,
        ..WireDifference::default()
    };
    let finding = |kind, class, subject| WireDifference {
        kind,
        class: Some(class),
        subject: Some(subject),
        ..WireDifference::default()
    };
    let of = match difference.what {
        RunChange::New {
            class,
            subject,
            severity,
        } => WireDifference {
            severity: Some(severity.id()),
            ..finding("new", class, subject)
        },
        RunChange::Gone {
            class,
            subject,
            severity,
        } => WireDifference {
            severity: Some(severity.id()),
            ..finding("gone", class, subject)
        },
        RunChange::Graded {
            class,
            subject,
            from,
            to,
        } => WireDifference {
            from: Some(from.id().to_owned()),
            to: Some(to.id().to_owned()),
            ..finding("graded", class, subject)
        },
        RunChange::Between { class, subject } => finding("between", class, subject),
        RunChange::Answered { from, to } => WireDifference {
            kind: "answered",
            from: Some(from),
            to: Some(to),
            ..WireDifference::default()
        },
        RunChange::Other { part } => WireDifference {
            kind: "changed",
            subject: Some(part),
            ..WireDifference::default()
        },
        RunChange::Moved {
            kind,
            from,
            to,
            grew,
        } => WireDifference {
            kind: "moved",
            subject: Some(kind.id().to_owned()),
            from_value: Some(from),
            to_value: Some(to),
            grew,
            ..WireDifference::default()
        },
    };
    WireDifference {
        hosts: base.hosts,
        gateway: base.gateway,
        ..of
    }
}
