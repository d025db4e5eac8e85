//! Where a check's report goes: lines while it runs, files at its end, a plugin's exit code. The
//! program and its hosts are real processes and connections.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::fake::Behaviour;
use support::lab::{Lab, Server};
use support::program;
use tokio::io::AsyncReadExt as _;

/// A server that takes connections and says nothing.
fn silent(lab: &Lab) -> Server {
    lab.raw(|mut stream| async move {
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    })
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn names(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .filter_map(|line| line["host"]["name"].as_str())
        .collect()
}

const ALL: [&str; 9] = [
    "table",
    "json",
    "ndjson",
    "csv",
    "markdown",
    "junit",
    "prometheus",
    "nagios",
    "html",
];

/// Each format on stdout, and all of them at once to files, are the same.
#[test]
fn every_format_goes_to_stdout_and_to_files() {
    let mut lab = Lab::new();
    let closed = lab.closed_port();
    lab.add_healthy(&["good"]);
    lab.add("gone", closed, "");
    lab.write("keep.csv", "old");
    support::lab::set_mode(&lab.path("keep.csv"), 0o640);
    let mut args = vec!["check".to_owned(), "all".to_owned()];
    for format in ALL {
        args.push(format!("--output={format}=out.{format}"));
    }
    args.push("--output=csv=keep.csv".into());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let run = program::run(lab.command(&args));
    run.exits(3);
    assert!(run.out().starts_with("UNKNOWN: 1 of 2 hosts NOT OBSERVED"));
    let mode = |name: &str| lab.path(name).metadata().unwrap().permissions().mode() & 0o777;
    let read = |name: &str| std::fs::read_to_string(lab.path(name)).unwrap();
    for format in ALL {
        let file = format!("out.{format}");
        assert_eq!(mode(&file), 0o644, "{format}");
        assert!(read(&file).contains("gone"), "{format}");
        let printed = program::run(lab.command(&["--format", format, "check", "all"]));
        printed.exits(3);
        // They begin alike; what follows has times in it.
        let begin = |text: &str| text.chars().take(12).collect::<String>();
        assert_eq!(begin(printed.out()), begin(&read(&file)), "{format}");
    }
    assert_eq!(mode("keep.csv"), 0o640);
    assert_eq!(read("keep.csv"), read("out.csv"));
    let left: Vec<_> = std::fs::read_dir(lab.home())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".new"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

/// A line is there as soon as its host is done, not when the slowest is.
#[test]
fn lines_come_while_other_hosts_are_still_asked() {
    let mut lab = Lab::new();
    let silent = silent(&lab);
    lab.add("silent", silent.port, "timeouts: {kex: 8s}");
    lab.add_healthy(&["good"]);
    let begin = Instant::now();
    let mut child = lab
        .command(&["--format", "ndjson", "check", "all"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut read = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&read.next().unwrap().unwrap()).unwrap() };
    let first = next();
    assert_eq!(first["event"], "run-started");
    assert_eq!(first["hosts"], 2);
    assert_eq!(next()["host"]["name"], "good");
    let seen = begin.elapsed();
    assert!(seen < Duration::from_secs(7), "after {seen:?}");
    let late = next();
    assert_eq!(late["host"]["name"], "silent");
    assert_eq!(late["host"]["outcome"], "timed-out");
    let last = next();
    assert_eq!(last["event"], "run-finished");
    assert_eq!(last["verdict"], "unknown");
    assert_eq!(last["summary"]["not_observed"], 1);
    assert!(read.next().is_none());
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn an_interrupted_stream_has_a_line_for_each_host_and_its_end() {
    let mut lab = Lab::new();
    let silent = silent(&lab);
    lab.add_healthy(&["good"]);
    lab.add("silent", silent.port, "timeouts: {kex: 1s}");
    lab.add("late", silent.port, "");
    let running =
        program::start(lab.command(&["--format", "ndjson", "check", "all", "--forks", "1"]));
    silent.wait_accepted(1);
    running.interrupt();
    let run = running.finish();
    run.exits(130);
    let lines = lines(run.out());
    assert_eq!(names(&lines), ["good", "silent", "late"]);
    assert_eq!(lines[3]["host"]["outcome"], "cancelled");
    assert_eq!(lines[4]["event"], "run-finished");
    assert_eq!(lines[4]["interrupted"], true);
}

/// Whoever reads the lines may leave; the files are written all the same.
#[test]
fn a_reader_that_leaves_costs_no_file() {
    let mut lab = Lab::new();
    lab.add_healthy(&["good"]);
    for format in ["ndjson", "json"] {
        let mut child = lab
            .command(&["--format", format, "check", "all", "--output=csv=out.csv"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        assert!(
            std::fs::remove_file(lab.path("out.csv")).is_ok(),
            "{format}"
        );
    }
}

#[test]
fn a_plugin_ends_with_its_state() {
    let mut lab = Lab::new();
    lab.add_healthy(&["good"]);
    let run = program::run(lab.command(&["--format", "nagios", "check", "all"]));
    run.exits(0);
    assert!(
        run.out().starts_with("CLAWFLEET OK - 1 host ok"),
        "{}",
        run.out()
    );
    let closed = lab.closed_port();
    lab.add("gone", closed, "");
    let run = program::run(lab.command(&["--format", "nagios", "check", "all"]));
    run.exits(3);
    assert!(
        run.out().starts_with("CLAWFLEET UNKNOWN - "),
        "{}",
        run.out()
    );
    // What keeps it from looking is unknown, too, and told where the server looks.
    let run = program::run(lab.command(&["--format", "nagios", "check", "nobody"]));
    run.exits(3).complains(&["error:"]);
    assert!(
        run.out().starts_with("CLAWFLEET UNKNOWN - "),
        "{}",
        run.out()
    );
    assert!(run.out().contains("nobody"));
}

/// A directory that goes away while hosts are asked: the report is printed, the other file is written,
/// and the exit code says that something is missing where nothing worse was found.
#[test]
fn a_file_that_cannot_be_written_at_the_end_loses_nothing_else() {
    for (gone, code) in [(false, 78), (true, 3)] {
        let mut lab = Lab::new();
        let slow = lab.fake(Behaviour::default());
        let silent = silent(&lab);
        lab.add("good", slow.port, "");
        if gone {
            lab.add("gone", silent.port, "timeouts: {kex: 1s}");
        }
        std::fs::create_dir(lab.path("away")).unwrap();
        // The jump of the run: nothing is asked before this is connected to.
        let hold = lab.raw(|_| async {
            tokio::time::sleep(Duration::from_millis(700)).await;
        });
        lab.add("held", hold.port, "labels: {maintenance: \"yes\"}");
        let running = program::start(lab.command(&[
            "--format",
            "json",
            "check",
            "all",
            "--output",
            "html=away/report.html",
            "--output",
            "junit=here.xml",
        ]));
        hold.wait_accepted(1);
        std::fs::remove_dir_all(lab.path("away")).unwrap();
        let run = running.finish();
        run.exits(code);
        run.complains(&["away/report.html", "No such file", "as it was"]);
        let json: Value = serde_json::from_slice(&run.stdout).unwrap();
        assert_eq!(json["schema"], "clawfleet.report/1");
        assert!(lab.path("here.xml").exists());
        assert!(!lab.path("away").exists());
    }
}

/// The page has the drawings of the runs before it, and none where there were none.
#[test]
fn the_page_of_a_check_shows_earlier_runs() {
    let mut lab = Lab::new();
    lab.add_healthy(&["good"]);
    let page = || {
        let run = program::run(lab.command(&["check", "--format", "html"]));
        run.exits(0).out().to_owned()
    };
    assert!(!page().contains("id=\"trends\""));
    let again = page();
    assert!(
        again.contains("id=\"trends\"") && again.contains("100 % of 1 runs"),
        "{again}"
    );
    // What cannot be read is told of, and the page is made.
    let database = lab.home().join("state/clawfleet/history.db");
    std::fs::write(&database, "no database".repeat(999)).unwrap();
    assert!(!page().contains("id=\"trends\""));
}
