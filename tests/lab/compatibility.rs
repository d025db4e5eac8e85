//! The same faults on hosts of every kind: shells, login shells, locales, missing tools, systemd
//! versions, cgroup trees. A few in every run, all of them by `ci/test --full`.

use crate::lab::{Bastion, Gateway, fleet, host, lab, plant, roots, set};

/// Changes one host, and asks what is asked of every kind: a healthy gateway is healthy, an orphan
/// is an orphan, and root, sudo and a login without rights each see what is theirs.
fn holds_on(name: &str, variant: Option<&str>) {
    if let Some(variant) = variant {
        lab(&["variant", variant, name]);
    }
    let kind = variant.unwrap_or("as it is");
    let journal = variant != Some("no-journal");
    let logins = [
        ("user: root", true),
        ("user: op, become: sudo", true),
        ("user: guest", false),
    ];
    for (scenario, leads) in [
        ("healthy", &[][..]),
        ("orphan", &["orphan-holds-port", "unit-weak"][..]),
    ] {
        plant(name, scenario, Gateway::StandIn);
        if journal {
            lab(&["wait", name, "60"]);
        }
        for (login, sees) in logins {
            let report = crate::logins::as_login(name, login).check("all").1;
            let seen = host(&report, name);
            assert_eq!(seen["outcome"], "observed", "{kind} {login}: {seen}");
            assert_eq!(
                seen["facts"]["parse_issues"].as_array().map(Vec::len),
                Some(0),
                "{kind} {login}: {}",
                seen["facts"]["parse_issues"]
            );
            let mut found = roots(seen);
            if !sees {
                assert!(found.contains("not-permitted"), "{kind} {login}: {found:?}");
                assert!(!found.contains("orphan-holds-port"), "{kind} {login}");
                continue;
            }
            // Where there is no journal that is said, and nothing else changes.
            assert_eq!(found.remove("not-permitted"), !journal, "{kind} {login}");
            assert_eq!(found, set(leads), "{kind} {login} {scenario}");
            let gateway = &seen["facts"]["gateways"][0];
            assert_eq!(gateway["config"]["mode"], "local", "{kind} {login}");
            assert_eq!(gateway["http"]["status"], 200, "{kind} {login}");
            assert!(
                gateway["listeners"][0]["pids"][0].is_u64(),
                "{kind} {login}"
            );
            assert_eq!(
                gateway["units"][0]["journal"].is_object(),
                journal,
                "{kind} {login}"
            );
        }
    }
    if variant.is_some() {
        lab(&["variant", "none", name]);
    }
    plant(name, "healthy", Gateway::StandIn);
    lab(&["wait", name, "60"]);
}

#[test]
fn a_minimal_host_with_busybox_and_one_with_fish_hold() {
    let _turn = fleet();
    lab(&["variant", "sh-busybox", "VM172"]);
    holds_on("VM172", Some("minimal"));
    holds_on("VM172", Some("login-fish"));
}

#[test]
#[ignore = "ci/test --full runs every kind of host"]
fn every_kind_of_host_holds() {
    let _turn = fleet();
    for variant in [
        "sh-bash",
        "sh-busybox",
        "locale",
        "login-fish",
        "login-csh",
        "minimal",
        "no-journal",
    ] {
        holds_on("VM172", Some(variant));
    }
}

#[test]
#[ignore = "ci/test --full runs every suite and cgroup tree"]
fn every_systemd_and_cgroup_tree_holds() {
    let _turn = fleet();
    // The hosts after those that the other tests bring up.
    let more = [
        ("bullseye", "v1", 247),
        ("bullseye", "v2", 247),
        ("bookworm", "v1", 252),
        ("bookworm", "v2", 252),
        ("trixie", "v2", 257),
        ("forky", "v2", 262),
    ];
    let first = crate::matrix::AFTER;
    for (place, (suite, cgroup, systemd)) in (first..).zip(more) {
        let name = format!("VM{place}");
        let count = (place - 150).to_string();
        lab(&[
            "up", &count, "--suite", suite, "--cgroup", cgroup, "--real", "3",
        ]);
        holds_on(&name, None);
        let report = Bastion::new().check(&name).1;
        assert_eq!(host(&report, &name)["facts"]["systemd"], systemd, "{suite}");
        // The cheapest tools there are, on the oldest and the newest.
        holds_on(&name, Some("minimal"));
    }
}
