//! Host keys that are unknown, changed or revoked.

use crate::support::fake::{self, Behaviour};
use crate::support::lab::{Lab, fingerprint};
use crate::support::program;

#[test]
fn an_unknown_host_key_is_rejected_with_its_fingerprint() {
    let mut lab = Lab::new();
    let key = fake::new_key();
    let print = fingerprint(key.public_key());
    let server = lab.fake_with_key(Behaviour::default(), key);
    let checked = lab.check_bad(server.port, "");
    checked.bad().is("host-key-rejected").at("host-key");
    checked
        .bad()
        .says(&["unknown host key", "ssh-ed25519", &print]);
    checked.bad().hints(&["clawfleet hosts trust bad"]);
}

/// Runs the command that a hint names, as an operator would who looked at the fingerprint.
fn obey(lab: &Lab, hint: &str) -> program::Finished {
    let args = hint.strip_prefix("clawfleet ").unwrap();
    let mut args: Vec<&str> = args.split(' ').collect();
    args.extend(["--yes", "--unvouched"]);
    program::run(lab.command(&args))
}

#[test]
fn the_hint_for_an_unknown_host_key_enrols_it() {
    let mut lab = Lab::new();
    let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
    let checked = lab.check_bad(server.port, "");
    let (_, enrol) = checked.bad().hint().split_once("enrol it: ").unwrap();
    obey(&lab, enrol).exits(0);
    lab.check().exits(0).bad().is_observed_in_full();
}

#[test]
fn a_changed_host_key_is_rejected_and_its_line_named() {
    let mut lab = Lab::new();
    let (old, new) = (fake::new_key(), fake::new_key());
    let print = fingerprint(new.public_key());
    let server = lab.fake_with_key(Behaviour::default(), new);
    lab.trust(1, fake::new_key().public_key());
    let line = lab.trust(server.port, old.public_key());
    let checked = lab.check_bad(server.port, "");
    let file = lab.path("known_hosts").display().to_string();
    checked.bad().is("host-key-rejected").at("host-key");
    checked
        .bad()
        .says(&["HOST KEY CHANGED", &print, &format!("{file}:{line}")]);
    checked
        .bad()
        .does_not_say(&[&fingerprint(old.public_key())]);
    checked
        .bad()
        .hints(&["clawfleet hosts trust bad --replace"]);
}

#[test]
fn the_hint_for_a_changed_host_key_enrols_the_new_one() {
    let mut lab = Lab::new();
    let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
    lab.trust(server.port, fake::new_key().public_key());
    let checked = lab.check_bad(server.port, "");
    let (_, rest) = checked.bad().hint().split_once("re-installed: ").unwrap();
    let (enrol, _) = rest.split_once("; if not").unwrap();
    obey(&lab, enrol).exits(0);
    lab.check().exits(0).bad().is_observed_in_full();
}

#[test]
fn a_revoked_host_key_is_rejected_though_it_is_known() {
    let mut lab = Lab::new();
    let key = fake::new_key();
    let public = key.public_key().clone();
    let server = lab.fake_with_key(Behaviour::default(), key);
    lab.trust(server.port, &public);
    let line = lab.known_hosts_line("@revoked ", server.port, &public);
    let checked = lab.check_bad(server.port, "");
    let place = format!("{}:{line}", lab.path("known_hosts").display());
    checked.bad().is("host-key-rejected").at("host-key");
    checked
        .bad()
        .says(&["revoked", &place, &fingerprint(&public)]);
}

#[test]
fn a_known_hosts_file_that_cannot_be_read_lets_nobody_in() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    let dir = lab.path("not-a-file");
    std::fs::create_dir(&dir).unwrap();
    let checked = lab.check_bad(server.port, &format!("known_hosts: {}", dir.display()));
    checked
        .bad()
        .is("host-key-rejected")
        .at("host-key")
        .says(&["unknown host key"]);
    checked
        .run
        .complains(&["note:", &dir.display().to_string()]);
}

#[test]
fn garbage_in_known_hosts_is_passed_over_and_named() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    let known = std::fs::read(lab.path("known_hosts")).unwrap();
    let noise = [
        b"\x00\xff\x1b[2J not a line\n\n# comment\n[127.0.0.1]:1 ssh-ed25519 AAAA\n".as_slice(),
        &known,
    ]
    .concat();
    lab.write("known_hosts", noise);
    let checked = lab.check_odd(server.port, "");
    let file = lab.path("known_hosts").display().to_string();
    checked
        .run
        .complains(&[&format!("{file}:1"), &format!("{file}:4")]);
    assert!(
        !checked.run.stderr.contains('\u{1b}'),
        "{:?}",
        checked.run.stderr
    );
}
