//! Logins that must become root first.

use crate::support::fake::Behaviour;
use crate::support::lab::Lab;

fn with_sudo(lab: &Lab, script: &str) -> Behaviour {
    Behaviour {
        programs: Some(lab.write_program("programs", "sudo", script)),
        ..Behaviour::default()
    }
}

#[test]
fn a_sudo_that_wants_a_password_fails_to_become_root() {
    let mut lab = Lab::new();
    let behaviour = with_sudo(
        &lab,
        "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n",
    );
    let server = lab.fake(behaviour);
    let checked = lab.check_bad(server.port, "become: sudo");
    checked
        .bad()
        .is("failed")
        .at("become")
        .says(&["root", "a password is required"]);
    checked.bad().hints(&["NOPASSWD"]);
}

#[test]
fn a_sudo_that_works_is_no_obstacle() {
    let mut lab = Lab::new();
    // It must be asked not to prompt, and be told where its options end.
    let script = "#!/bin/sh\n[ \"$1 $2\" = '-n --' ] || exit 9\nshift 2\nexec \"$@\"\n";
    let behaviour = with_sudo(&lab, script);
    let server = lab.fake(behaviour);
    lab.check_odd(server.port, "become: sudo");
}

#[test]
fn a_host_without_sudo_fails_to_become_root() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::shell("PATH=/nonexistent; eval \"$1\""));
    let checked = lab.check_bad(server.port, "become: sudo");
    checked
        .bad()
        .is("failed")
        .at("become")
        .says(&["sudo", "not found"]);
}
