//! Each planted fault is found and told from its look-alikes; nothing else is.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::lab::{
    Bastion, Gateway, PLANTED, consequences, fleet, host, lab, on_host, plant, roots, set,
};

/// The finding that leads, for each scenario.
fn expected(scenario: &str) -> BTreeSet<String> {
    match scenario {
        // Their units are hand-written ones, whose settings let a loop run for ever.
        "orphan" | "orphan-root" => set(&["orphan-holds-port", "unit-weak"]),
        "duplicate-unit" => set(&["duplicate-unit", "unit-weak"]),
        "crash" => set(&["true-crash", "unit-weak"]),
        "leftover" => set(&["leftover-process", "unit-weak"]),
        "parked" => set(&["orphan-holds-port"]),
        "down" => set(&["gateway-down"]),
        "nothing" => set(&["role-mismatch"]),
        "foreign" => set(&["foreign-process-on-port"]),
        "hung" => set(&["gateway-hung"]),
        "noisy-journal" => set(&["journal-noise"]),
        "unprivileged" => set(&["not-permitted"]),
        "starting" => set(&["gateway-starting"]),
        "config-error" => set(&["config-error"]),
        "model-skipped" => set(&["model-skipped"]),
        "healthy" | "busy-journal" | "user-unit" => BTreeSet::new(),
        other => panic!("nothing is expected of {other}"),
    }
}

#[test]
fn every_scenario_is_diagnosed_and_nothing_else() {
    let _turn = fleet();
    // A hung gateway younger than half a minute counts as starting, a starting one grows up.
    wait_until_older("VM159", 31);
    plant("VM164", "starting", Gateway::StandIn);
    let (code, report) = Bastion::new().check("VM[151-172]");
    assert_eq!(code, 2, "critical findings");
    let mut wrong = Vec::new();
    for (name, scenario, _) in PLANTED {
        let host = host(&report, name);
        let found = roots(host);
        if host["outcome"] != "observed" || found != expected(scenario) {
            wrong.push(format!("{name} {scenario}: {} {found:?}", host["outcome"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(report["schema"], "clawfleet.report/1");
    assert_eq!(report["verdict"], "critical");
    let summary = &report["summary"];
    assert_eq!(summary["hosts"], PLANTED.len());
    assert_eq!(summary["not_observed"], 0);
    assert_eq!(summary["critical"], 13);
    assert_eq!(summary["warning"], 3);
    for looping in [
        "VM151", "VM153", "VM154", "VM155", "VM157", "VM165", "VM171",
    ] {
        let found = consequences(host(&report, looping));
        assert!(found.contains("restart-loop"), "{looping}: {found:?}");
    }
    assert!(
        consequences(host(&report, "VM167")).is_empty(),
        "a parked unit does not loop"
    );
}

#[test]
fn a_fault_is_the_same_in_every_snapshot() {
    let _turn = fleet();
    let bastion = Bastion::new();
    for round in 0..8 {
        let (_, report) = bastion.check("VM[151,153-155,157,165,171]");
        for (name, scenario, _) in PLANTED {
            if let "VM151" | "VM153" | "VM154" | "VM155" | "VM157" | "VM165" | "VM171" = name {
                let host = host(&report, name);
                assert_eq!(
                    roots(host),
                    expected(scenario),
                    "{name} {scenario} in round {round}"
                );
            }
        }
        std::thread::sleep(Duration::from_millis(700));
    }
}

#[test]
fn the_evidence_names_the_process_that_the_host_itself_names() {
    let _turn = fleet();
    let holder = on_host(
        "VM151",
        "ss -Hltnp 'sport = :18789' | sed 's/.*pid=//; s/,.*//' | head -n1",
    );
    let (_, report) = Bastion::new().check("VM151");
    let finding = &host(&report, "VM151")["findings"][0];
    assert_eq!(finding["class"], "orphan-holds-port");
    assert_eq!(finding["subject"], "openclaw-gateway.service (system)");
    let evidence = finding["evidence"].to_string();
    assert!(
        evidence.contains(&format!("pid {} ", holder.trim())),
        "{holder} {evidence}"
    );
    assert!(
        evidence.contains("session-"),
        "the login session it came from: {evidence}"
    );
}

/// The remedies are commands that mend the hosts when they are pasted.
#[test]
fn the_remedies_work_when_pasted() {
    let _turn = fleet();
    let bastion = Bastion::new();
    plant("VM171", "unit-token", Gateway::StandIn);
    lab(&["wait", "VM171", "60"]);
    let remedies = |name: &str| -> BTreeSet<String> {
        let (_, report) = bastion.check(name);
        let findings = host(&report, name)["findings"].as_array().unwrap().clone();
        let remedies = findings
            .iter()
            .filter_map(|finding| finding["remedy"].as_str());
        let own = remedies.filter(|remedy| remedy.starts_with("clawfleet "));
        own.map(str::to_owned).collect()
    };
    for (name, wanted) in [
        ("VM154", &["clawfleet fix VM154", "clawfleet harden VM154"]),
        ("VM171", &["clawfleet fix VM171", "clawfleet harden VM171"]),
    ] {
        let found = remedies(name);
        assert_eq!(found, set(wanted), "{name}");
        for remedy in &found {
            let words: Vec<&str> = remedy.split(' ').skip(1).collect();
            let args = [&words[..], &["--yes", "--settle", "2s"]].concat();
            let out = bastion.clawfleet(&args);
            assert_eq!(out.status.code(), Some(0), "{remedy}: {out:?}");
        }
        let left = remedies(name);
        assert_eq!(left, set(&[]), "{name}");
    }
    for (name, scenario) in [("VM171", "orphan-root"), ("VM154", "orphan")] {
        plant(name, scenario, Gateway::StandIn);
        lab(&["wait", name, "60"]);
    }
}

#[test]
fn the_stand_in_behaves_like_the_real_gateway() {
    let _turn = fleet();
    plant("VM172", "healthy", Gateway::StandIn);
    lab(&["wait", "VM172", "60"]);
    let report = lab(&["compare-standin", "VM152", "VM172"]);
    assert!(
        report.lines().filter(|line| line.starts_with("ok")).count() > 30,
        "{report}"
    );
    assert!(!report.contains("DIFFERS"), "{report}");
    // It moved both hosts through several faults.
    plant("VM152", "healthy", Gateway::Real);
    plant("VM172", "healthy", Gateway::StandIn);
    lab(&["wait", "VM152", "60"]);
}

fn wait_until_older(name: &str, seconds: u64) {
    let line = "ps -o etimes= -p $(systemctl show -p MainPID --value openclaw-gateway.service)";
    loop {
        let age: u64 = on_host(name, line).trim().parse().unwrap();
        if age >= seconds {
            return;
        }
        std::thread::sleep(Duration::from_secs(seconds - age));
    }
}
