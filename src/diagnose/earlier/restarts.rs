//! How often a unit was restarted in a day, from what earlier runs read, where its journal does not say
//! it.
//!
//! The journal tells restarts apart from starts by hand and from reloads, so it goes first. Where it is
//! closed to the login, was cut, or does not last a day, the manager's counter is all there is: what it
//! grew by between runs.

use jiff::Timestamp;

use super::{DAY, Earlier, before};
use crate::diagnose::signs::subject;
use crate::model::{Class, Confidence, Evidence, Finding, Gateway, Host, ReadingKind, Unit};

/// Finds `restart-growth` where the counts of earlier runs show it.
pub(super) fn check(
    host: &Host,
    gateway: &Gateway,
    now: Timestamp,
    earlier: &dyn Earlier,
) -> Option<Finding> {
    let limit = host.thresholds.restarts_per_day;
    let (unit, count) = counted(gateway)?;
    let readings = earlier.readings(gateway.port, ReadingKind::Restarts, before(now, DAY)?);
    let mut counts: Vec<i64> = readings.into_iter().map(|(_, count)| count).collect();
    counts.push(i64::from(count));
    let growth = growth(&counts);
    (growth > limit).then(|| Finding {
        gateway: Some(gateway.port),
        // Reloads count, too.
        confidence: Confidence::Medium,
        ..Finding::new(
            Class::RestartGrowth,
            subject(unit),
            vec![Evidence::Limit {
                what: "restarts in 24 h, by its counter from run to run",
                count: growth,
                limit,
            }],
        )
    })
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
