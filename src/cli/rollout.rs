//! What `harden` and `rollback` share: a draft, the question, the rollout, its record and its end.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::args::{Format, RolloutArgs};
use super::between::{BetweenBatches, PlanJudge};
use super::confirm::{self, Choice};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::ground::{Ground, Hosts, Wanted};
use super::harden::host_names;
use super::journal::Journal;
use super::machine;
use crate::fleet::CancelLevel;
use crate::fleet::rollout::{Crew, Order, RolledOut, Times, roll_out, survey as look};
use crate::model::{
    Host, HostObservation, HostOutcome, Plan, Planned, Purpose, Refusal, RestartWhen, RolloutEnd,
    UnitPlan, UnitResult, nodeset,
};
use crate::report::{Progress, RolloutLines};
use crate::rollout::{self, Gate, Planning};
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
            unseen: unseen(&entries),
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

/// The hosts that could not be looked at.
fn unseen(entries: &[(String, Planned)]) -> Vec<String> {
    let unseen = entries
        .iter()
        .filter(|(_, planned)| matches!(planned, Planned::NotObserved(_)));
    unseen.map(|(host, _)| host.clone()).collect()
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
    let looked = look_and_plan(context, ground, &ground.hosts, planning).await;
    entries_of_all(&ground.hosts, looked)
}

/// What was seen of a host, and what is planned for it.
pub(super) type Looked = (HostObservation, Vec<Planned>);

/// Looks at some of the hosts, in their order.
pub(super) async fn look_and_plan(
    context: &Context,
    ground: &Ground,
    hosts: &[Arc<Host>],
    planning: Arc<dyn Planning>,
) -> Vec<Looked> {
    let names = hosts.iter().map(|host| host.name.clone()).collect();
    let mut progress = Progress::new(names, context.progress);
    let looked = look(
        hosts,
        Arc::clone(&ground.transport),
        ground.limits,
        Arc::clone(&ground.secrets),
        planning,
        &ground.cancel,
        |event| progress.on_event(&event),
    )
    .await;
    progress.finish();
    looked
}

/// What a plan says of each host.
pub(super) fn entries_of_all(hosts: &[Arc<Host>], looked: Vec<Looked>) -> Vec<(String, Planned)> {
    let each = hosts.iter().zip(looked);
    each.flat_map(|(host, (observation, plans))| entries_of(host, &observation, plans))
        .collect()
}

fn entries_of(
    host: &Host,
    observation: &HostObservation,
    plans: Vec<Planned>,
) -> Vec<(String, Planned)> {
    let name = || host.name.clone();
    match &observation.outcome {
        HostOutcome::Observed(_) if plans.is_empty() => vec![(
            name(),
            Planned::Nothing {
                unit: host.service.unit.clone(),
                why: "there is no gateway's unit".into(),
            },
        )],
        HostOutcome::Observed(_) => plans
            .into_iter()
            .map(|plan| (name(), sound(plan)))
            .collect(),
        // Seen in part is not seen: nothing is planned on half the facts.
        other => {
            let error = other.error().cloned().unwrap_or_else(|| {
                crate::model::HostError::new(crate::model::Stage::Deadline, other.id())
            });
            vec![(name(), Planned::NotObserved(error))]
        }
    }
}

/// What a host says becomes part of its plan. One that would not be taken from a file is not made either, or it
/// would spoil the whole run's record.
fn sound(planned: Planned) -> Planned {
    match planned {
        Planned::Change(unit) => match rollout::check_unit(&unit) {
            Ok(()) => Planned::Change(unit),
            Err(why) => Planned::Refused(Refusal {
                unit: Some(unit.unit.clone()),
                why: format!("what the host says of it makes no sound plan: {why}"),
                hint: None,
            }),
        },
        other => other,
    }
}

/// The units of a run that are to be gone on with.
pub(super) fn resume(context: &Context, run: &str, args: &RolloutArgs) -> Result<Exit, CliError> {
    let stored = stored(context, run)?;
    same_inventory(context, &stored.plan)?;
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
        if !plan.unseen.is_empty() {
            let hosts = nodeset::fold(plan.unseen.iter().map(String::as_str));
            context.note(&format!(
                "run {}: all that was planned is applied; {hosts} could not be looked at then: plan anew for them",
                plan.run
            ));
            return Ok(Exit::NotObserved);
        }
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

/// A name means another host in another inventory.
pub(super) fn same_inventory(context: &Context, plan: &Plan) -> Result<(), CliError> {
    let (_, path) = context.load_inventory()?;
    if plan.inventory == path.display().to_string() {
        return Ok(());
    }
    Err(CliError::Plan {
        message: format!(
            "run {} was planned for {}, and this inventory is {}",
            plan.run,
            plan.inventory,
            path.display()
        ),
        hint: Some(format!("say -i {}", plan.inventory)),
    })
}

/// A plan from a file changes gateways' units, and nothing else: those that the inventory names, or that are named
/// as the gateway's own installer names them.
fn gateways_only(plan: &Plan, hosts: &[Arc<Host>]) -> Result<(), CliError> {
    let known = |unit: &UnitPlan| {
        let named = hosts
            .iter()
            .filter(|host| host.name == unit.host)
            .any(|host| host.services().any(|service| service.unit == unit.unit));
        named || unit.unit.starts_with("openclaw-gateway")
    };
    match plan.units.iter().find(|unit| !known(unit)) {
        None => Ok(()),
        Some(unit) => Err(CliError::Plan {
            message: format!("{}: {} is no gateway's unit", unit.host, unit.unit),
            hint: Some("name it as the host's service.unit in the inventory, if it is".into()),
        }),
    }
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
    // Those hosts are not asked now.
    plan.unseen.clear();
    let names = host_names(&plan);
    same_inventory(context, &plan)?;
    let hosts = Hosts::named(context, &names, reach(args))?;
    gateways_only(&plan, &hosts.hosts)?;
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
        Ok(carry_out(context, ground, draft, args).await?.exit)
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

/// What came of a draft.
pub(super) struct Carried {
    pub(super) exit: Exit,
    /// One for each unit that was agreed to; none where nothing was to be done.
    pub(super) results: Vec<UnitResult>,
}

impl Carried {
    fn nothing(exit: Exit) -> Self {
        Self {
            exit,
            results: Vec::new(),
        }
    }
}

/// Asks, and does what was agreed to.
pub(super) async fn carry_out(
    context: &Context,
    ground: &Ground,
    mut draft: Draft,
    args: &RolloutArgs,
) -> Result<Carried, CliError> {
    if ground.cancel.level() != CancelLevel::Run {
        return Ok(Carried::nothing(Exit::Interrupted));
    }
    let asks = !args.yes && !args.check && !draft.plan.units.is_empty();
    if args.check || draft.plan.units.is_empty() {
        print_plan(context, &draft)?;
        return Ok(Carried::nothing(pending(&draft)));
    }
    if asks && !confirm::can_ask() {
        print_plan(context, &draft)?;
        return Err(CliError::Usage {
            message: "there is no terminal to ask on, and nothing was changed".into(),
            hint: Some("--yes carries the whole plan out unasked; --check only looks".into()),
        });
    }
    if let Some(why) = gate(&draft, host_names(&draft.plan).len(), args).closed() {
        print_plan(context, &draft)?;
        context.note(&format!(
            "nothing was changed: {}",
            why.replace(" failed,", " could not be looked at,")
        ));
        return Ok(Carried::nothing(Exit::NotObserved));
    }
    let mut declined = 0;
    if asks {
        // Hosts that wait behind a jump for an answer would lose it.
        ground.transport.ssh.close().await;
        match confirm::ask(context, &mut draft, &ground.cancel).await? {
            Choice::Go { declined: left } => declined = left,
            Choice::Interrupted => return Ok(Carried::nothing(Exit::Interrupted)),
            Choice::Quit => return Ok(Carried::nothing(left_out(&draft).unwrap_or(Exit::Pending))),
        }
        if draft.plan.units.is_empty() {
            context.note("nothing was changed");
            return Ok(Carried::nothing(left_out(&draft).unwrap_or(Exit::Pending)));
        }
    } else if context.format == Format::Table {
        print_plan(context, &draft)?;
    }
    let begin = std::time::Instant::now();
    let rolled = apply(context, ground, &draft, args).await?;
    let elapsed_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let stopped = (ground.cancel.level() != CancelLevel::Run).then_some("the operator stopped it");
    let sick = sick_words(&rolled);
    let stopped = stopped.or(rolled.closed.as_deref()).or(sick.as_deref());
    let text = super::plan_views::results(&draft, &rolled.results, elapsed_ms, stopped, context)?;
    context.print(&text)?;
    Ok(Carried {
        exit: exit_of(&rolled, &draft, declined, ground),
        results: rolled.results,
    })
}

async fn apply(
    context: &Context,
    ground: &Ground,
    draft: &Draft,
    args: &RolloutArgs,
) -> Result<RolledOut, CliError> {
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
    ground
        .transport
        .ssh
        .try_jumps_again_after(std::time::Duration::from_secs(3));
    let order = Order {
        plan,
        hosts: &hosts,
        waves: rollout::waves(&names, label, &args.batch),
        gate: gate(draft, names.len(), args),
    };
    let crew = Arc::new(Crew {
        judge: Arc::new(PlanJudge {
            hosts: hosts.clone(),
        }),
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
    let rolled = roll_out(order, crew, &ground.cancel, &mut between, |event| {
        journal.on_event(&event);
        context.show(&lines.on_event(&event));
    })
    .await;
    context.show(&lines.finish());
    if let Some(trouble) = journal.end(&rolled.results) {
        context.note(&format!("the record of this run is not whole: {trouble}"));
    }
    Ok(rolled)
}

/// The gate counts every host that was asked for: one that could not be looked at has failed already.
fn gate(draft: &Draft, planned: usize, args: &RolloutArgs) -> Gate {
    let unseen = draft.plan.unseen.len();
    let mut gate = Gate::new(planned + unseen, args.max_fail);
    for _ in 0..unseen {
        gate.host_ended(true);
    }
    gate
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

/// Hosts that were changed well and were not well any more afterwards.
fn sick_words(rolled: &RolledOut) -> Option<String> {
    let words: Vec<String> = rolled
        .sick
        .iter()
        .map(|sick| format!("{}: {}", sick.host, sick.why))
        .collect();
    (!words.is_empty()).then(|| format!("looked at again after its batch: {}", words.join(", ")))
}

/// The exit code: 6, 5, 2, 3, 4 in this order.
fn exit_of(rolled: &RolledOut, draft: &Draft, declined: usize, ground: &Ground) -> Exit {
    let results = &rolled.results;
    let any = |wanted: fn(&RolloutEnd) -> bool| results.iter().any(|result| wanted(&result.end));
    if any(|end| matches!(end, RolloutEnd::Unknown(_) | RolloutEnd::RollbackFailed(_))) {
        return Exit::UnknownState;
    }
    if any(|end| matches!(end, RolloutEnd::RolledBack(_) | RolloutEnd::Failed(_))) {
        return Exit::RolledBack;
    }
    if rolled.sick.iter().any(|sick| sick.seen) {
        return Exit::Critical;
    }
    if ground.cancel.level() != CancelLevel::Run {
        return Exit::Interrupted;
    }
    let unseen = !rolled.sick.is_empty() || !draft.plan.unseen.is_empty();
    if unseen || any(|end| matches!(end, RolloutEnd::NotReached(_))) {
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
