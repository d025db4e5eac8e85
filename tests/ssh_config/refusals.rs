//! What ssh accepts and we do not, and how it is said.

use std::fs;

use crate::openssh::resolve;

/// A configuration, the line at fault (0: none), what is said, and what helps.
const REFUSALS: [(&str, usize, &str, &str); 36] = [
    (
        "KnownHostsCommand /bin/keys %H",
        1,
        "KnownHostsCommand /bin/keys %H is not supported",
        "KnownHostsCommand none",
    ),
    (
        "User x\nVerifyHostKeyDNS yes",
        2,
        "VerifyHostKeyDNS yes is not supported: DNS does not",
        "VerifyHostKeyDNS no",
    ),
    (
        "ProxyCommand nc %h %p\nProxyUseFdpass yes",
        2,
        "ProxyUseFdpass yes is not supported",
        "ProxyUseFdpass no",
    ),
    (
        "BindInterface eth0",
        1,
        "BindInterface eth0 is not supported",
        "keep BindInterface out",
    ),
    (
        "NoHostAuthenticationForLocalhost yes",
        1,
        "NoHostAuthenticationForLocalhost yes",
        "StrictHostKeyChecking|no",
    ),
    (
        "CASignatureAlgorithms ssh-ed25519",
        1,
        "CASignatureAlgorithms ssh-ed25519 is not supported",
        "keep",
    ),
    (
        "CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *:*",
        2,
        "CanonicalizePermittedCNAMEs *:*",
        "none",
    ),
    ("Tag x", 1, "Tag x is not supported: tags", "keep Tag out"),
    (
        "RefuseConnection \"ask Bob\"",
        1,
        "RefuseConnection ask Bob is not supported",
        "keep",
    ),
    (
        "Match tagged x",
        1,
        "unsupported Match criterion `tagged`",
        "",
    ),
    (
        "Port 22\nProt 23",
        2,
        "unknown keyword `prot`",
        "did you mean `Port`?",
    ),
    (
        "IdentetyFile x",
        1,
        "unknown keyword `identetyfile`",
        "did you mean `IdentityFile`?",
    ),
    (
        "UseKeychain yes",
        1,
        "unknown keyword `usekeychain`",
        "IgnoreUnknown usekeychain",
    ),
    (
        "Host b\n Prot 1\nHost *\n User x",
        2,
        "unknown keyword `prot`",
        "did you mean",
    ),
    (
        "Ciphers 3des-cbc",
        1,
        "Ciphers 3des-cbc leaves nothing that clawfleet has",
        "supported are chacha20",
    ),
    (
        "MACs umac-64@openssh.com",
        1,
        "leaves nothing",
        "hmac-sha2-512",
    ),
    (
        "KexAlgorithms sntrup761x25519-sha512@openssh.com",
        1,
        "leaves nothing",
        "curve25519-sha256",
    ),
    (
        "HostKeyAlgorithms ssh-dss",
        1,
        "leaves nothing",
        "ssh-ed25519",
    ),
    ("HostKeyAlgorithms -*", 1, "leaves nothing", "ssh-ed25519"),
    (
        "Ciphers rot13",
        1,
        "Ciphers: no such algorithm: `rot13`",
        "",
    ),
    ("ProxyCommand -", 1, "ProxyCommand: `-` hands over", ""),
    (
        "ProxyCommand nc %Z",
        1,
        "ProxyCommand: `%Z` means nothing here; known are %h %k %n %p %r",
        "",
    ),
    (
        "HostName \"x;y\"\nProxyCommand nc %h",
        2,
        "ProxyCommand: `x;y` would mean something to the shell",
        "",
    ),
    (
        "User \"x;y\"\nProxyCommand nc %r",
        2,
        "ProxyCommand: `x;y` would mean something to the shell",
        "",
    ),
    (
        "IdentityFile /x/%Q",
        1,
        "IdentityFile: `%Q` means nothing here",
        "",
    ),
    (
        "IdentityFile ${CLAW_NOT_SET}/x",
        1,
        "the environment variable CLAW_NOT_SET is not set",
        "",
    ),
    (
        "IdentityFile ~nosuchuser1/x",
        1,
        "there is no user `nosuchuser1`",
        "",
    ),
    (
        "Host *\nProxyJump gw",
        2,
        "jump loop via gw",
        "ProxyJump none",
    ),
    (
        "Host a\nProxyJump b\nHost b\nProxyJump c\nHost c\nHostName d\nProxyJump b",
        7,
        "jump loop via b",
        "leads through itself",
    ),
    (
        "PreferredAuthentications gssapi-with-mic",
        1,
        "no way to log in to `a` is left",
        "publickey",
    ),
    (
        "PubkeyAuthentication no\nNumberOfPasswordPrompts 0",
        1,
        "no way to log in",
        "password",
    ),
    ("ConnectionAttempts 0", 1, "ConnectionAttempts 0", ""),
    ("User u\n\"Port 22", 2, "a quote has no fellow", ""),
    (
        "StrictHostKeyChecking maybe",
        1,
        "unsupported value `maybe`; known are accept-new, ask, no, yes",
        "",
    ),
    ("Port http", 1, "bad port `http`", ""),
    (
        "Include /etc/../x\nProxyJump a/b",
        2,
        "invalid ProxyJump `a/b`",
        "",
    ),
];

#[test]
fn what_is_not_done_is_refused_with_a_place_and_a_remedy() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("config");
    for (text, line, message, hint) in REFUSALS {
        fs::write(&file, text).unwrap();
        let error = match resolve(&file, "a") {
            Err(error) => error,
            Ok(found) => panic!("{text}: {:?}", found.settings()),
        };
        assert_eq!(error.file, file.display().to_string(), "{text}");
        assert_eq!(error.line, (line > 0).then_some(line), "{text}: {error}");
        assert!(error.to_string().contains(message), "{text}: {error}");
        let said = error.hint.unwrap_or_default();
        assert!(
            hint.split('|').any(|hint| said.contains(hint)),
            "{text}: {said}"
        );
        assert_eq!(hint.is_empty(), said.is_empty(), "{text}: {said}");
    }
}

#[test]
fn names_that_a_shell_would_obey_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("config");
    fs::write(&file, "Host * !j*\nProxyJump j$(x)\n").unwrap();
    for name in [
        "a;b", "$(x)", "-oX", "a b", "x;y@a", "", "@a", "ssh://", "a",
    ] {
        assert!(resolve(&file, name).is_err(), "{name}");
    }
}
