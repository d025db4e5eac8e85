//! Asks a host for its keys, one of each kind, and logs in nowhere.

use std::sync::{Arc, PoisonError};

use base64ct::{Base64Unpadded, Encoding as _};
use russh::keys::{HashAlg, PublicKey};
use russh::{AlgorithmKind, client};
use sha1::{Digest as _, Sha1};

use super::StageClock;
use super::connect::{Admission, SshTransport};
use super::handler::Handler;
use super::handshake::{Handshake, Trouble, server_name};
use super::host_keys::{KeyVerdict, KnownHosts, Place, ServerName};
use super::negotiate;
use super::patience::Patience;
use super::wire::Load;
use crate::model::{
    HostError, HostOutcome, KeyKind, KeyStanding, OldKey, SshSettings, Stage, Timeouts,
};

/// The keys of a host.
#[derive(Debug)]
pub struct Scan {
    /// The names that its keys are known by.
    pub server: ServerName,
    /// Its keys, one of each kind that it has.
    pub keys: Vec<ScannedKey>,
    /// The authority whose certificate vouches for it. Then its keys need not be known, and were
    /// not asked for.
    pub certified: Option<Place>,
    /// Why some kinds could not be asked for.
    pub trouble: Option<HostOutcome>,
}

/// A key that a host showed, and proved to have: it signed the key exchange.
#[derive(Debug, Clone)]
pub struct ScannedKey {
    /// The key.
    pub key: PublicKey,
    /// What is known of it.
    pub standing: KeyStanding,
}

impl ScannedKey {
    /// Returns its kind.
    pub fn kind(&self) -> KeyKind {
        KeyKind::from_word(self.key.algorithm().as_str()).unwrap_or(KeyKind::Other)
    }

    /// Returns its SHA-256 fingerprint, as ssh shows it.
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Returns its SHA-1 fingerprint, for old records in DNS.
    pub fn sha1(&self) -> String {
        // A key that came over the wire can be written again.
        let blob = self.key.to_bytes().unwrap_or_default();
        format!(
            "SHA1:{}",
            Base64Unpadded::encode_string(&Sha1::digest(&blob))
        )
    }
}

/// What one key exchange brought.
struct Shown {
    /// The key, unless it was in a certificate.
    key: Option<PublicKey>,
    verdict: KeyVerdict,
    server: ServerName,
}

impl SshTransport {
    /// Asks a host for its keys. Jump hosts on the way are logged in to, the host itself is not.
    ///
    /// # Errors
    /// The host, if no key of it could be seen.
    pub async fn scan(
        &self,
        settings: &SshSettings,
        timeouts: &Timeouts,
    ) -> Result<Scan, HostOutcome> {
        let admission = self.way(settings, timeouts).await?;
        let config_fault = |why| HostOutcome::Failed(HostError::new(Stage::Kex, why));
        let known = self.known_hosts(settings);
        let mut scan = Scan {
            server: server_name(settings, None),
            keys: Vec::new(),
            certified: None,
            trouble: None,
        };
        if known.algorithms(&scan.server).certificates {
            let config = negotiate::certificate(settings).map_err(config_fault)?;
            let looked = self.look(settings, timeouts, &admission, config).await?;
            let verdict = looked.map(|shown| shown.verdict);
            if let Some(KeyVerdict::Known {
                at,
                certified: true,
            }) = verdict
            {
                scan.certified = Some(at);
                return Ok(scan);
            }
        }
        let mut seen = Vec::new();
        for config in negotiate::each_kind(settings).map_err(config_fault)? {
            match self.look(settings, timeouts, &admission, config).await {
                Ok(shown) => {
                    let Some(shown) = shown else { continue };
                    scan.server = shown.server;
                    seen.extend(shown.key.map(|key| (key, shown.verdict)));
                }
                Err(outcome) => {
                    scan.trouble = Some(outcome);
                    break;
                }
            }
        }
        if seen.is_empty() {
            return Err(scan.trouble.unwrap_or_else(|| no_key(settings)));
        }
        scan.keys = stand(&known, settings, seen);
        Ok(scan)
    }

    /// Exchanges keys once, and again where the server is busy. Nothing comes of it where the host has
    /// no key of the kinds that the configuration asks for.
    async fn look(
        &self,
        settings: &SshSettings,
        timeouts: &Timeouts,
        admission: &Admission,
        config: client::Config,
    ) -> Result<Option<Shown>, HostOutcome> {
        let config = Arc::new(config);
        let clock = Arc::new(StageClock::start(Stage::Dns));
        let mut patience = Patience::default();
        loop {
            let tried = self.look_once(settings, timeouts, admission, &clock, Arc::clone(&config));
            match tried.await {
                Ok(looked) => return Ok(looked),
                Err(Trouble::Ended(outcome) | Trouble::OtherKey(_, outcome)) => {
                    return Err(outcome);
                }
                Err(Trouble::Busy) => patience.pause(&clock, admission).await?,
                Err(Trouble::Silent(said)) => patience.after_silence(&clock, &said).await?,
            }
        }
    }

    async fn look_once(
        &self,
        settings: &SshSettings,
        timeouts: &Timeouts,
        admission: &Admission,
        clock: &Arc<StageClock>,
        config: Arc<client::Config>,
    ) -> Result<Option<Shown>, Trouble> {
        let opened = self.open(settings, timeouts, clock, admission).await?;
        clock.enter(Stage::Banner);
        let server = server_name(settings, opened.peer);
        let (handshake, stream) = Handshake::new(settings, clock, admission, opened);
        let handler = Handler {
            known_hosts: self.known_hosts(settings),
            server: server.clone(),
            take_unknown: false,
            only_looks: true,
            min_rsa_bits: settings.min_rsa_bits,
            shown: None,
            may_rekey: false,
            exchanged: false,
            learned: Arc::clone(&handshake.learned),
            clock: Arc::clone(clock),
        };
        let ended = handshake
            .exchange(config, handler, stream, timeouts, Load::OneHost)
            .await;
        let (key, verdict, refusal) = {
            let learned = handshake.learned.lock();
            let mut learned = learned.unwrap_or_else(PoisonError::into_inner);
            (
                learned.new_key.take(),
                learned.key.take(),
                learned.refusal.take(),
            )
        };
        // A key that no login would take (RequiredRSASize) is none to enrol.
        if refusal.is_some() {
            return Ok(None);
        }
        match (verdict, ended) {
            (Some(verdict), _) => {
                admission.worked();
                Ok(Some(Shown {
                    key,
                    verdict,
                    server,
                }))
            }
            (None, Err(broken)) => match broken.error {
                Some(russh::Error::NoCommonAlgo {
                    kind: AlgorithmKind::Key,
                    ..
                }) => Ok(None),
                _ => Err(handshake.explain(&broken)),
            },
            // The library connects only with a key that the handler took.
            (None, Ok(_)) => Err(Trouble::Ended(HostOutcome::Failed(
                clock.error("the host showed no key"),
            ))),
        }
    }
}

fn no_key(settings: &SshSettings) -> HostOutcome {
    let why = if settings.algorithms.host_keys.is_empty() {
        "the server has no host key of a kind that is used here"
    } else {
        "the server has no host key of a kind that HostKeyAlgorithms takes"
    };
    HostOutcome::Unreachable(HostError::new(Stage::Kex, why))
}

/// Judges each key in the light of the others: a new kind of key beside a known key is no change.
fn stand(
    known: &KnownHosts,
    settings: &SshSettings,
    seen: Vec<(PublicKey, KeyVerdict)>,
) -> Vec<ScannedKey> {
    let any_known = seen.iter().any(|(_, verdict)| verdict.is_trusted());
    seen.into_iter()
        .map(|(key, verdict)| {
            let standing = refusal(known, settings, &key, &verdict)
                .unwrap_or_else(|| standing(known, verdict, any_known));
            ScannedKey { key, standing }
        })
        .collect()
}

/// Why a key that is not known must not be enrolled, if so.
fn refusal(
    known: &KnownHosts,
    settings: &SshSettings,
    key: &PublicKey,
    verdict: &KeyVerdict,
) -> Option<KeyStanding> {
    let short = key.key_data().rsa().map(|rsa| rsa.key_size());
    let why = match verdict {
        KeyVerdict::Known { .. } => return None,
        KeyVerdict::Revoked { by, .. } => format!("it is revoked at {by}"),
        KeyVerdict::RevocationsUnreadable { file, why } => format!(
            "nobody knows which host keys are revoked: {}: {why}",
            file.display()
        ),
        _ if !known.is_complete() => {
            "a known_hosts file cannot be read, so nobody knows what is new".to_owned()
        }
        _ if settings.host_keys.user_files.is_empty() => {
            "UserKnownHostsFile names no file to write it to".to_owned()
        }
        _ => match short {
            Some(bits) if bits < settings.min_rsa_bits => format!(
                "it has {bits} bits, and RequiredRSASize wants {}",
                settings.min_rsa_bits
            ),
            _ => return None,
        },
    };
    Some(KeyStanding::Refused(why))
}

fn standing(known: &KnownHosts, verdict: KeyVerdict, any_known: bool) -> KeyStanding {
    match verdict {
        KeyVerdict::Known { .. } => KeyStanding::Known,
        KeyVerdict::Changed { other_known, .. } if any_known && !other_known.is_empty() => {
            KeyStanding::NewKind
        }
        KeyVerdict::Changed {
            algorithm, name, ..
        } => KeyStanding::Changed(old_keys(known, &algorithm, &name)),
        _ if any_known => KeyStanding::NewKind,
        _ => KeyStanding::New,
    }
}

/// The keys that a new one stands in place of: those of its kind, or all if there is none.
fn old_keys(known: &KnownHosts, algorithm: &str, name: &str) -> Vec<OldKey> {
    let all = known.keys_of(name);
    let same = all.iter().any(|(old, ..)| old.as_str() == algorithm);
    all.into_iter()
        .filter(|(old, ..)| !same || old.as_str() == algorithm)
        .map(|(old, fingerprint, at)| OldKey {
            kind: KeyKind::from_word(old.as_str()).unwrap_or(KeyKind::Other),
            fingerprint,
            at: at.to_string(),
        })
        .collect()
}
