//! What changed since somebody was told, as incidents: one for each class and kind of news, with all its hosts.

use std::collections::{BTreeMap, BTreeSet};

use super::changes_view::{Lines, Shown, shown};
use super::words;
use crate::diagnose::explain;
use crate::model::{AlertKind, Change, ChangeKind, Class, Incident, Memory, Report, nodeset};

/// Returns what is to be told, in no order. `memory` is what is kept from now on: it knows who else has it.
pub fn news(changes: &[Change], report: &Report, memory: &Memory) -> Vec<Incident> {
    let mut groups: BTreeMap<(AlertKind, &str), Vec<(&Change, Shown)>> = BTreeMap::new();
    for (change, shown) in shown(changes, report) {
        let group = groups.entry((kind(change), change.key.class.as_str()));
        group.or_default().push((change, shown));
    }
    groups
        .into_iter()
        .filter_map(|((kind, class), told)| incident(kind, class, &told, report, memory))
        .collect()
}

/// That a host is not seen is a kind of its own: who has it out of reach may want to know of nothing else.
fn kind(change: &Change) -> AlertKind {
    match change.kind {
        ChangeKind::New if change.key.class == Class::NotObserved.id() => AlertKind::NotObserved,
        ChangeKind::New => AlertKind::New,
        ChangeKind::Worsened => AlertKind::Worsened,
        ChangeKind::Flapping => AlertKind::Flapping,
        ChangeKind::Reminder => AlertKind::Reminder,
        ChangeKind::Recovered => AlertKind::Recovered,
    }
}

fn incident(
    kind: AlertKind,
    class: &str,
    told: &[(&Change, Shown)],
    report: &Report,
    memory: &Memory,
) -> Option<Incident> {
    let changes = || told.iter().map(|(change, _)| *change);
    let severity = changes().map(|change| change.severity).max()?;
    let hosts: BTreeSet<&str> = changes().map(|change| change.key.host.as_str()).collect();
    let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut incident = Incident::new(kind, class, severity, names);
    incident.was = changes().filter_map(|change| change.was).max();
    incident.since = changes().map(|change| change.since).min();
    incident.until = changes().filter_map(|change| change.until).max();
    let others = memory.troubles.iter().filter(|(key, trouble)| {
        let known = trouble.told.is_some() && trouble.gone_since.is_none();
        known && key.class == class && !hosts.contains(key.host.as_str())
    });
    let others: BTreeSet<&String> = others.map(|(key, _)| &key.host).collect();
    incident.remaining = others.into_iter().cloned().collect();
    let subjects: BTreeSet<&str> = changes().map(|it| it.key.subject.as_str()).collect();
    if let [subject] = Vec::from_iter(subjects).as_slice() {
        (*subject).clone_into(&mut incident.subject);
    }
    let titles: BTreeSet<&str> = told.iter().map(|(_, shown)| shown.title.as_ref()).collect();
    incident.title = match (Vec::from_iter(titles).as_slice(), Class::from_id(class)) {
        ([title], _) => (*title).to_owned(),
        (_, Some(class)) => explain(class).title.to_owned(),
        ([first, ..], None) => (*first).to_owned(),
        ([], None) => String::new(),
    };
    let mut lines = Lines::default();
    for (change, shown) in told {
        lines.add(&change.key.host, &shown.evidence);
    }
    let times = changes().filter_map(|change| change.times).max();
    let flapping = times.map(|times| {
        format!("it came {times} times within twelve hours; nothing more is told of it until that has ended")
    });
    incident.evidence = flapping
        .into_iter()
        .chain(lines.told(hosts.len()))
        .collect();
    incident.therefore = consequences(class, &hosts, report);
    (incident.remedy, incident.look) = commands(told, &hosts);
    Some(incident)
}

/// What follows on these hosts from that class and goes away with it.
fn consequences(class: &str, hosts: &BTreeSet<&str>, report: &Report) -> Vec<String> {
    let ours = report.hosts.iter();
    let ours = ours.filter(|host| hosts.contains(host.name.as_str()));
    let found = ours.flat_map(|host| &host.findings);
    let ids: BTreeSet<_> = found
        .filter(|finding| finding.cause.is_some_and(|cause| cause.id() == class))
        .map(|finding| (finding.class, finding.id()))
        .collect();
    ids.into_iter().map(|(_, id)| id.into_owned()).collect()
}

/// What helps the most hosts, and what shows more of all.
fn commands(told: &[(&Change, Shown)], hosts: &BTreeSet<&str>) -> (Option<String>, Option<String>) {
    let mut helps: BTreeMap<&words::Help, BTreeSet<&str>> = BTreeMap::new();
    for (change, shown) in told {
        if let Some(help) = &shown.help {
            helps.entry(help).or_default().insert(&change.key.host);
        }
    }
    let help = helps.into_iter().max_by_key(|(_, hosts)| hosts.len());
    let help = help.map(|(help, of)| help.for_hosts(&nodeset::fold(of)));
    let all = nodeset::fold(hosts.iter().copied());
    (
        help,
        Some(format!("clawfleet check {}", words::quote(&all))),
    )
}
