//! Checks of one's own, several services, expectations: what is wrong with them, and where.

use crate::{Desk, refuses};

/// An inventory of two hosts with this text under `checks`.
fn checks(text: &str) -> String {
    format!("groups: {{g: {{hosts: VM1}}}}\nhosts: {{VM1: {{}}, VM2: {{}}}}\nchecks:\n{text}")
}

#[test]
fn a_check_that_cannot_be_read_is_refused_where_it_stands() {
    let cases: [(&str, &str, &[&str]); 26] = [
        ("  a_b: {script: x}", "4:3", &["`a_b`", "small letters"]),
        ("  Cert: {script: x}", "4:3", &["`Cert`"]),
        (
            "  c: {scrip: x}",
            "4:7",
            &["unknown key `scrip`", "did you mean `script`?"],
        ),
        ("  c:", "4:3", &["neither `script` nor `file`", "e.g."]),
        (
            "  c: {script: x, file: y}",
            "4:24",
            &["both `script` and `file`"],
        ),
        ("  c: {script: '# nothing'}", "4:15", &["runs nothing"]),
        ("  c: {script: ''}", "4:15", &["runs nothing"]),
        (
            "  c: {script: \"#!/usr/bin/env python3\\nprint(1)\"}",
            "4:15",
            &["/usr/bin/env python3", "host's sh"],
        ),
        (
            "  c: {file: checks/none.sh}",
            "4:13",
            &["`file: checks/none.sh`", "no such file"],
        ),
        (
            "  c: {script: x, read: lines}",
            "4:24",
            &["`read` is `exit`"],
        ),
        (
            "  c: {script: x, read: {regexp: a}}",
            "4:24",
            &["`read` is"],
        ),
        (
            "  c: {script: x, read: number}",
            "4:3",
            &["neither `warning` nor `critical`", "> 100"],
        ),
        (
            "  c: {script: x, read: {regex: a}}",
            "4:3",
            &["neither", "critical: match"],
        ),
        (
            "  c: {script: x, read: {regex: 'a('}, critical: match}",
            "4:24",
            &["`a(`", "unclosed group"],
        ),
        (
            "  c: {script: x, read: {json: a..b}, critical: '> 1'}",
            "4:24",
            &["`a..b`", "queues.0.depth"],
        ),
        (
            "  c: {script: x, read: number, warning: 100}",
            "4:41",
            &["`100` is no threshold", "> 100"],
        ),
        (
            "  c: {script: x, read: number, warning: '> many'}",
            "4:41",
            &["compares with no number"],
        ),
        (
            "  c: {script: x, read: number, warning: match}",
            "4:41",
            &["regular expressions"],
        ),
        (
            "  c: {script: x, warning: '> 5'}",
            "4:27",
            &["no threshold", "`codes`"],
        ),
        (
            "  c: {script: x, codes: {300: warning}}",
            "4:26",
            &["`300` is no exit code", "0 to 255"],
        ),
        (
            "  c: {script: x, codes: {3: bad}}",
            "4:29",
            &["`bad` is none of ok"],
        ),
        (
            "  c: {script: x, read: number, warning: '> 5', codes: {3: ok}}",
            "4:56",
            &["`read: exit` only"],
        ),
        (
            "  c: {script: x, hosts: '@h'}",
            "4:25",
            &["check `c`", "no group is called `h`", "did you mean `g`?"],
        ),
        (
            "  c: {script: x, hosts: VM3}",
            "4:25",
            &["no host is called `VM3`"],
        ),
        (
            "  c: {script: x, hosts: 'VM9*'}",
            "4:25",
            &["matches no host", "selector"],
        ),
        ("  c: {script: x, hosts: '@failed'}", "4:25", &["last run"]),
    ];
    for (text, place, words) in cases {
        refuses(&checks(text), place, words);
    }
    refuses(
        &checks("  c: {script: x, timeout: 20m}"),
        "4:27",
        &["10 minutes", "timer"],
    );
    refuses(
        &checks("  c: {script: x}\n  c: {script: y}"),
        "5:3",
        &["duplicate key `c`"],
    );
}

#[test]
fn a_folder_of_checks_is_read_and_its_faults_are_named_by_file() {
    let cases: [(&str, &str, &str, &[&str]); 6] = [
        (
            "c.yaml",
            "script: x\nwarnin: y\n",
            ":2:1",
            &["unknown key `warnin`"],
        ),
        ("c.yaml", "", "", &["is empty", "script:"]),
        (
            "c.yml",
            "script: x\nhosts: '@none'\n",
            ":2:8",
            &["no group is called `none`"],
        ),
        (
            "A B.yaml",
            "script: x\n",
            "",
            &["`A B` is no name of a check"],
        ),
        ("c.yaml", "\u{1}: [\n", "", &[]),
        (
            "same.yaml",
            "script: x\n",
            "",
            &["check `same` is in inventory.yaml:2 already"],
        ),
    ];
    for (name, text, place, words) in cases {
        let desk = Desk::with("hosts: {VM1: {}}\nchecks: {same: {script: x}}\n");
        desk.write(&format!("checks.d/{name}"), text);
        let run = desk.run(&["inventory", "list"]);
        run.exits(78).prints_nothing();
        let begin = format!("error: checks.d/{name}{place}");
        assert!(run.stderr.starts_with(&begin), "{begin}: {}", run.stderr);
        run.complains(words);
    }
}

#[test]
fn files_that_are_no_checks_are_left_alone() {
    let desk = Desk::with("hosts: {VM1: {}}\n");
    for name in [
        "checks.d/c.sh",
        "checks.d/.c.yaml.swp",
        "checks.d/.c.yaml",
        "checks.d/c.yaml~",
    ] {
        desk.write(name, "{{{");
    }
    desk.run(&["inventory", "list"]).exits(0);
    desk.write("checks.d/c.yaml", [0xff, 0xfe]);
    desk.run(&["inventory", "list"])
        .exits(78)
        .complains(&["checks.d/c.yaml:1:1", "is not text"]);
}

#[test]
fn the_inventory_may_name_a_script_in_another_folder_and_no_device() {
    let desk = Desk::new();
    desk.write(
        "fleet/inventory.yaml",
        "hosts: {VM1: {}}\nchecks: {c: {file: own/c.sh}}\n",
    );
    desk.write("fleet/own/c.sh", "echo 1\n");
    let run = desk.run(&["-i", "fleet/inventory.yaml", "explain", "custom/c"]);
    assert!(run.exits(0).out().contains("echo 1"), "{}", run.out());
    refuses(
        &checks("  c: {file: /dev/zero}"),
        "4:13",
        &["no regular file"],
    );
    let run = desk.run(&["-i", "fleet/inventory.yaml", "explain", "custom/d"]);
    run.exits(64).complains(&["`custom/d`", "check --list"]);
}

#[test]
fn services_that_contradict_themselves_are_refused() {
    let host = |text: &str| format!("hosts:\n  VM1:\n    services:\n{text}");
    refuses(
        &host("      - {unit: a.service}\n      - {unit: b.service}\n"),
        "4:1",
        &[
            "services 1 and 2 of host `VM1`",
            "port 18789",
            "`port` of its own",
        ],
    );
    refuses(
        &host("      - {port: 1}\n      - {port: 2}\n      - {port: 1}\n"),
        "6:1",
        &["services 1 and 3", "port 1"],
    );
    refuses(
        "hosts:\n  VM1: {services: []}\n",
        "2:19",
        &["`services` is empty", "role: none"],
    );
    refuses(
        &host("      - {port: 1}\n      - {unit: b.socket, port: 2}\n"),
        "5:1",
        &["services.2.unit: b.socket", "`.service`"],
    );
    refuses(
        &host("      - {port: 70000}\n"),
        "4:16",
        &["from 1 to 65535"],
    );
    refuses(
        &host("      - {profile: a b}\n"),
        "4:19",
        &["no profile name", "work"],
    );
    refuses(
        &host("      - {profile: a, unit: b.service}\n"),
        "4:28",
        &["`unit` and `profile`"],
    );
    refuses(
        &host("      - {prot: 1}\n"),
        "4:10",
        &["unknown key `prot`", "`port`"],
    );
    refuses(
        "groups:\n  a: {hosts: VM1, services: [{port: 1}]}\n  b: {hosts: VM1, services: [{port: 2}]}\nhosts: {VM1: {}}\n",
        "3:1",
        &["`services", "group `a`", "set `services` on the host"],
    );
}

#[test]
fn expectations_that_cannot_hold_are_refused() {
    refuses(
        "defaults: {role: none}\nhosts:\n  VM1: {expect: {gateway: present}}\n",
        "3:1",
        &[
            "expect.gateway: present",
            "`role: none` (defaults, line 1)",
            "say one of them",
        ],
    );
    refuses(
        "hosts:\n  VM1:\n    role: gateway\n    expect: {gateway: absent}\n",
        "4:1",
        &["contradicts `role: gateway`"],
    );
    for version in ["new", ">=", "!= 2026.5", "2026.x", ">=2026.5,,<2027"] {
        refuses(
            &format!("hosts:\n  VM1: {{expect: {{version: \"{version}\"}}}}\n"),
            "2:1",
            &["no range of versions", ">=2026.5"],
        );
    }
    refuses(
        "hosts:\n  VM1: {expect: {gateway: maybe}}\n",
        "2:27",
        &["`maybe` is none of present, absent"],
    );
    for period in [
        "14",
        "0d",
        "5m",
        "367d",
        "-1d",
        "soon",
        "99999999999999999999d",
    ] {
        refuses(
            &format!("hosts:\n  VM1: {{expect: {{change_within: \"{period}\"}}}}\n"),
            "2:33",
            &["from `1h` to `366d`"],
        );
    }
}

#[test]
fn services_are_filled_from_service_and_shown_with_their_origin() {
    let desk = Desk::with(
        "defaults: {service: {owner: claw, health_path: /h}}\ngroups:\n  g: {hosts: VM1, services: [{port: 1}, {profile: work, port: 2}]}\nhosts:\n  VM1: {}\n  VM2: {services: [{profile: default}], expect: {gateway: absent}}\n",
    );
    let shows = |host: &str, line: &str| {
        let run = desk.run(&["inventory", "show", host]);
        let squeezed: Vec<String> = run
            .exits(0)
            .out()
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert!(
            squeezed.iter().any(|seen| seen == line),
            "`{line}`: {}",
            run.out()
        );
    };
    shows("VM1", "services.1.unit openclaw-gateway.service built in");
    shows(
        "VM1",
        "services.2.unit openclaw-gateway-work.service group g, line 3",
    );
    shows("VM1", "services.2.port 2 group g, line 3");
    shows("VM1", "services.2.owner claw defaults, line 1");
    shows(
        "VM2",
        "services.1.unit openclaw-gateway.service host VM2, line 6",
    );
    shows("VM2", "role none host VM2, line 6");
}
