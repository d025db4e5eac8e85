//! `clawfleet fix` and `clawfleet restart`: what a diagnosis found is mended on the way that `harden` takes, and
//! looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::args::{FixArgs, Format, RestartArgs, RolloutArgs};
use super::confirm;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::ground::{Ground, Hosts};
use super::harden;
use super::keeping;
use super::outside;
use super::rollout::{self, Draft, Looked};
use crate::diagnose;
use crate::fleet;
use crate::model::{Class, Host, HostReport, Purpose, RestartWhen, RolloutEnd, TransportKind};
use crate::planner::{Keeping, Mending, Restarting};
use crate::report::render_before_after;

pub(super) fn run(context: &Context, args: &FixArgs) -> Result<Exit, CliError> {
    let classes = classes(&args.classes)?;
    if args.model.is_some() && !classes.contains(&Class::ModelSkipped) {
        return Err(CliError::Usage {
            message: "--model is for what --class model-skipped mends".into(),
            hint: None,
        });
    }
    let every = ["all".to_owned()];
    let selectors = if args.selectors.is_empty() {
        &every[..]
    } else {
        &args.selectors
    };
    let hosts = Hosts::select(context, selectors, rollout::reach(&args.rollout))?;
    let mending = Mending {
        classes,
        keeping: Keeping {
            everywhere: args.keep.clone(),
            ..Keeping::default()
        },
        ended: args.end.iter().cloned().collect(),
        model: args.model.clone(),
        hardening: Arc::new(harden::as_the_inventory_says(&hosts.hosts)?),
    };
    let path = hosts.path.clone();
    hosts.run(context, async |ground| {
        let mending = Arc::new(mending);
        let mut looked =
            rollout::look_and_plan(context, ground, &ground.hosts, Arc::clone(&mending) as _).await;
        let asks = !args.rollout.yes && !args.rollout.check && confirm::can_ask();
        if asks && !keeping::decide(context, ground, mending, &mut looked).await {
            return Ok(Exit::Interrupted);
        }
        mend(
            context,
            ground,
            &path,
            looked,
            (Purpose::Fix, &args.rollout),
        )
        .await
    })?
}

pub(super) fn restart(context: &Context, args: &RestartArgs) -> Result<Exit, CliError> {
    let hosts = Hosts::select(context, &args.selectors, rollout::reach(&args.rollout))?;
    let here = |host: &Arc<Host>| host.transport == TransportKind::Local;
    if hosts.hosts.iter().any(here) && !args.rollout.check {
        outside::leave_the_unit(context);
    }
    let path = hosts.path.clone();
    hosts.run(context, async |ground| {
        let planning = Arc::new(Restarting);
        let looked = rollout::look_and_plan(context, ground, &ground.hosts, planning).await;
        mend(
            context,
            ground,
            &path,
            looked,
            (Purpose::Restart, &args.rollout),
        )
        .await
    })?
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

async fn mend(
    context: &Context,
    ground: &Ground,
    path: &Path,
    looked: Vec<Looked>,
    (purpose, args): (Purpose, &RolloutArgs),
) -> Result<Exit, CliError> {
    let hosts = ground.hosts.iter();
    let before: Vec<HostReport> = hosts
        .zip(&looked)
        .map(|(host, (observation, _))| diagnose::judge(host, observation.clone()))
        .collect();
    let entries = rollout::entries_of_all(&ground.hosts, looked);
    let draft = Draft::new(path, purpose, RestartWhen::IfChanged, entries, args.check)?;
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
