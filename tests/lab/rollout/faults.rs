//! Faults of a host that a rollout finds there, and files that no gateway lives with.

use super::{AtOnce, Controller, DIES, Host, Ran, SOUND, fresh, harden_args, hosts, settled, tell};
use crate::lab::{lab, on_host};

use std::time::Duration;

#[test]
fn what_fails_leaves_the_host_as_it_was() {
    let _turn = hosts();
    let mut all = AtOnce::default();
    all.go("a full disk below /etc", || {
        no_room_for_units(0);
    });
    all.go("/etc/systemd/system is read-only", || read_only(1));
    all.go("the drop-in's directory is a link", || link(2));
    all.go(
        "the drop-in's directory becomes a link after the plan",
        || link_after_the_plan(3),
    );
    // Every place at which a disk may be full, a page at a time: the whole of a run takes some thirty.
    for (index, pages) in [
        (4, 1..7),
        (5, 7..12),
        (6, 12..18),
        (7, 18..24),
        (21, 24..32),
    ] {
        all.go(
            format!("/var/lib/clawfleet has {pages:?} pages"),
            move || full_disk(index, pages),
        );
    }
    for (index, what, text) in [
        (8, "an unknown directive", "[Service]\nRestartSecs=5\n"),
        (9, "a value that is none", "[Service]\nRestart=perhaps\n"),
        (10, "a section that is none", "[Service\nRestart=always\n"),
        (
            11,
            "a program that is not there",
            "[Service]\nExecStartPre=/usr/bin/not-there\n",
        ),
    ] {
        all.go(what, move || not_taken(index, what, text));
    }
    for (index, what, text) in [
        (
            12,
            "ExecStartPre=/bin/false",
            "[Service]\nExecStartPre=/bin/false\n",
        ),
        (
            13,
            "another program",
            "[Service]\nExecStart=\nExecStart=/bin/false\n",
        ),
        (
            14,
            "it never says that it is ready",
            "[Service]\nType=notify\nTimeoutStartSec=300\n",
        ),
        (
            15,
            "it serves another port",
            "[Service]\nEnvironment=OPENCLAW_GATEWAY_PORT=18790\nExecStart=\nExecStart=/opt/clawfleet-lab/bin/node /opt/clawfleet-lab/lib/node_modules/openclaw/dist/index.js gateway --port 18790\n",
        ),
        (16, "it dies after 2 s", DIES),
    ] {
        all.go(what, move || rolled_back(index, what, text));
    }
    all.go("a drop-in that was there comes back", || old_drop_in(17));
    all.go(
        "the disk is full from the verification on, and all is well",
        || {
            full_from_then_on(19, SOUND, &[("applied", 0), ("rolled-back", 5)]);
        },
    );
    all.go(
        "the disk is full from the verification on, and it fails",
        || {
            full_from_then_on(
                20,
                "[Service]\nExecStartPre=/bin/false\n",
                &[("rolled-back", 5)],
            );
        },
    );
    all.go("the file of the drop-in cannot be replaced", || {
        immutable(18)
    });
    all.all_well();
}

/// Nothing of it got to the gateway, not even a restart.
#[track_caller]
fn untouched(host: &str, before: &Host) {
    let now = Host::see(host);
    now.is_again(before);
    assert_eq!(now.gateway("MainPID"), before.gateway("MainPID"));
}

fn harden(host: &String, text: &str, more: &[&str]) -> Ran {
    let bastion = Controller::of(std::slice::from_ref(host));
    let template = bastion.template("own", text);
    let ran = bastion.harden(&template, &[&["all"], more].concat());
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    ran
}

/// A small file system in memory takes the place of /etc/systemd/system, with room for nothing more.
fn no_room_for_units(index: u32) {
    let host = fresh(index);
    on_host(
        &host,
        "mkdir -p /run/lab-full && mount -t tmpfs -o mode=755,size=256k none /run/lab-full && \
         cp -a /etc/systemd/system/. /run/lab-full/ && mount --bind /run/lab-full /etc/systemd/system && \
         umount -l /run/lab-full && systemctl daemon-reload && ! dd if=/dev/zero of=/etc/systemd/system/.filler bs=4k 2>/dev/null",
    );
    let before = Host::see(&host);
    let ran = harden(&host, SOUND, &["--restart", "always"]);
    tell("/etc/systemd/system is full", &ran);
    ran.ends("failed", 5);
    untouched(&host, &before);
}

/// The disk is full from the verification on: neither an undo nor a disarming can write a byte.
fn full_from_then_on(index: u32, text: &'static str, wanted: &[(&str, i32)]) {
    let host = fresh(index);
    let before = Host::see(&host);
    on_host(
        &host,
        "mkdir -p /var/lib/clawfleet && mount -t tmpfs -o mode=755,size=256k none /var/lib/clawfleet",
    );
    let bastion = Controller::of(std::slice::from_ref(&host));
    let template = bastion.template("own", text);
    let running = bastion.start(&harden_args(&template, &["all", "--restart", "always"]));
    running.at_step("verify", 1).unwrap();
    on_host(
        &host,
        "! dd if=/dev/zero of=/var/lib/clawfleet/filler bs=4k 2>/dev/null",
    );
    let ran = running.finish();
    tell(std::thread::current().name().unwrap(), &ran);
    let outcome = ran.outcomes()[&host].clone();
    assert!(
        wanted.contains(&(outcome.as_str(), ran.code.unwrap())),
        "{ran:?}"
    );
    settled(&host, Duration::from_secs(60)).is_as_claimed(&outcome, &before);
}

fn read_only(index: u32) {
    let host = fresh(index);
    let before = Host::see(&host);
    on_host(
        &host,
        "mount --bind /etc/systemd/system /etc/systemd/system && mount -o remount,bind,ro /etc/systemd/system",
    );
    let ran = harden(&host, SOUND, &["--restart", "always"]);
    tell("/etc/systemd/system is read-only", &ran);
    ran.ends("failed", 5);
    untouched(&host, &before);
}

fn link(index: u32) {
    let host = fresh(index);
    on_host(
        &host,
        "mkdir /var/lib/lab-elsewhere && ln -s /var/lib/lab-elsewhere /etc/systemd/system/openclaw-gateway.service.d",
    );
    let before = Host::see(&host);
    let ran = harden(&host, SOUND, &[]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(
        ran.json()["entries"][0]["why"]
            .to_string()
            .contains("is a link to /var/lib/lab-elsewhere"),
        "{ran:?}"
    );
    untouched(&host, &before);
    assert_eq!(on_host(&host, "ls -A /var/lib/lab-elsewhere"), "");
}

fn link_after_the_plan(index: u32) {
    let host = fresh(index);
    let bastion = Controller::of(std::slice::from_ref(&host));
    let sound = bastion.template("sound", SOUND);
    let plan = bastion.kept_plan(&sound);
    on_host(
        &host,
        "mkdir /var/lib/lab-elsewhere && ln -s /var/lib/lab-elsewhere /etc/systemd/system/openclaw-gateway.service.d",
    );
    let before = Host::see(&host);
    let ran = bastion.harden("", &["--plan", &plan]);
    tell("the directory became a link after the plan", &ran);
    ran.ends("failed", 5);
    untouched(&host, &before);
    assert_eq!(on_host(&host, "ls -A /var/lib/lab-elsewhere"), "");
}

fn full_disk(index: u32, pages: std::ops::Range<u32>) {
    let host = fresh(index);
    let before = Host::see(&host);
    for pages in pages {
        let size = pages * 4;
        on_host(
            &host,
            &format!(
                "mkdir -p /var/lib/clawfleet && mount -t tmpfs -o mode=755,size={size}k none /var/lib/clawfleet"
            ),
        );
        let ran = harden(&host, SOUND, &["--restart", "always"]);
        tell(&format!("/var/lib/clawfleet has {size} KiB"), &ran);
        let outcome = ran.outcomes()[&host].clone();
        match outcome.as_str() {
            "failed" | "rolled-back" => assert_eq!(ran.code, Some(5), "{ran:?}"),
            "applied" => assert_eq!(ran.code, Some(0), "{ran:?}"),
            other => panic!("{other}: {ran:?}"),
        }
        // What could not even write a byte is said so, and not waited for.
        settled(&host, Duration::from_secs(60)).is_as_claimed(&outcome, &before);
        on_host(&host, "umount -l /var/lib/clawfleet");
        let again = fresh(index);
        Host::see(&again).is_again(&before);
    }
}

/// Templates that the program itself or systemd's own word refuses.
fn not_taken(index: u32, what: &str, text: &str) {
    let host = fresh(index);
    let before = Host::see(&host);
    let ran = harden(&host, text, &["--restart", "always"]);
    // The controller knows better in some cases, and then no host is asked.
    if ran.code != Some(78) && ran.code != Some(4) {
        tell(what, &ran);
        ran.ends("failed", 5);
        assert!(ran.why().contains("systemd-analyze verify"), "{ran:?}");
    }
    untouched(&host, &before);
}

fn rolled_back(index: u32, what: &str, text: &str) {
    let host = fresh(index);
    let before = Host::see(&host);
    let times = [
        "--settle",
        "5s",
        "--well-within",
        "8s",
        "--undo-after",
        "43s",
    ];
    let ran = harden(
        &host,
        text,
        &[&["--restart", "always"][..], &times].concat(),
    );
    tell(what, &ran);
    ran.ends("rolled-back", 5);
    let now = Host::see(&host);
    now.is_again(&before);
    assert_ne!(now.gateway("MainPID"), before.gateway("MainPID"), "{ran:?}");
}

/// With its rights and its owner.
fn old_drop_in(index: u32) {
    let host = fresh(index);
    on_host(
        &host,
        "d=/etc/systemd/system/openclaw-gateway.service.d; mkdir -m 750 $d && printf '[Service]\\nEnvironment=LAB_OLD=1\\n' >$d/50-clawfleet.conf && \
         chmod 640 $d/50-clawfleet.conf && chown root:claw $d/50-clawfleet.conf && touch -d 2020-02-02 $d/50-clawfleet.conf && systemctl daemon-reload",
    );
    let before = Host::see(&host);
    let ran = harden(
        &host,
        "[Service]\nExecStartPre=/bin/false\n",
        &["--restart", "always"],
    );
    tell("a drop-in that was there comes back", &ran);
    ran.ends("rolled-back", 5);
    Host::see(&host).is_again(&before);
    let modified = on_host(
        &host,
        "stat -c %y /etc/systemd/system/openclaw-gateway.service.d/50-clawfleet.conf",
    );
    assert!(modified.starts_with("2020-02-02"), "{modified}");
}

/// The file can be read and not replaced: it is itself a mount point.
fn immutable(index: u32) {
    let host = fresh(index);
    on_host(
        &host,
        "d=/etc/systemd/system/openclaw-gateway.service.d; mkdir $d && echo '[Service]' >$d/50-clawfleet.conf && systemctl daemon-reload && \
         mount --bind $d/50-clawfleet.conf $d/50-clawfleet.conf",
    );
    let before = Host::see(&host);
    let ran = harden(&host, SOUND, &["--restart", "always"]);
    tell("the file cannot be replaced", &ran);
    ran.ends("rolled-back", 5);
    Host::see(&host).is_again(&before);
    on_host(
        &host,
        "umount /etc/systemd/system/openclaw-gateway.service.d/50-clawfleet.conf",
    );
    assert_eq!(
        lab(&["exec", &host, "--", "cat", super::DROP_IN]),
        "[Service]\n"
    );
}
