//! The command line of `run` and `copy`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::args::{ReachArgs, time};
use crate::rollout::{BatchSpec, MaxFail};

/// Run a command on hosts and fold what they print
///
/// What stands behind `--` reaches the program word by word and byte by byte, whatever shell the login has: no
/// shell looks at it, unless --shell asks for one. Hosts with the same output and exit code are shown once. When
/// the time is over, or Ctrl-C was pressed, the command is ended with all that it started, also below sudo: by
/// TERM, and by KILL for what is left. A second Ctrl-C leaves at once; hosts then end it by themselves.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 every command ended with 0, 2 a command ended with another status or had to be ended,\n3 hosts were not reached or not tried, 6 nobody knows what became of a command (the connection was lost in it),\n64 usage, 78 the inventory is at fault, 130 interrupted. The worst that applies: 130, 6, 2, 3.\n\n@failed names afterwards every host where it did not end with 0, @unreachable those that were not reached."
)]
pub(super) struct RunArgs {
    /// Hosts to run it on, as with `check`
    #[arg(value_name = "SELECTOR", required = true)]
    pub(super) selectors: Vec<String>,

    /// The program and its arguments; with --script, the script's arguments
    #[arg(value_name = "CMD", last = true, required_unless_present = "script")]
    pub(super) command: Vec<OsString>,

    /// Run this script instead, with the interpreter of its first line, else sh; `-` reads it from standard input
    #[arg(long, value_name = "FILE", conflicts_with = "shell")]
    pub(super) script: Option<PathBuf>,

    /// Let the host's sh read the words, joined by blanks, as a line: `--shell -- 'ls /var/log/*.gz | wc -l'`
    #[arg(long)]
    pub(super) shell: bool,

    /// Send this file to every host as the command's input; `-` sends standard input
    #[arg(long, value_name = "FILE")]
    pub(super) stdin: Option<PathBuf>,

    /// Set a variable of the command's environment; without a value, to what it is here
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(super) env: Vec<OsString>,

    /// How long the command may run (30s, 5m, 1h; 0: for ever)
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = limit)]
    pub(super) timeout: Limit,

    /// How long it has between TERM and KILL
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(super) kill_after: Duration,

    /// Show how the others differ from what most hosts print
    #[arg(long, conflicts_with = "stream")]
    pub(super) diff: bool,

    /// Show lines as they come, with the host's name before each
    #[arg(long)]
    pub(super) stream: bool,

    /// Write each host's output to files in this directory, too: HOST.stdout, HOST.stderr, and exit-codes.tsv
    #[arg(long, value_name = "DIR")]
    pub(super) out_dir: Option<PathBuf>,

    /// The most that a host may print; it is ended at more (512K, 20M, 1G)
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = size)]
    pub(super) max_output: u64,

    /// Try again, so many times, with hosts that were not reached; not where the login was refused
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=20))]
    pub(super) retry: u32,

    /// With --retry: also where the command failed or its time was over
    #[arg(long, requires = "retry")]
    pub(super) retry_failed: bool,

    #[command(flatten)]
    pub(super) run_as: RunAsArgs,

    #[command(flatten)]
    pub(super) waves: WaveArgs,

    #[command(flatten)]
    pub(super) reach: ReachArgs,
}

/// Copy files to hosts, or a file from each of them
///
/// `copy SELECTOR FILE… :DEST` writes files to hosts: beside their place, compared by SHA-256 on both sides, and put
/// there in one step, with their permissions. A host that has the file already is left alone. DEST is a directory
/// if it ends with `/`, or is one. `copy SELECTOR :SRC DIR/` brings a file from each host, as DIR/HOST/NAME. Neither
/// needs sftp: a login, sh, head and sha256sum are enough.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 all is copied, 2 a host could not take or give a file, 3 hosts were not reached or not tried,\n6 nobody knows what became of a copy (the file is the old one or the new one, never a part), 64 usage,\n78 the inventory is at fault, 130 interrupted."
)]
pub(super) struct CopyArgs {
    /// Hosts to copy to or from, as with `check`
    #[arg(value_name = "SELECTOR")]
    pub(super) selector: String,

    /// FILE… :DEST, or :SRC DIR/
    #[arg(value_name = "PATH", required = true, num_args = 2..)]
    pub(super) paths: Vec<OsString>,

    /// The most that is taken from a host
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = size)]
    pub(super) max_size: u64,

    /// How long the files of a host may take (0: for ever)
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = limit)]
    pub(super) timeout: Limit,

    /// Try again, so many times, with hosts that were not reached
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=20))]
    pub(super) retry: u32,

    #[command(flatten)]
    pub(super) run_as: RunAsArgs,

    #[command(flatten)]
    pub(super) waves: WaveArgs,

    #[command(flatten)]
    pub(super) reach: ReachArgs,
}

/// Who the command runs as; without any of these, who the inventory says (`become`, `become_user`).
#[derive(Debug, clap::Args)]
pub(super) struct RunAsArgs {
    /// Run as root: by sudo, or as the inventory says
    #[arg(long = "become", conflicts_with = "as_login")]
    pub(super) root: bool,

    /// Run as this user: by sudo, or as the inventory says
    #[arg(long, value_name = "USER", conflicts_with = "as_login")]
    pub(super) user: Option<String>,

    /// Run as who logs in, whatever the inventory says
    #[arg(long)]
    pub(super) as_login: bool,
}

/// Which hosts at once, and when no further one is begun.
#[derive(Debug, clap::Args)]
pub(super) struct WaveArgs {
    /// Sizes of batches, in hosts or percent of all; the last one repeats [default: all at once]
    #[arg(long, value_name = "SIZES", value_parser = BatchSpec::parse)]
    pub(super) batch: Option<BatchSpec>,

    /// Spread each batch over the values of that label
    #[arg(long, value_name = "LABEL")]
    pub(super) spread: Option<String>,

    /// How many hosts may fail, of all, in hosts or percent, before no further one is begun; hosts that
    /// cannot be reached count
    #[arg(long, value_name = "N", default_value = "100%", value_parser = MaxFail::parse)]
    pub(super) max_fail: MaxFail,
}

/// A length of time, or for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit(pub(super) Option<Duration>);

fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "0" | "none" => Ok(Limit(None)),
        text => match time(text)? {
            Duration::ZERO => Ok(Limit(None)),
            limit => Ok(Limit(Some(limit))),
        },
    }
}

/// Reads a size: `512K`, `20M`, `1G`, or bytes.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size; sizes are written like 512K, 20M or 1G");
    let (number, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let shift = match unit {
        "" => 0,
        "K" | "KiB" | "k" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number
        .checked_mul(1 << shift)
        .filter(|size| *size > 0)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times() {
        assert_eq!(size("512K"), Ok(512 << 10));
        assert_eq!(size("7"), Ok(7));
        assert!(size("0").is_err() && size("1T").is_err() && size("").is_err());
        assert!(size("99999999999999999999G").is_err());
        assert_eq!(limit("0"), Ok(Limit(None)));
        assert_eq!(limit("0s"), Ok(Limit(None)));
        assert_eq!(limit("90s"), Ok(Limit(Some(Duration::from_secs(90)))));
        assert!(limit("soon").is_err());
    }
}
