//! Many hosts, and an operator who has seen enough.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use crate::support::fake::Behaviour;
use crate::support::lab::{Lab, Server};
use crate::support::program::{self, Running};
use crate::support::report::Checked;

/// A server that takes connections and says nothing.
fn silent(lab: &Lab) -> Server {
    lab.raw(|mut stream| async move {
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    })
}

#[test]
fn of_forty_hosts_ten_silent_ones_are_reported_beside_thirty_seen() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    let silent = silent(&lab);
    for number in 0..40 {
        if number % 4 == 1 {
            lab.add(
                &format!("silent{number}"),
                silent.port,
                "timeouts: {kex: 1s}",
            );
        } else {
            lab.add(&format!("good{number}"), server.port, "");
        }
    }
    let checked = lab.check_with(&["--forks", "8"]);
    checked.exits(3);
    for number in 0..40 {
        if number % 4 == 1 {
            let name = format!("silent{number}");
            checked
                .host(&name)
                .is("timed-out")
                .at("banner")
                .is_unknown();
        } else {
            checked.host(&format!("good{number}")).is_observed_in_full();
        }
    }
    assert_eq!(checked.json["summary"]["not_observed"], 10);
    assert_eq!((silent.accepted(), server.accepted()), (10, 30));
    // Ten deadlines of a second in a row would take as long as that alone.
    checked.within(Duration::from_secs(20));
}

#[test]
fn silent_hosts_wait_at_the_same_time() {
    let mut lab = Lab::new();
    let silent = silent(&lab);
    lab.add_healthy(&["good"]);
    for number in 0..60 {
        lab.add(
            &format!("silent{number}"),
            silent.port,
            "timeouts: {kex: 1s}",
        );
    }
    let checked = lab.check();
    checked.exits(3).host("good").is_observed_in_full();
    // In a row they would take a minute.
    checked.within(Duration::from_secs(12));
}

/// A fleet that two sessions at a time work on: one host seen, two silent at work, two not begun.
struct Waiting {
    lab: Lab,
    late: Server,
    running: Running,
}

fn waiting(deadline: &str) -> Waiting {
    let mut lab = Lab::new();
    let silent = silent(&lab);
    let late = lab.fake(Behaviour::default());
    let settings = format!("timeouts: {{kex: {deadline}, host: 2m}}");
    lab.add_healthy(&["good"]);
    lab.add("silent1", silent.port, &settings);
    lab.add("silent2", silent.port, &settings);
    lab.add("late1", late.port, "");
    lab.add("late2", late.port, "");
    let running =
        program::start(lab.command(&["--format", "json", "check", "all", "--forks", "2"]));
    // The second silent host only begins when the good one has ended.
    silent.wait_accepted(2);
    Waiting { lab, late, running }
}

#[test]
fn one_interrupt_starts_no_more_and_reports_what_was_seen() {
    let Waiting { lab, late, running } = waiting("2s");
    running.interrupt();
    let checked = Checked::of(running.finish(), &lab.names());
    checked.exits(130);
    assert_eq!(checked.json["interrupted"], true);
    checked.host("good").is_observed_in_full();
    for name in ["silent1", "silent2"] {
        checked.host(name).is("timed-out").at("banner");
    }
    for name in ["late1", "late2"] {
        checked.host(name).is("cancelled").is_unknown();
    }
    assert_eq!(late.accepted(), 0);
}

#[test]
fn a_second_interrupt_leaves_at_once_and_still_reports() {
    let Waiting {
        lab,
        late,
        mut running,
    } = waiting("60s");
    running.interrupt();
    // The pause between two presses of a key: it must not leave at the first.
    assert!(running.outlives(Duration::from_millis(500)));
    running.interrupt();
    let checked = Checked::of(running.finish(), &lab.names());
    checked.exits(130).within(Duration::from_secs(10));
    checked.host("good").is_observed_in_full();
    for name in ["silent1", "silent2", "late1", "late2"] {
        checked.host(name).is("cancelled").is_unknown();
    }
    assert_eq!(late.accepted(), 0);
}

#[test]
fn an_interrupted_table_says_so() {
    let mut lab = Lab::new();
    let silent = silent(&lab);
    lab.add("silent", silent.port, "timeouts: {kex: 1s}");
    let running = program::start(lab.command(&["check", "all"]));
    silent.wait_accepted(1);
    running.interrupt();
    let run = running.finish();
    run.exits(130);
    assert!(run.out().contains("INTERRUPTED"), "{}", run.out());
}
