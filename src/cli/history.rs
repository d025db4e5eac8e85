//! `clawfleet history`: what was done from this bastion.

use super::args::{Format, HistoryArgs};
use super::args_watch::{HistoryCommand, PruneArgs};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::rollout;
use crate::report::{
    RolloutReport, render_rollout, render_rollout_json, render_runs, render_runs_json,
};
use crate::store;

pub(super) fn run(context: &Context, args: &HistoryArgs) -> Result<Exit, CliError> {
    if let Some(HistoryCommand::Prune(args)) = &args.command {
        return prune(context, *args);
    }
    if let Some(run) = &args.run {
        return one(context, run);
    }
    let list = store::list_runs(context.state_dir()).map_err(CliError::Machine)?;
    for trouble in &list.unreadable {
        context.note(trouble);
    }
    let text = match context.format {
        Format::Table => render_runs(&list.runs, context.view),
        Format::Json | Format::Ndjson => render_runs_json(&list.runs)
            .map_err(|error| CliError::Machine(format!("as JSON: {error}")))?,
    };
    context.print(&text)?;
    Ok(Exit::Clean)
}

fn prune(context: &Context, args: PruneArgs) -> Result<Exit, CliError> {
    let keep = store::Keep {
        age: args.keep,
        bytes: args.max_size,
    };
    let dir = context
        .kept_in()
        .ok_or_else(|| CliError::Machine("HOME is not set: there is no history".into()))?;
    let pruned = store::History::open_existing(dir)
        .and_then(|mut history| history.prune(keep, jiff::Timestamp::now()))
        .map_err(|fault| CliError::Machine(fault.to_string()))?;
    let text = match context.format {
        Format::Table => format!(
            "removed {} runs and {} records; the history holds {} kB, before {} kB\n",
            pruned.runs,
            pruned.rows,
            pruned.bytes_after / 1000,
            pruned.bytes_before / 1000
        ),
        Format::Json | Format::Ndjson => format!(
            "{{\"bytes_after\": {}, \"bytes_before\": {}, \"records\": {}, \"runs\": {}, \"schema\": \"clawfleet.pruned/1\"}}\n",
            pruned.bytes_after, pruned.bytes_before, pruned.rows, pruned.runs
        ),
    };
    context.print(&text)?;
    Ok(Exit::Clean)
}

fn one(context: &Context, run: &str) -> Result<Exit, CliError> {
    let stored = rollout::stored(context, run)?;
    let report = RolloutReport {
        run: &stored.plan.run,
        purpose: &stored.plan.purpose,
        results: &stored.results,
        stopped: None,
        elapsed_ms: 0,
    };
    let text = match context.format {
        Format::Table => render_rollout(&report, context.view),
        Format::Json | Format::Ndjson => render_rollout_json(&report)
            .map_err(|error| CliError::Machine(format!("as JSON: {error}")))?,
    };
    context.print(&text)?;
    Ok(Exit::Clean)
}
