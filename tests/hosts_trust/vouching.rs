//! Lists and commands that vouch.

use crate::support::fake::{self, Behaviour};
use crate::support::lab::{Lab, fingerprint};
use crate::{known_hosts, trust};

/// A lab with new hosts, and their fingerprints.
fn new_hosts(names: &[&str]) -> (Lab, Vec<String>) {
    let mut lab = Lab::new();
    let mut prints = Vec::new();
    for name in names {
        let key = fake::new_key();
        prints.push(fingerprint(key.public_key()));
        let server = lab.fake_with_key(Behaviour::default(), key);
        lab.add(name, server.port, "");
    }
    (lab, prints)
}

#[test]
fn a_list_vouches_for_what_it_names_and_stops_what_it_names_otherwise() {
    let (lab, prints) = new_hosts(&["VM1", "VM2", "VM3"]);
    let wrong = fingerprint(fake::new_key().public_key());
    lab.write(
        "list",
        format!(
            "# from the console\n256 {} root@VM1 (ED25519)\nVM2 {wrong}\n",
            prints[0]
        ),
    );
    let run = trust(&lab, &["--fingerprints", "list", "--yes"]);
    run.exits(2).complains(&[
        "CONTRADICTED",
        &format!("list SAYS {wrong}"),
        "New keys that a source vouches for",
        "New keys that nobody vouches for",
    ]);
    assert!(
        run.out().contains("enrolled 1 key of 1 host"),
        "{}",
        run.out()
    );
    // Not even unseen.
    let run = trust(&lab, &["--fingerprints", "list", "--yes", "--unvouched"]);
    run.exits(2);
    assert_eq!(known_hosts(&lab).lines().count(), 2);
}

#[test]
fn a_known_key_that_a_list_contradicts_is_loud() {
    let mut lab = Lab::new();
    lab.add_healthy(&["VM1"]);
    let wrong = fingerprint(fake::new_key().public_key());
    lab.write("list", format!("VM1 {wrong}\n"));
    let run = trust(&lab, &["--fingerprints", "list", "--yes"]);
    run.exits(2).complains(&["CONTRADICTED", &wrong]);
}

#[test]
fn a_list_that_cannot_be_read_is_a_fault_of_usage() {
    let (lab, prints) = new_hosts(&["VM1"]);
    trust(&lab, &["--fingerprints", "none", "--yes"])
        .exits(64)
        .complains(&["no such file"]);
    lab.write("list", format!("{}\n", prints[0]));
    trust(&lab, &["--fingerprints", "list", "--yes"])
        .exits(64)
        .complains(&["line 1: it names no host"]);
}

#[test]
fn a_command_vouches_and_its_names_are_variables() {
    let (lab, prints) = new_hosts(&["VM1", "VM2"]);
    lab.write("VM1.txt", &prints[0]);
    lab.write("VM2.txt", "");
    let command = "cat \"$CLAWFLEET_HOST.txt\"; test \"$CLAWFLEET_ADDRESS\" = 127.0.0.1";
    let run = trust(&lab, &["--vouch", command, "--yes"]);
    run.exits(1)
        .complains(&["the command", "nobody vouches for them"]);
    assert!(
        run.out().contains("enrolled 1 key of 1 host"),
        "{}",
        run.out()
    );
}

#[test]
fn a_command_that_fails_or_talks_nonsense_vouches_for_nothing() {
    let (lab, _) = new_hosts(&["VM1"]);
    let failing = "printf 'no \\033[31mvault\\n' >&2; exit 3";
    let run = trust(&lab, &["--vouch", failing, "--yes"]);
    run.exits(1).complains(&[
        "VM1: the command vouches for nothing",
        "exit status: 3",
        "vault",
    ]);
    assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
    trust(&lab, &["--vouch", "echo hello", "--yes"])
        .exits(1)
        .complains(&["its output, line 1"]);
    assert_eq!(known_hosts(&lab), "");
}

#[test]
fn a_command_that_names_another_key_stops_the_host() {
    let (lab, _) = new_hosts(&["VM1"]);
    let wrong = fingerprint(fake::new_key().public_key());
    let run = trust(
        &lab,
        &["--vouch", &format!("echo {wrong}"), "--yes", "--unvouched"],
    );
    run.exits(2).complains(&["the command SAYS", &wrong]);
    assert_eq!(known_hosts(&lab), "");
}
