//! Inventories that are right as YAML and make no sense.

use crate::refuses;

#[test]
fn groups_that_nest_in_a_circle_are_refused() {
    let circle =
        "groups:\n  a: {groups: [b]}\n  b: {groups: [c]}\n  c: {groups: [a]}\nhosts: {VM1: {}}\n";
    refuses(circle, "2:3", &["circle", "a > b > c > a"]);
    refuses(
        "groups:\n  a: {groups: a}\nhosts: {VM1: {}}\n",
        "2:3",
        &["circle", "a > a"],
    );
    // A circle that is only reached from outside of it.
    let tail =
        "groups:\n  a: {groups: [b]}\n  b: {groups: [c]}\n  c: {groups: [b]}\nhosts: {VM1: {}}\n";
    refuses(tail, "3:3", &["circle", "b > c > b"]);
}

#[test]
fn groups_that_contradict_each_other_on_a_host_are_refused() {
    let text = "groups:\n  a: {hosts: VM1, port: 1}\n  b: {hosts: \"VM[1-2]\", port: 2}\nhosts: {VM1: {}, VM2: {}}\n";
    refuses(
        text,
        "3:1",
        &[
            "host `VM1`",
            "port: 2",
            "group `b`",
            "`1`",
            "group `a`",
            "line 2",
            "set `port` on the host",
        ],
    );
}

#[test]
fn a_host_that_is_defined_twice_is_refused() {
    refuses(
        "hosts:\n  \"VM[1-3]\": {}\n  VM2: {}\n",
        "3:3",
        &["host `VM2`", "line 2"],
    );
    refuses(
        "hosts:\n  VM1: {}\n  \"VM[01,1]\": {}\n",
        "3:3",
        &["host `VM1`", "line 2"],
    );
}

#[test]
fn an_address_range_of_another_length_is_refused() {
    let text = "hosts:\n  \"VM[1-3]\": {address: \"192.0.2.[1-2]\"}\n";
    refuses(text, "2:24", &["2 addresses", "3 hosts", "VM[1-3]"]);
    refuses(
        "hosts:\n  \"VM[1-3]\": {address: 192.0.2.1}\n",
        "2:24",
        &["1 address", "3 hosts"],
    );
    refuses(
        "hosts:\n  VM1: {address: \"192.0.2.[1-2]\"}\n",
        "2:18",
        &["2 addresses", "1 host"],
    );
}

#[test]
fn an_address_that_ssh_would_read_as_something_else_is_refused() {
    for address in [
        "-oProxyCommand=id",
        "root@192.0.2.1",
        "192.0.2.1/24",
        "a b",
        "",
    ] {
        refuses(
            &format!("hosts:\n  VM1: {{address: \"{address}\"}}\n"),
            "2:18",
            &[address],
        );
    }
}

#[test]
fn a_group_that_names_an_unknown_host_is_refused() {
    let text = "groups:\n  a: {hosts: [VM151, VN152]}\nhosts: {VM151: {}, VM152: {}}\n";
    refuses(
        text,
        "2:14",
        &["group `a`", "`VN152`", "did you mean `VM152`?"],
    );
    let text = "groups:\n  a: {hosts: \"VM[1-3]\"}\nhosts: {\"VM[1-2]\": {}}\n";
    refuses(text, "2:14", &["group `a`", "`VM3`"]);
}

#[test]
fn a_group_that_names_an_unknown_group_is_refused() {
    let text = "groups:\n  web: {hosts: VM1}\n  all-of-them: {groups: [wep]}\nhosts: {VM1: {}}\n";
    refuses(
        text,
        "3:25",
        &["`all-of-them`", "`wep`", "no group", "did you mean `web`?"],
    );
}

#[test]
fn a_bad_node_set_is_refused() {
    let cases = [
        ("VM[1-", "never closed"),
        ("VM[3-1]", "backwards"),
        ("VM[]", "VM[]"),
        ("VM[a-c]", "VM[a-c]"),
        ("VM[1-3", "never closed"),
        ("VM1]", "VM1]"),
        ("VM[1-9/0]", "VM[1-9/0]"),
        ("", "name"),
    ];
    for (set, word) in cases {
        refuses(&format!("hosts:\n  \"{set}\": {{}}\n"), "2:3", &[word]);
    }
    refuses(
        "groups:\n  a: {hosts: \"VM[1-\"}\nhosts: {VM1: {}}\n",
        "2:14",
        &["never closed"],
    );
}

#[test]
fn a_key_in_the_wrong_place_is_refused() {
    refuses(
        "defaults: {hosts: a}\nhosts: {a: {}}\n",
        "1:19",
        &["defaults", "not hosts"],
    );
    refuses(
        "defaults: {address: a}\nhosts: {a: {}}\n",
        "1:21",
        &["defaults", "address"],
    );
    refuses(
        "groups: {g: {address: a}}\nhosts: {a: {}}\n",
        "1:23",
        &["group `g`", "address"],
    );
    refuses("hosts: {a: {hosts: b}}\n", "1:20", &["`a`", "only groups"]);
}

#[test]
fn names_that_selectors_need_are_refused() {
    refuses(
        "groups: {failed: {}}\nhosts: {a: {}}\n",
        "1:10",
        &["`failed`", "selector"],
    );
    refuses("hosts: {all: {}}\n", "1:9", &["`all`"]);
    for name in ["-rf", "a/b", "a=b", "@a", "a&b"] {
        refuses(&format!("hosts: {{\"{name}\": {{}}}}\n"), "1:9", &[name]);
    }
}

#[test]
fn group_names_that_no_selector_can_say_are_refused() {
    for name in ["a b", "a,b", "a!b", "a&b", "", "\\e[2J"] {
        refuses(
            &format!("groups:\n  \"{name}\": {{hosts: VM1}}\nhosts: {{VM1: {{}}}}\n"),
            "2:3",
            &["group"],
        );
    }
}

#[test]
fn a_profile_or_a_shape_that_does_not_exist_is_refused() {
    let host = |text: &str| format!("hosts:\n  VM1: {{harden: {{{text}}}}}\n");
    refuses(
        &host("profile: strikt"),
        "2:27",
        &[
            "`strikt` is none of baseline, strict",
            "did you mean `strict`?",
        ],
    );
    refuses(
        &host("shape: dropin"),
        "2:25",
        &[
            "`dropin` is none of drop-in, unit",
            "did you mean `drop-in`?",
        ],
    );
    refuses(
        &host("templates: x"),
        "2:18",
        &[
            "unknown key `templates`",
            "known keys here: profile, shape, template_dir",
        ],
    );
    refuses(
        &host("template_dir: ''"),
        "2:1",
        &[
            "`harden.template_dir: ` is no directory",
            "built-in templates",
        ],
    );
    refuses(
        "defaults: {harden: strict}\nhosts: {VM1: {}}\n",
        "1:20",
        &[],
    );
}
