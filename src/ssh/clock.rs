//! Which stage a host is in, and how long each took.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::model::{HostError, Stage, StageTimes};

/// Shared by the connection's own task, the worker and the progress display.
#[derive(Debug)]
pub struct StageClock(Mutex<State>);

#[derive(Debug)]
struct State {
    current: Stage,
    since: Instant,
    times: Vec<(Stage, Duration)>,
}

impl StageClock {
    /// Starts in a stage.
    pub fn start(stage: Stage) -> Self {
        Self(Mutex::new(State {
            current: stage,
            since: Instant::now(),
            times: Vec::new(),
        }))
    }

    /// Ends the current stage and enters another. Stages never go back: what a hostile server
    /// repeats (a new key exchange, say) counts for the stage that is running.
    pub fn enter(&self, stage: Stage) {
        let mut state = self.lock();
        if stage <= state.current {
            return;
        }
        let (current, since) = (state.current, state.since);
        state.times.push((current, since.elapsed()));
        state.current = stage;
        state.since = Instant::now();
    }

    /// Starts anew: what went by so far was waiting for others.
    pub fn restart(&self) {
        self.lock().since = Instant::now();
    }

    /// Returns the stage that runs.
    pub fn current(&self) -> Stage {
        self.lock().current
    }

    /// Makes an error of the current stage, with the time that it had run.
    pub fn error(&self, message: impl Into<String>) -> HostError {
        let state = self.lock();
        HostError {
            after_ms: u64::try_from(state.since.elapsed().as_millis()).ok(),
            ..HostError::new(state.current, message)
        }
    }

    /// Returns the time of every stage so far, the running one included.
    pub fn times(&self) -> StageTimes {
        let state = self.lock();
        let mut times = state.times.clone();
        times.push((state.current, state.since.elapsed()));
        StageTimes(times)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic elsewhere leaves only times behind, which are never half-written.
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
