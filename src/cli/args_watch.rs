//! What a check from cron is told on the command line, and what is kept of checks.

use std::time::Duration;

use super::args::time;

/// How a check runs from cron.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct WatchArgs {
    /// Print only what is new, worse or over since the last such run, and nothing where nothing changed;
    /// the exit code is that of the findings as always. One such run at a time (75)
    #[arg(long, conflicts_with = "list")]
    pub(super) on_change: bool,

    /// With --on-change: tell what that many runs in a row have seen, or not seen any more
    #[arg(long, value_name = "RUNS", default_value_t = 1, requires = "on_change", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) confirm: u32,

    /// With --on-change: tell again what is still there after so long (24h, 7d), or `never`
    #[arg(long, value_name = "TIME", default_value = "24h", requires = "on_change", value_parser = Remind::parse)]
    pub(super) remind: Remind,

    /// With --on-change: wait so long for a run that is at work, instead of leaving with 75 at once
    #[arg(long, value_name = "TIME", default_value = "0s", requires = "on_change", value_parser = time)]
    pub(super) wait: Duration,

    /// Ask no longer than that: hosts that are not done by then are not observed (stage `deadline`)
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "list")]
    pub(super) deadline: Option<Duration>,

    /// Begin at a random moment within that time, so that many bastions do not ask at once
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "list")]
    pub(super) jitter: Option<Duration>,
}

/// After how long something is told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remind(pub(super) Option<Duration>);

impl Remind {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self(None)),
            text => time(text).map(|after| Self(Some(after))),
        }
    }
}

/// Tell nothing of what is known, for a while
///
/// `check --on-change` then tells nothing of these classes on these hosts; without --class they are those that are
/// there now. Another class is told as ever, and so is the end of what was told. A check by hand shows all.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct SilenceArgs {
    /// On which hosts, as with `check`
    #[arg(value_name = "SELECTOR", required_unless_present_any = ["list", "end"], requires_all = ["for_time", "why"])]
    pub(super) selectors: Vec<String>,

    /// Of which classes [default: those that are there now]
    #[arg(
        long = "class",
        value_name = "CLASS",
        value_delimiter = ',',
        requires = "selectors"
    )]
    pub(super) classes: Vec<String>,

    /// For how long (2h, 3d)
    #[arg(long = "for", value_name = "TIME", value_parser = time, requires = "selectors")]
    pub(super) for_time: Option<Duration>,

    /// Why; it is shown wherever the silence is
    #[arg(long, value_name = "TEXT", requires = "selectors")]
    pub(super) why: Option<String>,

    /// List what is silenced
    #[arg(long, conflicts_with_all = ["selectors", "end"])]
    pub(super) list: bool,

    /// End a silence before its time
    #[arg(long, value_name = "ID", conflicts_with = "selectors")]
    pub(super) end: Option<i64>,
}

#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct PruneArgs {
    /// How long runs, and findings that are over, are kept
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = time)]
    pub(super) keep: Duration,

    /// How large the history may be; where it is larger the oldest goes
    #[arg(long, value_name = "SIZE", default_value = "500MB", value_parser = size)]
    pub(super) max_size: u64,
}

/// Reads a size: `500MB`, `2GB`, `64kB`.
fn size(text: &str) -> Result<u64, String> {
    let said = || "a size is written like 500MB or 2GB".to_owned();
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let bytes: u64 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(said()),
    };
    let number: u64 = number.parse().map_err(|_| said())?;
    Ok(number.saturating_mul(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_reminders() {
        assert_eq!(size("500MB"), Ok(500_000_000));
        assert_eq!(size("64kB"), Ok(64_000));
        for bad in ["", "500", "MB", "5 MB", "-1MB", "5TB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(Remind::parse("never"), Ok(Remind(None)));
        let day = Duration::from_secs(86_400);
        assert_eq!(Remind::parse("1d"), Ok(Remind(Some(day))));
        assert!(Remind::parse("daily").is_err());
    }
}
