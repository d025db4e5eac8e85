//! Hosts behind jumps whose keys are not known either.

use crate::support::fake::{self, Behaviour, Forward};
use crate::support::lab::{Lab, Server};
use crate::{known_hosts, trust};

fn unknown_jump(lab: &Lab) -> Server {
    let behaviour = Behaviour {
        forward: Forward::Connect,
        ..Behaviour::default()
    };
    lab.fake_with_key(behaviour, fake::new_key())
}

fn behind(jumps: &[u16]) -> String {
    let jumps: Vec<String> = jumps
        .iter()
        .map(|port| format!("tester@127.0.0.1:{port}"))
        .collect();
    format!("ssh: {{jump: [{}]}}", jumps.join(", "))
}

#[test]
fn a_chain_of_unknown_jumps_is_enrolled_before_the_hosts_behind_it() {
    let mut lab = Lab::new();
    let (first, second) = (unknown_jump(&lab), unknown_jump(&lab));
    for number in 1..=3 {
        let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
        let settings = behind(&[first.port, second.port]);
        lab.add(&format!("host{number}"), server.port, &settings);
    }
    let run = trust(&lab, &["--yes", "--unvouched"]);
    run.exits(0)
        .complains(&[&format!("127.0.0.1:{} (jump)", first.port)]);
    assert_eq!(run.out().matches("enrolled 1 key of 1 host").count(), 2);
    assert!(
        run.out().contains("enrolled 3 keys of 3 hosts"),
        "{}",
        run.out()
    );
    assert_eq!(known_hosts(&lab).lines().count(), 5);
    lab.check().exits(0);
    let again = trust(&lab, &[]);
    again.exits(0);
    assert_eq!(again.out(), "3 hosts: all keys are known\n");
}

#[test]
fn nothing_goes_through_a_jump_that_is_not_enrolled() {
    let mut lab = Lab::new();
    let jump = unknown_jump(&lab);
    let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
    lab.add("one", server.port, &behind(&[jump.port]));
    trust(&lab, &[]).exits(64);
    let run = trust(&lab, &["--yes"]);
    run.exits(3)
        .complains(&["jump host 127.0.0.1: its key was not enrolled"]);
    assert_eq!(server.accepted(), 0);
    assert_eq!(known_hosts(&lab), "");
}

#[test]
fn a_jump_that_takes_new_keys_by_itself_is_offered_first_all_the_same() {
    let mut lab = Lab::new();
    lab.write(".ssh/config", "StrictHostKeyChecking accept-new\n");
    let jump = unknown_jump(&lab);
    let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
    lab.add("one", server.port, &behind(&[jump.port]));
    trust(&lab, &["--yes"]).exits(3);
    assert_eq!(known_hosts(&lab), "");
}

#[test]
fn a_jump_that_is_selected_comes_before_the_hosts_behind_it() {
    let mut lab = Lab::new();
    let jump = unknown_jump(&lab);
    let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
    lab.add("behind", server.port, "ssh: {jump: [gate]}");
    lab.add("gate", jump.port, "");
    let run = trust(&lab, &["--yes", "--unvouched"]);
    run.exits(0);
    assert!(!run.stderr.contains("(jump)"), "{}", run.stderr);
    assert_eq!(run.out().matches("enrolled 1 key of 1 host").count(), 2);
    lab.check().exits(0);
}

#[test]
fn a_jump_whose_key_changed_is_loud_and_nothing_goes_through_it() {
    let mut lab = Lab::new();
    let jump = unknown_jump(&lab);
    lab.trust(jump.port, fake::new_key().public_key());
    let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
    lab.add("one", server.port, &behind(&[jump.port]));
    let run = trust(&lab, &["--yes", "--unvouched"]);
    run.exits(2)
        .complains(&["CHANGED", "(jump)", "its key was not enrolled"]);
    assert_eq!(server.accepted(), 0);
    trust(&lab, &["--yes", "--unvouched", "--replace"]).exits(0);
    lab.check().exits(0);
}
