//! The operator's signals. They are heard on a thread of their own: a run's one thread may be waiting for
//! whoever reads the output.

use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::Exit;
use crate::fleet::{Cancel, CancelLevel};

/// The run that is at work.
static RUN: Mutex<Option<Cancel>> = Mutex::new(None);

static LISTENER: Once = Once::new();

/// `timeout` and a terminal that goes away send their signal twice, to the program and to its group. Nobody
/// means two by it.
const SAME: Duration = Duration::from_millis(200);

/// Until it is dropped, signals stop a run: the first one drains, the second one leaves, the third one ends the
/// program. Without a run a signal ends the program at once.
pub(super) struct Listening(());

/// Listens for a run.
pub(super) fn listen(cancel: &Cancel) -> Listening {
    *RUN.lock().unwrap_or_else(PoisonError::into_inner) = Some(cancel.clone());
    LISTENER.call_once(|| {
        let (ready, begun) = std::sync::mpsc::channel();
        let spawned = std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || hear(&ready));
        // A signal before that would end the program, and hosts would not be asked to stop.
        if spawned.is_err() || begun.recv().is_err() {
            tracing::warn!("signals cannot be caught; Ctrl-C ends the program at once");
        }
    });
    Listening(())
}

impl Drop for Listening {
    fn drop(&mut self) {
        *RUN.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// How much the operator wants stopped.
pub(super) fn wish() -> CancelLevel {
    let run = RUN.lock().unwrap_or_else(PoisonError::into_inner);
    run.as_ref().map(Cancel::level).unwrap_or_default()
}

fn hear(ready: &std::sync::mpsc::Sender<()>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return;
    };
    runtime.block_on(async {
        let ignored = ignored();
        let heard = |kind: SignalKind| match ignored & (1 << (kind.as_raw_value() - 1)) {
            0 => signal(kind).ok(),
            // By `nohup`, or by a shell that started it in the background.
            _ => None,
        };
        let mut interrupt = heard(SignalKind::interrupt());
        let mut terminate = heard(SignalKind::terminate());
        let mut hangup = heard(SignalKind::hangup());
        if ready.send(()).is_err() {
            return;
        }
        let mut last: Option<Instant> = None;
        loop {
            let by_hand = tokio::select! {
                () = next(&mut interrupt) => true,
                () = next(&mut terminate) => false,
                () = next(&mut hangup) => false,
            };
            let again = last.is_some_and(|last| last.elapsed() < SAME);
            last = Some(Instant::now());
            if by_hand || !again {
                struck();
            }
        }
    });
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

fn struck() {
    let run = RUN.lock().unwrap_or_else(PoisonError::into_inner);
    match run.as_ref() {
        Some(cancel) if cancel.level() != CancelLevel::Leave => cancel.escalate(),
        // Nothing is lost by it: what has to last is written so that it stands at every moment.
        _ => leave(),
    }
}

#[expect(
    clippy::exit,
    reason = "nobody but this thread may still listen, and the operator has asked for it"
)]
fn leave() -> ! {
    std::process::exit(Exit::Interrupted.code().into())
}

/// The signals that this program was told to ignore when it was started, a bit for each.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
