//! From a host's settings to a login: the way there, the handshake, the keys.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, Handle};
use russh::{ChannelOpenFailure, Disconnect};
use tokio::time::{sleep, timeout};

use super::auth::{Keyring, LogIn};
use super::dial::{dial, io_words};
use super::gate::{Gate, Pass};
use super::handler::{Handler, Learned};
use super::jump::{Jumps, through};
use super::known_hosts::{KnownHosts, ServerName};
use super::negotiate;
use super::proxy::{self, Complaint};
use super::session::SshSession;
use super::wire::{HangUp, Wire};
use super::words;
use super::{StageClock, Stream, Transport};
use crate::model::{Host, HostError, HostOutcome, Route, SshSettings, Stage, Timeouts};

/// How often a server is asked again that has too many logins in flight.
const RETRIES: u32 = 5;

/// The first pause before that; each next one is twice as long.
const PAUSE: Duration = Duration::from_millis(150);

/// Connects over SSH. Keys and known hosts are read once, for all hosts of a run, and a jump host
/// is connected to once for all hosts behind it.
#[derive(Debug)]
pub struct SshTransport {
    pub(super) keyring: Keyring,
    known_hosts: HashMap<Vec<PathBuf>, Arc<KnownHosts>>,
    /// The user's shell, which runs proxy commands.
    shell: PathBuf,
    pub(super) jumps: Jumps,
    gates: Mutex<HashMap<String, Gate>>,
}

/// A logged-in connection.
pub(super) struct Link {
    pub(super) handle: Handle<Handler>,
    pub(super) learned: Arc<Mutex<Learned>>,
    _hang_up: HangUp,
}

impl Link {
    /// Returns why the server hung up, in its own words.
    pub(super) fn goodbye(&self) -> Option<String> {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        learned.goodbye.clone().filter(|words| !words.is_empty())
    }

    /// Says good-bye.
    pub(super) async fn close(self) {
        let goodbye = self.handle.disconnect(Disconnect::ByApplication, "", "");
        // A host that does not take a good-bye is hung up on.
        let _ = timeout(Duration::from_millis(200), goodbye).await;
    }
}

/// The way to a host, open and with a place on it.
pub struct Admission {
    jump: Option<Arc<Link>>,
    pass: Option<Pass>,
}

impl SshTransport {
    /// Reads the host key files of these connections.
    pub fn new(keyring: Keyring, settings: &[&SshSettings], shell: PathBuf) -> Self {
        let mut known_hosts = HashMap::new();
        for one in settings {
            let files = files_of(one);
            known_hosts
                .entry(files)
                .or_insert_with_key(|files| Arc::new(KnownHosts::load(files)));
        }
        Self {
            keyring,
            known_hosts,
            shell,
            jumps: Jumps::default(),
            gates: Mutex::default(),
        }
    }

    /// Returns what was wrong with the host key files, for the log.
    pub fn host_key_notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for known in self.known_hosts.values() {
            notes.extend(known.unreadable.iter().cloned());
            notes.extend(
                known
                    .skipped
                    .iter()
                    .map(|(file, line)| format!("{}:{line}: line skipped", file.display())),
            );
        }
        notes
    }

    /// Says good-bye to the jump hosts, after the last host.
    pub async fn close(&self) {
        self.jumps.close().await;
    }

    /// Returns the keys of the run.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Opens the way to a host and takes a place on it.
    pub(super) async fn way(
        &self,
        settings: &SshSettings,
        timeouts: &Timeouts,
    ) -> Result<Admission, HostOutcome> {
        match &settings.route {
            Route::Direct => Ok(Admission {
                jump: None,
                pass: None,
            }),
            Route::Jump(jump) => {
                let link = self.jump(jump, timeouts).await?;
                Ok(Admission {
                    jump: Some(link),
                    pass: Some(self.gate(&words::target(jump), true).pass().await),
                })
            }
            Route::Command { template, .. } => Ok(Admission {
                jump: None,
                pass: Some(self.gate(template, false).pass().await),
            }),
        }
    }

    fn gate(&self, name: &str, widens: bool) -> Gate {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates
            .entry(name.to_owned())
            .or_insert_with(|| Gate::new(widens))
            .clone()
    }

    /// Connects and logs in. A server that has too many logins in flight is asked again.
    pub(super) async fn log_in(
        &self,
        settings: &SshSettings,
        timeouts: &Timeouts,
        clock: &Arc<StageClock>,
        admission: &Admission,
    ) -> Result<Link, HostOutcome> {
        let mut pause = PAUSE;
        for _ in 0..RETRIES {
            match self.once(settings, timeouts, clock, admission).await {
                Err(Trouble::Busy) => {
                    if let Some(pass) = &admission.pass {
                        pass.refused();
                    }
                    sleep(pause + jitter(pause)).await;
                    pause *= 2;
                }
                Err(Trouble::Ended(outcome)) => return Err(outcome),
                Ok(link) => {
                    if let Some(pass) = &admission.pass {
                        pass.worked();
                    }
                    return Ok(link);
                }
            }
        }
        match self.once(settings, timeouts, clock, admission).await {
            Ok(link) => Ok(link),
            Err(Trouble::Ended(outcome)) => Err(outcome),
            Err(Trouble::Busy) => Err(HostOutcome::Unreachable(
                clock
                    .error(format!(
                        "the server refuses connections because too many are not logged in yet, {} times",
                        RETRIES + 1
                    ))
                    .hint("raise MaxStartups in its sshd_config, or ask fewer at once: --handshakes 8"),
            )),
        }
    }

    async fn once(
        &self,
        settings: &SshSettings,
        timeouts: &Timeouts,
        clock: &Arc<StageClock>,
        admission: &Admission,
    ) -> Result<Link, Trouble> {
        let (stream, complaint) = self.open(settings, timeouts, clock, admission).await?;
        clock.enter(Stage::Banner);
        let mut handshake = Handshake {
            settings,
            clock,
            learned: Arc::default(),
            proxied: admission.pass.is_some(),
            complaint,
        };
        let (mut handle, hang_up) = handshake.shake(self, stream, timeouts).await?;
        clock.enter(Stage::Auth);
        let log_in = LogIn::new(&self.keyring, settings, &mut handle).run();
        match timeout(timeouts.auth, log_in).await {
            Ok(Ok(())) => Ok(Link {
                handle,
                learned: handshake.learned,
                _hang_up: hang_up,
            }),
            Ok(Err(error)) => Err(Trouble::Ended(words::log_in_failed(
                settings,
                clock,
                &handshake.learned,
                error,
            ))),
            Err(_) => Err(Trouble::Ended(HostOutcome::TimedOut(
                clock.error("the login was not answered in time"),
            ))),
        }
    }

    /// Opens the stream that the handshake runs on.
    async fn open(
        &self,
        settings: &SshSettings,
        timeouts: &Timeouts,
        clock: &StageClock,
        admission: &Admission,
    ) -> Result<(Stream, Option<Complaint>), Trouble> {
        match &settings.route {
            Route::Direct => {
                let stream = dial(settings, timeouts, clock).await?;
                Ok((Box::new(stream), None))
            }
            Route::Command { line, .. } => {
                clock.enter(Stage::Tcp);
                let (proxy, complaint) = proxy::start(&self.shell, line).map_err(|error| {
                    HostOutcome::Unreachable(clock.error(format!(
                        "ProxyCommand does not start: {}: {}",
                        self.shell.display(),
                        io_words(&error)
                    )))
                })?;
                Ok((Box::new(proxy), Some(complaint)))
            }
            Route::Jump(jump) => {
                clock.enter(Stage::Tcp);
                let Some(link) = &admission.jump else {
                    return Err(Trouble::Ended(HostOutcome::Failed(
                        clock.error("the jump host was not connected to"),
                    )));
                };
                let limit = settings.connect_timeout.unwrap_or(timeouts.tcp);
                match through(link, settings, limit).await {
                    Ok(stream) => Ok((stream, None)),
                    Err(Some(ChannelOpenFailure::ResourceShortage)) => Err(Trouble::Busy),
                    Err(reason) => Err(Trouble::Ended(words::not_forwarded(
                        settings, jump, clock, link, reason,
                    ))),
                }
            }
        }
    }

    pub(super) fn known_hosts(&self, settings: &SshSettings) -> Arc<KnownHosts> {
        self.known_hosts
            .get(&files_of(settings))
            .cloned()
            .unwrap_or_default()
    }
}

/// Why there is no login.
pub(super) enum Trouble {
    /// The server has too many logins in flight; later there may be one.
    Busy,
    /// This is how it ended.
    Ended(HostOutcome),
}

impl From<HostOutcome> for Trouble {
    fn from(outcome: HostOutcome) -> Self {
        Self::Ended(outcome)
    }
}

/// A handshake in progress.
struct Handshake<'a> {
    settings: &'a SshSettings,
    clock: &'a Arc<StageClock>,
    learned: Arc<Mutex<Learned>>,
    /// Whether somebody in between may have dropped the connection.
    proxied: bool,
    complaint: Option<Complaint>,
}

impl Handshake<'_> {
    async fn shake(
        &mut self,
        transport: &SshTransport,
        stream: Stream,
        timeouts: &Timeouts,
    ) -> Result<(Handle<Handler>, HangUp), Trouble> {
        let settings = self.settings;
        let server = ServerName::of(settings);
        let known_hosts = transport.known_hosts(settings);
        let config = negotiate::config(settings, &known_hosts.algorithms(&server))
            .map_err(|why| HostOutcome::Failed(HostError::new(Stage::Kex, why)))?;
        let handler = Handler {
            known_hosts,
            server,
            learned: Arc::clone(&self.learned),
            clock: Arc::clone(self.clock),
        };
        let (wire, hang_up, head) = Wire::new(stream, Arc::clone(self.clock));
        let limit = settings
            .connect_timeout
            .map_or(timeouts.kex, |limit| limit.max(timeouts.kex));
        let connected = timeout(
            limit,
            client::connect_stream(Arc::new(config), wire, handler),
        );
        let error = match connected.await {
            Ok(Ok(handle)) => return Ok((handle, hang_up)),
            Ok(Err(error)) => error,
            Err(_) => {
                let what = match self.clock.current() {
                    Stage::Banner => {
                        "connected, and the server sent no SSH banner".to_owned() + &self.said()
                    }
                    _ => "the key exchange did not end in time".to_owned(),
                };
                return Err(Trouble::Ended(HostOutcome::TimedOut(
                    self.clock.error(what),
                )));
            }
        };
        let head = head.lock().map(|head| head.clone()).unwrap_or_default();
        let before_banner = self.clock.current() == Stage::Banner;
        if before_banner && words::is_busy(&head, self.proxied) {
            return Err(Trouble::Busy);
        }
        Err(Trouble::Ended(words::handshake_failed(
            settings,
            self.clock,
            &self.learned,
            &words::Heard {
                head: &head,
                proxy: &self.said(),
            },
            &error,
        )))
    }

    /// What the proxy command complained of, as the end of a sentence.
    fn said(&self) -> String {
        let Some(complaint) = &self.complaint else {
            return String::new();
        };
        let text = complaint
            .lock()
            .map(|text| text.clone())
            .unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        match text.lines().map(str::trim).find(|line| !line.is_empty()) {
            Some(line) => format!("; ProxyCommand says `{line}`"),
            None => String::new(),
        }
    }
}

fn files_of(settings: &SshSettings) -> Vec<PathBuf> {
    let policy = &settings.host_keys;
    policy
        .user_files
        .iter()
        .chain(&policy.global_files)
        .cloned()
        .collect()
}

/// A random part of a pause, so that hosts that were refused together do not come back together.
fn jitter(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without random numbers there is no jitter, and no harm.
    let _ = getrandom::fill(&mut byte);
    pause * u32::from(byte[0]) / 255
}

impl Transport for SshTransport {
    type Session = SshSession;
    type Admission = Admission;

    async fn admit(&self, host: &Host) -> Result<Admission, HostOutcome> {
        if let Some(why) = self.keyring.hopeless(&host.ssh) {
            return Err(HostOutcome::AuthFailed(
                HostError::new(Stage::Auth, why)
                    .hint("give the host an `identity` in the inventory, or `ssh-add` a key"),
            ));
        }
        self.way(&host.ssh, &host.timeouts).await
    }

    async fn connect(
        &self,
        host: &Host,
        clock: Arc<StageClock>,
        admission: Admission,
    ) -> Result<SshSession, HostOutcome> {
        let link = self
            .log_in(&host.ssh, &host.timeouts, &clock, &admission)
            .await?;
        Ok(SshSession::new(link, clock, host))
    }
}
