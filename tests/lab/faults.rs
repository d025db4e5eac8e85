//! Hosts and networks that fail in the middle of it.

use std::time::{Duration, Instant};

use crate::lab::{Bastion, fleet, host, lab, on_host, roots, set};

/// A host that is cut off costs its deadline; the others are seen, and the exit code says that
/// not everything was.
#[test]
fn a_partitioned_host_is_not_observed_and_harms_nobody() {
    let _turn = fleet();
    let bastion = Bastion::new();
    lab(&["partition", "VM170"]);
    let begin = Instant::now();
    let (code, report) = bastion.check("VM[152,170,172]");
    lab(&["heal", "VM170"]);
    assert_eq!(code, 3);
    assert!(
        begin.elapsed() < Duration::from_secs(15),
        "{:?}",
        begin.elapsed()
    );
    let cut = host(&report, "VM170");
    assert!(
        ["timed-out", "unreachable"].contains(&cut["outcome"].as_str().unwrap()),
        "{cut}"
    );
    assert_eq!(cut["error"]["stage"], "tcp");
    assert_eq!(cut["verdict"], "unknown");
    assert_eq!(roots(cut), set(&["not-observed"]));
    for name in ["VM152", "VM172"] {
        assert_eq!(host(&report, name)["verdict"], "ok");
    }
    // The last run is remembered: the host can be named by what happened to it.
    let (code, again) = bastion.check("@unreachable");
    assert_eq!(code, 0, "healed");
    assert_eq!(again["summary"]["hosts"], 1);
    assert_eq!(host(&again, "VM170")["verdict"], "ok");
    // Now nobody failed, so the selector matches nothing, and says so.
    assert_eq!(
        bastion.clawfleet(&["check", "@unreachable"]).status.code(),
        Some(64)
    );
}

#[test]
fn a_slow_link_costs_time_and_nothing_else() {
    let _turn = fleet();
    lab(&["delay", "VM170", "100"]);
    let (code, report) = Bastion::new().check("VM170");
    lab(&["delay", "VM170", "0"]);
    assert_eq!(code, 0, "{report}");
    let elapsed = host(&report, "VM170")["elapsed_ms"].as_u64().unwrap();
    assert!(
        (600..5_000).contains(&elapsed),
        "{elapsed} ms for some ten round trips"
    );
}

/// The probe hangs on the host: what it had printed is kept, its watchdog ends it there, and
/// nothing of it is left behind.
#[test]
fn a_probe_that_hangs_is_ended_on_the_host_and_kept_in_part() {
    let _turn = fleet();
    on_host(
        "VM172",
        "mv /usr/bin/systemctl /usr/bin/systemctl.real && printf '#!/bin/sh\\nexec sleep 4242\\n' >/usr/bin/systemctl && chmod 755 /usr/bin/systemctl",
    );
    let inventory = lab(&["inventory"]).replace(
        "defaults: {user: root,",
        "defaults: {timeouts: {exec: 3s}, user: root,",
    );
    assert!(inventory.contains("exec: 3s"));
    let (code, report) = Bastion::from_text(&inventory).check("VM172");
    on_host("VM172", "mv /usr/bin/systemctl.real /usr/bin/systemctl");
    assert_eq!(code, 3, "not seen whole is not observed");
    let host = host(&report, "VM172");
    assert_eq!(host["outcome"], "partial", "{host}");
    assert_eq!(host["error"]["stage"], "exec");
    assert!(
        host["facts"]["gateways"][0]["listeners"][0]["pids"][0].is_u64(),
        "what came before is kept"
    );
    let left = on_host(
        "VM172",
        "ps -eo args= | grep -E '^(sh -s|sleep (3|4242))' || true",
    );
    assert_eq!(left.trim(), "", "left behind on the host");
}

#[test]
fn a_probe_leaves_nothing_behind() {
    let _turn = fleet();
    // Files that any check creates or changes outside of what the kernel and the logs keep.
    let look = "find / -xdev -newer /root/mark -type f -not -path '/proc/*' -not -path '/var/log/*' -not -path '/run/*' 2>/dev/null | sort";
    on_host("VM172", "sleep 1.1; touch /root/mark");
    let (code, _) = Bastion::new().check("VM172");
    assert_eq!(code, 0);
    let changed = on_host("VM172", look);
    let ours: Vec<&str> = changed
        .lines()
        .filter(|line| !line.starts_with("/root/mark") && !line.starts_with("/home/claw/.openclaw"))
        .collect();
    assert_eq!(ours, [""; 0], "written by a check");
    let left = on_host(
        "VM172",
        "ps -eo args= | grep -E '^(sh -s|sleep 20)' || true",
    );
    assert_eq!(left.trim(), "");
}

#[test]
fn a_server_that_forwards_nothing_is_asked_on_the_host() {
    let _turn = fleet();
    on_host(
        "VM172",
        "cp /etc/ssh/sshd_config /root/sshd_config && sed -i '1i AllowTcpForwarding no' /etc/ssh/sshd_config && systemctl reload ssh",
    );
    let (code, report) = Bastion::new().check("VM172");
    on_host(
        "VM172",
        "cp /root/sshd_config /etc/ssh/sshd_config && systemctl reload ssh",
    );
    assert_eq!(code, 0, "{report}");
    let http = &host(&report, "VM172")["facts"]["gateways"][0]["http"];
    assert_eq!(http["route"], "on-host");
    assert_eq!(http["status"], 200);
    assert_eq!(http["is_gateway"], true);
}

#[test]
fn a_host_without_a_key_that_is_known_is_refused() {
    let _turn = fleet();
    let inventory = lab(&["inventory"]).replace("/run/clawfleet-lab/known_hosts", "/dev/null");
    let (code, report) = Bastion::from_text(&inventory).check("VM172");
    assert_eq!(code, 3);
    let host = host(&report, "VM172");
    assert_eq!(host["outcome"], "host-key-rejected");
    let message = host["error"]["message"].as_str().unwrap();
    let shown = message.split("SHA256:").nth(1).unwrap();
    let real = on_host(
        "VM172",
        "for key in $(sshd -T | sed -n 's/^hostkey //p'); do ssh-keygen -lf $key; done",
    );
    assert!(real.contains(shown), "{message} is none of {real}");
}

/// Secrets stand in the configuration, in old units' environment and in arguments of gateways that
/// were started by hand; none of them may leave the host.
#[test]
fn no_secret_leaves_a_host() {
    let _turn = fleet();
    let configured = on_host("VM172", "cat /home/claw/.openclaw/openclaw.json");
    assert!(configured.contains("token"), "{configured}");
    let token = configured
        .split('"')
        .max_by_key(|word| word.len())
        .unwrap()
        .to_owned();
    on_host(
        "VM172",
        "mkdir -p /run/systemd/system/openclaw-gateway.service.d && \
         printf '[Service]\\nEnvironment=OPENCLAW_GATEWAY_TOKEN=unit-s3cret\\n' \
           >/run/systemd/system/openclaw-gateway.service.d/token.conf && systemctl daemon-reload && \
         (setsid bash -c 'exec -a openclaw sh -c \"sleep 60\" gateway --token argv-s3cret' >/dev/null 2>&1 </dev/null &)",
    );
    let output = Bastion::new().clawfleet(&["check", "VM172", "--format", "json"]);
    on_host(
        "VM172",
        "pkill -f '[a]rgv-s3cret'; rm -r /run/systemd/system/openclaw-gateway.service.d; systemctl daemon-reload",
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\"***\""), "the process was seen: {text}");
    for secret in ["unit-s3cret", "argv-s3cret", token.as_str()] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// What is written to a pipe or a mail is plain text, whatever the width.
#[test]
fn a_pipe_gets_plain_text() {
    let _turn = fleet();
    let output = Bastion::new().clawfleet(&["check", "VM[151-153,170]"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "no progress, no noise"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("CRITICAL: 2 of 4 hosts broken"), "{text}");
    assert!(!text.contains('\u{1b}'));
    let table: Vec<&str> = text
        .lines()
        .skip(2)
        .take_while(|line| !line.is_empty())
        .collect();
    assert!(
        table.iter().all(|line| line.chars().count() <= 120),
        "{text}"
    );
}
