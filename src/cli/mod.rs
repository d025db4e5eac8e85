//! L5: arguments, environment, exit codes. The only layer that reads the environment.

mod args;
mod args_history;
mod args_notify;
mod args_run;
mod args_schedule;
mod args_watch;
mod audience;
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
mod format;
mod ground;
mod harden;
mod heartbeat;
mod history;
mod history_page;
mod hosts;
mod inventory;
mod journal;
mod keeping;
mod machine;
mod notify;
mod out_dir;
mod outlet;
mod outputs;
mod outside;
mod past;
mod plan_views;
mod rollback;
mod rollout;
mod run;
mod schedule;
mod secrets;
mod signals;
mod silence;
mod stream;
mod vouch;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Command};
use context::Context;
use error::CliError;
pub use exit::Exit;
use format::ReportFormat;

use crate::report::{NagiosState, render_nagios_fault};

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
    if let Some(error) = format::refusal(&args) {
        context.complain(&error);
        return error.exit().into();
    }
    let result = match &args.command {
        Command::Check(check) => check::run(&context, check, args.format),
        Command::Harden(harden) => harden::run(&context, harden),
        Command::Fix(fix) => fix::run(&context, fix),
        Command::Restart(restart) => fix::restart(&context, restart),
        Command::Rollback(rollback) => rollback::run(&context, rollback),
        Command::Run(args) => run::run(&context, args),
        Command::Copy(args) => copy::run(&context, args),
        Command::History(history) => history::run(&context, history),
        Command::Report(args) => history_page::run(&context, args),
        Command::Silence(args) => silence::run(&context, args),
        Command::Inventory(inventory) => inventory::run(&context, inventory),
        Command::Hosts(hosts) => hosts::run(&context, hosts),
        Command::Notify(command) => notify::run(&context, command),
        Command::Schedule(command) => schedule::run(&context, command),
        Command::Explain(explain) => explain::run(&context, explain),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(CliError::OutputClosed) => Exit::Clean.into(),
        Err(error) => {
            context.complain(&error);
            // Whoever reads a plugin's output reads nothing else.
            if args.format == ReportFormat::Nagios {
                let _ = context.print(&render_nagios_fault(&error.to_string()));
                return Exit::Monitored(NagiosState::Unknown).into();
            }
            error.exit().into()
        }
    }
}
