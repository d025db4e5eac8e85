//! `clawfleet run` and `clawfleet copy` as an operator calls them, on servers in the test process that run
//! what they are sent with a real sh.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod copying;
mod ending;
mod hostile;
mod memory;
mod output;
mod quoting;
mod running;

use std::process::Command;
use std::time::{Duration, Instant};

use support::fake::Behaviour;
use support::lab::Lab;
use support::program::{self, Finished};

/// A fleet of so many healthy hosts: `h1`, `h2` … on one server.
fn fleet(count: usize) -> Lab {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    for number in 1..=count {
        lab.add(&format!("h{number}"), server.port, "");
    }
    lab
}

/// Runs `clawfleet run`.
fn run(lab: &Lab, args: &[&str]) -> Finished {
    let mut all = vec!["run"];
    all.extend(args);
    program::run(lab.command(&all))
}

/// Runs `clawfleet run`, and reads the JSON.
fn json(lab: &Lab, code: i32, args: &[&str]) -> serde_json::Value {
    let mut all = vec!["run", "--format", "json"];
    all.extend(args);
    let ran = program::run(lab.command(&all));
    ran.exits(code);
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// Whether a process of this machine has these words on its command line.
fn runs(words: &str) -> bool {
    let output = Command::new("pgrep").args(["-f", words]).output().unwrap();
    output.status.success()
}

/// Waits until nothing has these words on its command line.
#[track_caller]
fn gone(words: &str, within: Duration) {
    let begin = Instant::now();
    while runs(words) {
        assert!(begin.elapsed() < within, "`{words}` still runs");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until so many processes have a command line that begins so.
#[track_caller]
fn there(words: &str, number: usize) {
    let begin = Instant::now();
    loop {
        let output = Command::new("pgrep")
            .args(["-c", "-f", &format!("^{words}")])
            .output()
            .unwrap();
        let count: usize = String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        if count >= number {
            return;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "{count} of {number} `{words}` were there"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A number that stands in no other process: tests run at the same time.
fn unique() -> String {
    let mut bytes = [0_u8; 4];
    getrandom::fill(&mut bytes).unwrap();
    (2_000_000 + u32::from_le_bytes(bytes) % 900_000_000).to_string()
}
