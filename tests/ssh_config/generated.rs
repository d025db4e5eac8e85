//! Configurations from a grammar, asked of ssh and of us.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use crate::openssh::{compare, ssh};

/// Names that configurations are asked for.
const NAMES: [&str; 7] = [
    "web1", "WEB2", "db.prod", "gw", "10.0.0.7", "::1", "bob@web1",
];

fn pick(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

/// Patterns of `Host`.
fn host() -> impl Strategy<Value = String> {
    let pattern = pick(&[
        "*", "web*", "web?", "!web1", "web1", "*.prod", "!*.prod", "gw", "10.0.0.*", "::*",
        "real.*", "WEB2", "?b*", "\"web1\"", "!gw",
    ]);
    prop::collection::vec(pattern, 1..4).prop_map(|patterns| format!("Host {}", patterns.join(" ")))
}

/// Criteria of `Match`.
fn criteria() -> impl Strategy<Value = String> {
    let lists = pick(&[
        "web*",
        "web1,db.*",
        "!web1,*",
        "*.prod",
        "real.*",
        "WEB?",
        "bob,u1",
        "root",
        "*",
        "x,",
    ]);
    let attribute = pick(&[
        "host",
        "originalhost",
        "user",
        "!host",
        "!user",
        "!originalhost",
        "HOST",
    ]);
    let one = prop_oneof![
        6 => (attribute, lists, pick(&[" ", "=", "  ", " = "])).prop_map(|(a, l, s)| format!("{a}{s}{l}")),
        1 => pick(&["final", "!final", "canonical", "exec true", "!exec \"false\"", "exec \"test %n = web1\""]),
    ];
    prop_oneof![
        8 => prop::collection::vec(one, 1..4).prop_map(|all| format!("Match {}", all.join(" "))),
        1 => pick(&["Match all", "Match !all", "Match final all", "Match host web1 all", "Match", "Match all user x", "match ALL"]),
    ]
}

/// Keywords with values, the wrong ones few.
fn keyword() -> impl Strategy<Value = String> {
    let words = |keyword: &'static str, values: &'static [&'static str]| {
        pick(values)
            .prop_map(move |value| format!("{keyword} {value}"))
            .boxed()
    };
    prop_oneof![
        3 => words("User", &["u1", "u2", "\"u 3\"", "bob"]),
        3 => words("Port", &["22", "2222", "=99", "= 98", "7 # x"]),
        3 => words("HostName", &["real.example.org", "%h.prod", "10.1.1.1", "127.1", "UPPER", "::0001", "gw"]),
        3 => words("IdentityFile", &["~/.ssh/a", "/k/%h", "\"/k/x y\"", "none", "/k/a\\ b", "'/q'", "${CLAW_KEYS}/k"]),
        2 => words("ProxyCommand", &["none", "nc %h %p", "ssh -W %h:%p x # y"]),
        2 => words("SendEnv", &["LANG LC_*", "-LC_*", "A B", "-*"]),
        2 => words("SetEnv", &["A=1", "B=2 A=3", "\"C=x y\""]),
        2 => words("UserKnownHostsFile", &["none", "/a /b", "~/.ssh/kh_%n", "/x"]),
        2 => words("ConnectTimeout", &["5", "none", "1m", "1h1"]),
        2 => words("RekeyLimit", &["1G", "default 1h", "512K none", "0 2m"]),
        2 => words("StrictHostKeyChecking", &["yes", "no", "accept-new", "ask", "OFF"]),
        2 => words("Compression", &["yes", "no", "=yes"]),
        2 => words("HostKeyAlias", &["Al", "b"]),
        2 => words("Ciphers", &["aes128-ctr", "+aes128-cbc", "-aes*ctr", "^aes256-ctr,aes128-ctr"]),
        2 => words("HostKeyAlgorithms", &["ssh-ed25519", "+ssh-rsa", "-*cert*", "ecdsa-*,ssh-ed25519"]),
        2 => words("IdentityAgent", &["none", "SSH_AUTH_SOCK", "$CLAW_SOCK", "~/.s/%u", "${CLAW_SOCK}"]),
        1 => words("ProxyJump", &["none", "u@jump1:2201", "jump1,jump2", "[::2]:22", "ssh://x@jump2", "jump1 # c"]),
        1 => words("CanonicalizeHostname", &["yes", "no", "always"]),
        1 => words("CanonicalDomains", &["a.invalid b.invalid", "none"]),
        1 => words("IgnoreUnknown", &["Foo*", "*"]),
        1 => words("FooBar", &["x"]),
        1 => words("ServerAliveInterval", &["7", "2m", "0", "none", "9", "8s", "soon", "-1", "", "3 4", "\"5"]),
    ]
}

/// More keywords, so that none stands for many.
fn rarer() -> impl Strategy<Value = String> {
    let words = |keyword: &'static str, values: &'static [&'static str]| {
        pick(values)
            .prop_map(move |value| format!("{keyword} {value}"))
            .boxed()
    };
    prop_oneof![
        words("CertificateFile", &["~/c", "/c/%h", "/c/%h", "none"]),
        words("LogLevel", &["QUIET", "debug", "Info", "VERBOSE"]),
        words(
            "PreferredAuthentications",
            &["publickey", "password,publickey", "\"publickey,x\""]
        ),
        words("RequiredRSASize", &["1024", "3072", "0"]),
        words("GlobalKnownHostsFile", &["none", "/g ~/h", "\"/g h\""]),
        words("RevokedHostKeys", &["none", "/r", "~/r"]),
        words(
            "MACs",
            &[
                "+hmac-md5",
                "-umac*",
                "hmac-sha2-256,hmac-sha2-512",
                "^hmac-sha1"
            ]
        ),
        words(
            "KexAlgorithms",
            &[
                "+diffie-hellman-group14-sha1",
                "-ecdh*,sntrup*",
                "curve25519-sha256"
            ]
        ),
        words(
            "PubkeyAcceptedAlgorithms",
            &["+ssh-rsa", "-sk-*", "ssh-ed25519*", "^rsa-sha2-256"]
        ),
        words("PubkeyAcceptedKeyTypes", &["+ssh-dss", "ssh-ed25519"]),
        words("CanonicalizeMaxDots", &["0", "3"]),
        words("CanonicalizeFallbackLocal", &["yes", "no"]),
        words("AddressFamily", &["inet", "INET6", "any"]),
        words("BindAddress", &["::1", "10.0.0.1"]),
        words("IdentitiesOnly", &["yes", "false"]),
        words("PubkeyAuthentication", &["yes", "unbound", "host-bound"]),
        words("PasswordAuthentication", &["yes", "no"]),
        words("ChallengeResponseAuthentication", &["yes", "no"]),
        words("HashKnownHosts", &["yes", "no"]),
        words("CheckHostIP", &["yes", "no"]),
        words("ConnectionAttempts", &["1", "4"]),
        words("NumberOfPasswordPrompts", &["1", "3"]),
        words("ServerAliveCountMax", &["1", "0"]),
        words("ForwardAgent", &["yes", "no"]),
        words("ControlPath", &["~/.ssh/cm-%r@%h:%p", "none"]),
        words("Include", &["@INCLUDED@", "\"@INCLUDED@\" /none", "/none"]),
        words("Include", &["@INCLUDED@"]),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let set = prop_oneof![3 => keyword(), 1 => rarer()];
    prop_oneof![
        2 => host(),
        2 => criteria(),
        8 => (set, pick(&["", " ", "\t", "    "]), pick(&["", " ", "\r", "\t"]))
            .prop_map(|(line, before, after)| format!("{before}{line}{after}")),
        1 => pick(&["", "# x", "   # y \"", "\t"]),
    ]
}

/// A keyword and a heap of what has a meaning to whoever cuts words.
fn heap() -> impl Strategy<Value = String> {
    let keyword = pick(&[
        "Host",
        "Match host",
        "Match",
        "Match user",
        "User",
        "SetEnv",
        "SendEnv",
        "IdentityFile",
        "UserKnownHostsFile",
        "ProxyCommand",
        "HostKeyAlias",
        "IgnoreUnknown",
        "BindAddress",
        "CanonicalDomains",
        "  User",
    ]);
    let between = pick(&[" ", "=", " = ", "\t", "  ", "=="]);
    (keyword, between, "[ab\"'\\\\ #=\t,*!?.]{0,10}")
        .prop_map(|(keyword, between, heap)| format!("{keyword}{between}{heap}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_files_mean_what_ssh_says(
        lines in prop::collection::vec(line(), 1..25),
        included in prop::collection::vec(line(), 0..8),
        name in 0..NAMES.len(),
    ) {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("config");
        let other = place.path().join("included");
        let other = other.to_str().unwrap();
        let included = included.join("\n").replace("@INCLUDED@", "/none");
        fs::write(other, &included).unwrap();
        fs::set_permissions(other, fs::Permissions::from_mode(0o600)).unwrap();
        // The jumps lead nowhere else, so that no chain is endless.
        let text = format!("Host jump?\n  ProxyJump none\nHost *\n{}\n", lines.join("\n"));
        fs::write(&file, text.replace("@INCLUDED@", other)).unwrap();
        if let Err(difference) = compare(&file, NAMES[name]) {
            // ssh looks a jump up when it connects, we when we read: what is wrong with it is known earlier.
            let path = file.to_str().unwrap();
            let later = difference.contains("only we refuse")
                && (difference.contains("jump loop via")
                    || ["jump1", "jump2", "::2"].iter().any(|jump| ssh(&["-G", "-F", path, jump]).is_err()));
            prop_assert!(later, "{difference}\nincluded:\n{included}");
        }
    }

    #[test]
    fn words_are_cut_where_ssh_cuts_them(lines in prop::collection::vec(heap(), 1..4)) {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("config");
        fs::write(&file, lines.join("\n")).unwrap();
        if let Err(difference) = compare(&file, "ab") {
            prop_assert!(false, "{difference}");
        }
    }
}
