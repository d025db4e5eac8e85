//! Sessions over SSH.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::client::{self, Handle, Msg};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{ChannelMsg, ChannelOpenFailure, Disconnect, Preferred};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::auth::{Keyring, LogInError};
use super::exec::{Command, ExecEnd, ExecOutput, append_capped};
use super::handler::{Handler, Learned};
use super::host_keys::{HostKeyStore, KeyVerdict, KnownHosts, RevokedThing, ServerName};
use super::wire::{HangUp, Head, Wire};
use super::{ForwardError, Session, StageClock, Stream, Transport};
use crate::model::{Host, HostError, HostOutcome, Stage};

/// A silent connection is dead after this, whatever else fails to notice: russh keeps its task
/// alive for ever without a limit. Keepalives reset it while a long command runs.
const INACTIVITY: Duration = Duration::from_secs(45);
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Receive window and channel queue. The library's defaults let one stalled host hold 2.8 MB.
const WINDOW: u32 = 512 << 10;
const CHANNEL_QUEUE: usize = 16;

/// Host key algorithms in OpenSSH's order, without `ssh-rsa`, which signs with SHA-1.
const HOST_KEYS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];

/// Connects over SSH. Keys and known hosts are read once, for all hosts of a run.
#[derive(Debug)]
pub struct SshTransport {
    keyring: Keyring,
    known_hosts: HashMap<Vec<PathBuf>, Arc<KnownHosts>>,
    host_key_notes: Vec<String>,
    default_files: Vec<PathBuf>,
}

impl SshTransport {
    /// Reads the host key files of these hosts.
    pub fn new(keyring: Keyring, hosts: &[&Host], home: &std::path::Path) -> Self {
        let default_files = HostKeyStore::default_files(home);
        let mut store = HostKeyStore::default();
        let mut known_hosts = HashMap::new();
        for host in hosts {
            let files = files_of(host, &default_files);
            known_hosts
                .entry(files.to_vec())
                .or_insert_with(|| Arc::new(store.open_files(files, None)));
        }
        Self {
            keyring,
            known_hosts,
            host_key_notes: store.notes(),
            default_files,
        }
    }

    /// Returns what was wrong with the host key files, for the log.
    pub fn host_key_notes(&self) -> Vec<String> {
        self.host_key_notes.clone()
    }

    fn config(&self, known: &[Algorithm]) -> client::Config {
        // Known algorithms first: a host with an ed25519 and an RSA key that is known by its RSA
        // key must not look changed. A known RSA key answers to both of its SHA-2 signatures.
        let is_known = |algorithm: &Algorithm| {
            known
                .iter()
                .any(|known| known == algorithm || (is_rsa(known) && is_rsa(algorithm)))
        };
        let mut key: Vec<Algorithm> = HOST_KEYS
            .iter()
            .filter(|key| is_known(key))
            .cloned()
            .collect();
        key.extend(HOST_KEYS.iter().filter(|key| !is_known(key)).cloned());
        let preferred = Preferred {
            key: Cow::Owned(key),
            compression: Cow::Borrowed(&[russh::compression::NONE]),
            ..Preferred::DEFAULT
        };
        client::Config {
            client_id: russh::SshId::Standard(Cow::Borrowed(concat!(
                "SSH-2.0-clawfleet_",
                env!("CARGO_PKG_VERSION")
            ))),
            nodelay: true,
            window_size: WINDOW,
            channel_buffer_size: CHANNEL_QUEUE,
            inactivity_timeout: Some(INACTIVITY),
            keepalive_interval: Some(KEEPALIVE),
            keepalive_max: 2,
            preferred,
            ..client::Config::default()
        }
    }
}

fn is_rsa(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Rsa { .. })
}

fn files_of<'a>(host: &'a Host, default_files: &'a [PathBuf]) -> &'a [PathBuf] {
    match host.known_hosts.0.as_slice() {
        [] => default_files,
        files => files,
    }
}

impl Transport for SshTransport {
    type Session = SshSession;

    async fn connect(
        &self,
        host: &Host,
        clock: Arc<StageClock>,
    ) -> Result<SshSession, HostOutcome> {
        if let Some(why) = self.keyring.hopeless(host) {
            return Err(HostOutcome::AuthFailed(
                HostError::new(Stage::Auth, why)
                    .hint("give the host an `identity` in the inventory, or `ssh-add` a key"),
            ));
        }
        let stream = dial(host, &clock).await?;
        clock.enter(Stage::Banner);
        let server = ServerName::new(&host.address, host.port);
        let known = files_of(host, &self.default_files);
        let known_hosts = self.known_hosts.get(known).cloned().unwrap_or_default();
        let config = self.config(&known_hosts.algorithms(&server).keys);
        let learned = Arc::new(Mutex::new(Learned::default()));
        let handler = Handler {
            known_hosts,
            server,
            learned: Arc::clone(&learned),
            clock: Arc::clone(&clock),
        };
        let (wire, hang_up, head) = Wire::new(stream, Arc::clone(&clock));
        let connected = timeout(
            host.timeouts.kex,
            client::connect_stream(Arc::new(config), wire, handler),
        );
        let mut handle = match connected.await {
            Ok(Ok(handle)) => handle,
            Ok(Err(error)) => return Err(handshake_failed(host, &clock, &learned, &head, &error)),
            Err(_) => {
                return Err(HostOutcome::TimedOut(clock.error(match clock.current() {
                    Stage::Banner => "TCP connected, and the server sent no SSH banner",
                    _ => "the key exchange did not end in time",
                })));
            }
        };
        clock.enter(Stage::Auth);
        match timeout(host.timeouts.auth, self.keyring.log_in(&mut handle, host)).await {
            Ok(Ok(())) => Ok(SshSession {
                handle,
                learned,
                clock,
                channel_timeout: host.timeouts.channel,
                _hang_up: hang_up,
            }),
            Ok(Err(error)) => Err(log_in_failed(host, &clock, &learned, error)),
            Err(_) => Err(HostOutcome::TimedOut(
                clock.error("the login was not answered in time"),
            )),
        }
    }
}

/// Resolves and connects, one address after the other.
async fn dial(host: &Host, clock: &StageClock) -> Result<TcpStream, HostOutcome> {
    let lookup = timeout(
        host.timeouts.dns,
        tokio::net::lookup_host((host.address.as_str(), host.port)),
    );
    let addresses: Vec<SocketAddr> = match lookup.await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => {
            return Err(HostOutcome::Unreachable(
                clock
                    .error(format!("`{}` does not resolve: {error}", host.address))
                    .hint("set the host's `address` in the inventory"),
            ));
        }
        Err(_) => {
            return Err(HostOutcome::TimedOut(
                clock.error(format!("`{}` did not resolve in time", host.address)),
            ));
        }
    };
    clock.enter(Stage::Tcp);
    let deadline = Instant::now() + host.timeouts.tcp;
    let mut failure = None;
    for address in addresses {
        match timeout_at(deadline, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Nagle's algorithm costs one to three round trips per login.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(host = %host.name, %error, "TCP_NODELAY");
                }
                return Ok(stream);
            }
            Ok(Err(error)) => failure = Some(tried(host, address) + &io_words(&error)),
            Err(_) => {
                return Err(HostOutcome::TimedOut(
                    clock.error(tried(host, address) + "no answer to the TCP connect"),
                ));
            }
        }
    }
    Err(HostOutcome::Unreachable(clock.error(
        failure.unwrap_or_else(|| format!("`{}` has no address", host.address)),
    )))
}

/// Names the address that was tried where the inventory gives only a name. Otherwise hosts with the
/// same trouble say the same.
fn tried(host: &Host, address: SocketAddr) -> String {
    if address.ip().to_string() == host.address {
        String::new()
    } else {
        format!("{}: ", address.ip())
    }
}

/// The system's words without their number.
fn io_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::HostUnreachable => "no route to the host".into(),
        ErrorKind::NetworkUnreachable => "the network is unreachable".into(),
        ErrorKind::ConnectionReset => "connection reset".into(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_owned()
        }
    }
}

/// What a failed handshake means. russh reports most of them as "disconnected", so the host key
/// verdict and the server's first bytes tell more than its error.
fn handshake_failed(
    host: &Host,
    clock: &StageClock,
    learned: &Mutex<Learned>,
    head: &Head,
    error: &russh::Error,
) -> HostOutcome {
    let (key, goodbye) = match learned.lock() {
        Ok(mut learned) => (learned.key.take(), learned.goodbye.take()),
        Err(_) => (None, None),
    };
    if let Some(verdict) = key.filter(|verdict| !verdict.is_trusted()) {
        return host_key_rejected(host, clock, verdict);
    }
    if clock.current() == Stage::Banner {
        let head = head.lock().map(|head| head.clone()).unwrap_or_default();
        let said = String::from_utf8_lossy(&head);
        let said = said.lines().next().unwrap_or_default().trim();
        return HostOutcome::Unreachable(clock.error(if said.is_empty() {
            "the server closed the connection before its SSH banner".to_owned()
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

fn host_key_rejected(host: &Host, clock: &StageClock, verdict: KeyVerdict) -> HostOutcome {
    let quote =
        |word: &str| shlex::try_quote(word).map_or_else(|_| word.to_owned(), Cow::into_owned);
    let file = host.known_hosts.0.first().map_or_else(
        || "~/.ssh/known_hosts".to_owned(),
        |file| quote(&file.display().to_string()),
    );
    let enrol = format!(
        "ssh-keyscan -p {} {} >> {file}",
        host.port,
        quote(&host.address)
    );
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
            name,
            known_at,
            ..
        } => (
            format!(
                "HOST KEY CHANGED: it now shows {algorithm} {fingerprint}, another key is known at {known_at}"
            ),
            format!(
                "if the host was re-installed: ssh-keygen -R {} -f {}, then {enrol}; if not, somebody may be in between",
                quote(&name),
                quote(&known_at.file.display().to_string())
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

fn log_in_failed(
    host: &Host,
    clock: &StageClock,
    learned: &Mutex<Learned>,
    error: LogInError,
) -> HostOutcome {
    let goodbye = learned
        .lock()
        .ok()
        .and_then(|mut learned| learned.goodbye.take());
    match error {
        LogInError::Refused {
            offered,
            unusable,
            methods,
        } => {
            let mut message = format!("{} refused {}", host.user, offered.join(", "));
            if methods.is_empty() {
                message = format!(
                    "the server closed the connection during the login{}",
                    goodbye
                        .map(|words| format!(": {words}"))
                        .unwrap_or_default()
                );
            } else if methods != "publickey" {
                message += &format!("; the server takes {methods}");
            }
            for fault in unusable {
                message += &format!("; not offered: {fault}");
            }
            HostOutcome::AuthFailed(clock.error(message).hint(format!(
                "check that {}'s authorized_keys on the host holds one of these keys",
                host.user
            )))
        }
        LogInError::Lost(why) => HostOutcome::AuthFailed(clock.error(format!(
            "the connection ended during the login: {}",
            goodbye.unwrap_or(why)
        ))),
    }
}

/// A logged-in SSH connection.
pub struct SshSession {
    handle: Handle<Handler>,
    learned: Arc<Mutex<Learned>>,
    clock: Arc<StageClock>,
    channel_timeout: Duration,
    _hang_up: HangUp,
}

impl SshSession {
    fn lost(&self, fallback: &str) -> String {
        let goodbye = self
            .learned
            .lock()
            .ok()
            .and_then(|learned| learned.goodbye.clone());
        goodbye
            .filter(|words| !words.is_empty())
            .unwrap_or_else(|| fallback.to_owned())
    }

    async fn open(&self) -> Result<russh::Channel<Msg>, ExecEnd> {
        match timeout(self.channel_timeout, self.handle.channel_open_session()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => Err(ExecEnd::Refused(format!(
                "the server opens no session channel: {reason:?}"
            ))),
            Ok(Err(error)) => Err(ExecEnd::Lost(self.lost(&error.to_string()))),
            Err(_) => Err(ExecEnd::TimedOut),
        }
    }
}

impl Session for SshSession {
    async fn exec(&self, command: Command<'_>, deadline: Instant) -> ExecOutput {
        self.clock.enter(Stage::Channel);
        let channel = match self.open().await {
            Ok(channel) => channel,
            Err(end) => return ExecOutput::nothing(end),
        };
        self.clock.enter(Stage::Exec);
        let mut output = ExecOutput::nothing(ExecEnd::Lost(String::new()));
        let (mut from_host, to_host) = channel.split();
        // Input and output flow at once: writing without reading stalls both on full windows.
        let write = async {
            to_host.exec(true, command.line).await?;
            to_host.data_bytes(command.stdin.to_owned()).await?;
            to_host.eof().await
        };
        let read = async {
            let mut end = None;
            while let Some(message) = from_host.wait().await {
                match message {
                    ChannelMsg::Data { data } => {
                        let fitted = append_capped(&mut output.stdout, &data, command.stdout_cap);
                        if !fitted {
                            return ExecEnd::Capped;
                        }
                    }
                    ChannelMsg::ExtendedData { data, .. } => {
                        append_capped(&mut output.stderr, &data, command.stderr_cap);
                    }
                    ChannelMsg::ExitStatus { exit_status } => {
                        end = Some(ExecEnd::Exited(exit_status));
                    }
                    ChannelMsg::ExitSignal { signal_name, .. } => {
                        end = Some(ExecEnd::Signalled(format!("{signal_name:?}")));
                    }
                    ChannelMsg::Failure => {
                        return ExecEnd::Refused("the server refused to run a command".into());
                    }
                    // Neither the end of the output nor success is the end of the command.
                    ChannelMsg::Close => break,
                    _ => {}
                }
            }
            end.unwrap_or_else(|| {
                ExecEnd::Lost(self.lost("the channel closed without an exit status"))
            })
        };
        let both = async {
            tokio::pin!(write, read);
            let mut writing = true;
            loop {
                tokio::select! {
                    result = &mut write, if writing => {
                        writing = false;
                        if let Err(error) = result {
                            tracing::debug!(%error, "writing to the channel");
                        }
                    }
                    end = &mut read => return end,
                }
            }
        };
        let end = timeout_at(deadline, both)
            .await
            .unwrap_or(ExecEnd::TimedOut);
        output.end = end;
        output
    }

    async fn forward(&self, address: &str, port: u16) -> Result<Stream, ForwardError> {
        let open = self
            .handle
            .channel_open_direct_tcpip(address, u32::from(port), "127.0.0.1", 0);
        match timeout(self.channel_timeout, open).await {
            Ok(Ok(channel)) => Ok(Box::new(channel.into_stream())),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => Err(match reason {
                ChannelOpenFailure::ConnectFailed => ForwardError::Refused,
                other => ForwardError::Forbidden(format!("{other:?}")),
            }),
            Ok(Err(error)) => Err(ForwardError::Lost(self.lost(&error.to_string()))),
            Err(_) => Err(ForwardError::Lost(
                "the channel was not opened in time".into(),
            )),
        }
    }

    async fn close(self) {
        let goodbye = self.handle.disconnect(Disconnect::ByApplication, "", "");
        // A host that does not take a good-bye is hung up on.
        let _ = timeout(Duration::from_millis(200), goodbye).await;
    }
}
