//! What is asked of the history on the command line.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

use super::args::time;
use super::args_watch::PruneArgs;

/// Show what happened when, what differed between runs, and what was rolled out
///
/// How each host fared (its state over time, how often it was observed, restarts, latency), then what was found and
/// what changed, the newest last. No host is asked. docs/history.md tells how to read it.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(
    after_help = "Times are UTC: 30m, 7d (ago), 2026-11-21, 2026-11-21T12:00.\nExit codes: 0, 64 usage (no such host, class or run), 78 the inventory is at fault."
)]
pub(super) struct HistoryArgs {
    #[command(subcommand)]
    pub(super) command: Option<HistoryCommand>,

    /// Hosts, as with `check`, also such as left the inventory, by name [default: all]. With --rollouts: the one to
    /// show in full, or `last`
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,

    /// From when on
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = Moment::parse)]
    pub(super) since: Moment,

    /// Only findings of these classes; `not-observed` is that a host did not answer
    #[arg(long = "class", value_name = "CLASS", value_delimiter = ',')]
    pub(super) classes: Vec<String>,

    /// The rollouts of this bastion, newest first
    #[arg(long, conflicts_with_all = ["since", "classes"])]
    pub(super) rollouts: bool,
}

/// What else is done with the history of checks.
#[derive(Debug, clap::Subcommand)]
pub(super) enum HistoryCommand {
    /// List the runs that are kept, with their numbers
    Runs(RunsArgs),
    /// Show what differed between two runs
    ///
    /// A run is its number (`clawfleet history runs`), `last`, `last~3` (three before the last), or a time: the last run
    /// that began no later than `2h` ago, or than 2026-11-21T12:00 (UTC).
    Diff(DiffArgs),
    /// Remove what is old from the history of checks, and give its space back
    ///
    /// Each check does a little of it by itself, for 90 days and 500 MB.
    Prune(PruneArgs),
}

#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct RunsArgs {
    /// From when on
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = Moment::parse)]
    pub(super) since: Moment,
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct DiffArgs {
    /// The run that is compared
    #[arg(value_name = "RUN", value_parser = RunName::parse)]
    pub(super) from: RunName,

    /// The one that it is compared with
    #[arg(value_name = "RUN", default_value = "last", value_parser = RunName::parse)]
    pub(super) to: RunName,
}

/// Make a page (HTML) of the history, and ask no host
///
/// The state of each host as it was seen last, what is wrong there, trends and what happened. It is one file that loads
/// nothing. What evidence there was is not kept: `clawfleet check` shows it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0, 64 usage (no such host, a file that cannot be written), 78 the inventory is at fault."
)]
pub(super) struct ReportArgs {
    /// Hosts, as with `history` [default: all]
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,

    /// From when on
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = Moment::parse)]
    pub(super) since: Moment,

    /// Where to; a file is replaced whole or not at all. `-` is stdout, which is also taken where it is no terminal
    #[arg(short, long, value_name = "PATH")]
    pub(super) output: Option<PathBuf>,
}

/// A time, by itself or by how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Ago(Duration),
    At(Timestamp),
}

impl Moment {
    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(ago) = time(text) {
            return Ok(Self::Ago(ago));
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at));
        }
        // Without a zone it is UTC, as everything that is shown.
        let civil = text
            .parse::<civil::DateTime>()
            .or_else(|_| text.parse::<civil::Date>().map(civil::DateTime::from));
        civil
            .and_then(|civil| civil.to_zoned(TimeZone::UTC))
            .map(|zoned| Self::At(zoned.timestamp()))
            .map_err(|_| {
                "a time is written like 2h or 7d (ago), or 2026-11-21 or 2026-11-21T12:00 (UTC)"
                    .to_owned()
            })
    }

    /// The time that it means; what is too long ago for a clock is the beginning of time.
    pub(super) fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::MIN),
        }
    }
}

/// How a run is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunName {
    Number(i64),
    Last(u32),
    At(Moment),
}

impl RunName {
    fn parse(text: &str) -> Result<Self, String> {
        let said = || {
            "a run is its number, last, last~1, or a time: 2h (ago), 2026-11-21T12:00 (UTC)"
                .to_owned()
        };
        if let Some(rest) = text.strip_prefix("last") {
            return match rest.strip_prefix('~') {
                None if rest.is_empty() => Ok(Self::Last(0)),
                Some(number) => number.parse().map(Self::Last).map_err(|_| said()),
                None => Err(said()),
            };
        }
        match text.parse() {
            Ok(number) => Ok(Self::Number(number)),
            Err(_) => Moment::parse(text).map(Self::At).map_err(|_| said()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_runs_are_read() {
        let hours = |hours: u64| Moment::Ago(Duration::from_secs(hours * 3600));
        assert_eq!(Moment::parse("7d"), Ok(hours(168)));
        let noon: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for text in [
            "2026-11-21T12:00",
            "2026-11-21 12:00",
            "2026-11-21T12:00:00Z",
            "2026-11-21T13:00+01:00",
        ] {
            assert_eq!(Moment::parse(text), Ok(Moment::At(noon)), "{text}");
        }
        let midnight: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        assert_eq!(Moment::parse("2026-11-21"), Ok(Moment::At(midnight)));
        for bad in ["", "yesterday", "7", "7w", "2026-13-01", "12:00", "-3d"] {
            assert!(Moment::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(RunName::parse("4711"), Ok(RunName::Number(4711)));
        assert_eq!(RunName::parse("last"), Ok(RunName::Last(0)));
        assert_eq!(RunName::parse("last~12"), Ok(RunName::Last(12)));
        assert_eq!(RunName::parse("2h"), Ok(RunName::At(hours(2))));
        for bad in ["", "last~", "last~x", "last1", "first", "last~-1"] {
            assert!(RunName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_too_long_ago_is_the_beginning_of_time() {
        let far = Moment::Ago(Duration::from_secs(u64::MAX));
        assert_eq!(far.at(Timestamp::UNIX_EPOCH), Timestamp::MIN);
    }
}
