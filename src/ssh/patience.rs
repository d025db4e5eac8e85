//! How often and how long a server is asked again that did not take a connection.

use std::time::Duration;

use tokio::time::sleep;

use super::connect::Admission;
use super::{StageClock, words};
use crate::model::HostOutcome;

/// How often a server is asked again that has too many logins in flight.
const RETRIES: u32 = 5;

/// How often one is that closes without a word: it may be down, and then no time helps. An sshd older than
/// 8.5 with too many logins in flight does the same, and on a busy machine the first of them takes seconds;
/// with these pauses one has two to four.
const SILENT_RETRIES: u32 = 3;

/// The first pause before that; each next one is twice as long.
const PAUSE: Duration = Duration::from_millis(150);

/// The first pause after a close that says nothing.
const SILENT_PAUSE: Duration = Duration::from_millis(300);

/// How often a server that has too many logins in flight was asked.
pub(super) struct Patience {
    pause: Duration,
    refusals: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            pause: PAUSE,
            refusals: 0,
        }
    }
}

impl Patience {
    /// Waits before the next try, if there is to be one.
    pub(super) async fn pause(
        &mut self,
        clock: &StageClock,
        admission: &Admission,
    ) -> Result<(), HostOutcome> {
        self.refusals += 1;
        if self.refusals > RETRIES {
            return Err(words::busy(clock, self.refusals));
        }
        if let Some(pass) = &admission.pass {
            pass.refused();
        }
        self.wait().await;
        Ok(())
    }

    /// Waits after a close that says nothing of why. It narrows no way.
    pub(super) async fn after_silence(
        &mut self,
        clock: &StageClock,
        said: &str,
    ) -> Result<(), HostOutcome> {
        self.refusals += 1;
        if self.refusals > SILENT_RETRIES {
            return Err(words::silent(clock, self.refusals, said));
        }
        self.pause = self.pause.max(SILENT_PAUSE);
        self.wait().await;
        Ok(())
    }

    async fn wait(&mut self) {
        sleep(self.pause + jitter(self.pause)).await;
        self.pause *= 2;
    }
}

/// A random part of a pause, so that hosts that were refused together do not come back together.
fn jitter(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without random numbers there is no jitter, and no harm.
    let _ = getrandom::fill(&mut byte);
    pause * u32::from(byte[0]) / 255
}
