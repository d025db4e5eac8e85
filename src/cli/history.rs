//! `clawfleet history`: what was done from this bastion.

use super::args::{Format, HistoryArgs};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::rollout;
use crate::report::{
    RolloutReport, render_rollout, render_rollout_json, render_runs, render_runs_json,
};
use crate::store;

pub(super) fn run(context: &Context, args: &HistoryArgs) -> Result<Exit, CliError> {
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
