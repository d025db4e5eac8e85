//! What is read and written here, held against the `ssh-keygen` of this machine.

mod certificates;
mod figure;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use russh::keys::{Certificate, PublicKey};
use tempfile::TempDir;

use super::key_file::KeyFile;
use super::line::Marker;
use super::*;

/// A directory with keys, and ssh-keygen in it.
struct Lab(TempDir);

impl Lab {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Runs ssh-keygen; returns what it printed.
    fn keygen(&self, arguments: &[&str]) -> String {
        let output = Command::new("ssh-keygen")
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Makes a key.
    fn key(&self, name: &str, kind: &str) -> PublicKey {
        self.keygen(&["-q", "-t", kind, "-N", "", "-C", name, "-f", name]);
        self.public(name)
    }

    fn public(&self, name: &str) -> PublicKey {
        let text = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        PublicKey::from_openssh(&text).unwrap()
    }

    /// Has a key signed by an authority.
    fn sign(&self, authority: &str, name: &str, options: &[&str]) -> Certificate {
        let public = format!("{name}.pub");
        let mut arguments = vec!["-q", "-s", authority, "-I", name];
        arguments.extend(options);
        arguments.push(&public);
        self.keygen(&arguments);
        let text = fs::read_to_string(self.path(&format!("{name}-cert.pub"))).unwrap();
        Certificate::from_openssh(&text).unwrap()
    }

    fn known(&self, text: &str) -> KnownHosts {
        let path = self.write("known_hosts", text);
        HostKeyStore::default().open_files([&path], None)
    }

    /// The lines about a host, as ssh-keygen finds them.
    fn lines(&self, host: &str, file: &str) -> Vec<usize> {
        let output = Command::new("ssh-keygen")
            .args(["-F", host, "-f", file])
            .current_dir(self.0.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .filter_map(|line| line.strip_prefix("# Host ")?.split("found: line ").nth(1))
            .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
            .collect()
    }
}

fn text(key: &PublicKey) -> String {
    PublicKey::new(key.key_data().clone(), "")
        .to_openssh()
        .unwrap()
}

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// The lines about a name, as we find them.
fn our_lines(file: &KeyFile, name: &str) -> Vec<usize> {
    let mut lines: Vec<usize> = [Marker::Key, Marker::Authority, Marker::Revoked]
        .into_iter()
        .flat_map(|marker| file.shown(marker, name).chain(file.hidden(marker, name)))
        .map(|entry| entry.line)
        .collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

/// The names that are asked for; the files are made of their like.
const NAMES: [&str; 6] = ["a", "b.a", "ab.a", "[a]:22", "[b.a]:2222", "A"];

fn a_line() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned),
        2 => "[!]{0,1}[ab.*?]{1,5}",
        1 => "!{0,1}\\[[ab*?]{1,2}\\]:(22|2222|\\*)",
    ];
    let names = prop::collection::vec(name, 1..4).prop_map(|names| names.join(","));
    let hashed =
        (prop::sample::select(NAMES.to_vec()), any::<[u8; 20]>()).prop_map(|(name, salt)| {
            let name = name.to_ascii_lowercase();
            line::HashedName::new(&name, salt).unwrap().to_string()
        });
    let field = prop_oneof![4 => names, 2 => hashed];
    let marker = prop::sample::select(vec!["", "", "", "@revoked ", "@cert-authority "]);
    let good = (marker, field, prop::sample::select(vec!["", " ", "\t"]))
        .prop_map(|(marker, field, space)| format!("{space}{marker}{field} {KEY}"));
    prop_oneof![
        8 => good,
        1 => prop::sample::select(vec!["# a", "", "  ", "@what a ssh-ed25519 AAAA", "a"])
            .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_lines_of_a_host_are_those_that_ssh_keygen_finds(lines in prop::collection::vec(a_line(), 0..300)) {
        let lab = Lab::new();
        let text = lines.join("\n");
        lab.write("known_hosts", &text);
        let file = KeyFile::parse(Path::new("known_hosts"), text.as_bytes());
        for name in NAMES {
            // ssh asks in lower case, which ssh-keygen does not do for it.
            let name = name.to_ascii_lowercase();
            let theirs = lab.lines(&name, "known_hosts");
            prop_assert_eq!(our_lines(&file, &name), theirs, "{} in\n{}", name, text);
        }
    }

    #[test]
    fn a_replaced_key_changes_nothing_for_others(lines in prop::collection::vec(a_line(), 0..30), hash: bool) {
        let lab = Lab::new();
        let text = lines.join("\n");
        let path = lab.write("known_hosts", &text);
        let key = lab.key("new", "ed25519");
        let entry = NewEntry { names: vec!["b.a".into()], key: key.clone() };
        enrol(&path, &[entry], hash, &["b.a".into()]).unwrap();
        let new = fs::read(&path).unwrap();
        let (before, after) = (KeyFile::parse(&path, text.as_bytes()), KeyFile::parse(&path, &new));
        prop_assert!(after.find(Marker::Key, "b.a", key.key_data()).is_some());
        for name in NAMES.map(str::to_ascii_lowercase).iter().filter(|name| *name != "b.a") {
            let count = |file| our_lines(file, name).len();
            prop_assert_eq!(count(&before), count(&after), "{} in\n{}", name, text);
        }
        // Lines of others are still there, in their order and to the byte.
        let new = String::from_utf8(new).unwrap();
        let mut left = new.split('\n');
        for line in text.split('\n').filter(|line| !line.contains("b.a") && !line.contains('|')) {
            prop_assert!(left.any(|other| other == line), "{:?} in\n{}", line, new);
        }
    }
}

#[test]
fn hashed_names_of_ssh_keygen_are_found() {
    let lab = Lab::new();
    let key = PublicKey::from_openssh(KEY).unwrap();
    lab.write("known_hosts", format!("H1,[h2]:2222 {KEY}\n"));
    lab.keygen(&["-H", "-f", "known_hosts"]);
    let known = HostKeyStore::default().open_files([&lab.path("known_hosts")], None);
    for server in [ServerName::new("h1", 22), ServerName::new("h2", 2222)] {
        assert!(known.check_key(&server, &key).is_trusted(), "{server:?}");
    }
}

#[test]
fn what_is_enrolled_is_found_by_ssh_keygen() {
    let lab = Lab::new();
    let key = PublicKey::from_openssh(KEY).unwrap();
    for (file, hash) in [("plain", false), ("hashed", true)] {
        let names = [
            ServerName::new("Web.ex.com", 22),
            ServerName::new("::1", 2222),
        ]
        .map(|server| server.as_str().to_owned());
        let entry = NewEntry {
            names: names.to_vec(),
            key: key.clone(),
        };
        let done = enrol(&lab.path(file), &[entry], hash, &[]).unwrap();
        assert_eq!(done.added, if hash { 2 } else { 1 });
        assert_eq!(lab.lines("web.ex.com", file), [1]);
        assert_eq!(lab.lines("[::1]:2222", file), [done.added]);
        assert_eq!(lab.lines("::1", file), [0; 0]);
    }
}
