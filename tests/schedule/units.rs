//! Timers of systemd.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::machine::Machine;
use crate::support::terminal::converse;

const SERVICE: &str = "units/clawfleet-check.service";
const TIMER: &str = "units/clawfleet-check.timer";

#[test]
fn a_timer_comes_is_shown_and_goes() {
    let machine = Machine::new();
    let nothing = machine.schedule(&["show"]);
    nothing.exits(1);
    assert!(nothing.out().starts_with("nothing is installed"));
    let checked = machine.schedule(&["install", "--check"]);
    checked.exits(4);
    assert!(checked.out().contains("clawfleet-check.timer (new)"));
    assert!(checked.out().contains("+OnCalendar=*:0/5:00"));
    assert!(machine.list("units").is_empty());
    machine.calls();

    let installed = machine.schedule(&["install", "--yes"]);
    installed.exits(0);
    assert!(
        installed
            .out()
            .ends_with("clawfleet-check is installed\nnext run: 2026-11-21 12:05:00 UTC\n"),
        "{}",
        installed.out()
    );
    assert_eq!(
        machine.list("units"),
        ["clawfleet-check.service", "clawfleet-check.timer"]
    );
    assert!(machine.path("home/state/clawfleet").is_dir());
    let calls = machine.calls().join("\n");
    let order = [
        "systemctl show --property=Version",
        "systemd-analyze --system verify 4",
        "systemctl daemon-reload",
        "systemctl enable clawfleet-check.timer",
        "systemctl restart clawfleet-check.timer",
        "systemctl show clawfleet-check.timer",
    ];
    let mut at = 0;
    for call in order {
        at += calls[at..]
            .find(call)
            .unwrap_or_else(|| panic!("no `{call}` in {calls}"));
    }

    let again = machine.schedule(&["install", "--yes"]);
    again.exits(0);
    assert!(again.out().contains("nothing to do"), "{}", again.out());
    machine.schedule(&["install", "--check"]).exits(0);
    let calls = machine.calls().join("\n");
    assert!(
        !calls.contains("restart") && !calls.contains("daemon-reload"),
        "{calls}"
    );

    let other = machine.schedule(&["install", "--every", "10m", "--check"]);
    other.exits(4);
    assert!(other.out().contains("clawfleet-check.timer (changed)"));
    assert!(
        other.out().contains("-OnCalendar=*:0/5:00"),
        "{}",
        other.out()
    );
    assert!(other.out().contains("+OnCalendar=*:0/10:00"));

    let removed = machine.schedule(&["remove", "--yes"]);
    removed.exits(0);
    assert!(machine.list("units").is_empty());
    assert!(!machine.has("clawfleet-check.timer.enabled"));
    let calls = machine.calls().join("\n");
    let order = [
        "disable --now clawfleet-check.timer",
        "stop clawfleet-check.service",
        "daemon-reload",
    ];
    let mut at = 0;
    for call in order {
        at += calls[at..]
            .find(call)
            .unwrap_or_else(|| panic!("no `{call}` in {calls}"));
    }
    let gone = machine.schedule(&["remove", "--yes"]);
    gone.exits(0);
    assert!(gone.out().contains("nothing to do"));
}

#[test]
fn what_is_shown_of_a_timer() {
    let machine = Machine::new();
    machine
        .schedule(&[
            "install",
            "--yes",
            "VM1",
            "--output",
            "prometheus=fleet.prom",
        ])
        .exits(0);
    machine.write(
        "service-state",
        "ActiveState=inactive\nResult=success\nExecMainCode=1\nExecMainStatus=3\nExecMainStartTimestamp=Sat 2026-11-21 12:00:07 UTC\n",
    );
    let shown = machine.schedule(&["show"]);
    shown.exits(0);
    insta::assert_snapshot!("a_timer_that_is_well", machine.tidy(shown.out()));
    let json = machine.schedule(&["show", "--format", "json"]);
    let json: Value = serde_json::from_str(json.exits(0).out()).unwrap();
    assert_eq!(json["schema"], "clawfleet.schedule/1");
    assert_eq!(json["well"], true);
    let one = &json["schedules"][0];
    assert_eq!(one["name"], "clawfleet-check");
    assert_eq!(
        (&one["place"], &one["fit"]),
        (&"system".into(), &"as-wanted".into())
    );
    assert_eq!(one["next_run"], "2026-11-21T12:05:00Z");
    assert_eq!(one["last_run"]["exit_code"], 3);
    assert_eq!(one["last_run"]["began_at"], "2026-11-21T12:00:07Z");

    if rustix::process::geteuid().is_root() {
        // Another user's is not judged: their home and environment are not known.
        std::os::unix::fs::chown(machine.path(TIMER), Some(65_534), None).unwrap();
        let shown = machine.schedule(&["show"]);
        shown.exits(0);
        assert!(shown.out().contains("another user's"), "{}", shown.out());
        std::os::unix::fs::chown(machine.path(TIMER), Some(0), None).unwrap();
    }
    // Somebody edits it, somebody stops it, a run fails: each is told.
    let text = machine.read(SERVICE).unwrap();
    machine.write(
        SERVICE,
        text.replace("ProtectSystem=strict", "ProtectSystem=full"),
    );
    std::fs::remove_file(machine.path("clawfleet-check.timer.active")).unwrap();
    machine.write(
        "service-state",
        "ActiveState=failed\nResult=timeout\nExecMainCode=2\nExecMainStatus=15\nExecMainStartTimestamp=Sat 2026-11-21 12:00:07 UTC\n",
    );
    let shown = machine.schedule(&["show", "-v"]);
    shown.exits(1);
    for words in [
        "NOT ACTIVE",
        "DIFFERENT",
        "-ProtectSystem=full",
        "+ProtectSystem=strict",
        "(FAILED: timeout)",
    ] {
        assert!(shown.out().contains(words), "{words}: {}", shown.out());
    }
    // The inventory went away: then the check fails, too.
    std::fs::remove_file(machine.path("home/inventory.yaml")).unwrap();
    let shown = machine.schedule(&["show"]);
    shown.exits(1);
    assert!(shown.out().contains("NOT COMPARED"), "{}", shown.out());
}

#[test]
fn what_fails_is_put_back() {
    // A step, and whether the machine can go back.
    for (fault, times, code, words) in [
        ("fail-daemon-reload", "1", 5, "told to fail: daemon-reload"),
        ("fail-enable", "1", 5, "told to fail: enable"),
        ("fail-restart", "1", 5, "told to fail: restart"),
        ("never-active", "", 5, "does not wait for its time"),
        (
            "fail-daemon-reload",
            "9",
            6,
            "COULD NOT BE MADE WHAT IT WAS",
        ),
        ("fail-verify", "", 5, "told to refuse it"),
    ] {
        let machine = Machine::new();
        machine.write(fault, times);
        let new = machine.schedule(&["install", "--yes"]);
        new.exits(code).complains(&[words]);
        assert!(
            machine.list("units").is_empty(),
            "{fault}: {:?}",
            machine.list("units")
        );
        assert!(!machine.has("clawfleet-check.timer.enabled"), "{fault}");

        // The same over one that is there.
        let machine = Machine::new();
        machine.schedule(&["install", "--yes"]).exits(0);
        let before = (machine.read(SERVICE), machine.read(TIMER));
        if fault == "never-active" {
            continue;
        }
        machine.write(fault, times);
        machine.calls();
        let other = machine.schedule(&["install", "--yes", "--every", "10m"]);
        other.exits(code).complains(&[words]);
        assert_eq!(
            (machine.read(SERVICE), machine.read(TIMER)),
            before,
            "{fault}"
        );
        if code == 5 {
            assert!(machine.has("clawfleet-check.timer.active"), "{fault}");
            assert!(machine.has("clawfleet-check.timer.enabled"), "{fault}");
        }
        assert_eq!(machine.list("units").len(), 2, "{fault}");
    }
    for fault in ["fail-disable", "fail-stop"] {
        let machine = Machine::new();
        machine.schedule(&["install", "--yes"]).exits(0);
        machine.write(fault, "1");
        let kept = machine.schedule(&["remove", "--yes"]);
        kept.exits(5).complains(&["was not removed", "is back"]);
        assert_eq!(machine.list("units").len(), 2, "{fault}");
        assert!(machine.has("clawfleet-check.timer.active"), "{fault}");
    }
    // What is wrong with other units of the machine is not ours.
    let machine = Machine::new();
    machine.write("fail-others", "");
    machine.schedule(&["install", "--yes"]).exits(0);
    assert!(
        machine
            .list("home")
            .iter()
            .all(|name| !name.contains("units"))
    );
}

#[test]
fn units_of_somebody_else_are_left_alone() {
    let machine = Machine::new();
    machine.write(SERVICE, "[Service]\nExecStart=/usr/local/bin/mine\n");
    for args in [["install", "--yes"], ["remove", "--yes"]] {
        let refused = machine.schedule(&args);
        refused
            .exits(64)
            .complains(&["was not written by", "--name"]);
    }
    assert_eq!(machine.list("units"), ["clawfleet-check.service"]);
    std::fs::remove_file(machine.path(SERVICE)).unwrap();
    std::os::unix::fs::symlink("/dev/null", machine.path(TIMER)).unwrap();
    machine
        .schedule(&["install", "--yes"])
        .exits(64)
        .complains(&["masked"]);
    // One of another name stands beside it.
    machine
        .schedule(&["install", "--yes", "--name", "blue"])
        .exits(0);
    assert!(machine.has("units/clawfleet-check-blue.timer"));
    let shown = machine.schedule(&["show"]);
    assert!(
        shown
            .out()
            .contains("clawfleet-check-blue (the system's timer)")
    );
    machine
        .schedule(&["remove", "--yes", "--name", "blue"])
        .exits(0);
    assert_eq!(machine.list("units"), ["clawfleet-check.timer"]);
}

#[test]
fn a_user_has_timers_of_their_own() {
    let machine = Machine::new();
    machine.write("linger", "no\n");
    let installed = machine.schedule(&["install", "--user", "--yes"]);
    installed
        .exits(0)
        .complains(&["lingering is off", "loginctl enable-linger"]);
    assert!(machine.has("home/config/systemd/user/clawfleet-check.timer"));
    let service = machine
        .read("home/config/systemd/user/clawfleet-check.service")
        .unwrap();
    for no in [
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "network-online",
        "User=",
    ] {
        assert!(!service.contains(no), "{service}");
    }
    assert!(machine.list("units").is_empty());
    let calls = machine.calls();
    assert!(calls.contains(&"systemctl --user enable clawfleet-check.timer".to_owned()));
    let shown = machine.schedule(&["show"]);
    shown.exits(0);
    assert!(shown.out().contains("this user's timer"), "{}", shown.out());
    assert!(shown.out().contains("lingering is off"), "{}", shown.out());
    // The two are told apart.
    let other = machine.schedule(&["remove", "--yes"]);
    other.exits(0).complains(&["schedule remove --user"]);
    let both = machine.schedule(&["install", "--check"]);
    both.exits(4).complains(&["both would run"]);
    machine.schedule(&["remove", "--user", "--yes"]).exits(0);
    assert!(machine.list("home/config/systemd/user").is_empty());
}

#[test]
fn somebody_is_asked() {
    let machine = Machine::new();
    let refused = machine.schedule(&["install"]);
    refused.exits(64).complains(&["no terminal", "--yes"]);
    assert!(refused.out().contains("+OnCalendar"));
    let limit = Duration::from_secs(30);
    // The terminal has a directory of its own.
    let inventory = machine.path("home/inventory.yaml");
    let install = machine.scheduling(&["install", "-i", inventory.to_str().unwrap()]);
    let (code, screen) = converse(&install, &[("Install clawfleet-check? [y/N]", "n")], limit);
    assert_eq!(code, Some(4), "{screen}");
    assert!(machine.list("units").is_empty());
    let (code, screen) = converse(&install, &[("Install clawfleet-check? [y/N]", "y")], limit);
    assert_eq!(code, Some(0), "{screen}");
    let remove = machine.scheduling(&["remove"]);
    let (code, screen) = converse(&remove, &[("Remove clawfleet-check? [y/N]", "y")], limit);
    assert_eq!(code, Some(0), "{screen}");
    assert!(machine.list("units").is_empty());
}

#[test]
fn what_cannot_be_scheduled_is_told() {
    let machine = Machine::new();
    let bad: &[(&[&str], &[&str])] = &[
        (&["--every", "30s"], &["from 1m to 1d"]),
        (&["--every", "2d"], &["from 1m to 1d"]),
        (
            &["--deadline", "5m"],
            &["find the lock held", "shorter --deadline"],
        ),
        (&["--jitter", "5m"], &["--jitter 5m is as long as"]),
        (&["VM9"], &["VM9"]),
        (&["--name", "a/b"], &["letters, digits"]),
        (
            &["--output", "prometheus=/nonexistent/x.prom"],
            &["no directory /nonexistent"],
        ),
        (
            &["--", "--no-such"],
            &["the check would not begin", "--no-such"],
        ),
        (&["--", "--ask-pass"], &["nobody is there"]),
        (
            &["--", "--format", "csv"],
            &["the check would not begin", "--format csv"],
        ),
        (&["--", "--output", "junit=x.xml"], &["a path is absolute"]),
        (&["--cron", "--user"], &["cannot be used with"]),
        (
            &["--heartbeat", "beat.example/x"],
            &["does not begin with https://"],
        ),
        (&["--environment-file", "none"], &["no such file"]),
    ];
    for (args, words) in bad {
        let args: Vec<&str> = ["install", "--yes"].iter().chain(*args).copied().collect();
        machine.schedule(&args).exits(64).complains(words);
    }
    machine.write("home/inventory.yaml", "hosts: [");
    machine.schedule(&["install", "--yes"]).exits(78);
    std::fs::remove_file(machine.path("home/inventory.yaml")).unwrap();
    machine.schedule(&["install", "--yes"]).exits(78);
    assert!(machine.list("units").is_empty());

    let machine = Machine::new();
    machine.write("fail-show", "99");
    machine
        .schedule(&["install", "--yes"])
        .exits(64)
        .complains(&["systemd cannot be asked", "--cron"]);
    machine
        .schedule(&["install", "--yes", "--user"])
        .exits(64)
        .complains(&["this user's systemd"]);
    let machine = Machine::new();
    machine.write(
        "bin/systemctl",
        "#!/bin/sh\necho \"Running in chroot, ignoring command.\" >&2\n",
    );
    let refused = machine.schedule(&["install", "--yes"]);
    refused.exits(64).complains(&["not at work", "--cron"]);
    machine.without("systemctl");
    machine
        .schedule(&["install", "--yes"])
        .exits(64)
        .complains(&["no program systemctl", "--cron"]);
    let refused = machine.schedule(&["install", "--yes", "--format", "json"]);
    refused.exits(64).complains(&["for people only"]);
}

#[test]
fn who_is_not_root_is_told_at_once() {
    let machine = Machine::new();
    // Somebody else can come to the program and its inventory.
    let own = machine.path("clawfleet");
    std::fs::copy(env!("CARGO_BIN_EXE_clawfleet"), &own).unwrap();
    for dir in ["", "home", "bin"] {
        machine.mode(dir, 0o755);
    }
    let mut command = std::process::Command::new(own);
    command
        .env_clear()
        .env("HOME", machine.path("home"))
        .env("PATH", machine.path("bin"))
        .current_dir(machine.path("home"))
        .args(["schedule", "install", "--yes"]);
    if rustix::process::geteuid().is_root() {
        command.uid(65_534);
    }
    let refused = crate::support::program::run(command);
    refused
        .exits(64)
        .complains(&["root's to change", "--user", "--cron"]);
    assert!(machine.calls().is_empty());
}

#[test]
fn secrets_are_in_no_unit() {
    let machine = Machine::new();
    let secret = "0b9e4e4a-1ff9-4b2d-8c6b-5e7d0f6c2a11";
    let url = format!("https://hc.example/{secret}");
    for args in [
        vec!["install", "--yes", "--heartbeat", &url],
        vec!["install", "--yes", "--", "--heartbeat", &url],
    ] {
        let refused = machine.schedule(&args);
        refused
            .exits(64)
            .complains(&["is not written there", "file:/PATH"]);
        assert!(!refused.stderr.contains(secret) && !refused.out().contains(secret));
    }
    let odd = machine.schedule(&[
        "install",
        "--yes",
        "--heartbeat",
        &url.replace("https://", ""),
    ]);
    assert!(!odd.stderr.contains(secret), "{}", odd.stderr);
    // The inventory takes some from the environment: which ones is said.
    machine.write(
        "home/inventory.yaml",
        "hosts: {VM1: {address: 127.0.0.1, service: {token: {env: GATEWAY_TOKEN}}}}\nheartbeat: {env: BEAT}\n",
    );
    let noted = machine.schedule(&["install", "--yes"]);
    noted
        .exits(0)
        .complains(&["(BEAT, GATEWAY_TOKEN)", "--environment-file"]);
    machine.write("home/env", format!("# ours\nBEAT={url}\n"));
    let with = ["install", "--yes", "--environment-file", "env"];
    for mode in [0o644, 0o604, 0o620] {
        machine.mode("home/env", mode);
        machine
            .schedule(&with)
            .exits(64)
            .complains(&["others can read it", "chmod 600"]);
    }
    machine.mode("home/env", 0o600);
    let noted = machine.schedule(&with);
    noted.exits(0).complains(&["does not set GATEWAY_TOKEN"]);
    let service = machine.read(SERVICE).unwrap();
    let line = format!("EnvironmentFile={}\n", machine.path("home/env").display());
    assert!(
        service.contains(&line) && !service.contains(secret),
        "{service}"
    );
    machine.schedule(&["show"]).exits(0);
}

/// What is written is what systemd itself takes, where it is there.
#[test]
fn systemd_takes_what_is_written() {
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        return;
    }
    let machine = Machine::new();
    machine.write(
        "home/a b%c$d.yaml",
        "hosts: {VM1: {address: 127.0.0.1}, VM2: {transport: local}}\n",
    );
    let odd = machine.path("home/a b%c$d.yaml");
    let odd = odd.to_str().unwrap();
    let cases: [&[&str]; 5] = [
        &[],
        &["--every", "7m", "--jitter", "0s"],
        &["--every", "1d", "--confirm", "1", "--remind", "never"],
        &[
            "VM1",
            "-i",
            odd,
            "--heartbeat",
            "command:pass show \"beat\" 100%",
        ],
        &["--every", "90s", "--name", "x", "-i", odd],
    ];
    for args in cases {
        let args: Vec<&str> = ["install", "--yes"].iter().chain(args).copied().collect();
        machine.schedule(&args).exits(0);
        machine.schedule(&["show"]).exits(0);
        let mut verify = std::process::Command::new("/usr/bin/systemd-analyze");
        verify.arg("verify");
        for name in machine.list("units") {
            verify.arg(machine.path("units").join(name));
        }
        let output = verify.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let ours: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("clawfleet-check"))
            .collect();
        assert!(ours.is_empty(), "{args:?}: {ours:?}");
    }
}
