//! The operator's wish to stop: once to drain, twice to leave.

use tokio::sync::watch;

/// How much is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum CancelLevel {
    /// Nothing.
    #[default]
    Run,
    /// Start no new host; let the others end.
    Drain,
    /// Leave now.
    Leave,
}

/// Both ends of the wish.
#[derive(Debug, Clone)]
pub struct Cancel(watch::Sender<CancelLevel>);

impl Default for Cancel {
    fn default() -> Self {
        Self(watch::Sender::new(CancelLevel::Run))
    }
}

impl Cancel {
    /// Goes one level up: run, drain, leave.
    pub fn escalate(&self) {
        self.0.send_modify(|level| {
            *level = match level {
                CancelLevel::Run => CancelLevel::Drain,
                CancelLevel::Drain | CancelLevel::Leave => CancelLevel::Leave,
            };
        });
    }

    /// Returns the level.
    pub fn level(&self) -> CancelLevel {
        *self.0.borrow()
    }

    /// Returns an end to wait on.
    pub fn subscribe(&self) -> watch::Receiver<CancelLevel> {
        self.0.subscribe()
    }
}
