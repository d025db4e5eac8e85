//! What `harden` and `rollback` share: a draft, the question, the rollout, its record and its end.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::args::{Format, Pause, RolloutArgs};
use super::confirm::{self, Choice};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::ground::{Ground, Hosts, Wanted};
use super::harden::host_names;
use super::journal::Journal;
use super::machine;
use crate::fleet::rollout::{
    Between, Crew, Judge, Order, Planning, Seen, Times, roll_out, survey as look,
};
use crate::fleet::{self, CancelLevel};
use crate::model::{
    Class, Host, HostObservation, HostOutcome, Plan, Planned, Purpose, RestartWhen, RolloutEnd,
    Standing, UnitPlan, UnitResult,
};
use crate::planner;
use crate::report::{Progress, RolloutLines};
use crate::rollout::{self, Gate, Health};
use crate::store::{self, RolloutLock};

/// A plan before anybody agreed to it, and what it leaves alone.
pub(super) struct Draft {
    pub(super) plan: Plan,
    /// Every host of the selection with what is made of it, in order.
    pub(super) entries: Vec<(String, Planned)>,
    /// Whether it is only looked at.
    pub(super) check_only: bool,
}

impl Draft {
    pub(super) fn new(
        inventory: &Path,
        purpose: Purpose,
        restart: RestartWhen,
        entries: Vec<(String, Planned)>,
        check_only: bool,
    ) -> Result<Self, CliError> {
        let now = jiff::Timestamp::now();
        let plan = Plan {
            schema: "clawfleet.plan/1".into(),
            run: run_id(now)?,
            made_at: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            made_by: machine::who(),
            inventory: inventory.display().to_string(),
            purpose,
            restart,
            units: changes(&entries),
        };
        Ok(Self {
            plan,
            entries,
            check_only,
        })
    }
}

fn changes(entries: &[(String, Planned)]) -> Vec<UnitPlan> {
    entries
        .iter()
        .filter_map(|(_, planned)| match planned {
            Planned::Change(unit) => Some(unit.as_ref().clone()),
            _ => None,
        })
        .collect()
}

fn run_id(now: jiff::Timestamp) -> Result<String, CliError> {
    let mut random = [0_u8; 3];
    getrandom::fill(&mut random).map_err(|error| {
        CliError::Machine(format!("the system gives no random numbers: {error}"))
    })?;
    let time = now.strftime("%Y%m%d-%H%M%S");
    let [a, b, c] = random;
    Ok(format!("{time}-{a:02x}{b:02x}{c:02x}"))
}

/// Looks at the hosts and plans. Nothing is written there.
pub(super) async fn survey(
    context: &Context,
    ground: &Ground,
    planning: Arc<dyn Planning>,
) -> Vec<(String, Planned)> {
    let names = ground.hosts.iter().map(|host| host.name.clone()).collect();
    let mut progress = Progress::new(names, context.progress);
    let seen = look(
        &ground.hosts,
        Arc::clone(&ground.transport),
        ground.limits,
        Arc::clone(&ground.secrets),
        planning,
        &ground.cancel,
        |event| progress.on_event(&event),
    )
    .await;
    progress.finish();
    ground
        .hosts
        .iter()
        .zip(seen)
        .flat_map(|(host, (observation, plans))| entries_of(host, observation, plans))
        .collect()
}

fn entries_of(
    host: &Host,
    observation: HostObservation,
    plans: Vec<Planned>,
) -> Vec<(String, Planned)> {
    let name = || host.name.clone();
    match observation.outcome {
        HostOutcome::Observed(_) if plans.is_empty() => vec![(
            name(),
            Planned::Nothing {
                unit: host.service.unit.clone(),
                why: "there is no gateway's unit".into(),
            },
        )],
        HostOutcome::Observed(_) => plans.into_iter().map(|plan| (name(), plan)).collect(),
        // Seen in part is not seen: nothing is planned on half the facts.
        other => {
            let error = other.error().cloned().unwrap_or_else(|| {
                crate::model::HostError::new(crate::model::Stage::Deadline, other.id())
            });
            vec![(name(), Planned::NotObserved(error))]
        }
    }
}

/// The units of a run that are to be gone on with.
pub(super) fn resume(context: &Context, run: &str, args: &RolloutArgs) -> Result<Exit, CliError> {
    let stored = stored(context, run)?;
    let done: BTreeSet<_> = stored
        .results
        .iter()
        .filter(|result| result.end == RolloutEnd::Applied)
        .map(|result| (&result.host, &result.unit, &result.owner))
        .collect();
    let mut plan = stored.plan.clone();
    plan.units
        .retain(|unit| !done.contains(&(&unit.host, &unit.unit, &unit.owner)));
    if plan.units.is_empty() {
        context.print(&format!("run {}: everything in it is applied\n", plan.run))?;
        return Ok(Exit::Clean);
    }
    again(context, plan, args)
}

pub(super) fn stored(context: &Context, run: &str) -> Result<store::StoredRun, CliError> {
    let fault = |message| CliError::Plan {
        message,
        hint: Some("`clawfleet history --rollouts` lists the runs".into()),
    };
    let stored = store::read_run(context.state_dir(), run).map_err(fault)?;
    rollout::validate(&stored.plan).map_err(fault)?;
    Ok(stored)
}

/// Carries out a plan that was kept. What changed since is found by its digests.
pub(super) fn again(
    context: &Context,
    mut plan: Plan,
    args: &RolloutArgs,
) -> Result<Exit, CliError> {
    rollout::validate(&plan).map_err(|message| CliError::Plan {
        message,
        hint: Some("a plan is not edited by hand; make a new one with --out".into()),
    })?;
    let names = host_names(&plan);
    let hosts = Hosts::named(context, &names, reach(args))?;
    plan.run = run_id(jiff::Timestamp::now())?;
    plan.made_by = machine::who();
    let entries = plan
        .units
        .iter()
        .map(|unit| (unit.host.clone(), Planned::Change(Box::new(unit.clone()))))
        .collect();
    let draft = Draft {
        plan,
        entries,
        check_only: args.check,
    };
    hosts.run(context, async |ground| {
        carry_out(context, ground, draft, args).await
    })?
}

pub(super) fn reach(args: &RolloutArgs) -> Wanted {
    Wanted {
        forks: args.reach.forks,
        handshakes: args.reach.handshakes,
        login: args.reach.login,
        takes: None,
    }
}

/// Prints the rendered files.
pub(super) fn show(context: &Context, draft: &Draft) -> Result<Exit, CliError> {
    context.print(&super::plan_views::files(draft, context))?;
    Ok(left_out(draft).unwrap_or(Exit::Clean))
}

/// Keeps the plan in a file.
pub(super) fn keep(context: &Context, draft: &Draft, file: &Path) -> Result<Exit, CliError> {
    print_plan(context, draft)?;
    store::write_plan_file(file, &draft.plan).map_err(CliError::Machine)?;
    context.note(&format!(
        "the plan is kept in {}; `clawfleet harden --plan {}` carries it out",
        file.display(),
        file.display()
    ));
    Ok(pending(draft))
}

fn print_plan(context: &Context, draft: &Draft) -> Result<(), CliError> {
    context.print(&super::plan_views::plan(draft, context)?)
}

/// What a draft that is carried out by nobody ends with.
fn pending(draft: &Draft) -> Exit {
    match left_out(draft) {
        Some(exit) => exit,
        None if draft.plan.units.is_empty() => Exit::Clean,
        None => Exit::Pending,
    }
}

/// What is left out of a draft, as an exit code: hosts that were not seen go before changes that are pending.
fn left_out(draft: &Draft) -> Option<Exit> {
    let any =
        |wanted: fn(&Planned) -> bool| draft.entries.iter().any(|(_, planned)| wanted(planned));
    if any(|planned| matches!(planned, Planned::NotObserved(_))) {
        return Some(Exit::NotObserved);
    }
    any(|planned| matches!(planned, Planned::Refused(_))).then_some(Exit::Pending)
}

/// Asks, and does what was agreed to.
pub(super) async fn carry_out(
    context: &Context,
    ground: &Ground,
    mut draft: Draft,
    args: &RolloutArgs,
) -> Result<Exit, CliError> {
    if ground.cancel.level() != CancelLevel::Run {
        return Ok(Exit::Interrupted);
    }
    let asks = !args.yes && !args.check && !draft.plan.units.is_empty();
    if args.check || draft.plan.units.is_empty() {
        print_plan(context, &draft)?;
        return Ok(pending(&draft));
    }
    if asks && !confirm::can_ask() {
        print_plan(context, &draft)?;
        return Err(CliError::Usage {
            message: "there is no terminal to ask on, and nothing was changed".into(),
            hint: Some("--yes carries the whole plan out unasked; --check only looks".into()),
        });
    }
    let mut declined = 0;
    if asks {
        // Hosts that wait behind a jump for an answer would lose it.
        ground.transport.ssh.close().await;
        match confirm::ask(context, &mut draft).await? {
            Choice::Go { declined: left } => declined = left,
            Choice::Quit => return Ok(Exit::Pending),
        }
        if draft.plan.units.is_empty() {
            context.note("nothing was changed");
            return Ok(Exit::Pending);
        }
    } else if context.format == Format::Table {
        print_plan(context, &draft)?;
    }
    let begin = std::time::Instant::now();
    let results = apply(context, ground, &draft, args).await?;
    let elapsed_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let stopped = (ground.cancel.level() != CancelLevel::Run).then_some("the operator stopped it");
    let text = super::plan_views::results(&draft, &results, elapsed_ms, stopped, context)?;
    context.print(&text)?;
    Ok(exit_of(&results, &draft, declined, ground))
}

async fn apply(
    context: &Context,
    ground: &Ground,
    draft: &Draft,
    args: &RolloutArgs,
) -> Result<Vec<UnitResult>, CliError> {
    let plan = &draft.plan;
    let _lock =
        RolloutLock::take(context.state_dir(), &plan.run, &plan.made_by).map_err(|fault| {
            match fault {
                store::LockFault::Held { by } => CliError::Locked(by),
                store::LockFault::Failed(why) => CliError::Machine(why),
            }
        })?;
    let mut journal = Journal::begin(context.state_dir(), plan)?;
    let names: Vec<String> = {
        let mut names: Vec<String> = Vec::new();
        for unit in &plan.units {
            if !names.contains(&unit.host) {
                names.push(unit.host.clone());
            }
        }
        names
    };
    let hosts: HashMap<String, Arc<Host>> = ground
        .hosts
        .iter()
        .map(|host| (host.name.clone(), Arc::clone(host)))
        .collect();
    let label = |name: &str| {
        let label = args.spread.as_ref()?;
        hosts.get(name)?.labels.get(label).cloned()
    };
    let times = times(args, context);
    let order = Order {
        plan,
        hosts: &hosts,
        waves: rollout::waves(&names, label, &args.batch),
        gate: Gate::new(names.len(), args.max_fail),
    };
    let crew = Arc::new(Crew {
        judge: Arc::new(PlanJudge),
        who: plan.made_by.clone(),
        times,
        transport: Arc::clone(&ground.transport),
        limits: ground.limits,
        secrets: Arc::clone(&ground.secrets),
    });
    let mut between = BetweenBatches {
        ground,
        args,
        plan,
        hosts: &hosts,
    };
    let mut lines = RolloutLines::new(&plan.units, context.stderr_view());
    let results = roll_out(order, crew, &ground.cancel, &mut between, |event| {
        journal.on_event(&event);
        context.show(&lines.on_event(&event));
    })
    .await;
    context.show(&lines.finish());
    if let Some(trouble) = journal.end(&results) {
        context.note(&format!("the record of this run is not whole: {trouble}"));
    }
    Ok(results)
}

/// The undo is due only after everything that may take its time.
fn times(args: &RolloutArgs, context: &Context) -> Times {
    let least = args.settle + args.well_within + std::time::Duration::from_secs(30);
    let undo_after = if args.undo_after < least {
        context.note(&format!(
            "the undo is armed for {} s: --well-within and --settle together take that long",
            least.as_secs()
        ));
        least
    } else {
        args.undo_after
    };
    Times {
        undo_after: (!args.no_arm).then_some(undo_after),
        settle: args.settle,
        well_within: args.well_within,
    }
}

/// The exit code: 6, 5, 3, 4 in this order.
fn exit_of(results: &[UnitResult], draft: &Draft, declined: usize, ground: &Ground) -> Exit {
    let any = |wanted: fn(&RolloutEnd) -> bool| results.iter().any(|result| wanted(&result.end));
    if any(|end| matches!(end, RolloutEnd::Unknown(_) | RolloutEnd::RollbackFailed(_))) {
        return Exit::UnknownState;
    }
    if any(|end| matches!(end, RolloutEnd::RolledBack(_) | RolloutEnd::Failed(_))) {
        return Exit::RolledBack;
    }
    if ground.cancel.level() != CancelLevel::Run {
        return Exit::Interrupted;
    }
    if any(|end| matches!(end, RolloutEnd::NotReached(_))) {
        return Exit::NotObserved;
    }
    match left_out(draft) {
        Some(exit) => exit,
        None if declined > 0
            || any(|end| {
                matches!(
                    end,
                    RolloutEnd::Drifted(_) | RolloutEnd::Locked(_) | RolloutEnd::NotAttempted(_)
                )
            }) =>
        {
            Exit::Pending
        }
        None => Exit::Clean,
    }
}

/// Puts the pure judge before the rollout.
struct PlanJudge;

impl Judge for PlanJudge {
    fn properties(&self, plan: &UnitPlan) -> Vec<String> {
        planner::properties(plan)
    }

    fn health(&self, plan: &UnitPlan, seen: Seen<'_>) -> Health {
        let Seen {
            facts,
            shown,
            main_pid_before,
            undone,
        } = seen;
        planner::health(plan, facts, shown, main_pid_before, undone)
    }
}

/// What says that a gateway does not do its work. Other findings were there before, or are no matter of a
/// rollout.
const OF_LIFE: [Class; 9] = [
    Class::OrphanHoldsPort,
    Class::DuplicateUnit,
    Class::LeftoverProcess,
    Class::ForeignProcessOnPort,
    Class::RestartLoop,
    Class::TrueCrash,
    Class::ConfigError,
    Class::GatewayDown,
    Class::GatewayHung,
];

/// Between two batches the finished one is checked, and then the operator is waited for.
struct BetweenBatches<'a> {
    ground: &'a Ground,
    args: &'a RolloutArgs,
    plan: &'a Plan,
    hosts: &'a HashMap<String, Arc<Host>>,
}

impl Between for BetweenBatches<'_> {
    async fn next(
        &mut self,
        batch: usize,
        hosts: &[String],
        results: &[UnitResult],
    ) -> Option<String> {
        let was_well = |host: &str| {
            let units = self.plan.units.iter().filter(|unit| unit.host == host);
            units.clone().count() > 0 && units.clone().all(|unit| unit.before == Standing::Well)
        };
        let applied: Vec<Arc<Host>> = hosts
            .iter()
            .filter(|name| {
                let mut of_host = results.iter().filter(|result| result.host == **name);
                of_host.any(|result| result.end == RolloutEnd::Applied) && was_well(name)
            })
            .filter_map(|name| self.hosts.get(name).cloned())
            .collect();
        if let Some(why) = self.gate(&applied).await {
            return Some(why);
        }
        match self.args.pause {
            None => None,
            Some(Pause::For(time)) => {
                let mut cancelled = self.ground.cancel.subscribe();
                tokio::select! {
                    () = tokio::time::sleep(time) => {}
                    _ = cancelled.changed() => {}
                }
                None
            }
            Some(Pause::Ask) => {
                self.ground.transport.ssh.close().await;
                let go = confirm::yes_or_no(format!("Batch {batch} is done. Go on?")).await;
                (!go).then(|| "the operator stopped after this batch".to_owned())
            }
        }
    }
}

impl BetweenBatches<'_> {
    /// Runs a check on the finished batch. A gateway that was well when it was verified and is not now closes
    /// the gate.
    async fn gate(&self, applied: &[Arc<Host>]) -> Option<String> {
        let observations = fleet::run(
            applied,
            Arc::clone(&self.ground.transport),
            self.ground.limits,
            Arc::clone(&self.ground.secrets),
            &self.ground.cancel,
            |_| {},
        )
        .await;
        let bad: Vec<String> = applied
            .iter()
            .zip(observations)
            .filter_map(|(host, observation)| {
                let report = crate::diagnose::judge(host, observation);
                let worst = report
                    .findings
                    .iter()
                    .find(|finding| OF_LIFE.contains(&finding.class));
                match (report.observation.outcome.facts(), worst) {
                    (None, _) => Some(format!("{} could not be checked", host.name)),
                    (_, Some(finding)) => Some(format!("{}: {}", host.name, finding.class.id())),
                    _ => None,
                }
            })
            .collect();
        if bad.is_empty() {
            return None;
        }
        Some(format!(
            "the check of the finished batch: {}",
            bad.join(", ")
        ))
    }
}
