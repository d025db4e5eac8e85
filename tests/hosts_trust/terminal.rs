//! Questions at a pseudo-terminal, which `script` of util-linux makes.

use crate::known_hosts;
use crate::support::fake::{self, Behaviour};
use crate::support::lab::{Lab, fingerprint};
use crate::support::program::STUCK;
use crate::support::terminal::{CTRL_C, converse};

/// Runs `hosts trust all` at a terminal and types an answer to each question. Returns the exit
/// code and the screen.
fn at_a_terminal(lab: &Lab, answers: &[&str]) -> (Option<i32>, String) {
    let answers: Vec<(&str, &str)> = answers.iter().map(|answer| ("[yes/no]", *answer)).collect();
    converse(&lab.command(&["hosts", "trust", "all"]), &answers, STUCK)
}

#[test]
fn yes_enrols() {
    let mut lab = Lab::new();
    let key = fake::new_key();
    let print = fingerprint(key.public_key());
    let server = lab.fake_with_key(Behaviour::default(), key);
    lab.add("new", server.port, "");
    let (code, screen) = at_a_terminal(&lab, &["perhaps", "yes"]);
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains(&print), "{screen}");
    assert!(
        screen.contains("Enrol these (1 key of 1 host)?"),
        "{screen}"
    );
    assert_eq!(known_hosts(&lab).lines().count(), 1);
    lab.check().exits(0);
}

#[test]
fn no_enrols_nothing_and_each_group_is_asked_once() {
    let mut lab = Lab::new();
    for number in 1..=3 {
        let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
        lab.add(&format!("new{number}"), server.port, "");
    }
    let rsa = lab.keygen("rsa", &["-t", "rsa"]);
    let rsa = russh::keys::load_secret_key(rsa, None).unwrap();
    let known = fake::new_key();
    let public = known.public_key().clone();
    let server = lab.fake_with_keys(Behaviour::default(), vec![known, rsa]);
    lab.trust(server.port, &public);
    lab.add("known", server.port, "");
    let (code, screen) = at_a_terminal(&lab, &["no", "yes"]);
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("3 keys of 3 hosts"), "{screen}");
    let text = known_hosts(&lab);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("ssh-rsa"), "{text}");
}

#[test]
fn ctrl_c_at_a_question_ends_the_run_and_enrols_nothing() {
    let mut lab = Lab::new();
    let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
    lab.add("new", server.port, "");
    let (code, screen) = at_a_terminal(&lab, &[CTRL_C]);
    assert_eq!(code, Some(130), "{screen}");
    assert_eq!(known_hosts(&lab), "");
}

#[test]
fn an_answer_that_is_none_is_a_no_in_the_end() {
    let mut lab = Lab::new();
    let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
    lab.add("new", server.port, "");
    let (code, screen) = at_a_terminal(&lab, &["", "what", "SHA256:"]);
    assert_eq!(code, Some(1), "{screen}");
    assert_eq!(known_hosts(&lab), "");
}
