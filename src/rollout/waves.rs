//! Which hosts are changed together, and when no more are begun.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;

/// The most sizes that `--batch` may list; more is a mistake.
const MOST_SIZES: usize = 100;

/// The sizes of the batches of a rollout, as `--batch` has them: `1,10%,50%`.
///
/// A size is a number of hosts or a percentage of the whole fleet of the run, rounded up, and the
/// last one repeats until every host is done. The first is the canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSpec {
    first: Size,
    rest: Vec<Size>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Hosts(NonZeroUsize),
    /// From 1 to 100.
    Percent(u32),
}

impl Default for BatchSpec {
    /// One host first, then a tenth of the fleet, then half of it at a time.
    fn default() -> Self {
        Self {
            first: Size::Hosts(NonZeroUsize::MIN),
            rest: vec![Size::Percent(10), Size::Percent(50)],
        }
    }
}

impl BatchSpec {
    /// Reads sizes with commas between them.
    ///
    /// # Errors
    /// A sentence that says what is right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut sizes = Vec::new();
        for word in text.split(',') {
            if sizes.len() == MOST_SIZES {
                return Err(format!("at most {MOST_SIZES} batch sizes can be listed"));
            }
            sizes.push(Size::parse(word.trim())?);
        }
        let mut sizes = sizes.into_iter();
        // A split has one part at least.
        let first = sizes.next().ok_or_else(|| Size::wrong(""))?;
        Ok(Self {
            first,
            rest: sizes.collect(),
        })
    }

    /// Returns the sizes of all batches for that many hosts. None is 0, and they add up to `total`.
    pub fn sizes(&self, total: usize) -> Vec<usize> {
        let mut sizes = Vec::new();
        let mut left = total;
        let mut wanted = self.rest.iter();
        let mut size = self.first;
        while left > 0 {
            let hosts = size.of(total).min(left);
            sizes.push(hosts);
            left -= hosts;
            size = wanted.next().copied().unwrap_or(size);
        }
        sizes
    }
}

impl fmt::Display for BatchSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.rest.iter().try_for_each(|size| write!(f, ",{size}"))
    }
}

impl Size {
    fn parse(word: &str) -> Result<Self, String> {
        let wrong = || Self::wrong(word);
        match word.strip_suffix('%') {
            Some(percent) => match number(percent) {
                Some(percent @ 1..=100) => u32::try_from(percent)
                    .map(Self::Percent)
                    .map_err(|_| wrong()),
                _ => Err(wrong()),
            },
            None => number(word)
                .and_then(NonZeroUsize::new)
                .map(Self::Hosts)
                .ok_or_else(wrong),
        }
    }

    fn wrong(word: &str) -> String {
        format!(
            "`{word}` is no batch size; sizes are numbers of hosts from 1 on, or percentages of the fleet from 1% to 100%, with commas between them, e.g. `1,10%,50%`"
        )
    }

    /// How many hosts of `total` that is; at least 1.
    fn of(self, total: usize) -> usize {
        match self {
            Self::Hosts(hosts) => hosts.get(),
            Self::Percent(percent) => share(total, percent, 99).max(1),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts(hosts) => write!(f, "{hosts}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// How many hosts may fail before no more are begun, as `--max-fail` has it: `2` or `10%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxFail {
    /// That many. With 0 the first failure is the end.
    Hosts(usize),
    /// That percentage of the whole fleet of the run, from 0 to 100. Never of a batch: a tenth of a
    /// canary is nothing.
    Percent(u32),
}

impl MaxFail {
    /// Reads a number or a percentage.
    ///
    /// # Errors
    /// A sentence that says what is right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let word = text.trim();
        let read = match word.strip_suffix('%') {
            Some(percent) => number(percent)
                .and_then(|percent| u32::try_from(percent).ok())
                .filter(|percent| *percent <= 100)
                .map(Self::Percent),
            None => number(word).map(Self::Hosts),
        };
        read.ok_or_else(|| {
            format!(
                "`{word}` is no number of failures; say how many hosts may fail (`0`, `2`), or which percentage of the fleet (`10%`)"
            )
        })
    }

    /// Returns how many of `total` hosts may fail, a percentage rounded down.
    pub fn allowed(self, total: usize) -> usize {
        match self {
            Self::Hosts(hosts) => hosts,
            Self::Percent(percent) => share(total, percent, 0),
        }
    }
}

impl fmt::Display for MaxFail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts(hosts) => write!(f, "{hosts}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// Reads decimal digits and nothing else: `+1` is no number of hosts.
fn number(word: &str) -> Option<usize> {
    word.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| word.parse().ok())
        .flatten()
}

/// That percentage of a number, in whole hosts; `round` hundredths are added before the rest is cut.
fn share(total: usize, percent: u32, round: u128) -> usize {
    // Never cuts: a percentage is at most 100, and a usize has 64 bits.
    let hundredths = total as u128 * u128::from(percent) + round;
    usize::try_from(hundredths / 100).unwrap_or(usize::MAX)
}

/// Sorts hosts into batches. Each host is in exactly one of them, and a name that is given twice
/// counts once.
///
/// Without labels the order is kept. With them (`--spread LABEL`) each batch takes from all values of
/// the label: in turn where the values have as many hosts each, otherwise in proportion, so that a
/// small rack is not used up by the first batches. No batch takes all of a value's hosts (two or more)
/// while a value that has hosts left gives none. Within a value the order is kept; hosts without the
/// label are one more value. The same input gives the same batches.
pub fn waves(
    hosts: &[String],
    labels: impl Fn(&str) -> Option<String>,
    batches: &BatchSpec,
) -> Vec<Vec<String>> {
    let mut hosts = spread(hosts, labels).into_iter();
    batches
        .sizes(hosts.len())
        .into_iter()
        .map(|size| hosts.by_ref().take(size).collect())
        .collect()
}

/// Each value's hosts at even distances, from half a distance on.
fn spread(hosts: &[String], labels: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let mut ranks: BTreeMap<Option<String>, usize> = BTreeMap::new();
    let mut values: Vec<Vec<&String>> = Vec::new();
    for host in hosts.iter().filter(|host| seen.insert(host.as_str())) {
        let rank = *ranks.entry(labels(host)).or_insert(values.len());
        match values.get_mut(rank) {
            Some(value) => value.push(host),
            None => values.push(vec![host]),
        }
    }
    let mut places: Vec<(Place, usize, &String)> = Vec::new();
    for (rank, value) in values.iter().enumerate() {
        let of = value.len();
        let placed = value
            .iter()
            .enumerate()
            .map(|(index, host)| (Place { index, of }, rank, *host));
        places.extend(placed);
    }
    // Values that are level come in the order in which the inventory first has them.
    places.sort_by(|(a, a_rank, _), (b, b_rank, _)| a.cmp(b).then(a_rank.cmp(b_rank)));
    places
        .into_iter()
        .map(|(_, _, host)| host.clone())
        .collect()
}

/// Where a host stands among those of its value: `(2 * index + 1) / (2 * of)` of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    index: usize,
    of: usize,
}

impl Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Whole numbers: the order must not hang on how a fraction is rounded.
        let left = (2 * self.index as u128 + 1) * other.of as u128;
        let right = (2 * other.index as u128 + 1) * self.of as u128;
        left.cmp(&right)
    }
}

/// Counts the failed hosts of a run, over all its batches, and says when no more are begun.
#[derive(Debug, Clone)]
pub struct Gate {
    total: usize,
    failed: usize,
    max_fail: MaxFail,
}

impl Gate {
    /// Makes an open gate for a run of that many hosts.
    pub fn new(total_hosts: usize, max_fail: MaxFail) -> Self {
        Self {
            total: total_hosts,
            failed: 0,
            max_fail,
        }
    }

    /// Counts a host that is done, once. It failed if any of its units did
    /// ([`RolloutEnd::is_failure`](crate::model::RolloutEnd::is_failure)); one that could not be
    /// reached did.
    pub fn host_ended(&mut self, failed: bool) {
        self.failed += usize::from(failed);
    }

    /// Returns how many hosts failed.
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// Returns why no more hosts are begun, as a sentence without a full stop; `None` while more are.
    pub fn closed(&self) -> Option<String> {
        let allowed = self.max_fail.allowed(self.total);
        if self.failed <= allowed {
            return None;
        }
        let are_allowed = match allowed {
            0 => "none is allowed".to_owned(),
            1 => "1 is allowed".to_owned(),
            more => format!("{more} are allowed"),
        };
        let hosts = if self.total == 1 { "host" } else { "hosts" };
        Some(format!(
            "{} of {} {hosts} failed, {are_allowed} (--max-fail {})",
            self.failed, self.total, self.max_fail
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn named(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("VM{index}")).collect()
    }

    #[test]
    fn batch_sizes() {
        let cases: [(&str, usize, &[usize]); 14] = [
            ("1,10%,50%", 30, &[1, 3, 15, 11]),
            ("1,10%,50%", 3, &[1, 1, 1]),
            ("1,10%,50%", 1, &[1]),
            ("1,10%,50%", 0, &[]),
            ("1,10%,50%", 300, &[1, 30, 150, 119]),
            ("1", 3, &[1, 1, 1]),
            ("100%", 7, &[7]),
            ("50%", 7, &[4, 3]),
            ("1%", 3, &[1, 1, 1]),
            ("1%", 102, &[2; 51]),
            ("5,2", 12, &[5, 2, 2, 2, 1]),
            (" 1 , 20% ", 10, &[1, 2, 2, 2, 2, 1]),
            ("1000000", 4, &[4]),
            ("007", 9, &[7, 2]),
        ];
        for (spec, total, wanted) in cases {
            let sizes = BatchSpec::parse(spec).unwrap().sizes(total);
            assert_eq!(sizes, wanted, "{spec} of {total}");
        }
        assert_eq!(BatchSpec::parse("1,10%,50%").unwrap(), BatchSpec::default());
        assert_eq!(BatchSpec::default().to_string(), "1,10%,50%");
    }

    #[test]
    fn bad_batch_sizes_say_what_is_right() {
        for bad in [
            "",
            "0",
            "0%",
            "101%",
            "-1",
            "+1",
            "1,",
            ",1",
            "a",
            "1.5",
            "10 %",
            "%",
            "1,,2",
            "1e3",
            "99999999999999999999999",
            "٣",
        ] {
            let error = BatchSpec::parse(bad).unwrap_err();
            assert!(error.contains("e.g. `1,10%,50%`"), "{bad}: {error}");
        }
        assert!(BatchSpec::parse(&"1,".repeat(200)).is_err());
    }

    #[test]
    fn failures_that_are_allowed() {
        let cases = [
            ("0", 30, 0),
            ("2", 30, 2),
            ("10%", 30, 3),
            ("10%", 39, 3),
            ("10%", 9, 0),
            ("0%", 100, 0),
            ("100%", 5, 5),
            (" 7 ", 3, 7),
        ];
        for (text, total, wanted) in cases {
            let max_fail = MaxFail::parse(text).unwrap();
            assert_eq!(max_fail.allowed(total), wanted, "{text} of {total}");
        }
        for bad in ["", "-1", "101%", "a", "%", "1.5%", "2,3"] {
            assert!(MaxFail::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(MaxFail::Percent(100).allowed(usize::MAX), usize::MAX);
    }

    #[test]
    fn the_gate_says_why_it_is_closed() {
        let mut gate = Gate::new(30, MaxFail::Hosts(2));
        for failed in [true, false, true, false] {
            gate.host_ended(failed);
            assert_eq!(gate.closed(), None);
        }
        gate.host_ended(true);
        assert_eq!(
            gate.closed().unwrap(),
            "3 of 30 hosts failed, 2 are allowed (--max-fail 2)"
        );
        let mut gate = Gate::new(30, MaxFail::Percent(4));
        gate.host_ended(true);
        assert_eq!(gate.closed(), None);
        gate.host_ended(true);
        assert_eq!(
            gate.closed().unwrap(),
            "2 of 30 hosts failed, 1 is allowed (--max-fail 4%)"
        );
    }

    /// A tool of this kind went on after the first failure when 0 were allowed (pyinfra#1195).
    #[test]
    fn with_none_allowed_the_first_failure_closes_the_gate() {
        for max_fail in [MaxFail::Hosts(0), MaxFail::Percent(0), MaxFail::Percent(9)] {
            let mut gate = Gate::new(10, max_fail);
            gate.host_ended(false);
            assert_eq!(gate.closed(), None);
            gate.host_ended(true);
            let why = gate.closed().unwrap();
            assert!(
                why.starts_with("1 of 10 hosts failed, none is allowed"),
                "{why}"
            );
        }
    }

    #[test]
    fn batches_take_from_all_racks() {
        let of = |racks: &[(&str, usize)], batches: &str| {
            let hosts: Vec<String> = racks
                .iter()
                .flat_map(|(rack, count)| (0..*count).map(move |n| format!("{rack}{n}")))
                .collect();
            let rack = |host: &str| host.get(..1).map(str::to_owned);
            waves(&hosts, rack, &BatchSpec::parse(batches).unwrap())
                .iter()
                .map(|wave| wave.join(" "))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of(&[("a", 3), ("b", 3), ("c", 3)], "3"),
            ["a0 b0 c0", "a1 b1 c1", "a2 b2 c2"]
        );
        assert_eq!(
            of(&[("a", 2), ("b", 6)], "1,3,4"),
            ["b0", "a0 b1 b2", "b3 a1 b4 b5"]
        );
        // Without the label everybody is of the same kind.
        let kept = waves(&named(5), |_| None, &BatchSpec::parse("2").unwrap());
        assert_eq!(kept, [vec!["VM0", "VM1"], vec!["VM2", "VM3"], vec!["VM4"]]);
        let twice = ["a", "b", "a"].map(str::to_owned);
        let once = waves(&twice, |_| None, &BatchSpec::parse("5").unwrap());
        assert_eq!(once, [vec!["a", "b"]]);
    }

    fn spec() -> impl Strategy<Value = BatchSpec> {
        let size = prop_oneof![
            (1..40usize).prop_map(|n| n.to_string()),
            (1..=100u32).prop_map(|n| format!("{n}%"))
        ];
        proptest::collection::vec(size, 1..5)
            .prop_map(|sizes| BatchSpec::parse(&sizes.join(",")).unwrap())
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,20}|[0-9%, ]{0,30}") {
            if let Ok(spec) = BatchSpec::parse(&text) {
                prop_assert_eq!(BatchSpec::parse(&spec.to_string()).unwrap(), spec);
            }
            let _ = MaxFail::parse(&text);
        }

        #[test]
        fn every_host_is_in_exactly_one_wave(
            racks in proptest::collection::vec(0..5u8, 0..200), spec in spec(),
        ) {
            let hosts = named(racks.len());
            let rack = |host: &str| {
                let index: usize = host[2..].parse().ok()?;
                racks.get(index).filter(|rack| **rack > 0).map(u8::to_string)
            };
            let waves = waves(&hosts, rack, &spec);
            let sizes: Vec<usize> = waves.iter().map(Vec::len).collect();
            prop_assert_eq!(sizes, spec.sizes(hosts.len()));
            let all: Vec<&String> = waves.iter().flatten().collect();
            prop_assert_eq!(all.len(), hosts.len());
            prop_assert_eq!(all.iter().copied().collect::<BTreeSet<_>>(), hosts.iter().collect());
            // Within a rack the order is kept.
            for value in 0..5u8 {
                let mine = |host: &&&String| {
                    let index: usize = host[2..].parse().unwrap();
                    racks[index] == value
                };
                let order: Vec<usize> =
                    all.iter().filter(mine).map(|host| host[2..].parse().unwrap()).collect();
                prop_assert!(order.is_sorted());
            }
        }

        /// No wave takes a whole rack while another that has hosts left gives none.
        #[test]
        fn no_wave_takes_a_whole_rack_alone(
            sizes in proptest::collection::vec(1..30usize, 1..7), spec in spec(),
        ) {
            let hosts: Vec<String> = sizes.iter().enumerate()
                .flat_map(|(rack, size)| (0..*size).map(move |n| format!("{rack}-{n}")))
                .collect();
            let rack = |host: &str| host.split('-').next().map(str::to_owned);
            let waves = waves(&hosts, rack, &spec);
            let mut left = sizes.clone();
            for wave in waves {
                let mut taken = vec![0; sizes.len()];
                for host in &wave {
                    taken[rack(host).unwrap().parse::<usize>().unwrap()] += 1;
                }
                let whole = (0..sizes.len()).any(|rack| sizes[rack] > 1 && taken[rack] == sizes[rack]);
                let idle = (0..sizes.len()).any(|rack| left[rack] > 0 && taken[rack] == 0);
                prop_assert!(!(whole && idle), "{wave:?}");
                for (rack, taken) in taken.into_iter().enumerate() {
                    left[rack] -= taken;
                }
            }
        }

        /// With racks of one size a wave takes as many from each, but for one.
        #[test]
        fn equal_racks_give_equal_shares(racks in 1..8usize, each in 1..20usize, spec in spec()) {
            let hosts: Vec<String> = (0..racks)
                .flat_map(|rack| (0..each).map(move |n| format!("{rack}-{n}")))
                .collect();
            let rack = |host: &str| host.split('-').next().map(str::to_owned);
            for wave in waves(&hosts, rack, &spec) {
                let mut taken = vec![0usize; racks];
                for host in &wave {
                    taken[rack(host).unwrap().parse::<usize>().unwrap()] += 1;
                }
                let (least, most) = (taken.iter().min().unwrap(), taken.iter().max().unwrap());
                prop_assert!(most - least <= 1, "{wave:?}");
            }
        }

        /// Whatever fails: no more than the allowed ones, and those that were at work already.
        #[test]
        fn failures_stop_at_the_allowed_and_those_in_flight(
            fails in proptest::collection::vec(any::<bool>(), 1..120),
            spec in spec(), allowed in 0..10usize, at_once in 1..16usize,
        ) {
            let hosts = named(fails.len());
            let mut gate = Gate::new(hosts.len(), MaxFail::Hosts(allowed));
            let mut begun = 0;
            'run: for wave in waves(&hosts, |_| None, &spec) {
                let mut queue = wave.iter();
                let mut at_work: Vec<&String> = Vec::new();
                loop {
                    while at_work.len() < at_once && gate.closed().is_none() {
                        let Some(host) = queue.next() else { break };
                        at_work.push(host);
                        begun += 1;
                    }
                    let Some(host) = at_work.pop() else { break };
                    let index: usize = host[2..].parse().unwrap();
                    gate.host_ended(fails[index]);
                }
                if gate.closed().is_some() {
                    break 'run;
                }
            }
            prop_assert!(gate.failed() <= allowed + at_once);
            let all = fails.iter().filter(|fails| **fails).count();
            prop_assert_eq!(gate.closed().is_some(), all > allowed);
            prop_assert!(gate.closed().is_some() || begun == hosts.len());
        }
    }
}
