//! Keys that are known and changed, or revoked.

use crate::support::fake::{self, Behaviour};
use crate::support::lab::{Lab, fingerprint};
use crate::{known_hosts, trust};

#[test]
fn a_changed_key_is_refused_with_both_fingerprints_and_replaced_only_when_said() {
    let mut lab = Lab::new();
    let (old, new) = (fake::new_key(), fake::new_key());
    let (old_print, new_print) = (fingerprint(old.public_key()), fingerprint(new.public_key()));
    let server = lab.fake_with_key(Behaviour::default(), new);
    lab.trust(1, fake::new_key().public_key());
    let line = lab.trust(server.port, old.public_key());
    lab.add("re-installed", server.port, "");
    let before = known_hosts(&lab);
    let place = format!("{}:{line}", lab.path("known_hosts").display());
    let refused = trust(&lab, &["--yes", "--unvouched"]);
    refused.exits(2).prints_nothing().complains(&[
        "CHANGED",
        &old_print,
        &new_print,
        &place,
        "--replace",
    ]);
    // There is nothing to ask about, so no terminal is missed.
    trust(&lab, &[]).exits(2);
    assert_eq!(known_hosts(&lab), before);
    trust(&lab, &["--replace"]).exits(64);
    trust(&lab, &["--replace", "--yes"]).exits(1);
    assert_eq!(known_hosts(&lab), before);
    let replaced = trust(&lab, &["--replace", "--yes", "--unvouched"]);
    replaced.exits(0).complains(&[&old_print, &new_print]);
    assert!(
        replaced.out().contains(&format!("line {line}\n")),
        "{}",
        replaced.out()
    );
    // The other host's line is as it was.
    let after = known_hosts(&lab);
    assert_eq!(after.lines().next(), before.lines().next());
    assert_eq!(after.lines().count(), 2);
    lab.check().exits(0);
}

#[test]
fn a_changed_key_of_one_kind_stops_all_keys_of_the_host() {
    let mut lab = Lab::new();
    let rsa = lab.keygen("rsa", &["-t", "rsa"]);
    let rsa = russh::keys::load_secret_key(rsa, None).unwrap();
    let server = lab.fake_with_keys(Behaviour::default(), vec![fake::new_key(), rsa]);
    lab.trust(server.port, fake::new_key().public_key());
    lab.add("between", server.port, "");
    let before = known_hosts(&lab);
    let run = trust(&lab, &["--yes", "--unvouched"]);
    run.exits(2).complains(&["CHANGED", "RSA"]).prints_nothing();
    assert_eq!(known_hosts(&lab), before);
}

#[test]
fn a_revoked_key_is_never_enrolled() {
    let mut lab = Lab::new();
    let key = fake::new_key();
    let public = key.public_key().clone();
    let server = lab.fake_with_key(Behaviour::default(), key);
    lab.known_hosts_line("@revoked ", server.port, &public);
    lab.add("bad", server.port, "");
    let before = known_hosts(&lab);
    let run = trust(&lab, &["--yes", "--unvouched", "--replace"]);
    run.exits(2).complains(&["REFUSED", "revoked at"]);
    assert_eq!(known_hosts(&lab), before);
}

#[test]
fn old_keys_go_from_all_files_of_the_user() {
    let mut lab = Lab::new();
    let (first, second) = (lab.path("known_hosts"), lab.path("second"));
    let old = fake::new_key();
    let new = fake::new_key();
    let print = fingerprint(new.public_key());
    let server = lab.fake_with_key(Behaviour::default(), new);
    lab.trust(server.port, old.public_key());
    std::fs::rename(&first, &second).unwrap();
    lab.write("known_hosts", "# mine\n");
    let settings = format!("known_hosts: [{}, {}]", first.display(), second.display());
    lab.add("VM7", server.port, &settings);
    // A node set names it, and the list vouches for the new key.
    lab.write("list", format!("VM[5-9] {print}\n"));
    let run = trust(&lab, &["--replace", "--yes", "--fingerprints", "list"]);
    run.exits(0)
        .complains(&["Changed keys that a source vouches for", "old ED25519"]);
    assert!(
        run.out()
            .contains(&format!("{}: line 1\n", second.display())),
        "{}",
        run.out()
    );
    assert_eq!(std::fs::read_to_string(second).unwrap(), "");
    assert_eq!(known_hosts(&lab).lines().count(), 2);
    lab.check().exits(0);
}
