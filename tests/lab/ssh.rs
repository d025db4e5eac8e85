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
fn sixty_hosts_behind_two_jumps_are_all_seen_every_time() {
    let _turn = hosts(62);
    let all = names(1..=62);
    let targets = &all[2..];
    // Each takes logins only from the one before it.
    for (name, before) in all.iter().skip(1).zip(&all) {
        let before = if all[..2].contains(name) {
            before
        } else {
            &all[1]
        };
        let _ = (name, before);
    }
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
        direct.failed(name, "auth-failed auth", &["root refused"]);
    }

    let jumps = format!("{{config: none, jump: [{}, {}]}}", all[0], all[1]);
    let mut by_inventory = inventory(
        &all,
        &format!("identity: {KEY}, known_hosts: {KNOWN}, ssh: {{config: none}}"),
    );
    by_inventory += &format!("groups: {{behind: {{hosts: [\"VM[403-462]\"], ssh: {jumps}}}}}\n");
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
        &format!("defaults: {{ssh: {{config: {config}}}}}\nhosts: {{\"VM[403-462]\": {{}}}}\n"),
    );

    // Through the first jump alone there is no way either.
    let one = nearer.check(&targets[0]);
    one.failed(&targets[0], "auth-failed auth", &["root refused"]);
    for (how, controller) in [("inventory", &by_inventory), ("ssh_config", &by_file)] {
        for run in 1..=5 {
            let before: Vec<usize> = all[..2]
                .iter()
                .map(|jump| logged(jump, "Accepted publickey"))
                .collect();
            let seen = controller.check("VM[403-462]");
            eprintln!(
                "60 hosts behind two jumps, by {how}, run {run}: {:.1} s",
                seen.took.as_secs_f32()
            );
            assert_eq!(seen.names().len(), 60);
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
    let _changed = change(jump, &["ssh-few"]);
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

/// The connection to the jump ends while hosts behind it are asked something slow.
#[test]
fn a_jump_that_is_lost_in_the_middle_is_named_and_nothing_hangs() {
    let _turn = hosts(FEW);
    let all = names(1..=6);
    let settings = format!(
        "identity: {KEY}, known_hosts: {KNOWN}, ssh: {{config: none, jump: [root@{}]}}",
        address(&all[0])
    );
    let slow = "checks: {slow: {script: sleep 7.25, timeout: 15s}}\n";
    let controller = Controller::new(&format!("{}{slow}", inventory(&all[1..], &settings)));
    let seen = thread::scope(|scope| {
        let run = scope.spawn(|| controller.check("all"));
        each(&all[1..], |name| {
            on_host(
                name,
                "for i in $(seq 100); do pgrep -fx 'sleep 7.25' && exit; sleep 0.1; done; exit 1",
            );
        });
        on_host(&all[0], "pkill -KILL -f '^sshd: root'");
        run.join().unwrap()
    });
    assert!(seen.took < Duration::from_secs(40), "{:?}", seen.took);
    for name in &all[1..] {
        eprintln!("{name}: {}", seen.told(name));
    }
    assert_eq!(seen.code, 3);
}
