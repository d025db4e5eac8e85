//! Logins with a password: given where it is asked for, once, and never to the wrong place.

use crate::support::fake::{Behaviour, Login};
use crate::support::lab::Lab;
use crate::support::program;
use crate::support::report::Checked;

const FROM_ENVIRONMENT: &str = "password: {env: LOGIN}";

fn behaviour(login: Login) -> Behaviour {
    Behaviour {
        login,
        ..Behaviour::default()
    }
}

fn check(lab: &Lab, word: &str) -> Checked {
    let mut command = lab.command(&["-vvv", "--format", "json", "check", "all"]);
    command.env("LOGIN", word);
    let run = program::run(command);
    assert!(!run.stderr.contains(word), "the password is in the log");
    assert!(!run.out().contains(word), "the password is in the report");
    Checked::of(run, &lab.names())
}

#[test]
fn a_password_logs_in() {
    let mut lab = Lab::new();
    let server = lab.fake(behaviour(Login::Password("sesame")));
    lab.add("one", server.port, FROM_ENVIRONMENT);
    check(&lab, "sesame")
        .exits(0)
        .host("one")
        .is_observed_in_full();
}

#[test]
fn a_question_for_the_password_is_answered() {
    let mut lab = Lab::new();
    let login = Login::Questions(&[("Password: ", "sesame")]);
    let server = lab.fake(behaviour(login));
    lab.add("one", server.port, FROM_ENVIRONMENT);
    check(&lab, "sesame")
        .exits(0)
        .host("one")
        .is_observed_in_full();
}

#[test]
fn a_second_factor_is_told_and_not_guessed() {
    let mut lab = Lab::new();
    let login = Login::Questions(&[("Password: ", "sesame"), ("Verification code: ", "1")]);
    let behaviour = behaviour(login);
    let server = lab.fake(behaviour.clone());
    lab.add("one", server.port, FROM_ENVIRONMENT);
    let checked = check(&lab, "sesame");
    checked
        .exits(3)
        .host("one")
        .is("auth-failed")
        .at("auth")
        .says(&["asks `Verification code:`"]);
    assert_eq!(*behaviour.passwords.lock().unwrap(), ["sesame", ""]);
}

#[test]
fn a_password_that_is_good_once_is_not_the_accounts() {
    let mut lab = Lab::new();
    let login = Login::Questions(&[("One-time password (OATH) for `x': ", "1")]);
    let behaviour = behaviour(login);
    let server = lab.fake(behaviour.clone());
    lab.add("one", server.port, FROM_ENVIRONMENT);
    check(&lab, "sesame")
        .exits(3)
        .host("one")
        .is("auth-failed")
        .says(&["asks `One-time password"]);
    assert_eq!(*behaviour.passwords.lock().unwrap(), [""]);
}

#[test]
fn a_question_that_comes_again_is_a_refusal() {
    let mut lab = Lab::new();
    let login = Login::Questions(&[("Password: ", "sesame"), ("LDAP Password: ", "other")]);
    let behaviour = behaviour(login);
    let server = lab.fake(behaviour.clone());
    for name in ["one", "two", "three", "four"] {
        lab.add(name, server.port, FROM_ENVIRONMENT);
    }
    check(&lab, "sesame").exits(3);
    let sent = behaviour.passwords.lock().unwrap().clone();
    let words = sent.iter().filter(|word| *word == "sesame").count();
    assert_eq!(words, 2, "{sent:?}");
}

#[test]
fn hosts_of_one_alias_have_passwords_of_their_own() {
    let mut lab = Lab::new();
    for (name, word) in [("one", "first-word"), ("two", "second-word")] {
        let behaviour = behaviour(Login::Password(word));
        let server = lab.fake(behaviour);
        let settings = format!("ssh: {{host: template}}, password: {{command: \"echo {word}\"}}");
        lab.add(name, server.port, &settings);
    }
    let checked = lab.check();
    checked.exits(0);
    for name in ["one", "two"] {
        checked.host(name).is_observed_in_full();
    }
}

#[test]
fn a_jump_of_the_inventory_that_is_not_selected_has_its_password() {
    let mut lab = Lab::new();
    let jump = lab.fake(Behaviour {
        login: Login::Password("gate-word"),
        forward: crate::support::fake::Forward::Connect,
        ..Behaviour::default()
    });
    let server = lab.fake(Behaviour::default());
    lab.add("gate", jump.port, "password: {command: echo gate-word}");
    lab.add("one", server.port, "ssh: {jump: gate}");
    let command = lab.command(&["--format", "json", "check", "one"]);
    let checked = Checked::of(program::run(command), &["one".to_owned()]);
    checked.exits(0).host("one").is_observed_in_full();
}

#[test]
fn a_key_and_a_password_are_two_factors() {
    let mut lab = Lab::new();
    let server = lab.fake(behaviour(Login::KeyAndPassword("sesame")));
    lab.add("one", server.port, FROM_ENVIRONMENT);
    check(&lab, "sesame")
        .exits(0)
        .host("one")
        .is_observed_in_full();
}

#[test]
fn a_wrong_password_is_tried_on_two_hosts_only() {
    let mut lab = Lab::new();
    let behaviour = behaviour(Login::Password("sesame"));
    let server = lab.fake(behaviour.clone());
    for name in ["one", "two", "three", "four", "five"] {
        lab.add(name, server.port, FROM_ENVIRONMENT);
    }
    let checked = check(&lab, "wrong-word");
    checked.exits(3);
    let withheld = lab
        .names()
        .iter()
        .filter(|name| {
            let host = checked.host(name);
            host.is("auth-failed").at("auth");
            host.message().contains("may lock the account")
        })
        .count();
    assert_eq!(withheld, 3);
    assert_eq!(behaviour.passwords.lock().unwrap().len(), 2);
}

#[test]
fn a_host_that_takes_a_key_never_sees_the_password() {
    let mut lab = Lab::new();
    let behaviour = behaviour(Login::Keys);
    let server = lab.fake(behaviour.clone());
    lab.add("one", server.port, FROM_ENVIRONMENT);
    check(&lab, "sesame")
        .exits(0)
        .host("one")
        .is_observed_in_full();
    assert!(behaviour.passwords.lock().unwrap().is_empty());
}

#[test]
fn a_host_with_an_unknown_key_never_sees_the_password() {
    let mut lab = Lab::new();
    let behaviour = behaviour(Login::Password("sesame"));
    let server = lab.fake_with_key(behaviour.clone(), crate::support::fake::new_key());
    lab.add("one", server.port, FROM_ENVIRONMENT);
    check(&lab, "sesame")
        .exits(3)
        .host("one")
        .is("host-key-rejected");
    assert!(behaviour.passwords.lock().unwrap().is_empty());
}

#[test]
fn a_jump_is_not_given_the_password_of_a_host_behind_it() {
    let mut lab = Lab::new();
    let at_jump = behaviour(Login::Password("sesame"));
    let jump = lab.fake(at_jump.clone());
    let server = lab.fake(behaviour(Login::Password("sesame")));
    let settings = format!(
        "{FROM_ENVIRONMENT}, ssh: {{jump: \"tester@127.0.0.1:{}\"}}",
        jump.port
    );
    lab.add("one", server.port, &settings);
    let checked = check(&lab, "sesame");
    checked
        .exits(3)
        .host("one")
        .is("auth-failed")
        .says(&["jump host"]);
    assert!(at_jump.passwords.lock().unwrap().is_empty());
}

#[test]
fn nobody_is_asked_where_there_is_no_terminal() {
    let mut lab = Lab::new();
    let server = lab.fake(behaviour(Login::Password("sesame")));
    lab.add("one", server.port, "");
    let run = program::run(lab.command(&["check", "all", "--ask-pass"]));
    run.exits(78).complains(&[
        "there is no terminal to ask for the SSH password on",
        "{env: NAME}",
    ]);
    assert_eq!(server.accepted(), 0);
}
