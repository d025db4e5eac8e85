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
    /// Reads a text as if it were the only file. Its name is `known_hosts` in messages.
    pub fn parse(text: &str) -> Self {
        Self {
            files: vec![Arc::new(KeyFile::parse(
                Path::new("known_hosts"),
                text.as_bytes(),
            ))],
            revoked: Vec::new(),
        }
    }

    /// What one file says.
    pub(super) fn of_file(file: KeyFile) -> Self {
        Self {
            files: vec![Arc::new(file)],
            revoked: Vec::new(),
        }
    }

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

    /// Returns the keys that are known by a name, each with its fingerprint and its line.
    pub fn keys_of(&self, name: &str) -> Vec<(Algorithm, String, Place)> {
        let named = |file: &Arc<KeyFile>| {
            let keys = file.keys_of(name).into_iter();
            let known = keys.map(|(key, at)| (key.algorithm(), fingerprint(key), at));
            known.collect::<Vec<_>>()
        };
        self.files.iter().flat_map(named).collect()
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

    /// Whether all files could be read. If not, an unknown key may be a changed one, and is not to
    /// be accepted, whatever the policy says about unknown keys.
    pub fn is_complete(&self) -> bool {
        !self.files.iter().any(|file| file.is_unreadable())
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
        let names = || [Some(server.as_str()), server.without_port()].into_iter();
        KnownAlgorithms {
            keys: names()
                .flatten()
                .map(algorithms_of)
                .find(|keys| !keys.is_empty())
                .unwrap_or_default(),
            certificates: names().flatten().any(|name| self.has_authority(name)),
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
            // So does OpenSSH, for hosts with several servers that share their keys.
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
        self.place_of_authority(name).is_some()
    }

    fn place_of_authority(&self, name: &str) -> Option<Place> {
        self.files.iter().find_map(|file| {
            file.shown(Marker::Authority, name)
                .chain(file.hidden(Marker::Authority, name))
                .next()
                .map(|entry| file.place(entry))
        })
    }

    /// Finds the line that makes a key an authority of the server.
    fn authority(&self, server: &ServerName, key: &KeyData) -> Option<Place> {
        self.find(Marker::Authority, server.as_str(), key)
            .or_else(|| self.find(Marker::Authority, server.without_port()?, key))
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const B: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";
    const E: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";

    fn known(texts: &[&str]) -> KnownHosts {
        let files = texts.iter().enumerate().map(|(number, text)| {
            let words = text.split_inclusive([' ', '\n', '\r']).map(|word| {
                let key = match word.trim_end() {
                    "A" => A,
                    "B" => B,
                    "E" => E,
                    other => other,
                };
                format!("{key}{}", &word[word.trim_end().len()..])
            });
            let text: String = words.collect();
            let path = PathBuf::from(format!("file{number}"));
            Arc::new(KeyFile::parse(&path, text.as_bytes()))
        });
        KnownHosts {
            files: files.collect(),
            revoked: Vec::new(),
        }
    }

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    fn hashed(name: &str) -> String {
        super::super::line::HashedName::new(name, [7; 20])
            .unwrap()
            .to_string()
    }

    fn says(verdict: &KeyVerdict) -> String {
        match verdict {
            KeyVerdict::Known { at, .. } => format!("known {at}"),
            KeyVerdict::Unknown { .. } => "unknown".into(),
            KeyVerdict::Changed { known_at, .. } => format!("changed {known_at}"),
            KeyVerdict::Revoked { by, .. } => format!("revoked {by}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn lines_mean_what_openssh_means() {
        let cases: &[(&str, &str, u16, &str)] = &[
            ("h1 A", "h1", 22, "known"),
            ("h1 B", "h1", 22, "changed"),
            ("h1 E", "h1", 22, "changed"),
            ("h2 A", "h1", 22, "unknown"),
            ("H1 A", "h1", 22, "known"),
            ("h1 A", "H1", 22, "known"),
            ("h0,h1,h2 A", "h1", 22, "known"),
            (",h1,, A", "h1", 22, "known"),
            ("h1\t A  comment", "h1", 22, "known"),
            ("   h1 A", "h1", 22, "known"),
            ("h1 A\r", "h1", 22, "known"),
            ("h1 B\nh1 A", "h1", 22, "known"),
            // A port, and OpenSSH's second look without it.
            ("[h1]:2222 A", "h1", 2222, "known"),
            ("[h1]:2222 A", "h1", 22, "unknown"),
            ("h1 A", "h1", 2222, "known"),
            ("h1 B", "h1", 2222, "unknown"),
            ("[h1]:2222 B\nh1 A", "h1", 2222, "changed"),
            ("@revoked h1 A", "h1", 2222, "revoked"),
            // Patterns.
            ("*.ex.com A", "a.ex.com", 22, "known"),
            ("*.ex.com A", "ex.com", 22, "unknown"),
            ("*.EX.com A", "a.ex.com", 22, "known"),
            ("h? A", "h1", 22, "known"),
            ("* A", "h1", 2222, "known"),
            ("!a.ex.com,*.ex.com A", "a.ex.com", 22, "unknown"),
            ("*.ex.com,!a.ex.com A", "a.ex.com", 22, "unknown"),
            ("!a.ex.com,*.ex.com A", "b.ex.com", 22, "known"),
            ("!a.ex.com,a.ex.com A", "a.ex.com", 22, "unknown"),
            ("!b A", "h1", 22, "unknown"),
            // Markers.
            ("@revoked * A\nh1 A", "h1", 22, "revoked"),
            ("h1 A\n@revoked h1 A", "h1", 22, "revoked"),
            ("@revoked h2 A\nh1 A", "h1", 22, "known"),
            ("@revoked h1 B\nh1 A", "h1", 22, "known"),
            ("@revoked h1 B", "h1", 22, "unknown"),
            ("@cert-authority * A", "h1", 22, "unknown"),
            ("# h1 A", "h1", 22, "unknown"),
            ("", "h1", 22, "unknown"),
        ];
        for (text, host, port, wanted) in cases {
            let verdict = known(&[text]).check_key(&ServerName::new(host, *port), &key(A));
            let said = says(&verdict);
            let word = said.split(' ').next().unwrap();
            assert_eq!(word, *wanted, "{text}\nfor {host}:{port}");
        }
    }

    #[test]
    fn lines_that_make_no_sense_are_passed_over_and_named() {
        let cases = [
            ("@strange h1 A", "unknown marker"),
            ("@revoked @cert-authority h1 A", "unknown marker"),
            ("@revoked", "unknown marker"),
            ("h1", "the line ends before its key"),
            ("h1 # A", "the line ends before its key"),
            ("h1 ssh-ed25519", "the line ends before its key"),
            ("h1 ssh-none AAAACHNzaC1ub25l", "unknown type of key"),
            ("h1 ssh-ed25519 garbage!", "malformed key"),
            ("h1 ssh-ed25519 AAAA", "malformed key"),
            // A key of another type than the line says.
            (
                "h1 ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
                "malformed key",
            ),
            // Version 1's keys.
            ("h1 1024 65537 1234567", "malformed key"),
            ("|1|AAAA|AAAA A", "malformed hash of a name"),
            ("|2|AAAA A", "malformed hash of a name"),
            ("| A", "malformed hash of a name"),
            ("\u{0}\u{1b}[2J", "the line ends before its key"),
        ];
        for (line, why) in cases {
            let known = known(&[&format!("# head\n{line}\nh1 A\n")]);
            let notes: Vec<&str> = known.notes().collect();
            assert_eq!(notes, [format!("file0:2: line skipped: {why}")], "{line}");
            let verdict = known.check_key(&ServerName::new("h1", 22), &key(A));
            assert_eq!(says(&verdict), "known file0:3", "{line}");
        }
        let many = known(&["x\n".repeat(30).as_str()]);
        assert_eq!(many.notes().count(), 21);
        assert_eq!(many.notes().last(), Some("file0: 10 more lines skipped"));
        let long = "x".repeat(1023);
        let known = known(&[&format!("{long},h1 A")]);
        assert_eq!(known.notes().count(), 1);
    }

    #[test]
    fn hashed_names_are_found_by_their_key_and_without() {
        let text = format!("{} A\n{} B", hashed("[h1]:2222"), hashed("h2"));
        let known = known(&[&text]);
        let check = |host, port| says(&known.check_key(&ServerName::new(host, port), &key(A)));
        assert_eq!(check("h1", 2222), "known file0:1");
        assert_eq!(check("h1", 22), "unknown");
        assert_eq!(check("h2", 22), "changed file0:2");
    }

    #[test]
    fn all_files_of_a_policy_count() {
        let known = known(&["h1 B", "h1 A\nh2 A", "@revoked h2 A"]);
        let check = |host| says(&known.check_key(&ServerName::new(host, 22), &key(A)));
        assert_eq!(check("h1"), "known file1:1");
        assert_eq!(check("h2"), "revoked file2:1");
    }

    #[test]
    fn a_file_that_cannot_be_read_makes_nobody_known() {
        let open = |path: &str| {
            let path = PathBuf::from(path);
            super::super::HostKeyStore::default().open_files([&path], None)
        };
        let missing = open("/nonexistent/known_hosts");
        assert!(missing.is_complete());
        assert_eq!(missing.notes().count(), 0);
        for path in ["/", "/dev/zero", "/dev/null/known_hosts"] {
            let known = open(path);
            assert!(!known.is_complete(), "{path}");
            assert_eq!(known.notes().count(), 1, "{path}");
            let verdict = known.check_key(&ServerName::new("h1", 22), &key(A));
            assert_eq!(says(&verdict), "unknown");
        }
    }

    #[test]
    fn an_alias_has_no_port() {
        let known = known(&["cluster A\nh1 B"]);
        let server = ServerName::new("h1", 2222).with_alias(Some("Cluster"));
        assert_eq!(server.as_str(), "cluster");
        assert_eq!(says(&known.check_key(&server, &key(A))), "known file0:1");
        let without = ServerName::new("h1", 22).with_alias(None);
        assert_eq!(says(&known.check_key(&without, &key(A))), "changed file0:2");
    }

    #[test]
    fn the_address_may_not_contradict() {
        let address = || "10.0.0.1".parse().unwrap();
        let cases = [
            ("h1 A", "known file0:1"),
            ("h1 A\n10.0.0.1 A", "known file0:1"),
            ("h1 A\n10.0.0.1 B", "changed file0:2"),
            ("10.0.0.1 B", "changed file0:1"),
            ("10.0.0.1 A", "unknown"),
            ("h1 B\n10.0.0.1 A", "changed file0:1"),
            ("h1 A\n@revoked 10.0.0.1 A", "revoked file0:2"),
        ];
        for (text, wanted) in cases {
            let server = ServerName::new("h1", 22).with_address(address());
            let verdict = known(&[text]).check_key(&server, &key(A));
            assert_eq!(says(&verdict), wanted, "{text}");
        }
        let server = ServerName::new("h1", 2222).with_address(address());
        assert_eq!(server.entries(), ["[h1]:2222", "[10.0.0.1]:2222"]);
        let itself = ServerName::new("10.0.0.1", 22).with_address(address());
        assert_eq!(itself.entries(), ["10.0.0.1"]);
        let own = ServerName::new("h1", 22).with_address("127.0.0.1".parse().unwrap());
        assert_eq!(own.entries(), ["h1"]);
        match known(&["10.0.0.1 B"])
            .check_key(&ServerName::new("h1", 22).with_address(address()), &key(A))
        {
            KeyVerdict::Changed { name, .. } => assert_eq!(name, "10.0.0.1"),
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn a_changed_key_names_its_like_and_other_algorithms() {
        let other_known =
            |text: &str| match known(&[text]).check_key(&ServerName::new("h1", 22), &key(A)) {
                KeyVerdict::Changed {
                    known_at,
                    other_known,
                    ..
                } => (known_at.line, other_known.len()),
                other => unreachable!("{other:?}"),
            };
        assert_eq!(other_known("h1 E\nh1 B"), (2, 0));
        assert_eq!(other_known("h1 E"), (1, 1));
        assert_eq!(other_known(&format!("{} E", hashed("h1"))), (1, 1));
    }

    #[test]
    fn known_algorithms_cost_no_search_through_hashes() {
        let server = ServerName::new("h1", 22);
        let names = |known: KnownAlgorithms| {
            let keys: Vec<String> = known.keys.iter().map(ToString::to_string).collect();
            (keys.join(","), known.certificates)
        };
        let (ed, ec) = ("ssh-ed25519", "ecdsa-sha2-nistp256");
        let (h1, h2) = (hashed("h1"), hashed("h2"));
        let cases: &[(&str, &str, bool, &str)] = &[
            (
                "h1 A\nh1 E\nh1 B",
                "ssh-ed25519,ecdsa-sha2-nistp256",
                false,
                "",
            ),
            ("h2 A", "", false, ""),
            ("@revoked h1 A", "", false, ""),
            ("@cert-authority *,!h2 A\nh1 E", ec, true, ec),
            ("@cert-authority h2 A", "", false, ""),
            (&format!("@cert-authority {h1} A"), "", true, ""),
            (&format!("@cert-authority {h2} A"), "", false, ""),
            // All hashed keys are of one type, even though none is this host's.
            (&format!("{h2} A"), ed, false, ""),
            (&format!("{h2} A\n{h1} E"), "", false, ec),
            (
                &format!("h* A\n{h1} E"),
                ed,
                false,
                "ssh-ed25519,ecdsa-sha2-nistp256",
            ),
        ];
        for (text, wanted, certificates, by_scan) in cases {
            let known = known(&[text]);
            let said = names(known.algorithms(&server));
            assert_eq!(said, ((*wanted).to_owned(), *certificates), "{text}");
            let scanned = names(known.algorithms_by_scan(&server)).0;
            let by_scan = if by_scan.is_empty() && !text.contains('|') {
                wanted
            } else {
                by_scan
            };
            assert_eq!(scanned, *by_scan, "{text}");
        }
        let elsewhere = ServerName::new("h1", 2222);
        let known = known(&["h1 E\n@cert-authority h1 A"]);
        assert_eq!(names(known.algorithms(&elsewhere)), (ec.to_owned(), true));
    }

    #[test]
    fn a_key_that_was_enrolled_meanwhile_counts() {
        let known = known(&["h2 A"]);
        let server = ServerName::new("h1", 22);
        let at = Place {
            file: "file0".into(),
            line: 2,
        };
        known.learn(&server.entries(), &key(A), &at);
        assert_eq!(says(&known.check_key(&server, &key(A))), "known file0:2");
        assert_eq!(says(&known.check_key(&server, &key(B))), "changed file0:2");
        assert_eq!(known.algorithms(&server).keys.len(), 1);
    }

    #[test]
    fn a_list_that_cannot_be_read_refuses_all() {
        let server = ServerName::new("h1", 22);
        for (text, wanted) in [
            (format!("# none\n\n{B}\n"), "known file0:1"),
            (format!("{A} comment"), "revoked list"),
        ] {
            let mut known = known(&["h1 A"]);
            known.revoked.push(Arc::new(RevocationFile {
                path: "list".into(),
                keys: super::super::RevokedKeys::parse(text.as_bytes()),
            }));
            assert_eq!(says(&known.check_key(&server, &key(A))), wanted);
        }
        for text in ["garbage", "ssh-ed25519 AAAA", "SSHKRL\n\0"] {
            let mut known = known(&["h1 A"]);
            known.revoked.push(Arc::new(RevocationFile {
                path: "list".into(),
                keys: super::super::RevokedKeys::parse(text.as_bytes()),
            }));
            let verdict = known.check_key(&server, &key(A));
            assert!(
                matches!(verdict, KeyVerdict::RevocationsUnreadable { .. }),
                "{text}: {verdict:?}"
            );
        }
        let missing = RevocationFile::read(Path::new("/nonexistent/list"));
        assert!(missing.keys.is_err());
    }
}
