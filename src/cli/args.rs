//! The command line as it is typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use super::args_history::{HistoryArgs, ReportArgs};
use super::args_watch::WatchArgs;
pub(super) use super::format::Format;
use super::format::{OutputArg, ReportFormat};
use crate::planner::Keep;

/// Check fleets of OpenClaw gateways over SSH
///
/// clawfleet logs in to every host of an inventory at once, runs one read-only probe on each, and
/// shows one table with a diagnosis per host. Nothing is installed on a host: a login over SSH and
/// a POSIX sh are all it needs.
#[derive(Debug, Parser)]
#[command(name = "clawfleet", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 clean, 1 warnings (--fail-on), 2 critical findings, 3 hosts not observed,\n4 changes pending, 5 rolled back, 6 rollback failed or state unknown, 64 usage, 75 another run is at work,\n78 inventory or template at fault, 130 interrupted."
)]
pub(super) struct Args {
    /// Inventory file [default: ./inventory.yaml, then ~/.config/clawfleet/inventory.yaml, then
    /// /etc/clawfleet/inventory.yaml]
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "CLAWFLEET_INVENTORY"
    )]
    pub(super) inventory: Option<PathBuf>,

    /// What to print
    #[arg(long, global = true, value_enum, default_value_t = ReportFormat::Table, value_name = "FORMAT")]
    pub(super) format: ReportFormat,

    /// When to use colour; NO_COLOR is honoured
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub(super) color: When,

    /// Print the verdict only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,

    /// Show every host and all evidence; -vv and -vvv add logs on stderr (see also CLAWFLEET_LOG)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Probe hosts and diagnose their gateways
    Check(CheckArgs),
    /// Render hardened units, show what they change, push them and verify
    Harden(HardenArgs),
    /// Mend what the diagnosis finds, and verify
    Fix(FixArgs),
    /// Restart gateways out of band, batch by batch, and verify
    Restart(RestartArgs),
    /// Put back what a rollout replaced
    Rollback(RollbackArgs),
    /// Run a command on hosts and fold what they print
    Run(super::args_run::RunArgs),
    /// Copy files to hosts, or a file from each of them
    Copy(super::args_run::CopyArgs),
    /// Show what happened when, what differed between runs, and what was rolled out
    History(HistoryArgs),
    /// Make a page (HTML) of the history, and ask no host
    Report(ReportArgs),
    /// Tell nothing of what is known, for a while
    Silence(super::args_watch::SilenceArgs),
    /// Make, list or explain the inventory
    #[command(subcommand)]
    Inventory(InventoryCommand),
    /// Enrol the keys of hosts
    #[command(subcommand)]
    Hosts(HostsCommand),
    /// Try and list the channels that alerts go to
    #[command(subcommand)]
    Notify(super::args_notify::NotifyCommand),
    /// Let this machine check its fleet again and again: a systemd timer, or a line of the crontab
    #[command(subcommand)]
    Schedule(super::args_schedule::ScheduleCommand),
    /// Say what a class of finding means; without a class, list them
    Explain(ExplainArgs),
}

/// Probe hosts and diagnose their gateways
///
/// Selectors: all, VM151, VM[151-153,160], VM15*, @group, label=value, @failed and @unreachable
/// (of the last run). Operators, read from left to right: `,` union, `!` difference,
/// `&` intersection, `^` symmetric difference. Several selectors are a union.
///
/// --format is what goes to stdout; --output writes more to files: `--output junit=check.xml
/// --output prometheus=/var/lib/node_exporter/clawfleet.prom`. With --format nagios the exit code is a
/// plugin's: 0 ok, 1 warning, 2 critical, 3 unknown. docs/formats.md tells all.
///
/// From cron: `clawfleet check all --on-change --confirm 2 --deadline 4m` is silent until something
/// changes. docs/history.md tells what is remembered, and how.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 clean, 1 findings from --fail-on on, 2 critical findings, 3 hosts not observed,\n64 usage (an --output that cannot be written), 75 another --on-change is at work, 78 the inventory is at fault, or nothing worse than\nwarnings was found and an --output could not be written at the end, 130 interrupted."
)]
pub(super) struct CheckArgs {
    /// Hosts to check
    #[arg(value_name = "SELECTOR", default_value = "all")]
    pub(super) selectors: Vec<String>,

    /// List everything that is checked, and ask no host
    #[arg(long, conflicts_with = "selectors")]
    pub(super) list: bool,

    /// Sessions in flight
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) forks: u16,

    /// Handshakes in flight, among the sessions
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) handshakes: u16,

    #[command(flatten)]
    pub(super) login: LoginArgs,

    /// The least that makes the exit code 1
    #[arg(long, value_enum, default_value_t = FailOn::Warning, value_name = "SEVERITY")]
    pub(super) fail_on: FailOn,

    /// Write the report to a file as well, in any format; may be given several times. A file is replaced
    /// whole or not at all
    #[arg(long = "output", value_name = "FORMAT=PATH", value_parser = OutputArg::parse, conflicts_with = "list")]
    pub(super) outputs: Vec<OutputArg>,

    #[command(flatten)]
    pub(super) watch: WatchArgs,

    #[command(flatten)]
    pub(super) heartbeat: super::args_schedule::HeartbeatArgs,
}

/// What may be asked for before the run.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct LoginArgs {
    /// Ask for the password that logs in, once for all hosts
    #[arg(long)]
    pub(super) ask_pass: bool,

    /// Ask for the password that sudo or su wants, once for all hosts
    #[arg(long)]
    pub(super) ask_become_pass: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    /// Information, too
    Info,
    /// Warnings
    Warning,
    /// Only critical findings
    Critical,
}

/// How connections are made.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct ReachArgs {
    /// Sessions in flight
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) forks: u16,

    /// Handshakes in flight, among the sessions
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) handshakes: u16,

    #[command(flatten)]
    pub(super) login: LoginArgs,
}

/// How a plan is carried out.
#[derive(Debug, clap::Args)]
pub(super) struct RolloutArgs {
    /// Show what would change and change nothing; exit code 4 where something would
    #[arg(long, conflicts_with = "yes")]
    pub(super) check: bool,

    /// Ask nothing: carry the whole plan out
    #[arg(short, long)]
    pub(super) yes: bool,

    /// Sizes of batches, in hosts or percent of all; the last one repeats
    #[arg(long, value_name = "SIZES", default_value = "1,10%,50%", value_parser = crate::rollout::BatchSpec::parse)]
    pub(super) batch: crate::rollout::BatchSpec,

    /// Spread each batch over the values of that label
    #[arg(long, value_name = "LABEL")]
    pub(super) spread: Option<String>,

    /// How many hosts may fail, of all, in hosts or percent, before no further one is begun; hosts that
    /// cannot be reached count
    #[arg(long, value_name = "N", default_value = "0", value_parser = crate::rollout::MaxFail::parse)]
    pub(super) max_fail: crate::rollout::MaxFail,

    /// Wait so long between batches (30s, 5m), or `ask`
    #[arg(long, value_name = "TIME", value_parser = Pause::parse)]
    pub(super) pause: Option<Pause>,

    /// How long a gateway has to be well, without a restart, until its change is kept
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = time)]
    pub(super) settle: Duration,

    /// How long a gateway may take to become well after a restart
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = time)]
    pub(super) well_within: Duration,

    /// After how long a host undoes by itself what nobody has confirmed
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time)]
    pub(super) undo_after: Duration,

    /// Arm no undo on the hosts
    #[arg(long, requires = "i_know_that_nothing_undoes_it")]
    pub(super) no_arm: bool,

    /// Consent to --no-arm
    #[arg(long, requires = "no_arm")]
    pub(super) i_know_that_nothing_undoes_it: bool,

    #[command(flatten)]
    pub(super) reach: ReachArgs,
}

/// Render hardened units, show what they change, push them and verify
///
/// Every host is looked at first, and nothing is written there. The changes are shown, hosts with the same
/// diff once, and asked about. Then they are made batch by batch: each host arms its own undo, and only a
/// fresh connection that found the gateway well disarms it. What fails is put back.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 all is applied or as wanted, 3 hosts were not looked at, 4 changes are pending (--check, or left out),\n5 a change failed and was undone, 6 an undo failed or a host's state is unknown, 64 there is no terminal to ask on\n(see --yes), 75 another run is at work, 78 an inventory or template is at fault."
)]
pub(super) struct HardenArgs {
    /// Hosts to harden, as with `check`
    #[arg(value_name = "SELECTOR", required_unless_present_any = ["plan", "resume", "list_profiles"])]
    pub(super) selectors: Vec<String>,

    /// What is written: baseline or strict [default: the inventory's harden.profile, else baseline]
    #[arg(long, value_name = "PROFILE", conflicts_with_all = ["plan", "resume"])]
    pub(super) profile: Option<String>,

    /// A drop-in beside the unit, or a whole unit [default: the inventory's harden.shape, else drop-in]
    #[arg(long, value_name = "SHAPE", value_parser = ["drop-in", "unit"], conflicts_with_all = ["plan", "resume"])]
    pub(super) shape: Option<String>,

    /// A directory with templates that take the places of the built-in ones
    #[arg(long, value_name = "DIR", conflicts_with_all = ["plan", "resume"])]
    pub(super) template_dir: Option<PathBuf>,

    /// When units are restarted; a plan that was kept has that in it [default: if-changed]
    #[arg(long, value_enum, value_name = "WHEN", conflicts_with_all = ["plan", "resume"])]
    pub(super) restart: Option<RestartArg>,

    /// Print the profiles and their variables
    #[arg(long, conflicts_with_all = ["selectors", "plan", "resume", "show", "check", "yes", "out"])]
    pub(super) list_profiles: bool,

    /// Print the rendered files, and change nothing
    #[arg(long, conflicts_with_all = ["check", "yes", "out", "plan", "resume"])]
    pub(super) show: bool,

    /// Keep the plan in a file, and change nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["yes", "plan", "resume"])]
    pub(super) out: Option<PathBuf>,

    /// Carry out a plan that was kept; hosts that changed since are left alone
    #[arg(long, value_name = "FILE", conflicts_with_all = ["selectors", "resume"])]
    pub(super) plan: Option<PathBuf>,

    /// Go on with a run: what failed in it or was not attempted
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "last", conflicts_with = "selectors")]
    pub(super) resume: Option<String>,

    #[command(flatten)]
    pub(super) rollout: RolloutArgs,
}

/// Mend what the diagnosis finds, and verify
///
/// Hosts are checked, and each finding that has a remedy becomes a plan: a stray gateway that holds the port is ended
/// (that very process, by its id, start, program and cgroup), the unit is started; of two units one is kept; lingering,
/// permissions and weak settings are set right. It goes the way of `harden`: shown, asked about, batch by batch, armed
/// and verified by a new look. What crashes by itself, and what holds a port and is no gateway, is left alone.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: as those of `harden`; 4 where something was found that has no remedy here."
)]
pub(super) struct FixArgs {
    /// Hosts to mend, as with `check`; with --check all of them where none is named
    #[arg(value_name = "SELECTOR", required_unless_present = "check")]
    pub(super) selectors: Vec<String>,

    /// Only these classes of findings
    #[arg(long = "class", value_name = "CLASS", value_delimiter = ',')]
    pub(super) classes: Vec<String>,

    /// Which of two units stays, where the inventory's service.scope does not say it
    ///
    /// system, user, or user:NAME; on a terminal it is asked
    #[arg(long, value_name = "WHOSE", value_parser = keep)]
    pub(super) keep: Option<Keep>,

    /// End that program, too, where it holds a gateway's port and is no gateway: its name, or its path
    #[arg(long, value_name = "PROGRAM")]
    pub(super) end: Vec<String>,

    /// What a gateway is to use whose configured model it cannot; with --class model-skipped, without which no
    /// configuration is changed
    #[arg(long, value_name = "PROVIDER/MODEL", requires = "classes", value_parser = model)]
    pub(super) model: Option<String>,

    #[command(flatten)]
    pub(super) rollout: RolloutArgs,
}

fn keep(text: &str) -> Result<Keep, String> {
    match text.split_once(':') {
        None if text == "system" => Ok(Keep::System),
        None if text == "user" => Ok(Keep::User(None)),
        Some(("user", name)) if !name.is_empty() => Ok(Keep::User(Some(name.to_owned()))),
        _ => Err("it is one of system, user and user:NAME".into()),
    }
}

fn model(text: &str) -> Result<String, String> {
    if crate::planner::is_model(text) {
        Ok(text.to_owned())
    } else {
        Err("a model is named with its provider, as in anthropic/claude-opus-4-6".into())
    }
}

/// Restart gateways out of band, batch by batch, and verify
///
/// The unit's manager restarts it, so that nothing depends on this session; a fresh connection looks whether the
/// gateway is well afterwards.
#[derive(Debug, clap::Args)]
pub(super) struct RestartArgs {
    /// Hosts whose gateways are restarted, as with `check`
    #[arg(value_name = "SELECTOR", required = true)]
    pub(super) selectors: Vec<String>,

    #[command(flatten)]
    pub(super) rollout: RolloutArgs,
}

/// Put back what a rollout replaced
///
/// It goes the same way as `harden`: looked at, shown, asked about, batch by batch, armed and verified. What
/// somebody changed after that rollout is left as it is.
#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    /// The run, as `history --rollouts` names it, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub(super) run: String,

    /// Only these hosts of it
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,

    /// When units are restarted
    #[arg(long, value_enum, default_value_t = RestartArg::IfChanged, value_name = "WHEN")]
    pub(super) restart: RestartArg,

    #[command(flatten)]
    pub(super) rollout: RolloutArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RestartArg {
    /// Never; what needs a restart waits for the next one
    Never,
    /// Where a setting changes that only a restart brings to a running gateway
    IfChanged,
    /// Wherever something changes
    Always,
}

/// What happens between two batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    Ask,
    For(Duration),
}

impl Pause {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "ask" => Ok(Self::Ask),
            text => time(text).map(Self::For),
        }
    }
}

/// Reads a length of time: `90s`, `5m`, `1h`, `7d`, `250ms`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let ms: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("a time is written like 30s, 5m or 1h".into()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "a time is written like 30s, 5m or 1h")?;
    Ok(Duration::from_millis(number.saturating_mul(ms)))
}

#[derive(Debug, Subcommand)]
pub(super) enum InventoryCommand {
    /// Write a commented example
    Init {
        /// Where to
        #[arg(value_name = "FILE", default_value = "inventory.yaml")]
        file: PathBuf,
    },
    /// List hosts
    List {
        /// Which
        #[arg(value_name = "SELECTOR", default_value = "all")]
        selectors: Vec<String>,
    },
    /// Show every setting of hosts, and where it came from
    Show {
        /// Which
        #[arg(value_name = "SELECTOR", required = true)]
        selectors: Vec<String>,
        /// Show the connection instead: what ssh_config and the inventory make of it together
        #[arg(long)]
        ssh: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum HostsCommand {
    /// Look at the keys of hosts, and enrol them in known_hosts
    Trust(TrustArgs),
}

/// Look at the keys of hosts, and enrol them in known_hosts
///
/// Every host shows its keys and nobody logs in to it. New keys are shown with who vouches for
/// them, and asked about once per group. They are written to the first UserKnownHostsFile of each
/// host, all of them or none.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 all is known or enrolled, 1 keys were left out, 2 a key is changed, revoked or contradicted,\n3 hosts were not reached, 64 there is no terminal to ask on (see --yes)."
)]
pub(super) struct TrustArgs {
    /// Hosts to enrol, as with `check`
    #[arg(value_name = "SELECTOR", required = true)]
    pub(super) selectors: Vec<String>,

    /// Replace the keys of hosts that were re-installed
    #[arg(long)]
    pub(super) replace: bool,

    /// A list that vouches: what `ssh-keygen -lf` prints, `NAME SHA256:…`, or known_hosts lines
    #[arg(long, value_name = "FILE")]
    pub(super) fingerprints: Option<PathBuf>,

    /// A command that vouches: it is run for each host with CLAWFLEET_HOST and CLAWFLEET_ADDRESS,
    /// and prints fingerprints or public keys
    #[arg(long, value_name = "COMMAND")]
    pub(super) vouch: Option<String>,

    /// Ask DNS (SSHFP), which vouches where it is signed and the local resolver checks that
    #[arg(long)]
    pub(super) dns: bool,

    /// Ask nothing: enrol what a source vouches for, and leave the rest
    #[arg(short, long)]
    pub(super) yes: bool,

    /// With --yes: enrol what nobody vouches for, too
    #[arg(long, requires = "yes")]
    pub(super) unvouched: bool,

    /// Which resolvers are asked
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/resolv.conf",
        hide = true
    )]
    pub(super) resolv_conf: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// A class, e.g. orphan-holds-port, or one of your own checks, e.g. custom/queue-depth
    #[arg(value_name = "CLASS")]
    pub(super) class: Option<String>,
}
