//! Hosts that let the probe begin, or something in its place, and then go wrong.

use std::time::Duration;

use crate::support::fake::{Behaviour, Forward};
use crate::support::lab::Lab;

/// Bounds the command as well, whose own deadline adds a margin for the probe's watchdog.
const HOST_1500: &str = "timeouts: {host: 1500ms}";
const DEADLINE: Duration = Duration::from_millis(1500);
const SLACK: Duration = Duration::from_secs(4);

/// Takes the nonce out of the script that is sent.
const NONCE: &str = "IFS= read -r n; n=${n#N=?}; n=${n%?}; ";

fn shell(lab: &Lab, script: &str) -> u16 {
    lab.fake(Behaviour::shell(script)).port
}

#[test]
fn a_host_without_sh_is_told_apart() {
    let mut lab = Lab::new();
    let port = shell(&lab, "PATH=/nonexistent; eval \"$1\"");
    let checked = lab.check_bad(port, "");
    checked
        .bad()
        .is("failed")
        .at("exec")
        .says(&["no `sh`", "not found"]);
    checked.bad().hints(&["POSIX shell"]);
}

#[test]
fn a_forced_command_that_answers_something_else_is_a_failure() {
    let mut lab = Lab::new();
    let port = shell(&lab, "echo 'This account is for backups only.'");
    let checked = lab.check_bad(port, "");
    checked
        .bad()
        .is("failed")
        .at("exec")
        .says(&["ended with 0", "no probe"]);
    checked.bad().hints(&["forced command"]);
}

#[test]
fn a_login_without_a_shell_is_quoted() {
    let mut lab = Lab::new();
    let port = shell(
        &lab,
        "echo 'This account is currently not available.' >&2; exit 1",
    );
    let checked = lab.check_bad(port, "");
    checked
        .bad()
        .is("failed")
        .at("exec")
        .says(&["ended with 1", "currently not available"]);
}

#[test]
fn a_profile_that_prints_is_no_obstacle() {
    let mut lab = Lab::new();
    let port = shell(
        &lab,
        "echo 'Welcome to this host!'; echo '@motd hello'; printf 'no newline at the end'; \
         echo 'profile: warning' >&2; eval \"$1\"",
    );
    lab.check_odd(port, "");
}

#[test]
fn a_logout_file_that_prints_is_no_obstacle() {
    let mut lab = Lab::new();
    let port = shell(&lab, "(eval \"$1\"); echo Goodbye; exit 3");
    lab.check_odd(port, "");
}

#[test]
fn a_probe_that_is_killed_half_way_is_partial() {
    let mut lab = Lab::new();
    let port = shell(&lab, "(eval \"$1\") | head -n 8; kill -KILL $$");
    let checked = lab.check_bad(port, "");
    checked
        .bad()
        .is("partial")
        .at("exec")
        .says(&["signal KILL"]);
    let facts = &checked.bad().0["facts"];
    assert!(facts["hostname"].is_string(), "{facts:#}");
    assert!(
        facts["gateways"][0]["listeners"].is_null(),
        "what was not asked is not known to be empty: {facts:#}"
    );
}

#[test]
fn a_probe_that_is_ended_by_a_signal_before_it_prints_is_a_failure() {
    let mut lab = Lab::new();
    let port = shell(&lab, "kill -SEGV $$");
    let checked = lab.check_bad(port, "");
    checked
        .bad()
        .is("failed")
        .at("exec")
        .says(&["signal SEGV", "before it printed anything"]);
}

#[test]
fn a_probe_that_says_hello_and_hangs_is_partial_at_its_deadline() {
    let mut lab = Lab::new();
    let port = shell(
        &lab,
        &format!("{NONCE}printf '@%s hello\\nuid=0\\nhostname=stuck\\n' \"$n\"; exec sleep 1000"),
    );
    let checked = lab.check_bad(port, HOST_1500);
    checked
        .bad()
        .is("partial")
        .at("exec")
        .says(&["did not end in time"]);
    checked.bad().took_at_least(DEADLINE).took_at_most(SLACK);
    assert_eq!(checked.bad().0["facts"]["hostname"], "stuck");
}

#[test]
fn a_command_that_prints_nothing_and_hangs_is_timed_out() {
    let mut lab = Lab::new();
    let port = shell(&lab, "exec sleep 1000");
    let checked = lab.check_bad(port, HOST_1500);
    checked
        .bad()
        .is("timed-out")
        .at("exec")
        .says(&["printed nothing in time"]);
    checked.bad().took_at_least(DEADLINE).took_at_most(SLACK);
}

#[test]
fn a_probe_that_hangs_is_ended_by_its_own_watchdog() {
    let mut lab = Lab::new();
    let programs = lab.write_program("programs", "systemctl", "#!/bin/sh\nexec sleep 1000\n");
    let server = lab.fake(Behaviour {
        programs: Some(programs),
        ..Behaviour::default()
    });
    let checked = lab.check_bad(server.port, "timeouts: {exec: 1s}");
    // Not the controller's deadline, which is later: the signal is the watchdog's.
    checked
        .bad()
        .is("partial")
        .at("exec")
        .says(&["signal KILL"]);
    assert!(checked.bad().0["facts"]["hostname"].is_string());
}

#[test]
fn a_whole_probe_without_an_exit_status_is_observed() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour {
        status: false,
        ..Behaviour::default()
    });
    lab.check_odd(server.port, "");
}

#[test]
fn half_a_probe_without_an_exit_status_is_partial() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour {
        status: false,
        ..Behaviour::shell("(eval \"$1\") | head -n 8")
    });
    let checked = lab.check_bad(server.port, "");
    checked
        .bad()
        .is("partial")
        .at("exec")
        .says(&["without an exit status"]);
}

#[test]
fn no_probe_and_no_exit_status_is_a_failure() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour {
        status: false,
        ..Behaviour::shell("true")
    });
    let checked = lab.check_bad(server.port, "");
    checked
        .bad()
        .is("failed")
        .at("exec")
        .says(&["without an exit status"]);
}

#[test]
fn a_command_that_leaves_its_input_unread_is_a_failure() {
    let mut lab = Lab::new();
    let port = shell(&lab, "exec <&-; echo nothing for me; exit 2");
    let checked = lab.check_bad(port, "");
    checked
        .bad()
        .is("failed")
        .at("exec")
        .says(&["ended with 2"]);
    checked.bad().took_at_most(Duration::from_secs(4));
}

#[test]
fn a_forwarded_connection_that_is_never_answered_stays_within_the_hosts_deadline() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour {
        forward: Forward::Silent,
        ..Behaviour::default()
    });
    let settings = "timeouts: {host: 2s, channel: 9s}, thresholds: {http_timeout: 9s}";
    let checked = lab.check_beside_healthy(server.port, settings);
    checked
        .bad()
        .is("observed")
        .took_at_most(Duration::from_secs(4));
}
