//! What is read and written here, held against the `ssh-keygen` of this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use proptest::prelude::*;
use russh::keys::{Certificate, PublicKey};
use tempfile::TempDir;

use super::key_file::KeyFile;
use super::line::Marker;
use super::revoked::RevocationFile;
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

/// A host key, signed; and what is thought of it under different known_hosts files.
#[test]
fn certificates_vouch_for_hosts_as_openssh_says() {
    let lab = Lab::new();
    let authority = text(&lab.key("ca", "ed25519"));
    let other = text(&lab.key("ca2", "ecdsa"));
    let host = text(&lab.key("host", "ed25519"));
    let good: &[&str] = &["-h", "-n", "h1.ex.com,h2", "-V", "-1d:+1d"];
    let trust = format!("@cert-authority *.ex.com,h2 {authority}\n");
    // Options of the signer, the file, and what is said.
    let cases: &[(&[&str], String, &str)] = &[
        (good, trust.clone(), "certified 1"),
        (
            good,
            format!("\n@cert-authority h1.ex.com {authority}"),
            "certified 2",
        ),
        (
            good,
            format!("@cert-authority h2 {authority}"),
            "UnknownAuthority",
        ),
        (
            good,
            format!("@cert-authority * {other}"),
            "UnknownAuthority",
        ),
        (
            good,
            format!("@cert-authority * {other}\n{trust}"),
            "certified 2",
        ),
        (good, format!("h1.ex.com {authority}"), "UnknownAuthority"),
        (
            good,
            format!("{trust}@revoked * {authority}"),
            "revoked Authority",
        ),
        (good, format!("{trust}@revoked * {host}"), "revoked Key"),
        (good, format!("{trust}@revoked h9 {host}"), "certified 1"),
        // The key alone may be known, too.
        (good, format!("h1.ex.com {host}"), "plain 1"),
        (good, format!("h1.ex.com {other}"), "UnknownAuthority"),
        (
            &["-h", "-n", "h9"],
            format!("{trust}h1.ex.com {host}"),
            "plain 2",
        ),
        // Each way to be invalid.
        (&["-h", "-n", "h9"], trust.clone(), "OtherHosts"),
        (&["-h", "-n", "*.ex.com"], trust.clone(), "certified 1"),
        (&["-h", "-n", "H1.ex.com"], trust.clone(), "OtherHosts"),
        (&["-h"], trust.clone(), "NoPrincipals"),
        (&["-n", "h1.ex.com"], trust.clone(), "NotForHosts"),
        (
            &["-h", "-n", "h1.ex.com", "-V", "20300101:20320101"],
            trust.clone(),
            "NotYetValid",
        ),
        (
            &["-h", "-n", "h1.ex.com", "-V", "19800101:19900101"],
            trust.clone(),
            "Expired",
        ),
        (
            &["-h", "-n", "h1.ex.com", "-O", "critical:x=y"],
            trust.clone(),
            "CriticalOption",
        ),
        (
            &["-h", "-n", "h1.ex.com", "-O", "extension:x=y"],
            trust.clone(),
            "certified 1",
        ),
    ];
    for (options, known, wanted) in cases {
        let certificate = lab.sign("ca", "host", options);
        let server = ServerName::new("h1.ex.com", 22);
        let verdict = lab
            .known(known)
            .check_certificate(&server, &certificate, now());
        assert_eq!(&said(&verdict), wanted, "{options:?} and\n{known}");
    }
}

fn said(verdict: &KeyVerdict) -> String {
    match verdict {
        KeyVerdict::Known { at, certified } => {
            let word = if *certified { "certified" } else { "plain" };
            format!("{word} {}", at.line)
        }
        KeyVerdict::Revoked { what, .. } => format!("revoked {what:?}"),
        KeyVerdict::CertificateRefused { why, .. } => {
            let why = format!("{why:?}");
            why.split('(').next().unwrap().to_owned()
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn an_authority_of_the_name_vouches_for_all_its_ports() {
    let lab = Lab::new();
    let authority = text(&lab.key("ca", "ed25519"));
    let other = text(&lab.key("ca2", "ed25519"));
    lab.key("host", "ed25519");
    let certificate = lab.sign("ca", "host", &["-h", "-n", "h1"]);
    let check = |known: &str, server: &ServerName| {
        said(
            &lab.known(known)
                .check_certificate(server, &certificate, now()),
        )
    };
    let server = ServerName::new("h1", 2222);
    let trust = format!("@cert-authority h1 {authority}\n");
    assert_eq!(check(&trust, &server), "certified 1");
    let with_port = format!("@cert-authority [h1]:2222 {authority}\n");
    assert_eq!(check(&with_port, &server), "certified 1");
    let others = format!("{trust}@cert-authority [h1]:2222 {other}\n");
    assert_eq!(check(&others, &server), "certified 1");
    assert_eq!(
        check(&others.replace(" h1 ", " h2 "), &server),
        "UnknownAuthority"
    );
    // The alias is the name that the certificate must be for.
    let aliased = ServerName::new("10.0.0.1", 2222).with_alias(Some("h1"));
    assert_eq!(check(&trust, &aliased), "certified 1");
    let aliased = ServerName::new("h1", 22).with_alias(Some("h2"));
    let trust = format!("@cert-authority * {authority}\n");
    assert_eq!(check(&trust, &aliased), "OtherHosts");
}

#[test]
fn signatures_are_checked_and_sha_1_is_none() {
    let lab = Lab::new();
    let rsa = text(&lab.key("ca", "rsa"));
    lab.key("host", "ecdsa");
    let trust = lab.known(&format!("@cert-authority * {rsa}"));
    let server = ServerName::new("h1", 22);
    for (algorithm, wanted) in [
        ("ssh-rsa", "WeakSignature"),
        ("rsa-sha2-256", "certified 1"),
        ("rsa-sha2-512", "certified 1"),
    ] {
        let certificate = lab.sign("ca", "host", &["-h", "-n", "h1", "-t", algorithm]);
        let verdict = trust.check_certificate(&server, &certificate, now());
        assert_eq!(said(&verdict), wanted, "{algorithm}");
    }
    let blob = lab
        .sign("ca", "host", &["-h", "-n", "h1"])
        .to_bytes()
        .unwrap();
    let whole = trust.check_certificate_blob(&server, &blob, now()).unwrap();
    assert_eq!(said(&whole), "certified 1");
    for place in 0..blob.len() {
        let mut broken = blob.clone();
        broken[place] ^= 1;
        if let Ok(verdict) = trust.check_certificate_blob(&server, &broken, now()) {
            assert!(!verdict.is_trusted(), "byte {place}: {verdict:?}");
        }
        assert!(
            trust
                .check_certificate_blob(&server, &blob[..place], now())
                .is_err()
        );
    }
}

/// A host, its certificate of serial number 7, and a list of revoked keys made by ssh-keygen.
struct Revocations {
    lab: Lab,
    certificate: Certificate,
}

impl Revocations {
    fn new() -> Self {
        let lab = Lab::new();
        for name in ["ca", "ca2", "host", "host2"] {
            lab.key(name, "ed25519");
        }
        let certificate = lab.sign("ca", "host", &["-h", "-n", "h1", "-z", "7"]);
        Self { lab, certificate }
    }

    /// Makes a KRL; returns its bytes.
    fn krl(&self, specification: &str, options: &[&str]) -> Vec<u8> {
        self.lab.write("spec", specification);
        let mut arguments = vec!["-q", "-k", "-f", "krl"];
        arguments.extend(options);
        arguments.push("spec");
        self.lab.keygen(&arguments);
        fs::read(self.lab.path("krl")).unwrap()
    }

    /// What is said of the host's certificate and of its key, by list.
    fn ask(&self, list: &[u8]) -> (String, String) {
        let (ca, host) = (self.lab.public("ca"), self.lab.public("host"));
        let mut known = self.lab.known(&format!(
            "@cert-authority * {}\nh1 {}",
            text(&ca),
            text(&host)
        ));
        let path = self.lab.write("list", list);
        known.revoked.push(Arc::new(RevocationFile::read(&path)));
        let server = ServerName::new("h1", 22);
        (
            said(&known.check_certificate(&server, &self.certificate, now())),
            said(&known.check_key(&server, &host)),
        )
    }
}

#[test]
fn lists_of_ssh_keygen_revoke_what_they_say() {
    let lab = Revocations::new();
    let print = |name: &str| {
        let key = lab.lab.public(name);
        key.fingerprint(russh::keys::HashAlg::Sha256).to_string()
    };
    let key = |name: &str| text(&lab.lab.public(name));
    let many: String = (1..2000)
        .step_by(2)
        .map(|serial| format!("serial: {serial}\n"))
        .collect();
    let sparse: String = (1..9)
        .map(|n| format!("serial: {}\n", n * 1_000_000_007_u64))
        .collect();
    let ca: &[&str] = &["-s", "ca.pub"];
    let cases: &[(String, &[&str], &str, &str)] = &[
        (String::new(), &[], "certified 1", "plain 2"),
        ("serial: 7".into(), ca, "revoked Certificate", "plain 2"),
        ("serial: 8".into(), ca, "certified 1", "plain 2"),
        (
            "serial: 7".into(),
            &["-s", "ca2.pub"],
            "certified 1",
            "plain 2",
        ),
        (
            "serial: 7".into(),
            &["-s", "none"],
            "revoked Certificate",
            "plain 2",
        ),
        ("serial: 5-9".into(), ca, "revoked Certificate", "plain 2"),
        (
            "serial: 8-18446744073709551615".into(),
            ca,
            "certified 1",
            "plain 2",
        ),
        (
            "serial: 1-18446744073709551615".into(),
            ca,
            "revoked Certificate",
            "plain 2",
        ),
        (many.clone(), ca, "revoked Certificate", "plain 2"),
        (
            many.replace("serial: 7\n", ""),
            ca,
            "certified 1",
            "plain 2",
        ),
        (sparse.clone(), ca, "certified 1", "plain 2"),
        (sparse + "serial: 7", ca, "revoked Certificate", "plain 2"),
        ("id: host".into(), ca, "revoked Certificate", "plain 2"),
        ("id: hos".into(), ca, "certified 1", "plain 2"),
        (
            "id: host".into(),
            &["-s", "none"],
            "revoked Certificate",
            "plain 2",
        ),
        (
            format!("key: {}", key("host")),
            &[],
            "revoked Key",
            "revoked Key",
        ),
        (
            format!("key: {}", key("host2")),
            &[],
            "certified 1",
            "plain 2",
        ),
        (
            format!("key: {}", key("ca")),
            &[],
            "revoked Authority",
            "plain 2",
        ),
        (
            format!("sha1: {}", key("host")),
            &[],
            "revoked Key",
            "revoked Key",
        ),
        (
            format!("sha256: {}", key("host")),
            &[],
            "revoked Key",
            "revoked Key",
        ),
        (
            format!("sha256: {}", key("host2")),
            &[],
            "certified 1",
            "plain 2",
        ),
        (
            format!("hash: {}", print("host")),
            &[],
            "revoked Key",
            "revoked Key",
        ),
        (
            format!("hash: {}", print("ca")),
            &[],
            "revoked Authority",
            "plain 2",
        ),
    ];
    for (specification, options, certificate, plain) in cases {
        let krl = lab.krl(specification, options);
        let head: String = specification.chars().take(60).collect();
        let wanted = ((*certificate).to_owned(), (*plain).to_owned());
        assert_eq!(lab.ask(&krl), wanted, "{head} {options:?}");
        assert_eq!(
            lab.is_revoked(),
            certificate.starts_with("revoked"),
            "{head}"
        );
    }
    // A list of keys, one a line; a certificate stands for its key.
    let certificate = fs::read(lab.lab.path("host-cert.pub")).unwrap();
    assert_eq!(lab.ask(&certificate).1, "revoked Key");
    assert_eq!(lab.ask(key("ca").as_bytes()).0, "revoked Authority");
}

impl Revocations {
    /// What ssh-keygen thinks of the certificate.
    fn is_revoked(&self) -> bool {
        !Command::new("ssh-keygen")
            .args(["-Q", "-f", "krl", "host-cert.pub"])
            .current_dir(self.lab.0.path())
            .output()
            .unwrap()
            .status
            .success()
    }
}

#[test]
fn a_krl_that_is_cut_off_refuses_all() {
    let lab = Revocations::new();
    let key = text(&lab.lab.public("host2"));
    let specification = format!("serial: 1\nserial: 9-20\nid: x\nkey: {key}\nsha1: {key}\n");
    let krl = lab.krl(&specification, &["-s", "ca.pub"]);
    assert!(RevokedKeys::parse(&krl).is_ok());
    // Between two sections nothing tells that something is missing.
    let whole = (9..krl.len()).filter(|length| RevokedKeys::parse(&krl[..*length]).is_ok());
    assert!(whole.count() < 5);
    for place in 8..krl.len() {
        let mut broken = krl.clone();
        broken[place] = broken[place].wrapping_add(1);
        let _ = RevokedKeys::parse(&broken);
    }
}

/// Prints what a large file costs; `cargo test --release -- --ignored --nocapture a_large_file`.
#[test]
#[ignore = "a figure"]
fn a_large_file_of_hashed_names_costs_little() {
    use std::time::Instant;
    const LINES: usize = 20_000;
    const HOSTS: usize = 1_000;
    let lab = Lab::new();
    let key = |number: usize| {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        let pair = russh::keys::ssh_key::private::Ed25519Keypair::from_seed(&seed);
        PublicKey::from(russh::keys::ssh_key::public::Ed25519PublicKey::from(&pair))
    };
    let keys: Vec<PublicKey> = (0..LINES).map(key).collect();
    let entries: Vec<NewEntry> = keys
        .iter()
        .enumerate()
        .map(|(number, key)| NewEntry {
            names: vec![format!("host{number}.ex.com")],
            key: key.clone(),
        })
        .collect();
    let timed = |what: &str, start: Instant| {
        println!("{what}: {:.1} ms", start.elapsed().as_secs_f64() * 1e3)
    };
    let path = lab.path("known_hosts");
    let start = Instant::now();
    enrol(&path, &entries, true, &[]).unwrap();
    timed("enrol 20,000 lines at once", start);
    let start = Instant::now();
    let known = HostKeyStore::default().open_files([&path], None);
    timed("read and index 20,000 hashed lines", start);
    let servers: Vec<ServerName> = (0..HOSTS)
        .map(|number| ServerName::new(&format!("host{}.ex.com", number * 20), 22))
        .collect();
    let start = Instant::now();
    for (number, server) in servers.iter().enumerate() {
        known.algorithms(server);
        assert!(known.check_key(server, &keys[number * 20]).is_trusted());
    }
    timed("1,000 known hosts", start);
    let stranger = key(LINES);
    let start = Instant::now();
    for server in &servers {
        assert!(!known.check_key(server, &stranger).is_trusted());
    }
    timed("1,000 hosts with another key", start);
    let start = Instant::now();
    for number in 0..20 {
        assert_eq!(
            lab.lines(&format!("host{number}.ex.com"), "known_hosts")
                .len(),
            1
        );
    }
    timed("20 of ssh-keygen -F", start);
}
