//! The fleet that the tests share, and the program run against it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::thread;

use serde_json::Value;

/// Host, scenario, and whether the real gateway runs there. The first three are the demo's.
pub(crate) const PLANTED: [(&str, &str, Gateway); 22] = [
    ("VM151", "orphan", Gateway::Real),
    ("VM152", "healthy", Gateway::Real),
    ("VM153", "duplicate-unit", Gateway::Real),
    ("VM154", "orphan", Gateway::StandIn),
    ("VM155", "duplicate-unit", Gateway::StandIn),
    ("VM156", "down", Gateway::StandIn),
    ("VM157", "crash", Gateway::StandIn),
    ("VM158", "foreign", Gateway::StandIn),
    ("VM159", "hung", Gateway::StandIn),
    ("VM160", "noisy-journal", Gateway::StandIn),
    ("VM161", "busy-journal", Gateway::StandIn),
    ("VM162", "unprivileged", Gateway::StandIn),
    ("VM163", "user-unit", Gateway::StandIn),
    ("VM164", "starting", Gateway::StandIn),
    ("VM165", "leftover", Gateway::StandIn),
    ("VM166", "config-error", Gateway::StandIn),
    ("VM167", "parked", Gateway::StandIn),
    ("VM168", "nothing", Gateway::StandIn),
    ("VM169", "model-skipped", Gateway::StandIn),
    ("VM170", "healthy", Gateway::StandIn),
    ("VM171", "orphan-root", Gateway::StandIn),
    ("VM172", "healthy", Gateway::StandIn),
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gateway {
    Real,
    StandIn,
}

/// One run of the program at a time: some tests break a host and mend it again.
pub(crate) fn fleet() -> MutexGuard<'static, ()> {
    static UP: OnceLock<()> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    // `CLAWFLEET_LAB_AS_IS=1`: a developer runs one test on a lab that is up.
    if std::env::var_os("CLAWFLEET_LAB_AS_IS").is_none() {
        UP.get_or_init(bring_up);
    }
    turn
}

fn bring_up() {
    lab(&["up", &PLANTED.len().to_string(), "--real", "3"]);
    // Plants take seconds each and lock only their own host.
    let plants: Vec<_> = PLANTED
        .iter()
        .filter(|(_, scenario, _)| *scenario != "starting")
        .map(|(host, scenario, gateway)| thread::spawn(move || plant(host, scenario, *gateway)))
        .collect();
    for plant in plants {
        plant.join().expect("planting");
    }
    for (host, _, _) in PLANTED {
        if host != "VM164" {
            lab(&["wait", host, "120"]);
        }
    }
}

pub(crate) fn plant(host: &str, scenario: &str, gateway: Gateway) {
    let kind = match gateway {
        Gateway::Real => "--real",
        Gateway::StandIn => "--standin",
    };
    lab(&["plant", scenario, host, kind]);
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs `ci/lab`, which must succeed.
pub(crate) fn lab(args: &[&str]) -> String {
    let output = Command::new(root().join("ci/lab"))
        .args(args)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "ci/lab {}: {}{}",
        args.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a shell line as root inside a host.
pub(crate) fn on_host(host: &str, line: &str) -> String {
    lab(&["exec", host, "--", "sh", "-c", line])
}

/// The lab's inventory, with more lines at its end.
pub(crate) struct Bastion {
    dir: tempfile::TempDir,
}

impl Bastion {
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    pub(crate) fn with(more: &str) -> Self {
        Self::from_text(&format!("{}{more}", lab(&["inventory"])))
    }

    pub(crate) fn from_text(inventory: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("inventory.yaml"), inventory).unwrap();
        Self { dir }
    }

    /// Runs the program in the bastion's namespace, with nothing of our own environment.
    pub(crate) fn clawfleet(&self, args: &[&str]) -> Output {
        Command::new(root().join("ci/lab"))
            .args(["bastion", "--", "env", "-i"])
            .arg(format!("HOME={}", self.dir.path().display()))
            .arg("PATH=/usr/sbin:/usr/bin:/sbin:/bin")
            .arg(env!("CARGO_BIN_EXE_clawfleet"))
            .arg("-i")
            .arg(self.dir.path().join("inventory.yaml"))
            .args(args)
            .output()
            .unwrap()
    }

    /// Checks hosts and reads the report.
    pub(crate) fn check(&self, selector: &str) -> (i32, Value) {
        let output = self.clawfleet(&["check", selector, "--format", "json"]);
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!(
                "{error}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )
        });
        (output.status.code().unwrap(), report)
    }
}

pub(crate) fn host<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|host| host["name"] == name)
        .unwrap_or_else(|| panic!("{name} is not in the report"))
}

/// The classes that lead, without what follows from them.
pub(crate) fn roots(host: &Value) -> BTreeSet<String> {
    host["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding.get("cause").is_none())
        .map(|finding| finding["class"].as_str().unwrap().to_owned())
        .collect()
}

/// The classes that follow from a cause.
pub(crate) fn consequences(host: &Value) -> BTreeSet<String> {
    host["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding.get("cause").is_some())
        .map(|finding| finding["class"].as_str().unwrap().to_owned())
        .collect()
}

pub(crate) fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
