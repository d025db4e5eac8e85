//! Rollouts on real hosts, and whatever may go wrong on their way: the controller that dies, a network that is
//! cut, a host that loses its power, full disks, lies. What is asked is always the same: is the outcome named,
//! does the exit code say so, does the gateway work, are the files those of before or those of the plan, and
//! is nothing left behind.

mod faults;
mod fixes;
mod fleet;
mod hostile;
mod locks;
mod logins;
mod looking;
mod questions;
mod remedies;
mod shapes;
mod walks;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::{lab, on_host};

/// The hosts of these tests alone; they keep what they wrote when their power goes.
const FIRST: u32 = 450;
const HOSTS: u32 = 30;

const UNIT: &str = "openclaw-gateway.service";
const DROP_IN: &str = "/etc/systemd/system/openclaw-gateway.service.d/50-clawfleet.conf";

/// As short as times may be: the undo comes after both and half a minute. A stand-in is up within a second,
/// and some dozens of hosts share two processors.
const TIMES: [&str; 6] = [
    "--settle",
    "1s",
    "--well-within",
    "9s",
    "--undo-after",
    "40s",
];
const UNDO_AFTER: Duration = Duration::from_secs(40);

/// The setting reaches the gateway's own environment, so that its process tells whether it was started with it.
const SOUND: &str = "[Service]\nEnvironment=LAB_NEW=1\nTimeoutStopSec=40\n";
/// It starts, and dies soon.
const DIES: &str = "[Service]\nEnvironment=LAB_NEW=1 STANDIN_CRASH_AFTER=2\n";

/// The turn, with all hosts up, whole, and as they were.
pub(crate) fn hosts() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    static UP: OnceLock<()> = OnceLock::new();
    let turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    UP.get_or_init(|| {
        let (from, count) = (FIRST.to_string(), HOSTS.to_string());
        lab(&[
            "up",
            &count,
            "--from",
            &from,
            "--real",
            "0",
            "--keep-writes",
        ]);
    });
    turn
}

fn name(index: u32) -> String {
    assert!(index < HOSTS);
    format!("VM{}", FIRST + index)
}

/// As ci/lab.d/common.sh counts.
fn address(host: &str) -> String {
    let number: u32 = host.strip_prefix("VM").unwrap().parse().unwrap();
    format!("10.77.1.{}", number - 254)
}

/// A host that starts from a healthy gateway and nothing of earlier runs.
fn fresh(index: u32) -> String {
    let host = cleaned(index);
    let seen = Host::see(&host);
    // Most are; planting costs a second of a processor.
    if is_pristine(&seen) {
        return host;
    }
    planted(index, "healthy")
}

fn is_pristine(seen: &Host) -> bool {
    let of_claw = seen.files.iter().any(|line| line.contains("/home/claw/"));
    let user = format!("{UNIT}.d");
    !of_claw
        && !seen.files.iter().any(|line| line.contains(&user))
        && seen.left.is_empty()
        && seen.gateway("http") == "live"
        && seen.gateway("holder") == seen.gateway("MainPID")
        && seen.gateway("unit-file") == "enabled"
        && seen.gateway("stop-timeout") == "30s"
        && seen.gateway("environment").is_empty()
}

/// Without whatever these tests do to a host; its gateway is as it is.
pub(crate) fn cleaned(index: u32) -> String {
    let host = name(index);
    lab(&["heal", &host]);
    on_host(&host, include_str!("rollout/clean.sh"));
    host
}

fn planted(index: u32, scenario: &str) -> String {
    let host = cleaned(index);
    lab(&["plant", scenario, &host, "--standin"]);
    lab(&["wait", &host, "60"]);
    host
}

/// Does several things at once, each under its name; all are finished before one that failed fails the test.
#[derive(Default)]
struct AtOnce(Vec<(String, JoinHandle<()>)>);

impl AtOnce {
    fn go(&mut self, what: impl Into<String>, work: impl FnOnce() + Send + 'static) {
        let what = what.into();
        let handle = thread::Builder::new().name(what.clone()).spawn(work);
        self.0.push((what, handle.unwrap()));
    }

    #[track_caller]
    fn all_well(self) {
        let failed: Vec<String> = self
            .0
            .into_iter()
            .filter_map(|(what, work)| work.join().err().map(|_| what))
            .collect();
        assert!(failed.is_empty(), "failed: {}", failed.join("; "));
    }
}

/// A bastion: an inventory, templates, and a directory for the state of its own.
struct Controller {
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
}

impl Controller {
    /// For some hosts, as root.
    fn of(hosts: &[String]) -> Self {
        Self::with(hosts, "user: root")
    }

    fn with(hosts: &[String], settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ssh = if settings.contains("ssh:") {
            ""
        } else {
            "ssh: {config: none}, "
        };
        let mut text = format!(
            "defaults: {{identity: /run/clawfleet-lab/id_ed25519, known_hosts: /run/clawfleet-lab/known_hosts, \
             {ssh}{settings}}}\nhosts:\n"
        );
        for host in hosts {
            text += &format!("  {host}: {{address: {}}}\n", address(host));
        }
        std::fs::write(dir.path().join("inventory.yaml"), text).unwrap();
        let bastion = Self {
            dir,
            env: Vec::new(),
        };
        bastion.template("sound", SOUND);
        bastion
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A directory with a drop-in for `--template-dir`.
    fn template(&self, name: &str, text: &str) -> String {
        let dir = self.path(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("50-clawfleet.conf.j2"), text).unwrap();
        dir.to_str().unwrap().to_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", "bastion", "env", "-i"])
            .arg(format!("HOME={}", self.dir.path().display()))
            .arg("PATH=/usr/sbin:/usr/bin:/sbin:/bin")
            .args(
                self.env
                    .iter()
                    .map(|(name, value)| format!("{name}={value}")),
            )
            .arg(env!("CARGO_BIN_EXE_clawfleet"))
            .arg("-i")
            .arg(self.path("inventory.yaml"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.start(args).finish()
    }

    fn start(&self, args: &[&str]) -> Running {
        let mut child = self.command(args).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (tell, told) = channel();
        let said = thread::spawn(move || {
            let mut all = String::new();
            for line in BufReader::new(stderr).lines() {
                let line = line.unwrap();
                all += &line;
                all.push('\n');
                // A test that waits for no line has let it go.
                let _ = tell.send(line);
            }
            all
        });
        Running {
            child,
            begin: Instant::now(),
            told,
            stderr: said,
            stdout: thread::spawn(move || {
                let mut all = Vec::new();
                stdout.read_to_end(&mut all).unwrap();
                all
            }),
        }
    }

    /// The arguments of `harden` with that template: the shortest times, every step told, JSON.
    fn harden<'a>(&'a self, template: &'a str, more: &[&'a str]) -> Ran {
        self.run(&harden_args(template, more))
    }

    /// Hardens everything with the sound template.
    fn harden_soundly(&self) -> Ran {
        let template = self.path("sound");
        self.harden(template.to_str().unwrap(), &["all"])
    }

    /// Puts back what a run replaced.
    fn rollback(&self, run: &str) -> Ran {
        let mut args = vec!["rollback", run, "-v", "--yes", "--format", "json"];
        args.extend(TIMES);
        self.run(&args)
    }

    /// Keeps a plan in a file, whose path is returned.
    fn kept_plan(&self, template: &str) -> String {
        let plan = self.path("plan.json").to_str().unwrap().to_owned();
        let args = [
            "harden",
            "all",
            "--out",
            &plan,
            "--template-dir",
            template,
            "--restart",
            "always",
        ];
        let kept = self.run(&args);
        assert_eq!(kept.code, Some(4), "{kept:?}");
        plan
    }

    /// A look that writes nothing.
    fn check(&self, template: &str) -> Ran {
        self.run(&[
            "harden",
            "all",
            "--check",
            "--template-dir",
            template,
            "--format",
            "json",
        ])
    }

    /// The newest run, as the record on the bastion has it.
    fn recorded(&self) -> BTreeMap<String, String> {
        let ran = self.run(&["history", "--rollouts", "last", "--format", "json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.outcomes()
    }
}

fn harden_args<'a>(template: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["harden", "-v", "--yes", "--format", "json"];
    if !more.contains(&"--settle") {
        args.extend(TIMES);
    }
    if !template.is_empty() {
        args.extend(["--template-dir", template]);
    }
    args.extend(more);
    args
}

/// A controller at work.
struct Running {
    child: Child,
    begin: Instant,
    told: Receiver<String>,
    stderr: JoinHandle<String>,
    stdout: JoinHandle<Vec<u8>>,
}

impl Running {
    /// Waits until a step is told for the n-th time (from 1); `None` when the run ended before.
    fn at_step(&self, step: &str, nth: usize) -> Option<()> {
        let end = format!(": {step}");
        let mut seen = 0;
        while seen < nth {
            let line = self.told.recv_timeout(Duration::from_secs(200)).ok()?;
            seen += usize::from(line.ends_with(&end));
        }
        Some(())
    }

    /// Ends it as a power loss of the bastion does.
    fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.stderr.join().unwrap()
    }

    fn finish(mut self) -> Ran {
        let status: ExitStatus = self.child.wait().unwrap();
        Ran {
            code: status.code(),
            elapsed: self.begin.elapsed(),
            stdout: String::from_utf8(self.stdout.join().unwrap()).unwrap(),
            stderr: self.stderr.join().unwrap(),
        }
    }
}

/// A run that is over.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    elapsed: Duration,
    stdout: String,
    stderr: String,
}

impl Ran {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The outcome of each host's unit.
    #[track_caller]
    fn outcomes(&self) -> BTreeMap<String, String> {
        let json = self.json();
        let units = json["units"].as_array();
        units
            .unwrap_or_else(|| panic!("no rollout: {self:?}"))
            .iter()
            .map(|unit| {
                let text = |key: &str| unit[key].as_str().unwrap().to_owned();
                (text("host"), text("outcome"))
            })
            .collect()
    }

    /// Why the first unit ended so.
    #[track_caller]
    fn why(&self) -> String {
        let json = self.json();
        let unit = &json["units"][0];
        unit["why"].as_str().unwrap_or_default().to_owned()
    }

    /// The one host ended so, with that exit code.
    #[track_caller]
    fn ends(&self, outcome: &str, code: i32) -> &Self {
        let ends: BTreeSet<String> = self.outcomes().into_values().collect();
        assert_eq!(ends, BTreeSet::from([outcome.to_owned()]), "{self:?}");
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self
    }
}

/// What can be seen of a host from inside it, whatever clawfleet says.
#[derive(Clone, PartialEq, Eq)]
struct Host {
    /// Every directory, link and file where units are written, with rights, owner, target and digest.
    files: BTreeSet<String>,
    /// What must be nowhere once a run is over.
    left: Vec<String>,
    /// What systemd and the gateway's own process say.
    gateway: BTreeMap<String, String>,
}

/// Without the hundred files that every host has.
impl std::fmt::Debug for Host {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of_unit: Vec<&String> = self
            .files
            .iter()
            .filter(|line| line.contains(UNIT_D))
            .collect();
        write!(out, "{of_unit:?} left {:?} {:?}", self.left, self.gateway)
    }
}

impl Host {
    fn see(host: &str) -> Self {
        let text = on_host(host, include_str!("rollout/see.sh"));
        let mut seen = Self {
            files: BTreeSet::new(),
            left: Vec::new(),
            gateway: BTreeMap::new(),
        };
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("file", rest)) => {
                    seen.files.insert(rest.to_owned());
                }
                Some(("left", rest)) => seen.left.push(rest.to_owned()),
                Some(("gateway", rest)) => {
                    let (key, value) = rest.split_once('=').unwrap();
                    seen.gateway.insert(key.to_owned(), value.to_owned());
                }
                _ => panic!("{host} says {line}"),
            }
        }
        assert!(!seen.files.is_empty(), "{text}");
        seen
    }

    fn gateway(&self, key: &str) -> &str {
        self.gateway.get(key).map_or("", String::as_str)
    }

    /// The gateway serves, it is the unit's own process, and systemd has in force what the files say.
    #[track_caller]
    fn works(&self) -> &Self {
        let seen = (
            self.gateway("ActiveState"),
            self.gateway("holder") == self.gateway("MainPID"),
            self.gateway("http"),
            self.gateway("NeedDaemonReload"),
        );
        assert_eq!(seen, ("active", true, "live", "no"), "{self:?}");
        self
    }

    /// No undo, no lock, no file of a run.
    #[track_caller]
    fn clean(&self) -> &Self {
        assert_eq!(self.left, Vec::<String>::new(), "left behind");
        self
    }

    /// Whole, and all is what it was.
    #[track_caller]
    fn is_again(&self, before: &Self) -> &Self {
        let changed: Vec<&String> = self.files.symmetric_difference(&before.files).collect();
        assert!(changed.is_empty(), "{changed:?}");
        assert_eq!(self.gateway("new"), before.gateway("new"), "{self:?}");
        assert_eq!(self.gateway("stop-timeout"), before.gateway("stop-timeout"));
        self.works().clean()
    }

    /// Whole, and the drop-in is that one and nothing else has changed.
    #[track_caller]
    fn has(&self, before: &Self, drop_in: &str) -> &Self {
        let changed: Vec<&String> = self
            .files
            .symmetric_difference(&before.files)
            .filter(|line| !line.contains(UNIT_D))
            .collect();
        assert!(changed.is_empty(), "{changed:?}");
        assert_eq!(self.gateway("drop-in"), digest(drop_in), "{self:?}");
        self.works().clean()
    }

    /// What a run claims of a host is so.
    #[track_caller]
    fn is_as_claimed(&self, outcome: &str, before: &Self) {
        match outcome {
            "applied" => {
                self.has(before, SOUND);
                assert_eq!(self.gateway("new"), "1", "{self:?}");
            }
            "failed" | "rolled-back" | "not-reached" | "not-attempted" | "locked" | "drifted" => {
                self.is_again(before);
            }
            // Nothing is claimed, and yet it is one of the two in the end.
            "unknown" if self.gateway("drop-in") == "-" => {
                self.is_again(before);
            }
            "unknown" => {
                self.has(before, SOUND);
            }
            other => panic!("{other}: {self:?}"),
        }
    }
}

const UNIT_D: &str = "/openclaw-gateway.service.d";

/// As sha256sum prints it.
fn digest(text: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let output = Command::new("sha256sum").arg(file.path()).output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    line.split(' ').next().unwrap().to_owned()
}

/// Waits until nothing of a run is left on a host: its undo has come, or somebody was at work still.
fn settled(host: &str, within: Duration) -> Host {
    let begin = Instant::now();
    let lock = root_of(host).join("var/lib/clawfleet/lock");
    loop {
        // From outside: looking inside takes a processor's time, and dozens of hosts wait at once.
        if begin.elapsed() > within || !lock.exists() {
            let seen = Host::see(host);
            // A gateway may serve before its user's manager, which is still starting, answers.
            let told = !seen.gateway("ActiveState").is_empty();
            let quiet = told && seen.left.is_empty() && seen.gateway("http") == "live";
            if quiet || begin.elapsed() > within {
                return seen;
            }
        }
        thread::sleep(Duration::from_millis(700));
    }
}

/// The root of a host's files, from outside.
pub(crate) fn root_of(host: &str) -> PathBuf {
    Path::new("/run/clawfleet-lab/hosts")
        .join(host)
        .join("root")
}

/// A line for whoever runs the tests with `--nocapture`: what was done, what came of it, in what time.
fn tell(what: &str, ran: &Ran) {
    let ends: BTreeSet<String> = ran.outcomes().into_values().collect();
    let ends: Vec<String> = ends.into_iter().collect();
    let code = ran.code.map_or("-".into(), |code| code.to_string());
    let seconds = ran.elapsed.as_secs_f32();
    eprintln!("| {what} | {} | {code} | {seconds:.1} s |", ends.join(", "));
}
