//! OpenSSH's files are read as OpenSSH reads them: every value is compared with `ssh -G`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

#[path = "ssh_config/generated.rs"]
mod generated;
#[path = "ssh_config/openssh.rs"]
mod openssh;
#[path = "ssh_config/refusals.rs"]
mod refusals;
#[path = "ssh_config/rules.rs"]
mod rules;
#[path = "ssh_config/table.rs"]
mod table;
