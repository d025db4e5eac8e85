//! Hosts that mean harm: to the machine that clawfleet runs on, to the operator's terminal, to the
//! other hosts. Each does one thing, over a server whose every byte is in the test's hand, between
//! healthy hosts that must be observed in full and on time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod attack;
mod before_kex;
mod channels;
mod comments;
mod content;
mod crowd;
mod docs;
mod harmless;
mod kex;
mod login;
mod state;
mod sudo;
mod wire;

use attack::Attack;

/// Every attack there is.
fn all() -> Vec<Attack> {
    [
        before_kex::attacks(),
        kex::attacks(),
        login::attacks(),
        channels::attacks(),
        content::attacks(),
        sudo::attacks(),
    ]
    .concat()
}

#[test]
fn before_the_keys() {
    attack::check_each(&before_kex::attacks());
}

#[test]
fn in_the_key_exchange() {
    attack::check_each(&kex::attacks());
}

#[test]
fn a_host_key_that_changes_in_a_session_is_refused() {
    attack::check_each(&[kex::changed_key()]);
}

#[test]
fn in_the_login() {
    attack::check_each(&login::attacks());
}

#[test]
fn on_the_channels() {
    attack::check_each(&channels::attacks());
}

#[test]
fn in_what_the_probe_prints() {
    attack::check_each(&content::attacks());
}

#[test]
fn by_programs_that_lie() {
    attack::check_each(&sudo::attacks());
}
