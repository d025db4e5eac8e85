//! Several known_hosts files and lists of revoked keys, as one policy names them.

use std::path::Path;
use std::sync::Arc;

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey, PublicKeyOrCertificate};

use super::certificate::{CertificateFault, check_form, check_host, parse};
use super::key_file::KeyFile;
use super::line::Marker;
use super::revoked::RevocationFile;
use super::server::ServerName;
use super::verdict::{KeyVerdict, Place, RevokedBy, RevokedThing};

/// What a server should be asked for, so that it does not look changed by showing another of its
/// keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownAlgorithms {
    /// The algorithms of the keys that are known for it. None if nothing is known, or if only a
    /// search through hashed names could tell.
    pub keys: Vec<Algorithm>,
    /// Whether an authority may vouch for it: only then a certificate is worth asking for.
    pub certificates: bool,
}

/// What is known about servers. The files are shared with all other policies that name them.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {
    pub(super) files: Vec<Arc<KeyFile>>,
    pub(super) revoked: Vec<Arc<RevocationFile>>,
}

impl KnownHosts {
    /// Judges what a server presents. The time is in seconds of Unix time.
    pub fn check(
        &self,
        server: &ServerName,
        presented: &PublicKeyOrCertificate,
        now: u64,
    ) -> KeyVerdict {
        match presented {
            PublicKeyOrCertificate::PublicKey { key, .. } => self.check_key(server, key),
            PublicKeyOrCertificate::Certificate(certificate) => {
                self.check_certificate(server, certificate, now)
            }
        }
    }

    /// Judges a plain key.
    pub fn check_key(&self, server: &ServerName, key: &PublicKey) -> KeyVerdict {
        let key = key.key_data();
        self.listed_as_revoked(key, |list| {
            list.revokes_key(key).then_some(RevokedThing::Key)
        })
        .unwrap_or_else(|| self.judge_key(server, key))
    }

    /// Judges a certificate as it is sent. See [`check`](Self::check).
    pub fn check_certificate_blob(
        &self,
        server: &ServerName,
        blob: &[u8],
        now: u64,
    ) -> Result<KeyVerdict, CertificateFault> {
        Ok(self.check_certificate(server, &parse(blob)?, now))
    }

    /// Judges a certificate. As with OpenSSH, one that does not vouch for the server leaves its
    /// key, which may be known by itself.
    pub fn check_certificate(
        &self,
        server: &ServerName,
        certificate: &Certificate,
        now: u64,
    ) -> KeyVerdict {
        let key = certificate.public_key();
        let refused = |why, plain| KeyVerdict::CertificateRefused {
            why,
            authority: fingerprint(certificate.signature_key()),
            plain,
        };
        if let Err(why) = check_form(certificate) {
            return refused(why, None);
        }
        let listed = self.listed_as_revoked(key, |list| list.revokes_certificate(certificate));
        if let Some(verdict) = listed.or_else(|| self.marked_as_revoked(server, certificate)) {
            return verdict;
        }
        let why = match self.authority(server, certificate.signature_key()) {
            Some(at) => match check_host(certificate, server.principal(), now) {
                Ok(()) => {
                    return KeyVerdict::Known {
                        at,
                        certified: true,
                    };
                }
                Err(why) => why,
            },
            None => CertificateFault::UnknownAuthority,
        };
        match self.judge_key(server, key) {
            plain @ (KeyVerdict::Unknown { .. } | KeyVerdict::Changed { .. }) => {
                refused(why, Some(Box::new(plain)))
            }
            decided => decided,
        }
    }

    /// Returns what a server should be asked for. Hashed names are not searched: if no other name
    /// tells, and all hashed keys are of one type, it is that.
    pub fn algorithms(&self, server: &ServerName) -> KnownAlgorithms {
        let mut known = self.known_algorithms(server, |name| self.shown_algorithms(name));
        if known.keys.is_empty() {
            let mut hashed = distinct(self.files.iter().flat_map(|file| {
                let algorithms = file.hashed_algorithms().iter();
                algorithms.cloned()
            }));
            if hashed.len() == 1 {
                known.keys.append(&mut hashed);
            }
        }
        known
    }

    /// Returns what a server should be asked for, at the price of a hash for each hashed line.
    pub fn algorithms_by_scan(&self, server: &ServerName) -> KnownAlgorithms {
        self.known_algorithms(server, |name| {
            distinct(
                self.entries(name)
                    .into_iter()
                    .map(|(algorithm, _)| algorithm),
            )
        })
    }

    /// Takes note of a key that this run enrolled in the first file.
    pub fn learn(&self, names: &[String], key: &PublicKey, at: &Place) {
        let file = self.files.iter().find(|file| file.path() == at.file);
        if let Some(file) = file {
            for name in names {
                file.add(name, key.key_data(), at.line);
            }
        }
    }

    /// Returns the file that new keys are added to.
    pub fn first_file(&self) -> Option<&Path> {
        self.files.first().map(|file| file.path())
    }

    /// Returns what was wrong with the files: a host that they vouch for would look unknown.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        let lines = self.files.iter().flat_map(|file| file.notes());
        lines.map(String::as_str)
    }

    fn known_algorithms(
        &self,
        server: &ServerName,
        algorithms_of: impl Fn(&str) -> Vec<Algorithm>,
    ) -> KnownAlgorithms {
        let of = |name: &str| KnownAlgorithms {
            keys: algorithms_of(name),
            certificates: self.has_authority(name),
        };
        let known = of(server.as_str());
        match server.without_port() {
            Some(bare) if known == KnownAlgorithms::default() => of(bare),
            _ => known,
        }
    }

    fn shown_algorithms(&self, name: &str) -> Vec<Algorithm> {
        distinct(self.files.iter().flat_map(|file| {
            let shown = file.shown(Marker::Key, name);
            let added = file.added(name).into_iter().map(|(algorithm, _)| algorithm);
            shown
                .map(|entry| entry.algorithm.clone())
                .chain(added)
                .collect::<Vec<_>>()
        }))
    }

    /// The types and places of all keys of a name.
    fn entries(&self, name: &str) -> Vec<(Algorithm, Place)> {
        let mut found = Vec::new();
        for file in &self.files {
            let lines = file
                .shown(Marker::Key, name)
                .chain(file.hidden(Marker::Key, name));
            found.extend(lines.map(|entry| (entry.algorithm.clone(), file.place(entry))));
            found.extend(file.added(name));
        }
        found
    }

    /// Judges a plain key, without the lists of revoked keys.
    fn judge_key(&self, server: &ServerName, key: &KeyData) -> KeyVerdict {
        let by_name = match (self.judge_name(server.as_str(), key), server.without_port()) {
            // OpenSSH does so for servers whose keys are known from port 22.
            (unknown @ KeyVerdict::Unknown { .. }, Some(bare)) => {
                match self.judge_name(bare, key) {
                    KeyVerdict::Changed { .. } => unknown,
                    other => other,
                }
            }
            (verdict, _) => verdict,
        };
        match (server.address(), &by_name) {
            (Some(address), KeyVerdict::Known { .. } | KeyVerdict::Unknown { .. }) => {
                match self.judge_name(address, key) {
                    against @ (KeyVerdict::Changed { .. } | KeyVerdict::Revoked { .. }) => against,
                    _ => by_name,
                }
            }
            _ => by_name,
        }
    }

    fn judge_name(&self, name: &str, key: &KeyData) -> KeyVerdict {
        if let Some(at) = self.find(Marker::Revoked, name, key) {
            return KeyVerdict::Revoked {
                what: RevokedThing::Key,
                fingerprint: fingerprint(key),
                by: RevokedBy::Line(at),
            };
        }
        if let Some(at) = self.find(Marker::Key, name, key) {
            return KeyVerdict::Known {
                at,
                certified: false,
            };
        }
        let presented = key.algorithm();
        let known = self.entries(name);
        let same = known.iter().find(|(algorithm, _)| *algorithm == presented);
        let algorithm = presented.as_str().to_owned();
        match same.or(known.first()) {
            Some((_, at)) => KeyVerdict::Changed {
                algorithm,
                fingerprint: fingerprint(key),
                name: name.to_owned(),
                known_at: at.clone(),
                other_known: match same {
                    Some(_) => Vec::new(),
                    None => distinct(known.iter().map(|(algorithm, _)| algorithm.clone())),
                },
            },
            None => KeyVerdict::Unknown {
                algorithm,
                fingerprint: fingerprint(key),
            },
        }
    }

    fn find(&self, marker: Marker, name: &str, key: &KeyData) -> Option<Place> {
        self.files
            .iter()
            .find_map(|file| file.find(marker, name, key))
    }

    /// Whether a name has an authority.
    fn has_authority(&self, name: &str) -> bool {
        self.files.iter().any(|file| {
            let mut shown = file.shown(Marker::Authority, name);
            shown.next().is_some() || file.hidden(Marker::Authority, name).next().is_some()
        })
    }

    /// Finds the line that makes a key an authority of the server.
    fn authority(&self, server: &ServerName, key: &KeyData) -> Option<Place> {
        // Where others are the authorities of the name with its port, the name alone has no say.
        let name = match server.without_port() {
            Some(bare) if !self.has_authority(server.as_str()) => bare,
            _ => server.as_str(),
        };
        self.find(Marker::Authority, name, key)
    }

    /// Whether a line marks the certified key or its signer as revoked.
    fn marked_as_revoked(
        &self,
        server: &ServerName,
        certificate: &Certificate,
    ) -> Option<KeyVerdict> {
        let names = [Some(server.as_str()), server.without_port()];
        let keys = [
            (RevokedThing::Key, certificate.public_key()),
            (RevokedThing::Authority, certificate.signature_key()),
        ];
        names.into_iter().flatten().find_map(|name| {
            keys.iter().find_map(|(what, key)| {
                let at = self.find(Marker::Revoked, name, key)?;
                Some(KeyVerdict::Revoked {
                    what: *what,
                    fingerprint: fingerprint(certificate.public_key()),
                    by: RevokedBy::Line(at),
                })
            })
        })
    }

    /// Asks the lists of revoked keys. One that cannot be used refuses all.
    fn listed_as_revoked(
        &self,
        key: &KeyData,
        revokes: impl Fn(&super::RevokedKeys) -> Option<RevokedThing>,
    ) -> Option<KeyVerdict> {
        self.revoked.iter().find_map(|file| match &file.keys {
            Err(why) => Some(KeyVerdict::RevocationsUnreadable {
                file: file.path.clone(),
                why: why.clone(),
            }),
            Ok(list) => revokes(list).map(|what| KeyVerdict::Revoked {
                what,
                fingerprint: fingerprint(key),
                by: RevokedBy::File(file.path.clone()),
            }),
        })
    }
}

fn fingerprint(key: &KeyData) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn distinct(algorithms: impl IntoIterator<Item = Algorithm>) -> Vec<Algorithm> {
    let mut distinct: Vec<Algorithm> = Vec::new();
    for algorithm in algorithms {
        if !distinct.contains(&algorithm) {
            distinct.push(algorithm);
        }
    }
    distinct
}
