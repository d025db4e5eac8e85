//! SSH as operators meet it: jumps, sudo and its relatives, passwords, keys, host keys. Real sshd,
//! sudo and PAM throughout; what it must do is what the real `ssh` does beside it.

use std::io::{Read as _, Write as _};
use std::process::{Command, Output, Stdio};
use std::sync::MutexGuard;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::{fleet, host, lab, on_host};

/// Hosts of these tests alone, beyond those of the others.
const FIRST: u32 = 401;
/// So many are up for every test.
const FEW: u32 = 8;
/// The password of `pat` and of root, where a host has the variant `ssh-password`.
const PASSWORD: &str = "Kiefer-7-Wolke";
const KEY: &str = "/run/clawfleet-lab/id_ed25519";
const KNOWN: &str = "/run/clawfleet-lab/known_hosts";

/// The turn, and the first `count` hosts of these tests.
fn hosts(count: u32) -> MutexGuard<'static, ()> {
    let turn = fleet();
    let (count, from) = (count.to_string(), FIRST.to_string());
    lab(&["up", &count, "--from", &from, "--real", "0"]);
    turn
}

/// The names of hosts, counted from 1.
fn names(numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
    numbers
        .map(|number| format!("VM{}", FIRST + number - 1))
        .collect()
}

/// As ci/lab.d/common.sh counts.
fn address(name: &str) -> String {
    let number: u32 = name.strip_prefix("VM").unwrap().parse().unwrap();
    format!("10.77.1.{}", number - 254)
}

/// Does something to hosts, some at a time.
fn each(hosts: &[String], work: impl Fn(&str) + Sync) {
    thread::scope(|scope| {
        for lane in 0..4 {
            let work = &work;
            scope.spawn(move || {
                hosts
                    .iter()
                    .skip(lane)
                    .step_by(4)
                    .for_each(|host| work(host))
            });
        }
    });
}

/// Hosts that are changed until this goes.
struct Changed(Vec<String>);

impl Drop for Changed {
    fn drop(&mut self) {
        each(&self.0, |host| {
            lab(&["variant", "none", host]);
        });
    }
}

/// Changes hosts by variants of the lab.
fn change(hosts: &[String], variants: &[&str]) -> Changed {
    let changed = Changed(hosts.to_vec());
    each(hosts, |host| {
        for variant in variants {
            lab(&["variant", variant, host]);
        }
    });
    changed
}

/// Adds lines to what a changed host's sshd is told first.
fn tell_sshd(host: &str, lines: &str) {
    on_host(
        host,
        &format!(
            "cat >>/etc/ssh/sshd_config.d/10-variant.conf <<'END'\n{lines}\nEND\n\
             systemctl reset-failed ssh && systemctl restart ssh"
        ),
    );
}

/// The controller: a home of its own, an inventory, and nothing of our environment.
struct Controller {
    home: tempfile::TempDir,
    environment: Vec<String>,
}

impl Controller {
    fn new(inventory: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let environment = vec![
            format!("HOME={}", home.path().display()),
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        ];
        let controller = Self { home, environment };
        controller.write("inventory.yaml", inventory);
        controller
    }

    /// Hosts by their addresses, with the lab's key and known_hosts.
    fn of(hosts: &[String], settings: &str) -> Self {
        Self::new(&inventory(
            hosts,
            &format!("identity: {KEY}, known_hosts: {KNOWN}, {settings}"),
        ))
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push(format!("{name}={value}"));
        self
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.home.path().join(name), text).unwrap();
        self.path(name)
    }

    fn command(&self, program: &str) -> Command {
        let root = env!("CARGO_MANIFEST_DIR");
        let mut command = Command::new(format!("{root}/ci/lab"));
        command
            .args(["bastion", "--", "env", "-i"])
            .args(&self.environment)
            .arg(program)
            .current_dir(self.home.path());
        command
    }

    fn clawfleet(&self, args: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_clawfleet"))
            .args(["-i", &self.path("inventory.yaml")])
            .args(args)
            .output()
            .unwrap()
    }

    fn check(&self, selector: &str) -> Seen {
        let begin = Instant::now();
        let output = self.clawfleet(&["check", selector, "--format", "json", "-vvv"]);
        Seen::of(&output, begin)
    }

    /// Whether the real ssh gets there.
    fn ssh(&self, args: &[&str]) -> Output {
        self.command("ssh")
            .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"])
            .args(args)
            .output()
            .unwrap()
    }

    fn ssh_keygen(&self, args: &[&str]) {
        let output = self.command("ssh-keygen").arg("-q").args(args).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{args:?} {output:?}");
    }

    /// Makes a key without a passphrase and returns its public part.
    fn key(&self, name: &str, kind: &str) -> String {
        self.ssh_keygen(&["-t", kind, "-N", "", "-C", name, "-f", name]);
        std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap()
    }
}

fn inventory(hosts: &[String], settings: &str) -> String {
    let mut text = format!("defaults: {{{settings}}}\nhosts:\n");
    for host in hosts {
        text += &format!("  {host}: {{address: {}}}\n", address(host));
    }
    text
}

/// What a check saw.
struct Seen {
    code: i32,
    report: Value,
    log: String,
    took: Duration,
}

impl Seen {
    fn of(output: &Output, begin: Instant) -> Self {
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        Self {
            code: output.status.code().unwrap(),
            report,
            log,
            took: begin.elapsed(),
        }
    }

    fn names(&self) -> Vec<&str> {
        let hosts = self.report["hosts"].as_array().unwrap();
        hosts
            .iter()
            .map(|host| host["name"].as_str().unwrap())
            .collect()
    }

    /// Outcome, stage and message, a line.
    fn told(&self, name: &str) -> String {
        let host = host(&self.report, name);
        let error = &host["error"];
        let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let (outcome, stage) = (word(&host["outcome"]), word(&error["stage"]));
        format!("{outcome} {stage} {}", word(&error["message"]))
    }

    fn is_observed(&self, name: &str) -> bool {
        self.told(name) == "observed - -"
    }

    /// All were seen in full.
    fn all_observed(&self) {
        for name in self.names() {
            assert!(self.is_observed(name), "{name}: {}", self.told(name));
        }
    }

    /// A host failed with that outcome and stage, and the message holds the words.
    fn failed(&self, name: &str, how: &str, words: &[&str]) {
        let told = self.told(name);
        assert!(told.starts_with(&format!("{how} ")), "{name}: {told}");
        for word in words {
            assert!(told.contains(word), "{name}: `{word}` is not in: {told}");
        }
        let marked = told.contains("clawfleet-ready-") || told.contains("clawfleet-password-");
        assert!(!marked, "our own markers: {told}");
    }
}

/// How often a host's sshd logged a line that begins so.
fn logged(host: &str, beginning: &str) -> usize {
    let line =
        format!("journalctl --sync; journalctl -t sshd -o cat | grep -c '^{beginning}' || true");
    on_host(host, &line).trim().parse().unwrap()
}

// ---- jumps ----

#[test]
fn hosts_behind_two_jumps_are_all_seen_over_one_connection_to_each() {
    behind_two_jumps(18, 2);
}

#[test]
#[ignore = "ci/test --full runs sixty hosts behind two jumps, ten times"]
fn sixty_hosts_behind_two_jumps_are_all_seen_every_time() {
    behind_two_jumps(60, 5);
}

fn behind_two_jumps(count: u32, runs: u32) {
    let _turn = hosts(count + 2);
    let all = names(1..=count + 2);
    let selector = format!("VM[{}-{}]", FIRST + 2, FIRST + 1 + count);
    let targets = &all[2..];
    // Each takes logins only from the one before it.
    each(&all[1..], |name| {
        let before = if name == all[1] { &all[0] } else { &all[1] };
        let line = format!("AllowUsers root@{}", address(before));
        on_host(
            name,
            &format!("echo '{line}' >/etc/ssh/sshd_config.d/10-variant.conf"),
        );
    });
    let changed = change(&all, &["ssh-startups"]);
    let nearer = Controller::of(
        targets,
        &format!("ssh: {{config: none, jump: [root@{}]}}", address(&all[0])),
    );
    let direct = Controller::of(&targets[..4], "ssh: {config: none}").check("all");
    for name in &targets[..4] {
        direct.failed(name, "auth-failed auth", &["refused root with"]);
    }

    let jumps = format!("{{config: none, jump: [{}, {}]}}", all[0], all[1]);
    let mut by_inventory = inventory(
        &all,
        &format!("identity: {KEY}, known_hosts: {KNOWN}, ssh: {{config: none}}"),
    );
    by_inventory += &format!("groups: {{behind: {{hosts: [\"{selector}\"], ssh: {jumps}}}}}\n");
    let by_inventory = Controller::new(&by_inventory);

    let by_file = Controller::new("");
    let mut config = format!(
        "Host {}\n  ProxyJump none\nHost {}\n  ProxyJump {}\n",
        all[0], all[1], all[0]
    );
    for name in &all {
        config += &format!("Host {name}\n  HostName {}\n", address(name));
    }
    config += &format!(
        "Host VM*\n  User root\n  IdentityFile {KEY}\n  UserKnownHostsFile {KNOWN}\n  ProxyJump {}\n",
        all[1]
    );
    let config = by_file.write("config", &config);
    by_file.write(
        "inventory.yaml",
        &format!("defaults: {{ssh: {{config: {config}}}}}\nhosts: {{\"{selector}\": {{}}}}\n"),
    );

    // Through the first jump alone there is no way either.
    let one = nearer.check(&targets[0]);
    one.failed(&targets[0], "auth-failed auth", &["refused root with"]);
    for (how, controller) in [("inventory", &by_inventory), ("ssh_config", &by_file)] {
        for run in 1..=runs {
            let before: Vec<usize> = all[..2]
                .iter()
                .map(|jump| logged(jump, "Accepted publickey"))
                .collect();
            let seen = controller.check(&selector);
            eprintln!(
                "{count} hosts behind two jumps, by {how}, run {run}: {:.1} s",
                seen.took.as_secs_f32()
            );
            assert_eq!(seen.names().len(), all.len() - 2);
            seen.all_observed();
            assert_eq!(seen.code, 0, "{}", seen.report["fleet_findings"]);
            for (jump, before) in all.iter().zip(before) {
                assert_eq!(
                    logged(jump, "Accepted publickey"),
                    before + 1,
                    "one connection to {jump}"
                );
            }
        }
    }
    drop(changed);
    lab(&["down", "--from", &(FIRST + FEW).to_string()]);
}

#[test]
fn a_proxy_command_for_twenty_hosts_through_an_sshd_that_takes_three_at_once() {
    let _turn = hosts(21);
    let all = names(1..=21);
    let jump = &all[..1];
    let changed = change(jump, &["ssh-few"]);
    let proxy = format!(
        "ssh -F none -i {KEY} -o UserKnownHostsFile={KNOWN} -o BatchMode=yes -W %h:%p root@{}",
        address(&jump[0])
    );
    let settings = format!("ssh: {{config: none, options: {{ProxyCommand: \"{proxy}\"}}}}");
    let seen = Controller::of(&all[1..], &settings).check("all");
    eprintln!(
        "20 hosts behind a proxy command: {:.1} s",
        seen.took.as_secs_f32()
    );
    assert_eq!(seen.names().len(), 20);
    seen.all_observed();
    drop(changed);
    lab(&["down", "--from", &(FIRST + FEW).to_string()]);
}

#[test]
fn a_jump_that_is_down_is_one_failure_with_the_hosts_behind_it() {
    let _turn = hosts(FEW);
    let all = names(1..=6);
    let settings = format!("ssh: {{config: none, jump: [root@{}]}}", address(&all[0]));
    let controller = Controller::of(&all[1..], &settings);
    lab(&["partition", &all[0]]);
    let seen = controller.check("all");
    let text = controller.clawfleet(&["check", "all"]);
    lab(&["heal", &all[0]]);
    assert_eq!(seen.code, 3);
    assert!(seen.took < Duration::from_secs(20), "{:?}", seen.took);
    for name in &all[1..] {
        let told = seen.told(name);
        assert!(
            told.contains(&format!("jump host root@{}: ", address(&all[0]))),
            "{told}"
        );
        assert_eq!(told, seen.told(&all[1]), "the same words for all");
        assert_eq!(host(&seen.report, name)["error"]["stage"], "tcp");
    }
    let text = String::from_utf8(text.stdout).unwrap();
    assert_eq!(
        text.matches(&format!("jump host root@{}: ", address(&all[0])))
            .count(),
        1,
        "{text}"
    );
    assert!(text.contains("VM[402-406]"), "{text}");
}

/// The connection to the jump ends while hosts behind it are asked something slow: what they had
/// said is kept, and who looks sees why there is no more.
#[test]
fn a_jump_that_is_lost_in_the_middle_is_named_and_nothing_hangs() {
    let _turn = hosts(FEW);
    let all = names(1..=6);
    let (jump, slow, quick) = (&all[0], &all[1..4], &all[4..]);
    let settings = format!("ssh: {{config: none, jump: [root@{}]}}", address(jump));
    each(slow, |name| {
        on_host(
            name,
            "mv /usr/bin/systemctl /usr/bin/systemctl.real && printf '#!/bin/sh\\nexec sleep 4242\\n' >/usr/bin/systemctl && chmod 755 /usr/bin/systemctl",
        );
    });
    let controller = Controller::of(&all[1..], &settings);
    let seen = thread::scope(|scope| {
        let run = scope.spawn(|| controller.check("all"));
        each(slow, |name| {
            on_host(
                name,
                "for i in $(seq 100); do pgrep -fx 'sleep 4242' && exit; sleep 0.1; done; exit 1",
            );
        });
        thread::sleep(Duration::from_secs(1));
        on_host(jump, "pkill -KILL -f '^sshd: root'");
        run.join().unwrap()
    });
    each(slow, |name| {
        on_host(name, "mv /usr/bin/systemctl.real /usr/bin/systemctl");
    });
    assert!(seen.took < Duration::from_secs(15), "{:?}", seen.took);
    for name in slow {
        seen.failed(name, "partial exec", &["connection"]);
    }
    for name in quick {
        assert!(seen.is_observed(name), "{}", seen.told(name));
    }
    assert_eq!(seen.code, 3);
}

// ---- becoming another user ----

/// A controller that logs in as `pat` and becomes somebody, with a password in its environment.
fn as_pat(hosts: &[String], settings: &str, password: &str) -> Controller {
    let settings = format!("user: pat, ssh: {{config: none}}, {settings}");
    Controller::of(hosts, &settings).with("PW", password)
}

const SUDO: &str = "become: sudo, become_password: {env: PW}";

#[test]
fn sudo_takes_the_password_and_nobody_else_sees_it() {
    let _turn = hosts(FEW);
    let all = names(1..=3);
    let _changed = change(&all, &["ssh-password"]);
    let _lecture = change(&all[1..2], &["sudo-lecture"]);
    // Looks for the password in all arguments and environments, as often as it can.
    on_host(
        &all[0],
        &format!(
            "echo {PASSWORD} >/root/wanted; setsid sh -c 'while :; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null \
             | tr \"\\0\" \"\\n\" | grep -c -F -f /root/wanted; done >/root/seen' >/dev/null 2>&1 </dev/null & echo $! >/root/watch"
        ),
    );
    let begin = on_host(&all[0], "wc -l </root/seen")
        .trim()
        .parse::<u32>()
        .unwrap();
    let controller = as_pat(&all, SUDO, PASSWORD);
    let seen = controller.check("all");
    let end = on_host(&all[0], "wc -l </root/seen; grep -vxc 0 /root/seen || true");
    let ends: Vec<u32> = end.lines().map(|line| line.parse().unwrap()).collect();
    // That it would have been found.
    on_host(
        &all[0],
        &format!("env X={PASSWORD} sleep 1; grep -qvx 0 /root/seen"),
    );
    on_host(
        &all[0],
        "kill -- -$(cat /root/watch); rm /root/wanted /root/seen /root/watch",
    );
    seen.all_observed();
    for name in &all {
        assert_eq!(host(&seen.report, name)["facts"]["login"]["uid"], 0);
        let journal = on_host(name, "journalctl --sync; journalctl -o export");
        assert!(!journal.contains(PASSWORD), "in the journal of {name}");
        assert!(journal.contains("pam_unix(sudo:session)"));
    }
    assert!(
        ends[0] >= begin + 5,
        "looked only {begin} to {} times",
        ends[0]
    );
    assert_eq!(ends[1], 0, "the password was seen among processes");
    assert!(seen.log.contains("DEBUG"), "there is a log: {}", seen.log);
    for text in [&seen.log, &seen.report.to_string()] {
        assert!(!text.contains(PASSWORD), "{text}");
    }
    // Another user than root.
    let claw = format!("{SUDO}, become_user: claw");
    let seen = as_pat(&all[..1], &claw, PASSWORD).check("all");
    seen.all_observed();
    assert_eq!(host(&seen.report, &all[0])["facts"]["login"]["uid"], 1501);
}

#[test]
fn a_wrong_sudo_password_is_tried_twice_in_a_fleet_and_locks_nobody() {
    let _turn = hosts(FEW);
    let all = names(1..=5);
    let _changed = change(&all, &["ssh-password", "sudo-lock"]);
    let seen = as_pat(&all, SUDO, "falsch").check("all");
    let mut refused = 0;
    for name in &all {
        let told = seen.told(name);
        assert!(told.starts_with("failed become sudo "), "{told}");
        refused += usize::from(told.contains("refuses the password"));
        assert!(
            told.contains("refuses the password") || told.contains("tried no more"),
            "{told}"
        );
        // sudo counts the question that it is left alone with, too.
        let failures = on_host(name, "faillock --user pat | grep -c 'V$' || true");
        assert!(
            failures.trim().parse::<u32>().unwrap() <= 2,
            "{name}: {failures}"
        );
    }
    assert_eq!(refused, 2);
    as_pat(&all, SUDO, PASSWORD).check("all").all_observed();
}

#[test]
fn what_sudo_su_and_doas_want_besides_is_said() {
    let _turn = hosts(FEW);
    let all = names(1..=8);
    let _changed = change(&all, &["ssh-password"]);
    let variants = ["sudo-tty", "doas-free", "doas-asks"];
    for (name, variant) in all.iter().zip(variants) {
        lab(&["variant", variant, name]);
    }
    let by_sudo = as_pat(&all[..4], SUDO, PASSWORD).check("all");
    by_sudo.failed(
        &all[0],
        "failed become",
        &["sudo wants a terminal", "you must have a tty"],
    );
    for name in &all[1..4] {
        assert!(by_sudo.is_observed(name), "{}", by_sudo.told(name));
    }
    let silent = as_pat(&all[3..4], "become: sudo", "").check("all");
    silent.failed(&all[3], "failed become", &["sudo asks for a password"]);
    let by_doas = as_pat(&all[1..4], "become: doas", "").check("all");
    assert!(by_doas.is_observed(&all[1]), "{}", by_doas.told(&all[1]));
    assert_eq!(host(&by_doas.report, &all[1])["facts"]["login"]["uid"], 0);
    by_doas.failed(&all[2], "failed become", &["doas"]);
    by_doas.failed(&all[3], "failed become", &["doas", "not enabled"]);
    let su = "become: su, become_password: {env: PW}";
    let by_su = as_pat(&all[..2], su, PASSWORD).check("all");
    by_su.all_observed();
    assert_eq!(host(&by_su.report, &all[0])["facts"]["login"]["uid"], 0);
    let by_su = as_pat(&all[..1], su, "falsch").check("all");
    by_su.failed(&all[0], "failed become", &["su refuses the password"]);
}

/// The password is right, and sudo says no for another reason: it is not the password's fault.
#[test]
fn sudo_that_refuses_the_login_is_not_taken_for_a_wrong_password() {
    let _turn = hosts(FEW);
    let all = names(1..=4);
    let _changed = change(&all, &["ssh-password"]);
    lab(&["variant", "sudo-never", &all[0]]);
    lab(&["variant", "sudo-never", &all[1]]);
    lab(&["variant", "sudo-other", &all[2]]);
    let seen = as_pat(&all, SUDO, PASSWORD).check("all");
    for name in &all[..2] {
        seen.failed(
            name,
            "failed become",
            &["does not let this login", "not in the sudoers file"],
        );
    }
    seen.failed(
        &all[2],
        "failed become",
        &["does not let this login", "not allowed to execute"],
    );
    assert!(seen.is_observed(&all[3]), "{}", seen.told(&all[3]));
}

#[test]
fn a_second_factor_of_sudo_is_named_and_gets_no_password() {
    let _turn = hosts(FEW);
    let all = names(1..=1);
    let _changed = change(&all, &["ssh-password", "sudo-code"]);
    let seen = as_pat(&all, SUDO, PASSWORD).check("all");
    assert!(seen.took < Duration::from_secs(40), "{:?}", seen.took);
    let told = seen.told(&all[0]);
    assert!(
        told.contains(" become ") && told.contains("Verification code"),
        "{told}"
    );
}

// ---- logging in ----

const NO_KEY: &str = "PubkeyAuthentication: \"no\"";

/// Logs in as `pat` with a password by the methods that the options leave.
fn by_password(hosts: &[String], options: &str, password: &str) -> Controller {
    let settings =
        format!("user: pat, password: {{env: PW}}, ssh: {{config: none, options: {{{options}}}}}");
    Controller::of(hosts, &settings).with("PW", password)
}

#[test]
fn a_password_logs_in_by_either_method_and_after_a_key() {
    let _turn = hosts(FEW);
    let all = names(1..=4);
    let _changed = change(&all, &["ssh-password"]);
    for (method, journal) in [
        ("password", "Accepted password for pat"),
        (
            "keyboard-interactive",
            "Accepted keyboard-interactive/pam for pat",
        ),
    ] {
        let only = format!("{NO_KEY}, PreferredAuthentications: {method}");
        let before = logged(&all[0], journal);
        let seen = by_password(&all, &only, PASSWORD).check("all");
        seen.all_observed();
        assert_eq!(logged(&all[0], journal), before + 1);
        assert!(!seen.log.contains(PASSWORD));
    }
    let before: usize = all
        .iter()
        .map(|name| logged(name, "Failed password for pat"))
        .sum();
    let wrong = by_password(
        &all,
        &format!("{NO_KEY}, PreferredAuthentications: password"),
        "falsch",
    );
    let seen = wrong.check("all");
    for name in &all {
        seen.failed(name, "auth-failed auth", &["password"]);
    }
    let after: usize = all
        .iter()
        .map(|name| logged(name, "Failed password for pat"))
        .sum();
    assert!(
        (1..=2).contains(&(after - before)),
        "{before} to {after} failures"
    );

    let steps = change(&all[..1], &["ssh-two-steps"]);
    let journal = "Accepted keyboard-interactive/pam for pat";
    let before = logged(&all[0], journal);
    by_password(&all[..1], "", PASSWORD)
        .check("all")
        .all_observed();
    assert_eq!(logged(&all[0], journal), before + 1, "the second step");
    let seen = by_password(&all[..1], NO_KEY, PASSWORD).check("all");
    seen.failed(&all[0], "auth-failed auth", &["publickey"]);
    drop(steps);

    let _changed = change(&all[..1], &["ssh-password", "ssh-code"]);
    let seen = by_password(
        &all[..1],
        &format!("{NO_KEY}, PreferredAuthentications: keyboard-interactive"),
        PASSWORD,
    )
    .check("all");
    seen.failed(
        &all[0],
        "auth-failed auth",
        &["the server asks", "Verification code"],
    );
}

#[test]
fn an_expired_password_ends_in_an_error_and_not_in_a_hang() {
    let _turn = hosts(FEW);
    let all = names(1..=1);
    let _changed = change(&all, &["ssh-password", "ssh-expired"]);
    for options in [
        format!("{NO_KEY}, PreferredAuthentications: password"),
        format!("{NO_KEY}, PreferredAuthentications: keyboard-interactive"),
        String::new(),
    ] {
        let seen = by_password(&all, &options, PASSWORD).check("all");
        eprintln!(
            "expired, {options}: {} ({:?})",
            seen.told(&all[0]),
            seen.took
        );
        assert!(seen.took < Duration::from_secs(20), "{:?}", seen.took);
        assert_eq!(seen.code, 3);
        let told = seen.told(&all[0]).to_lowercase();
        assert!(
            told.contains("expired") || told.contains("password"),
            "{told}"
        );
    }
}

/// An agent in the bastion; it ends with this.
struct Agent(std::process::Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn agent(controller: &mut Controller) -> Agent {
    let socket = controller.path("agent");
    let child = Command::new("ssh-agent")
        .args(["-D", "-a", &socket])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let agent = Agent(child);
    while !std::path::Path::new(&socket).exists() {
        thread::sleep(Duration::from_millis(20));
    }
    controller
        .environment
        .push(format!("SSH_AUTH_SOCK={socket}"));
    agent
}

impl Controller {
    fn ssh_add(&self, key: &str) {
        let output = self.command("ssh-add").args(["-q", key]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// Lets keys log in as root, until the host is `Changed` back.
fn authorize(host: &str, keys: &str) {
    on_host(
        host,
        &format!(
            "cat >/etc/ssh/variant-keys <<'END'\n{keys}\nEND\nchmod 600 /etc/ssh/variant-keys"
        ),
    );
    tell_sshd(host, "AuthorizedKeysFile /etc/ssh/variant-keys");
}

/// Servers end a login after six tries, and newer ones shut addresses out that fail so often.
#[test]
fn the_right_one_of_eight_keys_of_an_agent() {
    let _turn = hosts(FEW);
    let all = names(1..=2);
    let _changed = change(&all, &["ssh-startups"]);
    let settings =
        |more: &str| inventory(&all, &format!("user: root, known_hosts: {KNOWN}, {more}"));
    let mut controller = Controller::new(&settings("ssh: {config: none}"));
    let _agent = agent(&mut controller);
    for number in 1..=8 {
        let public = controller.key(&format!("key{number}"), "ed25519");
        controller.ssh_add(&format!("key{number}"));
        match number {
            6 => authorize(&all[0], &public),
            7 => authorize(&all[1], &public),
            _ => {}
        }
    }
    for name in &all {
        tell_sshd(name, "MaxAuthTries 6");
    }
    // As far as ssh gets, and no further.
    let seen = controller.check("all");
    assert!(seen.is_observed(&all[0]), "{}", seen.told(&all[0]));
    seen.failed(&all[1], "auth-failed auth", &["2 more", "IdentitiesOnly"]);
    // Its name says which one of the agent's it is.
    let named = format!(
        "identity: {}, ssh: {{config: none, options: {{IdentitiesOnly: \"yes\"}}}}",
        controller.path("key7")
    );
    controller.write("inventory.yaml", &settings(&named));
    let seen = controller.check(&all[1]);
    assert!(seen.is_observed(&all[1]), "{}", seen.told(&all[1]));
    // What logged in once is offered first.
    controller.write("inventory.yaml", &settings("ssh: {config: none}"));
    controller.check("all").all_observed();
}

/// `script` is the terminal.
#[test]
fn the_passphrase_of_a_key_is_asked_once_for_ten_hosts() {
    let _turn = hosts(10);
    let all = names(1..=10);
    let changed = change(&all, &["ssh-startups"]);
    let controller = Controller::new("");
    controller.ssh_keygen(&[
        "-t", "ed25519", "-N", "Birne 9", "-C", "locked", "-f", "locked",
    ]);
    let public = std::fs::read_to_string(controller.path("locked.pub")).unwrap();
    each(&all, |name| authorize(name, &public));
    controller.write(
        "inventory.yaml",
        &inventory(
            &all,
            &format!(
                "identity: {}, known_hosts: {KNOWN}, ssh: {{config: none}}",
                controller.path("locked")
            ),
        ),
    );
    let line = format!(
        "{} -i inventory.yaml check all --format json >report.json",
        env!("CARGO_BIN_EXE_clawfleet")
    );
    let begin = Instant::now();
    let mut terminal = controller
        .command("timeout")
        .args(["60", "script", "-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = terminal.stdin.take().unwrap();
    let mut output = terminal.stdout.take().unwrap();
    let mut shown = Vec::new();
    let mut answered = false;
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = output.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..count]);
        if !answered && String::from_utf8_lossy(&shown).contains("Passphrase for") {
            answered = true;
            // What is typed before the echo is off is thrown away.
            thread::sleep(Duration::from_millis(500));
            input.write_all(b"Birne 9\n").unwrap();
        }
    }
    drop(input);
    let status = terminal.wait().unwrap();
    let shown = String::from_utf8_lossy(&shown).into_owned();
    // Once answered, the question is shown as such.
    assert_eq!(shown.matches("[hidden]").count(), 1, "{shown}");
    assert!(!shown.contains("Birne 9"), "{shown}");
    let report = Output {
        status,
        stdout: std::fs::read(controller.path("report.json")).unwrap(),
        stderr: Vec::new(),
    };
    let seen = Seen::of(&report, begin);
    assert_eq!(seen.names().len(), 10);
    seen.all_observed();
    drop(changed);
    lab(&["down", "--from", &(FIRST + FEW).to_string()]);
}

#[test]
fn keys_of_every_kind_and_file_format_log_in() {
    let _turn = hosts(FEW);
    let all = names(1..=1);
    let _changed = change(&all, &["ssh-startups"]);
    let controller = Controller::new("");
    let mut authorized = String::new();
    for (name, kind, format) in [
        ("rsa", "rsa", "RFC4716"),
        ("rsa-pem", "rsa", "PEM"),
        ("rsa-pkcs8", "rsa", "PKCS8"),
        ("ecdsa", "ecdsa", "RFC4716"),
        ("ecdsa-pem", "ecdsa", "PEM"),
        ("ecdsa-pkcs8", "ecdsa", "PKCS8"),
        ("ed25519", "ed25519", "RFC4716"),
    ] {
        controller.ssh_keygen(&["-t", kind, "-m", format, "-N", "", "-C", name, "-f", name]);
        authorized += &std::fs::read_to_string(controller.path(&format!("{name}.pub"))).unwrap();
    }
    for bits in ["384", "521"] {
        let name = format!("ecdsa-{bits}");
        controller.ssh_keygen(&["-t", "ecdsa", "-b", bits, "-N", "", "-f", &name]);
        authorized += &std::fs::read_to_string(controller.path(&format!("{name}.pub"))).unwrap();
    }
    authorize(&all[0], &authorized);
    let mut text = format!("defaults: {{known_hosts: {KNOWN}, ssh: {{config: none}}}}\nhosts:\n");
    for name in [
        "rsa",
        "rsa-pem",
        "rsa-pkcs8",
        "ecdsa",
        "ecdsa-pem",
        "ecdsa-pkcs8",
        "ed25519",
        "ecdsa-384",
        "ecdsa-521",
    ] {
        text += &format!(
            "  {name}: {{address: {}, identity: {}}}\n",
            address(&all[0]),
            controller.path(name)
        );
    }
    controller.write("inventory.yaml", &text);
    let seen = controller.check("all");
    assert_eq!(seen.names().len(), 9);
    seen.all_observed();
}

#[test]
fn certificates_of_users_log_in_from_files_and_from_an_agent() {
    let _turn = hosts(FEW);
    let all = names(1..=1);
    let _changed = change(&all, &["ssh-startups"]);
    let mut controller = Controller::new("");
    let mut authorities = String::new();
    let mut text = format!("defaults: {{known_hosts: {KNOWN}, ssh: {{config: none}}}}\nhosts:\n");
    let kinds = ["ed25519", "rsa", "ecdsa"];
    for ca in kinds {
        authorities += &controller.key(&format!("ca-{ca}"), ca);
        for kind in kinds {
            let name = format!("{kind}-by-{ca}");
            controller.key(&name, kind);
            controller.ssh_keygen(&[
                "-s",
                &format!("ca-{ca}"),
                "-I",
                &name,
                "-n",
                "root",
                "-V",
                "+1h",
                &format!("{name}.pub"),
            ]);
            text += &format!(
                "  {name}: {{address: {}, identity: {}}}\n",
                address(&all[0]),
                controller.path(&name)
            );
        }
    }
    controller.write("inventory.yaml", &text);
    // Nobody's plain key counts.
    authorize(&all[0], "");
    on_host(
        &all[0],
        &format!("cat >/etc/ssh/variant-ca <<'END'\n{authorities}\nEND"),
    );
    tell_sshd(&all[0], "TrustedUserCAKeys /etc/ssh/variant-ca");
    let seen = controller.check("all");
    assert_eq!(seen.names().len(), 9);
    seen.all_observed();
    assert_eq!(
        logged(&all[0], "Accepted publickey for root .*-CERT SHA256"),
        9
    );

    let _agent = agent(&mut controller);
    for kind in kinds {
        // The certificate goes into the agent with its key.
        controller.ssh_add(&format!("{kind}-by-{kind}"));
        controller.write(
            "inventory.yaml",
            &inventory(
                &all,
                &format!("known_hosts: {KNOWN}, ssh: {{config: none}}"),
            ),
        );
        controller.check("all").all_observed();
        let output = controller.command("ssh-add").arg("-qD").output().unwrap();
        assert!(output.status.success());
    }
    controller.ssh_keygen(&[
        "-s",
        "ca-ed25519",
        "-I",
        "nobody",
        "-n",
        "claw",
        "-V",
        "+1h",
        "ed25519-by-ed25519.pub",
    ]);
    controller.write("inventory.yaml", &text);
    let seen = controller.check("ed25519-by-ed25519");
    seen.failed(
        "ed25519-by-ed25519",
        "auth-failed auth",
        &["with certificate nobody"],
    );
}

// ---- keys of hosts ----

#[test]
fn certificates_of_hosts_count_as_far_as_ssh_believes_them() {
    let _turn = hosts(FEW);
    let all = names(1..=5);
    let _changed = change(&all, &["ssh-startups"]);
    let controller = Controller::new("");
    let authority = controller.key("ca", "ed25519");
    for (number, (name, kind)) in all
        .iter()
        .zip(["good", "name", "old", "revoked", "user"])
        .enumerate()
    {
        controller.write(
            &format!("{kind}.pub"),
            &on_host(name, "cat /etc/ssh/ssh_host_ed25519_key.pub"),
        );
        let (principal, serial, from) = (
            address(name),
            (number + 1).to_string(),
            format!("{kind}.pub"),
        );
        let mut args = vec!["-s", "ca", "-I", kind, "-z", &serial];
        match kind {
            "name" => args.extend(["-h", "-n", "elsewhere.example"]),
            "old" => args.extend(["-h", "-n", &principal, "-V", "20200101:20200201"]),
            "user" => args.extend(["-n", &principal]),
            _ => args.extend(["-h", "-n", &principal, "-V", "+1h"]),
        }
        args.push(&from);
        controller.ssh_keygen(&args);
        let certificate =
            std::fs::read_to_string(controller.path(&format!("{kind}-cert.pub"))).unwrap();
        on_host(
            name,
            &format!("echo '{}' >/etc/ssh/variant-cert.pub", certificate.trim()),
        );
        // With other keys the host could be known by them.
        tell_sshd(
            name,
            "HostKey /etc/ssh/ssh_host_ed25519_key\nHostCertificate /etc/ssh/variant-cert.pub",
        );
    }
    controller.write("spec", "serial: 4\n");
    controller.ssh_keygen(&["-k", "-f", "krl", "-s", "ca.pub", "spec"]);
    let known = controller.write(
        "known_hosts",
        &format!("@cert-authority 10.77.* {authority}"),
    );
    let krl = controller.path("krl");
    controller.write(
        "inventory.yaml",
        &inventory(&all, &format!("identity: {KEY}, known_hosts: {known}, ssh: {{config: none, options: {{RevokedHostKeys: {krl}}}}}")),
    );
    let seen = controller.check("all");
    for name in &all {
        eprintln!("{name}: {}", seen.told(name));
        let target = format!("root@{}", address(name));
        let ssh = controller.ssh(&[
            "-F",
            "none",
            "-i",
            KEY,
            "-o",
            &format!("UserKnownHostsFile={known}"),
            "-o",
            &format!("RevokedHostKeys={krl}"),
            "-o",
            "StrictHostKeyChecking=yes",
            &target,
            "true",
        ]);
        assert_eq!(
            seen.is_observed(name),
            ssh.status.success(),
            "{name} {} {ssh:?}",
            seen.told(name)
        );
    }
    assert!(seen.is_observed(&all[0]));
    let refused = "host-key-rejected ";
    seen.failed(
        &all[1],
        &format!("{refused}host-key"),
        &["certificate does not vouch for it", "elsewhere.example"],
    );
    seen.failed(
        &all[2],
        &format!("{refused}host-key"),
        &["certificate does not vouch for it", "expired"],
    );
    seen.failed(
        &all[3],
        &format!("{refused}host-key"),
        &["certificate is revoked at", "krl"],
    );
}

#[test]
fn a_host_is_known_by_whichever_key_and_a_changed_one_never_passes() {
    let _turn = hosts(FEW);
    let all = names(1..=2);
    let (mine, other) = (address(&all[0]), address(&all[1]));
    let text = std::fs::read_to_string(KNOWN).unwrap();
    let keys = |address: &str, kind: &str| -> String {
        let wanted = format!("{address} {kind}");
        text.lines()
            .filter(|line| line.starts_with(&wanted))
            .map(|line| format!("{line}\n"))
            .collect()
    };
    let check = |known: &str, options: &str| {
        let controller = Controller::new("");
        let file = controller.path("known_hosts");
        if !known.is_empty() {
            controller.write("known_hosts", known);
        }
        controller.write("inventory.yaml", &inventory(&all[..1], &format!("identity: {KEY}, known_hosts: {file}, ssh: {{config: none, options: {{{options}}}}}")));
        (controller.check("all"), controller)
    };
    for kind in ["ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519"] {
        check(&keys(&mine, kind), "").0.all_observed();
    }
    let (seen, _) = check("", "");
    seen.failed(&all[0], "host-key-rejected host-key", &["unknown host key"]);
    let strange = keys(&other, "").replace(&other, &mine);
    for strict in ["accept-new", "\"no\"", "\"yes\"", "ask"] {
        let (seen, controller) = check(&strange, &format!("StrictHostKeyChecking: {strict}"));
        seen.failed(&all[0], "host-key-rejected host-key", &["HOST KEY CHANGED"]);
        assert_eq!(
            std::fs::read_to_string(controller.path("known_hosts")).unwrap(),
            strange
        );
    }
    for hash in ["\"no\"", "\"yes\""] {
        let (seen, controller) = check(
            "",
            &format!("StrictHostKeyChecking: accept-new, HashKnownHosts: {hash}"),
        );
        seen.all_observed();
        let added = format!("UserKnownHostsFile={}", controller.path("known_hosts"));
        let ssh = controller.ssh(&[
            "-F",
            "none",
            "-i",
            KEY,
            "-o",
            &added,
            "-o",
            "StrictHostKeyChecking=yes",
            &format!("root@{mine}"),
            "true",
        ]);
        assert!(ssh.status.success(), "{ssh:?}");
        let text = std::fs::read_to_string(controller.path("known_hosts")).unwrap();
        assert_eq!(text.contains(&mine), hash == "\"no\"", "{text}");
        controller.check("all").all_observed();
    }
}

// ---- beside the real ssh ----

/// What stands in every file: how to get in, and whom to believe.
const GENERAL: &str = "Host *\n User root\n IdentityFile @KEY@\n UserKnownHostsFile @KNOWN@\n StrictHostKeyChecking yes\n";

/// Files of ssh_config, each with the name that is asked for. @1@ … are the addresses of the hosts.
const FILES: [(&str, &str, &str); 18] = [
    ("an alias", "web", "Host web\n HostName @1@\n"),
    ("a pattern", "n.lab", "Host *.lab\n HostName @2@\n"),
    (
        "a pattern with a negation",
        "web2",
        "Host web* !web2\n HostName @1@\n",
    ),
    (
        "another port",
        "web",
        "Host web\n HostName @2@\n Port 2222\n",
    ),
    (
        "a port where nobody listens",
        "web",
        "Host web\n HostName @1@\n Port 2222\n",
    ),
    ("another user", "web", "Host web\n HostName @1@\n User op\n"),
    (
        "a user that is not there",
        "web",
        "Host web\n HostName @1@\n User nobody-here\n",
    ),
    (
        "a jump",
        "web",
        "Host web\n HostName @3@\n ProxyJump door\nHost door\n HostName @1@\n",
    ),
    (
        "two jumps",
        "web",
        "Host web\n HostName @3@\n ProxyJump op@@2@:2222,door\nHost door\n HostName @1@\n",
    ),
    (
        "no jump, and the host takes logins from one only",
        "web",
        "Host web\n HostName @3@\n",
    ),
    (
        "a jump that is down",
        "web",
        "Host web\n HostName @3@\n ProxyJump 10.77.1.7\n ConnectTimeout 2\nHost 10.77.1.7\n ConnectTimeout 2\n",
    ),
    (
        "a proxy command",
        "web",
        "Host web\n HostName @3@\n ProxyCommand ssh -F none -i @KEY@ -o UserKnownHostsFile=@KNOWN@ -W [%h]:%p root@@1@\n",
    ),
    (
        "a proxy command that fails",
        "web",
        "Host web\n HostName @3@\n ProxyCommand false\n",
    ),
    (
        "an alias of the host key",
        "web",
        "Host web\n HostName @2@\n Port 2222\n HostKeyAlias @2@\n",
    ),
    (
        "an alias of the host key that is another's",
        "web",
        "Host web\n HostName @2@\n HostKeyAlias @1@\n",
    ),
    (
        "a key that is not there, then the right one",
        "web",
        "Host web\n HostName @1@\n IdentityFile @HOME@/nothing\n",
    ),
    (
        "an included file",
        "web",
        "Include @HOME@/more\nHost web\n HostName 10.77.1.7\n",
    ),
    (
        "matches",
        "web",
        "Match originalhost web user root\n HostName @1@\nMatch host @1@ !user root\n Port 7\nMatch host @1@\n HostKeyAlgorithms ssh-ed25519\n",
    ),
];

#[test]
fn a_host_is_observed_exactly_where_ssh_gets_there() {
    let _turn = hosts(FEW);
    let all = names(1..=3);
    let _changed = change(&all, &["ssh-startups"]);
    tell_sshd(&all[1], "Port 22\nPort 2222");
    tell_sshd(&all[2], &format!("AllowUsers root@{}", address(&all[0])));
    let controller = Controller::new("");
    // The second host by its other port, which known_hosts names.
    let known = std::fs::read_to_string(KNOWN).unwrap();
    let second = address(&all[1]);
    let ported: String = known
        .lines()
        .filter_map(|line| line.strip_prefix(&format!("{second} ")))
        .map(|key| format!("[{second}]:2222 {key}\n"))
        .collect();
    let known = controller.write("known", &format!("{known}{ported}"));
    let home = controller.path("").trim_end_matches('/').to_owned();
    let fill = |text: &str| {
        let mut text = text
            .replace("@KEY@", KEY)
            .replace("@KNOWN@", &known)
            .replace("@HOME@", &home);
        for (number, name) in all.iter().enumerate() {
            text = text.replace(&format!("@{}@", number + 1), &address(name));
        }
        text
    };
    controller.write("more", &fill("Host web\n HostName @1@\n"));
    let mut worked = 0;
    for (what, name, text) in FILES {
        let file = controller.write("config", &fill(&format!("{text}{GENERAL}")));
        let ssh = controller.ssh(&["-F", &file, name, "true"]);
        controller.write(
            "inventory.yaml",
            &format!("hosts: {{{name}: {{ssh: {{config: {file}}}}}}}\n"),
        );
        let seen = controller.check(name);
        assert_eq!(
            seen.is_observed(name),
            ssh.status.success(),
            "{what}: {} but {}",
            seen.told(name),
            String::from_utf8_lossy(&ssh.stderr)
        );
        worked += usize::from(ssh.status.success());
    }
    assert_eq!(worked, 11, "of {}", FILES.len());
}
