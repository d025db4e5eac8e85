//! `clawfleet rollback`: what a run replaced is put back, the way it was brought.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::args::RollbackArgs;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::ground::Hosts;
use super::harden::{host_names, restart_when};
use super::rollout::{self, Draft};
use crate::model::{Purpose, RolloutEnd};
use crate::planner::Reversal;
use crate::store;

pub(super) fn run(context: &Context, args: &RollbackArgs) -> Result<Exit, CliError> {
    let stored = rollout::stored(context, &newest(context, &args.run)?)?;
    rollout::same_inventory(context, &stored.plan)?;
    let run = stored.plan.run.clone();
    let mut plan = stored.plan;
    // Only what may have been changed can be put back. Where nobody knows, the digests tell.
    let untouched: BTreeSet<_> = stored
        .results
        .iter()
        .filter(|result| {
            !matches!(
                result.end,
                RolloutEnd::Applied | RolloutEnd::Unknown(_) | RolloutEnd::RollbackFailed(_)
            )
        })
        .map(|result| (&result.host, &result.unit, &result.owner))
        .collect();
    plan.units
        .retain(|unit| !untouched.contains(&(&unit.host, &unit.unit, &unit.owner)));
    if !args.selectors.is_empty() {
        let chosen = chosen(context, args)?;
        plan.units.retain(|unit| chosen.contains(&unit.host));
    }
    if plan.units.is_empty() {
        context.print(&format!("run {run}: there is nothing to put back\n"))?;
        return Ok(Exit::Clean);
    }
    let hosts = Hosts::named(context, &host_names(&plan), rollout::reach(&args.rollout))?;
    let path = hosts.path.clone();
    let reversal = Arc::new(Reversal {
        plan,
        restart: restart_when(args.restart),
    });
    hosts.run(context, async |ground| {
        let restart = reversal.restart;
        let entries = rollout::survey(context, ground, reversal).await;
        let draft = Draft::new(
            &path,
            Purpose::Rollback { run },
            restart,
            entries,
            args.rollout.check,
        )?;
        let carried = rollout::carry_out(context, ground, draft, &args.rollout).await?;
        Ok(carried.exit)
    })?
}

/// `last` is the last run that was no rollback: asked for twice, it does not bring back what it took away.
fn newest(context: &Context, run: &str) -> Result<String, CliError> {
    if run != "last" {
        return Ok(run.to_owned());
    }
    let (_, path) = context.load_inventory()?;
    let inventory = path.display().to_string();
    let list = store::list_runs(context.state_dir()).map_err(CliError::Machine)?;
    list.runs
        .into_iter()
        .filter(|run| run.inventory == inventory)
        .find(|run| !matches!(run.purpose, Purpose::Rollback { .. }))
        .map(|run| run.run)
        .ok_or_else(|| CliError::Plan {
            message: format!("no rollout was made for {inventory} from this bastion yet"),
            hint: Some("`clawfleet history --rollouts` lists the runs".into()),
        })
}

fn chosen(context: &Context, args: &RollbackArgs) -> Result<BTreeSet<String>, CliError> {
    let (inventory, path) = context.load_inventory()?;
    let selected = context.select(&inventory, &path, &args.selectors)?;
    Ok(selected
        .into_iter()
        .filter_map(|index| inventory.hosts.get(index))
        .map(|host| host.name.clone())
        .collect())
}
