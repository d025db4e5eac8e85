//! Running a composed script on a host.

use std::time::Duration;

use tokio::time::Instant;

use crate::probe::{self, Nonce, ProbeScript};
use crate::ssh::{Command, Dialogue, ExecOutput, LoginPassword, Session};

/// The controller waits a little longer than the host's own watchdog, so that what the watchdog
/// leaves behind still arrives.
pub(super) const WATCHDOG_MARGIN: Duration = Duration::from_secs(2);

/// Runs a script within the probe's caps. A password is for the one who asks for it.
pub(super) async fn run<S: Session>(
    session: &S,
    script: &ProbeScript,
    password: Option<&LoginPassword>,
    deadline: Instant,
) -> ExecOutput {
    let command = Command {
        line: &script.command,
        stdin: &script.stdin,
        dialogue: script.questions.as_ref().map(|questions| Dialogue {
            begin: &questions.begin,
            prompt: &questions.prompt,
            ready: &questions.ready,
            password,
        }),
        stdout_cap: probe::OUTPUT_CAP,
        stderr_cap: probe::STDERR_CAP,
    };
    session.exec(command, deadline).await
}

/// Makes a nonce of its own for each script, so that no host learns another's.
pub(super) fn nonce() -> Result<Nonce, String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| format!("the system gives no random numbers: {error}"))?;
    Ok(Nonce::new(u128::from_le_bytes(bytes)))
}

/// Makes the key of a run's digests.
pub(super) fn digest_key() -> String {
    // Without random numbers no host gets a nonce, and none is asked.
    nonce().map_or_else(|_| String::new(), |nonce| nonce.as_str().to_owned())
}
