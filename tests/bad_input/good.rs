//! Inventories that are right: who wins, and where it says so.

use crate::Desk;

/// The settings of a host as `inventory show` prints them: value and origin by key.
#[track_caller]
fn setting(desk: &Desk, host: &str, key: &str) -> (String, String) {
    let run = desk.run(&["inventory", "show", host]);
    run.exits(0);
    let line = run
        .out()
        .lines()
        .find(|line| line.split(' ').next() == Some(key));
    let line = line.unwrap_or_else(|| panic!("no `{key}`: {}", run.out()));
    let mut cells = line
        .split("  ")
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .skip(1);
    (
        cells.next().unwrap().to_owned(),
        cells.next().unwrap().to_owned(),
    )
}

#[track_caller]
fn assert_set(desk: &Desk, host: &str, key: &str, value: &str, origin: &str) {
    assert_eq!(
        setting(desk, host, key),
        (value.to_owned(), origin.to_owned()),
        "{key} of {host}"
    );
}

const LAYERS: &str = "\
defaults:
  user: from-defaults
  port: 1001
  service:
    unit: from-defaults.service
    port: 1001
groups:
  outer:
    groups: [inner]
    port: 1002
    service: {port: 1002}
    timeouts: {kex: 2s}
  inner:
    hosts: \"VM[1-2]\"
    service:
      port: 1003
hosts:
  VM1:
    service: {port: 1004}
    identity: [a, b]
  VM2: {}
  VM3: {}
";

#[test]
fn a_value_that_nobody_sets_is_built_in() {
    let desk = Desk::with(LAYERS);
    assert_set(&desk, "VM3", "timeouts.tcp", "5s", "built in");
    assert_set(&desk, "VM3", "timeouts.kex", "10s", "built in");
    assert_set(&desk, "VM3", "become", "none", "built in");
}

#[test]
fn defaults_win_over_what_is_built_in() {
    let desk = Desk::with(LAYERS);
    for host in ["VM1", "VM2", "VM3"] {
        assert_set(&desk, host, "user", "from-defaults", "defaults, line 2");
        assert_set(
            &desk,
            host,
            "service.unit",
            "from-defaults.service",
            "defaults, line 5",
        );
    }
    assert_set(&desk, "VM3", "port", "1001", "defaults, line 3");
}

#[test]
fn a_group_wins_over_defaults() {
    let desk = Desk::with(LAYERS);
    for host in ["VM1", "VM2"] {
        assert_set(&desk, host, "port", "1002", "group outer, line 10");
        assert_set(&desk, host, "timeouts.kex", "2s", "group outer, line 12");
    }
}

#[test]
fn a_nested_group_wins_over_the_one_around_it() {
    let desk = Desk::with(LAYERS);
    assert_set(&desk, "VM2", "service.port", "1003", "group inner, line 16");
    assert_set(&desk, "VM3", "service.port", "1001", "defaults, line 6");
}

#[test]
fn the_host_wins_over_all() {
    let desk = Desk::with(LAYERS);
    assert_set(&desk, "VM1", "service.port", "1004", "host VM1, line 19");
    assert_set(&desk, "VM1", "identity", "a, b", "host VM1, line 20");
}

#[test]
fn a_host_settles_what_its_groups_contradict() {
    let desk = Desk::with(
        "groups:\n  a: {hosts: VM1, port: 1}\n  b: {hosts: VM1, port: 2}\nhosts:\n  VM1: {port: 3}\n",
    );
    assert_set(&desk, "VM1", "port", "3", "host VM1, line 5");
}

#[test]
fn groups_that_agree_are_no_contradiction() {
    let desk = Desk::with(
        "groups:\n  a: {hosts: VM1, port: 7}\n  b: {hosts: VM1, port: 7}\nhosts:\n  VM1: {}\n",
    );
    assert_eq!(setting(&desk, "VM1", "port").0, "7");
}

#[test]
fn labels_and_vars_merge_by_key() {
    let desk = Desk::with(
        "defaults: {labels: {site: a, rack: r0}, vars: {proxy: p0, deep: {x: 1}}}\ngroups:\n  g: {hosts: VM1, labels: {rack: r1}}\nhosts:\n  VM1: {labels: {unit: u1}, vars: {proxy: p1}}\n",
    );
    assert_set(&desk, "VM1", "labels.site", "a", "defaults, line 1");
    assert_set(&desk, "VM1", "labels.rack", "r1", "group g, line 3");
    assert_set(&desk, "VM1", "labels.unit", "u1", "host VM1, line 5");
    assert_set(&desk, "VM1", "vars.proxy", "\"p1\"", "host VM1, line 5");
    assert_set(&desk, "VM1", "vars.deep", "{\"x\":1}", "defaults, line 1");
}

#[test]
fn an_address_range_follows_the_names() {
    let desk = Desk::with(
        "hosts:\n  \"VM[08-10,20]\": {address: \"192.0.2.[1-3,9]\", port: 2222}\n  \"r[1-2]s[1-2]\": {address: \"10.[1-2].0.[1-2]\"}\n  six: {address: \"[2001:db8::1]\"}\n",
    );
    let run = desk.run(&["inventory", "list"]);
    let seen: Vec<String> = run
        .exits(0)
        .out()
        .lines()
        .skip(1)
        .map(|line| {
            line.split_whitespace()
                .take(2)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    let wanted = [
        "VM08 192.0.2.1:2222",
        "VM09 192.0.2.2:2222",
        "VM10 192.0.2.3:2222",
        "VM20 192.0.2.9:2222",
        "r1s1 10.1.0.1:22",
        "r1s2 10.1.0.2:22",
        "r2s1 10.2.0.1:22",
        "r2s2 10.2.0.2:22",
    ];
    assert_eq!(&seen[..8], wanted);
    assert!(seen[8].contains("2001:db8::1"), "{seen:?}");
}

#[test]
fn a_host_without_an_address_is_its_own() {
    let desk = Desk::with("hosts: {gw1.example.com: }\n");
    let run = desk.run(&["inventory", "list"]);
    assert!(
        run.exits(0).out().contains("gw1.example.com:22"),
        "{}",
        run.out()
    );
}

#[test]
fn a_handful_of_aliases_is_no_bomb() {
    let desk = Desk::with(
        "hosts:\n  VM1:\n    service: &service {unit: x.service, port: 7}\n  VM2:\n    service: *service\n",
    );
    assert_eq!(setting(&desk, "VM2", "service.port").0, "7");
    assert_eq!(setting(&desk, "VM2", "service.unit").0, "x.service");
}

#[test]
fn times_are_read_as_people_write_them() {
    let desk = Desk::with(
        "hosts:\n  VM1: {timeouts: {tcp: 500ms, kex: 3, auth: 2m, exec: 1.5, host: 1h}}\n",
    );
    let expected = [
        ("tcp", "500ms"),
        ("kex", "3s"),
        ("auth", "120s"),
        ("exec", "1.5s"),
        ("host", "3600s"),
    ];
    for (key, value) in expected {
        assert_eq!(setting(&desk, "VM1", &format!("timeouts.{key}")).0, value);
    }
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_no_obstacle() {
    let desk = Desk::with("\u{feff}hosts:\r\n  VM1:\r\n    port: 7\r\n");
    assert_set(&desk, "VM1", "port", "7", "host VM1, line 3");
}

#[test]
fn the_example_is_accepted() {
    let desk = Desk::with(include_str!("../../inventory.example.yaml"));
    let run = desk.run(&["inventory", "list"]);
    assert!(run.exits(0).out().contains("VM151"), "{}", run.out());
    assert_eq!(run.stderr, "");
    for host in ["VM151", "VM152", "VM153", "VM160"] {
        let (_, origin) = setting(&desk, host, "user");
        assert!(origin.contains("line"), "{origin}");
    }
}

#[test]
fn text_of_the_inventory_is_made_harmless_in_every_table() {
    for setting in [
        r#"user: "a\e[2Jb""#,
        r#"labels: {"c\e[2J": d}"#,
        r#"labels: {c: "d\x9b\r"}"#,
        r#"vars: {"e\e[2J": f}"#,
        r#"vars: {e: "f\x9b"}"#,
        r#"service: {unit: "g\e[2J.service"}"#,
        r#"service: {owner: "g\e[2J"}"#,
        r#"service: {health_path: "/g\e[2J"}"#,
        r#"identity: "h\e[2J""#,
        r#"known_hosts: "h\x9b""#,
    ] {
        let desk = Desk::with(&format!("hosts: {{VM1: {{{setting}}}}}\n"));
        for args in [&["inventory", "list"][..], &["inventory", "show", "VM1"]] {
            let run = desk.run(args);
            // Refusing such text is as good as showing it harmlessly.
            assert!(matches!(run.code, Some(0 | 78)), "{run:?}");
            for text in [run.out(), &run.stderr] {
                let odd = text.chars().find(|c| c.is_control() && *c != '\n');
                assert_eq!(odd, None, "{setting}: {text:?}");
            }
        }
    }
}

#[test]
fn how_units_are_hardened_is_merged_and_shown() {
    let desk = Desk::with(
        "defaults: {harden: {profile: strict}}\ngroups:\n  g: {hosts: VM1, harden: {shape: unit}}\n\
         hosts:\n  VM1: {harden: {template_dir: ./own}}\n  VM2: {}\n",
    );
    assert_set(&desk, "VM1", "harden.profile", "strict", "defaults, line 1");
    assert_set(&desk, "VM1", "harden.shape", "unit", "group g, line 3");
    assert_set(
        &desk,
        "VM1",
        "harden.template_dir",
        "./own",
        "host VM1, line 5",
    );
    assert_set(&desk, "VM2", "harden.shape", "drop-in", "built in");
}
