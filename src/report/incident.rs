//! Findings by what they are: each class once, with its hosts, what shows it and what to do. Every
//! output that tells of incidents and not of hosts is made from this.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::fold::group_by;
use super::words;
use crate::diagnose::explain;
use crate::model::{
    Class, Confidence, Finding, FleetFinding, HostReport, Report, Severity, nodeset,
};

/// One class of finding, or one check of the operator's, and all hosts where it is a root of trouble.
#[derive(Debug, Clone)]
pub(super) struct Incident {
    /// The class's id, or `custom/NAME`.
    pub(super) id: String,
    /// The worst that it is on any of its hosts.
    pub(super) severity: Severity,
    /// One line about the class.
    pub(super) title: String,
    /// Its hosts, by their place in the report.
    pub(super) hosts: Vec<usize>,
    /// What is said of them; hosts of which the same is said stand together.
    pub(super) told: Vec<Told>,
}

/// What is said of some hosts.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// The hosts, by their place in the report.
    pub(super) hosts: Vec<usize>,
    /// Sentences; safe for a terminal.
    pub(super) lines: Vec<String>,
    /// A command that helps.
    pub(super) remedy: Option<String>,
}

/// The incidents of a report, worst first and then in the order of the classes; those that compare
/// hosts after those of single hosts. What follows from a cause is told there.
pub(super) fn incidents(report: &Report) -> Vec<Incident> {
    let mut by_id: BTreeMap<_, Vec<(usize, &Finding)>> = BTreeMap::new();
    for (index, host) in report.hosts.iter().enumerate() {
        for finding in host.findings.iter().filter(|found| found.cause.is_none()) {
            let found = by_id.entry((finding.class, finding.id())).or_default();
            found.push((index, finding));
        }
    }
    let of_hosts = by_id
        .into_iter()
        .filter_map(|((_, id), found)| of_class(report, id.into_owned(), &found));
    let places: HashMap<&str, usize> = (0..)
        .zip(&report.hosts)
        .map(|(index, host)| (host.name.as_str(), index))
        .collect();
    let of_fleet = report
        .fleet_findings
        .iter()
        .map(|finding| of_peers(finding, &places));
    let mut all: Vec<Incident> = of_hosts.chain(of_fleet).collect();
    all.sort_by_key(|incident| std::cmp::Reverse(incident.severity));
    all
}

fn of_class(report: &Report, id: String, found: &[(usize, &Finding)]) -> Option<Incident> {
    let (first, finding) = found.first()?;
    let title = words::title(finding, report.hosts.get(*first)?);
    // A check of the operator's may be a warning here and critical there.
    let severities = found.iter().map(|(_, finding)| finding.severity);
    let said = found.iter().filter_map(|(index, finding)| {
        let host = report.hosts.get(*index)?;
        Some(((lines(finding, host), words::help(finding, host)), *index))
    });
    let told = group_by(said)
        .into_iter()
        .map(|((lines, help), hosts)| Told {
            remedy: help.map(|help| help.for_hosts(&names(report, &hosts))),
            hosts,
            lines,
        })
        .collect();
    let mut hosts: Vec<usize> = found.iter().map(|(index, _)| *index).collect();
    hosts.dedup();
    Some(Incident {
        id,
        severity: severities.max().unwrap_or(finding.severity),
        title,
        hosts,
        told,
    })
}

fn names(report: &Report, of: &[usize]) -> String {
    let hosts = of.iter().filter_map(|index| report.hosts.get(*index));
    nodeset::fold(hosts.map(|host| host.name.as_str()))
}

fn of_peers(finding: &FleetFinding, places: &HashMap<&str, usize>) -> Incident {
    let hosts: Vec<usize> = finding
        .hosts
        .iter()
        .filter_map(|name| places.get(name.as_str()).copied())
        .collect();
    Incident {
        id: finding.class.id().to_owned(),
        severity: finding.severity,
        title: explain(finding.class).title.to_owned(),
        told: vec![Told {
            hosts: hosts.clone(),
            lines: finding.evidence.iter().map(words::evidence).collect(),
            remedy: None,
        }],
        hosts,
    }
}

/// What is said of one finding on its host, without what to do.
pub(super) fn lines(finding: &Finding, host: &HostReport) -> Vec<String> {
    let mut lines: Vec<String> = finding.evidence.iter().map(words::evidence).collect();
    if finding.confidence != Confidence::High {
        lines.push(format!("confidence: {}", finding.confidence.id()));
    }
    if let Some(cause) = finding.cause {
        lines.push(format!("follows from {cause}"));
    }
    let mut consequences: Vec<&str> = host
        .findings
        .iter()
        .filter(|other| other.cause == Some(finding.class))
        .map(|other| other.class.id())
        .collect();
    consequences.dedup();
    if !consequences.is_empty() {
        lines.push(format!("therefore: {}", consequences.join(", ")));
    }
    lines
}

/// The ids of everything that was found, in the order of the classes; the operator's own checks by
/// name.
pub(super) fn ids(report: &Report) -> Vec<String> {
    let found = report.hosts.iter().flat_map(|host| &host.findings);
    let ids: BTreeSet<(Class, _)> = found.map(|finding| (finding.class, finding.id())).collect();
    ids.into_iter().map(|(_, id)| id.into_owned()).collect()
}
