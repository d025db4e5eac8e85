//! Signs over time: restarts that grow, journals that fill, what the gateway's log says of its state.

use crate::model::{
    Class, Confidence, Evidence, Facts, Finding, Gateway, Host, JournalSignature, Subject, Unit,
    UnitJournal,
};

/// Checks each unit's journal against the host's limits and for lasting states.
pub(super) fn check(host: &Host, facts: &Facts, gateway: &Gateway) -> Vec<Finding> {
    let mut findings = Vec::new();
    for unit in &gateway.units {
        let Some(journal) = unit.journal.known() else {
            continue;
        };
        findings.extend(over_limits(host, unit, journal));
        findings.extend(from_inside(unit, journal));
        findings.extend(suppressed(facts, unit, journal));
    }
    findings
}

fn over_limits(host: &Host, unit: &Unit, journal: &UnitJournal) -> Vec<Finding> {
    let mut findings = Vec::new();
    let limits = &host.thresholds;
    if journal.restarts_24h > limits.restarts_per_day {
        findings.push(Finding::new(
            Class::RestartGrowth,
            subject(unit),
            vec![
                restarts(unit, journal),
                Evidence::Limit {
                    what: "restarts in 24 h",
                    count: journal.restarts_24h,
                    limit: limits.restarts_per_day,
                },
            ],
        ));
    }
    if journal.failed_1h > limits.failed_starts_per_hour {
        findings.push(Finding::new(
            Class::JournalNoise,
            subject(unit),
            vec![Evidence::Limit {
                what: "start failures in the journal of the last hour",
                count: journal.failed_1h,
                limit: limits.failed_starts_per_hour,
            }],
        ));
    }
    findings
}

/// A process of the unit asked for its restart or stop: what sudo logged in the unit's own cgroup is
/// the request itself; a `systemctl` that outlived the stop of its unit is a sign of one.
fn from_inside(unit: &Unit, journal: &UnitJournal) -> Option<Finding> {
    let line = |kind| {
        let (count, text) = journal.signature(kind)?;
        Some(Evidence::LogLine {
            text: text.to_owned(),
            count,
            hours: 24,
        })
    };
    let asked = line(JournalSignature::AskedFromInside);
    let remained = line(JournalSignature::Remained)
        .filter(|evidence| matches!(evidence, Evidence::LogLine { text, .. } if text.contains("systemctl") || text.contains("sudo")));
    let confidence = match (&asked, &remained) {
        (Some(_), _) => Confidence::High,
        (None, Some(_)) => Confidence::Medium,
        (None, None) => return None,
    };
    Some(Finding {
        confidence,
        ..Finding::new(
            Class::RestartedFromInside,
            subject(unit),
            asked.into_iter().chain(remained).collect(),
        )
    })
}

/// The process that said that it starts without channels still runs.
fn suppressed(facts: &Facts, unit: &Unit, journal: &UnitJournal) -> Option<Finding> {
    let kind = JournalSignature::ChannelsSuppressed;
    let (count, text) = journal.signature(kind)?;
    let writer = journal.writer(kind)?;
    facts.process(writer)?;
    Some(Finding::new(
        Class::ChannelsSuppressed,
        subject(unit),
        vec![Evidence::LogLine {
            text: text.to_owned(),
            count,
            hours: 24,
        }],
    ))
}

pub(super) fn subject(unit: &Unit) -> Subject {
    Subject::Unit {
        name: unit.name.clone(),
        scope: unit.scope.clone(),
    }
}

pub(super) fn restarts(unit: &Unit, journal: &UnitJournal) -> Evidence {
    Evidence::Restarts {
        scope: unit.scope.clone(),
        last_10m: journal.restarts_10m,
        last_1h: journal.restarts_1h,
        last_24h: journal.restarts_24h,
        capped: journal.capped,
    }
}
