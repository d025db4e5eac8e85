//! The way of a rollout that goes well, through every login that may take it.

use super::{AtOnce, Controller, Host, SOUND, UNDO_AFTER, fresh, hosts, planted, settled, tell};
use crate::lab::{lab, on_host};

/// The password of `pat`, where a host has the variant `ssh-password`.
const PASSWORD: &str = "Kiefer-7-Wolke";

#[test]
fn whoever_may_change_a_unit_changes_it_and_puts_it_back() {
    let _turn = hosts();
    let mut all = AtOnce::default();
    for (index, scenario, settings) in [
        (0, "healthy", "user: root"),
        (1, "healthy", "user: op, become: sudo"),
        (2, "user-unit", "user: claw"),
        (3, "user-unit", "user: root"),
        (4, "user-unit", "user: op, become: sudo"),
    ] {
        all.go(format!("{settings}, {scenario}"), move || {
            there_and_back(index, scenario, settings, "")
        });
    }
    all.go("sudo with its password", || {
        let settings = "user: pat, become: sudo, become_password: {env: PW}";
        let host = fresh(5);
        lab(&["variant", "ssh-password", &host]);
        there_and_back(5, "healthy", settings, PASSWORD);
        sudo_says_no(&host, settings);
        lab(&["variant", "none", &host]);
    });
    all.go("nobody is logged in", || without_a_manager(6));
    all.go("no restart", || without_a_restart(7));
    all.all_well();
}

fn there_and_back(index: u32, scenario: &str, settings: &str, password: &str) {
    let host = if scenario == "healthy" {
        fresh(index)
    } else {
        planted(index, scenario)
    };
    let before = Host::see(&host);
    before.works();
    let bastion = Controller::with(std::slice::from_ref(&host), settings).env("PW", password);
    let ran = bastion.harden_soundly();
    tell(&format!("{settings}, {scenario}"), &ran);
    ran.ends("applied", 0);
    let now = Host::see(&host);
    now.is_as_claimed("applied", &before);
    // Root has written nothing among another's files.
    if scenario == "user-unit" {
        let foreign = on_host(
            &host,
            "find /home/claw/.config /home/claw/.local ! -user claw",
        );
        assert_eq!(foreign, "");
    }
    assert_eq!(bastion.recorded()[&host], "applied");
    // What is as wanted is not done again.
    let again = bastion.harden_soundly();
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(again.json()["entries"][0]["status"], "nothing");
    assert_eq!(Host::see(&host), now);
    let back = bastion.rollback("last");
    back.ends("applied", 0);
    Host::see(&host).is_again(&before);
}

/// Asked for, refused, wrong: nothing is done, and it is said that nobody looked.
fn sudo_says_no(host: &String, settings: &str) {
    let before = Host::see(host);
    for (password, what) in [
        ("falsch", "a wrong password for sudo"),
        ("", "no password for sudo"),
    ] {
        let bastion = Controller::with(std::slice::from_ref(host), settings).env("PW", password);
        let template = bastion.path("sound");
        let ran = bastion.harden(template.to_str().unwrap(), &["all"]);
        assert!(matches!(ran.code, Some(3 | 78)), "{what}: {ran:?}");
        let now = Host::see(host);
        assert_eq!(now.files, before.files, "{what}");
        now.works().clean();
    }
    // It goes in the middle of a run: a plan was made, and then nobody may become root any more.
    let bastion = Controller::with(std::slice::from_ref(host), settings).env("PW", PASSWORD);
    let template = bastion.template("other", "[Service]\nEnvironment=LAB_NEW=2\n");
    let plan = bastion.kept_plan(&template);
    lab(&["variant", "sudo-never", host]);
    let ran = bastion.harden("", &["--plan", &plan]);
    tell("sudo says no after the plan", &ran);
    ran.ends("not-reached", 3);
    let now = Host::see(host);
    assert_eq!(now.files, before.files);
    now.works().clean();
}

/// Nothing lingers: the user's manager does not run, so files are all that can change.
fn without_a_manager(index: u32) {
    let host = planted(index, "user-unit");
    on_host(
        &host,
        "loginctl disable-linger claw; systemctl stop user@1501.service; \
         for _ in 1 2 3 4 5 6 7 8 9; do [ -e /run/user/1501/systemd/private ] || break; sleep 0.3; done",
    );
    let before = Host::see(&host);
    assert_eq!(before.gateway("http"), "");
    let bastion = Controller::of(std::slice::from_ref(&host));
    let ran = bastion.harden_soundly();
    tell("user unit, its manager does not run", &ran);
    ran.ends("applied", 0);
    let now = Host::see(&host);
    now.clean();
    assert_eq!(now.gateway("drop-in"), super::digest(SOUND), "{now:?}");
    assert_eq!(now.gateway("http"), "", "nobody started it: {now:?}");
    bastion.rollback("last").ends("applied", 0);
    let back = Host::see(&host);
    back.clean();
    assert_eq!(back.gateway("drop-in"), "-", "{back:?}");
    // Nothing waits there for the next login.
    on_host(&host, "loginctl enable-linger claw");
    let begun = settled(&host, UNDO_AFTER);
    begun.works().clean();
    assert_eq!(begun.gateway("new"), "", "{begun:?}");
}

fn without_a_restart(index: u32) {
    let host = fresh(index);
    let before = Host::see(&host);
    let bastion = Controller::of(std::slice::from_ref(&host));
    let template = bastion.path("sound");
    let ran = bastion.harden(template.to_str().unwrap(), &["all", "--restart", "never"]);
    tell("--restart never", &ran);
    ran.ends("applied", 0);
    let now = Host::see(&host);
    now.has(&before, SOUND);
    assert_eq!(now.gateway("MainPID"), before.gateway("MainPID"));
    assert_eq!(now.gateway("new"), "", "{now:?}");
    bastion.rollback("last").ends("applied", 0);
    Host::see(&host).is_again(&before);
}
