//! Whether a gateway takes more and more memory.

use std::time::Duration;

use jiff::Timestamp;

use super::{DAY, Earlier, before};
use crate::model::{Class, Evidence, Facts, Finding, Gateway, Host, ReadingKind, Subject};

/// How much of a day one process has to have lived through.
const LEAST: Duration = Duration::from_secs(12 * 3600);

/// A gateway that has just been started takes what it needs.
const WARM_UP: Duration = Duration::from_secs(1800);

/// Growth by less than that is none, in MiB.
const LEAST_MIB: i64 = 100;

/// Finds `memory-growth`: of one process, the least of the last quarter is well above the most of the first.
pub(super) fn check(
    host: &Host,
    facts: &Facts,
    gateway: &Gateway,
    now: Timestamp,
    earlier: &dyn Earlier,
) -> Option<Finding> {
    let limit_percent = host.thresholds.memory_growth_percent;
    let mib = i64::try_from(gateway.memory_kib(facts)? >> 10).ok()?;
    // The youngest of them: before it was there, others had the port.
    let age = gateway
        .holders(facts)
        .map(|process| process.age_s)
        .min()??;
    let settled = Duration::from_secs(age).checked_sub(WARM_UP)?.min(DAY);
    if limit_percent == 0 || settled < LEAST {
        return None;
    }
    let since = before(now, settled)?;
    let mut readings = earlier.readings(gateway.port, ReadingKind::MemoryMib, since);
    readings.retain(|(at, _)| *at >= since && *at <= now);
    readings.push((now, mib));
    let (from, to) = ends(&readings, since, settled)?;
    let allowed = from.saturating_mul(100 + i64::from(limit_percent)) / 100;
    if to <= allowed || to - from < LEAST_MIB {
        return None;
    }
    let mib = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    Some(Finding {
        gateway: Some(gateway.port),
        ..Finding::new(
            Class::MemoryGrowth,
            Subject::Port(gateway.port),
            vec![Evidence::Memory {
                from_mib: mib(from),
                to_mib: mib(to),
                within_s: settled.as_secs(),
                limit_percent,
            }],
        )
    })
}

/// The most of the first quarter and the least of the last one; none where nobody looked in the first. A number holds
/// until the next one.
fn ends(readings: &[(Timestamp, i64)], since: Timestamp, all: Duration) -> Option<(i64, i64)> {
    let place = |at: Timestamp| Duration::try_from(at.duration_since(since)).unwrap_or_default();
    let values = |is_in: &dyn Fn(Duration) -> bool| {
        let inside = readings.iter().filter(|(at, _)| is_in(place(*at)));
        inside.map(|(_, value)| *value).collect::<Vec<i64>>()
    };
    let first = values(&|place| place <= all / 4);
    let last = values(&|place| place >= all / 4 * 3);
    let held = values(&|place| place < all / 4 * 3);
    let least = last.into_iter().chain(held.last().copied()).min()?;
    Some((first.into_iter().max()?, least))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    #[test]
    fn the_ends_of_a_day_are_compared() {
        let all = Duration::from_secs(24 * 3600);
        let read = |value: &dyn Fn(i64) -> i64| {
            let readings: Vec<_> = (0..=24).map(|hour| (at(hour), value(hour))).collect();
            ends(&readings, at(0), all)
        };
        assert_eq!(read(&|hour| 400 + hour * 20), Some((520, 740)));
        // What is given back, even once in the last quarter.
        assert_eq!(read(&|hour| 400 + hour % 6 * 100), Some((900, 400)));
        // A number that did not change is not read twice.
        assert_eq!(
            ends(&[(at(1), 1), (at(10), 7), (at(24), 9)], at(0), all),
            Some((1, 7))
        );
        // Nobody looked in the first quarter.
        assert_eq!(ends(&[(at(7), 1), (at(24), 9)], at(0), all), None);
    }
}
