//! Time as columns of characters: a verdict each, or a bar each.

use jiff::Timestamp;

use crate::model::{KeptRun, Verdict};

/// The bars of a sparkline, from nothing to the most.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Which column each run stands in. Where there is room for it each run has its own; else a column is
/// as long as another, and one without a run stays blank.
#[derive(Debug)]
pub(in crate::report) struct Axis {
    /// How many columns there are.
    pub(in crate::report) columns: usize,
    /// The column of each run.
    places: Vec<usize>,
    /// How long a column is, in ms; `None` where it is a run.
    pub(in crate::report) column_ms: Option<i64>,
}

impl Axis {
    pub(in crate::report) fn new(runs: &[KeptRun], most: usize) -> Self {
        let most = most.max(1);
        if runs.len() <= most {
            return Self {
                columns: runs.len(),
                places: (0..runs.len()).collect(),
                column_ms: None,
            };
        }
        let ms = |at: Timestamp| at.as_millisecond();
        let times = || runs.iter().map(|run| ms(run.started_at));
        let (first, last) = (
            times().min().unwrap_or_default(),
            times().max().unwrap_or_default(),
        );
        let columns = i64::try_from(most).unwrap_or(1);
        // One more than the time between the ends, so that the last run stands in the last column.
        let length = last.saturating_sub(first).saturating_add(1);
        let column_ms = length.saturating_add(columns - 1) / columns;
        let places: Vec<usize> = times()
            .map(|at| usize::try_from(at.saturating_sub(first) / column_ms.max(1)).unwrap_or(0))
            .map(|place| place.min(most - 1))
            .collect();
        Self {
            columns: places.iter().max().map_or(0, |last| last + 1),
            places,
            column_ms: Some(column_ms),
        }
    }

    /// Puts what was so at some runs into their columns; `join` makes one of what falls together.
    pub(in crate::report) fn columns<T: Copy>(
        &self,
        of: impl Iterator<Item = (usize, T)>,
        join: impl Fn(T, T) -> T,
    ) -> Vec<Option<T>> {
        let mut columns: Vec<Option<T>> = vec![None; self.columns];
        for (run, value) in of {
            let column = self
                .places
                .get(run)
                .and_then(|place| columns.get_mut(*place));
            if let Some(column) = column {
                *column = Some(column.map_or(value, |before| join(before, value)));
            }
        }
        columns
    }
}

/// A character for each verdict, which can be told apart without colour; blank where nobody looked.
pub(super) fn strip(columns: &[Option<Verdict>]) -> String {
    columns.iter().copied().map(sign).collect()
}

pub(super) fn sign(verdict: Option<Verdict>) -> char {
    match verdict {
        None => ' ',
        Some(Verdict::Ok) => '.',
        Some(Verdict::Warning) => '!',
        Some(Verdict::Unknown) => '?',
        Some(Verdict::Critical) => 'X',
    }
}

/// A bar for each number, from 0 to the most of them; blank where there is none. What is more than nothing is
/// seen as more than nothing.
pub(super) fn spark(columns: &[Option<i64>]) -> String {
    let most = columns.iter().flatten().copied().max().unwrap_or(0).max(1);
    let top = i64::try_from(BARS.len() - 1).unwrap_or(1);
    // What never moved is no peak.
    let flat = columns.iter().flatten().all(|value| *value == most);
    let bar = |value: i64| {
        if flat {
            return BARS.len() / 2 - 1;
        }
        let value = value.clamp(0, most);
        // In wider numbers, for a counter may be as large as it likes.
        let height = i128::from(value) * i128::from(top);
        let height = (height + i128::from(most) - 1) / i128::from(most);
        usize::try_from(height).unwrap_or(0)
    };
    columns
        .iter()
        .map(|value| match value {
            None => ' ',
            Some(value) => BARS.get(bar(*value)).copied().unwrap_or('█'),
        })
        .collect()
}

/// Joins columns of a drawing two by two, or more, until there are at most so many.
pub(super) fn narrowed(columns: &[Option<i64>], most: usize) -> Vec<Option<i64>> {
    let size = columns.len().div_ceil(most.max(1)).max(1);
    columns
        .chunks(size)
        .map(|chunk| chunk.iter().copied().flatten().max())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Summary;

    fn runs(minutes: &[i64]) -> Vec<KeptRun> {
        let run = |(id, minute): (i64, &i64)| KeptRun {
            id,
            started_at: Timestamp::from_second(1_800_000_000 + minute * 60).unwrap(),
            elapsed_ms: 1,
            verdict: Verdict::Ok,
            summary: Summary::default(),
            interrupted: false,
            on_change: false,
            selection: 0,
        };
        (1..).zip(minutes).map(run).collect()
    }

    #[test]
    fn bars_show_what_is_more_than_nothing() {
        let cases: [(&[Option<i64>], &str); 6] = [
            (&[], ""),
            (&[None, None], "  "),
            (&[Some(0), Some(0)], "▁▁"),
            (&[Some(0), Some(1), Some(1000)], "▁▂█"),
            (&[Some(3), None, Some(3)], "▄ ▄"),
            (&[Some(-5), Some(i64::MAX)], "▁█"),
        ];
        for (columns, wanted) in cases {
            assert_eq!(spark(columns), wanted, "{columns:?}");
        }
    }

    #[test]
    fn few_runs_have_a_column_each_and_many_share_the_time() {
        let few = Axis::new(&runs(&[0, 5, 500]), 24);
        assert_eq!((few.columns, few.column_ms), (3, None));
        let all = |axis: &Axis, count: usize| {
            let verdicts = (0..count).map(|run| (run, Verdict::Ok));
            strip(&axis.columns(verdicts, Ord::max))
        };
        assert_eq!(all(&few, 3), "...");
        // Nobody looked from minute 2 to minute 7.
        let many = Axis::new(&runs(&[0, 1, 8, 9]), 3);
        assert_eq!(all(&many, 4), ". .");
        let back = Axis::new(&runs(&[9, 1, 0, 8]), 3);
        assert_eq!(all(&back, 4), ". .", "a clock that was set back");
        assert_eq!(all(&Axis::new(&[], 24), 0), "");
    }

    #[test]
    fn the_worst_of_a_column_is_shown() {
        let axis = Axis::new(&runs(&[0, 1, 2, 3]), 2);
        let verdicts = [
            (0, Verdict::Ok),
            (1, Verdict::Critical),
            (2, Verdict::Unknown),
            (3, Verdict::Warning),
        ];
        assert_eq!(strip(&axis.columns(verdicts.into_iter(), Ord::max)), "X?");
    }

    proptest! {
        /// As many bars as columns; the most is the highest bar, what is nothing the lowest, more is never lower.
        #[test]
        fn a_sparkline_keeps_order(columns in proptest::collection::vec(proptest::option::of(any::<i64>()), 0..60)) {
            let bars: Vec<char> = spark(&columns).chars().collect();
            prop_assert_eq!(bars.len(), columns.len());
            let drawn: Vec<(i64, char)> = columns.iter().zip(&bars).filter_map(|(value, bar)| Some(((*value)?, *bar))).collect();
            for (value, bar) in &drawn {
                prop_assert_eq!(*value <= 0, *bar == '▁');
                for (other, higher) in &drawn {
                    prop_assert!(other < value || higher >= bar);
                }
            }
            for (value, bar) in columns.iter().zip(&bars) {
                prop_assert_eq!(value.is_none(), *bar == ' ');
            }
        }

        /// Every run has a column, and later runs stand no further to the left while the clock goes on.
        #[test]
        fn an_axis_has_a_place_for_every_run(mut minutes in proptest::collection::vec(0_i64..100_000, 1..80), most in 1_usize..60) {
            minutes.sort_unstable();
            let axis = Axis::new(&runs(&minutes), most);
            prop_assert!(axis.columns <= most && axis.places.len() == minutes.len());
            prop_assert!(axis.places.iter().all(|place| *place < axis.columns));
            prop_assert!(axis.places.is_sorted());
            prop_assert_eq!(axis.places.last().copied(), Some(axis.columns - 1));
        }
    }
}
