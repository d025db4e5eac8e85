//! Checks from cron: what is told when, what is remembered, who waits for whom. The program, its
//! hosts and its database are real.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod alerts;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::fake::Behaviour;
use support::lab::{Lab, Server};
use support::program;

/// A host that is up, and one that is up only where it is said so.
struct Fleet {
    lab: Lab,
    gone: u16,
    up: Server,
}

impl Fleet {
    fn new() -> Self {
        let mut lab = Lab::new();
        let gone = lab.closed_port();
        let up = lab.fake(Behaviour::default());
        lab.add_healthy(&["good"]);
        lab.add("bad", gone, "");
        Self { lab, gone, up }
    }

    fn command(&self, bad_is_up: bool, args: &[&str]) -> Command {
        let command = self.lab.command(args);
        if bad_is_up {
            let path = self.lab.path("inventory.yaml");
            let text = std::fs::read_to_string(&path).unwrap();
            let (gone, up) = (self.gone.to_string(), self.up.port.to_string());
            self.lab.write("inventory.yaml", text.replace(&gone, &up));
        }
        command
    }

    fn run(&self, bad_is_up: bool, args: &[&str]) -> program::Finished {
        program::run(self.command(bad_is_up, args))
    }

    fn database(&self) -> PathBuf {
        self.lab.home().join("state/clawfleet/history.db")
    }
}

const WATCH: [&str; 3] = ["check", "all", "--on-change"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    WATCH.iter().chain(more).copied().collect()
}

#[test]
fn it_is_silent_until_something_changes() {
    let fleet = Fleet::new();
    let first = fleet.run(false, &WATCH);
    first.exits(3);
    let text = first.out();
    assert!(
        text.starts_with("1 new\nThe fleet: UNKNOWN: 1 of 2 hosts NOT OBSERVED"),
        "{text}"
    );
    assert!(text.contains("\nNEW  not-observed  bad  "), "{text}");
    assert!(text.contains("seen for the first time"), "{text}");
    assert_eq!(first.stderr, "");
    for _ in 0..2 {
        let again = fleet.run(false, &WATCH);
        again.exits(3).prints_nothing();
        assert_eq!(again.stderr, "");
    }
    // A run by hand tells all, says since when, and changes nothing of what was told.
    let by_hand = fleet.run(false, &["check"]);
    by_hand.exits(3);
    assert!(by_hand.out().contains("not-observed"));
    assert!(by_hand.out().contains(", since "), "{}", by_hand.out());
    let by_hand = fleet.run(true, &["check"]);
    by_hand.exits(0);
    fleet.run(false, &["check", "bad"]).exits(3);
    // Now it is over, once.
    let over = fleet.run(true, &WATCH);
    over.exits(0);
    assert!(over.out().starts_with("1 recovered\n"), "{}", over.out());
    assert!(over.out().contains("\nOVER  not-observed  bad  "));
    fleet.run(true, &WATCH).exits(0).prints_nothing();
}

#[test]
fn it_is_told_when_it_is_confirmed_and_as_json() {
    let fleet = Fleet::new();
    let args = with(&["--confirm", "2", "--format", "json"]);
    fleet.run(false, &args).exits(3).prints_nothing();
    // A host that is not asked for says nothing of the others.
    fleet
        .run(false, &["check", "good", "--on-change", "--confirm", "2"])
        .exits(0)
        .prints_nothing();
    let told = fleet.run(false, &args);
    told.exits(3);
    let json: Value = serde_json::from_str(told.out()).unwrap();
    assert_eq!(json["schema"], "clawfleet.changes/1");
    assert_eq!(json["summary"]["not_observed"], 1);
    let [change] = json["changes"].as_array().unwrap().as_slice() else {
        panic!("{json}");
    };
    assert_eq!(
        (&change["kind"], &change["host"]),
        (&"new".into(), &"bad".into())
    );
    assert_eq!(change["class"], "not-observed");
    assert!(change["since"].as_str().unwrap() < json["started_at"].as_str().unwrap());
    fleet.run(true, &args).exits(0).prints_nothing();
    let over = fleet.run(true, &args);
    let json: Value = serde_json::from_str(over.exits(0).out()).unwrap();
    assert_eq!(json["changes"][0]["kind"], "recovered");
    assert!(json["changes"][0]["until"].as_str() < json["started_at"].as_str());
    let refused = fleet.run(true, &with(&["--format", "csv"]));
    refused
        .exits(64)
        .complains(&["`check --on-change` has table, json"]);
    fleet.run(true, &["check", "--confirm", "2"]).exits(64);
}

#[test]
fn findings_have_a_since_in_the_json() {
    let fleet = Fleet::new();
    let since = |run: &program::Finished| {
        let json: Value = serde_json::from_str(run.out()).unwrap();
        let bad = &json["hosts"][1];
        let since = bad["findings"][0]["since"].as_str().unwrap().to_owned();
        (since, json["started_at"].as_str().unwrap().to_owned())
    };
    let args = ["check", "--format", "json"];
    let (first, began) = since(&fleet.run(false, &args));
    assert_eq!(first, began);
    let (again, later) = since(&fleet.run(false, &args));
    // It is kept to the millisecond.
    let ms = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    assert_eq!(ms(&again), ms(&first));
    assert!(again < later);
    let lines = fleet.run(false, &["check", "--format", "ndjson"]);
    assert!(
        lines.out().contains(&format!("\"since\":\"{again}\"")),
        "{}",
        lines.out()
    );
}

/// A host that takes the connection and says nothing.
fn silent(lab: &mut Lab) -> Server {
    let server = lab.raw(|stream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    });
    lab.add("silent", server.port, "");
    server
}

#[test]
fn one_runs_at_a_time_and_a_run_by_hand_is_not_held_up() {
    let mut lab = Lab::new();
    lab.add_healthy(&["good"]);
    let server = silent(&mut lab);
    let first = program::start(lab.command(&with(&["--deadline", "5s"])));
    server.wait_accepted(1);
    let begin = Instant::now();
    let second = program::run(lab.command(&WATCH));
    second
        .exits(75)
        .complains(&["a check of ", "(process ", "--wait"]);
    assert!(begin.elapsed() < Duration::from_secs(3));
    program::run(lab.command(&["check", "good"])).exits(0);
    // Who waits comes after it, and has nothing new to tell.
    let third = program::run(lab.command(&with(&["--wait", "30s", "--deadline", "4s"])));
    third.exits(3).prints_nothing();
    let first = first.finish();
    first.exits(3);
    assert!(first.out().starts_with("1 new\n"), "{}", first.out());
}

#[test]
fn a_deadline_bounds_the_run_and_tells_what_there_is() {
    let mut lab = Lab::new();
    lab.add_healthy(&["good"]);
    silent(&mut lab);
    let begin = Instant::now();
    let run = program::run(lab.command(&["check", "--deadline", "1500ms", "--format", "json"]));
    assert!(begin.elapsed() < Duration::from_secs(6));
    run.exits(3);
    let json: Value = serde_json::from_str(run.out()).unwrap();
    assert_eq!(json["interrupted"], false);
    assert_eq!(json["hosts"][0]["outcome"], "observed");
    let silent = &json["hosts"][1];
    assert_eq!(silent["outcome"], "timed-out");
    assert_eq!(silent["error"]["stage"], "deadline");
    assert!(
        silent["error"]["message"]
            .as_str()
            .unwrap()
            .contains("1.5 s")
    );
}

#[test]
fn a_history_that_cannot_be_had_stops_no_check() {
    let fleet = Fleet::new();
    fleet.run(false, &WATCH).exits(3);
    let whole = std::fs::read(fleet.database()).unwrap();
    let later = |version: u8| {
        let mut bytes = whole.clone();
        // `user_version` in the header.
        bytes[63] = version;
        bytes
    };
    let cases: [(&str, Vec<u8>, &str); 3] = [
        (
            "damaged",
            b"this is no database, whatever its name says".repeat(99),
            "it is damaged",
        ),
        (
            "cut off",
            whole[..whole.len() / 3].to_vec(),
            "it is damaged",
        ),
        ("newer", later(77), "a later clawfleet (version 77"),
    ];
    for (name, bytes, why) in cases {
        std::fs::write(fleet.database(), &bytes).unwrap();
        let by_hand = fleet.run(false, &["check"]);
        by_hand.exits(3);
        assert!(by_hand.out().contains("not-observed"), "{name}");
        assert!(by_hand.stderr.contains(why), "{name}: {}", by_hand.stderr);
        // Nobody knows what was told, so all of it is.
        let watched = fleet.run(false, &WATCH);
        watched.exits(3);
        assert!(
            watched.out().starts_with("UNKNOWN: "),
            "{name}: {}",
            watched.out()
        );
        assert!(watched.stderr.contains("all of it is told"), "{name}");
        assert_eq!(std::fs::read(fleet.database()).unwrap(), bytes, "{name}");
    }
    std::fs::remove_file(fleet.database()).unwrap();
    std::fs::create_dir(fleet.database()).unwrap();
    fleet.run(true, &["check"]).exits(0);
    std::fs::remove_dir(fleet.database()).unwrap();
    let anew = fleet.run(false, &WATCH);
    assert!(anew.exits(3).out().starts_with("1 new\n"));
}

/// Killed at any instant, a run leaves a history that the next one goes on with.
#[test]
fn a_killed_run_loses_itself_at_most() {
    let fleet = Fleet::new();
    fleet.run(false, &WATCH).exits(3);
    for round in 0..8 {
        let mut child = fleet
            .command(false, &WATCH)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(30 + round * 25));
        child.kill().unwrap();
        child.wait().unwrap();
        let next = fleet.run(false, &WATCH);
        next.exits(3).prints_nothing();
        assert_eq!(next.stderr, "");
    }
}

#[test]
fn the_history_is_tidied() {
    let fleet = Fleet::new();
    let none = fleet.run(true, &["history", "prune"]);
    none.exits(70).complains(&["there is no history yet"]);
    for _ in 0..3 {
        fleet.run(true, &["check"]).exits(0);
    }
    let pruned = fleet.run(
        true,
        &["history", "prune", "--keep", "0s", "--format", "json"],
    );
    let json: Value = serde_json::from_str(pruned.exits(0).out()).unwrap();
    assert_eq!(
        (&json["schema"], &json["runs"]),
        (&"clawfleet.pruned/1".into(), &2.into())
    );
    let told = fleet.run(true, &["history", "prune", "--max-size", "1MB"]);
    assert!(
        told.exits(0).out().starts_with("removed 0 runs"),
        "{}",
        told.out()
    );
    fleet
        .run(true, &["history", "prune", "--max-size", "5"])
        .exits(64);
    fleet.run(true, &["history"]).exits(0);
    fleet.run(true, &["history", "--rollouts"]).exits(0);
}

#[test]
fn a_silence_hides_what_it_names_until_it_is_over() {
    let fleet = Fleet::new();
    let silence = |args: &[&str]| {
        let all: Vec<&str> = ["silence"].iter().chain(args).copied().collect();
        fleet.run(false, &all)
    };
    let nothing = silence(&["bad", "--for", "2h", "--why", "moved"]);
    nothing
        .exits(64)
        .complains(&["nothing was found on these hosts", "--class"]);
    fleet.run(false, &["check"]).exits(3);
    let made = silence(&["bad", "--for", "2h", "--why", "it is \u{1b}[2Jmoved"]);
    let text = made.exits(0).out();
    assert!(
        text.starts_with("silence 1: not-observed on bad, until 2"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'));
    fleet.run(false, &WATCH).exits(3).prints_nothing();
    let by_hand = fleet.run(false, &["check"]);
    assert!(
        by_hand
            .out()
            .contains("\nsilence 1: not-observed on bad, until 2"),
        "{by_hand:?}"
    );
    let csv = fleet.run(false, &["check", "--format", "csv"]);
    csv.complains(&["note: silence 1: not-observed on bad"]);
    assert!(!csv.out().contains("silence 1"));
    // It is about one host only.
    let other = fleet.run(false, &["check", "good"]);
    assert!(
        !other.out().contains("silence 1") && other.stderr.is_empty(),
        "{other:?}"
    );
    assert_eq!(silence(&["--list"]).exits(0).out(), text);
    silence(&["--end", "1"]).exits(0);
    silence(&["--end", "1"])
        .exits(64)
        .complains(&["there is no silence 1"]);
    assert_eq!(silence(&["--list"]).exits(0).out(), "nothing is silenced\n");
    assert!(
        fleet
            .run(false, &WATCH)
            .exits(3)
            .out()
            .starts_with("1 new\n")
    );
    // Another class is told as ever.
    let other = silence(&[
        "all",
        "--class",
        "gateway-down,disk-low",
        "--for",
        "1d",
        "--why",
        "x",
    ]);
    other.exits(0);
    assert!(
        fleet
            .run(true, &WATCH)
            .exits(0)
            .out()
            .starts_with("1 recovered\n")
    );
    assert!(
        fleet
            .run(false, &WATCH)
            .exits(3)
            .out()
            .starts_with("1 new\n")
    );
    for wrong in [
        &["bad"] as &[&str],
        &["bad", "--for", "2h"],
        &["bad", "--for", "soon", "--why", "x"],
        &["bad", "--class", "no-such", "--for", "2h", "--why", "x"],
        &["--list", "bad"],
        &[],
    ] {
        silence(wrong).exits(64);
    }
}
