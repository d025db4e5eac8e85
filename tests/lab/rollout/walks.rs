//! At every step of a rollout the controller dies, the network is cut, or the host loses its power. All at
//! once on many hosts, as most of the time is spent waiting for undos.

use std::thread::sleep;
use std::time::Duration;

use super::{
    AtOnce, Controller, Host, Ran, Running, UNDO_AFTER, fresh, harden_args, hosts, root_of,
    settled, tell,
};
use crate::lab::{lab, on_host};

/// A step, and the how-many-th of its name. The gateway is verified until it has settled: twice or more.
type At = (&'static str, usize);

const STEPS: [At; 5] = [
    ("prepare", 1),
    ("apply", 1),
    ("verify", 1),
    ("verify", 2),
    ("disarm", 1),
];

/// An undo is due, it may wait for a half-done apply, and the gateway is restarted.
const HEALED_WITHIN: Duration = Duration::from_secs(90);

/// Another sound template: a host that has the first one still wants a change.
const OTHER: &str = "[Service]\nEnvironment=LAB_NEW=2\n";

#[test]
fn whatever_is_lost_at_whichever_step_the_host_is_whole_and_its_outcome_is_named() {
    let _turn = hosts();
    let mut all = AtOnce::default();
    let mut index = 0;
    let mut host = move || {
        index += 1;
        index - 1
    };
    for at in STEPS {
        for late in [0, 150] {
            let host = host();
            all.go(
                format!("controller killed at {} {}, +{late} ms", at.0, at.1),
                move || {
                    controller_dies(host, at, late);
                },
            );
        }
    }
    for at in STEPS {
        for (seconds, what) in [(6, "short"), (50, "beyond the undo")] {
            let host = host();
            all.go(
                format!("network cut at {} {}, {what}", at.0, at.1),
                move || {
                    network_is_cut(host, at, Some(Duration::from_secs(seconds)));
                },
            );
        }
    }
    let apart = host();
    all.go("network cut at verify 1 for good", move || {
        network_is_cut(apart, ("verify", 1), None);
    });
    for at in STEPS {
        let host = host();
        all.go(format!("power loss at {} {}", at.0, at.1), move || {
            power_goes(host, at, &["--power-loss"]);
        });
    }
    let clean = host();
    all.go("clean reboot at verify 1", move || {
        power_goes(clean, ("verify", 1), &[])
    });
    for at in [("apply", 1), ("verify", 1), ("verify", 2)] {
        let host = host();
        all.go(
            format!("power loss of both at {} {}", at.0, at.1),
            move || {
                power_goes_on_both_sides(host, at);
            },
        );
    }
    all.all_well();
}

/// Hardens one host, up to a step.
fn up_to(bastion: &Controller, (step, nth): At) -> Running {
    let template = bastion.path("sound");
    let running = bastion.start(&harden_args(
        template.to_str().unwrap(),
        &["all", "--restart", "always"],
    ));
    let reached = running.at_step(step, nth);
    if reached.is_none() {
        panic!("{step} was not reached: {:?}", running.finish());
    }
    running
}

/// Whether the apply may have begun, and the disarming not.
fn is_in_the_middle(at: At) -> bool {
    matches!(at.0, "apply" | "verify")
}

fn controller_dies(index: u32, at: At, late: u64) {
    let host = fresh(index);
    let before = Host::see(&host);
    let bastion = Controller::of(std::slice::from_ref(&host));
    let running = up_to(&bastion, at);
    sleep(Duration::from_millis(late));
    running.kill();
    if is_in_the_middle(at) {
        // Until its undo has come the host is somebody's.
        let second = Controller::of(std::slice::from_ref(&host));
        let other = second.template("other", OTHER);
        let refused = second.harden(&other, &["all"]);
        assert_eq!(refused.code, Some(4), "{refused:?}");
        let why = refused.json()["entries"][0]["why"].to_string();
        assert!(why.contains("waits for its undo"), "{refused:?}");
    }
    let seen = settled(&host, HEALED_WITHIN);
    if at.0 == "disarm" {
        seen.is_as_claimed("unknown", &before);
    } else {
        seen.is_again(&before);
    }
    let recorded = bastion.recorded();
    assert_ne!(recorded.get(&host).map(String::as_str), Some("applied"));
    // The dead run's lock on the bastion is no obstacle either.
    let again = bastion.harden_soundly();
    assert_eq!(again.code, Some(0), "{again:?}");
    Host::see(&host).is_as_claimed("applied", &before);
}

fn network_is_cut(index: u32, at: At, healed_after: Option<Duration>) {
    let host = fresh(index);
    let before = Host::see(&host);
    let bastion = Controller::of(std::slice::from_ref(&host));
    let running = up_to(&bastion, at);
    lab(&["partition", &host]);
    let ran = match healed_after {
        Some(time) => {
            sleep(time);
            lab(&["heal", &host]);
            running.finish()
        }
        None => {
            let ran = running.finish();
            lab(&["heal", &host]);
            ran
        }
    };
    tell(std::thread::current().name().unwrap(), &ran);
    let outcome = is_coded(&ran, &host);
    let seen = settled(&host, HEALED_WITHIN);
    seen.is_as_claimed(&outcome, &before);
    match healed_after {
        Some(time) if time > UNDO_AFTER && is_in_the_middle(at) => {
            ran.ends("rolled-back", 5);
        }
        // It answered again in time: something is known of it.
        Some(_) => assert_ne!(outcome, "unknown", "{ran:?}"),
        None => {
            ran.ends("unknown", 6);
            seen.is_again(&before);
        }
    }
    assert_eq!(bastion.recorded()[&host], outcome);
}

/// The exit code says what the outcome says. Returns the outcome.
fn is_coded(ran: &Ran, host: &str) -> String {
    let outcome = ran.outcomes()[host].clone();
    let code = match outcome.as_str() {
        // Kept, and gone when its batch was looked at again.
        "applied" if ran.stdout.contains("could not be looked at") => 3,
        "applied" => 0,
        "not-reached" => 3,
        "drifted" | "locked" | "not-attempted" => 4,
        "failed" | "rolled-back" => 5,
        _ => 6,
    };
    assert_eq!(ran.code, Some(code), "{ran:?}");
    outcome
}

fn power_goes(index: u32, at: At, how: &[&str]) {
    let host = fresh(index);
    let before = Host::see(&host);
    let bastion = Controller::of(std::slice::from_ref(&host));
    let running = up_to(&bastion, at);
    // The step itself takes some tenths of a second.
    sleep(Duration::from_millis(200));
    lab(&[&["reboot", &host], how].concat());
    let ran = running.finish();
    tell(std::thread::current().name().unwrap(), &ran);
    let outcome = is_coded(&ran, &host);
    let seen = settled(&host, HEALED_WITHIN);
    seen.is_as_claimed(&outcome, &before);
    assert_ne!(outcome, "unknown", "{ran:?}");
    if at.0 == "verify" {
        // The last look is a second before the end: the power may go too late for it.
        if at.1 == 1 {
            ran.ends("rolled-back", 5);
        }
        started_once(&host);
    }
}

fn power_goes_on_both_sides(index: u32, at: At) {
    let host = fresh(index);
    let before = Host::see(&host);
    let bastion = Controller::of(std::slice::from_ref(&host));
    let running = up_to(&bastion, at);
    sleep(Duration::from_millis(200));
    running.kill();
    lab(&["reboot", &host, "--power-loss"]);
    settled(&host, HEALED_WITHIN).is_again(&before);
    started_once(&host);
    bastion.harden_soundly().ends("applied", 0);
    Host::see(&host).is_as_claimed("applied", &before);
}

/// After the boot the gateway was started with the old files, and not first with the new ones.
fn started_once(host: &str) {
    let starts = on_host(
        host,
        "journalctl -q -b -o cat | grep -c '^Started openclaw-gateway'",
    );
    assert_eq!(starts.trim(), "1", "{host}");
    assert!(root_of(host).join("etc/lab-booted").exists());
}
