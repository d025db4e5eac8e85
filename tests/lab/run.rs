//! `run` and `copy` on real hosts: every login that may run something, the end of a command with all that it
//! started, a network that is cut, a disk that is full.

use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::{lab, on_host};

/// The hosts of these tests alone.
const FIRST: u32 = 430;
const HOSTS: u32 = 4;

/// The password of `pat`, where a host has the variant `ssh-password`.
const PASSWORD: &str = "Kiefer-7-Wolke";

fn hosts() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    static UP: OnceLock<()> = OnceLock::new();
    let turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    UP.get_or_init(|| {
        let (from, count) = (FIRST.to_string(), HOSTS.to_string());
        lab(&["up", &count, "--from", &from, "--real", "0"]);
        for index in 0..HOSTS {
            lab(&["heal", &name(index)]);
            lab(&["variant", "none", &name(index)]);
        }
    });
    turn
}

fn name(index: u32) -> String {
    assert!(index < HOSTS);
    format!("VM{}", FIRST + index)
}

/// A bastion that knows some of the hosts.
struct Bastion {
    dir: tempfile::TempDir,
    password: &'static str,
}

impl Bastion {
    fn of(hosts: &[u32], settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut text = format!(
            "defaults: {{identity: /run/clawfleet-lab/id_ed25519, known_hosts: /run/clawfleet-lab/known_hosts, \
             ssh: {{config: none}}, {settings}}}\nhosts:\n"
        );
        for index in hosts {
            let number = FIRST + index;
            // As ci/lab.d/common.sh counts.
            text += &format!("  VM{number}: {{address: 10.77.1.{}}}\n", number - 254);
        }
        std::fs::write(dir.path().join("inventory.yaml"), text).unwrap();
        Self { dir, password: "" }
    }

    fn password(mut self, password: &'static str) -> Self {
        self.password = password;
        self
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", "bastion", "env", "-i"])
            .arg(format!("HOME={}", self.dir.path().display()))
            .arg(format!("PW={}", self.password))
            .arg("PATH=/usr/sbin:/usr/bin:/sbin:/bin")
            .arg(env!("CARGO_BIN_EXE_clawfleet"))
            .arg("-i")
            .arg(self.dir.path().join("inventory.yaml"))
            .args(args)
            .current_dir(self.dir.path());
        command
    }

    #[track_caller]
    fn runs(&self, code: i32, args: &[&str]) -> Value {
        let mut all = vec!["run", "all", "--format", "json"];
        all.extend(args);
        read(code, &self.command(&all).output().unwrap())
    }

    #[track_caller]
    fn copies(&self, code: i32, args: &[&str]) -> Value {
        let mut all = vec!["copy", "--format", "json", "all"];
        all.extend(args);
        read(code, &self.command(&all).output().unwrap())
    }
}

#[track_caller]
fn read(code: i32, output: &Output) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"))
}

fn stdout(report: &Value) -> &str {
    report["groups"][0]["stdout"].as_str().unwrap()
}

/// How many processes of a host have these words on their command lines.
fn processes(host: &str, words: &str) -> u32 {
    let (first, rest) = words.split_at(1);
    let line = format!(
        "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f; echo; done 2>/dev/null | grep -c '[{first}]{rest}'; :"
    );
    on_host(host, &line).trim().parse().unwrap()
}

#[track_caller]
fn gone(host: &str, words: &str, within: Duration) {
    let begin = Instant::now();
    loop {
        let left = processes(host, words);
        if left == 0 {
            return;
        }
        assert!(
            begin.elapsed() < within,
            "{left} of `{words}` still run on {host}"
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[track_caller]
fn there(host: &str, words: &str) {
    let begin = Instant::now();
    // The shell whose text has these words is there before it has come so far.
    let line = format!(
        "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f; echo; done 2>/dev/null | grep -c '^{words}'; :"
    );
    while on_host(host, &line).trim() == "0" {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "`{words}` was never on {host}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Ignores TERM, with children in sessions of their own, forked twice, without its environment.
fn stubborn(mark: u32) -> String {
    format!(
        "trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM; sleep {mark}1 & sleep {mark}2' & \
         (setsid sleep {mark}3 >/dev/null 2>&1 &) ; env -i sleep {mark}4 & echo begun; sleep {mark}5; sleep {mark}6"
    )
}

/// Words that some shell would change.
const WORDS: &[&str] = &[
    "",
    "a b",
    "$HOME",
    "`id`",
    "$(id)",
    "'",
    "\"",
    "\\",
    "*",
    "!x !!",
    "~root",
    "a\nb\n",
    "{1,2}",
    "-n",
    "%d;#&|<>()",
];

fn words_arrive(bastion: &Bastion, what: &str) {
    let mut args = vec!["--", "printf", "%s|"];
    args.extend(WORDS);
    let report = bastion.runs(0, &args);
    let mut wanted = WORDS.join("|");
    wanted.push('|');
    assert_eq!(stdout(&report), wanted, "{what}");
}

#[test]
fn words_arrive_through_every_shell() {
    let _turn = hosts();
    let host = name(1);
    for variant in ["login-fish", "login-csh", "sh-busybox", "sh-bash"] {
        lab(&["variant", variant, &host]);
        for settings in ["user: root", "user: op", "user: op, become: sudo"] {
            let bastion = Bastion::of(&[1], settings);
            words_arrive(&bastion, &format!("{variant}, {settings}"));
        }
        // Its end, its input and a script of its own go the same way.
        let bastion = Bastion::of(&[1], "user: op, become: sudo");
        let line = stubborn(731);
        let report = bastion.runs(
            2,
            &[
                "--timeout",
                "1s",
                "--kill-after",
                "1s",
                "--shell",
                "--",
                &line,
            ],
        );
        assert_eq!(
            report["hosts"][0]["outcome"], "ended-by-timeout",
            "{variant}"
        );
        assert_eq!(stdout(&report), "begun\n", "{variant}");
        gone(&host, "sleep 731", Duration::ZERO);
        let input = bastion.dir.path().join("input");
        std::fs::write(&input, vec![b'z'; 300_000]).unwrap();
        let report = bastion.runs(0, &["--stdin", "input", "--", "wc", "-c"]);
        assert_eq!(stdout(&report).trim(), "300000", "{variant}");
        std::fs::write(
            bastion.dir.path().join("script"),
            "id -un; echo \"$1\"; cat",
        )
        .unwrap();
        let report = bastion.runs(0, &["--script", "script", "--", "a  b"]);
        assert_eq!(stdout(&report), "root\na  b\n", "{variant}");
        lab(&["variant", "none", &host]);
    }
}

#[test]
fn whoever_may_become_another_user_runs_as_that_one() {
    let _turn = hosts();
    let host = name(2);
    lab(&["variant", "ssh-password", &host]);
    let who = |bastion: &Bastion, args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(["--", "id", "-un"]);
        stdout(&bastion.runs(0, &all)).trim().to_owned()
    };
    assert_eq!(who(&Bastion::of(&[2], "user: op"), &[]), "op");
    assert_eq!(who(&Bastion::of(&[2], "user: op"), &["--become"]), "root");
    assert_eq!(
        who(&Bastion::of(&[2], "user: op"), &["--user", "claw"]),
        "claw"
    );
    assert_eq!(
        who(
            &Bastion::of(&[2], "user: op, become: sudo"),
            &["--as-login"]
        ),
        "op"
    );
    let settings = "user: pat, become: sudo, become_password: {env: PW}";
    let pat = Bastion::of(&[2], settings).password(PASSWORD);
    assert_eq!(who(&pat, &[]), "root");
    assert_eq!(who(&pat, &["--user", "claw"]), "claw");
    words_arrive(&pat, "sudo with a password");
    // The password is no input of the command, and what it prints is no part of the dialogue.
    let report = pat.runs(0, &["--", "wc", "-c"]);
    assert_eq!(stdout(&report).trim(), "0");
    // All that it started ends below sudo, too.
    let line = stubborn(732);
    let report = pat.runs(
        2,
        &[
            "--timeout",
            "1s",
            "--kill-after",
            "1s",
            "--shell",
            "--",
            &line,
        ],
    );
    assert_eq!(report["hosts"][0]["outcome"], "ended-by-timeout");
    assert_eq!(report["hosts"][0]["still_running"], false);
    gone(&host, "sleep 732", Duration::ZERO);
    // A wrong one: nothing was run, and that is what is said.
    let wrong = Bastion::of(&[2], settings).password("falsch");
    let report = wrong.runs(3, &["--", "touch", "/run/was-run"]);
    assert_eq!(report["hosts"][0]["error"]["stage"], "become", "{report}");
    assert_eq!(on_host(&host, "ls /run/was-run 2>/dev/null; :"), "");
    lab(&["variant", "none", &host]);
}

#[test]
fn a_sudo_that_gives_its_commands_a_terminal_changes_nothing() {
    let _turn = hosts();
    let host = name(3);
    on_host(
        &host,
        "echo 'Defaults use_pty' >/etc/sudoers.d/zz-pty && chmod 440 /etc/sudoers.d/zz-pty",
    );
    let bastion = Bastion::of(&[3], "user: op, become: sudo");
    words_arrive(&bastion, "sudo with use_pty");
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n * 31 % 256) as u8).collect();
    std::fs::write(bastion.dir.path().join("input"), &bytes).unwrap();
    let args = ["--stdin", "input", "--out-dir", "out", "--", "cat"];
    bastion.runs(0, &args);
    let got = std::fs::read(bastion.dir.path().join(format!("out/{host}.stdout"))).unwrap();
    assert!(got == bytes, "{} bytes", got.len());
    let line = stubborn(738);
    let report = bastion.runs(
        2,
        &[
            "--timeout",
            "1s",
            "--kill-after",
            "1s",
            "--shell",
            "--",
            &line,
        ],
    );
    assert_eq!(report["hosts"][0]["outcome"], "ended-by-timeout");
    gone(&host, "sleep 738", Duration::ZERO);
    on_host(&host, "rm /etc/sudoers.d/zz-pty");
}

fn interrupt(child: &std::process::Child) {
    // `ip netns exec` and `env` have become the program.
    rustix::process::kill_process(
        rustix::process::Pid::from_child(child),
        rustix::process::Signal::INT,
    )
    .unwrap();
}

#[test]
fn an_interrupt_ends_it_on_every_host() {
    let _turn = hosts();
    let all = [0, 1, 2, 3];
    for (mark, settings, presses) in [
        (733, "user: root", 1),
        (734, "user: op, become: sudo", 1),
        (735, "user: op, become: sudo", 2),
    ] {
        let bastion = Bastion::of(&all, settings);
        let line = stubborn(mark);
        let child = bastion
            .command(&[
                "run",
                "all",
                "--format",
                "json",
                "--kill-after",
                "2s",
                "--shell",
                "--",
                &line,
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        for index in all {
            there(&name(index), &format!("sleep {mark}5"));
        }
        interrupt(&child);
        if presses == 2 {
            std::thread::sleep(Duration::from_millis(300));
            interrupt(&child);
        }
        let begin = Instant::now();
        let report = read(130, &child.wait_with_output().unwrap());
        let took = begin.elapsed();
        assert_eq!(report["interrupted"], true);
        for host in report["hosts"].as_array().unwrap() {
            assert_eq!(host["outcome"], "interrupted", "{settings}: {host}");
            assert_eq!(host["still_running"], presses == 2, "{settings}: {host}");
        }
        assert_eq!(stdout(&report), "begun\n");
        if presses == 2 {
            assert!(took < Duration::from_secs(3), "{took:?}");
        }
        for index in all {
            let within = if presses == 2 { 20 } else { 0 };
            gone(
                &name(index),
                &format!("sleep {mark}"),
                Duration::from_secs(within),
            );
        }
    }
}

#[test]
fn a_controller_that_dies_takes_the_command_with_it() {
    let _turn = hosts();
    let bastion = Bastion::of(&[0], "user: op, become: sudo");
    let line = stubborn(736);
    let mut child = bastion
        .command(&["run", "all", "--kill-after", "1s", "--shell", "--", &line])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    there(&name(0), "sleep 7365");
    child.kill().unwrap();
    child.wait().unwrap();
    gone(&name(0), "sleep 736", Duration::from_secs(20));
}

/// What is not read stands before the word to stop.
#[test]
fn an_input_that_nobody_reads_hides_no_end() {
    let _turn = hosts();
    let bastion = Bastion::of(&[0], "user: op, become: sudo");
    std::fs::write(bastion.dir.path().join("input"), vec![b'x'; 8_000_000]).unwrap();
    let run = |mark: &str| {
        let args = [
            "run",
            "all",
            "--stdin",
            "input",
            "--kill-after",
            "1s",
            "--",
            "sleep",
            mark,
        ];
        let child = bastion
            .command(&args)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        there(&name(0), &format!("sleep {mark}"));
        child
    };
    let mut killed = run("7381");
    killed.kill().unwrap();
    killed.wait().unwrap();
    gone(&name(0), "sleep 7381", Duration::from_secs(20));
    let mut interrupted = run("7382");
    interrupt(&interrupted);
    let code = interrupted.wait().unwrap().code();
    assert_eq!(code, Some(130));
    gone(&name(0), "sleep 7382", Duration::from_secs(20));
}

#[test]
fn a_network_that_is_cut_leaves_doubt_and_no_process() {
    let _turn = hosts();
    let host = name(3);
    let bastion = Bastion::of(&[2, 3], "user: op, become: sudo");
    let line = "echo begun; sleep 7371 & sleep 7372";
    let child = bastion
        .command(&[
            "run",
            "all",
            "--format",
            "json",
            "--timeout",
            "15s",
            "--kill-after",
            "1s",
            "--shell",
            "--",
            line,
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    there(&host, "sleep 7372");
    lab(&["partition", &host]);
    let report = read(6, &child.wait_with_output().unwrap());
    let hosts = &report["hosts"];
    assert_eq!(hosts[0]["outcome"], "ended-by-timeout", "{report}");
    assert_eq!(hosts[1]["outcome"], "lost", "{report}");
    assert_eq!(hosts[1]["still_running"], true);
    // Its own watch has ended it, though nobody could tell it to.
    gone(&host, "sleep 737", Duration::from_secs(10));
    lab(&["heal", &host]);
}

#[test]
fn files_go_there_and_back() {
    let _turn = hosts();
    let bastion = Bastion::of(&[0, 1, 2, 3], "user: op, become: sudo");
    let content: Vec<u8> = (0..2_000_000_u32).map(|n| (n * 31 % 256) as u8).collect();
    let file = bastion.dir.path().join("payload");
    std::fs::write(&file, &content).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    bastion.copies(0, &["payload", ":/root/run-test"]);
    let sum = Command::new("sha256sum").arg(&file).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    let sum = sum.split(' ').next().unwrap();
    for index in 0..HOSTS {
        let seen = on_host(
            &name(index),
            "sha256sum </root/run-test; stat -c '%a %U' /root/run-test; ls -a /root | grep -c clawfleet-new; :",
        );
        assert_eq!(seen, format!("{sum}  -\n640 root\n0\n"));
    }
    let again = bastion.copies(0, &["payload", ":/root/run-test"]);
    assert_eq!(stdout(&again), "payload: was there already\n");
    bastion.copies(0, &[":/root/run-test", "back"]);
    for index in 0..HOSTS {
        let back = bastion
            .dir
            .path()
            .join("back")
            .join(name(index))
            .join("run-test");
        assert!(std::fs::read(&back).unwrap() == content);
        assert_eq!(back.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        on_host(&name(index), "rm /root/run-test");
    }
    // Who may not read it does not get it.
    let op = Bastion::of(&[0], "user: op");
    let report = op.copies(2, &[":/etc/shadow", "back"]);
    let said = report["groups"][0]["stderr"].as_str().unwrap();
    assert!(said.contains("cannot be read"), "{said}");
    let report = op.copies(2, &[":/root/x", "back"]);
    assert!(
        report["groups"][0]["stderr"]
            .as_str()
            .unwrap()
            .contains("not there"),
        "{report}"
    );
}

#[test]
fn a_full_disk_keeps_the_old_file() {
    let _turn = hosts();
    let host = name(0);
    on_host(
        &host,
        "mkdir -p /mnt/small && mount -t tmpfs -o size=1m tmpfs /mnt/small && echo old >/mnt/small/file",
    );
    let bastion = Bastion::of(&[0], "user: op, become: sudo");
    std::fs::write(bastion.dir.path().join("payload"), vec![b'x'; 3_000_000]).unwrap();
    let report = bastion.copies(2, &["payload", ":/mnt/small/file"]);
    let said = report["groups"][0]["stderr"].as_str().unwrap();
    assert!(said.contains("No space left on device"), "{said}");
    let seen = on_host(
        &host,
        "cat /mnt/small/file; ls -A /mnt/small; umount /mnt/small; rmdir /mnt/small",
    );
    assert_eq!(seen, "old\nfile\n");
}

/// Whoever owns a directory, or a link, can let it lead anywhere: root does not follow.
#[test]
fn root_is_led_nowhere_by_a_user_of_the_host() {
    let _turn = hosts();
    let host = name(0);
    on_host(
        &host,
        "rm -rf /home/claw/d /root/pipe && mkdir /home/claw/d && chown claw /home/claw/d && \
         ln -sfn /etc/shadow /home/claw/log.txt && chown -h claw /home/claw/log.txt && mkfifo /root/pipe && \
         ln -sfn /etc /home/claw/e && chown -h claw /home/claw/e",
    );
    let bastion = Bastion::of(&[0], "user: op, become: sudo");
    std::fs::write(bastion.dir.path().join("payload"), "harmless").unwrap();
    for (args, why) in [
        (["payload", ":/home/claw/d/"], "belongs to user 1501"),
        (["payload", ":/home/claw/d/x"], "belongs to user 1501"),
        (["payload", ":/home/claw/e/x"], "belongs to user 1501"),
        ([":/home/claw/log.txt", "back"], "is a link of user 1501's"),
        (["payload", ":/root/pipe"], "is not a file"),
        ([":/proc/cpuinfo", "back"], "is made when it is read"),
    ] {
        let report = bastion.copies(2, &args);
        let said = report["groups"][0]["stderr"].as_str().unwrap();
        assert!(said.contains(why), "{args:?}: {said}");
    }
    let seen = on_host(
        &host,
        "ls -A /home/claw/d; ls /etc/x 2>/dev/null; stat -c %F /root/pipe",
    );
    assert_eq!(seen, "fifo\n");
    // As that user it is that user's own matter.
    bastion.copies(0, &["payload", ":/home/claw/d/", "--user", "claw"]);
    let seen = on_host(
        &host,
        "stat -c '%U %a' /home/claw/d/payload; cat /home/claw/d/payload",
    );
    assert_eq!(seen, "claw 644\nharmless");
    on_host(
        &host,
        "rm -rf /home/claw/d /home/claw/e /home/claw/log.txt /root/pipe",
    );
}
