//! Servers that do not let us in.

use std::time::Duration;

use crate::support::fake::{Behaviour, Login};
use crate::support::lab::Lab;

const AUTH_1S: &str = "timeouts: {auth: 1s}";

fn behaving(login: Login) -> Behaviour {
    Behaviour {
        login,
        ..Behaviour::default()
    }
}

#[test]
fn a_refused_login_names_the_user_and_the_key() {
    let mut lab = Lab::new();
    let server = lab.fake(behaving(Login::Refuse));
    let checked = lab.check_bad(server.port, AUTH_1S);
    let key = lab.path("key").display().to_string();
    checked
        .bad()
        .is("auth-failed")
        .at("auth")
        .says(&["tester", "refused", &key]);
    checked.bad().hints(&["authorized_keys"]);
}

#[test]
fn a_close_during_the_login_is_a_failed_login() {
    let mut lab = Lab::new();
    let server = lab.fake(behaving(Login::HangUp));
    let checked = lab.check_bad(server.port, AUTH_1S);
    checked
        .bad()
        .is("auth-failed")
        .at("auth")
        .says(&["connection", "during the login"]);
    checked.bad().took_at_most(Duration::from_secs(3));
}

#[test]
fn a_login_that_is_never_answered_costs_its_deadline() {
    let mut lab = Lab::new();
    let server = lab.fake(behaving(Login::Silent));
    let checked = lab.check_bad(server.port, AUTH_1S);
    checked
        .bad()
        .is("timed-out")
        .at("auth")
        .says(&["not answered in time"]);
    checked
        .bad()
        .took_at_least(Duration::from_secs(1))
        .took_at_most(Duration::from_secs(3));
}

#[test]
fn a_notice_before_the_login_is_no_obstacle() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour {
        greeting: Some("\u{1b}[2JAuthorised use only\r\n".repeat(100)),
        ..Behaviour::default()
    });
    lab.check_odd(server.port, "");
}

#[test]
fn no_more_keys_are_offered_than_servers_bear() {
    let mut lab = Lab::new();
    let server = lab.fake(behaving(Login::Refuse));
    let files: Vec<String> = (0..9)
        .map(|number| {
            let path = lab.write_key(&format!("key{number}"), &crate::support::fake::new_key());
            path.display().to_string()
        })
        .collect();
    let checked = lab.check_bad(server.port, &format!("identity: [{}]", files.join(", ")));
    let offered = files
        .iter()
        .filter(|file| checked.bad().message().contains(file.as_str()));
    checked.bad().is("auth-failed").at("auth");
    // sshd hangs up at its sixth refusal.
    assert_eq!(offered.count(), 6, "{}", checked.bad().message());
    checked.bad().says(&["3 more", "IdentitiesOnly"]);
}
