//! Configurations from a grammar, asked of ssh and of us.

use std::fs;

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

fn line() -> impl Strategy<Value = String> {
    let spaced = |line: String, before: &str, after: &str| format!("{before}{line}{after}");
    prop_oneof![
        2 => host(),
        2 => criteria(),
        8 => (keyword(), pick(&["", " ", "\t", "    "]), pick(&["", " ", "\r", "\t"]))
            .prop_map(move |(line, before, after)| spaced(line, &before, &after)),
        1 => pick(&["", "# x", "   # y \"", "\t"]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_files_mean_what_ssh_says(lines in prop::collection::vec(line(), 1..25), name in 0..NAMES.len()) {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("config");
        // The jumps lead nowhere else, so that no chain is endless.
        let text = format!("Host jump?\n  ProxyJump none\nHost *\n{}\n", lines.join("\n"));
        fs::write(&file, &text).unwrap();
        if let Err(difference) = compare(&file, NAMES[name]) {
            // ssh looks a jump up when it connects, we when we read: what is wrong with it is known earlier.
            let path = file.to_str().unwrap();
            let later = difference.contains("only we refuse")
                && (difference.contains("jump loop via")
                    || ["jump1", "jump2", "::2"].iter().any(|jump| ssh(&["-G", "-F", path, jump]).is_err()));
            prop_assert!(later, "{difference}");
        }
    }
}
