//! Wrong YAML, and YAML of another shape: file, line, column, and what was meant.

use crate::{Desk, refuses};

#[test]
fn an_unknown_key_suggests_the_known_one() {
    refuses(
        "hosts:\n  VM1: {adress: 192.0.2.1}\n",
        "2:9",
        &["unknown key `adress`", "did you mean `address`?"],
    );
    refuses(
        "hots:\n  VM1: {}\n",
        "1:1",
        &["unknown key `hots`", "did you mean `hosts`?"],
    );
    refuses(
        "hosts:\n  VM1:\n    timeouts:\n      cex: 1s\n",
        "4:7",
        &["unknown key `cex`", "did you mean `kex`?"],
    );
    refuses(
        "defaults: {usr: root}\nhosts: {a: {}}\n",
        "1:12",
        &["unknown key `usr`", "did you mean `user`?"],
    );
}

#[test]
fn an_unknown_key_unlike_any_other_lists_what_is_known() {
    refuses(
        "hosts:\n  VM1: {colour: red}\n",
        "2:9",
        &["unknown key `colour`", "address", "identity", "labels"],
    );
}

#[test]
fn a_duplicate_key_is_refused_at_its_second_place() {
    refuses(
        "hosts:\n  VM1: {}\n  VM2: {}\n  VM1: {}\n",
        "4:3",
        &["duplicate", "VM1"],
    );
    refuses(
        "hosts:\n  VM1: {}\nhosts:\n  VM2: {}\n",
        "3:1",
        &["duplicate", "hosts"],
    );
    refuses(
        "hosts:\n  VM1:\n    user: a\n    port: 1\n    user: b\n",
        "5:5",
        &["duplicate", "user"],
    );
    refuses(
        "hosts:\n  VM1:\n    labels:\n      a: 1\n      a: 2\n",
        "5:7",
        &["duplicate", "a"],
    );
    refuses(
        "hosts: {VM1: {vars: {x: {y: 1, y: 2}}}}\n",
        "1:32",
        &["duplicate", "y"],
    );
}

#[test]
fn a_port_that_is_no_port_is_refused() {
    for port in ["ssh", "70000", "-1", "22.5", "[22]", "{a: 1}"] {
        refuses(
            &format!("hosts:\n  VM1: {{port: {port}}}\n"),
            "2:15",
            &["number", "65535"],
        );
    }
}

#[test]
fn a_list_or_a_text_in_the_place_of_a_mapping_is_refused() {
    refuses("hosts: [VM1, VM2]\n", "1:8", &["mapping"]);
    refuses("hosts: VM1\n", "1:8", &["mapping"]);
    refuses("just a text\n", "1:1", &["mapping"]);
    refuses("hosts: {VM1: 192.0.2.1}\n", "1:14", &["mapping"]);
}

#[test]
fn a_word_that_is_none_of_those_allowed_is_refused() {
    refuses(
        "hosts: {VM1: {become: sudoo}}\n",
        "1:23",
        &["`sudoo`", "none, sudo, doas", "did you mean `sudo`?"],
    );
    refuses(
        "hosts: {VM1: {transport: telnet}}\n",
        "1:26",
        &["`telnet`", "ssh, local"],
    );
    refuses(
        "hosts: {VM1: {role: gatway}}\n",
        "1:21",
        &["`gatway`", "did you mean `gateway`?"],
    );
    refuses(
        "hosts: {VM1: {service: {scope: root}}}\n",
        "1:32",
        &["`root`", "auto, system, user"],
    );
}

#[test]
fn a_time_that_is_no_time_is_refused() {
    for time in ["soon", "-3s", "[1]", "5 parsecs", "''"] {
        refuses(
            &format!("hosts:\n  VM1:\n    timeouts: {{kex: {time}}}\n"),
            "3:21",
            &["time", "`5s`"],
        );
    }
    for time in ["0", "0s", "25h", "1e300"] {
        refuses(
            &format!("hosts:\n  VM1:\n    timeouts: {{kex: {time}}}\n"),
            "3:21",
            &["time"],
        );
    }
}

#[test]
fn broken_yaml_is_refused_where_it_breaks() {
    refuses("hosts:\n  VM1: {port: 22\n", "2:8", &["unclosed"]);
    refuses("hosts:\n\tVM1: {}\n", "2:2", &["tab"]);
    for text in [
        "hosts: \"VM1\n",
        "hosts: {VM1: {}}}\n",
        "hosts: *nobody\n",
        "- : -\n ? :",
        "%YAML 9.9\n---\n[",
    ] {
        let run = Desk::with(text).run(&["inventory", "list"]);
        run.exits(78).prints_nothing();
        let place = run
            .stderr
            .strip_prefix("error: inventory.yaml:")
            .unwrap_or_else(|| panic!("{text}: {}", run.stderr));
        assert!(
            place.starts_with(|c: char| c.is_ascii_digit()),
            "{text}: {}",
            run.stderr
        );
    }
}

#[test]
fn a_second_document_is_refused() {
    refuses(
        "hosts: {a: {}}\n---\nhosts: {b: {}}\n",
        "2:1",
        &["document"],
    );
}

#[test]
fn tags_and_merge_keys_run_nothing() {
    for text in [
        "hosts: {VM1: {user: !!python/object/apply:os.system [id]}}\n",
        "hosts: {VM1: !include /etc/passwd}\n",
        "hosts: {VM1: {identity: !include /etc/passwd}}\n",
    ] {
        let run = Desk::with(text).run(&["inventory", "show", "VM1"]);
        assert!(!run.out().contains("root:"), "{}", run.out());
        assert!(!run.out().contains("uid="), "{}", run.out());
    }
}

#[test]
fn control_characters_of_the_file_do_not_reach_the_terminal() {
    for text in [
        "hosts: {VM1: {\"x\\e[2J\\r\": 1}}\n",
        "hosts: {\"\\e[2J\": {}}\n",
        "hosts: {VM1: {address: \"\\e]0;x\\a\"}}\n",
        "hosts: {VM1: {become: \"\\e[2J\\x9b\\u202e\"}}\n",
        "hosts: {VM1: {}}\ngroups: {\"\\e[2J\": {hosts: \"\\e[2J\"}}\n",
        "hosts: {VM1: {}, VM1: {}, \"\\e[2J\": {}}\n",
    ] {
        let run = Desk::with(text).run(&["inventory", "list"]);
        run.exits(78).prints_nothing();
        let odd = run
            .stderr
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(odd, None, "{:?}", run.stderr);
    }
}
