//! How often a unit was restarted in a day, from what earlier runs read, where its journal does not say
//! it.
//!
//! The journal tells restarts apart from starts by hand and from reloads, so it goes first. Where it is
//! closed to the login, was cut, or does not last a day, the manager's counter is all there is: what it
//! grew by between runs.

use super::signs::subject;
use super::{name_causes, order};
use crate::model::{
    Class, Confidence, Evidence, Finding, Gateway, Host, HostReport, Unit, Verdict,
};

/// Adds `restart-growth` to a host's report where the counts of earlier runs show it. `earlier` returns the
/// counts of a gateway's port within the last 24 hours, the oldest first, with the one that held at the
/// beginning.
pub fn add_growth(host: &Host, report: &mut HostReport, earlier: &dyn Fn(u16) -> Vec<i64>) {
    let Some(facts) = report.observation.outcome.facts() else {
        return;
    };
    let limit = host.thresholds.restarts_per_day;
    let mut found = Vec::new();
    for gateway in &facts.gateways {
        let Some((unit, now)) = counted(gateway) else {
            continue;
        };
        let mut counts = earlier(gateway.port);
        counts.push(i64::from(now));
        let growth = growth(&counts);
        if growth > limit {
            found.push(Finding {
                gateway: Some(gateway.port),
                // Reloads count, too.
                confidence: Confidence::Medium,
                severity: match host.in_maintenance() {
                    true => crate::model::Severity::Info,
                    false => Class::RestartGrowth.severity(),
                },
                ..Finding::new(
                    Class::RestartGrowth,
                    subject(unit),
                    vec![Evidence::Limit {
                        what: "restarts in 24 h, by its counter from run to run",
                        count: growth,
                        limit,
                    }],
                )
            });
        }
    }
    for finding in found {
        let port = finding.gateway;
        let known = |other: &Finding| other.gateway == port && other.class == Class::RestartGrowth;
        if report.findings.iter().any(known) {
            continue;
        }
        report.verdict = report.verdict.max(Verdict::of(finding.severity));
        let (mut of_gateway, mut rest): (Vec<Finding>, Vec<Finding>) = report
            .findings
            .drain(..)
            .partition(|other| other.gateway == port);
        of_gateway.push(finding);
        name_causes(&mut of_gateway);
        rest.append(&mut of_gateway);
        order(&mut rest);
        report.findings = rest;
    }
}

/// The unit whose counter is the highest, where the journal leaves it to the counter.
fn counted(gateway: &Gateway) -> Option<(&Unit, u32)> {
    let unit = gateway.units.iter().max_by_key(|unit| unit.n_restarts)?;
    let exact = unit.journal.known().is_some_and(|journal| !journal.capped);
    unit.n_restarts.filter(|_| !exact).map(|now| (unit, now))
}

/// By how much a counter grew.
fn growth(counts: &[i64]) -> u32 {
    let pairs = counts.iter().zip(counts.iter().skip(1));
    let grown = pairs.map(|(before, after)| grown(*before, *after));
    let sum = grown.fold(0_i64, i64::saturating_add);
    u32::try_from(sum).unwrap_or(u32::MAX)
}

/// By how much a counter grew from one look to the next. One that is lower than before began anew: what it
/// shows was counted since.
pub fn grown(before: i64, after: i64) -> i64 {
    match after.checked_sub(before) {
        Some(more) if more >= 0 => more,
        _ => after.max(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_grows_and_begins_anew() {
        let cases: [(&[i64], u32); 7] = [
            (&[], 0),
            (&[7], 0),
            (&[3, 5, 5, 9], 6),
            (&[10, 12, 0, 3], 5),
            (&[10, 2], 2),
            (&[5, -1, i64::MAX], u32::MAX),
            (&[i64::MIN, i64::MAX], u32::MAX),
        ];
        for (counts, wanted) in cases {
            assert_eq!(growth(counts), wanted, "{counts:?}");
        }
    }
}
