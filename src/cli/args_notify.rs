//! The arguments of `notify`.

use std::time::Duration;

use clap::Subcommand;

/// What is done with the channels that alerts go to.
#[derive(Debug, Subcommand)]
pub(super) enum NotifyCommand {
    /// Send a test alert, and say what each channel made of it
    #[command(
        after_help = "Exit codes: 0 every channel took it, 1 one did not, 64 there is no such channel,\n78 the inventory's `notify` is at fault, or a secret is missing."
    )]
    Test {
        /// Only this channel
        #[arg(value_name = "CHANNEL")]
        channel: Option<String>,

        /// How long to try, with what has to be tried again
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = super::args::time)]
        deadline: Duration,
    },
    /// List the channels, what each gets, and where its secrets come from
    List,
}
