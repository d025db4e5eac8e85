//! Lists of revoked keys (RevokedHostKeys): public keys one a line, or a KRL.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use russh::keys::Certificate;
use russh::keys::ssh_key::public::KeyData;

use base64ct::{Base64, Encoding as _};

use super::certificate;
use super::key_file::read_capped;
use super::krl::Krl;
use super::line::{LineFault, parse_key};
use super::verdict::RevokedThing;

/// A file, and what it revokes or why it cannot be used.
#[derive(Debug)]
pub(super) struct RevocationFile {
    pub(super) path: PathBuf,
    pub(super) keys: Result<RevokedKeys, String>,
}

impl RevocationFile {
    /// Reads a file. One that is not there is no empty one: somebody relies on it.
    pub(super) fn read(path: &Path) -> Self {
        let keys = read_capped(path)
            .map_err(|error| error.to_string())
            .and_then(|bytes| RevokedKeys::parse(&bytes));
        Self {
            path: path.to_owned(),
            keys,
        }
    }
}

/// Keys and certificates that must not be used.
#[derive(Debug)]
pub struct RevokedKeys(List);

#[derive(Debug)]
enum List {
    Keys(HashSet<KeyData>),
    Krl(Box<Krl>),
}

impl RevokedKeys {
    /// Reads a list of keys or a KRL. All of it must make sense: a line that cannot be read may
    /// be the one that matters.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        match Krl::parse(bytes) {
            Some(krl) => Ok(Self(List::Krl(Box::new(krl?)))),
            None => parse_list(bytes).map(|keys| Self(List::Keys(keys))),
        }
    }

    pub(super) fn revokes_key(&self, key: &KeyData) -> bool {
        match &self.0 {
            List::Keys(keys) => keys.contains(key),
            List::Krl(krl) => krl.revokes_key(key),
        }
    }

    /// Whether a certificate is revoked, or the key in it, or the one that signed it.
    pub(super) fn revokes_certificate(&self, certificate: &Certificate) -> Option<RevokedThing> {
        if self.revokes_key(certificate.public_key()) {
            return Some(RevokedThing::Key);
        }
        if self.revokes_key(certificate.signature_key()) {
            return Some(RevokedThing::Authority);
        }
        match &self.0 {
            List::Krl(krl) if krl.revokes_certificate(certificate) => {
                Some(RevokedThing::Certificate)
            }
            _ => None,
        }
    }
}

fn parse_list(bytes: &[u8]) -> Result<HashSet<KeyData>, String> {
    let mut keys = HashSet::new();
    for (place, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_matches(['\r', ' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse_key(line).or_else(|fault| certified_key(line).ok_or(fault)) {
            Ok(key) => {
                keys.insert(key);
            }
            // No host can show such a key, and OpenSSH reads on as well.
            Err(LineFault::ShortRsa) => {}
            Err(fault) => return Err(format!("line {}: {fault}", place + 1)),
        }
    }
    Ok(keys)
}

/// A certificate in a list stands for its key.
fn certified_key(line: &str) -> Option<KeyData> {
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let algorithm = words.next()?;
    let blob = Base64::decode_vec(words.next()?).ok()?;
    let certificate = certificate::parse(&blob).ok()?;
    (certificate.algorithm().to_certificate_type() == algorithm)
        .then(|| certificate.public_key().clone())
}
