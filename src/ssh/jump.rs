//! Jump hosts: one connection each, which all hosts behind it share.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use russh::ChannelOpenFailure;
use tokio::time::{Instant, timeout};

use super::connect::{Link, SshTransport};
use super::tunnel::Tunnel;
use super::wire::Load;
use super::{StageClock, Stream, words};
use crate::model::{HostOutcome, SshSettings, Stage, Timeouts};

/// How often a jump is connected to anew that worked and was lost.
const RECONNECTS: u8 = 2;

/// The jumps of a run.
#[derive(Default)]
pub(super) struct Jumps {
    slots: Mutex<HashMap<SshSettings, Arc<tokio::sync::Mutex<Jump>>>>,
    /// After how long a jump that could not be had is tried again; unset: never.
    again_after: OnceLock<Duration>,
}

impl fmt::Debug for Jumps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jumps")
    }
}

/// One jump host.
#[derive(Default)]
struct Jump {
    link: Option<Arc<Link>>,
    /// Why it cannot be had, and since when.
    down: Option<(Instant, HostOutcome)>,
    connects: u8,
}

impl Jumps {
    fn slot(&self, jump: &SshSettings) -> Arc<tokio::sync::Mutex<Jump>> {
        let mut jumps = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(jumps.entry(jump.clone()).or_default())
    }

    /// Says good-bye to every jump, the last on each way first.
    pub(super) async fn close(&self) {
        let mut slots: Vec<_> = {
            let mut jumps = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            jumps.drain().collect()
        };
        slots.sort_by_key(|(settings, _)| std::cmp::Reverse(settings.jumps().len()));
        for (_, slot) in slots {
            if let Some(link) = slot.lock().await.link.take().and_then(Arc::into_inner) {
                link.close().await;
            }
        }
    }
}

impl SshTransport {
    /// From now on a jump that could not be had is tried again after this time. A look at the fleet never
    /// does, or hundreds of hosts would wait for a dead jump one after the other; who changes hosts has to
    /// come back to them.
    pub fn try_jumps_again_after(&self, time: Duration) {
        let _ = self.jumps.again_after.set(time);
    }

    /// Returns the connection to a jump host. The first who needs it makes it, the others wait; a
    /// failure is everybody's and is not repeated before its time.
    ///
    /// A chain of jumps is a recursion, so its future is boxed.
    pub(super) fn jump<'a>(
        &'a self,
        jump: &'a SshSettings,
        timeouts: &'a Timeouts,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<Link>, HostOutcome>> + Send + 'a>> {
        Box::pin(async move {
            let slot = self.jumps.slot(jump);
            let mut slot = slot.lock().await;
            if let Some((since, why)) = &slot.down {
                let again_after = self.jumps.again_after.get();
                if again_after.is_none_or(|after| since.elapsed() < *after) {
                    return Err(why.clone());
                }
                *slot = Jump::default();
            }
            if let Some(link) = slot.link.as_ref().filter(|link| !link.handle.is_closed()) {
                return Ok(Arc::clone(link));
            }
            if slot.connects > RECONNECTS {
                let why = slot.link.take().and_then(|link| link.goodbye());
                let lost = StageClock::start(Stage::Exec).error(format!(
                    "the connection was lost again and again{}",
                    why.map(|why| format!(": {why}")).unwrap_or_default()
                ));
                let down = words::of_jump(jump, HostOutcome::Failed(lost));
                slot.down = Some((Instant::now(), down.clone()));
                return Err(down);
            }
            slot.connects += 1;
            match self.connect_jump(jump, &for_jump(timeouts)).await {
                Ok(link) => {
                    let link = Arc::new(link);
                    slot.link = Some(Arc::clone(&link));
                    Ok(link)
                }
                Err(outcome) => {
                    slot.down = Some((Instant::now(), outcome.clone()));
                    Err(outcome)
                }
            }
        })
    }

    async fn connect_jump(
        &self,
        jump: &SshSettings,
        timeouts: &Timeouts,
    ) -> Result<Link, HostOutcome> {
        let admission = self.way(jump, timeouts).await?;
        let clock = Arc::new(StageClock::start(Stage::Dns));
        tracing::debug!(jump = %words::target(jump), "connecting to a jump host");
        // Hosts with other keys or files of known hosts have connections of their own to the same
        // bastion, which must not meet its MaxStartups either.
        let gate = self.gate(&format!("login at {}", words::target(jump)), false);
        let _place = gate.pass().await;
        let log_in = self.log_in(jump, timeouts, &clock, &admission, Load::ManyHosts);
        let link = match timeout(timeouts.host, log_in).await {
            Ok(ended) => ended,
            Err(_) => Err(HostOutcome::TimedOut(
                clock.error("not connected in the time for one host"),
            )),
        }
        .map_err(|outcome| words::of_jump(jump, outcome))?;
        clock.enter(Stage::Exec);
        Ok(link)
    }
}

/// The limits of a jump: it is connected to for many hosts, and the short ones of the first must
/// not take it from all others. None is less than what is built in.
fn for_jump(host: &Timeouts) -> Timeouts {
    let at_least = |limit: Duration, seconds| limit.max(Duration::from_secs(seconds));
    Timeouts {
        dns: at_least(host.dns, 5),
        tcp: at_least(host.tcp, 5),
        kex: at_least(host.kex, 10),
        auth: at_least(host.auth, 10),
        channel: at_least(host.channel, 5),
        exec: at_least(host.exec, 20),
        host: at_least(host.host, 40),
    }
}

/// Connects from a jump host to the next one. `Err(None)` is a jump that is lost or silent.
pub(super) async fn through(
    link: &Link,
    to: &SshSettings,
    limit: Duration,
) -> Result<Stream, Option<ChannelOpenFailure>> {
    let open =
        link.handle
            .channel_open_direct_tcpip(&to.host_name, u32::from(to.port), "127.0.0.1", 0);
    match timeout(limit, open).await {
        Ok(Ok(channel)) => Ok(Box::new(Tunnel::new(channel))),
        Ok(Err(russh::Error::ChannelOpenFailure(reason))) => Err(Some(reason)),
        Ok(Err(_)) | Err(_) => Err(None),
    }
}
