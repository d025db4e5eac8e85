//! Inventory files that are not there, cannot be read, or are something else.

use std::time::Duration;

use crate::Desk;

const GOOD: &str = "hosts: {VM1: {address: 192.0.2.1}}\n";

#[test]
fn no_inventory_at_all_names_the_places_and_how_to_make_one() {
    // A machine may have a file in /etc, and then this is another case.
    assert!(
        !std::path::Path::new("/etc/clawfleet/inventory.yaml").exists(),
        "this test needs a machine without /etc/clawfleet/inventory.yaml"
    );
    let desk = Desk::new();
    let run = desk.run(&["check", "all"]);
    run.exits(78).prints_nothing();
    let own = desk
        .path("config/clawfleet/inventory.yaml")
        .display()
        .to_string();
    run.complains(&[
        "inventory.yaml",
        &own,
        "/etc/clawfleet/inventory.yaml",
        "inventory init",
    ]);
}

#[test]
fn a_named_inventory_that_is_missing_is_named() {
    let desk = Desk::with(GOOD);
    let run = desk.run(&["-i", "other.yaml", "check", "all"]);
    run.exits(78)
        .prints_nothing()
        .complains(&["other.yaml", "no such file"]);
}

#[test]
fn a_named_inventory_is_not_replaced_by_one_that_is_found() {
    let desk = Desk::with(GOOD);
    let mut command = crate::support::program::clawfleet(desk.home());
    command
        .args(["inventory", "list"])
        .env("CLAWFLEET_INVENTORY", "elsewhere.yaml");
    let run = crate::support::program::run(command);
    run.exits(78)
        .prints_nothing()
        .complains(&["elsewhere.yaml", "no such file"]);
}

#[test]
fn the_places_are_searched_in_their_order() {
    let desk = Desk::new();
    desk.write(
        "config/clawfleet/inventory.yaml",
        "hosts: {from-config: {}}\n",
    );
    assert!(
        desk.run(&["inventory", "list"])
            .exits(0)
            .out()
            .contains("from-config")
    );
    desk.write("inventory.yaml", "hosts: {from-here: {}}\n");
    assert!(
        desk.run(&["inventory", "list"])
            .exits(0)
            .out()
            .contains("from-here")
    );
    desk.write("env.yaml", "hosts: {from-environment: {}}\n");
    desk.write("option.yaml", "hosts: {from-option: {}}\n");
    for (args, wanted) in [
        (&["inventory", "list"][..], "from-environment"),
        (&["-i", "option.yaml", "inventory", "list"], "from-option"),
    ] {
        let mut command = crate::support::program::clawfleet(desk.home());
        command.args(args).env("CLAWFLEET_INVENTORY", "env.yaml");
        let run = crate::support::program::run(command);
        assert!(run.exits(0).out().contains(wanted), "{}", run.out());
    }
}

#[test]
fn a_directory_is_no_inventory() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("inventory.yaml")).unwrap();
    let run = desk.run(&["check", "all"]);
    run.exits(78)
        .prints_nothing()
        .complains(&["inventory.yaml", "is a directory"]);
}

#[test]
fn a_path_through_a_file_cannot_be_read() {
    let desk = Desk::with(GOOD);
    let run = desk.run(&["-i", "inventory.yaml/inner.yaml", "check", "all"]);
    run.exits(78)
        .prints_nothing()
        .complains(&["inventory.yaml/inner.yaml", "not a directory"]);
}

#[test]
fn a_dangling_link_is_an_error_and_not_passed_over() {
    let desk = Desk::new();
    desk.write("config/clawfleet/inventory.yaml", GOOD);
    std::os::unix::fs::symlink("nowhere", desk.path("inventory.yaml")).unwrap();
    let run = desk.run(&["inventory", "list"]);
    run.exits(78)
        .prints_nothing()
        .complains(&["inventory.yaml", "no such file"]);
}

#[test]
fn an_empty_file_says_how_to_begin() {
    for text in ["", "\n", "  \n\t\n"] {
        let desk = Desk::with(text);
        let run = desk.run(&["check", "all"]);
        run.exits(78)
            .prints_nothing()
            .complains(&["inventory.yaml", "empty", "inventory init"]);
    }
}

#[test]
fn a_file_without_hosts_says_so() {
    for text in [
        "# nothing but a remark\n",
        "hosts:\n",
        "hosts: {}\n",
        "groups: {a: {}}\n",
    ] {
        let desk = Desk::with(text);
        let run = desk.run(&["check", "all"]);
        run.exits(78)
            .prints_nothing()
            .complains(&["no host", "`hosts`"]);
    }
}

#[test]
fn a_binary_file_is_refused_at_its_first_odd_byte() {
    let desk = Desk::new();
    desk.write(
        "inventory.yaml",
        b"hosts:\n  a: {}\n  \xff\xfe\x00\x01: {}\n",
    );
    let run = desk.run(&["check", "all"]);
    run.exits(78)
        .prints_nothing()
        .complains(&["inventory.yaml:3:", "not text"]);
}

#[test]
fn an_executable_is_refused() {
    let desk = Desk::new();
    let program = env!("CARGO_BIN_EXE_clawfleet");
    // The beginning of it: the whole is refused for its size.
    let bytes = std::fs::read(program).unwrap();
    desk.write("inventory.yaml", &bytes[..100_000]);
    let run = desk.run(&["check", "all"]);
    run.exits(78).prints_nothing().complains(&["not text"]);
    assert!(run.stderr.len() < 1000, "{}", run.stderr);
}

#[test]
fn zero_bytes_are_refused() {
    let desk = Desk::new();
    desk.write("inventory.yaml", [0; 4096]);
    let run = desk.run(&["check", "all"]);
    run.exits(78)
        .prints_nothing()
        .complains(&["inventory.yaml"]);
    assert!(!run.stderr.contains('\0'), "{:?}", run.stderr);
}

#[test]
fn ten_megabytes_are_refused_unread() {
    let desk = Desk::new();
    let mut text = b"hosts: {a: {}}\n#".to_vec();
    text.resize(10 << 20, b'x');
    desk.write("inventory.yaml", text);
    let run = desk.run(&["check", "all"]);
    run.exits(78)
        .prints_nothing()
        .complains(&["inventory.yaml", "10 MiB"]);
    assert!(run.elapsed < Duration::from_secs(2), "{:?}", run.elapsed);
}

#[test]
fn an_endless_file_is_refused() {
    let desk = Desk::new();
    let mut command = std::process::Command::new("/bin/sh");
    // Should it be read to its end, it may take no more than this.
    let script = format!(
        "ulimit -v 1000000; exec {} -i /dev/zero check all",
        env!("CARGO_BIN_EXE_clawfleet")
    );
    command
        .args(["-c", &script])
        .env_clear()
        .env("HOME", desk.home())
        .current_dir(desk.home());
    let run = crate::support::program::run(command);
    run.exits(78).prints_nothing().complains(&["/dev/zero"]);
}
