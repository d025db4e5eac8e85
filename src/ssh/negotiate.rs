//! What is offered in the key exchange.

use std::borrow::Cow;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Limits, Preferred, cipher, client, compression, kex, mac};

use super::host_keys::KnownAlgorithms;
use crate::model::SshSettings;

/// A silent connection is dead after this, whatever else fails to notice: russh keeps its task
/// alive for ever without a limit. Keepalives reset it while a long command runs.
const INACTIVITY: Duration = Duration::from_secs(45);
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Receive window and channel queue. The library's defaults let one stalled host hold 2.8 MB.
const WINDOW: u32 = 512 << 10;
const CHANNEL_QUEUE: usize = 16;

/// The most that russh takes as the limit of a key, in bytes; it aborts at more.
const MOST_BYTES: u64 = 1 << 30;
/// The least: an exchange for every few packets would be a standstill.
const LEAST_BYTES: u64 = 64 << 10;

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

/// Protocol extensions that stand among the key exchanges: `ext-info` tells which RSA hashes a
/// server takes, strict key exchange closes the Terrapin attack.
const EXTENSIONS: [kex::Name; 2] = [
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// Makes the configuration of one connection, by what is known of the host's keys.
///
/// # Errors
/// A name that russh does not have: the settings let none of those through.
pub(super) fn config(
    settings: &SshSettings,
    known: &KnownAlgorithms,
) -> Result<client::Config, String> {
    let interval = settings.alive_interval.unwrap_or(KEEPALIVE);
    let unanswered = settings.alive_count.clamp(1, 100);
    Ok(client::Config {
        client_id: russh::SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-clawfleet_",
            env!("CARGO_PKG_VERSION")
        ))),
        nodelay: true,
        limits: limits(settings),
        window_size: WINDOW,
        channel_buffer_size: CHANNEL_QUEUE,
        inactivity_timeout: Some(INACTIVITY.max(interval * (unanswered + 1))),
        keepalive_interval: Some(interval),
        keepalive_max: usize::try_from(unanswered).unwrap_or(usize::MAX),
        preferred: preferred(settings, known)?,
        ..client::Config::default()
    })
}

/// Makes the configurations that ask a host for its keys, one for each kind that the settings take.
///
/// # Errors
/// A name that russh does not have.
pub(super) fn each_kind(settings: &SshSettings) -> Result<Vec<client::Config>, String> {
    let taken = host_keys(settings, &[])?;
    let kinds: [fn(&Algorithm) -> bool; 3] = [
        |one| matches!(one, Algorithm::Ed25519),
        |one| matches!(one, Algorithm::Ecdsa { .. }),
        is_rsa,
    ];
    kinds
        .into_iter()
        .map(|kind| taken.iter().filter(|one| kind(one)).cloned().collect())
        .filter(|algorithms: &Vec<Algorithm>| !algorithms.is_empty())
        .map(|algorithms| {
            let mut config = config(settings, &KnownAlgorithms::default())?;
            config.preferred.key = Cow::Owned(algorithms);
            Ok(config)
        })
        .collect()
}

/// Makes the configuration that asks a host for its certificate.
///
/// # Errors
/// A name that russh does not have.
pub(super) fn certificate(settings: &SshSettings) -> Result<client::Config, String> {
    let known = KnownAlgorithms {
        keys: Vec::new(),
        certificates: true,
    };
    config(settings, &known)
}

fn limits(settings: &SshSettings) -> Limits {
    let default = Limits::default();
    let bytes = settings
        .rekey
        .bytes
        .and_then(|bytes| usize::try_from(bytes.clamp(LEAST_BYTES, MOST_BYTES)).ok());
    Limits {
        rekey_write_limit: bytes.unwrap_or(default.rekey_write_limit),
        rekey_read_limit: bytes.unwrap_or(default.rekey_read_limit),
        rekey_time_limit: settings.rekey.time.unwrap_or(default.rekey_time_limit),
    }
}

fn preferred(settings: &SshSettings, known: &KnownAlgorithms) -> Result<Preferred, String> {
    let wanted = &settings.algorithms;
    let mut preferred = Preferred::DEFAULT;
    preferred.key = Cow::Owned(host_keys(settings, &known.keys)?);
    if known.certificates {
        preferred.host_key_certificates = Cow::Owned(certificates(settings));
    }
    preferred.compression = if settings.compression {
        // Only the kind that begins after the login: before it, whoever answers may be anybody.
        Cow::Borrowed(&[compression::ZLIB_LEGACY, compression::NONE])
    } else {
        Cow::Borrowed(&[compression::NONE])
    };
    if !wanted.kex.is_empty() {
        let mut names = named::<kex::Name>(&wanted.kex, "key exchange")?;
        names.extend(EXTENSIONS);
        preferred.kex = Cow::Owned(names);
    }
    if !wanted.ciphers.is_empty() {
        preferred.cipher = Cow::Owned(named::<cipher::Name>(&wanted.ciphers, "cipher")?);
    }
    if !wanted.macs.is_empty() {
        preferred.mac = Cow::Owned(named::<mac::Name>(&wanted.macs, "MAC")?);
    }
    Ok(preferred)
}

fn named<N>(names: &[String], what: &str) -> Result<Vec<N>, String>
where
    N: for<'a> TryFrom<&'a str>,
{
    names
        .iter()
        .map(|name| N::try_from(name).map_err(|_| format!("there is no {what} `{name}` here")))
        .collect()
}

/// The kinds of host key, the known ones first unless the order was written down: a host with an
/// ed25519 and an RSA key that is known by its RSA key must not look changed. A known RSA key
/// answers to all of its signatures.
fn host_keys(settings: &SshSettings, known: &[Algorithm]) -> Result<Vec<Algorithm>, String> {
    let wanted = &settings.algorithms.host_keys;
    let mut keys: Vec<Algorithm> = if wanted.is_empty() {
        HOST_KEYS.to_vec()
    } else {
        wanted
            .iter()
            .filter(|name| !name.contains("-cert-v01@"))
            .map(|name| {
                Algorithm::new(name).map_err(|_| format!("there is no host key `{name}` here"))
            })
            .collect::<Result<_, _>>()?
    };
    if !settings.algorithms.host_keys_ordered {
        let is_known = |algorithm: &Algorithm| {
            known
                .iter()
                .any(|known| known == algorithm || (is_rsa(known) && is_rsa(algorithm)))
        };
        keys.sort_by_key(|key| !is_known(key));
    }
    Ok(keys)
}

/// The kinds of certificate. They are asked for only where an authority may vouch for the host: a
/// server that has one shows it in place of its key.
fn certificates(settings: &SshSettings) -> Vec<Algorithm> {
    let wanted = &settings.algorithms.host_keys;
    HOST_KEYS
        .into_iter()
        .filter(|algorithm| wanted.is_empty() || wanted.contains(&algorithm.to_certificate_type()))
        .collect()
}

fn is_rsa(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Rsa { .. })
}
