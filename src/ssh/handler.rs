//! What the server may make us do: show its key, and nothing else.

use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use russh::client::{self, ChannelOpenHandle, DisconnectReason, Msg, Session};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelId};

use super::StageClock;
use super::host_keys::{KeyVerdict, KnownHosts, ServerName};
use crate::model::Stage;

/// What the handler learned, for the worker to read after a failure.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// What was decided about the host's key.
    pub(super) key: Option<KeyVerdict>,
    /// The host's key, where nothing was known of it and it was taken on trust, and wherever it was
    /// only looked at.
    pub(super) new_key: Option<PublicKey>,
    /// Why its key was refused, where that is no matter of what is known of it.
    pub(super) refusal: Option<String>,
    /// Why the server hung up, in its own words.
    pub(super) goodbye: Option<String>,
}

/// Answers a server. Every channel that a server tries to open is refused: an unanswered
/// [`ChannelOpenHandle`] says no, while the trait's defaults say yes.
pub(super) struct Handler {
    pub(super) known_hosts: Arc<KnownHosts>,
    pub(super) server: ServerName,
    /// Whether a key is taken that nothing is known of.
    pub(super) take_unknown: bool,
    /// The least size of an RSA key, in bits.
    pub(super) min_rsa_bits: u32,
    /// Whether the key is refused, whichever it is: nobody logs in on this connection.
    pub(super) only_looks: bool,
    /// The key that this connection began with: no later exchange may show another.
    pub(super) shown: Option<Vec<u8>>,
    /// Whether keys may be exchanged anew.
    pub(super) may_rekey: bool,
    /// Whether they were exchanged.
    pub(super) exchanged: bool,
    pub(super) learned: Arc<Mutex<Learned>>,
    pub(super) clock: Arc<StageClock>,
}

fn rsa_bits(presented: &PublicKeyOrCertificate) -> Option<u32> {
    match presented {
        PublicKeyOrCertificate::PublicKey { key, .. } => super::auth::rsa_bits(key.key_data()),
        PublicKeyOrCertificate::Certificate(certificate) => {
            super::auth::rsa_bits(certificate.public_key())
        }
    }
}

impl client::Handler for Handler {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        presented: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        self.clock.enter(Stage::HostKey);
        let encoded = match presented {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.to_bytes(),
            PublicKeyOrCertificate::Certificate(certificate) => certificate.to_bytes(),
        };
        let encoded = encoded.map_err(russh::keys::Error::from)?;
        if let Some(first) = &self.shown {
            let same = *first == encoded;
            if !same && let Ok(mut learned) = self.learned.lock() {
                learned.refusal = Some("the host showed another key in mid-connection".to_owned());
            }
            return Ok(same);
        }
        if let Some(bits) = rsa_bits(presented).filter(|bits| *bits < self.min_rsa_bits) {
            if let Ok(mut learned) = self.learned.lock() {
                learned.refusal = Some(format!(
                    "the host's RSA key has {bits} bits, and RequiredRSASize wants {}",
                    self.min_rsa_bits
                ));
            }
            return Ok(false);
        }
        let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        let verdict = self.known_hosts.check(&self.server, presented, now);
        let new_key = match (&verdict, presented) {
            (KeyVerdict::Unknown { .. }, PublicKeyOrCertificate::PublicKey { key, .. })
                if self.take_unknown =>
            {
                Some(key.clone())
            }
            (_, PublicKeyOrCertificate::PublicKey { key, .. }) if self.only_looks => {
                Some(key.clone())
            }
            _ => None,
        };
        let trusted = !self.only_looks && (verdict.is_trusted() || new_key.is_some());
        if trusted {
            self.shown = Some(encoded);
        }
        if let Ok(mut learned) = self.learned.lock() {
            learned.key = Some(verdict);
            learned.new_key = new_key;
        }
        Ok(trusted)
    }

    async fn kex_done(
        &mut self,
        _: Option<&[u8]>,
        _: &russh::Names,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if !std::mem::replace(&mut self.exchanged, true) || self.may_rekey {
            return Ok(());
        }
        if let Ok(mut learned) = self.learned.lock() {
            learned.refusal = Some(
                "the host began another key exchange in mid-connection; if its RekeyLimit is that small, set RekeyLimit here, too".to_owned(),
            );
        }
        Err(russh::Error::KexInit)
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<Self::Error>,
    ) -> Result<(), Self::Error> {
        let words = match &reason {
            DisconnectReason::ReceivedDisconnect(info) => info.message.clone(),
            DisconnectReason::Error(error) => error.to_string(),
        };
        if let Ok(mut learned) = self.learned.lock() {
            learned.goodbye.get_or_insert(words);
        }
        match reason {
            DisconnectReason::ReceivedDisconnect(_) => Ok(()),
            DisconnectReason::Error(error) => Err(error),
        }
    }

    async fn should_accept_unknown_server_channel(&mut self, _: ChannelId, _: &str) -> bool {
        false
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _refused: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _refused: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _refused: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _refused: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _refused: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _refused: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _refused: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }
}
