//! What failed connections mean, said for operators.

use std::borrow::Cow;
use std::sync::Mutex;

use russh::ChannelOpenFailure;

use super::StageClock;
use super::auth::{LogInError, Refusal};
use super::connect::Link;
use super::dial::io_words;
use super::handler::Learned;
use super::host_keys::{KeyVerdict, RevokedThing};
use crate::model::{HostError, HostOutcome, SshSettings, Stage};

/// Returns a server as a person would write it.
pub(super) fn target(settings: &SshSettings) -> String {
    let SshSettings {
        user,
        host_name,
        port,
        ..
    } = settings;
    match port {
        22 => format!("{user}@{host_name}"),
        port => format!("{user}@{host_name}:{port}"),
    }
}

/// Makes a jump's failure one of the hosts behind it: the same words for each of them, so that they
/// are shown as one.
pub(super) fn of_jump(jump: &SshSettings, outcome: HostOutcome) -> HostOutcome {
    let behind = |error: HostError| match error.via {
        // A jump before this one is down; that is where to look.
        Some(_) => error,
        None => HostError {
            message: format!("jump host {}: {}", target(jump), error.message),
            via: Some(jump.name.clone()),
            ..error
        },
    };
    match outcome {
        HostOutcome::Unreachable(error) => HostOutcome::Unreachable(behind(error)),
        HostOutcome::AuthFailed(error) => HostOutcome::AuthFailed(behind(error)),
        HostOutcome::HostKeyRejected(error) => {
            // A selector names hosts, and the jump may be none of the inventory's.
            let hint = "look at the fingerprint, then, for any host behind the jump: clawfleet hosts trust HOST";
            HostOutcome::HostKeyRejected(behind(error).hint(hint))
        }
        HostOutcome::TimedOut(error) => HostOutcome::TimedOut(behind(error)),
        HostOutcome::Failed(error) => HostOutcome::Failed(behind(error)),
        other => other,
    }
}

/// A jump host was lost that worked.
pub(super) fn lost_jump(jump: &SshSettings, link: &Link) -> String {
    let why = link.goodbye().map(|why| format!(": {why}"));
    format!(
        "the connection to jump host {} was lost{}",
        target(jump),
        why.unwrap_or_default()
    )
}

/// A jump host did not connect us to the next one.
pub(super) fn not_forwarded(
    settings: &SshSettings,
    jump: &SshSettings,
    clock: &StageClock,
    link: &Link,
    reason: Option<ChannelOpenFailure>,
) -> HostOutcome {
    let by = target(jump);
    let to = format!("{}:{}", settings.host_name, settings.port);
    match reason {
        Some(ChannelOpenFailure::ConnectFailed) => HostOutcome::Unreachable(
            clock
                .error(format!("jump host {by} cannot connect to {to}"))
                .hint("is the host up, and does its name resolve on the jump host?"),
        ),
        Some(ChannelOpenFailure::AdministrativelyProhibited) => HostOutcome::Unreachable(
            clock
                .error(format!("jump host {by} forwards no connection to {to}"))
                .hint("see AllowTcpForwarding and PermitOpen in its sshd_config"),
        ),
        Some(other) => HostOutcome::Unreachable(clock.error(format!(
            "jump host {by} opens no channel to {to}: {other:?}"
        ))),
        None if link.handle.is_closed() => {
            let error = clock.error(lost_jump(jump, link));
            HostOutcome::Unreachable(HostError {
                via: Some(jump.name.clone()),
                ..error
            })
        }
        None => HostOutcome::TimedOut(clock.error(format!(
            "no answer to the TCP connect that jump host {by} makes to {to}"
        ))),
    }
}

/// Whether a server has too many logins in flight. sshd says so from 8.5 on. Before, it only hangs
/// up, which an ssh that is the proxy complains of; where others came through, that is the reason.
pub(super) fn is_busy(heard: &Heard<'_>, others_worked: bool) -> bool {
    let hung_up = [
        "kex_exchange_identification",
        "Connection closed",
        "Connection reset",
    ];
    heard.head.starts_with(b"Exceeded MaxStartups")
        || (others_worked
            && heard.head.is_empty()
            && hung_up.iter().any(|words| heard.proxy.contains(words)))
}

/// Whether somebody in between hung up without a word, which may pass.
pub(super) fn is_silent(heard: &Heard<'_>) -> bool {
    heard.head.is_empty()
        && (heard.proxy.is_empty()
            || heard.proxy.contains("kex_exchange_identification")
            || heard.proxy.contains("Connection closed")
            || heard.proxy.contains("Connection reset"))
}

/// A server, or whoever is before it, that hung up each time.
pub(super) fn silent(clock: &StageClock, times: u32, proxy: &str) -> HostOutcome {
    HostOutcome::Unreachable(clock.error(format!(
        "the server closed the connection without a word, {times} times{proxy}"
    )))
}

/// A server that refused every time because of too many logins in flight.
pub(super) fn busy(clock: &StageClock, times: u32) -> HostOutcome {
    HostOutcome::Unreachable(
        clock
            .error(format!(
                "the server refuses connections because too many are not logged in yet, {times} times"
            ))
            .hint("raise MaxStartups in its sshd_config, or ask fewer at once: --handshakes 8"),
    )
}

/// What was heard before the handshake ended.
pub(super) struct Heard<'a> {
    /// The server's first bytes.
    pub(super) head: &'a [u8],
    /// What the proxy command said, as the end of a sentence.
    pub(super) proxy: &'a str,
}

/// What a failed handshake means. russh reports most of them as "disconnected", so the host key
/// verdict and the server's first bytes tell more than its error.
pub(super) fn handshake_failed(
    settings: &SshSettings,
    clock: &StageClock,
    learned: &Mutex<Learned>,
    heard: &Heard<'_>,
    error: &russh::Error,
) -> HostOutcome {
    let (key, refusal, goodbye) = match learned.lock() {
        Ok(mut learned) => (
            learned.key.take(),
            learned.refusal.take(),
            learned.goodbye.take(),
        ),
        Err(_) => (None, None, None),
    };
    if let Some(refusal) = refusal {
        return HostOutcome::HostKeyRejected(clock.error(refusal));
    }
    if let Some(verdict) = key.filter(|verdict| !verdict.is_trusted()) {
        return host_key_rejected(settings, clock, verdict);
    }
    if clock.current() == Stage::Banner {
        let said = String::from_utf8_lossy(heard.head);
        let said = said.lines().next().unwrap_or_default().trim();
        return HostOutcome::Unreachable(clock.error(if said.is_empty() {
            format!(
                "the server closed the connection before its SSH banner{}",
                heard.proxy
            )
        } else {
            format!("this is no SSH server; it says `{said}`")
        }));
    }
    let words = match error {
        russh::Error::NoCommonAlgo { kind, theirs, .. } => format!(
            "no common {kind:?} algorithm; the server offers {}",
            theirs.join(", ")
        ),
        russh::Error::IO(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the server closed the connection in the key exchange".to_owned()
        }
        russh::Error::IO(error) => io_words(error),
        russh::Error::Disconnect | russh::Error::HUP => match goodbye {
            Some(goodbye) if !goodbye.is_empty() => {
                format!("the server ended the key exchange: {goodbye}")
            }
            _ => "the server closed the connection in the key exchange".to_owned(),
        },
        other => other.to_string(),
    };
    HostOutcome::Unreachable(clock.error(words))
}

pub(super) fn host_key_rejected(
    settings: &SshSettings,
    clock: &StageClock,
    verdict: KeyVerdict,
) -> HostOutcome {
    let enrol = format!("clawfleet hosts trust {}", quoted(&settings.name));
    let (message, hint) = match verdict {
        KeyVerdict::Unknown {
            algorithm,
            fingerprint,
        } => (
            format!("unknown host key {algorithm} {fingerprint}"),
            format!("if the fingerprint is right, enrol it: {enrol}"),
        ),
        KeyVerdict::Changed {
            algorithm,
            fingerprint,
            known_at,
            ..
        } => (
            format!(
                "HOST KEY CHANGED: it now shows {algorithm} {fingerprint}, another key is known at {known_at}"
            ),
            format!(
                "if the host was re-installed: {enrol} --replace; if not, somebody may be in between"
            ),
        ),
        KeyVerdict::Revoked {
            what,
            fingerprint,
            by,
        } => (
            match what {
                RevokedThing::Key => {
                    format!("the host shows a key that is revoked at {by}: {fingerprint}")
                }
                RevokedThing::Authority => {
                    format!("the signer of the host's certificate is revoked at {by}")
                }
                RevokedThing::Certificate => {
                    format!("the host's certificate is revoked at {by}: {fingerprint}")
                }
            },
            "the host needs a new host key".to_owned(),
        ),
        KeyVerdict::RevocationsUnreadable { file, why } => (
            format!(
                "nobody knows which host keys are revoked: {}: {why}",
                file.display()
            ),
            "no host is trusted before that file can be read".to_owned(),
        ),
        KeyVerdict::CertificateRefused { why, authority, .. } => (
            format!(
                "the host's certificate does not vouch for it, and its key is not known: {why}"
            ),
            format!(
                "it is signed by {authority}; the host needs another certificate, or its key enrolled: {enrol}"
            ),
        ),
        KeyVerdict::Known { .. } => (
            "the key exchange failed after the host's key was accepted".to_owned(),
            "try again".to_owned(),
        ),
    };
    HostOutcome::HostKeyRejected(clock.error(message).hint(hint))
}

pub(super) fn log_in_failed(
    settings: &SshSettings,
    clock: &StageClock,
    learned: &Mutex<Learned>,
    error: LogInError,
) -> HostOutcome {
    let goodbye = learned
        .lock()
        .ok()
        .and_then(|mut learned| learned.goodbye.take());
    match error {
        LogInError::Refused(refusal) => {
            HostOutcome::AuthFailed(refused(settings, clock, &refusal, goodbye))
        }
        LogInError::TimedOut => {
            HostOutcome::TimedOut(clock.error("the login was not answered in time"))
        }
        LogInError::Lost(why) => HostOutcome::AuthFailed(clock.error(format!(
            "the connection ended during the login: {}",
            goodbye.unwrap_or(why)
        ))),
    }
}

fn refused(
    settings: &SshSettings,
    clock: &StageClock,
    refusal: &Refusal,
    goodbye: Option<String>,
) -> HostError {
    let user = &settings.user;
    let mut message = if refusal.hung_up {
        let why = goodbye.map(|words| format!(": {words}"));
        format!(
            "the server closed the connection during the login{}",
            why.unwrap_or_default()
        )
    } else if refusal.offered.is_empty() {
        format!("nothing could be offered to log in as {user}")
    } else {
        format!(
            "the server refused {user} with {}",
            refusal.offered.join(", ")
        )
    };
    // That a server takes keys is no news to somebody whose keys it refused.
    let news = refusal.methods != "publickey" || !refusal.keys;
    if !refusal.methods.is_empty() && news {
        message += &format!("; the server takes {}", refusal.methods);
    }
    for fault in &refusal.unusable {
        message += &format!("; not offered: {fault}");
    }
    let hint = if refusal.keys {
        format!("check that {user}'s authorized_keys on the host holds one of these keys")
    } else {
        format!("try `ssh` as {user} by hand: what does it ask?")
    };
    clock.error(message).hint(hint)
}

fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Cow::into_owned)
}
