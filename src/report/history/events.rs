//! What happened, as lines: hosts to which it happened at once stand together, and so does what comes and
//! goes.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::HistoryReport;
use crate::diagnose::{Happened, Happening};
use crate::model::{Class, Severity, Verdict};

/// From so often on, what comes and goes on the same hosts is one line.
const OFTEN: usize = 4;

/// Something that happened to hosts.
#[derive(Debug, Clone)]
pub(in crate::report) struct Event {
    /// The hosts, by their place in the chronicle.
    pub(in crate::report) hosts: Vec<usize>,
    pub(in crate::report) gateway: Option<u16>,
    /// What, the most telling first.
    pub(in crate::report) what: Vec<Happened>,
    pub(in crate::report) run: i64,
    pub(in crate::report) since: Option<Timestamp>,
    pub(in crate::report) until: Option<(i64, Timestamp)>,
    /// When it came first, where it came several times. `since` is then when it came last.
    pub(in crate::report) first: Option<Timestamp>,
    /// How often, and for how long in all.
    pub(in crate::report) times: usize,
    pub(in crate::report) lasted: Duration,
    /// Whether that is of hosts at different times; then it is how long at most.
    pub(in crate::report) spread: bool,
}

impl Event {
    /// Whether it is still so.
    pub(in crate::report) fn is_there(&self) -> bool {
        self.until.is_none()
    }

    /// How bad it is.
    pub(in crate::report) fn verdict(&self) -> Verdict {
        let severities = self.what.iter().map(Happened::severity);
        Verdict::of(severities.max().unwrap_or(Severity::Info))
    }

    /// What happened in a word; `config changed`.
    pub(in crate::report) fn name(&self) -> String {
        self.what.first().map(name).unwrap_or_default()
    }

    /// What it was about.
    pub(in crate::report) fn subject(&self) -> &str {
        match self.what.first() {
            Some(Happened::Found { subject, .. }) => subject,
            Some(Happened::Changed(part) | Happened::Appeared(part)) if is_unit(part) => part,
            Some(Happened::Rollout { unit, .. }) => unit,
            _ => "",
        }
    }
}

pub(in crate::report) fn name(what: &Happened) -> String {
    match what {
        Happened::Found { class, .. } => class.clone(),
        Happened::Unseen(words) => words.join(", then "),
        Happened::Changed(part) if is_unit(part) => "unit changed".to_owned(),
        Happened::Changed(part) => format!("{part} changed"),
        Happened::Appeared(part) if is_unit(part) => "unit appeared".to_owned(),
        Happened::Appeared(part) => format!("{part} appeared"),
        Happened::Rollout { what, rollout, .. } => format!("{what} ({rollout})"),
    }
}

fn is_unit(part: &str) -> bool {
    !matches!(part, "config" | "version")
}

/// The lines of what happened, the newest beginning last. Where everything is wanted nothing but hosts is
/// put together.
pub(in crate::report) fn events(
    report: &HistoryReport<'_>,
    happenings: Vec<Happening>,
    each: bool,
) -> Vec<Event> {
    let mut events = together(report, happenings);
    if !each {
        events = at_once(events);
        events = often(events);
    }
    // What comes and goes stands where it came last.
    events.sort_by_key(|event| event.run);
    events
}

/// The hosts to which the same happened in the same runs.
fn together(report: &HistoryReport<'_>, happenings: Vec<Happening>) -> Vec<Event> {
    let mut events: BTreeMap<_, Event> = BTreeMap::new();
    for happening in happenings {
        let key = (
            happening.run,
            happening.until.map(|(run, _)| run),
            happening.gateway,
            happening.what.clone(),
        );
        let event = events.entry(key).or_insert_with(|| Event {
            hosts: Vec::new(),
            gateway: happening.gateway,
            what: vec![happening.what],
            run: happening.run,
            since: happening.since,
            until: happening.until,
            first: None,
            times: 1,
            spread: false,
            lasted: lasted(report, happening.since, happening.until),
        });
        if event.hosts.last() != Some(&happening.host) {
            event.hosts.push(happening.host);
        }
    }
    events.into_values().collect()
}

/// What was found on the same hosts at once and ended at once is one line: one trouble has many signs.
fn at_once(events: Vec<Event>) -> Vec<Event> {
    let mut joined: BTreeMap<_, Event> = BTreeMap::new();
    for event in events {
        let kind = event.what.first().map(|what| match what {
            Happened::Found { .. } => 0_u8,
            Happened::Unseen(_) => 1,
            // Each of these is told.
            Happened::Changed(_) => 2,
            Happened::Appeared(_) => 3,
            Happened::Rollout { .. } => 4,
        });
        let until = event.until.map(|(run, _)| run);
        let key = (event.run, until, event.hosts.clone(), kind);
        match joined.get_mut(&key) {
            Some(before) => before.what.extend(event.what),
            None => {
                joined.insert(key, event);
            }
        }
    }
    let mut events: Vec<Event> = joined.into_values().collect();
    for event in &mut events {
        event
            .what
            .sort_by_key(|what| (std::cmp::Reverse(what.severity()), place(what)));
    }
    events
}

/// The place of a finding in the catalogue, for causes come before their consequences.
fn place(what: &Happened) -> usize {
    match what {
        Happened::Found { class, .. } => Class::ALL
            .iter()
            .position(|known| known.id() == class)
            .unwrap_or(Class::ALL.len()),
        Happened::Unseen(_)
        | Happened::Changed(_)
        | Happened::Appeared(_)
        | Happened::Rollout { .. } => 0,
    }
}

fn often(events: Vec<Event>) -> Vec<Event> {
    let mut same: BTreeMap<_, Vec<Event>> = BTreeMap::new();
    for event in events {
        let key = (event.hosts.clone(), event.gateway, event.what.clone());
        same.entry(key).or_default().push(event);
    }
    let mut kept = Vec::new();
    for mut all in same.into_values() {
        if all.len() < OFTEN {
            kept.append(&mut all);
            continue;
        }
        all.sort_by_key(|event| event.run);
        let lasted = all.iter().map(|event| event.lasted);
        let lasted = lasted.fold(Duration::ZERO, Duration::saturating_add);
        let (times, first) = (all.len(), all.first().and_then(|event| event.since));
        if let Some(last) = all.pop() {
            kept.push(Event {
                first,
                times,
                lasted,
                ..last
            });
        }
    }
    kept
}

/// The same for what is over and was on many hosts at different times.
pub(in crate::report) fn widely(events: Vec<Event>) -> Vec<Event> {
    let mut same: BTreeMap<_, Vec<Event>> = BTreeMap::new();
    let mut kept = Vec::new();
    for event in events {
        match event.is_there() {
            true => kept.push(event),
            false => same.entry(event.what.clone()).or_default().push(event),
        }
    }
    for mut all in same.into_values() {
        if all.len() < OFTEN {
            kept.append(&mut all);
            continue;
        }
        all.sort_by_key(|event| event.run);
        let mut hosts: Vec<usize> = all.iter().flat_map(|event| event.hosts.clone()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let times = all.iter().map(|event| event.times).sum();
        let longest = all.iter().map(|event| event.lasted).max();
        let gateway = all.first().and_then(|event| event.gateway);
        let gateway = gateway.filter(|port| all.iter().all(|event| event.gateway == Some(*port)));
        let first = all
            .iter()
            .filter_map(|event| event.first.or(event.since))
            .min();
        if let Some(last) = all.pop() {
            kept.push(Event {
                hosts,
                gateway,
                first,
                times,
                lasted: longest.unwrap_or_default(),
                spread: true,
                ..last
            });
        }
    }
    kept.sort_by_key(|event| event.run);
    kept
}

/// How long it lasted; to the last run, where it is still so.
pub(in crate::report) fn lasted(
    report: &HistoryReport<'_>,
    since: Option<Timestamp>,
    until: Option<(i64, Timestamp)>,
) -> Duration {
    let last = report.chronicle.runs.last().map(|run| run.started_at);
    let until = until.map(|(_, at)| at).or(last);
    since
        .zip(until)
        .and_then(|(since, until)| Duration::try_from(until.duration_since(since)).ok())
        .unwrap_or_default()
}
