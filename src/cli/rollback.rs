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
use crate::fleet::rollout::Planning;
use crate::model::{Facts, Host, Planned, Purpose, RolloutEnd};
use crate::planner::Reversal;
use crate::rollout::{Survey, SurveyTarget};

pub(super) fn run(context: &Context, args: &RollbackArgs) -> Result<Exit, CliError> {
    let stored = rollout::stored(context, &args.run)?;
    let run = stored.plan.run.clone();
    let mut plan = stored.plan;
    // Only what may have been changed can be put back. Where nobody knows, the digests tell.
    let untouched: BTreeSet<(&str, &str)> = stored
        .results
        .iter()
        .filter(|result| {
            !matches!(
                result.end,
                RolloutEnd::Applied | RolloutEnd::Unknown(_) | RolloutEnd::RollbackFailed(_)
            )
        })
        .map(|result| (result.host.as_str(), result.unit.as_str()))
        .collect();
    plan.units
        .retain(|unit| !untouched.contains(&(unit.host.as_str(), unit.unit.as_str())));
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
        restart: restart_when(args.rollout.restart),
    });
    hosts.run(context, async |ground| {
        let entries = rollout::survey(context, ground, Arc::new(Back(Arc::clone(&reversal)))).await;
        let draft = Draft::new(
            &path,
            Purpose::Rollback { run },
            reversal.restart,
            entries,
            args.rollout.check,
        )?;
        rollout::carry_out(context, ground, draft, &args.rollout).await
    })?
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

/// Puts the pure planner before the survey.
struct Back(Arc<Reversal>);

impl Planning for Back {
    fn targets(&self, host: &Host, _: &Facts) -> Vec<Result<SurveyTarget, Planned>> {
        self.0.targets(host)
    }

    fn plan(
        &self,
        host: &Host,
        facts: &Facts,
        target: &SurveyTarget,
        survey: Result<Survey, String>,
    ) -> Planned {
        self.0.plan(host, facts, target, survey)
    }
}
