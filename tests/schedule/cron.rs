//! Lines of a crontab.

use std::os::unix::fs::symlink;

use crate::machine::Machine;

/// A crontab as people have them, with bytes that are no UTF-8.
const OTHERS: &[u8] = b"# my jobs\nMAILTO=ops@example.org\n\n0 3 * * *\t/usr/bin/backup  \n# caf\xe9\n*/5 * * * * echo 100\\%\n";

fn crontab(machine: &Machine) -> Vec<u8> {
    std::fs::read(machine.path("crontab")).unwrap()
}

#[test]
fn a_line_comes_and_goes_and_others_stay_as_they_are() {
    let machine = Machine::new();
    machine.write("crontab", OTHERS);
    let checked = machine.schedule(&["install", "--cron", "--check"]);
    checked.exits(4);
    assert!(checked.out().contains("crontab (new)"), "{}", checked.out());
    assert_eq!(crontab(&machine), OTHERS);
    machine.schedule(&["install", "--cron", "--yes"]).exits(0);
    let text = crontab(&machine);
    assert!(text.starts_with(OTHERS));
    let block = String::from_utf8(text[OTHERS.len()..].to_vec()).unwrap();
    insta::assert_snapshot!("a_block_of_a_crontab", machine.tidy(&block));
    let again = machine.schedule(&["install", "--cron", "--yes"]);
    again.exits(0);
    assert!(again.out().contains("nothing to do"), "{}", again.out());
    assert_eq!(crontab(&machine), text);
    // Lines behind it stay behind it.
    let mut longer = text.clone();
    longer.extend_from_slice(b"@daily true\n");
    machine.write("crontab", &longer);
    machine
        .schedule(&["install", "--cron", "--yes", "--every", "15m"])
        .exits(0);
    let changed = crontab(&machine);
    assert!(changed.starts_with(OTHERS) && changed.ends_with(b"@daily true\n"));
    assert!(String::from_utf8_lossy(&changed).contains("\n*/15 * * * * "));
    let shown = machine.schedule(&["show"]);
    shown.exits(0);
    assert!(
        shown.out().contains("in this user's crontab"),
        "{}",
        shown.out()
    );
    machine
        .schedule(&["install", "--cron", "--yes", "--name", "blue"])
        .exits(0);
    machine.schedule(&["remove", "--cron", "--yes"]).exits(0);
    assert!(String::from_utf8_lossy(&crontab(&machine)).contains("schedule clawfleet-check-blue"));
    machine
        .schedule(&["remove", "--cron", "--yes", "--name", "blue"])
        .exits(0);
    assert_eq!(crontab(&machine), [OTHERS, b"@daily true\n"].concat());
    let gone = machine.schedule(&["remove", "--cron", "--yes"]);
    assert!(gone.exits(0).out().contains("nothing to do"));
}

#[test]
fn who_has_no_crontab_gets_one_and_has_none_afterwards() {
    let machine = Machine::new();
    machine.schedule(&["install", "--cron", "--yes"]).exits(0);
    assert!(machine.has("crontab"));
    machine.schedule(&["remove", "--cron", "--yes"]).exits(0);
    assert!(!machine.has("crontab"));
    // A last line without its end gets one: it and ours would be one otherwise.
    machine.write("crontab", "@daily true");
    machine.schedule(&["install", "--cron", "--yes"]).exits(0);
    assert!(crontab(&machine).starts_with(b"@daily true\n# BEGIN clawfleet"));
}

#[test]
fn what_fails_is_put_back() {
    let machine = Machine::new();
    machine.write("crontab", OTHERS);
    machine.write("spoil", "");
    let spoiled = machine.schedule(&["install", "--cron", "--yes"]);
    spoiled
        .exits(5)
        .complains(&["is not what was written", "is back"]);
    assert_eq!(crontab(&machine), OTHERS);
    machine.write("fail-write", "");
    let failed = machine.schedule(&["install", "--cron", "--yes"]);
    failed.exits(5).complains(&["told to fail"]);
    assert_eq!(crontab(&machine), OTHERS);
    // Not to be read is not empty.
    machine.write("fail-list", "");
    let failed = machine.schedule(&["install", "--cron", "--yes"]);
    failed.exits(70).complains(&["you are not allowed"]);
    assert_eq!(crontab(&machine), OTHERS);
}

#[test]
fn marks_that_somebody_tore_are_left_alone() {
    let begin = "# BEGIN clawfleet schedule clawfleet-check\n";
    let end = "# END clawfleet schedule clawfleet-check\n";
    for (text, words) in [
        (format!("{begin}x\n"), "line 1 begins"),
        (format!("\n{end}"), "line 2 ends a block"),
        (format!("{begin}{begin}{end}"), "line 1 begins"),
        (format!("{begin}{end}{begin}{end}"), "two blocks"),
    ] {
        let machine = Machine::new();
        machine.write("crontab", &text);
        for word in ["install", "remove"] {
            let refused = machine.schedule(&[word, "--cron", "--yes"]);
            refused.exits(64).complains(&[words, "crontab -e"]);
        }
        assert_eq!(crontab(&machine), text.as_bytes());
    }
}

#[test]
fn what_cron_cannot_do_is_told() {
    let machine = Machine::new();
    for every in ["7m", "90s", "90m", "5h"] {
        let refused = machine.schedule(&["install", "--cron", "--yes", "--every", every]);
        refused
            .exits(64)
            .complains(&["cron cannot", "5m", "12h", "systemd"]);
    }
    let long = format!("VM1,{}", "VM1,".repeat(300));
    let refused = machine.schedule(&["install", "--cron", "--yes", long.trim_end_matches(',')]);
    refused.exits(64).complains(&["characters long"]);
    machine.without("crontab");
    let refused = machine.schedule(&["install", "--cron", "--yes"]);
    refused
        .exits(64)
        .complains(&["no program crontab", "install cron"]);
    assert!(!machine.has("crontab"));
}

/// The command of the line is run as cron would: by sh, without our environment.
#[test]
fn what_stands_there_runs() {
    let machine = Machine::new();
    machine.write("home/env", "TOKEN='a b'\nexport BEAT=\"x\"\n");
    machine.mode("home/env", 0o600);
    machine.write(
        "home/100% it's.yaml",
        "hosts: {VM1: {address: 127.0.0.1}}\n",
    );
    let inventory = machine.path("home/100% it's.yaml");
    let args = [
        "install",
        "--cron",
        "--yes",
        "--environment-file",
        "env",
        "-i",
        inventory.to_str().unwrap(),
    ];
    machine.schedule(&args).exits(0);
    let text = String::from_utf8(crontab(&machine)).unwrap();
    let line = text.lines().nth(2).unwrap();
    let command = line.strip_prefix("*/5 * * * * ").unwrap();
    // cron takes the backslash from a %; a bare one would end the command.
    assert!(!command.replace("\\%", "").contains('%'), "{command}");
    let command = command.replace("\\%", "%");
    // Another program in its place says what it was given.
    let own = env!("CARGO_BIN_EXE_clawfleet");
    assert!(command.contains(own), "{command}");
    machine.write(
        "bin/said",
        "#!/bin/sh\necho \"$TOKEN|$BEAT|$XDG_STATE_HOME|$2|$3\"\n",
    );
    machine.mode("bin/said", 0o755);
    let said = machine.path("bin/said");
    let command = command.replace(own, said.to_str().unwrap());
    let output = std::process::Command::new("sh")
        .env_clear()
        .args(["-c", &command])
        .output()
        .unwrap();
    let wanted = format!(
        "a b|x|{}|{}|check\n",
        machine.path("home/state").display(),
        inventory.display()
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted);
    machine.schedule(&["show"]).exits(0);
    // Where a link leads is not what is called.
    symlink(own, machine.path("bin/clawfleet")).unwrap();
}
