//! What a hostile host does, what must become of it, and the run that holds it to its bounds.

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::harmless;
use crate::support::fake::Behaviour;
use crate::support::lab::{Lab, Server};
use crate::support::report::Checked;
use crate::wire::{HostKey, Peer};

/// How long a message about a host may be, in characters.
pub(crate) const LONGEST_MESSAGE: usize = 1000;
/// What one hostile host may add to the program's memory, in MiB.
pub(crate) const HOST_MIB: u64 = 16;
/// What a host may take that is refused at once, on a machine that does much else.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(4);
/// The whole deadline of a host that is waited for.
pub(crate) const DEADLINE: Duration = Duration::from_millis(1500);
/// What the end of a host may come later than its deadline.
pub(crate) const LATE: Duration = Duration::from_millis(1500);
/// What a run may take beside its slowest host: starting, the healthy hosts, the report.
const RUN: Duration = Duration::from_secs(4);
/// What a healthy host may take beside a hostile one.
const HEALTHY: Duration = Duration::from_secs(6);
/// The processor time that a host which is refused or only waited for may add.
const LITTLE_CPU: Duration = Duration::from_millis(700);

/// How a host's end is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    /// Without waiting for any deadline.
    AtOnce,
    /// By a deadline, while next to nothing is done.
    Wait,
    /// By a deadline, while the one thread may be busy.
    Busy,
}

impl Cost {
    /// Deadlines that only a host reaches which ought to.
    fn settings(self) -> &'static str {
        match self {
            Self::AtOnce => "timeouts: {kex: 8s, auth: 8s, channel: 8s, exec: 8s, host: 12s}",
            Self::Wait | Self::Busy => {
                "timeouts: {kex: 1s, auth: 1s, channel: 1s, exec: 1s, host: 1500ms}"
            }
        }
    }

    pub(crate) fn time(self) -> Duration {
        match self {
            Self::AtOnce => AT_ONCE,
            Self::Wait | Self::Busy => DEADLINE + LATE,
        }
    }

    pub(crate) fn cpu(self) -> Duration {
        match self {
            Self::AtOnce | Self::Wait => LITTLE_CPU,
            // One thread, and so never more than the time itself.
            Self::Busy => DEADLINE + LITTLE_CPU,
        }
    }
}

pub(crate) type Play = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;
type Starts = Arc<dyn Fn(&Lab) -> Server + Send + Sync>;

/// One way to do harm.
#[derive(Clone)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// What the host does, for the table in the documentation.
    pub(crate) does: &'static str,
    /// The outcome and its stage; more than one where two ends race.
    pub(crate) ends: &'static [&'static str],
    pub(crate) says: &'static str,
    pub(crate) cost: Cost,
    /// More of the host's settings in the inventory.
    extra: &'static str,
    starts: Starts,
}

/// Makes an attack that is refused at once.
pub(crate) fn attack<F, W>(
    name: &'static str,
    does: &'static str,
    ends: &'static [&'static str],
    play: F,
) -> Attack
where
    F: Fn(Peer) -> W + Send + Sync + 'static,
    W: Future<Output = io::Result<()>> + Send + 'static,
{
    let play: Arc<dyn Fn(Peer) -> Play + Send + Sync> = Arc::new(move |peer| Box::pin(play(peer)));
    Attack {
        name,
        does,
        ends,
        says: "",
        cost: Cost::AtOnce,
        extra: "",
        starts: Arc::new(move |lab| start(lab, Arc::clone(&play))),
    }
}

/// Makes an attack by a login on a server that keeps the protocol.
pub(crate) fn by_login(
    name: &'static str,
    does: &'static str,
    ends: &'static [&'static str],
    settings: &'static str,
    behave: impl Fn(&Lab) -> Behaviour + Send + Sync + 'static,
) -> Attack {
    Attack {
        name,
        does,
        ends,
        says: "",
        cost: Cost::AtOnce,
        extra: settings,
        starts: Arc::new(move |lab| lab.fake(behave(lab))),
    }
}

/// Starts a server of our own, whose key is known.
fn start(lab: &Lab, play: Arc<dyn Fn(Peer) -> Play + Send + Sync>) -> Server {
    let host = Arc::new(HostKey::new());
    let key = Arc::clone(&host);
    let server = lab.raw(move |stream| {
        let play = play(Peer::new(stream, Arc::clone(&key)));
        async move {
            // The client leaves when it has seen enough, at any point of the play.
            let _ = play.await;
        }
    });
    lab.trust(server.port, &host.public);
    server
}

impl Attack {
    /// The message holds these words.
    pub(crate) fn says(mut self, words: &'static str) -> Self {
        self.says = words;
        self
    }

    /// Only a deadline ends it, and nothing is done until then.
    pub(crate) fn waits(mut self) -> Self {
        self.cost = Cost::Wait;
        self
    }

    /// Only a deadline ends it, and much may be done until then.
    pub(crate) fn busy(mut self) -> Self {
        self.cost = Cost::Busy;
        self
    }

    /// Starts its server.
    pub(crate) fn start(&self, lab: &Lab) -> Server {
        (self.starts)(lab)
    }

    /// Adds it to a fleet.
    pub(crate) fn add(&self, lab: &mut Lab, name: &str) {
        let server = self.start(lab);
        let settings = format!("{}{}", self.extra, self.cost.settings());
        lab.add(name, server.port, &settings);
    }

    /// Checks it between healthy hosts and holds everything to its bounds.
    fn check(&self) {
        let mut lab = Lab::new();
        lab.add_healthy(&["good1"]);
        self.add(&mut lab, "bad");
        lab.add_healthy(&["good2"]);
        let checked = lab.check();
        for name in ["good1", "good2"] {
            let good = checked.host(name);
            good.is_observed_in_full().took_at_most(HEALTHY);
        }
        checked.within(self.cost.time() + RUN);
        self.ends_as_it_should(&checked, "bad");
        harmless::assert_output("stdout", &checked.run.stdout);
        harmless::assert_output("stderr", checked.run.stderr.as_bytes());
        let healthy = healthy();
        let more = checked.run.peak_kib.saturating_sub(healthy.peak_kib);
        assert!(
            more < HOST_MIB << 10,
            "it held {more} KiB more than without"
        );
        let more = checked.run.cpu.saturating_sub(healthy.cpu);
        assert!(more < self.cost.cpu(), "it took {more:?} of the processor");
        if std::env::var_os("FIGURES").is_some() {
            let took = checked.bad().0["elapsed_ms"].clone();
            let kib = checked.run.peak_kib.saturating_sub(healthy.peak_kib);
            let message = checked.bad().message();
            println!(
                "{:<44} {took:>6} ms {kib:>6} KiB {more:>8?} {} {message:.200}",
                self.name,
                end_of(&checked, "bad"),
            );
        }
    }

    /// Asserts what is said of it.
    #[track_caller]
    pub(crate) fn ends_as_it_should(&self, checked: &Checked, name: &str) {
        let host = checked.host(name);
        let end = end_of(checked, name);
        assert!(
            self.ends.contains(&end.as_str()),
            "{end}: {:.2000}",
            host.0.to_string()
        );
        host.took_at_most(self.cost.time());
        let (message, hint) = (host.message(), host.hint());
        for text in [message, hint] {
            assert!(text.chars().count() < LONGEST_MESSAGE, "{text}");
            harmless::assert_line(text);
        }
        assert!(message.contains(self.says), "{message}");
        if end != "observed" {
            host.is_unknown();
        }
    }
}

fn end_of(checked: &Checked, name: &str) -> String {
    let host = checked.host(name).0;
    let outcome = host["outcome"].as_str().unwrap();
    match host["error"]["stage"].as_str() {
        Some(stage) => format!("{outcome}:{stage}"),
        None => outcome.to_owned(),
    }
}

/// What a run over healthy hosts alone takes.
pub(crate) struct Healthy {
    pub(crate) peak_kib: u64,
    pub(crate) cpu: Duration,
}

pub(crate) fn healthy() -> &'static Healthy {
    static HEALTHY: OnceLock<Healthy> = OnceLock::new();
    HEALTHY.get_or_init(|| {
        let mut lab = Lab::new();
        lab.add_healthy(&["good1", "good2", "good3"]);
        let checked = lab.check();
        Healthy {
            peak_kib: checked.run.peak_kib,
            cpu: checked.run.cpu,
        }
    })
}

/// How many attacks run at once: most of them wait.
const AT_A_TIME: usize = 4;

/// Checks attacks, each in a run of its own, and names those that got through.
#[track_caller]
pub(crate) fn check_each(attacks: &[Attack]) {
    let only = std::env::var("ONLY").unwrap_or_default();
    healthy();
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(attack) = attacks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if attack.name.contains(&only)
                        && catch_unwind(AssertUnwindSafe(|| attack.check())).is_err()
                    {
                        failed.lock().unwrap().push(attack.name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:#?}");
}
