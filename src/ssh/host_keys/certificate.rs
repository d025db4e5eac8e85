//! Host certificates (OpenSSH's PROTOCOL.certkeys).

use std::fmt;

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg};

use crate::model::matches_pattern;

/// Why a host certificate vouches for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateFault {
    /// It cannot be read, or its signer's key is a certificate itself.
    Malformed,
    /// Its signature is not its signer's.
    BadSignature,
    /// Its signer is no `@cert-authority` of this host.
    UnknownAuthority,
    /// It is a user's.
    NotForHosts,
    /// It begins to be valid at this time (seconds of Unix time).
    NotYetValid(u64),
    /// Its validity ended at this time (seconds of Unix time).
    Expired(u64),
    /// It names no host at all.
    NoPrincipals,
    /// It is for other hosts; these are the first of them.
    OtherHosts(Vec<String>),
    /// It has conditions, and none is known for hosts.
    CriticalOption(String),
    /// It is signed in a way that is no longer trusted, such as RSA with SHA-1.
    WeakSignature(String),
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("it is malformed"),
            Self::BadSignature => f.write_str("its signature is wrong"),
            Self::UnknownAuthority => {
                f.write_str("it is signed by a key that is no @cert-authority of this host")
            }
            Self::NotForHosts => f.write_str("it is a user's certificate"),
            Self::NotYetValid(from) => write!(f, "it is not valid before {}", Time(*from)),
            Self::Expired(end) => write!(f, "it expired at {}", Time(*end)),
            Self::NoPrincipals => f.write_str("it names no host"),
            Self::OtherHosts(hosts) => write!(f, "it is for {}", hosts.join(", ")),
            Self::CriticalOption(name) => write!(f, "it demands the unknown option `{name}`"),
            Self::WeakSignature(name) => write!(f, "it is signed with {name}"),
        }
    }
}

/// Seconds of Unix time, for people.
struct Time(u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0)
            .ok()
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        match time {
            Some(time) => time.fmt(f),
            None => write!(f, "second {}", self.0),
        }
    }
}

/// How many of a certificate's hosts are named in a message.
const HOSTS_NAMED: usize = 3;
/// How a certificate's algorithm is told from a key's.
const CERTIFICATE: &[u8] = b"-cert-v01@openssh.com";
/// How often that may stand in a certificate: once it must, and a key id may quote it.
const MOST_NESTED: usize = 4;

/// Reads a certificate as a server sends it. The library follows a signer's key that is a
/// certificate into that one's signer, and a nest of them deep enough would end the process.
pub(super) fn parse(blob: &[u8]) -> Result<Certificate, CertificateFault> {
    let certificates = blob
        .windows(CERTIFICATE.len())
        .filter(|bytes| *bytes == CERTIFICATE)
        .count();
    if certificates > MOST_NESTED {
        return Err(CertificateFault::Malformed);
    }
    Certificate::from_bytes(blob).map_err(|_| CertificateFault::Malformed)
}

/// Whether a certificate was made by its signer. OpenSSH hangs up on one that was not.
pub(super) fn check_form(certificate: &Certificate) -> Result<(), CertificateFault> {
    let signer = certificate.signature_key();
    if signer.is_certificate() || signer.is_other() {
        return Err(CertificateFault::Malformed);
    }
    // The library's check of signer and time comes with that of the signature. Neither is of use:
    // the signer is given here, and the time is judged below, where it gets a reason of its own.
    let signer = signer.fingerprint(HashAlg::Sha256);
    if certificate.valid_after() >= certificate.valid_before() {
        return Err(CertificateFault::Expired(certificate.valid_before()));
    }
    certificate
        .validate_at(certificate.valid_after(), [&signer])
        .map_err(|_| CertificateFault::BadSignature)
}

/// Whether a certificate is for this host, at this time (seconds of Unix time). Its signer is not
/// asked for here.
pub(super) fn check_host(
    certificate: &Certificate,
    host: &str,
    now: u64,
) -> Result<(), CertificateFault> {
    if certificate.cert_type() != CertType::Host {
        return Err(CertificateFault::NotForHosts);
    }
    check_time(certificate, now)?;
    check_principals(certificate.valid_principals(), host)?;
    if let Some(name) = certificate.critical_options().keys().next() {
        return Err(CertificateFault::CriticalOption(name.clone()));
    }
    match certificate.signature().algorithm() {
        weak @ (Algorithm::Dsa | Algorithm::Rsa { hash: None } | Algorithm::Other(_)) => {
            Err(CertificateFault::WeakSignature(weak.as_str().to_owned()))
        }
        _ => Ok(()),
    }
}

fn check_time(certificate: &Certificate, now: u64) -> Result<(), CertificateFault> {
    if now < certificate.valid_after() {
        return Err(CertificateFault::NotYetValid(certificate.valid_after()));
    }
    if now >= certificate.valid_before() {
        return Err(CertificateFault::Expired(certificate.valid_before()));
    }
    Ok(())
}

/// Hosts may be patterns, and a list without a name is for none: OpenSSH's reading since 10.3.
/// Before, names were compared as they are, and an empty list was for all hosts, which let a
/// careless authority vouch for more than it knew.
fn check_principals(principals: &[String], host: &str) -> Result<(), CertificateFault> {
    if principals.is_empty() {
        return Err(CertificateFault::NoPrincipals);
    }
    if principals
        .iter()
        .any(|principal| matches_pattern(principal, host))
    {
        return Ok(());
    }
    let named = principals.iter().take(HOSTS_NAMED).cloned().collect();
    Err(CertificateFault::OtherHosts(named))
}
