//! Command lines that are wrong, and `inventory init`.

use crate::Desk;

#[test]
fn an_unknown_option_is_usage() {
    let desk = Desk::new();
    desk.run(&["check", "--fork", "3"])
        .exits(64)
        .prints_nothing()
        .complains(&["--fork", "--forks"]);
    desk.run(&["--fromat", "json", "check"])
        .exits(64)
        .prints_nothing()
        .complains(&["--fromat", "--format"]);
}

#[test]
fn an_unknown_command_is_usage() {
    let desk = Desk::new();
    desk.run(&["chekc"])
        .exits(64)
        .prints_nothing()
        .complains(&["chekc", "check"]);
    desk.run(&[])
        .exits(64)
        .prints_nothing()
        .complains(&["Usage"]);
}

#[test]
fn a_value_out_of_range_is_usage() {
    let desk = Desk::new();
    for value in ["0", "-1", "many", "70000", ""] {
        desk.run(&["check", &format!("--forks={value}")])
            .exits(64)
            .prints_nothing()
            .complains(&["--forks"]);
    }
    desk.run(&["--format", "xml", "check"])
        .exits(64)
        .prints_nothing()
        .complains(&["xml", "table, json"]);
    desk.run(&["-q", "-v", "check"])
        .exits(64)
        .prints_nothing()
        .complains(&["--quiet", "--verbose"]);
}

#[test]
fn an_unknown_class_is_usage() {
    let desk = Desk::new();
    for class in [
        "orphan",
        "orphan-hold-port",
        "",
        "\u{1b}[2J",
        "Orphan-Holds-Port",
    ] {
        let run = desk.run(&["explain", class]);
        run.exits(64)
            .prints_nothing()
            .complains(&["no class", "explain"]);
        assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
    }
    assert!(
        desk.run(&["explain", "orphan-holds-port"])
            .exits(0)
            .out()
            .contains("orphan-holds-port")
    );
}

#[test]
fn a_fix_names_its_hosts_and_what_it_may_do() {
    let desk = Desk::new();
    for (args, complaint) in [
        (&["fix"][..], &["SELECTOR"][..]),
        (&["fix", "all", "--keep", "both"], &["--keep", "user:NAME"]),
        (&["fix", "all", "--keep", "user:"], &["--keep", "user:NAME"]),
        (
            &["fix", "all", "--class", "model-skipped", "--model", "opus"],
            &["--model", "anthropic/claude-opus-4-6"],
        ),
        (
            &[
                "fix",
                "all",
                "--class",
                "model-skipped",
                "--model",
                "a/b\"}",
            ],
            &["--model", "with its provider"],
        ),
        (&["fix", "all", "--model", "a/b"], &["--class"]),
        (
            &["fix", "all", "--class", "no-linger", "--model", "a/b"],
            &["--model", "--class model-skipped"],
        ),
        (
            &["fix", "all", "--class", "orphans"],
            &["no class `orphans`", "explain"],
        ),
    ] {
        desk.run(args)
            .exits(64)
            .prints_nothing()
            .complains(complaint);
    }
}

#[test]
fn help_and_version_are_answers() {
    let desk = Desk::new();
    for args in [
        &["--help"][..],
        &["--version"],
        &["check", "--help"],
        &["help", "check"],
    ] {
        let run = desk.run(args);
        assert!(!run.exits(0).out().is_empty());
        assert_eq!(run.stderr, "");
    }
}

#[test]
fn init_writes_an_inventory_that_works() {
    let desk = Desk::new();
    desk.run(&["inventory", "init"]).exits(0).complains(&[]);
    assert_eq!(
        desk.read("inventory.yaml"),
        include_str!("../../inventory.example.yaml")
    );
    assert!(
        desk.run(&["inventory", "list"])
            .exits(0)
            .out()
            .contains("VM151")
    );
}

#[test]
fn init_leaves_an_existing_file_as_it_is() {
    let desk = Desk::with("hosts: {mine: {}}\n");
    let run = desk.run(&["inventory", "init"]);
    run.exits(64)
        .prints_nothing()
        .complains(&["inventory.yaml", "exists already"]);
    assert_eq!(desk.read("inventory.yaml"), "hosts: {mine: {}}\n");
    // An empty one is somebody's, too.
    desk.write("empty.yaml", "");
    desk.run(&["inventory", "init", "empty.yaml"]).exits(64);
    assert_eq!(desk.read("empty.yaml"), "");
}

#[test]
fn init_writes_through_no_link() {
    let desk = Desk::new();
    std::os::unix::fs::symlink(desk.path("target"), desk.path("inventory.yaml")).unwrap();
    desk.run(&["inventory", "init"])
        .exits(64)
        .prints_nothing()
        .complains(&["exists already"]);
    assert!(!desk.path("target").exists());
}

#[test]
fn init_into_a_directory_that_is_not_there_says_so() {
    let desk = Desk::new();
    let run = desk.run(&["inventory", "init", "no/such/inventory.yaml"]);
    run.prints_nothing()
        .complains(&["no/such/inventory.yaml", "No such file or directory"]);
    assert!(!matches!(run.code, Some(0) | None), "{run:?}");
}

#[test]
fn a_state_directory_that_cannot_be_written_hides_no_result() {
    let desk = Desk::with("hosts: {here: {transport: local, role: none}}\n");
    // A file where the directory should be, which stops root, too.
    desk.write("state", "in the way");
    let run = desk.run(&["--format", "json", "check", "all"]);
    assert!(matches!(run.code, Some(0 | 1)), "{run:?}");
    let json: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(json["hosts"][0]["outcome"], "observed");
    run.complains(&["note:", "@failed", "state"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let desk = Desk::with("hosts: {\"VM[1-9999]\": {}}\n");
    let mut command = std::process::Command::new("/bin/sh");
    let script = format!(
        "{} inventory list | head -n 1; exit 0",
        env!("CARGO_BIN_EXE_clawfleet")
    );
    command
        .args(["-c", &script])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", desk.home())
        .current_dir(desk.home());
    let run = crate::support::program::run(command);
    run.exits(0);
    assert_eq!(run.stderr, "");
    assert_eq!(run.out().lines().count(), 1);
}
