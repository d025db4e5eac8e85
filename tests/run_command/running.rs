//! What is run, and as what.

use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::fake::Behaviour;
use crate::support::lab::Lab;
use crate::support::program;
use crate::{fleet, json, run};

/// Words that some shell would change.
const WORDS: [&[u8]; 18] = [
    b"",
    b" ",
    b"a b",
    b"$HOME",
    b"`id`",
    b"$(id)",
    b"'",
    b"\"",
    b"\\",
    b"\\'",
    b"*",
    b"!x !! !$",
    b"~root",
    b"a\nb\n",
    b"{1,2}",
    b"-n",
    b"\xff\xfe",
    b"%d;#&|<>()",
];

/// Every shell of this machine that a login may have. What it is given is a command of ours, so its quoting
/// must be read by all of them.
#[test]
fn words_reach_the_program_as_they_are_whatever_shell_the_login_has() {
    for shell in [
        "sh",
        "dash",
        "bash",
        "busybox sh",
        "zsh",
        "ksh",
        "fish",
        "tcsh",
    ] {
        let program = shell.split(' ').next().unwrap();
        let found = Command::new("which").arg(program).output().unwrap();
        if !found.status.success() {
            eprintln!("{program} is not on this machine");
            continue;
        }
        let mut lab = Lab::new();
        let server = lab.fake(Behaviour::shell(format!("exec {shell} -c \"$1\"")));
        lab.add("h1", server.port, "");
        let mut command = lab.command(&["run", "h1", "--out-dir", "out", "--", "printf", r"%s\0"]);
        command.args(WORDS.iter().map(|word| std::ffi::OsStr::from_bytes(word)));
        program::run(command).exits(0);
        let mut wanted = Vec::new();
        for word in WORDS {
            wanted.extend(word);
            wanted.push(0);
        }
        let got = std::fs::read(lab.path("out/h1.stdout")).unwrap();
        assert_eq!(got, wanted, "{shell}: {}", String::from_utf8_lossy(&got));
    }
}

#[test]
fn a_line_is_for_the_shell_only_where_one_is_asked_for() {
    let lab = fleet(1);
    let ran = run(&lab, &["h1", "--", "echo", "$((1 + 1))", "|", "cat"]);
    assert!(ran.exits(0).out().contains("$((1 + 1)) | cat"), "{ran:?}");
    let ran = run(
        &lab,
        &[
            "h1",
            "--shell",
            "--",
            "echo",
            "$((1 + 1))",
            "|",
            "tr",
            "2",
            "3",
        ],
    );
    assert!(ran.exits(0).out().contains("\n3\n"), "{ran:?}");
}

fn with_input(lab: &Lab, args: &[&str], input: &[u8]) -> std::process::Output {
    let mut child = lab
        .command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn scripts_run_with_their_own_interpreter_their_arguments_and_an_input() {
    let lab = fleet(2);
    let script = "#!/bin/bash\nwords=(\"$@\")\necho \"${words[1]}\"\ncat\nexit 3\n";
    lab.write("script.sh", script);
    lab.write("input", "first\nlast");
    let args = [
        "all",
        "--script",
        "script.sh",
        "--stdin",
        "input",
        "--",
        "a",
        "b  c",
    ];
    let report = json(&lab, 2, &args);
    assert_eq!(report["groups"][0]["stdout"], "b  c\nfirst\nlast");
    assert_eq!(report["groups"][0]["exit_code"], 3);
    // From standard input, for sh.
    let output = with_input(
        &lab,
        &["run", "h1", "--script", "-"],
        b"echo $((40 + 2)); cat\n",
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("\n42\n"), "{text}");
}

#[test]
fn every_host_gets_the_same_input_byte_for_byte() {
    let lab = fleet(3);
    let bytes: Vec<u8> = (0..700_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let args = [
        "run",
        "all",
        "--stdin",
        "-",
        "--out-dir",
        "out",
        "--",
        "cat",
    ];
    let output = with_input(&lab, &args, &bytes);
    assert!(output.status.success(), "{output:?}");
    for host in ["h1", "h2", "h3"] {
        let got = std::fs::read(lab.path(&format!("out/{host}.stdout"))).unwrap();
        assert!(got == bytes, "{host}: {} bytes", got.len());
    }
    // An empty one is an input, too, and none of it need be read.
    let output = with_input(&lab, &["run", "h1", "--stdin", "-", "--", "cat"], b"");
    assert!(output.status.success(), "{output:?}");
    let output = with_input(&lab, &["run", "h1", "--stdin", "-", "--", "true"], &bytes);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn without_an_input_there_is_none() {
    let lab = fleet(1);
    let report = json(&lab, 0, &["h1", "--", "wc", "-c"]);
    assert_eq!(report["groups"][0]["stdout"], "0\n");
}

#[test]
fn variables_are_set_and_never_on_a_command_line() {
    let lab = fleet(1);
    let mut command = lab.command(&[
        "run", "h1", "--env", "A=x y'z", "--env", "SECRET", "--env", "E=", "--", "sh", "-c",
        "printf '%s|' \"$A\" \"$SECRET\" \"${E-unset}\"; cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c tell-nobod[y]",
    ]);
    command.env("SECRET", "tell-nobody");
    let ran = program::run(command);
    assert!(
        ran.exits(2).out().contains("x y'z|tell-nobody||0"),
        "{ran:?}"
    );
    run(&lab, &["h1", "--env", "1A=x", "--", "true"])
        .exits(64)
        .complains(&["`1A`"]);
    run(&lab, &["h1", "--env", "NOT_SET", "--", "true"])
        .exits(64)
        .complains(&["not set here"]);
}

#[test]
fn usage_is_said_before_anybody_connects() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    lab.add("h1", server.port, "");
    for (args, words) in [
        (&["h1"][..], "<CMD>"),
        (&["--", "true"], "<SELECTOR>"),
        (&["nobody", "--", "true"], "nobody"),
        (&["h1", "--", "-c"], "`-c` is no program"),
        (&["h1", "--", ""], "is no program"),
        (&["h1", "--script", "gone"], "gone"),
        (&["h1", "--stdin", "gone", "--", "cat"], "gone"),
        (&["h1", "--script", "-", "--stdin", "-"], "at once"),
        (&["h1", "--timeout", "soon", "--", "true"], "30s"),
        (&["h1", "--max-output", "0", "--", "true"], "512K"),
        (&["h1", "--user", "a b", "--", "true"], "`a b`"),
        (
            &["h1", "--become", "--as-login", "--", "true"],
            "--as-login",
        ),
        (&["h1", "--diff", "--stream", "--", "true"], "--stream"),
        (
            &["h1", "--diff", "--format", "json", "--", "true"],
            "--diff",
        ),
        (&["h1", "--retry-failed", "--", "true"], "--retry"),
        (
            &["h1", "--env", "CLAWFLEET_RUN=1", "--", "true"],
            "another name",
        ),
        (&["h1", "--batch", "0", "--", "true"], "batch"),
    ] {
        run(&lab, args)
            .exits(64)
            .complains(&[words])
            .prints_nothing();
    }
    program::run(lab.command(&["run", "all", "--format", "csv", "--", "true"])).exits(64);
    assert_eq!(server.accepted(), 0);
}

#[test]
fn hosts_that_were_not_reached_are_tried_again_and_refused_logins_are_not() {
    let mut lab = Lab::new();
    let closed = lab.closed_port();
    lab.add("closed", closed, "");
    let deaf = lab.fake(Behaviour {
        login: crate::support::fake::Login::Refuse,
        ..Behaviour::default()
    });
    lab.add("deaf", deaf.port, "");
    lab.add_healthy(&["good"]);
    let report = json(
        &lab,
        2,
        &["all", "--retry", "1", "--", "sh", "-c", "exit 7"],
    );
    let tries = |name: &str| {
        let hosts = report["hosts"].as_array().unwrap();
        let host = hosts.iter().find(|host| host["name"] == name).unwrap();
        (
            host["tries"].as_u64().unwrap(),
            host["outcome"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(tries("closed"), (2, "unreachable".to_owned()));
    assert_eq!(tries("deaf"), (1, "auth-failed".to_owned()));
    assert_eq!(tries("good"), (1, "exited".to_owned()));
    assert_eq!(deaf.accepted(), 1);
    let stage = &report["hosts"][0]["error"]["stage"];
    assert_eq!(stage, "tcp", "of the last try");
    // Where it is asked for, what failed is done again: here it works the second time.
    let line = "[ -e again ] || { touch again; exit 1; }";
    let report = json(
        &lab,
        0,
        &[
            "good",
            "--retry",
            "2",
            "--retry-failed",
            "--shell",
            "--",
            line,
        ],
    );
    assert_eq!(report["hosts"][0]["tries"], 2);
}

#[test]
fn the_next_run_knows_where_it_failed() {
    let mut lab = fleet(3);
    let closed = lab.closed_port();
    lab.add("closed", closed, "");
    lab.write("bad", "");
    // All hosts are this machine: the first one to take the file is the one that fails.
    run(&lab, &["all", "--", "rm", "bad"]).exits(2);
    let report = json(&lab, 3, &["@failed", "--", "true"]);
    assert_eq!(report["summary"]["hosts"], 3);
    let ran = run(&lab, &["@unreachable", "--", "true"]);
    assert!(
        ran.exits(3).out().contains("── closed: not reached"),
        "{ran:?}"
    );
    run(&lab, &["h1", "--", "true"]).exits(0);
    run(&lab, &["@failed", "--", "true"]).exits(64);
}

#[test]
fn no_host_is_begun_after_too_many_failed() {
    let lab = fleet(6);
    let report = json(
        &lab,
        2,
        &["all", "--batch", "1,2", "--max-fail", "0", "--", "false"],
    );
    assert_eq!(report["summary"]["failed"], 1);
    assert_eq!(report["summary"]["not_tried"], 5);
    assert!(report["stopped"].as_str().unwrap().contains("--max-fail 0"));
    let reason = report["hosts"][5]["reason"].as_str().unwrap();
    assert!(reason.contains("--max-fail 0"), "{report}");
    let args = "run all --batch 1,2 --max-fail 0 --format ndjson -- false";
    let args: Vec<&str> = args.split(' ').collect();
    let ran = program::run(lab.command(&args));
    let lines: Vec<serde_json::Value> = ran
        .exits(2)
        .out()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for line in &lines[1..] {
        let why = if line["schema"] == "clawfleet.run-summary/1" {
            "stopped"
        } else {
            "reason"
        };
        assert!(
            line[why].as_str().unwrap().contains("--max-fail 0"),
            "{line}"
        );
    }
    // Within a batch, too.
    let report = json(
        &lab,
        2,
        &["all", "--forks", "1", "--max-fail", "1", "--", "false"],
    );
    assert_eq!(report["summary"]["failed"], 2);
    // Where all were begun, nothing was stopped.
    let report = json(&lab, 2, &["h1", "--max-fail", "0", "--", "false"]);
    assert!(report.get("stopped").is_none(), "{report}");
    json(
        &lab,
        2,
        &["all", "--max-fail", "0", "--forks", "1", "--", "false"],
    );
    // What was not tried is what is left to do.
    let report = json(&lab, 0, &["@failed", "--", "true"]);
    assert_eq!(report["summary"]["hosts"], 6);
    // Batches one after the other, all of them.
    let report = json(&lab, 0, &["all", "--batch", "2", "--", "true"]);
    assert_eq!(report["summary"]["ok"], 6);
}

#[test]
fn become_is_as_the_inventory_says_or_as_is_asked_for() {
    let mut lab = Lab::new();
    // A sudo that tells what it was asked for.
    let sudo = "#!/bin/sh\nuser=none\nwhile [ $# -gt 0 ]; do case $1 in -u) user=$2; shift;; --) shift; break;; esac; shift; done\nAS=$user exec env AS=$user \"$@\"\n";
    lab.write_program("bin", "sudo", sudo);
    let server = lab.fake(Behaviour::default());
    lab.add("plain", server.port, "");
    lab.add("sudo", server.port, "become: sudo, become_user: claw");
    let who = |args: &[&str]| {
        let mut all = vec!["all"];
        all.extend(args);
        all.extend(["--", "sh", "-c", "echo as ${AS-login}"]);
        let report = json(&lab, 0, &all);
        let hosts = report["hosts"].as_array().unwrap().clone();
        let of = |at: usize| {
            let group = hosts[at]["group"].as_u64().unwrap() as usize;
            report["groups"][group]["stdout"]
                .as_str()
                .unwrap()
                .trim()
                .to_owned()
        };
        (of(0), of(1))
    };
    let pair = |a: &str, b: &str| (format!("as {a}"), format!("as {b}"));
    assert_eq!(who(&[]), pair("login", "claw"));
    assert_eq!(who(&["--become"]), pair("root", "root"));
    assert_eq!(who(&["--user", "www"]), pair("www", "www"));
    assert_eq!(who(&["--as-login"]), pair("login", "login"));
}

#[test]
fn a_login_that_runs_nothing_is_not_reached_and_says_so() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::shell("echo This account is disabled.; exit 1"));
    lab.add("h1", server.port, "");
    let report = json(&lab, 3, &["h1", "--", "true"]);
    assert_eq!(report["hosts"][0]["outcome"], "failed");
    let message = report["hosts"][0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("This account is disabled."), "{message}");
}

#[test]
fn a_program_that_leaves_something_behind_does_not_hold_us() {
    let lab = fleet(1);
    let ran = run(
        &lab,
        &["h1", "--", "sh", "-c", "echo started; sleep 25 & exit 4"],
    );
    ran.exits(2);
    assert!(ran.elapsed < Duration::from_secs(15), "{:?}", ran.elapsed);
    let out = ran.out();
    assert!(out.contains("exit 4") && out.contains("started\n"), "{out}");
    assert!(out.contains("holds its output open"), "{out}");
}
