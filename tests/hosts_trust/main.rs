//! `clawfleet hosts trust`, with servers of the test process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod changed;
mod dns;
mod enrolment;
mod jumps;
mod tables;
mod terminal;
mod vouching;

use support::lab::Lab;
use support::program::{self, Finished};

/// Runs `hosts trust all` with more arguments and no terminal.
fn trust(lab: &Lab, more: &[&str]) -> Finished {
    let args = [&["hosts", "trust", "all"], more].concat();
    program::run(lab.command(&args))
}

fn known_hosts(lab: &Lab) -> String {
    std::fs::read_to_string(lab.path("known_hosts")).unwrap()
}
