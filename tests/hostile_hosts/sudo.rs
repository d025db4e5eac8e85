//! Programs on the host that lie: a sudo, and a shell.

use crate::attack::{Attack, by_login};
use crate::support::fake::Behaviour;
use crate::support::lab::Lab;

const NO_ROOT: &[&str] = &["failed:become"];

/// A login whose `sudo` is this script.
fn sudo(
    name: &'static str,
    does: &'static str,
    ends: &'static [&'static str],
    script: &'static str,
) -> Attack {
    by_login(name, does, ends, "become: sudo, ", move |lab: &Lab| {
        Behaviour {
            programs: Some(lab.write_program(name, "sudo", &format!("#!/bin/sh\n{script}\n"))),
            ..Behaviour::default()
        }
    })
}

/// A login whose shell is this script.
fn shell(
    name: &'static str,
    does: &'static str,
    ends: &'static [&'static str],
    script: &'static str,
) -> Attack {
    by_login(name, does, ends, "", move |_| Behaviour::shell(script))
}

pub(crate) fn attacks() -> Vec<Attack> {
    vec![
        sudo(
            "a sudo that forges frames",
            "its sudo runs nothing and prints frames under a guessed nonce",
            NO_ROOT,
            "cat >/dev/null; n=00000000000000000000000000000000; printf '@%s hello\\nuid=0\\nhostname=forged\\n@%s end\\n' $n $n",
        )
        .says("sudo could not make this login root"),
        sudo(
            "a sudo that asks for a password",
            "its sudo asks for a password on both outputs, takes what it is sent, and fails",
            NO_ROOT,
            "printf '[sudo] password for tester: ' | tee /dev/stderr; cat >/dev/null; exit 1",
        )
        .says("password for tester"),
        sudo(
            "a sudo that asks and waits",
            "its sudo asks for a password and never ends",
            &["timed-out:exec"],
            "printf '[sudo] password for tester: ' >&2; exec sleep 60",
        )
        .waits(),
        sudo(
            "a sudo that does nothing",
            "its sudo ends at once, with success",
            NO_ROOT,
            "exit 0",
        )
        .says("sudo could not make this login root"),
        sudo(
            "a sudo that says escapes",
            "its sudo fails in terminal escapes, one line of 100 KiB",
            NO_ROOT,
            "i=0; while [ $i -lt 3000 ]; do printf '\\033]0;owned\\007\\033[2J\\302\\233\\342\\200\\256x'; i=$((i+1)); done >&2; exit 1",
        ),
        sudo(
            "a sudo that floods",
            "its sudo prints for ever",
            &["failed:exec"],
            "exec yes",
        )
        .says("1024 KiB"),
        sudo(
            "a sudo that floods with errors",
            "its sudo prints errors for ever",
            &["failed:exec", "timed-out:exec"],
            "exec yes >&2",
        )
        .busy(),
        sudo(
            "a sudo that hides in the background",
            "its sudo ends with success and leaves a child that holds the output",
            &["timed-out:exec", "failed:become"],
            "sleep 60 & exit 0",
        )
        .waits(),
        sudo(
            "a sudo that ends half-way",
            "its sudo runs the probe and ends it in the middle",
            &["partial:exec"],
            "shift 4; \"$@\" | head -c 300; exit 0",
        ),
        shell(
            "a shell that sends itself back",
            "prints the script that it was sent, nonce and all, instead of running it",
            &["failed:exec"],
            "exec cat",
        ),
        shell(
            "a shell that kills itself",
            "ends its own process group in the middle of a frame",
            &["partial:exec", "failed:exec"],
            "IFS= read -r n; n=${n#N=?}; n=${n%?}; printf '@%s hello\\nuid=0\\n@%s uni' $n $n; kill -9 0",
        ),
    ]
}
