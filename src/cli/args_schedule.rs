//! The arguments of `schedule`, and of the heartbeat.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};

use super::args::time;
use super::args_watch::Remind;
use super::format::OutputArg;
use crate::model::{HeartbeatFailOn, SecretSource};

/// Who is told that runs come.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct HeartbeatArgs {
    /// Tell a watchdog of this run (healthchecks.io and its like): URL/start when it begins, URL or URL/EXITCODE
    /// when it ends. A URL, or where it is to be had: env:NAME, file:/PATH, command:COMMAND; `none` for none
    /// [default: the inventory's `heartbeat`, with --on-change]
    #[arg(long, value_name = "URL", value_parser = HeartbeatArg::parse)]
    pub(super) heartbeat: Option<HeartbeatArg>,

    /// Which findings are a failure to the watchdog [default: the inventory's, else never]
    #[arg(long, value_enum, value_name = "FINDINGS")]
    pub(super) heartbeat_fail_on: Option<FailOnArg>,
}

/// Where the heartbeat goes.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum HeartbeatArg {
    Nowhere,
    Address(String),
    Source(SecretSource),
    /// What was given is of no use, and may be a secret that is written wrongly: no message holds it.
    Odd(&'static str),
}

impl std::fmt::Debug for HeartbeatArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HeartbeatArg")
    }
}

impl HeartbeatArg {
    /// Never fails: the parser's own message would hold the value.
    #[expect(clippy::unnecessary_wraps, reason = "the shape of a parser of values")]
    fn parse(text: &str) -> Result<Self, std::convert::Infallible> {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        Ok(match text.split_once(':') {
            _ if text == "none" => Self::Nowhere,
            Some(("env", of)) if !of.is_empty() && of.chars().all(name) => {
                Self::Source(SecretSource::Env(of.to_owned()))
            }
            Some(("env", _)) => Self::Odd("`env:` wants the name of a variable"),
            Some(("file", of)) if of.starts_with('/') || of.starts_with("~/") => {
                Self::Source(SecretSource::File(of.to_owned()))
            }
            Some(("file", _)) => {
                Self::Odd("`file:` wants an absolute path, or one that begins with ~/")
            }
            Some(("command", of)) if !of.trim().is_empty() => {
                Self::Source(SecretSource::Command(of.to_owned()))
            }
            Some(("command", _)) => Self::Odd("`command:` wants a command"),
            _ => match crate::model::WebAddress::parse(text) {
                Ok(_) => Self::Address(text.to_owned()),
                Err(why) => Self::Odd(why),
            },
        })
    }
}

/// Which findings are a failure to a watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOnArg {
    /// None: who looked and found something did its work
    Never,
    /// Critical ones
    Critical,
    /// The same, and hosts that were not observed
    NotObserved,
    /// All that make an exit code other than 0
    Warning,
}

impl FailOnArg {
    pub(super) fn meant(self) -> HeartbeatFailOn {
        match self {
            Self::Never => HeartbeatFailOn::Never,
            Self::Critical => HeartbeatFailOn::Critical,
            Self::NotObserved => HeartbeatFailOn::NotObserved,
            Self::Warning => HeartbeatFailOn::Warning,
        }
    }
}

/// What is done with the timer of this bastion.
#[derive(Debug, Subcommand)]
pub(super) enum ScheduleCommand {
    /// Write a systemd timer and its service, or a line of the crontab, and begin
    Install(Box<InstallArgs>),
    /// Show what is installed, its next and its last run
    Show(ShowArgs),
    /// Stop it and take it away
    Remove(RemoveArgs),
}

/// Where a schedule stands.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PlaceArgs {
    /// For this user's own systemd, not the system's
    #[arg(long, conflicts_with = "cron")]
    pub(super) user: bool,

    /// In this user's crontab
    #[arg(long)]
    pub(super) cron: bool,

    /// Tells schedules of one machine apart, one for each inventory
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(super) name: Option<String>,

    /// Where the system's units are
    #[arg(long, value_name = "DIR", hide = true)]
    pub(super) unit_dir: Option<PathBuf>,
}

/// Whether somebody is asked.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct ConsentArgs {
    /// Show what would change and change nothing; exit code 4 where something would
    #[arg(long, conflicts_with = "yes")]
    pub(super) check: bool,

    /// Ask nothing
    #[arg(short, long)]
    pub(super) yes: bool,
}

/// Write a systemd timer and its service, or a line of the crontab, and begin
///
/// What is run is `clawfleet -i INVENTORY check SELECTOR --on-change …`. The files are shown as a diff against what is
/// there, and asked about; they are verified before they take their places, and what was there comes back where
/// systemd does not take them. What follows `--` is given to the check: `-- --fail-on critical --wait 30s`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 it is installed, or was as wanted already; 4 changes are pending (--check, or declined);\n5 it failed, and what was there before is back; 6 it failed, and that too; 64 usage, no root, no systemd, no terminal to ask on\n(see --yes); 78 the inventory is at fault."
)]
pub(super) struct InstallArgs {
    /// Hosts to check, as with `check`
    #[arg(value_name = "SELECTOR", default_value = "all")]
    pub(super) selectors: Vec<String>,

    #[command(flatten)]
    pub(super) place: PlaceArgs,

    /// How often, from 1m to 1d
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time)]
    pub(super) every: Duration,

    /// Begin at a random moment within that time, the same on each day with systemd [default: a tenth of --every,
    /// 30s at most]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) jitter: Option<Duration>,

    /// Ask hosts no longer than that [default: 80 percent of --every, less the jitter of a crontab line]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) deadline: Option<Duration>,

    /// Tell what that many runs in a row have seen
    #[arg(long, value_name = "RUNS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) confirm: u32,

    /// Tell again what is still there after so long (24h, 7d), or `never`
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = Remind::parse)]
    pub(super) remind: Remind,

    /// Write the report to a file as well, as `check --output` does; may be given several times
    #[arg(long = "output", value_name = "FORMAT=PATH", value_parser = OutputArg::parse)]
    pub(super) outputs: Vec<OutputArg>,

    #[command(flatten)]
    pub(super) heartbeat: HeartbeatArgs,

    /// A file of NAME=VALUE lines with the secrets that the inventory takes from the environment; nobody else may
    /// read it
    #[arg(long, value_name = "PATH")]
    pub(super) environment_file: Option<PathBuf>,

    #[command(flatten)]
    pub(super) consent: ConsentArgs,

    /// More options of `check`
    #[arg(last = true, value_name = "CHECK OPTIONS")]
    pub(super) more: Vec<String>,
}

/// Show what is installed, its next and its last run
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 something is installed and as `install` would write it, 1 nothing is, or something is not as it should be."
)]
pub(super) struct ShowArgs {
    /// Where the system's units are
    #[arg(long, value_name = "DIR", hide = true)]
    pub(super) unit_dir: Option<PathBuf>,
}

/// Stop it and take it away
///
/// What it remembers and wrote stays: the history, files of --output.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 it is gone, or was not there; 4 it is to go (--check, or declined); 5 it failed, and is as before;\n6 it failed half-way; 64 usage, no root, no terminal to ask on (see --yes)."
)]
pub(super) struct RemoveArgs {
    #[command(flatten)]
    pub(super) place: PlaceArgs,

    #[command(flatten)]
    pub(super) consent: ConsentArgs,
}

/// Reads a name that can be a part of a unit's.
fn name(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let is_name = (1..=60).contains(&text.len())
        && text.chars().all(fine)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    match is_name {
        true => Ok(text.to_owned()),
        false => Err("letters, digits and . _ - make a name, up to 60 of them".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_sources_of_heartbeats() {
        let parse = |text: &str| HeartbeatArg::parse(text).unwrap();
        assert_eq!(parse("none"), HeartbeatArg::Nowhere);
        let env = SecretSource::Env("BEAT".into());
        assert_eq!(parse("env:BEAT"), HeartbeatArg::Source(env));
        let file = SecretSource::File("~/beat".into());
        assert_eq!(parse("file:~/beat"), HeartbeatArg::Source(file));
        let command = SecretSource::Command("pass show beat".into());
        assert_eq!(
            parse("command:pass show beat"),
            HeartbeatArg::Source(command)
        );
        let url = "https://hc.example:8000/x";
        assert_eq!(parse(url), HeartbeatArg::Address(url.into()));
        for odd in [
            "",
            "env:",
            "env:A-B",
            "file:beat",
            "command: ",
            "hc.example/x",
        ] {
            assert!(matches!(parse(odd), HeartbeatArg::Odd(_)), "{odd}");
        }
    }

    #[test]
    fn names_of_schedules() {
        assert_eq!(name("blue"), Ok("blue".into()));
        for bad in ["", "-a", ".a", "a b", "a/b", "a@b", "ü", &"a".repeat(61)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
