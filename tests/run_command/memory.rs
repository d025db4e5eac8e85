//! Much output from many hosts.

use crate::{fleet, run};

#[test]
fn a_megabyte_of_each_of_two_hundred_hosts_is_not_in_memory() {
    let lab = fleet(200);
    // Each host's is its own: nothing folds.
    let line = "head -c 1000000 /dev/urandom | base64 | head -c 1000000";
    let idle = run(&lab, &["all", "--", "true"]);
    idle.exits(0);
    let ran = run(&lab, &["all", "--out-dir", "out", "--shell", "--", line]);
    ran.exits(0);
    assert!(ran.stdout.len() > 200_000_000, "{}", ran.stdout.len());
    let more = ran.peak_kib.saturating_sub(idle.peak_kib) / 1024;
    assert!(more < 60, "{more} MiB more than for `true`");
    for number in [1, 100, 200] {
        let length = std::fs::metadata(lab.path(&format!("out/h{number}.stdout")))
            .unwrap()
            .len();
        assert_eq!(length, 1_000_000);
    }
    // What was spilled has no name left.
    let left = std::fs::read_dir(lab.path("state/clawfleet/outputs"))
        .unwrap()
        .count();
    assert_eq!(left, 0);
}

#[test]
fn a_command_that_ends_by_itself_with_too_much_is_no_success() {
    let lab = fleet(1);
    let ran = run(
        &lab,
        &[
            "h1",
            "--max-output",
            "1000",
            "--format",
            "json",
            "--",
            "head",
            "-c",
            "5000",
            "/dev/zero",
        ],
    );
    let report: serde_json::Value = serde_json::from_slice(&ran.exits(2).stdout).unwrap();
    assert_eq!(report["hosts"][0]["outcome"], "output-limit");
    assert_eq!(report["groups"][0]["stdout_bytes"], 1000);
}

#[test]
fn a_command_that_prints_for_ever_is_ended() {
    let lab = fleet(1);
    let ran = run(
        &lab,
        &[
            "h1",
            "--max-output",
            "3M",
            "--kill-after",
            "1s",
            "--format",
            "json",
            "--",
            "yes",
        ],
    );
    let report: serde_json::Value = serde_json::from_slice(&ran.exits(2).stdout).unwrap();
    assert_eq!(report["hosts"][0]["outcome"], "output-limit");
    assert_eq!(report["groups"][0]["stdout_bytes"], 3 << 20);
    assert!(
        report["hosts"][0]["note"]
            .as_str()
            .unwrap()
            .contains("--max-output")
    );
}
