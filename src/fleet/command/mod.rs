//! One command on many hosts, and files to them and from them.

mod capture;
mod files;
mod follow;
mod work;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::dispatcher::{Moment, dispatch};
use super::worker::{AnyTransport, RunSecrets};
use super::{Cancel, CancelLevel, Limits};
use crate::command::Body;
use crate::model::{
    CommandEnd, CommandEvent, CommandResult, FleetEvent, Host, HostError, HostOutcome, Stage,
};
use crate::rollout::Gate;

pub use capture::Spill;
pub use files::{Carried, Delivery, Fetch};

/// What is run on every host.
pub struct Order {
    /// What.
    pub body: Body,
    /// Variables for its environment.
    pub environment: Vec<(String, Vec<u8>)>,
    /// How long it may run.
    pub limit: Option<Duration>,
    /// How long it has between the polite and the other signal.
    pub grace: Duration,
    /// Its input.
    pub input: Option<Input>,
    /// The most that it may print, on both streams together, in bytes.
    pub most: u64,
    /// Whoever hears what is printed while it comes: of which host, whether on standard error, and what.
    pub tell: Option<Tell>,
}

/// Hears what commands print. It is called between two pieces of output, so that a slow listener slows the
/// hosts down, and nothing piles up.
pub type Tell = Box<dyn Fn(usize, bool, &[u8]) + Send + Sync>;

/// Bytes that every host gets, held once.
#[derive(Debug, Clone)]
pub struct Input {
    /// Where they are.
    pub file: Arc<File>,
    /// How many.
    pub length: u64,
}

impl Input {
    /// Reads a piece from a place on; nothing at its end.
    fn piece(&self, at: u64) -> std::io::Result<Vec<u8>> {
        let left = self.length.saturating_sub(at);
        let mut piece = vec![0; usize::try_from(left).map_or(PIECE, |left| left.min(PIECE))];
        match self.file.read_exact_at(&mut piece, at) {
            Ok(()) => Ok(piece),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(
                std::io::Error::other("the file became shorter while it was sent"),
            ),
            Err(error) => Err(error),
        }
    }
}

/// Reads everything there is into a file that has no name, for the input that hosts get.
///
/// # Errors
/// It cannot be read, or the directory takes no file.
pub fn gather(from: &mut dyn std::io::Read, dir: &std::path::Path) -> std::io::Result<Input> {
    let mut file = capture::nameless(dir)?;
    let length = std::io::copy(from, &mut file)?;
    let file = Arc::new(file);
    Ok(Input { file, length })
}

/// How much input is sent at once, in bytes.
const PIECE: usize = 32 << 10;

/// How long the last words of hosts may take once the operator wants to leave.
const FAREWELL: Duration = Duration::from_millis(400);

/// Who runs commands.
pub struct Crew {
    /// How hosts are reached.
    pub transport: Arc<AnyTransport>,
    /// What only this run knows.
    pub secrets: Arc<RunSecrets>,
    /// How many at once.
    pub limits: Limits,
    /// Where outputs go that are too large.
    pub spill: Arc<Spill>,
}

/// Which hosts, in which order, and when no further one is begun.
pub struct Batches {
    /// The hosts' places, batch by batch.
    pub waves: Vec<Vec<usize>>,
    /// Counts failures.
    pub gate: Gate,
}

/// What came of all hosts.
pub struct Outcome {
    /// One result for each host, in their order.
    pub results: Vec<CommandResult>,
    /// Why no further host was begun, where that is so.
    pub stopped: Option<String>,
}

/// What is done on every host.
pub enum Deed {
    /// A command is run.
    Run(Order),
    /// Files are sent.
    Send(Delivery),
    /// A file is brought.
    Fetch(Fetch),
}

/// How often something is tried again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retry {
    /// With a host that was not reached.
    pub times: u32,
    /// And where it was reached, and it failed.
    pub failed: bool,
}

/// Does something on hosts. A host's trouble is its result.
pub async fn run(
    hosts: &[Arc<Host>],
    batches: Batches,
    (deed, retry): (Arc<Deed>, Retry),
    crew: &Crew,
    cancel: &Cancel,
    watch: impl FnMut(CommandEvent<'_>),
) -> Outcome {
    let transport = Arc::clone(&crew.transport);
    let secrets = Arc::clone(&crew.secrets);
    let spill = Arc::clone(&crew.spill);
    let work = move |task: Task| {
        let deed = Arc::clone(&deed);
        let (transport, secrets) = (Arc::clone(&transport), Arc::clone(&secrets));
        let spill = Arc::clone(&spill);
        async move { work::run(&deed, retry, &transport, &secrets, &spill, task).await }
    };
    on_hosts(hosts, batches, crew, cancel, work, watch).await
}

/// One host's part.
struct Task {
    index: usize,
    host: Arc<Host>,
    handshakes: Arc<tokio::sync::Semaphore>,
    clock: Arc<crate::ssh::StageClock>,
    /// Struck when the operator wants it stopped.
    stop: CancellationToken,
    /// Struck when the operator leaves.
    leave: CancellationToken,
}

/// Does something on hosts, batch by batch, until all are done, the gate closes or the operator stops.
async fn on_hosts<W, F>(
    hosts: &[Arc<Host>],
    batches: Batches,
    crew: &Crew,
    cancel: &Cancel,
    work: W,
    mut watch: impl FnMut(CommandEvent<'_>),
) -> Outcome
where
    W: Fn(Task) -> F,
    F: Future<Output = CommandResult> + Send + 'static,
{
    let (stop, leave) = (CancellationToken::new(), CancellationToken::new());
    let levels = tokio::spawn(strike(cancel.clone(), stop.clone(), leave.clone()));
    let gate = Arc::new(Mutex::new(batches.gate));
    let closed = || gate.lock().unwrap_or_else(PoisonError::into_inner).closed();
    let mut results: HashMap<usize, CommandResult> = HashMap::new();
    let mut begun: HashSet<usize> = HashSet::new();
    let of = batches.waves.len();
    for (number, wave) in batches.waves.iter().enumerate() {
        if closed().is_some() || cancel.level() != CancelLevel::Run {
            break;
        }
        let batch = number + 1;
        watch(CommandEvent::Batch { batch, of });
        let begin = |place: super::dispatcher::Workplace| {
            let host = hosts.get(place.host).map(Arc::clone);
            let gate = Arc::clone(&gate);
            let task = host.map(|host| {
                work(Task {
                    index: place.host,
                    host,
                    handshakes: place.handshakes,
                    clock: place.clock,
                    stop: stop.clone(),
                    leave: leave.clone(),
                })
            });
            async move {
                let closed = gate.lock().unwrap_or_else(PoisonError::into_inner).closed();
                let result = match (closed, task) {
                    (None, Some(task)) => Some(task.await),
                    _ => None,
                };
                if let Some(result) = &result {
                    let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
                    gate.host_ended(!result.end.is_well());
                }
                result
            }
        };
        let done = dispatch(
            wave,
            crew.limits,
            cancel,
            FAREWELL,
            begin,
            |why| Some(broken(why, &crew.spill)),
            |moment| {
                if let Moment::HostStarted { host } = moment {
                    begun.insert(host);
                }
                tell(&moment, &mut watch);
            },
        )
        .await;
        for (index, result) in wave.iter().zip(done) {
            let mut result = match result {
                Some(Some(result)) => result,
                // The gate was closed.
                Some(None) => continue,
                // It did not even say good-bye.
                None if begun.contains(index) => CommandResult {
                    end: CommandEnd::Stopped { ended: false },
                    ..nothing(&crew.spill)
                },
                None => continue,
            };
            if let Some(host) = hosts.get(*index) {
                host.name.clone_into(&mut result.host);
            }
            results.insert(*index, result);
        }
    }
    levels.abort();
    // Where all were begun, nothing was stopped.
    let stopped = closed().filter(|_| results.len() < hosts.len());
    let why = stopped
        .clone()
        .unwrap_or_else(|| "stopped before it was begun".to_owned());
    let results = hosts
        .iter()
        .enumerate()
        .map(|(index, host)| {
            results.remove(&index).unwrap_or_else(|| CommandResult {
                host: host.name.clone(),
                end: CommandEnd::NotTried(why.clone()),
                ..nothing(&crew.spill)
            })
        })
        .collect();
    Outcome { results, stopped }
}

fn tell(moment: &Moment<'_, Option<CommandResult>>, watch: &mut impl FnMut(CommandEvent<'_>)) {
    let event = match *moment {
        Moment::Started { hosts } => FleetEvent::Started { hosts },
        Moment::HostStarted { host } => FleetEvent::HostStarted { host },
        Moment::Draining { running } => FleetEvent::Draining { running },
        Moment::Tick { pending } => FleetEvent::Tick { pending },
        Moment::HostFinished {
            host,
            result: Some(result),
        } => return watch(CommandEvent::Finished { host, result }),
        Moment::HostFinished { result: None, .. } => return,
    };
    watch(CommandEvent::Fleet(event));
}

/// Passes the operator's wish on.
async fn strike(cancel: Cancel, stop: CancellationToken, leave: CancellationToken) {
    let mut level = cancel.subscribe();
    loop {
        match *level.borrow_and_update() {
            CancelLevel::Run => {}
            CancelLevel::Drain => stop.cancel(),
            CancelLevel::Leave => {
                stop.cancel();
                leave.cancel();
                return;
            }
        }
        if level.changed().await.is_err() {
            return;
        }
    }
}

/// A result that has nothing yet.
fn nothing(spill: &Arc<Spill>) -> CommandResult {
    let empty = || capture::Capture::new(spill).finish();
    CommandResult {
        host: String::new(),
        end: CommandEnd::NotTried(String::new()),
        stdout: empty(),
        stderr: empty(),
        elapsed_ms: 0,
        tries: 0,
        note: None,
    }
}

fn broken(why: &str, spill: &Arc<Spill>) -> CommandResult {
    let error = HostError::new(
        Stage::Exec,
        format!("clawfleet itself failed on this host: {why}"),
    )
    .hint("this is a bug; please report it with `-vv` output");
    CommandResult {
        end: CommandEnd::Lost(error),
        ..nothing(spill)
    }
}

/// A host that was not reached, as a command's end.
fn not_reached(outcome: HostOutcome) -> CommandEnd {
    match outcome {
        HostOutcome::Cancelled => CommandEnd::NotTried("stopped before it was begun".to_owned()),
        other => CommandEnd::NotReached(other),
    }
}
