//! The progress display on a terminal: how many are done, and whom one is still waiting for.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::sanitize;
use crate::model::{FleetEvent, HostPhase};

/// How many pending hosts are named.
const NAMED: usize = 4;

/// A bar on stderr; without a terminal it draws nothing.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    names: Vec<String>,
    draining: bool,
}

impl Progress {
    /// Makes a display for hosts of these names. `shown` is whether stderr is a terminal and the
    /// operator wants to see it.
    pub fn new(names: Vec<String>, shown: bool) -> Self {
        let target = if shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(u64::try_from(names.len()).ok(), target);
        if let Ok(style) = ProgressStyle::with_template("{pos}/{len} {bar:24} {elapsed} {wide_msg}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        Self {
            bar,
            names,
            draining: false,
        }
    }

    /// Takes in an event.
    pub fn on_event(&mut self, event: &FleetEvent<'_>) {
        match event {
            FleetEvent::HostFinished { .. } => self.bar.inc(1),
            FleetEvent::Draining { running } => {
                self.draining = true;
                self.bar.set_message(format!(
                    "stopping: waiting for {running} more; Ctrl-C again leaves now"
                ));
            }
            FleetEvent::Tick { pending } if !self.draining => {
                self.bar.set_message(self.waiting_for(pending));
                self.bar.tick();
            }
            FleetEvent::Started { .. }
            | FleetEvent::HostStarted { .. }
            | FleetEvent::Tick { .. } => {}
        }
    }

    /// A host is done whose observation nobody made.
    pub fn host_done(&mut self) {
        self.bar.inc(1);
    }

    /// Takes the display away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn waiting_for(&self, pending: &[(usize, HostPhase)]) -> String {
        let named: Vec<String> = pending
            .iter()
            .take(NAMED)
            .map(|(host, phase)| {
                let name = self.names.get(*host).map_or("?", String::as_str);
                match phase {
                    HostPhase::Queued => sanitize(name).into_owned(),
                    HostPhase::In(stage) => format!("{} ({})", sanitize(name), stage.id()),
                }
            })
            .collect();
        match pending.len().checked_sub(NAMED).filter(|more| *more > 0) {
            Some(more) => format!("waiting for {} and {more} more", named.join(", ")),
            None if named.is_empty() => String::new(),
            None => format!("waiting for {}", named.join(", ")),
        }
    }
}
