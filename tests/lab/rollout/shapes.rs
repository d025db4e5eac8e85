//! What the built-in templates write on real hosts: whole units, the guard; and templates of a group's own.

use std::time::{Duration, Instant};

use super::{AtOnce, Controller, DROP_IN, Host, Ran, SOUND, address, fresh, hosts, planted, tell};
use crate::lab::{lab, on_host};

#[test]
fn built_in_templates_and_those_of_a_group() {
    let _turn = hosts();
    let mut all = AtOnce::default();
    for (index, scenario, profile) in [
        (0, "healthy", "baseline"),
        (1, "healthy", "strict"),
        (2, "user-unit", "baseline"),
        (3, "user-unit", "strict"),
    ] {
        all.go(format!("a whole unit, {profile}, {scenario}"), move || {
            whole(index, scenario, profile);
        });
        all.go(format!("a drop-in, {profile}, {scenario}"), move || {
            drop_in(index + 4, scenario, profile);
        });
    }
    for (index, scenario) in [(8, "orphan"), (9, "orphan-user"), (10, "leftover")] {
        all.go(format!("the guard, {scenario}"), move || {
            guard(index, scenario)
        });
    }
    all.go("templates of a group", || of_a_group(11));
    all.go("a unit that was not there", || made_and_unmade(13));
    all.all_well();
}

/// There, again, and back.
fn there_and_back(bastion: &Controller, host: &str, args: &[&str]) {
    let before = Host::see(host);
    before.works();
    let ran = bastion.harden("", &[args, &["--restart", "always"]].concat());
    tell(std::thread::current().name().unwrap(), &ran);
    ran.ends("applied", 0);
    let now = Host::see(host);
    now.works().clean();
    assert_ne!(now.gateway("MainPID"), before.gateway("MainPID"), "{ran:?}");
    assert_eq!(now.gateway("environment"), before.gateway("environment"));
    let again = bastion.harden("", args);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(again.json()["entries"][0]["status"], "nothing", "{again:?}");
    bastion.rollback("last").ends("applied", 0);
    Host::see(host).is_again(&before);
}

fn ready(index: u32, scenario: &str) -> String {
    match scenario {
        "healthy" => fresh(index),
        other => planted(index, other),
    }
}

fn whole(index: u32, scenario: &str, profile: &str) {
    let host = ready(index, scenario);
    let bastion = Controller::of(std::slice::from_ref(&host));
    let args = ["all", "--shape", "unit", "--profile", profile];
    there_and_back(&bastion, &host, &args);
}

fn drop_in(index: u32, scenario: &str, profile: &str) {
    let host = ready(index, scenario);
    let bastion = Controller::of(std::slice::from_ref(&host));
    there_and_back(&bastion, &host, &["all", "--profile", profile]);
}

/// The unit loops since a stray gateway holds its port. The next start ends that one, and no other process.
fn guard(index: u32, scenario: &str) {
    let host = planted(index, scenario);
    // Clients of the port, and a process that has its number in its arguments, are nobody's business.
    on_host(
        &host,
        "setsid bash -c 'exec 3<>/dev/tcp/127.0.0.1/18789; exec sleep 77001' </dev/null >/dev/null 2>&1 & \
         setsid bash -c 'exec -a \"openclaw-gateway --port 18789\" sleep 77002' </dev/null >/dev/null 2>&1 & sleep 0.3",
    );
    let bystanders = || on_host(&host, "pgrep -x sleep -a | grep -c 7700 || true");
    let before = bystanders();
    let bastion = Controller::with(
        std::slice::from_ref(&host),
        "user: root, vars: {guard: end}",
    );
    let ran: Ran = bastion.harden("", &["all"]);
    tell(std::thread::current().name().unwrap(), &ran);
    ran.ends("applied", 0);
    // A unit that ended with 78 stays down from now on.
    let manager = if scenario == "orphan-user" {
        "setpriv --reuid=claw --regid=claw --init-groups env XDG_RUNTIME_DIR=/run/user/1501 systemctl --user"
    } else {
        "systemctl"
    };
    on_host(
        &host,
        &format!("{manager} reset-failed openclaw-gateway; {manager} restart openclaw-gateway"),
    );
    let begin = Instant::now();
    let now = loop {
        let now = Host::see(&host);
        let own =
            now.gateway("holder") == now.gateway("MainPID") && !now.gateway("holder").is_empty();
        if own && now.gateway("http") == "live" {
            break now;
        }
        assert!(begin.elapsed() < Duration::from_secs(90), "{now:?}");
        std::thread::sleep(Duration::from_secs(1));
    };
    now.works().clean();
    assert_eq!(bystanders(), before);
    on_host(
        &host,
        "pkill -f 'sleep 7700[12]' ; pkill -f 'port 18789$' -x sleep || true",
    );
}

/// Without a unit there is nothing to take over: the inventory says what it starts. A rollback stops it first.
fn made_and_unmade(index: u32) {
    let host = fresh(index);
    let start = on_host(
        &host,
        "sed -n 's/^ExecStart=//p' /etc/systemd/system/openclaw-gateway.service",
    );
    on_host(
        &host,
        "systemctl disable --now openclaw-gateway 2>/dev/null; rm /etc/systemd/system/openclaw-gateway.service; systemctl daemon-reload",
    );
    let before = Host::see(&host);
    assert_eq!(before.gateway("http"), "");
    let vars = format!(
        "user: root, vars: {{exec_start: \"{}\", user: claw, home: /home/claw}}",
        start.trim()
    );
    let bastion = Controller::with(std::slice::from_ref(&host), &vars);
    let ran = bastion.harden("", &["all", "--shape", "unit"]);
    tell("a unit that was not there", &ran);
    ran.ends("applied", 0);
    let now = Host::see(&host);
    now.works().clean();
    assert_eq!(now.gateway("unit-file"), "enabled", "{now:?}");
    let back = bastion.rollback("last");
    back.ends("applied", 0);
    let now = Host::see(&host);
    now.clean();
    assert_eq!(now.files, before.files);
    assert_eq!(now.gateway("http"), "");
    assert_ne!(now.gateway("ActiveState"), "active");
    assert_eq!(
        bastion
            .harden("", &["all", "--shape", "unit"])
            .ends("applied", 0)
            .code,
        Some(0)
    );
}

fn of_a_group(index: u32) {
    let hosts: Vec<String> = (index..index + 2).map(fresh).collect();
    let bastion = Controller::of(&hosts);
    let own = bastion.template("of-the-group", SOUND);
    let text = format!(
        "defaults: {{identity: /run/clawfleet-lab/id_ed25519, known_hosts: /run/clawfleet-lab/known_hosts, \
         ssh: {{config: none}}, user: root}}\n\
         hosts:\n  {}: {{address: {}}}\n  {}: {{address: {}}}\n\
         groups:\n  own: {{hosts: [{}], harden: {{template_dir: {own}}}}}\n",
        hosts[0],
        address(&hosts[0]),
        hosts[1],
        address(&hosts[1]),
        hosts[1],
    );
    std::fs::write(bastion.path("inventory.yaml"), text).unwrap();
    let ran = bastion.harden("", &["all"]);
    ran.ends("applied", 0);
    let texts: Vec<String> = hosts
        .iter()
        .map(|host| lab(&["exec", host, "--", "cat", DROP_IN]))
        .collect();
    assert!(texts[0].contains("[X-Clawfleet]"), "{}", texts[0]);
    assert_eq!(texts[1], SOUND);
}
