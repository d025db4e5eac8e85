//! The same host through different logins, shells, tools and systemd versions.

use serde_json::Value;

use crate::lab::{Bastion, fleet, host, lab, on_host, roots, set};

const KEYS: &str =
    "identity: /run/clawfleet-lab/id_ed25519, known_hosts: /run/clawfleet-lab/known_hosts";

fn address(name: &str) -> String {
    let inventory = lab(&["inventory"]);
    let line = inventory
        .lines()
        .find(|line| line.trim_start().starts_with(&format!("{name}:")))
        .unwrap();
    let rest = line.split("address: ").nth(1).unwrap();
    rest.split([',', '}']).next().unwrap().to_owned()
}

pub(crate) fn as_login(name: &str, settings: &str) -> Bastion {
    Bastion::from_text(&format!(
        "defaults: {{{KEYS}, {settings}}}\nhosts: {{{name}: {{address: {}}}}}\n",
        address(name)
    ))
}

/// What must not depend on how the host was looked at.
fn essence(host: &Value) -> (Value, Value, Value) {
    let facts = &host["facts"];
    let units: Vec<Value> = facts["gateways"][0]["units"]
        .as_array()
        .unwrap()
        .iter()
        .map(|unit| serde_json::json!([unit["scope"], unit["main_pid"], unit["active_state"]]))
        .collect();
    (
        facts["gateways"][0]["listeners"].clone(),
        units.into(),
        facts["gateways"][0]["config"]["mode"].clone(),
    )
}

#[test]
fn sudo_sees_what_root_sees() {
    let _turn = fleet();
    let (code, root) = as_login("VM170", "user: root").check("all");
    assert_eq!(code, 0);
    let (code, sudo) = as_login("VM170", "user: op, become: sudo").check("all");
    assert_eq!(code, 0, "{sudo}");
    assert_eq!(essence(host(&sudo, "VM170")), essence(host(&root, "VM170")));
    assert_eq!(host(&sudo, "VM170")["facts"]["login"]["uid"], 0);
}

#[test]
fn a_login_without_rights_concludes_nothing_from_what_it_cannot_see() {
    let _turn = fleet();
    let (code, report) = as_login("VM170", "user: guest").check("all");
    assert_eq!(code, 1, "{report}");
    assert_eq!(roots(host(&report, "VM170")), set(&["not-permitted"]));
    // VM154 has an orphan. That its unit loops is for everybody to see; who holds the port is not,
    // so there is neither an accusation nor an all-clear.
    let (code, report) = as_login("VM154", "user: guest").check("all");
    assert_eq!(code, 2, "{report}");
    assert_eq!(
        roots(host(&report, "VM154")),
        set(&["not-permitted", "restart-loop", "unit-weak"])
    );
}

#[test]
fn sudo_that_is_refused_is_a_failure_of_that_stage() {
    let _turn = fleet();
    let (code, report) = as_login("VM170", "user: guest, become: sudo").check("all");
    assert_eq!(code, 3);
    let host = host(&report, "VM170");
    assert_eq!(host["outcome"], "failed");
    assert_eq!(host["error"]["stage"], "become");
}

#[test]
fn the_gateways_own_user_sees_its_unit() {
    let _turn = fleet();
    let (_, report) = as_login("VM163", "user: claw").check("all");
    let host = host(&report, "VM163");
    let units = host["facts"]["gateways"][0]["units"].as_array().unwrap();
    assert!(
        units
            .iter()
            .any(|unit| unit["scope"] == "user claw" && unit["active_state"] == "active")
    );
    assert!(!roots(host).contains("orphan-holds-port"), "{host}");
}

/// `ss` only speeds the search up: without it `/proc` gives the same answer.
#[test]
fn a_host_without_ss_shows_the_same_listeners() {
    let _turn = fleet();
    let bastion = Bastion::new();
    let (_, with) = bastion.check("VM[154,170]");
    for name in ["VM154", "VM170"] {
        on_host(name, "mv $(command -v ss) /root/ss.away && ! command -v ss");
    }
    let (_, without) = bastion.check("VM[154,170]");
    for name in ["VM154", "VM170"] {
        on_host(name, "mv /root/ss.away /usr/bin/ss");
    }
    for name in ["VM154", "VM170"] {
        let listeners =
            |report: &Value| host(report, name)["facts"]["gateways"][0]["listeners"].clone();
        assert_eq!(listeners(&with), listeners(&without));
        assert!(
            listeners(&with)[0]["pids"][0].is_u64(),
            "the holder was seen"
        );
    }
    assert_eq!(
        roots(host(&without, "VM154")),
        set(&["orphan-holds-port", "unit-weak"])
    );
}

#[test]
fn other_suites_and_cgroup_trees_are_read_alike() {
    let _turn = fleet();
    let more = [
        ("23", "bullseye", "VM173", 247),
        ("24", "trixie", "VM174", 257),
    ];
    for (count, suite, _, _) in more {
        lab(&["up", count, "--suite", suite, "--real", "3"]);
    }
    for (_, _, name, _) in more {
        lab(&["plant", "orphan", name, "--standin"]);
        lab(&["wait", name, "60"]);
    }
    let (_, report) = Bastion::new().check("VM[173-174]");
    for (_, suite, name, systemd) in more {
        let host = host(&report, name);
        assert_eq!(
            roots(host),
            set(&["orphan-holds-port", "unit-weak"]),
            "{suite}: {host}"
        );
        assert_eq!(host["facts"]["systemd"], systemd, "{suite}");
    }
    for (_, _, name, _) in more {
        lab(&["plant", "healthy", name, "--standin"]);
        lab(&["wait", name, "60"]);
    }
    let (code, report) = Bastion::new().check("VM[173-174]");
    assert_eq!(code, 0, "{report}");
}

#[test]
fn this_machine_is_checked_without_ssh() {
    let _turn = fleet();
    let bastion = Bastion::from_text("hosts: {bastion: {transport: local, role: none}}\n");
    let (_, report) = bastion.check("all");
    let host = host(&report, "bastion");
    assert_eq!(host["outcome"], "observed", "{host}");
    assert_eq!(host["facts"]["login"]["uid"], 0);
}
