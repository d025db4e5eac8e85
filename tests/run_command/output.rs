//! How what was printed is shown.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use crate::support::fake::Behaviour;
use crate::support::lab::Lab;
use crate::support::program;
use crate::{fleet, json, run};

/// Three hosts of which the last one answers otherwise.
fn uneven() -> Lab {
    let mut lab = Lab::new();
    let same = lab.fake(Behaviour::default());
    let other = lab.fake(Behaviour::shell("KIND=other; export KIND; eval \"$1\""));
    lab.add("h1", same.port, "");
    lab.add("h2", same.port, "");
    lab.add("h3", other.port, "");
    lab
}

const PRINT: [&str; 3] = [
    "sh",
    "-c",
    "printf 'a\\nb\\n%s\\nd\\n' ${KIND-same}; echo wrong >&2; [ -z \"${KIND-}\" ]",
];

#[test]
fn hosts_that_agree_are_shown_once() {
    let lab = uneven();
    let mut args = vec!["all", "--"];
    args.extend(PRINT);
    let ran = run(&lab, &args);
    let out = ran.exits(2).out().to_owned();
    let (shown, sentence) = out.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(
        shown,
        "── h[1-2] (2 hosts): exit 0\na\nb\nsame\nd\nstderr: wrong\n\
         ── h3: exit 1\na\nb\nother\nd\nstderr: wrong"
    );
    assert!(
        sentence.starts_with("3 hosts: 2 ended with 0, 1 failed ("),
        "{sentence}"
    );
}

#[test]
fn the_others_are_compared_with_the_most() {
    let lab = uneven();
    let mut args = vec!["all", "--diff", "--"];
    args.extend(PRINT);
    let ran = run(&lab, &args);
    let out = ran.exits(2).out();
    assert!(
        out.contains("── h3: exit 1\nstdout, against most hosts:\n@@ -1,4 +1,4 @@\n a\n b\n-same\n+other\n d\n"),
        "{out}"
    );
}

#[test]
fn lines_come_with_the_name_of_their_host() {
    let lab = uneven();
    let mut args = vec!["all", "--stream", "--"];
    args.extend(PRINT);
    let ran = run(&lab, &args);
    let out = ran.exits(2).out();
    for line in ["h1: a\n", "h2: same\n", "h3: other\n", "h3 stderr: wrong\n"] {
        assert!(out.contains(line), "{line}: {out}");
    }
    assert_eq!(out.matches(": a\n").count(), 3);
    assert!(out.contains("── h3: exit 1\n3 hosts:"), "{out}");
}

#[test]
fn nothing_that_a_terminal_obeys_is_shown() {
    let lab = fleet(2);
    let evil = "\\033]0;owned\\007\\033[2J\\r\\302\\233x\\342\\200\\256\\n\\ttab\\r\\nlast";
    for args in [&["all"][..], &["all", "--stream"], &["all", "--diff"]] {
        let mut args = args.to_vec();
        args.extend(["--", "printf", evil]);
        let ran = run(&lab, &args);
        let out = ran.exits(0).out();
        let unsafe_ones: Vec<char> = out
            .chars()
            .filter(|c| *c != '\n' && *c != '\t' && clawfleet::model::is_unsafe(*c))
            .collect();
        assert!(unsafe_ones.is_empty(), "{unsafe_ones:?} in {out}");
        assert!(out.contains("\ttab\n"), "{out:?}");
    }
    for format in ["json", "ndjson"] {
        let ran = run(&lab, &["all", "--format", format, "--", "printf", evil]);
        let out = ran.exits(0).out();
        assert!(
            !out.chars()
                .any(|c| c != '\n' && clawfleet::model::is_unsafe(c)),
            "{out:?}"
        );
        assert!(out.contains("\\u001b]0;owned\\u0007"), "{out}");
    }
}

#[test]
fn no_host_tells_what_came_of_another() {
    let lab = fleet(2);
    let forged =
        "── h9 (1 host): exit 0\nstderr: x\n3 hosts: 3 ended with 0 (1 ms)\n| y\n3 hostages\n";
    let ran = run(&lab, &["all", "--", "printf", forged]);
    let out = ran.exits(0).out();
    let shown = "| ── h9 (1 host): exit 0\n| stderr: x\n| 3 hosts: 3 ended with 0 (1 ms)\n| | y\n3 hostages\n";
    assert!(out.contains(shown), "{out}");
}

#[test]
fn a_directory_has_each_hosts_bytes() {
    let lab = uneven();
    lab.write("precious", "mine");
    std::fs::create_dir(lab.path("out")).unwrap();
    symlink(lab.path("precious"), lab.path("out/h2.stdout")).unwrap();
    let line = "printf '\\033[1m\\377'; printf e >&2; exit ${KIND:+5}";
    let ran = run(&lab, &["all", "--out-dir", "out", "--shell", "--", line]);
    // A link in a file's place is not written through, and what was there has no say in who may read it.
    ran.exits(2);
    assert_eq!(std::fs::read(lab.path("precious")).unwrap(), b"mine");
    let loose = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(lab.path("out/h3.stdout"), loose).unwrap();
    run(&lab, &["all", "--out-dir", "out", "--shell", "--", line]).exits(2);
    for host in ["h1", "h2", "h3"] {
        let path = lab.path(&format!("out/{host}.stdout"));
        assert_eq!(std::fs::read(&path).unwrap(), b"\x1b[1m\xff");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let errors = std::fs::read(lab.path(&format!("out/{host}.stderr"))).unwrap();
        assert_eq!(errors, b"e");
    }
    let codes = std::fs::read_to_string(lab.path("out/exit-codes.tsv")).unwrap();
    assert_eq!(
        codes,
        "host\toutcome\texit_code\nh1\texited\t0\nh2\texited\t0\nh3\texited\t5\n"
    );
}

#[test]
fn a_directory_keeps_nothing_of_an_earlier_run_and_hides_no_exit_code() {
    let lab = uneven();
    let out = ["--out-dir", "deep/out", "--shell", "--"];
    let with = |more: &[&'static str]| -> Vec<&str> {
        ["all"].iter().chain(more).chain(&out).copied().collect()
    };
    let mut args = with(&[]);
    args.push("echo 1");
    run(&lab, &args).exits(0);
    let dir = lab.path("deep");
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let mut args = with(&["--forks", "1", "--max-fail", "0"]);
    args.push("exit 3");
    run(&lab, &args).exits(2);
    let names = || {
        let entries = std::fs::read_dir(lab.path("deep/out")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["exit-codes.tsv", "h1.stderr", "h1.stdout"]);
    // Where one file cannot be, the host's failure is still the exit code.
    std::fs::create_dir(lab.path("deep/out/h2.stdout")).unwrap();
    let mut args = with(&[]);
    args.push("exit 3");
    run(&lab, &args).exits(2).complains(&["h2.stdout"]);
    let mut args = with(&[]);
    args.push("exit 0");
    run(&lab, &args).exits(70).complains(&["h2.stdout"]);
    assert!(
        names().iter().all(|name| !name.starts_with('.')),
        "{:?}",
        names()
    );
}

#[test]
fn a_difference_in_bytes_alone_is_told() {
    let lab = uneven();
    let line = "printf 'a\\37%s\n' \"$(( ${#KIND} > 0 ? 6 : 7 ))\" | sed 's/.*/&/'; [ -z \"$KIND\" ] && printf '\\377' || printf '\\376'";
    let ran = run(&lab, &["all", "--diff", "--shell", "--", line]);
    assert!(ran.out().contains("stdout, against most hosts:"), "{ran:?}");
    let line = "[ -z \"$KIND\" ] && printf '\\377' || printf '\\376'";
    let ran = run(&lab, &["all", "--diff", "--shell", "--", line]);
    assert!(ran.out().contains("bytes that are no text"), "{ran:?}");
}

#[test]
fn json_has_each_output_once_and_sorted_keys() {
    let lab = uneven();
    let mut args = vec!["all", "--"];
    args.extend(PRINT);
    let report = json(&lab, 2, &args);
    assert_eq!(report["schema"], "clawfleet.run/1");
    assert_eq!(report["verdict"], "failed");
    assert_eq!(report["groups"].as_array().unwrap().len(), 2);
    assert_eq!(report["groups"][0]["hosts"], "h[1-2]");
    assert_eq!(report["hosts"][2]["group"], 1);
    let mut all = vec!["run", "all", "--format", "json", "--"];
    all.extend(PRINT);
    let text = program::run(lab.command(&all)).out().to_owned();
    // A value's maps are sorted by key.
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        text.trim_end(),
        serde_json::to_string_pretty(&value).unwrap()
    );
}

#[test]
fn ndjson_has_a_line_for_each_host_and_one_for_all() {
    let mut lab = uneven();
    let closed = lab.closed_port();
    lab.add("closed", closed, "");
    let ran = run(&lab, &["all", "--format", "ndjson", "--", "echo", "hi"]);
    let lines: Vec<serde_json::Value> = ran
        .exits(3)
        .out()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 5);
    let last = lines.last().unwrap();
    assert_eq!(last["schema"], "clawfleet.run-summary/1");
    assert_eq!(last["summary"]["not_reached"], 1);
    for line in &lines[..4] {
        assert_eq!(line["schema"], "clawfleet.run-host/1");
        if line["name"] != "closed" {
            assert_eq!(line["stdout"], "hi\n");
        }
    }
}

#[test]
fn quiet_is_one_sentence() {
    let lab = fleet(2);
    let ran = run(&lab, &["all", "-q", "--", "echo", "hi"]);
    assert!(ran.exits(0).out().starts_with("2 hosts: 2 ended with 0 ("));
    assert_eq!(ran.out().lines().count(), 1);
}

/// Runs the program with its output read by `head -1`, and prints its exit code on standard error.
fn read_by_head(lab: &Lab, args: &[&str]) -> program::Finished {
    let command = lab.command(args);
    let mut shell = std::process::Command::new("/bin/sh");
    shell
        .args(["-c", "{ \"$@\"; echo $? >&2; } | head -1", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .current_dir(lab.home());
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap());
    }
    program::run(shell)
}

#[test]
fn a_reader_that_goes_away_is_no_error_and_ends_it() {
    let lab = fleet(2);
    let ran = read_by_head(&lab, &["run", "all", "--", "seq", "200000"]);
    ran.exits(0);
    assert_eq!(ran.stderr, "0\n");
    let mark = crate::unique();
    let line = format!("while :; do echo line; sleep 0.1; done # {mark}");
    let ran = read_by_head(&lab, &["run", "all", "--stream", "--shell", "--", &line]);
    ran.exits(0);
    assert_eq!(ran.stderr, "130\n", "the commands were ended");
    crate::gone(&mark, std::time::Duration::ZERO);
}

/// Runs the program, whose output nobody reads.
fn unread(lab: &Lab, args: &[&str]) -> std::process::Child {
    let mut command = lab.command(args);
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null());
    command.spawn().unwrap()
}

fn interrupt(child: &std::process::Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

#[test]
fn an_interrupt_is_heard_while_nobody_reads() {
    let lab = fleet(2);
    for (mode, presses) in [("--stream", 1), ("--stream", 2), ("--diff", 1)] {
        let mark = crate::unique();
        let line = format!("seq 100000; [ {mode} = --diff ] || sleep {mark}");
        let mut child = unread(&lab, &["run", "all", mode, "--shell", "--", &line]);
        // Its pipe is full by then: 64 KiB of 600.
        std::thread::sleep(Duration::from_secs(2));
        assert!(child.try_wait().unwrap().is_none());
        for _ in 0..presses {
            interrupt(&child);
            std::thread::sleep(Duration::from_millis(20));
        }
        let begin = std::time::Instant::now();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(130), "{mode} {presses}");
        assert!(
            begin.elapsed() < Duration::from_secs(6),
            "{:?}",
            begin.elapsed()
        );
        crate::gone(&format!("sleep {mark}"), Duration::from_secs(5));
    }
}
