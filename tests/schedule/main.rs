//! What runs the checks of this machine: units and crontabs as they are written, put back and taken away. The
//! program is the real one; systemctl, systemd-analyze, loginctl and crontab are scripts that note what
//! they are asked and fail where they are told to. Real systemds are in the lab (`tests/lab/schedule.rs`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod cron;
mod machine;
mod rendering;
mod units;
