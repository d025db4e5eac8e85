//! The real gateway, version by version: what it serves, how it fails, the unit that it generates.

use crate::lab::{Bastion, Gateway, fleet, host, lab, on_host, plant, roots, set};

/// The version, what its own generated unit is blamed for, and what the lab's hand-written one is:
/// up to 3.2 the generated one leaves children alive, has no reachable start limit, and carries the
/// token in a file that everybody may read; from 8.1 on the hand-written one stops it too soon.
const VERSIONS: [(&str, &[&str], &[&str]); 3] = [
    (
        "2026.3.1",
        &["secrets-readable", "start-limit-unreachable", "unit-weak"],
        &[],
    ),
    ("2026.6.10", &[], &[]),
    ("2026.9.6", &[], &["unit-weak"]),
];

/// The host that runs them, one after the other.
const HOST: &str = "VM152";

#[test]
#[ignore = "ci/test --full runs three versions of the real gateway"]
fn the_verdicts_hold_on_every_version() {
    let _turn = fleet();
    for (version, generated, written) in VERSIONS {
        lab(&["version", HOST, version]);
        for (scenario, leads) in [
            ("healthy", &[][..]),
            ("orphan", &["orphan-holds-port", "unit-weak"][..]),
            ("config-json", &["config-error"][..]),
            ("config-missing", &["config-error"][..]),
        ] {
            plant(HOST, scenario, Gateway::Real);
            expect(version, scenario, &[leads, written].concat());
        }
        // What only this version does.
        if version == "2026.9.6" {
            for (scenario, leads) in [
                ("debug-port", &["debug-port-open"][..]),
                ("channels-suppressed", &["channels-suppressed"][..]),
            ] {
                plant(HOST, scenario, Gateway::Real);
                expect(version, scenario, &[leads, written].concat());
            }
        }
        generated_unit(version);
        expect(version, "its own generated unit", generated);
    }
    lab(&["version", HOST, "2026.6.10"]);
    plant(HOST, "healthy", Gateway::Real);
    lab(&["wait", HOST, "60"]);
}

/// Puts the unit that this version's installer writes in place of the lab's, for claw.
fn generated_unit(version: &str) {
    plant(HOST, "user-unit", Gateway::Real);
    lab(&["wait", HOST, "120"]);
    on_host(
        HOST,
        &format!(
            "unit=/home/claw/.config/systemd/user/openclaw-gateway.service\n\
             sh /opt/clawfleet-lab/host/unit-for {version} user 18789 generated >$unit\n\
             setpriv --reuid claw --regid claw --init-groups env XDG_RUNTIME_DIR=/run/user/1501 sh -c \
             'systemctl --user daemon-reload; systemctl --user restart openclaw-gateway'"
        ),
    );
    lab(&["wait", HOST, "120"]);
}

/// A version may need seconds for its fault to show; then it is this and nothing else.
fn expect(version: &str, what: &str, leads: &[&str]) {
    let bastion = Bastion::new();
    let mut last = None;
    for _ in 0..40 {
        let report = bastion.check(HOST).1;
        let seen = host(&report, HOST).clone();
        if roots(&seen) == set(leads) {
            return;
        }
        last = Some(seen);
        std::thread::sleep(std::time::Duration::from_secs(3));
    }
    let last = last.unwrap();
    panic!(
        "{version} {what}: {:?} instead of {leads:?}: {}",
        roots(&last),
        last["findings"]
    );
}
