//! Bad hosts, each between healthy ones: it gets the outcome that it deserves within its deadline,
//! and the healthy ones are observed in full.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod become_root;
mod channel;
mod checks;
mod forged;
mod host_key;
mod http;
mod http_hostile;
mod http_token;
mod jumps;
mod keys;
mod login;
mod memory;
mod network;
mod passphrase;
mod passwords;
mod probe;
mod ssh_config;
mod whole_run;
