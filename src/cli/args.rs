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
    /// Enrol the keys of hosts
    #[command(subcommand)]
    Hosts(HostsCommand),
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
