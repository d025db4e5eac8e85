//! Other users of the machine that clawfleet runs on, who leave links where it writes.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::support::lab::Lab;
use crate::support::program::{self, Finished};

const PRECIOUS: &str = "must stay as it is";

/// A fleet with one unreachable host, so that there is something to remember.
fn lab() -> (Lab, PathBuf) {
    let mut lab = Lab::new();
    let port = lab.closed_port();
    lab.add("gone", port, "");
    let victim = lab.write("victim", PRECIOUS);
    fs::create_dir_all(lab.path("state/clawfleet")).unwrap();
    (lab, victim)
}

fn record(lab: &Lab) -> PathBuf {
    lab.path("state/clawfleet/last-run.json")
}

/// Runs the program in place of a shell that first does something with its own number, which the
/// program keeps.
fn run_after(lab: &Lab, script: &str) -> Finished {
    let program = lab.command(&["check", "all"]);
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", &format!("{script}; exec \"$@\""), "sh"])
        .arg(program.get_program())
        .args(program.get_args())
        .env_clear()
        .current_dir(lab.home());
    for (name, value) in program.get_envs() {
        shell.env(name, value.unwrap());
    }
    program::run(shell)
}

#[test]
fn a_link_in_the_place_of_a_temporary_file_is_not_followed() {
    let (lab, victim) = lab();
    let run = run_after(
        &lab,
        "for name in .last-run.$$ last-run.json.tmp last-run.tmp; do \
         ln -s \"$HOME/victim\" state/clawfleet/$name; done",
    );
    run.exits(3);
    assert_eq!(fs::read_to_string(victim).unwrap(), PRECIOUS);
    assert!(record(&lab).is_file());
}

#[test]
fn a_link_in_the_place_of_the_record_is_replaced() {
    let (lab, victim) = lab();
    symlink(&victim, record(&lab)).unwrap();
    program::run(lab.command(&["check", "all"])).exits(3);
    assert_eq!(fs::read_to_string(victim).unwrap(), PRECIOUS);
    let data = fs::symlink_metadata(record(&lab)).unwrap();
    assert!(data.is_file());
    assert_eq!(data.mode() & 0o777, 0o600);
    let entries = fs::read_dir(lab.path("state/clawfleet")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["history.db", "last-run.json"]);
}

#[test]
fn a_record_that_is_no_file_is_not_read() {
    for place in ["link to /dev/zero", "pipe", "directory"] {
        let (lab, _) = lab();
        match place {
            "pipe" => {
                lab.tool(Command::new("mkfifo").arg(record(&lab)));
            }
            "directory" => fs::create_dir(record(&lab)).unwrap(),
            _ => symlink("/dev/zero", record(&lab)).unwrap(),
        }
        let run = program::run(lab.command(&["check", "@failed"]));
        assert!(run.elapsed < Duration::from_secs(5), "{place}");
        assert_ne!(run.code, Some(0), "{place}: {}", run.out());
        run.complains(&["last-run.json"]);
    }
}

#[test]
fn a_state_directory_that_cannot_be_written_hides_no_result() {
    let (lab, victim) = lab();
    fs::remove_dir(lab.path("state/clawfleet")).unwrap();
    symlink(&victim, lab.path("state/clawfleet")).unwrap();
    let run = program::run(lab.command(&["check", "all"]));
    run.exits(3).complains(&["last-run.json"]);
    assert_eq!(fs::read_to_string(victim).unwrap(), PRECIOUS);
}
