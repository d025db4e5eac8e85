//! Two at once, and plans that are older than what they were made for.

use std::thread;

use super::{
    AtOnce, Controller, Host, UNIT, address, fresh, harden_args, hosts, name, settled, tell,
};
use crate::lab::{lab, on_host};

/// Long enough for a second run beside it.
const SLOW: [&str; 6] = [
    "--settle",
    "12s",
    "--well-within",
    "9s",
    "--undo-after",
    "51s",
];

#[test]
fn one_run_at_a_time_and_no_plan_outlives_what_it_was_made_for() {
    let _turn = hosts();
    let mut all = AtOnce::default();
    all.go("two bastions", of_two_bastions_one_waits_for_its_turn);
    all.go("clocks", the_undo_waits_by_the_clock_that_only_goes_forward);
    all.go("drift", hosts_that_changed_since_the_plan_are_left_alone);
    all.go("a dead lock", a_dead_lock_is_taken_over);
    all.go("a jump", a_jump_that_was_cut_off_is_come_back_to);
    all.all_well();
}

fn of_two_bastions_one_waits_for_its_turn() {
    let host = fresh(0);
    let before = Host::see(&host);
    let (first, second) = (
        Controller::of(std::slice::from_ref(&host)),
        Controller::of(std::slice::from_ref(&host)),
    );
    let (mine, theirs) = (first.path("sound"), second.path("sound"));
    let plan = second.kept_plan(theirs.to_str().unwrap());
    let own_plan = first.kept_plan(mine.to_str().unwrap());
    let slowly = [&["all", "--restart", "always"][..], &SLOW].concat();
    let running = first.start(&harden_args(mine.to_str().unwrap(), &slowly));
    running.at_step("verify", 1).unwrap();
    // A plan that was kept knows nothing of the other: the host's own lock does. Its file is there already,
    // and is not what the plan was made for; but the lock comes first.
    let late = second.harden("", &["--plan", &plan]);
    late.ends("locked", 4);
    assert!(late.why().contains("holds this host"), "{late:?}");
    // Where it is looked at first, it is not even planned for.
    let looked = second.check(theirs.to_str().unwrap());
    assert_eq!(looked.code, Some(4), "{looked:?}");
    assert!(looked.stdout.contains("waits for its undo"), "{looked:?}");
    // On the same bastion the second run ends before it looks at anything.
    let beside = first.harden(mine.to_str().unwrap(), &["all"]);
    assert!(matches!(beside.code, Some(75 | 4)), "{beside:?}");
    let kept = first.run(&["harden", "--plan", &own_plan, "--yes"]);
    assert_eq!(kept.code, Some(75), "{kept:?}");
    running.finish().ends("applied", 0);
    Host::see(&host).is_as_claimed("applied", &before);
}

/// The timer of the undo waits for a span of time, and no clock that is set reaches it.
fn the_undo_waits_by_the_clock_that_only_goes_forward() {
    let host = fresh(1);
    let bastion = Controller::of(std::slice::from_ref(&host));
    let template = bastion.path("sound");
    let running = bastion.start(&harden_args(template.to_str().unwrap(), &["all"]));
    running.at_step("verify", 1).unwrap();
    let timer = on_host(
        &host,
        "systemctl show -p TimersMonotonic -p TimersCalendar -p NextElapseUSecRealtime -p ActiveState 'clawfleet-undo-*.timer'",
    );
    running.finish().ends("applied", 0);
    assert!(
        timer.contains("TimersMonotonic={ OnActiveUSec=40s"),
        "{timer}"
    );
    assert!(timer.contains("ActiveState=active"), "{timer}");
    assert!(!timer.contains("OnCalendar"), "{timer}");
    assert!(
        timer.lines().any(|line| line == "NextElapseUSecRealtime="),
        "{timer}"
    );
}

fn hosts_that_changed_since_the_plan_are_left_alone() {
    let all: Vec<String> = (2..6).map(fresh).collect();
    let before: Vec<Host> = all.iter().map(|host| Host::see(host)).collect();
    let bastion = Controller::of(&all);
    let template = bastion.path("sound");
    let plan = bastion.kept_plan(template.to_str().unwrap());
    on_host(
        &all[1],
        &format!(
            "mkdir /etc/systemd/system/{UNIT}.d && echo '[Service]' >/etc/systemd/system/{UNIT}.d/50-clawfleet.conf && systemctl daemon-reload"
        ),
    );
    let changed = Host::see(&all[1]);
    let ran = bastion.harden("", &["--plan", &plan, "--max-fail", "1"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    for (index, host) in all.iter().enumerate() {
        let outcome = &ran.outcomes()[host];
        if index == 1 {
            assert_eq!(outcome, "drifted");
            Host::see(host).is_as_claimed(outcome, &changed);
        } else {
            assert_eq!(outcome, "applied");
            Host::see(host).is_as_claimed(outcome, &before[index]);
        }
    }
    // And nobody carries it out twice.
    let again = bastion.harden("", &["--plan", &plan, "--max-fail", "100%"]);
    again.ends("drifted", 4);
}

/// A lock whose run is dead is taken over at once: its process has gone, and no undo waits.
fn a_dead_lock_is_taken_over() {
    let host = fresh(6);
    let before = Host::see(&host);
    let bastion = Controller::of(std::slice::from_ref(&host));
    let template = bastion.path("sound");
    let running = bastion.start(&harden_args(
        template.to_str().unwrap(),
        &["all", "--restart", "always"],
    ));
    running.at_step("verify", 1).unwrap();
    running.kill();
    thread::sleep(std::time::Duration::from_millis(500));
    // Its timer is gone, as after an operator's hand or a manager that was started anew.
    on_host(&host, "systemctl stop 'clawfleet-undo-*.timer'");
    let seen = Host::see(&host);
    let locked = seen.left.iter().any(|left| left.ends_with("/lock"));
    assert!(locked, "{seen:?}");
    let other = bastion.template("other", "[Service]\nEnvironment=LAB_NEW=3\n");
    // The dead run is undone first, so that the plan that was made on its files no longer fits.
    let ran = bastion.harden(&other, &["all", "--restart", "always"]);
    ran.ends("drifted", 4);
    settled(&host, std::time::Duration::from_secs(10)).is_again(&before);
    bastion.harden_soundly().ends("applied", 0);
    Host::see(&host).is_as_claimed("applied", &before);
}

/// Everything behind a jump is lost with it, and seen again with it.
fn a_jump_that_was_cut_off_is_come_back_to() {
    let (jump, host) = (name(7), fresh(8));
    let before = Host::see(&host);
    let way = format!(
        "user: root, ssh: {{config: none, jump: [root@{}]}}",
        address(&jump)
    );
    let bastion = Controller::with(std::slice::from_ref(&host), &way);
    let template = bastion.path("sound");
    let running = bastion.start(&harden_args(
        template.to_str().unwrap(),
        &["all", "--restart", "always"],
    ));
    running.at_step("verify", 1).unwrap();
    lab(&["partition", &jump]);
    thread::sleep(std::time::Duration::from_secs(15));
    lab(&["heal", &jump]);
    let ran = running.finish();
    tell("a jump is cut off at verify for 15 s", &ran);
    let outcome = ran.outcomes()[&host].clone();
    assert!(
        matches!(outcome.as_str(), "applied" | "rolled-back"),
        "{ran:?}"
    );
    settled(&host, std::time::Duration::from_secs(60)).is_as_claimed(&outcome, &before);
}
