//! Starts hosts, collects their observations, and tells whoever watches.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

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
    let all: Vec<usize> = (0..hosts.len()).collect();
    let work = |place: Workplace| {
        let host = hosts.get(place.host).map(Arc::clone);
        let (transport, secrets) = (Arc::clone(&transport), Arc::clone(&secrets));
        let errand = Arc::clone(&errand);
        async move {
            match host {
                Some(host) => {
                    let Workplace {
                        handshakes, clock, ..
                    } = place;
                    worker::observe(host, transport, handshakes, clock, secrets, errand).await
                }
                None => (broken("there is no such host"), E::Found::default()),
            }
        }
    };
    let results = dispatch(
        &all,
        limits,
        cancel,
        Duration::ZERO,
        work,
        |why| (broken(why), E::Found::default()),
        |moment| match moment {
            Moment::Started { hosts } => watch(FleetEvent::Started { hosts }),
            Moment::HostStarted { host } => watch(FleetEvent::HostStarted { host }),
            Moment::HostFinished {
                host,
                result: (observation, _),
            } => watch(FleetEvent::HostFinished { host, observation }),
            Moment::Draining { running } => watch(FleetEvent::Draining { running }),
            Moment::Tick { pending } => watch(FleetEvent::Tick { pending }),
        },
    )
    .await;
    results
        .into_iter()
        .map(|result| {
            result.unwrap_or_else(|| {
                let observation = HostObservation {
                    outcome: HostOutcome::Cancelled,
                    stages: StageTimes::default(),
                    elapsed: Duration::ZERO,
                };
                (observation, E::Found::default())
            })
        })
        .collect()
}

/// What one host's work is given.
pub(super) struct Workplace {
    /// The host's index.
    pub(super) host: usize,
    /// Handshakes in flight.
    pub(super) handshakes: Arc<Semaphore>,
    /// Knows the stage that the work is in.
    pub(super) clock: Arc<StageClock>,
}

/// Something that happened while hosts were worked on.
pub(super) enum Moment<'a, R> {
    /// The work begins.
    Started {
        /// With that many hosts.
        hosts: usize,
    },
    /// A host got its permit.
    HostStarted {
        /// Its index.
        host: usize,
    },
    /// A host's work is over.
    HostFinished {
        /// Its index.
        host: usize,
        /// What came of it.
        result: &'a R,
    },
    /// The operator asked to stop.
    Draining {
        /// Hosts still at work.
        running: usize,
    },
    /// Time passed.
    Tick {
        /// The hosts at work, the slowest first.
        pending: &'a [(usize, HostPhase)],
    },
}

/// Works on hosts, so many at a time. Returns a result for each of `queue`, in its order; `None` where
/// the work was not begun, or did not end before everybody had to leave. Who leaves has `farewell`
/// for it. A panic becomes the result that `broken` makes of its words.
pub(super) async fn dispatch<R, W, F>(
    queue: &[usize],
    limits: Limits,
    cancel: &Cancel,
    farewell: Duration,
    work: W,
    broken: impl Fn(&str) -> R,
    mut watch: impl FnMut(Moment<'_, R>),
) -> Vec<Option<R>>
where
    R: Send + 'static,
    W: Fn(Workplace) -> F,
    F: Future<Output = R> + Send + 'static,
{
    let mut run: Run<R> = Run {
        results: HashMap::new(),
        running: Vec::new(),
        queue: queue.iter().copied().collect(),
    };
    let handshakes = Arc::new(Semaphore::new(limits.handshakes));
    let mut workers: JoinSet<(usize, R)> = JoinSet::new();
    let mut ids = HashMap::new();
    let mut cancelled = cancel.subscribe();
    let mut leave_by: Option<Instant> = None;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    watch(Moment::Started { hosts: queue.len() });
    loop {
        while cancel.level() == CancelLevel::Run && run.running.len() < limits.forks {
            let Some(index) = run.queue.pop_front() else {
                break;
            };
            let clock = Arc::new(StageClock::start(Stage::Dns));
            run.running.push(Running {
                host: index,
                since: Instant::now(),
                clock: Arc::clone(&clock),
            });
            watch(Moment::HostStarted { host: index });
            let work = work(Workplace {
                host: index,
                handshakes: Arc::clone(&handshakes),
                clock,
            });
            let task = workers.spawn(async move { (index, work.await) });
            ids.insert(task.id(), index);
        }
        if workers.is_empty() {
            break;
        }
        tokio::select! {
            Some(joined) = workers.join_next_with_id() => {
                let (index, result) = match joined {
                    Ok((id, done)) => {
                        ids.remove(&id);
                        done
                    }
                    // A panic is a bug of ours, but it is one host's trouble, not the fleet's.
                    Err(error) => match ids.remove(&error.id()) {
                        Some(index) => (index, broken(&error.to_string())),
                        None => continue,
                    },
                };
                run.running.retain(|running| running.host != index);
                watch(Moment::HostFinished { host: index, result: &result });
                run.results.insert(index, result);
            }
            Ok(()) = cancelled.changed() => {
                if cancel.level() == CancelLevel::Leave {
                    if farewell.is_zero() {
                        workers.abort_all();
                        break;
                    }
                    leave_by.get_or_insert(Instant::now() + farewell);
                } else {
                    watch(Moment::Draining { running: run.running.len() });
                }
            }
            () = sleep_until(leave_by.unwrap_or_else(Instant::now)), if leave_by.is_some() => {
                workers.abort_all();
                break;
            }
            _ = tick.tick() => watch(Moment::Tick { pending: &run.pending() }),
        }
    }
    queue
        .iter()
        .map(|index| run.results.remove(index))
        .collect()
}

struct Running {
    host: usize,
    since: Instant,
    clock: Arc<StageClock>,
}

struct Run<R> {
    results: HashMap<usize, R>,
    running: Vec<Running>,
    queue: VecDeque<usize>,
}

impl<R> Run<R> {
    /// The hosts at work, the slowest first.
    fn pending(&self) -> Vec<(usize, HostPhase)> {
        let mut running: Vec<&Running> = self.running.iter().collect();
        running.sort_by_key(|running| running.since);
        running
            .into_iter()
            .map(|running| (running.host, HostPhase::In(running.clock.current())))
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
