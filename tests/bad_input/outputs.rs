//! Formats that a command has not, and files that cannot be written: told before any host is asked.

use crate::Desk;

/// A host that would be seen, if it were asked.
const HERE: &str = "hosts: {here: {transport: local, role: none}}\n";

#[test]
fn a_format_that_a_command_has_not_is_usage() {
    let desk = Desk::with(HERE);
    let reports = ["csv", "markdown", "junit", "prometheus", "nagios", "html"];
    let commands: [&[&str]; 12] = [
        &["run", "all", "--", "true"],
        &["copy", "all", "inventory.yaml", ":/tmp/x"],
        &["harden", "all"],
        &["fix", "all"],
        &["restart", "all"],
        &["rollback"],
        &["history", "--rollouts"],
        &["inventory", "list"],
        &["inventory", "init", "new.yaml"],
        &["hosts", "trust", "all"],
        &["explain"],
        &["check", "--list"],
    ];
    for command in commands {
        for format in reports {
            let mut args = vec!["--format", format];
            args.extend(command);
            desk.run(&args).exits(64).prints_nothing().complains(&[
                &format!("--format {format}"),
                "`check`",
                "table, json",
            ]);
        }
    }
    for command in &commands[2..] {
        let mut args = vec!["--format", "ndjson"];
        args.extend(*command);
        desk.run(&args)
            .exits(64)
            .prints_nothing()
            .complains(&["--format ndjson", "`check`, `run` and `copy`"]);
    }
    assert!(!desk.path("new.yaml").exists());
}

#[test]
fn an_output_is_written_format_and_path() {
    let desk = Desk::with(HERE);
    for (output, words) in [
        ("check.xml", "FORMAT=PATH"),
        ("xml=check.xml", "`xml` is no format; there are table, json"),
        ("JUNIT=check.xml", "no format"),
        ("=check.xml", "no format"),
        ("junit=", "a path stands behind the `=`"),
        ("junit=-", "--format is what goes to stdout"),
    ] {
        desk.run(&["check", "all", "--output", output])
            .exits(64)
            .prints_nothing()
            .complains(&["--output", words]);
    }
    desk.run(&["check", "--list", "--output", "csv=a.csv"])
        .exits(64)
        .prints_nothing()
        .complains(&["--output", "--list"]);
    desk.run(&["harden", "all", "--output", "csv=a.csv"])
        .exits(64)
        .prints_nothing()
        .complains(&["--output"]);
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_any_host_is_asked() {
    let desk = Desk::with(HERE);
    desk.write("file", "in the way");
    std::fs::create_dir(desk.path("dir")).unwrap();
    std::os::unix::fs::symlink(desk.path("target"), desk.path("link")).unwrap();
    for (path, words) in [
        ("no/such/check.xml", "there is no directory no/such"),
        ("file/check.xml", "directory"),
        ("dir", "it is a directory"),
        ("dir/..", "names no file"),
        ("link", "symbolic link"),
        ("/dev/null", "it is no regular file"),
        ("/proc/check.xml", "no file can be made in /proc"),
    ] {
        let run = desk.run(&["check", "all", "--output", &format!("junit={path}")]);
        run.exits(64).prints_nothing().complains(&[
            &format!("--output junit={path}:"),
            words,
            "no host was asked",
        ]);
    }
    assert_eq!(desk.read("file"), "in the way");
    assert!(!desk.path("target").exists());
    // Not even the one that could be written is.
    desk.run(&[
        "check",
        "all",
        "--output",
        "csv=a.csv",
        "--output",
        "junit=no/b.xml",
    ])
    .exits(64)
    .prints_nothing();
    assert!(!desk.path("a.csv").exists());
}

#[test]
fn two_outputs_with_one_file_are_usage() {
    let desk = Desk::with(HERE);
    let here = desk.path("a").display().to_string();
    for other in ["a", "./a", here.as_str()] {
        desk.run(&[
            "check",
            "all",
            "--output",
            "csv=a",
            "--output",
            &format!("json={other}"),
        ])
        .exits(64)
        .prints_nothing()
        .complains(&["another --output has the same file"]);
    }
}

/// A plugin that cannot look says so where the server reads it.
#[test]
fn a_plugin_without_an_inventory_is_unknown() {
    let desk = Desk::new();
    let run = desk.run(&["--format", "nagios", "check"]);
    run.exits(3).complains(&["error: no inventory"]);
    assert!(run.out().starts_with("CLAWFLEET UNKNOWN - no inventory"));
    assert_eq!(run.out().lines().count(), 1);
    // Words that the command line does not have are no check at all.
    desk.run(&["--format", "nagios", "check", "--no-such"])
        .exits(64)
        .prints_nothing();
}
