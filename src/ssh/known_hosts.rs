//! OpenSSH's known_hosts, read once and indexed.
//!
//! russh has a reader of its own that accepts revoked and negated keys, so this one is ours. It
//! knows plain names, `[host]:port`, wildcards, negation, hashed names and `@revoked`. Lines with
//! `@cert-authority` vouch for certificates, which are not asked for, and are passed over.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::{Algorithm, HashAlg, PublicKey};
use sha1::Sha1;

use crate::model::SshSettings;

/// The largest known_hosts file that is read, in bytes: 100,000 hashed lines take about 20 MB.
const MAX_BYTES: u64 = 64 << 20;

/// The name that a server is known by: as ssh writes it, with the port where it is not 22.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerName(String);

impl ServerName {
    pub(super) fn new(host: &str, port: u16) -> Self {
        // OpenSSH compares names in lower case.
        let host = host.to_lowercase();
        Self(if port == 22 {
            host
        } else {
            format!("[{host}]:{port}")
        })
    }

    /// The name that a host's key is looked up by.
    pub(super) fn of(settings: &SshSettings) -> Self {
        match &settings.host_keys.alias {
            // An alias stands alone: the port is not part of it.
            Some(alias) => Self::new(alias, 22),
            None => Self::new(&settings.host_name, settings.port),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the files say about a presented key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyVerdict {
    /// It is known for this host.
    Known,
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
        /// File and line of a known key, from 1.
        known_at: (PathBuf, usize),
    },
    /// The key is marked `@revoked`.
    Revoked {
        /// Its SHA-256 fingerprint.
        fingerprint: String,
        /// File and line of the mark.
        at: (PathBuf, usize),
    },
    /// The server showed a certificate, which was not asked for.
    Unsupported,
}

#[derive(Debug)]
struct Entry {
    revoked: bool,
    key: PublicKey,
    file: usize,
    line: usize,
}

#[derive(Debug)]
struct HashedName {
    salt: Vec<u8>,
    hash: Vec<u8>,
    entry: usize,
}

/// The index of several files.
#[derive(Debug, Default)]
pub struct KnownHosts {
    files: Vec<PathBuf>,
    entries: Vec<Entry>,
    /// Names without wildcards.
    plain: HashMap<String, Vec<usize>>,
    /// Lists with wildcards or negation, which must be tried one by one.
    patterns: Vec<(String, usize)>,
    hashed: Vec<HashedName>,
    /// Files that could not be read, and why: a host that they vouch for would look unknown.
    pub unreadable: Vec<String>,
    /// Lines that made no sense, by file and line.
    pub skipped: Vec<(PathBuf, usize)>,
}

impl KnownHosts {
    /// Reads files; one that does not exist is empty.
    pub fn load(files: &[PathBuf]) -> Self {
        let mut index = Self::default();
        for file in files {
            match read(file) {
                Ok(Some(text)) => index.add(file, &text),
                Ok(None) => {}
                Err(why) => index.unreadable.push(format!("{}: {why}", file.display())),
            }
        }
        index
    }

    /// Returns OpenSSH's default files.
    pub fn default_files(home: &Path) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = ["known_hosts", "known_hosts2"]
            .iter()
            .map(|name| home.join(".ssh").join(name))
            .collect();
        files.extend(
            ["ssh_known_hosts", "ssh_known_hosts2"]
                .iter()
                .map(|name| Path::new("/etc/ssh").join(name)),
        );
        files
    }

    fn add(&mut self, file: &Path, text: &str) {
        let number = self.files.len();
        self.files.push(file.to_owned());
        for (place, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if self.add_line(line, number, place + 1).is_none() {
                self.skipped.push((file.to_owned(), place + 1));
            }
        }
    }

    fn add_line(&mut self, line: &str, file: usize, number: usize) -> Option<()> {
        let mut words = line.split_ascii_whitespace();
        let mut names = words.next()?;
        let mut revoked = false;
        if let Some(marker) = names.strip_prefix('@') {
            match marker {
                "revoked" => revoked = true,
                "cert-authority" => return Some(()),
                _ => return None,
            }
            names = words.next()?;
        }
        let algorithm = words.next()?;
        let key = PublicKey::from_openssh(&format!("{algorithm} {}", words.next()?)).ok()?;
        let entry = self.entries.len();
        self.entries.push(Entry {
            revoked,
            key,
            file,
            line: number,
        });
        if let Some(hashed) = names.strip_prefix("|1|") {
            let (salt, hash) = hashed.split_once('|')?;
            self.hashed.push(HashedName {
                salt: Base64::decode_vec(salt).ok()?,
                hash: Base64::decode_vec(hash).ok()?,
                entry,
            });
        } else if names.contains(['*', '?', '!']) {
            self.patterns.push((names.to_lowercase(), entry));
        } else {
            for name in names.split(',').filter(|name| !name.is_empty()) {
                self.plain
                    .entry(name.to_lowercase())
                    .or_default()
                    .push(entry);
            }
        }
        Some(())
    }

    /// Every entry that is about this server.
    fn entries_for(&self, server: &ServerName) -> Vec<&Entry> {
        let plain = self.plain.get(server.as_str()).into_iter().flatten();
        let patterns = self
            .patterns
            .iter()
            .filter(|(list, _)| matches_list(list, server.as_str()))
            .map(|(_, entry)| entry);
        let hashed = self
            .hashed
            .iter()
            .filter(|name| name.is(server.as_str()))
            .map(|name| &name.entry);
        plain
            .chain(patterns)
            .chain(hashed)
            .filter_map(|entry| self.entries.get(*entry))
            .collect()
    }

    /// Judges a presented key.
    pub(super) fn check(&self, server: &ServerName, key: &PublicKey) -> KeyVerdict {
        let entries = self.entries_for(server);
        // The comment is part of a key's equality, so the data alone is compared.
        let same = |entry: &&&Entry| entry.key.key_data() == key.key_data();
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let algorithm = key.algorithm().as_str().to_owned();
        if let Some(entry) = entries.iter().filter(same).find(|entry| entry.revoked) {
            return KeyVerdict::Revoked {
                fingerprint,
                at: self.place(entry),
            };
        }
        if entries.iter().any(|entry| same(&entry)) {
            return KeyVerdict::Known;
        }
        match entries.iter().find(|entry| !entry.revoked) {
            Some(entry) => KeyVerdict::Changed {
                algorithm,
                fingerprint,
                known_at: self.place(entry),
            },
            None => KeyVerdict::Unknown {
                algorithm,
                fingerprint,
            },
        }
    }

    /// Returns the algorithms of the keys that are known for a server, so that it is asked for
    /// one of those first and does not look changed by showing another of its keys.
    pub(super) fn algorithms(&self, server: &ServerName) -> Vec<Algorithm> {
        let mut algorithms: Vec<Algorithm> = Vec::new();
        for entry in self.entries_for(server) {
            let algorithm = entry.key.algorithm();
            if !entry.revoked && !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        algorithms
    }

    fn place(&self, entry: &Entry) -> (PathBuf, usize) {
        let file = self.files.get(entry.file).cloned().unwrap_or_default();
        (file, entry.line)
    }
}

impl HashedName {
    fn is(&self, name: &str) -> bool {
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&self.salt) else {
            return false;
        };
        mac.update(name.as_bytes());
        mac.verify_slice(&self.hash).is_ok()
    }
}

/// Whether a comma separated list of patterns names a server: one must match, and no negated one.
fn matches_list(list: &str, name: &str) -> bool {
    let mut matched = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(negated) if matches_pattern(negated.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => matched |= matches_pattern(pattern.as_bytes(), name.as_bytes()),
        }
    }
    matched
}

fn matches_pattern(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            matches_pattern(rest, text)
                || text
                    .split_first()
                    .is_some_and(|(_, later)| matches_pattern(pattern, later))
        }
        (Some((b'?', rest)), Some((_, later))) => matches_pattern(rest, later),
        (Some((wanted, rest)), Some((have, later))) if wanted == have => {
            matches_pattern(rest, later)
        }
        _ => false,
    }
}

fn read(file: &Path) -> Result<Option<String>, String> {
    match fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        Ok(data) if data.len() > MAX_BYTES => return Err("is larger than 64 MiB".into()),
        Ok(_) => {}
    }
    let bytes = fs::read(file).map_err(|error| error.to_string())?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const B: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";

    fn index(text: &str) -> KnownHosts {
        let mut index = KnownHosts::default();
        index.add(Path::new("known_hosts"), text);
        index
    }

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    fn word(verdict: &KeyVerdict) -> &'static str {
        match verdict {
            KeyVerdict::Known => "known",
            KeyVerdict::Unknown { .. } => "unknown",
            KeyVerdict::Changed { .. } => "changed",
            KeyVerdict::Revoked { .. } => "revoked",
            KeyVerdict::Unsupported => "unsupported",
        }
    }

    #[test]
    fn lines_mean_what_openssh_means() {
        let hashed = "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=";
        let cases: &[(&str, &str, u16, &str)] = &[
            ("h1 A", "h1", 22, "known"),
            ("h1 B", "h1", 22, "changed"),
            ("h2 A", "h1", 22, "unknown"),
            ("H1 A", "h1", 22, "known"),
            ("h1 A", "H1", 22, "known"),
            ("h0,h1,h2 A", "h1", 22, "known"),
            ("h1\t A  comment", "h1", 22, "known"),
            ("   h1 A", "h1", 22, "known"),
            ("h1 B\nh1 A", "h1", 22, "known"),
            ("h1 A", "h1", 2222, "unknown"),
            ("[h1]:2222 A", "h1", 2222, "known"),
            ("[h1]:2222 A", "h1", 22, "unknown"),
            ("*.ex.com A", "a.ex.com", 22, "known"),
            ("*.ex.com A", "ex.com", 22, "unknown"),
            ("h? A", "h1", 22, "known"),
            ("!a.ex.com,*.ex.com A", "a.ex.com", 22, "unknown"),
            ("!a.ex.com,*.ex.com A", "b.ex.com", 22, "known"),
            ("!a.ex.com,a.ex.com A", "a.ex.com", 22, "unknown"),
            ("@revoked * A\nh1 A", "h1", 22, "revoked"),
            ("h1 A\n@revoked h1 A", "h1", 22, "revoked"),
            ("@revoked h2 A\nh1 A", "h1", 22, "known"),
            ("@revoked h1 B\nh1 A", "h1", 22, "known"),
            ("@cert-authority * A", "h1", 22, "unknown"),
            ("@strange h1 A", "h1", 22, "unknown"),
            ("# h1 A", "h1", 22, "unknown"),
            ("h1 garbage\nh1 A", "h1", 22, "known"),
            ("h1", "h1", 22, "unknown"),
            // The example of OpenSSH's own documentation of the hash, of a host that is not h1.
            (&format!("{hashed} A"), "h1", 22, "unknown"),
            ("", "h1", 22, "unknown"),
        ];
        for (text, host, port, wanted) in cases {
            let text = text
                .replace(" A", &format!(" {A}"))
                .replace(" B", &format!(" {B}"));
            let verdict = index(&text).check(&ServerName::new(host, *port), &key(A));
            assert_eq!(word(&verdict), *wanted, "{text}\nfor {host}:{port}");
        }
    }

    #[test]
    fn a_hashed_name_is_found() {
        // Made by `ssh-keygen -H`.
        let mut mac = Hmac::<Sha1>::new_from_slice(b"01234567890123456789").unwrap();
        mac.update(b"[h1]:2222");
        let hash = Base64::encode_string(&mac.finalize().into_bytes());
        let salt = Base64::encode_string(b"01234567890123456789");
        let index = index(&format!("|1|{salt}|{hash} {A}"));
        let known = index.check(&ServerName::new("h1", 2222), &key(A));
        assert_eq!(known, KeyVerdict::Known);
        assert_eq!(
            word(&index.check(&ServerName::new("h1", 22), &key(A))),
            "unknown"
        );
        assert_eq!(
            index.algorithms(&ServerName::new("h1", 2222)),
            [Algorithm::Ed25519]
        );
    }

    #[test]
    fn a_changed_key_names_the_line() {
        let index = index(&format!("# head\n\nh1 {B}\n"));
        match index.check(&ServerName::new("h1", 22), &key(A)) {
            KeyVerdict::Changed { known_at, .. } => {
                assert_eq!(known_at, (PathBuf::from("known_hosts"), 3));
            }
            other => unreachable!("{other:?}"),
        }
        assert!(index.skipped.is_empty());
    }
}
