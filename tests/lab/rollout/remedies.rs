//! Remedies that change more than a unit's state: a configuration, one of two units, a process that is no gateway; and
//! what must never be taken along: a restart's own session, a process that got the number of another one.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::fixes::TIMES;
use super::{
    AtOnce, Controller, Host, Ran, UNIT, cleaned, fresh, hosts, name, planted, root_of, tell,
};
use crate::lab::{lab, on_host};
use crate::terminal::converse;

const CONFIG: &str = "/home/claw/.openclaw/openclaw.json";

fn fix(bastion: &Controller, more: &[&str]) -> Ran {
    let mut args = vec!["fix", "all", "-v", "--yes", "--format", "json"];
    args.extend(TIMES);
    args.extend(more);
    let ran = bastion.run(&args);
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    ran
}

#[test]
fn remedies_that_the_operator_chooses() {
    let _turn = hosts();
    let mut all = AtOnce::default();
    all.go("a model that cannot be used", || the_models_of_a_gateway(0));
    all.go("which of two units stays", || asked_which_stays(&[1, 2]));
    all.go("a process that is no gateway", || ended_by_name(3));
    all.go("a foreign service", || of_another_service(4));
    all.go("a restart from within", || restarted_from_within(5));
    all.go("an out-of-band restart", || restarted_out_of_band(6));
    all.all_well();
}

/// With the real gateway: its own command judges the change, and its log says what it uses.
fn the_models_of_a_gateway(index: u32) {
    let host = cleaned(index);
    lab(&["plant", "model-skipped", &host, "--real"]);
    lab(&["wait", &host, "90"]);
    // As people write it.
    on_host(
        &host,
        &format!(
            "sed -i '1s/^/\\/\\/ ours: do not sort\\n/; s/\"primary\":/ primary : /' {CONFIG} && \
             printf '// the end\\n' >>{CONFIG} && sleep 3"
        ),
    );
    // A secret that only the unit's environment has: without it the gateway's own command refuses the file.
    let drop_in = format!("/etc/systemd/system/{UNIT}.d/90-token.conf");
    let token = on_host(
        &host,
        &format!(
            "t=$(sed -n 's/.*\"token\": *\"\\([^\"]*\\)\".*/\\1/p' {CONFIG}); \
             sed -i 's/\"token\": *\"[^\"]*\"/\"token\":\"${{LAB_TOKEN}}\"/' {CONFIG}; \
             mkdir -p {drop_in_dir}; \
             printf '[Service]\\nEnvironment=LAB_TOKEN=%s\\n' \"$t\" >{drop_in}; \
             systemctl daemon-reload; systemctl restart {UNIT}; printf %s \"$t\"",
            drop_in_dir = drop_in.trim_end_matches("/90-token.conf"),
        ),
    );
    assert!(token.len() > 8, "{token}");
    lab(&["wait", &host, "90"]);
    let before = on_host(&host, &format!("cat {CONFIG}"));
    assert!(before.contains("primary : \"nosuch/model-1\""), "{before}");
    let bastion = Controller::of(std::slice::from_ref(&host));
    // Without consent, and without a name, nothing is changed.
    assert_eq!(fix(&bastion, &[]).code, Some(0));
    assert_eq!(fix(&bastion, &["--class", "model-skipped"]).code, Some(4));
    let chosen = ["--class", "model-skipped", "--model", "p2/m2"];
    // One that cannot be used either: the finding stays, and all of it is taken back.
    let other = ["--class", "model-skipped", "--model", "nosuch/model-2"];
    let kept = fix(&bastion, &other);
    kept.ends("rolled-back", 5);
    assert!(
        kept.why().contains("still found: model-skipped"),
        "{kept:?}"
    );
    assert_eq!(on_host(&host, &format!("cat {CONFIG}")), before);
    let ran = fix(&bastion, &chosen);
    tell("a model that cannot be used", &ran);
    ran.ends("applied", 0);
    let after = on_host(&host, &format!("cat {CONFIG}"));
    assert_eq!(after, before.replace("nosuch/model-1", "p2/m2"));
    let rights = on_host(&host, &format!("stat -c '%a %U' {CONFIG}"));
    assert_eq!(rights.trim(), "600 claw");
    let copies = on_host(
        &host,
        &format!("cat /var/lib/clawfleet/runs/*/{UNIT}/config.1; ls -a /home/claw/.openclaw"),
    );
    assert!(copies.contains("// the end"), "{copies}");
    assert!(!copies.contains(".clawfleet-"), "{copies}");
    // Neither the bastion's record nor what it printed holds the file's secrets.
    for (path, text) in files_below(bastion.dir.path()) {
        assert!(!text.contains(&token), "{path}");
    }
    assert!(!ran.stdout.contains(&token) && !ran.stderr.contains(&token));
    let again = fix(&bastion, &chosen);
    assert_eq!(again.code, Some(0), "{again:?}");
    // The gateway's own command has the last word.
    on_host(
        &host,
        &format!("sed -i 's/{{/{{nosuchkey: 1, /; s#p2/m2#nosuch/model-1#' {CONFIG}"),
    );
    let broken = on_host(&host, &format!("cat {CONFIG}"));
    let refused = fix(&bastion, &chosen);
    refused.ends("failed", 5);
    assert!(
        refused.why().contains("`config validate` refuses it"),
        "{refused:?}"
    );
    assert_eq!(on_host(&host, &format!("cat {CONFIG}")), broken);
    Host::see(&host).clean();
    on_host(&host, &format!("rm {drop_in}; systemctl daemon-reload"));
    planted(index, "healthy");
}

/// Four restarts were asked for in sessions of the gateway's own; one that is not of its own is offered.
fn restarted_out_of_band(index: u32) {
    let host = cleaned(index);
    lab(&["plant", "restart-inside", &host, "--standin"]);
    lab(&["wait", &host, "90"]);
    let bastion = Controller::of(std::slice::from_ref(&host));
    let plain = fix(&bastion, &[]);
    assert_eq!(
        plain.code,
        Some(0),
        "explained, and nothing is planned: {plain:?}"
    );
    let said = bastion.run(&["fix", "all", "--check"]);
    assert!(said.stdout.contains("`clawfleet restart`"), "{said:?}");
    let before = Host::see(&host);
    let ran = fix(&bastion, &["--class", "restarted-from-inside"]);
    tell("an out-of-band restart", &ran);
    ran.ends("applied", 0);
    let now = Host::see(&host);
    now.works();
    assert_ne!(now.gateway("MainPID"), before.gateway("MainPID"));
    // What happened to the host has its reason in the history.
    bastion.run(&["check", "all"]);
    let told = bastion.run(&["history", "all"]);
    assert!(told.stdout.contains("fix applied"), "{told:?}");
    planted(index, "healthy");
}

fn files_below(dir: &std::path::Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if let Ok(bytes) = fs::read(&path) {
            found.push((
                path.display().to_string(),
                String::from_utf8_lossy(&bytes).into_owned(),
            ));
        }
    }
    found
}

fn asked_which_stays(indices: &[u32]) {
    let hosts: Vec<String> = indices
        .iter()
        .map(|index| planted(*index, "duplicate-unit"))
        .collect();
    let bastion = Controller::of(&hosts);
    let mut args = vec!["fix", "all"];
    args.extend(TIMES);
    let command = bastion.command(&args);
    const WHICH: &str = "[n]one of them: ";
    const CHANGE: &str = "[q]uit: ";
    let (code, screen) = converse(&command, &[(WHICH, "n")], Duration::from_secs(60));
    assert_eq!(code, Some(4), "{screen}");
    let command = bastion.command(&args);
    let answers = [(WHICH, "9"), (WHICH, "2"), (CHANGE, "y")];
    let (code, screen) = converse(&command, &answers, Duration::from_secs(90));
    assert_eq!(code, Some(0), "{screen}");
    assert_eq!(screen.matches("want port 18789").count(), 1, "{screen}");
    assert!(
        screen.contains("Please answer with one of the numbers"),
        "{screen}"
    );
    let second = screen
        .lines()
        .find(|line| line.trim_start().starts_with("2  "))
        .unwrap();
    for host in &hosts {
        let of_claw = on_host(host, "ls /home/claw/.config/systemd/user");
        let of_system = on_host(host, "ls /etc/systemd/system");
        let stays_user = second.contains("user claw");
        assert_eq!(of_claw.contains(UNIT), stays_user, "{second}: {of_claw}");
        assert_eq!(
            of_system.lines().any(|line| line == UNIT),
            !stays_user,
            "{second}: {of_system}"
        );
        Host::see(host).clean();
    }
}

fn ended_by_name(index: u32) {
    let host = planted(index, "down");
    // From a login, as somebody who tries something out.
    lab(&[
        "ssh",
        &host,
        "setsid /opt/clawfleet-lab/bin/foreign-httpd 18789 >/dev/null 2>&1 </dev/null & sleep 1",
    ]);
    let bastion = Controller::of(std::slice::from_ref(&host));
    let before = on_host(&host, "pgrep foreign-httpd");
    assert_eq!(fix(&bastion, &[]).code, Some(4));
    assert_eq!(fix(&bastion, &["--end", "nginx"]).code, Some(4));
    assert_eq!(on_host(&host, "pgrep foreign-httpd"), before);
    let ran = fix(&bastion, &["--end", "foreign-httpd"]);
    tell("a process that is no gateway, by its name", &ran);
    ran.ends("applied", 0);
    assert_eq!(on_host(&host, "pgrep foreign-httpd || true"), "");
    Host::see(&host).works().clean();
}

fn of_another_service(index: u32) {
    let host = planted(index, "foreign");
    let bastion = Controller::of(std::slice::from_ref(&host));
    let ran = fix(&bastion, &["--end", "foreign-httpd"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stdout.contains("belongs to other.service"), "{ran:?}");
    assert_ne!(on_host(&host, "pgrep foreign-httpd"), "");
}

/// An agent's command line is in the gateway's cgroup, and ends with it. The restart goes on.
fn restarted_from_within(index: u32) {
    let host = fresh(index);
    let before = Host::see(&host);
    let root = root_of(&host);
    fs::copy(env!("CARGO_BIN_EXE_clawfleet"), root.join("root/clawfleet")).unwrap();
    let inventory = format!("hosts:\n  {host}: {{transport: local}}\n");
    fs::write(root.join("root/inventory.yaml"), inventory).unwrap();
    on_host(
        &host,
        &format!(
            "setsid sh -c 'for d in /sys/fs/cgroup /sys/fs/cgroup/*; do \
             d=$d/system.slice/{UNIT}/cgroup.procs; [ ! -e $d ] || echo $$ >$d; done; \
             grep -q {UNIT} /proc/self/cgroup || exit; \
             /root/clawfleet -i /root/inventory.yaml restart {host} --yes --settle 1s >/root/said 2>&1; \
             echo alive >>/root/said' </dev/null >/dev/null 2>&1 &"
        ),
    );
    let deadline = Instant::now() + Duration::from_secs(60);
    let said = loop {
        let said = fs::read_to_string(root.join("root/said")).unwrap_or_default();
        if said.contains("after ") || Instant::now() > deadline {
            break said;
        }
        thread::sleep(Duration::from_millis(300));
    };
    assert!(said.contains("going on in a scope of its own"), "{said}");
    assert!(said.contains("1 applied"), "{said}");
    // The shell that asked for it was in the cgroup.
    assert!(!said.contains("alive"), "{said}");
    let now = Host::see(&host);
    now.works().clean();
    assert_ne!(now.gateway("MainPID"), before.gateway("MainPID"));
    on_host(
        &host,
        "rm -rf /root/clawfleet /root/inventory.yaml /root/said /root/.local",
    );
}

/// Takes a process's number as soon as it is free, as a busy host may: in its namespace the next process is given that
/// number. What has it then is no gateway of anybody's, and has to live.
struct Recycler {
    process: Child,
    // Where it says which number it got.
    said: tempfile::NamedTempFile,
}

impl Recycler {
    fn start(host: &str, pid: &str) -> Self {
        const TAKE: &str = r#"
            mount -t proc proc /proc || exit
            pid=$1
            exec 9<> <(:)
            while [ -e /proc/$pid ] && ! grep -q ') Z ' /proc/$pid/stat; do read -rt 0.02 -u 9; done
            for _ in $(seq 2000); do
                echo $((pid - 1)) >/proc/sys/kernel/ns_last_pid
                (exec -a 'openclaw-gateway --port 18789' sleep 600 9>&-) &
                new=$!
                [ "$new" != "$pid" ] || break
                kill "$new"
                wait "$new" 2>/dev/null
            done
            echo "$new" >"$2"
            wait "$new"
        "#;
        let leader = fs::read_to_string(format!("/run/clawfleet-lab/hosts/{host}/leader")).unwrap();
        let said = tempfile::NamedTempFile::new().unwrap();
        let process = Command::new("nsenter")
            .args([
                "-t",
                leader.trim(),
                "-p",
                "--",
                "unshare",
                "-m",
                "bash",
                "-c",
                TAKE,
                "bash",
                pid,
            ])
            .arg(said.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, said }
    }

    /// The number that it got, after the other one was free.
    fn taken(&self) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let text = fs::read_to_string(self.said.path()).unwrap();
            if !text.is_empty() {
                return text.trim().to_owned();
            }
            assert!(Instant::now() < deadline, "the number never became free");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Returns whether the number was really taken while the fix was at work.
fn mended_beside_a_recycler(index: u32, round: usize) -> bool {
    let host = planted(index, "orphan");
    let pid = Host::see(&host).gateway("holder").to_owned();
    let bastion = Controller::of(std::slice::from_ref(&host));
    let mut recycler = Recycler::start(&host, &pid);
    let mut args = vec!["fix", "all", "-v", "--yes", "--format", "json"];
    args.extend(TIMES);
    let running = bastion.start(&args);
    let swapped = round % 2 == 1;
    if swapped {
        // It ends by itself and another one has its number, at any time of the run: in the look, between the plan and
        // the signal, after it.
        thread::sleep(Duration::from_millis(150 * (round as u64 % 9)));
        on_host(&host, &format!("kill -KILL {pid} 2>/dev/null || true"));
    }
    let ran = running.finish();
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    let decoy = recycler.taken();
    if !swapped {
        ran.ends("applied", 0);
    }
    // Alive: no signal went to it.
    let state = on_host(
        &host,
        &format!("cat /proc/{decoy}/comm 2>/dev/null || true"),
    );
    assert_eq!(state.trim(), "sleep", "{decoy}, which was {pid}: {ran:?}");
    on_host(&host, &format!("kill {decoy}"));
    recycler.process.wait().unwrap();
    assert!(matches!(ran.code, Some(0 | 4 | 5)), "{ran:?}");
    let done = fix(&bastion, &[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    Host::see(&host).works().clean();
    decoy == pid
}

fn many_orphans(hosts: u32, rounds: usize) {
    let taken = Arc::new(AtomicUsize::new(0));
    let mut all = AtOnce::default();
    for index in 0..hosts {
        let taken = Arc::clone(&taken);
        all.go(name(index), move || {
            for round in 0..rounds {
                let hit = mended_beside_a_recycler(index, round + index as usize);
                taken.fetch_add(usize::from(hit), Ordering::Relaxed);
            }
        });
    }
    all.all_well();
    let (taken, all) = (taken.load(Ordering::Relaxed), hosts as usize * rounds);
    eprintln!(
        "{all} orphans ended; {taken} of their numbers taken by others at once; no wrong signal"
    );
    assert!(taken * 2 > all, "only {taken} of {all} numbers were taken");
}

#[test]
fn no_signal_goes_to_a_process_that_got_an_orphans_number() {
    let _turn = hosts();
    many_orphans(6, 2);
}

#[test]
#[ignore = "ci/test --full runs it: it takes minutes"]
fn a_hundred_orphans_are_ended_and_nobody_else() {
    let _turn = hosts();
    many_orphans(10, 10);
}
