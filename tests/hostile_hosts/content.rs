//! After an honest login: what a host says when it is asked for its facts.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use unicode_width::UnicodeWidthStr as _;

use crate::attack::{Attack, attack};
use crate::harmless;
use crate::support::lab::Lab;
use crate::support::program::{self, Finished};
use crate::support::report::Checked;
use crate::wire::{Peer, Step};

const SEEN: &[&str] = &["observed"];
/// What stands for the probe's nonce in a text.
const NONCE: &str = "00000000000000000000000000000001";

/// Answers the probe with a text in which the true nonce stands for the recorded one.
async fn answer(peer: &mut Peer, text: &[u8]) -> io::Result<()> {
    peer.through(Step::Exec).await?;
    let text = replaced(text, NONCE.as_bytes(), peer.nonce.as_bytes());
    peer.print(&text).await?;
    peer.exit(0).await?;
    peer.attend().await
}

fn replaced(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(old.len()).position(|window| window == old) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(new);
        rest = &rest[at + old.len()..];
    }
    out.extend_from_slice(rest);
    out
}

fn saying(
    name: &'static str,
    does: &'static str,
    ends: &'static [&'static str],
    text: impl Into<Vec<u8>>,
) -> Attack {
    let text = text.into();
    attack(name, does, ends, move |mut peer| {
        let text = text.clone();
        async move { answer(&mut peer, &text).await }
    })
}

pub(crate) fn attacks() -> Vec<Attack> {
    let mut all = frames();
    all.extend(sizes());
    all
}

/// A probe as a host in good order would print it.
fn healthy() -> String {
    fs::read_to_string(recorded().join("healthy-real.txt")).unwrap()
}

fn recorded() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/probes"
    ))
}

fn frames() -> Vec<Attack> {
    let mut pieces: Vec<String> = healthy()
        .split("\n@")
        .skip(1)
        .map(|frame| format!("@{frame}\n"))
        .collect();
    let end = pieces.pop().unwrap();
    let twice = pieces.concat() + &pieces.concat() + &end;
    let cut = &twice[..twice.len() / 3];
    let cut = cut[..cut.len() - 7].to_owned();
    pieces.reverse();
    let backwards = pieces.concat() + &end;
    let wrong = |nonce: &str| format!("@{nonce} hello\nhostname=forged\n@{nonce} end\n");
    let guesses = [
        "0",
        "00000000000000000000000000000002",
        "",
        "*",
        "\u{1b}[2J",
    ]
    .map(wrong);
    vec![
        saying(
            "frames with guessed nonces",
            "prints frames under nonces that it guessed",
            &["failed:exec"],
            guesses.concat(),
        )
        .says("no probe"),
        attack(
            "frames with nearly the nonce",
            "prints frames under the nonce in capitals, cut short, and with more behind it",
            &["failed:exec"],
            move |mut peer| async move {
                peer.through(Step::Exec).await?;
                let n = peer.nonce.clone();
                let near = [format!("{n}0"), n[1..].to_owned(), format!(" {n}")];
                let near = near.map(|nonce| wrong(&nonce)).concat();
                peer.print(near.as_bytes()).await?;
                peer.exit(0).await?;
                peer.attend().await
            },
        )
        .says("no probe"),
        saying("frames twice", "prints every frame twice", SEEN, twice),
        saying(
            "frames backwards",
            "prints its frames in the opposite order",
            SEEN,
            backwards,
        ),
        saying(
            "frames cut short",
            "ends in the middle of a frame's name",
            &["partial:exec"],
            cut,
        ),
        saying(
            "an end and no beginning",
            "prints that the probe ended, and nothing before it",
            &["failed:exec"],
            format!("@{NONCE} end\n"),
        ),
        saying(
            "nothing at all",
            "ends its command at once, with success",
            &["failed:exec"],
            "",
        ),
        saying(
            "frames of nothing",
            "prints frames without names, keys without values, and values without keys",
            SEEN,
            format!(
                "@{NONCE} \n=\n==\n@{NONCE}  \nx\n@{NONCE} unit\n@{NONCE} process\n@{NONCE} end\n"
            ),
        ),
    ]
}

fn sizes() -> Vec<Attack> {
    let frame = format!("@{NONCE} hello\nuid=0\nhostname=");
    let end = format!("\n@{NONCE} end\n");
    vec![
        saying(
            "millions of frames",
            "prints empty frames until nobody listens",
            &["partial:exec"],
            format!("@{NONCE} x\n").repeat(40_000),
        )
        .says("more than 1024 KiB"),
        saying(
            "25,000 processes",
            "reports each of 25,000 processes in a frame of its own",
            SEEN,
            (0..15_000).fold(String::new(), |text, pid| {
                text + &format!("@{NONCE} process {pid}\nppid={}\n", pid + 1)
            }) + &end,
        ),
        saying(
            "one line of 900 KiB",
            "gives itself a name of 900 KiB of terminal escapes",
            SEEN,
            [frame.as_bytes(), &EVIL_WORD.repeat(6_000), end.as_bytes()].concat(),
        ),
        saying(
            "one line without an end",
            "gives itself a name that never ends",
            &["partial:exec"],
            format!("{frame}{}", "x".repeat(2 << 20)),
        )
        .says("more than 1024 KiB"),
        saying(
            "paths of 300 KiB",
            "mounts a full disk, and keeps readable secrets, at paths of 300 KiB",
            SEEN,
            [
                frame.as_bytes(),
                format!("x\n@{NONCE} disks\ndisk=100 99 1 /").as_bytes(),
                &EVIL_WORD.repeat(2_000),
                format!("\n@{NONCE} modes\nmode=666 0 0 1 /").as_bytes(),
                &EVIL_WORD.repeat(2_000),
                end.as_bytes(),
            ]
            .concat(),
        ),
        saying(
            "500,000 keys in one frame",
            "puts as many lines into one frame as the output holds",
            SEEN,
            format!("{frame}x\n{}{end}", "=\n".repeat(500_000)),
        ),
    ]
}

/// Terminal escapes, marks of writing direction, invisible characters and invalid UTF-8, in one line
/// and one word.
const EVIL_WORD: &[u8] = b"\x1b[2J\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b]8;;http://evil.example\x1b\\a\x1bP+q\x1b\\\rVM1\xc2\xa0ok\x08\x7f\x9b31m\xc2\x9b31m\xc2\x85\xe2\x80\xae\xe2\x81\xa6\xd8\x9c\xe2\x80\xa8\xf3\xa0\x81\x81\x00\xff\xfe";

/// How a recorded probe is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoilt {
    /// Every text.
    Texts,
    /// Names and paths; states keep their meaning, so that more is found.
    Names,
    /// Names of units, and arguments of frames.
    Units,
    /// Every number.
    Numbers,
    /// Paths lead out of their directory.
    Paths,
}

const ALL: [Spoilt; 5] = [
    Spoilt::Texts,
    Spoilt::Names,
    Spoilt::Units,
    Spoilt::Numbers,
    Spoilt::Paths,
];

/// Numbers that are none, or more than any machine has.
const NUMBERS: [&str; 10] = [
    "-1",
    "NaN",
    "inf",
    "1e999",
    "18446744073709551615",
    "99999999999999999999999999",
    "4294967295",
    "-9223372036854775808",
    "0x7f",
    "\u{665}",
];

/// Keys whose values name something.
const NAMING: [&str; 14] = [
    "hostname",
    "os",
    "kernel",
    "user",
    "comm",
    "argv",
    "cgroup",
    "version",
    "primary",
    "fallback",
    "listed",
    "provider",
    "denied",
    "installed",
];

fn spoil(text: &str, how: Spoilt) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("#?") {
            continue;
        }
        let bad = NUMBERS[number % NUMBERS.len()];
        match line.split_once('=') {
            Some((key, value)) if !line.starts_with('@') => {
                out.extend_from_slice(key.as_bytes());
                out.push(b'=');
                out.extend(spoilt_value(key, value, how, bad));
            }
            _ if how == Spoilt::Units => {
                let line = line
                    .replace("gateway", "gate\u{1}way")
                    .replace("claw", "cl\u{1}w");
                out.extend(replaced(line.as_bytes(), b"\x01", EVIL_WORD));
            }
            _ => out.extend_from_slice(line.as_bytes()),
        }
        out.push(b'\n');
    }
    out
}

fn spoilt_value(key: &str, value: &str, how: Spoilt, bad: &str) -> Vec<u8> {
    let is_number = |word: &str| word.parse::<f64>().is_ok();
    let numbers = value.split(' ').all(is_number);
    match how {
        Spoilt::Numbers => {
            let word = |word| if is_number(word) { bad } else { word };
            let words: Vec<&str> = value.split(' ').map(word).collect();
            words.join(" ").into_bytes()
        }
        Spoilt::Paths => value.replace('/', "/../\u{0}/").into_bytes(),
        Spoilt::Units => replaced(value.as_bytes(), b"claw-", &[b"claw-", EVIL_WORD].concat()),
        Spoilt::Texts if !numbers => [value.as_bytes(), EVIL_WORD].concat(),
        Spoilt::Names if NAMING.contains(&key) || value.contains('/') => {
            [EVIL_WORD, value.as_bytes(), EVIL_WORD].concat()
        }
        _ => value.as_bytes().to_vec(),
    }
}

/// A fleet of every recorded host, spoilt in one way, and healthy hosts between them.
fn spoilt_fleet(how: Spoilt) -> Lab {
    let mut lab = Lab::new();
    let mut files: Vec<_> = fs::read_dir(recorded()).unwrap().collect();
    files.sort_by_key(|file| file.as_ref().unwrap().path());
    for (number, file) in files.into_iter().enumerate() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let attack = saying("spoilt", "", SEEN, spoil(&text, how));
        let server = attack.start(&lab);
        let service = "service: {unit: openclaw-gateway.service, port: 18789}, role: gateway";
        lab.add(&format!("spoilt{number}"), server.port, service);
    }
    lab.add_healthy(&["good1", "good2"]);
    lab
}

fn run(lab: &Lab, args: &[&str]) -> Finished {
    let mut command: Command = lab.command(args);
    command.env("COLUMNS", "80");
    let run = program::run(command);
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    harmless::assert_output("stdout", &run.stdout);
    harmless::assert_output("stderr", run.stderr.as_bytes());
    run
}

/// No line is what a host made of it: none with a host's words is wider than the terminal, which
/// would go on in the first column, and none begins as a row of another host would.
#[track_caller]
fn assert_own_lines(out: &str) {
    for line in out.lines() {
        assert!(!line.starts_with("VM1"), "{line}");
        // Commands are never broken: they must paste as one line.
        let command = line.trim_start().starts_with("do: ");
        let of_a_host = line.contains('\u{241b}') || line.contains("xxxxx");
        assert!(
            command || !of_a_host || line.width() <= 80,
            "{} wide: {line}",
            line.width()
        );
    }
}

#[test]
fn no_text_of_a_host_reaches_the_terminal_as_more_than_text() {
    for how in ALL {
        let lab = spoilt_fleet(how);
        for args in [&["check", "all"][..], &["-v", "check", "all"]] {
            let run = run(&lab, args);
            assert_own_lines(run.out());
        }
        let run = run(&lab, &["-vv", "--format", "json", "check", "all"]);
        let checked = Checked::of(run, &lab.names());
        // What makes no sense is left out, and the rest is read.
        for name in lab.names() {
            match name.strip_prefix("spoilt") {
                Some(_) => checked.host(&name).is("observed"),
                None => checked.host(&name).is_observed_in_full(),
            };
        }
        checked.holds_at_most_mib(64);
    }
}

/// What a check of the operator's is answered with; each is a test of the reader of JSON.
fn confusing_json() -> Vec<Vec<u8>> {
    let deep = |open: &str| open.repeat(8_000 / open.len()).into_bytes();
    vec![
        deep("["),
        deep("{\"a\":"),
        b"{\"a\": 1e999}".to_vec(),
        b"{\"a\": -0}{\"a\": 2}".to_vec(),
        b"{\"a\": 99999999999999999999999999999999999999}".to_vec(),
        b"{\"a\": 1, \"a\": 0, \"a\": {\"a\": 2}}".to_vec(),
        b"{\"a\": NaN}".to_vec(),
        b"{\"a\": \"\\u001b[2J\\u009b31m\\u202e\\ud800\"}".to_vec(),
        b"{\"a\": \"\\u001b[2J\\u009b31m\\u202e\\u0000\\nVM1 ok\"}".to_vec(),
        [b"{\"a\": \"", EVIL_WORD, b"\"}"].concat(),
        [b"\xff\xfe", EVIL_WORD].concat(),
        b"{\"schema\": \"clawfleet.report/1\", \"hosts\": []}".to_vec(),
        b"\"}],\"verdict\":\"ok\"".to_vec(),
    ]
}

#[test]
fn json_made_to_confuse_confuses_nobody() {
    let mut lab = Lab::new();
    lab.defaults = "checks:\n  a: {script: 'true', read: {json: a}, critical: '> 5'}\n".to_owned();
    for (number, json) in confusing_json().into_iter().enumerate() {
        let head = format!("@{NONCE} hello\nuid=0\n@{NONCE} core\n@{NONCE} check a\nexit=0\nout=");
        let end = format!("\n@{NONCE} end\n");
        let text = [head.as_bytes(), &json, end.as_bytes()].concat();
        let server = saying("json", "", SEEN, text).start(&lab);
        lab.add(&format!("bad{number}"), server.port, "");
    }
    let checked = lab.check();
    for name in lab.names() {
        let host = checked.host(&name);
        host.is("observed");
        let said = host.0["findings"].to_string();
        assert!(said.contains("custom/a"), "{name}: {said}");
        assert!(said.len() < 4096, "{name}: {} bytes", said.len());
    }
    for args in [&["check", "all"][..], &["-v", "check", "all"]] {
        assert_own_lines(run(&lab, args).out());
    }
    run(&lab, &["--format", "json", "check", "all"]);
}

/// A name of 900 KiB fills neither the terminal nor the report.
#[test]
fn no_fact_fills_the_terminal() {
    let mut lab = Lab::new();
    for (number, attack) in attacks().iter().enumerate() {
        attack.add(&mut lab, &format!("bad{number}"));
    }
    lab.add_healthy(&["good"]);
    for args in [&["check", "all"][..], &["-v", "check", "all"]] {
        let run = run(&lab, args);
        assert_own_lines(run.out());
        assert!(run.stdout.len() < 64 << 10, "{} bytes", run.stdout.len());
    }
}
