//! Selectors that mean nothing.

use crate::Desk;

const INVENTORY: &str = "groups:\n  gateways: {hosts: \"VM[151-153]\", labels: {site: a}}\n  spares: {hosts: VM160}\nhosts:\n  \"VM[151-153]\": {address: \"192.0.2.[151-153]\"}\n  VM160: {address: 192.0.2.160}\n";

/// Every command that selects answers the same.
#[track_caller]
fn refuses(selector: &str, words: &[&str]) {
    let desk = Desk::with(INVENTORY);
    for command in [
        &["check"][..],
        &["inventory", "list"],
        &["inventory", "show"],
        &["--format", "json", "check"],
    ] {
        let run = desk.run(&[command, &[selector]].concat());
        run.exits(64).prints_nothing().complains(words);
    }
}

#[test]
fn an_unknown_host_has_a_suggestion() {
    refuses("VN151", &["`VN151`", "did you mean `VM151`?"]);
    refuses("database", &["`database`", "inventory list"]);
    refuses("VM[151-154]", &["`VM154`"]);
}

#[test]
fn an_unknown_group_has_a_suggestion() {
    refuses("@gatewys", &["`gatewys`", "did you mean `gateways`?"]);
    refuses("@databases", &["`databases`", "gateways, spares"]);
    refuses("@", &["no group", "gateways, spares"]);
}

#[test]
fn an_unknown_label_has_a_suggestion() {
    refuses("siet=a", &["`siet`", "did you mean `site`?"]);
    refuses("rack=r1", &["`rack`"]);
    refuses("=a", &["label"]);
}

#[test]
fn a_bad_node_set_is_refused_where_it_breaks() {
    refuses("VM[151-", &["VM[151-", "never closed"]);
    refuses("VM[153-151]", &["backwards"]);
    refuses("VM[]", &["VM[]"]);
    refuses("VM151]", &["VM151]"]);
}

#[test]
fn a_selector_that_matches_nothing_is_refused() {
    refuses("site=b", &["`site=b`", "no host", "4"]);
    refuses("XY*", &["`XY*`", "no host"]);
    refuses("VM151&VM152", &["`VM151&VM152`", "no host"]);
    refuses("VM151!VM151", &["no host"]);
    refuses("all!all", &["no host"]);
    refuses("VM151^VM151", &["no host"]);
}

#[test]
fn an_operator_without_an_operand_is_refused() {
    for selector in [
        "VM151,",
        ",VM151",
        "!VM151",
        "VM151&",
        "VM151&&VM152",
        "VM151!!VM152",
        "&",
        "^",
        "VM151, ,VM152",
        "",
    ] {
        refuses(selector, &["nothing before or after an operator"]);
    }
}

#[test]
fn the_failed_of_a_run_that_never_was_are_refused() {
    refuses("@failed", &["no last run"]);
    refuses("@unreachable", &["no last run"]);
    refuses("all!@failed", &["no last run"]);
}

#[test]
fn a_damaged_record_of_the_last_run_is_named() {
    let desk = Desk::with(INVENTORY);
    desk.write("state/clawfleet/last-run.json", "{\"inventory\": 5");
    let run = desk.run(&["inventory", "list", "@failed"]);
    run.exits(64).prints_nothing();
    run.complains(&[
        &desk
            .path("state/clawfleet/last-run.json")
            .display()
            .to_string(),
        "remove it",
    ]);
}

#[test]
fn a_good_selector_beside_a_bad_one_does_not_hide_it() {
    let desk = Desk::with(INVENTORY);
    let run = desk.run(&["inventory", "list", "VM151", "VM999"]);
    run.exits(64).prints_nothing().complains(&["`VM999`"]);
}

#[test]
fn control_characters_of_a_selector_do_not_reach_the_terminal() {
    let desk = Desk::with(INVENTORY);
    for selector in [
        "\u{1b}[2J",
        "@\u{1b}[2J",
        "\u{9b}=\u{1b}",
        "VM[\u{1b}]",
        "\u{1b}*",
        "all&\u{1b}*",
    ] {
        let run = desk.run(&["inventory", "list", selector]);
        run.exits(64).prints_nothing();
        let odd = run.stderr.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(odd, None, "{:?}", run.stderr);
    }
}

#[test]
fn the_operators_select_what_they_say() {
    let desk = Desk::with(INVENTORY);
    for (selector, wanted) in [
        ("all", "VM151 VM152 VM153 VM160"),
        ("VM[151-152]", "VM151 VM152"),
        ("VM15*", "VM151 VM152 VM153"),
        ("VM16?", "VM160"),
        ("@gateways", "VM151 VM152 VM153"),
        ("site=a", "VM151 VM152 VM153"),
        ("all!@gateways", "VM160"),
        ("all&VM[152,160]", "VM152 VM160"),
        ("VM151,VM160", "VM151 VM160"),
        ("@gateways^VM[153,160]", "VM151 VM152 VM160"),
        // From left to right, as ClusterShell reads them.
        ("VM151,VM152!VM151,VM151", "VM151 VM152"),
    ] {
        let run = desk.run(&["inventory", "list", selector]);
        let names: Vec<&str> = run
            .exits(0)
            .out()
            .lines()
            .skip(1)
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        assert_eq!(names.join(" "), wanted, "{selector}");
    }
}

#[test]
fn the_failed_of_the_last_run_are_selected_in_the_next() {
    let desk = Desk::with(
        "defaults: {timeouts: {dns: 2s}}\nhosts: {local: {transport: local, role: none}, gone: {address: 127.0.0.1, port: 1, identity: none}}\n",
    );
    let run = desk.run(&["check", "all"]);
    run.exits(3);
    for selector in ["@failed", "@unreachable"] {
        let run = desk.run(&["inventory", "list", selector]);
        assert!(run.exits(0).out().contains("gone"), "{}", run.out());
        assert!(!run.out().contains("local"), "{}", run.out());
    }
    // Another inventory's run says nothing about this one.
    desk.write("other.yaml", "hosts: {gone: {}}\n");
    let run = desk.run(&["-i", "other.yaml", "inventory", "list", "@failed"]);
    run.exits(64).complains(&["no last run of this inventory"]);
}
