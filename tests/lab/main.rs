//! The program on real systemd hosts, over real sshd: every scenario of the lab, and faults of the
//! network and of the hosts. `ci/test` runs it as root with the lab's caches at hand; where the lab
//! cannot run it fails, it never skips.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking and tells what it does"
)]

mod compatibility;
mod faults;
mod http;
mod lab;
mod logins;
mod matrix;
mod rollout;
mod run;
mod scenarios;
mod schedule;
mod ssh;
#[path = "../support/terminal.rs"]
mod terminal;
mod versions;
mod week;
