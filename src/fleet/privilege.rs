//! Why a login could not become the user that the probe needs to be.

use crate::model::{BecomeHow, Host, HostError, HostOutcome, Stage};
use crate::ssh::{ExecEnd, ExecOutput};

/// Reads the reason from what sudo, doas or su said. `None` where they are not to blame.
pub(super) fn refused(host: &Host, output: &ExecOutput, stage: Stage) -> Option<HostOutcome> {
    let program = match host.privilege.how {
        BecomeHow::None => return None,
        BecomeHow::Sudo => "sudo",
        BecomeHow::Doas => "doas",
        BecomeHow::Su => "su",
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let error = match &output.end {
        ExecEnd::WrongPassword => wrong_password(program),
        ExecEnd::PasswordWithheld => HostError::new(
            Stage::Become,
            format!(
                "{program} asks for a password, and other hosts refused the one we have: it is tried no more, so that no account is locked"
            ),
        ),
        ExecEnd::PasswordWanted => password_wanted(program),
        // A question that is not the one for the password, and nobody to answer it.
        ExecEnd::TimedOut if stage == Stage::Become => {
            let question = last_line(&said);
            let message = match (question, output.password_sent) {
                (Some(question), _) => format!(
                    "{program} asks `{question}`, which is not its question for the password and cannot be answered"
                ),
                (None, true) => format!("{program} did not answer the password in time"),
                (None, false) => {
                    format!("{program} neither asked for a password nor let us through in time")
                }
            };
            return Some(HostOutcome::TimedOut(
                HostError::new(Stage::Become, message)
                    .hint("a second factor cannot be given to a fleet; use a login or a rule that needs none"),
            ));
        }
        ExecEnd::Exited(code) if !output.ready => exited(host, program, *code, &said, output),
        _ => return None,
    };
    Some(HostOutcome::Failed(error))
}

fn exited(host: &Host, program: &str, code: u32, said: &str, output: &ExecOutput) -> HostError {
    let user = &host.privilege.user;
    let any = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let says = last_line(said)
        .map(|line| format!(": {line}"))
        .unwrap_or_default();
    if any(&[
        "not in the sudoers",
        "is not allowed to",
        "may not run sudo",
        "not permitted",
        "Permission denied",
    ]) {
        return HostError::new(
            Stage::Become,
            format!("{program} does not let this login become {user}{says}"),
        )
        .hint("the host's own rules decide that: `sudo -l` as the login lists them");
    }
    if output.password_sent || any(&["Authentication failure", "incorrect password"]) {
        return wrong_password(program);
    }
    if any(&["must have a tty", "no tty present", "a tty is required"]) {
        return HostError::new(
            Stage::Become,
            format!("{program} wants a terminal, and there is none{says}"),
        )
        .hint(match program {
            "sudo" => "in sudoers: `Defaults:LOGIN !requiretty`, and a NOPASSWD rule or a `become_password`",
            _ => "in doas.conf: a `nopass` rule for the login",
        });
    }
    if any(&[
        "password is required",
        "a terminal is required",
        "Authentication required",
        "Authorization required",
    ]) {
        return password_wanted(program);
    }
    if code == 127 {
        return HostError::new(Stage::Become, format!("the host has no {program}{says}"))
            .hint("set `become` to what it has, or log in as root");
    }
    HostError::new(
        Stage::Become,
        format!("{program} could not make this login {user}{says}"),
    )
    .hint("try it by hand on the host; the login needs a rule without a password, or a `become_password`")
}

fn wrong_password(program: &str) -> HostError {
    HostError::new(Stage::Become, format!("{program} refuses the password"))
        .hint("is it this login's password on this host? for su it is the other user's")
}

fn password_wanted(program: &str) -> HostError {
    HostError::new(Stage::Become, format!("{program} asks for a password")).hint(match program {
        "doas" => "doas asks on a terminal only: give the login a `nopass` rule in doas.conf",
        _ => "give it with --ask-become-pass or `become_password`, or the login a rule without one (`NOPASSWD: ALL`)",
    })
}

/// The last line that the program said: our own words are none of it, though its own may stand
/// behind them on a line.
fn last_line(said: &str) -> Option<&str> {
    let ours = ["clawfleet-asks-", "clawfleet-ready-"];
    said.lines()
        .map(|line| match line.split_once("clawfleet-password-") {
            Some((_, rest)) => rest.split_once(':').map_or(rest, |(_, after)| after),
            None => line,
        })
        .map(str::trim)
        .rfind(|line| !line.is_empty() && !ours.iter().any(|word| line.starts_with(word)))
}
