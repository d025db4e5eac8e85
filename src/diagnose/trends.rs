//! Series for drawings, from what was kept of the runs.

use jiff::{SignedDuration, Timestamp};

use super::grown;
use crate::model::{
    Chronicle, HostPast, HostTrend, KeptRun, ReadingKind, SeenPoint, TrendPoint, Trends,
};

/// How many points a series has at most, as a drawing has columns.
const MOST_POINTS: usize = 80;

const DAY_MS: i64 = 86_400_000;

/// Returns the series of every host.
pub fn trends(chronicle: &Chronicle) -> Trends {
    let columns = Columns::new(&chronicle.runs);
    let of_host = |host: &HostPast| HostTrend {
        name: host.name.clone(),
        restarts: restarts(host, &chronicle.runs, &columns),
        latency_ms: latency(host, &chronicle.runs, &columns),
        observed: observed(host, &chronicle.runs, &columns),
    };
    Trends {
        hosts: chronicle.hosts.iter().map(of_host).collect(),
    }
}

/// The points of time that runs are told at: each at the nearest of so many.
struct Columns {
    places: Vec<usize>,
    times: Vec<Timestamp>,
}

impl Columns {
    fn new(runs: &[KeptRun]) -> Self {
        let times = || runs.iter().map(|run| run.started_at);
        let (Some(first), Some(last)) = (times().min(), times().max()) else {
            return Self {
                places: Vec::new(),
                times: Vec::new(),
            };
        };
        if runs.len() <= MOST_POINTS {
            return Self {
                places: (0..runs.len()).collect(),
                times: times().collect(),
            };
        }
        let steps = i128::try_from(MOST_POINTS - 1).unwrap_or(1);
        let ms = |at: Timestamp| i128::from(at.as_millisecond() - first.as_millisecond());
        let length = ms(last).max(1);
        let place = |at| usize::try_from((ms(at) * steps + length / 2) / length).unwrap_or(0);
        let time = |step: i128| {
            let after = i64::try_from(length * step / steps).unwrap_or(0);
            first
                .checked_add(SignedDuration::from_millis(after))
                .unwrap_or(last)
        };
        Self {
            places: times().map(place).collect(),
            times: (0..=steps).map(time).collect(),
        }
    }

    /// Puts what was read into its columns; those without any are left out.
    fn points<T: Copy>(
        &self,
        read: impl Iterator<Item = (usize, T)>,
        join: impl Fn(T, T) -> T,
    ) -> Vec<(usize, T)> {
        let mut columns: Vec<Option<T>> = vec![None; self.times.len()];
        for (run, value) in read {
            let place = self.places.get(run).copied();
            if let Some(column) = place.and_then(|place| columns.get_mut(place)) {
                *column = Some(column.map_or(value, |before| join(before, value)));
            }
        }
        let columns = columns.into_iter().enumerate();
        columns
            .filter_map(|(place, value)| Some((place, value?)))
            .collect()
    }

    fn drawn(&self, columns: &[(usize, i64)]) -> Vec<TrendPoint> {
        let point = |(place, value): &(usize, i64)| {
            Some(TrendPoint {
                at: *self.times.get(*place)?,
                value: number(*value),
            })
        };
        columns.iter().filter_map(point).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is drawn")]
fn number(value: i64) -> f64 {
    value.max(0) as f64
}

fn observed(host: &HostPast, runs: &[KeptRun], columns: &Columns) -> Vec<SeenPoint> {
    let looks = host.looks(runs);
    let looks = looks.map(|(run, answer)| (run, (1, u32::from(answer.was_seen()))));
    let points = columns.points(looks, |a: (u32, u32), b| (a.0 + b.0, a.1 + b.1));
    points
        .into_iter()
        .filter_map(|(place, (looks, seen))| {
            let at = *columns.times.get(place)?;
            Some(SeenPoint { at, looks, seen })
        })
        .collect()
}

/// Of several gateways the slowest.
fn latency(host: &HostPast, runs: &[KeptRun], columns: &Columns) -> Vec<TrendPoint> {
    let gateways = host.gateways().into_iter();
    let read = gateways.flat_map(|port| host.read(runs, Some(port), ReadingKind::LatencyMs));
    columns.drawn(&columns.points(read, i64::max))
}

/// Restarts of the last 24 hours, of all gateways together: by the journal, and where that is closed by the
/// manager's counter.
fn restarts(host: &HostPast, runs: &[KeptRun], columns: &Columns) -> Vec<TrendPoint> {
    let of_gateway = |port: u16| {
        let journal = (Some(port), ReadingKind::Restarts24h);
        let read: Vec<(usize, i64)> = match host.numbers.contains_key(&journal) {
            true => host.read(runs, journal.0, journal.1).collect(),
            false => counted(host, runs, port),
        };
        columns.points(read.into_iter(), i64::max)
    };
    let of_gateways = host.gateways().into_iter().map(of_gateway);
    let mut sums: Vec<Option<i64>> = vec![None; columns.times.len()];
    for (place, value) in of_gateways.flatten() {
        if let Some(sum) = sums.get_mut(place) {
            *sum = Some(sum.unwrap_or(0).saturating_add(value));
        }
    }
    let sums = sums.into_iter().enumerate();
    let sums: Vec<(usize, i64)> = sums
        .filter_map(|(place, sum)| Some((place, sum?)))
        .collect();
    columns.drawn(&sums)
}

/// By how much the manager's counter grew in the 24 hours before each look.
fn counted(host: &HostPast, runs: &[KeptRun], port: u16) -> Vec<(usize, i64)> {
    let at = |place: usize| {
        runs.get(place)
            .map_or(0, |run| run.started_at.as_millisecond())
    };
    let read: Vec<(usize, i64)> = host.read(runs, Some(port), ReadingKind::Restarts).collect();
    let mut all = Vec::with_capacity(read.len());
    let (mut sum, mut before): (i64, Option<i64>) = (0, None);
    let mut day: std::collections::VecDeque<(usize, i64)> = std::collections::VecDeque::new();
    for (place, count) in read {
        let more = before.map_or(0, |before| grown(before, count));
        before = Some(count);
        if more > 0 {
            day.push_back((place, more));
            sum = sum.saturating_add(more);
        }
        while let Some((old, more)) = day.front().copied()
            && at(place).saturating_sub(at(old)) > DAY_MS
        {
            day.pop_front();
            sum = sum.saturating_sub(more);
        }
        all.push((place, sum));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{KeptAnswer, KeptNumber, Summary, Verdict};

    /// Runs of every hour, and a host that was not seen in some of them.
    fn chronicle(hours: i64, unseen: std::ops::Range<i64>, restarts: &[(i64, i64)]) -> Chronicle {
        let at = |id: i64| Timestamp::from_second(1_800_000_000 + id * 3600).unwrap();
        let answer = |run: i64, outcome: &str| KeptAnswer {
            run,
            at: None,
            outcome: outcome.into(),
            verdict: Verdict::Ok,
            stage: None,
            message: None,
        };
        let numbers = restarts.iter().map(|(run, value)| KeptNumber {
            run: *run,
            value: *value,
        });
        Chronicle {
            runs: (1..=hours)
                .map(|id| KeptRun {
                    id,
                    started_at: at(id),
                    elapsed_ms: 1,
                    verdict: Verdict::Ok,
                    summary: Summary::default(),
                    interrupted: false,
                    on_change: false,
                    selection: 0,
                })
                .collect(),
            hosts: vec![HostPast {
                name: "VM1".into(),
                asked_in: vec![true],
                answers: vec![
                    answer(1, "observed"),
                    answer(unseen.start, "unreachable"),
                    answer(unseen.end, "observed"),
                ],
                numbers: [((Some(18789), ReadingKind::Restarts), numbers.collect())].into(),
                ..HostPast::default()
            }],
        }
    }

    #[test]
    fn looks_are_counted_however_many_there_are() {
        for hours in [50, 80, 81, 700] {
            let all = trends(&chronicle(hours, 10..15, &[(1, 0)]));
            let host = all.hosts.first().unwrap();
            assert!(host.observed.len() <= MOST_POINTS, "{hours}");
            let looks: u32 = host.observed.iter().map(|point| point.looks).sum();
            let seen: u32 = host.observed.iter().map(|point| point.seen).sum();
            assert_eq!(i64::from(looks), hours);
            assert_eq!(looks - seen, 5);
            assert!(host.observed.iter().any(|point| point.seen < point.looks));
            assert!(host.observed.is_sorted_by_key(|point| point.at));
        }
        assert!(trends(&Chronicle::default()).hosts.is_empty());
    }

    #[test]
    fn restarts_are_those_of_a_day() {
        let counts = [(1, 100), (20, 104), (40, 110), (41, 3)];
        let all = trends(&chronicle(70, 10..15, &counts));
        let host = all.hosts.first().unwrap();
        let at = |hour: usize| {
            let at = Timestamp::from_second(1_800_000_000 + i64::try_from(hour).unwrap() * 3600);
            let at = at.unwrap();
            host.restarts
                .iter()
                .find(|point| point.at == at)
                .map(|point| point.value)
        };
        assert_eq!(at(1), Some(0.0));
        assert_eq!(at(12), None, "nobody saw it");
        assert_eq!(at(20), Some(4.0));
        assert_eq!(at(40), Some(10.0));
        assert_eq!(at(41), Some(13.0), "the counter began anew");
        assert_eq!(at(45), Some(9.0));
        assert_eq!(at(70), Some(0.0));
    }
}
