//! The handshake: from an open stream to a connection whose host key is settled.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{self, Handle};
use tokio::time::{Instant, sleep_until, timeout};

use super::connect::{Admission, SshTransport};
use super::gate::Pass;
use super::handler::{Handler, Learned};
use super::host_keys::{KeyVerdict, KnownAlgorithms, KnownHosts, ServerName};
use super::negotiate;
use super::proxy::Complaint;
use super::wire::{HangUp, Load, Wire};
use super::{StageClock, Stream, words};
use crate::model::{HostError, HostOutcome, RekeyLimit, SshSettings, Stage, Timeouts, UnknownKey};

/// What one try is made with.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) load: Load,
    /// The kinds of key that the host is known by, where an earlier try showed that they must be
    /// asked for.
    pub(super) known: Option<&'a KnownAlgorithms>,
}

/// Why there is no login.
pub(super) enum Trouble {
    /// The server has too many logins in flight; later there may be one.
    Busy,
    /// It hung up without a word; what the proxy command said of it.
    Silent(String),
    /// It showed a key of another kind than those that are known for it, which it may have, too.
    OtherKey(KnownAlgorithms, HostOutcome),
    /// This is how it ended.
    Ended(HostOutcome),
}

impl From<HostOutcome> for Trouble {
    fn from(outcome: HostOutcome) -> Self {
        Self::Ended(outcome)
    }
}

/// A handshake in progress.
pub(super) struct Handshake<'a> {
    settings: &'a SshSettings,
    clock: &'a Arc<StageClock>,
    pub(super) learned: Arc<Mutex<Learned>>,
    /// The place on a way that has somebody in between, who may have dropped the connection.
    pass: Option<&'a Pass>,
    /// Until when the server may be silent, where ConnectTimeout says so.
    banner_until: Option<Instant>,
    complaint: Option<Complaint>,
}

/// A handshake that ended without a connection.
pub(super) struct Broken {
    /// Why; nothing if it took too long.
    pub(super) error: Option<russh::Error>,
    /// The server's first bytes.
    head: Vec<u8>,
}

impl<'a> Handshake<'a> {
    pub(super) fn new(
        settings: &'a SshSettings,
        clock: &'a Arc<StageClock>,
        admission: &'a Admission,
        opened: Opened,
    ) -> (Self, Stream) {
        let handshake = Self {
            settings,
            clock,
            learned: Arc::default(),
            pass: admission.pass.as_ref(),
            banner_until: opened.banner_until,
            complaint: opened.complaint,
        };
        (handshake, opened.stream)
    }

    /// Exchanges keys, with a host key that must be known or may be taken on trust.
    pub(super) async fn shake(
        &mut self,
        transport: &SshTransport,
        stream: Stream,
        server: &ServerName,
        timeouts: &Timeouts,
        asking: Asking<'_>,
    ) -> Result<(Handle<Handler>, HangUp), Trouble> {
        let settings = self.settings;
        let known_hosts = transport.known_hosts(settings);
        let known = asking
            .known
            .cloned()
            .unwrap_or_else(|| known_hosts.algorithms(server));
        let config = negotiate::config(settings, &known)
            .map_err(|why| HostOutcome::Failed(HostError::new(Stage::Kex, why)))?;
        let handler = Handler {
            // Where a file cannot be read, nobody knows what is new.
            take_unknown: settings.host_keys.unknown == UnknownKey::Accept
                && known_hosts.is_complete(),
            only_looks: false,
            known_hosts: Arc::clone(&known_hosts),
            server: server.clone(),
            min_rsa_bits: settings.min_rsa_bits,
            shown: None,
            // An exchange in mid-connection shows a key that russh lets nobody check. Jumps and long
            // commands need one; the few
            // seconds of a probe need none, unless somebody sets RekeyLimit.
            may_rekey: asking.load != Load::OneHost || settings.rekey != RekeyLimit::default(),
            exchanged: false,
            learned: Arc::clone(&self.learned),
            clock: Arc::clone(self.clock),
        };
        let broken = match self
            .exchange(Arc::new(config), handler, stream, timeouts, asking.load)
            .await
        {
            Ok(connected) => return Ok(connected),
            Err(broken) => broken,
        };
        // The words take the verdict away.
        let other = self.other_known_key(&known_hosts, server);
        match (self.explain(&broken), other) {
            (Trouble::Ended(outcome), Some(known)) => Err(Trouble::OtherKey(known, outcome)),
            (trouble, _) => Err(trouble),
        }
    }

    /// Exchanges keys; the handler decides about the host's.
    pub(super) async fn exchange(
        &self,
        config: Arc<client::Config>,
        handler: Handler,
        stream: Stream,
        timeouts: &Timeouts,
        load: Load,
    ) -> Result<(Handle<Handler>, HangUp), Broken> {
        let (wire, hang_up, head, identified) = Wire::new(stream, Arc::clone(self.clock), load);
        let mut connecting = std::pin::pin!(client::connect_stream(config, wire, handler));
        let connected = async {
            let Some(until) = self.banner_until else {
                return timeout(timeouts.kex, connecting).await.ok();
            };
            tokio::select! {
                ended = &mut connecting => return Some(ended),
                () = identified.cancelled() => {}
                () = sleep_until(until) => return None,
            }
            timeout(timeouts.kex, connecting).await.ok()
        };
        let error = match connected.await {
            Some(Ok(handle)) => return Ok((handle, hang_up)),
            Some(Err(error)) => Some(error),
            None => None,
        };
        let head = head.lock().map(|head| head.clone()).unwrap_or_default();
        Err(Broken { error, head })
    }

    /// Says what a broken handshake means.
    pub(super) fn explain(&self, broken: &Broken) -> Trouble {
        let before_banner = self.clock.current() == Stage::Banner;
        let Some(error) = &broken.error else {
            let what = if before_banner {
                "connected, and the server sent no SSH banner".to_owned() + &self.said()
            } else {
                "the key exchange did not end in time".to_owned()
            };
            return Trouble::Ended(HostOutcome::TimedOut(self.clock.error(what)));
        };
        let said = self.said();
        let heard = words::Heard {
            head: &broken.head,
            proxy: &said,
        };
        // As of now: those that began beside this one may have come through meanwhile.
        let others_worked = self.pass.is_some_and(Pass::others_worked);
        if before_banner && words::is_busy(&heard, others_worked) {
            return Trouble::Busy;
        }
        if before_banner && self.pass.is_some() && words::is_silent(&heard) {
            return Trouble::Silent(said);
        }
        let failed =
            words::handshake_failed(self.settings, self.clock, &self.learned, &heard, error);
        Trouble::Ended(failed)
    }

    /// The kinds of key that the host is known by, if it showed one of another kind. Hashed names
    /// are searched for it only now: most hosts never cost that.
    fn other_known_key(
        &self,
        known_hosts: &KnownHosts,
        server: &ServerName,
    ) -> Option<KnownAlgorithms> {
        if self.settings.algorithms.host_keys_ordered {
            return None;
        }
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        match &learned.key {
            Some(KeyVerdict::Changed { other_known, .. }) if !other_known.is_empty() => {
                Some(known_hosts.algorithms_by_scan(server))
            }
            _ => None,
        }
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

/// A stream that the handshake runs on.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) complaint: Option<Complaint>,
    /// Until when the server's first line must be there, if ConnectTimeout says so.
    pub(super) banner_until: Option<Instant>,
    /// The server's address, where we connected to it ourselves.
    pub(super) peer: Option<IpAddr>,
}

/// The name that a host's key is looked up by.
pub(super) fn server_name(settings: &SshSettings, peer: Option<IpAddr>) -> ServerName {
    let policy = &settings.host_keys;
    let server =
        ServerName::new(&settings.host_name, settings.port).with_alias(policy.alias.as_deref());
    match peer {
        Some(peer) if policy.check_ip => server.with_address(peer),
        _ => server,
    }
}
