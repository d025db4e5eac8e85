//! What was so on each host over the time, as rows; hosts to which the same happened stand together.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::HistoryReport;
use super::strip::{Axis, strip};
use crate::diagnose::grown;
use crate::model::{Class, HostPast, KeptRun, ReadingKind, Verdict};

/// Hosts, or the gateways of one port of them, of which the same is to be shown.
#[derive(Debug, Clone)]
pub(in crate::report) struct Row {
    /// The hosts, by their place in the chronicle.
    pub(in crate::report) hosts: Vec<usize>,
    /// Whether the inventory does not have them any more.
    pub(in crate::report) left: bool,
    /// The gateway, where the host has several.
    pub(in crate::report) gateway: Option<u16>,
    /// How the host answered last, and what it was; `None` where it was not asked in that time.
    pub(in crate::report) now: Option<(Verdict, String)>,
    /// In how many of a thousand looks it was seen: the least and the most.
    pub(in crate::report) seen: Option<(u64, u64)>,
    /// The worst of each column.
    pub(in crate::report) strip: Vec<Option<Verdict>>,
    /// Restarts.
    pub(in crate::report) restarts: Series,
    /// How long the gateway took to answer, in ms.
    pub(in crate::report) latency: Series,
    /// Failed starts in an hour.
    pub(in crate::report) failed: Series,
    /// The least that was free on a disk, in percent.
    pub(in crate::report) disk: Series,
}

/// A number over the time.
#[derive(Debug, Clone, Default)]
pub(in crate::report) struct Series {
    /// The most of each column.
    pub(in crate::report) columns: Vec<Option<i64>>,
    /// What is said of each host in one number: the least and the most of the row's hosts.
    pub(in crate::report) told: Option<(i64, i64)>,
    /// The last number of the last host.
    pub(in crate::report) last: Option<i64>,
}

/// The rows, those that are worst now first, then those that had the most trouble, then in the order of the
/// hosts.
pub(in crate::report) fn rows(report: &HistoryReport<'_>, axis: &Axis, each: bool) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut places: HashMap<_, usize> = HashMap::new();
    for (place, host) in report.chronicle.hosts.iter().enumerate() {
        for row in of_host(report, axis, place, host) {
            let key = (
                row.left,
                row.gateway,
                row.now.clone(),
                strip(&row.strip),
                // A row has either a number or none.
                row.restarts.told.is_some(),
            );
            let same = places.get(&key).and_then(|place| rows.get_mut(*place));
            match same.filter(|_| !each) {
                Some(same) => same.join(&row),
                None => {
                    places.insert(key, rows.len());
                    rows.push(row);
                }
            }
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse((row.now.as_ref().map(|now| now.0), row.trouble())));
    rows
}

impl Row {
    /// Columns that were not well, the bad ones twice.
    fn trouble(&self) -> usize {
        let weight = |verdict: &Verdict| match verdict {
            Verdict::Ok => 0,
            Verdict::Warning => 1,
            Verdict::Unknown | Verdict::Critical => 2,
        };
        self.strip.iter().flatten().map(weight).sum()
    }

    fn join(&mut self, other: &Self) {
        self.hosts.extend(&other.hosts);
        self.seen = joined(self.seen, other.seen);
        self.restarts.join(&other.restarts, Ord::max);
        self.latency.join(&other.latency, Ord::max);
        self.failed.join(&other.failed, Ord::max);
        self.disk.join(&other.disk, Ord::min);
    }
}

impl Series {
    fn join(&mut self, other: &Self, worse: fn(i64, i64) -> i64) {
        for (column, more) in self.columns.iter_mut().zip(&other.columns) {
            *column = match (*column, *more) {
                (Some(one), Some(other)) => Some(worse(one, other)),
                (one, other) => one.or(other),
            };
        }
        self.told = joined(self.told, other.told);
        self.last = other.last.or(self.last);
    }
}

fn joined<T: Ord + Copy>(a: Option<(T, T)>, b: Option<(T, T)>) -> Option<(T, T)> {
    match (a, b) {
        (Some((low, high)), Some((other_low, other_high))) => {
            Some((low.min(other_low), high.max(other_high)))
        }
        (one, other) => one.or(other),
    }
}

/// The rows of a host: one, or one for each of its gateways.
fn of_host(report: &HistoryReport<'_>, axis: &Axis, place: usize, host: &HostPast) -> Vec<Row> {
    let runs = &report.chronicle.runs;
    let mut ports: Vec<Option<u16>> = host.gateways().into_iter().map(Some).collect();
    if ports.is_empty() {
        ports.push(None);
    }
    let several = ports.len() > 1;
    let (asked, seen) = looked(host, runs);
    let verdicts = verdicts(host, runs, report.classes);
    let row = Row {
        hosts: vec![place],
        left: host.left,
        gateway: None,
        now: host.looks(runs).last().map(|(_, answer)| {
            let word = match answer.outcome.as_str() {
                "observed" => answer.verdict.id().to_owned(),
                outcome => outcome.to_owned(),
            };
            (answer.verdict, word)
        }),
        seen: (asked > 0).then(|| (seen * 1000 / asked, seen * 1000 / asked)),
        strip: axis.columns(verdicts.into_iter(), Ord::max),
        restarts: Series::default(),
        latency: Series::default(),
        failed: Series::default(),
        disk: least(axis, host.read(runs, None, ReadingKind::DiskFreePercent)),
    };
    let of_port = |port: Option<u16>| Row {
        gateway: port.filter(|_| several),
        restarts: restarts(host, runs, axis, port),
        latency: most(axis, host.read(runs, port, ReadingKind::LatencyMs)),
        failed: most(axis, host.read(runs, port, ReadingKind::Failed1h)),
        ..row.clone()
    };
    ports.into_iter().map(of_port).collect()
}

/// In how many runs a host was asked, and in how many it was seen.
pub(in crate::report) fn looked(host: &HostPast, runs: &[KeptRun]) -> (u64, u64) {
    host.looks(runs).fold((0, 0), |(asked, seen), (_, answer)| {
        (asked + 1, seen + u64::from(answer.was_seen()))
    })
}

/// How bad the host was at each look; where classes are named, how bad what was found of them was.
fn verdicts(
    host: &HostPast,
    runs: &[KeptRun],
    classes: &BTreeSet<String>,
) -> Vec<(usize, Verdict)> {
    let of_classes: Vec<_> = host
        .findings
        .iter()
        .filter(|finding| classes.contains(&finding.class))
        .filter(|finding| finding.class != Class::NotObserved.id())
        .collect();
    let at = |run: &KeptRun| {
        let there = of_classes.iter().filter(|found| found.was_there(run.id));
        let severities = there.map(|found| Verdict::of(found.severity_at(run.id)));
        severities.max().unwrap_or(Verdict::Ok)
    };
    host.looks(runs)
        .filter_map(|(place, answer)| {
            let verdict = match classes.is_empty() {
                true => answer.verdict,
                false if !answer.was_seen() => Verdict::Unknown,
                false => at(runs.get(place)?),
            };
            Some((place, verdict))
        })
        .collect()
}

/// What the manager's counter grew by from look to look. What it was at the first says nothing.
pub(in crate::report) fn restarts(
    host: &HostPast,
    runs: &[KeptRun],
    axis: &Axis,
    gateway: Option<u16>,
) -> Series {
    let mut before: Option<i64> = None;
    let grown: Vec<(usize, i64)> = host
        .read(runs, gateway, ReadingKind::Restarts)
        .map(|(run, count)| {
            let more = before.map_or(0, |before| grown(before, count));
            before = Some(count);
            (run, more)
        })
        .collect();
    let all = grown.iter().map(|(_, more)| *more);
    let all = all.fold(0, i64::saturating_add);
    Series {
        told: (!grown.is_empty()).then_some((all, all)),
        last: (!grown.is_empty()).then_some(all),
        columns: axis.columns(grown.into_iter(), i64::saturating_add),
    }
}

fn most(axis: &Axis, read: impl Iterator<Item = (usize, i64)>) -> Series {
    series(axis, read, Ord::max)
}

fn least(axis: &Axis, read: impl Iterator<Item = (usize, i64)>) -> Series {
    series(axis, read, Ord::min)
}

fn series(
    axis: &Axis,
    read: impl Iterator<Item = (usize, i64)>,
    worse: fn(i64, i64) -> i64,
) -> Series {
    let mut told = None;
    let mut last = None;
    let read = read.inspect(|(_, value)| {
        told = joined(told, Some((*value, *value)));
        last = Some(*value);
    });
    let columns = axis.columns(read, worse);
    Series {
        columns,
        told,
        last,
    }
}

/// How many hosts are how, now.
pub(in crate::report) fn standing(report: &HistoryReport<'_>) -> BTreeMap<Verdict, usize> {
    let mut standing = BTreeMap::new();
    for host in &report.chronicle.hosts {
        if let Some((_, answer)) = host.looks(&report.chronicle.runs).last() {
            *standing.entry(answer.verdict).or_default() += 1;
        }
    }
    standing
}
