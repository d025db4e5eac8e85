//! `clawfleet fix` and `clawfleet restart`: what a diagnosis found is mended on the way that `harden` takes, and
//! looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::args::{FixArgs, Format, KeepArg, RestartArgs, RolloutArgs};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::ground::{Ground, Hosts};
use super::harden;
use super::outside;
use super::rollout::{self, Draft};
use crate::diagnose;
use crate::fleet;
use crate::fleet::rollout::Planning;
use crate::model::{
    Class, Facts, Host, HostReport, Planned, Purpose, RestartWhen, RolloutEnd, TransportKind,
};
use crate::planner::{Keep, Mending, Restarting};
use crate::report::render_before_after;
use crate::rollout::{Survey, SurveyTarget};

pub(super) fn run(context: &Context, args: &FixArgs) -> Result<Exit, CliError> {
    let classes = classes(&args.classes)?;
    let hosts = Hosts::select(context, &args.selectors, rollout::reach(&args.rollout))?;
    let mending = Mender(Mending {
        classes,
        keep: args.keep.map(|keep| match keep {
            KeepArg::System => Keep::System,
            KeepArg::User => Keep::User,
        }),
        hardening: harden::as_the_inventory_says(&hosts.hosts)?,
    });
    mend(
        context,
        hosts,
        Arc::new(mending),
        Purpose::Fix,
        &args.rollout,
    )
}

pub(super) fn restart(context: &Context, args: &RestartArgs) -> Result<Exit, CliError> {
    let hosts = Hosts::select(context, &args.selectors, rollout::reach(&args.rollout))?;
    let here = |host: &Arc<Host>| host.transport == TransportKind::Local;
    if hosts.hosts.iter().any(here) && !args.rollout.check {
        outside::leave_the_unit(context);
    }
    mend(
        context,
        hosts,
        Arc::new(Restarter),
        Purpose::Restart,
        &args.rollout,
    )
}

fn classes(ids: &[String]) -> Result<BTreeSet<Class>, CliError> {
    ids.iter()
        .map(|id| {
            Class::from_id(id).ok_or_else(|| CliError::Usage {
                message: format!("--class: there is no class `{id}`"),
                hint: Some("`clawfleet explain` lists the classes".into()),
            })
        })
        .collect()
}

fn mend(
    context: &Context,
    hosts: Hosts,
    planning: Arc<dyn Planning>,
    purpose: Purpose,
    args: &RolloutArgs,
) -> Result<Exit, CliError> {
    let path = hosts.path.clone();
    hosts.run(context, async |ground| {
        let (seen, entries) = rollout::look_and_plan(context, ground, planning).await;
        let before: Vec<HostReport> = ground
            .hosts
            .iter()
            .zip(seen)
            .map(|(host, observation)| diagnose::judge(host, observation))
            .collect();
        let draft = Draft::new(&path, purpose, RestartWhen::IfChanged, entries, args.check)?;
        let carried = rollout::carry_out(context, ground, draft, args).await?;
        let touched: BTreeSet<&str> = carried
            .results
            .iter()
            .filter(|result| !matches!(result.end, RolloutEnd::NotAttempted(_)))
            .map(|result| result.host.as_str())
            .collect();
        if !touched.is_empty() && context.format == Format::Table {
            let after = look_again(ground, &touched).await;
            let before: Vec<HostReport> = before
                .into_iter()
                .filter(|report| touched.contains(report.name.as_str()))
                .collect();
            context.print(&render_before_after(&before, &after, context.view))?;
        }
        Ok(carried.exit)
    })?
}

async fn look_again(ground: &Ground, touched: &BTreeSet<&str>) -> Vec<HostReport> {
    let hosts: BTreeMap<&str, &Arc<Host>> = ground
        .hosts
        .iter()
        .map(|host| (host.name.as_str(), host))
        .collect();
    let hosts: Vec<Arc<Host>> = touched
        .iter()
        .filter_map(|name| hosts.get(name).map(|host| Arc::clone(host)))
        .collect();
    let observations = fleet::run(
        &hosts,
        Arc::clone(&ground.transport),
        ground.limits,
        Arc::clone(&ground.secrets),
        &ground.cancel,
        |_| {},
    )
    .await;
    hosts
        .iter()
        .zip(observations)
        .map(|(host, observation)| diagnose::judge(host, observation))
        .collect()
}

/// Puts the pure planner before the survey.
struct Mender(Mending);

impl Planning for Mender {
    fn targets(&self, host: &Host, facts: &Facts) -> Vec<Result<SurveyTarget, Planned>> {
        self.0.targets(host, facts)
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

/// As well.
struct Restarter;

impl Planning for Restarter {
    fn targets(&self, host: &Host, facts: &Facts) -> Vec<Result<SurveyTarget, Planned>> {
        Restarting.targets(host, facts)
    }

    fn plan(
        &self,
        host: &Host,
        facts: &Facts,
        target: &SurveyTarget,
        survey: Result<Survey, String>,
    ) -> Planned {
        Restarting.plan(host, facts, target, survey)
    }
}
