//! Logins that must become another user first.

use crate::support::fake::Behaviour;
use crate::support::lab::Lab;
use crate::support::program;
use crate::support::report::Checked;

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
        .says(&["sudo asks for a password"]);
    checked
        .bad()
        .hints(&["NOPASSWD", "--ask-become-pass", "become_password"]);
}

#[test]
fn a_sudo_that_works_is_no_obstacle() {
    let mut lab = Lab::new();
    // It must be asked not to prompt, and be told where its options end.
    let script =
        "#!/bin/sh\n[ \"$1 $2 $3 $4\" = '-n -u root --' ] || exit 9\nshift 4\nexec \"$@\"\n";
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

/// A sudo that asks for `sesame` as the real one does, and writes down how it was called.
const ASKING: &str = r#"#!/bin/sh
echo "$*" >>"$HOME/sudo.log"
env >>"$HOME/sudo.log"
prompt=$SUDO_PROMPT
while [ $# -gt 0 ]; do
    case $1 in
    -n) echo 'sudo: a password is required' >&2; exit 1 ;;
    -S) shift ;;
    -p) prompt=$2; shift 2 ;;
    -u) shift 2 ;;
    --) shift; break ;;
    esac
done
echo 'We trust you have received the usual lecture.' >&2
for try in 1 2 3; do
    printf %s "$prompt" >&2
    read -r word || exit 1
    [ "$word" = sesame ] && exec "$@"
    echo 'Sorry, try again.' >&2
done
exit 1
"#;

fn check_with_password(lab: &Lab, word: &str) -> Checked {
    let mut command = lab.command(&["-vvv", "--format", "json", "check", "all"]);
    command.env("BECOME", word);
    let run = program::run(command);
    let log = std::fs::read_to_string(lab.path("sudo.log")).unwrap();
    assert!(!run.stderr.contains(word), "the password is in the log");
    assert!(!run.out().contains(word), "the password is in the report");
    assert!(!log.contains(word), "the password was on a command line");
    Checked::of(run, &lab.names())
}

const FROM_ENVIRONMENT: &str = "become: sudo, become_password: {env: BECOME}";

#[test]
fn a_password_is_given_to_a_sudo_that_asks_for_it() {
    let mut lab = Lab::new();
    let server = lab.fake(with_sudo(&lab, ASKING));
    lab.add("one", server.port, FROM_ENVIRONMENT);
    let checked = check_with_password(&lab, "sesame");
    checked.exits(0).host("one").is_observed_in_full();
}

#[test]
fn a_wrong_password_is_tried_on_two_hosts_only() {
    let mut lab = Lab::new();
    let server = lab.fake(with_sudo(&lab, ASKING));
    for name in ["one", "two", "three", "four", "five"] {
        lab.add(name, server.port, FROM_ENVIRONMENT);
    }
    let checked = check_with_password(&lab, "wrong-word");
    checked.exits(3);
    let mut refused = 0;
    for name in lab.names() {
        let host = checked.host(&name);
        host.is("failed").at("become");
        if host.message().contains("sudo refuses the password") {
            refused += 1;
        } else {
            host.says(&["other hosts refused", "no account is locked"]);
        }
    }
    assert_eq!(refused, 2);
}

#[test]
fn a_password_is_not_given_to_a_sudo_that_needs_none() {
    let mut lab = Lab::new();
    let script = "#!/bin/sh\necho \"$*\" >>\"$HOME/sudo.log\"\nwhile [ \"$1\" != -- ]; do shift; done; shift\nexec \"$@\"\n";
    let server = lab.fake(with_sudo(&lab, script));
    lab.add("one", server.port, FROM_ENVIRONMENT);
    let checked = check_with_password(&lab, "sesame");
    checked.exits(0).host("one").is_observed_in_full();
    let log = std::fs::read_to_string(lab.path("sudo.log")).unwrap();
    assert!(!log.contains("-S"), "it was asked to ask: {log}");
}

#[test]
fn what_sudo_says_is_told_by_its_cause() {
    let cases: [(&str, &[&str]); 4] = [
        (
            "echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1",
            &["wants a terminal"],
        ),
        (
            "echo 'tester is not in the sudoers file.' >&2; exit 1",
            &["does not let this login become root"],
        ),
        (
            "case $1 in -n) exit 1; esac; printf 'Verification code: ' >&2; sleep 30",
            &["asks `Verification code:`"],
        ),
        (
            "case $1 in -n) exit 1; esac; sleep 30",
            &["neither asked for a password nor let us through"],
        ),
    ];
    for (script, says) in cases {
        let mut lab = Lab::new();
        let server = lab.fake(with_sudo(&lab, &format!("#!/bin/sh\n{script}\n")));
        lab.write("sudo.log", "");
        let settings = format!("{FROM_ENVIRONMENT}, timeouts: {{exec: 1s}}");
        lab.add("one", server.port, &settings);
        let checked = check_with_password(&lab, "sesame");
        checked.exits(3).host("one").at("become").says(says);
    }
}
