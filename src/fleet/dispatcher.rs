//! Starts hosts, collects their observations, and tells whoever watches.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::worker::{self, AnyTransport, Errand, RunSecrets};
use super::{Cancel, CancelLevel, Limits};
use crate::model::{
    FleetEvent, Host, HostError, HostObservation, HostOutcome, HostPhase, Stage, StageTimes,
};
use crate::ssh::StageClock;

/// How often watchers hear that time passed.
const TICK: Duration = Duration::from_millis(200);

/// Runs the probe on every host. Returns one observation per host, in the hosts' order: a host's
/// trouble is its outcome, and nothing here fails as a whole.
pub async fn run(
    hosts: &[Arc<Host>],
    transport: Arc<AnyTransport>,
    limits: Limits,
    secrets: Arc<RunSecrets>,
    cancel: &Cancel,
    watch: impl FnMut(FleetEvent<'_>),
) -> Vec<HostObservation> {
    let errand = Arc::new(worker::NoErrand);
    run_errand(hosts, transport, limits, secrets, errand, cancel, watch)
        .await
        .into_iter()
        .map(|(observation, ())| observation)
        .collect()
}

/// The same, with an errand on each host that was seen in full.
pub(super) async fn run_errand<E: Errand + 'static>(
    hosts: &[Arc<Host>],
    transport: Arc<AnyTransport>,
    limits: Limits,
    secrets: Arc<RunSecrets>,
    errand: Arc<E>,
    cancel: &Cancel,
    mut watch: impl FnMut(FleetEvent<'_>),
) -> Vec<(HostObservation, E::Found)> {
    let mut run: Run<E::Found> = Run {
        results: hosts.iter().map(|_| None).collect(),
        running: Vec::new(),
        queue: (0..hosts.len()).collect(),
    };
    let handshakes = Arc::new(Semaphore::new(limits.handshakes));
    let mut workers: JoinSet<(usize, (HostObservation, E::Found))> = JoinSet::new();
    let mut ids = std::collections::HashMap::new();
    let mut cancelled = cancel.subscribe();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    watch(FleetEvent::Started { hosts: hosts.len() });
    loop {
        while cancel.level() == CancelLevel::Run && run.running.len() < limits.forks {
            let Some((index, host)) = run.next(hosts) else {
                break;
            };
            let clock = Arc::new(StageClock::start(Stage::Dns));
            run.running.push(Running {
                host: index,
                since: Instant::now(),
                clock: Arc::clone(&clock),
            });
            watch(FleetEvent::HostStarted { host: index });
            let work = worker::observe(
                host,
                Arc::clone(&transport),
                Arc::clone(&handshakes),
                clock,
                Arc::clone(&secrets),
                Arc::clone(&errand),
            );
            let task = workers.spawn(async move { (index, work.await) });
            ids.insert(task.id(), index);
        }
        if workers.is_empty() {
            break;
        }
        tokio::select! {
            Some(joined) = workers.join_next_with_id() => {
                let (index, (observation, found)) = match joined {
                    Ok((id, done)) => {
                        ids.remove(&id);
                        done
                    }
                    // A panic is a bug of ours, but it is one host's trouble, not the fleet's.
                    Err(error) => match ids.remove(&error.id()) {
                        Some(index) => (index, (broken(&error.to_string()), E::Found::default())),
                        None => continue,
                    },
                };
                run.running.retain(|running| running.host != index);
                watch(FleetEvent::HostFinished { host: index, observation: &observation });
                if let Some(place) = run.results.get_mut(index) {
                    *place = Some((observation, found));
                }
            }
            Ok(()) = cancelled.changed() => {
                if cancel.level() == CancelLevel::Leave {
                    workers.abort_all();
                    break;
                }
                watch(FleetEvent::Draining { running: run.running.len() });
            }
            _ = tick.tick() => watch(FleetEvent::Tick { pending: &run.pending() }),
        }
    }
    run.finish()
}

struct Running {
    host: usize,
    since: Instant,
    clock: Arc<StageClock>,
}

struct Run<F> {
    results: Vec<Option<(HostObservation, F)>>,
    running: Vec<Running>,
    queue: VecDeque<usize>,
}

impl<F: Default> Run<F> {
    fn next(&mut self, hosts: &[Arc<Host>]) -> Option<(usize, Arc<Host>)> {
        let index = self.queue.pop_front()?;
        Some((index, Arc::clone(hosts.get(index)?)))
    }

    /// The hosts at work, the slowest first.
    fn pending(&self) -> Vec<(usize, HostPhase)> {
        let mut running: Vec<&Running> = self.running.iter().collect();
        running.sort_by_key(|running| running.since);
        running
            .into_iter()
            .map(|running| (running.host, HostPhase::In(running.clock.current())))
            .collect()
    }

    fn finish(self) -> Vec<(HostObservation, F)> {
        self.results
            .into_iter()
            .map(|result| {
                result.unwrap_or_else(|| {
                    let observation = HostObservation {
                        outcome: HostOutcome::Cancelled,
                        stages: StageTimes::default(),
                        elapsed: Duration::ZERO,
                    };
                    (observation, F::default())
                })
            })
            .collect()
    }
}

fn broken(why: &str) -> HostObservation {
    HostObservation {
        outcome: HostOutcome::Failed(
            HostError::new(
                Stage::Parse,
                format!("clawfleet itself failed on this host: {why}"),
            )
            .hint("this is a bug; please report it with `-vv` output"),
        ),
        stages: StageTimes::default(),
        elapsed: Duration::ZERO,
    }
}
