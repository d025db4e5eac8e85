//! Servers that let us in and then run nothing.

use std::time::Duration;

use crate::support::fake::{Behaviour, Exec, Open};
use crate::support::lab::Lab;

fn executing(exec: Exec) -> Behaviour {
    Behaviour {
        exec,
        ..Behaviour::default()
    }
}

#[test]
fn a_refused_session_channel_is_a_failure() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour {
        open: Open::Refuse,
        ..Behaviour::default()
    });
    let checked = lab.check_bad(server.port, "");
    checked
        .bad()
        .is("failed")
        .at("channel")
        .says(&["opens no session channel"]);
    checked.bad().took_at_most(Duration::from_secs(4));
}

#[test]
fn a_session_channel_that_is_never_confirmed_costs_its_deadline() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour {
        open: Open::Silent,
        ..Behaviour::default()
    });
    let checked = lab.check_bad(server.port, "timeouts: {channel: 1s}");
    checked
        .bad()
        .is("timed-out")
        .at("channel")
        .says(&["no session channel in time"]);
    checked
        .bad()
        .took_at_least(Duration::from_secs(1))
        .took_at_most(Duration::from_secs(3));
}

#[test]
fn a_refused_command_is_a_failure() {
    let mut lab = Lab::new();
    let server = lab.fake(executing(Exec::Refuse));
    let checked = lab.check_bad(server.port, "");
    checked
        .bad()
        .is("failed")
        .says(&["refused to run a command"]);
    checked.bad().took_at_most(Duration::from_secs(4));
}

#[test]
fn a_channel_that_is_closed_right_after_the_command_is_a_failure() {
    let mut lab = Lab::new();
    let server = lab.fake(executing(Exec::Close));
    let checked = lab.check_bad(server.port, "");
    checked
        .bad()
        .is("failed")
        .at("exec")
        .says(&["before the probe printed anything"]);
    checked.bad().took_at_most(Duration::from_secs(4));
}

#[test]
fn a_connection_that_is_ended_at_the_command_is_a_failure_in_the_servers_words() {
    let mut lab = Lab::new();
    let server = lab.fake(executing(Exec::Disconnect("out of office".to_owned())));
    let checked = lab.check_bad(server.port, "");
    checked
        .bad()
        .is("failed")
        .at("exec")
        .says(&["out of office"]);
    checked.bad().took_at_most(Duration::from_secs(4));
}
