//! L5: arguments, environment, exit codes. The only layer that reads the environment.

mod args;
mod args_run;
mod beside;
mod between;
mod check;
mod confirm;
mod connection;
mod context;
mod copy;
mod enrolment;
mod error;
mod exit;
mod explain;
mod fix;
mod ground;
mod harden;
mod history;
mod hosts;
mod inventory;
mod journal;
mod keeping;
mod machine;
mod out_dir;
mod outlet;
mod outside;
mod plan_views;
mod rollback;
mod rollout;
mod run;
mod secrets;
mod signals;
mod vouch;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Command, Format};
use context::Context;
use error::CliError;
pub use exit::Exit;

/// Runs the program with these arguments, the first of which is its name.
pub fn run(args: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            // Help and version are answers, everything else is usage (64, by the contract).
            let answer = !error.use_stderr();
            let printed = error.print();
            return match (answer, printed) {
                (true, Ok(())) => Exit::Clean.into(),
                _ => Exit::Usage.into(),
            };
        }
    };
    let context = Context::new(&args);
    if args.format == Format::Ndjson && !matches!(args.command, Command::Run(_) | Command::Copy(_))
    {
        context.complain(&CliError::Usage {
            message: "--format ndjson is for `run` and `copy`".into(),
            hint: Some("--format json prints one object".into()),
        });
        return Exit::Usage.into();
    }
    let result = match &args.command {
        Command::Check(check) => check::run(&context, check),
        Command::Harden(harden) => harden::run(&context, harden),
        Command::Fix(fix) => fix::run(&context, fix),
        Command::Restart(restart) => fix::restart(&context, restart),
        Command::Rollback(rollback) => rollback::run(&context, rollback),
        Command::Run(args) => run::run(&context, args),
        Command::Copy(args) => copy::run(&context, args),
        Command::History(history) => history::run(&context, history),
        Command::Inventory(inventory) => inventory::run(&context, inventory),
        Command::Hosts(hosts) => hosts::run(&context, hosts),
        Command::Explain(explain) => explain::run(&context, explain),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(CliError::OutputClosed) => Exit::Clean.into(),
        Err(error) => {
            context.complain(&error);
            error.exit().into()
        }
    }
}
