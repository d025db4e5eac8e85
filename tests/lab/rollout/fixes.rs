//! From a diagnosis to a verified remedy: every scenario that has one, those that have none, and what may go
//! wrong in between.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{AtOnce, Controller, Host, Ran, fresh, hosts, planted, tell};
use crate::lab::{lab, on_host};

/// What is planted, and whether it is mended.
const DRILL: [(&str, bool); 16] = [
    ("healthy", true),
    ("orphan", true),
    ("orphan-root", true),
    ("orphan-user", true),
    ("parked", true),
    ("leftover", true),
    ("respawned", true),
    ("duplicate-unit", true),
    ("duplicate-pingpong", true),
    ("down", true),
    ("daemon-reload", true),
    ("secrets-readable", true),
    ("two-profiles-one-orphan", true),
    ("crash", false),
    ("config-missing", false),
    ("foreign", false),
];

pub(super) const TIMES: [&str; 10] = [
    "--settle",
    "2s",
    "--well-within",
    "30s",
    "--undo-after",
    "62s",
    "--batch",
    "100%",
    "--max-fail",
    "100%",
];

fn fix(bastion: &Controller, more: &[&str]) -> Ran {
    let mut args = vec![
        "fix", "all", "-v", "--yes", "--format", "json", "--keep", "system",
    ];
    args.extend(TIMES);
    args.extend(more);
    let ran = bastion.run(&args);
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    ran
}

/// The critical findings of each host, by a check.
fn critical(bastion: &Controller) -> BTreeMap<String, Vec<String>> {
    let ran = bastion.run(&["check", "all", "--format", "json"]);
    let json = ran.json();
    let hosts = json["hosts"].as_array().unwrap();
    hosts
        .iter()
        .map(|host| {
            let findings = host["findings"].as_array().unwrap();
            let critical = findings
                .iter()
                .filter(|finding| finding["severity"] == "critical");
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (
                text(&host["name"]),
                critical.map(|finding| text(&finding["class"])).collect(),
            )
        })
        .collect()
}

#[test]
fn every_mendable_host_is_mended_and_a_second_run_does_nothing() {
    let _turn = hosts();
    let mut all = AtOnce::default();
    for (index, (scenario, _)) in (0..).zip(DRILL) {
        all.go(scenario, move || {
            planted(index, scenario);
            // Processes that a careless hand would take along.
            on_host(
                &super::name(index),
                "setsid bash -c 'echo $$ >/run/lab-decoy; exec -a \"openclaw-gateway --port 18789\" sleep 77002' </dev/null >/dev/null 2>&1 & sleep 0.2",
            );
        });
    }
    all.all_well();
    let names: Vec<String> = (0..)
        .zip(DRILL)
        .map(|(index, _)| super::name(index))
        .collect();
    let bastion = Controller::of(&names);
    let looked = bastion.run(&[
        "fix", "all", "--check", "--keep", "system", "--format", "json",
    ]);
    assert_eq!(looked.code, Some(4), "{looked:?}");
    let ran = fix(&bastion, &[]);
    tell("fix of 16 hosts", &ran);
    for (host, end) in ran.outcomes() {
        assert_eq!(end, "applied", "{host}: {ran:?}");
    }
    // Three of them are left alone.
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let left = critical(&bastion);
    for (host, (scenario, mended)) in names.iter().zip(DRILL) {
        if mended {
            assert_eq!(
                left[host],
                Vec::<String>::new(),
                "{scenario} on {host}: {ran:?}"
            );
            Host::see(host).clean();
        } else {
            assert_ne!(left[host], Vec::<String>::new(), "{scenario} on {host}");
        }
        on_host(host, "kill -0 $(cat /run/lab-decoy)");
    }
    let again = fix(&bastion, &[]);
    // Three are left alone, and that is said again.
    assert_eq!(again.code, Some(4), "{again:?}");
    let entries = again.json();
    assert!(
        entries["entries"].is_array(),
        "it was not a no-op: {again:?}"
    );
    for entry in entries["entries"].as_array().unwrap() {
        assert_ne!(entry["status"], "change", "{entry}");
    }
}

#[test]
fn what_changes_after_the_plan_is_not_acted_on() {
    let _turn = hosts();
    let mut all = AtOnce::default();
    all.go("the orphan ends by itself", || {
        let host = planted(0, "orphan");
        let bastion = Controller::of(std::slice::from_ref(&host));
        let running = bastion.start(&args());
        // It goes between the look and the signal.
        running.at_step("prepare", 1).unwrap();
        let ran = running.finish();
        assert!(matches!(ran.code, Some(0 | 4 | 5)), "{ran:?}");
    });
    all.go("an orphan that somebody starts again", || {
        let host = planted(1, "orphan");
        on_host(
            &host,
            "cat >/usr/local/bin/lab-again <<'END'\n#!/bin/bash\nwhile :; do \
             if ! ss -Htln 'sport = :18789' | grep -q .; then setsid setpriv --reuid=claw --regid=claw --init-groups \
             env HOME=/home/claw /opt/clawfleet-lab/bin/node /opt/clawfleet-lab/lib/node_modules/openclaw/dist/index.js gateway --port 18789 >/dev/null 2>&1 & fi; sleep 0.05; done\nEND\n\
             chmod 755 /usr/local/bin/lab-again; setsid /usr/local/bin/lab-again >/dev/null 2>&1 </dev/null &",
        );
        let bastion = Controller::of(std::slice::from_ref(&host));
        let ran = bastion.run(&args());
        tell("an orphan that is started again", &ran);
        ran.ends("rolled-back", 5);
        assert!(ran.why().contains("held by process") || ran.why().contains("failed"), "{ran:?}");
        on_host(&host, "pkill -f '^/bin/bash /usr/local/bin/lab-again'; rm -f /usr/local/bin/lab-again");
        Host::see(&host).clean();
    });
    all.go("a login that is not root", || {
        let host = planted(2, "orphan-root");
        let bastion = Controller::with(std::slice::from_ref(&host), "user: claw");
        let before = Host::see(&host);
        let ran = bastion.run(&args());
        assert!(matches!(ran.code, Some(3 | 4)), "{ran:?}");
        assert_eq!(Host::see(&host).gateway("holder"), before.gateway("holder"));
    });
    all.go("a unit that somebody started meanwhile", || {
        let both = [planted(4, "down"), planted(7, "down")];
        let bastion = Controller::of(&both);
        let mut args = vec!["fix", "all", "-v", "--yes", "--format", "json"];
        args.extend(&TIMES[..6]);
        args.extend(["--batch", "1", "--pause", "6s"]);
        let running = bastion.start(&args);
        running.at_step("disarm", 1).unwrap();
        on_host(
            &both[1],
            "systemctl start openclaw-gateway.service; sleep 1",
        );
        let ran = running.finish();
        assert_eq!(ran.outcomes()[&both[0]], "applied", "{ran:?}");
        assert_eq!(ran.outcomes()[&both[1]], "drifted", "{ran:?}");
        for host in &both {
            Host::see(host).works().clean();
        }
    });
    all.go("the connection is lost after the signal", || {
        let host = planted(5, "orphan");
        let bastion = Controller::of(std::slice::from_ref(&host));
        let running = bastion.start(&args());
        running.at_step("apply", 1).unwrap();
        lab(&["partition", &host]);
        std::thread::sleep(std::time::Duration::from_secs(12));
        lab(&["heal", &host]);
        let ran = running.finish();
        tell("the connection is lost after the signal", &ran);
        let end = ran.outcomes().remove(&host).unwrap();
        assert!(matches!(end.as_str(), "applied" | "rolled-back"), "{ran:?}");
        super::settled(&host, super::UNDO_AFTER * 2).works().clean();
    });
    all.go("the controller dies after the signal", || {
        let host = planted(6, "orphan");
        let bastion = Controller::of(std::slice::from_ref(&host));
        let running = bastion.start(&args());
        running.at_step("verify", 1).unwrap();
        running.kill();
        // The undo is armed: the unit is started again, and by now nobody is in its way.
        super::settled(&host, super::UNDO_AFTER * 3).works().clean();
        let again = bastion.run(&args());
        assert_eq!(again.code, Some(0), "{again:?}");
    });
    all.go("restart", || {
        let host = fresh(3);
        let before = Host::see(&host);
        let bastion = Controller::of(std::slice::from_ref(&host));
        let mut args = vec!["restart", "all", "-v", "--yes", "--format", "json"];
        args.extend(TIMES);
        let ran = bastion.run(&args);
        tell("restart", &ran);
        ran.ends("applied", 0);
        let now = Host::see(&host);
        now.is_again(&before);
        assert_ne!(now.gateway("MainPID"), before.gateway("MainPID"));
    });
    all.all_well();
    lab(&["status"]);
}

fn args() -> Vec<&'static str> {
    let mut args = vec!["fix", "all", "-v", "--yes", "--format", "json"];
    args.extend(TIMES);
    args
}
