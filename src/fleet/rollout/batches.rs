//! The fleet's side of a rollout: batch after batch, until all is done or the gate closes.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::{Crew, unit};
use crate::fleet::{Cancel, CancelLevel};
use crate::model::{Host, Plan, RolloutEnd, RolloutEvent, RolloutStep, UnitPlan, UnitResult};
use crate::rollout::Gate;

/// What is rolled out, and in which order.
pub struct Order<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The hosts of the inventory, by name.
    pub hosts: &'a HashMap<String, Arc<Host>>,
    /// The hosts' names, batch by batch.
    pub waves: Vec<Vec<String>>,
    /// Counts failures.
    pub gate: Gate,
}

/// What is decided between two batches.
pub trait Between {
    /// Looks again at the hosts that a batch changed, and names those that are not well any more.
    fn check(&mut self, results: &[UnitResult]) -> impl Future<Output = Vec<Sick>>;

    /// Waits, or asks. Says why no further batch follows, where that is so.
    fn pause(&mut self, batch: usize) -> impl Future<Output = Option<String>>;
}

/// A host whose change was kept, and that was not well when it was looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sick {
    /// The host.
    pub host: String,
    /// What is wrong.
    pub why: String,
    /// Whether that was seen; else the host did not answer.
    pub seen: bool,
}

/// What came of a rollout.
#[derive(Debug)]
pub struct RolledOut {
    /// One result for each unit of the plan, in its order.
    pub results: Vec<UnitResult>,
    /// Hosts that were not well any more when their batch was over.
    pub sick: Vec<Sick>,
    /// Why not all of it was done, or what was found in the end.
    pub closed: Option<String>,
}

/// Carries a plan out.
pub async fn roll_out(
    order: Order<'_>,
    crew: Arc<Crew>,
    cancel: &Cancel,
    between: &mut impl Between,
    mut watch: impl FnMut(RolloutEvent<'_>),
) -> RolledOut {
    let handshakes = Arc::new(Semaphore::new(crew.limits.handshakes));
    let mut fleet = Fleet {
        results: vec![None; order.plan.units.len()],
        closed: order.gate.closed(),
        gate: order.gate,
        sick: Vec::new(),
    };
    let batches = order.waves.len();
    for (index, hosts) in order.waves.iter().enumerate() {
        if fleet.closed.is_some() || cancel.level() != CancelLevel::Run {
            break;
        }
        watch(RolloutEvent::BatchStarted {
            batch: index + 1,
            of: batches,
            hosts,
        });
        let mut batch = Batch {
            queue: hosts.iter().rev().collect(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
        };
        let (steps, mut told) = mpsc::unbounded_channel();
        let mut cancelled = cancel.subscribe();
        loop {
            while batch.tasks.len() < crew.limits.forks
                && fleet.closed.is_none()
                && cancel.level() == CancelLevel::Run
            {
                let Some(name) = batch.queue.pop() else { break };
                let Some(host) = order.hosts.get(name) else {
                    continue;
                };
                let units: Vec<(usize, UnitPlan)> = of_host(order.plan, name);
                let work = one_host(
                    units.clone(),
                    order.plan.run.clone(),
                    Means {
                        host: Arc::clone(host),
                        crew: Arc::clone(&crew),
                        handshakes: Arc::clone(&handshakes),
                        cancel: cancel.clone(),
                    },
                    steps.clone(),
                );
                let task = batch.tasks.spawn(work);
                batch.running.insert(task.id(), units);
            }
            if batch.tasks.is_empty() {
                break;
            }
            tokio::select! {
                Some((unit, step)) = told.recv() => watch(RolloutEvent::Step { unit, step }),
                Some(joined) = batch.tasks.join_next_with_id() => {
                    let results = match joined {
                        Ok((id, results)) => {
                            batch.running.remove(&id);
                            results
                        }
                        // A panic is a bug of ours. What it left on the host, nobody knows.
                        Err(error) => broken(batch.running.remove(&error.id()), &error.to_string()),
                    };
                    while let Ok((unit, step)) = told.try_recv() {
                        watch(RolloutEvent::Step { unit, step });
                    }
                    fleet.host_ended(results, &mut watch);
                }
                Ok(()) = cancelled.changed() => {
                    if cancel.level() == CancelLevel::Drain {
                        watch(RolloutEvent::Draining);
                    }
                }
            }
        }
        let done: Vec<UnitResult> = fleet
            .results
            .iter()
            .flatten()
            .filter(|result| hosts.contains(&result.host))
            .cloned()
            .collect();
        let last = index + 1 == batches;
        if cancel.level() == CancelLevel::Run {
            let sick = between.check(&done).await;
            fleet.fell_ill(sick);
        }
        if !last && fleet.closed.is_none() && cancel.level() == CancelLevel::Run {
            fleet.closed = between.pause(index + 1).await;
        }
        watch(RolloutEvent::BatchFinished {
            batch: index + 1,
            closed: fleet.closed.as_deref(),
        });
    }
    let stopped = cancel.level() != CancelLevel::Run;
    RolledOut {
        sick: std::mem::take(&mut fleet.sick),
        closed: fleet.closed.clone(),
        results: fleet.finish(order.plan, stopped),
    }
}

struct Fleet {
    results: Vec<Option<UnitResult>>,
    gate: Gate,
    closed: Option<String>,
    sick: Vec<Sick>,
}

impl Fleet {
    fn fell_ill(&mut self, sick: Vec<Sick>) {
        if sick.is_empty() {
            return;
        }
        for _ in &sick {
            self.gate.host_ended(true);
        }
        if self.closed.is_none() {
            let words: Vec<String> = sick
                .iter()
                .map(|sick| format!("{}: {}", sick.host, sick.why))
                .collect();
            self.closed = self.gate.closed().map(|why| {
                format!(
                    "the check of the finished batch: {}; {why}",
                    words.join(", ")
                )
            });
        }
        self.sick.extend(sick);
    }

    fn host_ended(
        &mut self,
        results: Vec<(usize, UnitResult)>,
        watch: &mut impl FnMut(RolloutEvent<'_>),
    ) {
        self.gate
            .host_ended(results.iter().any(|(_, result)| result.end.is_failure()));
        for (index, result) in results {
            watch(RolloutEvent::UnitFinished {
                unit: index,
                result: &result,
            });
            if let Some(place) = self.results.get_mut(index) {
                *place = Some(result);
            }
        }
        if self.closed.is_none() {
            self.closed = self.gate.closed();
        }
    }

    fn finish(self, plan: &Plan, stopped: bool) -> Vec<UnitResult> {
        let why = match (self.closed, stopped) {
            (Some(why), _) => why,
            (None, true) => "the run was stopped".to_owned(),
            (None, false) => "its host is in no batch".to_owned(),
        };
        plan.units
            .iter()
            .zip(self.results)
            .map(|(unit, result)| {
                result.unwrap_or_else(|| without(unit, RolloutEnd::NotAttempted(why.clone())))
            })
            .collect()
    }
}

struct Batch<'a> {
    queue: Vec<&'a String>,
    tasks: JoinSet<Vec<(usize, UnitResult)>>,
    running: HashMap<tokio::task::Id, Vec<(usize, UnitPlan)>>,
}

fn of_host(plan: &Plan, name: &str) -> Vec<(usize, UnitPlan)> {
    plan.units
        .iter()
        .enumerate()
        .filter(|(_, unit)| unit.host == name)
        .map(|(index, unit)| (index, unit.clone()))
        .collect()
}

struct Means {
    host: Arc<Host>,
    crew: Arc<Crew>,
    handshakes: Arc<Semaphore>,
    cancel: Cancel,
}

/// The units of one host, one after the other; the first failure leaves the others as they are.
async fn one_host(
    units: Vec<(usize, UnitPlan)>,
    run: String,
    means: Means,
    steps: mpsc::UnboundedSender<(usize, RolloutStep)>,
) -> Vec<(usize, UnitResult)> {
    let mut results: Vec<(usize, UnitResult)> = Vec::new();
    let mut failed: Option<String> = None;
    for (index, plan) in units {
        if let Some(failed) = &failed {
            let why = format!("{failed} of the same host did not go well");
            results.push((index, without(&plan, RolloutEnd::NotAttempted(why))));
            continue;
        }
        let errand = unit::Errand {
            host: &means.host,
            plan: &plan,
            run_id: &run,
            crew: &means.crew,
            secrets: &means.crew.secrets,
            handshakes: &means.handshakes,
            cancel: means.cancel.subscribe(),
        };
        let on_step = |step| {
            // Nobody listens any more when the run is left.
            let _ = steps.send((index, step));
        };
        let result = unit::roll(errand, &means.crew.transport, on_step).await;
        if result.end.is_failure() {
            failed = Some(plan.unit.clone());
        }
        results.push((index, result));
    }
    results
}

fn broken(units: Option<Vec<(usize, UnitPlan)>>, why: &str) -> Vec<(usize, UnitResult)> {
    let words = format!("clawfleet itself failed on this host: {why}; its undo comes by itself");
    units
        .into_iter()
        .flatten()
        .map(|(index, plan)| (index, without(&plan, RolloutEnd::Unknown(words.clone()))))
        .collect()
}

fn without(plan: &UnitPlan, end: RolloutEnd) -> UnitResult {
    UnitResult {
        host: plan.host.clone(),
        unit: plan.unit.clone(),
        owner: plan.owner.clone(),
        end,
        elapsed_ms: 0,
        commands: 0,
    }
}
