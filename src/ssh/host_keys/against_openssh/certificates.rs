//! Host certificates and lists of revoked keys.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use russh::keys::Certificate;

use super::super::revoked::RevocationFile;
use super::super::*;
use super::{Lab, now, text};

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
