//! Small files that would become large.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use crate::Desk;
use crate::support::program::{self, Finished};

/// Runs `inventory list` with at most that much memory, so that a bomb that goes off harms nobody.
fn list(text: &str) -> Finished {
    let desk = Desk::with(text);
    let script = format!(
        "ulimit -v 1000000; exec {} inventory list",
        env!("CARGO_BIN_EXE_clawfleet")
    );
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &script])
        .env_clear()
        .env("HOME", desk.home())
        .current_dir(desk.home());
    let run = program::run(command);
    // The desk must outlive the run.
    drop(desk);
    run
}

#[track_caller]
fn refuses_quickly(text: &str, words: &[&str]) {
    let run = list(text);
    run.exits(78)
        .prints_nothing()
        .complains(&["inventory.yaml"])
        .complains(words);
    assert!(run.elapsed < Duration::from_secs(5), "{:?}", run.elapsed);
    assert!(run.peak_kib < 150 << 10, "{} KiB", run.peak_kib);
    assert!(
        run.stderr.len() < 2000,
        "{} bytes of complaint",
        run.stderr.len()
    );
}

/// Nine levels of ten aliases each, below a key.
fn alias_bomb(head: &str, indent: &str) -> String {
    let mut text = format!("{head}{indent}x0: &x0 [a,a,a,a,a,a,a,a,a,a]\n");
    for level in 1..10 {
        let inner = vec![format!("*x{}", level - 1); 10].join(",");
        writeln!(text, "{indent}x{level}: &x{level} [{inner}]").unwrap();
    }
    text
}

#[test]
fn an_alias_bomb_is_refused() {
    refuses_quickly(
        &alias_bomb("hosts:\n  VM1:\n    vars:\n", "      "),
        &["alias"],
    );
}

#[test]
fn an_alias_bomb_of_mappings_is_refused() {
    let mut text = "hosts:\n  VM1:\n    vars:\n      x0: &x0 {a: 1, b: 2, c: 3}\n".to_owned();
    for level in 1..20 {
        let inner = ["p", "q", "r", "s"]
            .map(|key| format!("{key}: *x{}", level - 1))
            .join(", ");
        writeln!(text, "      x{level}: &x{level} {{{inner}}}").unwrap();
    }
    refuses_quickly(&text, &["alias"]);
}

#[test]
fn an_alias_to_itself_is_refused() {
    refuses_quickly(
        "hosts: {VM1: {vars: {x: &x [1, *x]}}}\n",
        &["inventory.yaml:1:"],
    );
    refuses_quickly("hosts: &h {VM1: *h}\n", &["inventory.yaml:1:"]);
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let text = format!(
            "hosts: {{VM1: {{vars: {{x: {}1{}}}}}}}\n",
            open.repeat(50_000),
            close.repeat(50_000)
        );
        refuses_quickly(&text, &["inventory.yaml:1:"]);
    }
    refuses_quickly(&"- ".repeat(50_000), &["inventory.yaml:1:"]);
}

#[test]
fn a_node_set_of_too_many_names_is_refused() {
    refuses_quickly(
        "hosts: {\"VM[1-99999999999]\": {}}\n",
        &["more than", "names"],
    );
    refuses_quickly(
        "hosts: {\"VM[1-9999]x[1-9999]y[1-9999]\": {}}\n",
        &["more than", "names"],
    );
    refuses_quickly(
        "groups: {a: {hosts: \"VM[1-99999999999]\"}}\nhosts: {VM1: {}}\n",
        &["more than", "names"],
    );
}

#[test]
fn many_large_node_sets_are_refused_together() {
    let mut text = "hosts:\n".to_owned();
    for set in 'a'..='z' {
        writeln!(text, "  \"{set}[1-90000]\": {{}}").unwrap();
    }
    refuses_quickly(&text, &["hosts"]);
}

#[test]
fn a_node_set_bomb_in_a_selector_is_refused() {
    let desk = Desk::with("hosts: {VM1: {}}\n");
    let run = desk.run(&["inventory", "list", "VM[1-99999999999]"]);
    run.exits(64)
        .prints_nothing()
        .complains(&["more than", "names"]);
    assert!(run.elapsed < Duration::from_secs(2), "{:?}", run.elapsed);
}

#[test]
fn a_long_line_is_no_trouble() {
    let name = "x".repeat(1 << 20);
    let run = list(&format!("hosts: {{VM1: {{\"{name}\": 1}}}}\n"));
    run.exits(78).prints_nothing();
    assert!(
        run.stderr.len() < 2000,
        "{} bytes of complaint",
        run.stderr.len()
    );
}

#[test]
fn ten_thousand_hosts_are_no_bomb() {
    let mut text = "defaults: {user: ops}\ngroups:\n  g: {hosts: \"h[0001-9999]\", labels: {site: a}}\nhosts:\n".to_owned();
    for number in 1..10_000 {
        writeln!(
            text,
            "  h{number:04}: {{address: 10.0.{}.{}, labels: {{rack: r{}}}}}",
            number / 250,
            number % 250 + 1,
            number % 40
        )
        .unwrap();
    }
    let run = list(&text);
    run.exits(0);
    assert_eq!(run.out().lines().count(), 10_000);
    assert!(run.elapsed < Duration::from_secs(15), "{:?}", run.elapsed);
}
