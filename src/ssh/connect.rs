//! From a host's settings to a login: the way there, the handshake, the keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::Handle;
use russh::keys::HashAlg;
use russh::{ChannelOpenFailure, Disconnect};
use tokio::time::{Instant, timeout};

use super::auth::{Keyring, LogIn};
use super::dial::{dial, io_words};
use super::gate::{Gate, Pass};
use super::handler::{Handler, Learned};
use super::handshake::{Asking, Handshake, Opened, Trouble, server_name};
use super::host_keys::{
    EnrolError, Enrolled, HostKeyStore, KeyVerdict, KnownHosts, NewEntry, Place, ServerName,
    enrol_first,
};
use super::jump::{Jumps, through};
use super::patience::Patience;
use super::proxy::{self, ProxyShell};
use super::session::SshSession;
use super::wire::{HangUp, Load};
use super::words;
use super::{StageClock, Transport};
use crate::model::{
    Host, HostError, HostKeyPolicy, HostOutcome, Route, SshSettings, Stage, Timeouts,
};

/// Connects over SSH. Keys and known hosts are read once, for all hosts of a run, and a jump host
/// is connected to once for all hosts behind it.
#[derive(Debug)]
pub struct SshTransport {
    pub(super) keyring: Keyring,
    known_hosts: HashMap<HostKeyPolicy, Arc<KnownHosts>>,
    notes: Mutex<Vec<String>>,
    proxies: ProxyShell,
    pub(super) jumps: Jumps,
    gates: Mutex<HashMap<String, Gate>>,
    load: Load,
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
        let words = learned.refusal.as_ref().or(learned.goodbye.as_ref());
        words.filter(|words| !words.is_empty()).cloned()
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
    pub(super) pass: Option<Pass>,
}

impl Admission {
    /// A handshake went through: others may use the way as well.
    pub(super) fn worked(&self) {
        if let Some(pass) = &self.pass {
            pass.worked();
        }
    }
}

impl SshTransport {
    /// Reads the host key files of these connections.
    pub fn new(keyring: Keyring, settings: &[&SshSettings], proxies: ProxyShell) -> Self {
        let mut store = HostKeyStore::default();
        let mut known_hosts: HashMap<HostKeyPolicy, Arc<KnownHosts>> = HashMap::new();
        for one in settings {
            if !known_hosts.contains_key(&one.host_keys) {
                let known = Arc::new(store.open(&one.host_keys));
                known_hosts.insert(one.host_keys.clone(), known);
            }
        }
        Self {
            keyring,
            known_hosts,
            notes: Mutex::new(store.notes()),
            proxies,
            jumps: Jumps::default(),
            gates: Mutex::default(),
            load: Load::OneHost,
        }
    }

    /// Takes more from each host than a probe prints: a command's output of so many bytes.
    #[must_use]
    pub fn taking(mut self, bytes: u64) -> Self {
        self.load = Load::Output(bytes);
        self
    }

    /// Returns what there is to say of the host key files, each thing once.
    pub fn take_notes(&self) -> Vec<String> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *notes)
    }

    /// Takes note of a key that was enrolled after the files were read.
    pub fn learn(&self, settings: &SshSettings, entry: &NewEntry, at: &Place) {
        self.known_hosts(settings)
            .learn(&entry.names, &entry.key, at);
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

    pub(super) fn gate(&self, name: &str, widens: bool) -> Gate {
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
        load: Load,
    ) -> Result<Link, HostOutcome> {
        let mut patience = Patience::default();
        let mut asked_for = None;
        loop {
            let asking = Asking {
                load,
                known: asked_for.as_ref(),
            };
            let tried = self.once(settings, timeouts, clock, admission, asking);
            match tried.await {
                Ok(link) => {
                    admission.worked();
                    return Ok(link);
                }
                Err(Trouble::Ended(outcome)) => return Err(outcome),
                Err(Trouble::OtherKey(known, outcome)) => {
                    if asked_for.is_some() {
                        return Err(outcome);
                    }
                    asked_for = Some(known);
                }
                Err(Trouble::Busy) => patience.pause(clock, admission).await?,
                Err(Trouble::Silent(said)) => patience.after_silence(clock, &said).await?,
            }
        }
    }

    /// Connects once.
    async fn once(
        &self,
        settings: &SshSettings,
        timeouts: &Timeouts,
        clock: &Arc<StageClock>,
        admission: &Admission,
        asking: Asking<'_>,
    ) -> Result<Link, Trouble> {
        let opened = self.open(settings, timeouts, clock, admission).await?;
        clock.enter(Stage::Banner);
        let server = server_name(settings, opened.peer);
        let (mut handshake, stream) = Handshake::new(settings, clock, admission, opened);
        let (mut handle, hang_up) = handshake
            .shake(self, stream, &server, timeouts, asking)
            .await?;
        self.keep_new_key(settings, &server, &handshake.learned)
            .await
            .map_err(|verdict| words::host_key_rejected(settings, clock, verdict))?;
        clock.enter(Stage::Auth);
        let log_in = LogIn::new(&self.keyring, settings, &mut handle, timeouts.auth);
        match log_in.run().await {
            Ok(()) => Ok(Link {
                handle,
                learned: handshake.learned,
                _hang_up: hang_up,
            }),
            Err(error) => Err(Trouble::Ended(words::log_in_failed(
                settings,
                clock,
                &handshake.learned,
                error,
            ))),
        }
    }

    /// Writes down a key that was taken on trust, so that the next run knows it. It is refused if
    /// another one is known by now, be it from this run or from somebody else.
    async fn keep_new_key(
        &self,
        settings: &SshSettings,
        server: &ServerName,
        learned: &Mutex<Learned>,
    ) -> Result<(), KeyVerdict> {
        let key = {
            let mut learned = learned.lock().unwrap_or_else(PoisonError::into_inner);
            learned.new_key.take()
        };
        let (Some(key), Some(file)) = (key, settings.host_keys.user_files.first()) else {
            return Ok(());
        };
        let (path, hash) = (file.clone(), settings.host_keys.hash);
        let (of, new) = (server.clone(), key.clone());
        let written =
            tokio::task::spawn_blocking(move || enrol_first(&path, &of, &new, hash)).await;
        let (place, note) = match written {
            Ok(Err(EnrolError::NotNew(verdict))) => return Err(*verdict),
            Ok(Ok(Enrolled { places, .. })) => {
                let fingerprint = key.fingerprint(HashAlg::Sha256);
                let note = format!(
                    "a new host key was taken on trust (StrictHostKeyChecking) and is in {}: {fingerprint}",
                    file.display(),
                );
                (places.into_iter().next(), note)
            }
            Ok(Err(error)) => (None, format!("its new host key is not kept: {error}")),
            Err(error) => (None, format!("its new host key is not kept: {error}")),
        };
        let place = place.unwrap_or_else(|| Place {
            file: file.clone(),
            line: 0,
        });
        // Under this lock, so that of two keys for one name that cannot be written only one is taken.
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known_hosts(settings);
        match known.check_key(server, &key) {
            KeyVerdict::Known { .. } => {}
            KeyVerdict::Unknown { .. } => known.learn(&server.entries(), &key, &place),
            other => return Err(other),
        }
        notes.push(format!("{}: {note}", settings.name));
        Ok(())
    }

    /// Opens the stream that the handshake runs on.
    pub(super) async fn open(
        &self,
        settings: &SshSettings,
        timeouts: &Timeouts,
        clock: &StageClock,
        admission: &Admission,
    ) -> Result<Opened, Trouble> {
        let banner_until = settings.connect_timeout.map(|limit| Instant::now() + limit);
        match &settings.route {
            Route::Direct => {
                let (stream, connecting) = dial(settings, timeouts, clock).await?;
                let peer = stream.peer_addr().ok().map(|peer| peer.ip().to_canonical());
                Ok(Opened {
                    stream: Box::new(stream),
                    complaint: None,
                    // Names are looked up before it begins, and every attempt has its own.
                    banner_until: banner_until.map(|_| connecting),
                    peer,
                })
            }
            Route::Command { line, .. } => {
                clock.enter(Stage::Tcp);
                let (proxy, complaint) = proxy::start(&self.proxies, line).map_err(|error| {
                    HostOutcome::Unreachable(clock.error(format!(
                        "ProxyCommand does not start: {}: {}",
                        self.proxies.shell.display(),
                        io_words(&error)
                    )))
                })?;
                Ok(Opened {
                    stream: Box::new(proxy),
                    complaint: Some(complaint),
                    banner_until,
                    peer: None,
                })
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
                    Ok(stream) => Ok(Opened {
                        stream,
                        complaint: None,
                        banner_until,
                        peer: None,
                    }),
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
            .get(&settings.host_keys)
            .cloned()
            .unwrap_or_default()
    }
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
            .log_in(&host.ssh, &host.timeouts, &clock, &admission, self.load)
            .await?;
        Ok(SshSession::new(link, admission.jump, clock, host))
    }
}
