//! Signs over time: restarts that grow, journals that fill.

use crate::model::{Class, Evidence, Facts, Finding, Host, Subject, Unit, UnitJournal};

/// Checks each unit's journal against the host's limits.
pub(super) fn check(host: &Host, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for unit in &facts.units {
        let Some(journal) = unit.journal.known() else {
            continue;
        };
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
    }
    findings
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
