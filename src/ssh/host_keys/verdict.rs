//! What is decided about a presented key.

use std::fmt;
use std::path::PathBuf;

use russh::keys::Algorithm;

use super::certificate::CertificateFault;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokedThing {
    /// The host's key.
    Key,
    /// The key that signed the host's certificate.
    Authority,
    /// The certificate, by its serial number or its key id.
    Certificate,
}

/// Where a revocation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevokedBy {
    /// A line with `@revoked`.
    Line(Place),
    /// A list or KRL (RevokedHostKeys).
    File(PathBuf),
}

impl fmt::Display for RevokedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(place) => place.fmt(f),
            Self::File(file) => file.display().fmt(f),
        }
    }
}

/// What the files say about a presented key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyVerdict {
    /// It may be trusted.
    Known {
        /// The line of the key, or of the authority that signed its certificate.
        at: Place,
        /// Whether a certificate vouches for it.
        certified: bool,
    },
    /// Nothing is known for this host.
    Unknown {
        /// The presented key's algorithm.
        algorithm: String,
        /// Its SHA-256 fingerprint.
        fingerprint: String,
    },
    /// Other keys are known for this host.
    Changed {
        /// The presented key's algorithm.
        algorithm: String,
        /// Its SHA-256 fingerprint.
        fingerprint: String,
        /// The name that another key is known by: the host's, or its address (CheckHostIP).
        name: String,
        /// A line with a known key, of the same algorithm if there is one.
        known_at: Place,
        /// The algorithms of the known keys, if none is of the presented key's: the server may
        /// have a known key as well, and show it when it is asked for one of these.
        other_known: Vec<Algorithm>,
    },
    /// The key, its certificate or its authority is revoked.
    Revoked {
        /// Which of them.
        what: RevokedThing,
        /// The SHA-256 fingerprint of the host's key.
        fingerprint: String,
        /// Who says so.
        by: RevokedBy,
    },
    /// A list of revoked keys cannot be used, so nobody knows which keys are revoked.
    RevocationsUnreadable {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The server showed a certificate that vouches for nothing.
    CertificateRefused {
        /// Why it does not.
        why: CertificateFault,
        /// The SHA-256 fingerprint of the key that signed it.
        authority: String,
        /// What would be said of the certified key alone: `Unknown` or `Changed`. Nothing if the
        /// certificate is so wrong that the key is not looked at.
        plain: Option<Box<KeyVerdict>>,
    },
}

impl KeyVerdict {
    /// Whether the host may be used.
    pub fn is_trusted(&self) -> bool {
        matches!(self, Self::Known { .. })
    }
}
