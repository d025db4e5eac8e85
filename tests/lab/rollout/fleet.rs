//! Thirty hosts, of which three do not get well.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{AtOnce, Controller, HOSTS, Host, Ran, fresh, hosts, name, settled, tell};
use crate::lab::on_host;

/// It does not start where the host says so.
const HERE_AND_THERE: &str =
    "[Service]\nEnvironment=LAB_NEW=1\nExecStartPre=/bin/sh -c '! test -e /etc/lab-fails'\n";

fn each(hosts: &[String], work: fn(&str)) {
    let mut all = AtOnce::default();
    for host in hosts {
        let host = host.clone();
        all.go(host.clone(), move || work(&host));
    }
    all.all_well();
}

#[track_caller]
fn ends(ran: &Ran, wanted: &[(&str, usize)], code: i32) {
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for outcome in ran.outcomes().into_values() {
        *ends.entry(outcome).or_default() += 1;
    }
    let wanted: BTreeMap<String, usize> = wanted
        .iter()
        .map(|(end, count)| ((*end).to_owned(), *count))
        .collect();
    assert_eq!(ends, wanted, "{ran:?}");
    assert_eq!(ran.code, Some(code), "{ran:?}");
}

fn run_of(ran: &Ran) -> String {
    ran.json()["run"].as_str().unwrap().to_owned()
}

#[test]
fn three_of_thirty_fail_in_the_second_batch() {
    let _turn = hosts();
    let all: Vec<String> = (0..HOSTS).map(name).collect();
    let mut prepared = AtOnce::default();
    for index in 0..HOSTS {
        prepared.go(name(index), move || {
            fresh(index);
        });
    }
    prepared.all_well();
    let before: Vec<Host> = all.iter().map(|host| Host::see(host)).collect();
    let failing = &all[1..4];
    each(failing, |host| {
        on_host(host, "touch /etc/lab-fails");
    });
    let bastion = Controller::of(&all);
    let template = bastion.template("own", HERE_AND_THERE);
    let harden = |max_fail: &str| {
        bastion.harden(
            &template,
            &[
                "all",
                "--restart",
                "always",
                "--batch",
                "1,10%,50%",
                "--max-fail",
                max_fail,
            ],
        )
    };
    // None may fail, or one: the second batch closes the gate, and the other 26 are never touched.
    for max_fail in ["0", "1"] {
        let ran = harden(max_fail);
        tell(
            &format!("3 of 30 fail in batch 2, --max-fail {max_fail}"),
            &ran,
        );
        ends(
            &ran,
            &[("applied", 1), ("rolled-back", 3), ("not-attempted", 26)],
            5,
        );
        assert!(ran.stderr.contains("stopped after batch 2 of 4"), "{ran:?}");
        for (host, before) in all.iter().zip(&before).skip(1) {
            Host::see(host).is_again(before);
        }
        let back = bastion.rollback(&run_of(&ran));
        ends(&back, &[("applied", 1)], 0);
    }
    // A tenth may: all the others get it.
    let ran = harden("10%");
    tell("3 of 30 fail in batch 2, --max-fail 10%", &ran);
    ends(&ran, &[("applied", 27), ("rolled-back", 3)], 5);
    let first = run_of(&ran);
    each(failing, |host| {
        on_host(host, "rm /etc/lab-fails");
    });
    let resumed = bastion.harden("", &["--resume", &first]);
    tell("--resume, after they were mended", &resumed);
    ends(&resumed, &[("applied", 3)], 0);
    for (host, before) in all.iter().zip(&before) {
        let now = settled(host, Duration::from_secs(20));
        now.has(before, HERE_AND_THERE);
        assert_eq!(now.gateway("new"), "1");
    }
    let nothing = bastion.harden("", &["--resume", &run_of(&resumed)]);
    assert_eq!(nothing.code, Some(0), "{nothing:?}");
    let back = bastion.rollback(&first);
    tell("rollback of 27", &back);
    ends(&back, &[("applied", 27)], 0);
    let back = bastion.rollback(&run_of(&resumed));
    ends(&back, &[("applied", 3)], 0);
    for (host, before) in all.iter().zip(&before) {
        Host::see(host).is_again(before);
    }
}
