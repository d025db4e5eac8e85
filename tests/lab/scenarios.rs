//! Each planted fault is found and told from its look-alikes; nothing else is.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

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

/// The remedy is a command that mends the host when it is pasted.
#[test]
fn the_remedy_for_an_orphan_works_when_pasted() {
    let _turn = fleet();
    let bastion = Bastion::new();
    let (_, report) = bastion.check("VM154");
    let remedy = host(&report, "VM154")["findings"][0]["remedy"]
        .as_str()
        .unwrap()
        .to_owned();
    paste(&remedy);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let (_, report) = bastion.check("VM154");
        let found = roots(host(&report, "VM154"));
        // The restarts of the last hour stay in the journal and are told, as they should be.
        if found.is_subset(&set(&["journal-noise", "restart-growth", "unit-weak"])) {
            break;
        }
        assert!(Instant::now() < deadline, "still {found:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
    plant("VM154", "orphan", Gateway::StandIn);
    lab(&["wait", "VM154", "60"]);
}

/// Runs a remedy as typed, but with the lab's key and known hosts.
fn paste(remedy: &str) {
    let options = "ssh -F none -o BatchMode=yes -i /run/clawfleet-lab/id_ed25519 \
                   -o UserKnownHostsFile=/run/clawfleet-lab/known_hosts ";
    let pasted = remedy.replacen("ssh ", options, 1);
    lab(&["bastion", "--", "sh", "-c", &pasted]);
}

/// So do those for weak settings, in the system's manager and in a user's.
#[test]
fn the_remedy_for_weak_settings_works_when_pasted() {
    let _turn = fleet();
    let bastion = Bastion::new();
    plant("VM171", "unit-token", Gateway::StandIn);
    lab(&["wait", "VM171", "60"]);
    for name in ["VM171", "VM154"] {
        let (_, report) = bastion.check(name);
        for finding in host(&report, name)["findings"].as_array().unwrap() {
            let class = finding["class"].as_str().unwrap();
            if class.starts_with("unit-weak")
                || class.starts_with("start-limit")
                || class == "secrets-readable"
            {
                paste(finding["remedy"].as_str().unwrap());
            }
        }
        let found = roots(host(&bastion.check(name).1, name));
        // One drop-in holds the settings of the last one that was pasted; both are told until then.
        assert!(!found.contains("secrets-readable"), "{name} {found:?}");
        assert!(
            !found.contains("start-limit-unreachable"),
            "{name} {found:?}"
        );
    }
    let found = roots(host(&bastion.check("VM154").1, "VM154"));
    assert!(!found.contains("unit-weak"), "{found:?}");
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
