//! The heartbeat of a check. It goes out on a thread of its own: no watchdog that is slow or away delays hosts that
//! are asked, and none changes the exit code.

use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::args_schedule::{HeartbeatArg, HeartbeatArgs};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::{audience, secrets};
use crate::model::{Address, HeartbeatEnd, HeartbeatSpec, Report};
use crate::notify::{Beat, Heartbeat, Proxies};
use crate::report::render_heartbeat;

/// How long a run that has ended waits for the news that it has begun.
const START_MAY_LAST: Duration = Duration::from_secs(2);

/// What is told at the end.
struct End {
    how: HeartbeatEnd,
    text: String,
}

/// A run of which a watchdog is told. Dropped before its end it tells nothing more, and the watchdog notices.
pub(super) struct Pulse {
    spec: HeartbeatSpec,
    ended: oneshot::Sender<End>,
    thread: JoinHandle<Vec<String>>,
}

/// Says where the heartbeat goes: as the command line says, else as the inventory does for runs that tell what changed.
///
/// # Errors
/// Usage: an address that is none. Its text is not in the error.
pub(super) fn wanted(
    args: &HeartbeatArgs,
    inventory: Option<&HeartbeatSpec>,
    on_change: bool,
) -> Result<Option<HeartbeatSpec>, CliError> {
    let by_hand = |url: Address, plaintext: bool| HeartbeatSpec {
        url,
        plaintext,
        ca_file: inventory.and_then(|spec| spec.ca_file.clone()),
        proxy: inventory.is_none_or(|spec| spec.proxy),
        fail_on: inventory.map(|spec| spec.fail_on).unwrap_or_default(),
    };
    let spec = match &args.heartbeat {
        Some(HeartbeatArg::Nowhere) => None,
        Some(HeartbeatArg::Odd(why)) => {
            return Err(CliError::Usage {
                message: format!("--heartbeat: what is given {why}"),
                hint: Some(
                    "a URL, env:NAME, file:/PATH, command:COMMAND, or none; what was given is not repeated here, it may be a secret"
                        .into(),
                ),
            });
        }
        // Who writes http:// on the command line means it.
        Some(HeartbeatArg::Address(url)) => Some(by_hand(Address::Plain(url.clone()), true)),
        Some(HeartbeatArg::Source(source)) => {
            let plaintext = inventory.is_some_and(|spec| spec.plaintext);
            Some(by_hand(Address::Secret(source.clone()), plaintext))
        }
        None => inventory.filter(|_| on_change).cloned(),
    };
    Ok(spec.map(|spec| HeartbeatSpec {
        fail_on: args.heartbeat_fail_on.map_or(spec.fail_on, |on| on.meant()),
        ..spec
    }))
}

impl Pulse {
    /// Tells that a run begins, where somebody is to be told.
    pub(super) fn begin(context: &Context, spec: Option<HeartbeatSpec>) -> Option<Self> {
        let spec = spec?;
        let (ended, end) = oneshot::channel();
        let told = spec.clone();
        let proxies = audience::proxies();
        let spawned = std::thread::Builder::new()
            .name("heartbeat".to_owned())
            .spawn(move || tell(&told, &proxies, end));
        match spawned {
            Ok(thread) => Some(Self {
                spec,
                ended,
                thread,
            }),
            Err(error) => {
                context.note(&format!("there is no heartbeat: {error}"));
                None
            }
        }
    }

    /// Tells that the run has ended.
    pub(super) fn end(self, context: &Context, report: &Report, exit: Exit) {
        let how = self.spec.fail_on.end(exit.code());
        if how == HeartbeatEnd::Silent {
            return;
        }
        let text = render_heartbeat(report, exit.code());
        // A thread that has nobody to tell has gone already, and says why.
        let _ = self.ended.send(End { how, text });
        for why in self.thread.join().unwrap_or_default() {
            context.note(&why);
        }
    }
}

/// Tells begin and end; returns what could not be told.
fn tell(spec: &HeartbeatSpec, proxies: &Proxies, end: oneshot::Receiver<End>) -> Vec<String> {
    let ready = || {
        let secret;
        let url = match &spec.url {
            Address::Plain(url) => url,
            Address::Secret(source) => {
                secret = secrets::load_heartbeat(source)?;
                secret.expose()
            }
        };
        let ca_file = spec.ca_file.as_deref().map(Path::new);
        Heartbeat::new(url, ca_file, spec.proxy, spec.plaintext)
    };
    let heartbeat = match ready() {
        Ok(heartbeat) => heartbeat,
        Err(why) => return vec![format!("there is no heartbeat: {why}")],
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return vec![format!("there is no heartbeat: {error}")],
    };
    let missed = runtime.block_on(both(&heartbeat, proxies, end));
    // Name look-ups run on threads that cannot be stopped; nobody waits for them here.
    runtime.shutdown_background();
    missed
}

async fn both(
    heartbeat: &Heartbeat,
    proxies: &Proxies,
    mut end: oneshot::Receiver<End>,
) -> Vec<String> {
    let place = heartbeat.place();
    let mut missed = Vec::new();
    let run = run_id();
    let start = heartbeat.tell(Beat::Start, &run, "", proxies);
    tokio::pin!(start);
    let end = tokio::select! {
        told = &mut start => {
            missed.extend(told.err().map(|why| format!("{place} did not hear that this run began: {why}")));
            end.await
        }
        ended = &mut end => {
            // Begin after end would be a run that never ends. A watchdog that is this slow hears of the end alone.
            if ended.is_ok() && tokio::time::timeout(START_MAY_LAST, start).await.is_err() {
                missed.push(format!("{place} did not hear that this run began: no answer in time"));
            }
            ended
        }
    };
    let Ok(End { how, text }) = end else {
        return missed;
    };
    let told = heartbeat.tell(Beat::End(how), &run, &text, proxies).await;
    missed.extend(told.err().map(|why| {
        format!("{place} did not hear that this run ended: {why}; the check itself is as it is")
    }));
    missed
}

/// Names a run for the watchdog: a random UUID (RFC 9562, version 4).
fn run_id() -> String {
    let mut random = [0; 16];
    // Without a source of chance two runs at once are not told apart, and no more.
    let _ = getrandom::fill(&mut random);
    let number = u128::from_be_bytes(random);
    let number = number & !(0xf << 76) | (0x4 << 76);
    let number = number & !(0x3 << 62) | (0x2 << 62);
    let hex = format!("{number:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::run_id;

    #[test]
    fn a_run_is_named_by_a_uuid() {
        let (one, other) = (run_id(), run_id());
        assert_ne!(one, other);
        let parts: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{one}");
        assert_eq!(one.chars().nth(14), Some('4'), "{one}");
        let variant = one.chars().nth(19).expect("a variant");
        assert!("89ab".contains(variant), "{one}");
    }
}
