//! The command line as it is typed.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

/// Check fleets of OpenClaw gateways over SSH
///
/// clawfleet logs in to every host of an inventory at once, runs one read-only probe on each, and
/// shows one table with a diagnosis per host. Nothing is installed on a host: a login over SSH and
/// a POSIX sh are all it needs.
#[derive(Debug, Parser)]
#[command(name = "clawfleet", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 clean, 1 warnings (--fail-on), 2 critical findings, 3 hosts not observed,\n64 usage, 78 inventory at fault, 130 interrupted."
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
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(super) format: Format,

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
pub(super) enum Format {
    /// For people
    Table,
    /// One JSON object, clawfleet.report/1
    Json,
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
    /// Make, list or explain the inventory
    #[command(subcommand)]
    Inventory(InventoryCommand),
    /// Say what a class of finding means; without a class, list them
    Explain(ExplainArgs),
}

/// Probe hosts and diagnose their gateways
///
/// Selectors: all, VM151, VM[151-153,160], VM15*, @group, label=value, @failed and @unreachable
/// (of the last run). Operators, read from left to right: `,` union, `!` difference,
/// `&` intersection, `^` symmetric difference. Several selectors are a union.
#[derive(Debug, clap::Args)]
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

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// A class, e.g. orphan-holds-port, or one of your own checks, e.g. custom/queue-depth
    #[arg(value_name = "CLASS")]
    pub(super) class: Option<String>,
}
